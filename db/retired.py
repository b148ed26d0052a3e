"""Functions that earlier releases installed and this one no longer has, and how they are dropped.

A call in flight while the functions are replaced carries on with their old bodies, and may still
call a function that the new ones do not need. So a retired function stays until all such calls have
ended.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import psycopg
from psycopg import sql

from db import backend as backends
from db.backend import Backend

logger = logging.getLogger(__name__)

FUNCTIONS = (
    "ticketing.decide_purchases(integer[],uuid[],uuid[],integer[],text[],integer[])",
    "ticketing.require_purchases(uuid[],uuid[],integer[])",
    "ticketing_private.decide_purchases(integer[],uuid[],uuid[],integer[],text[],integer[])",
)
"""By their signatures."""

POLL_SECONDS = 0.1

_TRANSACTIONS = """
    SELECT lock.virtualtransaction
    FROM pg_locks AS lock
    JOIN pg_stat_activity AS session USING (pid)
    WHERE lock.locktype = 'virtualxid'
        AND lock.pid <> pg_backend_pid()
        AND session.datname = current_database()
        AND session.usesysid IS NOT NULL
"""
"""Those in flight in this database, of all users. Any role may see that much of the others."""


def installed(connection: psycopg.Connection[Any]) -> list[str]:
    """The retired functions that the database still has."""
    rows = connection.execute(
        "SELECT signature FROM unnest(%s::text[]) AS signature "
        "WHERE to_regprocedure(signature) IS NOT NULL",
        (list(FUNCTIONS),),
    )
    return [signature for (signature,) in rows]


def drop(backend: Backend) -> None:
    """Drop the retired functions, once the transactions in flight now have ended.

    A transaction that outlasts the wait for locks, such as a backup, keeps them: that is logged,
    and the next migration drops them.

    Args:
        backend: in a transaction that holds the lock. The new bodies of the callers are committed.
    """
    connection = backend.connection
    functions = installed(connection)
    if not functions:
        return
    if not _wait_for_transactions(connection):
        logger.warning(
            "keeping until the next migration, for transactions still in flight: %s",
            ", ".join(functions),
        )
        return
    for function in functions:
        logger.info("dropping %s", function)
        connection.execute(sql.SQL("DROP FUNCTION {}").format(sql.SQL(function)))


def _wait_for_transactions(connection: psycopg.Connection[Any]) -> bool:
    """Wait for those in flight now to end; False if one takes too long."""
    in_flight = _transactions(connection)
    deadline = time.monotonic() + backends.LOCK_TIMEOUT_SECONDS
    while in_flight & _transactions(connection):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _transactions(connection: psycopg.Connection[Any]) -> set[str]:
    return {transaction for (transaction,) in connection.execute(_TRANSACTIONS)}
