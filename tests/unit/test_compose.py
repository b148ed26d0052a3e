"""What docker-compose.yml and the Dockerfile promise, as far as it shows without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo
from ruamel.yaml import YAML

from api import settings, workers
from api.settings import Settings
from loadtests.harness import connection
from loadtests.proof import idle

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")

SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(COMPOSE_FILE)["services"]
OURS = [name for name in SERVICES if name not in ("postgres", "passwords")]


def environment_of(service: str) -> dict[str, str]:
    """What compose gives the service when the deployer gives no more than the secrets."""

    def value(match: re.Match[str]) -> str:
        return match[3] if match[2] == "-" else f"the {match[1]}"

    return {
        name: VARIABLE.sub(value, text)
        for name, text in SERVICES[service].get("environment", {}).items()
    }


def stage_of(name: str) -> str:
    """The part of the Dockerfile that ends as the named image, the stages it is built on first."""
    stages = re.split(r"^(?=FROM )", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for stage in stages:
        if match := re.match(rf"FROM (\S+) AS {name}\n", stage):
            base = match[1]
            return (stage_of(base) if f" AS {base}\n" in "".join(stages) else "") + stage
    raise AssertionError(f"the Dockerfile has no stage {name}")


def seconds(duration: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(
        float(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration)
    )


def test_the_compose_file_follows_the_compose_specification() -> None:
    command = ["--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    run = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *command], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("target", ["service", "loadtest"])
def test_an_image_runs_as_a_user_that_is_not_root(target: str) -> None:
    users = re.findall(r"^USER (\d+):\d+$", stage_of(target), flags=re.MULTILINE)
    assert users
    assert users[-1] != "0"


@pytest.mark.parametrize("name", OURS)
def test_nothing_of_ours_gets_privileges_back_that_the_image_gave_up(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"user", "privileged", "cap_add", "network_mode", "pid"} & set(service)


@pytest.mark.parametrize("name", ["service", "operator", "locust"])
def test_the_password_of_the_superuser_is_kept_from(name: str) -> None:
    assert "POSTGRES_PASSWORD" not in str(SERVICES[name])


def test_the_password_of_the_operator_is_kept_from_the_service() -> None:
    assert "OPERATOR" not in str(SERVICES["service"])


def test_every_secret_comes_from_the_environment_and_must_be_there() -> None:
    secrets = [
        (service, name, value)
        for service, definition in SERVICES.items()
        for name, value in definition.get("environment", {}).items()
        if "PASSWORD" in name
    ]
    assert secrets
    for secret in secrets:
        assert re.fullmatch(r"\$\{\w+_PASSWORD:\?[^}]+\}", secret[2]), secret


@pytest.mark.parametrize("name", SERVICES)
def test_no_password_is_in_a_connection_string_or_on_a_command_line(name: str) -> None:
    for variable, value in environment_of(name).items():
        if variable.endswith("DATABASE_URL"):
            assert "password" not in conninfo_to_dict(value)
    service = SERVICES[name]
    shown = str([service.get(key) for key in ("command", "entrypoint", "healthcheck")])
    assert not VARIABLE.search(shown)


def test_the_example_of_an_environment_has_every_variable_and_no_secret() -> None:
    text = (ROOT / ".env.example").read_text()
    example = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, flags=re.MULTILINE))
    used = {match[1]: match for match in VARIABLE.finditer(COMPOSE_FILE.read_text())}
    assert example == {name: match[3] if match[2] == "-" else "" for name, match in used.items()}


@pytest.mark.parametrize("name", ["migrate", "service", "operator"])
def test_every_variable_given_to_us_is_a_setting_or_one_of_libpq(name: str) -> None:
    known = {field.name.upper() for field in fields(Settings)}
    known |= {option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar}
    assert set(environment_of(name)) <= known


def test_each_of_us_logs_in_with_the_role_made_for_it() -> None:
    def user(service: str, setting: str) -> object:
        checked = settings.read({}, environment_of(service))
        return conninfo_to_dict(getattr(checked, setting))["user"]

    assert user("migrate", "migration_database_url") == "postgres"
    assert user("service", "database_url") == "ticketing_service"
    assert user("operator", "operator_database_url") == "ticketing_operator"
    assert user("locust", "operator_database_url") == "ticketing_operator"


def test_the_service_starts_when_the_database_is_migrated_and_lets_it_in() -> None:
    assert SERVICES["service"]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "migrate": {"condition": "service_completed_successfully"},
        "passwords": {"condition": "service_completed_successfully"},
    }


def test_the_connections_of_all_processes_are_fewer_than_postgresql_has() -> None:
    checked = settings.read({}, environment_of("service"))
    assert checked.workers * checked.pool_size <= 90


def test_the_service_is_not_killed_while_it_drains() -> None:
    checked = settings.read({}, environment_of("service"))
    longest = checked.drain_timeout_seconds + workers.KILL_GRACE_SECONDS
    assert seconds(SERVICES["service"]["stop_grace_period"]) > longest


def test_the_load_test_is_not_killed_before_its_verdict() -> None:
    longest = connection.TIMEOUT_SECONDS + 2 * idle.GIVES_UP_SECONDS
    assert seconds(SERVICES["locust"]["stop_grace_period"]) > longest + 60


@pytest.mark.parametrize("name", SERVICES)
def test_no_port_is_open_to_the_network_unless_asked_for(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("${BIND_ADDRESS:-127.0.0.1}:")


def test_the_volume_of_the_database_is_where_its_image_keeps_the_data() -> None:
    postgres = SERVICES["postgres"]
    assert postgres["image"] == "postgres:18"
    assert postgres["volumes"] == ["data:/var/lib/postgresql"]


def test_the_image_is_built_once_however_many_services_use_it() -> None:
    builders = [service["image"] for service in SERVICES.values() if "build" in service]
    assert sorted(builders) == ["ticket-allocation", "ticket-allocation-loadtest"]


def test_the_dockerignore_lets_through_what_is_copied_and_nothing_else() -> None:
    copied = {
        source
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and not line.startswith("COPY --from")
        for source in line.split()[1:-1]
    }
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert rules[1] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied
