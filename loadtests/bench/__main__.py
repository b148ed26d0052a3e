"""``make bench``: how fast the service is, against PostgreSQL alone and against Tornado alone.

Everything is measured in one run on one machine, because only ratios within a run are meaningful.
Every figure is the median of several short rounds, and the rounds of all figures take turns.
PostgreSQL is the embedded one with its durable defaults. Nothing is asserted; the table says which
targets were missed.

``make bench ARGS='--only-overload'`` measures only what happens under overload.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db import embedded, migrate
from loadtests.harness import service
from loadtests.harness.service import Service

HERE = Path(__file__).parent
WORKERS = 2
CONNECTIONS = (1, 8, 64, 256)
SPREAD_OPTIONS = 1000
SOLD_BEFORE = 5_000_000
LOCKED_SECONDS = 10
LOCKED_OPTIONS = 40
OTHERS_LOCKED = f"others, {LOCKED_OPTIONS} locked"

OVERLOAD_MAX_WAITING = 200
OVERLOAD_CONNECTIONS = 1000
"""More than twice the requests that may wait in all workers, so that most are refused."""

CAPACITY_CONNECTIONS = 256
"""Enough to keep the service busy, and fewer than the requests that may wait."""

NEWCOMERS = 4
NEWCOMER_PAUSE_SECONDS = 0.02

Figure = dict[str, float]

Speed = tuple[Figure, Figure]
"""CPU seconds, of the service and of PostgreSQL, and a worker's memory at the start and the end."""


class Bench:
    """Runs the tools, and holds the figures."""

    def __init__(self, folder: Path, database: str, seconds: int) -> None:
        self.folder = folder
        self.seconds = seconds
        self.database = database
        self.superuser = psycopg.connect(database, autocommit=True)
        self.figures: dict[str, list[Figure]] = defaultdict(list)
        self.requests = 0

    def new_options(self, name: str, count: int) -> Path:
        """Write the paths of `count` new options, with the maximum allocation, to a file."""
        ids = [
            self.superuser.execute(
                "SELECT ticketing.create_ticket_option('bench', '', 2147483647)"
            ).fetchone()
            for _ in range(count)
        ]
        path = self.folder / name
        path.write_text("".join(f"/ticket_options/{each[0]}\n" for each in ids if each))
        return path

    def wrk(
        self,
        url: str,
        method: str,
        paths: Path,
        connections: int,
        seconds: int,
        rate: float | None = None,
    ) -> Figure:
        """Send requests with wrk for that many seconds, as fast as possible unless a rate is given.

        Args:
            rate: requests per second.
        """
        target = paths
        if method == "POST":
            target = paths.with_suffix(".purchases")
            target.write_text(paths.read_text().replace("\n", "/purchases\n"))
        command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s"]
        command += [
            "--timeout=10s",
            f"--script={HERE / 'bench.lua'}",
            url,
            "--",
            method,
            str(target),
            *([] if rate is None else [str(rate)]),
        ]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        figure: Figure = json.loads(printed.splitlines()[-1])
        figure["rate"] = figure["requests"] / figure["seconds"]
        self.requests += int(figure["requests"])
        return figure

    def pgbench(self, paths: Path, clients: int) -> Figure:
        """Call purchase_tickets directly, on random options from the file."""
        ids = [line.rpartition("/")[2] for line in paths.read_text().split()]
        self.superuser.execute("DROP TABLE IF EXISTS bench_options")
        self.superuser.execute("CREATE TABLE bench_options (i integer PRIMARY KEY, id uuid)")
        for i, each in enumerate(ids, 1):
            self.superuser.execute("INSERT INTO bench_options VALUES (%s, %s)", (i, each))
        script = self.folder / "pgbench.sql"
        script.write_text(
            f"\\set i random(1, {len(ids)})\n"
            "SELECT ticketing.purchase_tickets("
            "(SELECT id FROM bench_options WHERE i = :i), gen_random_uuid(), 1);\n"
            if len(ids) > 1
            else f"SELECT ticketing.purchase_tickets('{ids[0]}', gen_random_uuid(), 1);\n"
        )
        target = conninfo_to_dict(self.database)
        command = [
            *(embedded.program("pgbench"), "-n", "-M", "prepared", "-f", str(script)),
            *("-c", str(clients), "-j", "1", "-T", str(self.seconds)),
            *("-h", str(target["host"]), "-U", "postgres", str(target["dbname"])),
        ]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        words = {
            line.partition(" = ")[0]: line.partition(" = ")[2] for line in printed.splitlines()
        }
        return {"rate": float(words["tps"].split()[0]) if "tps" in words else 0.0}

    def round(self, name: str, measure: Callable[[], Figure]) -> None:
        """Measure a round."""
        self.note(name, measure())

    def note(self, name: str, figure: Figure) -> None:
        """Record the figure of a round."""
        self.figures[name].append(figure)
        print(f"  {name}: {figure['rate']:.0f}/s", file=sys.stderr, flush=True)

    def median(self, name: str, of: str = "rate") -> float:
        """The median of the rounds."""
        return statistics.median(figure[of] for figure in self.figures[name])


def cpu_seconds(pids: list[int]) -> float:
    """The CPU time that the processes have used, user and system."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """The resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def children(pid: int) -> list[int]:
    """The process ids of a process's children."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def bare() -> Iterator[str]:
    """The URL of a Tornado service that does nothing, with the same number of processes."""
    port = service.free_port()
    command = [sys.executable, "-m", "loadtests.bench.bare", str(port), str(WORKERS)]
    process = subprocess.Popen(command, cwd=service.ROOT)
    try:
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return bool(urllib.request.urlopen(url, timeout=1).status)
            except OSError:
                return False

        service.wait_for(answers, "the bare service")
        yield url
    finally:
        process.terminate()
        process.wait()


def measure_rounds(
    bench: Bench, rounds: int, served: Service, plain: Service, no_lane: Service, url: str
) -> None:
    """Measure throughput and latency, in turns."""
    hot, spread = bench.new_options("hot", 1), bench.new_options("spread", SPREAD_OPTIONS)
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
        for clients in (1, 8, 32):
            bench.round(f"pgbench, one option, {clients}", partial(bench.pgbench, hot, clients))
        bench.round("pgbench, 1000 options, 8", partial(bench.pgbench, spread, 8))
        for name, target, method, paths in (
            ("bare POST", url, "POST", hot),
            ("one option", served.url, "POST", hot),
            ("1000 options", served.url, "POST", spread),
            ("bare GET", url, "GET", hot),
            ("reads", served.url, "GET", hot),
        ):
            for c in CONNECTIONS:
                arguments = (target, method, paths, c, bench.seconds)
                bench.round(f"{name}, {c}", partial(bench.wrk, *arguments))
        for c in (1, 64):
            arguments = (plain.url, "POST", hot, c, bench.seconds)
            bench.round(f"not coalesced, {c}", partial(bench.wrk, *arguments))
        for name, method in (("one option", "POST"), ("reads", "GET")):
            arguments = (no_lane.url, method, hot, 64, bench.seconds)
            bench.round(f"{name}, no fast lane, 64", partial(bench.wrk, *arguments))


def measure_cpu(bench: Bench, served: Service, postmaster: int) -> Figure:
    """CPU seconds per thousand purchases of one option, of the service and of PostgreSQL."""
    workers, servers = served.workers(), [postmaster, *children(postmaster)]
    before = cpu_seconds(workers), cpu_seconds(servers)
    paths = bench.new_options("cpu", 1)
    done = bench.wrk(served.url, "POST", paths, 64, bench.seconds * 2)["requests"] / 1000
    servers = [pid for pid in servers if Path(f"/proc/{pid}").exists()]
    return {
        "service": (cpu_seconds(workers) - before[0]) / done,
        "postgresql": (cpu_seconds(servers) - before[1]) / done,
    }


def measure_sold_before(bench: Bench, served: Service, rounds: int) -> None:
    """Measure purchases of an option that has sold millions, and of a new one, in turns."""
    old, new = bench.new_options("old", 1), bench.new_options("new", 1)
    option_id = old.read_text().strip().rpartition("/")[2]
    print(f"selling {SOLD_BEFORE} purchases", file=sys.stderr, flush=True)
    with bench.superuser.transaction():
        # The foreign key's trigger would take minutes, and the option does exist.
        bench.superuser.execute("SET LOCAL session_replication_role = replica")
        bench.superuser.execute(
            "INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity) "
            "SELECT %s, gen_random_uuid(), gen_random_uuid(), 1 FROM generate_series(1, %s)",
            (option_id, SOLD_BEFORE),
        )
        bench.superuser.execute(
            "UPDATE ticketing_private.ticket_options SET allocation = allocation - %s "
            "WHERE id = %s",
            (SOLD_BEFORE, option_id),
        )
    bench.superuser.execute("CHECKPOINT")
    bench.superuser.execute("ANALYZE ticketing_private.purchases")
    for _ in range(rounds):
        for name, paths in (("sold before", old), ("nothing sold before", new)):
            arguments = (served.url, "POST", paths, 64, bench.seconds)
            bench.round(name, partial(bench.wrk, *arguments))


def measure_locked(bench: Bench, served: Service) -> None:
    """Measure the others: undisturbed, and while many options are locked and in demand."""
    others = bench.new_options("others", SPREAD_OPTIONS)
    locked = bench.new_options("locked", LOCKED_OPTIONS).read_text().split()
    seconds = LOCKED_SECONDS - 2
    arguments = (served.url, "POST", others, 64, seconds)
    bench.round("others, undisturbed", partial(bench.wrk, *arguments))

    body = json.dumps({"quantity": 1, "user_id": str(uuid.uuid4())}).encode()
    is_over = threading.Event()

    def want(path: str) -> None:
        while not is_over.is_set():
            request = urllib.request.Request(
                f"{served.url}{path}/purchases", body, {"Content-Type": "application/json"}
            )
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as refusal:
                refusal.close()

    buyers = [threading.Thread(target=want, args=(path,)) for path in locked * 2]
    with psycopg.connect(bench.database) as locker:
        locker.execute(
            "SELECT FROM ticketing_private.ticket_options WHERE id = ANY (%s::uuid[]) FOR UPDATE",
            ([path.rpartition("/")[2] for path in locked],),
        )
        for buyer in buyers:
            buyer.start()
        bench.round(OTHERS_LOCKED, partial(bench.wrk, *arguments))
        is_over.set()
    for buyer in buyers:
        buyer.join()


def measure_speed(bench: Bench, rounds: int, settings: dict[str, str], postmaster: int) -> Speed:
    """Measure everything that needs no overload."""
    with service.running(**settings) as served:
        bench.wrk(served.url, "POST", bench.new_options("warm-up", 1), 64, 3)
        memory = {"start": max(map(memory_mib, served.workers()))}
        with (
            service.running(**settings, BATCH_SIZE="1") as plain,
            service.running(**settings, FAST_LANE="off") as no_lane,
            bare() as bare_url,
        ):
            measure_rounds(bench, rounds, served, plain, no_lane, bare_url)
        cpu = measure_cpu(bench, served, postmaster)
        measure_sold_before(bench, served, rounds)
        measure_locked(bench, served)
        memory["end"] = max(map(memory_mib, served.workers()))
    return cpu, memory


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


def overload_targets(bench: Bench) -> list[tuple[str, float, str, float]]:
    """The targets under twice the load that can be served; as in `targets`."""

    def ratio(name: str) -> float:
        return bench.median(f"{name}, overloaded, sold") / bench.median(f"{name}, at capacity")

    return [
        ("sales at twice the load, to those at capacity", ratio("one option"), ">=", 0.9),
        ("the same, not coalesced", ratio("not coalesced"), ">=", 0.9),
    ]


def targets(bench: Bench, memory: Figure) -> list[tuple[str, float, str, float]]:
    """The targets: name, figure, ``>=`` or ``<=``, and bound."""
    hot = bench.median("one option, 64")
    direct = max(bench.median(f"pgbench, one option, {clients}") for clients in (1, 8, 32))
    return [
        ("purchases of one option, to pgbench's best", hot / direct, ">=", 6),
        ("the same, with 256 connections", bench.median("one option, 256") / direct, ">=", 8),
        (
            "purchases of one option, to a bare Tornado POST",
            hot / bench.median("bare POST, 64"),
            ">=",
            0.75,
        ),
        (
            "purchases over 1000 options, to those of one",
            bench.median("1000 options, 64") / hot,
            ">=",
            0.8,
        ),
        (
            "reads of one option, to a bare Tornado GET",
            bench.median("reads, 64") / bench.median("bare GET, 64"),
            ">=",
            0.75,
        ),
        (
            "p99 to p50, purchases of one option",
            bench.median("one option, 64", "p99_ms") / bench.median("one option, 64", "p50_ms"),
            "<=",
            2.5,
        ),
        (
            "latency of one connection, to not coalesced",
            bench.median("one option, 1", "p50_ms") / bench.median("not coalesced, 1", "p50_ms"),
            "<=",
            1.1,
        ),
        (
            "purchases after 5 million, to those of a new option",
            bench.median("sold before") / bench.median("nothing sold before"),
            ">=",
            0.9,
        ),
        ("memory of a worker, MiB", memory["end"], "<=", 80),
        (
            "memory at the end, to that after the warm-up",
            memory["end"] / memory["start"],
            "<=",
            1.2,
        ),
        (
            f"p99 of the others, {LOCKED_OPTIONS} locked to undisturbed",
            bench.median(OTHERS_LOCKED, "p99_ms") / bench.median("others, undisturbed", "p99_ms"),
            "<=",
            2,
        ),
        (
            f"of the others, refused while {LOCKED_OPTIONS} are locked",
            bench.median(OTHERS_LOCKED, "refused"),
            "<=",
            0,
        ),
    ]


def report(bench: Bench, speed: Speed | None) -> dict[str, Any]:
    """Print the tables, and return their content."""
    print(f"{date.today()}, {os.cpu_count()} CPUs, {platform.machine()}, ", end="")
    print(f"Python {platform.python_version()}, {WORKERS} workers, {bench.requests} requests\n")
    print(f"{'median of the rounds':<34}{'per second':>11}{'p50 ms':>9}{'p99 ms':>9}")
    rows = {}
    for name in bench.figures:
        rows[name] = {of: bench.median(name, of) for of in bench.figures[name][0]}
        row = rows[name]
        latency = "".join(f"{row[of]:>9.2f}" for of in ("p50_ms", "p99_ms") if of in row)
        print(f"{name:<34}{row['rate']:>11.0f}{latency}")
    result: dict[str, Any] = {"figures": rows}
    promised = overload_targets(bench)
    if speed is not None:
        cpu, memory = speed
        print(
            f"\nCPU seconds per 1000 purchases: service {cpu['service']:.3f}, "
            f"PostgreSQL {cpu['postgresql']:.3f}"
        )
        print(f"memory of a worker: {memory['start']:.0f} MiB, then {memory['end']:.0f} MiB")
        result |= {"cpu_seconds": cpu, "memory_mib": memory}
        promised = [*targets(bench, memory), *promised]
    print()
    ratios = []
    for name, figure, relation, bound in promised:
        holds = figure >= bound if relation == ">=" else figure <= bound
        print(f"{name:<52}{figure:>7.2f}   {relation} {bound:<5g}{'' if holds else 'MISSED'}")
        ratios.append({"name": name, "figure": figure, "bound": bound, "holds": holds})
    return {**result, "targets": ratios}


def main() -> int:
    """Measure, print, and write JSON if requested."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds per figure (default: 3)")
    parser.add_argument("--seconds", type=int, default=2, help="seconds per round (default: 2)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument(
        "--only-overload", action="store_true", help="measure only what happens under overload"
    )
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is missing. On Debian and Ubuntu: apt-get install wrk", file=sys.stderr)
        return 2
    # wrk and the services need thousands of connections.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(embedded.serving(folder / "data"))
        migrate.migrate(database)
        url = make_conninfo(database, user="ticketing_service")
        settings = {"DATABASE_URL": url, "WORKERS": str(WORKERS)}
        bench = Bench(folder, database, options.seconds)
        stack.enter_context(bench.superuser)
        speed = None
        if not options.only_overload:
            postmaster = int((folder / "data/postgres/postmaster.pid").read_text().split()[0])
            speed = measure_speed(bench, options.rounds, settings, postmaster)
        measure_overload(bench, options.rounds, settings)
        result = report(bench, speed)
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
