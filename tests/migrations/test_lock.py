"""Only one process migrates at a time; a waiting one says for whom it waits, and gives up."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from db import embedded, lock, migrate
from loadtests.harness.postgres import connect, value
from loadtests.harness.service import wait_for
from tests.migrations.helpers import MIGRATIONS, PROCEDURES, command, everything, run_command
from tests.processes.test_startup import run


@contextmanager
def held(database: str) -> Iterator[int]:
    """The process id of a session that holds the lock."""
    named = make_conninfo(database, application_name="the other")
    with connect(named) as holder, holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (lock.KEY,))
        yield holder.info.backend_pid


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_LOCK_TIMEOUT_SECONDS", "0.2")


@pytest.mark.parametrize("arguments", [[], ["--rollback"]])
@pytest.mark.usefixtures("impatient")
def test_a_waiting_process_says_for_whom_it_waits_and_gives_up(
    database: str, arguments: list[str]
) -> None:
    before = everything(database)
    with held(database) as pid:
        code, output, errors = run_command(database, *arguments)

    other = (
        rf"process {pid}, user postgres, the other, from a local socket, "
        r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\. "
        rf"To end it: SELECT pg_terminate_backend\({pid}\);"
    )
    assert (code, output) == (1, "")
    assert re.search(
        rf"waiting up to 0\.2 s for another process that is migrating this database: {other}\n",
        errors,
    )
    assert re.search(
        rf"\nticket-allocation: another process has been migrating this database for 0\.2 s: "
        rf"{other} MIGRATION_LOCK_TIMEOUT_SECONDS sets how long to wait\.\n$",
        errors,
    )
    assert everything(database) == before


def test_a_waiting_process_continues_once_the_other_is_terminated_as_advised(empty: str) -> None:
    holder = connect(empty)
    holder.execute("BEGIN")
    holder.execute("SELECT pg_advisory_xact_lock(%s)", (lock.KEY,))
    with command(empty) as process, connect(empty) as superuser:
        assert process.stderr
        said = next(line for line in process.stderr if "waiting up to 60 s" in line)
        superuser.execute(said.partition("To end it: ")[2].encode())
        output, errors = process.communicate()
    holder.close()

    assert process.returncode == 0, errors
    assert output.splitlines() == [f"Applied {name}." for name in MIGRATIONS + PROCEDURES]


def test_a_role_that_may_not_see_other_sessions_is_told_what_it_may_know(
    database: str,
) -> None:
    with connect(database) as superuser:
        superuser.execute("CREATE ROLE waiting LOGIN IN ROLE ticketing_owner")
        try:
            with held(database) as pid, pytest.raises(migrate.MigrationError) as raised:
                migrate.migrate(make_conninfo(database, user="waiting"), wait_seconds=0.1)
        finally:
            superuser.execute("DROP ROLE waiting")

    assert f"process {pid}, user postgres, the other. To end it: " in str(raised.value)


@pytest.mark.usefixtures("impatient")
def test_serve_does_not_wait_forever_either(tmp_path: Path) -> None:
    with embedded.serving(tmp_path / "data") as database, held(database):
        ended: subprocess.CompletedProcess[str] = run("serve", DATA_DIR=str(tmp_path / "data"))

    assert ended.returncode == 1
    assert "another process has been migrating this database for 0.2 s" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_waiting_does_not_delay_a_concurrent_index_build(database: str) -> None:
    """CREATE INDEX CONCURRENTLY waits for every transaction with a snapshot of the database."""
    with connect(database) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (lock.KEY,))
        with command(database) as process:
            assert process.stderr
            next(line for line in process.stderr if "waiting up to" in line)
            holder.execute("SET lock_timeout = '5s'")
            holder.execute("CREATE INDEX CONCURRENTLY ON ticketing_private.purchases (user_id)")
            holder.execute("SELECT pg_advisory_unlock(%s)", (lock.KEY,))
            _, errors = process.communicate()

    assert process.returncode == 0, errors


def test_a_migrator_killed_mid_statement_does_not_keep_the_lock(database: str, tree: Path) -> None:
    """Its statement would run for an hour, with nobody left to take the result."""
    (tree / "migrations/9001-slow.sql").write_text(
        "SET LOCAL statement_timeout = 0; SELECT pg_sleep(3600);\n"
    )
    slow = make_conninfo(database, application_name="slow")
    # A fork, because the changed files exist for this process only.
    process = multiprocessing.get_context("fork").Process(target=migrate.migrate, args=(slow,))
    sleeping = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = 'slow' AND wait_event = 'PgSleep'"
    )
    with connect(database) as observer:
        process.start()
        wait_for(lambda: value(observer, sleeping) == 1, "the migration to be running")
        process.kill()
        process.join()
        (tree / "migrations/9001-slow.sql").unlink()

        assert migrate.migrate(database, wait_seconds=30) == []
