"""Many rows in few statements: executemany on SQLite, COPY (through a staging table for upserts) on PostgreSQL.

Rows are tuples in the order of `columns`; documents go in as JSON text (`documents.as_json`). Table and column names
come from our own models, never from data. Run inside `database.atomic()`.
"""

from __future__ import annotations

import hashlib
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
    with models.database.connection().cursor() as cursor:
        staging = _stage(cursor, table, columns, rows)
        cursor.execute(
            f"WITH new AS (DELETE FROM {staging} RETURNING {_names(columns)}) "  # noqa: S608
            f"INSERT INTO {_name(table)}({_names(columns)}) SELECT {_names(columns)} FROM new {conflict}"
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
    with models.database.connection().cursor() as cursor:
        staging = _stage(cursor, table, [*key, *columns], rows)
        cursor.execute(
            f"WITH new AS (DELETE FROM {staging} RETURNING *) "  # noqa: S608
            f"UPDATE {_name(table)} SET {settings} FROM new WHERE {where}"
        )


def _stage(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Fill this session's staging table for these columns and return its name; whoever reads it empties it.

    It is kept for the session, so that a sync every minute does not churn the catalogue.
    """
    digest = hashlib.sha256(",".join(columns).encode()).hexdigest()[:8]
    staging = _name(f"in_{table}_{digest}")
    cursor.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {staging} ON COMMIT DELETE ROWS "  # noqa: S608
        f"AS SELECT {_names(columns)} FROM {_name(table)} WITH NO DATA"
    )
    _copy(cursor, f"in_{table}_{digest}", columns, rows)
    return staging


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
