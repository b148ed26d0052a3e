"""A migration that has shipped never changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from db import manifest

CHECKSUMS = Path(__file__).with_name("shipped.sha256")

SHIPPED = {
    name: checksum
    for checksum, name in (line.split("  ") for line in CHECKSUMS.read_text().splitlines())
}
PATHS = {f"db/migrations/{path.name}": path for path in manifest.MIGRATIONS.glob("*.sql")}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_migration_is_unchanged(name: str) -> None:
    assert name in PATHS, f"{name} has shipped; do not remove it"

    checksum = hashlib.sha256(PATHS[name].read_bytes()).hexdigest()

    assert checksum == SHIPPED[name], f"{name} has shipped; leave it, and write a new migration"


@pytest.mark.parametrize("name", sorted(PATHS))
def test_every_migration_has_a_checksum(name: str) -> None:
    assert name in SHIPPED, (
        f"{name} has no checksum yet; add it at the next release: "
        f"sha256sum {name} >> tests/migrations/{CHECKSUMS.name}"
    )
