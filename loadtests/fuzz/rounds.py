"""Rounds of requests that Schemathesis generates from the document, valid and invalid.

Each round has a service of its own, and two runs of Schemathesis: single requests, and then
sequences that follow the links in answers. In one combined run, the second part would take ids
from what the first had seen, and end early: see ``schemathesis.toml``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from loadtests.harness import openapi, postgres, service
from loadtests.harness.service import ROOT

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

ONE_BY_ONE = "examples,coverage,fuzzing"
if sys.version_info < (3, 11):
    # The version for Python 3.10 spends 20 seconds searching for an invalid UUID to cover.
    ONE_BY_ONE = "examples,fuzzing"
FOLLOWING_LINKS = "stateful"

ALLOCATIONS = {
    "00000000-0000-4000-8000-000000000001": 2_147_483_647,
    "00000000-0000-4000-8000-000000000002": 100,
    "00000000-0000-4000-8000-000000000003": 0,
}
"""The options on sale, and their tickets. The configuration names these, and what they have."""

PURCHASES = [f"00000000-0000-4000-8000-00000000000{each}" for each in (4, 5, 6)]
HOLDS = [f"00000000-0000-4000-8000-00000000000{each}" for each in (7, 8, 9)]
"""What each option has that has tickets: a key begins with the option's id."""


class FindingError(Exception):
    """Something contradicts the document; the message is Schemathesis's output."""


def play_round(
    conninfo: str, seed: int, examples: int, tell: Callable[[str], None] = lambda _: None
) -> int:
    """Fuzz a service on a fresh database, and return the number of requests sent.

    Args:
        seed: the same seed gives the same requests.
        examples: the number of random requests per operation.
        tell: called with a line per run.

    Raises:
        FindingError: after the first run that finds something.
    """
    _fill(conninfo)
    cases = 0
    with service.running(DATABASE_URL=conninfo, WORKERS="2") as served:
        workers = served.workers()
        for phases in (ONE_BY_ONE, FOLLOWING_LINKS):
            sent = _run(served.url, phases, seed, examples)
            tell(f"seed {seed}: {phases}: {sent} cases")
            cases += sent
        if served.workers() != workers:
            raise FindingError(f"{served.log()}\na worker died")
        if served.logged(r"Traceback| ERROR | CRITICAL "):
            raise FindingError(f"{served.log()}\nthe log has an error")
    return cases


def _fill(conninfo: str) -> None:
    """Create what requests refer to, besides what they create."""
    with postgres.connect(conninfo) as connection:
        for option, allocation in ALLOCATIONS.items():
            connection.execute(
                "SELECT ticketing.create_ticket_option('a', 'b', %s::integer, %s)",
                (allocation, option),
            )
            for purchase in PURCHASES if allocation else ():
                connection.execute(
                    "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid, 20, %s::uuid)",
                    (option, purchase, purchase),
                )
            for hold in HOLDS if allocation else ():
                connection.execute(
                    "SELECT ticketing.hold_tickets(%s::uuid, %s::uuid, 2, 86400, %s::uuid)",
                    (option, hold, hold),
                )


def _run(url: str, phases: str, seed: int, examples: int) -> int:
    """Run Schemathesis, and return how many requests it sent."""
    with tempfile.TemporaryDirectory() as folder:
        # Loaded from its URL, the document would be the one path that is not tested.
        document = Path(folder) / "openapi.json"
        with urllib.request.urlopen(f"{url}/openapi.json") as answer:
            document.write_bytes(answer.read())
        command = [sys.executable, "-m", "schemathesis.cli", "--no-color"]
        command += ["--config-file", str(CONFIGURATION), "run", str(document), "--url", url]
        command += ["--phases", phases, "--seed", str(seed), "--max-examples", str(examples)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
    generated = re.search(r"(\d+) generated, \1 passed", done.stdout)
    tested = re.search(r"Tested: (\d+)", done.stdout)
    if done.returncode or not generated or not tested:
        raise FindingError(done.stdout)
    if phases == ONE_BY_ONE and int(tested[1]) != openapi.operations():
        raise FindingError(f"{done.stdout}\nnot every operation was tested")
    return int(generated[1])
