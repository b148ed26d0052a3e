"""get_purchase."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import psycopg

from loadtests.harness.postgres import new_option, value

Connection = psycopg.Connection[Any]

GET = (
    "SELECT id, ticket_option_id, user_id, quantity, clock_timestamp() - created_at "
    "FROM ticketing.get_purchase(%s, %s)"
)
PURCHASE = "SELECT ticketing.purchase_tickets(%s, %s, %s)"


def test_a_purchase_is_read_as_it_was_made(connection: Connection) -> None:
    option, user = new_option(connection, 10), uuid.uuid4()
    purchase = value(connection, PURCHASE, option, user, 3)
    connection.execute(PURCHASE, (option, uuid.uuid4(), 1))

    [(*row, age)] = connection.execute(GET, (option, purchase)).fetchall()

    assert row == [purchase, option, user, 3]
    assert timedelta() <= age < timedelta(minutes=1)


def test_a_purchase_that_does_not_exist_is_no_row(connection: Connection) -> None:
    option = new_option(connection, 10)

    for ids in ((option, uuid.uuid4()), (uuid.uuid4(), uuid.uuid4()), (option, None)):
        assert connection.execute(GET, ids).fetchall() == []


def test_a_purchase_of_another_option_is_no_row(connection: Connection) -> None:
    option, other = new_option(connection, 10), new_option(connection, 10)
    purchase = value(connection, PURCHASE, option, uuid.uuid4(), 3)

    assert connection.execute(GET, (other, purchase)).fetchall() == []
