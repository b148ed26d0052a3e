"""The audit finds each breach of the promise, and nothing where there is none."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from loadtests.harness.postgres import connect, new_option
from loadtests.proof.audit import audit
from loadtests.proof.ledger import NO_ANSWER, Ledger
from tests.loadtests.entries import ledger, nonsense, purchase, read

NOT_AS_REQUESTED = "an acknowledged purchase is not stored as requested"
TWICE = "a purchase is stored more than once"
REFUSED = "a refused purchase is stored"
NOT_REQUESTED = "a purchase is stored that nobody requested"
NOT_THE_CAPACITY = "sold, held and left are not the capacity"
HISTORY = "option_history() does not end with what is left"
DIFFERENCE = "audit_allocations() found a difference"
NOT_IN_CONTRACT = "an answer is not in the contract"

CAPACITY = 20


class Sold:
    """A sale that kept the promise: what is stored, and a ledger of it.

    Attributes:
        ledger: of an option with 20 tickets. `acknowledged` bought 2, `retried` bought 3 after
            getting no answer at first, and `unknown` bought 4, so 11 are left. `never_stored` got
            no answer either, `refused` wanted too many, and `unsure` got no answer and was then
            refused.
    """

    acknowledged, retried, unknown = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
    never_stored, refused, unsure = (str(uuid.UUID(int=number)) for number in (4, 5, 6))

    def __init__(self, connection: psycopg.Connection[Any], database: str) -> None:
        self.operator_conninfo = make_conninfo(database, user="ticketing_operator")
        self.connection = connection
        self.connection.execute("SET search_path = ticketing_private")
        self.option = str(new_option(self.connection, CAPACITY))
        first, second = self.store(self.acknowledged, 2), self.store(self.retried, 3)
        self.store(self.unknown, 4)
        self.ledger = ledger(
            CAPACITY,
            self.sent(201, 2, user=self.acknowledged, taken_id=first),
            self.sent(NO_ANSWER, 3, user=self.retried),
            self.sent(201, 3, user=self.retried, taken_id=second),
            self.sent(503, 4, user=self.unknown),
            self.sent(NO_ANSWER, 5, user=self.never_stored),
            self.sent(409, 12, user=self.refused),
            self.sent(NO_ANSWER, 12, user=self.unsure),
            self.sent(409, 12, user=self.unsure),
            nonsense(option=self.option),
            nonsense(option=self.option, user=self.acknowledged),
            read(11, 0, 0, option=self.option),
            option=self.option,
        )

    def sent(self, status: int, quantity: int, **values: Any) -> Any:
        """An entry for a purchase of this option, sent at the same time as all others."""
        return purchase(status, quantity, 0, 0, option=self.option, **values)

    def store(self, user: str, quantity: int, *, option: str | None = None) -> str:
        """Sell tickets behind the ledger's back."""
        selling = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid, %s::integer)"
        [stored] = self.connection.execute(selling, (option or self.option, user, quantity))
        return str(stored[0])

    def tamper(self, *statements: str) -> None:
        """Execute statements that no function would; `%(option)s` and the users are parameters."""
        users = {name: value for name, value in vars(Sold).items() if isinstance(value, str)}
        for statement in statements:
            self.connection.execute(statement.encode(), {"option": self.option, **users})

    def audit(self) -> list[str]:
        """The sentences of the breaches."""
        return [breach.sentence for breach in audit(self.ledger, self.operator_conninfo)]


@pytest.fixture
def sold(database: str) -> Iterator[Sold]:
    with connect(database) as connection:
        yield Sold(connection, database)


def test_a_promise_that_was_kept_has_no_breach(any_database: str) -> None:
    with connect(any_database) as connection:
        assert Sold(connection, any_database).audit() == []


@pytest.mark.parametrize(
    ("statements", "sentences"),
    [
        (
            [
                "DELETE FROM purchases WHERE user_id = %(acknowledged)s",
                "UPDATE ticket_options SET allocation = allocation + 2",
            ],
            [NOT_AS_REQUESTED],
        ),
        (
            [
                "UPDATE purchases SET quantity = 1 WHERE user_id = %(acknowledged)s",
                "UPDATE ticket_options SET allocation = allocation + 1",
            ],
            [NOT_AS_REQUESTED, NOT_REQUESTED],
        ),
        (
            ["UPDATE purchases SET user_id = gen_random_uuid() WHERE user_id = %(acknowledged)s"],
            [NOT_AS_REQUESTED, NOT_REQUESTED],
        ),
        (
            ["UPDATE purchases SET id = gen_random_uuid() WHERE user_id = %(acknowledged)s"],
            [NOT_AS_REQUESTED],
        ),
        (["UPDATE purchases SET id = gen_random_uuid() WHERE user_id = %(unknown)s"], []),
        (
            [
                "UPDATE purchases SET quantity = 1 WHERE user_id = %(unknown)s",
                "UPDATE ticket_options SET allocation = allocation + 3",
            ],
            [NOT_REQUESTED],
        ),
        (
            [
                "UPDATE ticket_options SET capacity = capacity + 1, allocation = allocation + 1",
            ],
            [NOT_THE_CAPACITY],
        ),
        (["UPDATE ticket_options SET allocation = 10"], [NOT_THE_CAPACITY, HISTORY, DIFFERENCE]),
    ],
    ids=[
        "an acknowledged purchase is gone",
        "an acknowledged purchase has a different quantity",
        "an acknowledged purchase has a different user",
        "an acknowledged purchase has a different id",
        "an unknown purchase may have any id",
        "an unknown purchase has a different quantity",
        "there are more tickets than were put on sale",
        "a ticket has come back",
    ],
)
def test_every_breach_is_found(sold: Sold, statements: list[str], sentences: list[str]) -> None:
    sold.tamper(*statements)
    assert sold.audit() == sentences


@pytest.mark.parametrize(
    ("user", "quantity", "sentences"),
    [
        (Sold.never_stored, 5, []),
        (Sold.never_stored, 6, [NOT_REQUESTED]),
        (Sold.acknowledged, 2, [TWICE]),
        (Sold.unknown, 4, [TWICE]),
        (Sold.refused, 11, [REFUSED, NOT_REQUESTED]),
        (str(uuid.UUID(int=7)), 1, [NOT_REQUESTED]),
    ],
    ids=[
        "an unknown purchase is stored late",
        "an unknown purchase is stored with a different quantity",
        "an acknowledged purchase is stored twice",
        "an unknown purchase is stored twice",
        "a refused purchase is partly stored",
        "nobody requested it",
    ],
)
def test_an_extra_stored_purchase_is_found(
    sold: Sold, user: str, quantity: int, sentences: list[str]
) -> None:
    sold.store(user, quantity)
    assert sold.audit() == sentences


@pytest.mark.parametrize("user", [Sold.refused, Sold.unsure], ids=["at once", "when retried"])
def test_a_purchase_that_was_finally_refused_must_not_be_stored(sold: Sold, user: str) -> None:
    sold.tamper(
        "DELETE FROM purchases WHERE user_id = %(unknown)s",
        "UPDATE ticket_options SET allocation = allocation + 4",
    )
    sold.store(user, 12)
    assert sold.audit() == [REFUSED]


def test_nonsense_must_not_be_stored(sold: Sold) -> None:
    entry = nonsense(option=sold.option)
    sold.ledger.entries.append(entry)
    assert entry.user_id
    sold.store(entry.user_id, 1)
    assert sold.audit() == [REFUSED, NOT_REQUESTED]


def test_acknowledged_nonsense_is_a_breach(sold: Sold) -> None:
    sold.ledger.entries.append(nonsense(option=sold.option, status=201))
    assert sold.audit() == [NOT_AS_REQUESTED, NOT_IN_CONTRACT]


def test_a_negative_allocation_is_a_breach_even_if_the_sum_is_right(sold: Sold) -> None:
    sold.tamper(
        "ALTER TABLE ticket_options DROP CONSTRAINT ticket_options_allocation_range",
        "UPDATE ticket_options SET allocation = -5",
        "UPDATE purchases SET quantity = quantity + 16 WHERE user_id = %(unknown)s",
    )
    sold.ledger.entries.append(sold.sent(503, 20, user=sold.unknown))
    assert sold.audit() == [NOT_THE_CAPACITY]


def test_a_purchase_of_the_wrong_option_is_a_breach(sold: Sold) -> None:
    other = str(new_option(sold.connection, CAPACITY))
    sold.ledger.capacities[other] = CAPACITY
    stored = sold.store(str(uuid.uuid4()), 1, option=other)
    sold.ledger.entries.append(sold.sent(201, 1, taken_id=stored))
    assert sold.audit() == [NOT_AS_REQUESTED, NOT_REQUESTED]


def test_an_option_outside_the_sale_is_not_compared_but_must_add_up(sold: Sold) -> None:
    other = new_option(sold.connection, CAPACITY)
    sold.store(str(uuid.uuid4()), 1, option=str(other))
    assert sold.audit() == []

    sold.connection.execute("UPDATE ticket_options SET allocation = 1 WHERE id = %s", (other,))
    assert sold.audit() == [DIFFERENCE]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_an_option_may_be_missing_only_if_it_was_deleted(sold: Sold, is_deleted: bool) -> None:
    gone = str(uuid.uuid4())
    sold.ledger.capacities[gone] = CAPACITY
    if is_deleted:
        sold.ledger.deleted.add(gone)
        sold.ledger.entries += [
            purchase(201, 1, option=gone),
            purchase(409, 1, option=gone),
            read(-1, 0, 0, option=gone),
        ]
    assert sold.audit() == ([] if is_deleted else [NOT_THE_CAPACITY])


def test_the_audit_covers_what_reads_showed(sold: Sold) -> None:
    sold.ledger.entries.append(read(12, 1, 2, option=sold.option))
    assert sold.audit() == ["a read showed more than an earlier read"]


@pytest.mark.parametrize(
    "keep", [lambda entry: entry.kind != "purchase", lambda entry: entry.outcome == "unknown"]
)
def test_without_an_acknowledged_purchase_nothing_is_proven(
    sold: Sold, keep: Callable[[Any], bool]
) -> None:
    sold.ledger.entries = [entry for entry in sold.ledger.entries if keep(entry)]
    with pytest.raises(ValueError, match="no purchase was acknowledged"):
        sold.audit()


def test_without_a_database_nothing_is_proven(sold: Sold) -> None:
    with pytest.raises(psycopg.OperationalError):
        audit(sold.ledger, make_conninfo(sold.operator_conninfo, host="/nowhere"))


def test_without_a_ledger_nothing_is_proven(sold: Sold) -> None:
    with pytest.raises(ValueError, match="no purchase was acknowledged"):
        audit(Ledger(), sold.operator_conninfo)
