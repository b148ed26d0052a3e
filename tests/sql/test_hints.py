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
TRY_CREATE_PAUSED = (
    "SELECT ticketing.try_create_ticket_option(%s, 'a', 'b', 1, NULL, NULL, NULL, NULL, %s)"
)
UPDATE = "SELECT ticketing.update_ticket_option(%s, %s::jsonb)"
TRY_UPDATE = "SELECT ticketing.try_update_ticket_option(%s, %s::jsonb)"
CHANGE_CAPACITY = "SELECT ticketing.change_capacity(%s, %s)"
LIST = "SELECT ticketing.list_ticket_options(%s, 5)"
LIST_PURCHASES = "SELECT ticketing.list_purchases(%s, NULL, %s, 5)"
LIST_HOLDS = "SELECT ticketing.list_holds(%s, NULL, NULL, %s, 5)"
HOLD = "SELECT ticketing.hold_tickets(%s, %s, %s::integer, %s::integer, %s)"
PURCHASE_HOLD = "SELECT ticketing.purchase_hold(%s, %s)"
RELEASE = "SELECT ticketing.release_hold(%s, %s)"
RETURN = "SELECT ticketing.return_tickets(%s, %s, %s::integer)"
RESEND = (
    "SELECT ticketing.try_purchase_tickets("
    "%s::uuid, %s::uuid[], %s::uuid[], %s::integer[], 0, %s::uuid[])"
)
TRY_CREATE = "SELECT ticketing.try_create_ticket_option(%s, %s, %s, %s::integer)"
PURCHASE = "SELECT ticketing.purchase_tickets(%s, %s, %s::integer, %s)"
OF_ONE = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])"
USER = uuid.uuid4()
OPTION, NOWHERE, PURCHASED, NEW = (uuid.uuid4() for _ in range(4))
"""An option of 10 tickets, none, a purchase of 4 of them, and one that was not made."""
LIMITED, PAUSED = uuid.uuid4(), uuid.uuid4()
"""An option whose users have one ticket at most, and one that is paused."""
HELD, RELEASED, HOLD_PURCHASED, LATE = (uuid.uuid4() for _ in range(4))
"""Holds of a ticket."""

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
    shown: object


REFUSALS = {
    "an option with other values": Refusal(
        "create_ticket_option", OPERATOR, CREATE, ("a", "b", 6, OPTION), OPTION
    ),
    "what no option can be": Refusal(
        "try_create_ticket_option_with_rules", BOTH, TRY_CREATE, (NEW, "", "b", 1), None
    ),
    "an option that is neither paused nor not": Refusal(
        "try_create_ticket_option_with_rules", BOTH, TRY_CREATE_PAUSED, (NEW, None), None
    ),
    "what no option can become": Refusal(
        "try_update_ticket_option", BOTH, TRY_UPDATE, (OPTION, '{"name": " "}'), None
    ),
    "changes that are none": Refusal("require_changes", BOTH, TRY_UPDATE, (OPTION, "[]"), None),
    "what is no member": Refusal(
        "require_changes", BOTH, TRY_UPDATE, (OPTION, '{"stock": 1}'), None
    ),
    "what is no moment": Refusal(
        "require_changes",
        BOTH,
        TRY_UPDATE,
        (OPTION, '{"on_sale_from": "2030-13-01T00:00:00Z"}'),
        None,
    ),
    "to change no option": Refusal(
        "update_ticket_option", OPERATOR, UPDATE, (NOWHERE, "{}"), OPTION
    ),
    "less than is sold": Refusal(
        "update_ticket_option", OPERATOR, UPDATE, (OPTION, '{"capacity": 1}'), OPTION
    ),
    "a capacity that cannot be": Refusal(
        "change_capacity", OPERATOR, CHANGE_CAPACITY, (OPTION, -50), None
    ),
    "no such option to begin after": Refusal("list_ticket_options", BOTH, LIST, (NOWHERE,), OPTION),
    "no such purchase to begin after": Refusal(
        "list_purchases", BOTH, LIST_PURCHASES, (OPTION, NOWHERE), PURCHASED
    ),
    "no such hold to begin after": Refusal("list_holds", BOTH, LIST_HOLDS, (OPTION, NOWHERE), HELD),
    "what no purchase can be": Refusal(
        "purchase_tickets", OPERATOR, PURCHASE, (OPTION, USER, 0, NEW), None
    ),
    "a purchase with other values": Refusal(
        "purchase_tickets", OPERATOR, PURCHASE, (OPTION, USER, 5, PURCHASED), PURCHASED
    ),
    "no such option": Refusal("raise_refusal", OPERATOR, PURCHASE, (NOWHERE, USER, 1, NEW), OPTION),
    "more than is left": Refusal("raise_refusal", OPERATOR, PURCHASE, (OPTION, USER, 6, NEW), None),
    "more than a user may have": Refusal(
        "raise_refusal", OPERATOR, PURCHASE, (LIMITED, USER, 6, NEW), None
    ),
    "what is not on sale": Refusal(
        "raise_refusal", OPERATOR, PURCHASE, (PAUSED, USER, 6, NEW), PAUSED
    ),
    "arrays that are no purchases": Refusal(
        "require_purchases", BOTH, OF_ONE, (OPTION, [NEW], [USER], []), None
    ),
    "resends without ids": Refusal(
        "require_resends", BOTH, RESEND, (OPTION, [NEW], [USER], [1], []), None
    ),
    "what no hold can be": Refusal(
        "hold_tickets", OPERATOR, HOLD, (OPTION, USER, 0, 600, NEW), None
    ),
    "a hold of no time": Refusal("require_holds", OPERATOR, HOLD, (OPTION, USER, 1, 0, NEW), None),
    "a hold with other values": Refusal(
        "hold_tickets", OPERATOR, HOLD, (OPTION, USER, 2, 600, HELD), HELD
    ),
    "to purchase nothing": Refusal(
        "purchase_hold", OPERATOR, PURCHASE_HOLD, (OPTION, None), OPTION
    ),
    "to purchase no hold": Refusal("purchase_hold", OPERATOR, PURCHASE_HOLD, (OPTION, NEW), HELD),
    "to purchase a released hold": Refusal(
        "purchase_hold", OPERATOR, PURCHASE_HOLD, (OPTION, RELEASED), None
    ),
    "to purchase a hold around which was purchased": Refusal(
        "purchase_hold", OPERATOR, PURCHASE_HOLD, (OPTION, PURCHASED), PURCHASED
    ),
    "to purchase a hold that ran out": Refusal(
        "purchase_hold", OPERATOR, PURCHASE_HOLD, (LIMITED, LATE), 1
    ),
    "to release no hold": Refusal("release_hold", OPERATOR, RELEASE, (OPTION, NEW), OPTION),
    "to release what was purchased": Refusal(
        "release_hold", OPERATOR, RELEASE, (OPTION, HOLD_PURCHASED), 1
    ),
    "to give nothing back": Refusal("return_tickets", OPERATOR, RETURN, (OPTION, NEW, 0), OPTION),
    "to give back less than nothing": Refusal(
        "return_tickets", OPERATOR, RETURN, (OPTION, PURCHASED, 5), None
    ),
    "to keep less than nothing": Refusal(
        "try_return_tickets", OPERATOR, RETURN, (OPTION, PURCHASED, -1), None
    ),
}


@pytest.fixture(scope="module")
def stored(shared_database: str) -> str:
    """The database, with what the calls are about."""
    with connect(shared_database) as connection:
        connection.execute(CREATE.encode(), ("a", "b", 10, OPTION))
        connection.execute(PURCHASE.encode(), (OPTION, USER, 4, PURCHASED))
        for hold in (HELD, RELEASED, HOLD_PURCHASED, PURCHASED):
            hold_one = (OPTION, USER, 1, 86400, hold)
            connection.execute(HOLD.encode(), hold_one)
        connection.execute(RELEASE.encode(), (OPTION, RELEASED))
        connection.execute(PURCHASE_HOLD.encode(), (OPTION, HOLD_PURCHASED))
        for option, rule in ((LIMITED, '{"max_per_user": 1}'), (PAUSED, '{"paused": true}')):
            connection.execute(CREATE.encode(), ("a", "b", 1, option))
            connection.execute(UPDATE.encode(), (option, rule))
        connection.execute(HOLD.encode(), (LIMITED, USER, 1, 600, LATE))
        connection.execute(
            "UPDATE ticketing_private.holds "
            "SET created_at = '2020-01-01', expires_at = '2020-01-02' WHERE id = %s",
            (LATE,),
        )
        connection.execute(PURCHASE.encode(), (LIMITED, USER, 1, uuid.uuid4()))
    return shared_database


def hint_of(connection: Connection, statement: str, *arguments: object) -> str:
    """The hint of the error that the statement ends with."""
    with pytest.raises(psycopg.Error) as raised, connection.transaction():
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
def test_the_statement_of_a_hint_runs_as_printed(stored: str, case: str, role: str) -> None:
    refusal = REFUSALS[case]
    with connect(stored, role) as connection, connection.transaction(force_rollback=True):
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
