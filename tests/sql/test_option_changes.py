"""Options with optional members: created, changed, and shown."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from loadtests.harness.postgres import value
from tests.sql.lifecycle import USER, Connection, Life, set_clock

MOST = 2147483647
TRY_CREATE = (
    "SELECT ticketing.try_create_ticket_option("
    "%(id)s, %(name)s, %(desc)s, %(allocation)s::int, %(max_per_purchase)s::int, "
    "%(max_per_user)s::int, %(on_sale_from)s::timestamptz, %(on_sale_until)s::timestamptz, "
    "%(paused)s)"
)
PLAIN: dict[str, Any] = {
    "name": "a",
    "desc": "b",
    "allocation": 10,
    "max_per_purchase": None,
    "max_per_user": None,
    "on_sale_from": None,
    "on_sale_until": None,
    "paused": False,
}
RULES = {
    "max_per_purchase": 2,
    "max_per_user": 4,
    "on_sale_from": "2029-12-31T23:00:00+01:00",
    "on_sale_until": "2031-01-01T00:00:00Z",
    "paused": True,
}
NO_MOMENTS = [
    5,
    "tomorrow",
    "infinity",
    "2030-01-01",
    "2030-01-01T00:00:00",
    "2030-13-01T00:00:00Z",
    "2030-01-01T25:00:00Z",
    "2030-01-01T00:00:00+99:00",
    "0000-01-01T00:00:00Z",
]
UPDATE = (
    'SELECT outcome, id, name, "desc", allocation, more::text, capacity, sold, held '
    "FROM ticketing.try_update_ticket_option(%s, %s)"
)


def create(connection: Connection, **values: Any) -> Any:
    return connection.execute(TRY_CREATE, PLAIN | {"id": uuid.uuid4()} | values).fetchall()[0][0]


def more(connection: Connection, option: Any) -> Any:
    """The text of the members that are shown besides the four."""
    shown = "SELECT more::text FROM ticketing.describe_ticket_options(ARRAY[%s])"
    return value(connection, shown, option)


def test_optional_members_are_shown_in_their_order_unless_they_are_at_their_default(
    at_noon: Connection,
) -> None:
    plain, ruled = uuid.uuid4(), uuid.uuid4()
    assert create(at_noon, id=plain) == create(at_noon, id=ruled, **RULES) == "created"

    assert more(at_noon, plain) is None
    assert json.loads(more(at_noon, ruled)) == RULES | {
        "on_sale_from": "2029-12-31T22:00:00.000000Z",
        "on_sale_until": "2031-01-01T00:00:00.000000Z",
    }
    assert list(json.loads(more(at_noon, ruled))) == list(RULES)


@pytest.mark.parametrize("member", RULES)
def test_a_creation_sent_again_is_one_option_whatever_was_changed_since(
    at_noon: Connection, member: str
) -> None:
    option: dict[str, Any] = {"id": uuid.uuid4(), **RULES}
    assert create(at_noon, **option) == "created"
    assert create(at_noon, **option) == "exists"
    assert create(at_noon, **{**option, member: PLAIN[member]}) == "exists_different"

    [outcome, *_] = at_noon.execute(UPDATE, (option["id"], Jsonb({member: None}))).fetchone() or []
    assert outcome == "updated"
    assert create(at_noon, **option) == "exists"
    assert create(at_noon, **{**option, member: PLAIN[member]}) == "exists_different"


def test_a_creation_by_the_release_before_sent_again_is_one_option_whatever_was_changed_since(
    life: Life,
) -> None:
    create_plain = "SELECT ticketing.try_create_ticket_option(%s, 'a', 'b', %s::int)"
    life.change(capacity=50, name="c", max_per_user=3)

    assert life.value(create_plain, life.option, 10) == "exists"
    assert life.value(create_plain, life.option, 50) == "exists_different"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_per_purchase": 0}, "max_per_purchase must be an integer from 1"),
        ({"max_per_user": -1}, "max_per_user must be an integer from 1"),
        (
            {"on_sale_from": "2030-01-01T00:00:00Z", "on_sale_until": "2030-01-01T00:00:00Z"},
            "on_sale_from must be before on_sale_until",
        ),
        ({"on_sale_until": "infinity"}, "of the years 1 to 9999"),
        ({"on_sale_from": "0001-01-01 BC"}, "of the years 1 to 9999"),
        ({"paused": None}, "paused must not be NULL"),
    ],
)
def test_what_no_option_can_have_is_refused(
    at_noon: Connection, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(psycopg.Error, match=message) as raised:
        create(at_noon, **values)

    assert raised.value.sqlstate == "TK003"


def test_a_patch_changes_what_it_names_and_nothing_else(life: Life) -> None:
    life.purchase(3)
    life.hold(2)

    changed = life.connection.execute(
        UPDATE, (life.option, Jsonb({"name": "new", "capacity": 20, "max_per_user": 9}))
    ).fetchone()

    assert changed == (
        "updated", life.option, "new", "b", 15, '{"max_per_user":9}', 20, 3, 2
    )  # fmt: skip
    again = life.connection.execute(UPDATE, (life.option, Jsonb({}))).fetchone()
    assert again == changed
    assert life.history()[-1] == ("capacity_changed", 10, 15)


@pytest.mark.parametrize("member", RULES)
def test_null_takes_a_member_away(life: Life, member: str) -> None:
    life.change(**RULES)
    assert member in more(life.connection, life.option)

    life.change(**{member: None})

    assert list(json.loads(more(life.connection, life.option))) == [
        each for each in RULES if each != member
    ]


def test_a_capacity_below_what_is_sold_and_held_is_refused_with_the_numbers(life: Life) -> None:
    life.purchase(3)
    life.hold(2)

    assert life.change(capacity=4, name="new") == ("capacity_in_use", 10, 3, 2)
    assert life.value("SELECT name FROM ticketing.ticket_options WHERE id = %s", life.option) == "a"
    assert life.change(capacity=5) == ("updated", 5, 3, 2)
    assert life.purchase(1)[:2] == ("sold_out", {"available": 0})
    assert life.change(capacity=MOST) == ("updated", MOST, 3, 2)
    assert life.purchase(1)[0] == "created"


def test_holds_that_ran_out_are_in_nobody_s_way(life: Life) -> None:
    life.purchase(3)
    life.hold(2, seconds=5)
    life.hold(2, seconds=60)
    set_clock(life.connection, 30)

    assert life.change(capacity=4) == ("capacity_in_use", 10, 3, 2)
    assert life.change(capacity=5) == ("updated", 5, 3, 2)


def test_there_is_no_such_option(life: Life) -> None:
    nowhere = life.connection.execute(UPDATE, (uuid.uuid4(), Jsonb({"name": "c"}))).fetchone()
    assert nowhere == ("not_found", *[None] * 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "must be a JSON object"),
        (None, "must be a JSON object"),
        ({"allocation": 5}, "no allocation that can be changed"),
        ({"nmae": "c"}, "no nmae that can be changed"),
        ({"name": None}, "name must be a string"),
        ({"desc": 5}, "desc must be a string"),
        ({"name": " "}, "not only white space"),
        ({"desc": "d" * 10001}, "at most 10000"),
        *[({"capacity": wrong}, "capacity must be") for wrong in (None, "5", 5.5, -1, MOST + 1)],
        *[({"max_per_user": wrong}, "max_per_user must be") for wrong in (0, "5", 5.5, MOST + 1)],
        *[({"paused": wrong}, "paused must be") for wrong in (0, "true")],
        *[({"on_sale_from": wrong}, "on_sale_from") for wrong in NO_MOMENTS],
        ({"on_sale_until": "2000-01-01T00:00:00Z"}, "on_sale_from must be before on_sale_until"),
    ],
)
def test_what_cannot_be_changed_is_refused(life: Life, changes: Any, message: str) -> None:
    life.change(on_sale_from="2029-01-01T00:00:00Z")

    with pytest.raises(psycopg.Error, match=message) as raised, life.connection.transaction():
        life.connection.execute(UPDATE, (life.option, None if changes is None else Jsonb(changes)))

    assert raised.value.sqlstate == "TK003"


def test_people_change_options_and_get_errors(life: Life) -> None:
    update = "SELECT ticketing.update_ticket_option(%s, %s)"
    by = "SELECT ticketing.change_capacity(%s, %s)"
    life.purchase(3)
    life.hold(1)
    assert life.value(update, life.option, Jsonb({"max_per_user": 4})) == life.option
    assert life.value(by, life.option, 5) == 15
    assert life.value(by, life.option, -11) == 4

    for call, arguments, sqlstate in (
        (update, (uuid.uuid4(), Jsonb({"name": "c"})), "TK001"),
        (update, (life.option, Jsonb({"capacity": 3})), "TK007"),
        (by, (life.option, -1), "TK007"),
        (by, (life.option, -5), "TK003"),
        (by, (life.option, MOST), "TK003"),
        (by, (life.option, None), "TK003"),
        (by, (uuid.uuid4(), 1), "TK001"),
    ):
        with pytest.raises(psycopg.Error) as raised, life.connection.transaction():
            life.value(call, *arguments)
        assert raised.value.sqlstate == sqlstate


def test_availability_is_made_up_of_its_parts(life: Life) -> None:
    life.purchase(3)
    life.hold(2)
    parts = "SELECT * FROM ticketing.get_availability(%s)"

    assert life.connection.execute(parts, (life.option,)).fetchall() == [(10, 3, 2, 5, True)]
    assert life.connection.execute(parts, (USER,)).fetchall() == []
