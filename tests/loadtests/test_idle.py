"""The audit waits for what may still be in flight, and no longer."""

from __future__ import annotations

import threading

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from loadtests.harness.postgres import connect
from loadtests.proof import idle
from loadtests.proof.idle import wait_until_idle
from loadtests.proof.ledger import Entry, now
from tests.loadtests.entries import ledger, nonsense, purchase, read

NOWHERE = "host=/nowhere"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that gives up soon."""
    monkeypatch.setattr(idle, "GIVES_UP_SECONDS", 0.3)


def unknown(answered_at: float, user: str | None = None) -> Entry:
    return purchase(503, 1, answered_at, answered_at, user=user)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [purchase(201, 1), purchase(409, 1), nonsense()],
        [msgspec.structs.replace(read(1, 0, now()), status=503)],
        [unknown(0, user="x"), purchase(201, 1, user="x")],
        [unknown(0, user="x"), purchase(409, 1, user="x")],
    ],
    ids=["nothing", "all answered", "a read", "finally acknowledged", "finally refused"],
)
def test_the_database_is_not_queried_if_every_outcome_is_known(entries: list[Entry]) -> None:
    wait_until_idle(ledger(10, *entries), NOWHERE)


def test_the_database_must_be_queried_if_an_outcome_is_unknown() -> None:
    with pytest.raises(psycopg.OperationalError):
        wait_until_idle(ledger(10, unknown(0)), NOWHERE)


def test_an_unknown_purchase_gets_the_time_that_the_service_may_take(operator_url: str) -> None:
    answered_at = now()
    wait_until_idle(ledger(10, unknown(0), unknown(answered_at)), operator_url)
    assert now() >= answered_at + 0.3


def test_the_audit_waits_for_a_statement_in_flight(database: str, operator_url: str) -> None:
    application = make_conninfo(database, application_name="ticket-allocation")
    with connect(application, role="ticketing_service") as serving:
        busy = threading.Thread(target=serving.execute, args=("SELECT pg_sleep(0.25)",))
        busy.start()
        with connect(operator_url, role="ticketing_operator") as operator:
            while operator.execute(idle._BUSY).fetchone() == (0,):
                pass
        wait_until_idle(ledger(10, unknown(0)), operator_url)
        with connect(operator_url, role="ticketing_operator") as operator:
            assert operator.execute(idle._BUSY).fetchone() == (0,)
        busy.join()


def test_a_service_that_never_becomes_idle_is_not_audited(database: str, operator_url: str) -> None:
    application = make_conninfo(database, application_name="ticket-allocation")
    with connect(application) as serving, serving.transaction():
        serving.execute("SELECT pg_current_xact_id()")
        with pytest.raises(TimeoutError):
            wait_until_idle(ledger(10, unknown(0)), operator_url)
