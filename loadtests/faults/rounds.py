"""A round: buyers buy, a fault happens, they go on, and everything they were told is checked."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import NamedTuple

from loadtests.faults.injections import ALL_FAULTS, Sale
from loadtests.faults.load import Load
from loadtests.faults.rig import Rig
from loadtests.harness.service import wait_for
from loadtests.proof.audit import audit
from loadtests.proof.ledger import TAKES, Ledger, attempts, now, settled

BUYERS = 32

RECOVERY_SECONDS_MAX = 10.0
"""How long after the end of a fault tickets must be selling again."""

SALES_BEFORE = 50
"""How many purchases and holds must be acknowledged before the fault."""

DELAY_SECONDS_MAX = 0.5
"""The fault then happens after a random delay of up to this long."""

SALES_AFTER = 100
"""How many purchases and holds must be acknowledged after the fault before the round ends."""


class Round(NamedTuple):
    """The result of a round.

    Attributes:
        totals: requests by kind and outcome.
        recovery_seconds: from the end of the fault to the first purchase or hold sent after it.
    """

    fault: str
    totals: Counter[str]
    recovery_seconds: float


def play_round(rig: Rig, fault: str, seed: int) -> Round:
    """Play a round, and fail if a promise was broken.

    Args:
        fault: a name in `ALL_FAULTS`.
        seed: of everything random.
    """
    random = Random(f"{seed} {fault}")
    ledger = Ledger()
    hot, small, deleted = (rig.new_option(each) for each in (1_000_000, 300, 100_000))
    ledger.capacities.update({hot: 1_000_000, small: 300, deleted: 100_000})
    sale = Sale(hot, deleted, ledger)

    load = Load(rig.service.url, ledger, [hot] * 6 + [small, deleted], buyers=BUYERS, seed=seed)
    try:
        _wait_for_sales(ledger, 0, SALES_BEFORE)
        time.sleep(random.uniform(0, DELAY_SECONDS_MAX))
        ALL_FAULTS[fault].happen(rig, sale, random)
        over_at = now()
        _wait_for_sales(ledger, over_at, SALES_AFTER)
    finally:
        load.stop()
    recovery_seconds = _recovered_at(ledger, over_at) - over_at

    rig.wait_until_settled()
    breaches = audit(ledger, rig.operator_conninfo)
    assert not breaches, f"{len(breaches)} breaches of the promise: {breaches[:10]}"
    rig.check_connections()
    rig.check_log()
    assert recovery_seconds <= RECOVERY_SECONDS_MAX
    _check_buyers(fault, ledger)
    return Round(fault, ledger.totals(), recovery_seconds)


def _check_buyers(fault: str, ledger: Ledger) -> None:
    """Fail if buyers noticed more of the fault than they should."""
    if ALL_FAULTS[fault].is_unnoticed:
        # A change of an option is not resent: somebody else may change it in between.
        unknown = [
            each for each in ledger.entries if each.outcome == "unknown" and each.kind != "capacity"
        ]
        assert not unknown, f"{len(unknown)} requests failed: {unknown[:10]}"
    retried = [
        sends
        for sends in attempts(ledger.entries)
        if settled(sends) == "unknown" and len(sends) > 1
    ]
    assert not retried, f"buyers retried and still do not know the outcome: {retried}"


def _wait_for_sales(ledger: Ledger, since: float, count: int) -> None:
    """Wait until `count` purchases and holds sent since then were made."""
    wait_for(lambda: len(_sales(ledger, since)) >= count, f"{count} sales")


def _recovered_at(ledger: Ledger, since: float) -> float:
    return min(_sales(ledger, since))


def _sales(ledger: Ledger, since: float) -> list[float]:
    """When those purchases and holds were answered that were sent since then and made."""
    return [
        each.answered_at
        for each in ledger.entries
        if each.kind in TAKES and each.status == 201 and each.sent_at >= since
    ]
