"""What each role may do with the database: tried, not argued."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from loadtests.harness.postgres import Server, connect, new_option, value

Connection = psycopg.Connection[Any]

TABLES = [
    "ticketing_private.ticket_options",
    "ticketing_private.purchases",
    "ticketing_private.installed_files",
    "ticketing_private.holds",
    "ticketing_private.returns",
    "ticketing_private.capacity_changes",
    "ticketing_private.refused_resends",
]
VIEWS = [
    "ticketing.ticket_options",
    "ticketing.purchases",
    "ticketing.holds",
    "ticketing.returns",
    "ticketing.capacity_changes",
]
HISTORY = ["ticketing_migrations._yoyo_migration", "ticketing_migrations._yoyo_log"]

WRITES = [
    "INSERT INTO {} DEFAULT VALUES",
    "UPDATE {} SET {} = NULL",
    "DELETE FROM {}",
]
ACCESSES = ["SELECT FROM {}", "SELECT FROM {} FOR UPDATE", "LOCK {}", "COPY {} TO STDOUT", *WRITES]

COLUMNS = {
    "ticketing_private.ticket_options": "allocation",
    "ticketing_private.purchases": "quantity",
    "ticketing_private.installed_files": "sha256",
    "ticketing_private.holds": "quantity",
    "ticketing_private.returns": "quantity",
    "ticketing_private.capacity_changes": "number",
    "ticketing_private.refused_resends": "outcome",
    "ticketing.ticket_options": "allocation",
    "ticketing.purchases": "user_id",
    "ticketing.holds": "quantity",
    "ticketing.returns": "quantity",
    "ticketing.capacity_changes": "number",
    "ticketing_migrations._yoyo_migration": "migration_id",
    "ticketing_migrations._yoyo_log": "operation",
}

CREATIONS = [
    "CREATE TABLE t (i integer)",
    "CREATE TABLE public.t (i integer)",
    "CREATE TABLE ticketing.t (i integer)",
    "CREATE TABLE ticketing_private.t (i integer)",
    "CREATE TABLE ticketing_migrations.t (i integer)",
    "CREATE TEMPORARY TABLE t (i integer)",
    "CREATE TABLE pg_temp.t (i integer)",
    "SELECT 1 AS i INTO TEMPORARY t",
    "CREATE VIEW ticketing.v AS SELECT 1 AS i",
    "CREATE SEQUENCE ticketing.s",
    "CREATE TYPE ticketing.e AS ENUM ('a')",
    "CREATE SCHEMA s",
    "CREATE SCHEMA AUTHORIZATION CURRENT_USER",
    "CREATE FUNCTION ticketing.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX ON ticketing_private.purchases (user_id)",
    "CREATE ROLE r",
]

TAKEOVERS = [
    "SET ROLE ticketing_owner",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION ticketing_owner",
    "GRANT ticketing_owner TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER CREATEROLE",
    "ALTER TABLE ticketing_private.purchases OWNER TO CURRENT_USER",
    "ALTER TABLE ticketing_private.ticket_options DROP CONSTRAINT ticket_options_allocation_range",
    "DROP TABLE ticketing_private.purchases",
    "DROP VIEW ticketing.purchases",
    "DROP SCHEMA ticketing CASCADE",
    "DROP FUNCTION ticketing.installed_files()",
    "ALTER FUNCTION ticketing.installed_files() SECURITY INVOKER",
    "ALTER FUNCTION ticketing.installed_files() SET search_path = public",
    "CREATE OR REPLACE FUNCTION ticketing.get_ticket_option(option_id uuid) RETURNS integer "
    "LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER t AFTER INSERT ON ticketing_private.purchases "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
]

SERVICE_MAY_NOT_CALL = [
    "SELECT ticketing.purchase_tickets(gen_random_uuid(), gen_random_uuid(), 1)",
    "SELECT ticketing.create_ticket_option('a', 'b', 1)",
    "SELECT FROM ticketing.get_ticket_option(gen_random_uuid())",
    "SELECT FROM ticketing.audit_allocations()",
    "SELECT ticketing.hold_tickets(gen_random_uuid(), gen_random_uuid(), 1)",
    "SELECT ticketing.update_ticket_option(gen_random_uuid(), NULL)",
    "SELECT FROM ticketing.option_history(gen_random_uuid())",
]
NOBODY_MAY_CALL = [
    "SELECT ticketing_private.require_purchases(NULL, NULL, NULL)",
    "SELECT ticketing_private.take_tickets_of_one(NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "SELECT ticketing_private.clock()",
]


@pytest.fixture(scope="module")
def roles(postgres_18: Server) -> Iterator[dict[str, Connection]]:
    """A connection as each of the roles that log in, and as one that was granted nothing."""
    with postgres_18.database() as database, connect(database) as superuser:
        superuser.execute("CREATE ROLE ticketing_stranger LOGIN")
        # Refused things are only refused in earnest where there is something to lose.
        superuser.execute(
            "SELECT ticketing.purchase_tickets(%s, gen_random_uuid(), 4)",
            (new_option(superuser, 10),),
        )
        try:
            with (
                connect(database, "ticketing_service") as service,
                connect(database, "ticketing_operator") as operator,
                connect(database, "ticketing_stranger") as stranger,
            ):
                yield {"service": service, "operator": operator, "stranger": stranger}
        finally:
            superuser.execute("DROP ROLE ticketing_stranger")


def refused(
    roles: tuple[str, ...], templates: list[str], relations: list[str] | None = None
) -> list[tuple[str, str]]:
    """A role and a statement that is not for it, for each of each."""
    return [
        (role, template.format(relation, COLUMNS.get(relation)))
        for role in roles
        for relation in relations or [""]
        for template in templates
    ]


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        *refused(("service", "stranger"), ACCESSES, TABLES + VIEWS + HISTORY),
        *refused(("operator",), ACCESSES, TABLES + HISTORY),
        *refused(("operator",), WRITES, VIEWS),
        *refused(("service", "operator", "stranger"), ["TRUNCATE {}"], TABLES + HISTORY),
        *refused(("service", "operator", "stranger"), CREATIONS + TAKEOVERS),
        *refused(("service", "stranger"), SERVICE_MAY_NOT_CALL),
        *refused(("service", "operator", "stranger"), NOBODY_MAY_CALL),
        *refused(("stranger",), ["SELECT FROM ticketing.installed_files()"]),
    ],
)
def test_what_is_not_for_a_role_is_refused(
    roles: dict[str, Connection], role: str, statement: str
) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        roles[role].transaction(force_rollback=True),
    ):
        roles[role].execute(statement.encode())


def test_the_service_does_its_work_with_functions_alone(roles: dict[str, Connection]) -> None:
    service, purchase, user = roles["service"], uuid.uuid4(), uuid.uuid4()

    option = uuid.uuid4()
    create = "SELECT ticketing.try_create_ticket_option(%s, 'a', 'b', 10)"
    assert value(service, create, option) == "created"
    sell = "SELECT ticketing.purchase_tickets(%s, %s::uuid[], %s::uuid[], %s::integer[])"
    assert value(service, sell, option, [purchase], [user], [4]) == ["created"]
    of_many = (
        "SELECT ticketing.purchase_tickets_of_many("
        "%s::uuid[], %s::uuid[], %s::uuid[], %s::integer[])"
    )
    assert value(service, of_many, [option], [purchase], [user], [4]) == ["exists"]
    left = "SELECT allocation FROM ticketing.get_ticket_options(%s::uuid[])"
    assert value(service, left, [option]) == 6
    taken = "SELECT quantity FROM ticketing.get_purchase(%s, %s)"
    assert value(service, taken, option, purchase) == 4
    assert value(service, "SELECT count(*) > 0 FROM ticketing.installed_files()") is True


def test_an_operator_calls_every_function_and_reads_the_views(
    roles: dict[str, Connection],
) -> None:
    operator, purchase, user = roles["operator"], uuid.uuid4(), uuid.uuid4()

    option = value(operator, "select create_ticket_option('a', 'b', 10)")
    assert value(operator, "select purchase_tickets(%s, %s, 4, %s)", option, user, purchase)
    sell = "select purchase_tickets(%s, %s::uuid[], %s::uuid[], %s::integer[])"
    assert value(operator, sell, option, [purchase], [user], [4]) == ["exists"]
    of_many = sell.replace("tickets(%s,", "tickets_of_many(%s::uuid[],")
    assert value(operator, of_many, [option], [purchase], [user], [4]) == ["exists"]
    assert value(operator, "select allocation from get_ticket_option(%s)", option) == 6
    assert value(operator, "select quantity from get_purchase(%s, %s)", option, purchase) == 4
    assert value(operator, "select sold from ticket_options where id = %s", option) == 4
    assert value(operator, "select user_id from purchases where id = %s", purchase) == user
    assert value(operator, "select count(*) from audit_allocations()") == 0
    assert value(operator, "select count(*) > 0 from installed_files()") is True


TAKE_OVER = """
    CREATE FUNCTION pg_temp.note(anyelement) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        RAISE WARNING 'running as %', current_user;
        RETURN true;
    END
    $$;
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.note(VALUE));
    CREATE DOMAIN pg_temp.uuid AS pg_catalog.uuid CHECK (pg_temp.note(VALUE));
    CREATE DOMAIN pg_temp.integer AS pg_catalog.int4 CHECK (pg_temp.note(VALUE));
    CREATE DOMAIN pg_temp.int4 AS pg_catalog.int4 CHECK (pg_temp.note(VALUE));
    CREATE DOMAIN pg_temp.bool AS pg_catalog.bool CHECK (pg_temp.note(VALUE));
    CREATE TABLE pg_temp.unnest (i integer);
    CREATE TABLE pg_temp.ticket_options (i integer);
    CREATE TABLE pg_temp.purchases (i integer);
"""
"""Types of the names that the functions use. Their checks run as whoever uses them."""


@pytest.mark.parametrize("role", ["ticketing_service", "ticketing_operator"])
def test_a_role_that_may_make_temporary_objects_does_not_run_code_as_the_owner(
    shared_database: str, role: str
) -> None:
    """PUBLIC may make them wherever the migrating role does not own the database."""
    ran_as: list[str | None] = []
    database = conninfo_to_dict(shared_database)["dbname"]
    arguments = {
        "purchase_tickets(uuid,uuid,integer,uuid)": "{option}, {id}, 1",
        "purchase_tickets(uuid,uuid[],uuid[],integer[])": "{option}, {ids}, {ids}, {quantities}",
        "purchase_tickets_of_many(uuid[],uuid[],uuid[],integer[])": (
            "ARRAY[{option}], {ids}, {ids}, {quantities}"
        ),
        "purchase_tickets_unless_busy(uuid,uuid[],uuid[],integer[],integer)": (
            "{option}, {ids}, {ids}, {quantities}, 1"
        ),
        "create_ticket_option(text,text,integer,uuid,integer,integer,"
        "timestamp with time zone,timestamp with time zone,boolean)": "'a', 'b', 1, {id}",
        "try_create_ticket_option(uuid,text,text,integer,integer,integer,"
        "timestamp with time zone,timestamp with time zone,boolean)": (
            "{id}, 'a', 'b', 1, 1, 1, NULL, NULL, true"
        ),
        "update_ticket_option(uuid,jsonb)": "{option}, '{{\"max_per_user\": 100}}'",
        "try_update_ticket_option(uuid,jsonb,integer)": "{option}, '{{\"capacity\": 100}}', 0",
        "change_capacity(uuid,integer)": "{option}, 1",
        "get_availability(uuid)": "{option}",
        "describe_ticket_options(uuid[])": "ARRAY[{option}]",
        "describe_purchase(uuid,uuid)": "{option}, {id}",
        "list_ticket_options(uuid,integer)": "NULL, 5",
        "list_purchases(uuid,uuid,uuid,integer)": "{option}, NULL, NULL, 5",
        "list_holds(uuid,uuid,text,uuid,integer)": "{option}, NULL, 'held', NULL, 5",
        "try_purchase_tickets(uuid,uuid[],uuid[],integer[],integer,uuid[])": (
            "{option}, {ids}, {ids}, {quantities}, 1, {ids}"
        ),
        "try_purchase_tickets_of_many(uuid[],uuid[],uuid[],integer[],uuid[])": (
            "ARRAY[{option}], {ids}, {ids}, {quantities}"
        ),
        "hold_tickets(uuid,uuid,integer,integer,uuid)": "{option}, {id}, 1, 60, {id}",
        "try_hold_tickets(uuid,uuid[],uuid[],integer[],integer[],integer,uuid[])": (
            "{option}, {ids}, {ids}, {quantities}, {quantities}, 1"
        ),
        "try_hold_tickets_of_many(uuid[],uuid[],uuid[],integer[],integer[],uuid[])": (
            "ARRAY[{option}], {ids}, {ids}, {quantities}, {quantities}"
        ),
        "get_hold(uuid,uuid)": "{option}, {id}",
        "purchase_hold(uuid,uuid)": "{option}, pg_catalog.gen_random_uuid()",
        "try_purchase_holds(uuid,uuid[],integer,uuid[])": "{option}, {ids}, 1, {ids}",
        "try_purchase_holds_of_many(uuid[],uuid[],uuid[])": "ARRAY[{option}], {ids}",
        "release_hold(uuid,uuid)": "{option}, pg_catalog.gen_random_uuid()",
        "try_release_hold(uuid,uuid,integer)": "{option}, {id}, 0",
        "return_tickets(uuid,uuid,integer)": "{option}, {id}, 0",
        "try_return_tickets(uuid,uuid,integer,integer)": "{option}, {id}, 0, 0",
        "sweep_expired_holds(integer)": "",
        "option_history(uuid)": "{option}",
        "try_create_ticket_option(uuid,text,text,integer)": "{id}, 'a', 'b', 1",
        "get_ticket_option(uuid)": "{option}",
        "get_ticket_options(uuid[])": "ARRAY[{option}]",
        "get_purchase(uuid,uuid)": "{option}, {id}",
        "installed_files()": "",
        "audit_allocations()": "",
    }
    with connect(shared_database) as superuser:
        superuser.execute(f"GRANT TEMPORARY ON DATABASE {database} TO PUBLIC".encode())
        try:
            option = f"'{new_option(superuser, 10)}'::pg_catalog.uuid"
            purchase = f"'{uuid.uuid4()}'::pg_catalog.uuid"
            with connect(shared_database, role) as attacker:
                callable_ = attacker.execute(
                    "SELECT oid::regprocedure::text FROM pg_proc "
                    "WHERE pronamespace = 'ticketing'::regnamespace "
                    "AND has_function_privilege(oid, 'EXECUTE')"
                ).fetchall()
                attacker.execute(TAKE_OVER)
                attacker.add_notice_handler(lambda notice: ran_as.append(notice.message_primary))
                for (function,) in callable_:
                    name = function.removeprefix("ticketing.")
                    values = arguments[name].format(
                        option=option,
                        id=purchase,
                        ids=f"ARRAY[{purchase}]",
                        quantities="ARRAY[1::pg_catalog.int4]",
                    )
                    call = f"SELECT * FROM ticketing.{name.partition('(')[0]}({values})"
                    with suppress(psycopg.Error):  # a refusal, such as TK001
                        attacker.execute(call.encode())
        finally:
            superuser.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC".encode())

    assert ran_as == []
