"""What happened when: a ledger's figures over time, for charts.

All times are seconds since the first request of the sale was sent.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from loadtests.proof.changes import by_user
from loadtests.proof.ledger import NO_ANSWER, Entry, Ledger, attempts, settled

Points = list[tuple[float, float]]

INTERVALS = 40
"""How many a sale is divided into, for what is counted per interval."""

MOMENTS = 160
"""How many points to sample, for what has a value at every moment."""


class Latencies(NamedTuple):
    """How long answers took, in milliseconds.

    Attributes:
        answers: how many there were; half of them took no longer than p50, and so on.
    """

    answers: int
    p50: float
    p90: float
    p99: float
    max: float


class Interval(NamedTuple):
    """An interval of the sale.

    Attributes:
        begins: when it begins.
        ends: when it ends.
        outcomes: of the requests that were answered, or given up, in it.
        latencies: of the answers; None if there were none.
    """

    begins: float
    ends: float
    outcomes: Counter[str]
    latencies: Latencies | None


class Timeline:
    """The course of a sale.

    Attributes:
        seconds: from the first request to the last answer.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._start = min((entry.sent_at for entry in ledger.entries), default=0.0)
        end = max((entry.answered_at for entry in ledger.entries), default=self._start)
        self.seconds = (end - self._start) or 1.0

    def sold(self) -> Points:
        """Tickets that buyers had been told were theirs, at each moment."""
        return self._adding_up(0, sold(self._ledger.entries))

    def held(self) -> Points:
        """Tickets that buyers had been told were held for them, at each moment."""
        return self._adding_up(0, held(self._ledger.entries))

    def left(self) -> Points:
        """Tickets left of all options, by the latest read of each, at each moment."""
        latest = dict(self._ledger.capacities)
        changes = []
        for entry in sorted(self._ledger.entries, key=lambda entry: entry.answered_at):
            if entry.left is not None and entry.option_id in latest:
                changes.append((entry.answered_at, entry.left - latest[entry.option_id]))
                latest[entry.option_id] = entry.left
        return self._adding_up(sum(self._ledger.capacities.values()), changes)

    def intervals(self) -> list[Interval]:
        """The sale, divided into intervals of equal length."""
        length = self.seconds / INTERVALS
        entries: list[list[Entry]] = [[] for _ in range(INTERVALS)]
        for entry in self._ledger.entries:
            place = int((entry.answered_at - self._start) / length)
            entries[min(place, INTERVALS - 1)].append(entry)
        return [
            Interval(
                number * length,
                (number + 1) * length,
                Counter(entry.outcome for entry in own),
                latencies(own),
            )
            for number, own in enumerate(entries)
        ]

    def _adding_up(self, start: float, changes: Iterable[tuple[float, float]]) -> Points:
        times, values = [], [start]
        for at, change in sorted(changes):
            times.append(at - self._start)
            values.append(values[-1] + change)
        moments = [self.seconds * number / MOMENTS for number in range(MOMENTS + 1)]
        return [(moment, values[bisect_right(times, moment)]) for moment in moments]


def sold(entries: Iterable[Entry]) -> Iterator[tuple[float, int]]:
    """When buyers were told that they have how many tickets more, or fewer."""
    for own in by_user(entries).values():
        quantity = 0
        for entry in first_acknowledged(own):
            if entry.kind in ("purchase", "hold purchase", "return"):
                has = entry.quantity or 0
                yield entry.answered_at, has - quantity
                quantity = has


def held(entries: Iterable[Entry]) -> Iterator[tuple[float, int]]:
    """When how many tickets more, or fewer, were held, as far as buyers were told."""
    for own in by_user(entries).values():
        told = {entry.kind: entry for entry in first_acknowledged(own)}
        if "hold" in told:
            hold = told["hold"]
            quantity = hold.quantity or 0
            ends = [told[kind].answered_at for kind in ("hold purchase", "release") if kind in told]
            yield hold.answered_at, quantity
            yield min([hold.answered_at + (hold.expires_in_seconds or 0), *ends]), -quantity


def first_acknowledged(entries: Iterable[Entry]) -> list[Entry]:
    """Of each thing that was asked for, the request that was acknowledged first."""
    return [
        next(each for each in sends if each.outcome == "acknowledged")
        for sends in attempts(entries)
        if settled(sends) == "acknowledged"
    ]


def latencies(entries: Iterable[Entry]) -> Latencies | None:
    """The latencies of the entries' answers; None if there were none."""
    milliseconds = sorted(
        (entry.answered_at - entry.sent_at) * 1000 for entry in entries if entry.status != NO_ANSWER
    )
    if not milliseconds:
        return None
    return Latencies(
        len(milliseconds),
        _percentile(milliseconds, 0.5),
        _percentile(milliseconds, 0.9),
        _percentile(milliseconds, 0.99),
        milliseconds[-1],
    )


def _percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that this part of them does not exceed."""
    return ordered[math.ceil(len(ordered) * part) - 1]
