"""When the service is done with all that buyers sent, so that what is stored can be audited."""

from __future__ import annotations

import time

import psycopg

from loadtests.proof.ledger import Ledger, now

GIVES_UP_SECONDS = 16.0
"""How long the service may be at work on a purchase whose buyer has no answer: its defaults for
REQUEST_TIMEOUT_SECONDS and, for a call that is under way then, STATEMENT_TIMEOUT_SECONDS."""

POLL_SECONDS = 0.1

# Every role may see these columns of other roles' sessions; a session that is at work has one.
_AT_WORK = """
    SELECT count(*)
    FROM pg_stat_activity
    WHERE datname = current_database()
        AND application_name = 'ticket-allocation'
        AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
"""


def wait_until_idle(ledger: Ledger, operator_conninfo: str) -> None:
    """Wait until no purchase that was sent can be stored any longer.

    What was answered is over, and so is a purchase that was sent again until it was. Another one
    may still wait in the service, or in the database; both give up after a time, which is counted
    by the clocks of those who sent it: they should not be far from this one.

    Raises:
        psycopg.Error: the database could not be asked.
        TimeoutError: the service goes on for longer than it should.
    """
    known = {entry.user_id for entry in ledger.entries if entry.outcome != "unknown"}
    unknown = [
        entry.answered_at
        for entry in ledger.entries
        if entry.kind != "read" and entry.user_id not in known
    ]
    if not unknown:
        return
    passed = now() - max(unknown)
    time.sleep(min(max(0.0, GIVES_UP_SECONDS - passed), GIVES_UP_SECONDS))
    with psycopg.connect(operator_conninfo, autocommit=True) as operator:
        deadline = now() + GIVES_UP_SECONDS
        while operator.execute(_AT_WORK).fetchone() != (0,):
            if now() > deadline:
                raise TimeoutError("the service is still at work on the database")
            time.sleep(POLL_SECONDS)
