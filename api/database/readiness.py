"""Whether the database is the one that this build needs."""

from __future__ import annotations

import asyncio
import logging

from api.database.calls import Database
from api.database.errors import NotReadyError, OverloadedError, RefusedError, UnavailableError
from db import manifest

logger = logging.getLogger(__name__)

CHECK_INTERVAL_SECONDS = 0.5
"""How often a process that may not serve yet checks again."""


NOWHERE = "00000000-0000-0000-0000-000000000000"

INSTALLED_FILES = """
    SELECT file.path, file.sha256
    FROM
        ticketing.installed_files() AS file,
        ticketing.try_purchase_tickets(%s::uuid, '{}', '{}', '{}', 1),
        ticketing.try_purchase_tickets_of_many('{}', '{}', '{}', '{}')
"""
"""The checksums of the migrations and procedures that made the database, by file name. The empty
purchases fail wherever nothing could be sold: they need the same privileges and locks, though they
lock no row."""


class Readiness:
    """Compares what the database was made of with what this build ships.

    Attributes:
        is_stopping: set when the process is about to end.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: str | None = "not checked yet"
        self._has_been_ready = False
        self.is_stopping = False

    async def what_is_missing(self, timeout_seconds: float | None = None) -> str | None:
        """Why the service is not ready, for its operator; None if it is. Logs each change.

        Args:
            timeout_seconds: how long to wait for the database; as long as a request by default.
        """
        if self.is_stopping:
            return "the process is about to end"
        try:
            rows = await self._database.call(INSTALLED_FILES, [NOWHERE], timeout_seconds)
            missing = "; ".join(manifest.differences(dict(rows))) or None
        except OverloadedError:
            return self._last  # no news: the database is busy with our own requests
        except UnavailableError as error:
            cause = error.__cause__ or "the database does not answer"
            missing = str(cause).partition("\n")[0]
        except RefusedError as error:
            missing = str(error)
        if missing is None:
            self._has_been_ready = True
        if missing != self._last:
            if missing:
                logger.warning("not ready; is the database migrated? %s", missing)
            else:
                logger.info("ready")
        self._last = missing
        return missing

    async def wait_until_ready(self) -> None:
        """Check again and again until the database is the right one."""
        while await self.what_is_missing():  # noqa: ASYNC110, nothing here can tell that it is
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)

    async def require(self) -> None:
        """Return if the database was found to be the right one, now or at any time before.

        So the process goes on serving while a newer release is installed beside it. And it waits
        for a database that is away as long as a request may: a worker that starts in an outage must
        not refuse what an older one would sell.

        Raises:
            NotReadyError: it is not, or it cannot be reached.
        """
        if not self._has_been_ready and await self.what_is_missing():
            raise NotReadyError
