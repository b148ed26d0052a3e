"""installed_files."""

from __future__ import annotations

from db import manifest
from loadtests.harness.postgres import connect


def test_the_service_reads_which_files_made_its_database(shared_database: str) -> None:
    with connect(shared_database, "ticketing_service") as service:
        rows = service.execute("SELECT path, sha256 FROM ticketing.installed_files()").fetchall()

    assert dict(rows) == manifest.checksums()
