"""Calls to the database: bounded, and sent again when their outcome is unknown.

Every call goes through `Database.call`. What it calls must bear being sent twice: the functions
that write take an id from the caller and treat one that they have stored as done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from api.problems import INVALID, OVERLOADED, UNAVAILABLE, Problem, problem_of

logger = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]

RECONNECT_SECONDS = 1.0
"""While the database is away, a connection is tried about this often."""

RESEND_PAUSE_SECONDS = 0.05
"""How long a call whose connection broke waits before it is sent again."""

_ROLLED_BACK = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)

_TIMED_OUT = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)

_SHUT_DOWN = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.IdleSessionTimeout,
)


class Database:
    """A bounded pool of connections to the database.

    Args:
        conninfo: libpq's connection string.
        pool_size: connections at most.
        max_waiting: calls at most that wait for a connection; one more is refused.
        timeout_seconds: how long a call may take, waiting and resends included.
    """

    def __init__(
        self, conninfo: str, *, pool_size: int, max_waiting: int, timeout_seconds: float
    ) -> None:
        self.pool_size = pool_size
        self.max_waiting = max_waiting
        self.timeout_seconds = timeout_seconds
        self._pool: Pool = AsyncConnectionPool(
            conninfo,
            # Autocommit: one round trip a call, and what a call did is committed when it returns.
            kwargs={"autocommit": True, "connect_timeout": 2, "prepare_threshold": 1},
            open=False,
            min_size=min(2, pool_size),
            max_size=pool_size,
            max_waiting=max_waiting,
            reconnect_timeout=RECONNECT_SECONDS,
            reconnect_failed=self._keep_trying,
        )

    async def open(self) -> None:
        """Begin to connect. Does not wait: a database that is away is not an error yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def call(
        self,
        statement: str,
        arguments: Sequence[object] = (),
        timeout_seconds: float | None = None,
    ) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and return its rows, after the commit.

        Args:
            timeout_seconds: another time to wait than the one that holds for all calls.

        Raises:
            Problem: ``overloaded``, and nothing was stored; or ``unavailable``, and what a call
                writes may have been stored or not.
            psycopg.Error: the database refused, and nothing was stored.
        """
        task = asyncio.ensure_future(self._call_until_known(statement, arguments))
        # Not wait_for(): it would wait for the cancellation as well, and that takes a while when
        # the server hangs.
        await asyncio.wait({task}, timeout=timeout_seconds or self.timeout_seconds)
        if not task.done():
            task.cancel()
            raise Problem(UNAVAILABLE)
        return task.result()

    def room(self) -> int:
        """How many calls could wait for a connection now, besides those that do."""
        return self.max_waiting - self._pool.get_stats()["requests_waiting"]

    async def _call_until_known(
        self, statement: str, arguments: Sequence[object]
    ) -> list[tuple[Any, ...]]:
        may_be_stored = has_timed_out = False
        while True:
            try:
                async with self._pool.connection(timeout=self.timeout_seconds) as connection:
                    cursor = await connection.execute(statement, arguments)
                    return await cursor.fetchall()
            except TooManyRequests:
                if may_be_stored:
                    raise Problem(UNAVAILABLE) from None
                raise Problem(OVERLOADED, room=self.room) from None
            except (PoolTimeout, PoolClosed):
                raise Problem(UNAVAILABLE) from None
            except psycopg.OperationalError as error:
                # Without a SQLSTATE it is libpq's: the connection broke, the outcome is unknown;
                # and so it is when the server went down around the commit.
                if error.sqlstate is None or isinstance(error, _SHUT_DOWN):
                    may_be_stored = True
                elif isinstance(error, _TIMED_OUT) and not has_timed_out:
                    # Once: a server that stood still for a while counts that time too, and the
                    # one that held the lock did not get to release it.
                    has_timed_out = True
                elif not isinstance(error, _ROLLED_BACK):
                    if may_be_stored:
                        raise Problem(UNAVAILABLE) from error
                    raise
                logger.info("sending a call again: %s", str(error).partition("\n")[0])
                await asyncio.sleep(RESEND_PAUSE_SECONDS)

    async def _keep_trying(self, pool: Pool) -> None:
        """Called when connecting has failed for a while: the pool would now wait for a new call."""
        await pool.check()


def is_one_items_fault(error: Exception) -> bool:
    """Whether an error of a call that many share may be the fault of one of them alone.

    That the database is away, or somebody else's lock is held, is not.
    """
    if isinstance(error, psycopg.Error):
        known = problem_of(error)
        return known is None or known.kind is INVALID
    return not isinstance(error, Problem)
