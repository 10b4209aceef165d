"""Tables and indexes of the users' schemas: sizes, cumulative counters, definitions.

What is locked with AccessExclusive is not waited for: a table's size is then None, an index is left out, and the caller
is told their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from meshag_tui.engines.base import LockTimeout
from meshag_tui.engines.postgres.sql import load
from meshag_tui.snapshot import IndexKey, IndexStats, TableStats

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Server
    from meshag_tui.engines.postgres.wire import Wire

_Kind = Literal["table", "partitioned", "partition", "materialized view", "foreign"]
_KINDS: dict[str, _Kind] = {"r": "table", "p": "partitioned", "m": "materialized view", "f": "foreign"}
_STORED = ("r", "m")
# The main files of a relation and its TOAST: pg_table_size() opens every fork of both and costs three times as much.
FILES = """pg_catalog.pg_relation_size(c.oid)
    + CASE WHEN c.reltoastrelid <> 0 THEN pg_catalog.pg_relation_size(c.reltoastrelid) ELSE 0 END"""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables as read, and the names of those that are locked."""

    stats: tuple[TableStats, ...] = ()
    locked: tuple[str, ...] = ()


class Figures(NamedTuple):
    """What moves of a table or index without DDL, as relation_figures.sql has it."""

    kind: str
    rows_estimate: float
    pages: int
    all_visible: int
    frozen_age: int | None
    live: int
    dead: int
    modified: int
    vacuumed: int | None
    analyzed: int | None
    scans: int
    rows_read: int
    rows_fetched: int
    inserts: int
    updates: int
    hot_updates: int
    deletes: int
    blocks_read: int
    blocks_hit: int
    last_scan: int | None


def figures_of(server: Server) -> str:
    """The part of a select list that `Figures` is read from."""
    last_scan = "(pg_catalog.date_part('epoch', pg_catalog.pg_stat_get_lastscan(c.oid)) * 1000)::int8"
    return load("relation_figures").format(
        last_scan=last_scan if server.facts.version_number >= 160000 else "NULL::int8"
    )


@dataclass(slots=True)
class OfTable:
    """What the indexes of one table come to."""

    size_bytes: int | None = 0
    scans: int = 0
    rows_fetched: int = 0
    primary: bool = False

    def add(self, index: IndexStats) -> None:
        known = self.size_bytes is not None and (index.size_bytes is not None or index.scans is None)
        self.size_bytes = (self.size_bytes or 0) + (index.size_bytes or 0) if known else None
        self.scans += index.scans or 0
        self.rows_fetched += index.rows_fetched or 0
        self.primary |= index.primary


@dataclass(frozen=True, slots=True)
class Indexes:
    """Indexes as read, the names of those left out because they are locked, and the sums of all by table."""

    stats: tuple[IndexStats, ...]
    locked: tuple[str, ...]
    of_table: Mapping[tuple[str, str], OfTable]  # (schema, table)


async def indexes(wire: Wire, server: Server) -> Indexes:
    """All indexes of users' tables but the locked ones: the server opens a table to print what is indexed.

    Sources: pg_index, pg_class, pg_get_indexdef(), pg_relation_size(), pg_stat_get_*().
    """
    nulls_not_distinct = "i.indnullsnotdistinct" if server.facts.version_number >= 150000 else "false"
    locked: list[str] = []
    of_table: dict[tuple[str, str], OfTable] = defaultdict(OfTable)

    def shape(rows: list[tuple[Any, ...]]) -> list[IndexStats]:
        shaped = []
        for row in rows:
            index = _index(row)
            of_table[index.schema, index.table].add(index)
            if row[4]:
                locked.append(f"{index.schema}.{index.name}")
            elif index.definition:  # else it was dropped while we read
                shaped.append(index)
        return shaped

    rows = await _read(wire, server, "indexes", shape, nulls_not_distinct=nulls_not_distinct)
    return Indexes(tuple(rows), tuple(locked), of_table)


async def tables(wire: Wire, server: Server, indexes: Indexes | None) -> Tables:
    """All tables, partitions, materialized views and foreign tables; what concerns their indexes is of `indexes`.

    Sources: pg_class, pg_relation_size(), pg_stat_get_*().
    """
    locked: list[str] = []

    def shape(rows: list[tuple[Any, ...]]) -> list[TableStats]:
        locked.extend(f"{row[1]}.{row[2]}" for row in rows if row[5])
        return [_table(row, indexes) for row in rows]

    return Tables(tuple(await _read(wire, server, "tables", shape)), tuple(locked))


async def _read(wire: Wire, server: Server, name: str, shape: Any, **parts: str) -> list[Any]:
    """Read; once more when a lock was taken between our look at the locks and asking for a size."""
    query = load(name).format(size=FILES, figures=figures_of(server), **parts)
    params = {"database": server.facts.database_oid}
    try:
        return await wire.fetch(query, params, shape=shape)
    except LockTimeout:
        return await wire.fetch(query, params, shape=shape)


def _table(row: tuple[Any, ...], indexes: Indexes | None) -> TableStats:
    oid, schema, name, is_partition, parent, locked, size, options, *rest = row
    figures = Figures(*rest)
    own = indexes.of_table.get((schema, name)) if indexes else None
    return TableStats(
        key=str(oid),
        schema=schema,
        name=name,
        kind="partition" if figures.kind == "r" and is_partition else _KINDS[figures.kind],
        parent=parent,
        size_bytes=size if figures.kind in _STORED else None if locked else 0,
        index_bytes=own.size_bytes if own else 0 if indexes else None,
        options=dict(option.split("=", 1) for option in options or () if "=" in option),
        has_primary_key=(own is not None and own.primary) if indexes and figures.kind in ("r", "p") else True,
        **table_figures(figures, own),
    )


def table_figures(figures: Figures, own: OfTable | None) -> dict[str, Any]:
    """The fields of a TableStats that move without DDL but for its sizes; the use of its indexes is in `own`."""
    stored = figures.kind in _STORED
    counters = {
        "seq_scan": figures.scans,
        "seq_rows": figures.rows_read,
        "index_scan": own.scans if own else None,
        "index_rows": own.rows_fetched + figures.rows_fetched if own else None,
        "inserts": figures.inserts,
        "updates": figures.updates,
        "hot_updates": figures.hot_updates,
        "deletes": figures.deletes,
        "blocks_read": figures.blocks_read,
        "blocks_hit": figures.blocks_hit,
    }
    return {
        "rows_estimate": figures.rows_estimate,
        "pages": figures.pages,
        "live_rows": figures.live if stored else None,
        "dead_rows": figures.dead if stored else None,
        "modified_since_analyze": figures.modified,
        "last_vacuum": figures.vacuumed,
        "last_analyze": figures.analyzed,
        "counters": counters if stored else {},
        "frozen_age": figures.frozen_age,
        "all_visible_pages": figures.all_visible if stored else None,
    }


def index_figures(figures: Figures) -> dict[str, Any]:
    """The fields of an IndexStats that move without DDL but for its size; a partitioned index has no use of its own."""
    own = figures.kind == "i"
    return {
        "rows_estimate": figures.rows_estimate,
        "scans": figures.scans if own else None,
        "rows_read": figures.rows_read if own else None,
        "rows_fetched": figures.rows_fetched if own else None,
        "last_scan": figures.last_scan if own else None,
    }


def _index(row: tuple[Any, ...]) -> IndexStats:
    """One index; of a locked one the definition is empty and the expressions are not known."""
    (
        oid,
        schema,
        table,
        name,
        _,
        definition,
        method,
        names,
        expressions,
        opclasses,
        collations,
        option,
        key_count,
        predicate,
        unique,
        primary,
        valid,
        ready,
        constraint,
        identity,
        clustered,
        parent,
        size,
        of_extension,
        building,
        nulls_not_distinct,
        *figures,
    ) = row
    keys = tuple(
        IndexKey(
            column=names[at],
            expression=None if names[at] is not None or not expressions else expressions[at],
            opclass=opclasses[at] or "",
            collation=collations[at] if collations else None,
            descending=bool(option[at] & 1),
            nulls_first=bool(option[at] & 2),
        )
        for at in range(key_count)
    )
    return IndexStats(
        key=str(oid),
        schema=schema,
        table=table,
        name=name,
        definition=definition or "",
        method=method,
        keys=keys,
        include=tuple(names[key_count:]),
        predicate=predicate,
        unique=unique,
        primary=primary,
        valid=valid,
        ready=ready,
        constraint=constraint,
        replica_identity=identity,
        clustered=clustered,
        parent=parent,
        size_bytes=size,
        owned_by_extension=of_extension,
        building=building,
        nulls_not_distinct=nulls_not_distinct,
        **index_figures(Figures(*figures)),
    )
