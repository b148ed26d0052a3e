"""What holds for every function, table and privilege, read from PostgreSQL's own catalogue."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.database import taking
from db import manifest
from loadtests.harness.postgres import value

Connection = psycopg.Connection[Any]

SERVICE_CALLS = {
    "ticketing.describe_purchase(uuid,uuid)",
    "ticketing.describe_ticket_options(uuid[])",
    "ticketing.get_availability(uuid)",
    "ticketing.get_hold(uuid,uuid)",
    "ticketing.installed_files()",
    "ticketing.list_holds(uuid,uuid,text,uuid,integer)",
    "ticketing.list_purchases(uuid,uuid,uuid,integer)",
    "ticketing.list_ticket_options(uuid,integer)",
    "ticketing.sweep_expired_holds(integer)",
    "ticketing.try_create_ticket_option(uuid,text,text,integer,integer,integer,"
    "timestamp with time zone,timestamp with time zone,boolean)",
    "ticketing.try_hold_tickets(uuid,uuid[],uuid[],integer[],integer[],integer,uuid[])",
    "ticketing.try_hold_tickets_of_many(uuid[],uuid[],uuid[],integer[],integer[],uuid[])",
    "ticketing.try_purchase_holds(uuid,uuid[],integer,uuid[])",
    "ticketing.try_purchase_holds_of_many(uuid[],uuid[],uuid[])",
    "ticketing.try_purchase_tickets(uuid,uuid[],uuid[],integer[],integer,uuid[])",
    "ticketing.try_purchase_tickets_of_many(uuid[],uuid[],uuid[],integer[],uuid[])",
    "ticketing.try_release_hold(uuid,uuid,integer)",
    "ticketing.try_return_tickets(uuid,uuid,integer,integer)",
    "ticketing.try_update_ticket_option(uuid,jsonb,integer)",
}
PREVIOUS_SERVICE_CALLS = {
    "ticketing.get_purchase(uuid,uuid)",
    "ticketing.get_ticket_options(uuid[])",
    "ticketing.purchase_tickets(uuid,uuid[],uuid[],integer[])",
    "ticketing.purchase_tickets_of_many(uuid[],uuid[],uuid[],integer[])",
    "ticketing.try_create_ticket_option(uuid,text,text,integer)",
    "ticketing.purchase_tickets_unless_busy(uuid,uuid[],uuid[],integer[],integer)",
}
"""Called by the previous release, which may still be running beside this one."""

OPERATOR_CALLS = (
    SERVICE_CALLS
    | PREVIOUS_SERVICE_CALLS
    | {
        "ticketing.audit_allocations()",
        "ticketing.change_capacity(uuid,integer)",
        "ticketing.create_ticket_option(text,text,integer,uuid,integer,integer,"
        "timestamp with time zone,timestamp with time zone,boolean)",
        "ticketing.get_ticket_option(uuid)",
        "ticketing.hold_tickets(uuid,uuid,integer,integer,uuid)",
        "ticketing.option_history(uuid)",
        "ticketing.purchase_hold(uuid,uuid)",
        "ticketing.purchase_tickets(uuid,uuid,integer,uuid)",
        "ticketing.release_hold(uuid,uuid)",
        "ticketing.return_tickets(uuid,uuid,integer)",
        "ticketing.update_ticket_option(uuid,jsonb)",
    }
)
HELPERS = {
    "ticketing_private.bound_lock_wait(integer)",
    "ticketing_private.check_rules(integer,integer,timestamp with time zone,"
    "timestamp with time zone)",
    "ticketing_private.clock()",
    "ticketing_private.decide_purchases(integer[],uuid[],uuid[],integer[],integer[],"
    "integer,integer,integer[],bigint[],text[],integer[])",
    "ticketing_private.details_of_outcomes(uuid[],uuid[],text[],jsonb[],integer[],"
    "integer[],integer[],timestamp with time zone)",
    "ticketing_private.expire_holds(uuid,bigint,bigint,timestamp with time zone)",
    "ticketing_private.has_run_out(uuid,timestamp with time zone)",
    "ticketing_private.lock_option(uuid,integer[],boolean,integer)",
    "ticketing_private.more_members(integer,integer,timestamp with time zone,"
    "timestamp with time zone,boolean)",
    "ticketing_private.outcomes_without_details(text[])",
    "ticketing_private.purchase_holds_of_many(uuid[],uuid[],uuid[])",
    "ticketing_private.purchase_late_hold(uuid,uuid,uuid,timestamp with time zone)",
    "ticketing_private.message_of_constraint(text)",
    "ticketing_private.raise_refusal(uuid,integer,text,jsonb)",
    "ticketing_private.ran_out(uuid,timestamp with time zone)",
    "ticketing_private.require_changes(jsonb)",
    "ticketing_private.require_holds(uuid[],integer[])",
    "ticketing_private.require_purchases(uuid[],uuid[],integer[])",
    "ticketing_private.require_resends(uuid[],uuid[])",
    "ticketing_private.rfc3339(timestamp with time zone)",
    "ticketing_private.rules_of_option(uuid,uuid[],timestamp with time zone)",
    "ticketing_private.state_of_hold(text,timestamp with time zone)",
    "ticketing_private.store_refusals(uuid,uuid[],uuid[],text[],jsonb[],timestamp with time zone)",
    "ticketing_private.take_tickets_of_many(uuid[],uuid[],uuid[],integer[],integer[],uuid[])",
    "ticketing_private.take_tickets_of_one(uuid,uuid[],uuid[],integer[],integer[],uuid[],boolean)",
    "ticketing_private.values_of_option(text,text,integer,integer,integer,"
    "timestamp with time zone,timestamp with time zone,boolean)",
}
"""Called by the functions above, as the owner whom these run as."""

OWNER_CALLS = OPERATOR_CALLS | HELPERS
SELLERS = {
    call
    for call in HELPERS
    if re.search(r"\.(take_tickets_|purchase_holds_|purchase_late_|details_of_)", call)
}
"""Called for every sale or hold, and find rows by their keys."""

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
    "ticketing_private.capacity_changes",
    "ticketing_private.holds",
    "ticketing_private.installed_files",
    "ticketing_private.purchases",
    "ticketing_private.refused_resends",
    "ticketing_private.returns",
    "ticketing_private.ticket_options",
}
VIEWS = {
    "ticketing.capacity_changes",
    "ticketing.holds",
    "ticketing.purchases",
    "ticketing.returns",
    "ticketing.ticket_options",
}


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
        ("ticketing_service", SERVICE_CALLS | PREVIOUS_SERVICE_CALLS),
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


def statements_of(path: Path) -> Iterator[str]:
    """The strings in a module of the service, f-strings evaluated, and the kinds' statements."""
    module = importlib.import_module(f"api.database.{path.stem}")
    for kind in vars(module).values():
        if isinstance(kind, taking.Kind):
            yield from kind.one_option + kind.many_options
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.JoinedStr):
            if "ticketing." in ast.unparse(node):
                yield eval(ast.unparse(node), vars(module))
        elif isinstance(node, ast.Constant):
            yield str(node.value)
        elif not (isinstance(node, ast.ClassDef) and node.name == taking.Kind.__name__):
            nodes += ast.iter_child_nodes(node)


def test_the_service_may_call_exactly_what_it_calls(connection: Connection) -> None:
    """Its statements are read from its source, and resolved by PostgreSQL as they are for it."""
    statements = [
        statement
        for path in (manifest.ROOT.parent / "api/database").glob("*.py")
        for statement in statements_of(path)
        if re.search(r"\bticketing\.\w+\(", statement)
    ]
    used = """
        SELECT use.refobjid::regprocedure::text
        FROM pg_depend AS use
        WHERE use.classid = 'pg_proc'::regclass
            AND use.objid = 'public.statement'::regproc
            AND use.refclassid = 'pg_proc'::regclass
            AND use.refobjid::regprocedure::text ~ '^ticketing'
    """
    called: set[str] = set()
    for statement in statements:
        with connection.transaction(force_rollback=True):
            body = f"BEGIN ATOMIC {statement.replace('%s', 'NULL')}; END"
            connection.execute(f"CREATE FUNCTION public.statement() RETURNS void {body}".encode())
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
    of_an_option = {
        f"{table}.ticket_option_id" for table in option_tables if "ticket_options" not in table
    }

    unique = names(connection, f"{index_columns} AND indisunique", option_tables)
    assert unique == of_an_option | {"ticketing_private.ticket_options.id"}
    # What lists the options, and what finds what there is to sweep.
    assert names(connection, index_columns, option_tables) - unique == {
        "ticketing_private.ticket_options.created_at",
        "ticketing_private.holds.expires_at",
        "ticketing_private.refused_resends.refused_at",
    }
    # A sale has its option locked, and writes rows without looking for it once more.
    assert names(connection, reference_columns) == of_an_option - {
        "ticketing_private.purchases.ticket_option_id",
        "ticketing_private.holds.ticket_option_id",
    }


def test_no_index_has_a_column_that_a_sale_changes(connection: Connection) -> None:
    """Then the row of an option in demand is updated in place."""
    indexed = """
        SELECT attname
        FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indrelid = 'ticketing_private.ticket_options'::regclass
    """

    assert names(connection, indexed) == {"id", "created_at"}


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
