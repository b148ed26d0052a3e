"""After a refusal by a full queue, and only then, a connection is not read for a while."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from api import problems
from api.settings import Settings
from api.web.lane.server import Lane
from loadtests.harness import postgres
from tests.http.conftest import Client, Served
from tests.http.wire import HOST, JSON, Answer, Wire, assert_works, connected, until

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
POOL_SIZE = 4
PURCHASE = {"quantity": 1, "user_id": USER}


SMALLEST = Settings(max_waiting=1, pool_size=POOL_SIZE)


@pytest.fixture
def settings() -> Settings:
    """The smallest queues, on the fast lane: without it, no connection is delayed."""
    return SMALLEST


@pytest.fixture
def server(served: Served) -> Lane:
    assert isinstance(served.server, Lane)
    return served.server


@pytest.fixture
def long_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Retry-After so long that only room in the queue ends a delay."""
    monkeypatch.setattr(problems, "RETRY_AFTER_SECONDS", 1_000)


def send(wire: Wire, path: str, body: object, *headers: str, version: str = "1.1") -> None:
    sent = json.dumps(body).encode()
    length = f"Content-Length: {len(sent)}"
    wire.send(f"POST {path} HTTP/{version}", HOST, JSON, length, *headers, body=sent)


async def refused(wire: Wire, path: str, body: object, *headers: str, version: str = "1.1") -> None:
    send(wire, path, body, *headers, version=version)
    answer: Answer = await wire.answer("POST", path)
    assert (answer.status, answer.code) == (503, "overloaded")


def blocked(observer: psycopg.Connection[Any]) -> int:
    """The number of calls waiting for a lock."""
    count: int = postgres.value(observer, "SELECT count(*) FROM pg_locks WHERE NOT granted")
    return count


@asynccontextmanager
async def full(
    client: Client, server: Lane, database: str, path: str, body: object, takes: int
) -> AsyncIterator[None]:
    """Keep a queue full of requests that are waiting for a lock.

    Args:
        takes: how many requests it takes to fill the queue.
    """
    async with AsyncExitStack() as stack:
        in_flight = [await stack.enter_async_context(connected(client)) for _ in range(takes)]
        with (
            postgres.connect(database) as observer,
            postgres.connect(database) as locker,
            locker.transaction(),
        ):
            locker.execute("LOCK TABLE ticketing_private.ticket_options")
            for number, each in enumerate(in_flight, 1):
                send(each, path, body)
                await until(lambda: server.in_flight == number)  # noqa: B023
                await until(lambda: blocked(observer) == min(number, POOL_SIZE))  # noqa: B023
            yield
        for each in in_flight:
            assert (await each.answer("POST", path)).status == 201


@pytest.mark.usefixtures("long_retry_after")
@pytest.mark.parametrize(
    ("settings", "takes"),
    [(SMALLEST, 1), (replace(SMALLEST, batch_size=1), POOL_SIZE + 1)],
    ids=["purchases", "the pool's"],
)
async def test_a_connection_refused_by_a_full_queue_is_read_once_there_is_room(
    client: Client, server: Lane, database: str, takes: int
) -> None:
    path, body = f"{await client.new_option(allocation=10)}/purchases", PURCHASE
    async with connected(client) as wire, connected(client) as other:
        async with full(client, server, database, path, body, takes):
            await refused(wire, path, body)
            wire.send("GET /livez HTTP/1.1", HOST)
            next_answer = asyncio.ensure_future(wire.answer("GET", "/livez"))
            for _ in range(10):
                await assert_works(other)
            assert not next_answer.done()

        assert (await next_answer).status == 200
    assert not len(server.refusal_delay)


async def test_a_connection_refused_by_a_full_queue_is_read_after_its_retry_after(
    client: Client, server: Lane, database: str
) -> None:
    path = f"{await client.new_option(allocation=10)}/purchases"
    async with connected(client) as wire, full(client, server, database, path, PURCHASE, 1):
        await refused(wire, path, PURCHASE)

        await assert_works(wire)


@pytest.mark.usefixtures("long_retry_after")
async def test_a_connection_refused_by_a_full_queue_is_read_when_the_service_stops(
    client: Client, server: Lane, database: str
) -> None:
    path = f"{await client.new_option(allocation=10)}/purchases"
    async with connected(client) as wire:
        async with full(client, server, database, path, PURCHASE, 1):
            await refused(wire, path, PURCHASE)
            wire.send("GET /livez HTTP/1.1", HOST)
            draining = asyncio.ensure_future(server.drain(timeout_seconds=5))

            assert (await wire.answer("GET", "/livez")).status == 200
            assert await wire.is_closed()
        assert await draining


@pytest.mark.usefixtures("long_retry_after")
@pytest.mark.parametrize(
    ("version", "header"),
    [("1.1", "Connection: close"), ("1.1", "connection: Close"), ("1.0", "X: y")],
)
async def test_a_connection_that_is_about_to_close_is_not_delayed(
    client: Client, server: Lane, database: str, version: str, header: str
) -> None:
    path = f"{await client.new_option(allocation=10)}/purchases"
    async with connected(client) as wire, full(client, server, database, path, PURCHASE, 1):
        await refused(wire, path, PURCHASE, header, version=version)

        assert await wire.is_closed()


async def test_a_connection_that_is_closed_while_it_is_delayed_leaves_nothing_behind(
    client: Client, server: Lane, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"{await client.new_option(allocation=10)}/purchases"
    async with full(client, server, database, path, PURCHASE, 1):
        async with connected(client) as wire:
            await refused(wire, path, PURCHASE)

        await until(lambda: not len(server.refusal_delay))
    await until(lambda: len(server.connections) == 1)  # the client's own
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.usefixtures("long_retry_after")
@pytest.mark.parametrize("settings", [Settings(lock_timeout_seconds=0.1)], ids=[""])
async def test_a_connection_is_not_delayed_after_any_other_503(
    client: Client, database: str
) -> None:
    path = f"{await client.new_option(allocation=10)}/purchases"
    async with connected(client) as wire:
        with postgres.connect(database) as superuser:
            with superuser.transaction():
                superuser.execute("LOCK TABLE ticketing_private.ticket_options")
                await refused(wire, path, PURCHASE)
            await assert_works(wire)

            superuser.execute("DROP FUNCTION ticketing.describe_purchase(uuid, uuid)")
            await get_503(wire, f"{path}/{USER}")
            await assert_works(wire)

            superuser.execute("DROP FUNCTION ticketing.installed_files()")
            await get_503(wire, "/readyz")
            await assert_works(wire)


async def get_503(wire: Wire, path: str) -> None:
    wire.send(f"GET {path} HTTP/1.1", HOST)
    answer = await wire.answer("GET", path)
    assert (answer.status, answer.code) == (503, "unavailable")
