"""Calls as large as BATCH_SIZE can make them, for both functions that sell to many.

Each answers within a tenth of the service's statement timeout; a step that takes quadratic time for
repeated ids runs past it. That is a bound of sanity, and no measurement of speed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from api.settings import Settings
from loadtests.harness.postgres import connect, new_option, value
from tests.sql.test_purchase_tickets_of_many import OF_MANY
from tests.sql.test_purchase_tickets_of_one import OF_ONE, USER, left

Connection = psycopg.Connection[Any]

LARGEST = 10_000
"""The largest BATCH_SIZE."""


@pytest.fixture
def seller(shared_database: str) -> Iterator[Connection]:
    """With the service's statement timeout."""
    with connect(shared_database, "ticketing_operator") as connection:
        connection.execute(f"SET statement_timeout = '{Settings().statement_timeout_seconds}s'")
        yield connection


def new_options(connection: Connection, allocation: int) -> list[Any]:
    rows = connection.execute(
        "SELECT ticketing.create_ticket_option('a', 'b', %s) FROM generate_series(1, %s)",
        (allocation, LARGEST),
    )
    return [option for (option,) in rows]


def test_ids_that_are_each_sent_twice_are_sold_once(seller: Connection) -> None:
    option, half = new_option(seller, LARGEST), [uuid.uuid4() for _ in range(LARGEST // 2)]
    call = OF_ONE, option, half * 2, [USER] * LARGEST, [1] * LARGEST

    outcomes = value(seller, *call)
    again = value(seller, *call)

    assert outcomes == ["created"] * len(half) + ["exists"] * len(half)
    assert again == ["exists"] * LARGEST
    assert left(seller, option) == LARGEST // 2


def test_one_id_that_is_refused_and_then_fits_is_sold_once(seller: Connection) -> None:
    option, same = new_option(seller, 1), [uuid.uuid4()] * LARGEST
    half = LARGEST // 2

    outcomes = value(seller, OF_ONE, option, same, [USER] * LARGEST, [2] * half + [1] * half)

    assert outcomes == ["sold_out"] * half + ["created"] + ["exists"] * (half - 1)


@pytest.mark.parametrize("is_same_id", [False, True], ids=["ids of their own", "one id for all"])
def test_a_purchase_of_each_of_many_options_is_sold_once(
    seller: Connection, is_same_id: bool
) -> None:
    options, same = new_options(seller, 1), uuid.uuid4()
    ids = [same if is_same_id else uuid.uuid4() for _ in options]
    call = OF_MANY, options, ids, [USER] * LARGEST, [1] * LARGEST

    outcomes = value(seller, *call)
    again = value(seller, *call)

    assert outcomes == ["created"] * LARGEST
    assert again == ["exists"] * LARGEST
