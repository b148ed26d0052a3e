"""What the release before left is dropped, and no call that is in flight notices."""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import db
from db import backend, manifest, migrate, retired
from loadtests.harness.interleaving import wait_until_blocked
from loadtests.harness.postgres import Server, connect, new_option, value
from loadtests.harness.service import wait_for

FEWER_FUNCTIONS = "migrations/0006-fewer-callable-functions.sql"
HELPERS = ("decide_purchases", "require_purchases")
NO_LONGER_FOR_THE_SERVICE = ("get_ticket_option",)
PURCHASE = "SELECT ticketing.purchase_tickets(%s::uuid, %s::uuid[], %s::uuid[], %s::integer[])"
OF_MANY = PURCHASE.replace("tickets(%s::uuid,", "tickets_of_many(%s::uuid[],")
USER = uuid.uuid4()


@pytest.fixture
def upgradable(any_server: Server, tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database of the release before; the files are those of this one."""
    current = Path(db.__file__).parent
    for path in (tree / "procedures").glob("*.sql"):
        sql = path.read_text()
        for helper in HELPERS:
            sql = sql.replace(f"ticketing_private.{helper}", f"ticketing.{helper}")
        if path.stem in HELPERS:
            sql = sql.replace("SECURITY INVOKER", "SECURITY DEFINER")
        if path.stem in NO_LONGER_FOR_THE_SERVICE:
            sql = sql.replace("TO ticketing_operator", "TO ticketing_service, ticketing_operator")
        path.write_text(sql)
    for path in (tree / "migrations").glob("0006-*"):
        path.unlink()
    with any_server.database("template0") as database:
        with monkeypatch.context() as before:
            before.setattr(retired, "FUNCTIONS", ())
            migrate.migrate(database)
        with connect(database) as connection:
            # What they take has changed since.
            helpers = "SELECT %s::regproc::oid::regprocedure::text"
            signatures = [value(connection, helpers, f"ticketing.{name}") for name in HELPERS]
        monkeypatch.setattr(retired, "FUNCTIONS", tuple(signatures))
        shutil.copytree(current / "procedures", tree / "procedures", dirs_exist_ok=True)
        shutil.copytree(current / "migrations", tree / "migrations", dirs_exist_ok=True)
        yield database


@contextmanager
def call_in_flight(database: str) -> Iterator[list[Any]]:
    """Within it a purchase waits for the lock of its option; afterwards its outcomes are there."""
    outcomes: list[Any] = []
    named = make_conninfo(database, application_name="in flight")
    with (
        connect(database) as holder,
        connect(named, "ticketing_service") as buyer,
        ThreadPoolExecutor(1) as threads,
    ):
        option = new_option(holder, 10)
        with holder.transaction():
            lock = "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE"
            holder.execute(lock, (option,))
            call = threads.submit(value, buyer, PURCHASE, option, [USER], [USER], [4])
            with connect(database) as observer:
                wait_until_blocked(observer, "in flight", 1)
            yield outcomes
        outcomes += call.result()


def is_installed(connection: psycopg.Connection[Any], function: str) -> bool:
    return value(connection, "SELECT to_regproc(%s) IS NOT NULL", function) is True


def test_a_call_that_is_in_flight_ends_well_and_then_the_retired_functions_are_dropped(
    upgradable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "LOCK_TIMEOUT_SECONDS", 60)
    with connect(upgradable) as observer, ThreadPoolExecutor(1) as threads:
        option = new_option(observer, 10)
        with call_in_flight(upgradable) as outcomes:
            migrating = threads.submit(migrate.migrate, upgradable)
            wait_for(
                lambda: is_installed(observer, "ticketing_private.decide_purchases"),
                "the functions to be replaced",
            )
            with connect(upgradable, "ticketing_service") as new_call:
                arguments = ([option], [USER], [USER], [4])
                assert value(new_call, OF_MANY, *arguments) == ["created"]
            assert len(retired.installed(observer)) == 2

        assert outcomes == ["created"]
        assert FEWER_FUNCTIONS in migrating.result()
        assert retired.installed(observer) == []
    assert migrate.check(upgradable) == []


def test_a_call_that_is_not_waited_for_fails(
    upgradable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    monkeypatch.setattr(retired, "_wait_for_transactions", lambda connection: True)

    with pytest.raises(psycopg.errors.UndefinedFunction), call_in_flight(upgradable):
        migrate.migrate(upgradable)


def test_what_a_long_transaction_may_still_call_stays_until_the_next_migration(
    upgradable: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backend, "LOCK_TIMEOUT_SECONDS", 0.1)
    with connect(upgradable) as backup:
        with backup.transaction(), caplog.at_level(logging.WARNING):
            backup.execute("SELECT 1")
            assert FEWER_FUNCTIONS in migrate.migrate(upgradable)

        assert "ticketing.decide_purchases" in caplog.text
        assert "keeping until the next migration" in caplog.text
        assert sorted(migrate.check(upgradable)) == sorted(
            f"FUNCTION {function} does not belong to this build" for function in retired.FUNCTIONS
        )

        assert migrate.migrate(upgradable) == []

    assert migrate.check(upgradable) == []


def test_nothing_of_the_helpers_is_left_when_they_are_rolled_back(any_database: str) -> None:
    while migrate.rollback(any_database) != FEWER_FUNCTIONS:
        pass

    with connect(any_database) as superuser:
        assert not is_installed(superuser, "ticketing_private.decide_purchases")

    migrate.migrate(any_database)

    assert migrate.check(any_database) == []
    with connect(any_database) as superuser, connect(any_database, "ticketing_service") as service:
        option = new_option(superuser, 10)
        assert value(service, PURCHASE, option, [USER], [USER], [4]) == ["created"]


def test_every_function_of_a_release_is_kept_or_retired() -> None:
    """Else a database that was upgraded from it has one that `migrate --check` does not know."""
    current = json.loads((Path(db.__file__).parent / "catalogue.json").read_text())
    released = [
        name
        for file in Path(__file__).parent.glob("functions-*.txt")
        for name in file.read_text().split("\n")[:-1]
    ]

    migrations = "".join(path.read_text() for path in manifest.migration_paths())

    gone = [name for name in released if f"FUNCTION {name}" not in current]
    assert gone
    assert [
        name
        for name in gone
        if name not in retired.FUNCTIONS
        and f"DROP FUNCTION IF EXISTS {name.replace(',', ', ')};" not in migrations
    ] == []
