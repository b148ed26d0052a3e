"""Two buyers, one row: what each sees when the other is in the middle of it."""

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

from db import shipped
from tests.interleaving import wait_until_blocked
from tests.postgres import connect, new_option, value

BATCH = shipped.PROCEDURES / "purchase_tickets_batch.sql"
LOCK = "\n    FOR NO KEY UPDATE;"
OF_MANY = shipped.PROCEDURES / "purchase_tickets_of_many.sql"
PAUSE = "\n\n    PERFORM pg_catalog.pg_advisory_xact_lock_shared(1);\n\n    "
PURCHASE = "SELECT ticketing.purchase_tickets(%s, %s, %s, %s)"
USER = uuid.uuid4()


class Race:
    """A buyer in the middle of a purchase, and another one who comes meanwhile."""

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
        """Within it the first buyer's purchase is made, but not committed."""
        with self.first.transaction():
            self.first.execute(PURCHASE, (option, USER, quantity, purchase))
            yield

    def second_comes(self, option: Any, quantity: int, purchase: uuid.UUID) -> Future[Any]:
        """The second buyer's purchase, which waits for the first one's."""
        call = self._threads.submit(value, self.second, PURCHASE, option, USER, quantity, purchase)
        wait_until_blocked(self.observer, "second", 1)
        return call

    def sold(self, option: Any) -> Any:
        return value(
            self.observer,
            "SELECT sum(quantity) FROM ticketing.purchases WHERE ticket_option_id = %s",
            option,
        )

    def close(self) -> None:
        self._threads.shutdown()
        for connection in (self.first, self.second, self.observer):
            connection.close()


@pytest.fixture
def race(database: str) -> Iterator[Race]:
    made = Race(database)
    yield made
    made.close()


def test_of_two_buyers_of_the_last_ticket_one_is_refused(race: Race) -> None:
    option = new_option(race.observer, 1)

    with race.first_in_the_middle(option, 1, uuid.uuid4()):
        second = race.second_comes(option, 1, uuid.uuid4())

    with pytest.raises(psycopg.Error, match="1 tickets were asked for, 0 are left") as refusal:
        second.result()
    assert refusal.value.sqlstate == "TK002"
    assert race.sold(option) == 1


def test_without_the_lock_the_last_ticket_is_sold_twice(race: Race) -> None:
    """The negative control: the interleaving above does find the race when it is there."""
    source = BATCH.read_text()
    assert source.count(LOCK) == 1
    race.observer.execute(source.replace(LOCK, ";").encode())
    option = new_option(race.observer, 1)

    with race.first_in_the_middle(option, 1, uuid.uuid4()):
        second = race.second_comes(option, 1, uuid.uuid4())

    second.result()
    assert race.sold(option) == 2
    assert value(race.observer, "SELECT missing FROM ticketing.audit_allocations()") == -1


def test_tickets_of_a_purchase_that_is_rolled_back_go_to_the_one_who_waits(race: Race) -> None:
    option = new_option(race.observer, 1)
    purchase = uuid.uuid4()

    with race.first_in_the_middle(option, 1, uuid.uuid4()):
        second = race.second_comes(option, 1, purchase)
        raise psycopg.Rollback

    assert second.result() == purchase
    assert race.sold(option) == 1


def test_a_purchase_sent_again_while_the_first_is_not_committed_sells_once(race: Race) -> None:
    option = new_option(race.observer, 10)
    purchase = uuid.uuid4()

    with race.first_in_the_middle(option, 4, purchase):
        again = race.second_comes(option, 4, purchase)

    assert again.result() == purchase
    assert race.sold(option) == 4


def pauses(path: Path) -> list[str]:
    """The function with a pause, once for each place between two of its statements."""
    source = path.read_text()
    places = [match.start() for match in re.finditer("\n\n    (?=[A-Za-z-])", source)]
    [begin] = (match.end() for match in re.finditer("^BEGIN$", source, re.MULTILINE))
    return [source[:place] + PAUSE + source[place:] for place in places if place > begin]


@pytest.mark.parametrize(
    ("source", "call"),
    [
        *((source, "purchase_tickets(%s::uuid") for source in pauses(BATCH)),
        *((source, "purchase_tickets_of_many(%s::uuid[]") for source in pauses(OF_MANY)),
    ],
)
def test_the_purchase_of_the_last_tickets_sent_again_is_never_refused(
    race: Race, source: str, call: str
) -> None:
    """The first sending is committed while the second is between any two of its statements."""
    race.observer.execute(source.encode())
    option, purchase = new_option(race.observer, 2), uuid.uuid4()
    statement = f"SELECT ticketing.{call}, %s::uuid[], %s::uuid[], %s::integer[])"
    options = [option] if "[]" in call else option

    with ThreadPoolExecutor(1) as threads:
        race.observer.execute("SELECT pg_advisory_lock(1)")
        with race.first.transaction():
            race.first.execute(
                "UPDATE ticketing_private.ticket_options SET allocation = 0 WHERE id = %s",
                (option,),
            )
            race.first.execute(
                "INSERT INTO ticketing_private.purchases "
                "(ticket_option_id, id, user_id, quantity) VALUES (%s, %s, %s, 2)",
                (option, purchase, USER),
            )
            again = threads.submit(value, race.second, statement, options, [purchase], [USER], [2])
            wait_until_blocked(race.observer, "second", 1)
        race.observer.execute("SELECT pg_advisory_unlock(1)")

    assert again.result() in (["exists"], ["busy"])


def test_a_locked_option_stops_no_purchase_of_another(race: Race) -> None:
    locked, other = new_option(race.observer, 1), new_option(race.observer, 1)

    with race.first_in_the_middle(locked, 1, uuid.uuid4()):
        race.second.execute("SET lock_timeout = '1ms'")
        race.second.execute(PURCHASE, (other, USER, 1, uuid.uuid4()))

    assert race.sold(other) == 1


def test_an_option_is_read_while_it_is_locked(race: Race) -> None:
    option = new_option(race.observer, 5)

    with race.first_in_the_middle(option, 2, uuid.uuid4()):
        left = "SELECT allocation FROM ticketing.get_ticket_option(%s)"
        assert value(race.second, left, option) == 5

    assert value(race.second, left, option) == 3
