"""Whether the promise was kept: what buyers were answered against what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from loadtests.proof import reads
from loadtests.proof.ledger import Ledger

AUDIT = Path(__file__).with_name("audit.sql")


class Breach(NamedTuple):
    """Something that the service promises and did not keep.

    Attributes:
        sentence: what was broken.
        option_id: of which option.
        particulars: what else is known.
    """

    sentence: str
    option_id: str
    particulars: str


def audit(ledger: Ledger, operator_conninfo: str) -> list[Breach]:
    """What the service promised and did not keep; empty if all is well.

    Nothing may be under way any longer, neither at the buyers nor in the service.

    Args:
        operator_conninfo: how to ask the database, as ``ticketing_operator``.

    Raises:
        psycopg.Error: the database could not be asked, so nothing is proven.
        ValueError: no purchase was acknowledged, so nothing is proven.
    """
    if not ledger.totals()["purchase acknowledged"]:
        raise ValueError("no purchase was acknowledged, so there is nothing to audit")
    breaches = list(_stored_otherwise(ledger, operator_conninfo))
    for option_id, entries in ledger.by_option().items():
        if option_id not in ledger.deleted:
            capacity = ledger.capacities[option_id]
            breaches += [
                Breach(sentence, option_id, particulars)
                for sentence, particulars in reads.contradictions(capacity, entries)
            ]
    breaches += [
        Breach(
            "an answer is not one of the contract",
            entry.option_id,
            f"{entry.kind} was answered {entry.status} {entry.code or ''}",
        )
        for entry in ledger.entries
        if not entry.is_expected
    ]
    return breaches


def _stored_otherwise(ledger: Ledger, operator_conninfo: str) -> Iterator[Breach]:
    """Breaches of what is stored, by audit.sql."""
    capacities = {
        option_id: capacity
        for option_id, capacity in ledger.capacities.items()
        if option_id not in ledger.deleted
    }
    asked = [
        entry
        for entry in ledger.entries
        if entry.user_id is not None and entry.option_id in capacities
    ]
    parameters: dict[str, list[Any]] = {
        "capacity_option_ids": list(capacities),
        "capacities": list(capacities.values()),
        "option_ids": [entry.option_id for entry in asked],
        "user_ids": [entry.user_id for entry in asked],
        "quantities": [entry.quantity for entry in asked],
        "outcomes": [entry.outcome for entry in asked],
        "purchase_ids": [entry.purchase_id for entry in asked],
    }
    with psycopg.connect(operator_conninfo) as operator:
        # The planner knows nothing of what is in the arrays, and might take them for small.
        operator.execute("SET enable_nestloop = off")
        for sentence, option_id, particulars in operator.execute(AUDIT.read_bytes(), parameters):
            yield Breach(sentence, str(option_id), particulars)
