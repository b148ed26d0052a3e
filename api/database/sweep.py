"""Tidies up after holds that ran out. Nobody depends on it: see sweep_expired_holds.sql."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from api.database.errors import NotReadyError

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
"""How often to look for holds that ran out."""

CALLS_MAX = 100
"""How many calls to make in a row, of a thousand holds at most each."""


async def keep_sweeping(
    sweep: Callable[[], Awaitable[int]], interval_seconds: float = SWEEP_SECONDS
) -> None:
    """Sweep again and again until cancelled. Errors are logged, each time a new one appears.

    Args:
        sweep: a transaction's worth of it; returns how many holds it ended.
    """
    last = ""
    while True:
        await asyncio.sleep(interval_seconds)
        try:
            for _ in range(CALLS_MAX):
                if not await sweep():
                    break
            last = ""
        except NotReadyError:
            pass  # which is logged where it is noticed
        except Exception as error:
            if str(error) != last:
                last = str(error)
                logger.warning("could not give back the tickets of expired holds: %s", error)
