"""What is checked before serving: the settings, the port, the database's version."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from db import migrate
from loadtests.harness import service
from loadtests.harness.postgres import Server, connect, value
from loadtests.harness.service import ROOT, Service, wait_for
from tests.processes.conftest import Buyer


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command until it exits."""
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=service.TIMEOUT_SECONDS,
    )


def test_the_service_does_not_serve_before_the_database_is_migrated(postgres_18: Server) -> None:
    with postgres_18.database(template="template0") as fresh:
        served = Service(DATABASE_URL=fresh, WORKERS="1")
        buyer = Buyer(served.port)
        try:
            wait_for(lambda: served.status("/readyz") == 503, "/readyz to say so")
            new = {"name": "a", "desc": "", "allocation": 1}
            answer = buyer.send("POST", "/ticket_options", new)
            assert (answer.status, answer.code) == (503, "unavailable")
            wait_for(lambda: served.logged("not ready"), "a line in the log")

            migrate.migrate(fresh)

            served.wait_until_ready()
            buyer.new_option(allocation=1)
        finally:
            served.close()
            buyer.close()


def test_a_changed_procedure_makes_the_service_not_ready(
    database: str, running_service: Service
) -> None:
    with connect(database) as superuser:
        superuser.execute(
            "UPDATE ticketing_private.installed_files SET sha256 = repeat('0', 64) "
            "WHERE path = 'procedures/purchase_tickets_of_one.sql'"
        )

    assert running_service.status("/readyz") == 503
    assert running_service.logged(
        r"not ready.*procedures/purchase_tickets_of_one.sql is installed in a different version"
    )


@pytest.mark.parametrize(
    "command",
    [["psql"], ["audit"], ["migrate", "--check"], ["migrate", "--rollback"]],
    ids=" ".join,
)
def test_a_command_that_only_looks_creates_no_database_where_there_is_none(
    tmp_path: Path, command: list[str]
) -> None:
    folder = tmp_path / "data"

    done = run(*command, "--data-dir", str(folder), DATABASE_URL="")

    assert done.returncode == 2
    assert "there is no embedded PostgreSQL in" in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize(
    ("url_role", "session_role"),
    [("ticketing_service", "ticketing_service"), ("postgres", "postgres")],
)
def test_the_service_can_only_call_its_functions_whatever_role_the_url_names(
    database: str, url_role: str, session_role: str
) -> None:
    url = make_conninfo(database, user=url_role)
    with service.running(DATABASE_URL=url, WORKERS="1"), connect(database) as observer:
        # One that has just connected has no role yet, and other databases have their own.
        logged_in = (
            "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = %s "
            "AND datname = current_database() AND usename IS NOT NULL"
        )
        assert value(observer, logged_in, "ticket-allocation") == session_role

    from api.settings import Settings

    with connect(Settings().service_conninfo(url), role=url_role) as connection:
        assert value(connection, "SELECT current_user") == "ticketing_service"


def test_a_port_in_use_is_named(database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        ended = run("serve", PORT=port, DATABASE_URL=database)

    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_service_on_the_same_port_is_refused(
    database: str, running_service: Service
) -> None:
    ended = run("serve", PORT=str(running_service.port), DATABASE_URL=database)

    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {"PORT": "0"}, "PORT is '0'; it must be an integer from 1 to 65535"),
        (["--port", "many"], {}, "--port is 'many'; it must be an integer from 1 to 65535"),
        ([], {"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml'; it must be text or json"),
        ([], {"DATABASE_URL": "not a url"}, "DATABASE_URL is not a connection string"),
    ],
)
def test_an_invalid_setting_is_rejected_by_name(
    arguments: list[str], environment: dict[str, str], message: str
) -> None:
    ended = run("serve", *arguments, **environment)

    assert ended.returncode == 2
    assert message in ended.stderr


def test_the_embedded_database_stops_with_the_service_and_keeps_its_data(tmp_path: Path) -> None:
    postmaster = tmp_path / "data" / "postgres" / "postmaster.pid"
    with service.running(DATA_DIR=str(tmp_path / "data"), WORKERS="1") as first:
        buyer = Buyer(first.port)
        option = buyer.new_option(allocation=3)
        assert first.logged(r"curl -i http://127\.0\.0\.1")
        assert first.logged(r"-m api psql")
        assert postmaster.exists()
        assert first.terminate() == 0
    assert not postmaster.exists()

    with service.running(DATA_DIR=str(tmp_path / "data"), PORT=str(first.port)):
        assert buyer.left(option) == 3
    buyer.close()


def test_a_different_users_lock_does_not_stop_the_embedded_database(tmp_path: Path) -> None:
    # Where the library puts its lock by default; a folder in its place cannot be opened.
    (tmp_path / ".lockfile").mkdir()

    ended = run(
        "migrate", DATA_DIR=str(tmp_path / "data"), TMPDIR=str(tmp_path), XDG_RUNTIME_DIR="/nowhere"
    )

    assert ended.returncode == 0, ended.stderr
