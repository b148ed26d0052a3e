"""Ledger entries, one line each."""

from __future__ import annotations

import uuid

from loadtests.proof.ledger import NO_ANSWER, Entry, Ledger

OPTION = str(uuid.UUID(int=42))


def read(
    left: int, sent_at: float, answered_at: float, *, option: str = OPTION, source: str = "a"
) -> Entry:
    """A read, and the tickets left that it showed."""
    return Entry(
        "read", option, None, None, sent_at, answered_at, 200, None, None, left, source, True
    )


def purchase(
    status: int,
    quantity: int,
    sent_at: float = 0.0,
    answered_at: float = 0.0,
    *,
    user: str | None = None,
    purchase_id: str | None = None,
    option: str = OPTION,
    source: str = "a",
) -> Entry:
    """A purchase, by a user of its own unless one is given; 409 is `sold_out`."""
    if status == 201 and purchase_id is None:
        purchase_id = str(uuid.uuid4())
    return Entry(
        "purchase",
        option,
        user or str(uuid.uuid4()),
        quantity,
        sent_at,
        answered_at,
        status,
        "sold_out" if status == 409 else None,
        purchase_id,
        None,
        source,
        status in (201, 409, 503, NO_ANSWER),
    )


def nonsense(*, status: int = 422, option: str = OPTION, user: str | None = None) -> Entry:
    """A purchase that must be refused."""
    return Entry(
        "nonsense",
        option,
        user or str(uuid.uuid4()),
        None,
        0.0,
        0.0,
        status,
        "invalid",
        None,
        None,
        "a",
        400 <= status < 500,
    )


def ledger(capacity: int, *entries: Entry, option: str = OPTION) -> Ledger:
    """A ledger of one option."""
    new = Ledger()
    new.title = "a test"
    new.capacities = {option: capacity}
    new.entries = list(entries)
    return new
