"""Bring a database to the version that this build ships, and say where it is not.

Migrations are yoyo's. All that are pending, and the procedures whose checksum changed, are applied
in one transaction, under one advisory lock: a run that fails leaves the database as it was, one
that is killed leaves nothing behind, and of any number of runs at once one does the work and the
others find it done. (A migration that says ``-- transactional: false`` is the exception: it ends
the transaction before it, and runs by itself.)
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import sqlparse
import yoyo
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from db import dump, session, shipped

logger = logging.getLogger(__name__)

LOCK_KEY = 7_163_880_911
"""The advisory lock that migrating holds: any number that nothing else in the database uses."""

LOCK_POLL_SECONDS = 0.1

HISTORY_SCHEMA = "ticketing_migrations"
"""Where yoyo keeps its history: a schema of its own, so that the migrating role needs no right to
create in ``public`` and a rollback of everything does not take the history with it."""


LOCK_TIMEOUT_SECONDS = 5
"""How long a migration waits for a table: buyers queue up behind it, so it gives up rather."""


_COMMENT = re.compile(r"(?:\s*(?:--.*)?\n)*\s*")


class MigrationError(Exception):
    """The database could not be brought to another version. It is as it was."""


class _Cursor(psycopg.Cursor[Any]):
    """Remembers the statement that failed, because yoyo does not say which one did."""

    failed = ""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute(query, *args, **kwargs)
        except psycopg.Error:
            type(self).failed = query
            raise


def migrate(conninfo: str) -> list[str]:
    """Apply what is pending.

    Args:
        conninfo: a role that may create schemas, and roles unless they exist.

    Returns:
        The names of the files that were applied, in order.

    Raises:
        MigrationError: it failed; the message names the file and the line.
        psycopg.OperationalError: the database cannot be reached.
    """
    with _locked_backend(conninfo) as backend, ExitStack() as transaction:
        migrations = yoyo.read_migrations(str(shipped.MIGRATIONS))
        _refuse_unknown_migrations(backend, migrations)
        _refuse_changed_migrations(backend.connection)
        applied = []
        transaction.enter_context(backend.transaction())
        for migration in backend.to_apply(migrations):
            migration.load()
            if migration.use_transactions:
                applied.append(_apply_migration(backend, migration))
            else:
                transaction.close()
                applied.append(_apply_migration(backend, migration))
                transaction.enter_context(backend.transaction())
        applied += _apply_changed_procedures(backend.connection)
        _note_installed_files(backend.connection)
        return applied


def rollback(conninfo: str) -> str | None:
    """Undo the migration that was applied last, and return its file's name; None if none is left.

    Raises:
        MigrationError: it failed; the message names the file and the line.
        psycopg.OperationalError: the database cannot be reached.
    """
    with _locked_backend(conninfo) as backend, ExitStack() as transaction:
        migrations = yoyo.read_migrations(str(shipped.MIGRATIONS))
        _refuse_unknown_migrations(backend, migrations)
        applied = backend.to_rollback(migrations)
        if not applied:
            return None
        migration = applied[0]
        migration.load()
        name = shipped.name_of(Path(migration.path))
        if migration.use_transactions:
            transaction.enter_context(backend.transaction())
        # Before the rollback, because it may take the table with it.
        if _installed_files(backend.connection):
            backend.connection.execute(
                "DELETE FROM ticketing_private.installed_files WHERE path = %s", (name,)
            )
        with _errors_of(Path(migration.path).with_suffix(".rollback.sql")):
            migration.process_steps(backend, "rollback")
        backend.log_migration(migration, "rollback")
        backend.unmark_one(migration, log=False)
        return name


def check(conninfo: str) -> list[str]:
    """Say what the database has that the tree does not, and the other way round.

    Compares the files that were installed with the files shipped, and a dump of the schema as it
    is with ``db/schema.sql``: that shows what was changed by hand as well.

    Returns:
        Lines that a person can read; none if all is as it should be.

    Raises:
        psycopg.OperationalError: the database cannot be reached.
    """
    with psycopg.connect(session.own(conninfo), autocommit=True) as connection:
        installed = _installed_files(connection)
    lines = shipped.differences(installed)
    if not installed:
        return lines  # there is no schema to compare
    expected = dump.objects(shipped.SCHEMA_DUMP.read_text(encoding="utf-8"))
    actual = dump.objects(dump.dump_schema(conninfo))
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            lines.append(f"{name} is missing")
        elif name not in expected:
            lines.append(f"{name} is not of this build")
        elif expected[name] != actual[name]:
            lines.append(f"{name} is not as this build makes it:")
            lines += difflib.unified_diff(
                expected[name], actual[name], "db/schema.sql", "the database", lineterm=""
            )
    return lines


@contextmanager
def _locked_backend(conninfo: str) -> Iterator[Any]:
    """A yoyo backend on the database, while no other process migrates it."""
    conninfo = session.own(conninfo)
    parameters = conninfo_to_dict(conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise MigrationError(f"the database's encoding is {encoding}; it must be UTF8")
        # Not pg_advisory_lock(): a session that waits in a statement holds back what must wait for
        # all of them, such as CREATE INDEX CONCURRENTLY in the migration that is under way.
        try_lock = "SELECT pg_try_advisory_lock(%s)"
        while connection.execute(try_lock, (LOCK_KEY,)).fetchone() != (True,):
            time.sleep(LOCK_POLL_SECONDS)
        # yoyo notes who migrated, and fails where the system has no name for the user.
        os.environ.setdefault("LOGNAME", connection.info.user)
        try:
            if connection.execute("SELECT to_regnamespace(%s)", (HISTORY_SCHEMA,)).fetchone() == (
                None,
            ):
                connection.execute(f"CREATE SCHEMA {HISTORY_SCHEMA}")
        except psycopg.errors.InsufficientPrivilege as error:
            grant = sql.SQL("GRANT CREATE ON DATABASE {} TO {};").format(
                sql.Identifier(connection.info.dbname), sql.Identifier(connection.info.user)
            )
            raise MigrationError(
                f"{connection.info.user} may not create schemas\n"
                f"Hint: Ask a DBA to run: {grant.as_string(connection)}"
            ) from error
        arguments = urlencode({**parameters, "schema": HISTORY_SCHEMA})
        with yoyo.get_backend(f"postgresql+psycopg:///?{arguments}") as backend:
            backend.connection.cursor_factory = _Cursor
            backend.connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
            # We hold the lock, so whoever left a row in yoyo's own lock table is dead.
            backend.break_lock()
            yield backend


def _apply_migration(backend: Any, migration: Any) -> str:
    path = Path(migration.path)
    logger.info("applying %s", shipped.name_of(path))
    with _errors_of(path):
        # Not backend.apply_one(): it opens a connection of its own, and so commits by itself.
        migration.process_steps(backend, "apply")
    backend.log_migration(migration, "apply")
    backend.mark_one(migration, log=False)
    return shipped.name_of(path)


def _apply_changed_procedures(connection: psycopg.Connection[Any]) -> list[str]:
    installed = _installed_files(connection)
    checksums = shipped.checksums()
    changed = [
        path
        for path in shipped.procedure_paths()
        if installed.get(shipped.name_of(path)) != checksums[shipped.name_of(path)]
    ]
    for path in changed:
        logger.info("applying %s", shipped.name_of(path))
        connection.execute("SET LOCAL ROLE ticketing_owner")
        with _errors_of(path):
            for statement in sqlparse.split(path.read_text(encoding="utf-8")):
                connection.execute(statement)
        connection.execute("RESET ROLE")
    return [shipped.name_of(path) for path in changed]


def _refuse_unknown_migrations(backend: Any, migrations: Any) -> None:
    """Raise if another build than this one made the database: it may know better."""
    if not migrations:
        raise MigrationError(f"there are no migrations in {shipped.MIGRATIONS}")
    known = {migration.hash for migration in migrations}
    if not known.issuperset(backend.get_applied_migration_hashes()):
        raise MigrationError(
            "the database has migrations that this build does not ship; "
            "migrate it with the build that does"
        )


def _refuse_changed_migrations(connection: psycopg.Connection[Any]) -> None:
    """Raise if a migration that made the database is not what it was then."""
    checksums = shipped.checksums()
    for name, checksum in _installed_files(connection).items():
        if name.startswith("migrations/") and checksums.get(name) != checksum:
            raise MigrationError(
                f"{name} was changed after it had been applied; "
                "leave it as it was and write a new migration"
            )


def _installed_files(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The checksums of the files that made the database; none if it is not migrated yet."""
    table = "ticketing_private.installed_files"
    if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
        return {}
    return dict(connection.execute(f"SELECT path, sha256 FROM {table}").fetchall())


def _note_installed_files(connection: psycopg.Connection[Any]) -> None:
    """Make ``installed_files`` the list of the files shipped here, all of which are applied."""
    checksums = shipped.checksums()
    connection.execute(
        """
        INSERT INTO ticketing_private.installed_files AS installed (path, sha256)
        SELECT * FROM unnest(%s::text[], %s::text[])
        ON CONFLICT (path) DO UPDATE
        SET sha256 = excluded.sha256, installed_at = excluded.installed_at
        WHERE installed.sha256 <> excluded.sha256
        """,
        (list(checksums), list(checksums.values())),
    )
    connection.execute(
        "DELETE FROM ticketing_private.installed_files WHERE path <> ALL (%s)", (list(checksums),)
    )


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn an error of the database into one that names the file and the line."""
    _Cursor.failed = ""
    try:
        yield
    except psycopg.Error as error:
        source = path.read_text(encoding="utf-8")
        start = max(source.find(_Cursor.failed), 0)
        position = error.diag.statement_position
        if position is None:
            # Not the comment above the statement, but its first line.
            comment = _COMMENT.match(source[start:])
            start += comment.end() if comment else 0
        else:
            start += int(position) - 1
        line = source.count("\n", 0, start) + 1
        parts = [f"db/{shipped.name_of(path)}:{line}: {error.diag.message_primary or error}"]
        parts += [f"{error.diag.message_detail}"] if error.diag.message_detail else []
        parts += [f"Hint: {error.diag.message_hint}"] if error.diag.message_hint else []
        raise MigrationError("\n".join(parts)) from error
