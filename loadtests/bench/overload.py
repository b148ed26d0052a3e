"""What happens under more load than can be served."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
import uuid
from pathlib import Path

from loadtests.bench.rig import Bench, Figure, Target
from loadtests.harness import service
from loadtests.harness.service import Service

OVERLOAD_MAX_WAITING = 200
OVERLOAD_CONNECTIONS = 1000
"""More than twice the requests that may wait in all workers, so that most are refused."""

CAPACITY_CONNECTIONS = 256
"""Enough to keep the service busy, and fewer than the requests that may wait."""

NEWCOMERS = 4
NEWCOMER_PAUSE_SECONDS = 0.02


class Newcomers:
    """Buyers who each come on a new connection, and how long their refusals take."""

    def __init__(self, served: Service, path: str) -> None:
        self._port = served.port
        self._path = f"{path}/purchases"
        self._is_over = threading.Event()
        self._refusals_ms: list[float] = []
        self._threads = [threading.Thread(target=self._come) for _ in range(NEWCOMERS)]

    def __enter__(self) -> Newcomers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _come(self) -> None:
        body = json.dumps({"quantity": 1, "user_id": str(uuid.uuid4())})
        headers = {"Content-Type": "application/json"}
        while not self._is_over.wait(NEWCOMER_PAUSE_SECONDS):
            began = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            connection.request("POST", self._path, body, headers)
            if connection.getresponse().status == 503:
                self._refusals_ms.append((time.perf_counter() - began) * 1000)
            connection.close()

    def refusals(self) -> Figure:
        """Percentiles of the time until a refusal; 0 if nobody was refused."""
        if len(self._refusals_ms) < 2:
            return {"p50_ms": 0.0, "p99_ms": 0.0}
        percentiles = statistics.quantiles(self._refusals_ms, n=100, method="inclusive")
        return {"p50_ms": percentiles[49], "p99_ms": percentiles[98]}


def measure_overload(bench: Bench, rounds: int, settings: dict[str, str]) -> None:
    """Measure sales at capacity, and under twice that load.

    Without coalescing the database is the bottleneck; with it, Python is.
    """
    few = {**settings, "MAX_WAITING": str(OVERLOAD_MAX_WAITING)}
    with service.running(**few) as served, service.running(**few, BATCH_SIZE="1") as plain:
        paths = bench.new_options("overload", 1)
        for _ in range(rounds):
            for name, target in (("one option", served), ("not coalesced", plain)):
                measure_twice_the_load(bench, name, target, paths)


def measure_twice_the_load(bench: Bench, name: str, served: Service, paths: Path) -> None:
    """Measure a round against one service."""
    seconds = bench.seconds * 2
    capacity = bench.wrk(served.url, "POST", paths, CAPACITY_CONNECTIONS, seconds)
    with Newcomers(served, paths.read_text().strip()) as newcomers:
        arguments = (served.url, "POST", paths, OVERLOAD_CONNECTIONS, seconds)
        twice = bench.wrk(*arguments, 2 * capacity["rate"])
    for what, figure in (("at capacity", capacity), ("overloaded, sold", twice)):
        sold = (figure["requests"] - figure["refused"]) / figure["seconds"]
        bench.note(f"{name}, {what}", {**figure, "rate": sold})
    refused = twice["refused"] / twice["seconds"]
    bench.note(f"{name}, overloaded, refused", {**newcomers.refusals(), "rate": refused})


def overload_targets(bench: Bench) -> list[Target]:
    """The targets under twice the load that can be served; as in `targets`."""

    def ratio(name: str) -> float:
        return bench.median(f"{name}, overloaded, sold") / bench.median(f"{name}, at capacity")

    return [
        ("sales at twice the load, to those at capacity", ratio("one option"), ">=", 0.9),
        ("the same, not coalesced", ratio("not coalesced"), ">=", 0.9),
    ]
