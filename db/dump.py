"""Dump the schema as SQL: what the migrations and procedures make, for people to review.

``python -m db.dump`` makes ``db/schema.sql`` anew.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from db import embedded, migrate, shipped

_VARYING = re.compile(
    r"^(-- Dumped (from|by) .*|\\(un)?restrict .*|SET transaction_timeout = .*)\n", re.MULTILINE
)
"""Lines that say which server or which run made the dump, not what the schema is."""

_HEADER = re.compile(r"^--\n-- Name: (.*); Type: (.*); Schema: .*\n--\n", re.MULTILINE)

_VIEW = re.compile(r"^CREATE VIEW .*? FROM \w+\.(\w+);$", re.MULTILINE | re.DOTALL)
"""A view of one table. PostgreSQL 15 writes the table's name before each column, 16 does not."""


def dump_schema(conninfo: str) -> str:
    """The functions, views, tables, privileges and comments of the ticketing schemas, as SQL.

    Uses the ``pg_dump`` that comes with the embedded server, so that dumps can be compared.

    Raises:
        subprocess.CalledProcessError: pg_dump failed; it has said why on standard error.
    """
    command = [
        embedded.program("pg_dump"),
        "--schema-only",
        "--schema=ticketing",
        "--schema=ticketing_private",
        f"--dbname={conninfo}",
    ]
    dumped = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    dumped = _VIEW.sub(lambda view: view[0].replace(f"{view[1]}.", ""), _VARYING.sub("", dumped))
    return re.sub(r"\n{3,}", "\n\n", dumped).strip() + "\n"


def objects(dumped: str) -> dict[str, list[str]]:
    """The lines of a dump, by the object that they make: ``FUNCTION get_purchase(uuid, uuid)``."""
    _, *parts = _HEADER.split(dumped)
    found: dict[str, list[str]] = {}
    for name, kind, body in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
        found.setdefault(f"{kind} {name}", []).extend(body.strip().splitlines())
    return found


def main() -> None:
    """Write ``db/schema.sql`` from a fresh server that the tree was applied to."""
    with tempfile.TemporaryDirectory() as folder, embedded.serving(Path(folder)) as conninfo:
        migrate.migrate(conninfo)
        shipped.SCHEMA_DUMP.write_text(dump_schema(conninfo), encoding="utf-8")


if __name__ == "__main__":
    main()
