"""The database goes away and comes back; the service stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from db import embedded, migrate
from loadtests import service
from loadtests.service import Service, wait_for
from tests.interleaving import wait_until_blocked
from tests.postgres import connect
from tests.processes.conftest import Buyer
from tests.processes.test_draining import lock_option


class Outage:
    """A database server of its own, which a test may stop and start."""

    def __init__(self, data_dir: Path, conninfo: str) -> None:
        self._data = data_dir / "postgres"
        self._socket = conninfo_to_dict(conninfo)["host"]
        self.conninfo = conninfo

    def stop(self) -> None:
        self._pg_ctl("stop", "-m", "immediate")

    def start(self) -> None:
        options = f"-h '' -k {self._socket}"
        self._pg_ctl("start", "-w", "-l", str(self._data / "log"), "-o", options)

    def _pg_ctl(self, *arguments: str) -> None:
        user = self._data.owner() if self._data.owner() != Path.home().owner() else None
        command = [embedded.program("pg_ctl"), "-D", str(self._data), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd="/")


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Outage]:
    with embedded.serving(tmp_path) as conninfo:
        migrate.migrate(conninfo)
        yield Outage(tmp_path, conninfo)
    assert not (tmp_path / "postgres" / "postmaster.pid").exists(), "the server was left behind"


@pytest.fixture
def database(outage: Outage) -> str:
    """The service of these tests is on the server that they stop."""
    return outage.conninfo


def test_a_purchase_sent_while_the_database_is_away_is_sold_when_it_is_back(
    outage: Outage, running_service: Service, buyer: Buyer
) -> None:
    option = buyer.new_option(allocation=100)

    outage.stop()
    purchases = [buyer.start_purchase(option) for _ in range(20)]
    wait_for(lambda: running_service.status("/readyz") == 503, "/readyz to say so")
    outage.start()

    assert [purchase.result().status for purchase in purchases] == [201] * 20
    assert buyer.left(option) == 80
    wait_for(lambda: running_service.status("/readyz") == 200, "/readyz to say so")


def test_a_purchase_that_the_crash_interrupts_is_sold_once(
    outage: Outage, running_service: Service, buyer: Buyer
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


def test_buyers_get_503_when_the_database_stays_away(outage: Outage) -> None:
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
