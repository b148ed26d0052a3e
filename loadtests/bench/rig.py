"""Runs the tools that measure, and holds their figures."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from db import embedded

HERE = Path(__file__).parent

PURCHASE = '{"quantity": 1, "user_id": "406c1d05-bbb2-4e94-b183-7d208c2692e1"}'

Figure = dict[str, float]

Target = tuple[str, float, str, float]
"""Its name, the figure, ``>=`` or ``<=``, and the bound."""


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
        """Read options, or with POST purchase from them; otherwise as `send`.

        Args:
            paths: a file of the options' paths.
        """
        requests = paths.with_suffix(f".{method}")
        requests.write_text(
            "".join(
                f"POST {path}/purchases {PURCHASE}\n" if method == "POST" else f"{method} {path}\n"
                for path in paths.read_text().split()
            )
        )
        return self.send(url, requests, connections, seconds, rate)

    def send(
        self, url: str, requests: Path, connections: int, seconds: int, rate: float | None = None
    ) -> Figure:
        """Send requests with wrk for that many seconds, as fast as possible unless a rate is given.

        Args:
            requests: a file of them, as bench.lua wants it.
            rate: requests per second.
        """
        command = ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s"]
        command += [
            "--timeout=10s",
            f"--script={HERE / 'bench.lua'}",
            url,
            "--",
            str(requests),
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
