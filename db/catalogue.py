"""What a database holds of this service, according to its own catalogues.

The format is the same on every server from PostgreSQL 15 on, so that a database can be compared
with another one and with the file that this build ships. No client program is involved: what those
print changes with their version and the server's.
"""

from __future__ import annotations

import difflib
import json
from typing import Any

import psycopg

from db import manifest

Objects = dict[str, list[str]]
"""The lines that describe an object, by its name: ``FUNCTION ticketing.installed_files()``."""

_QUERY = manifest.ROOT / "catalogue.sql"

_SETTINGS = """
    SET LOCAL search_path = pg_catalog, pg_temp;
    SET LOCAL quote_all_identifiers = off;
    SET LOCAL datestyle = 'ISO, YMD';
    SET LOCAL intervalstyle = 'postgres';
    SET LOCAL timezone = 'UTC';
    SET LOCAL extra_float_digits = 1;
    SET LOCAL bytea_output = 'hex';
    SET LOCAL lc_monetary = 'C';
    SET LOCAL xmlbinary = 'base64';
"""
"""The settings that the server's description of an object depends on."""

_EXCESSIVE_PRIVILEGES = """
    WITH granted AS (
        SELECT
            format('DATABASE %I', datname) AS place,
            pg_get_userbyid(datdba) AS owner,
            privilege.*
        FROM pg_database
        CROSS JOIN aclexplode(coalesce(datacl, acldefault('d', datdba))) AS privilege
        WHERE datname = current_database()
        UNION ALL
        SELECT format('SCHEMA %I', nspname), pg_get_userbyid(nspowner), privilege.*
        FROM pg_namespace
        CROSS JOIN aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS privilege
        WHERE nspname = 'public'
    )
    SELECT format(
        '%1$s may create %2$s in the %3$s. '
            'Its owner, %4$s, can revoke that: REVOKE %5$s ON %6$s FROM %1$s;',
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
        CASE privilege_type
            WHEN 'TEMPORARY' THEN 'temporary objects'
            ELSE CASE WHEN place LIKE 'DATABASE %%' THEN 'schemas' ELSE 'objects' END
        END,
        lower(split_part(place, ' ', 1)) || substr(place, strpos(place, ' ')),
        owner,
        privilege_type,
        place
    )
    FROM granted
    WHERE privilege_type IN ('CREATE', 'TEMPORARY')
        AND (
            grantee = 0
            OR grantee IN (to_regrole('ticketing_service'), to_regrole('ticketing_operator'))
        )
    ORDER BY 1
"""


def describe(connection: psycopg.Connection[Any]) -> Objects:
    """Describe everything in the database that belongs to this service.

    Args:
        connection: in autocommit mode. No setting outlasts the call.
    """
    with connection.transaction():
        connection.execute(_SETTINGS)
        rows = connection.execute(_QUERY.read_bytes()).fetchall()
    return dict(sorted((name, lines or []) for name, lines in rows))


def expected() -> Objects:
    """What the files of this build create."""
    objects: Objects = json.loads(manifest.CATALOGUE.read_text(encoding="utf-8"))
    return objects


def write_expected(objects: Objects) -> None:
    """Write ``objects`` down as what this build expects. For ``make schema``."""
    text = json.dumps(objects, indent=1, ensure_ascii=False)
    manifest.CATALOGUE.write_text(text + "\n", encoding="utf-8")


def differences(wanted: Objects, found: Objects) -> list[str]:
    """What ``found`` has that ``wanted`` lacks, and vice versa, as lines for people to read."""
    lines = []
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            lines.append(f"{name} is missing")
        elif name not in wanted:
            lines.append(f"{name} does not belong to this build")
        elif wanted[name] != found[name]:
            lines.append(f"{name} differs from what this build creates:")
            lines += difflib.unified_diff(
                wanted[name], found[name], "this build", "the database", lineterm=""
            )
    return lines


def excessive_privileges(connection: psycopg.Connection[Any]) -> list[str]:
    """What roles that should only call functions may create here, and how to revoke that.

    Only the owners of the database and of the schema ``public`` can revoke it, so ``migrate`` may
    have been unable to; and a dumped and restored database has PostgreSQL's defaults again.
    """
    return [line for (line,) in connection.execute(_EXCESSIVE_PRIVILEGES)]
