"""Allocations that do not add up, as the database itself finds them."""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from db import session


class Wrong(NamedTuple):
    """An allocation that does not add up: what is ``missing`` is not 0."""

    option_id: str
    name: str
    capacity: int
    allocation: int
    sold: int
    missing: int


def audit(conninfo: str) -> tuple[list[Wrong], int]:
    """Return the allocations that are wrong, and how many ticket options there are."""
    with psycopg.connect(session.own(conninfo)) as connection:
        rows = connection.execute(
            "SELECT ticket_option_id::text, name, capacity, allocation, sold, missing "
            "FROM ticketing.audit_allocations()"
        ).fetchall()
        [[count]] = connection.execute("SELECT count(*) FROM ticketing.ticket_options").fetchall()
    return [Wrong(*row) for row in rows], count
