"""Nothing is reported as stored before a synchronous standby has it, not even on a resend."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from db import migrate
from loadtests.harness.postgres import connect, new_option, value
from loadtests.harness.service import running, wait_for
from tests.standby import Pair, serving

Connection = psycopg.Connection[Any]
Call = tuple[Any, ...]
"""A statement and its arguments."""

USER = uuid.uuid4()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with serving(tmp_path_factory.mktemp("pair")) as pair:
        migrate.migrate(pair.primary.conninfo)
        yield pair


def purchase_batch(option: Any, new: uuid.UUID) -> Call:
    arrays = "%s::uuid, %s::uuid[], %s::uuid[], %s::integer[]"
    return f"SELECT ticketing.purchase_tickets({arrays})", option, [new], [USER], [5]


def purchase_of_many(option: Any, new: uuid.UUID) -> Call:
    arrays = "%s::uuid[], %s::uuid[], %s::uuid[], %s::integer[]"
    return f"SELECT ticketing.purchase_tickets_of_many({arrays})", [option], [new], [USER], [5]


def purchase(option: Any, new: uuid.UUID) -> Call:
    return "SELECT ticketing.purchase_tickets(%s, %s, 5, %s)", option, USER, new


def create(_: Any, new: uuid.UUID) -> Call:
    return "SELECT ticketing.create_ticket_option('a', 'b', 5, %s)", new


def try_create(_: Any, new: uuid.UUID) -> Call:
    return "SELECT ticketing.try_create_ticket_option(%s, 'a', 'b', 5)", new


class Buyer:
    """Makes calls, in a thread, because a commit may wait for the standby."""

    def __init__(self, pair: Pair) -> None:
        self._observer = connect(pair.primary.conninfo)
        self._connection = connect(pair.primary.conninfo)
        self._pid = self._connection.info.backend_pid
        self._threads = ThreadPoolExecutor(1)

    def call(self, call: Call) -> Future[Any]:
        """Start a call; wait until it has returned, or has committed and waits for the standby."""
        future = self._threads.submit(value, self._connection, *call)
        waits = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %s"
        wait_for(
            lambda: future.done() or value(self._observer, waits, self._pid) is True,
            "an answer, or a commit",
        )
        return future

    def give_up(self) -> None:
        """Cancel the call as the service does after a timeout: what it did stays committed."""
        self._observer.execute("SELECT pg_cancel_backend(%s)", (self._pid,))

    def close(self) -> None:
        self._threads.shutdown()
        self._connection.close()
        self._observer.close()


@pytest.fixture
def buyers(pair: Pair) -> Iterator[Callable[[], Buyer]]:
    all_buyers: list[Buyer] = []

    def new() -> Buyer:
        all_buyers.append(Buyer(pair))
        return all_buyers[-1]

    yield new
    pair.standby.resume()
    for buyer in all_buyers:
        buyer.close()


@pytest.mark.parametrize("allocation", [5, 10], ids=["it sold the last ticket", "tickets left"])
@pytest.mark.parametrize("call", [purchase_batch, purchase_of_many, purchase, create, try_create])
def test_a_resent_call_returns_once_the_standby_has_what_the_first_attempt_stored(
    pair: Pair,
    buyers: Callable[[], Buyer],
    call: Callable[[Any, uuid.UUID], Call],
    allocation: int,
) -> None:
    with connect(pair.primary.conninfo) as superuser:
        sent = call(new_option(superuser, allocation), uuid.uuid4())
    first, second = buyers(), buyers()

    pair.standby.pause()
    unknown = first.call(sent)
    assert not unknown.done()
    first.give_up()
    unknown.result()
    resent = second.call(sent)
    assert not resent.done()
    pair.standby.resume()

    resent.result()


def test_a_stored_purchase_is_found_while_its_option_is_locked(
    pair: Pair, buyers: Callable[[], Buyer]
) -> None:
    with connect(pair.primary.conninfo) as holder:
        option = new_option(holder, 6)
        sent = purchase_of_many(option, uuid.uuid4())
        first, second = buyers(), buyers()
        pair.standby.pause()
        unknown = first.call(sent)
        first.give_up()
        unknown.result()
        holder.execute("BEGIN")
        holder.execute(
            "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE", (option,)
        )

        resent = second.call(sent)

        assert not resent.done()
        pair.standby.resume()
        assert resent.result() == ["exists"]


def test_a_call_that_finds_nothing_stored_writes_nothing_and_waits_for_nobody(
    pair: Pair, buyers: Callable[[], Buyer]
) -> None:
    with connect(pair.primary.conninfo) as superuser:
        option = new_option(superuser, 4)

    pair.standby.pause()

    assert buyers().call(purchase_batch(option, uuid.uuid4())).result() == ["sold_out"]


def test_over_http_nothing_is_acknowledged_before_the_standby_has_it(pair: Pair) -> None:
    with connect(pair.primary.conninfo) as primary, ThreadPoolExecutor(2) as threads:
        option, name = new_option(primary, 5), str(uuid.uuid4())
        bodies = {
            "/ticket_options": {"name": name, "desc": "", "allocation": 5},
            f"/ticket_options/{option}/purchases": {"quantity": 5, "user_id": str(USER)},
        }

        def are_stored(server: Connection) -> bool:
            """Whether this server shows both."""
            stored = (
                "SELECT (SELECT count(*) FROM ticketing.ticket_options WHERE name = %s) "
                "+ (SELECT count(*) FROM ticketing.purchases WHERE ticket_option_id = %s)"
            )
            return bool(value(server, stored, name, option) == 2)

        url = make_conninfo(pair.primary.conninfo, user="ticketing_service")
        with running(DATABASE_URL=url, WORKERS="1", REQUEST_TIMEOUT_SECONDS="1") as service:

            def send(path: str) -> tuple[int, str | None]:
                """The status, and whether the answer is a replay."""
                headers = {"Content-Type": "application/json", "Idempotency-Key": name}
                sent = json.dumps(bodies[path]).encode()
                request = urllib.request.Request(service.url + path, sent, headers)
                try:
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        return answer.status, answer.headers["Idempotent-Replayed"]
                except urllib.error.HTTPError as refusal:
                    with refusal:
                        return refusal.code, None

            pair.standby.pause()
            try:
                first = list(threads.map(send, bodies))
                # Their clients have given up. Ending their wait for the standby makes them visible
                # to all, committed on the primary only.
                primary.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                    "WHERE wait_event = 'SyncRep'"
                )
                wait_for(lambda: are_stored(primary), "the calls to be committed")
                resent = list(threads.map(send, bodies))
            finally:
                pair.standby.resume()
            at_last = list(threads.map(send, bodies))

    assert first == resent == [(503, None)] * 2
    assert at_last == [(201, "true")] * 2
    with connect(pair.standby.conninfo) as standby:
        wait_for(lambda: are_stored(standby), "the standby to show what it has")
