"""Runs the migrate command, and looks at the result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from db import catalogue, manifest
from db.backend import HISTORY_SCHEMA
from loadtests.harness.postgres import connect, value

MIGRATIONS = [manifest.name_of(path) for path in manifest.migration_paths()]
PROCEDURES = [manifest.name_of(path) for path in manifest.procedure_paths()]


def edit(path: Path, old: str, new: str) -> None:
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))


def schemas(database: str) -> list[str]:
    """All schemas except PostgreSQL's own and the history's."""
    with connect(database) as connection:
        rows = connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'"
        ).fetchall()
    return sorted({name for (name,) in rows} - {HISTORY_SCHEMA, "public"})


def history(database: str) -> Any:
    """The schemas, migrations and files that are recorded in the database."""
    migrations: list[Any] = []
    files: list[Any] = []
    with connect(database) as connection:
        if value(connection, "SELECT to_regnamespace(%s)", HISTORY_SCHEMA):
            migrations = connection.execute(
                f"SELECT migration_id FROM {HISTORY_SCHEMA}._yoyo_migration ORDER BY 1"
            ).fetchall()
        if value(connection, "SELECT to_regnamespace('ticketing_private')"):
            files = connection.execute(
                "SELECT path, sha256 FROM ticketing_private.installed_files ORDER BY 1"
            ).fetchall()
    return schemas(database), migrations, files


def everything(database: str) -> Any:
    """The history, and every catalogue row that a migration could change, with its xmin."""
    rows = """
        WITH schemas AS (SELECT oid FROM pg_namespace WHERE nspname ~ '^ticketing(_private)?$')
        SELECT 'schema', oid, xmin::text FROM pg_namespace WHERE oid IN (TABLE schemas)
        UNION ALL
        SELECT 'function', oid, xmin::text FROM pg_proc WHERE pronamespace IN (TABLE schemas)
        UNION ALL
        SELECT 'relation', oid, xmin::text FROM pg_class WHERE relnamespace IN (TABLE schemas)
        UNION ALL
        SELECT 'check', oid, xmin::text FROM pg_constraint WHERE connamespace IN (TABLE schemas)
        UNION ALL
        SELECT 'comment', objoid, xmin::text FROM pg_description WHERE objoid >= 16384
        UNION ALL
        SELECT 'column', attrelid, xmin::text FROM pg_attribute WHERE attrelid >= 16384
        ORDER BY 1, 2, 3
    """
    with connect(database) as connection:
        return history(database), connection.execute(rows).fetchall()


def command(database: str, *arguments: str) -> subprocess.Popen[str]:
    """Start ``python -m api migrate``."""
    return subprocess.Popen(
        [sys.executable, "-m", "api", "migrate", *arguments],
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, "MIGRATION_DATABASE_URL": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_command(database: str, *arguments: str) -> tuple[int, str, str]:
    with command(database, *arguments) as process:
        output, errors = process.communicate()
    return process.returncode, output, errors


def objects(database: str) -> catalogue.Objects:
    """The service's objects in the database."""
    with connect(database) as connection:
        return catalogue.describe(connection)
