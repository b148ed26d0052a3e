"""What a sale leaves in its folder: the ledger, and a page with the verdict.

``python -m loadtests.onsale.report LEDGER`` audits a ledger again and writes a new page.
OPERATOR_DATABASE_URL in the environment connects to the database as ``ticketing_operator``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from loadtests.onsale import page
from loadtests.onsale.verdict import Verdict, judge
from loadtests.proof.ledger import Ledger

LEDGER_FILE = "ledger.jsonl"
PAGE_FILE = "verdict.html"


def write(verdict: Verdict, folder: Path) -> None:
    """Write the ledger and the page into the folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    verdict.ledger.write(folder / LEDGER_FILE)
    (folder / PAGE_FILE).write_text(page.render(verdict), encoding="utf-8")


def main() -> int:
    """Judge the ledger named on the command line, and return 0 if the verdict is good."""
    path = Path(sys.argv[1])
    verdict = judge(Ledger.read(path), os.environ.get("OPERATOR_DATABASE_URL"))
    path.with_name(PAGE_FILE).write_text(page.render(verdict), encoding="utf-8")
    print(verdict.text())
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
