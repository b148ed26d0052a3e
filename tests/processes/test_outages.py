"""The database goes down and comes back; the service stays up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from db import migrate
from loadtests.faults import server
from loadtests.faults.server import DatabaseServer
from loadtests.harness import service
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect
from loadtests.harness.service import Service, wait_for
from tests.processes.conftest import Buyer
from tests.processes.test_draining import lock_option


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[DatabaseServer]:
    with server.serving(tmp_path) as started:
        migrate.migrate(started.conninfo)
        yield started


@pytest.fixture
def database(outage: DatabaseServer) -> str:
    """The service of these tests runs on the server that they stop."""
    return outage.conninfo


def test_a_purchase_sent_while_the_database_is_down_is_sold_when_it_is_back(
    outage: DatabaseServer, running_service: Service, buyer: Buyer
) -> None:
    option = buyer.new_option(allocation=100)

    outage.stop()
    purchases = [buyer.start_purchase(option) for _ in range(20)]
    wait_for(lambda: running_service.status("/readyz") == 503, "/readyz to say so")
    outage.start()

    assert [purchase.result().status for purchase in purchases] == [201] * 20
    assert buyer.left(option) == 80
    wait_for(lambda: running_service.status("/readyz") == 200, "/readyz to say so")


def test_a_purchase_interrupted_by_a_crash_is_sold_once(
    outage: DatabaseServer, running_service: Service, buyer: Buyer
) -> None:
    option = buyer.new_option(allocation=100)

    with closing(connect(outage.conninfo)) as locker, closing(connect(outage.conninfo)) as observer:
        locker.execute("BEGIN")
        lock_option(locker, option)
        purchase = buyer.start_purchase(option, 2)
        wait_until_blocked(observer, "ticket-allocation", 1)
        outage.stop()
    outage.start()

    assert purchase.result().status == 201
    assert buyer.left(option) == 98


def test_a_purchase_committed_before_its_connection_was_closed_is_sold_once(
    outage: DatabaseServer, running_service: Service, buyer: Buyer
) -> None:
    option = buyer.new_option(allocation=100)

    # A standby that does not exist: a commit waits for it, and the client for its answer.
    with connect(outage.conninfo) as superuser:
        superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    outage.stop()
    outage.start()
    with connect(outage.conninfo) as superuser:
        purchase = buyer.start_purchase(option, 2)
        end = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'ticket-allocation' AND wait_event = 'SyncRep'"
        )
        wait_for(lambda: superuser.execute(end).rowcount > 0, "the commit")
        wait_for(lambda: buyer.left(option) == 98, "the sale to be visible")
        assert not purchase.done()
        superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
        superuser.execute("SELECT pg_reload_conf()")

    assert purchase.result().status == 201
    assert buyer.left(option) == 98


def test_buyers_get_503_when_the_database_stays_down(outage: DatabaseServer) -> None:
    with service.running(
        DATABASE_URL=outage.conninfo, WORKERS="1", REQUEST_TIMEOUT_SECONDS="0.5"
    ) as served:
        buyer = Buyer(served.port)
        option = buyer.new_option(allocation=1)

        outage.stop()
        answer = buyer.purchase(option)
        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "1"
        assert served.status("/livez") == 200

        outage.start()
        wait_for(lambda: buyer.purchase(option).status == 201, "a sale")
        buyer.close()


PGBOUNCER = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")


@pytest.fixture
def pgbouncer(outage: DatabaseServer, tmp_path: Path) -> Iterator[str]:
    """A connection string that goes through a PgBouncer."""
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    port = service.free_port()
    (tmp_path / "users").write_text('"ticketing_service" ""\n')
    (tmp_path / "pgbouncer.ini").write_text(f"""
[databases]
* = host={outage.socket_dir}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {tmp_path}/users
ignore_startup_parameters = options
server_login_retry = 1
""")
    user = Path(outage.socket_dir).owner() if os.geteuid() == 0 else None
    command = [PGBOUNCER, str(tmp_path / "pgbouncer.ini")]
    with (
        (tmp_path / "pgbouncer.log").open("w") as log,
        subprocess.Popen(command, user=user, stderr=log) as process,
    ):
        try:
            yield make_conninfo(
                host="127.0.0.1", port=port, dbname="ticketing", user="ticketing_service"
            )
        finally:
            process.terminate()


def test_buyers_behind_a_pooler_do_not_notice_a_restart_of_the_database(
    outage: DatabaseServer, pgbouncer: str
) -> None:
    with (
        service.running(DATABASE_URL=pgbouncer, WORKERS="1") as served,
        closing(Buyer(served.port)) as buyer,
    ):
        option = buyer.new_option(allocation=1000)
        purchases = [buyer.start_purchase(option) for _ in range(20)]
        outage.stop()
        purchases += [buyer.start_purchase(option) for _ in range(20)]
        outage.start()

        assert [purchase.result().status for purchase in purchases] == [201] * 40
        assert buyer.left(option) == 960
