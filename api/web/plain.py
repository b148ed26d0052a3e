"""Tornado's own HTTP server under the application: what serves with ``FAST_LANE=off``."""

from __future__ import annotations

import asyncio
import socket
import time

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application

from api.web import limits

QUIET_SECONDS = 0.2
"""Draining ends when nothing has been in flight for this long: a request may be on its way."""


class PlainServer:
    """The same application without the fast lane.

    Bytes that are not HTTP get Tornado's own answer: a bare 400, or nothing.
    """

    def __init__(self, application: Application) -> None:
        self._settings = application.settings
        self._server = HTTPServer(
            application,
            max_header_size=limits.HEAD_BYTES_MAX,
            # More than a body may have, so that the application can refuse it with its own problem.
            max_body_size=limits.DISCARDED_BYTES_MAX,
            idle_connection_timeout=limits.HEAD_TIMEOUT_SECONDS,
            body_timeout=limits.BODY_TIMEOUT_SECONDS,
        )

    @property
    def in_flight(self) -> int:
        """How many requests have arrived and are not answered."""
        count: int = self._settings["in_flight"]
        return count

    def accepted(self, connection: socket.socket, address: tuple[object, ...]) -> None:
        """Serve a connection that a client has made."""
        self._server.handle_stream(IOStream(connection), address)

    async def drain(self, timeout_seconds: float) -> bool:
        """Answer the requests in flight, and those that idle connections still send.

        Returns:
            Whether everything was answered in time.
        """
        self._settings["is_draining"] = True
        deadline = time.monotonic() + timeout_seconds
        quiet_since = time.monotonic()
        while (now := time.monotonic()) - quiet_since < QUIET_SECONDS:
            if now >= deadline:
                return not self.in_flight
            if self.in_flight:
                quiet_since = now
            await asyncio.sleep(QUIET_SECONDS / 10)
        return True

    async def close(self) -> None:
        """Close every connection."""
        await self._server.close_all_connections()
