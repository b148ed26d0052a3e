"""Turns concurrent calls into few.

While a call is under way, what is asked for meanwhile waits; when it returns, all that waits goes
in the next call. Nobody waits for a timer: an item that comes alone goes at once.

An item has a key. What comes while nothing is under way goes in a call for its key, and what comes
meanwhile with the same key follows it, until none of its items is left. Everything else goes in
calls for many keys. Such a call never waits: it may answer `BUSY` for an item, whose key is held up
and for which nothing was done; that key then gets calls of its own too, which may wait for as long
as they must. So one key that is held up stops no other.

This file knows nothing of what is called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

BUSY: Final = "busy"
"""The answer to an item whose key is held up. Never given to who asked."""

SWEEP_SECONDS = 0.25
"""How often it is looked for items whose time is up."""

ARRIVAL_TURNS = 5
"""Turns of the event loop before a call for many keys: as many as a request takes from its socket
to here, so that what has already arrived goes along. When there is nothing, they take no time."""


class QueueFullError(Exception):
    """More items wait than may."""


class _Entry(Generic[Item, Answer]):
    __slots__ = ("answer", "deadline", "is_open", "item")

    def __init__(self, item: Item, answer: asyncio.Future[Answer], deadline: float) -> None:
        self.item = item
        self.answer = answer
        self.deadline = deadline
        self.is_open = True


class Coalescer(Generic[Item, Answer]):
    """Collects items for few calls.

    Args:
        call_many: answers items of any keys, one answer for each, in order; may answer `BUSY`.
            None gives every key calls of its own from the first.
        call_one_key: answers items of one key, one answer for each, in order.
        key_of: the key of an item.
        fails_alone: whether an error may be the fault of one item of a call. Such a call is made
            again in halves, until the item fails alone. Any other error is everybody's.
        items_most: how many items may wait or be under way.
        batch_items_most: how many items a call takes.
        keys_most: how many keys may have calls of their own at the same time.
        timeout_seconds: how long an item may take, give or take `SWEEP_SECONDS`.
        timeout_error: makes what an item gets whose time is up.
    """

    def __init__(
        self,
        call_many: Callable[[Sequence[Item]], Awaitable[Sequence[Any]]] | None,
        call_one_key: Callable[[Sequence[Item]], Awaitable[Sequence[Any]]],
        key_of: Callable[[Item], Hashable],
        *,
        fails_alone: Callable[[Exception], bool],
        items_most: int,
        batch_items_most: int,
        keys_most: int,
        timeout_seconds: float,
        timeout_error: Callable[[], Exception],
    ) -> None:
        self._call_many = call_many
        self._call_one_key = call_one_key
        self._key_of = key_of
        self._fails_alone = fails_alone
        self._items_most = items_most
        self._batch_items_most = batch_items_most
        self._keys_most = keys_most
        self._timeout_seconds = timeout_seconds
        self._timeout_error = timeout_error

        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Entry[Item, Answer]] = deque()
        self._many_under_way = False
        self._held_up: dict[Hashable, deque[_Entry[Item, Answer]]] = {}
        self._keys_without_call: deque[Hashable] = deque()
        self._keys_under_way = 0
        self._unanswered: list[_Entry[Item, Answer]] = []
        self._items = 0
        self._sweeper: asyncio.TimerHandle | None = None

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Ask for an item; the future gets its answer.

        Raises:
            QueueFullError: it was not taken.
        """
        if self._items >= self._items_most:
            raise QueueFullError
        self._items += 1
        entry = _Entry(item, self._loop.create_future(), self._loop.time() + self._timeout_seconds)
        self._unanswered.append(entry)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self._queue(entry)
        return entry.answer

    def room(self) -> int:
        """How many items would be taken now."""
        return self._items_most - self._items

    def _queue(self, entry: _Entry[Item, Answer]) -> None:
        own = self._held_up.get(self._key_of(entry.item))
        if own is not None:
            own.append(entry)
            return
        if self._call_many is None or not (self._many_under_way or self._keys_under_way):
            self._hold_up(entry)  # it is alone, or might as well be
            return
        self._waiting.append(entry)
        if not self._many_under_way:
            self._many_under_way = True
            self._start(self._run_many(self._call_many))

    def _start(self, run: Any) -> None:
        task = self._loop.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_many(self, call_many: Callable[[Sequence[Item]], Awaitable[Any]]) -> None:
        while self._waiting:
            for _ in range(ARRIVAL_TURNS):
                await asyncio.sleep(0)
            await self._call(call_many, self._take(self._waiting))
        self._many_under_way = False

    async def _run_key(self, key: Hashable) -> None:
        queue = self._held_up[key]
        while batch := self._take(queue):
            await self._call(self._call_one_key, batch)
        del self._held_up[key]
        self._keys_under_way -= 1
        self._start_keys()

    def _start_keys(self) -> None:
        while self._keys_without_call and self._keys_under_way < self._keys_most:
            self._keys_under_way += 1
            self._start(self._run_key(self._keys_without_call.popleft()))

    def _take(self, queue: deque[_Entry[Item, Answer]]) -> list[_Entry[Item, Answer]]:
        """The next items of the queue that somebody still waits for."""
        batch: list[_Entry[Item, Answer]] = []
        while queue and len(batch) < self._batch_items_most:
            entry = queue.popleft()
            if entry.answer.done():
                self._finish(entry, None)  # its time was up, or nobody waits any longer
            else:
                batch.append(entry)
        return batch

    async def _call(
        self,
        call: Callable[[Sequence[Item]], Awaitable[Sequence[Any]]],
        batch: list[_Entry[Item, Answer]],
    ) -> None:
        if not batch:
            return
        try:
            answers = await call([entry.item for entry in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) > 1 and self._fails_alone(error):
                half = len(batch) // 2
                await self._call(call, batch[:half])
                await self._call(call, batch[half:])
            else:
                for entry in batch:
                    self._finish(entry, error)
            return
        for entry, answer in answered:
            if answer == BUSY:
                self._hold_up(entry)
            else:
                self._finish(entry, answer)

    def _hold_up(self, entry: _Entry[Item, Answer]) -> None:
        key = self._key_of(entry.item)
        if key in self._held_up:
            self._held_up[key].append(entry)
        else:
            self._held_up[key] = deque([entry])
            self._keys_without_call.append(key)
            self._start_keys()

    def _finish(self, entry: _Entry[Item, Answer], result: Any) -> None:
        if entry.is_open:
            entry.is_open = False
            self._items -= 1
        if entry.answer.done():
            return
        if isinstance(result, Exception):
            entry.answer.set_exception(result)
        else:
            entry.answer.set_result(result)

    def _sweep(self) -> None:
        now = self._loop.time()
        unanswered = []
        for entry in self._unanswered:
            if entry.answer.done():
                self._finish(entry, None)  # it has an answer, or nobody waits any longer
            elif entry.deadline <= now:
                self._finish(entry, self._timeout_error())
            else:
                unanswered.append(entry)
        self._unanswered = unanswered
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep) if unanswered else None
