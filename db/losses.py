"""Undo something in the database, unless that would delete rows or values.

Nobody has to declare what it deletes: it is done, inspected, and taken back if data is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

_ROWS = 0

_Thing = tuple[int, int]
"""What can be counted, by a table's oid: its rows, with `_ROWS`, or the values of the column with
this number."""

_TABLES = """
    SELECT
        relation.oid,
        schema.nspname,
        relation.relname,
        pg_relation_filenode(relation.oid),
        pg_stat_get_xact_tuples_deleted(relation.oid),
        pg_stat_get_xact_tuples_updated(relation.oid),
        (
            SELECT coalesce(
                jsonb_agg(
                    jsonb_build_array(
                        attnum,
                        attname,
                        'CAST((' || pg_get_expr(adbin, adrelid) || ') AS '
                            || format_type(atttypid, atttypmod) || ')'
                    )
                ),
                '[]'
            )
            FROM pg_attribute
            LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attrelid = relation.oid
                AND attnum > 0
                AND NOT attisdropped
                AND attgenerated = ''
        )
    FROM pg_class AS relation
    JOIN pg_namespace AS schema ON schema.oid = relation.relnamespace
    WHERE relation.relkind = 'r'
        AND (
            schema.nspname IN ('ticketing', 'ticketing_private')
            OR relation.relowner = to_regrole('ticketing_owner')
        )
        AND (schema.nspname, relation.relname) <> ('ticketing_private', 'installed_files')
    ORDER BY relation.oid
"""
"""Every table of ours, whichever migration created it, except the one that migrating writes to."""


class LossError(Exception):
    """What would be lost, one line each: ``ticketing_private.purchases: 1,460,000 rows``."""


@dataclass(frozen=True)
class _Column:
    name: str
    default: str | None
    """An SQL expression."""


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    file_node: int
    rows_deleted: int
    """By this transaction, so far."""
    rows_updated: int
    columns: dict[int, _Column]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def refuse_if_there_are_rows(connection: Connection) -> None:
    """For what cannot be tried first because it does not run in a transaction.

    Raises:
        LossError: a table has rows.
    """
    tables = _tables(connection)
    _refuse(tables, _count(connection, tables, {(oid, _ROWS) for oid in tables}))


def undo(connection: Connection, do: Callable[[], None]) -> None:
    """Call ``do`` in the open transaction, unless that would lose data.

    Lost are rows that are gone, values of columns that are gone, and values that have become NULL.
    A value equal to its column's default is not lost, since adding the column again restores it.

    Args:
        do: changes the database through this connection, and may be called twice.

    Raises:
        LossError: data would be lost; the caller must roll the transaction back.
    """
    before = _tables(connection)
    connection.execute("SAVEPOINT before_undoing")
    do()
    gone, changed = _compare(connection, before, _tables(connection))
    if not gone | changed:
        return
    connection.execute("ROLLBACK TO SAVEPOINT before_undoing")
    # First without a lock: counting takes a while, and buyers would have to wait for it.
    _refuse(before, _count(connection, before, gone))
    # Then again, now that nobody can add rows.
    names = sql.SQL(", ").join(
        before[oid].identifier for oid in sorted({oid for oid, _ in gone | changed})
    )
    connection.execute(sql.SQL("LOCK {}").format(names))
    counted = _count(connection, before, gone | changed)
    do()
    left = _count(connection, _tables(connection), changed, before)
    _refuse(before, {thing: number - left.get(thing, 0) for thing, number in counted.items()})


def _tables(connection: Connection) -> dict[int, _Table]:
    return {
        oid: _Table(
            schema,
            name,
            file_node,
            deleted,
            updated,
            {number: _Column(column, default) for number, column, default in columns},
        )
        for oid, schema, name, file_node, deleted, updated, columns in connection.execute(_TABLES)
    }


def _compare(
    connection: Connection, before: dict[int, _Table], after: dict[int, _Table]
) -> tuple[set[_Thing], set[_Thing]]:
    """What is gone, and what may have become fewer."""
    [[counts_changes]] = connection.execute("SELECT current_setting('track_counts')::boolean")
    gone, changed = set(), set()
    for oid, table in before.items():
        if oid not in after:
            gone.add((oid, _ROWS))
            continue
        found = after[oid]
        gone |= {(oid, number) for number in table.columns.keys() - found.columns.keys()}
        is_rewritten = found.file_node != table.file_node or not counts_changes
        if is_rewritten or found.rows_deleted > table.rows_deleted:
            changed.add((oid, _ROWS))
        if is_rewritten or found.rows_updated > table.rows_updated:
            changed |= {(oid, number) for number in table.columns.keys() & found.columns.keys()}
    return gone, changed


def _count(
    connection: Connection,
    tables: dict[int, _Table],
    things: set[_Thing],
    before: dict[int, _Table] | None = None,
) -> dict[_Thing, int]:
    """The number of rows, and of values that differ from the default (as it was before)."""
    counted: dict[_Thing, int] = {}
    for oid in sorted({oid for oid, _ in things}):
        numbers = sorted(number for of, number in things if of == oid)
        counts = [
            sql.SQL("count(*)")
            if number == _ROWS
            else _count_values(
                tables[oid].columns[number].name, (before or tables)[oid].columns[number].default
            )
            for number in numbers
        ]
        query = sql.SQL("SELECT {} FROM ONLY {}").format(
            sql.SQL(", ").join(counts), tables[oid].identifier
        )
        [row] = connection.execute(query).fetchall()
        counted |= {(oid, number): count for number, count in zip(numbers, row, strict=True)}
    return counted


def _count_values(column: str, default: str | None) -> sql.Composed:
    # As text, since not every type has an equality; and the default is evaluated only once.
    values = sql.SQL("count({column}) FILTER (WHERE {column}::text IS DISTINCT FROM ({default}))")
    expression = sql.SQL(f"SELECT {default or 'NULL'}::text")
    return values.format(column=sql.Identifier(column), default=expression)


def _refuse(tables: dict[int, _Table], lost: dict[_Thing, int]) -> None:
    """Raise if anything is lost."""
    lines = []
    for (oid, number), count in sorted(lost.items()):
        # A value that went with its row is not counted again.
        if count > (0 if number == _ROWS else max(0, lost.get((oid, _ROWS), 0))):
            what = "row" if number == _ROWS else "value"
            line = f"{tables[oid].schema}.{tables[oid].name}: {count:,} {what}{'s'[: count > 1]}"
            lines.append(
                line if number == _ROWS else f"{line} of {tables[oid].columns[number].name}"
            )
    if lines:
        raise LossError("\n".join(lines))
