"""What changed the number of tickets left of an option, and when, as far as buyers can know.

A request takes effect at some moment between being sent and being answered, and a hold runs out
when its time is over. All times are those of the sender.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from loadtests.proof.ledger import TAKES, Entry, attempts, settled

SHOWN_SECONDS_MAX = 1.0
"""How much later reads may show the tickets of a hold that ran out."""


class Change(NamedTuple):
    """Tickets that were taken, or came back.

    Attributes:
        tickets: that came back; negative: that were taken.
        possible_at: it cannot have happened earlier.
        certain_at: it had happened by then; None: perhaps it never did.
        shown_at: reads that are sent later show it; None: perhaps none does.
    """

    tickets: int
    possible_at: float
    certain_at: float | None
    shown_at: float | None


def changes(entries: Iterable[Entry]) -> list[Change]:
    """What the buyers of one option did to the number of tickets left."""
    found: list[Change] = []
    for own in by_user(entries).values():
        found += _of_buyer(own)
    return found


def by_user(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """What each buyer sent, in order."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.user_id is not None:
            found[entry.user_id].append(entry)
    return found


class Capacity:
    """The capacity of an option over time, as far as its organiser and others can know.

    Args:
        initial: what was put on sale.
        own: the entries of one process.
        elsewhere: those of the others, whose times are not compared.
    """

    def __init__(self, initial: int, own: Iterable[Entry], elsewhere: Iterable[Entry] = ()) -> None:
        self._attempts = sorted(_capacity_attempts(own), key=_sent_at)
        self._always = [each[0].quantity or 0 for each in _capacity_attempts(elsewhere)]
        self._initial = initial

    def range(self, entry: Entry) -> tuple[int, int]:
        """The least and the most that it can have been while the request was under way."""
        latest, possible = self._initial, list(self._always)
        for sends in self._attempts:
            if _sent_at(sends) > entry.answered_at:
                break
            certain_at = _acknowledged_at(sends)
            value = sends[0].quantity or 0
            if certain_at is not None and certain_at < entry.sent_at:
                latest = value
            else:
                possible.append(value)
        return min([latest, *possible]), max([latest, *possible])


def _capacity_attempts(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Each change of the capacity that may have been made, with its retries."""
    sends: list[Entry] = []
    for entry in entries:
        if entry.kind == "capacity":
            if sends and (sends[-1].quantity != entry.quantity or sends[-1].outcome != "unknown"):
                if settled(sends) != "refused":
                    yield sends
                sends = []
            sends.append(entry)
    if sends and settled(sends) != "refused":
        yield sends


def _of_buyer(own: Sequence[Entry]) -> Iterator[Change]:
    by_kind: dict[str, list[list[Entry]]] = defaultdict(list)
    for sends in attempts(own):
        by_kind[sends[0].kind].append(sends)
    quantity = 0
    for take in (sends for kind in TAKES for sends in by_kind[kind]):
        if settled(take) == "refused":
            continue
        quantity = take[0].quantity or 0
        yield _change(-quantity, _sent_at(take), _acknowledged_at(take))
        if take[0].kind == "hold":
            [paid] = by_kind["hold purchase"] or [[]]
            [released] = by_kind["release"] or [[]]
            yield from _ends(take, paid, released)
    for sends in by_kind["return"]:
        if settled(sends) != "refused":
            remaining = sends[0].quantity or 0
            yield _change(quantity - remaining, _sent_at(sends), _acknowledged_at(sends))
            quantity = remaining


def _ends(
    held: Sequence[Entry], paid: Sequence[Entry], released: Sequence[Entry]
) -> Iterator[Change]:
    """What became of the tickets of a hold: it ran out unless it was purchased or released."""
    quantity, seconds = held[0].quantity or 0, held[0].expires_in_seconds or 0
    may_run_out_at = _sent_at(held) + seconds
    held_at = _acknowledged_at(held)
    has_run_out_at = None if held_at is None else held_at + seconds
    if paid and settled(paid) == "refused":
        # Only a hold that has run out is.
        yield _change(quantity, may_run_out_at, paid[-1].answered_at)
    elif paid:
        paid_at = _acknowledged_at(paid)
        if paid_at is None or paid_at >= may_run_out_at:
            # If it ran out before, its tickets were taken anew.
            yield _change(quantity, may_run_out_at, None)
            yield _change(-quantity, _sent_at(paid), paid_at)
    else:
        released_at = _acknowledged_at(released)
        possible_at = min(may_run_out_at, _sent_at(released)) if released else may_run_out_at
        shown_at = None if has_run_out_at is None else has_run_out_at + SHOWN_SECONDS_MAX
        yield Change(
            quantity,
            possible_at,
            _earlier(has_run_out_at, released_at),
            _earlier(shown_at, released_at),
        )


def _change(tickets: int, possible_at: float, certain_at: float | None) -> Change:
    return Change(tickets, possible_at, certain_at, certain_at)


def _earlier(*times: float | None) -> float | None:
    return min((each for each in times if each is not None), default=None)


def _sent_at(sends: Sequence[Entry]) -> float:
    return min(each.sent_at for each in sends)


def _acknowledged_at(sends: Sequence[Entry]) -> float | None:
    return _earlier(*(each.answered_at for each in sends if each.outcome == "acknowledged"))
