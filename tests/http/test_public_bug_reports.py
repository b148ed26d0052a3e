"""Bugs in other HTTP servers, as reported by their users, tried on this one.

| reported to | bug | tested in |
|---|---|---|
| uvicorn 824, 1637 | an idle connection's timer keeps running once it is busy again | here |
| uvicorn 89, 344, 748 | a request that arrives during another is mixed up with it | here |
| uvicorn 2238, bun 33005 | what comes after `Connection: close` is answered | here, raw sockets |
| mongoose 2592, colossus 264 | an invalid request costs those before it their answers | here |
| uvicorn 1345, hypercorn 18 | an unread body is taken for the next request | here, limits |
| uvicorn 1264, 2924 | a client that half-closes gets no answer | lane |
| uvicorn 1501, 2722, httptools 124 | an upgrade is refused, or loses its body | lane |
| codex-lb 2041 (on uvicorn) | a connection that was reset stays in memory | here |
| uvicorn 111, 2220 | an exception when the client has left | here |
| sanic 1197, twisted 4673 | `Expect: 100-continue` is ignored | lane |
| golang 67555 | the body of a refused request is taken for the next one | limits |
| hyper 1614 | an HTTP/1.0 connection is kept alive, and the client is not told | lane |
| rpxy 596 | an answer to a slow reader is held in memory whole | lane, application on the lane |
| nurl 91, envoy 11398 | sizes that overflow; two framings at once | raw sockets |
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import struct

import pytest

from api.web import limits
from api.web.lane import server as lane_server
from api.web.lane.connection import Connection
from api.web.lane.server import Lane
from api.workers import Server
from loadtests.harness import postgres
from tests.hostile import get, message
from tests.http.conftest import Client
from tests.http.wire import (
    HOST,
    JSON,
    LANE_ONLY,
    Wire,
    assert_works,
    connected,
    open_connections,
    until,
)

USER = "406c1d05-bbb2-4e94-b183-7d208c2692e1"


def purchase(option: str, quantity: int, *headers: str) -> bytes:
    body = json.dumps({"quantity": quantity, "user_id": USER}).encode()
    length = f"Content-Length: {len(body)}"
    return message(f"POST {option}/purchases HTTP/1.1", HOST, JSON, length, *headers, body=body)


@LANE_ONLY
async def test_no_timer_runs_while_a_request_is_answered(
    client: Client, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(server, Lane)
    option = await client.new_option(allocation=10)
    async with connected(client) as wire:
        with postgres.connect(database) as connection, connection.transaction():
            connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
            wire.send_bytes(get(HOST) + purchase(option, 1) + purchase(option, 2))
            assert (await wire.answer("GET", "/livez")).status == 200
            await until(lambda: server.in_flight == 2)
            monkeypatch.setattr(limits, "HEAD_TIMEOUT_SECONDS", 0.0)
            monkeypatch.setattr(lane_server, "SWEEP_SECONDS", 1_000.0)
            for _ in range(10):
                server._sweep()
                await asyncio.sleep(0)
        for _ in range(2):
            assert (await wire.answer("POST", f"{option}/purchases")).status == 201


async def test_a_request_in_pieces_behind_a_waiting_one_stays_separate(
    client: Client, server: Server, database: str
) -> None:
    option = await client.new_option(allocation=100)
    first, second = purchase(option, 1), purchase(option, 20)
    async with connected(client) as wire:
        with postgres.connect(database) as connection, connection.transaction():
            connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
            wire.send_bytes(first + second[:50])
            await until(lambda: server.in_flight == 1)
            for start in range(50, len(second), 10):
                wire.send_bytes(second[start : start + 10])
                await wire.drain()
                await asyncio.sleep(0)
        for _ in range(2):
            assert (await wire.answer("POST", f"{option}/purchases")).status == 201
        await assert_works(wire)
    assert await client.left(option) == 79


async def test_a_valid_last_request_is_answered_whatever_follows_it(client: Client) -> None:
    for rest in (b"Invalid\r\n\r\n", b"\x00", get(), get("Content-Length: "), b"x" * 100_000):
        async with connected(client) as wire:
            wire.send_bytes(get(HOST, "Connection: close") + rest)

            assert (await wire.answer("GET", "/livez")).status == 200
            assert await wire.is_closed()


async def test_an_unexpected_body_is_not_taken_for_the_next_request(client: Client) -> None:
    option = await client.new_option(allocation=10)
    smuggled = purchase(option, 5)
    async with connected(client) as wire:
        for method, path, status in (
            ("GET", "/livez", 200),
            ("DELETE", "/livez", 405),
            ("POST", "/nothing", 404),
            ("POST", "/livez", 405),
        ):
            length = f"Content-Length: {len(smuggled)}"
            wire.send_bytes(message(f"{method} {path} HTTP/1.1", HOST, length, body=smuggled))
            assert (await wire.answer(method, path)).status == status
        await assert_works(wire)
    assert await client.left(option) == 10


@LANE_ONLY
@pytest.mark.parametrize("when", ["idle", "in a head", "in a body", "answered by a handler"])
async def test_nothing_remains_of_a_connection_that_was_reset(
    client: Client, server: Server, when: str
) -> None:
    assert isinstance(server, Lane)
    sent = {
        "idle": b"",
        "in a head": b"GET /livez HT",
        "in a body": b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx",
        "answered by a handler": get(HOST, target="/openapi.json") * 10,
    }[when]
    others = alive()  # left over from other tests
    async with connected(client) as wire:
        await assert_works(wire)
        wire.send_bytes(sent)
        await wire.drain()
        assert (await client.get("/livez")).code == 200
        gc.disable()  # so that a reference cycle shows
        try:
            reset(wire)
            await until(lambda: not server.connections)
            await until(lambda: all(each in others for each in alive()))
        finally:
            gc.enable()
    assert server.in_flight == 0


def alive() -> list[Connection]:
    """The connections that something in this process, or a reference cycle, still refers to."""
    return [each for each in gc.get_objects() if type(each) is Connection]


def reset(wire: Wire) -> None:
    """Close the connection as a crashed client would."""
    connection: socket.socket = wire._writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire._writer.transport.abort()


async def test_a_client_that_left_before_its_answer_is_not_an_error(
    client: Client, server: Server, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    option = await client.new_option(allocation=10)
    with postgres.connect(database) as connection, connection.transaction():
        connection.execute("SELECT FROM ticketing_private.ticket_options FOR UPDATE")
        for target in (option, f"{option}/"[:-1]):
            async with connected(client) as wire:
                wire.send_bytes(purchase(target, 1) + purchase(target, 2))
                await until(lambda: server.in_flight >= 1)
                reset(wire)

    await until(lambda: open_connections(server) == server.in_flight == 0)
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


@LANE_ONLY
@pytest.mark.parametrize("path", ["/livez", f"/ticket_options/{USER}"], ids=["handler", "hot"])
async def test_a_reset_between_an_answer_and_the_close_is_not_an_error(
    client: Client,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    assert isinstance(server, Lane)
    peer = socket.create_connection(("127.0.0.1", int(client.url.rpartition(":")[2])))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    write = Connection.write

    def write_and_lose_the_client(connection: Connection, data: bytes) -> None:
        write(connection, data)
        peer.close()

    monkeypatch.setattr(Connection, "write", write_and_lose_the_client)
    peer.send(get(HOST, "Connection: close", target=path))

    await until(lambda: bool(server.connections))
    await until(lambda: not server.connections)
    assert server.in_flight == 0
    assert not [each for each in caplog.records if each.levelname == "ERROR"]
