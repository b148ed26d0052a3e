"""Accepts connections, even when file descriptors run out."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger(__name__)

ACCEPTS_MAX = 128
"""How many connections to accept in a row before the event loop gets another turn."""

PAUSE_SECONDS = 0.05
"""How long to accept nothing after a connection could not be accepted."""

WARNING_SECONDS = 10.0
"""The least time between two warnings about it."""

LAST_TURNS = 1000
"""Upper bound on event-loop turns that a stopping worker spends accepting pending connections."""


def raise_descriptor_limit() -> None:
    """Raise the limit of file descriptors for this process and its children as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS names a limit that it does not grant
        logger.warning("file descriptors of a process: %s, not %s (%s)", soft, hard, error)
    else:
        logger.info("file descriptors of a process: %s, raised from %s", hard, soft)


class Acceptor:
    """Accepts connections on listening sockets. Made within the event loop.

    When file descriptors run out, it pauses and tries again: new connections wait in the kernel's
    queue, and those already accepted are served as usual.

    Args:
        listeners: non-blocking sockets.
        accepted: called with each connection, which is non-blocking too, and its address.
        reserve: file descriptors kept from connections, for whatever else the process must open.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        accepted: Callable[[socket.socket, Any], None],
        *,
        reserve: int = 0,
    ) -> None:
        self._listeners = listeners
        self._accepted = accepted
        self._reserve = reserve
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._warned_at = -WARNING_SECONDS
        self._listen()

    async def accept_all(self) -> None:
        """Accept the pending connections that file descriptors allow: `stop` would reset them."""
        for _ in range(LAST_TURNS):
            if not sum(self._accept(each) for each in self._listeners):
                return
            await asyncio.sleep(0)

    def stop(self) -> None:
        """Stop accepting, and close the sockets."""
        if self._pause is not None:
            self._pause.cancel()
        for each in self._listeners:
            self._loop.remove_reader(each)
            each.close()

    def _listen(self) -> None:
        self._pause = None
        for each in self._listeners:
            self._loop.add_reader(each, self._accept, each)

    def _accept(self, listener: socket.socket) -> bool:
        """Accept connections, and return whether there may be more to accept."""
        for _ in range(ACCEPTS_MAX):
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return False
            except ConnectionAbortedError:
                continue  # it was closed before it was accepted
            except OSError as error:
                self._wait(str(error.strerror))
                return False
            connection.setblocking(False)
            # A new descriptor gets the lowest free number, which tells how many are in use.
            is_last = connection.fileno() >= self._numbers()
            self._accepted(connection, address)
            if is_last:
                self._wait("only the reserved file descriptors are left")
                return False
        return True

    def _numbers(self) -> float:
        """The bound on the descriptor numbers of connections. The limit may change at run time."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY:
            return float("inf")
        return max(limit - self._reserve, limit // 2)

    def _wait(self, reason: str) -> None:
        if self._pause is None:
            for each in self._listeners:
                self._loop.remove_reader(each)
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._go_on)
        now = time.monotonic()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            logger.warning(
                "cannot accept a connection (%s; the limit of file descriptors is %s); "
                "new ones wait until others close",
                reason,
                limit,
            )

    def _go_on(self) -> None:
        try:
            number = os.dup(self._listeners[0].fileno())
        except OSError:
            is_room = False
        else:
            os.close(number)
            is_room = number < self._numbers()
        if is_room:
            self._listen()
        else:
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._go_on)
