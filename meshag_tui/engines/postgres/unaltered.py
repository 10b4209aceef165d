"""Tables, indexes and structure as long as nothing was altered: then only their figures are read.

A whole reading prints every definition and opens every file: with thousands of tables, most of what syncs cost a
server. What was read whole is kept with a sign, sums over the catalogue that any change of the structure moves. Under
the same sign it holds, and what work on rows moves is read: counters, the planner's own figures, and the sizes of the
tables that were written to. It is kept no longer than the facts of the server are (`facts.LASTING_S`), because a type
or function that is renamed does not move the sign.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.postgres import relations, schema
from meshag_tui.engines.postgres.facts import place_of
from meshag_tui.engines.postgres.relations import Figures, OfTable
from meshag_tui.engines.postgres.sql import load
from meshag_tui.snapshot import ForeignKey, IndexStats, SchemaSnapshot, Sequence, TableStats

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Server
    from meshag_tui.engines.postgres.wire import Wire
    from meshag_tui.types import Target

_AT_ONCE = 250  # values made before the event loop gets its turn
_MOST = 50_000
"""Columns of a connection's tables up to which all is kept in memory; each takes some hundred bytes."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The sections of a snapshot that change seldom; None where one could not be read."""

    tables: tuple[TableStats, ...] | None
    indexes: tuple[IndexStats, ...] | None
    schema: SchemaSnapshot | None
    foreign_keys: tuple[ForeignKey, ...] | None
    sequences: tuple[Sequence, ...] | None


Sign = tuple[Any, ...]
_known: dict[tuple[Any, ...], tuple[Sign, Objects]] = {}  # by target


async def sign(wire: Wire) -> Sign | None:
    """What is the same as long as nothing is altered; None when it cannot be read: the whole reading will say why.

    Sources: xmin of pg_class, pg_index, pg_attribute, pg_constraint, pg_namespace.
    """
    try:
        (found,) = await wire.fetch(load("structure_sign"))
        return tuple(found)
    except EngineError:
        if wire.gone is not None:
            raise
        return None


def recall(target: Target, now: Sign | None) -> Objects | None:
    """What was read whole, if it is known and still true under this sign."""
    under, known = _known.get(place_of(target), (None, None))
    return known if now is not None and now == under else None


def remember(target: Target, under: Sign | None, objects: Objects) -> None:
    """Keep what was read after this sign; nothing without one, or where not all was there or an index is being made."""
    sections = (objects.tables, objects.indexes, objects.schema, objects.foreign_keys, objects.sequences)
    _known.pop(place_of(target), None)
    if under is None or objects.schema is None or None in sections:
        return
    made = all(index.valid and not index.building for index in objects.indexes or ())
    if made and sum(map(len, objects.schema.columns.values())) <= _MOST:
        _known[place_of(target)] = under, objects


async def current(wire: Wire, server: Server, known: Objects) -> Objects | None:
    """What is known, with the figures of now; None if all is to be read whole.

    That is so when something whose size is wanted is locked, when the figures cannot be had, or nothing is counted that
    would tell what was written to.

    Sources: pg_class, pg_stat_get_*(), pg_relation_size(), and those of `schema.sequences`.
    """
    if server.session_settings.get("track_counts") == "off":
        return None
    try:
        return await _current(wire, server, known)
    except EngineError:
        if wire.gone is not None:
            raise
        return None


async def _current(wire: Wire, server: Server, known: Objects) -> Objects | None:
    found: dict[str, Figures] = {}

    def shape(rows: list[tuple[Any, ...]]) -> list[None]:
        found.update((str(row[0]), Figures(*row[1:])) for row in rows)
        return []

    await wire.fetch(load("figures").format(figures=relations.figures_of(server)), shape=shape)
    tables = [table for table in known.tables or () if table.key in found]  # else it was dropped a moment ago
    indexes = [index for index in known.indexes or () if index.key in found]
    sizes = await _sizes(wire, server, _written(server, tables, found), indexes)
    if sizes is None:
        return None
    of_table: dict[tuple[str, str], OfTable] = defaultdict(OfTable)
    for at, index in enumerate(indexes):
        moved = relations.index_figures(found[index.key])
        indexes[at] = replace(index, size_bytes=sizes.get(index.key, index.size_bytes), **moved)
        of_table[index.schema, index.table].add(indexes[at])
        if at % _AT_ONCE == 0:
            await asyncio.sleep(0)
    for at, table in enumerate(tables):
        own = of_table.get((table.schema, table.name))
        moved = relations.table_figures(found[table.key], own)
        size, index_size = sizes.get(table.key, table.size_bytes), own.size_bytes if own else 0
        tables[at] = replace(table, size_bytes=size, index_bytes=index_size, **moved)
        if at % _AT_ONCE == 0:
            await asyncio.sleep(0)
    sequences = await schema.sequences(wire, server) if known.sequences else ()
    return replace(known, tables=tuple(tables), indexes=tuple(indexes), sequences=sequences)


def _written(server: Server, tables: list[TableStats], found: Mapping[str, Figures]) -> list[TableStats]:
    """Tables whose files may have another length: written to, or vacuumed. A replica counts no writes: all of them."""

    def moved(table: TableStats) -> bool:
        now, counters = found[table.key], table.counters
        before = (counters.get("inserts"), counters.get("updates"), table.pages, table.last_vacuum)
        return before != (now.inserts, now.updates, now.pages, now.vacuumed)

    stored = [table for table in tables if table.counters]
    return stored if server.facts.in_recovery else [table for table in stored if moved(table)]


async def _sizes(
    wire: Wire, server: Server, tables: list[TableStats], indexes: list[IndexStats]
) -> dict[str, int] | None:
    """Sizes by key of these tables and of their indexes; None when one of them is locked."""
    if not tables:
        return {}
    names = {(table.schema, table.name) for table in tables}
    of_them = (index.key for index in indexes if index.size_bytes is not None and (index.schema, index.table) in names)
    wanted = [int(key) for key in (*(table.key for table in tables), *of_them)]
    params = {"database": server.facts.database_oid, "relations": wanted}
    rows = await wire.fetch(load("sizes").format(size=relations.FILES), params)
    if any(locked for _, locked, _ in rows):
        return None
    return {str(oid): size for oid, _, size in rows if size is not None}
