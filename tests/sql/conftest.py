"""What the tests of the SQL functions need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from db import migrate
from tests.postgres import Server, connect


@contextmanager
def migrated_database(server: Server) -> Iterator[str]:
    """A database that was migrated itself: a template's copy lacks the privileges on a database."""
    with server.database("template0") as conninfo:
        migrate.migrate(conninfo)
        yield conninfo


@pytest.fixture(scope="module", params=["postgres_18", "postgres_15"])
def shared_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Like ``any_database``, but one for all tests of a module: each has options of its own."""
    server: Server = request.getfixturevalue(request.param)
    with migrated_database(server) as conninfo:
        yield conninfo


@pytest.fixture
def connection(shared_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection to the shared database."""
    with connect(shared_database) as connection:
        yield connection
