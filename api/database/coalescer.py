"""Turns many concurrent calls into few.

Items that arrive while a call is in flight are queued, and all of them go in the next call. An item
that arrives alone goes at once.

An item has a key, and a key may be *busy*: something else holds it. There are two kinds of call:

- The *shared* call takes items of any keys. There is one at a time, and it never waits for a key.
- An *own* call takes the items of one key, and may wait for that key, but only briefly. Each needs
  one of a few *slots*.

Both may answer `BUSY` for an item: nothing was done for it, and its key is busy.

The states of an item:

    shared     It waits for the next shared call. So does every item that arrives while a call is in
               flight, unless its key has a queue.
    queued     Its key has a queue, and it waits in there, for one of the states below of the queue.
    in flight  A call has taken it. It is answered, or BUSY puts it into the queue of its key.
    done       It has its answer or its error, or nobody waits for it any longer.

The states of a key's queue, which begins when an item arrives alone, or when a shared call finds
its key busy:

    own call   It has a slot. Each own call takes all that is queued by then. The slot goes to the
               next in line when the queue is empty, when others are in line, or when a call has
               waited for the key in vain: then it counts as *locked*.
    paused     It has no slot. It waits to be tried again, after a pause that grows, and is in line
               for a slot meanwhile.
    retried    Its first item is in the next shared call, or in that one's flight. If the key is
               still busy, the queue is paused again. If not, the queue is dissolved, and what is
               left in it is shared.
    empty      The key was busy when last seen, and no item waits for it. The next one is retried
               at once.

So a key that is locked stops no other one, however many are locked:

- The more often a queue's own calls have waited in vain, the further behind it is in line for a
  slot; and those that ever have may not have more than half of the slots at a time, or the only
  one. While others are in line, an own call waits for milliseconds at first, and then for longer.
  So a key that is busy for moments only, since many want it, soon has a slot, where it waits for
  its turn, and those that are locked soon are behind.
- A retry takes one item of each queue along, and all retries together are bounded: for each second,
  and for each shared call.
- When there are too many items, one of the key that has been busy for longest makes room for one of
  another key.

An item whose key stays busy ends with an error after `busy_seconds`.

This file knows nothing of what is called.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from enum import Enum
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

SharedCall = Callable[[Sequence[Item]], Awaitable[Sequence[Any]]]
"""Answers items: one answer for each, in order. An answer may be `BUSY`, or an exception."""

OwnCall = Callable[[Sequence[Item], float], Awaitable[Sequence[Any]]]
"""The same for items of one key, for which it may wait so many seconds."""

BUSY: Final = "busy"
"""The answer to an item whose key is busy. Never returned to the caller."""

SWEEP_SECONDS = 0.25
"""How often to look for items that have timed out."""

ARRIVAL_TURNS = 5
"""Turns of the event loop before a shared call: as many as a request takes from its socket to here,
so that what has already arrived goes along. When there is nothing, they take no time."""

PAUSE_SECONDS_LEAST = 0.005
PAUSE_SECONDS_MOST = 0.1
"""How long a paused queue waits before it is retried: first, and when it has been for a while."""

RETRIES_PER_SECOND = 1000
"""Where more queues are paused than can be retried this often, each waits for longer."""

WAIT_SECONDS_LEAST = 0.005
WAIT_SECONDS_MOST = 0.2
"""How long an own call may wait for its key: first, while others are in line, and at most."""

WAITS_IN_VAIN_MOST = 6
"""Waits in vain beyond these make no difference."""

HELD_UP_SECONDS = 0.1
"""An own call that takes so long may be waiting for its key, and a key that has been busy for so
long is remembered."""

EMPTY_SECONDS_MOST = 60.0
"""For how long to remember that a key was busy when nothing has asked for it since."""


class QueueFullError(Exception):
    """More items wait than may."""


class _State(Enum):
    """See above."""

    OWN_CALL = 1
    PAUSED = 2
    RETRIED = 3
    EMPTY = 4


class _Entry(Generic[Item, Answer]):
    """An item."""

    __slots__ = ("answer", "deadline", "is_open", "item")

    def __init__(self, item: Item, answer: asyncio.Future[Answer], deadline: float) -> None:
        self.item = item
        self.answer = answer
        self.deadline = deadline
        self.is_open = True


class _Queue(Generic[Item, Answer]):
    """The items of one key.

    Attributes:
        since: when the state began, or the own call that is in flight.
        busy_since: since when the key has been found busy each time.
        pause_seconds: of the next pause.
        waits_in_vain: of its own calls for the key, since it was last not busy.
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
        self.entries: deque[_Entry[Item, Answer]] = deque()
        self.state = _State.PAUSED
        self.since = now
        self.busy_since = now
        self.pause_seconds = PAUSE_SECONDS_LEAST
        self.waits_in_vain = 0

    @property
    def is_locked(self) -> bool:
        """Whether the key counts as locked."""
        return self.waits_in_vain > 0


class Coalescer(Generic[Item, Answer]):
    """Collects items for few calls.

    Args:
        shared_call: takes items of any keys; never waits for one.
        own_call: takes items of one key; may wait for it, but no longer than it is told.
        key_of: the key of an item.
        fails_alone: whether an error may be the fault of one item of a call. Such a call is made
            again in halves, until the item fails alone. Any other error is everybody's.
        items_most: how many items may be waiting or in flight.
        batch_items_most: how many items a call takes.
        slots: how many own calls may be in flight.
        retries_most: how many busy keys a shared call tries again.
        timeout_seconds: how long an item may take, give or take `SWEEP_SECONDS`.
        timeout_error: makes what an item gets that has timed out.
        busy_seconds: how long an item may wait while its key is busy, give or take a retry.
        busy_error: makes what an item gets whose key was busy for that long. Nothing was done.
    """

    def __init__(
        self,
        shared_call: SharedCall[Item],
        own_call: OwnCall[Item],
        key_of: Callable[[Item], Hashable],
        *,
        fails_alone: Callable[[Exception], bool],
        items_most: int,
        batch_items_most: int,
        slots: int,
        retries_most: int,
        timeout_seconds: float,
        timeout_error: Callable[[], Exception],
        busy_seconds: float,
        busy_error: Callable[[], Exception],
    ) -> None:
        self._shared_call = shared_call
        self._own_call = own_call
        self._key_of = key_of
        self._fails_alone = fails_alone
        self._items_most = items_most
        self._batch_items_most = batch_items_most
        # What is in flight cannot make room.
        self._retries_most = max(1, min(retries_most, batch_items_most, items_most // 4))
        self._slots = self._slots_left = slots
        self._locked_slots_left = max(1, slots // 2)
        self._timeout_seconds = timeout_seconds
        self._timeout_error = timeout_error
        self._busy_seconds = busy_seconds
        self._busy_error = busy_error

        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_sharing = False
        self._shared: deque[_Entry[Item, Answer]] = deque()
        self._queues: dict[Hashable, _Queue[Item, Answer]] = {}
        self._retries: deque[_Queue[Item, Answer]] = deque()
        # In line for a slot: by how often they waited in vain, and then in order.
        self._lines: list[dict[_Queue[Item, Answer], None]] = [
            {} for _ in range(WAITS_IN_VAIN_MOST + 1)
        ]
        self._unanswered: list[_Entry[Item, Answer]] = []
        self._items = 0
        self._sweeper: asyncio.TimerHandle | None = None

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Ask for an item; the future gets its answer.

        Raises:
            QueueFullError: it was not taken. The future may get this error too: it had to make
                room, and nothing was done.
        """
        key = self._key_of(item)
        queue = self._queues.get(key)
        if self._items >= self._items_most:
            self._make_room(queue)
        self._items += 1
        entry = _Entry(item, self._loop.create_future(), self._loop.time() + self._timeout_seconds)
        self._unanswered.append(entry)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

        if queue is not None:
            queue.entries.append(entry)
            if queue.state is _State.EMPTY:
                self._retry(queue)
        elif self._is_sharing or self._slots_left < self._slots:
            self._share(entry)
        else:
            self._take_slot(self._new_queue(key, entry))
        return entry.answer

    def room(self) -> int:
        """How many items would be taken now."""
        return self._items_most - self._items

    # Shared calls

    def _share(self, entry: _Entry[Item, Answer]) -> None:
        self._shared.append(entry)
        self._start_sharing()

    def _start_sharing(self) -> None:
        if not self._is_sharing:
            self._is_sharing = True
            self._start(self._run_shared())

    async def _run_shared(self) -> None:
        while self._shared or self._retries:
            for _ in range(ARRIVAL_TURNS):
                await asyncio.sleep(0)
            retried = self._take_retries()
            room = self._batch_items_most - len(retried)
            batch = [entry for _, entry in retried] + self._take(self._shared, room)
            busy = await self._call(self._shared_call, batch)
            if busy or retried:
                self._sort_out(retried, set(busy), busy)
        self._is_sharing = False

    def _take_retries(self) -> list[tuple[_Queue[Item, Answer], _Entry[Item, Answer]]]:
        """The first items of the queues whose turn it is to be retried."""
        retried: list[tuple[_Queue[Item, Answer], _Entry[Item, Answer]]] = []
        while self._retries and len(retried) < self._retries_most:
            queue = self._retries.popleft()
            if first := self._take(queue.entries, 1):
                retried.append((queue, first[0]))
            else:
                self._empty(queue)
        return retried

    def _sort_out(
        self,
        retried: Sequence[tuple[_Queue[Item, Answer], _Entry[Item, Answer]]],
        busy: set[_Entry[Item, Answer]],
        in_order: Sequence[_Entry[Item, Answer]],
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
        """The key is not busy: what is left is shared, or goes on by itself if it may."""
        self._leave_line(queue)
        queue.waits_in_vain, queue.busy_since = 0, self._loop.time()
        if queue.entries and self._slots_left:
            self._take_slot(queue)
            return
        del self._queues[queue.key]
        if queue.entries:
            self._shared.extend(queue.entries)
            self._start_sharing()

    # Queues

    def _new_queue(self, key: Hashable, entry: _Entry[Item, Answer]) -> _Queue[Item, Answer]:
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
        most = max(PAUSE_SECONDS_MOST, len(self._queues) / RETRIES_PER_SECOND)
        queue.pause_seconds = min(2 * queue.pause_seconds, most)
        self._fill_slots()

    def _end_pause(self, queue: _Queue[Item, Answer], since: float) -> None:
        # It may have got a slot, and may be in another pause by now.
        if queue.state is _State.PAUSED and queue.since == since:
            self._end_busy(queue, self._loop.time())
            self._retry(queue)

    def _retry(self, queue: _Queue[Item, Answer]) -> None:
        queue.state = _State.RETRIED
        self._retries.append(queue)
        self._start_sharing()

    def _empty(self, queue: _Queue[Item, Answer]) -> None:
        """Nothing waits in it any longer."""
        now = self._loop.time()
        self._leave_line(queue)
        if queue.is_locked or now - queue.busy_since > HELD_UP_SECONDS:
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
            self._finish(queue.entries.popleft(), self._busy_error())

    # Slots

    def _take_slot(self, queue: _Queue[Item, Answer]) -> None:
        self._leave_line(queue)
        self._slots_left -= 1
        if queue.is_locked:
            self._locked_slots_left -= 1
        queue.state, queue.since = _State.OWN_CALL, self._loop.time()
        self._start(self._run_own(queue, queue.is_locked))

    async def _run_own(self, queue: _Queue[Item, Answer], is_locked: bool) -> None:
        is_next = True
        while is_next and (batch := self._take(queue.entries, self._batch_items_most)):
            queue.since = self._loop.time()
            busy = await self._call(self._own_call, batch, self._wait_seconds(queue))
            if busy:
                queue.entries.extendleft(reversed(busy))
                queue.waits_in_vain = min(queue.waits_in_vain + 1, WAITS_IN_VAIN_MOST)
                break
            queue.waits_in_vain, queue.busy_since = 0, self._loop.time()
            queue.pause_seconds = PAUSE_SECONDS_LEAST
            is_next = not is_locked and not self._lines[0]
        self._slots_left += 1
        self._locked_slots_left += is_locked
        self._pause(queue)
        self._fill_slots()

    def _wait_seconds(self, queue: _Queue[Item, Answer]) -> float:
        """How long its next own call may wait for the key."""
        if not any(self._lines):
            return WAIT_SECONDS_MOST
        return min(WAIT_SECONDS_LEAST * (1 << queue.waits_in_vain), WAIT_SECONDS_MOST)

    def _fill_slots(self) -> None:
        """Give the slots that are free to those who are in line."""
        while self._slots_left and (queue := self._first_in_line()):
            self._take_slot(queue)

    def _first_in_line(self) -> _Queue[Item, Answer] | None:
        """Who may have a slot next. Those that are being retried keep their place."""
        for line in self._lines if self._locked_slots_left else self._lines[:1]:
            for queue in line:
                if queue.state is _State.PAUSED:
                    return queue
        return None

    def _leave_line(self, queue: _Queue[Item, Answer]) -> None:
        self._lines[queue.waits_in_vain].pop(queue, None)

    # Calls and items

    def _start(self, run: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, entries: deque[_Entry[Item, Answer]], most: int) -> list[_Entry[Item, Answer]]:
        """The next entries that somebody still waits for."""
        batch: list[_Entry[Item, Answer]] = []
        while entries and len(batch) < most:
            entry = entries.popleft()
            if entry.answer.done():
                self._finish(entry, None)  # it has timed out, or nobody waits any longer
            else:
                batch.append(entry)
        return batch

    async def _call(
        self, call: Callable[..., Awaitable[Any]], batch: list[_Entry[Item, Answer]], *how: float
    ) -> list[_Entry[Item, Answer]]:
        """Make the call, and answer its items. Returns those that are busy, in order."""
        if not batch:
            return []
        try:
            answers = await call([entry.item for entry in batch], *how)
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) > 1 and self._fails_alone(error):
                half = len(batch) // 2
                first = await self._call(call, batch[:half], *how)
                return first + await self._call(call, batch[half:], *how)
            for entry in batch:
                self._finish(entry, error)
            return []
        busy = []
        for entry, answer in answered:
            if answer == BUSY:
                busy.append(entry)
            else:
                self._finish(entry, answer)
        return busy

    def _make_room(self, queue: _Queue[Item, Answer] | None) -> None:
        """Room for one more item, whose key has that queue; one of a busy key goes.

        Raises:
            QueueFullError: there is none.
        """
        now = self._loop.time()
        if queue is None or not self._is_held_up(queue, now):
            for other in self._queues.values():  # the oldest first
                while other.entries and self._is_held_up(other, now):
                    entry = other.entries.pop()
                    if entry.is_open:
                        self._finish(entry, QueueFullError())
                        return
        raise QueueFullError

    @staticmethod
    def _is_held_up(queue: _Queue[Item, Answer], now: float) -> bool:
        """Whether its key is busy, or may be: its own call takes long."""
        is_calling = queue.state is _State.OWN_CALL and not queue.is_locked
        return not is_calling or now - queue.since > HELD_UP_SECONDS

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
        for queue in [*self._queues.values()]:
            if queue.state is _State.EMPTY and now - queue.since > EMPTY_SECONDS_MOST:
                del self._queues[queue.key]


def by_key(
    call: SharedCall[Item],
    key_of: Callable[[Item], Hashable],
    *,
    fails_alone: Callable[[Exception], bool],
    calls_most: int,
) -> SharedCall[Item]:
    """A shared call for what can only be called for one key: so many calls at a time.

    A call that fails, perhaps by the fault of one of its items, is for the coalescer to make
    again, as an own call.
    """

    async def shared_call(items: Sequence[Item]) -> list[Any]:
        places: dict[Hashable, list[int]] = {}
        for place, item in enumerate(items):
            places.setdefault(key_of(item), []).append(place)
        answers: list[Any] = [None] * len(items)
        groups = iter(places.values())

        async def call_some() -> None:
            for group in groups:
                try:
                    answered = await call([items[place] for place in group])
                    pairs = list(zip(group, answered, strict=True))
                except Exception as error:
                    again = len(group) > 1 and fails_alone(error)
                    pairs = [(place, BUSY if again else error) for place in group]
                for place, answer in pairs:
                    answers[place] = answer

        await asyncio.gather(*[call_some() for _ in range(min(calls_most, len(places)))])
        return answers

    return shared_call
