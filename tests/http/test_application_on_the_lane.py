"""What `tornado.web` can do, it can do on the fast lane as on Tornado's own server."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError
from tornado.testing import bind_unused_port
from tornado.web import (
    Application,
    HTTPError,
    RequestHandler,
    StaticFileHandler,
    stream_request_body,
)

from api.web.accepting import Acceptor
from api.web.lane import response
from api.web.lane.connection import Connection
from api.web.lane.server import Lane
from tests.http.wire import HOST, Wire, connected_to, in_chunks, until

MIB = 1024 * 1024
DOWNLOAD = bytes(range(256)) * (8 * MIB // 256)
UNREAD_MAX = 2 * MIB
"""How much an unread answer may occupy: kernel buffers, and little of the service's memory."""

events: list[str] = []
"""What happened in the handlers."""


class Streams(RequestHandler):
    async def get(self) -> None:
        for part in ("one", "two", "three"):
            self.write(part)
            await self.flush()

    head = get


class StreamsWhenAllowed(RequestHandler):
    async def get(self) -> None:
        self.write("begun")
        await self.flush()
        await self.settings["may_continue"].wait()
        self.finish(" and ended")


class Downloads(RequestHandler):
    written = 0

    async def get(self) -> None:
        type(self).written = 0
        self.set_header("Content-Length", len(DOWNLOAD))
        for start in range(0, len(DOWNLOAD), 64 * 1024):
            self.write(DOWNLOAD[start : start + 64 * 1024])
            await self.flush()
            type(self).written = start + 64 * 1024


class WritesAtOnce(RequestHandler):
    def get(self, size: str) -> None:
        self.finish(b"x" * int(size))
        events.append("written")


class NeverEnds(RequestHandler):
    async def get(self) -> None:
        try:
            while True:
                self.write(b"x" * 1000)
                await self.flush()
        except StreamClosedError:
            events.append("stream closed")

    def on_connection_close(self) -> None:
        events.append("connection closed")


class GivesUpFlushing(RequestHandler):
    async def get(self) -> None:
        cut_off = 0
        self.set_header("Content-Length", len(DOWNLOAD))
        self.write(DOWNLOAD)
        while cut_off < 3:
            try:
                await asyncio.wait_for(self.flush(), 0.01)
            except TimeoutError:
                cut_off += 1
            except asyncio.TimeoutError:  # its name up to Python 3.10
                cut_off += 1
        events.append("gave up")


class FailsAfterWriting(RequestHandler):
    async def get(self) -> None:
        self.write("begun")
        await self.flush()
        raise ValueError("a bug")


class WritesMore(RequestHandler):
    async def get(self) -> None:
        self.set_header("Content-Length", 3)
        self.write("more than that")


class WritesLess(RequestHandler):
    async def get(self) -> None:
        self.set_header("Content-Length", 30)
        self.write("less")


class CannotBeCreated(RequestHandler):
    def initialize(self) -> None:
        raise ValueError("a bug")


class FailsWhenTheClientGoes(NeverEnds):
    def on_connection_close(self) -> None:
        raise ValueError("a bug")


class Refuses(RequestHandler):
    def get(self) -> None:
        raise HTTPError(403)


class SaysClose(RequestHandler):
    def get(self) -> None:
        self.set_header("Connection", "close")
        self.finish("bye")


class HasNoContent(RequestHandler):
    def get(self) -> None:
        self.set_status(204)


class Echoes(RequestHandler):
    def post(self) -> None:
        self.finish(self.request.body)


class Well(RequestHandler):
    def get(self) -> None:
        events.append("well")
        self.finish("well")


@stream_request_body
class TakesAStream(RequestHandler):
    async def prepare(self) -> None:
        self.taken = b""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.is_prepared = True

    async def data_received(self, chunk: bytes) -> None:
        assert self.is_prepared
        await asyncio.sleep(0)
        self.taken += chunk

    def put(self) -> None:
        self.finish(self.taken)


@stream_request_body
class RefusesAStream(RequestHandler):
    async def prepare(self) -> None:
        await asyncio.sleep(0)
        raise HTTPError(403)

    def data_received(self, chunk: bytes) -> None:
        events.append("took it")


@stream_request_body
class FailsOnAStream(RequestHandler):
    def data_received(self, chunk: bytes) -> None:
        raise ValueError("a bug")

    def put(self) -> None:
        events.append("put")


@pytest.fixture
def application(tmp_path: Path) -> Application:
    (tmp_path / "page.html").write_bytes(b"<p>" + b"x" * 1000)
    (tmp_path / "large.bin").write_bytes(DOWNLOAD)
    events.clear()
    return Application(
        [
            (r"/static/(.*)", StaticFileHandler, {"path": str(tmp_path)}),
            (r"/streams", Streams),
            (r"/when_allowed", StreamsWhenAllowed),
            (r"/downloads", Downloads),
            (r"/at_once/(\d+)", WritesAtOnce),
            (r"/never_ends", NeverEnds),
            (r"/gives_up_flushing", GivesUpFlushing),
            (r"/fails_after_writing", FailsAfterWriting),
            (r"/writes_more", WritesMore),
            (r"/writes_less", WritesLess),
            (r"/cannot_be_created", CannotBeCreated),
            (r"/fails_when_the_client_goes", FailsWhenTheClientGoes),
            (r"/refuses", Refuses),
            (r"/says_close", SaysClose),
            (r"/no_content", HasNoContent),
            (r"/echoes", Echoes),
            (r"/well", Well),
            (r"/takes_a_stream", TakesAStream),
            (r"/refuses_a_stream", RefusesAStream),
            (r"/fails_on_a_stream", FailsOnAStream),
        ],
        may_continue=asyncio.Event(),
    )


@pytest.fixture
def may_continue(application: Application) -> asyncio.Event:
    """What `StreamsWhenAllowed` waits for."""
    event: asyncio.Event = application.settings["may_continue"]
    return event


def listen() -> tuple[socket.socket, int]:
    """A listening socket with small send buffers for its connections."""
    listener, port = bind_unused_port()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    return listener, port


@pytest.fixture
def lane(io_loop: IOLoop, application: Application) -> Iterator[Lane]:
    async def make() -> Lane:
        return Lane(application, [])

    new_lane = io_loop.run_sync(make)
    yield new_lane
    io_loop.run_sync(new_lane.close)


@pytest.fixture
def port(io_loop: IOLoop, lane: Lane) -> Iterator[int]:
    """The port on which the lane serves the application."""
    listener, port = listen()

    async def accept() -> Acceptor:
        return Acceptor([listener], lane.accepted)

    acceptor = io_loop.run_sync(accept)
    yield port
    acceptor.stop()


@pytest.fixture
def plain_port(io_loop: IOLoop, application: Application) -> Iterator[int]:
    """The port on which Tornado serves the same application."""
    listener, port = listen()
    server = HTTPServer(application)

    async def start() -> None:
        server.add_socket(listener)

    io_loop.run_sync(start)
    yield port
    server.stop()
    io_loop.run_sync(server.close_all_connections)


@pytest.fixture(params=["lane", "plain"])
def either_port(request: pytest.FixtureRequest) -> int:
    """The port of either server."""
    port: int = request.getfixturevalue({"lane": "port", "plain": "plain_port"}[request.param])
    return port


async def received(port: int, sent: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """The status line, the headers, and everything after them until the connection closes."""
    async with connected_to(port) as wire:
        wire.send_bytes(sent)
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
    status_line, _, lines = head.partition(b"\r\n")
    headers = HTTPHeaders.parse(lines.decode("latin-1"))
    del headers["Date"]
    # An HTTP/1.0 client need not be told, and Tornado does not tell it.
    headers.pop("Connection", None)
    return status_line, dict(headers.get_all()), body


def requests() -> Iterator[bytes]:
    for version in ("1.0", "1.1"):
        end = f"HTTP/{version}\r\nHost: a\r\nConnection: close\r\n"
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            for path in ("/static/page.html", "/static/none", "/streams", "/well", "/nothing"):
                yield f"{method} {path} {end}\r\n".encode()
        for path in ("/refuses", "/says_close", "/no_content", "/at_once/0", "/at_once/100000"):
            yield f"GET {path} {end}\r\n".encode()
        for range_ in ("0-9", "5-", "-5", "0-99999", "2000-", "5-3", "0-1,3-4", "x"):
            yield f"GET /static/page.html {end}Range: bytes={range_}\r\n\r\n".encode()
            yield f"HEAD /static/page.html {end}Range: bytes={range_}\r\n\r\n".encode()
        for path in ("/static/page.html?v=1", "/well"):
            yield f"GET {path} {end}If-None-Match: *\r\n\r\n".encode()
        since = "If-Modified-Since: Sun, 01 Jan 2096 00:00:00 GMT"
        yield f"GET /static/page.html {end}{since}\r\n\r\n".encode()
        for path in ("/takes_a_stream", "/refuses_a_stream"):
            yield f"PUT {path} {end}Content-Length: 5\r\n\r\nhello".encode()
            yield f"PUT {path} {end}Content-Length: 0\r\n\r\n".encode()
    end = "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    chunks = in_chunks(b"hello" * 100, 100)
    yield f"PUT /takes_a_stream {end}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks
    yield f"POST /echoes {end}Content-Length: 5\r\n\r\nhello".encode()


async def test_both_servers_send_the_same(
    port: int, plain_port: int, subtests: pytest.Subtests
) -> None:
    for sent in requests():
        with subtests.test(sent[:60].decode()):
            assert await received(port, sent) == await received(plain_port, sent)


async def test_a_flushed_part_arrives_before_the_next_is_written(
    either_port: int, may_continue: asyncio.Event
) -> None:
    async with connected_to(either_port) as wire:
        wire.send("GET /when_allowed HTTP/1.1", HOST, "Connection: close")
        assert (await wire.reader.readuntil(b"5\r\nbegun\r\n")).startswith(b"HTTP/1.1 200")
        may_continue.set()

        assert await wire.rest() == b"a\r\n and ended\r\n0\r\n\r\n"


async def test_a_stream_to_an_http_1_0_client_ends_with_the_connection(port: int) -> None:
    async with connected_to(port) as wire:
        wire.send("GET /streams HTTP/1.0", "Connection: keep-alive")
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")

    assert b"chunked" not in head
    assert b"\r\nConnection: close" in head
    assert body == b"onetwothree"


async def test_a_large_download_waits_for_its_reader(either_port: int) -> None:
    async with connected_to(either_port) as wire:
        wire.send("GET /downloads HTTP/1.1", HOST, "Connection: close")
        head = await wire.reader.readuntil(b"\r\n\r\n")
        await until_download_stalls()

        assert 0 < Downloads.written < UNREAD_MAX
        assert f"Content-Length: {len(DOWNLOAD)}".encode() in head
        assert await wire.rest() == DOWNLOAD


async def test_a_slow_reader_gets_a_large_static_file(either_port: int) -> None:
    async with connected_to(either_port) as wire:
        wire.send("GET /static/large.bin HTTP/1.1", HOST, "Connection: close")
        await wire.reader.readuntil(b"\r\n\r\n")
        taken = bytearray()
        while part := await wire.reader.read(16 * 1024):
            taken += part
            await asyncio.sleep(0)

    assert bytes(taken) == DOWNLOAD


async def until_download_stalls() -> None:
    """Wait until the handler that writes the download is waiting for its reader."""
    still = 0
    while still < 200:
        before = Downloads.written
        await asyncio.sleep(0.001)
        still = still + 1 if before == Downloads.written else 0


async def test_a_handler_learns_that_its_client_has_left(either_port: int) -> None:
    async with connected_to(either_port) as wire:
        wire.send("GET /never_ends HTTP/1.1", HOST)
        await wire.reader.readexactly(100_000)

    await until(lambda: len(events) == 2)
    assert sorted(events) == ["connection closed", "stream closed"]


async def test_nothing_is_in_flight_after_the_client_has_left(lane: Lane, port: int) -> None:
    for path in ("/never_ends", "/downloads", "/fails_when_the_client_goes", "/streams"):
        async with connected_to(port) as wire:
            wire.send(f"GET {path} HTTP/1.1", HOST)
            await wire.reader.readuntil(b"\r\n\r\n")

        await until(lambda: not lane.in_flight and not lane.connections)


async def test_a_handler_may_stop_waiting_for_a_reader(lane: Lane, port: int) -> None:
    async with connected_to(port) as wire:
        wire.send("GET /gives_up_flushing HTTP/1.1", HOST)
        await until(lambda: events == ["gave up"])

        await wire.reader.readuntil(b"\r\n\r\n")
        assert await wire.reader.readexactly(len(DOWNLOAD)) == DOWNLOAD
        await assert_still_works(wire)
    assert lane.in_flight == 0


async def assert_still_works(wire: Wire) -> None:
    """Fail unless the connection still carries requests and their answers."""
    wire.send("GET /well HTTP/1.1", HOST)
    assert (await wire.any_answer()).body == b"well"


@pytest.mark.parametrize("path", ["/writes_more", "/writes_less"])
async def test_an_answer_with_the_wrong_length_closes_the_connection(
    lane: Lane, port: int, path: str
) -> None:
    async with connected_to(port) as wire:
        # What comes after it can no longer be answered, and is not processed.
        wire.send_bytes(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode() * 2)
        wire.send("GET /well HTTP/1.1", HOST)

        assert (await wire.rest()).count(b"HTTP/1.1 ") <= 1
    await until(lambda: not lane.connections)
    assert lane.in_flight == 0
    assert not events


async def test_a_handler_that_cannot_be_created_is_an_internal_error(
    lane: Lane, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected_to(port) as wire:
        wire.send("GET /cannot_be_created HTTP/1.1", HOST)
        answer = await wire.any_answer()

        assert (answer.status, answer.code) == (500, "internal")
        await assert_still_works(wire)
    assert lane.in_flight == 0
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert record.exc_info
    assert record.exc_info[0] is ValueError


async def test_a_handler_that_fails_after_writing_leaves_nothing_in_flight(
    lane: Lane, port: int
) -> None:
    async with connected_to(port) as wire:
        wire.send("GET /fails_after_writing HTTP/1.1", HOST)
        # Tornado ends the answer: it is too late to turn it into an error.
        await wire.reader.readuntil(b"0\r\n\r\n")
        await assert_still_works(wire)
    assert lane.in_flight == 0


async def test_a_handler_that_fails_on_a_streamed_body_closes_the_connection(
    lane: Lane, port: int
) -> None:
    async with connected_to(port) as wire:
        wire.send("PUT /fails_on_a_stream HTTP/1.1", HOST, "Content-Length: 5", body=b"hello")

        assert await wire.is_closed()
    await until(lambda: not lane.connections)
    assert lane.in_flight == 0
    assert not events


async def test_a_handler_may_ask_for_the_connection_to_close(either_port: int) -> None:
    async with connected_to(either_port) as wire:
        wire.send("GET /says_close HTTP/1.1", HOST)
        answer = await wire.any_answer()

        assert (answer.headers["Connection"], answer.body) == ("close", b"bye")


async def test_a_connection_closes_when_a_handler_says_so(lane: Lane, port: int) -> None:
    async with connected_to(port) as wire:
        wire.send("GET /says_close HTTP/1.1", HOST)
        await wire.any_answer()

        assert await wire.is_closed()


async def test_a_client_that_half_closes_gets_the_rest_of_a_stream(
    lane: Lane, port: int, may_continue: asyncio.Event
) -> None:
    async with connected_to(port) as wire:
        wire.send("GET /when_allowed HTTP/1.1", HOST)
        await wire.reader.readuntil(b"begun\r\n")
        wire.send_end()
        [connection] = lane.connections
        await until(lambda: has_ended(connection))
        may_continue.set()

        assert await wire.rest() == b"a\r\n and ended\r\n0\r\n\r\n"


def has_ended(connection: Connection) -> bool:
    return connection._has_ended


def unsent_bytes(connection: Connection) -> int:
    return connection._transport.get_write_buffer_size()


async def test_a_slow_reader_gets_time_and_one_that_stops_reading_is_cut_off(
    lane: Lane, port: int
) -> None:
    async with connected_to(port) as wire:
        wire.send(f"GET /at_once/{20 * MIB} HTTP/1.1", HOST)
        await wire.reader.readuntil(b"\r\n\r\n")
        [connection] = lane.connections

        for _ in range(5):
            before = unsent_bytes(connection)
            while unsent_bytes(connection) == before:
                await wire.reader.readexactly(16 * 1024)
            connection.time_out()
            assert not connection._transport.is_closing()
        await until_unsent_stalls(connection)
        connection.time_out()
        connection.time_out()

        await until(lambda: not lane.connections)
    assert lane.in_flight == 0


async def until_unsent_stalls(connection: Connection) -> None:
    still = 0
    while still < 50:
        before = unsent_bytes(connection)
        await asyncio.sleep(0.001)
        still = still + 1 if before == unsent_bytes(connection) else 0


@pytest.mark.parametrize("end", ["idle", "half-closed", "Connection: close"])
async def test_a_client_that_does_not_read_is_cut_off_however_little_is_unsent(
    lane: Lane, port: int, end: str
) -> None:
    async with connected_to(port) as wire:
        wire.send("GET /well HTTP/1.1", HOST)
        await wire.any_answer()
        [connection] = lane.connections
        while not unsent_bytes(connection):
            events.clear()
            wire.send("GET /at_once/16000 HTTP/1.1", HOST)
            await until(lambda: bool(events))
        assert not connection._is_writing_paused
        if end == "half-closed":
            wire.send_end()
            await until(lambda: connection._transport.is_closing())
        elif end != "idle":
            wire.send("GET /well HTTP/1.1", HOST, end)
            await until(lambda: connection._is_lingering)

        for _ in range(3):
            assert connection.deadline < float("inf")
            connection.time_out()

        await until(lambda: not lane.connections)


def test_every_status_line_is_well_formed() -> None:
    for status in (*range(200, 600), 799):
        assert re.match(rb"HTTP/1\.1 %d [\w' -]+\r\n" % status, response.head(status, ()))
