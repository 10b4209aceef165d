"""Structure: columns, indexes, views, constraints, foreign keys of the watched schemas in one statement; what numbers
itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.scope import names, within
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.storage import file_names, from_file_name
from meshag_tui.snapshot import Column, ForeignKey, SchemaSnapshot, Sequence

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.wire import Wire

PRIMARY = "PRIMARY"
_LARGEST = {"tinyint": 7, "smallint": 15, "mediumint": 23, "int": 31, "bigint": 63}  # bits of the signed type
Name = tuple[str, str]  # schema, table
IndexRows = Mapping[Name, Mapping[str, list[tuple[Any, ...]]]]
"""By table and index: its keys in order, each with the values that `indexes.sql` packs."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure, the foreign keys, the columns that number themselves with their types, and files of tables."""

    schema: SchemaSnapshot
    foreign_keys: tuple[ForeignKey, ...]
    numbering: Mapping[Name, tuple[str, str]]  # column and its type
    files: Mapping[Name, int] | None  # of a table's own, one or one a partition; None: not asked


async def structure(wire: Wire, server: Server, files: bool) -> tuple[IndexRows, Structure]:
    """The keys of the indexes, and the whole structure.

    Sources: COLUMNS, KEY_COLUMN_USAGE, REFERENTIAL_CONSTRAINTS, VIEWS, STATISTICS, CHECK_CONSTRAINTS of
    information_schema, and for `files`, which need PROCESS, INNODB_TABLESPACES or (MariaDB) INNODB_SYS_TABLES.
    """
    mysql, database = server.flavour == "MySQL", server.facts.database
    query = load("schema").format(
        columns=within("c.TABLE_SCHEMA", database),
        keys=within("k.TABLE_SCHEMA", database),
        rules=within("r.CONSTRAINT_SCHEMA", database),
        views=within("v.TABLE_SCHEMA", database),
    )
    query += "\n" + load("indexes").format(
        indexes=within("s.TABLE_SCHEMA", database),
        hidden="s.IS_VISIBLE = 'NO'" if mysql else "s.IGNORED = 'YES'" if server.facts.hides_indexes else "0",
        expression="s.EXPRESSION" if mysql and server.version >= (8, 0, 13) else "NULL",
    )
    if not mysql:
        query += "\n" + load("checks").format(table="x", join="", checks=within("x.CONSTRAINT_SCHEMA", database))
    elif server.version >= (8, 0, 16):
        join = (
            " JOIN information_schema.TABLE_CONSTRAINTS o ON o.CONSTRAINT_SCHEMA = x.CONSTRAINT_SCHEMA"
            " AND o.CONSTRAINT_NAME = x.CONSTRAINT_NAME AND o.CONSTRAINT_TYPE = 'CHECK'"
        )
        query += "\n" + load("checks").format(table="o", join=join, checks=within("x.CONSTRAINT_SCHEMA", database))
    if files:  # MySQL's list of tables is ten times as dear
        spaces = "INNODB_TABLESPACES" if mysql else "INNODB_SYS_TABLES"
        query += "\n" + load("own_files").format(spaces=spaces, **file_names(server))
    parts: dict[str, list[tuple[Any, ...]]] = defaultdict(list)

    def shape(rows: list[tuple[Any, ...]]) -> list[None]:
        for row in rows:
            parts[row[0]].append(row[1:])
        return []

    await wire.fetch(query, names(database), shape=shape)
    return await asyncio.to_thread(_made, parts, files)


def _made(parts: Mapping[str, list[tuple[Any, ...]]], files: bool) -> tuple[IndexRows, Structure]:
    indexes: dict[Name, dict[str, list[tuple[Any, ...]]]] = defaultdict(lambda: defaultdict(list))
    for schema, table, name, _, packed, *_ in sorted(parts["index key"], key=lambda row: row[:4]):
        indexes[schema, table][name].append(tuple(json.loads(packed)))
    return indexes, _structure(parts, indexes, files)


def _structure(parts: Mapping[str, list[tuple[Any, ...]]], indexes: IndexRows, files: bool) -> Structure:
    columns: dict[str, list[Column]] = defaultdict(list)
    numbering: dict[Name, tuple[str, str]] = {}
    for schema, table, name, _, kind, nullable, default, extra in sorted(parts["column"], key=_place):
        columns[f"{schema}.{table}"].append(Column(name, kind, nullable == "YES", _default(default), extra or None))
        if "auto_increment" in (extra or "").lower():
            numbering[schema, table] = (name, kind)
    rules = {(schema, table, name): (update, delete) for schema, table, name, _, update, delete, _, _ in parts["rule"]}
    keys = _foreign_keys(parts["key"])
    constraints: dict[str, list[str]] = defaultdict(list)
    for (schema, table), found in indexes.items():
        for name, rows in found.items():
            if not int(rows[0][0]):
                columns_of = ", ".join(row[1] or f"({row[-1]})" for row in rows)
                kind = "PRIMARY KEY" if name == PRIMARY else "UNIQUE"
                constraints[f"{schema}.{table}"].append(f"{name} {kind} ({columns_of})")
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
    own = Counter((from_file_name(row[0]), from_file_name(row[1])) for row in parts["own file"]) if files else None
    return Structure(snapshot, keys, numbering, own)


def _place(row: tuple[Any, ...]) -> tuple[str, str, int]:
    return row[0], row[1], row[3]


def _default(default: str | None) -> str | None:
    """What a column gets by itself. MariaDB writes NULL where MySQL writes nothing."""
    return default if default != "NULL" else None


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


def sequences(
    numbering: Mapping[Name, tuple[str, str]], following: Mapping[Name, int | None], server: Server
) -> tuple[Sequence, ...]:
    """The columns that number themselves, with the last number given and the largest that the type can hold."""
    step = int(server.settings.get("auto_increment_increment", "1"))
    found = []
    for (schema, table), (column, kind) in sorted(numbering.items()):
        limit = _largest(kind)
        if limit is None or (schema, table) not in following:
            continue
        next_value = following[schema, table]
        found.append(
            Sequence(
                schema=schema,
                name=f"{table}.{column}",
                last_value=next_value - 1 if next_value is not None and next_value > 1 else None,
                limit=limit,
                increment=step,
                cycles=False,
                table_schema=schema,
                table=table,
                column=column,
                column_type=kind,
            )
        )
    return tuple(found)


def _largest(kind: str) -> int | None:
    bits = _LARGEST.get(re.split(r"[( ]", kind, maxsplit=1)[0].lower())
    if bits is None:
        return None
    return (1 << bits + ("unsigned" in kind.lower())) - 1
