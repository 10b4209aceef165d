"""What a statistics sandbox is made from: schema, sizes, settings and planner statistics of a database, as values.

In: a read-only session with the database and the plans it will be asked for. Out: a `Source`. The catalogue alone is
read, no table: at most ten statements, each within the session's time-outs, no lock beyond ACCESS SHARE, and of
relations that no plan needs nothing. Statistics hold values of the tables (`pg_stats`), as far as our role may read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError, Refused
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.sandbox.files import PAGE
from meshag_tui.engines.postgres.search_path import usual_path
from meshag_tui.engines.postgres.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession
    from meshag_tui.plan import Plan

MOST_RELATIONS = 2_000
"""More than this many relations under the statements of one search are refused: it would take minutes."""
_TABLES_AT_ONCE = 100
_RANGES = "s.range_length_histogram::text, s.range_empty_frac, s.range_bounds_histogram::text"
_NO_RANGES = "NULL::text, NULL::float4, NULL::text"

Name = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str  # as format_type prints it, with its schema outside pg_catalog
    not_null: bool
    collation: Name | None  # where it is not the type's own
    virtual: str | None  # expression of a virtual generated column
    readable: bool  # whether its statistics are ours to read


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, part, view or the like. `pages` is its present length, `known_pages` what the catalogue remembers."""

    oid: int
    schema: str
    name: str
    kind: str  # pg_class.relkind
    pages: int
    known_pages: int
    rows: float
    visible_pages: int
    parents: tuple[Name, ...]
    bound: str | None
    key: str | None
    workers: str | None
    barrier: bool
    row_security: bool
    priced_apart: bool  # its tablespace has page costs of its own
    columns: tuple[Column, ...]

    @property
    def home(self) -> Name:
        return self.schema, self.name


@dataclass(frozen=True, slots=True)
class Index:
    """An index that plans may use; `constraint` is the name and text of the constraint that owns it."""

    oid: int
    schema: str
    table: str
    name: str
    method: str
    partitioned: bool
    definition: str
    constraint: tuple[str, str] | None
    parent: Name | None
    pages: int
    known_pages: int
    rows: float


@dataclass(frozen=True, slots=True)
class Source:
    """All of it. Rows of `statistics` are as sandbox_statistics.sql has them."""

    version: str
    version_number: int
    path: tuple[str, ...]
    settings: dict[str, str]
    collate: str
    ctype: str
    extensions: dict[str, str]  # name to schema
    types: tuple[tuple[str, str, str, Any], ...]
    relations: tuple[Relation, ...]
    views: dict[int, str]
    indexes: tuple[Index, ...]
    constraints: tuple[tuple[str, str, str, str], ...]
    extended: tuple[tuple[str, str, str], ...]
    statistics: tuple[tuple[Any, ...], ...]


async def read(session: PostgresSession, plans: Sequence[Plan], *, keys: bool = False) -> Source:
    """Read what planning these statements needs; without plans, of the whole database.

    Args:
        keys: whether the tables that foreign keys name are wanted too.

    Raises:
        Refused: there is too much of it, or its pages are not of 8 kB.
        EngineError: the server refuses, or a lock was not had in time.
    """
    if session.facts.block_size != PAGE:
        raise Refused(f"this server's pages are of {session.facts.block_size} bytes, the sandbox's of {PAGE}")
    schemas, tables, names = _named(plans)
    asked = {
        "everything": not plans,
        "keys": keys,
        "schemas": schemas,
        "tables": tables,
        "names": names,
        "most": MOST_RELATIONS + 1,
    }
    oids = [oid for (oid,) in await session.fetch(load("sandbox_wanted"), asked)]
    if len(oids) > MOST_RELATIONS:
        raise Refused(f"the statements read more than {MOST_RELATIONS:,} tables and parts of tables")
    settings, collate, ctype = (await session.fetch(load("sandbox_settings")))[0]
    index_rows = await session.fetch(load("sandbox_indexes"), (oids,))
    sizes = await _sizes(session, [*oids, *(row[0] for row in index_rows)])
    relations = tuple(_relation(row, sizes) for row in await session.fetch(load("sandbox_relations"), (oids,)))
    indexes = tuple(_index(row, sizes) for row in index_rows)
    return Source(
        version=session.facts.version,
        version_number=session.facts.version_number,
        path=tuple(await usual_path(session)),
        settings=dict(settings),
        collate=collate,
        ctype=ctype,
        extensions=dict(session.server.extension_schemas),
        types=tuple(await session.fetch(load("sandbox_types"))),
        relations=relations,
        views=await _views(session, oids),
        indexes=indexes,
        constraints=tuple(await session.fetch(load("sandbox_constraints"), {"oids": oids})),
        extended=tuple(await session.fetch(load("sandbox_extended"), (oids,))),
        statistics=await _statistics(session, relations, indexes),
    )


def _named(plans: Sequence[Plan]) -> tuple[list[str], list[str], list[str]]:
    """Relations in the plans by schema and name, and what their texts name beside those (views, joins left out)."""
    pairs: dict[Name, None] = {}
    bare: dict[str, None] = {}
    for plan in plans:
        for node in plan.root.walk():
            if node.schema and node.table:
                pairs[node.schema, node.table] = None
        for relation in parse.relations(plan.statement):
            if relation.schema is not None:
                pairs[relation.schema, relation.name] = None
            else:
                bare[relation.name] = None
    known = {name for _, name in pairs}
    return [schema for schema, _ in pairs], [name for _, name in pairs], [name for name in bare if name not in known]


async def _sizes(session: PostgresSession, oids: Sequence[int]) -> dict[int, int]:
    """Present lengths in pages; empty where a table is locked by somebody who changes it: remembered ones must do."""
    try:
        return {oid: pages for oid, pages in await session.fetch(load("sandbox_sizes"), (list(oids),)) if pages}
    except EngineError:
        if session.wire.gone is not None:
            raise
        return {}


async def _views(session: PostgresSession, oids: Sequence[int]) -> dict[int, str]:
    try:
        return dict(await session.fetch(load("sandbox_views"), (list(oids),)))
    except EngineError:  # the tables of a view are locked by somebody who changes them
        if session.wire.gone is not None:
            raise
        return {}


async def _statistics(
    session: PostgresSession, relations: Sequence[Relation], indexes: Sequence[Index]
) -> tuple[tuple[Any, ...], ...]:
    ranges = _RANGES if session.facts.version_number >= 170000 else _NO_RANGES
    text = load("sandbox_statistics").format(ranges=ranges)
    homes = [one.home for one in relations if one.kind in "rpm"]
    homes += [(one.schema, one.name) for one in indexes if "(" in one.definition.partition(" USING ")[2][1:]]
    found: list[tuple[Any, ...]] = []
    for begin in range(0, len(homes), _TABLES_AT_ONCE):
        some = homes[begin : begin + _TABLES_AT_ONCE]
        found += await session.fetch(text, ([schema for schema, _ in some], [name for _, name in some]))
    return tuple(found)


def _relation(row: tuple[Any, ...], sizes: dict[int, int]) -> Relation:
    oid, schema, name, kind, known, rows, visible, parents, bound, key, workers, barrier, secured, apart, columns = row
    return Relation(
        oid=oid,
        schema=schema,
        name=name,
        kind=kind,
        pages=sizes.get(oid, known),
        known_pages=known,
        rows=rows,
        visible_pages=visible,
        parents=tuple((parent[0], parent[1]) for parent in parents or ()),
        bound=bound,
        key=key,
        workers=workers,
        barrier=barrier,
        row_security=secured,
        priced_apart=apart,
        columns=tuple(
            Column(one[0], one[1], one[2], (one[3][0], one[3][1]) if one[3] else None, one[4], one[5])
            for one in columns or ()
        ),
    )


def _index(row: tuple[Any, ...], sizes: dict[int, int]) -> Index:
    oid, schema, table, name, method, partitioned, definition, constraint, text, parent, known, rows = row
    return Index(
        oid=oid,
        schema=schema,
        table=table,
        name=name,
        method=method,
        partitioned=partitioned,
        definition=definition,
        constraint=(constraint, text) if constraint is not None else None,
        parent=(parent[0], parent[1]) if parent else None,
        pages=sizes.get(oid, known),
        known_pages=known,
        rows=rows,
    )
