"""The server of the fast lane: its connections, their time, and draining."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tornado.web import Application

from api.web.lane.connection import Connection
from api.web.limits import HEAD_BYTES_MAX
from api.web.messages import Answer
from api.web.refusal_delay import RefusalDelay

SWEEP_SECONDS = 1.0
"""How often to look for connections whose time is up."""

QUIET_SECONDS = 0.2
"""Draining ends when no request has come for so long: one may have been on its way."""

READ_BYTES_MAX = HEAD_BYTES_MAX
"""The most that is read at once, and so the most that is parsed ahead on a connection."""

HotRoute = tuple[str, re.Pattern[bytes], Callable[..., Awaitable[Answer]]]
"""A method, a pattern that matches a whole request target, and the resource to call with the
request and the pattern's groups."""


class Lane:
    """Answers what comes over its connections.

    Args:
        application: answers what no hot route does.

    Attributes:
        in_flight: how many requests have begun to arrive and are not answered.
        is_draining: the process is about to end; connections then close after an answer.
        loop: the event loop that they run in.
        connections: those that are open.
        refusal_delay: holds those that are not read until there is room for their requests.
    """

    def __init__(self, application: Application, hot_routes: Sequence[HotRoute]) -> None:
        self.application = application
        self.hot_routes = hot_routes
        self.in_flight = 0
        self.is_draining = False
        self.connections: set[Connection] = set()
        self.refusal_delay = RefusalDelay()
        self.buffer = memoryview(bytearray(READ_BYTES_MAX))
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self.done: asyncio.Future[None] = self.loop.create_future()
        self.done.set_result(None)
        self._last_request_at = 0.0
        self._beginning: set[asyncio.Task[Any]] = set()
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def accepted(self, connection: socket.socket, address: object) -> None:
        """Serve a connection that a client has made."""
        task = self.loop.create_task(
            self.loop.connect_accepted_socket(lambda: Connection(self), connection)
        )
        self._beginning.add(task)  # the loop itself would let it be collected
        task.add_done_callback(self._beginning.discard)

    def request_arrives(self, now: float) -> None:
        """Count a request that has begun to arrive."""
        self.in_flight += 1
        self._last_request_at = now

    async def drain(self, timeout_seconds: float) -> bool:
        """Answer what is under way, and what idle connections have sent in the meantime.

        Returns:
            Whether everything was answered in time.
        """
        self.is_draining = True
        self.refusal_delay.resume_all()
        now = self._last_request_at = self.time()
        deadline = now + timeout_seconds
        while self.in_flight or now - self._last_request_at < QUIET_SECONDS:
            if now >= deadline:
                return not self.in_flight
            await asyncio.sleep(QUIET_SECONDS / 10)
            now = self.time()
        return True

    async def close(self) -> None:
        """Close every connection."""
        self._sweeper.cancel()
        for each in list(self.connections):
            each.close()
        await asyncio.sleep(0)  # lets them go

    def _sweep(self) -> None:
        now = self.time()
        for each in [each for each in self.connections if each.deadline < now]:
            each.time_out()
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)
