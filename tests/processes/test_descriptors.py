"""Out of file descriptors: connected clients are served, and the others wait."""

from __future__ import annotations

import http.client
import json
import os
import resource
import select
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loadtests.harness import service
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect
from loadtests.harness.service import Service, wait_for
from tests.processes.conftest import USER, Answer, Buyer
from tests.processes.test_draining import lock_option

LIMIT = 64
"""The worker's file descriptors: enough for about twenty connections and its own needs."""

WARNING = "cannot accept a connection"


class Crowd:
    """Clients that have connected and sent a request: more than the worker can accept.

    Attributes:
        served: those that got their answer, and stay connected.
        waiting: all others.
    """

    def __init__(self, port: int) -> None:
        self.served: list[http.client.HTTPConnection] = []
        self.waiting = [
            http.client.HTTPConnection("127.0.0.1", port, timeout=service.TIMEOUT_SECONDS)
            for _ in range(2 * LIMIT)
        ]
        for each in self.waiting:
            each.request("GET", "/livez")

    def take_answers(self) -> int:
        """Take the answers that have arrived, and return how many clients are still waiting."""
        for each in [each for each in self.waiting if has_answer(each)]:
            assert Answer(each.getresponse()).status == 200
            self.waiting.remove(each)
            self.served.append(each)
        return len(self.waiting)

    def leave(self, count: int) -> None:
        """Close `count` of the served connections."""
        for each in self.served[:count]:
            each.close()
        del self.served[:count]


def has_answer(connection: http.client.HTTPConnection) -> bool:
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def purchase(connection: http.client.HTTPConnection, option: str) -> Answer:
    body = json.dumps({"quantity": 1, "user_id": USER})
    connection.request("POST", f"{option}/purchases", body, {"Content-Type": "application/json"})
    return Answer(connection.getresponse())


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def served(database: str) -> Iterator[Service]:
    """A service with one worker that has few file descriptors."""
    with service.running(
        DATABASE_URL=database, WORKERS="1", POOL_SIZE="4", LOCK_TIMEOUT_SECONDS="0.5"
    ) as started:
        [worker] = started.workers()
        hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (LIMIT, hard))
        yield started


@pytest.fixture
def option(served: Service) -> str:
    """A ticket option, created before the crowd arrives."""
    buyer = Buyer(served.port)
    new_option = buyer.new_option(allocation=1000)
    buyer.close()
    return new_option


@pytest.fixture
def crowd(served: Service, option: str) -> Iterator[Crowd]:
    new_crowd = Crowd(served.port)
    try:
        wait_for(lambda: served.logged(WARNING), "file descriptors to run out")
        wait_for(lambda: new_crowd.take_answers() < 2 * LIMIT, "some to be served")
        yield new_crowd
    finally:
        for each in (*new_crowd.served, *new_crowd.waiting):
            each.close()


def test_connected_clients_are_served_while_nobody_else_can_be(
    database: str, served: Service, option: str, crowd: Crowd
) -> None:
    with connect(database) as superuser:
        # Enough descriptors are left to reconnect to the database.
        for each in crowd.served[:5]:
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'ticket-allocation'"
            )
            assert purchase(each, option).status == 201

    assert crowd.take_answers() > LIMIT  # of twice as many that connected
    assert not served.logged("Traceback|ERROR")


def test_a_worker_that_can_accept_nobody_does_not_spin(
    database: str, served: Service, option: str, crowd: Crowd
) -> None:
    [worker] = served.workers()
    with connect(database) as locker, locker.transaction():
        lock_option(locker, option)
        began, cpu_before = time.monotonic(), cpu_seconds(worker)
        answer = purchase(crowd.served[0], option)
        seconds, cpu = time.monotonic() - began, cpu_seconds(worker) - cpu_before

    assert answer.status == 503
    assert cpu < seconds / 4
    assert served.log().count(WARNING) == 1
    assert not served.logged("Traceback|ERROR")


def test_waiting_clients_are_served_as_others_leave(
    served: Service, option: str, crowd: Crowd
) -> None:
    began = time.monotonic()
    while waiting := crowd.take_answers():
        crowd.leave(len(crowd.served))
        wait_for(lambda: crowd.take_answers() < waiting, "others to be served")

    assert purchase(crowd.served[0], option).status == 201
    assert served.log().count(WARNING) <= 2 + (time.monotonic() - began) / 10
    assert not served.logged("Traceback|ERROR")


def test_waiting_clients_are_served_once_the_limit_is_raised(served: Service, crowd: Crowd) -> None:
    [worker] = served.workers()
    hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)[1]

    resource.prlimit(worker, resource.RLIMIT_NOFILE, (hard, hard))

    wait_for(lambda: not crowd.take_answers(), "all to be served")


def test_a_service_out_of_file_descriptors_still_stops_cleanly(
    database: str, served: Service, option: str, crowd: Crowd
) -> None:
    with ThreadPoolExecutor(1) as thread, connect(database) as observer:
        with connect(database) as locker, locker.transaction():
            lock_option(locker, option)
            in_flight = thread.submit(purchase, crowd.served[0], option)
            wait_until_blocked(observer, "ticket-allocation", 1)
            served.process.send_signal(signal.SIGTERM)
            wait_for(lambda: served.status("/livez") is None, "the port to be closed")
        assert in_flight.result().status == 201

    assert served.process.wait(service.TIMEOUT_SECONDS) == 0
    assert not served.logged("Traceback|ERROR")


def test_the_service_raises_its_limit_of_file_descriptors_as_far_as_it_may(database: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 500), hard))
    try:
        started = Service(DATABASE_URL=database, WORKERS="2")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        started.wait_until_ready()
        limits = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in started.workers()]

        assert limits == [(hard, hard)] * 2
        assert started.log().count(f"file descriptors of a process: {hard}, raised from 500") == 1
    finally:
        started.close()
