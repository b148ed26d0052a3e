"""The migration lock: only one process migrates a database at a time.

It belongs to the transaction that does the work, and so ends with it: when the process is killed,
when the connection breaks, and even behind a pooler that runs the next transaction in a different
session.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import psycopg

from db.backend import Backend

logger = logging.getLogger(__name__)

KEY = 7_163_880_911
"""The key of the advisory lock: any number that nothing else in the database uses."""

POLL_SECONDS = 0.1

_HOLDER = """
    SELECT concat(
        'process ', lock.pid,
        ', user ' || quote_ident(session.usename),
        ', ' || nullif(session.application_name, ''),
        ', from ' || CASE
            WHEN session.client_addr IS NOT NULL THEN host(session.client_addr)
            WHEN session.client_port = -1 THEN 'a local socket'
        END,
        to_char(
            coalesce(session.xact_start, session.backend_start) AT TIME ZONE 'UTC',
            '", since" YYYY-MM-DD HH24:MI:SS "UTC"'
        ),
        '. To end it: SELECT pg_terminate_backend(', lock.pid, ');'
    )
    FROM pg_locks AS lock
    LEFT JOIN pg_stat_activity AS session USING (pid)
    WHERE lock.locktype = 'advisory'
        AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (lock.classid::bigint << 32) + lock.objid::bigint = %s
        AND lock.objsubid = 1
        AND lock.granted
"""


class LockedError(Exception):
    """Another process has held the lock for too long; the message says which, and what to do."""


def begin(backend: Backend, timeout_seconds: float) -> None:
    """Begin a transaction that holds the lock. Logs a warning if it has to wait.

    It polls rather than calls ``pg_advisory_lock()``: a session that waits in a statement blocks
    whatever waits for all of them, such as CREATE INDEX CONCURRENTLY in a migration in progress.

    Args:
        timeout_seconds: how long to wait for it.

    Raises:
        LockedError: it was not released in time. No transaction is open.
    """
    deadline = time.monotonic() + timeout_seconds
    has_said_so = False
    while not _try_to_begin(backend):
        if time.monotonic() >= deadline:
            raise LockedError(
                f"another process has been migrating this database for {timeout_seconds:g} s: "
                f"{_holder(backend.connection)} "
                "MIGRATION_LOCK_TIMEOUT_SECONDS sets how long to wait."
            )
        if not has_said_so:
            logger.warning(
                "waiting up to %g s for another process that is migrating this database: %s",
                timeout_seconds,
                _holder(backend.connection),
            )
            has_said_so = True
        time.sleep(POLL_SECONDS)


def keep_for_session(connection: psycopg.Connection[Any]) -> None:
    """Keep the lock beyond the transaction, until the connection ends.

    For migrations that cannot run in a transaction. Not for use behind a pooler, which may give the
    session to another client.
    """
    connection.execute("SELECT pg_advisory_lock(%s)", (KEY,))


def _try_to_begin(backend: Backend) -> bool:
    backend.begin()
    [[locked]] = backend.connection.execute(
        "SELECT pg_try_advisory_xact_lock(%s)", (KEY,)
    ).fetchall()
    if not locked:
        backend.rollback()
    return bool(locked)


def _holder(connection: psycopg.Connection[Any]) -> str:
    """Who holds the lock, as far as the role may see."""
    holder = connection.execute(_HOLDER, (KEY,)).fetchone()
    return holder[0] if holder else "it has just finished."
