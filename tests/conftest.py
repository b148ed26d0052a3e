"""What tests of every kind need: servers, fresh databases, an event loop."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvloop
from tornado.ioloop import IOLoop

from loadtests.harness import postgres
from loadtests.harness.postgres import Server

MEMORY = Path("/dev/shm")
"""A file system in memory, on Linux."""

MEMORY_BYTES_MIN = 4 * 1024**3
"""How much must be free there: a run needs about a quarter of it."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give this run a folder of its own for temporary files, in memory if there is room.

    That spares the disk thousands of files: a database has some 300. And every run of pytest closes
    the folder that it shares with the others to other system users, and run as root, the servers of
    a run in progress are other users.
    """
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="ticketing-tests-", dir=_in_memory())
        atexit.register(shutil.rmtree, config.option.basetemp, ignore_errors=True)
        if os.geteuid() == 0:
            postgres.make_system_user()


def _in_memory() -> Path | None:
    """A folder in memory; None if there is none, or not enough room, or TMPDIR is set."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN else None


@pytest.fixture(scope="session")
def postgres_18(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres.embedded_server(tmp_path_factory.mktemp("pg18")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_15(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not postgres.DEBIAN_POSTGRES_15.exists():
        pytest.skip("PostgreSQL 15 is not installed: apt-get install postgresql-15")
    with postgres.debian_15_server(tmp_path_factory.mktemp("pg15") / "server") as server:
        yield server


@pytest.fixture
def database(postgres_18: Server) -> Iterator[str]:
    """The superuser's connection string of a fresh, migrated database."""
    with postgres_18.database() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def common_database(postgres_18: Server) -> Iterator[str]:
    """Like ``database``, but one for all tests of this process.

    For tests that look at options of their own and change nothing but by the service's functions.
    """
    with postgres_18.database() as conninfo:
        yield conninfo


@pytest.fixture(params=["postgres_18", "postgres_15"])
def any_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Like ``database``, once on each PostgreSQL that the service supports."""
    server: Server = request.getfixturevalue(request.param)
    with server.database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module", params=["postgres_18", "postgres_15"])
def shared_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Like ``any_database``, but one for all tests of a module: each has options of its own."""
    server: Server = request.getfixturevalue(request.param)
    with server.database() as conninfo:
        yield conninfo


@pytest.fixture
def connection(shared_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection to the shared database."""
    with postgres.connect(shared_database) as connection:
        yield connection


@pytest.fixture(scope="module")
def lasting_connection(shared_database: str) -> Iterator[psycopg.Connection[Any]]:
    """Like ``connection``, but one for all tests of a module and all examples of Hypothesis.

    A new one compiles each function again.
    """
    with postgres.connect(shared_database) as connection:
        yield connection


@pytest.fixture
def io_loop() -> Iterator[IOLoop]:
    """A loop for each test; pytest-tornasync's own is of a time before asyncio."""
    loop = uvloop.new_event_loop()  # as in production
    asyncio.set_event_loop(loop)
    made = IOLoop(asyncio_loop=loop, make_current=False)
    yield made
    made.close(all_fds=True)
    asyncio.set_event_loop(None)
