"""migrate through PgBouncer in transaction mode, where clients share sessions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from db import migrate
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import Server, connect, value
from tests import pgbouncer
from tests.migrations.helpers import MIGRATIONS, PROCEDURES, command, everything, run_command

LEFT_BEHIND = """
    SELECT count(*)
    FROM pg_locks
    WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.mark.parametrize(("server", "pool_size"), [("postgres_18", 2), ("postgres_15", 1)])
def test_one_of_four_concurrent_migrators_migrates_and_all_succeed(
    request: pytest.FixtureRequest, server: str, pool_size: int, tmp_path: Path
) -> None:
    running: Server = request.getfixturevalue(server)
    with (
        running.database("template0") as database,
        pgbouncer.in_front_of(database, tmp_path / "pgbouncer", pool_size) as pooled,
    ):
        with ThreadPoolExecutor(4) as threads:
            applied = list(threads.map(migrate.migrate, [pooled] * 4))

        assert sorted(applied) == [[]] * 3 + [MIGRATIONS + PROCEDURES]
        assert run_command(pooled, "--check")[0] == 0
        with pytest.raises(migrate.MigrationError, match="cannot run through a connection pooler"):
            migrate.rollback(pooled)
        assert migrate.rollback(database) == MIGRATIONS[-1]
        assert migrate.rollback(pooled) == MIGRATIONS[-2]
        with connect(pooled) as buyer:
            assert value(buyer, LEFT_BEHIND) == 0
            assert value(buyer, "SHOW search_path") == '"$user", public'
            assert value(buyer, "SHOW lock_timeout") == "0"
            assert value(buyer, "SELECT current_user::text") == "postgres"


def test_a_migrator_that_is_killed_leaves_nothing_stuck(empty: str, tmp_path: Path) -> None:
    with (
        pgbouncer.in_front_of(empty, tmp_path / "pgbouncer", pool_size=1) as pooled,
        connect(empty) as observer,
        connect(empty) as holder,
    ):
        # Anyone creating the schema has to wait for this session, which may still commit it.
        holder.execute("BEGIN")
        holder.execute("CREATE SCHEMA ticketing")
        with command(make_conninfo(pooled, application_name="killed")) as process:
            wait_until_blocked(observer, "killed", 1)
            process.kill()
        with command(pooled) as second:
            holder.execute("ROLLBACK")
            _, errors = second.communicate()

        assert second.returncode == 0, errors
        assert migrate.check(empty) == []
        assert value(observer, LEFT_BEHIND) == 0


@pytest.mark.parametrize("is_pooled", [True, False])
def test_a_transaction_ended_by_others_is_noticed_before_it_commits(
    database: str, tree: Path, tmp_path: Path, is_pooled: bool
) -> None:
    before = everything(database)
    (tree / "migrations/9001-good.sql").write_text("CREATE TABLE ticketing.good (i integer);\n")
    (tree / "migrations/9002-ended.sql").write_text(
        "SELECT pg_terminate_backend(pg_backend_pid());\n"
    )
    with (
        pgbouncer.in_front_of(database, tmp_path / "pgbouncer", pool_size=2) as pooled,
        pytest.raises(migrate.MigrationError, match=r"9002-ended.sql:1: (terminating|server)"),
    ):
        migrate.migrate(pooled if is_pooled else database)

    assert everything(database) == before


def test_a_non_transactional_migration_is_refused_before_anything_is_done(
    database: str, tree: Path, tmp_path: Path
) -> None:
    """Its session settings would apply to whichever client gets the session next."""
    before = everything(database)
    (tree / "migrations/9001-good.sql").write_text("CREATE TABLE ticketing.good (i integer);\n")
    (tree / "migrations/9002-index.sql").write_text(
        "-- transactional: false\n"
        "CREATE INDEX CONCURRENTLY by_user ON ticketing_private.purchases (user_id);\n"
    )
    with (
        pgbouncer.in_front_of(database, tmp_path / "pgbouncer", pool_size=2) as pooled,
        pytest.raises(migrate.MigrationError) as raised,
    ):
        migrate.migrate(pooled)

    assert str(raised.value).startswith(
        "migrations/9002-index.sql does not run in a transaction, "
        "so it cannot run through a connection pooler\nHint: "
    )
    assert everything(database) == before
    assert len(migrate.migrate(database)) == 2
