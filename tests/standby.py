"""A PostgreSQL server with a synchronous standby: commits wait until the standby has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from psycopg.conninfo import make_conninfo

from db import embedded
from loadtests.faults import server
from loadtests.faults.server import DatabaseServer
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import wait_for


class Pair(NamedTuple):
    """A primary, and the standby that its commits wait for."""

    primary: DatabaseServer
    standby: DatabaseServer


@contextmanager
def serving(folder: Path) -> Iterator[Pair]:
    """A pair that runs, with its files in the folder; stopped at the end."""
    with server.serving(folder / "primary") as primary:
        standby = _copy(primary, folder / "standby")
        standby.start()
        try:
            with connect(primary.conninfo) as superuser:
                # Set when the copy is made, or the standby would have it too and wait for itself.
                superuser.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                superuser.execute("SELECT pg_reload_conf()")
                is_synchronous = (
                    "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                )
                wait_for(lambda: value(superuser, is_synchronous) == 1, "the standby")
            yield Pair(primary, standby)
        finally:
            if standby.is_running():
                standby.resume()
                standby.stop()


def _copy(primary: DatabaseServer, folder: Path) -> DatabaseServer:
    folder.mkdir()
    owner = Path(primary.socket_dir).owner()
    shutil.chown(folder, owner)
    command = [
        *(embedded.program("pg_basebackup"), "--pgdata", str(folder / "postgres")),
        *("--checkpoint", "fast", "--write-recovery-conf", "--dbname", primary.conninfo),
    ]
    user = owner if os.geteuid() == 0 else None
    subprocess.run(command, check=True, capture_output=True, user=user, cwd="/")
    return DatabaseServer(folder, make_conninfo(primary.conninfo, host=str(folder)))
