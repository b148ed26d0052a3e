"""What changes an option without taking tickets: releasing, giving back, changing the option.

Such a call needs the option's lock, and somebody may keep that for long. So it waits for moments
only, and tries again after a pause; one call at a time may wait for longer, so that its turn comes
where many want the lock. Of an option that is locked, one call tries and the others wait for it. So
the connections of the others stay free, whatever is locked.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakValueDictionary

from api.database.calls import Database
from api.database.errors import OverloadedError, RefusedError
from api.database.faults import LOCK_NOT_AVAILABLE

SHORT_WAIT_MS = 5
"""How long a call waits for a lock."""

LONG_WAIT_MS = 200
"""How long the one that may wait for longer does."""

PAUSE_SECONDS = 0.005
"""The first pause; each is twice the one before."""

PAUSE_SECONDS_MAX = 0.1


class Changing:
    """Makes the calls. Made within the event loop.

    Args:
        lock_timeout_seconds: a call gives up after three times as long.
    """

    def __init__(self, database: Database, lock_timeout_seconds: float) -> None:
        self._database = database
        self._timeout_seconds = 3 * lock_timeout_seconds
        self._long_wait = asyncio.Lock()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def call(
        self, option_id: str, statement: str, *arguments: object, resends_unknown: bool = True
    ) -> tuple[Any, ...]:
        """Return the row of a call whose last argument bounds its wait for a lock.

        Args:
            resends_unknown: whether it may be made twice, should the outcome of the first be
                unknown.

        Raises:
            OverloadedError: the option stayed locked for three lock timeouts. Nothing was changed.
        """
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + self._timeout_seconds

        async def call_once(lock_wait_ms: int) -> tuple[Any, ...] | None:
            return await self._call_once(
                statement, (*arguments, lock_wait_ms), resends_unknown=resends_unknown
            )

        row = await call_once(SHORT_WAIT_MS)
        if row is not None:
            return row
        pause_seconds = PAUSE_SECONDS
        async with self._turns.setdefault(option_id.lower(), asyncio.Lock()):
            while row is None:
                if loop.time() > gives_up_at:
                    raise OverloadedError
                if self._long_wait.locked():
                    await asyncio.sleep(pause_seconds)
                    pause_seconds = min(2 * pause_seconds, PAUSE_SECONDS_MAX)
                    row = await call_once(SHORT_WAIT_MS)
                else:
                    async with self._long_wait:
                        row = await call_once(LONG_WAIT_MS)
        return row

    async def _call_once(
        self, statement: str, arguments: tuple[object, ...], *, resends_unknown: bool
    ) -> tuple[Any, ...] | None:
        """The row; None if the option is locked, and nothing was decided."""
        try:
            [row] = await self._database.call(
                statement,
                arguments,
                resends_timed_out=False,
                resends_unknown=resends_unknown,
            )
        except RefusedError as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            return None
        return row
