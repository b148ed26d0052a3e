"""Items that wait for an answer: how many may, for how long, and how a call answers them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

Call = Callable[[Sequence[Item]], Awaitable[Sequence[Any]]]
"""Answers items: one answer for each, in order. An answer may be an exception."""

SPLITS_MAX = 32
"""How often the parts of a batch may be halved after a call failed."""

ARRIVAL_TURNS = 5
"""How many turns of the event loop a request takes from its socket to a queue."""

SWEEP_SECONDS = 0.25
"""How often to look for items that have timed out."""

_NO_ANSWER = object()


class QueueFullError(Exception):
    """There is no room for another item."""


class Entry(Generic[Item, Answer]):
    """An item, and the future that gets its answer."""

    __slots__ = ("answer", "deadline", "is_open", "item")

    def __init__(self, item: Item, answer: asyncio.Future[Answer], deadline: float) -> None:
        self.item = item
        self.answer = answer
        self.deadline = deadline
        self.is_open = True


class Entries(Generic[Item, Answer]):
    """The items that are queued or in flight. Made within the event loop.

    Args:
        fails_alone: whether an error may be the fault of one item of a call.
        items_max: how many items may be queued or in flight.
        timeout_seconds: how long an item may take, give or take `SWEEP_SECONDS`.
        unknown_error: makes what an item gets whose outcome is unknown: it timed out, or its batch
            failed and was not halved far enough to tell whose fault that was.
        busy_answer: the answer to an item that is not to be finished yet.
        swept: called whenever timed-out items have been looked for.
    """

    def __init__(
        self,
        *,
        fails_alone: Callable[[Exception], bool],
        items_max: int,
        timeout_seconds: float,
        unknown_error: Callable[[], Exception],
        busy_answer: object = _NO_ANSWER,
        swept: Callable[[], None] = lambda: None,
    ) -> None:
        self._fails_alone = fails_alone
        self._items_max = items_max
        self._timeout_seconds = timeout_seconds
        self._unknown_error = unknown_error
        self._busy_answer = busy_answer
        self._swept = swept
        self._loop = asyncio.get_running_loop()
        self._unanswered: list[Entry[Item, Answer]] = []
        self._items = 0
        self._sweeper: asyncio.TimerHandle | None = None

    def room(self) -> int:
        """How many items would be taken now."""
        return self._items_max - self._items

    def add(self, item: Item) -> Entry[Item, Answer]:
        """Count an item from now on.

        Raises:
            QueueFullError: there is no room for it.
        """
        if self._items >= self._items_max:
            raise QueueFullError
        self._items += 1
        entry = Entry(item, self._loop.create_future(), self._loop.time() + self._timeout_seconds)
        self._unanswered.append(entry)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return entry

    def take(self, queue: deque[Entry[Item, Answer]], items_max: int) -> list[Entry[Item, Answer]]:
        """Remove and return the first entries that somebody still waits for."""
        batch: list[Entry[Item, Answer]] = []
        while queue and len(batch) < items_max:
            entry = queue.popleft()
            if entry.answer.done():
                self.finish(entry, None)  # it has timed out, or nobody waits for it
            else:
                batch.append(entry)
        return batch

    async def call(
        self, call: Callable[..., Awaitable[Any]], batch: list[Entry[Item, Answer]], *how: float
    ) -> list[Entry[Item, Answer]]:
        """Make the call, and finish its items. Returns those that are busy, in order.

        A call that fails, perhaps by the fault of one item, is made again in halves until that item
        fails alone. At most `SPLITS_MAX` parts are halved, so a batch makes 1 + 2 * SPLITS_MAX = 65
        calls at most, however many of its items are at fault; one in 256 takes 17 calls. After
        that, a part that fails leaves the outcome of its items unknown: none of them is blamed for
        what may be another's fault, and no part goes untried.
        """
        busy: list[Entry[Item, Answer]] = []
        parts, splits = [batch] if batch else [], 0
        while parts:
            part = parts.pop()
            try:
                answers = await call([entry.item for entry in part], *how)
                answered = list(zip(part, answers, strict=True))
            except Exception as error:
                if len(part) == 1 or not self._fails_alone(error):
                    for entry in part:
                        self.finish(entry, error)
                elif splits < SPLITS_MAX:
                    splits += 1
                    half = len(part) // 2
                    parts += part[half:], part[:half]
                else:
                    logger.warning("gave up on %s items of a call: %s", len(part), error)
                    for entry in part:
                        self.finish(entry, self._unknown_error())
                continue
            for entry, answer in answered:
                if answer == self._busy_answer:
                    busy.append(entry)
                else:
                    self.finish(entry, answer)
        return busy

    def finish(self, entry: Entry[Item, Answer], result: Any) -> None:
        """Give an item its answer or its error, unless it has one, and count it no more."""
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
                self.finish(entry, None)  # it has an answer, or nobody waits for it
            elif entry.deadline <= now:
                self.finish(entry, self._unknown_error())
            else:
                unanswered.append(entry)
        self._unanswered = unanswered
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep) if unanswered else None
        self._swept()


async def arrivals() -> None:
    """Let what has already arrived reach its queue. When nothing has, this takes no time."""
    for _ in range(ARRIVAL_TURNS):
        await asyncio.sleep(0)
