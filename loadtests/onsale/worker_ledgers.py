"""Collects the records of the load workers of a distributed run."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from loadtests.proof.ledger import Entry, Ledger


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """Some of a worker's entries, in order.

    Attributes:
        total: how many the worker has recorded; None while it may record more.
    """

    entries: list[Entry]
    total: int | None = None


class Outbox:
    """The part of a worker's ledger that it has yet to hand over."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._handed_over = 0

    def next_part(self, *, is_last: bool = False) -> Any:
        """What was recorded since the last part, as plain types that any serialization takes."""
        entries, self._ledger.entries = self._ledger.entries, []
        self._handed_over += len(entries)
        return msgspec.to_builtins(Part(entries, self._handed_over if is_last else None))


class WorkerLedgers:
    """What has arrived at the master, and what is missing.

    Args:
        ledger: receives the entries of all workers.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._arrived: Counter[str] = Counter()
        self._expected: set[str] = set()
        self._totals: dict[str, int] = {}

    def expect(self, worker: str) -> None:
        """Expect records from this worker."""
        self._expected.add(worker)

    def add(self, worker: str, part: Any) -> None:
        """Add a part that came from a worker's `Outbox`.

        Raises:
            msgspec.ValidationError: it is not one.
        """
        converted = msgspec.convert(part, Part)
        if converted.entries:
            self.expect(worker)
        self._ledger.entries += converted.entries
        self._arrived[worker] += len(converted.entries)
        if converted.total is not None:
            self._totals[worker] = converted.total

    def open(self) -> set[str]:
        """The workers whose last part has not arrived."""
        return self._expected - self._totals.keys()

    def losses(self) -> list[str]:
        """A sentence for each worker that lost some or all of its entries."""
        return [
            f"load worker {worker} is gone, and its records are incomplete"
            for worker in sorted(self.open())
        ] + [
            f"load worker {worker} recorded {total} requests, but {self._arrived[worker]} arrived"
            for worker, total in sorted(self._totals.items())
            if total != self._arrived[worker]
        ]
