"""The face of purchase_tickets for many options at once, which waits for no lock."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.harness.postgres import connect, new_option, value
from tests.sql.test_purchase_tickets_of_one import (
    left,
    one_by_one,
    quantities,
    sell,
    sometimes_invalid,
    stored,
)

Connection = psycopg.Connection[Any]

OF_MANY = (
    "SELECT ticketing.purchase_tickets_of_many(%s::uuid[], %s::uuid[], %s::uuid[], %s::integer[])"
)
MOST = 2147483647
USER, OTHER_USER = uuid.UUID(int=1), uuid.UUID(int=2)
A, B, C, D = (uuid.UUID(int=number) for number in (10, 11, 12, 13))
NOWHERE = uuid.UUID(int=99)

Purchase = tuple[Any, uuid.UUID, uuid.UUID, int]
"""An option, an id, a user and a quantity."""


def sell_many(connection: Connection, *purchases: Purchase) -> Any:
    """The outcomes of one call with all these purchases."""
    columns = [list(column) for column in zip(*purchases, strict=True)]
    return value(connection, OF_MANY, *columns)


def lock(holder: Connection, option: Any) -> None:
    holder.execute(
        "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE", (option,)
    )


def test_outcomes_are_in_the_order_of_the_purchases(connection: Connection) -> None:
    large, small, empty = (new_option(connection, allocation) for allocation in (1000, 2, 0))
    sell(connection, large, (D, USER, 1))

    outcomes = sell_many(
        connection,
        (small, A, USER, 1),
        (large, A, USER, 600),
        (NOWHERE, A, USER, 1),
        (large, B, USER, 500),
        (empty, A, USER, 1),
        (small, B, USER, 2),
        (large, D, USER, 1),
        (large, C, USER, 399),
        (large, D, OTHER_USER, 1),
        (small, C, USER, 1),
    )

    assert outcomes == [
        "created",
        "created",
        "not_found",
        "sold_out",
        "sold_out",
        "sold_out",
        "exists",
        "created",
        "exists_different",
        "created",
    ]
    assert [left(connection, option) for option in (large, small, empty)] == [0, 0, 0]
    assert stored(connection, large) == {(A, USER, 600), (C, USER, 399), (D, USER, 1)}
    assert stored(connection, small) == {(A, USER, 1), (C, USER, 1)}
    assert stored(connection, empty) == set()


def test_an_id_is_sold_once_for_each_option(connection: Connection) -> None:
    one, other = new_option(connection, 5), new_option(connection, 5)

    outcomes = sell_many(
        connection,
        (one, A, USER, 2),
        (other, A, USER, 3),
        (one, A, USER, 2),
        (other, A, USER, 2),
        (one, A, OTHER_USER, 2),
    )

    assert outcomes == ["created", "created", "exists", "exists_different", "exists_different"]
    assert (left(connection, one), left(connection, other)) == (3, 2)


def test_a_call_that_is_sent_again_is_sold_once(connection: Connection) -> None:
    one, other = new_option(connection, 3), new_option(connection, 5)
    purchases = [(one, A, USER, 3), (other, A, USER, 3), (other, B, USER, 1)]
    sell_many(connection, *purchases)

    assert sell_many(connection, *reversed(purchases)) == ["exists"] * 3

    assert (left(connection, one), left(connection, other)) == (0, 1)


def test_it_sells_what_the_function_for_one_option_has_stored_and_the_other_way_round(
    connection: Connection,
) -> None:
    option = new_option(connection, 10)
    sell(connection, option, (A, USER, 1))
    sell_many(connection, (option, B, USER, 2))

    assert sell_many(connection, (option, A, USER, 1)) == ["exists"]
    assert sell(connection, option, (B, USER, 2)) == ["exists"]
    assert left(connection, option) == 7


def test_quantities_may_add_up_to_more_than_an_integer_holds(connection: Connection) -> None:
    option = new_option(connection, MOST)

    outcomes = sell_many(
        connection, (option, A, USER, MOST - 1), (option, B, USER, MOST), (option, C, USER, 1)
    )

    assert outcomes == ["created", "sold_out", "created"]


def test_an_empty_call_has_no_outcomes(connection: Connection) -> None:
    assert value(connection, OF_MANY, [], [], [], []) == []


def test_a_large_call_is_fast(connection: Connection) -> None:
    options = [new_option(connection, 2) for _ in range(500)]
    purchases = [(option, uuid.uuid4(), USER, 1) for option in options for _ in range(3)]

    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = '5s'")
        outcomes = sell_many(connection, *purchases)

    assert outcomes == ["created", "created", "sold_out"] * 500


def test_an_option_that_is_locked_is_busy_and_stops_no_other(shared_database: str) -> None:
    with connect(shared_database) as connection, connect(shared_database) as holder:
        locked, free, empty = (new_option(connection, allocation) for allocation in (5, 5, 0))
        sell(connection, locked, (D, USER, 1))
        connection.execute("SET statement_timeout = '5s'")
        with holder.transaction():
            lock(holder, locked)

            outcomes = sell_many(
                connection,
                (locked, A, USER, 1),
                (free, A, USER, 1),
                (locked, B, USER, 9),
                (empty, A, USER, 1),
                (NOWHERE, A, USER, 1),
                (locked, D, USER, 1),
                (locked, D, USER, 2),
                (free, B, USER, 5),
            )

        assert outcomes == [
            "busy",
            "created",
            "busy",
            "sold_out",
            "not_found",
            "exists",
            "exists_different",
            "sold_out",
        ]
        assert (left(connection, locked), left(connection, free)) == (4, 4)
        # Nothing was decided; so it may be sent again.
        assert sell_many(connection, (locked, A, USER, 1)) == ["created"]


def test_an_option_that_is_sold_out_is_so_without_a_lock(shared_database: str) -> None:
    with connect(shared_database) as connection, connect(shared_database) as holder:
        option = new_option(connection, 1)
        sell(connection, option, (A, USER, 1))
        connection.execute("SET statement_timeout = '5s'")
        with holder.transaction():
            lock(holder, option)

            outcomes = sell_many(connection, (option, A, USER, 1), (option, B, USER, 1))

        assert outcomes == ["exists", "sold_out"]


def test_what_is_not_sold_is_not_written(connection: Connection) -> None:
    """An option of which nothing is sold keeps its row, beside one that sells."""
    refusing, selling = new_option(connection, 1), new_option(connection, 1)
    row = "SELECT xmin, ctid FROM ticketing_private.ticket_options WHERE id = %s"
    before = connection.execute(row, (refusing,)).fetchall()

    outcomes = sell_many(connection, (refusing, A, USER, 2), (selling, A, USER, 1))

    assert outcomes == ["sold_out", "created"]
    assert connection.execute(row, (refusing,)).fetchall() == before


def test_calls_in_opposite_orders_do_not_deadlock(shared_database: str) -> None:
    with connect(shared_database) as connection:
        options = [new_option(connection, 10_000) for _ in range(10)]

    def sell_all(number: int) -> int:
        """How many are sold by a hundred calls."""
        order = options if number % 2 else options[::-1]
        with connect(shared_database) as buyer:
            buyer.execute("SET synchronous_commit = off; SET deadlock_timeout = '10ms'")
            outcomes = [
                sell_many(buyer, *[(option, uuid.uuid4(), USER, 1) for option in order])
                for _ in range(100)
            ]
        assert {each for call in outcomes for each in call} <= {"created", "busy"}
        return sum(call.count("created") for call in outcomes)

    with ThreadPoolExecutor(4) as threads:
        sold = sum(threads.map(sell_all, range(4)))

    with connect(shared_database) as connection:
        assert sum(10_000 - left(connection, option) for option in options) == sold
        assert not connection.execute("SELECT FROM ticketing.audit_allocations()").fetchall()


def arrays_that_are_no_purchases(option: Any) -> list[tuple[Any, Any, Any, Any]]:
    two = [option, option]
    pair, users = f"{{{A},{B}}}", f"{{{USER},{USER}}}"
    return [
        (two, [A, B], [USER, USER], [1]),
        (two, [A, B], [USER], [1, 1]),
        (two, [A], [USER, USER], [1, 1]),
        ([option], [A, B], [USER, USER], [1, 1]),
        ([], [A, B], [USER, USER], [1, 1]),
        (two, [], [], []),
        (None, [A, B], [USER, USER], [1, 1]),
        (two, None, [USER, USER], [1, 1]),
        (two, [A, B], None, [1, 1]),
        (two, [A, B], [USER, USER], None),
        (None, [], [], []),
        (None, None, None, None),
        ([option, None], [A, B], [USER, USER], [1, 1]),
        (two, [A, None], [USER, USER], [1, 1]),
        (two, [A, B], [USER, None], [1, 1]),
        (two, [A, B], [USER, USER], [1, None]),
        (two, [A, B], [USER, USER], [1, 0]),
        (two, [A, B], [USER, USER], [-1, 1]),
        (f"[0:1]={{{option},{option}}}", pair, users, "{1,1}"),
        (two, f"[0:1]={pair}", users, "{1,1}"),
        (two, pair, f"[2:3]={users}", "{1,1}"),
        (two, pair, users, "[0:1]={1,1}"),
        (f"{{{{{option},{option}}}}}", pair, users, "{1,1}"),
        (two, f"{{{pair}}}", users, "{1,1}"),
        (two, pair, f"{{{users}}}", "{1,1}"),
        (two, pair, users, "{{1},{1}}"),
    ]


@pytest.mark.parametrize("case", range(len(arrays_that_are_no_purchases(NOWHERE))))
def test_arrays_that_are_no_purchases_are_TK003_and_nothing_is_sold(  # noqa: N802
    connection: Connection, case: int
) -> None:
    option = new_option(connection, 10)
    arrays = arrays_that_are_no_purchases(option)[case]

    with pytest.raises(psycopg.Error) as raised:
        connection.execute(OF_MANY, arrays)

    assert raised.value.sqlstate == "TK003"
    assert "arrays of equal length" in str(raised.value.diag.message_hint)
    assert left(connection, option) == 10
    assert stored(connection, option) == set()


calls = st.lists(
    st.tuples(
        sometimes_invalid(
            st.lists(
                st.tuples(
                    st.integers(0, 3),
                    st.sampled_from([uuid.UUID(int=number) for number in range(6)]),
                    st.sampled_from([USER, OTHER_USER]),
                    quantities,
                ),
                min_size=1,
                max_size=12,
            )
        ),
        st.sets(st.integers(0, 2), max_size=2),
    ),
    max_size=4,
)
"""Purchases, each with the place of its option, and the places of the options that are locked."""

capacities = st.lists(st.one_of(st.integers(0, 30), st.just(MOST)), min_size=3, max_size=3)


@given(capacities=capacities, calls=calls)
@settings(max_examples=100, deadline=None)
def test_a_call_gives_what_calling_one_by_one_would(
    shared_database: str,
    lasting_connection: Connection,
    capacities: list[int],
    calls: list[tuple[list[tuple[int, uuid.UUID, uuid.UUID, int]], set[int]]],
) -> None:
    """The fourth option does not exist."""
    connection = lasting_connection
    with connect(shared_database) as holder:
        options = [new_option(connection, capacity) for capacity in capacities]
        allocations, sold = [*capacities], [dict[uuid.UUID, tuple[uuid.UUID, int]]() for _ in "123"]
        for call, locked in calls:
            asked = [([*options, NOWHERE][place], *rest) for place, *rest in call]
            columns = [list(column) for column in zip(*asked, strict=True)]
            with holder.transaction():
                for place in locked:
                    lock(holder, options[place])
                if any(quantity < 1 for *_, quantity in call):
                    with pytest.raises(psycopg.Error) as raised:
                        value(connection, OF_MANY, *columns)
                    assert raised.value.sqlstate == "TK003"
                else:
                    expected = each_by_itself(allocations, sold, call, locked)
                    assert value(connection, OF_MANY, *columns) == expected
            assert [left(connection, option) for option in options] == allocations
            assert [stored(connection, option) for option in options] == [
                {(purchase, *rest) for purchase, rest in purchases.items()} for purchases in sold
            ]
        assert not connection.execute("SELECT FROM ticketing.audit_allocations()").fetchall()


def each_by_itself(
    allocations: list[int],
    sold: list[dict[uuid.UUID, tuple[uuid.UUID, int]]],
    call: list[tuple[int, uuid.UUID, uuid.UUID, int]],
    locked: set[int],
) -> list[str]:
    """The outcomes that calling with one purchase after the other should give.

    Takes what is sold from ``allocations``, and adds it to ``sold``.
    """
    outcomes = []
    for place, purchase, user, quantity in call:
        if place == len(sold):
            outcomes.append("not_found")
        elif place in locked and allocations[place] and purchase not in sold[place]:
            outcomes.append("busy")
        else:
            [outcome], allocations[place] = one_by_one(
                allocations[place], sold[place], [(purchase, user, quantity)]
            )
            outcomes.append(outcome)
    return outcomes
