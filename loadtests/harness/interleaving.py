"""Forces interleavings instead of hoping for them."""

from __future__ import annotations

from typing import Any

import psycopg

from loadtests.harness.postgres import value
from loadtests.harness.service import wait_for


def wait_until_blocked(
    observer: psycopg.Connection[Any], application_name: str, count: int
) -> None:
    """Wait until at least `count` connections of that name are waiting for a lock."""

    def are_blocked() -> bool:
        blocked: int = value(
            observer,
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = %s AND wait_event_type = 'Lock'",
            application_name,
        )
        return blocked >= count

    wait_for(are_blocked, f"{count} connections of {application_name} to be blocked")
