"""Turns many concurrent calls into few, although some of what they want may be locked.

Items that arrive while a call is in flight are queued, and all of them go in the next call. An item
that arrives alone goes at once.

An item has a key, and a key may be *busy*: something else holds it. There are two kinds of call:

- A *many-keys call* takes items of any keys. There is one at a time, and it never waits for a key.
- A *one-key call* takes items of one key, and may wait for that key, but only briefly. Each needs
  one of a few *slots*.

A key that was found busy gets a queue of its own, so that it holds up no other. What becomes of
that queue and why, with a picture of its states, is in docs/coalescer.md.

This file knows nothing of what is called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from enum import Enum
from typing import Any, Generic

from api.database.entries import (
    Answer,
    Call,
    Entries,
    Entry,
    Item,
    QueueFullError,
    arrivals,
)

OneKeyCall = Callable[[Sequence[Item], float], Awaitable[Sequence[Any]]]
"""A call for items of one key, for which it may wait for the given number of seconds."""

PAUSE_SECONDS_MIN = 0.005
PAUSE_SECONDS_MAX = 0.1
"""How long a paused queue waits before it is retried: at first, and after a while."""

RETRIES_PER_SECOND = 1000
"""Where more queues are paused than can be retried at this rate, each waits longer."""

WAIT_SECONDS_MIN = 0.005
WAIT_SECONDS_MAX = 0.2
"""How long a one-key call may wait for its key: at first, while others are in line, and at most."""

WAITS_IN_VAIN_MAX = 6
"""Further waits that timed out make no difference."""

LONG_SECONDS = 0.1
"""A one-key call in flight for this long may be waiting for its key, and a key that has been busy
for this long is remembered."""

EMPTY_SECONDS_MAX = 60.0
"""How long to remember that a key was busy when no item has arrived for it since."""


class _State(Enum):
    """Of a queue: see docs/coalescer.md."""

    CALLING = 1
    PAUSED = 2
    RETRIED = 3
    EMPTY = 4


class _Queue(Generic[Item, Answer]):
    """The items of one key.

    Attributes:
        since: when the state began, or the one-key call that is in flight.
        busy_since: since when the key has been found busy each time.
        pause_seconds: of the next pause.
        waits_in_vain: of its one-key calls, since the key was last not busy.
    """

    __slots__ = (
        "busy_since",
        "entries",
        "key",
        "pause_seconds",
        "since",
        "state",
        "waits_in_vain",
    )

    def __init__(self, key: Hashable, now: float) -> None:
        self.key = key
        self.entries: deque[Entry[Item, Answer]] = deque()
        self.state = _State.PAUSED
        self.since = now
        self.busy_since = now
        self.pause_seconds = PAUSE_SECONDS_MIN
        self.waits_in_vain = 0

    @property
    def is_locked(self) -> bool:
        """Whether the key counts as locked."""
        return self.waits_in_vain > 0


class Coalescer(Generic[Item, Answer]):
    """Collects items for few calls. Made within the event loop.

    Args:
        many_keys_call: takes items of any keys; never waits for one.
        one_key_call: takes items of one key; may wait for it, but no longer than it is told.
        key_of: the key of an item.
        busy_answer: the answer of a call to an item whose key is busy. Nothing was done for it. It
            is never returned to the caller.
        batch_items_max: how many items a call takes.
        slots: how many one-key calls may be in flight.
        retries_max: how many busy keys a many-keys call tries again.
        busy_seconds: how long an item may wait while its key is busy, give or take a retry.
        busy_error: makes what an item gets whose key was busy for that long. Nothing was done.
        fails_alone, items_max, timeout_seconds, unknown_error: see `Entries`.
    """

    def __init__(
        self,
        many_keys_call: Call[Item],
        one_key_call: OneKeyCall[Item],
        key_of: Callable[[Item], Hashable],
        *,
        busy_answer: object,
        batch_items_max: int,
        slots: int,
        retries_max: int,
        busy_seconds: float,
        busy_error: Callable[[], Exception],
        fails_alone: Callable[[Exception], bool],
        items_max: int,
        timeout_seconds: float,
        unknown_error: Callable[[], Exception],
    ) -> None:
        self._many_keys_call = many_keys_call
        self._one_key_call = one_key_call
        self._key_of = key_of
        self._batch_items_max = batch_items_max
        # What is in flight cannot make room.
        self._retries_max = max(1, min(retries_max, batch_items_max, items_max // 4))
        self._slots = self._slots_left = slots
        self._locked_slots_left = max(1, slots // 2)
        self._timeout_seconds = timeout_seconds
        self._busy_seconds = busy_seconds
        self._busy_error = busy_error
        self._entries: Entries[Item, Answer] = Entries(
            fails_alone=fails_alone,
            items_max=items_max,
            timeout_seconds=timeout_seconds,
            unknown_error=unknown_error,
            busy_answer=busy_answer,
            swept=self._forget_empty_queues,
        )
        self.room = self._entries.room

        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._makes_many_keys_calls = False
        self._next: deque[Entry[Item, Answer]] = deque()  # for the next many-keys call
        self._queues: dict[Hashable, _Queue[Item, Answer]] = {}
        self._retries: deque[_Queue[Item, Answer]] = deque()
        # In line for a slot: by how many of their waits timed out, then in order.
        self._lines: list[dict[_Queue[Item, Answer], None]] = [
            {} for _ in range(WAITS_IN_VAIN_MAX + 1)
        ]

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Ask for an item; the future gets its answer.

        Raises:
            QueueFullError: it was not taken. The future may get this error too: it had to make
                room, and nothing was done.
        """
        key = self._key_of(item)
        queue = self._queues.get(key)
        if self.room() <= 0:
            self._make_room(queue)
        entry = self._entries.add(item)

        if queue is not None:
            queue.entries.append(entry)
            if queue.state is _State.EMPTY:
                self._retry(queue)
        elif self._makes_many_keys_calls or self._slots_left < self._slots:
            self._next.append(entry)
            self._start_many_keys_calls()
        else:
            self._take_slot(self._new_queue(key, entry))
        return entry.answer

    # Many-keys calls

    def _start_many_keys_calls(self) -> None:
        if not self._makes_many_keys_calls:
            self._makes_many_keys_calls = True
            self._start(self._make_many_keys_calls())

    async def _make_many_keys_calls(self) -> None:
        while self._next or self._retries:
            await arrivals()
            retried = self._take_retries()
            room = self._batch_items_max - len(retried)
            batch = [entry for _, entry in retried] + self._entries.take(self._next, room)
            busy = await self._entries.call(self._many_keys_call, batch)
            if busy or retried:
                self._sort_out(retried, set(busy), busy)
        self._makes_many_keys_calls = False

    def _take_retries(self) -> list[tuple[_Queue[Item, Answer], Entry[Item, Answer]]]:
        """The first items of the queues whose turn it is to be retried."""
        retried: list[tuple[_Queue[Item, Answer], Entry[Item, Answer]]] = []
        while self._retries and len(retried) < self._retries_max:
            queue = self._retries.popleft()
            if first := self._entries.take(queue.entries, 1):
                retried.append((queue, first[0]))
            else:
                self._empty(queue)
        return retried

    def _sort_out(
        self,
        retried: Sequence[tuple[_Queue[Item, Answer], Entry[Item, Answer]]],
        busy: set[Entry[Item, Answer]],
        in_order: Sequence[Entry[Item, Answer]],
    ) -> None:
        """Put what is busy into the queues of its keys, and dissolve those that no longer are."""
        for queue, entry in retried:
            if entry in busy:
                busy.remove(entry)
                queue.entries.appendleft(entry)
                self._pause(queue)
            else:
                self._dissolve(queue)
        for entry in in_order:
            if entry in busy:
                key = self._key_of(entry.item)
                queue_or_none = self._queues.get(key)
                if queue_or_none is None:
                    queue = self._new_queue(key, entry)
                    if self._slots_left:
                        self._take_slot(queue)
                    else:
                        self._pause(queue)
                else:
                    queue_or_none.entries.append(entry)
                    if queue_or_none.state is _State.EMPTY:
                        self._pause(queue_or_none)

    def _dissolve(self, queue: _Queue[Item, Answer]) -> None:
        """The key is not busy: what is left gets a slot, or joins the next many-keys call."""
        self._leave_line(queue)
        queue.waits_in_vain, queue.busy_since = 0, self._loop.time()
        if queue.entries and self._slots_left:
            self._take_slot(queue)
            return
        del self._queues[queue.key]
        if queue.entries:
            self._next.extend(queue.entries)
            self._start_many_keys_calls()

    # Queues

    def _new_queue(self, key: Hashable, entry: Entry[Item, Answer]) -> _Queue[Item, Answer]:
        queue: _Queue[Item, Answer] = _Queue(key, self._loop.time())
        queue.entries.append(entry)
        self._queues[key] = queue
        return queue

    def _pause(self, queue: _Queue[Item, Answer]) -> None:
        """Wait for a slot, or until it is time to try again."""
        now = self._loop.time()
        self._end_busy(queue, now)
        if not queue.entries:
            self._empty(queue)
            return
        queue.state, queue.since = _State.PAUSED, now
        self._lines[queue.waits_in_vain].setdefault(queue)
        self._loop.call_later(queue.pause_seconds, self._end_pause, queue, now)
        pause_seconds_max = max(PAUSE_SECONDS_MAX, len(self._queues) / RETRIES_PER_SECOND)
        queue.pause_seconds = min(2 * queue.pause_seconds, pause_seconds_max)
        self._fill_slots()

    def _end_pause(self, queue: _Queue[Item, Answer], since: float) -> None:
        # It may have got a slot, and may be in another pause by now.
        if queue.state is _State.PAUSED and queue.since == since:
            self._end_busy(queue, self._loop.time())
            self._retry(queue)

    def _retry(self, queue: _Queue[Item, Answer]) -> None:
        queue.state = _State.RETRIED
        self._retries.append(queue)
        self._start_many_keys_calls()

    def _empty(self, queue: _Queue[Item, Answer]) -> None:
        """Nothing waits in it: remember it, or forget it."""
        now = self._loop.time()
        self._leave_line(queue)
        if queue.is_locked or now - queue.busy_since > LONG_SECONDS:
            queue.state, queue.since = _State.EMPTY, now
        else:
            del self._queues[queue.key]

    def _end_busy(self, queue: _Queue[Item, Answer], now: float) -> None:
        """End the items that have waited for the busy key for as long as they may."""
        if now - queue.busy_since < self._busy_seconds:
            return
        while queue.entries:
            entry = queue.entries[0]
            began_at = entry.deadline - self._timeout_seconds
            if now - began_at < self._busy_seconds and not entry.answer.done():
                return
            self._entries.finish(queue.entries.popleft(), self._busy_error())

    # Slots

    def _take_slot(self, queue: _Queue[Item, Answer]) -> None:
        self._leave_line(queue)
        self._slots_left -= 1
        if queue.is_locked:
            self._locked_slots_left -= 1
        queue.state, queue.since = _State.CALLING, self._loop.time()
        self._start(self._make_one_key_calls(queue, queue.is_locked))

    async def _make_one_key_calls(self, queue: _Queue[Item, Answer], is_locked: bool) -> None:
        is_next = True
        while is_next and (batch := self._entries.take(queue.entries, self._batch_items_max)):
            queue.since = self._loop.time()
            busy = await self._entries.call(self._one_key_call, batch, self._wait_seconds(queue))
            if busy:
                queue.entries.extendleft(reversed(busy))
                queue.waits_in_vain = min(queue.waits_in_vain + 1, WAITS_IN_VAIN_MAX)
                break
            queue.waits_in_vain, queue.busy_since = 0, self._loop.time()
            queue.pause_seconds = PAUSE_SECONDS_MIN
            is_next = not is_locked and not self._lines[0]
        self._slots_left += 1
        self._locked_slots_left += is_locked
        self._pause(queue)
        self._fill_slots()

    def _wait_seconds(self, queue: _Queue[Item, Answer]) -> float:
        """How long its next one-key call may wait for the key."""
        if not any(self._lines):
            return WAIT_SECONDS_MAX
        return min(WAIT_SECONDS_MIN * (1 << queue.waits_in_vain), WAIT_SECONDS_MAX)

    def _fill_slots(self) -> None:
        """Give the free slots to the queues that are in line."""
        while self._slots_left and (queue := self._first_in_line()):
            self._take_slot(queue)

    def _first_in_line(self) -> _Queue[Item, Answer] | None:
        """The queue that may have a slot next. Those that are being retried keep their place."""
        for line in self._lines if self._locked_slots_left else self._lines[:1]:
            for queue in line:
                if queue.state is _State.PAUSED:
                    return queue
        return None

    def _leave_line(self, queue: _Queue[Item, Answer]) -> None:
        self._lines[queue.waits_in_vain].pop(queue, None)

    # The rest

    def _start(self, run: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _make_room(self, queue: _Queue[Item, Answer] | None) -> None:
        """Make room for an item whose key has that queue, by ending one whose key is busy.

        Raises:
            QueueFullError: there is no such item.
        """
        now = self._loop.time()
        if queue is None or not self._may_be_busy(queue, now):
            for other in self._queues.values():  # the oldest first
                while other.entries and self._may_be_busy(other, now):
                    entry = other.entries.pop()
                    if entry.is_open:
                        self._entries.finish(entry, QueueFullError())
                        return
        raise QueueFullError

    @staticmethod
    def _may_be_busy(queue: _Queue[Item, Answer], now: float) -> bool:
        """Whether its key is busy, or may be: its one-key call takes long."""
        is_calling = queue.state is _State.CALLING and not queue.is_locked
        return not is_calling or now - queue.since > LONG_SECONDS

    def _forget_empty_queues(self) -> None:
        now = self._loop.time()
        for queue in [*self._queues.values()]:
            if queue.state is _State.EMPTY and now - queue.since > EMPTY_SECONDS_MAX:
                del self._queues[queue.key]
