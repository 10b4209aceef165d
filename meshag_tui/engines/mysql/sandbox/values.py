"""A statement made ready to be run in a sandbox: its digest as a text with `?`, and values that rows of the copy hold.

In: a session with the sandbox, a statement that may run there. Out: a `Runnable`. Values that are compared with columns
of a table by equality are those of one row, others come from the statistics of the copy. Nothing can be found for what
an application inserts, so for INSERT … VALUES rows that no other row names are taken out of the copy, once, and each
run inserts one of them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from meshag_tui.engines.base import ColumnStatistics, Refused
from meshag_tui.engines.mysql import digest, parse, samples
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.explainable import Explainable, explainable, without_hints
from meshag_tui.engines.mysql.lexer import Token, joined
from meshag_tui.engines.mysql.named import Relation
from meshag_tui.engines.mysql.resolve import MARK, Meeting, meetings
from meshag_tui.engines.mysql.rewriting import numbers_of, with_numbers
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.survey import survey
from meshag_tui.engines.rehearsal import Runnable

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession


class Made(NamedTuple):
    runnable: Runnable
    notes: tuple[str, ...] = ()


async def ready(session: MysqlSession, found: Explainable, statement: str, schema: str, sets: int, seed: int) -> Made:
    """Make it ready, with up to so many sets of values.

    Raises:
        Refused: there are no values for its parameters.
        EngineError: it names what is not in the sandbox.
    """
    repaired = digest.repaired(found.whole)
    writes = found.operation != "Select"
    surveyed = await survey(session, repaired, schema)
    repaired = digest.with_names(repaired, surveyed.names)
    text = joined(repaired)
    count = len(digest.values_of(repaired))
    if not count:
        return Made(Runnable(statement, text, schema, (), ((),), writes))
    if not found.words:
        return await _inserting(session, found, statement, schema, sets, seed)
    marked = joined(digest.with_values(repaired, [f"'{MARK}{number}'" for number in range(count)]))
    reads = joined(explainable(marked).words)  # of a write what finds its rows
    met = meetings(await asyncio.to_thread(parse.tree, without_hints(reads)), surveyed.catalogue)
    written = {} if found.target is None else _written(repaired, found.target, schema, surveyed.types)
    known: dict[tuple[str, str, str], ColumnStatistics] = {}
    for home, table in {(one.schema, one.table) for one in (*met.values(), *written.values())}:
        if home is not None and table is not None:
            for one in await session.planning.column_statistics(home, table):
                known[home, table, one.column] = one
    chosen = samples.choose(count, {**written, **met}, surveyed.types, known, variants=sets)
    rows = await _rows(session, met, sets, seed)
    made = dict.fromkeys(
        tuple(rows[at].get(number, value) for number, value in enumerate(chosen.variants[at % len(chosen.variants)]))
        for at in range(max(1, sets))
    )
    return Made(Runnable(statement, text, schema, (), tuple(made)[:sets], writes))


async def rewritten(session: MysqlSession, runnable: Runnable, text: str, here: str) -> Runnable:
    """Another statement made ready, with the values of the first.

    Args:
        here: the text with the schemas of the sandbox.

    Raises:
        Refused: its parameters are others.
        EngineError: it names what is not in the sandbox.
    """
    found, wanted = explainable(here), set(range(1, len(runnable.sets[0]) + 1))
    numbers = numbers_of(here)
    if set(numbers) != wanted:
        raise Refused("the parameters of the other statement are not the same")
    repaired = digest.repaired(found.whole)
    if len(digest.values_of(repaired)) != len(numbers):
        raise Refused("the parameters of the other statement are not the same")
    surveyed = await survey(session, repaired, runnable.path)
    prepared = joined(with_numbers(digest.with_names(repaired, surveyed.names), numbers))
    return replace(runnable, text=text, prepared=prepared, writes=found.operation != "Select")


def _written(
    parts: Sequence[Token], target: Relation, schema: str, types: Mapping[tuple[str, str, str], str]
) -> dict[int, Meeting]:
    """The values that an UPDATE sets a column of its table to, plainly: `column = ?`."""
    home = (target.schema or schema, target.name)
    number, found = -1, {}
    for at, one in enumerate(parts):
        number += one.kind == "parameter"
        column = parts[at - 2].name if at >= 2 and one.kind == "parameter" and parts[at - 1].text == "=" else None
        if column is not None and (*home, column) in types:
            found[number] = Meeting(number, "=", *home, column)
    return found


async def _rows(session: MysqlSession, met: Mapping[int, Meeting], sets: int, seed: int) -> list[dict[int, str]]:
    """For each set the values that one row has in all columns compared by equality, by the value's number."""
    by_table: dict[tuple[str, str], dict[int, str]] = {}
    for number, one in met.items():
        plain = one.operator == "=" and one.function is None and one.place == 0
        if plain and one.schema is not None and one.table is not None and one.column is not None:
            by_table.setdefault((one.schema, one.table), {})[number] = one.column
    found: list[dict[int, str]] = [{} for _ in range(max(1, sets))]
    for (schema, table), columns in by_table.items():
        names = [quoted(column) for column in columns.values()]
        rows = await session.fetch(
            f"SELECT {', '.join(names)} FROM {quoted(schema)}.{quoted(table)} "  # noqa: S608 (names are quoted)
            f"WHERE {' AND '.join(f'{name} IS NOT NULL' for name in names)} "
            f"ORDER BY CRC32(CONCAT_WS('/', {seed:d}, {', '.join(names)})) LIMIT {sets:d}"
        )
        for at in range(len(found) if rows else 0):
            row = rows[at % len(rows)]
            found[at] |= {number: session.wire.literal(value) for number, value in zip(columns, row, strict=True)}
    return found


async def _inserting(
    session: MysqlSession, found: Explainable, statement: str, schema: str, sets: int, seed: int
) -> Made:
    """Take up to so many rows out of the table that is inserted into, and make ready to insert each."""
    target = found.target
    words = {one.word for one in found.whole}
    if target is None or "duplicate" in words or "replace" in words:
        raise Refused("no values are known for its parameters")
    home = (target.schema or schema, target.name)
    described = await session.fetch(load("rehearsal_table"), home)
    columns = [row[5] for row in sorted(described, key=lambda row: int(row[10])) if not row[8]]
    primary = [name for _, name in sorted((int(row[9]), row[5]) for row in described if row[9] is not None)]
    table = f"{quoted(home[0])}.{quoted(home[1])}"
    if not primary:
        raise Refused(f"{'.'.join(home)} has no primary key, by which a row could be taken out to be inserted again")
    named_by: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for child_schema, child, name, mine, theirs in await session.fetch(load("rehearsal_named_by"), home):
        named_by.setdefault((child_schema, child, name), []).append((mine, theirs))
    free = [
        f"NOT EXISTS (SELECT 1 FROM {quoted(child_schema)}.{quoted(child)} c WHERE "  # noqa: S608
        + " AND ".join(f"c.{quoted(mine)} = t.{quoted(theirs)}" for mine, theirs in pairs)
        + ")"
        for (child_schema, child, _), pairs in named_by.items()
    ]
    keys = ", ".join(f"t.{quoted(name)}" for name in primary)
    rows = await session.fetch(
        f"SELECT {', '.join(f't.{quoted(name)}' for name in columns)} FROM {table} t "  # noqa: S608
        f"WHERE {' AND '.join(free) or '1'} ORDER BY CRC32(CONCAT_WS('/', {seed:d}, {keys})) LIMIT {sets:d}"
    )
    if not rows:
        raise Refused(f"no row of {table} could be taken out to be inserted again: there is none that no other names")
    literal = session.wire.literal
    at = [columns.index(name) for name in primary]
    for row in rows:
        same = " AND ".join(f"{quoted(name)} = {literal(row[place])}" for name, place in zip(primary, at, strict=True))
        await session.fetch(f"DELETE FROM {table} WHERE {same}")  # noqa: S608
    marks = ", ".join("?" * len(columns))
    text = f"INSERT INTO {table} ({', '.join(map(quoted, columns))}) VALUES ({marks})"  # noqa: S608
    sets_of = tuple(tuple("NULL" if value is None else literal(value) for value in row) for row in rows)
    note = f"INSERT INTO {'.'.join(home)}: rows of the copy, taken out of it before"
    return Made(Runnable(statement, text, schema, (), sets_of, writes=True), (note,))
