"""The session settings of our own connections, whatever the server's defaults are.

A database, a role or the environment may set defaults for every session: date format, encoding,
isolation level, what a commit waits for. None of that may reach a buyer or change what a migration
does, so each of our connections sets what it depends on. Only psql is left alone: its session
belongs to the operator.
"""

from __future__ import annotations

import os

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Error = psycopg.Error
"""What a connection raises."""

SETTINGS = {
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "row_security": "on",
    "search_path": "pg_catalog,pg_temp",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
"""Not ``default_transaction_read_only``: whoever sets that means it. Not
``session_replication_role``: only a superuser may set it."""

_ENVIRONMENT = {"PGDATESTYLE": "ISO, MDY", "PGTZ": "UTC"}
"""libpq sends these separately. So they override ``options``, and PgBouncer passes them on."""


def own(conninfo: str, **settings: str) -> str:
    """The connection string with these session settings added.

    Sets PGDATESTYLE and PGTZ, and removes PGGEQO, in the environment of this process: nothing else
    overrides them in libpq.

    Args:
        settings: further settings. They override ``SETTINGS``, and both override the ``options`` of
            the connection string.
    """
    os.environ.update(_ENVIRONMENT)
    os.environ.pop("PGGEQO", None)
    parameters = conninfo_to_dict(conninfo)
    options = [str(parameters.get("options") or "")]
    for name, value in {**SETTINGS, **settings}.items():
        options.append(f"-c {name}=" + value.replace("\\", r"\\").replace(" ", r"\ "))
    return make_conninfo(conninfo, client_encoding="UTF8", options=" ".join(options).strip())
