"""Can what buyers were shown be true? Checks reads, and refusals because too few were left.

A read must show what had certainly happened before it was sent, and cannot show what was requested
only after it was answered.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate

from loadtests.proof.changes import Capacity, Change, changes
from loadtests.proof.ledger import Entry

Finding = tuple[str, str]
"""What was broken, and the details."""


def contradictions(capacity: int, entries: Sequence[Entry]) -> Iterator[Finding]:
    """What the buyers of one option were shown that cannot be true.

    Args:
        capacity: what was put on sale.
    """
    sources: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        sources[entry.source].append(entry)
    found = {source: changes(own) for source, own in sources.items()}
    for source, own in sources.items():
        # Clocks of different processes are not compared: elsewhere it may have happened any time.
        others = [each for each in entries if each.source != source]
        elsewhere = [each for other in sources if other != source for each in found[other]]
        capacities = Capacity(capacity, own, others)
        yield from _too_many_left(
            capacities,
            own,
            found[source],
            sum(each.tickets for each in elsewhere if each.tickets > 0),
        )
        yield from _too_few_left(
            capacities,
            own,
            found[source],
            -sum(each.tickets for each in elsewhere if each.tickets < 0),
        )


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


def _total(events: Iterable[tuple[float | None, int]]) -> _Running:
    """The running total of what has happened; None: perhaps never."""
    return _Running([(at, value) for at, value in events if at is not None], operator.add, 0)


def _too_many_left(
    capacity: Capacity, entries: Sequence[Entry], own: Sequence[Change], back_elsewhere: int
) -> Iterator[Finding]:
    """Reads that show tickets that were already gone."""
    reads = [(each, each.left) for each in entries if each.left is not None]
    gone = _total((each.shown_at, -each.tickets) for each in own if each.tickets < 0)
    maybe_back = _total((each.possible_at, each.tickets) for each in own if each.tickets > 0)
    back = _total((each.shown_at, each.tickets) for each in own if each.tickets > 0)
    # The lowest read, without what had come back by then, and below the capacity.
    lowest = _Running(
        (
            (each.answered_at, left - back.before(each.sent_at) - capacity.range(each)[0])
            for each, left in reads
        ),
        min,
        0,
    )
    for read, left in reads:
        if left < 0:
            yield "a read showed a negative number", f"{left}"
        most = capacity.range(read)[1] + maybe_back.until(read.answered_at) + back_elsewhere
        left_max = most + lowest.before(read.sent_at)
        if left > left_max:
            yield "a read showed more than an earlier read", f"{left} after {left_max}"
        left_max = most - gone.before(read.sent_at)
        if left > left_max:
            yield (
                "a read missed tickets that were taken before it",
                f"{left}, where at most {left_max} could be left",
            )


def _too_few_left(
    capacity: Capacity, entries: Sequence[Entry], own: Sequence[Change], gone_elsewhere: int
) -> Iterator[Finding]:
    """Reads, and refusals as sold out, that count tickets as gone that nobody can have taken."""
    maybe_gone = _total((each.possible_at, -each.tickets) for each in own if each.tickets < 0)
    back = _total((each.certain_at, each.tickets) for each in own if each.tickets > 0)
    shown = _total((each.shown_at, each.tickets) for each in own if each.tickets > 0)
    for entry in entries:
        if entry.left is None and entry.code != "sold_out":
            continue
        least = capacity.range(entry)[0] - gone_elsewhere - maybe_gone.until(entry.answered_at)
        if entry.left is not None:
            left_min = least + shown.before(entry.sent_at)
            if entry.left < left_min:
                yield (
                    "a read showed tickets as gone that nobody had requested",
                    f"{entry.left}, where at least {left_min} must have been left",
                )
        else:
            left_min = least + back.before(entry.sent_at)
            if entry.quantity is not None and entry.quantity <= left_min:
                yield (
                    "a request was refused as sold out although enough were left",
                    f"{entry.quantity}, where at least {left_min} must have been left",
                )
