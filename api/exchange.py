"""The wire: how requests arrive on Tornado's HTTP server, and how their answers leave.

Everything that arrives is bounded in size and time. Everything that is refused gets an answer, also
what is no HTTP; only a request that does not come to its end in time gets none.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
import weakref
from asyncio import Future
from collections.abc import Awaitable
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from api import logs, problems
from api.problems import Problem
from api.resting import Resting
from api.web import Application, Request, Response, problem_response

BODY_BYTES_MAX = 64 * 1024
"""A larger body is answered with 413."""

DISCARDED_BYTES_MAX = 1024 * 1024
"""As much of a body that is too large is read before the 413, and the connection stays open. With
more, the 413 comes at once and the connection is closed, ..."""

LINGER_SECONDS = 2.0
"""... but not before the client has stopped sending, or so long: a connection that is closed with
data unread is reset, and the client would not get to see its answer."""

HEADER_BYTES_MAX = 16 * 1024
"""Request line and headers together."""

HEADER_TIMEOUT_SECONDS = 75.0
"""How long a connection may be idle, or take to send the headers of a request."""

BODY_TIMEOUT_SECONDS = 20.0
"""How long the body of a request may take to arrive."""

SWEEP_SECONDS = 1.0
"""How often it is looked for connections whose time is up, or that were closed while idle."""

QUIET_SECONDS = 0.2
"""Draining ends when no request has come for so long: one may have been on its way."""

_BARE_REFUSAL = b"HTTP/1.1 400 Bad Request\r\n\r\n"
"""What Tornado answers to what it cannot read."""

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}
_DIGITS = re.compile(r"[0-9]+")
_DIGITS_MAX = 18
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")  # RFC 3986, 3.2, without the user


class Server(HTTPServerConnectionDelegate):
    """Answers what comes over the connections of an HTTP server.

    Attributes:
        http: Tornado's server, which listens to no socket itself.
        in_flight: how many requests have begun to arrive and are not answered.
        is_draining: the process is about to end; connections then close after an answer.
        arriving: what is awaited, or has come in part.
        resting: connections that are not read for a while.
    """

    def __init__(self, application: Application) -> None:
        self.application = application
        self.in_flight = 0
        self.is_draining = False
        self.arriving: set[Exchange] = set()
        self.resting = Resting()
        self._last_request_at = 0.0
        self._lingering: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        # Bodies are bounded in the exchange; Tornado would answer with 400, and without a body.
        self.http = HTTPServer(self, max_header_size=HEADER_BYTES_MAX, max_body_size=2**63)
        # Times are bounded by the sweeper: a timer for each request costs more than it is worth.
        self.http.conn_params.header_timeout = None

    def accepted(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        """Serve a connection that a client has made."""
        self.http.handle_stream(_Stream(connection), address)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        assert isinstance(request_conn, HTTP1Connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        return Exchange(self, request_conn)

    def request_arrives(self) -> None:
        """Count a request that has begun to arrive."""
        self.in_flight += 1
        self._last_request_at = time.monotonic()

    async def drain(self, timeout_seconds: float) -> bool:
        """Answer what is under way, and what idle connections have sent in the meantime.

        Returns:
            Whether everything was answered in time.
        """
        self.is_draining = True
        self.resting.end()
        now = self._last_request_at = time.monotonic()
        deadline = now + timeout_seconds
        while self.in_flight or now - self._last_request_at < QUIET_SECONDS:
            if now >= deadline:
                return not self.in_flight
            await asyncio.sleep(QUIET_SECONDS / 10)
            now = time.monotonic()
        return True

    def end(self, connection: socket.socket, answer: bytes) -> None:
        """Send a last answer, and close the connection when the client has stopped sending."""
        with suppress(OSError):
            # At once, since the process may be about to end; what does not fit is sent later.
            answer = answer[connection.send(answer) :]
        task = asyncio.ensure_future(_send_and_linger(connection, answer))
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)
        task.add_done_callback(lambda _: connection.close())

    async def close(self) -> None:
        """Close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.http.close_all_connections()
        for task in self._lingering:
            task.cancel()
        await asyncio.gather(*self._lingering, return_exceptions=True)

    def _sweep(self) -> None:
        now = time.monotonic()
        for exchange in [each for each in self.arriving if each.is_over(now)]:
            exchange.give_up()
        self._sweeper = None
        if self.arriving:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)


class _Stream(IOStream):
    """A connection that does not end without an answer to what Tornado cannot read.

    Attributes:
        exchange: the latest one.
        last_answer: sent when the connection is closed.
    """

    exchange: Exchange
    last_answer = b""

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read the head of a request."""
        if self.closed():
            # Tornado would go on with what had been read before, and nobody would get its answers.
            raise StreamClosedError
        return super().read_until_regex(regex, max_bytes)

    def write(self, data: bytes | memoryview) -> Future[None]:
        """Write, or refuse what Tornado refuses."""
        if data == _BARE_REFUSAL and not self.closed():
            self.exchange.refuse("What came is not an HTTP/1.1 request.")
        return super().write(data)

    def close(self, exc_info: Any = False) -> None:
        """Close, and if it is because what came is too long, refuse that."""
        if isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            kib = HEADER_BYTES_MAX // 1024
            self.exchange.refuse(f"Request line and headers together are larger than {kib} KiB.")
        if isinstance(exc_info, OSError):
            # The stream keeps its error, whose frames would keep the stream, and all that is in it.
            exc_info.__traceback__ = None
        super().close(exc_info)

    def close_fd(self) -> None:
        """Close the socket, now or when the last answer was sent."""
        if self.last_answer:
            self.exchange.server.end(self.socket, self.last_answer)
            self.socket = None  # type: ignore[assignment]  # as Tornado leaves it
        else:
            super().close_fd()


class Exchange(HTTPMessageDelegate):
    """One request as it arrives, and its answer.

    Attributes:
        server: which the request came to.
        deadline: until when what is awaited must have arrived, on the monotonic clock.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_connection",
        "_is_answered",
        "_is_last",
        "_is_read",
        "_keep_alive",
        "_request",
        "_started_at",
        "_stream",
        "deadline",
        "server",
    )

    _request: Request
    _started_at: float
    _keep_alive: str | None
    _is_last: bool

    def __init__(self, server: Server, connection: HTTP1Connection) -> None:
        assert isinstance(connection.stream, _Stream)
        self.server = server
        self._connection = connection
        self._stream = connection.stream
        self._stream.exchange = weakref.proxy(self)  # a cycle would stay until it is collected
        self._body = b""
        self._body_bytes = 0
        self._is_answered = False
        self._is_read = False
        self.deadline = time.monotonic() + HEADER_TIMEOUT_SECONDS
        server.arriving.add(self)

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, RequestStartLine)
        method, path, version = start_line
        path = path.partition("?")[0]
        if not path.startswith("/"):
            path = "/" + path.partition("://")[2].partition("/")[2]  # RFC 9112, 3.2.2
        self._started_at = time.monotonic()
        self.deadline = self._started_at + BODY_TIMEOUT_SECONDS
        self._request = Request(method, path, headers)
        self._keep_alive = _connection_header(version, headers)
        self._is_last = self._keep_alive == (None if version == "HTTP/1.0" else "close")
        self.server.request_arrives()
        try:
            _check_framing(version, headers)
        except Problem as problem:
            self._answer(problem_response(problem))

    def data_received(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)
        if self._body_bytes <= BODY_BYTES_MAX:
            self._body += chunk
        elif self._body_bytes > DISCARDED_BYTES_MAX:
            self._answer(problem_response(Problem(problems.BODY_TOO_LARGE)))

    def finish(self) -> None:
        self._is_read = True
        self.server.arriving.discard(self)
        if self._body_bytes > BODY_BYTES_MAX:
            self._answer(problem_response(Problem(problems.BODY_TOO_LARGE)))
        elif not self._is_answered:
            self._request.body = self._body
            task = asyncio.ensure_future(self.server.application.respond(self._request))
            task.add_done_callback(self._answer_with)

    def refuse(self, detail: str) -> None:
        """Answer what cannot be read as a request, or as the rest of one."""
        self.server.arriving.discard(self)
        if hasattr(self, "_request"):
            detail = "The chunks of the body are not well formed."
        else:
            self._started_at = time.monotonic()
            self._request = Request("-", "-", HTTPHeaders())
            self.server.request_arrives()
        self._answer(problem_response(Problem(problems.MALFORMED_HEADER, detail)))

    def on_connection_close(self) -> None:
        """The connection broke before the request had arrived; nobody waits for an answer."""
        self.server.arriving.discard(self)
        if not self._is_answered and hasattr(self, "_request"):
            self._is_answered = True
            self.server.in_flight -= 1

    def is_over(self, now: float) -> bool:
        """Whether what is awaited will not come: its time is up, or the connection was closed."""
        return self.deadline < now or self._stream.closed()

    def give_up(self) -> None:
        """Close the connection, and forget it."""
        self.server.arriving.discard(self)
        self._connection.close()

    def _answer_with(self, task: asyncio.Future[Response]) -> None:
        self._answer(task.result())

    def _answer(self, response: Response) -> None:
        if self._is_answered:
            return
        self._is_answered = True
        self.server.in_flight -= 1
        request, status, body = self._request, response.status, response.body
        # Written as it goes to the wire: Tornado's way, by a dictionary of headers, takes as long
        # as all else that is done here for a purchase.
        head = f"{_STATUS_LINES[status]}Date: {_http_date()}\r\nX-Request-ID: {request.id}\r\n"
        if status != 304:
            head += f"Content-Length: {len(body)}\r\n"
        if body:
            head += f"Content-Type: {response.content_type}\r\n"
        closes = self.server.is_draining or not self._is_read
        if closes:
            head += "Connection: close\r\n"
        elif self._keep_alive is not None:
            head += f"Connection: {self._keep_alive}\r\n"
        for name, value in response.headers:
            head += f"{name}: {value}\r\n"
        answer = head.encode("ascii") + b"\r\n" + (b"" if request.method == "HEAD" else body)
        if closes:
            self._stream.last_answer = answer
            self._connection.close()
        else:
            self._connection.write(answer)
            if response.room is not None and not self._is_last:
                self.server.resting.add(
                    response.room, self._connection.finish, problems.RETRY_AFTER_SECONDS
                )
            else:
                self._connection.finish()
        seconds = time.monotonic() - self._started_at
        logs.log_request(status, request.method, request.path, seconds, request.id)


async def _send_and_linger(connection: socket.socket, data: bytes) -> None:
    """Send the last that is to be sent, and wait until the client has stopped sending."""

    async def send_and_linger() -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, data)
        connection.shutdown(socket.SHUT_WR)
        while await loop.sock_recv(connection, 64 * 1024):  # noqa: ASYNC110
            await asyncio.sleep(0)  # what comes may never stop, and others want their turn

    with suppress(OSError, asyncio.TimeoutError):
        await asyncio.wait_for(send_and_linger(), LINGER_SECONDS)


def _connection_header(version: str, headers: HTTPHeaders) -> str | None:
    """What the answer says of the connection, unless that goes without saying (RFC 9112, 9.3)."""
    asked = headers.get("Connection")
    if version == "HTTP/1.1":
        return "close" if asked is not None and asked.lower() == "close" else None
    return "keep-alive" if asked is not None and asked.lower() == "keep-alive" else None


def _check_framing(version: str, headers: HTTPHeaders) -> None:
    """Refuse what RFC 9112 (3.2, 6.1 and 6.3) says must be refused.

    Tornado lets some of it pass, and answers the rest with a bare 400.
    """
    host = headers.get("Host")
    if host is None:
        if version == "HTTP/1.1":
            raise Problem(problems.MALFORMED_HEADER, "HTTP/1.1 requires a Host header.")
    elif not _HOST.fullmatch(host):
        raise Problem(
            problems.MALFORMED_HEADER, "There must be one Host header, and it is one name."
        )

    encoding, length = headers.get("Transfer-Encoding"), headers.get("Content-Length")
    if encoding is not None and (length is not None or encoding.lower() != "chunked"):
        raise Problem(
            problems.MALFORMED_HEADER,
            "Transfer-Encoding must be chunked, and without a Content-Length beside it.",
        )
    if length is not None and not (len(length) < 5 and _DIGITS.fullmatch(length)):
        _check_content_length(length, headers)


def _check_content_length(length: str, headers: HTTPHeaders) -> None:
    lengths = set(re.split(r",[ \t]*", length))
    if len(lengths) > 1 or not _DIGITS.fullmatch(length := lengths.pop()):
        raise Problem(problems.MALFORMED_HEADER, "Content-Length must be one number.")
    if len(length) > _DIGITS_MAX:
        headers["Content-Length"] = "9" * _DIGITS_MAX  # as good as endless, and still an int64
        raise Problem(problems.BODY_TOO_LARGE)
    if int(length) > DISCARDED_BYTES_MAX:
        raise Problem(problems.BODY_TOO_LARGE)


_date = (0, "")


def _http_date() -> str:
    """The ``Date`` header, made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, formatdate(now, usegmt=True))
    return _date[1]
