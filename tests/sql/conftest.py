"""The life of a ticket, in a transaction that is rolled back, while the clock stands at noon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtests.harness.postgres import connect
from tests.sql.lifecycle import Connection, Life, stop_clock


@pytest.fixture
def at_noon(shared_database: str) -> Iterator[Connection]:
    """A superuser's connection, in a transaction."""
    with connect(shared_database) as connection, connection.transaction(force_rollback=True):
        stop_clock(connection)
        yield connection


@pytest.fixture
def life(at_noon: Connection) -> Iterator[Life]:
    """An option of ten tickets, whose numbers add up in the end."""
    made = Life(at_noon)
    yield made
    made.check()
