"""For those who run the service: does it live, may it serve, what does it offer."""

from __future__ import annotations

from pathlib import Path

from api.problems import UNAVAILABLE, Problem
from api.readiness import Readiness
from api.web import Request, Response, cacheable

READYZ_TIMEOUT_SECONDS = 1.0
"""How long /readyz waits for the database; who asks has a timeout of its own."""

OPENAPI = (Path(__file__).parent.parent / "openapi.json").read_bytes()


class Operations:
    """``/livez``, ``/readyz`` and ``/openapi.json``."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    async def livez(self, request: Request) -> Response:
        return Response(200, b'{"status":"ok"}')

    async def readyz(self, request: Request) -> Response:
        if await self._readiness.what_is_missing(READYZ_TIMEOUT_SECONDS):
            raise Problem(
                UNAVAILABLE, "The database cannot sell now, or is not the version of this build."
            )
        return Response(200, b'{"status":"ok"}')

    async def openapi(self, request: Request) -> Response:
        return cacheable(request, OPENAPI)
