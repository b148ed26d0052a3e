"""Lists: each row once, whatever happens meanwhile, and no page dearer than another."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from loadtests.harness.postgres import value
from tests.sql.lifecycle import OTHER_USER, USER, Connection, Life, set_clock

PURCHASES = "SELECT id FROM ticketing.list_purchases(%s, %s, %s, %s)"
HOLDS = "SELECT id FROM ticketing.list_holds(%s, %s, %s, %s, %s)"
OPTIONS = "SELECT id FROM ticketing.list_ticket_options(%s, %s)"
ZERO = uuid.UUID(int=0)


def walk(page: Callable[[Any], list[Any]]) -> list[Any]:
    """The ids of all pages, from the first to the last."""
    found: list[Any] = []
    while ids := page(found[-1] if found else None):
        found += ids
    return found


def pages(connection: Connection, query: str, *arguments: Any) -> list[Any]:
    """The ids of all pages of two."""
    return walk(
        lambda after: [
            found for (found,) in connection.execute(query.encode(), (*arguments, after, 2))
        ]
    )


def test_purchases_are_listed_in_a_stable_order(life: Life) -> None:
    mine = [life.purchase(1)[2], life.purchase(1)[2], life.purchase(1, id=ZERO)[2]]
    others = [life.purchase(1, user=OTHER_USER)[2] for _ in range(2)]
    Life(life.connection).purchase(1)

    assert pages(life.connection, PURCHASES, life.option, None) == sorted(mine + others)
    assert pages(life.connection, PURCHASES, life.option, USER) == sorted(mine)
    assert pages(life.connection, PURCHASES, life.option, uuid.uuid4()) == []
    assert pages(life.connection, PURCHASES, uuid.uuid4(), None) == []


def test_a_listed_purchase_shows_what_it_has_and_had(life: Life) -> None:
    *_, purchase = life.purchase(4)
    life.give_back(purchase, 1)
    shown = (
        "SELECT ticket_option_id, user_id, quantity, purchased_quantity, cancelled_at = created_at "
        "FROM ticketing.list_purchases(%s, %s, NULL, 5)"
    )

    for user in (None, USER):
        assert life.connection.execute(shown, (life.option, user)).fetchall() == [
            (life.option, USER, 1, 4, True)
        ]


def test_holds_are_listed_by_their_user_and_their_state_of_this_moment(life: Life) -> None:
    purchased, released, swept = (life.hold(1, seconds=30)[2] for _ in range(3))
    life.purchase_hold(purchased)
    life.release(released)
    set_clock(life.connection, 30)
    life.sweep()
    ran_out = [life.hold(1, seconds=30)[2], life.hold(1, seconds=30, id=ZERO)[2]]
    set_clock(life.connection, 60)
    held = [life.hold(1)[2], life.hold(1, user=OTHER_USER)[2]]
    states = {
        "purchased": [purchased],
        "released": [released],
        "expired": [swept, *ran_out],
        "held": held,
        "no such state": [],
        None: [purchased, released, swept, *ran_out, *held],
    }

    for state, holds in states.items():
        assert pages(life.connection, HOLDS, life.option, None, state) == sorted(holds)
        mine = sorted(set(holds) - {held[1]})
        assert pages(life.connection, HOLDS, life.option, USER, state) == mine
    shown = "SELECT state FROM ticketing.list_holds(%s, NULL, 'expired', NULL, 9)"
    assert set(life.connection.execute(shown, (life.option,)).fetchall()) == {("expired",)}


def test_options_are_listed_newest_first(at_noon: Connection) -> None:
    found = []
    for number in range(5):
        set_clock(at_noon, number // 2)
        found.append(Life(at_noon).option)
    made = [
        *sorted(found[4:5]),
        *sorted(found[2:4], reverse=True),
        *sorted(found[:2], reverse=True),
    ]

    listed = pages(at_noon, OPTIONS)

    assert [option for option in listed if option in made] == made
    assert len(listed) == len(set(listed))
    with pytest.raises(psycopg.Error, match="does not exist") as raised:
        value(at_noon, OPTIONS, uuid.uuid4(), 2)
    assert raised.value.sqlstate == "TK001"


def test_what_comes_while_somebody_turns_pages_is_no_reason_to_miss_or_repeat_any(
    life: Life,
) -> None:
    life.change(capacity=1000)
    before = {life.purchase(1)[2] for _ in range(20)}
    found: list[Any] = []

    def page(after: Any) -> list[Any]:
        life.purchase(1)
        if found:
            life.give_back(found[-1])
        rows = life.connection.execute(PURCHASES, (life.option, None, after, 3)).fetchall()
        found.extend(row[0] for row in rows)
        return [row[0] for row in rows]

    walked = walk(page)

    assert len(walked) == len(set(walked))
    assert before <= set(walked)


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        (PURCHASES, ("{option}", None)),
        (PURCHASES, ("{option}", "{user}")),
        (HOLDS, ("{option}", None, None)),
        (HOLDS, ("{option}", None, "purchased")),
        (HOLDS, ("{option}", "{user}", None)),
        (OPTIONS, ()),
    ],
)
def test_a_page_in_the_middle_reads_no_more_than_the_first(
    life: Life, query: str, arguments: tuple[Any, ...]
) -> None:
    """Measured in buffers, in a session that planned while the tables were empty."""
    named = {"{option}": life.option, "{user}": uuid.UUID(int=5)}
    asked = [named.get(argument, argument) for argument in arguments]
    life.connection.execute(query.encode(), (*asked, None, 50))
    fill(life)
    middle = (
        "SELECT id FROM ticketing.ticket_options "
        "ORDER BY created_at DESC, id DESC OFFSET 2500 LIMIT 1"
        if query == OPTIONS
        else f"SELECT id FROM ticketing.{'holds' if query == HOLDS else 'purchases'} "
        "ORDER BY id OFFSET 2500 LIMIT 1"
    )

    def buffers(after: Any) -> int:
        # The least of a few: whatever changes the catalogue at that moment, a vacuum or another
        # test, has this session read it again.
        return min(buffers_once(after) for _ in range(3))

    def buffers_once(after: Any) -> int:
        explained = life.connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode(), (*asked, after, 50)
        ).fetchall()[0][0][0]["Plan"]
        return int(explained["Shared Hit Blocks"] + explained["Shared Read Blocks"])

    first, later = buffers(None), buffers(life.value(middle))

    assert later <= first + 20 < 400


def fill(life: Life) -> None:
    """Five thousand purchases, holds and options, as a sale leaves them."""
    life.connection.execute(
        """
        INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity)
        SELECT
            %(option)s,
            gen_random_uuid(),
            ('00000000-0000-0000-0000-' || lpad((n %% 100)::text, 12, '0'))::uuid,
            1
        FROM generate_series(1, 5000) AS n
        """,
        {"option": life.option},
    )
    life.connection.execute(
        """
        INSERT INTO ticketing_private.holds
        SELECT
            ticket_option_id, id, user_id, 1, 'purchased',
            created_at, created_at + interval '1 s', NULL, NULL, created_at
        FROM ticketing_private.purchases
        WHERE ticket_option_id = %(option)s
        """,
        {"option": life.option},
    )
    life.connection.execute(
        """
        INSERT INTO ticketing_private.ticket_options (
            id, name, description, capacity, allocation, created_at, updated_at
        )
        SELECT gen_random_uuid(), 'a', 'b', 0, 0, at, at
        FROM generate_series(1, 5000) AS n, LATERAL (SELECT now() - n * interval '1 s') AS t (at)
        """
    )
    life.connection.execute(
        "UPDATE ticketing_private.ticket_options SET capacity = 5010 WHERE id = %s", (life.option,)
    )
