"""Many rows in one statement: executemany on SQLite; COPY, or arrays for what may be there already, on PostgreSQL.

Rows are tuples in the order of `columns`; documents go in as JSON text (`documents.as_json`). Table and column names
come from our own models, never from data. Run inside `database.atomic()`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from meshag_tui.store import models
from meshag_tui.store.database import kind

Row = Sequence[Any]
AT_ONCE = 5_000
"""Rows that one statement enters."""
EMPTY = -1
"""What an update writes a NULL for."""


def insert(table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Add new rows; a row that breaks a constraint fails them all."""
    if kind() == "postgresql":
        with models.database.connection().cursor() as cursor:
            _copy(cursor, table, columns, rows)
        return
    models.database.connection().executemany(
        f"INSERT INTO {_name(table)}({_names(columns)}) VALUES({_marks(columns)})",
        rows,
    )


def upsert(
    table: str,
    columns: Sequence[str],
    rows: Iterable[Row],
    *,
    key: Sequence[str],
    update: Sequence[str] | Mapping[str, str],
) -> None:
    """Add rows, or update those whose `key` exists.

    `update` names the columns that take the new value, or maps a column to an expression in which `excluded.x` is the
    new and `table.x` the old value; empty leaves existing rows as they are. A key may occur once in `rows`. Where
    the key is an id that the database draws, a row without one (None) is new.
    """
    if not isinstance(update, Mapping):
        update = {column: f"excluded.{_name(column)}" for column in update}
    action = (
        "DO UPDATE SET " + ", ".join(f"{_name(column)} = {value}" for column, value in update.items())
        if update
        else "DO NOTHING"
    )
    conflict = f"ON CONFLICT({_names(key)}) {action}"
    if kind() == "sqlite":
        models.database.connection().executemany(
            f"INSERT INTO {_name(table)}({_names(columns)}) VALUES({_marks(columns)}) {conflict}",
            rows,
        )
        return
    source, arguments = _arrays(table, columns, rows)
    if arguments:
        given = _names(columns)
        if _model(table)._meta.auto_increment:
            # An id is drawn for new rows only: drawn for each row at each sync, they would be out in some months.
            given = given.replace('"id"', f"COALESCE(id, nextval(pg_get_serial_sequence('{table}', 'id')))")
        models.database.execute_sql(
            f"INSERT INTO {_name(table)}({_names(columns)}) SELECT {given} FROM {source} {conflict}",  # noqa: S608
            arguments,
        )


def enter(
    table: str, key: Sequence[str], columns: Sequence[str], rows: Iterable[Row], returning: Sequence[str]
) -> Iterator[tuple[Any, ...]]:
    """Add the rows whose `key` is not there yet; `returning` of all of them, of those that were there as they were.

    Of more than `AT_ONCE` a statement for each as many, while what it returns is taken: a document of all rows, and
    what the database makes of it, takes ten times the memory that they do.
    """
    rows = iter(rows)
    while part := list(islice(rows, AT_ONCE)):
        yield from _enter(table, key, columns, part, returning)


def _enter(
    table: str, key: Sequence[str], columns: Sequence[str], rows: Iterable[Row], returning: Sequence[str]
) -> list[tuple[Any, ...]]:
    names, wanted = _names(columns), _names(returning)
    if kind() == "sqlite":
        values = ", ".join(f"value ->> {place}" for place in range(len(columns)))
        # What is there is "updated" to what it is: a row that is left alone is not returned.
        found = models.database.execute_sql(
            f"INSERT INTO {_name(table)}({names}) SELECT {values} FROM json_each(?) WHERE true "  # noqa: S608
            f"ON CONFLICT({_names(key)}) DO UPDATE SET {_name(key[0])} = excluded.{_name(key[0])} RETURNING {wanted}",
            (json.dumps([tuple(row) for row in rows], separators=(",", ":")),),
        )
        return list(found.fetchall())
    source, arguments = _arrays(table, columns, rows)
    same = " AND ".join(f"old.{_name(column)} = new.{_name(column)}" for column in key)
    there = ", ".join(f"old.{_name(column)}" for column in returning)
    found = models.database.execute_sql(
        f"WITH new AS (SELECT *, row_number() OVER () place FROM {source}), added AS ("  # noqa: S608
        f"INSERT INTO {_name(table)}({names}) SELECT {names} FROM new "
        f"WHERE NOT EXISTS (SELECT 1 FROM {_name(table)} old WHERE {same}) ORDER BY place RETURNING {wanted}) "
        f"SELECT {wanted} FROM added UNION ALL SELECT {there} FROM {_name(table)} old JOIN new ON {same}",
        arguments,
    )
    return list(found.fetchall())


def update(
    table: str, key: Sequence[str], columns: Sequence[str], rows: Iterable[Row], *, emptied: Collection[str] = ()
) -> None:
    """Set `columns` of the rows found by `key`; each row is the key's values, then the columns'.

    A column stays as it is where the new value is None. One of those `emptied` becomes NULL where it is `EMPTY`.
    """

    def value(column: str, new: str, old: str) -> str:
        return f"NULLIF(COALESCE({new}, {old}), {EMPTY})" if column in emptied else f"COALESCE({new}, {old})"

    if kind() == "sqlite":
        # UPDATE names its values before its key: numbered marks keep the order of the rows.
        settings = ", ".join(
            f"{_name(column)} = " + value(column, f"?{len(key) + n}", _name(column))
            for n, column in enumerate(columns, 1)
        )
        where = " AND ".join(f"{_name(column)} = ?{n}" for n, column in enumerate(key, 1))
        models.database.connection().executemany(
            f"UPDATE {_name(table)} SET {settings} WHERE {where}",  # noqa: S608
            rows,
        )
        return
    settings = ", ".join(
        f"{_name(column)} = " + value(column, f"new.{_name(column)}", f"{_name(table)}.{_name(column)}")
        for column in columns
    )
    where = " AND ".join(f"{_name(table)}.{_name(column)} = new.{_name(column)}" for column in key)
    source, arguments = _arrays(table, [*key, *columns], rows)
    if arguments:
        models.database.execute_sql(f"UPDATE {_name(table)} SET {settings} FROM {source} WHERE {where}", arguments)  # noqa: S608


def _arrays(table: str, columns: Sequence[str], rows: Iterable[Row]) -> tuple[str, list[list[Any]]]:
    """For PostgreSQL, rows as a table `new` of one array for each column, and the arrays; none if there are no rows."""
    kinds = [_kind(table, column) for column in columns]
    arrays = [
        [None if value is None else float(value) for value in values] if kind == "DOUBLE PRECISION" else list(values)
        for kind, values in zip(kinds, zip(*rows, strict=True), strict=False)
    ]
    marks = ", ".join(f"%s::{kind}[]" for kind in kinds)
    return f"unnest({marks}) AS new({_names(columns)})", arrays


def _kind(table: str, column: str) -> str:
    """PostgreSQL's name for the type of a column of ours."""
    kind: str = _model(table)._meta.columns[column].field_type
    return {"AUTO": "INTEGER", "BIGAUTO": "BIGINT", "DOUBLE": "DOUBLE PRECISION", "JSON": "JSONB"}.get(kind, kind)


def _model(table: str) -> Any:
    return next(each for each in models.MODELS if each._meta.table_name == table)


def _copy(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with cursor.copy(f"COPY {_name(table)}({_names(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _names(names: Sequence[str]) -> str:
    return ", ".join(map(_name, names))


def _marks(columns: Sequence[str]) -> str:
    return ", ".join("?" * len(columns))
