"""audit_allocations, and the constraints that leave it nothing to find."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from loadtests.harness.postgres import connect, new_option, value

Connection = psycopg.Connection[Any]

AUDIT = (
    "SELECT ticket_option_id, name, capacity, allocation, sold, missing "
    "FROM ticketing.audit_allocations()"
)
OF_ONE = "SELECT ticketing.purchase_tickets(%s, %s::uuid[], %s::uuid[], %s::integer[])"
PURCHASE = "SELECT ticketing.purchase_tickets(%s, %s, %s)"
MOST = 2147483647
USER = uuid.uuid4()


@pytest.fixture
def connection(shared_database: str) -> Iterator[Connection]:
    """As the superuser, in a transaction that is rolled back: the audit sees all options."""
    with connect(shared_database) as connection, connection.transaction(force_rollback=True):
        yield connection


def test_there_is_nothing_to_find_after_sales(connection: Connection) -> None:
    assert connection.execute(AUDIT).fetchall() == []
    outcomes = []
    for allocation in (0, 1, 10, MOST):
        option = new_option(connection, allocation)
        ids = [uuid.uuid4() for _ in range(5)]
        quantities = [1, 3, 7, MOST - 1, MOST]
        outcomes += value(connection, OF_ONE, option, ids, ids, quantities)

    assert connection.execute(AUDIT).fetchall() == []
    assert (outcomes.count("created"), outcomes.count("sold_out")) == (6, 14)


@pytest.mark.parametrize(
    ("tampering", "capacity", "allocation", "sold", "missing"),
    [
        ("UPDATE ticket_options SET allocation = 5 WHERE id = %(option)s", 10, 5, 4, 1),
        ("UPDATE ticket_options SET allocation = 10 WHERE id = %(option)s", 10, 10, 4, -4),
        ("UPDATE ticket_options SET capacity = 7 WHERE id = %(option)s", 7, 6, 4, -3),
        ("DELETE FROM purchases WHERE ticket_option_id = %(option)s", 10, 6, 0, 4),
        ("UPDATE purchases SET quantity = 1 WHERE ticket_option_id = %(option)s", 10, 6, 1, 3),
        (
            "INSERT INTO purchases (ticket_option_id, id, user_id, quantity)"
            " SELECT %(option)s, gen_random_uuid(), gen_random_uuid(), 2147483647"
            " FROM generate_series(1, 3)",
            10,
            6,
            4 + 3 * MOST,
            -3 * MOST,
        ),
    ],
)
def test_an_option_that_somebody_tampered_with_is_found_and_no_other(
    connection: Connection,
    tampering: str,
    capacity: int,
    allocation: int,
    sold: int,
    missing: int,
) -> None:
    option, other = new_option(connection, 10), new_option(connection, 10)
    for each in (option, other):
        connection.execute(PURCHASE, (each, USER, 4))
    connection.execute("SET search_path = ticketing_private")

    connection.execute(tampering.encode(), {"option": option})

    assert connection.execute(AUDIT).fetchall() == [
        (option, "a", capacity, allocation, sold, missing)
    ]


@pytest.mark.parametrize(("table", "lost"), [("purchases", 4), ("holds", 2)])
def test_what_is_of_no_option_is_found(connection: Connection, table: str, lost: int) -> None:
    option = new_option(connection, 10)
    connection.execute("SELECT ticketing.purchase_tickets(%s, %s, 4)", (option, USER))
    connection.execute("SELECT ticketing.hold_tickets(%s, %s, 2)", (option, USER))
    nobody = uuid.uuid4()

    connection.execute(
        f"UPDATE ticketing_private.{table} SET ticket_option_id = %s".encode(), (nobody,)
    )

    found = {
        row[0]: row[1]
        for row in connection.execute(
            "SELECT ticket_option_id, findings FROM ticketing.audit_allocations()"
        )
    }
    assert found.keys() == {option, nobody}
    assert found[nobody] == "the ticket option is missing"
    assert f"tickets lost: {lost}" in found[option]


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE ticket_options SET allocation = -1", "ticket_options_allocation_range"),
        ("UPDATE ticket_options SET allocation = 11", "ticket_options_allocation_range"),
        ("UPDATE ticket_options SET capacity = 5", "ticket_options_allocation_range"),
        ("UPDATE ticket_options SET name = ' '", "ticket_options_name_is_not_blank"),
        ("UPDATE ticket_options SET name = repeat('n', 256)", "ticket_options_name_length"),
        (
            "UPDATE ticket_options SET description = repeat('d', 10001)",
            "ticket_options_description_length",
        ),
        (
            "UPDATE ticket_options SET updated_at = '-infinity'",
            "ticket_options_updated_after_created",
        ),
        ("UPDATE purchases SET quantity = 0", "purchases_quantity_range"),
        ("UPDATE purchases SET quantity = -1", "purchases_quantity_range"),
        ("INSERT INTO purchases SELECT * FROM purchases", "purchases_pkey"),
        ("INSERT INTO ticket_options SELECT * FROM ticket_options", "ticket_options_pkey"),
    ],
)
def test_what_cannot_be_is_refused_even_to_the_owner(
    connection: Connection, statement: str, constraint: str
) -> None:
    connection.execute(PURCHASE, (new_option(connection, 10), USER, 4))
    connection.execute("SET ROLE ticketing_owner")
    connection.execute("SET search_path = ticketing_private")

    with pytest.raises(psycopg.errors.IntegrityError) as raised:
        connection.execute(statement.encode())

    assert raised.value.diag.constraint_name == constraint
