"""``make faults``: many faults, at moments chosen by a seed, with every request accounted for.

Each round has a seed of its own, which is printed; ``--seed`` with ``--only`` and ``--faults 1``
replays it, as far as threads allow.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from loadtests.faults import rig
from loadtests.faults.disk import CannotMountError, small_disk
from loadtests.faults.injections import ALL_FAULTS, DISK_FAULTS, STANDBY_FAULTS
from loadtests.faults.rounds import Round, play_round
from loadtests.proof.ledger import Kind

CHANGING: dict[Kind, str] = {
    "purchase": "purchases",
    "hold": "holds",
    "hold purchase": "purchases of holds",
    "release": "releases",
    "return": "returns",
    "capacity": "changes of capacity",
}


def main() -> int:
    """Play the rounds, and return 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument(
        "--faults", type=int, default=120, help="how many faults to play (default: 120)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(1_000_000),
        help="of the first round (default: random)",
    )
    parser.add_argument("--only", choices=ALL_FAULTS, help="play only this kind")
    arguments = parser.parse_args()
    kinds = [arguments.only] if arguments.only else list(ALL_FAULTS)

    print(f"seed {arguments.seed}")
    logging.getLogger("db.embedded").setLevel(logging.ERROR)  # it warns about each small disk
    started_at, played = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        Path(folder).chmod(0o755)
        lasting = stack.enter_context(rig.running(Path(folder)))
        chosen = itertools.islice(_chosen(kinds, arguments.seed), arguments.faults)
        for seed, fault in enumerate(chosen, arguments.seed):
            print(f"seed {seed}: {fault}", end="", flush=True)
            try:
                if fault in DISK_FAULTS:
                    done = _play_on_small_disk(fault, seed)
                elif fault in STANDBY_FAULTS:
                    done = _play_with_standby(fault, seed)
                else:
                    done = play_round(lasting, fault, seed)
            except CannotMountError as error:
                print(f": skipped, {error}")
                continue
            except BaseException:
                print(f"\nReplay: make faults ARGS='--faults 1 --seed {seed} --only \"{fault}\"'")
                raise
            played.append(done)
            print(f": sold again after {done.recovery_seconds:.2f} s, {_in_words(done.totals)}")
    _print_summary(played, time.monotonic() - started_at)
    return 0 if played else 1


def _chosen(kinds: Sequence[str], seed: int) -> Iterator[str]:
    """All kinds in random order, over and over, in a different order each time."""
    shuffler = random.Random(seed)
    while True:
        yield from shuffler.sample(kinds, len(kinds))


def _play_on_small_disk(fault: str, seed: int) -> Round:
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder)) as disk:
        disk.chmod(0o755)
        with rig.running(disk) as own_rig:
            return play_round(own_rig, fault, seed)


def _play_with_standby(fault: str, seed: int) -> Round:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with rig.running(Path(folder), has_standby=True) as own_rig:
            return play_round(own_rig, fault, seed)


def _in_words(totals: Counter[str]) -> str:
    outcomes: Counter[str] = Counter()
    for name, count in totals.items():
        outcomes[name.rpartition(" ")[2]] += count
    return ", ".join(f"{outcomes[each]} {each}" for each in ("acknowledged", "refused", "unknown"))


def _print_summary(played: Sequence[Round], seconds: float) -> None:
    print(f"\n{'kind of fault':46}{'faults':>7}{'requests':>10}{'unknown':>9}{'s to sell':>11}")
    totals: Counter[str] = Counter()
    for kind in ALL_FAULTS:
        rounds = [each for each in played if each.fault == kind]
        if rounds:
            of_kind = sum((each.totals for each in rounds), Counter())
            totals += of_kind
            unknown = sum(count for name, count in of_kind.items() if name.endswith("unknown"))
            slowest = max(each.recovery_seconds for each in rounds)
            print(f"{kind:46}{len(rounds):7}{of_kind.total():10}{unknown:9}{slowest:11.2f}")
    kinds = len({each.fault for each in played})
    print(f"\n{len(played)} faults of {kinds} kinds in {seconds:.0f} s.")
    print(f"{totals.total()} requests: {_in_words(totals)}.")
    acknowledged = [f"{totals[f'{kind} acknowledged']} {name}" for kind, name in CHANGING.items()]
    print(f"Acknowledged: {', '.join(acknowledged)}.")
    print("0 lost, 0 doubled, 0 returned twice, 0 oversold.")


if __name__ == "__main__":
    sys.exit(main())
