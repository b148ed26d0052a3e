"""The verdict on a sale: whether the promise was kept, or why that could not be determined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from loadtests.proof.audit import Breach, audit
from loadtests.proof.idle import wait_until_idle
from loadtests.proof.ledger import Ledger

BREACHES_PRINTED_MAX = 20


class Verdict(NamedTuple):
    """What is known about a sale once it is over.

    Attributes:
        breaches: the breaches of the promise that the audit found.
        doubts: reasons not to trust the ledger or the audit; with even one, nothing is proven.
            (If part of the ledger is lost, the audit finds purchases that nobody requested.)
    """

    ledger: Ledger
    breaches: list[Breach]
    doubts: list[str]

    @property
    def is_good(self) -> bool:
        """Whether it is proven that the promise was kept."""
        return not self.breaches and not self.doubts

    def sentence(self) -> str:
        """The verdict in one line."""
        if self.doubts:
            return "FAILED: nothing is proven"
        if self.breaches:
            times = "once" if len(self.breaches) == 1 else f"{len(self.breaches):,} times"
            return f"FAILED: the promise was broken {times}"
        return "PASSED: nothing was oversold, nothing was lost, and every answer was true"

    def text(self) -> str:
        """The verdict with totals and reasons, for a terminal."""
        lines = [self.ledger.title]
        lines += [f"  {count:>9} {what}" for what, count in sorted(self.ledger.totals().items())]
        lines += [f"  {doubt}" for doubt in self.doubts]
        lines += [
            f"  {breach.sentence} (option {breach.option_id}: {breach.details})"
            for breach in self.breaches[:BREACHES_PRINTED_MAX]
        ]
        if len(self.breaches) > BREACHES_PRINTED_MAX:
            lines.append(f"  and {len(self.breaches) - BREACHES_PRINTED_MAX} more")
        return "\n".join([*lines, self.sentence()])


def judge(ledger: Ledger, operator_conninfo: str | None, doubts: Sequence[str] = ()) -> Verdict:
    """Wait until the service is idle, audit, and return the verdict.

    Args:
        operator_conninfo: connects to the database as ``ticketing_operator``.
        doubts: reasons not to trust the ledger, whatever the audit finds.
    """
    if operator_conninfo is None:
        return Verdict(
            ledger,
            [],
            [*doubts, "OPERATOR_DATABASE_URL is not set, so there is no database to audit"],
        )
    try:
        wait_until_idle(ledger, operator_conninfo)
        return Verdict(ledger, audit(ledger, operator_conninfo), list(doubts))
    except Exception as error:
        # Whatever it is: an audit that was not completed proves nothing.
        reason = f"the audit could not be completed: {type(error).__name__}: {error}".rstrip()
        return Verdict(ledger, [], [*doubts, reason])
