"""What fails over one connection is done over a different one, and buyers do not notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db import manifest
from loadtests.faults.proxy import Proxy
from loadtests.harness import service
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import Service, wait_for
from tests.processes.conftest import Buyer
from tests.processes.test_draining import lock_option

Connection = psycopg.Connection[Any]

CONNECTIONS_FAULT = [
    "08000",  # connection exception
    "08003",
    "08006",
    "08P01",  # protocol_violation, which PgBouncer uses for its own errors
    "25006",  # read_only_sql_transaction
    "25P02",  # in_failed_sql_transaction
    "28000",  # invalid_authorization_specification
    "0P000",  # invalid_role_specification
    "42501",  # insufficient_privilege
    "57P01",  # admin_shutdown
    "57P05",  # idle_session_timeout
    "0A000",  # cached plan must not change result type
    "26000",  # invalid_sql_statement_name
    "42P05",  # duplicate_prepared_statement
]


@contextmanager
def read_only(database: str, where: str) -> Iterator[None]:
    """Sessions are read-only: new ones or, after ALTER SYSTEM, existing ones as well."""
    target = where.format(database=conninfo_to_dict(database)["dbname"])
    with closing(connect(database)) as superuser:
        superuser.execute("SET default_transaction_read_only = off")  # for this session only
        superuser.execute(f"ALTER {target} SET default_transaction_read_only = on".encode())
        superuser.execute("SELECT pg_reload_conf()")
        if where != "SYSTEM":
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        try:
            yield
        finally:
            superuser.execute(f"ALTER {target} RESET default_transaction_read_only".encode())
            superuser.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("where", ["DATABASE {database}", "ROLE ticketing_service", "SYSTEM"])
def test_a_purchase_sent_while_the_database_is_read_only_is_sold_afterwards(
    database: str, where: str
) -> None:
    url = make_conninfo(database, user="ticketing_service")
    with (
        service.running(DATABASE_URL=url, WORKERS="1") as served,
        closing(Buyer(served.port)) as buyer,
    ):
        option = buyer.new_option(allocation=100)

        with read_only(database, where):
            purchases = [buyer.start_purchase(option) for _ in range(5)]
            wait_for(lambda: served.status("/readyz") == 503, "/readyz to say so")

        assert [purchase.result().status for purchase in purchases] == [201] * 5
        wait_for(lambda: served.status("/readyz") == 200, "/readyz to say so")
        assert [buyer.purchase(option).status for _ in range(20)] == [201] * 20


def test_a_purchase_sent_while_the_role_lacks_its_rights_is_sold_afterwards(
    database: str, running_service: Service, buyer: Buyer
) -> None:
    option = buyer.new_option(allocation=100)
    rights = "EXECUTE ON ALL FUNCTIONS IN SCHEMA ticketing"
    with closing(connect(database)) as superuser:
        superuser.execute(f"REVOKE {rights} FROM ticketing_service".encode())
        purchase = buyer.start_purchase(option)
        wait_for(lambda: running_service.status("/readyz") == 503, "/readyz to say so")
        assert not purchase.done()
        superuser.execute(f"GRANT {rights} TO ticketing_service".encode())

    assert purchase.result().status == 201
    wait_for(lambda: running_service.status("/readyz") == 200, "/readyz to say so")


@pytest.mark.parametrize("function", ["try_purchase_tickets", "try_purchase_tickets_of_many"])
def test_a_service_that_may_not_sell_is_not_ready(
    database: str, running_service: Service, function: str
) -> None:
    with closing(connect(database)) as superuser:
        superuser.execute(
            f"REVOKE EXECUTE ON FUNCTION ticketing.{function} FROM ticketing_service".encode()
        )

        assert running_service.status("/readyz") == 503
        assert running_service.logged("not ready.*permission denied for function")


def test_reads_keep_working_when_a_function_returns_a_different_type(
    database: str, running_service: Service, buyer: Buyer
) -> None:
    option = buyer.new_option(allocation=100)
    for _ in range(20):
        assert buyer.left(option) == 100
    source = (manifest.PROCEDURES / "describe_ticket_options.sql").read_text()
    changed = source.replace("allocation integer", "allocation bigint")
    changed = changed.replace(
        "        option.allocation + CASE", "        option.allocation::bigint + CASE"
    )
    assert changed.count("bigint") == 2

    with closing(connect(database)) as superuser, superuser.transaction():
        superuser.execute("DROP FUNCTION ticketing.describe_ticket_options(uuid[])")
        superuser.execute(changed.encode())

    assert [buyer.left(option) for _ in range(20)] == [100] * 20


@pytest.fixture
def network(database: str) -> Iterator[Proxy]:
    """A proxy between the service and its database."""
    socket_dir = conninfo_to_dict(database)["host"]
    with Proxy(f"{socket_dir}/.s.PGSQL.5432") as proxy:
        yield proxy


def test_a_purchase_sent_over_dead_connections_is_sold_over_new_ones(
    database: str, network: Proxy
) -> None:
    """Half-open connections: TCP acknowledges what is sent, but nobody is there.

    A call has time to give up on one of them, but not on one after another.
    """
    url = make_conninfo(database, host="127.0.0.1", port=network.port)
    with (
        service.running(
            DATABASE_URL=url,
            WORKERS="1",
            REQUEST_TIMEOUT_SECONDS="3",
            STATEMENT_TIMEOUT_SECONDS="0.6",
        ) as served,
        closing(Buyer(served.port)) as buyer,
    ):
        option = buyer.new_option(allocation=100)
        wait_for(lambda: network.connections() >= 2, "more than one connection")

        network.stall()
        purchases = [buyer.start_purchase(option) for _ in range(5)]

        assert [purchase.result().status for purchase in purchases] == [201] * 5
        assert buyer.left(option) == 95


def test_a_transaction_timeout_is_a_timeout_like_the_others(database: str) -> None:
    with closing(connect(database)) as locker:
        name = conninfo_to_dict(database)["dbname"]
        locker.execute(f"ALTER DATABASE {name} SET transaction_timeout = '300ms'".encode())
        with (
            service.running(DATABASE_URL=database, WORKERS="1") as served,
            closing(Buyer(served.port)) as buyer,
        ):
            option = buyer.new_option(allocation=10)
            locker.execute("BEGIN")
            locker.execute("SET LOCAL transaction_timeout = 0")
            lock_option(locker, option)
            refused = buyer.purchase(option)
            locker.execute("ROLLBACK")

            assert (refused.status, refused.code) == (503, "overloaded")
            assert buyer.purchase(option).status == 201
            assert buyer.left(option) == 9


FAILING = """
    CREATE OR REPLACE FUNCTION ticketing.describe_purchase(option_id uuid, purchase_id uuid)
    RETURNS TABLE (
        id uuid, ticket_option_id uuid, user_id uuid, quantity integer, created_at timestamptz,
        purchased_quantity integer, cancelled_at timestamptz
    )
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
    BEGIN
        IF nextval('ticketing_private.calls') <= {times} THEN
            RAISE EXCEPTION 'as if' USING ERRCODE = '{sqlstate}';
        END IF;
        RETURN QUERY
        SELECT purchase.id, purchase.ticket_option_id, purchase.user_id, purchase.quantity,
            purchase.created_at, NULL::integer, NULL::timestamptz
        FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id AND purchase.id = purchase_id;
    END
    $$
"""


def fail(database: str, sqlstate: str, times: int) -> None:
    """Make the next `times` reads of purchases fail, counted by a sequence."""
    with closing(connect(database)) as superuser:
        superuser.execute("DROP SEQUENCE IF EXISTS ticketing_private.calls")
        superuser.execute("CREATE SEQUENCE ticketing_private.calls")
        superuser.execute("GRANT ALL ON SEQUENCE ticketing_private.calls TO ticketing_owner")
        superuser.execute(FAILING.format(sqlstate=sqlstate, times=times).encode())


def test_an_error_of_one_connection_does_not_reach_the_buyer(
    database: str, running_service: Service, buyer: Buyer, subtests: pytest.Subtests
) -> None:
    option = buyer.new_option(allocation=100)
    purchase = buyer.purchase(option).headers["Location"]
    assert purchase
    for sqlstate in CONNECTIONS_FAULT:
        with subtests.test(sqlstate):
            fail(database, sqlstate, times=1)
            assert buyer.send("GET", purchase).status == 200


def test_an_error_of_every_connection_is_refused_without_flooding_the_database(
    database: str, subtests: pytest.Subtests
) -> None:
    with (
        service.running(
            DATABASE_URL=database, WORKERS="1", REQUEST_TIMEOUT_SECONDS="1.5"
        ) as served,
        closing(Buyer(served.port)) as buyer,
        closing(connect(database)) as superuser,
    ):
        purchase = buyer.purchase(buyer.new_option(allocation=100)).headers["Location"]
        assert purchase
        for sqlstate, status in (("42501", 503), ("08P01", 503), ("0A000", 500), ("22012", 500)):
            with subtests.test(sqlstate):
                fail(database, sqlstate, times=1_000_000)
                assert buyer.send("GET", purchase).status == status
                calls = value(superuser, "SELECT last_value FROM ticketing_private.calls")
                assert calls <= 8, "it is resent over and over"
