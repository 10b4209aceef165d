"""Foreign keys that make the server read the whole child table for each parent row deleted or re-keyed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from meshag_tui.advisor.indexes import supports
from meshag_tui.figures import count, duration, size
from meshag_tui.snapshot import ForeignKey
from meshag_tui.types import (
    CreateIndex,
    EvidenceKind,
    IndexColumn,
    IndexSpec,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
)

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, QueryRow, TableRow

SMALL_PAGES = 8
MINIMUM_ROWS = 500


def unindexed_foreign_keys(
    catalog: Catalog, workload: Collection[QueryRow], deletes: dict[tuple[str, str], tuple[int, ...]] | None = None
) -> Iterator[Suggestion]:
    """An index for each foreign key that has none and whose parent rows are really deleted.

    A key nobody deletes by costs nothing, so deletes must have been counted on the parent or seen in a statement.

    Args:
        deletes: ids of the statements that delete from a table, by (schema, table), where their plans were read.
    """
    tables = {(table.stats.schema, table.stats.name): table for table in catalog.tables}
    queries = {query.id: query for query in workload}
    for key in catalog.foreign_keys or ():
        child, parent = tables.get((key.schema, key.table)), tables.get((key.ref_schema, key.ref_table))
        if child is None or parent is None or not _large(child):
            continue
        if any(supports(row.stats, key) for row in catalog.indexes):
            continue
        deleting = tuple((deletes or {}).get((key.ref_schema, key.ref_table), ()))
        counted = parent.stats.counters.get("deletes") or 0
        if not deleting and not counted:
            continue
        yield _suggestion(key, child, counted, [queries[one] for one in deleting if one in queries])


def _large(child: TableRow) -> bool:
    rows = child.stats.rows_estimate if child.stats.rows_estimate >= 0 else child.stats.live_rows or 0
    return child.stats.pages >= SMALL_PAGES or rows >= MINIMUM_ROWS


def _suggestion(key: ForeignKey, child: TableRow, counted: int, deleting: list[QueryRow]) -> Suggestion:
    columns = ", ".join(key.columns)
    rows = child.stats.rows_estimate if child.stats.rows_estimate >= 0 else child.stats.live_rows
    facts = [f"{key.name}: {key.table} ({columns}) refers to {key.ref_table}; no index begins with {columns}"]
    if counted:
        facts.append(f"{count(counted)} rows deleted from {key.ref_table} since the server began to count")
    facts += [
        f"{query.uid}: {count(query.calls)} calls, {duration(query.mean_time_ms)} each, deletes from {key.ref_table}"
        for query in deleting
    ]
    return Suggestion(
        rule="unindexed-foreign-key",
        identity=f"unindexed-foreign-key:{key.schema}.{key.table}:{','.join(key.columns)}",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=SuggestionPriority.HIGH if deleting else SuggestionPriority.MEDIUM,
        title=f"Index {key.table} ({columns}): deletes from {key.ref_table} read the whole table",
        text=f"For each row deleted from {key.ref_table} the server looks in {key.table} for rows that refer to it, "
        f"and without an index on {columns} it reads all {count(rows)} rows ({size(child.stats.size_bytes)}). "
        "An index makes that one look-up.",
        evidence_kind=EvidenceKind.COUNTED,
        evidence={"kind": EvidenceKind.COUNTED.value, "facts": facts},
        confidence=0.8 if deleting else 0.7,
        risk=Risk.MEDIUM,
        schema=key.schema,
        table=key.table,
        change=CreateIndex(IndexSpec(key.schema, key.table, tuple(IndexColumn(name) for name in key.columns))),
        query_ids=tuple(query.id for query in deleting),
    )
