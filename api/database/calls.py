"""Calls to the database: bounded, and resent when their outcome is unknown.

Every call goes through `Database.call`. The functions it calls must be idempotent: those that write
take an id from the caller, and treat one that is already stored as done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from api.database.errors import OverloadedError, RefusedError, UnavailableError
from api.database.faults import Fault, fault_of

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0
"""How often to try again while the database is down or its connections are unusable."""

RESEND_PAUSE_SECONDS = 0.05
"""How long a call waits before it is resent. Doubles each time, up to the above."""

STRONGER_COMMIT = """
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""
"""A default of the database or the role may let a commit return before it is durable: a crash would
then undo sales that buyers were told of. A setting stronger than ``on`` is left as it is."""


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that is closed if an answer does not come in time.

    Attributes:
        made_at: when it was opened, by the monotonic clock.
        answer_timeout_seconds: how long to wait for an answer; None means forever.
        is_hung: whether an answer did not come in time.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.made_at = time.monotonic()
        self.answer_timeout_seconds: float | None = None
        self.is_hung = False

    async def wait(
        self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None
    ) -> Any:
        """Wait as psycopg does, but close the connection instead of cancelling its statement.

        Cancelling would wait for a hung server once more. And a server whose commit waits for a
        standby would take it as permission to commit without.
        """
        try:
            return await waiting.wait_async(
                gen, self.pgconn.socket, interval, timeout or self.answer_timeout_seconds
            )
        except BaseException as error:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.is_hung = isinstance(error, psycopg.OperationalError)
                self.pgconn.finish()
            raise


Pool = AsyncConnectionPool[Connection]


Resend = Callable[[], tuple[str, Sequence[object]]]
"""Makes the statement and arguments to send instead, once the outcome of a call is unknown."""


class _Call:
    """A statement in flight, and what is known from sending it."""

    __slots__ = (
        "arguments",
        "error",
        "failed_at",
        "has_timed_out",
        "may_be_stored",
        "resend",
        "resends_unknown",
        "statement",
    )

    def __init__(
        self,
        statement: str,
        arguments: Sequence[object],
        resend: Resend | None,
        *,
        resends_unknown: bool,
        has_timed_out: bool,
    ) -> None:
        self.statement = statement
        self.arguments = arguments
        self.resend = resend
        self.may_be_stored = False
        self.resends_unknown = resends_unknown
        self.has_timed_out = has_timed_out
        self.failed_at = 0.0
        self.error: psycopg.Error | None = None


class Database:
    """A bounded pool of connections to the database.

    Args:
        conninfo: libpq's connection string.
        pool_size: maximum connections.
        max_waiting: maximum calls that wait for a connection; any more are refused.
        timeout_seconds: how long a call may take, waiting and resends included.
        answer_timeout_seconds: how long to wait for the answer each time a call is sent. Somewhat
            longer than a statement may run, so that the server has ended it by then.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        pool_size: int,
        max_waiting: int,
        timeout_seconds: float,
        answer_timeout_seconds: float,
    ) -> None:
        self.pool_size = pool_size
        self.max_waiting = max_waiting
        self.timeout_seconds = timeout_seconds
        self._answer_timeout_seconds = answer_timeout_seconds
        self._drained_at = 0.0
        self._pool: Pool = AsyncConnectionPool(
            conninfo,
            connection_class=Connection,
            # Autocommit: one round trip per call, which is committed when it returns.
            kwargs={"autocommit": True, "connect_timeout": 2, "prepare_threshold": 1},
            open=False,
            configure=self._configure,
            min_size=min(2, pool_size),
            max_size=pool_size,
            max_waiting=max_waiting,
            reconnect_timeout=RECONNECT_SECONDS,
            reconnect_failed=self._keep_trying,
        )

    async def open(self) -> None:
        """Start connecting. Does not wait: a database that is down is not an error yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def call(
        self,
        statement: str,
        arguments: Sequence[object] = (),
        timeout_seconds: float | None = None,
        resends_timed_out: bool = True,
        resends_unknown: bool = True,
        resend: Resend | None = None,
    ) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and return its rows, after the commit.

        Args:
            timeout_seconds: how long the call may take; by default as long as any.
            resends_timed_out: whether to resend, once, a call that ran into a lock or statement
                timeout.
            resends_unknown: whether to resend a call whose outcome is unknown.
            resend: what to send instead once the outcome is unknown, for a function that must know
                that an earlier sending may still be on its way; by default the same.

        Raises:
            OverloadedError: too many calls wait for a connection. Nothing was stored.
            RefusedError: the database raised an error. Nothing was stored.
            UnavailableError: the outcome is unknown.
        """
        call = _Call(
            statement,
            arguments,
            resend,
            resends_unknown=resends_unknown,
            has_timed_out=not resends_timed_out,
        )
        task = asyncio.ensure_future(self._send_until_known(call))
        # Not wait_for(): it would wait for the cancellation as well.
        await asyncio.wait({task}, timeout=timeout_seconds or self.timeout_seconds)
        if not task.done():
            task.cancel()
            raise UnavailableError from call.error
        return task.result()

    def room(self) -> int:
        """How many more calls could wait for a connection now."""
        return self.max_waiting - self._pool.get_stats()["requests_waiting"]

    async def _send_until_known(self, call: _Call) -> list[tuple[Any, ...]]:
        pause_seconds = RESEND_PAUSE_SECONDS
        while True:
            try:
                async with self._pool.connection(timeout=self.timeout_seconds) as connection:
                    try:
                        cursor = await connection.execute(call.statement, call.arguments)
                        return await cursor.fetchall()
                    except psycopg.Error as error:
                        await self._judge(call, error, connection)
            except TooManyRequests:
                if call.may_be_stored:
                    raise UnavailableError from None
                raise OverloadedError(self.room) from None
            except (PoolTimeout, PoolClosed):
                raise UnavailableError from call.error
            logger.info("resending a call: %s", str(call.error).partition("\n")[0])
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, RECONNECT_SECONDS)

    async def _judge(self, call: _Call, error: psycopg.Error, connection: Connection) -> None:
        """Note what the error means, and raise unless the call is to be resent."""
        fault = fault_of(error)
        is_last = fault in (Fault.OF_REQUEST, Fault.OF_DATABASE)
        if fault is Fault.UNKNOWN_OUTCOME:
            is_last = not call.resends_unknown
            if call.resend is not None and not call.may_be_stored:
                call.statement, call.arguments = call.resend()
            call.may_be_stored = True
            await connection.close()
            if connection.is_hung:
                await self._discard_as_old_as(connection)
        elif fault is Fault.OF_TIMEOUT:
            # Resent once: a server that was suspended for a while counts that time too, and the
            # holder of the lock had no chance to release it. And resent for as long as the outcome
            # of an earlier attempt is unknown: that may be what holds the lock.
            is_last = call.has_timed_out and not call.may_be_stored
            call.has_timed_out = True
        elif fault is Fault.OF_CONNECTION:
            # If a new connection is no better, the next will not be either: the pool keeps it.
            if connection.made_at < time.monotonic() - RECONNECT_SECONDS:
                await connection.close()
        elif fault is Fault.OF_STATEMENT:
            # A connection newer than the first failure has no past: the call is at fault.
            call.failed_at = call.failed_at or time.monotonic()
            is_last = connection.made_at > call.failed_at
            await connection.close()
            await self._discard_as_old_as(connection)
        call.error = error
        if is_last:
            if call.may_be_stored:
                raise UnavailableError from error
            message = error.diag.message_primary or str(error)
            raise RefusedError(error.sqlstate, message.partition("\n")[0]) from error

    async def _discard_as_old_as(self, connection: Connection) -> None:
        """Have the pool replace all its connections, unless it did so after this one was opened."""
        if connection.made_at > self._drained_at:
            self._drained_at = time.monotonic()
            await self._pool.drain()

    async def _configure(self, connection: Connection) -> None:
        connection.answer_timeout_seconds = self._answer_timeout_seconds
        await connection.execute(STRONGER_COMMIT, prepare=False)

    async def _keep_trying(self, pool: Pool) -> None:
        """Called when connecting has failed for a while; the pool would now wait for a call."""
        # Not while there are connections: check() tries each of them, and a hung one blocks it.
        if not pool.get_stats()["pool_available"]:
            await pool.check()
