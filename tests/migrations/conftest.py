"""Fixtures for the migration tests: empty databases, and SQL files that a test may change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import manifest
from loadtests.harness.postgres import Server


@pytest.fixture
def empty(postgres_18: Server) -> Iterator[str]:
    """An empty database on a server that has the roles."""
    with postgres_18.database("template0") as conninfo:
        yield conninfo


@pytest.fixture(params=["postgres_18", "postgres_15"])
def any_server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the SQL files that a test may change."""
    copy = tmp_path / "db"
    for folder in (manifest.MIGRATIONS, manifest.PROCEDURES):
        shutil.copytree(folder, copy / folder.name)
    monkeypatch.setattr(manifest, "ROOT", copy)
    monkeypatch.setattr(manifest, "MIGRATIONS", copy / "migrations")
    monkeypatch.setattr(manifest, "PROCEDURES", copy / "procedures")
    return copy
