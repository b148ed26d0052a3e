"""Whether the database is the one that this build was made for."""

from __future__ import annotations

import asyncio
import logging

import psycopg

from api.problems import Problem
from api.store import Store
from db import shipped

logger = logging.getLogger(__name__)

CHECK_INTERVAL_SECONDS = 0.5
"""How often a process that may not serve yet looks again."""


class Readiness:
    """Compares what the database was made of with what this build ships.

    The first time that they agree, it opens the store; from then on the process goes on serving,
    so that a newer release can be installed beside it.

    Attributes:
        is_stopping: set when the process is about to end.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: str | None = "not looked yet"
        self.is_stopping = False

    async def what_is_missing(self) -> str | None:
        """Why the service is not ready, for its operator; None if it is. Logs each change."""
        if self.is_stopping:
            return "the process is about to end"
        try:
            differences = shipped.differences(await self._store.installed_files())
            missing = "; ".join(differences) or None
        except Problem:
            missing = "the database does not answer"
        except psycopg.Error as error:
            missing = str(error).partition("\n")[0]
        if missing is None:
            self._store.is_open = True
        if missing != self._last:
            if missing:
                logger.warning("not ready; is the database migrated? %s", missing)
            else:
                logger.info("ready")
        self._last = missing
        return missing

    async def wait_until_ready(self) -> None:
        """Look again and again until the store is open."""
        while await self.what_is_missing():  # noqa: ASYNC110, nothing here can tell that it is
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
