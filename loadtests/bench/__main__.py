"""``make bench``: how fast the service is, against PostgreSQL alone and against Tornado alone.

Everything is measured in one run on one machine, because only ratios within a run are meaningful.
Every figure is the median of several short rounds, and the rounds of all figures take turns.
PostgreSQL is the embedded one with its durable defaults. Nothing is asserted; the table says which
targets were missed.

``make bench ARGS='--only overload'`` measures only what happens under overload.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from db import embedded, migrate
from loadtests.bench import lifecycle
from loadtests.bench.overload import measure_overload, overload_targets
from loadtests.bench.rig import Bench, Figure, Target, children, cpu_seconds, memory_mib
from loadtests.harness import service
from loadtests.harness.service import Service

WORKERS = 2
CONNECTIONS = (1, 8, 64, 256)
SPREAD_OPTIONS = 1000
LOCKED_SECONDS = 10
LOCKED_OPTIONS = 40
OTHERS_LOCKED = f"others, {LOCKED_OPTIONS} locked"

Speed = tuple[Figure, Figure]
"""CPU seconds, of the service and of PostgreSQL, and a worker's memory at the start and the end."""


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
        measure_locked(bench, served)
        memory["end"] = max(map(memory_mib, served.workers()))
    return cpu, memory


def targets(bench: Bench, memory: Figure) -> list[Target]:
    """The targets of the original routes."""
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


def report(bench: Bench, speed: Speed | None, promised: list[Target]) -> dict[str, Any]:
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
    if speed is not None:
        cpu, memory = speed
        print(
            f"\nCPU seconds per 1000 purchases: service {cpu['service']:.3f}, "
            f"PostgreSQL {cpu['postgresql']:.3f}"
        )
        print(f"memory of a worker: {memory['start']:.0f} MiB, then {memory['end']:.0f} MiB")
        result |= {"cpu_seconds": cpu, "memory_mib": memory}
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
        "--only",
        choices=("speed", "lifecycle", "overload"),
        help="measure only the original routes, only what else a ticket goes through, "
        "or only what happens under overload",
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
        promised = []
        if options.only in (None, "speed"):
            postmaster = int((folder / "data/postgres/postmaster.pid").read_text().split()[0])
            speed = measure_speed(bench, options.rounds, settings, postmaster)
            promised += targets(bench, speed[1])
        if options.only in (None, "lifecycle"):
            lifecycle.measure(bench, options.rounds, settings)
            promised += lifecycle.targets(bench)
        if options.only in (None, "overload"):
            measure_overload(bench, options.rounds, settings)
            promised += overload_targets(bench)
        result = report(bench, speed, promised)
        if options.json:
            options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
