"""yoyo's backend, changed so that all its work happens in a transaction of ours.

Nothing depends on the session: no setting, no prepared statement, no lock. So it works through a
pooler in transaction mode, such as PgBouncer, where consecutive transactions run in different
sessions that are shared with other clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from yoyo import internalmigrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import default_migration_table

from db import session

HISTORY_SCHEMA = "ticketing_migrations"
"""Where yoyo keeps its history: a schema of its own, so that the migrating role needs no CREATE
privilege on ``public``, and rolling everything back does not delete the history."""

LOCK_TIMEOUT_SECONDS = 5
"""How long a migration waits for a lock: buyers queue up behind it, so it gives up after that."""

_SETTINGS = {
    **session.SETTINGS,
    "search_path": f"{HISTORY_SCHEMA}, pg_temp",
    "idle_in_transaction_session_timeout": "0",
    # So that the statement of a killed migrator ends too. Not every operating system supports it.
    "client_connection_check_interval": "1s",
}


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """An autocommit connection that works whatever the environment, the role and a pooler set."""
    return psycopg.connect(
        conninfo,
        autocommit=True,
        client_encoding="UTF8",
        prepare_threshold=None,
        cursor_factory=Cursor,
    )


class Cursor(psycopg.Cursor[Any]):
    """Remembers the statement that failed, because yoyo does not report it."""

    failed = ""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute(query, *args, **kwargs)
        except psycopg.Error:
            Cursor.failed = query
            raise


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """A backend whose transactions bring their own settings. As a context manager it closes itself.

    Args:
        conninfo: the connection string of the role that migrates.
    """

    def __init__(self, conninfo: str) -> None:
        super().__init__(conninfo, default_migration_table)

    def connect(self, conninfo: str) -> psycopg.Connection[Any]:
        return connect(conninfo)

    def begin(self) -> None:
        self._in_transaction = True
        # Whatever the default: each statement must see what the previous holder of the lock did.
        self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._set_settings(is_local=True)

    def rollback(self) -> None:
        # Report what broke the connection, not that it is broken.
        if not self.connection.closed:
            super().rollback()

    def savepoint_rollback(self, id: str) -> None:
        if not self.connection.closed:
            super().savepoint_rollback(id)

    @contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """For a migration that is not transactional: then the settings apply to the session."""
        self._set_settings(is_local=False)
        yield

    def list_tables(self, **_: Any) -> list[str]:
        rows = self.connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)",
            (HISTORY_SCHEMA,),
        )
        return [name for (name,) in rows]

    def ensure_internal_schema_updated(self) -> None:
        """Create yoyo's tables, under our lock and in our transaction rather than yoyo's own."""
        if internalmigrations.needs_upgrading(self):
            internalmigrations.upgrade(self)

    def _set_settings(self, is_local: bool) -> None:
        settings = {**_SETTINGS, "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s"}
        self.connection.execute(
            "SELECT set_config(name, value, %s) FROM unnest(%s::text[], %s::text[]) "
            "AS setting (name, value) "
            "WHERE name <> 'client_connection_check_interval' OR version() ~ 'linux'",
            (is_local, list(settings), list(settings.values())),
        )


def is_behind_pooler(connection: psycopg.Connection[Any]) -> bool:
    """Whether the session that answers differs from the one that was logged in to."""
    [[pid]] = connection.execute("SELECT pg_backend_pid()").fetchall()
    return bool(pid != connection.info.backend_pid)
