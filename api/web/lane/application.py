"""What a `tornado.web` application sees of a connection of the fast lane."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPOutputError,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError

from api.web.lane import response
from api.web.lane.request import Request

if TYPE_CHECKING:
    from api.web.lane.connection import Connection

logger = logging.getLogger(__name__)


class Context(NamedTuple):
    """Where the request came from: Tornado reads ``request.remote_ip`` and ``protocol`` from it."""

    remote_ip: str
    protocol: str = "http"


class ApplicationExchange(HTTPConnection):
    """One request of the application's, and its answer."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self.context = Context(connection.remote_ip())
        self.close_callback: Callable[[], None] | None = None
        self.task: asyncio.Future[None] | None = None
        self._connection = connection
        self._request = request
        self._is_answered = False
        self._is_chunked = False
        self._bytes_left: int | None = None

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Have a function called if the client disconnects before it has its answer."""
        self.close_callback = callback

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> asyncio.Future[None]:
        """Send the head of the answer. The future is done when more may be written."""
        assert isinstance(start_line, ResponseStartLine)
        request, status = self._request, start_line.code
        has_length = "Content-Length" in headers
        has_body = request.method != "HEAD" and status not in (204, 304) and status >= 200
        if not has_body:
            self._bytes_left = 0
        elif has_length:
            self._bytes_left = int(headers["Content-Length"])
        elif request.version == "1.1":
            self._is_chunked = True
            headers["Transfer-Encoding"] = "chunked"
        else:
            request.keeps_alive = False  # the end of the connection is the end of the body
        if headers.get("Connection", "").lower() == "close":
            request.keeps_alive = False
        token = self._connection.connection_token(request)
        if token is not None:
            headers["Connection"] = token
        self._connection.write(response.head(status, headers.get_all()))
        return self.write(chunk or b"")

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """Send a part of the body. The future is done when more may be written.

        Raises:
            HTTPOutputError: the body is longer than its ``Content-Length``.
        """
        if self._bytes_left is not None:
            if len(chunk) > self._bytes_left and self._request.method != "HEAD":
                self._give_up("Tried to write more data than Content-Length")
            self._bytes_left = max(self._bytes_left - len(chunk), 0)
        if chunk and self._request.method != "HEAD":
            self._connection.write(
                b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_chunked else chunk
            )
        return self._connection.drained()

    def finish(self) -> None:
        """End the answer.

        Raises:
            HTTPOutputError: the body is shorter than its ``Content-Length``.
        """
        if self._bytes_left:
            self._give_up(f"Tried to write {self._bytes_left} bytes less than Content-Length")
        if self._is_chunked:
            self._connection.write(b"0\r\n\r\n")
        self._answered()

    async def stream_body(
        self, delegate: HTTPMessageDelegate, is_prepared: Awaitable[None]
    ) -> None:
        """Pass the body to a handler that takes it in parts, when it is ready."""
        try:
            await is_prepared
            if self._request.body and not self._is_answered:
                is_taken = delegate.data_received(self._request.body)
                if is_taken is not None:
                    await is_taken
            if not self._is_answered:
                delegate.finish()
        except Exception:
            logger.exception("request %s failed", self._request.id)
            self._abort()

    def _give_up(self, reason: str) -> NoReturn:
        self._abort()
        raise HTTPOutputError(reason)

    def _abort(self) -> None:
        """Close the connection: a truncated answer must not look complete."""
        self._request.closes = True
        self._connection.abort()
        self._answered()

    def _answered(self) -> None:
        if not self._is_answered:
            self._is_answered = True
            self._connection.application_answered()


def closed() -> asyncio.Future[None]:
    """What a write returns when the client is gone."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(StreamClosedError())
    future.exception()  # retrieved here, since not every caller awaits a write
    return future
