"""Connection strings: how the service connects, and how its operator does."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from db import session


def is_conninfo(text: str) -> bool:
    """Whether libpq takes the text for a connection string."""
    try:
        conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        return False
    return True


def for_service(
    database: str,
    *,
    statement_timeout_seconds: float,
    lock_timeout_seconds: float,
    answer_timeout_seconds: float,
) -> str:
    """How the service connects: as ``ticketing_service``, whatever role the string logs in as.

    The timeouts are part of it, so that they hold from the first statement on. Of several hosts,
    or of one that is being switched over, only a server that accepts writes will do.
    """
    parameters = conninfo_to_dict(database)
    session_settings = {
        "statement_timeout": str(int(statement_timeout_seconds * 1000)),
        "lock_timeout": str(int(lock_timeout_seconds * 1000)),
    }
    if parameters.get("user") not in (None, "ticketing_service"):
        session_settings["role"] = "ticketing_service"
    defaults: dict[str, str | int | None] = {
        "user": "ticketing_service",
        "application_name": "ticket-allocation",
        # A machine that is gone says nothing. Without these, the kernel waits for hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": int(answer_timeout_seconds * 1000),
    }
    conninfo = _made_of({**defaults, **parameters, "target_session_attrs": "read-write"})
    return session.own(conninfo, **session_settings)


def for_operator(database: str) -> str:
    """How ``psql`` and ``audit`` connect: as ``ticketing_operator``.

    Without a password, since the service's is not the operator's: libpq then looks at PGPASSWORD
    and ~/.pgpass.
    """
    parameters = conninfo_to_dict(database)
    parameters.pop("password", None)
    return _made_of({**parameters, "user": "ticketing_operator"})


def _made_of(parameters: Mapping[str, str | int | None]) -> str:
    return make_conninfo(**{name: str(value) for name, value in parameters.items() if value})
