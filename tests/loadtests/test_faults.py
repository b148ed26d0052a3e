"""Each kind of fault once, under load; ``make faults`` plays many more."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import manifest
from loadtests.faults import disk, rig
from loadtests.faults.injections import DISK_FAULTS, FAULTS, STANDBY_FAULTS
from loadtests.faults.rig import Rig
from loadtests.faults.rounds import play_round

SEED = int(os.environ.get("FAULTS_SEED", random.SystemRandom().randrange(1_000_000)))

LOOKED_UP = "\n                AND purchase.id = ANY (ids)"
FORGOTTEN = LOOKED_UP + " AND uuid_extract_version(purchase.id) <> 7"
STORED_AS = " ids[sold.place],"
STORED_AGAIN = """
    CASE WHEN EXISTS (
        SELECT FROM ticketing_private.purchases AS purchase
        WHERE purchase.ticket_option_id = option_id AND purchase.id = ids[sold.place]
    ) THEN gen_random_uuid() ELSE ids[sold.place] END,"""


@pytest.fixture(scope="module")
def lasting_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig.running(tmp_path_factory.mktemp("rig")) as lasting:
        yield lasting


@pytest.fixture(autouse=True)
def _print_seed() -> None:
    """pytest shows it when a test fails; setting FAULTS_SEED replays it."""
    print(f"FAULTS_SEED={SEED}")


@pytest.mark.parametrize("fault", FAULTS)
def test_the_promise_is_kept_when(lasting_rig: Rig, fault: str) -> None:
    play_round(lasting_rig, fault, SEED)


@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_the_promise_is_kept_on_a_small_disk_when(tmp_path: Path, fault: str) -> None:
    try:
        with disk.small_disk(tmp_path), rig.running(tmp_path) as own_rig:
            play_round(own_rig, fault, SEED)
    except disk.CannotMountError as error:
        pytest.skip(f"a small disk cannot be mounted: {error}")


@pytest.mark.parametrize("fault", STANDBY_FAULTS)
def test_the_promise_is_kept_with_a_standby_when(tmp_path: Path, fault: str) -> None:
    with rig.running(tmp_path, has_standby=True) as own_rig:
        play_round(own_rig, fault, SEED)


def test_a_function_that_forgets_what_it_has_stored_is_detected(tmp_path: Path) -> None:
    """The negative control: calls are resent after the commit, and the audit notices.

    The function forgets only ids that the service chose, not those derived from a buyer's key.
    """
    source = (manifest.PROCEDURES / "take_tickets_of_one.sql").read_text()
    assert (source.count(LOOKED_UP), source.count(STORED_AS)) == (1, 1)
    forgetful = source.replace(LOOKED_UP, FORGOTTEN).replace(STORED_AS, STORED_AGAIN)

    with rig.running(tmp_path, BATCH_OPTIONS="one") as own_rig:
        with own_rig.connect() as operator:
            operator.execute(forgetful.encode())
        play_round(own_rig, "an option is deleted", SEED)
        with pytest.raises(AssertionError, match="a purchase is stored more than once"):
            cut_after_commits(own_rig, 20)


def cut_after_commits(rig: Rig, rounds: int) -> None:
    """Several rounds, because a cut may hit only reads, or only buyers with a key."""
    for seed in range(SEED, SEED + rounds):
        play_round(rig, "connections are cut after the commit", seed)
