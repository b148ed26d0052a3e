from __future__ import annotations

import asyncio

import pytest

from api.web import refusal_delay
from api.web.refusal_delay import RefusalDelay
from tests.http.wire import until


@pytest.fixture(autouse=True)
def _check_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal_delay, "CHECK_SECONDS", 0.001)


class Queue:
    """A queue with some room, which those who resume take."""

    def __init__(self, room: int) -> None:
        self.left = room
        self.taken: list[int] = []

    def room(self) -> int:
        return self.left

    def take(self, number: int) -> None:
        self.left -= 1
        self.taken.append(number)


def delay(made: RefusalDelay, queue: Queue, count: int, seconds_max: float = 1_000) -> None:
    for number in range(count):
        made.delay(queue.room, lambda number=number: queue.take(number), seconds_max)  # type: ignore[misc]


async def test_no_more_resume_than_there_is_room_for_and_in_their_order() -> None:
    made, queue = RefusalDelay(), Queue(room=5)
    delay(made, queue, 20)

    await until(lambda: queue.left == 0)
    assert queue.taken == [0, 1, 2, 3, 4]
    queue.left = 3
    await until(lambda: queue.left == 0)
    assert queue.taken == list(range(8))
    assert len(made) == 12


async def test_room_in_one_queue_is_none_in_another() -> None:
    made, full, other = RefusalDelay(), Queue(room=0), Queue(room=100)
    delay(made, full, 20)
    delay(made, other, 20)

    await until(lambda: len(other.taken) == 20)
    assert full.taken == []
    assert len(made) == 20


async def test_all_resume_when_their_time_is_up() -> None:
    made, queue = RefusalDelay(), Queue(room=0)
    delay(made, queue, 20, seconds_max=0.05)

    await until(lambda: len(queue.taken) == 20)
    assert len(made) == 0


async def test_nobody_resumes_while_others_are_refused() -> None:
    """What was refused since the last check found no room, whatever there is at the moment."""
    made, queue = RefusalDelay(), Queue(room=100)
    delay(made, queue, 1)

    for _ in range(20):
        delay(made, queue, 1)
        await asyncio.sleep(0)
        assert queue.taken == []

    await until(lambda: len(queue.taken) == 21)


async def test_at_the_end_all_resume_at_once() -> None:
    made, queue = RefusalDelay(), Queue(room=0)
    delay(made, queue, 20)

    made.resume_all()

    assert queue.taken == list(range(20))
    assert len(made) == 0
