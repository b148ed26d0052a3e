"""How long requests may wait, and how many may."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtests.harness import service
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect
from loadtests.harness.service import wait_for
from tests.processes.conftest import Buyer
from tests.processes.test_draining import lock_option


def test_requests_beyond_the_queue_are_refused_at_once(database: str) -> None:
    with service.running(
        DATABASE_URL=database, WORKERS="1", POOL_SIZE="4", MAX_WAITING="4"
    ) as served:
        buyer = Buyer(served.port)
        option = buyer.new_option(allocation=10)

        with connect(database) as locker, connect(database) as observer, locker.transaction():
            lock_option(locker, option)
            in_flight = [buyer.start_purchase(option)]
            wait_until_blocked(observer, "ticket-allocation", 1)
            in_flight += [buyer.start_purchase(option) for _ in range(13)]
            wait_for(lambda: sum(one.done() for one in in_flight) == 10, "the refusals")
            refused = [one.result() for one in in_flight if one.done()]

        assert {(one.status, one.code) for one in refused} == {(503, "overloaded")}
        assert {one.headers["Retry-After"] for one in refused} == {"1"}
        assert sorted(one.result().status for one in in_flight) == [201] * 4 + [503] * 10
        assert buyer.left(option) == 6
        buyer.close()


@pytest.mark.parametrize("batch_options", ["many", "one"])
def test_a_locked_option_blocks_no_other(database: str, batch_options: str) -> None:
    with service.running(
        DATABASE_URL=database,
        WORKERS="1",
        BATCH_OPTIONS=batch_options,
        LOCK_TIMEOUT_SECONDS="30",
        STATEMENT_TIMEOUT_SECONDS="30",
        REQUEST_TIMEOUT_SECONDS="30",
    ) as served:
        buyer = Buyer(served.port)
        locked = buyer.new_option(allocation=100)
        others = [buyer.new_option(allocation=100) for _ in range(20)]

        with connect(database) as locker, connect(database) as observer, locker.transaction():
            lock_option(locker, locked)
            waiting = [buyer.start_purchase(locked) for _ in range(8)]
            wait_until_blocked(observer, "ticket-allocation", 1)
            # Purchases of the locked option keep arriving.
            for _ in range(10):
                waiting.append(buyer.start_purchase(locked))
                sold = [buyer.start_purchase(other) for other in others]
                assert {one.result().status for one in sold} == {201}
                assert buyer.left(locked) == 100
            assert not any(one.done() for one in waiting)

        assert {one.result().status for one in waiting} == {201}
        assert buyer.left(locked) == 82
        assert {buyer.left(other) for other in others} == {90}
        buyer.close()


def sell_while_locked(
    database: str, settings: dict[str, str], *, locked: int, refused_first: int = 0
) -> tuple[list[float], set[int], set[int]]:
    """Sell six free options while buyers of locked options wait, until those have given up.

    The sales start once `refused_first` buyers of locked options were refused.

    Returns the seconds that the sales took, their statuses, and those of the waiting buyers.
    """
    with service.running(**{"DATABASE_URL": database, "WORKERS": "2", **settings}) as served:
        buyer = Buyer(served.port)
        held, free = ([buyer.new_option(allocation=10_000) for _ in range(n)] for n in (locked, 6))
        seconds: list[float] = []
        statuses: set[int] = set()
        is_over = threading.Event()

        def buy(option: str) -> None:
            while not is_over.wait(0.02):  # enough to notice, and not all that the machine can do
                began = time.monotonic()
                statuses.add(buyer.purchase(option).status)
                seconds.append(time.monotonic() - began)

        with (
            connect(database) as locker,
            ThreadPoolExecutor(2 * (locked + 6)) as threads,
            locker.transaction(),
        ):
            for option in held:
                lock_option(locker, option)
            waiting = [threads.submit(buyer.purchase, option) for option in held * 2]
            wait_for(lambda: sum(one.done() for one in waiting) >= refused_first, "the refusals")
            # Until the service has found out what is locked, such purchases may fill its queue.
            wait_for(lambda: buyer.purchase(free[0]).status == 201, "a purchase")
            selling = [threads.submit(buy, option) for option in free * 2]
            refused = {one.result().status for one in waiting}
            is_over.set()
            for one in selling:
                one.result()

        assert {buyer.purchase(option).status for option in held} == {201}
        buyer.close()
        return seconds, statuses, refused


@pytest.mark.parametrize(
    ("locked", "settings"),
    [
        (8, {}),
        (40, {}),
        (8, {"POOL_SIZE": "4"}),
        (24, {"BATCH_OPTIONS": "one"}),
        (4, {"BATCH_OPTIONS": "one", "POOL_SIZE": "4"}),
    ],
    ids=["8", "40", "8 of 4 connections", "24, one at a time", "4 of 4 connections, one at a time"],
)
def test_many_locked_options_block_no_other(
    database: str, locked: int, settings: dict[str, str]
) -> None:
    seconds, statuses, refused = sell_while_locked(
        database, {"LOCK_TIMEOUT_SECONDS": "1", **settings}, locked=locked
    )

    assert statuses == {201}
    assert max(seconds) < 1.5
    assert refused == {503}


def test_purchases_of_locked_options_do_not_use_up_the_queue(database: str) -> None:
    _, statuses, refused = sell_while_locked(
        database,
        {"LOCK_TIMEOUT_SECONDS": "1", "MAX_WAITING": "30", "WORKERS": "1"},
        locked=40,
        refused_first=50,
    )

    assert statuses == {201}
    assert refused == {503}


def test_buyers_of_an_option_that_stays_locked_get_a_503(database: str) -> None:
    with service.running(DATABASE_URL=database, WORKERS="1", LOCK_TIMEOUT_SECONDS="0.2") as served:
        buyer = Buyer(served.port)
        option, other = buyer.new_option(allocation=1), buyer.new_option(allocation=1)

        with connect(database) as locker, locker.transaction():
            lock_option(locker, option)
            answer = buyer.purchase(option)
            assert (answer.status, answer.code) == (503, "overloaded")
            assert buyer.purchase(other).status == 201

        assert buyer.purchase(option).status == 201
        buyer.close()
