"""HTTP on Tornado's server: from a request to a handler, and from its response to the wire.

This stands where ``tornado.web`` would, directly on ``HTTPMessageDelegate``, because the work that
``RequestHandler`` does for each request is more than selling a ticket costs. It knows HTTP and
nothing of tickets. A handler is a coroutine that takes a `Request` and returns a `Response`, or
raises a `Problem`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, cast

import psycopg
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

from api import headers as request_headers
from api import problems
from api.problems import Problem
from api.schemas import Decoder, T

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("api.access")

BODY_BYTES_MAX = 64 * 1024
"""A larger body is answered with 413."""

DISCARDED_BYTES_MAX = 1024 * 1024
"""As much of a body that is too large is read before the 413, and the connection stays open. With
more, the 413 comes at once and the connection is closed, ..."""

LINGER_SECONDS = 2.0
"""... but not before the client has stopped sending, or so long: a connection that is closed with
data unread is reset, and the client would not get to see its 413."""

HEADER_BYTES_MAX = 16 * 1024
"""Request line and headers together."""

HEADER_TIMEOUT_SECONDS = 75.0
"""How long a connection may be idle, or take to send the headers of a request."""

BODY_TIMEOUT_SECONDS = 20.0
"""How long the body of a request may take to arrive."""

QUIET_SECONDS = 0.2
"""Draining ends when no request has come for so long: one may have been on its way."""

REASONS = {status.value: status.phrase for status in HTTPStatus}


class Request:
    """A request whose body has arrived."""

    __slots__ = ("body", "headers", "id", "method", "path", "started_at")

    def __init__(self, method: str, path: str, headers: HTTPHeaders, started_at: float) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.id = request_headers.request_id(headers)
        self.body = b""
        self.started_at = started_at

    def decode(self, decoder: Decoder[T]) -> T:
        """Decode the JSON body.

        Raises:
            Problem: ``unsupported_media_type``, ``malformed_json`` or ``invalid``.
        """
        if not request_headers.says_json(self.headers) and (
            self.body or "Content-Type" in self.headers
        ):
            raise Problem(problems.UNSUPPORTED_MEDIA_TYPE)
        return decoder.decode(self.body)


class Response:
    """A status, headers and a body."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        content_type: str = "application/json",
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.content_type = content_type


Handler = Callable[..., Awaitable[Response]]
"""Called with the `Request` and the groups of its route's pattern."""

Route = tuple[str, dict[str, Handler]]
"""A pattern that matches a whole path, and a handler for each method."""


def cacheable(request: Request, body: bytes) -> Response:
    """The answer to a GET that may be kept but must be asked for again: 200, or 304 if it matches.

    The entity tag is strong: other bytes, another tag.
    """
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = (("ETag", etag), ("Cache-Control", "no-cache"))
    if request_headers.matches_etag(request.headers, etag):
        return Response(304, headers=headers)
    return Response(200, body, headers)


class Application(HTTPServerConnectionDelegate):
    """Routes requests to handlers and answers them, errors included.

    Attributes:
        in_flight: how many requests have been received and not yet been answered.
        is_draining: the process is about to end; connections then close after an answer.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [
            (
                re.compile(pattern),
                {"HEAD": methods["GET"], **methods} if "GET" in methods else methods,
            )
            for pattern, methods in routes
        ]
        self.in_flight = 0
        self.is_draining = False
        self._last_request_at = 0.0

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        return _Exchange(self, request_conn)

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
        now = self._last_request_at = time.monotonic()
        deadline = now + timeout_seconds
        while self.in_flight or now - self._last_request_at < QUIET_SECONDS:
            if now >= deadline:
                return not self.in_flight
            await asyncio.sleep(QUIET_SECONDS / 10)
            now = time.monotonic()
        return True

    async def respond(self, request: Request) -> Response:
        """The answer to a request. It always has one."""
        try:
            handler, arguments = self._find(request)
            return await handler(request, *arguments)
        except Problem as problem:
            return _problem_response(problem)
        except psycopg.Error as error:
            known = problems.problem_of(error)
            if known is None:
                return self._internal_error(request)
            logger.warning("request %s: %s", request.id, str(error).partition("\n")[0])
            return _problem_response(known)
        except Exception:
            return self._internal_error(request)

    def _internal_error(self, request: Request) -> Response:
        logger.exception("request %s failed", request.id)
        return _problem_response(Problem(problems.INTERNAL))

    def _find(self, request: Request) -> tuple[Handler, tuple[str | Any, ...]]:
        for pattern, methods in self._routes:
            if match := pattern.fullmatch(request.path):
                handler = methods.get(request.method)
                if handler is None:
                    allowed = ", ".join(sorted(methods))
                    raise Problem(problems.METHOD_NOT_ALLOWED, headers=[("Allow", allowed)])
                return handler, match.groups()
        raise Problem(problems.NOT_FOUND)


def make_server(application: Application) -> HTTPServer:
    """An HTTP server for the application, with every size and time bounded."""
    return HTTPServer(
        application,
        max_header_size=HEADER_BYTES_MAX,
        idle_connection_timeout=HEADER_TIMEOUT_SECONDS,
        body_timeout=BODY_TIMEOUT_SECONDS,
        # The bound is BODY_BYTES_MAX, enforced below; Tornado would answer 400, without a body.
        max_body_size=2**63,
    )


def _problem_response(problem: Problem) -> Response:
    return Response(
        problem.kind.status, problem.body(), problem.headers, "application/problem+json"
    )


_DIGITS = re.compile(r"[0-9]+")
_DIGITS_MAX = 18
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")  # RFC 3986, 3.2, without the user


class _Exchange(HTTPMessageDelegate):
    """One request as it arrives, and its answer."""

    __slots__ = (
        "_application",
        "_body",
        "_body_bytes",
        "_connection",
        "_is_answered",
        "_is_read",
        "_lingering",
        "_request",
    )

    _request: Request

    def __init__(self, application: Application, connection: HTTPConnection) -> None:
        self._application = application
        self._connection = connection
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._is_answered = False
        self._is_read = False
        self._lingering: asyncio.TimerHandle | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        assert isinstance(start_line, RequestStartLine)
        path = start_line.path.partition("?")[0]
        if not path.startswith("/"):
            path = "/" + path.partition("://")[2].partition("/")[2]  # RFC 9112, 3.2.2
        self._request = Request(start_line.method, path, headers, time.perf_counter())
        self._application.request_arrives()
        try:
            _check_framing(start_line, headers)
        except Problem as problem:
            will_be_sent = problem.kind is problems.BODY_TOO_LARGE and "Expect" not in headers
            self._answer(_problem_response(problem), lingers=will_be_sent)
            if not will_be_sent:
                # Tornado must not look for a body that nobody sends, or can tell the length of.
                headers.pop("Content-Length", None)
                headers.pop("Transfer-Encoding", None)

    def data_received(self, chunk: bytes) -> None:
        self._body_bytes += len(chunk)
        if self._body_bytes <= BODY_BYTES_MAX:
            self._body.append(chunk)
        elif self._body_bytes > DISCARDED_BYTES_MAX:
            self._answer(_problem_response(Problem(problems.BODY_TOO_LARGE)), lingers=True)

    def finish(self) -> None:
        self._is_read = True
        if self._is_answered:
            self._close()
            return
        if self._body_bytes > BODY_BYTES_MAX:
            self._answer(_problem_response(Problem(problems.BODY_TOO_LARGE)))
            return
        self._request.body = b"".join(self._body)
        task = asyncio.ensure_future(self._application.respond(self._request))
        task.add_done_callback(lambda done: self._answer(done.result()))

    def on_connection_close(self) -> None:
        """The connection broke before the request had arrived; nobody waits for an answer."""
        if self._lingering is not None:
            self._lingering.cancel()
        if not self._is_answered:
            self._is_answered = True
            self._application.in_flight -= 1

    def _answer(self, response: Response, *, lingers: bool = False) -> None:
        if self._is_answered:
            return
        self._is_answered = True
        self._application.in_flight -= 1
        request = self._request
        headers = HTTPHeaders()
        if response.status != 304:
            headers["Content-Length"] = str(len(response.body))
        if response.body:
            headers["Content-Type"] = response.content_type
        headers["Date"] = _http_date()
        headers["X-Request-ID"] = request.id
        if self._application.is_draining or not self._is_read:
            headers["Connection"] = "close"
        for name, value in response.headers:
            headers[name] = value
        self._connection.write_headers(
            ResponseStartLine("HTTP/1.1", response.status, REASONS[response.status]),
            headers,
            b"" if request.method == "HEAD" else response.body,
        )
        if lingers:
            loop = asyncio.get_running_loop()
            self._lingering = loop.call_later(LINGER_SECONDS, self._close)
        else:
            self._connection.finish()
        path = request.path if request.path.isprintable() else ascii(request.path)
        access_logger.info(
            "%s %s %s",
            response.status,
            request.method,
            path,
            extra={
                "duration_ms": round((time.perf_counter() - request.started_at) * 1000, 1),
                "request_id": request.id,
                "status": response.status,
                "method": request.method,
                "path": path,
            },
        )

    def _close(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        self._connection.finish()
        cast(HTTP1Connection, self._connection).close()


def _check_framing(start_line: RequestStartLine, headers: HTTPHeaders) -> None:
    """Refuse what RFC 9112 (3.2, 6.1 and 6.3) says must be refused.

    Tornado lets some of it pass, and answers the rest with a bare 400.
    """
    host = headers.get("Host")
    if host is None:
        if start_line.version == "HTTP/1.1":
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
    if length is not None:
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
