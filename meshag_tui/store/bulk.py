"""Many rows in one statement: executemany on SQLite; COPY, or arrays for what may be there already, on PostgreSQL.

Rows are tuples in the order of `columns`; documents go in as JSON text (`documents.as_json`). Table and column names
come from our own models, never from data. Run inside `database.atomic()`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meshag_tui.store import models
from meshag_tui.store.database import kind

Row = Sequence[Any]


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
    new and `table.x` the old value; empty leaves existing rows as they are. A key may occur once in `rows`.
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
        models.database.execute_sql(
            f"INSERT INTO {_name(table)}({_names(columns)}) SELECT * FROM {source} {conflict}",  # noqa: S608
            arguments,
        )


def update(
    table: str, key: Sequence[str], columns: Sequence[str], rows: Iterable[Row], *, none_keeps: bool = False
) -> None:
    """Set `columns` of the rows found by `key`; each row is the key's values, then the columns'.

    `none_keeps` leaves a column as it is where the new value is None.
    """
    value = "COALESCE({new}, {old})" if none_keeps else "{new}"
    if kind() == "sqlite":
        # UPDATE names its values before its key: numbered marks keep the order of the rows.
        settings = ", ".join(
            f"{_name(column)} = " + value.format(new=f"?{len(key) + n}", old=_name(column))
            for n, column in enumerate(columns, 1)
        )
        where = " AND ".join(f"{_name(column)} = ?{n}" for n, column in enumerate(key, 1))
        models.database.connection().executemany(
            f"UPDATE {_name(table)} SET {settings} WHERE {where}",  # noqa: S608
            rows,
        )
        return
    settings = ", ".join(
        f"{_name(column)} = " + value.format(new=f"new.{_name(column)}", old=f"{_name(table)}.{_name(column)}")
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
    model = next(each for each in models.MODELS if each._meta.table_name == table)
    kind: str = model._meta.columns[column].field_type
    return {"AUTO": "INTEGER", "BIGAUTO": "BIGINT", "DOUBLE": "DOUBLE PRECISION", "JSON": "JSONB"}.get(kind, kind)


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
