"""What a request may wait for, and how many may wait."""

from __future__ import annotations

import pytest

from loadtests import service
from loadtests.service import wait_for
from tests.interleaving import wait_until_blocked
from tests.postgres import connect
from tests.processes.conftest import Buyer
from tests.processes.test_draining import lock_option


def test_more_requests_than_may_wait_are_refused_at_once(database: str) -> None:
    with service.running(
        DATABASE_URL=database, WORKERS="1", POOL_SIZE="4", MAX_WAITING="4"
    ) as served:
        buyer = Buyer(served.port)
        option = buyer.new_option(allocation=10)

        with connect(database) as locker, connect(database) as observer, locker.transaction():
            lock_option(locker, option)
            under_way = [buyer.start_purchase(option)]
            wait_until_blocked(observer, "ticket-allocation", 1)
            under_way += [buyer.start_purchase(option) for _ in range(13)]
            wait_for(lambda: sum(one.done() for one in under_way) == 10, "the refusals")
            refused = [one.result() for one in under_way if one.done()]

        assert {(one.status, one.code) for one in refused} == {(503, "overloaded")}
        assert {one.headers["Retry-After"] for one in refused} == {"1"}
        assert sorted(one.result().status for one in under_way) == [201] * 4 + [503] * 10
        assert buyer.left(option) == 6
        buyer.close()


@pytest.mark.parametrize("batch_options", ["many", "one"])
def test_an_option_that_somebody_holds_locked_stops_no_other(
    database: str, batch_options: str
) -> None:
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
            # More come for the locked option all the time.
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


def test_an_option_that_somebody_holds_locked_costs_its_buyers_a_503(database: str) -> None:
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
