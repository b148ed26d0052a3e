"""Behind a proxy that shares its connections among buyers."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

from loadtests.harness import service
from loadtests.harness.postgres import connect
from loadtests.harness.service import Service, wait_for
from tests.processes import nginx
from tests.processes.conftest import Answer, Buyer
from tests.processes.test_draining import lock_option

PAUSE_SECONDS = 0.05
"""Between two buyers of the locked option."""

REFUSALS = 40
"""How many buyers of that option are refused before a test ends."""

SLOW_SECONDS = 0.5
"""Longer than any request that waits for no lock, and shorter than a connection may rest."""


class Others:
    """Buyers who keep asking for what is not locked, and how long each answer took."""

    def __init__(self, port: int, option: str) -> None:
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self._buyer = Buyer(port)
        self._option = option
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self) -> Others:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for each in self._threads:
            each.join()
        self._buyer.close()

    def _ask(self) -> None:
        asks = itertools.cycle([("GET", self._option), ("POST", ""), ("GET", "/livez")])
        while not self._is_over.wait(PAUSE_SECONDS / 2):
            began = time.monotonic()
            method, path = next(asks)
            if method == "GET":
                answer = self._buyer.send("GET", path)
            else:
                answer = self._buyer.purchase(self._option)
            self.statuses[answer.status] += 1
            self.seconds.append(time.monotonic() - began)


def test_refused_buyers_of_a_locked_option_do_not_slow_the_others_down(
    database: str, tmp_path: Path
) -> None:
    with (
        service.running(DATABASE_URL=database, WORKERS="1", LOCK_TIMEOUT_SECONDS="0.2") as served,
        nginx.in_front_of([served.port], tmp_path) as port,
    ):
        buyer = Buyer(port)
        locked, other = buyer.new_option(allocation=100), buyer.new_option(allocation=100_000)
        asked: list[Future[Answer]] = []
        with connect(database) as locker, locker.transaction(), Others(port, other) as others:
            lock_option(locker, locked)
            while sum(each.done() for each in asked) < REFUSALS:
                asked.append(buyer.start_purchase(locked))
                time.sleep(PAUSE_SECONDS)
            refusals = [each.result() for each in asked]
        buyer.close()

    assert {(each.status, each.code) for each in refusals} == {(503, "overloaded")}
    assert others.statuses.keys() == {200, 201}
    slow = [each for each in others.seconds if each > SLOW_SECONDS]
    # One in a hundred is allowed, for a machine that is busy.
    assert len(slow) <= len(others.seconds) / 100, (slow, len(others.seconds))


def test_a_rolling_restart_loses_no_request(database: str, tmp_path: Path) -> None:
    ports = [service.free_port() for _ in range(2)]

    def start(port: int) -> Service:
        started = Service(DATABASE_URL=database, WORKERS="1", PORT=str(port))
        started.wait_until_ready()
        return started

    running = [start(port) for port in ports]
    try:
        # By default nginx avoids a server for ten seconds after it could not connect to it.
        with nginx.in_front_of(ports, tmp_path, "max_fails=0") as port:
            buyer = Buyer(port)
            option = buyer.new_option(allocation=100_000)
            with Others(port, option) as others:
                for place in range(2):
                    assert running[place].terminate() == 0
                    running[place].close()
                    running[place] = start(ports[place])
                    answered = sum(others.statuses.values())
                    wait_for(lambda: sum(others.statuses.values()) > answered + 20, "answers")  # noqa: B023
            sold = 100_000 - buyer.left(option)
            buyer.close()
    finally:
        for each in running:
            each.close()

    assert others.statuses.keys() == {200, 201}
    assert sold == others.statuses[201]
