"""Ledger entries, one line each."""

from __future__ import annotations

import uuid

from loadtests.proof.ledger import NO_ANSWER, Entry, Kind, Ledger

OPTION = str(uuid.UUID(int=42))

CODES = {
    "purchase": "sold_out",
    "hold": "sold_out",
    "hold purchase": "hold_expired",
    "capacity": "capacity_in_use",
}
"""Of a 409, by the kind of the request."""


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
    taken_id: str | None = None,
    option: str = OPTION,
    source: str = "a",
) -> Entry:
    """A purchase, by a user of its own unless one is given; 409 is `sold_out`."""
    if status == 201 and taken_id is None:
        taken_id = str(uuid.uuid4())
    return Entry(
        "purchase",
        option,
        user or str(uuid.uuid4()),
        quantity,
        sent_at,
        answered_at,
        status,
        "sold_out" if status == 409 else None,
        taken_id,
        None,
        source,
        status in (201, 409, 503, NO_ANSWER),
    )


def request(
    kind: Kind,
    status: int,
    quantity: int,
    sent_at: float = 0.0,
    answered_at: float = 0.0,
    *,
    user: str | None = None,
    taken_id: str | None = None,
    option: str = OPTION,
    source: str = "a",
    expires_in_seconds: int | None = None,
) -> Entry:
    """A request of any kind that changes something; 409 is what `CODES` has for it."""
    return Entry(
        kind,
        option,
        user,
        quantity,
        sent_at,
        answered_at,
        status,
        CODES[kind] if status == 409 else None,
        taken_id,
        None,
        source,
        True,
        expires_in_seconds,
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
