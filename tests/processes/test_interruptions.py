"""The database server closes a connection of the service, but keeps running."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from loadtests.harness import service
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import Service, wait_for
from tests.processes.conftest import Buyer
from tests.processes.test_draining import lock_option


def test_a_purchase_is_sold_once_when_an_administrator_terminates_its_connection(
    database: str, running_service: Service, buyer: Buyer
) -> None:
    option = buyer.new_option(allocation=10)

    with connect(database) as locker, connect(database) as observer, locker.transaction():
        lock_option(locker, option)
        purchase = buyer.start_purchase(option, 2)
        wait_until_blocked(observer, "ticket-allocation", 1)
        observer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'ticket-allocation' AND wait_event_type = 'Lock'"
        )
        wait_for(
            lambda: running_service.logged("resending a call: terminating connection"),
            "the call to be resent",
        )

    assert purchase.result().status == 201
    assert buyer.left(option) == 8


def test_a_purchase_is_sold_although_its_connection_was_idle_for_too_long(database: str) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    with connect(database) as superuser:
        superuser.execute(f"ALTER DATABASE {name} SET idle_session_timeout = '1s'".encode())
        superuser.execute("SET idle_session_timeout = 0")

        with service.running(DATABASE_URL=database, WORKERS="1") as served:
            buyer = Buyer(served.port)
            option = buyer.new_option(allocation=10)
            connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            wait_for(
                lambda: value(superuser, connections, "ticket-allocation") == 0,
                "the connections to be closed",
            )

            assert buyer.purchase(option, 2).status == 201

            assert buyer.left(option) == 8
            assert served.logged("terminating connection due to idle-session timeout")
            buyer.close()
