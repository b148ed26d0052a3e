"""``make schemathesis``: fuzzes the API in rounds, until enough requests were sent or one fails.

Each round has a seed of its own, which is printed; ``--seed`` with ``--cases 1`` replays it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from loadtests.fuzz.rounds import FindingError, play_round
from loadtests.harness import postgres


def main() -> int:
    parser = argparse.ArgumentParser(prog="make schemathesis", description=__doc__)
    parser.add_argument(
        "--cases", type=int, default=20_000, help="minimum number of requests (default: 20000)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(1_000_000),
        help="of the first round (default: random)",
    )
    parser.add_argument(
        "--examples", type=int, default=250, help="per operation and round (default: 250)"
    )
    arguments = parser.parse_args()

    began = time.monotonic()
    cases, seed = 0, arguments.seed
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.embedded_server(Path(folder) / "data") as server,
    ):
        while cases < arguments.cases:
            try:
                with server.database() as conninfo:
                    cases += play_round(conninfo, seed, arguments.examples, tell)
            except FindingError as finding:
                tell(f"{finding}\n\nFound with --seed {seed} --examples {arguments.examples}")
                return 1
            seed += 1
    tell(f"{cases} cases in {time.monotonic() - began:.0f} s, no failures")
    return 0


def tell(line: str) -> None:
    """Print without buffering: a round takes a while."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
