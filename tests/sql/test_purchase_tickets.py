"""The face of purchase_tickets for people: it returns the purchase's id, or raises."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from loadtests.harness.postgres import connect, new_option, value

Connection = psycopg.Connection[Any]

PURCHASE = "SELECT ticketing.purchase_tickets(%s, %s, %s::integer)"
PURCHASE_AS = "SELECT ticketing.purchase_tickets(%s, %s, %s::integer, %s)"
MOST = 2147483647
USER = uuid.UUID("406c1d05-bbb2-4e94-b183-7d208c2692e1")


def everything(connection: Connection) -> Any:
    """All that a purchase could change, and where the rows lie: an update would move them."""
    options = "SELECT ctid, xmin, * FROM ticketing_private.ticket_options ORDER BY id"
    purchases = "SELECT ctid, xmin, * FROM ticketing_private.purchases ORDER BY id"
    return connection.execute(options).fetchall(), connection.execute(purchases).fetchall()


def left(connection: Connection, option: Any) -> Any:
    return value(connection, "SELECT allocation FROM ticketing.get_ticket_option(%s)", option)


def refusal(connection: Connection, statement: str, *arguments: object) -> psycopg.Error:
    """The error that the statement ends with, having changed nothing."""
    before = everything(connection)
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.encode(), arguments)
    assert everything(connection) == before
    return raised.value


def hint(error: psycopg.Error) -> str:
    assert error.diag.message_hint
    return error.diag.message_hint


def test_a_purchase_takes_its_tickets_and_is_stored(connection: Connection) -> None:
    option = new_option(connection, 10)

    purchase = value(connection, PURCHASE, option, USER, 3)

    assert left(connection, option) == 7
    assert connection.execute(
        "SELECT ticket_option_id, id, user_id, quantity, created_at <= clock_timestamp() "
        "FROM ticketing_private.purchases WHERE ticket_option_id = %s",
        (option,),
    ).fetchall() == [(option, purchase, USER, 3, True)]


def test_a_user_may_purchase_again_and_gets_another_purchase(connection: Connection) -> None:
    option = new_option(connection, 10)

    purchases = {value(connection, PURCHASE, option, USER, 2) for _ in range(3)}

    assert len(purchases) == 3
    assert left(connection, option) == 4


@pytest.mark.parametrize(
    "call",
    [
        "purchase_tickets('{option}', '{user}', 2)",
        "purchase_tickets('{option}', '{user}', 2, '{purchase}')",
        "purchase_tickets(option_id => '{option}', user_id => '{user}', qty => 2)",
        "purchase_tickets(qty => 2, user_id => '{user}', option_id => '{option}')",
        "purchase_tickets('{option}', '{user}', 2, purchase_id => '{purchase}')",
        "purchase_tickets('{option}', '{user}', qty => 2, purchase_id => '{purchase}')",
        "purchase_tickets('{option}', array['{purchase}']::uuid[], array['{user}']::uuid[], "
        "array[2])",
        "purchase_tickets(option_id => '{option}', purchase_ids => '{{{purchase}}}', "
        "user_ids => '{{{user}}}', quantities => '{{2}}')",
    ],
)
def test_an_operator_purchases_with_what_is_typed_in_psql(shared_database: str, call: str) -> None:
    with connect(shared_database, "ticketing_operator") as operator:
        option = value(operator, "select create_ticket_option('a', 'b', 10)")
        typed = call.format(option=option, user=USER, purchase=uuid.uuid4())

        operator.execute(f"select {typed}")

        assert left(operator, option) == 8
        bought = "select user_id from purchases where ticket_option_id = %s"
        assert value(operator, bought, option) == USER


def test_an_option_that_does_not_exist_is_TK001(connection: Connection) -> None:  # noqa: N802
    new_option(connection, 10)
    unknown = uuid.uuid4()

    error = refusal(connection, PURCHASE, unknown, USER, 1)

    assert error.sqlstate == "TK001"
    assert error.diag.message_primary == f"ticket option {unknown} does not exist"
    assert hint(error).startswith("See what is on sale: ")


@pytest.mark.parametrize(
    ("allocation", "quantity", "message", "advice"),
    [
        (10, 11, "not enough tickets left: 11 requested, 10 available", "Request at most 10."),
        (
            10,
            MOST,
            f"not enough tickets left: {MOST} requested, 10 available",
            "Request at most 10.",
        ),
        (1, 2, "not enough tickets left: 2 requested, 1 available", "Request at most 1."),
        (
            MOST - 1,
            MOST,
            f"not enough tickets left: {MOST} requested, {MOST - 1} available",
            f"Request at most {MOST - 1}.",
        ),
        (
            0,
            1,
            "not enough tickets left: 1 requested, 0 available",
            "The ticket option is sold out.",
        ),
        (
            0,
            MOST,
            f"not enough tickets left: {MOST} requested, 0 available",
            "The ticket option is sold out.",
        ),
    ],
)
def test_more_than_is_left_is_TK002(  # noqa: N802
    connection: Connection, allocation: int, quantity: int, message: str, advice: str
) -> None:
    option = new_option(connection, allocation)

    error = refusal(connection, PURCHASE, option, USER, quantity)

    assert error.sqlstate == "TK002"
    assert error.diag.message_primary == message
    assert str(option) in str(error.diag.message_detail)
    assert hint(error) == advice


@pytest.mark.parametrize("quantity", [0, -1, -MOST - 1, None])
def test_a_quantity_below_one_or_missing_is_TK003(  # noqa: N802
    connection: Connection, quantity: int | None
) -> None:
    option = new_option(connection, 10)

    error = refusal(connection, PURCHASE, option, USER, quantity)

    assert error.sqlstate == "TK003"
    shown = "NULL" if quantity is None else quantity
    assert f"got {option}, {USER}, {shown}, " in str(error.diag.message_primary)
    assert f"1 to {MOST}" in hint(error)


@pytest.mark.parametrize("missing", ["option", "user", "purchase"])
def test_an_id_that_is_null_is_TK003(connection: Connection, missing: str) -> None:  # noqa: N802
    option = new_option(connection, 10)
    ids = {"option": option, "user": USER, "purchase": uuid.uuid4(), missing: None}

    error = refusal(connection, PURCHASE_AS, ids["option"], ids["user"], 1, ids["purchase"])

    assert error.sqlstate == "TK003"
    assert str(error.diag.message_primary).count("NULL") == 2, "the rule, and what was passed"
    assert hint(error)


@pytest.mark.parametrize("quantity", ["2147483648", "2.5", "true"])
def test_what_is_no_integer_is_no_quantity(connection: Connection, quantity: str) -> None:
    option = new_option(connection, 10)

    error = refusal(
        connection, f"SELECT ticketing.purchase_tickets('{option}', '{USER}', {quantity})"
    )

    assert isinstance(error, psycopg.errors.UndefinedFunction)


def test_the_largest_allocation_is_purchased_whole_and_at_once(connection: Connection) -> None:
    option = new_option(connection, MOST)
    connection.execute("SET statement_timeout = '1s'")

    connection.execute(PURCHASE, (option, USER, MOST))

    assert left(connection, option) == 0
    bought = "SELECT quantity FROM ticketing.purchases WHERE ticket_option_id = %s"
    assert value(connection, bought, option) == MOST
    assert refusal(connection, PURCHASE, option, USER, 1).sqlstate == "TK002"


def test_the_last_ticket_is_sold_and_the_next_is_not(connection: Connection) -> None:
    option = new_option(connection, 2)
    connection.execute(PURCHASE, (option, USER, 1))

    connection.execute(PURCHASE, (option, USER, 1))

    assert left(connection, option) == 0
    assert hint(refusal(connection, PURCHASE, option, USER, 1)) == "The ticket option is sold out."


@pytest.mark.parametrize("allocation", [10, 4], ids=["with tickets left", "sold out since"])
def test_a_purchase_that_is_sent_again_is_sold_once(
    connection: Connection, allocation: int
) -> None:
    option, purchase = new_option(connection, allocation), uuid.uuid4()
    connection.execute(PURCHASE_AS, (option, USER, 4, purchase))
    before = everything(connection)

    assert value(connection, PURCHASE_AS, option, USER, 4, purchase) == purchase

    assert everything(connection) == before


@pytest.mark.parametrize(
    ("user", "quantity"),
    [(USER, 3), (USER, 5), (USER, 11), (uuid.uuid4(), 4)],
    ids=["fewer", "more", "more than are left", "another user"],
)
def test_a_stored_purchase_sent_again_with_other_values_is_TK004(  # noqa: N802
    connection: Connection, user: uuid.UUID, quantity: int
) -> None:
    option, purchase = new_option(connection, 10), uuid.uuid4()
    connection.execute(PURCHASE_AS, (option, USER, 4, purchase))

    error = refusal(connection, PURCHASE_AS, option, user, quantity, purchase)

    assert error.sqlstate == "TK004"
    assert (
        error.diag.message_primary
        == f"purchase {purchase} already exists with a different user or quantity"
    )
    assert f"describe_purchase('{option}', '{purchase}')" in hint(error)


def test_a_refused_purchase_may_be_tried_again_with_its_id(connection: Connection) -> None:
    option, purchase = new_option(connection, 4), uuid.uuid4()
    assert refusal(connection, PURCHASE_AS, option, USER, 5, purchase).sqlstate == "TK002"

    assert value(connection, PURCHASE_AS, option, USER, 4, purchase) == purchase

    assert left(connection, option) == 0


def test_the_same_id_on_another_option_is_another_purchase(connection: Connection) -> None:
    options, purchase = [new_option(connection, 10) for _ in range(2)], uuid.uuid4()

    for option in options:
        assert value(connection, PURCHASE_AS, option, USER, 4, purchase) == purchase

    assert [left(connection, option) for option in options] == [6, 6]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_purchase_in_an_old_snapshot_is_refused_and_not_oversold(
    shared_database: str, level: str
) -> None:
    with connect(shared_database) as late, connect(shared_database) as other:
        option = new_option(other, 5)
        late.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
        assert left(late, option) == 5
        other.execute(PURCHASE, (option, USER, 5))

        with pytest.raises(psycopg.errors.SerializationFailure):
            late.execute(PURCHASE, (option, USER, 1))

        late.execute("ROLLBACK")
        assert left(late, option) == 0
