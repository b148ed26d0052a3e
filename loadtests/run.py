"""``make loadtest``: the on-sale of locustfile.py against a fresh service, as an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from psycopg.conninfo import make_conninfo

from db import embedded, migrate
from loadtests import service

LOCUST = [
    sys.executable,
    "-m",
    "locust",
    "--locustfile",
    str(Path(__file__).parent / "locustfile.py"),
    "--headless",
    "--users=64",
    "--spawn-rate=64",
    "--run-time=120s",
    "--stop-timeout=30s",
    "--only-summary",
]


def main() -> int:
    """Run it, and return 0 if nothing was oversold and nothing was lost."""
    with tempfile.TemporaryDirectory() as folder, embedded.serving(Path(folder)) as database:
        migrate.migrate(database)
        service_url = make_conninfo(database, user="ticketing_service")
        operator_url = make_conninfo(database, user="ticketing_operator")
        with service.running(DATABASE_URL=service_url) as served:
            environment = {**os.environ, "OPERATOR_DATABASE_URL": operator_url}
            command = [*LOCUST, f"--host={served.url}", *sys.argv[1:]]
            return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
