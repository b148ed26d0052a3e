"""migrate --rollback deletes no data unless told to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from db import embedded, migrate
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import connect, new_option, value
from tests.migrations.helpers import MIGRATIONS, everything, run_command
from tests.processes.test_startup import run

TABLE = "CREATE TABLE ticketing_private.seats (id integer, name text)"
COLUMN = "ALTER TABLE ticketing_private.purchases ADD COLUMN seat"

PURCHASES = "ticketing_private.purchases"

LOSSES = [
    ("SELECT 1", "SELECT 1", f"DELETE FROM {PURCHASES} WHERE quantity = 2", f"{PURCHASES}: 1 row"),
    ("SELECT 1", "SELECT 1", f"TRUNCATE {PURCHASES} CASCADE", f"{PURCHASES}: 3 rows"),
    (
        TABLE,
        "INSERT INTO ticketing_private.seats SELECT generate_series(1, 1234)",
        "DROP TABLE ticketing_private.seats",
        "ticketing_private.seats: 1,234 rows",
    ),
    (
        "CREATE SCHEMA ticketing_archive AUTHORIZATION ticketing_owner; SET LOCAL ROLE "
        "ticketing_owner; CREATE TABLE ticketing_archive.old (i integer); RESET ROLE",
        "INSERT INTO ticketing_archive.old VALUES (1), (2)",
        "DROP SCHEMA ticketing_archive CASCADE",
        "ticketing_archive.old: 2 rows",
    ),
    (
        "CREATE TABLE ticketing_private.parts (i integer) PARTITION BY LIST (i); "
        "CREATE TABLE ticketing_private.part_1 PARTITION OF ticketing_private.parts DEFAULT",
        "INSERT INTO ticketing_private.parts VALUES (1), (2)",
        "DROP TABLE ticketing_private.parts",
        "ticketing_private.part_1: 2 rows",
    ),
    (
        f"{COLUMN} text",
        f"UPDATE {PURCHASES} SET seat = 'A' WHERE quantity > 1",
        f"ALTER TABLE {PURCHASES} DROP COLUMN seat",
        f"{PURCHASES}: 2 values of seat",
    ),
    (
        f"{COLUMN} json",
        f"UPDATE {PURCHASES} SET seat = '{{}}' WHERE quantity = 1",
        f"ALTER TABLE {PURCHASES} DROP COLUMN seat",
        f"{PURCHASES}: 1 value of seat",
    ),
    (
        f"{COLUMN} numeric(5, 2) NOT NULL DEFAULT 0",
        f"UPDATE {PURCHASES} SET seat = 1 WHERE quantity > 1",
        f"ALTER TABLE {PURCHASES} DROP COLUMN seat",
        f"{PURCHASES}: 2 values of seat",
    ),
    (
        f"{COLUMN} text",
        f"UPDATE {PURCHASES} SET seat = 'A' WHERE quantity > 1",
        f"UPDATE {PURCHASES} SET seat = NULL",
        f"{PURCHASES}: 2 values of seat",
    ),
    (
        f"{COLUMN} text",
        f"UPDATE {PURCHASES} SET seat = 'A' WHERE quantity > 1",
        f"ALTER TABLE {PURCHASES} ALTER COLUMN seat TYPE integer USING NULL",
        f"{PURCHASES}: 2 values of seat",
    ),
]

HARMLESS = [
    (TABLE, "SELECT 1", "DROP TABLE ticketing_private.seats"),
    (f"{COLUMN} text", "SELECT 1", f"ALTER TABLE {PURCHASES} DROP COLUMN seat"),
    (
        f"{COLUMN} numeric(5, 2) NOT NULL DEFAULT 0",
        "SELECT 1",
        f"ALTER TABLE {PURCHASES} DROP COLUMN seat",
    ),
    (
        f"{COLUMN} integer GENERATED ALWAYS AS (quantity * 2) STORED",
        "SELECT 1",
        f"ALTER TABLE {PURCHASES} DROP COLUMN seat",
    ),
    (f"CREATE INDEX i ON {PURCHASES} (user_id)", "SELECT 1", "DROP INDEX ticketing_private.i"),
    (
        f"ALTER TABLE {PURCHASES} RENAME COLUMN quantity TO number",
        "SELECT 1",
        f"ALTER TABLE {PURCHASES} RENAME COLUMN number TO quantity; "
        f"UPDATE {PURCHASES} SET quantity = quantity",
    ),
    (
        f"{COLUMN} bigint",
        f"UPDATE {PURCHASES} SET seat = 1",
        f"ALTER TABLE {PURCHASES} ALTER COLUMN seat TYPE integer",
    ),
]

TABLES = "migrations/0003-tables.sql"
"""The migration whose rollback drops the tables."""


def sell(database: str) -> None:
    """Purchases of 1, 2 and 3 tickets."""
    with connect(database) as connection:
        option = new_option(connection, 10)
        for quantity in (1, 2, 3):
            connection.execute(
                "SELECT ticketing.purchase_tickets(%s, gen_random_uuid(), %s)", (option, quantity)
            )


def add_migration(tree: Path, up: str, down: str, head: str = "") -> None:
    (tree / "migrations/9001-more.sql").write_text(f"{head}{up};\n")
    (tree / "migrations/9001-more.rollback.sql").write_text(f"{down};\n")


def test_one_rollback_too_many_deletes_no_purchase(any_database: str) -> None:
    sell(any_database)
    for name in reversed(MIGRATIONS[MIGRATIONS.index(TABLES) + 1 :]):
        assert migrate.rollback(any_database) == name
    before = everything(any_database)

    code, output, errors = run_command(any_database, "--rollback")

    assert (code, output) == (1, "")
    assert errors == (
        f"ticket-allocation: rolling back {TABLES} would delete data, "
        "so nothing was done:\n"
        "ticketing_private.ticket_options: 1 row\n"
        "ticketing_private.purchases: 3 rows\n"
        "Hint: To delete that data, run it again with --rollback --delete-data.\n"
    )
    assert everything(any_database) == before

    code, output, _ = run_command(any_database, "--rollback", "--delete-data")

    assert (code, output) == (0, f"Rolled back {TABLES}.\n")


def test_the_embedded_database_is_protected_too(tmp_path: Path) -> None:
    data = ["--data-dir", str(tmp_path / "data")]
    with embedded.serving(tmp_path / "data") as database:
        assert run("migrate", *data).returncode == 0
        sell(database)
        for _ in MIGRATIONS[MIGRATIONS.index(TABLES) + 1 :]:
            migrate.rollback(database)

        ended = run("migrate", "--rollback", *data)

    assert ended.returncode == 1
    assert "ticketing_private.purchases: 3 rows" in ended.stderr


def test_delete_data_requires_rollback(database: str) -> None:
    code, _, errors = run_command(database, "--delete-data")

    assert (code, errors) == (2, "ticket-allocation: --delete-data requires --rollback\n")


@pytest.mark.parametrize(
    ("up", "change", "down", "lost"), LOSSES, ids=[f"{up}: {down}" for up, _, down, _ in LOSSES]
)
def test_data_that_a_later_rollback_would_delete_is_counted_and_kept(
    database: str, tree: Path, up: str, change: str, down: str, lost: str
) -> None:
    """The migration's author did not have to think of it."""
    sell(database)
    add_migration(tree, up, down)
    migrate.migrate(database)
    with connect(database) as connection:
        connection.execute(change.encode())
    before = everything(database)

    with pytest.raises(migrate.MigrationError) as raised:
        migrate.rollback(database)

    assert str(raised.value).splitlines()[1:-1] == [lost]
    assert everything(database) == before
    assert migrate.rollback(database, delete_data=True) == "migrations/9001-more.sql"


@pytest.mark.parametrize(
    ("up", "change", "down"), HARMLESS, ids=[f"{up}: {down}" for up, _, down in HARMLESS]
)
def test_a_rollback_that_deletes_nothing_needs_no_flag(
    database: str, tree: Path, up: str, change: str, down: str
) -> None:
    sell(database)
    add_migration(tree, up, down)
    migrate.migrate(database)
    with connect(database) as connection:
        connection.execute(change.encode())

    assert migrate.rollback(database) == "migrations/9001-more.sql"

    with connect(database) as connection:
        assert value(connection, "SELECT sum(quantity) FROM ticketing_private.purchases") == 6


def test_a_row_inserted_while_the_table_is_being_dropped_is_kept(database: str, tree: Path) -> None:
    add_migration(tree, TABLE, "DROP TABLE ticketing_private.seats")
    migrate.migrate(database)
    with (
        connect(database) as observer,
        connect(database) as buyer,
        ThreadPoolExecutor(1) as threads,
    ):
        with buyer.transaction():
            buyer.execute("INSERT INTO ticketing_private.seats VALUES (1)")
            undone = threads.submit(
                migrate.rollback, make_conninfo(database, application_name="undoing")
            )
            wait_until_blocked(observer, "undoing", 1)

        with pytest.raises(migrate.MigrationError, match=r"ticketing_private.seats: 1 row"):
            undone.result()
        assert value(observer, "SELECT count(*) FROM ticketing_private.seats") == 1


def test_a_rollback_that_cannot_be_tried_first_is_refused_while_there_are_rows(
    database: str, tree: Path
) -> None:
    sell(database)
    add_migration(
        tree,
        "CREATE INDEX CONCURRENTLY i ON ticketing_private.purchases (user_id)",
        "DROP INDEX CONCURRENTLY ticketing_private.i; VACUUM ticketing_private.purchases",
        head="-- transactional: false\n",
    )
    migrate.migrate(database)
    before = everything(database)

    with pytest.raises(migrate.MigrationError) as raised:
        migrate.rollback(database)

    assert str(raised.value).splitlines() == [
        "migrations/9001-more.sql does not run in a transaction, so there is no telling "
        "beforehand whether rolling it back deletes data, and nothing was done. The database has:",
        "ticketing_private.ticket_options: 1 row",
        "ticketing_private.purchases: 3 rows",
        "Hint: To delete that data, run it again with --rollback --delete-data.",
    ]
    assert everything(database) == before
    assert migrate.rollback(database, delete_data=True) == "migrations/9001-more.sql"


def test_a_rollback_that_only_drops_indexes_need_not_be_tried_first(
    database: str, tree: Path
) -> None:
    sell(database)
    add_migration(
        tree,
        "CREATE INDEX CONCURRENTLY i ON ticketing_private.purchases (user_id)",
        "-- It holds nothing.\nDROP INDEX CONCURRENTLY ticketing_private.i",
        head="-- transactional: false\n",
    )
    migrate.migrate(database)

    assert migrate.rollback(database) == "migrations/9001-more.sql"


def test_what_was_held_and_given_back_adds_up_for_the_release_before(database: str) -> None:
    user = "406c1d05-bbb2-4e94-b183-7d208c2692e1"
    with connect(database) as connection:
        option = new_option(connection, 20)
        for quantity, remaining in ((5, 5), (4, 1), (3, 0)):
            purchase = value(
                connection, "SELECT ticketing.purchase_tickets(%s, %s, %s)", option, user, quantity
            )
            connection.execute(
                "SELECT ticketing.return_tickets(%s, %s, %s)", (option, purchase, remaining)
            )
        connection.execute("SELECT ticketing.hold_tickets(%s, %s, 12)", (option, user))

    for _ in range(2):
        migrate.rollback(database, delete_data=True)

    with connect(database) as connection:
        stored = connection.execute(
            "SELECT capacity, allocation, sold FROM ticketing.ticket_options"
        ).fetchone()
        quantities = connection.execute("SELECT quantity FROM ticketing.purchases ORDER BY 1")
        assert stored == (20, 14, 6)
        assert [row[0] for row in quantities] == [1, 5]
