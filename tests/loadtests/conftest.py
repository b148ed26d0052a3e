"""A service for buyers, and what it takes to audit it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from loadtests.harness import service
from loadtests.harness.service import Service


@pytest.fixture
def operator_url(database: str) -> str:
    return make_conninfo(database, user="ticketing_operator")


@pytest.fixture
def served(database: str) -> Iterator[Service]:
    """A service of two workers."""
    with service.running(DATABASE_URL=database, WORKERS="2") as started:
        yield started
