"""The SQL files that this build ships, and their checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parent
MIGRATIONS = ROOT / "migrations"
PROCEDURES = ROOT / "procedures"
SCHEMA_DUMP = ROOT / "schema.sql"
CATALOGUE = ROOT / "catalogue.json"


def procedure_paths() -> list[Path]:
    """The procedure files, in the order in which they are applied."""
    return sorted(PROCEDURES.glob("*.sql"))


def migration_paths() -> list[Path]:
    """The migration files without their rollbacks, in the order of their numbers."""
    return sorted(
        path for path in MIGRATIONS.glob("*.sql") if not path.name.endswith(".rollback.sql")
    )


def name_of(path: Path) -> str:
    """The file's name as the database knows it: ``migrations/0001-roles.sql``."""
    return path.relative_to(ROOT).as_posix()


def checksums() -> dict[str, str]:
    """The SHA-256 of each migration and procedure, in hexadecimal, by name."""
    return {
        name_of(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (*migration_paths(), *procedure_paths())
    }


def differences(installed: dict[str, str]) -> list[str]:
    """Compare the files that a database was built from with those shipped here.

    Args:
        installed: their checksums, by name.

    Returns:
        One line per file that is missing, unknown or different; none if all are the same.
    """
    shipped = checksums()
    lines = []
    for name in sorted(shipped.keys() | installed.keys()):
        if name not in installed:
            lines.append(f"{name} is not installed")
        elif name not in shipped:
            lines.append(f"{name} is installed, but this build does not ship it")
        elif installed[name] != shipped[name]:
            lines.append(f"{name} is installed in a different version")
    return lines
