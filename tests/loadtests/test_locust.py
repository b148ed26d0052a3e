"""The load test as users run it: real processes, with the verdict as exit code.

Most sales run at once, because Locust is slow to start and to stop. Those with load workers of
their own run after the others: on a busy machine their buyers might arrive after the sale is over.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from loadtests.harness import service
from loadtests.harness.postgres import Server, connect, value
from loadtests.harness.service import free_port, wait_for
from loadtests.onsale import report
from loadtests.proof.ledger import Ledger
from tests.loadtests.procedures import changed

LOCUST = [sys.executable, "-m", "locust", "--headless", "--only-summary"]


class Run:
    """A sale running in Locust.

    Attributes:
        operator_url: connects to the database that is audited.
    """

    def __init__(self, folder: Path, url: str, operator_url: str, *arguments: str) -> None:
        self.folder = folder
        self.operator_url = operator_url
        folder.mkdir()
        port = free_port()
        command = [
            *LOCUST,
            *("--locustfile", str(service.ROOT / "loadtests" / "onsale" / "locustfile.py")),
            *(f"--master-bind-port={port}", f"--master-port={port}", f"--host={url}"),
            *(f"--report={folder}", f"--html={folder / 'locust.html'}", *arguments),
        ]
        with (folder / "output").open("w") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, "OPERATOR_DATABASE_URL": operator_url},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Everything it has printed."""
        return (self.folder / "output").read_text()

    def workers(self) -> list[int]:
        """The process ids of the load workers."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def exit_code(self) -> int:
        """Wait for it to exit, and return its exit code."""
        return self._process.wait(service.TIMEOUT_SECONDS * 2)

    def page(self) -> str:
        """The page with the verdict."""
        return (self.folder / report.PAGE_FILE).read_text()

    def close(self) -> None:
        """Kill it and all its load workers."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def without_the_lock() -> list[str]:
    """Concurrent calls then read the same allocation, and each writes back what it left of it."""
    return [changed("take_tickets_of_one.sql", "    FOR NO KEY UPDATE;", ";")]


def losing_some() -> list[str]:
    """One in ten purchases is acknowledged but not stored."""
    stored = "FROM unnest(decided.sold_places) AS sold (place);"
    lost = stored.replace(";", " WHERE random() < 0.9;")
    return [
        changed("take_tickets_of_one.sql", stored, lost),
        changed("take_tickets_of_many.sql", stored, lost),
    ]


class Runs:
    """Sales running in Locust.

    Args:
        scene: stops them at the end.
        folder: each leaves its files in a folder inside it.
    """

    def __init__(self, scene: ExitStack, folder: Path) -> None:
        self._scene = scene
        self._folder = folder
        self._started: dict[str, Run] = {}

    def start(self, name: str, url: str, operator_url: str, *arguments: str) -> Run:
        run = Run(self._folder / name, url, operator_url, *arguments)
        self._scene.callback(run.close)
        self._started[name] = run
        return run

    def __getitem__(self, name: str) -> Run:
        return self._started[name]

    def wait(self) -> None:
        """Wait until all that were started have exited."""
        for run in self._started.values():
            run.exit_code()


STAMPEDE = ["--sale=stampede", "--seconds=3", "--buyers=16"]
CHECKOUT = ["--sale=checkout", "--seconds=4", "--buyers=16"]
STEADY = ["--sale=steady", "--seconds=6", "--buyers=16"]


@pytest.fixture(scope="module")
def runs(postgres_18: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with ExitStack() as scene:

        def serve(functions: Callable[[], list[str]] = list) -> tuple[str, str]:
            conninfo = scene.enter_context(postgres_18.database())
            with connect(conninfo) as superuser:
                for function in functions():
                    superuser.execute(function.encode())
            served = scene.enter_context(service.running(DATABASE_URL=conninfo, WORKERS="2"))
            return served.url, make_conninfo(conninfo, user="ticketing_operator")

        started = Runs(scene, tmp_path_factory.mktemp("runs"))
        url, operator_url = serve()
        started.start("one process", url, operator_url, *STAMPEDE)
        started.start("checkout", url, operator_url, *CHECKOUT)
        started.start("no database", url, "host=/nowhere", *STEADY)
        started.start("no service", "http://127.0.0.1:1", operator_url, *STEADY)
        started.start("oversells", *serve(without_the_lock), *STAMPEDE)
        started.start("loses", *serve(losing_some), *STAMPEDE)
        started.wait()
        for name in ("workers", "killed worker"):
            started.start(name, url, operator_url, *STEADY, "--processes=2")
        yield started


def assert_failed(run: Run, why: str) -> None:
    assert run.exit_code() == 1, run.output
    assert why in run.output
    assert run.output.rstrip().endswith("FAILED")
    assert "<h1>FAILED</h1>" in run.page()
    assert why in run.page()


def requests_sent(run: Run) -> int:
    """The number of requests that Locust counted."""
    [count] = re.findall(r"Aggregated +(\d+) +\d+\(", run.output)
    return int(count)


def test_a_sale_that_loses_a_worker_fails(runs: Runs) -> None:
    run = runs["killed worker"]
    wait_for(lambda: "The sale has begun" in run.output, "the sale to begin")
    os.kill(run.workers()[0], signal.SIGKILL)
    assert_failed(run, "is gone, and its records are incomplete")


@pytest.mark.parametrize("name", ["one process", "workers", "checkout"])
def test_a_service_that_keeps_its_promise_passes(runs: Runs, name: str) -> None:
    run = runs[name]
    assert run.exit_code() == 0, run.output
    assert run.output.rstrip().endswith("PASSED")
    assert "<h1>PASSED</h1>" in run.page()
    assert "Request Statistics" in (run.folder / "locust.html").read_text()

    ledger = Ledger.read(run.folder / report.LEDGER_FILE)
    if name == "workers":
        assert len({entry.source for entry in ledger.entries}) == 2
        # Locust does not wait long for its workers' last statistics.
        assert len(ledger.entries) >= requests_sent(run)
    else:
        assert len(ledger.entries) == requests_sent(run)
    assert {entry.outcome for entry in ledger.entries} == {"acknowledged", "refused"}
    assert ("held, according to buyers" in run.page()) == (name == "checkout")


def test_a_purchase_function_that_oversells_is_detected(runs: Runs) -> None:
    run = runs["oversells"]
    assert_failed(run, "sold, held and left are not the capacity")
    with connect(run.operator_url, role="ticketing_operator") as operator:
        missing = value(operator, "SELECT min(missing) FROM ticketing.audit_allocations()")
        assert missing < 0, "tickets were lost instead"


def test_a_purchase_function_that_loses_an_acknowledged_purchase_is_detected(
    runs: Runs,
) -> None:
    assert_failed(runs["loses"], "an acknowledged purchase is not stored as requested")


def test_a_sale_that_cannot_be_audited_fails(runs: Runs) -> None:
    assert_failed(runs["no database"], "the audit could not be completed: OperationalError")


def test_a_sale_that_does_not_open_fails(runs: Runs) -> None:
    assert_failed(runs["no service"], "the sale did not open: http://127.0.0.1:1 did not create")


def test_a_ledger_can_be_audited_again(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs["one process"]
    run.exit_code()
    path = run.folder / report.LEDGER_FILE
    monkeypatch.setattr(sys, "argv", ["report", str(path)])
    monkeypatch.setenv("OPERATOR_DATABASE_URL", run.operator_url)
    assert report.main() == 0

    ledger = Ledger.read(path)
    ledger.entries = [entry for entry in ledger.entries if entry.kind != "read"][:20]
    ledger.write(path)
    assert report.main() == 1
    assert "a purchase is stored that nobody requested" in run.page()
