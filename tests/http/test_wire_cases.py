"""Each case of the table, over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import pytest

from api.workers import Server
from tests.http import wire_cases
from tests.http.conftest import Client
from tests.http.wire import HOST, LANE_ONLY, Wire, connected, until
from tests.http.wire_cases import Case

pytestmark = LANE_ONLY

HERE = "X-Request-ID: the-one-after-it"


async def answers(wire: Wire, case: Case, statuses: tuple[int, ...]) -> list[int]:
    """The final statuses of the expected number of answers, or of as many as arrive."""
    found: list[int] = []
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while len(found) < len(final(statuses)):
            is_head = case.sent.startswith(b"HEAD") and not found
            found += final([(await wire.any_answer(has_body=not is_head)).status])
    return found


def final(statuses: Iterable[int]) -> list[int]:
    """Without interim ones: those may be omitted if the body has already arrived."""
    return [status for status in statuses if status != 100]


async def stays_open(wire: Wire) -> bool:
    """Whether the connection answers one more request."""
    wire.send("GET /livez HTTP/1.1", HOST, HERE)
    answer = await wire.answer("GET", "/livez")
    return answer.headers["X-Request-ID"] == HERE.partition(": ")[2]


@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
async def test_every_case_is_answered_as_it_should_be(
    client: Client, server: Server, subtests: pytest.Subtests, split: bool
) -> None:
    for name, case in wire_cases.ALL.items():
        asked = (case.statuses, case.then, case.reason)
        statuses, then, reason = wire_cases.ON_THE_LANE.get(name, asked)
        with subtests.test(name):
            async with connected(client) as wire:
                for part in parts(case.sent, split):
                    wire.send_bytes(part)
                    await asyncio.sleep(0)
                if case.client_ends:
                    wire.send_end()

                found = await asyncio.wait_for(answers(wire, case, statuses), 10)
                assert found == final(statuses), reason
                if then == "closes":
                    assert await asyncio.wait_for(wire.is_closed(), 10), reason
                else:
                    assert await asyncio.wait_for(stays_open(wire), 10), reason
            await until(lambda: server.in_flight == 0)


def parts(sent: bytes, split: bool) -> Iterable[bytes]:
    """Everything at once, or byte by byte unless it is long."""
    return [sent[at : at + 1] for at in range(len(sent))] if split and len(sent) < 1000 else [sent]
