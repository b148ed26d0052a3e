"""Write down what the migrations and procedures create, for people and for ``migrate --check``.

``python -m db.dump`` regenerates ``db/schema.sql``, which reviewers read, and
``db/catalogue.json``, which databases are compared with.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from db import catalogue, embedded, manifest, migrate
from db.backend import connect

_VARYING = re.compile(
    r"^(-- Dumped (from|by) .*|\\(un)?restrict .*|SET transaction_timeout = .*)\n", re.MULTILINE
)
"""Lines about the server or the run that made the dump rather than about the schema."""


def dump_schema(conninfo: str) -> str:
    """The functions, views, tables, privileges and comments of the ticketing schemas, as SQL.

    Uses the ``pg_dump`` that comes with the embedded server, and is meant for that server only:
    what it prints depends on its version and the server's.

    Raises:
        subprocess.CalledProcessError: pg_dump failed; the reason is on standard error.
    """
    command = [
        embedded.program("pg_dump"),
        "--schema-only",
        "--schema=ticketing",
        "--schema=ticketing_private",
        f"--dbname={conninfo}",
    ]
    dumped = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    return re.sub(r"\n{3,}", "\n\n", _VARYING.sub("", dumped)).strip() + "\n"


def main() -> None:
    """Write both from a fresh server that the files were applied to."""
    with tempfile.TemporaryDirectory() as folder, embedded.serving(Path(folder)) as conninfo:
        migrate.migrate(conninfo)
        manifest.SCHEMA_DUMP.write_text(dump_schema(conninfo), encoding="utf-8")
        with connect(conninfo) as connection:
            catalogue.write_expected(catalogue.describe(connection))


if __name__ == "__main__":
    main()
