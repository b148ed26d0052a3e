"""Allocations that do not add up, as the database itself finds them."""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from db import session


class Wrong(NamedTuple):
    """An option whose numbers do not add up, and what is wrong: see audit_allocations.sql.

    Attributes:
        name: None if there are purchases or holds of an option that is not there; so are capacity
            and allocation then.
    """

    option_id: str
    name: str | None
    capacity: int | None
    allocation: int | None
    held: int
    sold: int
    findings: str


def audit(conninfo: str) -> tuple[list[Wrong], int]:
    """Return the allocations that are wrong, and how many ticket options there are."""
    with psycopg.connect(session.own(conninfo)) as connection:
        rows = connection.execute(
            "SELECT ticket_option_id::text, name, capacity, allocation, held, sold, findings "
            "FROM ticketing.audit_allocations()"
        ).fetchall()
        [[count]] = connection.execute("SELECT count(*) FROM ticketing.ticket_options").fetchall()
    return [Wrong(*row) for row in rows], count
