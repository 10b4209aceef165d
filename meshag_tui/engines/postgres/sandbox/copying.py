"""What a sandbox with data would read of a database, and reading it: whole tables, samples of large ones, and parents.

In: statements, limits. Out: a `CopyPlan` with the exact statements; later their rows, in one transaction that sees one
moment. Small tables come whole; of one that does not fit a part of its pages is taken (TABLESAMPLE SYSTEM, which reads
no others), so rows stay as near to each other as they were. Then the rows that copied rows name by a foreign key come
along, looked up by the key, so that every copied row has its parents.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from meshag_tui.engines.base import EngineError, PermissionDenied, Refused
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.sandbox import source as sources
from meshag_tui.engines.postgres.sandbox.schema import dotted, literal
from meshag_tui.engines.postgres.sandbox.source import Relation, Source
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, KeyCopy, TableCopy
from meshag_tui.engines.shares import FOR_PARENTS, SPARE, shares

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

SEED = 20_17
"""Of TABLESAMPLE: the same table gives the same pages."""
Take = Callable[[bytes], Awaitable[None]]


async def plan(
    session: PostgresSession, statements: Sequence[str], limits: CopyLimits, place: str, *, reads: bool = True
) -> CopyPlan:
    """What would be read for these statements; see `base.Session.copy_plan`. `reads`: rows would be read at all.

    Raises:
        Refused: none of them can be planned, or they read nothing that could be copied.
        PermissionDenied: a table is not ours to read.
    """
    plans, notes, asked = [], [], []
    for statement in statements:
        try:
            plans.append(await session.explain(statement))
            asked.append(statement)
        except EngineError as error:
            if session.wire.gone is not None:
                raise
            notes.append(f"a statement is left out, it cannot be planned: {error}")
    if not plans:
        raise Refused(f"None of the statements can be planned: {notes[0] if notes else 'there is none'}")
    found = await sources.read(session, plans, keys=True)
    read = {(node.schema or "", node.table) for one in plans for node in one.root.walk() if node.table}
    tables = await _tables(session, found, read, limits) if reads else []
    if reads and not any(table.share for table in tables):
        raise Refused("The statements read no table whose rows could be copied")
    keys = await _keys(session, found, tables)
    kept = {(key.parent_schema, key.parent) for key in keys}
    tables = [table for table in tables if table.share or (table.schema, table.table) in kept]
    part = {(table.schema, table.table) for table in tables if 0 < table.share < 1}
    sampled = sorted({key.parent for key in keys if part & {(key.schema, key.table), (key.parent_schema, key.parent)}})
    if sampled:
        notes.append(f"of {', '.join(sampled)} rows that many others name are likelier to be among those copied")
    if any(relation.row_security for relation in found.relations):
        notes.append("policies may hide rows from us")
    return CopyPlan(
        source=session.wire.target.label,
        source_id=session.facts.epoch.system_identifier,
        place=place,
        tables=tuple(tables),
        keys=tuple(keys),
        statements=tuple(_statements(tables, keys)),
        limits=limits,
        asked=tuple(asked),
        notes=tuple(notes),
    )


def select(table: TableCopy) -> str:
    """The statement that reads a table, or a part of its pages."""
    sample = f" TABLESAMPLE SYSTEM ({table.share * 100:.4g}) REPEATABLE ({SEED})" if table.share < 1 else ""
    home = dotted((table.schema, table.table))
    return f"SELECT {_columns(table)} FROM ONLY {home}{sample} LIMIT {table.most_rows}"  # noqa: S608 (names are quoted)


def by_keys(table: TableCopy, columns: Sequence[str], values: str) -> str:
    """The statement that looks up rows; `values` are arrays, one for each column."""
    only = "" if table.routed else "ONLY "
    names = ", ".join(quoted(column) for column in columns)
    where = f"({names}) IN (SELECT * FROM ROWS FROM ({values}))" if len(columns) > 1 else f"{names} = ANY ({values})"  # noqa: S608
    return f"SELECT {_columns(table)} FROM {only}{dotted((table.schema, table.table))} WHERE {where}"  # noqa: S608


def arrays(rows: Sequence[tuple[str, ...]], types: Sequence[str]) -> str:
    """Keys, as texts, written as arrays of their types for `by_keys`."""
    made = []
    for at, kind in enumerate(types):
        words = ", ".join(literal(row[at]) for row in rows)
        made.append(f"ARRAY[{words}]::{kind}[]")
    return ", ".join(f"unnest({one})" for one in made) if len(made) > 1 else made[0]


def _columns(table: TableCopy) -> str:
    return ", ".join(quoted(column) for column in table.columns)


def _statements(tables: Sequence[TableCopy], keys: Sequence[KeyCopy]) -> list[str]:
    by_name = {(table.schema, table.table): table for table in tables}
    said = [select(table) for table in tables if table.share]
    for key in keys:
        parent = by_name[key.parent_schema, key.parent]
        if parent.share < 1:
            marks = [f"${at}" for at in range(1, len(key.parent_columns) + 1)]
            values = ", ".join(f"unnest({mark})" for mark in marks) if len(marks) > 1 else marks[0]
            said.append(by_keys(parent, key.parent_columns, values))
    return list(dict.fromkeys(said))


async def _tables(
    session: PostgresSession, found: Source, read: set[tuple[str, str]], limits: CopyLimits
) -> list[TableCopy]:
    """How much of each table: the small ones whole, of the others parts of equal size."""
    rows = await session.fetch(load("rehearsal_sizes"), ([one.oid for one in found.relations],))
    known = {oid: (count, size, readable and usable) for oid, count, size, readable, usable in rows}
    relations = [one for one in found.relations if one.oid in known and one.kind in "rmp"]
    for one in relations:
        if not known[one.oid][2]:
            user = session.facts.user
            raise PermissionDenied(
                f"{user} may not read {one.schema}.{one.name}, whose rows would be copied",
                f"GRANT SELECT ON {dotted(one.home)} TO {quoted(user)};",
            )
    wanted = {one.home for one in relations if one.kind != "p" and (one.home in read or _part_of(one, found, read))}
    sizes = {one.home: known[one.oid][:2] for one in relations if one.home in wanted}
    parts = shares(sizes, limits)
    if any(parts.get(one.home, 0.0) < 1 for one in relations):
        parts = shares(sizes, limits, kept=FOR_PARENTS)
    made = []
    for one in relations:
        count, size, _ = known[one.oid]
        share = parts.get(one.home, 0.0)
        columns = tuple(column.name for column in one.columns if column.virtual is None)
        most = limits.rows if share == 1 else math.ceil(count * share * SPARE) + 1_000
        made.append(TableCopy(*one.home, columns, count, size, share, min(limits.rows, most), routed=one.kind == "p"))
    return made


def _part_of(one: Relation, found: Source, read: set[tuple[str, str]]) -> bool:
    """Whether its parent, or that one's, is read: a plan names the parts that it did not exclude only."""
    by_name = {each.home: each for each in found.relations}
    above = [by_name[home] for home in one.parents if home in by_name]
    return any(each.home in read or _part_of(each, found, read) for each in above)


async def _keys(session: PostgresSession, found: Source, tables: Sequence[TableCopy]) -> list[KeyCopy]:
    """The foreign keys whose children are copied, from the children up."""
    rows = await session.fetch(load("rehearsal_keys"), {"oids": [one.oid for one in found.relations]})
    every = [KeyCopy(row[0], row[1], tuple(row[2]), row[3], row[4], tuple(row[5])) for row in rows]
    known = {(table.schema, table.table) for table in tables}
    parts: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for one in found.relations:
        for parent in one.parents:
            parts.setdefault(parent, set()).add(one.home)
    filled = {(table.schema, table.table) for table in tables if table.share}
    chosen: list[KeyCopy] = []
    left = [key for key in every if (key.parent_schema, key.parent) in known]
    while True:
        more = [key for key in left if _has_rows((key.schema, key.table), filled, parts)]
        if not more:
            return chosen
        chosen += more
        left = [key for key in left if key not in more]
        filled |= {(key.parent_schema, key.parent) for key in more}


def _has_rows(
    name: tuple[str, str], filled: set[tuple[str, str]], parts: dict[tuple[str, str], set[tuple[str, str]]]
) -> bool:
    return name in filled or any(_has_rows(part, filled, parts) for part in parts.get(name, ()))


async def read_rows(session: PostgresSession, text: str, take: Take, most_bytes: int, seconds: float) -> int:
    """Give the rows of a SELECT to `take`, as COPY writes them; the bytes that came.

    Raises:
        Refused: more came than there is room for.
        EngineError: see `Wire.copy_out`.
    """
    came = 0

    async def counted(row: bytes) -> None:
        nonlocal came
        came += len(row)
        if came > most_bytes:
            raise Refused("More came than there is room for: ask for fewer rows ([rehearsal] rows, megabytes)")
        await take(row)

    await session.wire.copy_out(f"COPY ({text}) TO STDOUT", counted, seconds)
    return came
