"""Can what buyers were shown be true? Checks reads, and refusals because too few were left.

A request takes effect at some moment between being sent and being answered. So a read must show
what was sold before it was sent, and cannot show what was requested only after it was answered.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from loadtests.proof.ledger import Entry

Finding = tuple[str, str]
"""What was broken, and the details."""


def contradictions(capacity: int, entries: Sequence[Entry]) -> Iterator[Finding]:
    """What the buyers of one option were shown that cannot be true."""
    sources: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        sources[entry.source].append(entry)
    purchases = {source: _purchases(own) for source, own in sources.items()}
    taken = {source: sum(each.quantity for each in own) for source, own in purchases.items()}
    for source, own in sources.items():
        yield from _too_many_left(capacity, own, purchases[source])
        # Clocks of different processes are not compared: other sources may have bought at any time.
        taken_elsewhere = sum(taken.values()) - taken[source]
        yield from _too_few_left(capacity - taken_elsewhere, own, purchases[source])


class _Purchase:
    """All requests for one purchase that may be stored."""

    def __init__(self, sends: Sequence[Entry]) -> None:
        self.quantity = max(each.quantity or 0 for each in sends)
        self.sent_at = min(each.sent_at for each in sends)
        self.acknowledged_at = min(
            (each.answered_at for each in sends if each.outcome == "acknowledged"), default=None
        )


def _purchases(entries: Iterable[Entry]) -> list[_Purchase]:
    sends: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.kind == "purchase":
            sends[entry.user_id].append(entry)
    outcomes = {user_id: {each.outcome for each in own} for user_id, own in sends.items()}
    return [
        _Purchase(own)
        for user_id, own in sends.items()
        # A refusal settles all attempts, as in audit.sql.
        if "acknowledged" in outcomes[user_id] or "refused" not in outcomes[user_id]
    ]


class _Running:
    """A running total of events over time."""

    def __init__(
        self, events: Iterable[tuple[float, int]], combine: Callable[[int, int], int], start: int
    ) -> None:
        ordered = sorted(events)
        self._times = [at for at, _ in ordered]
        self._values = list(accumulate((value for _, value in ordered), combine, initial=start))

    def before(self, at: float) -> int:
        return self._values[bisect_left(self._times, at)]

    def until(self, at: float) -> int:
        return self._values[bisect_right(self._times, at)]


def _too_many_left(
    capacity: int, entries: Sequence[Entry], purchases: Iterable[_Purchase]
) -> Iterator[Finding]:
    """Reads that show tickets that were already gone."""
    reads = [(each, each.left) for each in entries if each.left is not None]
    sold = _Running(
        (
            (each.acknowledged_at, each.quantity)
            for each in purchases
            if each.acknowledged_at is not None
        ),
        operator.add,
        0,
    )
    lowest = _Running(((each.answered_at, left) for each, left in reads), min, capacity)
    for read, left in reads:
        if left < 0:
            yield "a read showed a negative number", f"{left}"
        left_max = lowest.before(read.sent_at)
        if left > left_max:
            yield "a read showed more than an earlier read", f"{left} after {left_max}"
        left_max = capacity - sold.before(read.sent_at)
        if left > left_max:
            yield (
                "a read missed a purchase that was acknowledged before it",
                f"{left}, where at most {left_max} could be left",
            )


def _too_few_left(
    capacity: int, entries: Sequence[Entry], purchases: Iterable[_Purchase]
) -> Iterator[Finding]:
    """Reads, and refusals as sold out, that count tickets as gone that nobody can have bought."""
    taken = _Running(((each.sent_at, each.quantity) for each in purchases), operator.add, 0)
    for entry in entries:
        left_min = capacity - taken.until(entry.answered_at)
        if entry.left is not None and entry.left < left_min:
            yield (
                "a read showed tickets as gone that nobody had requested",
                f"{entry.left}, where at least {left_min} must have been left",
            )
        if entry.code == "sold_out" and entry.quantity is not None and entry.quantity <= left_min:
            yield (
                "a purchase was refused as sold out although enough were left",
                f"{entry.quantity}, where at least {left_min} must have been left",
            )
