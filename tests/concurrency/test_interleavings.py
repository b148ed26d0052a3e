"""Two buyers, one row: what each sees while the other is in the middle of a purchase."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db import manifest
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect, new_option, value
from loadtests.harness.service import TIMEOUT_SECONDS, wait_for

OF_ONE = manifest.PROCEDURES / "take_tickets_of_one.sql"
LOCK = "\n        FOR NO KEY UPDATE;"
OF_MANY = manifest.PROCEDURES / "take_tickets_of_many.sql"
PAUSE = "\n\n    PERFORM pg_catalog.pg_advisory_xact_lock_shared(1);\n\n    "
PURCHASE = "SELECT ticketing.purchase_tickets(%s, %s, %s, %s)"
PURCHASE_BATCH = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::int[])"
PURCHASE_OF_MANY = (
    "SELECT ticketing.purchase_tickets_of_many(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[])"
)
REFUSED_UNLOCKED = "\n        -- Tickets may have been given back meanwhile,"
SKIP_LOCKED = "FOR NO KEY UPDATE SKIP LOCKED"
UNLOCKED_READ = """
        SELECT option.allocation
        INTO remaining
        FROM ticketing_private.ticket_options AS option
        WHERE option.id = option_id;
"""
USER = uuid.uuid4()


def _for_one(option: Any, purchase: uuid.UUID, quantity: int) -> tuple[Any, ...]:
    return PURCHASE_BATCH, option, [purchase], [USER], [quantity]


def _for_many(option: Any, purchase: uuid.UUID, quantity: int) -> tuple[Any, ...]:
    return PURCHASE_OF_MANY, [option], [purchase], [USER], [quantity]


CALLS = {"for one": _for_one, "for many": _for_many}
"""A purchase by either function: the statement and its arguments."""


class Race:
    """A first buyer in the middle of a purchase, and a second one who arrives during it."""

    def __init__(self, database: str) -> None:
        self.observer = connect(database)
        self.first = connect(database)
        self.second = connect(database)
        self.second.execute("SET application_name = 'second'")
        self._threads = ThreadPoolExecutor(1)

    @contextmanager
    def first_in_the_middle(
        self, option: Any, quantity: int, purchase: uuid.UUID
    ) -> Iterator[None]:
        """Hold the first buyer's transaction open, with the purchase made."""
        with self.first.transaction():
            self.first.execute(PURCHASE, (option, USER, quantity, purchase))
            yield

    def second_purchases(self, option: Any, quantity: int, purchase: uuid.UUID) -> Future[Any]:
        """Start the second buyer's purchase, and wait until it is waiting for the first one's."""
        return self.second_calls(PURCHASE, option, USER, quantity, purchase)

    def second_calls(self, statement: str, *arguments: object) -> Future[Any]:
        """Start a call of the second buyer, and wait until it is waiting for a lock."""
        call = self._threads.submit(value, self.second, statement, *arguments)
        wait_until_blocked(self.observer, "second", 1)
        return call

    def sold(self, option: Any) -> Any:
        return value(
            self.observer,
            "SELECT sum(quantity) FROM ticketing.purchases WHERE ticket_option_id = %s",
            option,
        )

    def close(self) -> None:
        # These first: the second buyer's call may still be waiting for one of their locks.
        self.first.close()
        self.observer.close()
        self._threads.shutdown()
        self.second.close()


@pytest.fixture
def race(database: str) -> Iterator[Race]:
    new_race = Race(database)
    yield new_race
    new_race.close()


def test_one_of_two_buyers_of_the_last_ticket_is_refused(race: Race) -> None:
    option = new_option(race.observer, 1)

    with race.first_in_the_middle(option, 1, uuid.uuid4()):
        second = race.second_purchases(option, 1, uuid.uuid4())

    with pytest.raises(
        psycopg.Error, match="not enough tickets left: 1 requested, 0 available"
    ) as refusal:
        second.result()
    assert refusal.value.sqlstate == "TK002"
    assert race.sold(option) == 1


def test_without_the_lock_the_last_ticket_is_sold_twice(race: Race) -> None:
    """The negative control: the interleaving above does expose the race if there is one."""
    source = OF_ONE.read_text()
    assert source.count(LOCK) == 1
    race.observer.execute(source.replace(LOCK, ";").encode())
    option = new_option(race.observer, 1)

    with race.first_in_the_middle(option, 1, uuid.uuid4()):
        second = race.second_purchases(option, 1, uuid.uuid4())

    second.result()
    assert race.sold(option) == 2
    assert value(race.observer, "SELECT missing FROM ticketing.audit_allocations()") == -1


def test_tickets_of_a_rolled_back_purchase_go_to_the_waiting_buyer(race: Race) -> None:
    option = new_option(race.observer, 1)
    purchase = uuid.uuid4()

    with race.first_in_the_middle(option, 1, uuid.uuid4()):
        second = race.second_purchases(option, 1, purchase)
        raise psycopg.Rollback

    assert second.result() == purchase
    assert race.sold(option) == 1


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (1, 1, None),
        (1, 2, "not enough tickets left: 2 requested, 1 available"),
        (2, 1, "not enough tickets left: 1 requested, 0 available"),
    ],
)
def test_a_buyer_waiting_for_the_last_two_tickets_gets_all_requested_or_none(
    race: Race, first: int, second: int, message: str | None
) -> None:
    option, purchase = new_option(race.observer, 2), uuid.uuid4()

    with race.first_in_the_middle(option, first, uuid.uuid4()):
        call = race.second_purchases(option, second, purchase)

    if message is None:
        assert call.result() == purchase
    else:
        with pytest.raises(psycopg.Error, match=message):
            call.result()
    assert race.sold(option) == (first if message else 2)
    assert value(race.observer, "SELECT count(*) FROM ticketing.audit_allocations()") == 0


def test_a_purchase_resent_before_the_first_attempt_commits_sells_once(race: Race) -> None:
    option = new_option(race.observer, 10)
    purchase = uuid.uuid4()

    with race.first_in_the_middle(option, 4, purchase):
        resent = race.second_purchases(option, 4, purchase)

    assert resent.result() == purchase
    assert race.sold(option) == 4


def test_a_resent_purchase_sells_if_the_first_attempt_is_rolled_back(race: Race) -> None:
    option, purchase = new_option(race.observer, 4), uuid.uuid4()

    with race.first_in_the_middle(option, 4, purchase):
        resent = race.second_purchases(option, 4, purchase)
        raise psycopg.Rollback

    assert resent.result() == purchase
    assert race.sold(option) == 4


@pytest.mark.parametrize(
    ("is_committed", "allocation", "outcomes"),
    [
        (True, 10, ["exists", "exists_different"]),
        (True, 4, ["exists", "exists_different"]),
        (False, 10, ["created", "exists_different"]),
    ],
    ids=["committed", "committed, and it sold the last ticket", "rolled back"],
)
def test_a_resent_call_for_many_is_busy_until_the_first_attempt_ends(
    race: Race, is_committed: bool, allocation: int, outcomes: list[str]
) -> None:
    option, other = new_option(race.observer, allocation), new_option(race.observer, 1)
    purchase = uuid.uuid4()
    resent = [[option, option], [purchase, purchase], [USER, USER], [4, 3]]
    race.second.execute("SET lock_timeout = '1ms'")

    with race.first_in_the_middle(option, 4, purchase):
        assert value(race.second, PURCHASE_OF_MANY, *resent) == ["busy", "busy"]
        one_more = [[option, other], [purchase, uuid.uuid4()], [USER, USER], [4, 1]]
        assert value(race.second, PURCHASE_OF_MANY, *one_more) == ["busy", "created"]
        if not is_committed:
            raise psycopg.Rollback

    assert value(race.second, PURCHASE_OF_MANY, *resent) == outcomes
    assert (race.sold(option), race.sold(other)) == (4, 1)


class Crossing:
    """Two buyers, each in the middle of a purchase of one option, who also want the other's."""

    def __init__(self, race: Race) -> None:
        self._race = race
        self.mine, self.yours = new_option(race.observer, 5), new_option(race.observer, 5)
        self.first_purchase = uuid.uuid4()
        # The server resolves a deadlock at the first buyer's expense.
        race.first.execute("SET deadlock_timeout = '1ms'")
        race.second.execute("SET deadlock_timeout = '1h'")
        race.first.execute("BEGIN")
        race.second.execute("BEGIN")
        race.first.execute(PURCHASE, (self.mine, USER, 2, self.first_purchase))
        race.second.execute(PURCHASE, (self.yours, USER, 2, uuid.uuid4()))

    def sold(self) -> list[Any]:
        """The tickets sold of both options, once the transactions have ended."""
        assert value(self._race.observer, "SELECT count(*) FROM ticketing.audit_allocations()") == 0
        return [self._race.sold(option) for option in (self.mine, self.yours)]


def of_many(*options: Any) -> tuple[Any, ...]:
    """A call for one ticket of each option."""
    purchases = [uuid.uuid4() for _ in options]
    return PURCHASE_OF_MANY, [*options], purchases, [USER for _ in options], [1 for _ in options]


def test_calls_for_many_that_share_options_in_opposite_orders_wait_for_nobody(race: Race) -> None:
    crossing = Crossing(race)

    one = value(race.first, *of_many(crossing.mine, crossing.yours))
    other = value(race.second, *of_many(crossing.yours, crossing.mine))
    race.first.execute("COMMIT")
    race.second.execute("COMMIT")

    assert (one, other) == (["created", "busy"], ["created", "busy"])
    assert crossing.sold() == [3, 3]


def test_calls_for_many_that_wait_for_locks_deadlock(race: Race) -> None:
    """The negative control: the interleaving above does expose a deadlock if there is one."""
    source = OF_MANY.read_text()
    assert source.count(SKIP_LOCKED) == 1
    race.observer.execute(source.replace(SKIP_LOCKED, "FOR NO KEY UPDATE").encode())
    crossing = Crossing(race)

    race.second_calls(*of_many(crossing.yours, crossing.mine))

    with pytest.raises(psycopg.errors.DeadlockDetected):
        value(race.first, *of_many(crossing.mine, crossing.yours))


def test_one_of_two_deadlocked_operators_gets_an_error_and_nothing_is_lost(race: Race) -> None:
    """Each sells two batches in one transaction, of the same options in opposite orders."""
    crossing = Crossing(race)
    mine = CALLS["for one"](crossing.mine, crossing.first_purchase, 2)
    yours = CALLS["for one"](crossing.yours, uuid.uuid4(), 1)

    other = race.second_calls(*CALLS["for one"](crossing.mine, uuid.uuid4(), 1))
    with pytest.raises(psycopg.errors.DeadlockDetected):
        value(race.first, *yours)
    race.first.execute("ROLLBACK")
    assert other.result() == ["created"]
    race.second.execute("COMMIT")
    # Nothing of the failed operator's is sold, and all of it may be resent.
    assert crossing.sold() == [1, 2]

    assert [value(race.first, *call) for call in (mine, yours)] == [["created"]] * 2
    assert crossing.sold() == [3, 3]


def pauses(path: Path) -> list[str]:
    """Versions of the function, each with a pause between a different pair of statements."""
    source = path.read_text()
    places = [match.start() for match in re.finditer("\n\n    (?=[A-Za-z-])", source)]
    [begin] = (match.end() for match in re.finditer("^BEGIN$", source, re.MULTILINE))
    return [source[:place] + PAUSE + source[place:] for place in places if place > begin]


@pytest.mark.parametrize(
    ("source", "call"),
    [
        *((source, "for one") for source in pauses(OF_ONE)),
        *((source, "for many") for source in pauses(OF_MANY)),
    ],
)
def test_a_resent_purchase_of_the_last_tickets_is_never_refused(
    race: Race, source: str, call: str
) -> None:
    """The first attempt commits while the second is between any two of its statements."""
    race.observer.execute(source.encode())
    option, purchase = new_option(race.observer, 2), uuid.uuid4()

    race.observer.execute("SELECT pg_advisory_lock(1)")
    with race.first.transaction():
        race.first.execute(
            "UPDATE ticketing_private.ticket_options SET allocation = 0 WHERE id = %s", (option,)
        )
        race.first.execute(
            "INSERT INTO ticketing_private.purchases "
            "(ticket_option_id, id, user_id, quantity) VALUES (%s, %s, %s, 2)",
            (option, purchase, USER),
        )
        resent = race.second_calls(*CALLS[call](option, purchase, 2))
    race.observer.execute("SELECT pg_advisory_unlock(1)")

    assert resent.result() in (["exists"], ["busy"])


@contextmanager
def put_on_sale_by_hand(race: Race, source: str, call: str) -> Iterator[tuple[Any, Future[Any]]]:
    """Give an option tickets by hand during the second buyer's call; return both.

    The call begins while the option has no tickets. During its pause the option gets five, and the
    first buyer takes them all, but has not committed.
    """
    race.observer.execute(source.encode())
    option = new_option(race.observer, 0)
    race.observer.execute("SELECT pg_advisory_lock(1)")
    second = race.second_calls(*CALLS[call](option, uuid.uuid4(), 1))
    race.observer.execute(
        "UPDATE ticketing_private.ticket_options SET capacity = 5, allocation = 5 WHERE id = %s",
        (option,),
    )
    with race.first_in_the_middle(option, 5, uuid.uuid4()):
        race.observer.execute("SELECT pg_advisory_unlock(1)")
        yield option, second


def paused_after_look() -> str:
    """The function for one option, with a pause after it has found nothing to lock."""
    source = OF_ONE.read_text()
    assert source.count(REFUSED_UNLOCKED) == 1
    return source.replace(REFUSED_UNLOCKED, PAUSE + REFUSED_UNLOCKED)


@pytest.mark.parametrize(
    ("source", "call"),
    [(paused_after_look(), "for one"), *((source, "for many") for source in pauses(OF_MANY))],
)
def test_tickets_put_on_sale_during_a_call_are_not_sold_without_the_lock(
    race: Race, source: str, call: str
) -> None:
    with put_on_sale_by_hand(race, source, call) as (option, second):
        assert second.result(TIMEOUT_SECONDS) in (["sold_out"], ["busy"])

    assert race.sold(option) == 5


def test_selling_tickets_put_on_sale_during_a_call_without_the_lock_oversells(race: Race) -> None:
    """The negative control."""
    source = paused_after_look().replace(PAUSE, PAUSE + UNLOCKED_READ)

    with put_on_sale_by_hand(race, source, "for one") as (option, second):
        # It has decided, and is about to write.
        waits_for_the_row = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'second' AND wait_event = 'transactionid'"
        )
        wait_for(lambda: value(race.observer, waits_for_the_row) == 1, "the second buyer")

    assert second.result() == ["created"]
    assert race.sold(option) == 6


def test_a_locked_option_blocks_no_purchase_of_a_different_one(race: Race) -> None:
    locked, other = new_option(race.observer, 1), new_option(race.observer, 1)

    with race.first_in_the_middle(locked, 1, uuid.uuid4()):
        race.second.execute("SET lock_timeout = '1ms'")
        race.second.execute(PURCHASE, (other, USER, 1, uuid.uuid4()))

    assert race.sold(other) == 1


def test_a_locked_option_can_be_read(race: Race) -> None:
    option = new_option(race.observer, 5)

    with race.first_in_the_middle(option, 2, uuid.uuid4()):
        left = "SELECT allocation FROM ticketing.get_ticket_option(%s)"
        assert value(race.second, left, option) == 5

    assert value(race.second, left, option) == 3
