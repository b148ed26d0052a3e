"""Shares calls between items: an item joins the next call, never one already in flight.

So an item sees everything that was true when it was submitted. There is one call at a time. An item
that arrives alone goes at once; items that arrive while a call is in flight go in the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Generic

from api.database.entries import Answer, Call, Entries, Entry, Item, arrivals


class NextCall(Generic[Item, Answer]):
    """Makes the calls. Made within the event loop.

    Args:
        call: answers items.
        batch_items_max: how many items a call takes.
        bounds: see `Entries`.
    """

    def __init__(self, call: Call[Item], *, batch_items_max: int, **bounds: Any) -> None:
        self._call = call
        self._batch_items_max = batch_items_max
        self._entries: Entries[Item, Answer] = Entries(**bounds)
        self._queue: deque[Entry[Item, Answer]] = deque()
        self._calling: asyncio.Task[None] | None = None
        self.room = self._entries.room

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Have the next call answer an item; the future gets its answer.

        Raises:
            QueueFullError: it was not taken.
        """
        entry = self._entries.add(item)
        self._queue.append(entry)
        if self._calling is None:
            self._calling = asyncio.get_running_loop().create_task(self._make_calls())
        return entry.answer

    async def _make_calls(self) -> None:
        while batch := self._entries.take(self._queue, self._batch_items_max):
            await self._entries.call(self._call, batch)
            await arrivals()
        self._calling = None
