"""The SQL files themselves: how they are written, and that no other place names the tables."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from db import manifest
from loadtests.harness.postgres import Server

VALUES = {"current_user", "false", "true"}
"""Keywords that stand for a value, and are written like one."""

API = manifest.ROOT.parent / "api"

HELPERS = {
    "bound_lock_wait",
    "check_rules",
    "clock",
    "decide_purchases",
    "details_of_outcomes",
    "expire_holds",
    "has_run_out",
    "lock_option",
    "more_members",
    "purchase_holds_of_many",
    "purchase_late_hold",
    "message_of_constraint",
    "outcomes_without_details",
    "raise_refusal",
    "ran_out",
    "require_changes",
    "require_holds",
    "require_purchases",
    "require_resends",
    "rfc3339",
    "rules_of_option",
    "state_of_hold",
    "store_refusals",
    "take_tickets_of_many",
    "take_tickets_of_one",
    "values_of_option",
}
"""Called by other functions only: in the private schema, and granted to nobody."""

each_procedure = pytest.mark.parametrize(
    "path", manifest.procedure_paths(), ids=[path.stem for path in manifest.procedure_paths()]
)


def without_comments_and_strings(sql: str) -> str:
    return re.sub(r"--.*|'(?:[^']|'')*'|\"[^\"]*\"", " ", sql)


@each_procedure
def test_a_procedure_file_defines_one_function_and_nothing_else(path: Path) -> None:
    sql = without_comments_and_strings(path.read_text())
    statements = re.findall(r"^[A-Z].*", sql, re.MULTILINE)
    objects = re.findall(r"\b(?:CREATE(?: OR REPLACE)?|ALTER|DROP) .*", sql)

    schema = "ticketing_private" if path.stem in HELPERS else "ticketing"
    [name] = re.findall(rf"^CREATE OR REPLACE FUNCTION {schema}\.(\w+)\(", sql, re.MULTILINE)
    assert path.stem.startswith(name)
    assert len(objects) == 1
    assert sum(line.startswith("COMMENT ON FUNCTION") for line in statements) == 1
    grants = sum(line.startswith("GRANT EXECUTE ON FUNCTION") for line in statements)
    assert grants == (0 if path.stem in HELPERS else 1)


@each_procedure
def test_a_function_has_its_contract_above_it_and_a_comment_and_grants_below(path: Path) -> None:
    sql = path.read_text()
    contract, _, body = sql.partition("CREATE OR REPLACE FUNCTION ")
    schema, _, name = body.partition("(")[0].partition(".")

    assert re.fullmatch(r"(--.*\n)+\n", contract)
    assert contract.startswith(f"-- {name}(")
    assert len(contract.split()) > 10
    [commented] = re.findall(r"^COMMENT ON FUNCTION (\S[^;]*\)) IS$", sql, re.MULTILINE)
    granted = re.findall(r"^GRANT EXECUTE ON FUNCTION (\S.*\))$", sql, re.MULTILINE)
    assert granted == ([] if path.stem in HELPERS else [commented])
    assert commented.startswith(f"{schema}.{name}(")


@each_procedure
def test_a_function_names_everything_with_its_schema(path: Path) -> None:
    sql = without_comments_and_strings(path.read_text())
    relations = re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_.]+)(?!\()\b", sql)

    assert [
        name
        for name in relations
        if re.match(r"ticket_options|purchases|holds|returns|capacity|refused|inst", name)
    ] == []


@each_procedure
def test_a_setting_other_than_the_search_path_has_its_reason_above_it(path: Path) -> None:
    """PostgreSQL's manual calls the planner's settings crude: a reader stops there."""
    lines = path.read_text().splitlines()
    settings = [
        at
        for at, line in enumerate(lines)
        if line.startswith("SET ") and not line.startswith("SET search_path")
    ]

    assert not settings or lines[settings[0] - 1].startswith("-- ")


def test_keywords_are_in_upper_case(postgres_18: Server) -> None:
    with psycopg.connect(postgres_18.superuser_conninfo) as connection:
        keywords = {
            word
            for (word,) in connection.execute(
                "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')"
            )
        }
    paths = [*manifest.procedure_paths(), *manifest.MIGRATIONS.glob("*.sql")]

    found = [
        f"{manifest.name_of(path)}: {word}"
        for path in paths
        for word in re.findall(r"\b[a-z_]+\b", without_comments_and_strings(path.read_text()))
        if word in keywords - VALUES
    ]

    assert found == []


def test_nothing_but_db_knows_the_tables() -> None:
    sources = [*API.rglob("*.py"), *API.rglob("*.json")]
    assert sources

    assert [path.name for path in sources if "ticketing_private" in path.read_text()] == []


def test_only_the_store_and_readiness_call_the_database_functions() -> None:
    callers = {
        path.relative_to(API).as_posix()
        for path in API.rglob("*.py")
        if re.search(r"\bticketing\.\w+", path.read_text())
    }

    assert callers == {"database/store.py", "database/readiness.py"}
