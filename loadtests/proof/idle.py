"""Waits until the service has finished everything that buyers sent, so that it can be audited."""

from __future__ import annotations

import time

import psycopg

from loadtests.proof.ledger import Ledger, attempts, now, settled

GIVES_UP_SECONDS = 16.0
"""How long the service may go on working on a request that has no answer: the default
REQUEST_TIMEOUT_SECONDS, plus STATEMENT_TIMEOUT_SECONDS for a call that is then in flight."""

POLL_SECONDS = 0.1

# Every role may see these columns of other roles' sessions; a busy session has one of them set.
_BUSY = """
    SELECT count(*)
    FROM pg_stat_activity
    WHERE datname = current_database()
        AND application_name = 'ticket-allocation'
        AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
"""


def wait_until_idle(ledger: Ledger, operator_conninfo: str) -> None:
    """Wait until nothing that was sent can still be stored.

    A request that was answered is finished, even if only its last retry was. Any other may still
    be waiting in the service or in the database. Both give up after a time, measured by the
    senders' clocks, which should be close to this one.

    Raises:
        psycopg.Error: the database could not be queried.
        TimeoutError: the service went on for longer than it should.
    """
    unknown = [
        sends[-1].answered_at for sends in attempts(ledger.entries) if settled(sends) == "unknown"
    ]
    if not unknown:
        return
    passed = now() - max(unknown)
    time.sleep(min(max(0.0, GIVES_UP_SECONDS - passed), GIVES_UP_SECONDS))
    with psycopg.connect(operator_conninfo, autocommit=True) as operator:
        deadline = now() + GIVES_UP_SECONDS
        while operator.execute(_BUSY).fetchone() != (0,):
            if now() > deadline:
                raise TimeoutError("the service is still working in the database")
            time.sleep(POLL_SECONDS)
