"""Whether what buyers were shown can be true: reads, and refusals because too little was left.

A request takes effect at some moment between its sending and its answer. So a read must show what
was sold before it was sent, and cannot show what was asked for only after it was answered.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from loadtests.proof.ledger import Entry

Finding = tuple[str, str]
"""What was broken, and the particulars."""


def contradictions(capacity: int, entries: Sequence[Entry]) -> Iterator[Finding]:
    """What buyers of an option were shown that cannot be true."""
    sources: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        sources[entry.source].append(entry)
    purchases = {source: _purchases(own) for source, own in sources.items()}
    taken = {source: sum(each.quantity for each in own) for source, own in purchases.items()}
    for source, own in sources.items():
        yield from _too_much(capacity, own, purchases[source])
        # The clocks of two processes are not compared: others may have taken theirs at any time.
        taken_elsewhere = sum(taken.values()) - taken[source]
        yield from _too_little(capacity - taken_elsewhere, own, purchases[source])


class _Purchase:
    """All that was sent for a purchase that may be stored."""

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
        # A refusal is the last word, as audit.sql has it.
        if "acknowledged" in outcomes[user_id] or "refused" not in outcomes[user_id]
    ]


class _Running:
    """What events add up to in the course of time."""

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


def _too_much(
    capacity: int, entries: Sequence[Entry], purchases: Iterable[_Purchase]
) -> Iterator[Finding]:
    """Reads that show tickets which were gone."""
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
    least = _Running(((each.answered_at, left) for each, left in reads), min, capacity)
    for read, left in reads:
        if left < 0:
            yield "a read showed less than nothing", f"{left}"
        most = least.before(read.sent_at)
        if left > most:
            yield "a read showed more than there had been before", f"{left} after {most}"
        most = capacity - sold.before(read.sent_at)
        if left > most:
            yield (
                "a read did not show a purchase that was answered before it",
                f"{left} where {most} could be left at most",
            )


def _too_little(
    capacity: int, entries: Sequence[Entry], purchases: Iterable[_Purchase]
) -> Iterator[Finding]:
    """Reads that show tickets gone which nobody can have taken, and refusals that say so."""
    taken = _Running(((each.sent_at, each.quantity) for each in purchases), operator.add, 0)
    for entry in entries:
        least = capacity - taken.until(entry.answered_at)
        if entry.left is not None and entry.left < least:
            yield (
                "a read showed tickets gone that nobody had asked for",
                f"{entry.left} where {least} had to be left at least",
            )
        if entry.code == "sold_out" and entry.quantity is not None and entry.quantity <= least:
            yield (
                "a purchase was refused as sold out though enough was left",
                f"{entry.quantity} where {least} had to be left at least",
            )
