"""Tables and indexes of the users' schemas: sizes, cumulative counters, definitions.

What is locked with AccessExclusive is not waited for: a table's size is then None, an index is left out, and the caller
is told their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from meshag_tui.engines.base import LockTimeout
from meshag_tui.engines.postgres.sql import load
from meshag_tui.snapshot import IndexKey, IndexStats, TableStats

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Server
    from meshag_tui.engines.postgres.wire import Wire

_Kind = Literal["table", "partitioned", "partition", "materialized view", "foreign"]
_KINDS: dict[str, _Kind] = {"r": "table", "p": "partitioned", "m": "materialized view", "f": "foreign"}
# The main files of the table and its TOAST: pg_table_size() opens every fork of both and costs three times as much.
_FILES_OF_TABLE = """pg_catalog.pg_relation_size(c.oid)
    + CASE WHEN c.reltoastrelid <> 0 THEN pg_catalog.pg_relation_size(c.reltoastrelid) ELSE 0 END"""
_FILE_OF_INDEX = "pg_catalog.pg_relation_size(i.indexrelid)"


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables as read, and the names of those that are locked."""

    stats: tuple[TableStats, ...] = ()
    locked: tuple[str, ...] = ()


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
    """Indexes as read, the names of those left out because they are locked, and the sums of all by table (oid)."""

    stats: tuple[IndexStats, ...]
    locked: tuple[str, ...]
    of_table: Mapping[int, OfTable]


async def indexes(wire: Wire, server: Server) -> Indexes:
    """All indexes of users' tables but the locked ones: the server opens a table to print what is indexed.

    Sources: pg_index, pg_class, pg_get_indexdef(), pg_relation_size(), pg_stat_get_*().
    """
    version = server.facts.version_number
    parts = {
        "last_scan": (
            "(pg_catalog.date_part('epoch', pg_catalog.pg_stat_get_lastscan(i.indexrelid)) * 1000)::int8"
            if version >= 160000
            else "NULL::int8"
        ),
        "nulls_not_distinct": "i.indnullsnotdistinct" if version >= 150000 else "false",
    }
    locked: list[str] = []
    of_table: dict[int, OfTable] = defaultdict(OfTable)

    def shape(rows: list[tuple[Any, ...]]) -> list[IndexStats]:
        shaped = []
        for row in rows:
            index = _index(row)
            of_table[row[1]].add(index)
            if row[5]:
                locked.append(f"{index.schema}.{index.name}")
            elif index.definition:  # else it was dropped while we read
                shaped.append(index)
        return shaped

    rows = await _read(wire, server, "indexes", parts, _FILE_OF_INDEX, shape)
    return Indexes(tuple(rows), tuple(locked), of_table)


async def tables(wire: Wire, server: Server, indexes: Indexes | None) -> Tables:
    """All tables, partitions, materialized views and foreign tables; what concerns their indexes is of `indexes`.

    Sources: pg_class, pg_relation_size(), pg_stat_get_*().
    """
    locked: list[str] = []

    def shape(rows: list[tuple[Any, ...]]) -> list[TableStats]:
        locked.extend(f"{row[1]}.{row[2]}" for row in rows if row[9])
        return [_table(row, indexes) for row in rows]

    rows = await _read(wire, server, "tables", {}, _FILES_OF_TABLE, shape)
    return Tables(tuple(rows), tuple(locked))


async def _read(wire: Wire, server: Server, name: str, parts: dict[str, str], size: str, shape: Any) -> list[Any]:
    """Read; once more when a lock was taken between our look at the locks and asking for a size."""
    params = {"database": server.facts.database_oid}
    try:
        return await wire.fetch(load(name).format(size=size, **parts), params, shape=shape)
    except LockTimeout:
        return await wire.fetch(load(name).format(size=size, **parts), params, shape=shape)


def _table(row: tuple[Any, ...], indexes: Indexes | None) -> TableStats:
    (
        oid,
        schema,
        name,
        relkind,
        is_partition,
        parent,
        rows_estimate,
        pages,
        all_visible,
        locked,
        size,
        options,
        frozen_age,
        live,
        dead,
        modified,
        vacuumed,
        analyzed,
        seq_scan,
        seq_rows,
        fetched,
        inserts,
        updates,
        hot_updates,
        deletes,
        blocks_read,
        blocks_hit,
    ) = row
    kind = "partition" if relkind == "r" and is_partition else _KINDS[relkind]
    stored = relkind in ("r", "m")
    own = indexes.of_table.get(oid) if indexes else None
    return TableStats(
        key=str(oid),
        schema=schema,
        name=name,
        kind=kind,
        parent=parent,
        rows_estimate=rows_estimate,
        pages=pages,
        size_bytes=size if stored else None if locked else 0,
        index_bytes=own.size_bytes if own else 0 if indexes else None,
        live_rows=live if stored else None,
        dead_rows=dead if stored else None,
        modified_since_analyze=modified,
        last_vacuum=vacuumed,
        last_analyze=analyzed,
        counters=(
            {
                "seq_scan": seq_scan,
                "seq_rows": seq_rows,
                "index_scan": own.scans if own else None,
                "index_rows": own.rows_fetched + fetched if own else None,
                "inserts": inserts,
                "updates": updates,
                "hot_updates": hot_updates,
                "deletes": deletes,
                "blocks_read": blocks_read,
                "blocks_hit": blocks_hit,
            }
            if stored
            else {}
        ),
        options=dict(option.split("=", 1) for option in options or () if "=" in option),
        has_primary_key=(own is not None and own.primary) if indexes and relkind in ("r", "p") else True,
        frozen_age=frozen_age,
        all_visible_pages=all_visible if stored else None,
    )


def _index(row: tuple[Any, ...]) -> IndexStats:
    """One index; of a locked one the definition is empty and the expressions are not known."""
    (
        oid,
        _,
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
        rows_estimate,
        scans,
        rows_read,
        rows_fetched,
        last_scan,
        of_extension,
        building,
        nulls_not_distinct,
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
        rows_estimate=rows_estimate,
        scans=scans,
        rows_read=rows_read,
        rows_fetched=rows_fetched,
        last_scan=last_scan,
        owned_by_extension=of_extension,
        building=building,
        nulls_not_distinct=nulls_not_distinct,
    )
