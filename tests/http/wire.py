"""Raw connections to the service that send whatever they are told to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from api.web.lane.server import Lane
from api.workers import Server
from loadtests.harness import openapi
from tests.http.conftest import Client

HOST = "Host: localhost"
JSON = "Content-Type: application/json"

LANE_ONLY = pytest.mark.parametrize("settings", ["on"], indirect=True, ids=["lane"])
"""For what is up to the server, and promised only by the fast lane."""


class Answer:
    """An answer as it came over the wire."""

    def __init__(self, head: bytes, body: bytes) -> None:
        status_line, _, headers = head.decode("ascii").partition("\r\n")
        self.status = int(status_line.split(" ")[1])
        self.headers = HTTPHeaders.parse(headers)
        self.body = body

    @property
    def code(self) -> Any:
        return json.loads(self.body)["code"]


class Wire:
    """One raw connection to the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a request line, headers and a body."""
        self.send_bytes("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self, method: str, path: str) -> Answer:
        """The next answer on the connection, checked against openapi.json."""
        answer = await self.any_answer(has_body=method != "HEAD")
        openapi.check_answer(method, path, answer.status, answer.headers, answer.body)
        return answer

    async def refusal(self) -> Answer:
        """The next answer, to an invalid request, checked against openapi.json."""
        answer = await self.any_answer()
        openapi.check_refusal(answer.status, answer.headers, answer.body)
        return answer

    async def any_answer(self, *, has_body: bool = True) -> Answer:
        """The next answer on the connection, unchecked."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
        answer = Answer(head, b"")
        if has_body and answer.status != 304:
            length = int(answer.headers.get("Content-Length", 0))  # none in an interim answer
            answer.body = await self.reader.readexactly(length)
        return answer

    async def drain(self) -> None:
        """Wait until almost everything has left."""
        await self._writer.drain()

    def send_end(self) -> None:
        """Half-close: send nothing more, but keep reading."""
        self._writer.write_eof()

    async def is_closed(self) -> bool:
        """Wait for the connection to close; return whether nothing more arrived before that."""
        return await self.rest() == b""

    async def rest(self) -> bytes:
        """Everything until the service closes the connection."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):  # the service may have been faster
            await self._writer.wait_closed()


@asynccontextmanager
async def connected_to(port: int) -> AsyncIterator[Wire]:
    """A connection to the port that reads little ahead of the test."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    wire = Wire(*await asyncio.open_connection(sock=connection))
    try:
        yield wire
    finally:
        await wire.close()


@asynccontextmanager
async def connected(client: Client) -> AsyncIterator[Wire]:
    async with connected_to(int(client.url.rpartition(":")[2])) as wire:
        yield wire


def in_chunks(data: bytes, size: int) -> bytes:
    """The data in chunked transfer coding."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


async def until(condition: Callable[[], bool]) -> None:
    """Let the service run until the condition holds; the test's timeout is the limit."""
    turns = 0
    while not condition():
        turns += 1
        # What takes longer depends on another process, which needs the CPU.
        await asyncio.sleep(0 if turns < 100 else 0.001)


async def assert_works(wire: Wire) -> None:
    """Fail unless the connection still carries requests and their answers."""
    wire.send("GET /livez HTTP/1.1", HOST)
    assert (await wire.answer("GET", "/livez")).status == 200


def open_connections(server: Server) -> int:
    """The number of connections that the service holds."""
    connections = server.connections if isinstance(server, Lane) else server._server._connections
    return len(connections)


async def assert_refused(wire: Wire, server: Server, code: str = "malformed_header") -> None:
    """Fail unless a refusal arrives and the connection closes.

    The fast lane answers with a problem. Tornado's server sends a bare 400, or nothing, for what it
    cannot parse.
    """
    if isinstance(server, Lane):
        answer = await wire.refusal()
        assert answer.code == code
        assert answer.headers["Connection"] == "close"
        assert await wire.is_closed()
    else:
        rest = await wire.rest()
        assert rest in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n") or b'"malformed_header"' in rest
