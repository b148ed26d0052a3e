"""What buyers requested and what they were told: one entry per request.

As in Jepsen's histories, an entry ends as *acknowledged*, *refused* or *unknown*. What was
acknowledged must be stored, what was refused must not be, and what is unknown may or may not be.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

Outcome = Literal["acknowledged", "refused", "unknown"]

Kind = Literal[
    "read", "purchase", "hold", "hold purchase", "release", "return", "capacity", "nonsense"
]

TAKES = ("purchase", "hold")
"""The kinds of requests that ask for tickets."""

NO_ANSWER = 0
"""The status of a request whose connection broke or whose answer did not arrive in time."""

_CLOCK_OFFSET_SECONDS = time.time() - time.monotonic()


def now() -> float:
    """Seconds since 1970, on a clock that never steps back within a process."""
    return _CLOCK_OFFSET_SECONDS + time.monotonic()


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """A request and its answer.

    Attributes:
        kind: ``nonsense`` is what the service must refuse; ``hold purchase`` turns a hold into a
            purchase, ``return`` gives back tickets of a purchase, ``capacity`` changes how many
            tickets the option has.
        option_id: the option that the request was about.
        user_id: the buyer. Each buyer asks for tickets once, for a purchase or a hold, and what
            follows is about these. Requests of the same buyer and kind are retries, with the same
            Idempotency-Key, except that returns may leave fewer and fewer tickets.
        quantity: tickets requested or, for a return, those that are to remain, or the capacity
            that is to be; None if that was not a sensible number.
        sent_at: by `now`.
        answered_at: by `now`.
        status: the answer's status, or `NO_ANSWER`.
        code: the problem's code, if the answer was a problem.
        id: of the purchase or hold that the answer named, or that the request was about. A hold
            that is purchased keeps its id.
        left: the tickets left, as a read showed them.
        source: the process that sent it; times are only compared within one source.
        is_expected: whether the contract allows this answer to this request.
        expires_in_seconds: how long the requested hold was to run.
    """

    kind: Kind
    option_id: str
    user_id: str | None
    quantity: int | None
    sent_at: float
    answered_at: float
    status: int
    code: str | None
    id: str | None
    left: int | None
    source: str
    is_expected: bool
    expires_in_seconds: int | None = None

    @property
    def outcome(self) -> Outcome:
        """What the sender knows."""
        if 200 <= self.status < 400:
            return "acknowledged"
        return "refused" if 400 <= self.status < 500 else "unknown"


def settled(sends: Sequence[Entry]) -> Outcome:
    """What the sender knows after all requests for the same thing, in order.

    One acknowledgement says that it is done. Otherwise the last answer counts: a refusal settles
    what was sent before it, and says nothing about what is sent afterwards.
    """
    if any(each.outcome == "acknowledged" for each in sends):
        return "acknowledged"
    return sends[-1].outcome


def attempts(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The requests that are no reads: each with its retries, in order."""
    found: dict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.kind != "read":
            found[entry.option_id, entry.user_id, entry.kind, entry.quantity].append(entry)
    return list(found.values())


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    """The first line of a ledger file."""

    title: str
    capacities: dict[str, int]
    deleted: set[str]


class Ledger:
    """The entries of a sale, and what was put on sale.

    Attributes:
        title: which sale this is, for people.
        capacities: tickets put on sale at first, by option id.
        deleted: options that an operator deleted during the sale, with everything sold of them.
        entries: in the order of their answers, per source.
        source: what this process is called in its own entries.
    """

    def __init__(self) -> None:
        self.title = ""
        self.capacities: dict[str, int] = {}
        self.deleted: set[str] = set()
        self.entries: list[Entry] = []
        self.source = uuid.uuid4().hex[:8]

    def totals(self) -> Counter[str]:
        """The number of requests by kind and outcome, such as ``purchase refused``."""
        return Counter(f"{each.kind} {each.outcome}" for each in self.entries)

    def by_option(self) -> dict[str, list[Entry]]:
        """The entries, by option id."""
        found: dict[str, list[Entry]] = {option_id: [] for option_id in self.capacities}
        for entry in self.entries:
            found[entry.option_id].append(entry)
        return found

    def write(self, path: Path) -> None:
        """Write it as JSON lines: what was on sale, then one entry per line."""
        head = _Head(self.title, self.capacities, self.deleted)
        path.write_bytes(msgspec.json.Encoder().encode_lines([head, *self.entries]))

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read a ledger that `write` wrote.

        Raises:
            OSError: there is no such file.
            msgspec.DecodeError: it is not a ledger.
        """
        head_line, _, entry_lines = path.read_bytes().partition(b"\n")
        head = msgspec.json.decode(head_line, type=_Head)
        ledger = cls()
        ledger.title, ledger.capacities, ledger.deleted = head.title, head.capacities, head.deleted
        ledger.entries = msgspec.json.Decoder(Entry).decode_lines(entry_lines)
        return ledger
