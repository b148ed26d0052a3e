"""What a HINT tells people to type works as printed, for every role that may get it."""

from __future__ import annotations

import re
import uuid
from typing import Any, NamedTuple

import psycopg
import pytest

from db import manifest
from loadtests.harness.postgres import connect, new_option, value

Connection = psycopg.Connection[Any]

CREATE = "SELECT ticketing.create_ticket_option(%s, %s, %s::integer, %s)"
TRY_CREATE = "SELECT ticketing.try_create_ticket_option(%s, %s, %s, %s::integer)"
PURCHASE = "SELECT ticketing.purchase_tickets(%s, %s, %s::integer, %s)"
OF_ONE = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])"
USER = uuid.uuid4()
OPTION, NOWHERE, PURCHASED, NEW = (uuid.uuid4() for _ in range(4))
"""An option of 10 tickets, none, a purchase of 4 of them, and one that was not made."""

BOTH = ("ticketing_operator", "ticketing_service")
OPERATOR = ("ticketing_operator",)


class Refusal(NamedTuple):
    """A call that ends with a hint.

    Attributes:
        source: the file of the function that gives it.
        roles: those that may make the call.
        shown: what the hint's statement returns in its first column; None when it has none.
    """

    source: str
    roles: tuple[str, ...]
    statement: str
    arguments: tuple[object, ...]
    shown: uuid.UUID | None


REFUSALS = {
    "an option with other values": Refusal(
        "create_ticket_option", OPERATOR, CREATE, ("a", "b", 6, OPTION), OPTION
    ),
    "what no option can be": Refusal(
        "try_create_ticket_option", BOTH, TRY_CREATE, (NEW, "", "b", 1), None
    ),
    "no such option": Refusal(
        "purchase_tickets", OPERATOR, PURCHASE, (NOWHERE, USER, 1, NEW), OPTION
    ),
    "a purchase with other values": Refusal(
        "purchase_tickets", OPERATOR, PURCHASE, (OPTION, USER, 5, PURCHASED), PURCHASED
    ),
    "more than is left": Refusal(
        "purchase_tickets", OPERATOR, PURCHASE, (OPTION, USER, 7, NEW), None
    ),
    "what no purchase can be": Refusal(
        "purchase_tickets", OPERATOR, PURCHASE, (OPTION, USER, 0, NEW), None
    ),
    "arrays that are no purchases": Refusal(
        "require_purchases", BOTH, OF_ONE, (OPTION, [NEW], [USER], []), None
    ),
}


def hint_of(connection: Connection, statement: str, *arguments: object) -> str:
    """The hint of the error that the statement ends with."""
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.encode(), arguments)
    assert raised.value.diag.message_hint
    return raised.value.diag.message_hint


def test_every_hint_is_tried_here() -> None:
    hints = {
        path.stem: path.read_text().count("HINT = ")
        for path in manifest.procedure_paths()
        if "HINT = " in path.read_text()
    }
    sources = [refusal.source for refusal in REFUSALS.values()]

    assert {source: sources.count(source) for source in sources} == hints


@pytest.mark.parametrize(
    ("case", "role"),
    [(case, role) for case, refusal in REFUSALS.items() for role in refusal.roles],
)
def test_the_statement_of_a_hint_runs_as_printed(
    shared_database: str, case: str, role: str
) -> None:
    refusal = REFUSALS[case]
    with connect(shared_database, "ticketing_operator") as operator:
        operator.execute(CREATE, ("a", "b", 10, OPTION))
        operator.execute(PURCHASE, (OPTION, USER, 4, PURCHASED))
    with connect(shared_database, role) as connection:
        hint = hint_of(connection, refusal.statement, *refusal.arguments)

        statements = re.findall(r"\bselect .*;", hint)
        shown = [row[0] for each in statements for row in connection.execute(each.encode())]

    # Either a whole statement, or words.
    assert len(statements) == len(re.findall(r"\bselect\b", hint, re.IGNORECASE))
    assert bool(statements) == (refusal.shown is not None)
    assert not statements or refusal.shown in shown


@pytest.mark.parametrize(
    ("name", "desc", "allocation"),
    [
        ("a", "b", 10),
        ("it's; --", "back\\slash, %s, %L and $1", 2147483647),
        ("\N{TICKET} \n", "", 4),
    ],
)
def test_the_hint_of_an_option_with_other_values_is_the_call_that_succeeds(
    shared_database: str, name: str, desc: str, allocation: int
) -> None:
    option = uuid.uuid4()
    with connect(shared_database, "ticketing_operator") as operator:
        operator.execute(CREATE, (name, desc, allocation, option))
        operator.execute(PURCHASE, (option, USER, 4, uuid.uuid4()))
        # What is left, which is what reading the option shows.
        hint = hint_of(operator, CREATE, name, desc, allocation - 4, option)
        [statement] = re.findall(r"\bselect .*;", hint, re.DOTALL)

        assert value(operator, statement.replace("%", "%%")) == option

        shown = 'select name, "desc", capacity, sold from ticket_options where id = %s'
        assert operator.execute(shown.encode(), (option,)).fetchall() == [
            (name, desc, allocation, 4)
        ]


def test_what_a_refusal_leaves_can_be_had(shared_database: str) -> None:
    with connect(shared_database, "ticketing_operator") as operator:
        option = new_option(operator, 10)
        hint = hint_of(operator, PURCHASE, option, USER, 11, uuid.uuid4())
        [advised] = re.findall(r"\d+", hint)

        assert value(operator, PURCHASE, option, USER, int(advised), NEW) == NEW
