"""Every setting of the service: its name, its type, its default and its bounds, in one place.

A setting comes from the command line or else from the environment; nothing else reads either.
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
"""How long after its statement timeout an answer may arrive."""


class SettingError(Exception):
    """A setting makes no sense; the message names it and says what would be right."""


def _setting(default: Any, help: str, **bounds: Any) -> Any:
    return field(default=default, metadata={"help": help, **bounds})


def _processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """The settings, checked. The names of their flags and variables follow from the fields'."""

    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(3000, "TCP port to listen on", least=1, most=65535)
    workers: int = _setting(
        _processors(), "service processes that share the port", least=1, most=256
    )
    database_url: str | None = _setting(
        None, "PostgreSQL 15 or newer to use; the embedded one if not set"
    )
    migration_database_url: str | None = _setting(
        None, "what migrate connects with; DATABASE_URL if not set"
    )
    operator_database_url: str | None = _setting(
        None, "what psql and audit connect with; DATABASE_URL as ticketing_operator if not set"
    )
    fast_lane: str = _setting(
        "on",
        "off: every route goes through tornado.web and its HTTP server, with the same answers",
        choices=("on", "off"),
    )
    public_url: str | None = _setting(
        None, "what Location and links begin with, for a proxy that adds a prefix"
    )
    data_dir: Path = _setting(Path(".data"), "where the embedded PostgreSQL keeps its files")
    log_format: str = _setting("text", "how log lines look", choices=("text", "json"))
    pool_size: int = _setting(8, "database connections of each process", least=4, most=1000)
    max_waiting: int = _setting(
        1000, "requests of a process that may wait for the database", least=1, most=100_000
    )
    batch_size: int = _setting(
        256, "purchases or reads at most that share a call; 1: none do", least=1, most=10_000
    )
    batch_options: str = _setting(
        "many",
        "whether a call is for many ticket options, or for one (for a distributed database)",
        choices=("many", "one"),
    )
    request_timeout_seconds: float = _setting(
        10.0, "how long a request may wait for the database, resends included", least=0.1, most=300
    )
    statement_timeout_seconds: float = _setting(
        5.0, "how long one statement may run", least=0.1, most=300
    )
    lock_timeout_seconds: float = _setting(
        2.0, "how long a statement may wait for a lock", least=0.1, most=300
    )
    migration_lock_timeout_seconds: float = _setting(
        60.0, "how long migrate waits for another one that is under way", least=0.1, most=3600
    )
    drain_timeout_seconds: float = _setting(
        15.0, "how long a stopping process may take to answer what it has", least=0.1, most=600
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
        """How long to wait for an answer: the server has ended the statement well before."""
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
    """Check the settings and return them. Flags win over the environment; an empty value is none.

    Raises:
        SettingError: one of them makes no sense.
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
    least, most = metadata["least"], metadata["most"]
    # Python reads 3_000 and " 3000" as numbers too; who wrote that meant something else.
    if not re.fullmatch(
        r"\d{1,9}" if kind is int else r"\d{1,9}(\.\d{1,9})?", text, re.ASCII
    ) or not (least <= (number := kind(text)) <= most):
        what = "an integer" if kind is int else "a number"
        raise SettingError(f"{name} is {text!r}; it must be {what} from {least} to {most}")
    return number


def _check_public_url(name: str, text: str) -> None:
    if not re.fullmatch(r"https?://[A-Za-z0-9._~:\[\]-]+(/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*", text):
        raise SettingError(
            f"{name} is {text!r}; it must look like https://tickets.example.com/prefix, "
            "without a slash at its end"
        )


def _check_database_url(name: str, text: str) -> None:
    if not conninfo.is_conninfo(text):
        # Neither its value nor what libpq says of it: both may hold a password.
        raise SettingError(
            f"{name} is not a connection string; "
            "it must look like postgresql://user:password@host:5432/database"
        )
