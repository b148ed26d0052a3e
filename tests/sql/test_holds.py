"""Holds: tickets that are kept for a while, and purchased, released or returned."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.sql.lifecycle import OTHER_USER, USER, Connection, Life, set_clock

OF_MANY = (
    "SELECT outcomes, details FROM ticketing.try_hold_tickets_of_many("
    "%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::int[])"
)
PURCHASE_OF_MANY = (
    "SELECT outcomes FROM ticketing.try_purchase_holds_of_many(%s::uuid[], %s::uuid[])"
)


def test_a_hold_takes_tickets_out_of_the_allocation(life: Life) -> None:
    outcome, detail, hold = life.hold(4)

    assert outcome == "created"
    assert detail == {
        "state": "held",
        "created_at": "2030-01-01T12:00:00.000000Z",
        "expires_at": "2030-01-01T12:10:00.000000Z",
    }
    assert life.counted() == (0, 4, 6)
    assert life.state(hold) == "held"


def test_a_hold_sent_again_is_one_hold_and_is_not_prolonged(life: Life) -> None:
    _, detail, hold = life.hold(4)
    set_clock(life.connection, 300)

    assert life.hold(4, id=hold) == ("exists", detail, hold)
    assert life.counted() == (0, 4, 6)
    for other in ({"quantity": 3}, {"user": OTHER_USER}, {"seconds": 601}):
        assert life.hold(**{"quantity": 4, "id": hold} | other)[0] == "exists_different"


def test_a_purchased_hold_is_the_purchase(life: Life) -> None:
    *_, hold = life.hold(4)
    set_clock(life.connection, 60)

    assert [life.purchase_hold(hold), life.purchase_hold(hold)] == ["created", "exists"]
    assert life.counted() == (4, 0, 6)
    assert life.state(hold) == "purchased"
    purchase = "SELECT quantity FROM ticketing.get_purchase(%s, %s)"
    assert life.value(purchase, life.option, hold) == 4
    assert life.release(hold) == "hold_purchased"
    assert life.history() == [("created", 10, 10), ("held", -4, 6), ("hold_purchased", 0, 6)]


def test_a_released_hold_gives_its_tickets_back_once(life: Life) -> None:
    *_, hold = life.hold(4)

    assert [life.release(hold), life.release(hold)] == ["released", "exists"]
    assert life.counted() == (0, 0, 10)
    assert life.purchase_hold(hold) == "hold_released"
    assert life.history()[1:] == [("held", -4, 6), ("released", 4, 10)]


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_hold_that_ran_out_and_was_released_is_not_purchased_late(
    life: Life, is_swept: bool
) -> None:
    *_, hold = life.hold(4)
    set_clock(life.connection, 600)
    if is_swept:
        life.sweep()

    assert [life.release(hold), life.release(hold)] == ["expired", "exists"]
    assert life.counted() == (0, 0, 10)
    assert life.purchase_hold(hold) == "hold_released"
    assert [each[0] for each in life.history()[1:]] == ["held", "expired", "released"]
    life.check()


@pytest.mark.parametrize("seconds", [600, 6000])
def test_a_hold_that_ran_out_is_available_and_expired_before_anybody_sweeps(
    life: Life, seconds: int
) -> None:
    *_, hold = life.hold(4)
    set_clock(life.connection, seconds)

    assert life.state(hold) == "expired"
    assert life.counted() == (0, 0, 10)
    for read in ("get_ticket_option(%s)", "get_ticket_options(ARRAY[%s])"):
        assert life.value(f"SELECT allocation FROM ticketing.{read}", life.option) == 10
    described = "SELECT allocation FROM ticketing.describe_ticket_options(ARRAY[%s])"
    assert life.value(described, life.option) == 10


def test_a_hold_runs_until_its_last_moment(life: Life) -> None:
    *_, hold = life.hold(4)
    set_clock(life.connection, 599.999999)

    assert life.state(hold) == "held"
    assert life.purchase(7)[0] == "sold_out"
    assert life.purchase_hold(hold) == "created"


@pytest.mark.parametrize("taking", ["purchase", "hold"])
@pytest.mark.parametrize("quantity", [7, 10])
def test_nobody_is_sold_out_because_of_holds_that_ran_out(
    life: Life, taking: str, quantity: int
) -> None:
    for _ in range(5):
        life.hold(2)
    set_clock(life.connection, 600)

    assert getattr(life, taking)(quantity)[0] == "created"
    assert sum(life.counted()) == 10
    life.sweep()
    assert life.counted()[2] == 10 - quantity


def test_no_more_holds_are_ended_than_are_needed(life: Life) -> None:
    for seconds in (1, 2, 3, 4, 5):
        life.hold(2, seconds=seconds)
    set_clock(life.connection, 600)

    assert life.purchase(3)[0] == "created"
    ended = (
        "SELECT array_agg(expires_at::time(0)::text) FROM ticketing.holds WHERE state = 'expired'"
    )
    assert life.value("SELECT count(*) FROM ticketing.holds WHERE state = 'expired'") == 2, ended


def test_holds_that_ran_out_are_returned_for_all_who_ask_in_one_call(life: Life) -> None:
    life.hold(6)
    set_clock(life.connection, 600)
    purchases = [uuid.uuid4() for _ in range(4)]
    quantities = [5, 4, 3, 1]

    [[outcomes, details]] = life.connection.execute(
        "SELECT outcomes, details FROM ticketing.try_purchase_tickets"
        "(%s, %s::uuid[], %s::uuid[], %s::int[], 2000)",
        (life.option, purchases, purchases, quantities),
    ).fetchall()

    assert outcomes == ["created", "created", "sold_out", "created"]
    assert details == [None, None, {"available": 1}, None]


def test_a_hold_that_ran_out_is_purchased_anew_while_its_tickets_are_free(life: Life) -> None:
    *_, late = life.hold(4)
    *_, swept = life.hold(4)
    set_clock(life.connection, 600)
    life.sweep()
    assert [life.purchase_hold(hold) for hold in (late, swept)] == ["created"] * 2
    assert life.counted() == (8, 0, 2)
    kinds = [kind for kind, *_ in life.history()]
    assert kinds.count("expired") == kinds.count("purchased") == 2


def test_a_hold_that_ran_out_unswept_is_purchased_although_nothing_else_is_left(
    life: Life,
) -> None:
    *_, hold = life.hold(4)
    life.purchase(6)
    set_clock(life.connection, 600)

    assert [life.purchase_hold(hold), life.purchase_hold(hold)] == ["created", "exists"]
    assert life.counted() == (10, 0, 0)


def test_a_hold_whose_tickets_went_to_others_is_expired_for_good_or_until_some_come_back(
    life: Life,
) -> None:
    *_, hold = life.hold(4)
    set_clock(life.connection, 600)
    *_, other = life.purchase(8)

    assert [life.purchase_hold(hold), life.purchase_hold(hold)] == ["hold_expired"] * 2
    assert life.counted() == (8, 0, 2)

    life.give_back(other)
    assert life.purchase_hold(hold) == "created"


def test_a_late_purchase_ends_the_other_holds_that_it_needs(life: Life) -> None:
    *_, late = life.hold(4)
    set_clock(life.connection, 600)
    life.sweep()
    *_, other = life.hold(8)
    set_clock(life.connection, 1200)

    assert life.purchase_hold(late) == "created"
    assert life.state(other) == "expired"
    assert life.counted() == (4, 0, 6)


def test_a_hold_made_in_time_is_purchased_whatever_became_of_the_sale(life: Life) -> None:
    *_, hold = life.hold(4)
    life.change(paused=True, on_sale_until="2030-01-01T12:00:01Z", max_per_purchase=1)
    life.change(max_per_user=1)
    set_clock(life.connection, 30)

    assert life.hold(1)[0] == "not_on_sale"
    assert life.purchase_hold(hold) == "created"


def test_there_is_no_such_hold(life: Life) -> None:
    nowhere = uuid.uuid4()
    assert life.purchase_hold(nowhere) == "not_found"
    assert life.release(nowhere) == "not_found"
    life.option, option = nowhere, life.option
    assert life.hold(1)[0] == "not_found"
    assert life.purchase_hold(nowhere) == "not_found"
    assert life.release(nowhere) == "not_found"
    life.option = option


def test_a_purchase_that_was_made_around_a_hold_is_not_overwritten(life: Life) -> None:
    *_, hold = life.hold(4)
    assert life.purchase(1, id=hold)[0] == "created"

    assert life.purchase_hold(hold) == "exists_different"
    assert life.counted() == (1, 4, 5)

    set_clock(life.connection, 600)
    assert life.purchase_hold(hold) == "exists_different"
    assert life.counted() == (1, 0, 9)


def test_a_hold_that_is_purchased_twice_in_a_call_is_purchased_once(life: Life) -> None:
    first, second = (life.hold(2)[2] for _ in range(2))
    around = life.hold(1)[2]
    life.purchase(3, id=around)

    outcomes = life.value(
        "SELECT outcomes FROM ticketing.try_purchase_holds(%s, %s::uuid[], 2000)",
        life.option,
        [first, second, around, first, uuid.uuid4(), second],
    )

    assert outcomes == ["created", "created", "exists_different", "exists", "not_found", "exists"]
    assert life.counted() == (7, 1, 2)
    life.check()


def test_the_sweep_returns_the_oldest_first_and_not_more_than_it_is_asked_to(life: Life) -> None:
    holds = [life.hold(1, seconds=seconds)[2] for seconds in (30, 10, 20, 700)]
    set_clock(life.connection, 60)

    assert life.value("SELECT ticketing.sweep_expired_holds(2)") == 2
    stored = "SELECT state FROM ticketing.holds WHERE id = %s"
    assert [life.value(stored, hold) for hold in holds] == ["held", "expired", "expired", "held"]
    assert [life.sweep(), life.sweep()] == [1, 0]
    assert life.counted() == (0, 1, 9)


def test_the_sweep_forgets_refusals_of_resends_after_a_day(at_noon: Connection) -> None:
    life = Life(at_noon, 1)
    asked, resend = uuid.uuid4(), uuid.uuid4()
    call = (
        "SELECT outcomes[1] FROM ticketing.try_purchase_tickets"
        "(%s, %s::uuid[], %s::uuid[], '{2}', 2000, %s::uuid[])"
    )

    def first_sending() -> Any:
        return life.purchase(1, id=asked)[0]

    assert life.value(call, life.option, [asked], [USER], [resend]) == "sold_out"
    set_clock(at_noon, 24 * 60 * 60)
    life.sweep()
    assert first_sending() == "refused_before"

    set_clock(at_noon, 24 * 60 * 60 + 1)
    life.sweep()
    assert first_sending() == "created"


def test_the_sweep_takes_one_option_at_a_time(at_noon: Connection) -> None:
    lives = [Life(at_noon) for _ in range(3)]
    for each in lives:
        each.hold(1)
        each.hold(1)
    set_clock(at_noon, 600)

    assert [lives[0].sweep() for _ in range(4)] == [2, 2, 2, 0]


def test_holds_of_many_options_share_a_call(at_noon: Connection) -> None:
    first, second, third = (Life(at_noon, capacity) for capacity in (5, 1, 0))
    nowhere = uuid.uuid4()
    ids = [uuid.uuid4() for _ in range(6)]
    options = [first.option, second.option, third.option, nowhere, first.option, second.option]
    asked: Any = (options, ids, [USER] * 6, [2, 1, 1, 1, 2, 1], [600] * 6)

    [[outcomes, details]] = at_noon.execute(OF_MANY, asked).fetchall()
    assert outcomes == ["created", "created", "sold_out", "not_found", "created", "sold_out"]
    assert details[2] == details[5] == {"available": 0}
    assert details[0]["state"] == "held"
    assert [each.counted() for each in (first, second, third)] == [(0, 4, 1), (0, 1, 0), (0, 0, 0)]

    [[again, details]] = at_noon.execute(OF_MANY, asked).fetchall()
    assert [outcome == "exists" for outcome in again] == [o == "created" for o in outcomes]
    assert details[0]["state"] == "held"

    [[outcomes]] = at_noon.execute(PURCHASE_OF_MANY, (options * 2, ids * 2)).fetchall()
    bought = ["created", "created", "not_found", "not_found", "created", "not_found"]
    assert outcomes == [*bought, *[o.replace("created", "exists") for o in bought]]
    first.check()


def test_a_call_for_many_returns_holds_that_ran_out(at_noon: Connection) -> None:
    first, second = Life(at_noon, 5), Life(at_noon, 5)
    first.hold(5)
    second.hold(3)
    set_clock(at_noon, 600)
    ids = [uuid.uuid4() for _ in range(3)]
    options = [first.option, second.option, first.option]

    [[outcomes, details]] = at_noon.execute(
        "SELECT outcomes, details FROM ticketing.try_purchase_tickets_of_many("
        "%s::uuid[], %s::uuid[], %s::uuid[], %s::int[])",
        (options, ids, ids, [4, 5, 2]),
    ).fetchall()

    assert outcomes == ["created", "created", "sold_out"]
    assert details[2] == {"available": 1}
    first.check()


@pytest.mark.parametrize(
    ("call", "sqlstate"),
    [
        ("hold_tickets(%(option)s, %(user)s, 11)", "TK002"),
        ("hold_tickets(%(option)s, %(user)s, 0)", "TK003"),
        ("hold_tickets(%(option)s, %(user)s, 1, 0)", "TK003"),
        ("hold_tickets(%(option)s, %(user)s, 1, 86401)", "TK003"),
        ("hold_tickets(%(option)s, %(user)s, 1, NULL)", "TK003"),
        ("hold_tickets(%(option)s, %(user)s, 1, 600, %(hold)s)", "TK004"),
        ("hold_tickets(%(user)s, %(user)s, 1)", "TK001"),
        ("purchase_hold(%(option)s, %(user)s)", "TK001"),
        ("purchase_hold(%(option)s, NULL)", "TK003"),
        ("purchase_hold(%(option)s, %(released)s)", "TK009"),
        ("release_hold(%(option)s, %(user)s)", "TK001"),
        ("release_hold(%(option)s, %(purchased)s)", "TK010"),
    ],
)
def test_people_get_errors(life: Life, call: str, sqlstate: str) -> None:
    names: dict[str, Any] = {
        "option": life.option,
        "user": USER,
        "hold": life.hold(4)[2],
        "released": life.hold(1)[2],
        "purchased": life.hold(1)[2],
    }
    life.release(names["released"])
    life.purchase_hold(names["purchased"])

    with pytest.raises(psycopg.Error) as raised, life.connection.transaction():
        life.connection.execute(f"SELECT ticketing.{call}".encode(), names)

    assert raised.value.sqlstate == sqlstate


def test_people_hold_purchase_and_release(life: Life) -> None:
    hold = life.value("SELECT ticketing.hold_tickets(%s, %s, 2)", life.option, USER)
    assert life.value("SELECT ticketing.purchase_hold(%s, %s)", life.option, hold) == hold
    other = life.value("SELECT ticketing.hold_tickets(%s, %s, 2, 30)", life.option, USER)
    late = life.value("SELECT ticketing.hold_tickets(%s, %s, 2, 30)", life.option, USER)
    release = "SELECT ticketing.release_hold(%s, %s)"
    assert life.value(release, life.option, other) == "released"
    set_clock(life.connection, 30)
    life.purchase(8)
    with pytest.raises(psycopg.Error, match="ran out") as raised, life.connection.transaction():
        life.value("SELECT ticketing.purchase_hold(%s, %s)", life.option, late)
    assert raised.value.sqlstate == "TK008"
    assert life.value(release, life.option, late) == "expired"
    assert life.counted() == (10, 0, 0)
