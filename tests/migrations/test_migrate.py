"""migrate, migrate --rollback and migrate --check, on real databases."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db import backend, manifest, migrate
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import Server, connect, new_option, value
from tests.migrations.helpers import (
    MIGRATIONS,
    PROCEDURES,
    command,
    edit,
    everything,
    history,
    objects,
    run_command,
    schemas,
)

ROLES = ("ticketing_owner", "ticketing_service", "ticketing_operator")
MIGRATOR = 'deployer "1"'
MIGRATOR_SQL = '"deployer ""1"""'

FAILING = "DO $$ BEGIN RAISE 'no'; END $$;\n"


@pytest.fixture
def server_without_roles(any_server: Server) -> Iterator[Server]:
    """A server as it is before the first migration: the roles are renamed for the time being."""
    with connect(any_server.superuser_conninfo) as superuser:
        for role in ROLES:
            superuser.execute(f"ALTER ROLE {role} RENAME TO {role}_away")
        try:
            yield any_server
        finally:
            for role in ROLES:
                superuser.execute(f"DROP ROLE IF EXISTS {role}")
            for role in ROLES:
                superuser.execute(f"ALTER ROLE {role}_away RENAME TO {role}")


@contextmanager
def migrating_role(server: Server, attributes: str = "") -> Iterator[str]:
    """An empty database for a role that is not a superuser, but may create schemas in it."""
    with connect(server.superuser_conninfo) as superuser:
        superuser.execute(f"CREATE ROLE {MIGRATOR_SQL} LOGIN {attributes}".encode())
        try:
            with server.database("template0") as database:
                name = conninfo_to_dict(database)["dbname"]
                superuser.execute(f"GRANT CREATE ON DATABASE {name} TO {MIGRATOR_SQL}".encode())
                yield make_conninfo(database, user=MIGRATOR)
        finally:
            for role in ROLES:
                superuser.execute(f"REVOKE {role} FROM {MIGRATOR_SQL} CASCADE".encode())
            superuser.execute(f"DROP ROLE {MIGRATOR_SQL}")


def server_state(database: str) -> Any:
    """The roles, and the privileges on the database."""
    with connect(database) as connection:
        roles = "SELECT * FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname"
        members = "SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2"
        privileges = """
            SELECT privilege.grantee, privilege.privilege_type
            FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) AS privilege
            WHERE datname = current_database()
            ORDER BY 1, 2
        """
        return [connection.execute(query).fetchall() for query in (roles, members, privileges)]


# Up and down


def test_an_empty_database_gets_every_migration_and_then_every_procedure(empty: str) -> None:
    assert migrate.migrate(empty) == MIGRATIONS + PROCEDURES

    with connect(empty, "ticketing_operator") as operator:
        assert new_option(operator, 10)


def test_a_second_run_has_nothing_to_do(database: str) -> None:
    before = everything(database)

    assert migrate.migrate(database) == []

    assert everything(database) == before


def test_rolling_everything_back_leaves_only_the_roles_and_migrating_again_is_the_same(
    any_server: Server,
) -> None:
    with any_server.database("template0") as database:
        untouched = server_state(database)
        migrate.migrate(database)
        before = history(database), objects(database)

        undone = list(iter(lambda: migrate.rollback(database), None))

        assert undone == MIGRATIONS[::-1]
        assert history(database) == ([], [], [])
        assert server_state(database) == untouched
        with connect(database) as connection:
            owned = """
                SELECT count(*) FROM pg_shdepend
                WHERE refobjid = 'ticketing_owner'::regrole
                    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            """
            assert value(connection, owned) == 0
        migrate.migrate(database)
        assert (history(database), objects(database)) == before


@pytest.mark.parametrize("steps", range(1, len(MIGRATIONS) + 1))
def test_any_number_of_migrations_can_be_undone_and_applied_again(
    database: str, steps: int
) -> None:
    before = history(database), objects(database)
    for _ in range(steps):
        assert migrate.rollback(database)

    applied = migrate.migrate(database)

    assert [name for name in applied if name in MIGRATIONS] == MIGRATIONS[-steps:]
    assert (history(database), objects(database)) == before


def test_every_migration_has_a_rollback() -> None:
    migrations = {path.stem for path in manifest.migration_paths()}
    rollbacks = manifest.MIGRATIONS.glob("*.rollback.sql")

    assert {path.name.removesuffix(".rollback.sql") for path in rollbacks} == migrations


def test_a_database_without_migrations_has_nothing_to_roll_back(empty: str) -> None:
    assert migrate.rollback(empty) is None


def test_tickets_and_purchases_survive_a_migration(database: str, tree: Path) -> None:
    with connect(database) as connection:
        option = new_option(connection, 10)
        connection.execute("SELECT ticketing.purchase_tickets(%s, gen_random_uuid(), 4)", (option,))
        edit(tree / "procedures/purchase_tickets.sql", "COMMENT ON", "-- changed\nCOMMENT ON")
        (tree / "migrations/9001-more.sql").write_text(
            "ALTER TABLE ticketing_private.purchases ADD COLUMN seat text;\n"
        )

        migrate.migrate(database)

        assert value(connection, "SELECT sold FROM ticketing.ticket_options") == 4
        assert value(connection, "SELECT seat FROM ticketing_private.purchases") is None


@pytest.mark.parametrize(
    "template",
    [
        "postgresql:///{dbname}?host={host}&user={user}",
        "postgresql://{user}:%40%2F%25%20pass+word@/{dbname}?host={host}",
        "host={host} user={user} dbname={dbname} password='@/% &=+'",
        "host={host} user={user} dbname={dbname} options='-c search_path=nowhere'",
    ],
)
def test_the_database_is_given_as_a_url_or_as_parameters(empty: str, template: str) -> None:
    assert migrate.migrate(template.format(**conninfo_to_dict(empty))) == MIGRATIONS + PROCEDURES

    assert migrate.check(empty) == []


def test_a_database_with_a_different_encoding_is_refused(postgres_18: Server) -> None:
    with postgres_18.database("template0 ENCODING 'LATIN1' LOCALE 'C'") as database:
        code, output, errors = run_command(database)

        assert (code, output) == (1, "")
        assert errors == "ticket-allocation: the database's encoding is LATIN1; it must be UTF8\n"
        assert schemas(database) == []


def test_a_read_only_database_is_reported_in_one_line(empty: str) -> None:
    read_only = make_conninfo(empty, options="-c default_transaction_read_only=on")

    code, output, errors = run_command(read_only)

    assert (code, output) == (1, "")
    assert errors == (
        "ticket-allocation: cannot execute CREATE SCHEMA in a read-only transaction\n"
    )


# Many at once, and killed


def test_one_of_twenty_concurrent_migrators_migrates_and_all_succeed(empty: str) -> None:
    processes = [command(empty) for _ in range(4)]
    with ThreadPoolExecutor(16) as threads:
        applied = list(threads.map(migrate.migrate, [empty] * 16))
    for process in processes:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        applied.append(re.findall(r"^Applied (\S+)\.$", output, re.MULTILINE))

    assert sorted(applied) == [[]] * 19 + [MIGRATIONS + PROCEDURES]
    assert migrate.check(empty) == []


def test_databases_on_one_server_can_be_migrated_concurrently(server_without_roles: Server) -> None:
    server = server_without_roles
    with (
        server.database("template0") as one,
        server.database("template0") as other,
        ThreadPoolExecutor(6) as threads,
    ):
        applied = list(threads.map(migrate.migrate, [one, other] * 3))

        assert sorted(applied) == [[]] * 4 + [MIGRATIONS + PROCEDURES] * 2
        assert objects(one) == objects(other)


def test_a_migrator_that_is_killed_leaves_nothing_stuck(empty: str) -> None:
    with (
        connect(empty) as observer,
        connect(empty) as holder,
        ThreadPoolExecutor(1) as threads,
    ):
        # Anyone creating the schema has to wait for this session, which may still commit it.
        holder.execute("BEGIN")
        holder.execute("CREATE SCHEMA ticketing")
        with command(make_conninfo(empty, application_name="killed")) as process:
            wait_until_blocked(observer, "killed", 1)
            process.kill()
        second = threads.submit(
            migrate.migrate, make_conninfo(empty, application_name="the second")
        )
        wait_until_blocked(observer, "the second", 1)

        holder.execute("ROLLBACK")

        assert second.result() == MIGRATIONS + PROCEDURES
        assert migrate.check(empty) == []
        assert value(observer, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


def test_a_migration_gives_up_instead_of_letting_buyers_queue_up_behind_it(
    database: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(database)
    (tree / "migrations/9001-more.sql").write_text(
        "\nALTER TABLE ticketing_private.purchases ADD COLUMN seat text;\n"
    )
    monkeypatch.setattr(backend, "LOCK_TIMEOUT_SECONDS", 0.1)
    with connect(database) as buyer, buyer.transaction():
        option = new_option(buyer, 10)
        buyer.execute("SELECT ticketing.purchase_tickets(%s, gen_random_uuid(), 1)", (option,))

        # The statement timeout makes this fail instead of hang if there is no lock timeout.
        impatient = make_conninfo(database, options="-c statement_timeout=5s")
        with pytest.raises(migrate.MigrationError, match=r"9001-more.sql:\d: .*lock timeout"):
            migrate.migrate(impatient)

    assert everything(database) == before


# Failures


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (FAILING, 1),
        (f"-- depends: 0004-views\n-- A comment.\n\n{FAILING}", 4),
        (f"SELECT 1;\n\n-- A comment.\n\n{FAILING}", 5),
        ("SELECT 1;\nCREAT TABLE ticketing.u (i integer);\n", 2),
        ("CREATE VIEW ticketing.v AS\nSELECT i\nFROM ticketing.nowhere;\n", 3),
        ("-- é\nSELECT\n    '\N{TICKET}',\n    nowhere;\n", 4),
        ("SELECT\n    1 / 0;\n", 1),
    ],
)
def test_a_failing_migration_leaves_the_database_as_it_was_and_names_its_line(
    database: str, tree: Path, source: str, line: int
) -> None:
    before = everything(database)
    (tree / "migrations/9001-good.sql").write_text("CREATE TABLE ticketing.good (i integer);\n")
    bad = tree / "migrations/9002-bad.sql"
    bad.write_text(source)

    with pytest.raises(migrate.MigrationError, match=rf"^db/migrations/9002-bad.sql:{line}: "):
        migrate.migrate(database)

    assert everything(database) == before
    bad.write_text("CREATE TABLE ticketing.bad (i integer);\n")
    assert migrate.migrate(database) == ["migrations/9001-good.sql", "migrations/9002-bad.sql"]


@pytest.mark.parametrize(
    ("old", "new", "failing"),
    [
        ("purchase.user_id,", "purchase.nowhere,", "purchase.user_id"),
        ("AS $function$", "AZ $function$", "AS $function$"),
        ("COMMENT ON", "COMMENT OFF", "COMMENT ON"),
        ("LANGUAGE sql", "LANGUAGE sequel", "CREATE"),
        ("GRANT EXECUTE", "GRANT EXECUT", "GRANT"),
    ],
)
def test_a_failing_procedure_leaves_the_database_as_it_was_and_names_its_line(
    database: str, tree: Path, old: str, new: str, failing: str
) -> None:
    before = everything(database)
    (tree / "migrations/9001-good.sql").write_text("CREATE TABLE ticketing.good (i integer);\n")
    edit(tree / "procedures/audit_allocations.sql", "COMMENT ON", "-- changed\nCOMMENT ON")
    bad = tree / "procedures/get_purchase.sql"
    line = bad.read_text().partition(failing)[0].count("\n") + 1
    edit(bad, old, new)

    with pytest.raises(migrate.MigrationError, match=rf"^db/procedures/get_purchase.sql:{line}: "):
        migrate.migrate(database)

    assert everything(database) == before


def test_a_first_run_that_fails_leaves_the_database_empty(empty: str, tree: Path) -> None:
    (tree / "migrations/9001-bad.sql").write_text(FAILING)

    with pytest.raises(migrate.MigrationError, match=r"9001-bad.sql:1: no"):
        migrate.migrate(empty)

    assert history(empty) == ([], [], [])


@pytest.mark.parametrize(("view", "line"), [("purchases", 1), ("ticket_options", 3)])
def test_a_failing_rollback_leaves_the_database_as_it_was_and_names_its_line(
    database: str, tree: Path, view: str, line: int
) -> None:
    while migrate.rollback(database) != "migrations/0005-idle-transactions.sql":
        pass
    before = everything(database)
    name = "migrations/0004-views.rollback.sql"
    edit(tree / name, f"DROP VIEW ticketing.{view};", "DROP VIEW ticketing.nowhere;")

    with pytest.raises(migrate.MigrationError, match=rf"^db/{name}:{line}: "):
        migrate.rollback(database)

    assert everything(database) == before


# What changed since


def test_a_changed_procedure_is_reinstalled_and_no_other(database: str, tree: Path) -> None:
    with (tree / "procedures/get_purchase.sql").open("a") as file:
        file.write("\nCOMMENT ON FUNCTION ticketing.get_purchase(uuid, uuid) IS 'Changed.';\n")
    functions = (
        "SELECT oid::regprocedure::text, xmin, obj_description(oid) FROM pg_proc "
        "WHERE pronamespace = 'ticketing'::regnamespace"
    )
    with connect(database) as connection:
        before = set(connection.execute(functions).fetchall())

        assert migrate.migrate(database) == ["procedures/get_purchase.sql"]

        [changed] = set(connection.execute(functions).fetchall()) - before
        assert (changed[0], changed[2]) == ("ticketing.get_purchase(uuid,uuid)", "Changed.")
    assert migrate.migrate(database) == []


def test_a_migration_that_was_edited_after_it_was_applied_is_refused(
    database: str, tree: Path
) -> None:
    before = everything(database)
    edit(tree / "migrations/0003-tables.sql", "RESET ROLE;", "RESET ROLE;\n")
    edit(tree / "procedures/get_purchase.sql", "COMMENT ON", "-- changed\nCOMMENT ON")

    with pytest.raises(migrate.MigrationError, match=r"^migrations/0003-tables.sql was changed"):
        migrate.migrate(database)

    assert everything(database) == before


def test_a_database_newer_than_the_build_is_refused(database: str, tree: Path) -> None:
    newer = tree / "migrations/9001-newer.sql"
    newer.write_text("CREATE TABLE ticketing_private.newer (i integer);\n")
    migrate.migrate(database)
    before = everything(database)
    newer.unlink()

    with pytest.raises(migrate.MigrationError, match="migrate it with the build that does"):
        migrate.migrate(database)

    assert everything(database) == before
    assert migrate.check(database)[0] == (
        "migrations/9001-newer.sql is installed, but this build does not ship it"
    )


def test_a_build_does_not_roll_back_anything_beneath_a_newer_migration(
    database: str, tree: Path
) -> None:
    newer = tree / "migrations/9001-newer.sql"
    newer.write_text("CREATE TABLE ticketing_private.newer (i integer);\n")
    migrate.migrate(database)
    before = everything(database)
    newer.unlink()

    with pytest.raises(migrate.MigrationError):
        migrate.rollback(database)

    assert everything(database) == before


def test_a_build_without_migrations_is_refused(database: str, tree: Path) -> None:
    shutil.rmtree(tree / "migrations")

    with pytest.raises(migrate.MigrationError, match="there are no migrations"):
        migrate.migrate(database)


@pytest.fixture
def index_migration(tree: Path) -> str:
    """A migration that cannot run in a transaction."""
    (tree / "migrations/9001-index.sql").write_text(
        "-- transactional: false\n"
        "CREATE INDEX CONCURRENTLY by_user"
        " ON ticketing_private.purchases (ticket_option_id, user_id);\n"
    )
    (tree / "migrations/9001-index.rollback.sql").write_text(
        "DROP INDEX CONCURRENTLY ticketing_private.by_user;\n"
    )
    return "migrations/9001-index.sql"


def test_a_non_transactional_migration_runs_on_its_own(
    database: str, tree: Path, index_migration: str
) -> None:
    (tree / "migrations/9002-bad.sql").write_text(FAILING)

    with pytest.raises(migrate.MigrationError, match=r"9002-bad.sql:1: no"):
        migrate.migrate(database)

    assert "INDEX ticketing_private.by_user" in objects(database)
    (tree / "migrations/9002-bad.sql").unlink()
    assert migrate.migrate(database) == []


def test_a_non_transactional_migration_is_rolled_back(database: str, index_migration: str) -> None:
    before = history(database)
    migrate.migrate(database)

    assert migrate.rollback(database) == index_migration

    assert history(database) == before
    assert "INDEX ticketing_private.by_user" not in objects(database)


# Roles


@pytest.mark.parametrize("owns", [True, False], ids=["owns the database", "may create schemas"])
def test_a_role_that_is_not_a_superuser_can_migrate(
    server_without_roles: Server, owns: bool
) -> None:
    with migrating_role(server_without_roles, "CREATEROLE") as database:
        if owns:
            with connect(database) as superuser:
                name = superuser.info.dbname
                superuser.execute(f"ALTER DATABASE {name} OWNER TO {MIGRATOR_SQL}".encode())

        assert migrate.migrate(database) == MIGRATIONS + PROCEDURES

        assert len(migrate.check(database)) == (0 if owns else 1)
        assert migrate.migrate(database) == []
        with connect(database, "ticketing_operator") as operator:
            assert value(operator, "select create_ticket_option('a', 'b', 1)")
            temporary = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
            assert value(operator, temporary) is not owns


def follow_the_advice(database: str, *files: str) -> None:
    """Migrate, do as a DBA what these files' errors advise, and migrate again."""
    for file in files:
        with pytest.raises(migrate.MigrationError) as raised:
            migrate.migrate(database)
        assert re.match(rf"db/migrations/{file}.sql:\d+: ", str(raised.value))
        _, found, advice = str(raised.value).partition("\nHint: Ask a DBA to run: ")
        assert found
        assert schemas(database) == []
        with connect(database) as superuser:
            superuser.execute(advice.encode())

    assert migrate.migrate(database) == MIGRATIONS + PROCEDURES
    [temporary] = migrate.check(database)
    assert temporary.startswith("PUBLIC may create temporary objects")
    with connect(database, "ticketing_operator") as operator:
        assert value(operator, "select create_ticket_option('a', 'b', 1)")


def test_a_role_that_may_not_create_roles_says_what_to_ask_a_dba_for(
    server_without_roles: Server,
) -> None:
    with migrating_role(server_without_roles) as database:
        follow_the_advice(database, "0001-roles", "0005-idle-transactions")


def test_a_role_that_is_not_a_member_of_the_owner_says_what_to_ask_a_dba_for(
    any_server: Server,
) -> None:
    with migrating_role(any_server) as database:
        follow_the_advice(database, "0001-roles")


def test_a_role_that_may_not_create_schemas_says_what_to_ask_a_dba_for(empty: str) -> None:
    """On the command line, where it must be an error message and not a stack trace."""
    with connect(empty) as superuser:
        superuser.execute(f"CREATE ROLE {MIGRATOR_SQL} LOGIN IN ROLE ticketing_owner".encode())
        migrator = make_conninfo(empty, user=MIGRATOR)
        try:
            code, output, errors = run_command(migrator)
            assert (code, output) == (1, "")
            assert errors.startswith(f"ticket-allocation: {MIGRATOR} may not create schemas\n")
            advice = errors.partition("Hint: Ask a DBA to run: ")[2]
            superuser.execute(advice.encode())

            assert migrate.migrate(migrator) == MIGRATIONS + PROCEDURES
        finally:
            superuser.execute(f"DROP OWNED BY {MIGRATOR_SQL} CASCADE".encode())
            superuser.execute(f"DROP ROLE {MIGRATOR_SQL}".encode())


def test_any_other_member_of_the_owner_may_migrate(any_server: Server, tree: Path) -> None:
    with migrating_role(any_server) as database:
        migrate.migrate(make_conninfo(database, user="postgres"))
        with connect(database) as superuser:
            superuser.execute(f"GRANT ticketing_owner TO {MIGRATOR_SQL}".encode())
            name = superuser.info.dbname
            superuser.execute(f"REVOKE CREATE ON DATABASE {name} FROM {MIGRATOR_SQL}".encode())
        (tree / "migrations/9001-more.sql").write_text(
            "SET LOCAL ROLE ticketing_owner;\nCREATE TABLE ticketing.t (i integer);\nRESET ROLE;\n"
        )

        assert migrate.migrate(database) == ["migrations/9001-more.sql"]
        assert migrate.rollback(database) == "migrations/9001-more.sql"


def test_roles_created_by_a_dba_are_left_as_they_are(server_without_roles: Server) -> None:
    with (
        server_without_roles.database("template0") as database,
        connect(database) as superuser,
    ):
        superuser.execute("CREATE ROLE ticketing_owner NOLOGIN")
        superuser.execute("CREATE ROLE ticketing_service LOGIN CONNECTION LIMIT 5 PASSWORD 'a'")
        superuser.execute("CREATE ROLE ticketing_operator LOGIN VALID UNTIL '2100-01-01'")
        roles = "SELECT * FROM pg_authid WHERE rolname ~ '^ticketing' ORDER BY rolname"
        before = superuser.execute(roles).fetchall()

        migrate.migrate(database)

        assert superuser.execute(roles).fetchall() == before


IDLE_TIMEOUT = "SHOW idle_in_transaction_session_timeout"


def test_an_operators_forgotten_transaction_is_ended(server_without_roles: Server) -> None:
    with server_without_roles.database("template0") as database:
        migrate.migrate(database)

        with connect(database, "ticketing_operator") as operator:
            assert value(operator, IDLE_TIMEOUT) == "1min"
        with connect(database, "ticketing_service") as service:
            assert value(service, IDLE_TIMEOUT) == "0"


@pytest.mark.parametrize("where", ["", "IN DATABASE {}"], ids=["everywhere", "in the database"])
def test_an_idle_transaction_timeout_that_is_already_set_is_left_as_it_is(
    server_without_roles: Server, where: str
) -> None:
    with (
        server_without_roles.database("template0") as database,
        connect(database) as superuser,
    ):
        superuser.execute("CREATE ROLE ticketing_operator LOGIN")
        place = where.format(superuser.info.dbname)
        setting = "SET idle_in_transaction_session_timeout = '5min'"
        superuser.execute(f"ALTER ROLE ticketing_operator {place} {setting}".encode())

        migrate.migrate(database)
        while migrate.rollback(database) != "migrations/0005-idle-transactions.sql":
            pass
        migrate.migrate(database)

        with connect(database, "ticketing_operator") as operator:
            assert value(operator, IDLE_TIMEOUT) == "5min"
