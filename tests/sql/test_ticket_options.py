"""create_ticket_option and get_ticket_option."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from loadtests.harness.postgres import connect, value

Connection = psycopg.Connection[Any]

CREATE = "SELECT ticketing.create_ticket_option(%s, %s, %s::integer)"
TRY_CREATE = "SELECT ticketing.try_create_ticket_option(%s, %s, %s, %s::integer)"
CREATE_AS = "SELECT ticketing.create_ticket_option(%s, %s, %s::integer, %s)"
GET = 'SELECT id, name, "desc", allocation FROM ticketing.get_ticket_option(%s)'
GET_MANY = 'SELECT id, name, "desc", allocation FROM ticketing.get_ticket_options(%s::uuid[])'
MOST = 2147483647
EMOJI = "\N{ADMISSION TICKETS}\N{VARIATION SELECTOR-16}"


def count(connection: Connection) -> Any:
    return value(connection, "SELECT count(*) FROM ticketing_private.ticket_options")


@pytest.mark.parametrize(
    ("name", "desc", "allocation"),
    [
        ("example", "sample description", 100),
        ("a", "", 0),
        ("n" * 255, "d" * 10000, MOST),
        (EMOJI, f"for {EMOJI} only", 1),
        ("\N{TICKET}" * 255, "\N{TICKET}" * 10000, 1),
        ("  padded\n", " ", 1),
        ("\u200b", "a zero-width space is no white space", 1),
        ("'; DROP TABLE ticket_options; --", '%s \\ "', 1),
    ],
)
def test_an_option_is_read_as_it_was_created(
    connection: Connection, name: str, desc: str, allocation: int
) -> None:
    option = value(connection, CREATE, name, desc, allocation)

    assert connection.execute(GET, (option,)).fetchall() == [(option, name, desc, allocation)]


@pytest.mark.parametrize(
    ("name", "desc", "allocation", "message"),
    [
        ("", "", 1, "name must "),
        ("n" * 256, "", 1, "name must be 1 to 255 characters long"),
        ("\N{TICKET}" * 256, "", 1, "name must be 1 to 255 characters long"),
        (" ", "", 1, "name must be 1 to 255 characters long and not only white space"),
        ("\t\n\v\f\r", "", 1, "name must be 1 to 255 characters long and not only white space"),
        ("\u0085", "", 1, "name must be 1 to 255 characters long and not only white space"),
        ("\u00a0", "", 1, "name must be 1 to 255 characters long and not only white space"),
        (
            "\u2003\u2028\u2029\u202f\u205f",
            "",
            1,
            "name must be 1 to 255 characters long and not only white space",
        ),
        (" \u3000\u1680 ", "", 1, "name must be 1 to 255 characters long and not only white space"),
        ("a", "d" * 10001, 1, "desc must be at most 10000 characters long"),
        ("a", "", -1, f"allocation must be an integer from 0 to {MOST}"),
        ("a", "", -MOST - 1, f"allocation must be an integer from 0 to {MOST}"),
        (None, "", 1, "name, desc, allocation and option_id must not be NULL"),
        ("a", None, 1, "name, desc, allocation and option_id must not be NULL"),
        ("a", "", None, "name, desc, allocation and option_id must not be NULL"),
    ],
)
def test_what_no_option_can_be_is_TK003_in_words(  # noqa: N802
    connection: Connection, name: str, desc: str, allocation: int, message: str
) -> None:
    before = count(connection)

    with pytest.raises(psycopg.Error) as raised:
        connection.execute(CREATE, (name, desc, allocation))

    assert raised.value.sqlstate == "TK003"
    assert str(raised.value.diag.message_primary).startswith(message)
    assert "1 to 255" in str(raised.value.diag.message_hint)
    assert count(connection) == before


def test_an_option_id_that_is_null_is_TK003(connection: Connection) -> None:  # noqa: N802
    with pytest.raises(psycopg.Error, match="option_id must not be NULL") as raised:
        connection.execute(CREATE_AS, ("a", "b", 1, None))

    assert raised.value.sqlstate == "TK003"


def test_an_option_that_is_created_again_is_the_same_one(connection: Connection) -> None:
    option = uuid.uuid4()
    for _ in range(2):
        assert value(connection, CREATE_AS, "a", "b", 10, option) == option

    assert connection.execute(GET, (option,)).fetchall() == [(option, "a", "b", 10)]


def test_an_option_that_is_created_again_after_sales_keeps_them(connection: Connection) -> None:
    option = value(connection, CREATE, "a", "b", 10)
    connection.execute("SELECT ticketing.purchase_tickets(%s, %s, 4)", (option, uuid.uuid4()))

    assert value(connection, CREATE_AS, "a", "b", 10, option) == option

    assert connection.execute(GET, (option,)).fetchall() == [(option, "a", "b", 6)]


@pytest.mark.parametrize("values", [("x", "b", 10), ("a", "x", 10), ("a", "b", 11), ("a", "b", 6)])
def test_an_option_id_that_is_stored_with_other_values_is_TK004(  # noqa: N802
    connection: Connection, values: tuple[str, str, int]
) -> None:
    option = value(connection, CREATE, "a", "b", 10)
    connection.execute("SELECT ticketing.purchase_tickets(%s, %s, 4)", (option, uuid.uuid4()))

    with pytest.raises(psycopg.Error) as raised:
        connection.execute(CREATE_AS, (*values, option))

    assert raised.value.sqlstate == "TK004"
    assert (
        raised.value.diag.message_primary
        == f"ticket option {option} already exists with different values"
    )
    assert connection.execute(GET, (option,)).fetchall() == [(option, "a", "b", 6)]


@pytest.mark.parametrize("sold", [0, 1, 10])
def test_trying_to_create_says_what_is_stored(connection: Connection, sold: int) -> None:
    option = uuid.uuid4()
    outcomes = [value(connection, TRY_CREATE, option, "a", "b", 10)]
    if sold:
        connection.execute("SELECT ticketing.purchase_tickets(%s, %s, %s)", (option, option, sold))

    outcomes += [
        value(connection, TRY_CREATE, option, *values)
        for values in (("a", "b", 10), ("x", "b", 10), ("a", "x", 10), ("a", "b", 9))
    ]

    assert outcomes == ["created", "exists", *["exists_different"] * 3]
    assert connection.execute(GET, (option,)).fetchall() == [(option, "a", "b", 10 - sold)]


def test_what_no_option_can_be_is_TK003_also_where_its_id_is_stored(  # noqa: N802
    connection: Connection,
) -> None:
    option = value(connection, CREATE, "a", "b", 10)

    for values in (("", "b", 10), ("a", None, 10), ("a", "b", -1)):
        with pytest.raises(psycopg.Error) as raised:
            connection.execute(TRY_CREATE, (option, *values))
        assert raised.value.sqlstate == "TK003"


def test_an_option_that_does_not_exist_is_no_row(connection: Connection) -> None:
    assert connection.execute(GET, (uuid.uuid4(),)).fetchall() == []
    assert connection.execute(GET, (None,)).fetchall() == []


@pytest.mark.parametrize(
    "call",
    [
        "create_ticket_option('Evening show', 'Stalls', 100)",
        "create_ticket_option(name => 'Evening show', \"desc\" => 'Stalls', allocation => 100)",
        "create_ticket_option('Evening show', 'Stalls', 100, gen_random_uuid())",
    ],
)
def test_an_operator_creates_with_what_is_typed_in_psql(shared_database: str, call: str) -> None:
    with connect(shared_database, "ticketing_operator") as operator:
        option = value(operator, f"select {call}")

        shown = 'select name, "desc", capacity, allocation, sold from ticket_options where id = %s'
        assert operator.execute(shown.encode(), (option,)).fetchall() == [
            ("Evening show", "Stalls", 100, 100, 0)
        ]


def test_many_options_are_read_in_one_call(connection: Connection) -> None:
    options = {value(connection, CREATE, f"name {each}", "", each): each for each in range(5)}
    asked = [*options, *options, uuid.uuid4()]

    rows = connection.execute(GET_MANY, (asked,)).fetchall()

    assert sorted(rows) == sorted((id_, f"name {each}", "", each) for id_, each in options.items())
    assert connection.execute(GET_MANY, ([],)).fetchall() == []
    assert connection.execute(GET_MANY, ([None],)).fetchall() == []
    assert connection.execute(GET_MANY, (None,)).fetchall() == []
