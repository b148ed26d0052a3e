from __future__ import annotations

import asyncio
import logging

import pytest

from api.database.errors import NotReadyError, UnavailableError
from api.database.sweep import CALLS_MAX, keep_sweeping


class Sweep:
    """Answers calls with these numbers or errors, and then with 0."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.calls = 0
        self.is_done = asyncio.Event()

    async def __call__(self) -> int:
        self.calls += 1
        if not self.answers:
            self.is_done.set()
            return 0
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def swept(sweep: Sweep) -> None:
    """Sweep until there is no more to do."""
    task = asyncio.create_task(keep_sweeping(sweep, interval_seconds=0))
    await sweep.is_done.wait()
    task.cancel()


async def test_it_goes_on_while_there_is_more() -> None:
    sweep = Sweep(1000, 1000, 3)

    await swept(sweep)

    assert sweep.calls == 4


async def test_it_takes_a_break_after_a_while() -> None:
    sweep = Sweep(*[1] * (CALLS_MAX + 1))
    task = asyncio.create_task(keep_sweeping(sweep, interval_seconds=3600))
    await asyncio.sleep(0)
    assert sweep.calls == 0
    task.cancel()

    await swept(sweep)

    assert sweep.calls == CALLS_MAX + 2


async def test_errors_are_logged_once_in_a_row_and_end_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sweep = Sweep(UnavailableError(), UnavailableError(), NotReadyError(), ValueError("x"), 1)

    with caplog.at_level(logging.WARNING):
        await swept(sweep)

    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == [
        "unavailable",
        "x",
    ]
