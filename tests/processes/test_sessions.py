"""Defaults set by a database, a role or the environment do not reach a buyer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.database.calls import Database
from api.settings import Settings
from db import migrate
from loadtests.harness import service
from loadtests.harness.postgres import Server, connect, new_option, value
from tests.processes.conftest import USER, Buyer
from tests.processes.test_startup import run

DEFAULTS = {
    "datestyle": "German, DMY",
    "timezone": "Asia/Kathmandu",
    "intervalstyle": "sql_standard",
    "client_encoding": "SQL_ASCII",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "search_path": "nowhere",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
}

ENVIRONMENT = {
    "PGDATESTYLE": DEFAULTS["datestyle"],
    "PGTZ": DEFAULTS["timezone"],
    "PGCLIENTENCODING": DEFAULTS["client_encoding"],
    "PGGEQO": "off",
    "PGOPTIONS": "-c search_path=nowhere -c standard_conforming_strings=off",
}

NAME = "Fête \N{TICKET} \N{GRINNING FACE}"

TIMES = [
    "1901-02-03T04:05:06.789012Z",
    "2026-03-04T05:06:07.000000Z",
    "9999-12-31T23:59:59.999999Z",
]


@contextmanager
def defaults_set(database: str, where: str, defaults: dict[str, str]) -> Iterator[None]:
    """Give new sessions these defaults, and reset them at the end."""
    target = where.format(database=conninfo_to_dict(database)["dbname"])
    with closing(connect(database)) as superuser:
        for name, default in defaults.items():
            # Quoted, it would be a single element of the list.
            given = default if name == "datestyle" else f"'{default}'"
            superuser.execute(f"ALTER {target} SET {name} = {given}".encode())
        try:
            yield
        finally:
            superuser.execute(f"ALTER {target} RESET ALL".encode())


@contextmanager
def buying(database: str, **environment: str) -> Iterator[Buyer]:
    """A buyer at a service that connects to the database in its current state."""
    with service.running(DATABASE_URL=database, WORKERS="1", **environment) as served:
        buyer = Buyer(served.port)
        yield buyer
        buyer.close()
        assert "Traceback" not in served.log()


def check_what_a_buyer_sees(database: str, buyer: Buyer) -> None:
    """Create an option, purchase it, read both, and fail if anything looks different."""
    new = {"name": NAME, "desc": NAME, "allocation": 10}
    option = buyer.send("POST", "/ticket_options", new).headers["Location"]
    assert option
    read = buyer.send("GET", option)
    assert (read.status, json.loads(read.body)["name"]) == (200, NAME)

    asked = {"quantity": 2, "user_id": USER}
    prefer = {"Prefer": "return=representation"}
    sold = buyer.send("POST", f"{option}/purchases", asked, prefer)

    assert sold.status == 201
    assert sold.headers["Preference-Applied"] == "return=representation"
    purchase = sold.headers["Location"]
    assert purchase
    assert buyer.send("GET", purchase).body == sold.body
    assert buyer.left(option) == 8
    with closing(connect(database)) as superuser:
        for time in TIMES:
            superuser.execute("UPDATE ticketing_private.purchases SET created_at = %s", (time,))
            assert json.loads(buyer.send("GET", purchase).body)["created_at"] == time


@pytest.mark.parametrize(
    ("where", "role"),
    [
        ("DATABASE {database}", "ticketing_service"),
        ("DATABASE {database}", "postgres"),
        ("ROLE ticketing_service", "ticketing_service"),
        ("ROLE ticketing_service IN DATABASE {database}", "ticketing_service"),
        ("ROLE postgres IN DATABASE {database}", "postgres"),
    ],
)
def test_defaults_of_the_server_do_not_reach_a_buyer(database: str, where: str, role: str) -> None:
    with (
        defaults_set(database, where, DEFAULTS),
        buying(make_conninfo(database, user=role)) as buyer,
    ):
        check_what_a_buyer_sees(database, buyer)


def test_defaults_of_an_older_server_do_not_reach_a_buyer(any_database: str) -> None:
    with (
        defaults_set(
            any_database, "DATABASE {database}", {**DEFAULTS, "client_encoding": "LATIN1"}
        ),
        buying(any_database) as buyer,
    ):
        check_what_a_buyer_sees(any_database, buyer)


def test_the_environment_does_not_reach_a_buyer(database: str) -> None:
    with buying(database, **ENVIRONMENT) as buyer:
        check_what_a_buyer_sees(database, buyer)


def test_the_embedded_database_is_served_in_a_hostile_environment(tmp_path: Path) -> None:
    with service.running(DATA_DIR=str(tmp_path / "data"), WORKERS="1", **ENVIRONMENT) as served:
        buyer = Buyer(served.port)
        buyer.new_option(allocation=1)
        buyer.close()


def test_defaults_affect_neither_migrate_nor_audit(
    postgres_18: Server,
) -> None:
    with postgres_18.database(template="template0") as fresh:
        with defaults_set(fresh, "DATABASE {database}", DEFAULTS):
            migrated = run("migrate", DATABASE_URL=fresh, **ENVIRONMENT)
            assert migrated.returncode == 0, migrated.stderr
            with closing(connect(fresh)) as superuser:
                new_option(superuser, 3)
                superuser.execute("UPDATE ticketing_private.ticket_options SET allocation = 2")
            audited = run("audit", DATABASE_URL=fresh, **ENVIRONMENT)
        assert audited.returncode == 1, audited.stderr
        assert "'a': capacity 3, left 2, held 0, sold 0: tickets lost: 1" in audited.stdout
        assert migrate.check(fresh) == []


def test_the_session_of_psql_is_the_operators(database: str) -> None:
    shown = run(
        "psql", "--", "-X", "-At", "-c", "SHOW datestyle", DATABASE_URL=database, **ENVIRONMENT
    )

    assert (shown.stdout.strip(), shown.returncode) == ("German, DMY", 0), shown.stderr


@pytest.mark.parametrize(
    ("default", "ours"),
    [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
async def test_a_sale_is_committed_as_the_server_says_but_always_flushed_to_disk(
    database: str, default: str, ours: str
) -> None:
    settings = Settings()
    with defaults_set(database, "DATABASE {database}", {"synchronous_commit": default}):
        connections = Database(
            settings.service_conninfo(database),
            pool_size=4,
            max_waiting=4,
            timeout_seconds=5,
            answer_timeout_seconds=5,
        )
        await connections.open()
        try:
            assert await connections.call("SHOW synchronous_commit") == [(ours,)]
        finally:
            await connections.close()


@pytest.mark.parametrize("own_role", ["ticketing_service", "postgres"])
def test_the_settings_of_the_session_are_those_that_the_service_depends_on(
    database: str, own_role: str
) -> None:
    conninfo = Settings().service_conninfo(make_conninfo(database, user=own_role))
    with (
        defaults_set(database, "DATABASE {database}", DEFAULTS),
        closing(connect(conninfo, role=own_role)) as connection,
    ):
        for name, hostile in DEFAULTS.items():
            if name != "synchronous_commit":  # see above
                assert value(connection, f"SHOW {name}") != hostile, name
