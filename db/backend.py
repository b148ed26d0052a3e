"""yoyo's backend, so that all it does is in a transaction of ours.

Nothing is left to the session: no setting, no prepared statement, no lock. So a pooler such as
PgBouncer in transaction mode, which gives each transaction another session and each session to
others, can stand in between.
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
"""Where yoyo keeps its history: a schema of its own, so that the migrating role needs no right to
create in ``public`` and a rollback of everything does not take the history with it."""

LOCK_TIMEOUT_SECONDS = 5
"""How long a migration waits for a table: buyers queue up behind it, so it gives up instead."""

_SETTINGS = {
    **session.SETTINGS,
    "search_path": f"{HISTORY_SCHEMA}, pg_temp",
    "idle_in_transaction_session_timeout": "0",
    # So that a killed migrator's statement ends too. Not every system can tell.
    "client_connection_check_interval": "1s",
}


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """An autocommit connection that works whatever the environment, the role and a pooler do."""
    return psycopg.connect(
        conninfo,
        autocommit=True,
        client_encoding="UTF8",
        prepare_threshold=None,
        cursor_factory=Cursor,
    )


class Cursor(psycopg.Cursor[Any]):
    """Remembers the statement that failed, because yoyo does not say which one did."""

    failed = ""

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute(query, *args, **kwargs)
        except psycopg.Error:
            Cursor.failed = query
            raise


class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
    """A backend whose transactions carry their settings with them.

    Args:
        conninfo: of the role that migrates. Leaving the backend as a context closes the connection.
    """

    def __init__(self, conninfo: str) -> None:
        super().__init__(conninfo, default_migration_table)

    def connect(self, conninfo: str) -> psycopg.Connection[Any]:
        return connect(conninfo)

    def begin(self) -> None:
        self._in_transaction = True
        # Whatever the default is: each statement must see what whoever had the lock before did.
        self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._set_settings(is_local=True)

    def rollback(self) -> None:
        # What broke the connection is worth telling, and not that it is broken.
        if not self.connection.closed:
            super().rollback()

    def savepoint_rollback(self, id: str) -> None:
        if not self.connection.closed:
            super().savepoint_rollback(id)

    @contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """For a migration that is not transactional: the session's settings are then its own."""
        self._set_settings(is_local=False)
        yield

    def list_tables(self, **_: Any) -> list[str]:
        rows = self.connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)",
            (HISTORY_SCHEMA,),
        )
        return [name for (name,) in rows]

    def ensure_internal_schema_updated(self) -> None:
        """Make yoyo's tables. Under our lock, and in our transaction, so without yoyo's own."""
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


def has_pooler_in_between(connection: psycopg.Connection[Any]) -> bool:
    """Whether the session that answers is another one than the one that was logged in to."""
    [[pid]] = connection.execute("SELECT pg_backend_pid()").fetchall()
    return bool(pid != connection.info.backend_pid)
