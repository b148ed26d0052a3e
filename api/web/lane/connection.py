"""One connection of the fast lane, from its first byte to its last.

Bytes are parsed by httptools. A request whose end has arrived waits for its turn: requests of a
connection are answered one at a time, in order. What is read ahead is bounded: nothing more is read
while a request waits, while the client does not read its answers, or while a refusal delays the
connection. ::

    reading --> waiting --> current --> answered --> reading ...
       |                                   |
       |  refused, Connection: close,      |
       |  the client ended, draining       v
       +-----------------------------> lingering --> closed

A connection that ends sends its last answer and then *lingers*: it discards what still arrives
until the client closes too, for `LINGER_SECONDS` at most. Closing at once would reset the
connection, and the client might not see the answer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from tornado.httputil import HTTPInputError, RequestStartLine
from tornado.iostream import StreamClosedError

from api import logs, problems
from api.problems import Problem
from api.web import headers, limits
from api.web.failures import problem_of_failure
from api.web.lane import application, response
from api.web.lane.application import ApplicationExchange
from api.web.lane.request import Request
from api.web.messages import Answer, problem_answer
from api.web.refusal_delay import Room

if TYPE_CHECKING:
    from api.web.lane.server import Lane

LINGER_SECONDS = 2.0
"""How long a connection that ends waits for its client to close too."""

WRITE_TIMEOUT_SECONDS = 75.0
"""How long a client may go without reading any of its answer."""

_NEVER = float("inf")


class Connection(asyncio.BufferedProtocol):
    """A connection.

    Attributes:
        deadline: when it times out, in seconds of the event loop's clock.
    """

    __slots__ = (
        "_answering",
        "_arriving",
        "_current",
        "_exchange",
        "_has_ended",
        "_is_advancing",
        "_is_delayed",
        "_is_lingering",
        "_is_reading_paused",
        "_is_writing_paused",
        "_lane",
        "_parser",
        "_reads",
        "_refusal",
        "_replays_head",
        "_room",
        "_transport",
        "_unsent_bytes",
        "_waiting",
        "deadline",
    )

    _transport: asyncio.Transport

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._arriving: Request | None = None
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._exchange: ApplicationExchange | None = None
        self._answering: asyncio.Task[None] | None = None  # kept, or it could be collected
        self._refusal: Problem | None = None
        self._reads = True
        self._replays_head = False
        self._has_ended = False
        self._is_advancing = False
        self._is_lingering = False
        self._is_reading_paused = False
        self._is_writing_paused = False
        self._is_delayed = False
        self._room: asyncio.Future[None] | None = None
        self._unsent_bytes = 0
        self.deadline = _NEVER

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.deadline = self._lane.time() + limits.HEAD_TIMEOUT_SECONDS
        self._lane.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        lane = self._lane
        lane.connections.discard(self)
        self._parser = None  # it refers to this connection
        self._drop_arriving()
        lane.in_flight -= len(self._waiting)
        self._waiting.clear()
        if self._room is not None and not self._room.done():
            self._room.set_exception(StreamClosedError())
            self._room.exception()
        if self._exchange is not None and self._exchange.close_callback is not None:
            self._exchange.close_callback()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._lane.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._reads:
            return  # nothing that arrives now will be answered
        self._feed(self._lane.buffer[:nbytes])
        arriving = self._arriving
        if arriving is not None:
            self._bound(arriving, nbytes)
        if self._waiting:
            self._advance()
        elif arriving is not None and arriving.expects_continue:
            self._continue(arriving)

    def eof_received(self) -> bool:
        """The client will send nothing more, but may still wait for its answers."""
        self._has_ended = True
        self._reads = False
        self._drop_arriving()
        return not self._is_lingering and (self._current is not None or bool(self._waiting))

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self.deadline = self._lane.time() + WRITE_TIMEOUT_SECONDS
        self._update_reading()

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._unsent_bytes = 0
        self._set_deadline()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None
        self._advance()

    # What httptools calls.

    def on_message_begin(self) -> None:
        if not self._replays_head:
            self._arriving = Request()

    def on_url(self, url: bytes) -> None:
        if not self._replays_head:
            self._request().target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request()
        if not request.has_head:  # else it is a trailer, which means nothing here
            request.headers.pairs.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._replays_head:
            return
        request, parser, lane = self._request(), self._parser, self._lane
        assert parser is not None
        request.method = parser.get_method().decode("ascii")
        request.version = parser.get_http_version()
        request.keeps_alive = parser.should_keep_alive()
        request.has_head = True
        request.started_at = lane.time()
        lane.request_arrives(request.started_at)
        self.deadline = request.started_at + limits.BODY_TIMEOUT_SECONDS
        try:
            if request.spans_reads and request.head_bytes() > limits.HEAD_BYTES_MAX:
                raise head_too_large()
            request.check_head()
        except Problem as problem:
            self._refusal = problem
            raise
        if request.method == "CONNECT":
            request.keeps_alive = False  # what follows is for the host that it names
            self._complete()

    def on_body(self, body: bytes) -> None:
        request = self._request()
        request.expects_continue = False
        request.body_bytes += len(body)
        if request.body_bytes <= limits.BODY_BYTES_MAX:
            request.parts.append(body)
        else:
            request.is_too_large = True
            request.parts.clear()

    def on_message_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        if parser.should_upgrade() or self._arriving is None:
            return  # see _decline_upgrade
        self._complete()

    # How requests arrive.

    def _request(self) -> Request:
        assert self._arriving is not None
        return self._arriving

    def _feed(self, data: memoryview) -> None:
        while data:
            assert self._parser is not None
            try:
                self._parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                if not self._reads:
                    return
                self._decline_upgrade()
                data = data[upgrade.args[0] :]
            except HttpParserError:
                # After the last request that is read, more bytes are an error to the parser only.
                if self._reads:
                    self._refuse()
                return

    def _decline_upgrade(self) -> None:
        """Continue with the request as if it had not requested a protocol upgrade.

        llhttp takes what follows the head for the other protocol. So a new parser gets the head
        without the upgrade, and finds the end of the body.
        """
        request = self._request()
        head = b"POST / HTTP/1.1\r\n" + (b"" if request.keeps_alive else b"Connection: close\r\n")
        for name in (b"content-length", b"transfer-encoding"):
            value = request.headers.raw(name)
            if value is not None:
                head += name + b": " + value + b"\r\n"
        self._parser = HttpRequestParser(self)
        self._replays_head = True
        self._feed(memoryview(head + b"\r\n"))
        self._replays_head = False

    def _complete(self) -> None:
        """The request has arrived, and waits for its turn."""
        request = self._request()
        self._arriving = None
        self.deadline = _NEVER
        if request.is_too_large:
            request.refusal = Problem(problems.BODY_TOO_LARGE)
        elif request.parts:
            request.body = request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)
        self._reads = request.keeps_alive
        self._waiting.append(request)

    def _bound(self, request: Request, nbytes: int) -> None:
        """Refuse a request that is too large before all of it has arrived."""
        if not request.spans_reads:
            request.spans_reads = True
            return
        request.read_bytes += nbytes
        if not request.has_head:
            if request.read_bytes > limits.HEAD_BYTES_MAX:
                self._refusal = head_too_large()
                self._refuse()
        elif (
            request.body_bytes > limits.DISCARDED_BYTES_MAX
            or request.read_bytes > limits.DISCARDED_BYTES_MAX + limits.HEAD_BYTES_MAX
        ):
            self._refusal = Problem(problems.BODY_TOO_LARGE)
            self._refuse()

    def _refuse(self) -> None:
        """Answer what cannot be read as a request, or as the rest of one, and close."""
        request = self._arriving or Request()
        if not request.has_head:
            request.started_at = self._lane.time()
            self._lane.request_arrives(request.started_at)
        request.refusal = self._refusal or Problem(
            problems.MALFORMED_HEADER,
            "The chunked body is malformed."
            if request.has_head
            else "This is not an HTTP/1.1 request.",
        )
        request.keeps_alive = False
        self._refusal = None
        self._arriving = None
        self._reads = False
        self.deadline = _NEVER
        self._waiting.append(request)

    def _drop_arriving(self) -> None:
        """Forget a request that will not arrive in full."""
        if self._arriving is not None:
            self._lane.in_flight -= self._arriving.has_head
            self._arriving = None

    def _continue(self, request: Request) -> None:
        """Tell the client to send its body, once it is its turn."""
        if self._current is None and not self._waiting:
            request.expects_continue = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # How they are answered.

    def _advance(self) -> None:
        """Start the next request, if it is its turn."""
        if self._is_advancing:
            return
        self._is_advancing = True
        while (
            self._waiting
            and self._current is None
            and not (self._is_writing_paused or self._is_delayed)
        ):
            self._begin(self._waiting.popleft())
        self._is_advancing = False
        if self._arriving is not None and self._arriving.expects_continue:
            self._continue(self._arriving)
        self._update_reading()

    def _begin(self, request: Request) -> None:
        self._current = request
        if request.refusal is not None:
            self._send(request, problem_answer(request.refusal))
            return
        for method, pattern, resource in self._lane.hot_routes:
            if method == request.method:
                match = pattern.fullmatch(request.target)
                if match is not None:
                    ids = [each.decode("ascii") for each in match.groups()]
                    answering = self._answer(request, resource(request, *ids))
                    self._answering = self._lane.loop.create_task(answering)
                    return
        self._begin_in_application(request)

    async def _answer(self, request: Request, resource: Awaitable[Answer]) -> None:
        room = None
        try:
            answer = await resource
        except Exception as error:
            problem = problem_of_failure(error, request.id)
            answer, room = problem_answer(problem), problem.room
        self._send(request, answer, room)

    def _send(self, request: Request, answer: Answer, room: Room | None = None) -> None:
        status, body, more, content_type = answer
        if status == 200:
            # As RequestHandler.finish() does.
            etag = f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
            more = [*more, ("Etag", etag)]
            if headers.matches_etag(request.headers, etag):
                status, body = 304, b""
        connection = self.connection_token(request)
        head = response.answer_head(status, request.id, body, content_type, connection, more)
        self.write(head if request.method == "HEAD" else head + body)
        seconds = self._lane.time() - request.started_at
        logs.log_request(status, request.method, request.path, seconds, request.id)
        if room is not None and not request.closes:
            self._is_delayed = True
            self._lane.refusal_delay.delay(room, self.resume, problems.RETRY_AFTER_SECONDS)
        self._answered(request)

    def _begin_in_application(self, request: Request) -> None:
        exchange = self._exchange = ApplicationExchange(self, request)
        line = RequestStartLine(request.method, request.origin_form(), f"HTTP/{request.version}")
        try:
            delegate = self._lane.application.start_request(self._lane, exchange)
            is_prepared = delegate.headers_received(line, request.headers.for_tornado())
            if is_prepared is not None:
                exchange.task = asyncio.ensure_future(exchange.stream_body(delegate, is_prepared))
                return
            if request.body:
                delegate.data_received(request.body)
            delegate.finish()
        except Exception as error:
            self._exchange = None
            if isinstance(error, HTTPInputError):
                request.keeps_alive = False
                error = Problem(problems.MALFORMED_HEADER)
            self._send(request, problem_answer(problem_of_failure(error, request.id)))

    def _answered(self, request: Request) -> None:
        self._current = None
        self._lane.in_flight -= 1
        if request.closes or (self._has_ended and not self._waiting):
            self._end()
            return
        self._set_deadline()
        self._advance()

    def _end(self) -> None:
        """Send what is left to send, and close when the client does."""
        self._reads = False
        self._drop_arriving()
        self._lane.in_flight -= len(self._waiting)
        self._waiting.clear()
        self._is_lingering = not self._has_ended
        self._set_deadline()
        if self._has_ended or self._transport.is_closing():
            self._transport.close()
            return
        self._update_reading()
        try:
            self._transport.write_eof()
        except OSError:
            self.abort()  # the client has reset it

    # What the lane calls.

    def time_out(self) -> None:
        """The connection has timed out."""
        unsent_bytes = self._transport.get_write_buffer_size()
        if unsent_bytes:
            if not self._unsent_bytes or unsent_bytes < self._unsent_bytes:
                # The client is reading, however slowly.
                self._unsent_bytes = unsent_bytes
                self.deadline = self._lane.time() + WRITE_TIMEOUT_SECONDS
            else:
                self.abort()
        elif not self._is_lingering and (self._current is not None or self._waiting):
            # It is the next request that does not arrive: this one is still answered.
            self.eof_received()
            self.deadline = _NEVER
        else:
            self._transport.close()

    def resume(self) -> None:
        """Read on: the delay after a refusal is over."""
        self._is_delayed = False
        self._advance()

    def close(self) -> None:
        """Close at once."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once, discarding what is not sent yet."""
        self._transport.abort()

    # What an exchange of the application calls.

    def remote_ip(self) -> str:
        """The address of the client."""
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else "0.0.0.0"  # noqa: S104

    def connection_token(self, request: Request) -> str | None:
        """What the answer to a request says of the connection (RFC 9112, 9.3)."""
        request.closes = not request.keeps_alive or (
            not self._waiting and (self._has_ended or self._lane.is_draining)
        )
        if request.closes:
            return "close"
        return "keep-alive" if request.version == "1.0" else None

    def write(self, data: bytes) -> None:
        """Send, unless the client is gone."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def drained(self) -> asyncio.Future[None]:
        """Done when there is room to write more."""
        if self._transport.is_closing():
            return application.closed()
        if not self._is_writing_paused:
            return self._lane.done
        if self._room is None or self._room.done():
            self._room = self._lane.loop.create_future()
        return self._room

    def application_answered(self) -> None:
        """The application has sent its answer, or given up on it."""
        self._exchange = None
        assert self._current is not None
        self._answered(self._current)

    # Bookkeeping.

    def _set_deadline(self) -> None:
        now = self._lane.time()
        if self._is_writing_paused:
            self.deadline = now + WRITE_TIMEOUT_SECONDS
        elif self._is_lingering:
            self.deadline = now + LINGER_SECONDS
        elif self._current is not None:
            self.deadline = _NEVER
        elif self._arriving is None or not self._arriving.has_head:
            self.deadline = now + limits.HEAD_TIMEOUT_SECONDS

    def _update_reading(self) -> None:
        pauses = not self._is_lingering and (
            bool(self._waiting) or self._is_writing_paused or self._is_delayed
        )
        if pauses is not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = pauses
            if pauses:
                self._transport.pause_reading()
            elif not self._has_ended:
                self._transport.resume_reading()


def head_too_large() -> Problem:
    kib = limits.HEAD_BYTES_MAX // 1024
    return Problem(
        problems.MALFORMED_HEADER, f"The request line and headers exceed {kib} KiB together."
    )
