"""What tests of the life of a ticket share: a connection, its clock, and the calls."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from loadtests.harness.postgres import new_option, value

Connection = psycopg.Connection[Any]

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
USER, OTHER_USER = uuid.UUID(int=1), uuid.UUID(int=2)

CLOCK = """
    CREATE OR REPLACE FUNCTION ticketing_private.clock()
    RETURNS timestamptz
    LANGUAGE plpgsql
    VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$BEGIN RETURN (SELECT now FROM ticketing_private.test_clock); END$$
"""


class Life:
    """An operator's calls for one option of so many tickets, at a time that the test sets."""

    def __init__(self, connection: Connection, capacity: int = 10, **rules: Any) -> None:
        self.connection = connection
        self.option: Any = new_option(connection, capacity)
        if rules:
            self.change(**rules)

    @classmethod
    def of(cls, connection: Connection, option: Any) -> Life:
        """The calls for an option that there is."""
        life = cls.__new__(cls)
        life.connection, life.option = connection, option
        return life

    def value(self, query: str, *arguments: object) -> Any:
        return value(self.connection, query, *arguments)

    def change(self, **changes: Any) -> Any:
        """The outcome, and the capacity, sold and held."""
        return self.connection.execute(
            "SELECT outcome, capacity, sold, held "
            "FROM ticketing.try_update_ticket_option(%s, %s::jsonb)",
            (self.option, Jsonb(changes)),
        ).fetchone()

    def hold(
        self, quantity: int = 1, *, user: Any = USER, seconds: int = 600, id: Any = None
    ) -> Any:
        """The outcome, its detail and the id."""
        hold = id or uuid.uuid4()
        return *self.one(
            "ticketing.try_hold_tickets(%s, %s::uuid[], %s::uuid[], %s::int[], %s::int[], 2000)",
            [hold],
            [user],
            [quantity],
            [seconds],
        ), hold

    def purchase(self, quantity: int = 1, *, user: Any = USER, id: Any = None) -> Any:
        """The outcome, its detail and the id."""
        purchase = id or uuid.uuid4()
        return *self.one(
            "ticketing.try_purchase_tickets(%s, %s::uuid[], %s::uuid[], %s::int[], 2000)",
            [purchase],
            [user],
            [quantity],
        ), purchase

    def purchase_hold(self, hold: Any) -> Any:
        return self.one("ticketing.try_purchase_holds(%s, %s::uuid[], 2000)", [hold])[0]

    def release(self, hold: Any) -> Any:
        return self.value("SELECT ticketing.try_release_hold(%s, %s)", self.option, hold)

    def give_back(self, purchase: Any, remaining: int = 0) -> Any:
        """The outcome, and what the purchase has now."""
        return self.connection.execute(
            "SELECT outcome, quantity FROM ticketing.try_return_tickets(%s, %s, %s)",
            (self.option, purchase, remaining),
        ).fetchone()

    def one(self, call: str, *arguments: object) -> Any:
        """The outcome and the detail of a call for one purchase or hold of the option."""
        [[outcomes, details]] = self.connection.execute(
            f"SELECT outcomes, details FROM {call}".encode(), (self.option, *arguments)
        ).fetchall()
        return outcomes[0], details and details[0]

    def state(self, hold: Any) -> Any:
        return self.value("SELECT state FROM ticketing.get_hold(%s, %s)", self.option, hold)

    def counted(self) -> Any:
        """What is sold, held and available."""
        return self.connection.execute(
            "SELECT sold, held, available FROM ticketing.get_availability(%s)", (self.option,)
        ).fetchone()

    def sweep(self) -> Any:
        return self.value("SELECT ticketing.sweep_expired_holds()")

    def history(self) -> list[Any]:
        """The kind, the change and the balance of each event."""
        return self.connection.execute(
            "SELECT kind, quantity, balance::int FROM ticketing.option_history(%s)", (self.option,)
        ).fetchall()

    def check(self) -> None:
        """Everything adds up, along both paths."""
        of_this = "SELECT * FROM ticketing.audit_allocations() WHERE ticket_option_id = %s"
        assert self.connection.execute(of_this, (self.option,)).fetchall() == []
        allocation = "SELECT allocation FROM ticketing.ticket_options WHERE id = %s"
        assert self.history()[-1][2] == self.value(allocation, self.option)


def findings(connection: Connection) -> list[Any]:
    return connection.execute("SELECT * FROM ticketing.audit_allocations()").fetchall()


def stop_clock(connection: Connection, now: datetime = NOON) -> None:
    """From now on it is that time in this database, for every session."""
    connection.execute("CREATE TABLE ticketing_private.test_clock AS SELECT %s AS now", (now,))
    connection.execute("ALTER TABLE ticketing_private.test_clock OWNER TO ticketing_owner")
    connection.execute(CLOCK.encode())


def set_clock(connection: Connection, seconds_past_noon: float) -> None:
    connection.execute(
        "UPDATE ticketing_private.test_clock SET now = %s",
        (NOON + timedelta(seconds=seconds_past_noon),),
    )
