"""Each case of the table over a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import pytest

from api.exchange import Server
from tests.http import wire_cases
from tests.http.conftest import Client
from tests.http.wire import HOST, Wire, connected, until
from tests.http.wire_cases import Case

HERE = "X-Request-ID: the-one-after-it"


async def answers(wire: Wire, case: Case) -> tuple[int, ...]:
    """The statuses of as many answers as there should be, or as come."""
    statuses: list[int] = []
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while len(statuses) < len(case.statuses):
            is_head = case.sent.startswith(b"HEAD") and not statuses
            statuses.append((await wire.any_answer(has_body=not is_head)).status)
    return tuple(statuses)


async def goes_on(wire: Wire) -> bool:
    """Whether the next answer is that to another request."""
    wire.send("GET /livez HTTP/1.1", HOST, HERE)
    answer = await wire.answer("GET", "/livez")
    return answer.headers["X-Request-ID"] == HERE.partition(": ")[2]


@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
async def test_what_comes_over_a_connection_is_answered_as_it_should_be(
    client: Client, server: Server, subtests: pytest.Subtests, split: bool
) -> None:
    for name, case in wire_cases.ALL.items():
        if case.today:
            continue
        with subtests.test(name):
            async with connected(client) as wire:
                for part in parts(case.sent, split):
                    wire.send_bytes(part)
                    await asyncio.sleep(0)
                if case.client_ends:
                    wire.send_end()

                assert await asyncio.wait_for(answers(wire, case), 10) == case.statuses, case.reason
                if case.then == "closes":
                    assert await asyncio.wait_for(wire.is_closed(), 10), case.reason
                else:
                    assert await asyncio.wait_for(goes_on(wire), 10), case.reason
            await until(lambda: server.in_flight == 0)


def parts(sent: bytes, split: bool) -> Iterable[bytes]:
    """All at once, or the bytes one by one; what is long is not worth it."""
    return [sent[at : at + 1] for at in range(len(sent))] if split and len(sent) < 1000 else [sent]
