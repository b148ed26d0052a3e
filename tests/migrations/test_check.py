"""migrate --check reports every manual change, and nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db import catalogue, embedded, manifest, migrate
from db.dump import dump_schema
from loadtests.harness.postgres import Server, connect
from tests.migrations.helpers import MIGRATIONS, everything, objects, run_command

PURCHASES = "ticketing_private.purchases"

BY_HAND = [
    (
        f"ALTER TABLE {PURCHASES} ADD COLUMN extra text",
        [f"TABLE COLUMN {PURCHASES}.extra does not belong to this build"],
    ),
    (
        f"ALTER TABLE {PURCHASES} ALTER COLUMN created_at DROP DEFAULT",
        ["-timestamp with time zone NOT NULL DEFAULT clock_timestamp()"],
    ),
    (f"ALTER TABLE {PURCHASES} ALTER COLUMN user_id DROP NOT NULL", ["-uuid NOT NULL", "+uuid"]),
    (
        f"ALTER TABLE {PURCHASES} DROP CONSTRAINT purchases_quantity_range",
        [f"TABLE CONSTRAINT purchases_quantity_range on {PURCHASES} is missing"],
    ),
    (
        f"ALTER TABLE {PURCHASES} DROP CONSTRAINT purchases_quantity_range, "
        "ADD CONSTRAINT purchases_quantity_range CHECK (quantity >= 0)",
        ["-CHECK ((quantity >= 1))", "+CHECK ((quantity >= 0))"],
    ),
    (
        f"ALTER TABLE {PURCHASES} DISABLE TRIGGER ALL",
        ["+DISABLE TRIGGER of the constraint returns_ticket_option_id_purchase_id_fkey"],
    ),
    (
        "ALTER TABLE ticketing_private.ticket_options SET (fillfactor = 100)",
        ["-WITH fillfactor=20", "+WITH fillfactor=100"],
    ),
    (
        "ALTER TABLE ticketing_private.ticket_options SET (toast.autovacuum_enabled = off)",
        ["+WITH fillfactor=20, toast.autovacuum_enabled=off"],
    ),
    ("ALTER TABLE ticketing_private.returns SET UNLOGGED", ["+UNLOGGED"]),
    (f"ALTER TABLE {PURCHASES} OWNER TO postgres", ["+OWNER TO postgres"]),
    (f"ALTER TABLE {PURCHASES} ENABLE ROW LEVEL SECURITY", ["+ENABLE ROW LEVEL SECURITY"]),
    (
        f"ALTER TABLE {PURCHASES} ALTER COLUMN user_id SET (n_distinct = 5)",
        ["+uuid NOT NULL WITH n_distinct=5"],
    ),
    (
        f"ALTER TABLE {PURCHASES} ALTER COLUMN user_id SET STATISTICS 5",
        ["+uuid NOT NULL STATISTICS 5"],
    ),
    (
        "ALTER TABLE ticketing_private.ticket_options ALTER COLUMN description SET STORAGE MAIN",
        ['+text NOT NULL STORAGE "m"'],
    ),
    (
        "CREATE TABLE ticketing_private.extra (i integer)",
        ["TABLE ticketing_private.extra does not belong to this build"],
    ),
    (
        f"CREATE INDEX extra ON {PURCHASES} (user_id)",
        ["INDEX ticketing_private.extra does not belong to this build"],
    ),
    (
        "ALTER INDEX ticketing_private.purchases_pkey SET (fillfactor = 50)",
        [
            "-CREATE UNIQUE INDEX purchases_pkey ON ticketing_private.purchases "
            "USING btree (ticket_option_id, id)",
        ],
    ),
    (
        "CREATE VIEW ticketing.extra AS SELECT 1 AS i",
        ["VIEW ticketing.extra does not belong to this build"],
    ),
    (
        f"CREATE OR REPLACE VIEW ticketing.purchases AS SELECT ticket_option_id, id, user_id, "
        f"quantity, now() AS created_at, quantity AS purchased_quantity, cancelled_at "
        f"FROM {PURCHASES}",
        ["VIEW ticketing.purchases differs from what this build creates:", "-    created_at,"],
    ),
    (
        "ALTER VIEW ticketing.purchases SET (security_invoker = true)",
        ["+WITH security_invoker=true"],
    ),
    (
        f"CREATE TRIGGER t BEFORE INSERT ON {PURCHASES} "
        "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        [f"TRIGGER t on {PURCHASES} does not belong to this build"],
    ),
    (
        f"CREATE RULE r AS ON DELETE TO {PURCHASES} DO INSTEAD NOTHING",
        [f"RULE r on {PURCHASES} does not belong to this build"],
    ),
    (
        f"CREATE POLICY p ON {PURCHASES} USING (true)",
        [f"POLICY p on {PURCHASES} does not belong to this build"],
    ),
    ("CREATE SEQUENCE ticketing.s", ["SEQUENCE ticketing.s does not belong to this build"]),
    ("CREATE TYPE ticketing.e AS ENUM ('a')", ["TYPE ticketing.e does not belong to this build"]),
    ("CREATE DOMAIN ticketing.d AS text", ["TYPE ticketing.d does not belong to this build"]),
    (
        "CREATE COLLATION ticketing.c (LOCALE = 'C')",
        ["COLLATION ticketing.c does not belong to this build"],
    ),
    (
        f"CREATE STATISTICS ticketing.st ON user_id, quantity FROM {PURCHASES}",
        ["STATISTICS OBJECT ticketing.st does not belong to this build"],
    ),
    (
        "CREATE FUNCTION ticketing.f() RETURNS integer RETURN 1",
        ["FUNCTION ticketing.f() does not belong to this build"],
    ),
    (
        "DROP FUNCTION ticketing.audit_allocations()",
        ["FUNCTION ticketing.audit_allocations() is missing"],
    ),
    (
        "ALTER FUNCTION ticketing.audit_allocations() SECURITY INVOKER",
        [
            "FUNCTION ticketing.audit_allocations() differs from what this build creates:",
            "- STABLE SECURITY DEFINER",
            "+ STABLE",
        ],
    ),
    (
        "ALTER FUNCTION ticketing.audit_allocations() SET search_path = ''",
        ["- SET search_path TO 'pg_catalog', 'pg_temp'", "+ SET search_path TO ''"],
    ),
    (
        "ALTER FUNCTION ticketing.audit_allocations() OWNER TO postgres",
        ["-OWNER TO ticketing_owner", "+OWNER TO postgres"],
    ),
    (
        "COMMENT ON FUNCTION ticketing.installed_files() IS NULL",
        [
            "-COMMENT The migrations and procedures that this database was built from, "
            "each with the SHA-256 of its file."
        ],
    ),
    (f"COMMENT ON COLUMN {PURCHASES}.id IS 'Changed.'", ["+COMMENT Changed."]),
    (
        f"COMMENT ON CONSTRAINT purchases_quantity_range ON {PURCHASES} IS 'Changed.'",
        ["+COMMENT Changed."],
    ),
    (
        f"GRANT SELECT ON {PURCHASES} TO ticketing_service",
        ["+GRANT SELECT TO ticketing_service"],
    ),
    (
        f"GRANT UPDATE (quantity) ON {PURCHASES} TO ticketing_operator",
        ["+GRANT UPDATE TO ticketing_operator"],
    ),
    (f"REVOKE INSERT ON {PURCHASES} FROM ticketing_owner", ["+REVOKE INSERT FROM ticketing_owner"]),
    (
        "GRANT USAGE ON SCHEMA ticketing_private TO PUBLIC",
        [
            "SCHEMA ticketing_private differs from what this build creates:",
            "+GRANT USAGE TO PUBLIC",
        ],
    ),
    (
        "GRANT EXECUTE ON FUNCTION ticketing.audit_allocations() TO PUBLIC",
        ["-REVOKE EXECUTE FROM PUBLIC"],
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE ticketing_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        ["DEFAULT ACL for role ticketing_owner on functions is missing"],
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE ticketing_owner IN SCHEMA ticketing_private "
        "GRANT SELECT ON TABLES TO PUBLIC",
        [
            "DEFAULT ACL for role ticketing_owner in schema ticketing_private on tables "
            "does not belong to this build"
        ],
    ),
    (
        "DELETE FROM ticketing_private.installed_files WHERE path ~ 'audit'",
        ["procedures/audit_allocations.sql is not installed"],
    ),
    (
        "UPDATE ticketing_private.installed_files SET sha256 = repeat('0', 64)",
        ["procedures/audit_allocations.sql is installed in a different version"],
    ),
    (
        "INSERT INTO ticketing_private.installed_files VALUES ('a.sql', repeat('0', 64))",
        ["a.sql is installed, but this build does not ship it"],
    ),
]


def test_the_checked_in_schema_is_what_the_files_produce(database: str) -> None:
    assert dump_schema(database) == manifest.SCHEMA_DUMP.read_text(), "run: make schema"
    assert objects(database) == catalogue.expected(), "run: make schema"


def test_check_finds_nothing_in_a_fresh_database(any_database: str) -> None:
    assert migrate.check(any_database) == []


@pytest.mark.parametrize(
    "setting",
    [
        "search_path = ticketing, ticketing_private",
        "quote_all_identifiers = on",
        "datestyle = 'German, DMY'",
        "client_encoding = LATIN1",
        "default_transaction_isolation = serializable",
        "bytea_output = escape",
    ],
)
def test_check_does_not_depend_on_the_databases_settings(any_database: str, setting: str) -> None:
    name = conninfo_to_dict(any_database)["dbname"]
    with connect(any_database) as connection:
        connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())

    assert migrate.check(any_database) == []


def test_check_ignores_replication_and_an_operators_own_tables(any_database: str) -> None:
    """What a server creates for itself, or an operator beside the service, is not ours."""
    with connect(any_database) as connection:
        connection.execute("CREATE PUBLICATION p FOR TABLE ticketing_private.purchases")
        connection.execute("CREATE TABLE public.other (i integer)")
        connection.execute("SELECT ticketing.create_ticket_option('a', 'b', 1)")
        connection.execute("ANALYZE")

    assert migrate.check(any_database) == []


def test_check_has_an_exit_code_for_differences(database: str) -> None:
    assert run_command(database, "--check")[:2] == (0, "The database matches this build.\n")
    with connect(database) as connection:
        connection.execute("DROP FUNCTION ticketing.audit_allocations()")

    code, output, _ = run_command(database, "--check")

    assert code == 1
    assert "FUNCTION ticketing.audit_allocations() is missing\n" in output


@pytest.mark.parametrize(("by_hand", "found"), BY_HAND, ids=[by_hand for by_hand, _ in BY_HAND])
def test_check_finds_every_manual_change(
    connection: psycopg.Connection[Any], by_hand: str, found: list[str]
) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(by_hand.encode())

        lines = dict.fromkeys(migrate.differences(connection))

    assert [line for line in lines if line in found] == found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("is_locked := FOUND;", "is_locked := true;"),
        ("SET enable_seqscan = off", "SET enable_seqscan = on"),
    ],
)
def test_check_names_a_manually_edited_function(
    connection: psycopg.Connection[Any], old: str, new: str
) -> None:
    source = (manifest.PROCEDURES / "take_tickets_of_one.sql").read_text()
    assert old in source
    with connection.transaction(force_rollback=True):
        connection.execute(source.replace(old, new).encode())

        lines = migrate.differences(connection)

    assert lines[0] == (
        "FUNCTION ticketing_private.take_tickets_of_one"
        "(uuid,uuid[],uuid[],integer[],integer[],uuid[],boolean) "
        "differs from what this build creates:"
    )
    assert len([line for line in lines if re.match(r"-[^-]", line)]) == 1


def test_check_says_who_may_create_what_and_who_can_revoke_it(any_database: str) -> None:
    name = conninfo_to_dict(any_database)["dbname"]
    grants = [
        f"GRANT TEMPORARY ON DATABASE {name} TO PUBLIC",
        f"GRANT CREATE ON DATABASE {name} TO ticketing_service",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
    ]
    with connect(any_database) as connection:
        for grant in grants:
            connection.execute(grant.encode())

        lines = migrate.check(any_database)

        assert [line.partition(". ")[0] for line in lines] == [
            "PUBLIC may create objects in the schema public",
            f"PUBLIC may create temporary objects in the database {name}",
            f"ticketing_service may create schemas in the database {name}",
        ]
        for line in lines:
            connection.execute(line.partition("can revoke that: ")[2].encode())
    assert migrate.check(any_database) == []


def test_check_warns_that_public_may_create_temporary_objects_in_a_restored_database(
    database: str, postgres_18: Server, tmp_path: Path
) -> None:
    """A dump does not include grants on the database itself, unless it is made with --create."""
    dumped = tmp_path / "dump"
    dump = [embedded.program("pg_dump"), "--format=custom", f"--file={dumped}", database]
    subprocess.run(dump, check=True)
    with postgres_18.database("template0") as restored:
        restore = [embedded.program("pg_restore"), "--exit-on-error", f"--dbname={restored}"]
        subprocess.run([*restore, str(dumped)], check=True)

        [line] = migrate.check(restored)
        code, output, errors = run_command(restored)

    assert line.startswith("PUBLIC may create temporary objects in the database test_")
    assert (code, output) == (0, "There was nothing to do.\n")
    assert line in errors


def test_check_by_a_role_without_access_says_what_to_ask_a_dba_for(database: str) -> None:
    code, output, errors = run_command(make_conninfo(database, user="ticketing_service"), "--check")

    assert (code, output) == (1, "")
    assert errors == (
        "ticket-allocation: ticketing_service has no access to ticketing_private\n"
        'Hint: Ask a DBA to run: GRANT ticketing_owner TO "ticketing_service";\n'
    )


def test_check_says_of_an_empty_database_that_nothing_is_installed(empty: str) -> None:
    code, output, errors = run_command(empty, "--check")

    assert (code, errors) == (1, "")
    assert output.splitlines()[: len(MIGRATIONS)] == [
        f"{name} is not installed" for name in MIGRATIONS
    ]


def test_check_changes_nothing(database: str) -> None:
    with connect(database) as connection:
        connection.execute("DROP FUNCTION ticketing.audit_allocations()")
    before = everything(database)

    migrate.check(database)

    assert everything(database) == before
