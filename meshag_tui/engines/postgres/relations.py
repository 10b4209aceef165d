"""Tables and indexes of the users' schemas: sizes, cumulative counters, definitions.

What is locked with AccessExclusive is not waited for: its size is None, and the caller is told its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from meshag_tui.engines.base import LockTimeout
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.sql import load
from meshag_tui.snapshot import IndexKey, IndexStats, TableStats

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.facts import Server
    from meshag_tui.engines.postgres.wire import Wire

_Kind = Literal["table", "partitioned", "partition", "materialized view", "foreign"]
_KINDS: dict[str, _Kind] = {"r": "table", "p": "partitioned", "m": "materialized view", "f": "foreign"}
_OPENED_FOR_SIZE = "pg_catalog.pg_table_size(c.oid)"
_FILE_OF_INDEX = "pg_catalog.pg_relation_size(i.indexrelid)"


async def indexes(wire: Wire, server: Server) -> tuple[tuple[IndexStats, ...], tuple[str, ...]]:
    """All indexes of users' tables, and the names of the locked ones.

    A locked index whose definition cannot be told without opening its table (expressions, predicate) is left out.
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

    def shape(rows: list[tuple[Any, ...]]) -> list[IndexStats]:
        shaped = []
        for row in rows:
            found = _index(row)
            if row[5]:
                locked.append(f"{row[2]}.{row[4]}")
            if found is not None:
                shaped.append(found)
        return shaped

    rows = await _read(wire, server, "indexes", parts, _FILE_OF_INDEX, shape)
    return tuple(rows), tuple(locked)


async def tables(
    wire: Wire, server: Server, indexes: Iterable[IndexStats] | None
) -> tuple[tuple[TableStats, ...], tuple[str, ...]]:
    """All tables, partitions, materialized views and foreign tables, and the names of the locked ones.

    Index figures are summed from `indexes` (None: unknown). Sources: pg_class, pg_table_size(), pg_stat_get_*().
    """
    sums = _IndexSums(indexes)
    locked: list[str] = []

    def shape(rows: list[tuple[Any, ...]]) -> list[TableStats]:
        locked.extend(f"{row[1]}.{row[2]}" for row in rows if row[8])
        return [_table(row, sums) for row in rows]

    rows = await _read(wire, server, "tables", {}, _OPENED_FOR_SIZE, shape)
    return tuple(rows), tuple(locked)


async def _read(wire: Wire, server: Server, name: str, parts: dict[str, str], size: str, shape: Any) -> list[Any]:
    """Read; once more when a lock was taken between our look at the locks and asking for a size."""
    params = {"database": server.facts.database_oid}
    try:
        return await wire.fetch(load(name).format(size=size, **parts), params, shape=shape)
    except LockTimeout:
        return await wire.fetch(load(name).format(size=size, **parts), params, shape=shape)


class _IndexSums:
    """Per table: bytes, scans and fetched rows of its indexes, and whether one is the primary key."""

    def __init__(self, indexes: Iterable[IndexStats] | None) -> None:
        self.known = indexes is not None
        self.size: dict[tuple[str, str], int | None] = defaultdict(int)
        self.scans: dict[tuple[str, str], int] = defaultdict(int)
        self.fetched: dict[tuple[str, str], int] = defaultdict(int)
        self.primary: set[tuple[str, str]] = set()
        for index in indexes or ():
            table = (index.schema, index.table)
            before = self.size[table]
            self.size[table] = None if before is None or index.size_bytes is None else before + index.size_bytes
            self.scans[table] += index.scans or 0
            self.fetched[table] += index.rows_fetched or 0
            if index.primary:
                self.primary.add(table)


def _table(row: tuple[Any, ...], sums: _IndexSums) -> TableStats:
    (
        oid,
        schema,
        name,
        relkind,
        is_partition,
        parent,
        rows_estimate,
        pages,
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
    table = (schema, name)
    has_index = table in sums.scans
    return TableStats(
        key=str(oid),
        schema=schema,
        name=name,
        kind=kind,
        parent=parent,
        rows_estimate=rows_estimate,
        pages=pages,
        size_bytes=size if stored else None if locked else 0,
        index_bytes=sums.size.get(table, 0) if sums.known and not locked else None,
        live_rows=live if stored else None,
        dead_rows=dead if stored else None,
        modified_since_analyze=modified,
        last_vacuum=vacuumed,
        last_analyze=analyzed,
        counters=(
            {
                "seq_scan": seq_scan,
                "seq_rows": seq_rows,
                "index_scan": sums.scans[table] if has_index else None,
                "index_rows": sums.fetched[table] + fetched if has_index else None,
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
        has_primary_key=table in sums.primary if sums.known and relkind in ("r", "p") and not locked else True,
        frozen_age=frozen_age,
    )


def _index(row: tuple[Any, ...]) -> IndexStats | None:
    """One index; None when the table is locked and the definition cannot be told without it."""
    (
        oid,
        _,
        schema,
        table,
        name,
        locked,
        definition,
        method,
        names,
        expressions,
        opclasses,
        collations,
        option,
        key_count,
        has_expressions,
        has_predicate,
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
    if (has_expressions and expressions is None) or (has_predicate and predicate is None):
        return None
    keys = tuple(
        IndexKey(
            column=names[at],
            expression=None if names[at] is not None else expressions[at],
            opclass=opclasses[at] or "",
            collation=collations[at],
            descending=bool(option[at] & 1),
            nulls_first=bool(option[at] & 2),
        )
        for at in range(key_count)
    )
    if definition is None:
        if not locked:
            return None  # it was dropped while we read
        definition = _definition(schema, table, name, method, keys, names[key_count:], unique)
    return IndexStats(
        key=str(oid),
        schema=schema,
        table=table,
        name=name,
        definition=definition,
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


def _definition(
    schema: str,
    table: str,
    name: str,
    method: str,
    keys: Iterable[IndexKey],
    include: Iterable[str],
    unique: bool,
) -> str:
    """What a plain index of a locked table is, as far as the catalogue says it without opening the table."""
    columns = []
    for key in keys:
        words = [quoted(key.column or "")]
        words += [f"COLLATE {quoted(key.collation)}"] if key.collation else []
        words += [key.opclass] + (["DESC"] if key.descending else [])
        words += [f"NULLS {'FIRST' if key.nulls_first else 'LAST'}"] if key.nulls_first != key.descending else []
        columns.append(" ".join(words))
    text = f"CREATE {'UNIQUE ' if unique else ''}INDEX {quoted(name)} ON {quoted(schema)}.{quoted(table)}"
    text += f" USING {method} ({', '.join(columns)})"
    included = ", ".join(map(quoted, include))
    return f"{text} INCLUDE ({included})" if included else text
