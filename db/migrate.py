"""Migrate a database to the version that this build ships, or report how it differs.

Migrations are yoyo's. All pending ones, and the procedures whose checksum changed, are applied in
one transaction that holds an advisory lock: a run that fails leaves the database unchanged, a run
that is killed leaves nothing behind, and of any number of concurrent runs one does the work and the
others find it done. (A migration with ``-- transactional: false`` is the exception: the transaction
is committed before it, and it runs on its own.)
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator
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
"""How long to wait for another process that is migrating the database, by default."""

_COMMENT = re.compile(r"(?:\s*(?:--.*)?\n)*\s*")


class MigrationError(Exception):
    """The database could not be migrated or rolled back. It is unchanged."""


def migrate(conninfo: str, *, wait_seconds: float = WAIT_SECONDS) -> list[str]:
    """Apply what is pending.

    Args:
        conninfo: of a role that may create schemas, and roles unless they exist.
        wait_seconds: how long to wait for another process that is migrating the database.

    Returns:
        The names of the applied files, in order.

    Raises:
        MigrationError: it failed; the message names the file and the line.
        psycopg.OperationalError: the database cannot be reached.
    """
    with _migrating(conninfo, wait_seconds) as backend:
        migrations = yoyo.read_migrations(str(manifest.MIGRATIONS))
        _refuse_unknown_migrations(backend, migrations)
        _refuse_changed_migrations(backend.connection)
        pending = list(backend.to_apply(migrations))
        is_new = len(pending) == len(migrations)
        _load(backend, pending, is_new=is_new)
        # What takes long and keeps nobody waiting, such as building an index, comes last: until
        # the procedures are there too, the database is between two releases.
        first = max(
            (at for at, each in enumerate(pending, 1) if is_new or each.use_transactions), default=0
        )
        applied = _apply_migrations(backend, pending[:first], is_new=is_new)
        applied += _apply_changed_procedures(backend.connection)
        _note_installed_files(
            backend.connection, {manifest.name_of(Path(each.path)) for each in pending[first:]}
        )
        applied += _apply_migrations(backend, pending[first:], is_new=is_new)
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
    """Undo the latest migration and return its file's name; None if there is none left.

    Args:
        delete_data: do it even if that deletes rows, or values in them.
        wait_seconds: how long to wait for another process that is migrating the database.

    Raises:
        MigrationError: it failed; the message names the file and the line, or says what would have
            been deleted.
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
        # Before the rollback, which may drop the table.
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
                if not delete_data and not _drops_only_indexes(migration):
                    losses.refuse_if_there_are_rows(backend.connection)
                with _outside_transaction(backend):
                    _undo_migration(backend, migration)
        except losses.LossError as error:
            raise _refusal(name, migration, error) from error
        backend.log_migration(migration, "rollback")
        backend.unmark_one(migration, log=False)
        return name


def check(conninfo: str) -> list[str]:
    """Report how the database differs from what this build ships.

    Compares the installed files with the shipped ones, and the database's catalogues with what the
    shipped files create, which also reveals changes made by hand. And reports roles that may create
    things in the database but should not.

    Returns:
        Lines for people to read; none if all is well.

    Raises:
        MigrationError: the role lacks the privileges to look.
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
            connection, "has no access to ticketing_private", "GRANT ticketing_owner TO {user};"
        ) from error
    lines = manifest.differences(installed)
    if installed:  # else there are no objects to compare
        lines += catalogue.differences(catalogue.expected(), catalogue.describe(connection))
        lines += catalogue.excessive_privileges(connection)
    return lines


@contextmanager
def _migrating(conninfo: str, wait_seconds: float) -> Iterator[Backend]:
    """A transaction on the database, while no other process is migrating it."""
    with Backend(conninfo) as backend:
        connection = backend.connection
        # yoyo records who migrated, and fails if the system has no name for the user.
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
    """Create the schema for the history, after checking that the database is suitable."""
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


def _load(backend: Backend, migrations: list[Any], *, is_new: bool = False) -> None:
    """Read the migrations' files, and refuse any that cannot run over this connection."""
    for migration in migrations:
        migration.load()
        if is_new or migration.use_transactions:
            continue
        if backends.is_behind_pooler(backend.connection):
            raise MigrationError(
                f"{manifest.name_of(Path(migration.path))} does not run in a transaction, "
                "so it cannot run through a connection pooler\n"
                "Hint: Connect to PostgreSQL itself: MIGRATION_DATABASE_URL says where it is."
            )


@contextmanager
def _outside_transaction(backend: Backend) -> Iterator[None]:
    """Commit, let the caller do something that is not transactional, and begin again.

    The lock is held throughout.
    """
    lock.keep_for_session(backend.connection)
    backend.commit()
    yield
    backend.begin()


def _refusal(name: str, migration: Any, error: losses.LossError) -> MigrationError:
    if migration.use_transactions:
        told = f"rolling back {name} would delete data, so nothing was done:\n{error}"
    else:
        told = (
            f"{name} does not run in a transaction, so there is no telling beforehand whether "
            f"rolling it back deletes data, and nothing was done. The database has:\n{error}"
        )
    return MigrationError(
        f"{told}\nHint: To delete that data, run it again with --rollback --delete-data."
    )


def _drops_only_indexes(migration: Any) -> bool:
    """Whether nobody needs to see beforehand that rolling it back deletes no data."""
    undoing = Path(migration.path).with_suffix(".rollback.sql").read_text(encoding="utf-8")
    statements = sqlparse.split(sqlparse.format(undoing, strip_comments=True))
    return all(re.match(r"DROP INDEX\b", each) for each in statements)


def _undo_migration(backend: Backend, migration: Any) -> None:
    with _errors_of(Path(migration.path).with_suffix(".rollback.sql")):
        migration.process_steps(backend, "rollback")


def _apply_migrations(backend: Backend, migrations: list[Any], *, is_new: bool) -> list[str]:
    applied = []
    for migration in migrations:
        if is_new or migration.use_transactions:
            applied.append(_apply_migration(backend, migration, is_new=is_new))
        else:
            with _outside_transaction(backend):
                applied.append(_apply_migration(backend, migration, is_new=is_new))
    return applied


def _apply_migration(backend: Any, migration: Any, *, is_new: bool) -> str:
    path = Path(migration.path)
    logger.info("applying %s", manifest.name_of(path))
    with _errors_of(path):
        # Not backend.apply_one(): it opens a connection of its own, and so commits by itself.
        if migration.use_transactions or not is_new:
            migration.process_steps(backend, "apply")
        else:
            _apply_to_new_tables(backend.connection, path)
    backend.log_migration(migration, "apply")
    backend.mark_one(migration, log=False)
    return manifest.name_of(path)


def _apply_to_new_tables(connection: psycopg.Connection[Any], path: Path) -> None:
    """Apply a migration in the transaction, though it says it is not transactional.

    Nobody waits for the tables of a database that is being made in this transaction.
    """
    for statement in sqlparse.split(path.read_text(encoding="utf-8")):
        connection.execute(re.sub(r"\bCONCURRENTLY\b", "", statement).encode())


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
    """Raise if a newer or different build has migrated the database."""
    if not migrations:
        raise MigrationError(f"there are no migrations in {manifest.MIGRATIONS}")
    known = {migration.hash for migration in migrations}
    if not known.issuperset(backend.get_applied_migration_hashes()):
        raise MigrationError(
            "the database has migrations that this build does not ship; "
            "migrate it with the build that does"
        )


def _refuse_changed_migrations(connection: psycopg.Connection[Any]) -> None:
    """Raise if a migration was changed after it was applied."""
    checksums = manifest.checksums()
    for name, checksum in _installed_files(connection).items():
        if name.startswith("migrations/") and checksums.get(name) != checksum:
            raise MigrationError(
                f"{name} was changed after it was applied; restore it and write a new migration"
            )


def _installed_files(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The checksums of the files that the database was built from; none if it is not migrated."""
    table = "ticketing_private.installed_files"
    if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
        return {}
    return dict(connection.execute(f"SELECT path, sha256 FROM {table}").fetchall())


def _note_installed_files(
    connection: psycopg.Connection[Any], pending: Collection[str] = ()
) -> None:
    """Record in ``installed_files`` the files shipped here that are applied."""
    checksums = {
        name: checksum for name, checksum in manifest.checksums().items() if name not in pending
    }
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
            # The first line of the statement, not of the comment above it.
            comment = _COMMENT.match(source[start:])
            start += comment.end() if comment else 0
        else:
            start += int(position) - 1
        line = source.count("\n", 0, start) + 1
        parts = [f"db/{manifest.name_of(path)}:{line}: {error.diag.message_primary or error}"]
        parts += [f"{error.diag.message_detail}"] if error.diag.message_detail else []
        parts += [f"Hint: {error.diag.message_hint}"] if error.diag.message_hint else []
        raise MigrationError("\n".join(parts)) from error
