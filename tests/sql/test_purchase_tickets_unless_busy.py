"""The face of purchase_tickets for one option that does not wait long for its lock."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from loadtests.harness.postgres import connect, new_option, value
from tests.sql.test_purchase_tickets_of_many import USER, A, B, C, lock
from tests.sql.test_purchase_tickets_of_one import left, stored

Connection = psycopg.Connection[Any]

NOWHERE = uuid.UUID(int=99)
QUANTITIES = [600, 500, 400]
UNLESS_BUSY = (
    "SELECT ticketing.purchase_tickets_unless_busy("
    "%s::uuid, %s::uuid[], %s::uuid[], %s::integer[], %s::integer)"
)

each_wait = pytest.mark.parametrize("lock_wait_ms", [0, 50])


def sell(connection: Connection, option: Any, lock_wait_ms: int) -> Any:
    """The outcomes for three purchases, of 600, 500 and 400."""
    return value(connection, UNLESS_BUSY, option, [A, B, C], [USER] * 3, QUANTITIES, lock_wait_ms)


@pytest.fixture
def holder(shared_database: str) -> Iterator[Connection]:
    """Somebody else."""
    with connect(shared_database) as other:
        yield other


@each_wait
def test_it_sells_as_the_function_that_waits(connection: Connection, lock_wait_ms: int) -> None:
    option, empty = new_option(connection, 1000), new_option(connection, 0)

    assert sell(connection, option, lock_wait_ms) == ["created", "sold_out", "created"]
    assert sell(connection, option, lock_wait_ms) == ["exists", "sold_out", "exists"]
    assert sell(connection, empty, lock_wait_ms) == ["sold_out"] * 3
    assert sell(connection, NOWHERE, lock_wait_ms) == ["not_found"] * 3
    assert left(connection, option) == 0


@each_wait
def test_what_is_no_purchase_is_TK003(  # noqa: N802
    connection: Connection, lock_wait_ms: int
) -> None:
    option = new_option(connection, 10)
    for arrays in (([A], [USER], [0]), ([A], [], [1]), (None, None, None), ([None], [USER], [1])):
        with pytest.raises(psycopg.Error) as raised:
            value(connection, UNLESS_BUSY, option, *arrays, lock_wait_ms)
        assert raised.value.sqlstate == "TK003"
    assert left(connection, option) == 10


def test_an_option_that_is_locked_is_busy(connection: Connection, holder: Connection) -> None:
    option = new_option(connection, 1000)
    with holder.transaction():
        lock(holder, option)

        assert sell(connection, option, 0) == ["busy"] * 3

    assert stored(connection, option) == set()
    assert sell(connection, option, 0) == ["created", "sold_out", "created"]


def test_what_cannot_be_filled_is_sold_out_and_not_busy(
    connection: Connection, holder: Connection
) -> None:
    option = new_option(connection, 399)
    with holder.transaction():
        lock(holder, option)

        assert sell(connection, option, 0) == ["sold_out"] * 3


def test_a_wait_for_a_lock_ends_in_time_and_is_no_longer_bounded_afterwards(
    connection: Connection, holder: Connection
) -> None:
    option = new_option(connection, 1000)
    connection.execute("SET lock_timeout = '30s'")
    with holder.transaction():
        lock(holder, option)

        with pytest.raises(psycopg.errors.LockNotAvailable):
            sell(connection, option, 50)

    assert stored(connection, option) == set()
    assert value(connection, "SHOW lock_timeout") == "30s"
    assert sell(connection, option, 50) == ["created", "sold_out", "created"]
    assert value(connection, "SHOW lock_timeout") == "30s"
