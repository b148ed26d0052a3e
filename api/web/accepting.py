"""Accepting connections, whatever comes over them, also when no file descriptor is left."""

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

ACCEPTS_MOST = 128
"""Connections at most that are accepted in a row; others want their turn of the event loop."""

PAUSE_SECONDS = 0.05
"""How long no connection is accepted after one could not be."""

WARNING_SECONDS = 10.0
"""How often the log says so at most."""

LAST_TURNS = 1000
"""Turns of the event loop at most in which what has connected is accepted before the end."""


def raise_descriptor_limit() -> None:
    """Let this process, and those that it starts, have as many file descriptors as they may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS names a limit that it does not grant
        logger.warning("file descriptors of a process: %s, not %s (%s)", soft, hard, error)
    else:
        logger.info("file descriptors of a process: %s, raised from %s", hard, soft)


class Acceptor:
    """Accepts connections on sockets that listen; made within the event loop.

    When no file descriptor is left, it stops for a moment and tries again: connections then wait in
    the kernel's queue, and those that were accepted before are served as ever.

    Args:
        listeners: sockets that do not block.
        accepted: called with each connection, which does not block either, and its address.
        reserve: file descriptors that no connection gets, for what else the process must open.
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
        """Accept what has connected, as far as file descriptors go: `stop` would reset it."""
        for _ in range(LAST_TURNS):
            if not sum(self._accept(each) for each in self._listeners):
                return
            await asyncio.sleep(0)

    def stop(self) -> None:
        """Accept no more, and close the sockets."""
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
        """Accept connections, and return whether there may be more that can be accepted."""
        for _ in range(ACCEPTS_MOST):
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
            # Its number is the lowest that was free: it says how many are taken.
            is_last = connection.fileno() >= self._numbers()
            self._accepted(connection, address)
            if is_last:
                self._wait("no file descriptor is left but those kept for other use")
                return False
        return True

    def _numbers(self) -> float:
        """Below which the numbers of connections are. The limit may change while we run."""
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
