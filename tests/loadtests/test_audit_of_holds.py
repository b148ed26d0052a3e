"""The audit finds each breach that has to do with holds, returns or the capacity, and no other.

The tests share a database: each has an option and users of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from loadtests.harness.postgres import connect, new_option, value
from loadtests.proof.audit import audit
from loadtests.proof.ledger import NO_ANSWER, Entry, Kind
from tests.loadtests.entries import ledger, request

HOLD_NOT_STORED = "an acknowledged hold is not stored as requested"
PURCHASE_NOT_STORED = "an acknowledged purchase is not stored as requested"
TWICE = "a hold is stored more than once"
REFUSED_HOLD = "a refused hold is stored"
NOT_REQUESTED = "a hold is stored that nobody requested"
PURCHASE_NOT_REQUESTED = "a purchase is stored that nobody requested"
BECAME = "a hold is not what became of it"
LEFT_WRONG = "a purchase has more or fewer tickets than its returns left"
RETURNED_OFTEN = "tickets were returned more or less often than requested"
NOT_CHANGED = "an acknowledged change of the capacity is not stored"
CHANGED = "the capacity was changed as nobody requested"
NOT_THE_CAPACITY = "sold, held and left are not the capacity"

CAPACITY = 50
SECONDS = 600


class Held:
    """A sale that kept the promise: what is stored, and a ledger of it.

    Attributes:
        ledger: `holding` holds 2, `paying` held 3 and purchased them, `releasing` held 4 and let
            them go, `returning` purchased 8 and gave back 3 and then 1, `unsure` gave back some of
            5 and got no answer. `trying` did not get 60. The capacity was changed from 50 to 55.
    """

    def __init__(self, connection: psycopg.Connection[Any], database: str) -> None:
        self.operator_conninfo = make_conninfo(database, user="ticketing_operator")
        self.connection = connection
        connection.execute("SET search_path = ticketing_private")
        self.holding, self.paying, self.releasing = (str(uuid.uuid4()) for _ in range(3))
        self.returning, self.unsure, self.trying = (str(uuid.uuid4()) for _ in range(3))
        self.option = str(new_option(connection, CAPACITY))
        holding, paying = self.hold(self.holding, 2), self.hold(self.paying, 3)
        self.held = holding
        self.released = self.hold(self.releasing, 4)
        self.returned = self.purchase(self.returning, 8)
        unsure = self.purchase(self.unsure, 5)
        self.call("purchase_hold", paying)
        self.call("release_hold", self.released)
        for remaining in (5, 4):
            self.call("return_tickets", self.returned, remaining)
        connection.execute("SELECT ticketing.change_capacity(%s, 5)", (self.option,))
        self.ledger = ledger(
            CAPACITY,
            self.sent("hold", 201, 2, self.holding, holding),
            self.sent("hold", NO_ANSWER, 3, self.paying, None),
            self.sent("hold", 201, 3, self.paying, paying),
            self.sent("hold purchase", NO_ANSWER, 3, self.paying, paying),
            self.sent("hold purchase", 201, 3, self.paying, paying),
            self.sent("hold", 201, 4, self.releasing, self.released),
            self.sent("release", 204, 4, self.releasing, self.released),
            self.sent("purchase", 201, 8, self.returning, self.returned),
            self.sent("return", 200, 5, self.returning, self.returned),
            self.sent("return", 200, 5, self.returning, self.returned),
            self.sent("return", 200, 4, self.returning, self.returned),
            self.sent("purchase", 201, 5, self.unsure, unsure),
            self.sent("return", NO_ANSWER, 1, self.unsure, unsure),
            self.sent("hold", 409, 60, self.trying, None),
            self.sent("capacity", NO_ANSWER, 55, None, None),
            self.sent("capacity", 200, 55, None, None),
            option=self.option,
        )

    def sent(
        self, kind: Kind, status: int, quantity: int, user: str | None, taken_id: str | None
    ) -> Entry:
        return request(
            kind,
            status,
            quantity,
            user=user,
            taken_id=taken_id,
            option=self.option,
            expires_in_seconds=SECONDS if kind == "hold" else None,
        )

    def hold(self, user: str, quantity: int) -> str:
        holding = "SELECT ticketing.hold_tickets(%s::uuid, %s::uuid, %s::integer, %s)"
        return str(value(self.connection, holding, self.option, user, quantity, SECONDS))

    def purchase(self, user: str, quantity: int) -> str:
        selling = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid, %s::integer)"
        return str(value(self.connection, selling, self.option, user, quantity))

    def call(self, function: str, *arguments: object) -> None:
        places = ", ".join(["%s"] * (len(arguments) + 1))
        calling = f"SELECT ticketing.{function}({places})"
        self.connection.execute(calling.encode(), (self.option, *arguments))

    def tamper(self, *statements: str) -> None:
        """Execute statements that no function would; the attributes are parameters."""
        known = {name: each for name, each in vars(self).items() if isinstance(each, str)}
        for statement in statements:
            self.connection.execute(statement.encode(), known)

    def audit(self) -> list[str]:
        """The sentences of the breaches."""
        return [
            breach.sentence
            for breach in audit(self.ledger, self.operator_conninfo)
            if breach.option_id == self.option
        ]


@pytest.fixture
def held(shared_database: str) -> Iterator[Held]:
    with connect(shared_database) as connection:
        yield Held(connection, shared_database)


def test_a_promise_that_was_kept_has_no_breach(held: Held) -> None:
    assert held.audit() == []


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["DELETE FROM holds WHERE user_id = %(holding)s"], HOLD_NOT_STORED),
        (["UPDATE holds SET quantity = 1 WHERE user_id = %(holding)s"], HOLD_NOT_STORED),
        (["DELETE FROM purchases WHERE user_id = %(paying)s"], PURCHASE_NOT_STORED),
        (
            ["UPDATE purchases SET id = gen_random_uuid() WHERE user_id = %(paying)s"],
            PURCHASE_NOT_STORED,
        ),
        (
            [
                "UPDATE holds SET state = 'held', purchased_at = NULL WHERE user_id = %(paying)s",
            ],
            BECAME,
        ),
        (
            [
                "UPDATE holds SET state = 'released', released_at = now()"
                " WHERE user_id = %(holding)s",
            ],
            BECAME,
        ),
        (
            ["UPDATE holds SET state = 'expired', expired_at = now() WHERE user_id = %(holding)s"],
            BECAME,
        ),
        (
            ["UPDATE holds SET state = 'held', released_at = NULL WHERE user_id = %(releasing)s"],
            BECAME,
        ),
        (["DELETE FROM returns WHERE number = 1 AND ticket_option_id = %(option)s"], LEFT_WRONG),
        (
            ["UPDATE returns SET quantity = 2 WHERE number = 2 AND ticket_option_id = %(option)s"],
            LEFT_WRONG,
        ),
        (
            [
                "INSERT INTO returns SELECT ticket_option_id, purchase_id, 3, 1, now()"
                " FROM returns WHERE number = 1 AND ticket_option_id = %(option)s",
            ],
            RETURNED_OFTEN,
        ),
        (
            ["UPDATE returns SET quantity = 4 WHERE number = 1 AND ticket_option_id = %(option)s"],
            NOT_THE_CAPACITY,
        ),
        (
            ["UPDATE ticket_options SET allocation = allocation + 1 WHERE id = %(option)s"],
            NOT_THE_CAPACITY,
        ),
        (["DELETE FROM capacity_changes WHERE ticket_option_id = %(option)s"], NOT_CHANGED),
        (
            ["UPDATE capacity_changes SET capacity_after = 56 WHERE ticket_option_id = %(option)s"],
            CHANGED,
        ),
    ],
)
def test_every_breach_is_found(held: Held, statements: list[str], sentence: str) -> None:
    held.tamper(*statements)
    assert sentence in held.audit()


@pytest.mark.parametrize(
    ("user", "quantity", "sentences"),
    [
        ("holding", 2, [TWICE]),
        ("trying", 5, [REFUSED_HOLD, NOT_REQUESTED]),
        (None, 5, [NOT_REQUESTED]),
    ],
)
def test_an_extra_stored_hold_is_found(
    held: Held, user: str | None, quantity: int, sentences: list[str]
) -> None:
    held.hold(str(uuid.uuid4()) if user is None else getattr(held, user), quantity)
    assert held.audit() == sentences


def test_a_hold_that_nobody_purchased_must_not_become_a_purchase(held: Held) -> None:
    held.call("purchase_hold", held.held)
    assert held.audit() == [PURCHASE_NOT_REQUESTED, BECAME]


@pytest.mark.parametrize("kind", ["purchase", "hold"])
@pytest.mark.parametrize(
    ("answers", "is_stored", "is_breach"),
    [
        ([409], True, True),
        ([NO_ANSWER, 409], True, True),
        ([409, NO_ANSWER], True, False),
        ([409, NO_ANSWER], False, False),
        ([409, NO_ANSWER, 409], True, True),
    ],
)
def test_a_refusal_is_the_last_word_unless_the_buyer_asks_again(
    held: Held, kind: Kind, answers: list[int], is_stored: bool, is_breach: bool
) -> None:
    user = str(uuid.uuid4())
    held.ledger.entries += [held.sent(kind, status, 40, user, None) for status in answers]
    if is_stored:
        {"purchase": held.purchase, "hold": held.hold}[kind](user, 40)
    assert held.audit() == ([f"a refused {kind} is stored"] if is_breach else [])


def test_a_return_whose_outcome_is_unknown_may_have_happened_once(held: Held) -> None:
    [unsure] = held.connection.execute(
        "SELECT id FROM purchases WHERE user_id = %s", (held.unsure,)
    ).fetchall()
    held.call("return_tickets", unsure[0], 1)
    assert held.audit() == []

    held.call("return_tickets", unsure[0], 0)
    assert held.audit() == [LEFT_WRONG, RETURNED_OFTEN]


def test_a_return_that_nobody_requested_is_found(held: Held) -> None:
    purchase = value(held.connection, "SELECT id FROM purchases WHERE user_id = %s", held.paying)
    held.call("return_tickets", purchase, 1)
    assert held.audit() == [LEFT_WRONG, RETURNED_OFTEN]


def test_the_capacity_must_be_what_was_acknowledged_last(held: Held) -> None:
    held.ledger.entries.append(held.sent("capacity", NO_ANSWER, 60, None, None))
    assert held.audit() == []
    held.connection.execute("SELECT ticketing.change_capacity(%s, 5)", (held.option,))
    assert held.audit() == []
    held.ledger.entries.append(held.sent("capacity", 200, 70, None, None))
    assert held.audit() == [NOT_CHANGED, NOT_THE_CAPACITY]
