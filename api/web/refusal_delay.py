"""Delays reading from connections whose request a full queue refused, until there is room in it.

Refusing a request costs more than half as much as serving it, so clients that retry at once would
take that time from those who can be served.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

Room = Callable[[], int]
"""How many requests a queue would take now."""

CHECK_SECONDS = 0.01
"""How often to check for room while connections are delayed."""


class RefusalDelay:
    """Resumes connections when there is room in the queue that refused them.

    In the order in which they were refused, few at first and then more and more: room that others
    take at once, above all those who were just answered, is none. Made within the event loop.
    """

    def __init__(self) -> None:
        self._refused: dict[Room, _Refused] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many connections are delayed."""
        return sum(len(each.connections) for each in self._refused.values())

    def delay(self, room: Room, resume: Callable[[], None], seconds_max: float) -> None:
        """Have ``resume`` called when there is room, or after ``seconds_max``.

        Args:
            seconds_max: the same for all.
        """
        refused = self._refused.setdefault(room, _Refused())
        refused.connections.append((time.monotonic() + seconds_max, resume))
        refused.is_full = True
        self._check_later()

    def resume_all(self) -> None:
        """Resume every connection now."""
        for each in self._refused.values():
            each.resume(len(each.connections))

    def _check_later(self) -> None:
        if self._timer is None and self._refused:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(CHECK_SECONDS, self._check)

    def _check(self) -> None:
        for room, refused in list(self._refused.items()):
            refused.check(room())
            if not refused.connections:
                del self._refused[room]
        self._timer = None
        self._check_later()


class _Refused:
    """The connections whose requests one queue refused.

    Attributes:
        connections: until when each is delayed at most, and what resumes it.
        is_full: whether the queue has refused a request since the last check.
    """

    def __init__(self) -> None:
        self.connections: deque[tuple[float, Callable[[], None]]] = deque()
        self.is_full = False
        self._next_max = 1

    def check(self, room: int) -> None:
        if self.is_full:
            self._next_max = 1
        else:
            self.resume(min(room, self._next_max))
            self._next_max *= 2
        self.is_full = False
        now = time.monotonic()
        while self.connections and self.connections[0][0] <= now:
            self.resume(1)

    def resume(self, count: int) -> None:
        for _ in range(min(count, len(self.connections))):
            self.connections.popleft()[1]()
