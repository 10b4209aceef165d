"""Indexes and tables that are much larger than what is in them, by an estimate whose error is stated. PostgreSQL.

The size of a fresh B-tree or heap of the same rows is reckoned from the planner's statistics: rows, widths, repeats.
Nothing is read from the relation itself, as pgstattuple would do. What the reckoning cannot know (expressions, columns
without statistics) is left out, and what grew loose by ordinary work is not called bloat.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.by_hand import qualified
from meshag_tui.advisor.statistics import Relation, Tables, TableView, tables_of
from meshag_tui.engines.base import ColumnStatistics, EngineError, Session
from meshag_tui.figures import count, percent, size
from meshag_tui.snapshot import IndexStats, TableStats
from meshag_tui.types import (
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    Reindex,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
)

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

BLOATED = 2.0
"""Times its fresh size from which an index is bloated: one that random keys have grown is 1.3 times as large."""
LOOSE = 2.5
"""The same of a table, whose rows are reckoned less exactly."""
ERROR = 0.25
"""Most by which the reckoned size of fresh indexes and tables was off, either way, where tests compared them."""
OUTDATED = 0.2
"""Share of a table's rows that changed since its last ANALYZE from which its statistics say nothing of its size."""
LEAST_BYTES = 1024**2
LARGE_BYTES = 64 * 1024**2
LARGE_SHARE = 0.02
"""Of all tables and indexes together: what is worth a word in a small database."""
MOST_TABLES = 30
"""Tables whose statistics are read for this, those with most to gain first."""
_FEW_BYTES_A_KEY = 40
_ROW_BYTES = 28  # header and line pointer
_PAGE_BYTES = 8168
_FILLFACTOR = re.compile(r"fillfactor\s*=\s*'?(\d+)", re.IGNORECASE)


async def bloat(
    catalog: Catalog, columns: Mapping[Relation, tuple[ColumnStatistics, ...]], session: Session, notes: list[str]
) -> list[Suggestion]:
    """Indexes to build anew and tables to write anew.

    Args:
        columns: statistics that were read already; those of other suspects are read now.
    """
    if not catalog.facts.traits.vacuums:
        return []
    whole = sum((row.stats.size_bytes or 0) + (row.stats.index_bytes or 0) for row in catalog.tables)
    least = max(LEAST_BYTES, min(LARGE_BYTES, LARGE_SHARE * whole))
    known = dict(columns)
    for relation in _suspects(catalog, least):
        if relation in known:
            continue
        try:
            known[relation] = await session.column_statistics(*relation)
        except EngineError as error:
            if error.transient:
                raise
            notes.append(f"The column statistics of {relation[0]}.{relation[1]} could not be read: {error}")
    tables = tables_of(catalog, known)
    return [*_indexes(catalog, tables, least), *_tables(catalog, tables, least)]


def _suspects(catalog: Catalog, least: float) -> list[Relation]:
    """Tables that, or an index of which, could hold so much nothing, the largest first."""
    found: dict[Relation, float] = {}
    for index in (row.stats for row in catalog.indexes):
        if (index.size_bytes or 0) > least and (index.size_bytes or 0) > _FEW_BYTES_A_KEY * max(index.rows_estimate, 0):
            relation = (index.schema, index.table)
            found[relation] = max(found.get(relation, 0.0), float(index.size_bytes or 0))
    for table in (row.stats for row in catalog.tables):
        bytes_ = table.pages * catalog.facts.block_size
        if bytes_ > least and table.kind in ("table", "partition"):
            found[(table.schema, table.name)] = max(found.get((table.schema, table.name), 0.0), float(bytes_))
    return sorted(found, key=lambda relation: (-found[relation], relation))[:MOST_TABLES]


def fresh_index_bytes(index: IndexStats, view: TableView) -> float | None:
    """What a B-tree of the same entries takes when it is built anew; None where that cannot be reckoned."""
    names = [key.column for key in index.keys]
    stored = [*names, *index.include]
    if index.method != "btree" or index.rows_estimate <= 0 or any(name not in view.columns for name in stored):
        return None
    spec = IndexSpec(
        index.schema, index.table, tuple(IndexColumn(name or "") for name in names), include=tuple(index.include)
    )
    whole = view.index_bytes(spec)
    if index.unique:  # each entry is its own
        whole = max(
            whole, int(view.rows * (8 * math.ceil((8 + sum(view.width(name or "") for name in stored)) / 8) + 4))
        )
    match = _FILLFACTOR.search(index.definition.partition(" WITH (")[2])
    return whole * index.rows_estimate / view.rows * (90 / int(match[1]) if match else 1.0)


def fresh_table_bytes(view: TableView, block_size: int) -> float | None:
    """What the same rows take when the table is written anew; None where a column has no statistics."""
    if not view.types or any(name not in view.columns for name in view.types) or view.stats.rows_estimate <= 0:
        return None
    width = sum(column.average_width * (1 - column.null_fraction) for column in view.columns.values())
    fill = float(view.stats.options.get("fillfactor", "100")) / 100
    a_page = max(1.0, math.floor(_PAGE_BYTES * fill / (_ROW_BYTES + 8 * math.ceil(width / 8))))
    return math.ceil(view.stats.rows_estimate / a_page) * block_size


def _outdated(stats: TableStats) -> bool:
    """Whether the counts are of another time than the sizes."""
    known = max(stats.rows_estimate, 0.0)
    changed = max(stats.modified_since_analyze or 0, abs((stats.live_rows or 0) - known))
    return changed > OUTDATED * known


def _indexes(catalog: Catalog, tables: Tables, least: float) -> Iterator[Suggestion]:
    for index in (row.stats for row in catalog.indexes):
        view, real = tables.views.get((index.schema, index.table)), index.size_bytes or 0
        if view is None or real < least or not (index.valid and index.ready) or _outdated(view.stats):
            continue
        fresh = fresh_index_bytes(index, view)
        if fresh is None or real < BLOATED * fresh or real - fresh < least:
            continue
        share = 1 - fresh / real
        yield Suggestion(
            rule="index-bloat",
            identity=f"index-bloat:{index.schema}.{index.table}.{index.name}",
            type=SuggestionType.INDEX_OPTIMIZATION,
            priority=SuggestionPriority.MEDIUM if share >= 0.7 else SuggestionPriority.LOW,
            title=f"Rebuild {index.name} on {index.table}: about {percent(share)} of it is empty",
            text=f"{index.name} takes {size(real)}; built anew from its {count(index.rows_estimate)} entries it would "
            f"take about {size(fresh)} (reckoned, ±{percent(ERROR)}). Rows that were deleted or updated left the rest: "
            "every look-up and the cache carry it. REINDEX CONCURRENTLY builds it beside the old one while it is read "
            f"and written, and takes about {size(fresh)} of disk until the end. It cannot run in a transaction.",
            evidence_kind=EvidenceKind.COUNTED,
            evidence={
                "kind": EvidenceKind.COUNTED.value,
                "method": f"size reckoned from statistics, ±{percent(ERROR)}",
                "facts": [f"size {size(real)}, {count(index.rows_estimate)} entries", f"built anew: {size(fresh)}"],
                "size_bytes": real,
                "wasted_bytes": round(real - fresh),
            },
            confidence=0.8 if share >= 0.7 else 0.7,
            risk=Risk.MEDIUM,
            schema=index.schema,
            table=index.table,
            change=Reindex(index.schema, index.table, index.name),
        )


def _tables(catalog: Catalog, tables: Tables, least: float) -> Iterator[Suggestion]:
    facts = catalog.facts
    for row in catalog.tables:
        stats, view = row.stats, tables.views.get((row.stats.schema, row.stats.name))
        real = stats.pages * facts.block_size
        dead = (stats.dead_rows or 0) / max((stats.dead_rows or 0) + (stats.live_rows or 0), 1)
        if view is None or stats.kind not in ("table", "partition") or real < least or dead > 0.1 or _outdated(stats):
            continue  # dead rows are another matter: VACUUM first
        fresh = fresh_table_bytes(replace(view, parts=()), facts.block_size)
        if fresh is None or real < LOOSE * fresh or real - fresh < least:
            continue
        share, name = 1 - fresh / real, qualified(stats.schema, stats.name, facts)
        yield Suggestion(
            rule="table-bloat",
            identity=f"table-space:{stats.schema}.{stats.name}",
            type=SuggestionType.SCHEMA_OPTIMIZATION,
            priority=SuggestionPriority.MEDIUM if share >= 0.7 else SuggestionPriority.LOW,
            title=f"{stats.name} is about {percent(share)} empty space",
            text=f"{stats.name} takes {size(real)}; its {count(stats.rows_estimate)} rows would fit in about "
            f"{size(fresh)} (reckoned, ±{percent(ERROR)}). New rows will use the space, so leave it if the table grows "
            "again; scans read it until then. To give it back, pg_repack writes the table anew beside itself; VACUUM "
            "FULL does it with the table locked against everybody, readers too.",
            evidence_kind=EvidenceKind.COUNTED,
            evidence={
                "kind": EvidenceKind.COUNTED.value,
                "method": f"size reckoned from statistics, ±{percent(ERROR)}",
                "facts": [
                    f"{count(stats.pages)} pages for {count(stats.rows_estimate)} rows",
                    f"written anew: {size(fresh)}",
                ],
                "size_bytes": real,
                "wasted_bytes": round(real - fresh),
            },
            confidence=0.7,
            risk=Risk.HIGH,
            schema=stats.schema,
            table=stats.name,
            sql=f"VACUUM (FULL, ANALYZE) {name}",
        )
