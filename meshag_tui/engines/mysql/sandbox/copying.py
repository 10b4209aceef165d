"""What a sandbox with data would read of a MySQL or MariaDB server: whole tables, samples of large ones, and parents.

In: a session, statements, limits. Out: a `CopyPlan` with the exact statements, `?` where values come that are known
only then. Of a table that does not fit, rows are read at places all over its primary key, some hundred at each, so that
they stay as near to each other as they were; where the key is none that can be cut (an enumeration, a shape) its first
rows. Of others only the keys that pieces begin with are looked at. Then the rows that copied rows name by a foreign key
come along, looked up by the key.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError, Refused
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.sandbox import cutting
from meshag_tui.engines.mysql.sandbox import source as sources
from meshag_tui.engines.mysql.sandbox.source import ENGINE, Source, Table
from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, KeyCopy, TableCopy
from meshag_tui.engines.shares import FOR_PARENTS, SPARE, shares

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

PLACES = 200
"""At how many places of a table's key rows are read, where it is not copied whole."""


async def plan(
    session: MysqlSession,
    statements: Sequence[str],
    limits: CopyLimits,
    place: str,
    notes: Sequence[str],
    *,
    reads: bool = True,
) -> CopyPlan:
    """What would be read for these statements; see `base.Session.copy_plan`. `reads`: rows would be read at all.

    Raises:
        Refused: none of them can be planned, or they read nothing that could be copied.
        PermissionDenied: a table is not ours to read.
    """
    said, asked = list(notes), []
    for statement in statements:
        try:
            await session.explain(statement)
            asked.append(statement)
        except EngineError as error:
            if session.wire.gone is not None:
                raise
            said.append(f"a statement is left out, it cannot be planned: {error}")
    if not asked:
        raise Refused(f"None of the statements can be planned: {said[-1] if said else 'there is none'}")
    found = await sources.read(session, asked)
    tables = await _tables(session, found, limits, said) if reads else _empty(found)
    if reads and not any(table.share for table in tables):
        raise Refused("The statements read no table whose rows could be copied")
    keys = _keys(found, tables)
    kept = {(key.parent_schema, key.parent) for key in keys}
    tables = [table for table in tables if table.share or not reads or (table.schema, table.table) in kept]
    part = {(table.schema, table.table) for table in tables if 0 < table.share < 1}
    sampled = sorted({key.parent for key in keys if part & {(key.schema, key.table), (key.parent_schema, key.parent)}})
    if sampled:
        said.append(f"of {', '.join(sampled)} rows that many others name are likelier to be among those copied")
    first = sorted(".".join(home) for home in part if found.tables[home].key_kind is None)
    if first:
        said.append(f"of {', '.join(first)} the first rows by its key, which cannot be cut, not from all over it")
    cut = sorted(".".join(home) for home in part if found.tables[home].key_kind is not None)
    if cut:
        said.append(
            f"of {', '.join(cut)} rows from all over its key, as many from each piece: perhaps fewer than asked"
        )
    if reads:
        said.append("the planner's statistics are counted anew, of the rows that are copied")
    return CopyPlan(
        source=session.wire.target.label,
        source_id=session.facts.epoch.system_identifier,
        place=place,
        tables=tuple(tables),
        keys=tuple(keys),
        statements=tuple(_statements(found, tables, keys)),
        limits=limits,
        asked=tuple(asked),
        notes=tuple(said),
    )


def selects(table: Table, copied: TableCopy, bounds: Sequence[Any], literal: Callable[[Any], str] = str) -> list[str]:
    """The statements that read a table, or a part of its rows.

    Args:
        bounds: where the pieces of its key begin, ascending; none: of a table that is read whole, or cannot be cut.
        literal: a value of the key as the server reads it.
    """
    whole = f"SELECT {_columns(table)} FROM {table.sql}"  # noqa: S608 (names are quoted)
    order = f" ORDER BY {', '.join(map(quoted, table.primary))}" if table.primary and copied.share < 1 else ""
    if not bounds or copied.share == 1:
        return [f"{whole}{order} LIMIT {copied.most_rows}"]
    said = list(map(literal, bounds))
    each = max(1, math.ceil(table.rows * copied.share / len(said)))
    key = quoted(table.primary[0])
    pieces = [f"{whole} WHERE {key} >= {begin} AND {key} < {end}" for begin, end in itertools.pairwise(said)]
    return [f"{piece}{order} LIMIT {each}" for piece in (*pieces, f"{whole} WHERE {key} >= {said[-1]}")]


def cuts(table: Table, low: Any, high: Any) -> Sequence[Any]:
    """Values between the ends of a table's key, in no order that counts: see `begins`."""
    if table.key_kind == "number":
        return cutting.numbers(int(low), int(high), PLACES)
    if table.key_kind == "even":
        return cutting.evenly(low, high, PLACES)
    if table.key_kind == "bytes":
        return cutting.octets(bytes(low), bytes(high), PLACES)
    way = cutting.uuids if table.key_kind == "uuid" else cutting.texts
    return way(str(low), str(high), PLACES)


def begins(table: Table, low: str, cut: Sequence[str]) -> str:
    """The statement that finds the first key at or behind each cut: each once, in the key's own order.

    So no piece is empty, and none overlaps another, however the server keeps such keys. The arguments are written as
    the server reads them.
    """
    key = quoted(table.primary[0])
    found = " UNION ".join(f"SELECT (SELECT MIN({key}) FROM {table.sql} WHERE {key} >= {one}) AS k" for one in cut)  # noqa: S608
    return f"SELECT k FROM ({found}) c WHERE k > {low} ORDER BY k"  # noqa: S608 (names are quoted)


def ends_of(table: Table) -> str:
    """The statement that asks for the ends of a table's key."""
    key = quoted(table.primary[0])
    return f"SELECT MIN({key}), MAX({key}) FROM {table.sql}"  # noqa: S608


def by_keys(table: Table, columns: Sequence[str], values: str) -> str:
    """The statement that looks up rows; `values` is a list of keys in brackets."""
    names = ", ".join(map(quoted, columns))
    where = f"({names})" if len(columns) > 1 else names
    return f"SELECT {_columns(table)} FROM {table.sql} WHERE {where} IN {values}"  # noqa: S608


def _columns(table: Table) -> str:
    """As they are read: a document as the text that it is written from."""
    return ", ".join(
        f"CONVERT({quoted(name)} USING utf8mb4)" if kind == "json" else quoted(name)
        for name, kind in table.columns.items()
    )


def _statements(found: Source, tables: Sequence[TableCopy], keys: Sequence[KeyCopy]) -> list[str]:
    said = []
    by_name = {(table.schema, table.table): table for table in tables}
    for home, copied in by_name.items():
        table = found.tables[home]
        if 0 < copied.share < 1 and table.key_kind is not None:
            order = ", ".join(map(quoted, table.primary))
            first, whole = quoted(table.primary[0]), f"SELECT {_columns(table)} FROM {table.sql}"  # noqa: S608
            said += [ends_of(table), f"{begins(table, '?', ['?'])} (and so for each cut, by UNION)"]
            said += [f"{whole} WHERE {first} >= ?{end} ORDER BY {order} LIMIT ?" for end in (f" AND {first} < ?", "")]
        elif copied.share:
            said += selects(table, copied, ())
    for key in keys:
        home = (key.parent_schema, key.parent)
        if by_name[home].share < 1:
            many = f"({', '.join('?' * len(key.parent_columns))})" if len(key.parent_columns) > 1 else "?"
            said.append(by_keys(found.tables[home], key.parent_columns, f"({many}, …)"))
    return list(dict.fromkeys(said))


async def _tables(session: MysqlSession, found: Source, limits: CopyLimits, notes: list[str]) -> list[TableCopy]:
    """How much of each table."""
    usable = {}
    for home, table in found.tables.items():
        if table.engine == ENGINE:
            await sources.may_read(session, table)
            usable[home] = table
        else:
            notes.append(f"without {'.'.join(home)}, a table of {table.engine}")
    sizes = {home: (table.rows, table.bytes) for home, table in usable.items() if home in found.named}
    parts = shares(sizes, limits)
    if any(parts.get(home, 0.0) < 1 for home in usable):
        parts = shares(sizes, limits, kept=FOR_PARENTS)
    made = []
    for home, table in usable.items():
        share = parts.get(home, 0.0)
        most = limits.rows if share == 1 else math.ceil(table.rows * share * SPARE) + 1_000
        made.append(TableCopy(*home, tuple(table.columns), table.rows, table.bytes, share, min(limits.rows, most)))
    return made


def _empty(found: Source) -> list[TableCopy]:
    """The tables without any row."""
    kept = ((home, one) for home, one in found.tables.items() if one.engine == ENGINE)
    return [TableCopy(*home, tuple(one.columns), one.rows, one.bytes, 0.0, 0) for home, one in kept]


def _keys(found: Source, tables: Sequence[TableCopy]) -> list[KeyCopy]:
    """The foreign keys whose children are copied, from the children up."""
    known = {(table.schema, table.table) for table in tables}
    filled = {(table.schema, table.table) for table in tables if table.share}
    chosen: list[KeyCopy] = []
    left = [key for key in found.keys if (key.parent_schema, key.parent) in known]
    while True:
        more = [key for key in left if (key.schema, key.table) in filled]
        if not more:
            return chosen
        chosen += more
        left = [key for key in left if key not in more]
        filled |= {(key.parent_schema, key.parent) for key in more}
