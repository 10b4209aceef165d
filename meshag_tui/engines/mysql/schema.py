"""Structure: columns, views, constraints and foreign keys of the watched schemas, in one statement."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.scope import names, within
from meshag_tui.engines.mysql.sql import load
from meshag_tui.snapshot import Column, ForeignKey, IndexStats, SchemaSnapshot

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.wire import Wire

Name = tuple[str, str]  # schema, table


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure, the foreign keys, and the columns that number themselves, with their types."""

    schema: SchemaSnapshot
    foreign_keys: tuple[ForeignKey, ...]
    numbering: Mapping[Name, tuple[str, str]]  # column and its type


async def structure(wire: Wire, server: Server, indexes: Iterable[IndexStats]) -> Structure:
    """The whole structure; primary and unique keys are those of `indexes`.

    Sources: COLUMNS, KEY_COLUMN_USAGE, REFERENTIAL_CONSTRAINTS, CHECK_CONSTRAINTS, VIEWS of information_schema.
    """
    database = server.facts.database
    query = load("schema").format(
        columns=within("c.TABLE_SCHEMA", database),
        keys=within("k.TABLE_SCHEMA", database),
        rules=within("r.CONSTRAINT_SCHEMA", database),
        views=within("v.TABLE_SCHEMA", database),
    )
    if server.flavour == "MariaDB":
        query += "\n" + load("checks").format(table="x", join="", checks=within("x.CONSTRAINT_SCHEMA", database))
    elif server.version >= (8, 0, 16):
        join = (
            " JOIN information_schema.TABLE_CONSTRAINTS o ON o.CONSTRAINT_SCHEMA = x.CONSTRAINT_SCHEMA"
            " AND o.CONSTRAINT_NAME = x.CONSTRAINT_NAME AND o.CONSTRAINT_TYPE = 'CHECK'"
        )
        query += "\n" + load("checks").format(table="o", join=join, checks=within("x.CONSTRAINT_SCHEMA", database))
    parts: dict[str, list[tuple[Any, ...]]] = defaultdict(list)

    def shape(rows: list[tuple[Any, ...]]) -> list[None]:
        for row in rows:
            parts[row[0]].append(row[1:])
        return []

    await wire.fetch(query, names(database), shape=shape)
    return await asyncio.to_thread(_structure, parts, indexes)


def _structure(parts: Mapping[str, list[tuple[Any, ...]]], indexes: Iterable[IndexStats]) -> Structure:
    columns: dict[str, list[Column]] = defaultdict(list)
    numbering: dict[Name, tuple[str, str]] = {}
    for schema, table, name, _, kind, nullable, default, extra in sorted(parts["column"], key=_place):
        columns[f"{schema}.{table}"].append(Column(name, kind, nullable == "YES", _default(default, extra)))
        if "auto_increment" in (extra or "").lower():
            numbering[schema, table] = (name, kind)
    rules = {(schema, table, name): (update, delete) for schema, table, name, _, update, delete, _, _ in parts["rule"]}
    keys = _foreign_keys(parts["key"])
    constraints: dict[str, list[str]] = defaultdict(list)
    for index in indexes:
        if index.unique:
            columns_of = ", ".join(key.column or f"({key.expression})" for key in index.keys)
            kind = "PRIMARY KEY" if index.primary else "UNIQUE"
            constraints[f"{index.schema}.{index.table}"].append(f"{index.name} {kind} ({columns_of})")
    for key in keys:
        update, delete = rules.get((key.schema, key.table, key.name), ("", ""))
        constraints[f"{key.schema}.{key.table}"].append(
            f"{key.name} FOREIGN KEY ({', '.join(key.columns)}) REFERENCES {quoted(key.ref_schema)}."
            f"{quoted(key.ref_table)} ({', '.join(key.ref_columns)}) ON UPDATE {update} ON DELETE {delete}"
        )
    for schema, table, name, _, clause, _, _, _ in parts["check"]:
        constraints[f"{schema}.{table}"].append(f"{name} CHECK ({clause})")
    snapshot = SchemaSnapshot(
        columns={name: tuple(found) for name, found in sorted(columns.items())},
        views={f"{row[0]}.{row[1]}": row[4] or "" for row in sorted(parts["view"], key=_place)},
        constraints={name: tuple(sorted(found)) for name, found in sorted(constraints.items())},
    )
    return Structure(snapshot, keys, numbering)


def _place(row: tuple[Any, ...]) -> tuple[str, str, int]:
    return row[0], row[1], row[3]


def _default(default: str | None, extra: str | None) -> str | None:
    """What a column gets by itself. MariaDB writes NULL where MySQL writes nothing."""
    words = [word for word in (default if default != "NULL" else None, extra) if word]
    return " ".join(words) or None


def _foreign_keys(rows: list[tuple[Any, ...]]) -> tuple[ForeignKey, ...]:
    """One for each constraint from its columns in order."""
    found: dict[tuple[str, str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row[0], row[1], row[2], row[3])):
        found[row[0], row[1], row[2]].append(row)
    return tuple(
        ForeignKey(
            name=name,
            schema=schema,
            table=table,
            columns=tuple(row[4] for row in columns),
            ref_schema=columns[0][5],
            ref_table=columns[0][6],
            ref_columns=tuple(row[7] for row in columns),
        )
        for (schema, table, name), columns in found.items()
    )
