"""``make loadtest``: plays the sales of locustfile.py against a fresh service.

The exit code is the verdict. ``--sale NAME`` plays a single sale; all other arguments go to Locust,
such as ``--processes 2``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from psycopg.conninfo import make_conninfo

from db import embedded, migrate
from loadtests.harness import service
from loadtests.onsale.report import PAGE_FILE
from loadtests.onsale.sales import SALES

FOLDER = Path(__file__).parent

REPORTS = FOLDER.parent / "reports"


def main() -> int:
    """Play the sales one after another, and return 0 if every verdict is good."""
    parser = argparse.ArgumentParser(prog="make loadtest", description=__doc__)
    parser.add_argument("--sale", choices=list(SALES), help="play only this sale")
    arguments, for_locust = parser.parse_known_args()
    names = [arguments.sale] if arguments.sale else list(SALES)
    with tempfile.TemporaryDirectory() as folder, embedded.serving(Path(folder)) as database:
        migrate.migrate(database)
        service_url = make_conninfo(database, user="ticketing_service")
        operator_url = make_conninfo(database, user="ticketing_operator")
        with service.running(DATABASE_URL=service_url, WORKERS="2") as served:
            verdicts = {name: play(name, served.url, operator_url, for_locust) for name in names}
    print()
    for name, is_good in verdicts.items():
        print(f"{'PASSED' if is_good else 'FAILED'}: {name}, {REPORTS / name / PAGE_FILE}")
    return 0 if all(verdicts.values()) else 1


def play(name: str, url: str, operator_url: str, for_locust: list[str]) -> bool:
    """Play a sale in Locust, and return whether its verdict is good."""
    reports = REPORTS / name
    # A verdict left by an earlier run must not pass for that of a run that breaks off.
    shutil.rmtree(reports, ignore_errors=True)
    port = service.free_port()
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(FOLDER / "locustfile.py")),
        *("--headless", "--only-summary", "--loglevel=WARNING"),
        *(f"--host={url}", f"--sale={name}"),
        *(f"--report={reports}", f"--html={reports / 'locust.html'}"),
        # For runs with --processes: a port of its own, and no endless wait for missing workers.
        *(f"--master-bind-port={port}", f"--master-port={port}", "--expect-workers-max-wait=60"),
        *for_locust,
    ]
    environment = {**os.environ, "OPERATOR_DATABASE_URL": operator_url}
    return subprocess.run(command, env=environment).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
