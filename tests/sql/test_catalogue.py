"""What holds for every function, table and privilege, read from PostgreSQL's own catalogue."""

from __future__ import annotations

import ast
import re
from typing import Any

import psycopg
import pytest

from db import manifest
from loadtests.harness.postgres import value

Connection = psycopg.Connection[Any]

SERVICE_CALLS = {
    "ticketing.get_purchase(uuid,uuid)",
    "ticketing.get_ticket_options(uuid[])",
    "ticketing.installed_files()",
    "ticketing.purchase_tickets(uuid,uuid[],uuid[],integer[])",
    "ticketing.purchase_tickets_of_many(uuid[],uuid[],uuid[],integer[])",
    "ticketing.try_create_ticket_option(uuid,text,text,integer)",
    "ticketing.purchase_tickets_unless_busy(uuid,uuid[],uuid[],integer[],integer)",
}
OPERATOR_CALLS = SERVICE_CALLS | {
    "ticketing.audit_allocations()",
    "ticketing.create_ticket_option(text,text,integer,uuid)",
    "ticketing.get_ticket_option(uuid)",
    "ticketing.purchase_tickets(uuid,uuid,integer,uuid)",
}
HELPERS = {
    "ticketing_private.decide_purchases(integer[],uuid[],uuid[],integer[],text[],integer[])",
    "ticketing_private.require_purchases(uuid[],uuid[],integer[])",
}
"""Called by the functions above, as the owner whom these run as."""

OWNER_CALLS = OPERATOR_CALLS | HELPERS
SELLERS = {call for call in SERVICE_CALLS if "purchase_tickets" in call}
"""Called for every sale."""

FUNCTIONS = """
    SELECT function.oid::regprocedure::text
    FROM pg_proc AS function
    JOIN pg_namespace AS schema ON schema.oid = function.pronamespace
    WHERE schema.nspname !~ '^(pg_|information_schema$)'
"""
RELATIONS = """
    SELECT relation.oid::regclass::text
    FROM pg_class AS relation
    JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
    WHERE schema.nspname IN ('ticketing', 'ticketing_private')
        AND relation.relkind NOT IN ('i', 't', 'I')
"""
TABLES = {
    "ticketing_private.installed_files",
    "ticketing_private.purchases",
    "ticketing_private.ticket_options",
}
VIEWS = {"ticketing.purchases", "ticketing.ticket_options"}


def names(connection: Connection, query: str, *arguments: object) -> set[str]:
    """The only column of the rows, with every name qualified by its schema."""
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")
        return {name for (name,) in connection.execute(query.encode(), arguments)}


def test_the_catalogue_has_the_functions_tables_and_views_that_are_known(
    connection: Connection,
) -> None:
    """What is new must be added here, and so be thought about."""
    assert names(connection, FUNCTIONS) == OWNER_CALLS
    assert names(connection, RELATIONS) == TABLES | VIEWS


@pytest.mark.parametrize(
    "offence",
    [
        "prosecdef <> (schema.nspname = 'ticketing')",
        "proconfig @> ARRAY['search_path=pg_catalog, pg_temp'] IS NOT TRUE",
        "proowner <> 'ticketing_owner'::regrole",
        "has_function_privilege('ticketing_operator', function.oid, 'EXECUTE') "
        "<> (schema.nspname = 'ticketing')",
        "schema.nspname = 'ticketing_private' AND EXISTS ("
        "SELECT FROM aclexplode(proacl) AS privilege WHERE privilege.grantee <> proowner)",
        "schema.nspname NOT IN ('ticketing', 'ticketing_private')",
        "coalesce(obj_description(function.oid, 'pg_proc'), '') = ''",
        "has_function_privilege('public', function.oid, 'EXECUTE')",
        "prolang NOT IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))",
    ],
    ids=[
        "of the interface runs as its caller, and no helper as its owner",
        "has no pinned search_path",
        "is owned by another role",
        "is in the interface and not for operators, or the other way round",
        "is a helper and may be executed by others than the owner",
        "is in another schema",
        "has no comment",
        "may be executed by everybody",
        "is in a language that may not be there",
    ],
)
def test_no_function(connection: Connection, offence: str) -> None:
    assert names(connection, f"{FUNCTIONS} AND ({offence})") == set()


@pytest.mark.parametrize(
    ("role", "calls"),
    [
        ("ticketing_service", SERVICE_CALLS),
        ("ticketing_operator", OPERATOR_CALLS),
        ("ticketing_owner", OWNER_CALLS),
        ("public", set()),
    ],
)
def test_a_role_may_call_exactly_what_it_needs(
    connection: Connection, role: str, calls: set[str]
) -> None:
    allowed = f"{FUNCTIONS} AND has_function_privilege(%s, function.oid, 'EXECUTE')"

    assert names(connection, allowed, role) == calls


def test_the_service_may_call_exactly_what_it_calls(connection: Connection) -> None:
    """Its statements are read from its source, and resolved by PostgreSQL as they are for it."""
    statements = [
        node.value
        for path in (manifest.ROOT.parent / "api/database").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\bticketing\.\w+\(", node.value)
    ]
    used = """
        SELECT use.refobjid::regprocedure::text
        FROM pg_rewrite AS rule
        JOIN pg_depend AS use ON use.classid = 'pg_rewrite'::regclass AND use.objid = rule.oid
        WHERE rule.ev_class = 'public.statement'::regclass
            AND use.refclassid = 'pg_proc'::regclass
            AND use.refobjid::regprocedure::text ~ '^ticketing'
    """
    called: set[str] = set()
    for statement in statements:
        with connection.transaction(force_rollback=True):
            view = f"CREATE VIEW public.statement AS {statement.replace('%s', 'NULL')}"
            connection.execute(view.encode())
            called |= names(connection, used)

    assert called == SERVICE_CALLS


def test_the_functions_that_sell_are_planned_for_large_tables_from_the_first_sale(
    connection: Connection,
) -> None:
    """A plan made while the tables are empty reads them whole, and is kept when they are not."""
    settings = {"enable_hashjoin=off", "enable_mergejoin=off", "enable_seqscan=off"}
    settings |= {"plan_cache_mode=force_generic_plan", "search_path=pg_catalog, pg_temp"}
    configured = f"{FUNCTIONS} AND proconfig @> %s::text[] AND proconfig <@ %s::text[]"

    assert names(connection, configured, [*settings], [*settings]) == SELLERS


@pytest.mark.parametrize(
    "offence",
    [
        "relowner <> 'ticketing_owner'::regrole",
        "coalesce(obj_description(relation.oid, 'pg_class'), '') = ''",
        "schema.nspname = CASE relkind WHEN 'r' THEN 'ticketing' ELSE 'ticketing_private' END",
        "relpersistence <> 'p'",
        "EXISTS (SELECT FROM pg_trigger WHERE tgrelid = relation.oid AND NOT tgisinternal)",
        "EXISTS (SELECT FROM pg_rewrite WHERE ev_class = relation.oid AND rulename <> '_RETURN')",
    ],
    ids=[
        "is owned by another role",
        "has no comment",
        "is in the wrong schema",
        "loses its rows in a crash",
        "has a trigger",
        "has a rule",
    ],
)
def test_no_table_or_view(connection: Connection, offence: str) -> None:
    assert names(connection, f"{RELATIONS} AND ({offence})") == set()


def test_every_key_begins_with_the_option(connection: Connection) -> None:
    """Then the tables can be distributed by it, and no decision needs rows of two options."""
    index_columns = """
        SELECT indrelid::regclass::text || '.' || attname
        FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid::regclass::text = ANY (%s)
    """
    reference_columns = """
        SELECT conrelid::regclass::text || '.' || attname
        FROM pg_constraint
        JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
        WHERE contype = 'f'
    """
    option_tables = [
        table for table in names(connection, RELATIONS) & TABLES if "installed" not in table
    ]

    assert names(connection, index_columns, option_tables) == {
        "ticketing_private.ticket_options.id",
        "ticketing_private.purchases.ticket_option_id",
    }
    assert names(connection, reference_columns) == {"ticketing_private.purchases.ticket_option_id"}


def test_every_table_has_a_primary_key(connection: Connection) -> None:
    without = f"""{RELATIONS} AND relkind = 'r' AND NOT EXISTS (
        SELECT FROM pg_index WHERE indrelid = relation.oid AND indisprimary
    )"""

    assert names(connection, without) == set()


@pytest.mark.parametrize("role", ["ticketing_service", "public"])
def test_a_role_that_only_calls_functions_has_no_privilege_on_any_relation(
    connection: Connection, role: str
) -> None:
    """Yoyo's own tables included."""
    relations = RELATIONS.replace("IN ('ticketing', 'ticketing_private')", "!~ '^pg_|^inform'")
    allowed = f"""{relations} AND (
        has_any_column_privilege(%s, relation.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
        OR has_table_privilege(%s, relation.oid, 'DELETE, TRUNCATE, TRIGGER')
        OR relkind = 'S' AND has_sequence_privilege(%s, relation.oid, 'USAGE')
    )"""

    assert len(names(connection, relations)) > len(TABLES | VIEWS)
    assert names(connection, allowed, role, role, role) == set()


def test_an_operator_may_select_from_the_views_and_nothing_else(connection: Connection) -> None:
    selected = f"{RELATIONS} AND has_table_privilege('ticketing_operator', relation.oid, %s)"

    assert names(connection, selected, "SELECT") == VIEWS
    assert names(connection, selected, "INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER") == set()


@pytest.mark.parametrize("role", ["ticketing_service", "ticketing_operator", "public"])
def test_a_role_may_create_nothing(connection: Connection, role: str) -> None:
    creatable = "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(%s, oid, 'CREATE')"
    database = "SELECT has_database_privilege(%s, current_database(), 'CREATE, TEMPORARY')"

    assert names(connection, creatable, role) == set()
    assert value(connection, database, role) is False


def test_only_the_owner_looks_into_the_private_schema(connection: Connection) -> None:
    users = "SELECT rolname FROM pg_roles WHERE has_schema_privilege(oid, %s, 'USAGE')"
    without_superusers = f"{users} AND NOT rolsuper AND rolname !~ '^pg_'"

    assert names(connection, without_superusers, "ticketing_private") == {"ticketing_owner"}
    assert names(connection, without_superusers, "ticketing") == {
        "ticketing_owner",
        "ticketing_service",
        "ticketing_operator",
    }


def test_the_roles_can_log_in_as_designed_and_have_no_powers(connection: Connection) -> None:
    roles = connection.execute(
        """
        SELECT
            rolname,
            rolcanlogin,
            rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
            EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)
        FROM pg_roles
        WHERE rolname ~ '^ticketing_'
        """
    ).fetchall()

    assert sorted(roles) == [
        ("ticketing_operator", True, False, False),
        ("ticketing_owner", False, False, False),
        ("ticketing_service", True, False, False),
    ]


def test_no_role_bears_the_name_of_a_schema(connection: Connection) -> None:
    """Yoyo finds its history through current_schema, and "$user" would come first."""
    namesakes = "SELECT rolname FROM pg_roles JOIN pg_namespace ON nspname = rolname"

    assert names(connection, namesakes) == set()


def test_a_function_that_is_new_may_not_be_executed_by_everybody(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE ticketing_owner")
        connection.execute("CREATE FUNCTION ticketing.f() RETURNS integer RETURN 1")
        allowed = "SELECT has_function_privilege('public', 'ticketing.f()', 'EXECUTE')"
        assert value(connection, allowed) is False


def test_there_is_one_procedure_file_for_each_function(connection: Connection) -> None:
    assert len(names(connection, FUNCTIONS)) == len(manifest.procedure_paths())
