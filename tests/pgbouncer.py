"""A PgBouncer in transaction mode, in front of a server of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.harness.service import free_port, wait_for

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH')}:/usr/sbin")


@contextmanager
def in_front_of(database: str, folder: Path, pool_size: int, **settings: object) -> Iterator[str]:
    """Run a PgBouncer; skip the test where there is none.

    Args:
        database: the superuser's connection string of the only database that it leads to.
        folder: a new one, for its files.
        pool_size: connections to the server, at most.

    Yields:
        The connection string that leads through it.
    """
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    folder.mkdir()
    target = conninfo_to_dict(database)
    port = free_port()
    lines = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": pool_size,
        "ignore_startup_parameters": "options",
        "logfile": folder / "log",
        **settings,
    }
    reached = make_conninfo(**{k: str(target[k]) for k in ("host", "dbname", "user")})
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n{target['dbname']} = {reached}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in lines.items())
    )
    command = [PROGRAM, str(config)]
    if os.geteuid() == 0:
        # It refuses to run as root, and must reach the server's socket: so as the server's user.
        user = Path(str(target["host"])).owner()
        command[1:1] = ["--user", user]
        shutil.chown(folder, user)
        for parent in folder.parents:
            parent.chmod(parent.stat().st_mode | 0o011)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        pooled = make_conninfo(
            host="127.0.0.1", port=port, dbname=str(target["dbname"]), user=str(target["user"])
        )

        def answers() -> bool:
            try:
                psycopg.connect(pooled).close()
            except psycopg.OperationalError:
                return False
            return True

        try:
            wait_for(answers, "PgBouncer to answer")
            yield pooled
        finally:
            process.terminate()
