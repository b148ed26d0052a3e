"""plpgsql_check finds nothing in db/procedures, and does find what is planted there.

PostgreSQL parses a function's body when it is created, but looks up names and types only when a
statement is first run: a misspelt column in a branch that no test takes would fail in production.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest

from db import manifest
from loadtests.harness.postgres import Server, connect

Connection = psycopg.Connection[Any]

CHECK = """
    SELECT concat(function.oid::regprocedure, ':', found.lineno, ': ', found.message)
    FROM pg_proc AS function
    CROSS JOIN plpgsql_check_function_tb(function.oid, all_warnings => true) AS found
    WHERE function.pronamespace IN ('ticketing'::regnamespace, 'ticketing_private'::regnamespace)
        AND function.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')
        AND found.message <> 'name of parameter "desc" is reserved keyword'
"""
"""The contract calls it ``desc``, and SQL has to quote that."""


class Fault(NamedTuple):
    """What is planted: in the file of that name, ``new`` instead of ``old``."""

    name: str
    old: str
    new: str
    found: str


FAULTS = [
    Fault(
        "purchase_tickets",
        "    sold record;\n",
        "    sold record;\n    forgotten integer;\n",
        'unused variable "forgotten"',
    ),
    Fault(
        "purchase_tickets",
        "    sold record;\n",
        "    sold record;\n    qty integer;\n",
        'parameter "qty" is overlapped',
    ),
    Fault(
        "get_ticket_options",
        "WHERE option.id = ANY (option_ids)",
        "WHERE true",
        'unused parameter "option_ids"',
    ),
    Fault(
        "change_capacity",
        "SELECT option.capacity::bigint",
        "SELECT option.alocation::bigint",
        "column option.alocation does not exist",
    ),
    Fault(
        "change_capacity",
        "FROM ticketing_private.ticket_options AS option\n",
        "FROM ticket_options AS option\n",
        'relation "ticket_options" does not exist',
    ),
    Fault(
        "take_tickets_of_one",
        "ticketing_private.decide_purchases(",
        "ticketing_private.decide_purchase(",
        "function ticketing_private.decide_purchase(",
    ),
    Fault(
        "take_tickets_of_one",
        "user_ids[sold.place]",
        "user_id[sold.place]",
        'column "user_id" does not exist',
    ),
    Fault(
        "take_tickets_of_many",
        "stored.is_same THEN",
        "stored.is_sane THEN",
        'record "stored" has no field "is_sane"',
    ),
    Fault(
        "purchase_tickets",
        "    RETURN purchase_id;\n",
        "",
        "control reached end of function without RETURN",
    ),
    Fault(
        "purchase_tickets",
        "    RETURN purchase_id;\n",
        "    qty := purchase_id;\n    RETURN purchase_id;\n",
        "target type is different type than source type",
    ),
    Fault(
        "purchase_tickets_of_one",
        "    RETURN ticketing_private.outcomes_without_details(sold.outcomes);\n",
        "    RETURN NULL;\n    option_id := NULL;\n",
        "unreachable code",
    ),
    Fault(
        "take_tickets_of_one",
        "VOLATILE\n",
        "STABLE\n",
        "is not allowed in a non volatile function",
    ),
]


@pytest.fixture(scope="module")
def checked(postgres_15: Server) -> Iterator[Connection]:
    """A database of Debian's PostgreSQL with the extension."""
    with postgres_15.database() as database, connect(database) as connection:
        try:
            connection.execute("CREATE EXTENSION plpgsql_check")
        except (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported):
            pytest.skip("not installed: apt-get install postgresql-15-plpgsql-check")
        yield connection


def findings(connection: Connection) -> list[str]:
    return [line for (line,) in connection.execute(CHECK.encode())]


def test_there_is_nothing_to_find(checked: Connection) -> None:
    assert findings(checked) == []


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.found for fault in FAULTS])
def test_what_is_planted_is_found(checked: Connection, fault: Fault) -> None:
    source = (manifest.PROCEDURES / f"{fault.name}.sql").read_text()
    assert fault.old in source
    with checked.transaction(force_rollback=True):
        checked.execute(source.replace(fault.old, fault.new, 1).encode())

        lines = findings(checked)

    assert any(fault.found in line for line in lines), lines
