from __future__ import annotations

import os
import signal
from typing import Any

import psycopg
import pytest

from loadtests.harness import service
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect
from loadtests.harness.service import Service, wait_for
from tests.processes.conftest import Buyer


def lock_option(connection: psycopg.Connection[Any], option: str) -> None:
    connection.execute(
        "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE",
        (option.rpartition("/")[2],),
    )


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_before_the_service_exits(
    database: str, running_service: Service, buyer: Buyer, sent: signal.Signals
) -> None:
    option = buyer.new_option(allocation=5)

    with connect(database) as locker, connect(database) as observer:
        with locker.transaction():
            lock_option(locker, option)
            purchase = buyer.start_purchase(option)
            wait_until_blocked(observer, "ticket-allocation", 1)
            running_service.process.send_signal(sent)
            wait_for(lambda: running_service.status("/livez") is None, "the port to be closed")
        assert purchase.result().status == 201

    assert running_service.process.wait(service.TIMEOUT_SECONDS) == 0


def test_draining_ends_at_its_timeout(database: str) -> None:
    with service.running(DATABASE_URL=database, WORKERS="1", DRAIN_TIMEOUT_SECONDS="0.5") as served:
        buyer = Buyer(served.port)
        option = buyer.new_option(allocation=5)

        with connect(database) as locker, connect(database) as observer, locker.transaction():
            lock_option(locker, option)
            purchase = buyer.start_purchase(option)
            wait_until_blocked(observer, "ticket-allocation", 1)
            assert served.terminate() == 0

        assert isinstance(purchase.exception(), OSError)
        assert served.logged("1 requests unanswered")
        buyer.close()


def test_workers_exit_when_their_parent_is_killed(running_service: Service) -> None:
    workers = running_service.workers()

    running_service.process.kill()

    wait_for(lambda: not any(map(is_alive, workers)), "the workers to end")
    assert running_service.status("/livez") is None


def test_a_worker_that_dies_is_replaced(running_service: Service, buyer: Buyer) -> None:
    before = running_service.workers()

    os.kill(before[0], signal.SIGKILL)

    wait_for(
        lambda: len(running_service.workers()) == 2 and before[0] not in running_service.workers(),
        "another worker",
    )
    assert running_service.logged(rf"worker {before[0]} died \(SIGKILL\)")
    option = buyer.new_option(allocation=64)
    purchases = [buyer.start_purchase(option) for _ in range(64)]
    assert {purchase.result().status for purchase in purchases} == {201}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
