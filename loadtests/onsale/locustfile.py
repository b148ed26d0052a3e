"""An on-sale in Locust. The exit code is the verdict: 0 if it is proven that nothing was oversold,
that nothing was lost, and that every answer was true.

    locust --locustfile loadtests/onsale/locustfile.py --host http://127.0.0.1:3000 --sale stampede

The master (or the only process) puts the options on sale, collects the workers' records, and at
the end of each test audits them through SQL. OPERATOR_DATABASE_URL in the environment connects to
the database as ``ticketing_operator``.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import gevent
from locust import LoadTestShape, User, events, runners, task
from locust.env import Environment
from locust.exception import CatchResponseError, RescheduleTaskImmediately
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from loadtests.harness.connection import TIMEOUT_SECONDS, Connection
from loadtests.onsale import buyers, page, report, sales, verdict
from loadtests.onsale.requests import Request
from loadtests.onsale.visits import Answer, play
from loadtests.onsale.worker_ledgers import Outbox, WorkerLedgers
from loadtests.proof.ledger import Ledger

# On a busy machine, a load worker that is silent for three seconds is not gone.
runners.HEARTBEAT_LIVENESS = 15

STOP_SECONDS = TIMEOUT_SECONDS + 5
"""How long buyers may take to finish their visits when the sale is over, unless --stop-timeout is
longer. Requests cut off after that are unknown."""

BUYERS_SECONDS_MAX = 60.0
"""How long a sale waits for its first buyer."""

COLLECTING_SECONDS = 10.0
"""How much longer the master waits for the workers' records."""

LAST_PART = "the last part of the ledger"
SALE_IS_OVER = "the sale is over"
"""Messages between master and workers."""


class OnSale:
    """The running test, or the last one, as this process sees it.

    Args:
        options: Locust's, with the `on_sale` that `open_sale` added. Locust sends them to workers
            whenever it orders users, so even a worker that connects late knows what is on sale.

    Attributes:
        outbox: used by a worker.
        worker_ledgers: used by the master.
        doubts: reasons so far not to trust the ledger.
        is_open: whether the verdict is still to come.
    """

    def __init__(self, options: Namespace) -> None:
        self.sale = chosen_sale(options)
        self.seed: str = options.on_sale["seed"]
        self.ledger = Ledger()
        self.ledger.title = f"{options.sale}, seed {self.seed}"
        self.ledger.capacities = options.on_sale["capacities"]
        self.option_ids = list(self.ledger.capacities)
        self.user_numbers = itertools.count()
        self.outbox = Outbox(self.ledger)
        self.worker_ledgers = WorkerLedgers(self.ledger)
        self.doubts: list[str] = []
        self.is_open = True
        self._opened_at = time.perf_counter()
        self._begun_at: float | None = None

    def seconds(self, buyers_now: int) -> float:
        """How long the sale has lasted, given the number of buyers there now.

        The clock starts with the first buyer, because load workers take a while on a busy machine,
        or after `BUYERS_SECONDS_MAX` without one.
        """
        now = time.perf_counter()
        if self._begun_at is None:
            if not buyers_now and now - self._opened_at < BUYERS_SECONDS_MAX:
                return 0.0
            self._begun_at = now
            print("The sale has begun", flush=True)
        return now - self._begun_at


on_sale: OnSale | None = None
page_of_verdict = "No test has finished yet."


def options_of(environment: Environment) -> Namespace:
    """The options from the command line, the environment or the web page."""
    options = environment.parsed_options
    assert isinstance(options, Namespace)
    return options


def chosen_sale(options: Namespace) -> sales.Sale:
    """The sale that the options ask for."""
    sale = sales.SALES[options.sale]
    return sale._replace(
        seconds=options.seconds or sale.seconds, buyers=options.buyers or sale.buyers
    )


class Buyer(User):
    """A place in the crowd: one buyer after another, over one connection."""

    def on_start(self) -> None:
        assert on_sale is not None
        number = next(on_sale.user_numbers)
        self.choices = Random(f"{on_sale.seed} {self.environment.runner.worker_index} {number}")
        self.connection = Connection(self.environment.host)

    @task
    def visit(self) -> None:
        """Come, look, purchase, leave; then the place stays empty for a while."""
        assert on_sale is not None
        if not on_sale.option_ids:
            gevent.sleep(1)  # Crowd is about to stop this buyer
            return
        option_id = on_sale.sale.choose(on_sale.option_ids, self.choices)
        play(buyers.visit(option_id, self.choices, on_sale.sale.habits), self.send, on_sale.ledger)
        gevent.sleep(self.choices.uniform(*on_sale.sale.pause_seconds))
        # Not Locust's own wait_time: a user that is waiting when the test ends is killed, and may
        # by then have sent the first request of the next visit.
        raise RescheduleTaskImmediately

    def send(self, request: Request) -> Answer:
        """Send the request, and count it in Locust's statistics."""
        started = time.perf_counter()
        answer = self.connection.send(request)
        self.environment.events.request.fire(
            request_type=request.method,
            name=request.name,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=len(answer.body),
            context={},
            exception=None
            if answer.status in request.expected
            else CatchResponseError(f"answered {answer.status}" if answer.status else "no answer"),
        )
        return answer


class Crowd(LoadTestShape):
    """As many buyers as the chosen sale has, until it is over."""

    def tick(self) -> tuple[int, float] | None:
        """How many buyers there should be now, and how many may arrive per second."""
        assert self.runner is not None
        sale = chosen_sale(options_of(self.runner.environment))
        if on_sale is None or not on_sale.is_open:
            # Putting the options on sale takes a while.
            buyers_now = sale.buyers_at(0)
        elif on_sale.option_ids:
            buyers_now = sale.buyers_at(on_sale.seconds(self.runner.user_count))
        else:
            buyers_now = None
        return None if buyers_now is None else (buyers_now, sale.buyers)


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add the options that only this locustfile has."""
    group = parser.add_argument_group("The sale")
    add = group.add_argument
    add(
        "--sale",
        choices=list(sales.SALES),
        default="stampede",
        env_var="SALE",
        help="Which sale to play",
    )
    add(
        "--seconds",
        type=float,
        default=0.0,
        env_var="SALE_SECONDS",
        help="Duration; 0: the sale's own",
    )
    add("--buyers", type=int, default=0, env_var="SALE_BUYERS", help="Maximum; 0: the sale's own")
    add("--seed", default="", env_var="SALE_SEED", help="Of the buyers' choices; empty: random")
    add(
        "--report",
        default="",
        env_var="SALE_REPORT",
        metavar="FOLDER",
        help="Where to put the ledger and the verdict page; empty: nowhere",
    )


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:
    """Assume the worst until an audit says otherwise."""
    runner = environment.runner
    assert runner is not None
    if isinstance(runner, WorkerRunner):
        # Stopping the buyers also sends the last part.
        runner.register_message(SALE_IS_OVER, lambda **_: runner.stop())
    else:
        environment.process_exit_code = 1
        environment.stop_timeout = max(environment.stop_timeout, STOP_SECONDS)
    if isinstance(runner, MasterRunner):
        runner.register_message(LAST_PART, collect_last_part)
    if environment.web_ui is not None and environment.web_ui.app is not None:
        environment.web_ui.app.add_url_rule("/verdict", "verdict", lambda: page_of_verdict)

    @environment.events.quitting.add_listener
    def end_test(**_: Any) -> None:
        # A test may be running when Locust is told to quit. This listener is added here, after
        # Locust's own, so that it is called before them: one of those signs a worker off.
        runner.quit()

    @environment.events.quit.add_listener
    def repeat_verdict(exit_code: int, **_: Any) -> None:
        # Last, below Locust's statistics.
        if not isinstance(runner, WorkerRunner):
            print("PASSED" if exit_code == 0 else "FAILED", flush=True)


@events.test_start.add_listener
def open_sale(environment: Environment, **_: Any) -> None:
    """Put the options on sale, before the first buyer comes."""
    global on_sale
    options = options_of(environment)
    if isinstance(environment.runner, WorkerRunner):
        on_sale = OnSale(options)
        return
    environment.process_exit_code = 1
    options.on_sale = {"capacities": {}, "seed": options.seed or secrets.token_hex(4)}
    doubts = []
    try:
        if not environment.host:
            raise RuntimeError("--host is not set")
        options.on_sale["capacities"] = sales.put_on_sale(chosen_sale(options), environment.host)
    except Exception as error:
        # Locust would only log it.
        doubts.append(f"the sale did not open: {error}")
    on_sale = OnSale(options)
    on_sale.doubts += doubts
    print(f"On sale: {on_sale.ledger.title}", flush=True)
    if isinstance(environment.runner, MasterRunner):
        for worker in environment.runner.clients:
            on_sale.worker_ledgers.expect(worker)


@events.worker_connect.add_listener
def expect_worker(client_id: str, **_: Any) -> None:
    """Expect records from a worker that connects during a sale."""
    if on_sale is not None and on_sale.is_open:
        on_sale.worker_ledgers.expect(client_id)


@events.report_to_master.add_listener
def send_part(data: dict[str, Any], **_: Any) -> None:
    """Add what a worker has recorded since its last report to its next one."""
    if on_sale is not None:
        data["ledger"] = on_sale.outbox.next_part()


@events.worker_report.add_listener
def collect_part(client_id: str, data: dict[str, Any], **_: Any) -> None:
    """Collect what `send_part` sent."""
    if on_sale is not None and "ledger" in data:
        on_sale.worker_ledgers.add(client_id, data["ledger"])


def collect_last_part(environment: Environment, msg: Any) -> None:
    """Collect the rest of a worker's ledger, which it sends after its buyers have left."""
    if on_sale is not None:
        on_sale.worker_ledgers.add(msg.node_id, msg.data)


@events.test_stop.add_listener
def close_sale(environment: Environment, **_: Any) -> None:
    """Give the verdict; in a worker, hand over the rest of the ledger."""
    global page_of_verdict
    if on_sale is None:
        return
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        runner.send_message(LAST_PART, on_sale.outbox.next_part(is_last=True))
        return
    if isinstance(runner, MasterRunner):
        wait_for_workers(runner, on_sale.worker_ledgers)
    on_sale.is_open = False
    found = verdict.judge(
        on_sale.ledger,
        os.environ.get("OPERATOR_DATABASE_URL"),
        [*on_sale.doubts, *on_sale.worker_ledgers.losses(), *errors_of_users(environment)],
    )
    print(found.text(), flush=True)
    page_of_verdict = page.render(found)
    if folder := options_of(environment).report:
        report.write(found, Path(folder))
    # Last, because Locust carries on when something above fails.
    if found.is_good:
        environment.process_exit_code = 0


def wait_for_workers(runner: MasterRunner, worker_ledgers: WorkerLedgers) -> None:
    """Wait until each worker has handed over its ledger, or is gone.

    Locust calls `test_stop` on the master before it tells the workers to stop, unless the test was
    stopped from the web page.
    """
    for worker in list(runner.clients):
        runner.send_message(SALE_IS_OVER, client_id=worker)
    deadline = time.monotonic() + runner.environment.stop_timeout + COLLECTING_SECONDS
    while time.monotonic() < deadline:
        if all(is_gone(runner, worker) for worker in worker_ledgers.open()):
            return
        gevent.sleep(0.05)


def is_gone(runner: MasterRunner, worker: str) -> bool:
    """Whether the worker will send nothing more."""
    return worker not in runner.clients or runner.clients[worker].state == STATE_MISSING


def errors_of_users(environment: Environment) -> Iterator[str]:
    """Errors in the load test itself."""
    assert environment.runner is not None
    for error in environment.runner.exceptions.values():
        yield f"the load test failed {error['count']} times: {error['msg']}"
