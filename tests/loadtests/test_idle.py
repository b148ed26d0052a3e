"""The audit waits for what may still be under way, and no longer."""

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
    ids=["nothing", "all answered", "a read", "acknowledged in the end", "refused in the end"],
)
def test_where_every_purchase_is_known_nobody_is_asked(entries: list[Entry]) -> None:
    wait_until_idle(ledger(10, *entries), NOWHERE)


def test_where_one_is_unknown_the_database_must_be_asked() -> None:
    with pytest.raises(psycopg.OperationalError):
        wait_until_idle(ledger(10, unknown(0)), NOWHERE)


def test_an_unknown_purchase_is_given_the_time_that_the_service_may_take(operator_url: str) -> None:
    answered_at = now()
    wait_until_idle(ledger(10, unknown(0), unknown(answered_at)), operator_url)
    assert now() >= answered_at + 0.3


def test_a_statement_that_is_under_way_is_waited_for(database: str, operator_url: str) -> None:
    application = make_conninfo(database, application_name="ticket-allocation")
    with connect(application, role="ticketing_service") as serving:
        at_work = threading.Thread(target=serving.execute, args=("SELECT pg_sleep(0.25)",))
        at_work.start()
        with connect(operator_url, role="ticketing_operator") as operator:
            while operator.execute(idle._AT_WORK).fetchone() == (0,):
                pass
        wait_until_idle(ledger(10, unknown(0)), operator_url)
        with connect(operator_url, role="ticketing_operator") as operator:
            assert operator.execute(idle._AT_WORK).fetchone() == (0,)
        at_work.join()


def test_a_service_that_goes_on_for_ever_is_not_audited(database: str, operator_url: str) -> None:
    application = make_conninfo(database, application_name="ticket-allocation")
    with connect(application) as serving, serving.transaction():
        serving.execute("SELECT pg_current_xact_id()")
        with pytest.raises(TimeoutError):
            wait_until_idle(ledger(10, unknown(0)), operator_url)
