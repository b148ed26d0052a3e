"""What an option allows: limits of a purchase and a user, a window, a pause."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.sql.lifecycle import OTHER_USER, USER, Connection, Life, set_clock

BATCH = (
    "SELECT outcomes, details FROM ticketing.try_purchase_tickets"
    "(%s, %s::uuid[], %s::uuid[], %s::int[], 2000)"
)
OF_MANY = (
    "SELECT outcomes, details FROM ticketing.try_purchase_tickets_of_many"
    "(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[])"
)


@pytest.mark.parametrize("taking", ["purchase", "hold"])
def test_a_purchase_has_no_more_than_its_limit(life: Life, taking: str) -> None:
    life.change(max_per_purchase=3)

    assert getattr(life, taking)(4)[:2] == ("limit_reached", {"limit": 3, "left_for_user": 3})
    assert [getattr(life, taking)(3)[0] for _ in range(2)] == ["created"] * 2


def test_a_user_has_no_more_than_the_limit_whether_held_or_purchased(life: Life) -> None:
    life.change(max_per_user=4)
    life.hold(1)
    life.purchase(1)

    assert life.purchase(3)[:2] == ("limit_reached", {"limit": 4, "left_for_user": 2})
    assert life.hold(3)[:2] == ("limit_reached", {"limit": 4, "left_for_user": 2})
    assert life.hold(2)[0] == "created"
    assert life.purchase(1)[:2] == ("limit_reached", {"limit": 4, "left_for_user": 0})
    assert life.purchase(4, user=OTHER_USER)[0] == "created"


def test_the_lower_of_two_limits_is_told(life: Life) -> None:
    life.change(max_per_user=4, max_per_purchase=3)

    assert life.purchase(4)[1] == {"limit": 3, "left_for_user": 3}
    life.purchase(2)
    assert life.purchase(3)[1] == {"limit": 4, "left_for_user": 2}
    assert life.purchase(4)[1] == {"limit": 3, "left_for_user": 2}


def test_what_is_given_back_released_or_ran_out_counts_no_more(life: Life) -> None:
    life.change(max_per_user=2)
    *_, purchase = life.purchase(2)
    life.give_back(purchase, 1)
    *_, hold = life.hold(1)
    assert life.purchase(1)[0] == "limit_reached"
    life.release(hold)
    life.hold(1, seconds=30)
    assert life.purchase(1)[0] == "limit_reached"
    set_clock(life.connection, 30)
    assert life.purchase(1)[0] == "created"


def test_a_hold_does_not_count_against_its_own_purchase(life: Life) -> None:
    life.change(max_per_user=2)
    *_, hold = life.hold(2)
    assert life.purchase_hold(hold) == "created"
    assert life.hold(1)[0] == "limit_reached"


def test_a_hold_that_ran_out_is_not_purchased_past_the_limit(life: Life) -> None:
    life.change(max_per_user=2)
    *_, hold = life.hold(1, seconds=30)
    set_clock(life.connection, 30)
    *_, purchase = life.purchase(2)

    assert life.purchase_hold(hold) == "hold_expired"
    assert life.state(hold) == "expired"

    life.give_back(purchase, 1)
    assert life.purchase_hold(hold) == "created"


def test_purchases_of_a_batch_count_towards_the_limit(life: Life) -> None:
    life.change(max_per_user=3, max_per_purchase=2)
    users = [USER, OTHER_USER, USER, USER, OTHER_USER, USER]
    ids = [uuid.uuid4() for _ in users]

    for call, option in ((BATCH, life.option), (OF_MANY, [life.option] * 6)):
        with life.connection.transaction(force_rollback=True):
            [[outcomes, details]] = life.connection.execute(
                call.encode(), (option, ids, users, [2, 2, 2, 1, 3, 1])
            ).fetchall()
            assert outcomes == [
                "created",
                "created",
                "limit_reached",
                "created",
                "limit_reached",
                "limit_reached",
            ]
            assert details[2] == {"limit": 3, "left_for_user": 1}
            assert details[4] == {"limit": 2, "left_for_user": 1}
            assert details[5] == {"limit": 3, "left_for_user": 0}


def test_a_limit_is_of_its_option(at_noon: Connection) -> None:
    limited, other = Life(at_noon, max_per_user=2), Life(at_noon, max_per_user=2)

    assert [life.purchase(2)[0] for life in (limited, other)] == ["created"] * 2


def test_a_call_for_many_keeps_each_option_s_rules(at_noon: Connection) -> None:
    free, limited, paused, empty = (Life(at_noon, capacity) for capacity in (5, 5, 5, 0))
    limited.change(max_per_user=1)
    paused.change(paused=True)
    empty.change(max_per_user=1)
    options = [each.option for each in (free, limited, paused, empty, limited, empty, free)]
    ids = [uuid.uuid4() for _ in options]

    [[outcomes, details]] = at_noon.execute(
        OF_MANY, (options, ids, [USER] * 7, [5, 1, 1, 1, 1, 2, 1])
    ).fetchall()

    assert outcomes == [
        "created",
        "created",
        "not_on_sale",
        "sold_out",
        "limit_reached",
        "limit_reached",
        "sold_out",
    ]
    assert details == [
        None,
        None,
        {"reason": "paused"},
        {"available": 0},
        {"limit": 1, "left_for_user": 0},
        {"limit": 1, "left_for_user": 1},
        {"available": 0},
    ]


def test_each_detail_is_at_the_place_of_its_outcome(life: Life) -> None:
    """Also where the first of a batch has none: arrays that are filled later begin later."""
    *_, stored = life.purchase(1)
    resent = uuid.uuid4()
    life.value(
        "SELECT outcomes FROM ticketing.try_purchase_tickets"
        "(%s, ARRAY[%s]::uuid[], ARRAY[%s]::uuid[], '{10}', 2000, ARRAY[%s]::uuid[])",
        *(life.option, resent, USER, uuid.uuid4()),
    )

    for call, options in ((BATCH, life.option), (OF_MANY, [life.option] * 3)):
        for changes, refused in (
            ({}, [("exists", None), ("refused_before", None), ("sold_out", {"available": 9})]),
            ({}, [("exists", None), ("refused_before", None)]),
            (
                {"paused": True},
                [
                    ("exists", None),
                    ("refused_before", None),
                    ("not_on_sale", {"reason": "paused"}),
                ],
            ),
        ):
            life.change(**{"paused": None, **changes})
            ids = [stored, resent, uuid.uuid4()][: len(refused)]
            option = options[: len(ids)] if isinstance(options, list) else options
            [[outcomes, details]] = life.connection.execute(
                call.encode(), (option, ids, [USER] * len(ids), [1, 1, 10][: len(ids)])
            ).fetchall()
            assert list(zip(outcomes, details, strict=True)) == refused


@pytest.mark.parametrize("taking", ["purchase", "hold"])
def test_the_window_is_half_open(life: Life, taking: str) -> None:
    take = getattr(life, taking)
    begin, end = "2030-01-01T13:00:00+00:00", "2030-01-01T15:00:00+01:00"
    life.change(on_sale_from=begin, on_sale_until=end)
    not_yet = {"reason": "not_yet", "on_sale_from": "2030-01-01T13:00:00.000000Z"}

    for seconds, answer in (
        (0, ("not_on_sale", not_yet)),
        (3599.999999, ("not_on_sale", not_yet)),
        (3600, ("created",)),
        (7199.999999, ("created",)),
        (7200, ("not_on_sale", {"reason": "over"})),
    ):
        set_clock(life.connection, seconds)
        assert take(1)[: len(answer)] == answer
        on_sale = "SELECT on_sale FROM ticketing.get_availability(%s)"
        assert life.value(on_sale, life.option) is (answer == ("created",))


def test_the_first_rule_that_applies_refuses(life: Life) -> None:
    *_, stored = life.purchase(10)
    life.change(paused=True, max_per_purchase=2, max_per_user=11)

    assert life.purchase(10, id=stored)[0] == "exists"
    assert life.purchase(9, id=stored)[0] == "exists_different"
    assert life.purchase(3)[:2] == ("not_on_sale", {"reason": "paused"})
    life.change(paused=None)
    assert life.purchase(3)[:2] == ("limit_reached", {"limit": 2, "left_for_user": 1})
    assert life.purchase(2)[:2] == ("limit_reached", {"limit": 11, "left_for_user": 1})
    assert life.purchase(1)[:2] == ("sold_out", {"available": 0})


def test_the_release_before_keeps_the_rules(life: Life) -> None:
    life.change(max_per_user=2)
    calls: list[tuple[str, Any]] = [
        ("purchase_tickets(%s, %s::uuid[], %s::uuid[], %s::int[])", life.option),
        ("purchase_tickets_unless_busy(%s, %s::uuid[], %s::uuid[], %s::int[], 0)", life.option),
        ("purchase_tickets_unless_busy(%s, %s::uuid[], %s::uuid[], %s::int[], 50)", life.option),
        ("purchase_tickets_of_many(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[])", [life.option]),
    ]
    for call, option in calls:
        user = uuid.uuid4()
        for quantity, outcome in ((3, "sold_out"), (2, "created"), (1, "sold_out")):
            sell = f"SELECT ticketing.{call}"
            assert life.value(sell, option, [uuid.uuid4()], [user], [quantity]) == [outcome]
    life.change(paused=True)
    for call, option in calls:
        asked = (option, [uuid.uuid4()], [uuid.uuid4()], [1])
        assert life.value(f"SELECT ticketing.{call}", *asked) == ["sold_out"]


@pytest.mark.parametrize(
    ("rules", "sqlstate", "message"),
    [
        ({"paused": True}, "TK005", "is paused"),
        ({"on_sale_from": "2030-01-02T00:00:00Z"}, "TK005", "not on sale yet"),
        ({"on_sale_until": "2029-01-02T00:00:00Z"}, "TK005", "no longer on sale"),
        ({"max_per_user": 1}, "TK006", "the limit is 1: 2 requested, 1 available to this user"),
    ],
)
def test_people_get_errors(life: Life, rules: Any, sqlstate: str, message: str) -> None:
    life.change(**rules)
    for call in ("purchase_tickets", "hold_tickets"):
        with pytest.raises(psycopg.Error, match=message) as raised, life.connection.transaction():
            life.value(f"SELECT ticketing.{call}(%s, %s, 2)", life.option, USER)
        assert raised.value.sqlstate == sqlstate
