from __future__ import annotations

import argparse
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from api import settings
from api.__main__ import main
from api.settings import SettingError, Settings

URL = "postgresql://ticketing_service:secret@db.example:6432/tickets"

GOOD: list[tuple[str, str, Any]] = [
    ("host", "0.0.0.0", "0.0.0.0"),
    ("host", "::1", "::1"),
    ("port", "1", 1),
    ("port", "65535", 65535),
    ("workers", "1", 1),
    ("workers", "256", 256),
    ("database_url", URL, URL),
    ("database_url", "host=/run/postgresql dbname=tickets", "host=/run/postgresql dbname=tickets"),
    ("migration_database_url", URL, URL),
    ("operator_database_url", URL, URL),
    ("data_dir", "/srv/tickets", Path("/srv/tickets")),
    ("log_format", "json", "json"),
    ("log_format", "text", "text"),
    ("pool_size", "4", 4),
    ("max_waiting", "100000", 100_000),
    ("batch_size", "1", 1),
    ("batch_size", "10000", 10_000),
    ("batch_options", "many", "many"),
    ("batch_options", "one", "one"),
    ("request_timeout_seconds", "0.1", 0.1),
    ("statement_timeout_seconds", "300", 300.0),
    ("lock_timeout_seconds", "1.5", 1.5),
    ("drain_timeout_seconds", "600", 600.0),
]

BAD = [
    ("port", "0", "an integer from 1 to 65535"),
    ("port", "65536", "an integer from 1 to 65535"),
    ("port", "-1", "an integer from 1 to 65535"),
    ("port", "http", "an integer from 1 to 65535"),
    ("port", "3000.0", "an integer from 1 to 65535"),
    ("port", " ", "an integer from 1 to 65535"),
    ("port", "9" * 5000, "an integer from 1 to 65535"),
    ("workers", "0", "an integer from 1 to 256"),
    ("workers", "auto", "an integer from 1 to 256"),
    ("log_format", "xml", "text or json"),
    ("log_format", "JSON", "text or json"),
    ("pool_size", "3", "an integer from 4 to 1000"),
    ("max_waiting", "0", "an integer from 1 to 100000"),
    ("batch_size", "0", "an integer from 1 to 10000"),
    ("batch_options", "two", "many or one"),
    ("request_timeout_seconds", "0", "a number from 0.1 to 300"),
    ("request_timeout_seconds", "nan", "a number from 0.1 to 300"),
    ("request_timeout_seconds", "inf", "a number from 0.1 to 300"),
    ("statement_timeout_seconds", "300.1", "a number from 0.1 to 300"),
    ("lock_timeout_seconds", "5s", "a number from 0.1 to 300"),
    ("drain_timeout_seconds", "-1", "a number from 0.1 to 600"),
    ("database_url", "tickets", "postgresql://user:password@host:5432/database"),
    ("database_url", "mysql://user@host/tickets", "postgresql://user:password@host:5432/database"),
    ("migration_database_url", "host", "postgresql://user:password@host:5432/database"),
    ("operator_database_url", "colour=red", "postgresql://user:password@host:5432/database"),
]

WITH_PASSWORD = [
    "postgresql://user:secret@[::1/tickets",
    "postgresql://user:secret%zz@host/tickets",
    "postgresql://user:%zzsecret@host/tickets",
    "postgresql://user:secret%00@host/tickets",
    "postgresql://user:top secret@host/tickets",
    "postgresql://user@host/tickets?password=secret%zz",
    "postgresql://user:secret@host/tickets?secret",
    "host=host password=top secret",
    "host=host password='top secret",
    "secret",
    "password=secret colour=red",
]


HOSTILE_OPTIONS = [
    "standard_conforming_strings=off",
    "default_transaction_isolation=serializable",
    "search_path=elsewhere",
    "statement_timeout=1",
]


def options_of(options: object) -> dict[str, str]:
    """What the server is told; of a name that is given twice the last counts."""
    return dict(re.findall(r"-c (\w+)=((?:\\.|\S)+)", str(options)))


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_a_setting_comes_from_a_flag_or_else_from_the_environment(
    name: str, text: str, value: Any
) -> None:
    by_flag = settings.read({name: text}, {})
    by_variable = settings.read({}, {name.upper(): text})

    assert getattr(by_flag, name) == getattr(by_variable, name) == value
    assert by_flag == by_variable
    for each in fields(Settings):
        assert each.name == name or getattr(by_flag, each.name) == each.default


def test_flags_win_over_the_environment() -> None:
    read = settings.read({"port": "1", "host": None}, {"PORT": "2", "HOST": "a", "WORKERS": "3"})

    assert (read.port, read.host, read.workers) == (1, "a", 3)


def test_a_bad_variable_does_not_matter_where_a_flag_wins() -> None:
    assert settings.read({"port": "1"}, {"PORT": "http"}).port == 1


@pytest.mark.parametrize("name", [each.name for each in fields(Settings)])
def test_an_empty_value_is_none(name: str) -> None:
    assert settings.read({name: ""}, {name.upper(): ""}) == Settings()


def test_an_empty_flag_leaves_it_to_the_environment() -> None:
    assert settings.read({"port": ""}, {"PORT": "2"}).port == 2


def test_the_defaults_are_those_of_the_contract() -> None:
    read = settings.read({}, {"UNKNOWN": "x", "port": "1"})

    assert (read.host, read.port) == ("127.0.0.1", 3000)
    if hasattr(os, "sched_getaffinity"):
        assert read.workers == len(os.sched_getaffinity(0))
    assert (read.database_url, read.migration_database_url) == (None, None)
    assert read.data_dir == Path(".data")


@pytest.mark.parametrize(("name", "text", "right"), BAD)
def test_a_setting_that_makes_no_sense_is_refused_by_name_with_what_would_be_right(
    name: str, text: str, right: str
) -> None:
    for shown, flags, environment in (
        (flag(name), {name: text}, {}),
        (name.upper(), {}, {name.upper(): text}),
    ):
        with pytest.raises(SettingError, match=re.escape(right)) as caught:
            settings.read(flags, environment)

        assert str(caught.value).startswith(f"{shown} is ")


@pytest.mark.parametrize("text", WITH_PASSWORD)
def test_a_refused_connection_string_does_not_give_its_password_away(text: str) -> None:
    with pytest.raises(SettingError, match=r"^DATABASE_URL is not a connection string") as caught:
        settings.read({}, {"DATABASE_URL": text})

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://tickets.example.com", "http://[::1]:8080/a/b", "https://a.example/tickets"]
)
def test_a_public_url_is_taken_as_it_is(url: str) -> None:
    assert settings.read({}, {"PUBLIC_URL": url}).public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "tickets.example.com",
        "/tickets",
        "ftp://a.example",
        "https://a.example/",
        "https://a.example/tickets/",
        "https://a.example/?x=1",
        "https://a.example#x",
        "https://me@a.example",
        "https://a.example/a b",
        "https://a.example/\r\nX: y",
        "https://caf\u00e9.example",
    ],
)
def test_what_links_cannot_begin_with_is_refused_as_a_public_url(url: str) -> None:
    with pytest.raises(SettingError, match=r"^PUBLIC_URL is .*; it must look like https://"):
        settings.read({}, {"PUBLIC_URL": url})


def test_every_setting_has_a_flag_with_its_default_in_the_help() -> None:
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    help_text = " ".join(parser.format_help().split())

    for each in fields(Settings):
        assert f"{flag(each.name)} VALUE {each.metadata['help']}" in help_text
        if each.default is not None:
            assert f"(default: {each.default})" in help_text


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["serve", "--port", "0"], {}, "--port is '0'; it must be an integer from 1 to 65535"),
        (["serve"], {"WORKERS": "x"}, "WORKERS is 'x'; it must be an integer from 1 to 256"),
        (["audit"], {"LOG_FORMAT": "x"}, "LOG_FORMAT is 'x'; it must be text or json"),
    ],
)
def test_a_command_with_a_setting_that_makes_no_sense_says_so_and_does_nothing(
    arguments: list[str],
    environment: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    code = main(arguments)

    assert code == 2
    assert capsys.readouterr().err == f"ticket-allocation: {message}\n"


@pytest.mark.parametrize("command", ["serve", "migrate", "audit"])
def test_a_data_dir_that_is_no_folder_is_refused_by_name(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("DATABASE_URL", "MIGRATION_DATABASE_URL", "OPERATOR_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "file").touch()

    code = main([command, "--data-dir", str(tmp_path / "file")])

    error = capsys.readouterr().err
    assert code == 2
    assert str(tmp_path / "file") in error
    assert "DATA_DIR" in error


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://host/tickets",
            {"host": "host", "dbname": "tickets", "user": "ticketing_service"},
        ),
        (
            "postgresql://ticketing_service:p%40ss@host:6432/tickets?sslmode=require",
            {
                "host": "host",
                "port": "6432",
                "dbname": "tickets",
                "user": "ticketing_service",
                "password": "p@ss",
                "sslmode": "require",
            },
        ),
        (
            "host=/run/postgresql dbname='my tickets' application_name=mine",
            {
                "host": "/run/postgresql",
                "dbname": "my tickets",
                "user": "ticketing_service",
                "application_name": "mine",
            },
        ),
    ],
)
def test_the_service_connects_as_its_own_role_with_its_timeouts(
    url: str, expected: dict[str, str]
) -> None:
    made = conninfo_to_dict(Settings().service_conninfo(url))

    options = options_of(made.pop("options"))
    assert {"statement_timeout": "5000", "lock_timeout": "2000"}.items() <= options.items()
    assert "role" not in options
    assert made == {
        "application_name": "ticket-allocation",
        "target_session_attrs": "read-write",
        "client_encoding": "UTF8",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        "tcp_user_timeout": "6000",
        **expected,
    }


def test_the_service_asks_for_a_server_that_can_be_written_to_whatever_the_url_asks_for() -> None:
    url = "postgresql://a,b/tickets?target_session_attrs=any"

    made = conninfo_to_dict(Settings().service_conninfo(url))

    assert (made["host"], made["target_session_attrs"]) == ("a,b", "read-write")


def test_what_the_url_says_of_dead_peers_holds() -> None:
    url = "postgresql://a/tickets?keepalives_idle=60&tcp_user_timeout=0"

    made = conninfo_to_dict(Settings().service_conninfo(url))

    assert (made["keepalives_idle"], made["keepalives_interval"]) == ("60", "2")
    assert made["tcp_user_timeout"] == "0"


@pytest.mark.parametrize("hostile", HOSTILE_OPTIONS)
def test_the_session_is_the_services_own_whatever_the_url_says(hostile: str) -> None:
    name, _, value = hostile.partition("=")

    made = conninfo_to_dict(
        Settings().service_conninfo(f"host=a client_encoding=LATIN1 options='-c {hostile}'")
    )

    assert options_of(made["options"])[name] != value
    assert made["client_encoding"] == "UTF8"


@pytest.mark.parametrize("user", ["postgres", "admin@tenant", "ticketing_operator"])
def test_the_service_takes_its_own_role_whoever_logs_in(user: str) -> None:
    url = f"host=host user='{user}' password=secret"

    made = conninfo_to_dict(Settings().service_conninfo(url))

    assert (made["user"], made["password"]) == (user, "secret")
    assert options_of(made["options"])["role"] == "ticketing_service"


def test_the_timeouts_of_the_service_stand_after_other_options_of_its_connection() -> None:
    checked = Settings(statement_timeout_seconds=0.25, lock_timeout_seconds=1.5)

    url = "host=host options='-c jit=off -c lock_timeout=9'"
    made = conninfo_to_dict(checked.service_conninfo(url))

    options = options_of(made["options"])
    assert options["jit"] == "off"
    assert (options["statement_timeout"], options["lock_timeout"]) == ("250", "1500")


@pytest.mark.parametrize(
    "url", [URL, "postgresql://postgres:secret@db.example:6432/tickets?application_name=mine"]
)
def test_operators_connect_as_their_own_role_without_the_password_of_another(url: str) -> None:
    made = conninfo_to_dict(Settings().operator_conninfo(url))

    assert (made["user"], made["host"], made["port"]) == (
        "ticketing_operator",
        "db.example",
        "6432",
    )
    assert made["dbname"] == "tickets"
    assert "password" not in made


def test_an_operator_url_is_taken_as_it_is() -> None:
    checked = Settings(operator_database_url="postgresql://me:mine@elsewhere/tickets")

    assert checked.operator_conninfo(URL) == "postgresql://me:mine@elsewhere/tickets"
