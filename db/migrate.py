"""Bring a database to the version that this build ships, and say where it is not.

Migrations are yoyo's. All that are pending, and the procedures whose checksum changed, are applied
in one transaction, which holds an advisory lock: a run that fails leaves the database as it was,
one that is killed leaves nothing behind, and of any number of runs at once one does the work and
the others find it done. (A migration that says ``-- transactional: false`` is the exception: it
ends the transaction before it, and runs by itself.)
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlparse
import yoyo
from psycopg import sql

from db import backend as backends
from db import catalogue, lock, losses, manifest, retired
from db.backend import HISTORY_SCHEMA, Backend, Cursor

logger = logging.getLogger(__name__)

WAIT_SECONDS = 60.0
"""How long to wait for another process that migrates the database, unless a caller says."""

_COMMENT = re.compile(r"(?:\s*(?:--.*)?\n)*\s*")


class MigrationError(Exception):
    """The database could not be brought to another version. It is as it was."""


def migrate(conninfo: str, *, wait_seconds: float = WAIT_SECONDS) -> list[str]:
    """Apply what is pending.

    Args:
        conninfo: a role that may create schemas, and roles unless they exist.
        wait_seconds: how long to wait for another process that migrates the database.

    Returns:
        The names of the files that were applied, in order.

    Raises:
        MigrationError: it failed; the message names the file and the line.
        psycopg.OperationalError: the database cannot be reached.
    """
    with _migrating(conninfo, wait_seconds) as backend:
        migrations = yoyo.read_migrations(str(manifest.MIGRATIONS))
        _refuse_unknown_migrations(backend, migrations)
        _refuse_changed_migrations(backend.connection)
        pending = list(backend.to_apply(migrations))
        _load(backend, pending)
        applied = []
        for migration in pending:
            if migration.use_transactions:
                applied.append(_apply_migration(backend, migration))
            else:
                with _outside_transaction(backend):
                    applied.append(_apply_migration(backend, migration))
        applied += _apply_changed_procedures(backend.connection)
        _note_installed_files(backend.connection)
        has_retired = bool(retired.installed(backend.connection))
        excessive = catalogue.excessive_privileges(backend.connection)
    for line in excessive:
        logger.warning("%s", line)
    if has_retired:
        with _migrating(conninfo, wait_seconds) as backend:
            retired.drop(backend)
    return applied


def rollback(
    conninfo: str, *, delete_data: bool = False, wait_seconds: float = WAIT_SECONDS
) -> str | None:
    """Undo the migration that was applied last, and return its file's name; None if none is left.

    Args:
        delete_data: do it even if rows, or values in them, are gone then.
        wait_seconds: how long to wait for another process that migrates the database.

    Raises:
        MigrationError: it failed; the message names the file and the line, or says what would
            have been gone.
        psycopg.OperationalError: the database cannot be reached.
    """
    with _migrating(conninfo, wait_seconds) as backend:
        migrations = yoyo.read_migrations(str(manifest.MIGRATIONS))
        _refuse_unknown_migrations(backend, migrations)
        applied = backend.to_rollback(migrations)
        if not applied:
            return None
        migration = applied[0]
        _load(backend, [migration])
        name = manifest.name_of(Path(migration.path))
        # Before the rollback, because it may take the table with it.
        if _installed_files(backend.connection):
            backend.connection.execute(
                "DELETE FROM ticketing_private.installed_files WHERE path = %s", (name,)
            )
        try:
            if migration.use_transactions and delete_data:
                _undo_migration(backend, migration)
            elif migration.use_transactions:
                losses.undo(backend.connection, lambda: _undo_migration(backend, migration))
            else:
                if not delete_data:
                    losses.refuse_if_there_are_rows(backend.connection)
                with _outside_transaction(backend):
                    _undo_migration(backend, migration)
        except losses.LossError as error:
            raise _refusal(name, migration, error) from error
        backend.log_migration(migration, "rollback")
        backend.unmark_one(migration, log=False)
        return name


def check(conninfo: str) -> list[str]:
    """Say what the database has that the tree does not, and the other way round.

    Compares the files that were installed with the files shipped, and what the database's
    catalogues hold with what these files make: that shows what was changed by hand as well. And
    says who may make things in the database that should not.

    Returns:
        Lines that a person can read; none if all is as it should be.

    Raises:
        MigrationError: the role may not look.
        psycopg.OperationalError: the database cannot be reached.
    """
    with backends.connect(conninfo) as connection:
        return differences(connection)


def differences(connection: psycopg.Connection[Any]) -> list[str]:
    """What `check` says, over a connection in autocommit mode."""
    try:
        installed = _installed_files(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise _lacks_privilege(
            connection, "may not look into ticketing_private", "GRANT ticketing_owner TO {user};"
        ) from error
    lines = manifest.differences(installed)
    if installed:  # else there are no objects to compare
        lines += catalogue.differences(catalogue.expected(), catalogue.describe(connection))
        lines += catalogue.excessive_privileges(connection)
    return lines


@contextmanager
def _migrating(conninfo: str, wait_seconds: float) -> Iterator[Backend]:
    """A transaction on the database, while no other process migrates it."""
    with Backend(conninfo) as backend:
        connection = backend.connection
        # yoyo notes who migrated, and fails where the system has no name for the user.
        os.environ.setdefault("LOGNAME", connection.info.user)
        try:
            lock.begin(backend, wait_seconds)
        except lock.LockedError as error:
            raise MigrationError(str(error)) from error
        try:
            _prepare(connection)
            yield backend
        except BaseException:
            backend.rollback()
            raise
        backend.commit()


def _prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the schema for the history, in a database that is fit for us."""
    [[encoding]] = connection.execute("SHOW server_encoding")
    if encoding != "UTF8":
        raise MigrationError(f"the database's encoding is {encoding}; it must be UTF8")
    found = connection.execute("SELECT to_regnamespace(%s)", (HISTORY_SCHEMA,)).fetchone()
    if found != (None,):
        return
    try:
        connection.execute(f"CREATE SCHEMA {HISTORY_SCHEMA}")
    except psycopg.errors.InsufficientPrivilege as error:
        raise _lacks_privilege(
            connection, "may not create schemas", "GRANT CREATE ON DATABASE {database} TO {user};"
        ) from error


def _lacks_privilege(connection: psycopg.Connection[Any], what: str, advice: str) -> MigrationError:
    grant = sql.SQL(advice).format(
        database=sql.Identifier(connection.info.dbname), user=sql.Identifier(connection.info.user)
    )
    return MigrationError(
        f"{connection.info.user} {what}\nHint: Ask a DBA to run: {grant.as_string(connection)}"
    )


def _load(backend: Backend, migrations: list[Any]) -> None:
    """Read the migrations' files, and refuse what cannot be done over this connection."""
    for migration in migrations:
        migration.load()
        if not migration.use_transactions and backends.has_pooler_in_between(backend.connection):
            raise MigrationError(
                f"{manifest.name_of(Path(migration.path))} does not run in a transaction, "
                "so it cannot run through a connection pooler\n"
                "Hint: Connect to PostgreSQL itself: MIGRATION_DATABASE_URL says where it is."
            )


@contextmanager
def _outside_transaction(backend: Backend) -> Iterator[None]:
    """Commit, do something that is not transactional, and begin again, with the lock throughout."""
    lock.keep_for_session(backend.connection)
    backend.commit()
    yield
    backend.begin()


def _refusal(name: str, migration: Any, error: losses.LossError) -> MigrationError:
    if migration.use_transactions:
        told = f"rolling back {name} would delete data, so nothing was done:\n{error}"
    else:
        told = (
            f"{name} does not run in a transaction, so nobody can see beforehand whether rolling "
            f"it back deletes data; nothing was done. There are:\n{error}"
        )
    return MigrationError(
        f"{told}\nHint: If that may be deleted, run it again with --rollback --delete-data."
    )


def _undo_migration(backend: Backend, migration: Any) -> None:
    with _errors_of(Path(migration.path).with_suffix(".rollback.sql")):
        migration.process_steps(backend, "rollback")


def _apply_migration(backend: Any, migration: Any) -> str:
    path = Path(migration.path)
    logger.info("applying %s", manifest.name_of(path))
    with _errors_of(path):
        # Not backend.apply_one(): it opens a connection of its own, and so commits by itself.
        migration.process_steps(backend, "apply")
    backend.log_migration(migration, "apply")
    backend.mark_one(migration, log=False)
    return manifest.name_of(path)


def _apply_changed_procedures(connection: psycopg.Connection[Any]) -> list[str]:
    installed = _installed_files(connection)
    checksums = manifest.checksums()
    changed = [
        path
        for path in manifest.procedure_paths()
        if installed.get(manifest.name_of(path)) != checksums[manifest.name_of(path)]
    ]
    for path in changed:
        logger.info("applying %s", manifest.name_of(path))
        connection.execute("SET LOCAL ROLE ticketing_owner")
        with _errors_of(path):
            for statement in sqlparse.split(path.read_text(encoding="utf-8")):
                connection.execute(statement)
        connection.execute("RESET ROLE")
    return [manifest.name_of(path) for path in changed]


def _refuse_unknown_migrations(backend: Any, migrations: Any) -> None:
    """Raise if another build than this one made the database: it may know better."""
    if not migrations:
        raise MigrationError(f"there are no migrations in {manifest.MIGRATIONS}")
    known = {migration.hash for migration in migrations}
    if not known.issuperset(backend.get_applied_migration_hashes()):
        raise MigrationError(
            "the database has migrations that this build does not ship; "
            "migrate it with the build that does"
        )


def _refuse_changed_migrations(connection: psycopg.Connection[Any]) -> None:
    """Raise if a migration that made the database is not what it was then."""
    checksums = manifest.checksums()
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
    checksums = manifest.checksums()
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
    Cursor.failed = ""
    try:
        yield
    except psycopg.Error as error:
        source = path.read_text(encoding="utf-8")
        start = max(source.find(Cursor.failed), 0)
        position = error.diag.statement_position
        if position is None:
            # Not the comment above the statement, but its first line.
            comment = _COMMENT.match(source[start:])
            start += comment.end() if comment else 0
        else:
            start += int(position) - 1
        line = source.count("\n", 0, start) + 1
        parts = [f"db/{manifest.name_of(path)}:{line}: {error.diag.message_primary or error}"]
        parts += [f"{error.diag.message_detail}"] if error.diag.message_detail else []
        parts += [f"Hint: {error.diag.message_hint}"] if error.diag.message_hint else []
        raise MigrationError("\n".join(parts)) from error
