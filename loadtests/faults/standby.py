"""A standby that takes over from its primary."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from psycopg.conninfo import make_conninfo

from db import embedded
from loadtests.faults.server import DatabaseServer
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import wait_for

PORT = 5433
"""Part of the name of its Unix socket; nothing listens on TCP."""


def make(primary: DatabaseServer, folder: Path) -> DatabaseServer:
    """Start a standby with its files in the folder. Every commit of the primary waits for it.

    Args:
        folder: is created here.
    """
    folder.mkdir()
    if primary.owner is not None:
        os.chown(folder, pwd.getpwnam(primary.owner).pw_uid, -1)
    command = [embedded.program("pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast"]
    arguments = [f"--pgdata={folder / 'postgres'}", f"--dbname={primary.conninfo}"]
    subprocess.run(
        [*command, *arguments], check=True, capture_output=True, user=primary.owner, cwd="/"
    )
    standby = DatabaseServer(folder, make_conninfo(primary.conninfo, port=PORT))
    standby.start()
    with connect(primary.conninfo) as superuser:
        # Not earlier, or the setting would be in the standby's files too, and after a failover it
        # would wait for a standby of its own.
        superuser.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        superuser.execute("SELECT pg_reload_conf()")
        followers = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait_for(lambda: value(superuser, followers) == 1, "the standby to be synchronous")
    return standby


def change_places(primary: DatabaseServer, standby: DatabaseServer) -> None:
    """Stop the primary, promote the standby, and start the old primary as its standby."""
    primary.stop("fast")  # cleanly, so that the standby has everything
    with connect(standby.conninfo) as superuser:
        superuser.execute("SELECT pg_promote()")
    primary.follow(standby.conninfo)
    primary.start()
