"""Was the promise kept? Compares what buyers were told with what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from loadtests.proof import reads
from loadtests.proof.ledger import Ledger

AUDIT = Path(__file__).with_name("audit.sql")


class Breach(NamedTuple):
    """A promise that the service broke.

    Attributes:
        sentence: what was broken.
        option_id: the option concerned.
        details: further details.
    """

    sentence: str
    option_id: str
    details: str


def audit(ledger: Ledger, operator_conninfo: str) -> list[Breach]:
    """Return every breach of the promise; an empty list if it was kept.

    Nothing may still be in flight, neither from the buyers nor in the service.

    Args:
        operator_conninfo: connects to the database as ``ticketing_operator``.

    Raises:
        psycopg.Error: the database could not be queried, so nothing is proven.
        ValueError: no purchase was acknowledged, so nothing is proven.
    """
    if not ledger.totals()["purchase acknowledged"]:
        raise ValueError("no purchase was acknowledged, so there is nothing to audit")
    breaches = list(_wrongly_stored(ledger, operator_conninfo))
    for option_id, entries in ledger.by_option().items():
        if option_id not in ledger.deleted:
            capacity = ledger.capacities[option_id]
            breaches += [
                Breach(sentence, option_id, details)
                for sentence, details in reads.contradictions(capacity, entries)
            ]
    breaches += [
        Breach(
            "an answer is not in the contract",
            entry.option_id,
            f"{entry.kind} was answered {entry.status} {entry.code or ''}",
        )
        for entry in ledger.entries
        if not entry.is_expected
    ]
    return breaches


def _wrongly_stored(ledger: Ledger, operator_conninfo: str) -> Iterator[Breach]:
    """The breaches that audit.sql finds in what is stored."""
    capacities = {
        option_id: capacity
        for option_id, capacity in ledger.capacities.items()
        if option_id not in ledger.deleted
    }
    asked = [
        entry for entry in ledger.entries if entry.kind != "read" and entry.option_id in capacities
    ]
    parameters: dict[str, list[Any]] = {
        "capacity_option_ids": list(capacities),
        "capacities": list(capacities.values()),
        "kinds": [entry.kind for entry in asked],
        "option_ids": [entry.option_id for entry in asked],
        "user_ids": [entry.user_id for entry in asked],
        "quantities": [entry.quantity for entry in asked],
        "outcomes": [entry.outcome for entry in asked],
        "ids": [entry.id for entry in asked],
    }
    with psycopg.connect(operator_conninfo) as operator:
        # The planner cannot see into the arrays, and might assume that they are small.
        operator.execute("SET enable_nestloop = off")
        # What is ruled out looks so expensive that all the rest would be compiled, for seconds.
        operator.execute("SET jit = off")
        for sentence, option_id, details in operator.execute(AUDIT.read_bytes(), parameters):
            yield Breach(sentence, str(option_id), details)
