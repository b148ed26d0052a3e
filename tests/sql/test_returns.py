"""Giving tickets back: in whole or in part, once, to the option, the limit and the lists alike."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from tests.sql.lifecycle import Life, set_clock

DESCRIBED = (
    "SELECT quantity, purchased_quantity, cancelled_at IS NOT NULL "
    "FROM ticketing.describe_purchase(%s, %s)"
)


def described(life: Life, purchase: uuid.UUID) -> object:
    return life.connection.execute(DESCRIBED, (life.option, purchase)).fetchone()


def test_a_purchase_is_given_back_once(life: Life) -> None:
    *_, purchase = life.purchase(4)
    assert described(life, purchase) == (4, None, False)

    assert [life.give_back(purchase) for _ in range(2)] == [("returned", 0), ("unchanged", 0)]

    assert life.counted() == (0, 0, 10)
    assert described(life, purchase) == (0, 4, True)
    assert life.history()[1:] == [("purchased", -4, 6), ("returned", 4, 10)]


def test_parts_are_given_back_by_saying_what_is_to_remain(life: Life) -> None:
    *_, purchase = life.purchase(5)

    asked = [(3, "returned"), (3, "unchanged"), (4, "too_many"), (2, "returned"), (5, "too_many")]
    assert [life.give_back(purchase, remaining)[0] for remaining, _ in asked] == [
        outcome for _, outcome in asked
    ]
    assert described(life, purchase) == (2, 5, True)
    assert life.counted() == (2, 0, 8)
    returns = "SELECT array_agg(quantity ORDER BY number) FROM ticketing.returns"
    assert life.value(f"{returns} WHERE purchase_id = %s", purchase) == [2, 1]


def test_what_was_given_back_is_sold_again(life: Life) -> None:
    *_, first = life.purchase(10)
    assert life.purchase(1)[0] == "sold_out"

    life.give_back(first, 7)

    assert life.purchase(3)[0] == "created"
    assert life.purchase(1)[0] == "sold_out"


def test_a_purchase_that_was_given_back_is_stored_as_it_was_made(life: Life) -> None:
    *_, purchase = life.purchase(4)
    life.give_back(purchase)

    assert life.purchase(4, id=purchase)[0] == "exists"
    assert life.purchase(1, id=purchase)[0] == "exists_different"
    assert life.counted() == (0, 0, 10)


def test_a_purchased_hold_is_given_back_as_any_purchase(life: Life) -> None:
    *_, hold = life.hold(4)
    life.purchase_hold(hold)

    assert life.give_back(hold, 1) == ("returned", 1)

    assert life.counted() == (1, 0, 9)
    assert life.purchase_hold(hold) == "exists"
    assert life.state(hold) == "purchased"


def test_a_hold_is_not_given_back_as_a_purchase(life: Life) -> None:
    *_, hold = life.hold(4)

    assert life.give_back(hold) == ("not_found", None)
    assert life.counted() == (0, 4, 6)


def test_the_times_are_those_of_the_return(life: Life) -> None:
    *_, purchase = life.purchase(4)
    set_clock(life.connection, 90)
    life.give_back(purchase, 1)
    set_clock(life.connection, 180)
    life.give_back(purchase, 0)

    times = "SELECT (cancelled_at - created_at)::text FROM ticketing.purchases WHERE id = %s"
    assert life.value(times, purchase) == "00:03:00"


def test_people_give_back_and_get_errors(life: Life) -> None:
    *_, purchase = life.purchase(4)
    give_back = "SELECT ticketing.return_tickets(%s, %s, %s)"

    assert life.value(give_back, life.option, purchase, 3) == 1
    assert life.value(give_back, life.option, purchase, 3) == 0
    whole = "SELECT ticketing.return_tickets(%s, %s)"
    for call, arguments, sqlstate in (
        (give_back, (life.option, purchase, 4), "TK011"),
        (give_back, (life.option, purchase, -1), "TK003"),
        (whole, (life.option, uuid.uuid4()), "TK001"),
    ):
        with pytest.raises(psycopg.Error) as raised, life.connection.transaction():
            life.value(call, *arguments)
        assert raised.value.sqlstate == sqlstate
    assert life.value(whole, life.option, purchase) == 3


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE {private}.purchases SET returned = 2 WHERE returned > 0",
        "UPDATE {private}.purchases SET returned = 4 WHERE returned > 0",
        "DELETE FROM {private}.returns",
        "UPDATE {private}.purchases SET cancelled_at = now() WHERE returned > 0",
        "UPDATE {private}.holds SET state = 'expired', expired_at = now() WHERE state = 'held'",
        "DELETE FROM {private}.holds WHERE state = 'held'",
        "UPDATE {private}.ticket_options SET held = 1",
        "UPDATE {private}.ticket_options SET held = 0, allocation = allocation + held",
        "UPDATE {private}.purchases SET quantity = 3 WHERE quantity = 2",
        "UPDATE {private}.holds SET user_id = gen_random_uuid() WHERE state = 'purchased'",
        "UPDATE {private}.ticket_options SET capacity = 13, allocation = allocation + 1",
        "UPDATE {private}.capacity_changes SET capacity_after = 13",
    ],
)
def test_the_audit_finds_what_somebody_tampered_with(life: Life, tampering: str) -> None:
    life.give_back(life.purchase(4)[2], 1)
    life.hold(2)
    life.purchase_hold(life.hold(2)[2])
    life.change(capacity=12)
    life.check()

    with life.connection.transaction(force_rollback=True):
        life.connection.execute(tampering.format(private="ticketing_private").encode())
        found = "SELECT findings FROM ticketing.audit_allocations() WHERE ticket_option_id = %s"
        assert life.value(found, life.option)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE {}.purchases SET returned = 5, cancelled_at = now()", "purchases_returned_range"),
        ("UPDATE {}.purchases SET returned = -1", "purchases_returned_range"),
        ("UPDATE {}.purchases SET returned = 1", "purchases_returned_range"),
        ("UPDATE {}.purchases SET cancelled_at = now()", "purchases_returned_range"),
        ("UPDATE {}.holds SET state = 'lost'", "holds_state_has_its_times"),
        ("UPDATE {}.holds SET state = 'released'", "holds_state_has_its_times"),
        ("UPDATE {}.holds SET state = 'purchased'", "holds_state_has_its_times"),
        ("UPDATE {}.holds SET state = 'expired'", "holds_state_has_its_times"),
        ("UPDATE {}.holds SET released_at = now()", "holds_state_has_its_times"),
        ("UPDATE {}.holds SET expires_at = created_at", "holds_expire_after_they_are_made"),
        ("UPDATE {}.ticket_options SET held = 9", "ticket_options_allocation_range"),
        ("UPDATE {}.ticket_options SET held = -1", "ticket_options_allocation_range"),
    ],
)
def test_what_cannot_be_is_refused_even_to_the_owner(
    life: Life, statement: str, constraint: str
) -> None:
    life.purchase(4)
    life.hold(4)

    with (
        pytest.raises(psycopg.errors.CheckViolation) as raised,
        life.connection.transaction(force_rollback=True),
    ):
        life.connection.execute(statement.format("ticketing_private").encode())

    assert raised.value.diag.constraint_name == constraint
