"""Brings together what the load workers of a distributed run noted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from loadtests.proof.ledger import Entry, Ledger


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """Some of a worker's entries, in their order.

    Attributes:
        total: how many the worker has noted; None while it may note more.
    """

    entries: list[Entry]
    total: int | None = None


class Outbox:
    """What a worker still has to hand over of its ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._handed_over = 0

    def next_part(self, *, is_last: bool = False) -> Any:
        """What was noted since the last part, made of what every serialization knows."""
        entries, self._ledger.entries = self._ledger.entries, []
        self._handed_over += len(entries)
        return msgspec.to_builtins(Part(entries, self._handed_over if is_last else None))


class WorkerLedgers:
    """What has arrived at the master, and what has not.

    Args:
        ledger: gets the entries of all workers.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._arrived: Counter[str] = Counter()
        self._expected: set[str] = set()
        self._totals: dict[str, int] = {}

    def expect(self, worker: str) -> None:
        """Note that the worker takes part."""
        self._expected.add(worker)

    def add(self, worker: str, part: Any) -> None:
        """Take in a part that came from a worker's `Outbox`.

        Raises:
            msgspec.ValidationError: it is none.
        """
        converted = msgspec.convert(part, Part)
        if converted.entries:
            self.expect(worker)
        self._ledger.entries += converted.entries
        self._arrived[worker] += len(converted.entries)
        if converted.total is not None:
            self._totals[worker] = converted.total

    def open(self) -> set[str]:
        """The workers whose last part has not come."""
        return self._expected - self._totals.keys()

    def losses(self) -> list[str]:
        """A sentence for each worker of whose entries some or all are lost."""
        return [
            f"load worker {worker} is gone, and what it noted is not complete"
            for worker in sorted(self.open())
        ] + [
            f"load worker {worker} noted {total} requests, and {self._arrived[worker]} arrived"
            for worker, total in sorted(self._totals.items())
            if total != self._arrived[worker]
        ]
