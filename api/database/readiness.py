"""Whether the database is the one that this build was made for."""

from __future__ import annotations

import asyncio
import logging

import psycopg

from api.database.store import Store
from api.problems import OVERLOADED, UNAVAILABLE, Problem
from db import manifest

logger = logging.getLogger(__name__)

CHECK_INTERVAL_SECONDS = 0.5
"""How often a process that may not serve yet looks again."""


class Readiness:
    """Compares what the database was made of with what this build ships.

    The store makes no call before they have agreed once. From then on the process goes on serving,
    so that a newer release can be installed beside it.

    Attributes:
        is_stopping: set when the process is about to end.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: str | None = "not looked yet"
        self.is_stopping = False
        store.check = self._require

    async def what_is_missing(self, timeout_seconds: float | None = None) -> str | None:
        """Why the service is not ready, for its operator; None if it is. Logs each change.

        Args:
            timeout_seconds: how long to wait for the database; as long as a request if not given.
        """
        if self.is_stopping:
            return "the process is about to end"
        try:
            differences = manifest.differences(await self._store.installed_files(timeout_seconds))
            missing = "; ".join(differences) or None
        except Problem as problem:
            if problem.kind is OVERLOADED:
                return self._last  # no news: the database is busy with our own requests
            cause = problem.__cause__ or "the database does not answer"
            missing = str(cause).partition("\n")[0]
        except psycopg.Error as error:
            missing = str(error).partition("\n")[0]
        if missing is None:
            self._store.check = None
        if missing != self._last:
            if missing:
                logger.warning("not ready; is the database migrated? %s", missing)
            else:
                logger.info("ready")
        self._last = missing
        return missing

    async def wait_until_ready(self) -> None:
        """Look again and again until the database is the right one."""
        while await self.what_is_missing():  # noqa: ASYNC110, nothing here can tell that it is
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)

    async def _require(self) -> None:
        # Looking takes as long as a request may wait for a database that is away: a worker that
        # starts in an outage must not refuse what one that has been there before would sell.
        if await self.what_is_missing():
            raise Problem(UNAVAILABLE, "The service is waiting for its database. Try again later.")
