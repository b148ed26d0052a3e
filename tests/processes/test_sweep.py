"""Holds that ran out are given back by the service itself, though nobody asks for their tickets."""

from __future__ import annotations

import json
import uuid

from loadtests.harness import service
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import Service, wait_for
from tests.http.conftest import move_clock
from tests.processes.conftest import Buyer
from tests.processes.test_draining import lock_option

COUNTED = """
    SELECT array[allocation, held]
    FROM ticketing_private.ticket_options
    WHERE id::text = %s
"""


def new_option_with_hold(buyer: Buyer) -> str:
    """The path of an option of 10 tickets, of which 3 are held."""
    option = buyer.new_option(10)
    body = {"quantity": 3, "user_id": str(uuid.uuid4())}
    assert buyer.send("POST", f"{option}/holds", body).status == 201
    return option


def test_what_reads_show_as_available_is_given_back_soon_and_no_lock_is_waited_for(
    database: str, running_service: Service, buyer: Buyer
) -> None:
    # The hold that ran out first is the first to be looked at.
    locked, swept = (new_option_with_hold(buyer) for _ in range(2))

    with connect(database) as observer, connect(database) as operator:

        def counted(option: str) -> object:
            # Of the two processes, neither waits.
            assert value(observer, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0
            return value(observer, COUNTED, option.rpartition("/")[2])

        with operator.transaction():
            lock_option(operator, locked)
            move_clock(database, 601)
            assert [buyer.left(option) for option in (swept, locked)] == [10, 10]
            wait_for(lambda: counted(swept) == [10, 0], "the hold to be given back")
            assert counted(locked) == [7, 3]
        wait_for(lambda: counted(locked) == [10, 0], "the other hold to be given back")

        for option in (swept, locked):
            [hold] = json.loads(buyer.send("GET", f"{option}/holds").body)["items"]
            assert hold["state"] == "expired"
        assert value(observer, "SELECT count(*) FROM ticketing.audit_allocations()") == 0
    assert not running_service.logged("WARNING|ERROR|Traceback")


def test_it_stops_with_the_process_whatever_it_is_doing(database: str) -> None:
    with (
        service.running(
            DATABASE_URL=database, WORKERS="2", STATEMENT_TIMEOUT_SECONDS="60"
        ) as served,
        connect(database) as observer,
    ):
        observer.execute(
            "CREATE OR REPLACE FUNCTION ticketing.sweep_expired_holds(holds_max integer DEFAULT 1)"
            " RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); END $$"
        )
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        wait_for(lambda: value(observer, sleeping) == 2, "both processes to sweep")

        assert served.terminate() == 0

        assert value(observer, sleeping) == 2, "the processes have waited for it"
        assert not served.logged("WARNING|ERROR|Traceback")
