"""Calls to the database: bounded, and sent again when their outcome is unknown.

Every call goes through `Database.call`. What it calls must bear being sent twice: the functions
that write take an id from the caller and treat one that they have stored as done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
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
"""While the database is away, or its connections are of no use, one is tried about this often."""

RESEND_PAUSE_SECONDS = 0.05
"""How long a call waits before it is sent again. Each time twice as long, up to the above."""

STRONGER_COMMIT = """
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""
"""A default of the database or the role may have a commit return before it is safe: then a crash
takes back what buyers were told. One that waits for more than ``on`` does is left as it is."""


class Connection(psycopg.AsyncConnection[Any]):
    """A connection that is given up when an answer does not come.

    Attributes:
        made_at: when it was made, by the monotonic clock.
        answer_timeout_seconds: how long to wait for an answer; None: for ever.
        is_hung: an answer was waited for in vain.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.made_at = time.monotonic()
        self.answer_timeout_seconds: float | None = None
        self.is_hung = False

    async def wait(
        self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None
    ) -> Any:
        """Wait as psycopg does, but close the connection rather than cancel what it is doing.

        A server that hangs would be waited for once more. And one whose commit waits for a standby
        would take that for leave to commit without it.
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


class _Call:
    """A statement on its way, and what is known of its sendings."""

    __slots__ = ("arguments", "error", "failed_at", "has_timed_out", "may_be_stored", "statement")

    def __init__(self, statement: str, arguments: Sequence[object], *, has_timed_out: bool) -> None:
        self.statement = statement
        self.arguments = arguments
        self.may_be_stored = False
        self.has_timed_out = has_timed_out
        self.failed_at = 0.0
        self.error: psycopg.Error | None = None


class Database:
    """A bounded pool of connections to the database.

    Args:
        conninfo: libpq's connection string.
        pool_size: connections at most.
        max_waiting: calls at most that wait for a connection; one more is refused.
        timeout_seconds: how long a call may take, waiting and resends included.
        answer_timeout_seconds: how long one sending may take: somewhat longer than its statement
            may run, since the server then has ended it.
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
            # Autocommit: one round trip a call, and what a call did is committed when it returns.
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
        resends_timed_out: bool = True,
    ) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own and return its rows, after the commit.

        Args:
            timeout_seconds: another time to wait than the one that holds for all calls.
            resends_timed_out: whether a call that ran into a lock or statement timeout is sent
                again, once.

        Raises:
            OverloadedError: too many calls wait for a connection. Nothing was stored.
            RefusedError: the database raised an error. Nothing was stored.
            UnavailableError: the outcome is unknown.
        """
        call = _Call(statement, arguments, has_timed_out=not resends_timed_out)
        task = asyncio.ensure_future(self._send_until_known(call))
        # Not wait_for(): it would wait for the cancellation as well.
        await asyncio.wait({task}, timeout=timeout_seconds or self.timeout_seconds)
        if not task.done():
            task.cancel()
            raise UnavailableError from call.error
        return task.result()

    def room(self) -> int:
        """How many calls could wait for a connection now, besides those that do."""
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
            logger.info("sending a call again: %s", str(call.error).partition("\n")[0])
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, RECONNECT_SECONDS)

    async def _judge(self, call: _Call, error: psycopg.Error, connection: Connection) -> None:
        """Note what the error says, and raise it unless the call is to be sent again."""
        fault = fault_of(error)
        is_last = fault in (Fault.OF_REQUEST, Fault.OF_DATABASE)
        if fault is Fault.UNKNOWN_OUTCOME:
            call.may_be_stored = True
            await connection.close()
            if connection.is_hung:
                await self._discard_as_old_as(connection)
        elif fault is Fault.OF_TIMEOUT:
            # Once more: a server that stood still for a while counts that time too, and the one
            # that held the lock did not get to release it. And for as long as the outcome of an
            # earlier sending is unknown: that may be what holds the lock.
            is_last = call.has_timed_out and not call.may_be_stored
            call.has_timed_out = True
        elif fault is Fault.OF_CONNECTION:
            # If a new one is no better, yet another will not be either, and the pool keeps it.
            if connection.made_at < time.monotonic() - RECONNECT_SECONDS:
                await connection.close()
        elif fault is Fault.OF_STATEMENT:
            # One made since the first failure knows nothing of the past: it is the call, then.
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
        """Have the pool make all its connections anew, unless it has done so since this one."""
        if connection.made_at > self._drained_at:
            self._drained_at = time.monotonic()
            await self._pool.drain()

    async def _configure(self, connection: Connection) -> None:
        connection.answer_timeout_seconds = self._answer_timeout_seconds
        await connection.execute(STRONGER_COMMIT, prepare=False)

    async def _keep_trying(self, pool: Pool) -> None:
        """Called when connecting has failed for a while: the pool would now wait for a new call."""
        # Not with connections at hand: it tries each of them, and one that hangs holds it up.
        if not pool.get_stats()["pool_available"]:
            await pool.check()
