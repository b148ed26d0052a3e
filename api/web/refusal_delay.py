"""Connections that are not read for a while, because a full queue refused what came over them.

Reading a request and refusing it takes more than half the time of serving it. So clients that send
again at once would take that time from those who can be served.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

Room = Callable[[], int]
"""How many requests a queue would take now."""

LOOK_SECONDS = 0.01
"""How often it is looked for room while connections rest."""


class Resting:
    """Has connections read again when there is room in the queue that refused them.

    In the order in which they were refused, and few at first, then more and more: room that others
    take at once, those who were just answered above all, is none. Made within the event loop.
    """

    def __init__(self) -> None:
        self._refused: dict[Room, _Refused] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(len(each.connections) for each in self._refused.values())

    def add(self, room: Room, go_on: Callable[[], None], seconds_most: float) -> None:
        """Have ``go_on`` called when there is room, or else after so long.

        Args:
            seconds_most: the same for all.
        """
        refused = self._refused.setdefault(room, _Refused())
        refused.connections.append((time.monotonic() + seconds_most, go_on))
        refused.is_full = True
        self._look_later()

    def end(self) -> None:
        """Let all go on now."""
        for each in self._refused.values():
            each.go_on(len(each.connections))

    def _look_later(self) -> None:
        if self._timer is None and self._refused:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        for room, refused in list(self._refused.items()):
            refused.look(room())
            if not refused.connections:
                del self._refused[room]
        self._timer = None
        self._look_later()


class _Refused:
    """What one queue refused.

    Attributes:
        connections: until when they rest at most, and what ends it.
        is_full: whether the queue has refused something since the last look.
    """

    def __init__(self) -> None:
        self.connections: deque[tuple[float, Callable[[], None]]] = deque()
        self.is_full = False
        self._next_most = 1

    def look(self, room: int) -> None:
        if self.is_full:
            self._next_most = 1
        else:
            self.go_on(min(room, self._next_most))
            self._next_most *= 2
        self.is_full = False
        now = time.monotonic()
        while self.connections and self.connections[0][0] <= now:
            self.go_on(1)

    def go_on(self, count: int) -> None:
        for _ in range(min(count, len(self.connections))):
            self.connections.popleft()[1]()
