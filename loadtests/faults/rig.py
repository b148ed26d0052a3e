"""A service, its database, the proxy between them, and the checks after each fault."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from db import migrate
from loadtests.faults import server, standby
from loadtests.faults.proxy import Proxy
from loadtests.faults.server import DatabaseServer
from loadtests.harness import service
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import Service, wait_for
from loadtests.onsale.requests import JSON

WORKERS = 2
POOL_SIZE = 4
SERVICE = "ticket-allocation"


class Rig:
    """What the faults happen to.

    Attributes:
        folder: holds all its files.
        database: the database server.
        proxy: between the service and the database server.
        service: has two workers.
        standby: the database server's standby, if it has one.
    """

    def __init__(
        self,
        database: DatabaseServer,
        proxy: Proxy,
        folder: Path,
        settings: dict[str, str],
        standby: DatabaseServer | None,
    ) -> None:
        self.folder = folder
        self.database = database
        self.proxy = proxy
        self.standby = standby
        self._settings = {
            "DATABASE_URL": make_conninfo(
                database.conninfo, host="127.0.0.1", port=proxy.port, user="ticketing_service"
            ),
            "WORKERS": str(WORKERS),
            "POOL_SIZE": str(POOL_SIZE),
            "PORT": str(service.free_port()),
            **settings,
        }
        self.service = Service(**self._settings)
        self.service.wait_until_ready()

    @property
    def operator_conninfo(self) -> str:
        return make_conninfo(self.database.conninfo, user="ticketing_operator")

    def connect(self) -> psycopg.Connection[Any]:
        """An autocommit connection as the superuser, bypassing the proxy."""
        return connect(self.database.conninfo)

    def new_option(self, allocation: int) -> str:
        """Create a ticket option through the service, and return its id."""
        body = json.dumps({"name": "On-sale", "desc": "", "allocation": allocation}).encode()
        request = urllib.request.Request(f"{self.service.url}/ticket_options", body, JSON)
        with urllib.request.urlopen(request, timeout=15) as answer:
            option_id: str = json.load(answer)["id"]
            return option_id

    def restart_service(self) -> None:
        """Send SIGTERM, let it answer what is in flight, and start a new one on the same port."""
        code = self.service.terminate()
        assert code == 0, f"the service ended with {code}:\n{self.service.log()}"
        self._start_new_service()

    def kill_service(self) -> None:
        """Kill all its processes, and start a new service on the same port."""
        for pid in (self.service.process.pid, *self.service.workers()):
            os.kill(pid, signal.SIGKILL)
        self.service.process.wait()
        self._start_new_service()

    def install_next_release(self) -> None:
        """Migrate to a release with different functions, and back to this one."""
        next_release = self.folder / "next-release"
        if not next_release.exists():
            for package in ("api", "db"):
                shutil.copytree(service.ROOT / package, next_release / package)
            for procedure in (next_release / "db/procedures").glob("*.sql"):
                changed = procedure.read_text().replace("AS $function$", "AS $function$\n    --", 1)
                procedure.write_text(changed)
        for root in (next_release, service.ROOT):
            command = [sys.executable, "-m", "api", "migrate"]
            url = f"--migration-database-url={self.database.conninfo}"
            subprocess.run([*command, url], cwd=root, check=True, capture_output=True)

    def wait_until_blocked(self, count: int) -> None:
        """Wait until at least `count` connections of the service are waiting for a lock."""
        with self.connect() as observer:
            wait_until_blocked(observer, SERVICE, count)

    def wait_until_settled(self) -> None:
        """Wait until the service is back to normal: ready, no calls in flight, no locks held."""
        wait_for(lambda: self.service.status("/readyz") == 200, "the service to be ready")
        wait_for(lambda: len(self.service.workers()) == WORKERS, "all workers to run")
        with self.connect() as observer:
            wait_for(lambda: not self._calls_in_flight(observer), "calls to end")
            # The sweep calls the database each second, whatever buyers do.
            held = value(
                observer,
                "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
                "WHERE application_name = %s AND state <> 'active'",
                SERVICE,
            )
            assert held == 0, f"{held} locks are held although no call is in flight"

    def check_connections(self) -> None:
        """Fail if the service has more connections than it may, or ones that the proxy does not."""
        with self.connect() as observer:

            def held() -> int:
                count: int = value(
                    observer,
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s",
                    SERVICE,
                )
                return count

            wait_for(lambda: held() == self.proxy.connections(), "broken connections to be gone")
            assert held() <= WORKERS * POOL_SIZE

    def check_log(self) -> None:
        """Fail if a log shows an unexpected error."""
        log = self.service.log()
        assert "Traceback" not in log, log
        assert "deadlock" not in self.database.log

    def close(self) -> None:
        self.service.close()

    def _start_new_service(self) -> None:
        self.check_log()
        self.service.close()
        self.service = Service(**self._settings)
        self.service.wait_until_ready()

    def _calls_in_flight(self, observer: psycopg.Connection[Any]) -> int:
        calls: int = value(
            observer,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state <> 'idle'",
            SERVICE,
        )
        return calls


@contextmanager
def running(folder: Path, has_standby: bool = False, **settings: str) -> Iterator[Rig]:
    """A rig with its files in the folder; stopped at the end.

    Args:
        has_standby: whether every commit waits for a standby.
        settings: of the service, on top of those that a rig needs.
    """
    with server.serving(folder / "data") as database, ExitStack() as stack:
        migrate.migrate(database.conninfo)
        follower = standby.make(database, folder / "standby") if has_standby else None
        if follower is not None:
            stack.callback(follower.stop)
        proxy = stack.enter_context(Proxy(database.socket))
        rig = Rig(database, proxy, folder, settings, follower)
        stack.callback(rig.close)
        yield rig
