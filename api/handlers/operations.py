"""For operators: whether the service is alive, whether it is ready, and what it offers."""

from __future__ import annotations

from pathlib import Path

from api.database.readiness import Readiness
from api.handlers.base import BaseHandler
from api.problems import UNAVAILABLE, Problem
from api.web.messages import REVALIDATED, Answer

READYZ_TIMEOUT_SECONDS = 1.0
"""How long /readyz waits for the database; the caller has its own timeout."""

OPENAPI = (Path(__file__).parent.parent / "openapi.json").read_bytes()

_OK = Answer(200, b'{"status":"ok"}')


class _StateHandler(BaseHandler):
    def compute_etag(self) -> None:
        """None: there is nothing to cache here."""


class LivezHandler(_StateHandler):
    """``/livez``"""

    def get(self) -> None:
        self.answer(_OK)

    head = get


class ReadyzHandler(_StateHandler):
    """``/readyz``"""

    def initialize(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def get(self) -> None:
        if await self._readiness.what_is_missing(READYZ_TIMEOUT_SECONDS):
            raise Problem(
                UNAVAILABLE,
                "The database is unavailable, read-only, or not migrated to this version.",
            )
        self.answer(_OK)

    head = get


class OpenAPIHandler(BaseHandler):
    """``/openapi.json``"""

    def get(self) -> None:
        self.answer(Answer(200, OPENAPI, REVALIDATED))

    head = get
