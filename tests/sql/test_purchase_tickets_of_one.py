"""The face of purchase_tickets for the service: many purchases, an outcome for each."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect, new_option, value

Connection = psycopg.Connection[Any]

OF_ONE = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])"
MOST = 2147483647
USER, OTHER_USER = uuid.UUID(int=1), uuid.UUID(int=2)
A, B, C = (uuid.UUID(int=number) for number in (10, 11, 12))

Purchase = tuple[uuid.UUID, uuid.UUID, int]
"""An id, a user and a quantity."""


def sell(connection: Connection, option: Any, *purchases: Purchase) -> Any:
    """The outcomes of one call with all these purchases."""
    ids, users, quantities = (list(column) for column in zip(*purchases, strict=True))
    return value(connection, OF_ONE, option, ids, users, quantities)


def buyers(*quantities: int) -> list[Purchase]:
    """Purchases by one user, each with a new id."""
    return [(uuid.uuid4(), USER, quantity) for quantity in quantities]


def left(connection: Connection, option: Any) -> Any:
    return value(connection, "SELECT allocation FROM ticketing.get_ticket_option(%s)", option)


def stored(connection: Connection, option: Any) -> set[Purchase]:
    return set(
        connection.execute(
            "SELECT id, user_id, quantity FROM ticketing.purchases WHERE ticket_option_id = %s",
            (option,),
        ).fetchall()
    )


def test_a_refused_purchase_does_not_stop_a_smaller_one_behind_it(connection: Connection) -> None:
    option, purchases = new_option(connection, 1000), buyers(600, 500, 400)

    assert sell(connection, option, *purchases) == ["created", "sold_out", "created"]

    assert left(connection, option) == 0
    assert stored(connection, option) == {purchases[0], purchases[2]}


def test_outcomes_are_in_the_order_of_the_purchases(connection: Connection) -> None:
    option = new_option(connection, 10)
    sell(connection, option, (A, USER, 1), (B, USER, 1))

    outcomes = sell(
        connection,
        option,
        (uuid.uuid4(), USER, 9),
        (B, USER, 1),
        (uuid.uuid4(), USER, 7),
        (A, OTHER_USER, 1),
        (uuid.uuid4(), USER, 1),
        (uuid.uuid4(), USER, 1),
        (A, USER, 2),
        (A, USER, 1),
    )

    assert outcomes == [
        "sold_out",
        "exists",
        "created",
        "exists_different",
        "created",
        "sold_out",
        "exists_different",
        "exists",
    ]
    assert left(connection, option) == 0


@pytest.mark.parametrize(
    ("purchases", "outcomes", "remaining"),
    [
        ([(A, USER, 2), (A, USER, 2)], ["created", "exists"], 8),
        ([(A, USER, 2), (A, USER, 3)], ["created", "exists_different"], 8),
        ([(A, USER, 2), (A, OTHER_USER, 2)], ["created", "exists_different"], 8),
        ([(A, USER, 10), (A, USER, 10)], ["created", "exists"], 0),
        ([(A, USER, 4), (B, USER, 6), (A, USER, 4)], ["created", "created", "exists"], 0),
        ([(A, USER, 11), (A, USER, 11)], ["sold_out", "sold_out"], 10),
        (
            [(A, USER, 11), (A, USER, 9), (A, USER, 11)],
            ["sold_out", "created", "exists_different"],
            1,
        ),
        (
            [(A, USER, 1), (A, USER, 1), (B, USER, 11), (A, USER, 1), (B, USER, 9)],
            ["created", "exists", "sold_out", "exists", "created"],
            0,
        ),
    ],
)
def test_an_id_that_is_repeated_in_a_batch_is_sold_once(
    connection: Connection, purchases: list[Purchase], outcomes: list[str], remaining: int
) -> None:
    option = new_option(connection, 10)

    assert sell(connection, option, *purchases) == outcomes

    assert left(connection, option) == remaining
    assert sum(quantity for _, _, quantity in stored(connection, option)) == 10 - remaining


@pytest.mark.parametrize("allocation", [10, 7], ids=["with tickets left", "sold out since"])
def test_a_batch_that_is_sent_again_is_sold_once(connection: Connection, allocation: int) -> None:
    option, purchases = new_option(connection, allocation), buyers(4, 3)
    sell(connection, option, *purchases)

    assert sell(connection, option, *reversed(purchases)) == ["exists", "exists"]

    assert left(connection, option) == allocation - 7
    assert stored(connection, option) == set(purchases)


def test_a_stored_purchase_with_other_values_stays_as_it_is(connection: Connection) -> None:
    option = new_option(connection, 4)
    sell(connection, option, (A, USER, 2), (B, USER, 2))

    outcomes = sell(connection, option, (A, USER, 3), (B, OTHER_USER, 2))

    assert outcomes == ["exists_different", "exists_different"]
    assert stored(connection, option) == {(A, USER, 2), (B, USER, 2)}


def test_an_option_that_does_not_exist_gives_not_found_for_each(connection: Connection) -> None:
    assert sell(connection, uuid.uuid4(), *buyers(1, MOST, 1)) == ["not_found"] * 3


def test_an_option_without_tickets_gives_sold_out_for_each(connection: Connection) -> None:
    assert sell(connection, new_option(connection, 0), *buyers(1, MOST)) == ["sold_out"] * 2


def test_quantities_may_add_up_to_more_than_an_integer_holds(connection: Connection) -> None:
    option = new_option(connection, MOST)

    outcomes = sell(connection, option, *buyers(MOST - 1, MOST, MOST, 1, 1))

    assert outcomes == ["created", "sold_out", "sold_out", "created", "sold_out"]
    assert left(connection, option) == 0


def test_a_large_batch_is_sold_in_one_call(connection: Connection) -> None:
    option, purchases = new_option(connection, 3000), buyers(*[2] * 2000)
    connection.execute("SET statement_timeout = '5s'")

    assert sell(connection, option, *purchases) == ["created"] * 1500 + ["sold_out"] * 500

    assert stored(connection, option) == set(purchases[:1500])


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_batch_has_no_outcomes(connection: Connection, exists: bool) -> None:
    option = new_option(connection, 1) if exists else uuid.uuid4()

    assert value(connection, OF_ONE, option, [], [], []) == []


@pytest.mark.parametrize(
    ("ids", "users", "quantities"),
    [
        ([A, B], [USER, USER], [1]),
        ([A, B], [USER], [1, 1]),
        ([A], [USER, USER], [1, 1]),
        ([A], [], []),
        ([], [USER], [1]),
        ([A, None], [USER, USER], [1, 1]),
        ([A, B], [USER, None], [1, 1]),
        ([A, B], [USER, USER], [1, None]),
        ([A, B], [USER, USER], [1, 0]),
        ([A, B], [USER, USER], [1, -1]),
        ([A, B], [USER, USER], [1, -MOST - 1]),
        (None, [USER], [1]),
        ([A], None, [1]),
        ([A], [USER], None),
        (None, [], []),
        ([], None, []),
        ([], [], None),
        (None, None, None),
    ],
)
def test_arrays_that_are_no_purchases_are_TK003_and_nothing_is_sold(  # noqa: N802
    connection: Connection, ids: Any, users: Any, quantities: Any
) -> None:
    option = new_option(connection, 10)

    with pytest.raises(psycopg.Error) as raised:
        connection.execute(OF_ONE, (option, ids, users, quantities))

    assert raised.value.sqlstate == "TK003"
    assert "arrays of equal length" in str(raised.value.diag.message_hint)
    assert left(connection, option) == 10
    assert stored(connection, option) == set()


@pytest.mark.parametrize(
    "arrays",
    [
        (f"[0:1]={{{A},{B}}}", f"{{{USER},{USER}}}", "{1,1}"),
        (f"{{{A},{B}}}", f"[2:3]={{{USER},{USER}}}", "{1,1}"),
        (f"{{{A},{B}}}", f"{{{USER},{USER}}}", "[0:1]={1,1}"),
        (f"[0:1]={{{A},{B}}}", f"[0:1]={{{USER},{USER}}}", "[0:1]={1,1}"),
        (f"{{{{{A},{B}}}}}", f"{{{USER},{USER}}}", "{1,1}"),
        (f"{{{A},{B}}}", f"{{{{{USER}}},{{{USER}}}}}", "{1,1}"),
        (f"{{{A},{B}}}", f"{{{USER},{USER}}}", "{{1},{1}}"),
        (f"{{{{{A},{B}}}}}", f"{{{{{USER},{USER}}}}}", "{{1,1}}"),
    ],
)
def test_arrays_of_an_unusual_shape_are_TK003_and_sell_nothing(  # noqa: N802
    connection: Connection, arrays: tuple[str, str, str]
) -> None:
    option = new_option(connection, 10)

    with pytest.raises(psycopg.Error) as raised:
        connection.execute(OF_ONE, (option, *arrays))

    assert raised.value.sqlstate == "TK003"
    assert left(connection, option) == 10
    assert stored(connection, option) == set()


def test_a_batch_that_cannot_be_filled_waits_for_nobody(shared_database: str) -> None:
    with connect(shared_database) as connection, connect(shared_database) as holder:
        option = new_option(connection, 5)
        connection.execute("SET lock_timeout = '1ms'")
        connection.execute("SET statement_timeout = '5s'")
        with holder.transaction():
            sell(holder, option, (A, USER, 4))

            assert sell(connection, option, *buyers(6, MOST)) == ["sold_out"] * 2

        assert sell(connection, option, (A, USER, 4), *buyers(2)) == ["exists", "sold_out"]


def test_a_batch_that_cannot_be_filled_locks_and_writes_nothing(shared_database: str) -> None:
    with connect(shared_database) as connection, connect(shared_database) as other:
        option = new_option(connection, 5)
        row = "SELECT xmin, xmax, ctid FROM ticketing_private.ticket_options WHERE id = %s"
        before = connection.execute(row, (option,)).fetchall()
        with connection.transaction():
            assert sell(connection, option, *buyers(6)) == ["sold_out"]

            other.execute(row.encode() + b" FOR UPDATE NOWAIT", (option,))

        sell(connection, option, *buyers(6))
        [(xmin, _, place)] = connection.execute(row, (option,)).fetchall()
        assert (xmin, place) == (before[0][0], before[0][2])


@pytest.mark.parametrize(
    ("quantities", "outcomes"),
    [
        ([2], ["sold_out"]),
        ([1], ["created"]),
        ([6, 2, 1, 1], ["sold_out", "sold_out", "created", "sold_out"]),
    ],
)
def test_a_batch_of_which_something_may_fit_waits_for_the_one_before_it(
    shared_database: str, quantities: list[int], outcomes: list[str]
) -> None:
    with (
        connect(shared_database) as connection,
        connect(shared_database) as holder,
        connect(shared_database) as waiting,
        ThreadPoolExecutor(1) as threads,
    ):
        waiting.execute("SET application_name = 'waiting'")
        option = new_option(connection, 5)
        with holder.transaction():
            sell(holder, option, (A, USER, 4))
            call = threads.submit(sell, waiting, option, *buyers(*quantities))
            wait_until_blocked(connection, "waiting", 1)

        assert call.result() == outcomes
        assert left(connection, option) == (0 if "created" in outcomes else 1)


def one_by_one(
    allocation: int, purchases: dict[uuid.UUID, tuple[uuid.UUID, int]], batch: list[Purchase]
) -> tuple[list[str], int]:
    """What calling with one purchase after the other should give: the outcomes, and what is left.

    Adds what is sold to ``purchases``.
    """
    outcomes = []
    for purchase, user, quantity in batch:
        if purchase in purchases:
            is_same = purchases[purchase] == (user, quantity)
            outcomes.append("exists" if is_same else "exists_different")
        elif quantity > allocation:
            outcomes.append("sold_out")
        else:
            outcomes.append("created")
            allocation -= quantity
            purchases[purchase] = (user, quantity)
    return outcomes, allocation


quantities = st.sampled_from([*range(1, 10), MOST])


def sometimes_invalid(batches: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    """Batches, one in four of which has a purchase whose quantity is below 1."""

    def spoil(batch: list[Any], quantity: int | None) -> list[Any]:
        return batch if quantity is None else [*batch[:-1], (*batch[-1][:-1], quantity)]

    return st.builds(spoil, batches, st.sampled_from([None] * 6 + [0, -MOST - 1]))


batches = st.lists(
    sometimes_invalid(
        st.lists(
            st.tuples(
                st.sampled_from([uuid.UUID(int=number) for number in range(6)]),
                st.sampled_from([USER, OTHER_USER]),
                quantities,
            ),
            min_size=1,
            max_size=8,
        )
    ),
    max_size=4,
)


@given(capacity=st.one_of(st.integers(0, 30), st.just(MOST)), batches=batches)
@settings(max_examples=100, deadline=None)
def test_a_batch_gives_what_calling_one_by_one_would(
    lasting_connection: Connection, capacity: int, batches: list[list[Purchase]]
) -> None:
    connection = lasting_connection
    option = new_option(connection, capacity)
    allocation, purchases = capacity, dict[uuid.UUID, tuple[uuid.UUID, int]]()
    for batch in batches:
        if any(quantity < 1 for _, _, quantity in batch):
            with pytest.raises(psycopg.Error) as raised:
                sell(connection, option, *batch)
            assert raised.value.sqlstate == "TK003"
        else:
            expected, allocation = one_by_one(allocation, purchases, batch)
            assert sell(connection, option, *batch) == expected
        assert left(connection, option) == allocation
        assert stored(connection, option) == {
            (purchase, *rest) for purchase, rest in purchases.items()
        }
    assert not connection.execute("SELECT FROM ticketing.audit_allocations()").fetchall()
