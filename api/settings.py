"""Every setting of the service, with its name, type, default and bounds.

Settings come from the command line or the environment; nothing else reads either.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from api.database import conninfo

ANSWER_GRACE_SECONDS = 1.0
"""How long after the statement timeout an answer may still arrive."""


class SettingError(Exception):
    """A setting is invalid; the message names it and says what would be valid."""


def _setting(default: Any, help: str, **bounds: Any) -> Any:
    return field(default=default, metadata={"help": help, **bounds})


def _cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """The settings, validated. Field names determine those of the flags and variables."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(3000, "TCP port to listen on", min=1, max=65535)
    workers: int = _setting(_cpus(), "service processes that share the port", min=1, max=256)
    database_url: str | None = _setting(
        None, "the PostgreSQL database to use, version 15 or newer; by default the embedded one"
    )
    migration_database_url: str | None = _setting(
        None, "what migrate connects with; by default DATABASE_URL"
    )
    operator_database_url: str | None = _setting(
        None, "what psql and audit connect with; by default DATABASE_URL as ticketing_operator"
    )
    fast_lane: str = _setting(
        "on",
        "off: Tornado's own HTTP server serves every route, with the same answers",
        choices=("on", "off"),
    )
    public_url: str | None = _setting(
        None, "what Location and links begin with, for a proxy that adds a prefix"
    )
    data_dir: Path = _setting(Path(".data"), "where the embedded PostgreSQL keeps its files")
    log_format: str = _setting("text", "format of log lines", choices=("text", "json"))
    pool_size: int = _setting(8, "database connections per process", min=4, max=1000)
    max_waiting: int = _setting(
        1000,
        "requests per process that may wait for the database; any more get a 503",
        min=1,
        max=100_000,
    )
    batch_size: int = _setting(
        256,
        "maximum purchases or reads per database call; 1 disables batching",
        min=1,
        max=10_000,
    )
    batch_options: str = _setting(
        "many",
        "ticket options per database call; one is for a database distributed by option",
        choices=("many", "one"),
    )
    request_timeout_seconds: float = _setting(
        10.0, "how long a request may wait for the database, retries included", min=0.1, max=300
    )
    statement_timeout_seconds: float = _setting(
        5.0, "how long one statement may run", min=0.1, max=300
    )
    lock_timeout_seconds: float = _setting(
        2.0, "how long a statement may wait for a lock", min=0.1, max=300
    )
    migration_lock_timeout_seconds: float = _setting(
        60.0, "how long migrate waits for another migration in progress", min=0.1, max=3600
    )
    drain_timeout_seconds: float = _setting(
        15.0,
        "how long a stopping process may take to finish the requests in flight",
        min=0.1,
        max=600,
    )

    def service_conninfo(self, database: str) -> str:
        """How the service connects to the database: see `conninfo.for_service`."""
        return conninfo.for_service(
            database,
            statement_timeout_seconds=self.statement_timeout_seconds,
            lock_timeout_seconds=self.lock_timeout_seconds,
            answer_timeout_seconds=self.answer_timeout_seconds,
        )

    @property
    def answer_timeout_seconds(self) -> float:
        """How long to wait for an answer. By then the server has ended the statement."""
        return self.statement_timeout_seconds + ANSWER_GRACE_SECONDS

    def operator_conninfo(self, database: str) -> str:
        """How ``psql`` and ``audit`` connect to the database: as ``ticketing_operator``."""
        return self.operator_database_url or conninfo.for_operator(database)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser a flag for each setting."""
    for each in fields(Settings):
        shown = "" if each.default is None else f" (default: {each.default})"
        parser.add_argument(
            _flag(each.name), metavar="VALUE", help=f"{each.metadata['help']}{shown}"
        )


def read(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """Validate the settings and return them. Flags take precedence; an empty value counts as unset.

    Raises:
        SettingError: one of them is invalid.
    """
    values = {}
    for each in fields(Settings):
        flag, variable = flags.get(each.name), environment.get(each.name.upper())
        if flag:
            values[each.name] = _parse(_flag(each.name), each.type, each.metadata, flag)
        elif variable:
            values[each.name] = _parse(each.name.upper(), each.type, each.metadata, variable)
    return Settings(**values)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _parse(name: str, type_name: Any, metadata: Mapping[str, Any], text: str) -> Any:
    if type_name == "Path":
        return Path(text)
    if type_name in ("int", "float"):
        return _parse_number(name, int if type_name == "int" else float, metadata, text)
    if "choices" in metadata and text not in metadata["choices"]:
        raise SettingError(f"{name} is {text!r}; it must be {' or '.join(metadata['choices'])}")
    if name.lower().replace("-", "_").endswith("public_url"):
        _check_public_url(name, text)
    elif "database_url" in name.lower().replace("-", "_"):
        _check_database_url(name, text)
    return text


def _parse_number(
    name: str, kind: type[int] | type[float], metadata: Mapping[str, Any], text: str
) -> float:
    minimum, maximum = metadata["min"], metadata["max"]
    # Python reads 3_000 and " 3000" as numbers too; whoever wrote that meant something else.
    if not re.fullmatch(
        r"\d{1,9}" if kind is int else r"\d{1,9}(\.\d{1,9})?", text, re.ASCII
    ) or not (minimum <= (number := kind(text)) <= maximum):
        what = "an integer" if kind is int else "a number"
        raise SettingError(f"{name} is {text!r}; it must be {what} from {minimum} to {maximum}")
    return number


def _check_public_url(name: str, text: str) -> None:
    if not re.fullmatch(r"https?://[A-Za-z0-9._~:\[\]-]+(/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*", text):
        raise SettingError(
            f"{name} is {text!r}; it must look like https://tickets.example.com/prefix, "
            "without a trailing slash"
        )


def _check_database_url(name: str, text: str) -> None:
    if not conninfo.is_conninfo(text):
        # Show neither the value nor libpq's message: both may contain a password.
        raise SettingError(
            f"{name} is not a connection string; "
            "it must look like postgresql://user:password@host:5432/database"
        )
