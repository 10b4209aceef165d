"""Indexes that only cost: duplicates, prefixes of others, leftovers of failed builds, and those nobody has used.

Proposing to drop an index that is needed is the one mistake that cannot be forgiven, so `refusals` gives every reason
not to, and an index goes only when there is none. At most one of a set of equal indexes is ever left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.advisor.indexes import supports
from meshag_tui.advisor.twins import bound, equal, prefixes
from meshag_tui.snapshot import ForeignKey, IndexStats
from meshag_tui.text import count, size
from meshag_tui.types import DropIndex, EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, IndexRow, Loss

DAY_MS = 86_400_000
WATCH_DAYS = 7.0
_REVIEWED_METHODS = frozenset({"brin", "gist", "spgist"})  # small or odd by design: use counts say little of them
_BREAKS = frozenset({"reset", "failover", "decrease", "clock"})
TOO_YOUNG = "watched"


def refusals(index: IndexRow, catalog: Catalog, days: float = 30.0) -> tuple[str, ...]:
    """Every reason not to drop an index for lack of use; empty when there is none.

    Args:
        index: definition and our own observation of its use.
        catalog: what else there is: foreign keys, other indexes, replicas.
        days: continuous observation without a scan that is asked for.
    """
    return _reasons(index, _Around(catalog), days)


def _reasons(index: IndexRow, around: _Around, days: float) -> tuple[str, ...]:
    return (*_structural_refusals(index.stats, around), *_usage_refusals(index, around, days))


class _Around:
    """What a rule looks up beside an index, found once for all indexes."""

    def __init__(self, catalog: Catalog) -> None:
        self.facts = catalog.facts
        self.tables = {(row.stats.schema, row.stats.name): row for row in catalog.tables}
        self.foreign_keys: dict[tuple[str, str], list[ForeignKey]] | None = None
        if catalog.foreign_keys is not None:
            self.foreign_keys = {}
            for key in catalog.foreign_keys:
                self.foreign_keys.setdefault((key.schema, key.table), []).append(key)
        self.indexes: dict[tuple[str, str], list[IndexStats]] = {}
        for row in catalog.indexes:
            self.indexes.setdefault((row.stats.schema, row.stats.table), []).append(row.stats)

        lost = [event.at for event in catalog.events if event.kind in _BREAKS or self._unproved(event)]
        self.counting_since = max(lost, default=0)

    def _unproved(self, event: Loss) -> bool:
        """A pause without a reset time to compare: a crash may have emptied the counters in it."""
        return event.kind == "gap" and self.facts.epoch.stats_reset is None

    def known_days(self, index: IndexRow) -> float:
        """Days since when the server's count of its scans is one unbroken count, pauses of ours included."""
        since = max(index.first_seen_at, self.counting_since, index.stats.created_at or 0)
        return max(0.0, (self.facts.observed_at - since) / DAY_MS)

    def kind(self, index: IndexStats) -> str | None:
        """Kind of the table an index is on."""
        found = self.tables.get((index.schema, index.table))
        return found.stats.kind if found is not None else None


def _structural_refusals(index: IndexStats, around: _Around) -> Iterator[str]:
    if index.primary:
        yield "it is the primary key"
    elif index.constraint is not None:
        yield f"it backs the constraint {index.constraint}"
    elif index.unique:
        yield "it is unique and keeps values from repeating"
    if index.replica_identity:
        yield "logical replication identifies rows by it"
    if index.clustered:
        yield "the table is clustered on it"
    if index.owned_by_extension:
        yield "it belongs to an extension"
    if index.parent is not None:
        yield f"it is a part of the partitioned index {index.parent}"
    if around.kind(index) == "partitioned":
        yield "it is on a partitioned table: its use is counted on the partitions"
    if index.building:
        yield "it is being built"
    elif not (index.valid and index.ready):
        yield "it is not valid"
    if index.predicate is not None:
        yield "it is partial"
    if any(key.column is None for key in index.keys):
        yield "it has an expression, whose statistics would go with it"
    if index.method in _REVIEWED_METHODS:
        yield f"a {index.method} index wants a review by hand"
    if index.schema in ("pg_catalog", "information_schema", "pg_toast"):
        yield "it belongs to the system"
    if around.foreign_keys is None:
        yield "the foreign keys could not be read"
        return
    place = (index.schema, index.table)
    for key in around.foreign_keys.get(place, ()):
        others = (other for other in around.indexes.get(place, ()) if other.name != index.name)
        if supports(index, key) and not any(supports(other, key) for other in others):
            yield f"the foreign key {key.name} has no other index"


def _usage_refusals(index: IndexRow, around: _Around, days: float) -> Iterator[str]:
    stats, now = index.stats, around.facts.observed_at
    if around.facts.in_recovery:
        yield "this server is a standby: the primary may use it"
    if around.facts.replicas:
        yield f"unknown replicas: {around.facts.replicas} in pg_stat_replication, 0 monitored"
    if stats.scans is None:
        yield "its use is not counted"
    if index.last_used_at is not None:
        yield "we have seen it used"
    elif stats.last_scan is not None and now - stats.last_scan < days * DAY_MS:
        yield "the server says it was used lately"
    elif stats.scans and stats.last_scan is None and _observed_days(index, now) < 2 * days:
        yield f"it was used {count(stats.scans)} times before we watched"
    if not _table_worked(index, around):
        yield "its table has hardly been used while we watched"
    if _observed_days(index, now) < days:
        yield f"{TOO_YOUNG} for {_observed_days(index, now):.0f} of {days:.0f} days"


def _observed_days(index: IndexRow, now: int) -> float:
    since = index.observed_since
    if index.stats.created_at is not None:
        since = max(since, index.stats.created_at)
    return max(0.0, (now - since) / DAY_MS)


def _table_worked(index: IndexRow, around: _Around) -> bool:
    """Whether the table was read or written at all, so that a scan could have been seen."""
    table = around.tables.get((index.stats.schema, index.stats.table))
    if table is None:
        return False
    counters = table.stats.counters
    return any(counters.get(name) for name in ("seq_scan", "index_scan", "inserts", "updates", "deletes"))


def index_hygiene(
    catalog: Catalog, unused_days: float, waiting: Collection[tuple[str, str, str]] = ()
) -> tuple[Suggestion, ...]:
    """Indexes to drop, each once and for its strongest reason; one that another suggestion leans on stays.

    Args:
        unused_days: continuous observation without a scan before an index counts as unused.
        waiting: (schema, table, column) whose indexes are unused only for lack of another one.
    """
    around = _Around(catalog)
    never = {row.stats.key for row in catalog.indexes if bound(row.stats) or row.stats.unique}
    copies = equal(catalog.indexes)
    dropped = copies.keys() - never
    shorter = prefixes(catalog.indexes, dropped)
    served = shorter.keys() - never - dropped
    gone = dropped | served
    waits = {
        row.stats.key
        for row in catalog.indexes
        if row.stats.keys and (row.stats.schema, row.stats.table, row.stats.keys[0].column) in waiting
    }
    leaned_on = {kept.stats.key for key, kept in (*copies.items(), *shorter.items()) if key in gone}
    return (
        *_invalid(catalog, around),
        *(_duplicate(row, copies[row.stats.key]) for row in catalog.indexes if row.stats.key in dropped),
        *(_redundant(row, shorter[row.stats.key]) for row in catalog.indexes if row.stats.key in served),
        *_unused(catalog, around, gone | leaned_on | waits, unused_days),
    )


def _invalid(catalog: Catalog, around: _Around) -> Iterator[Suggestion]:
    for row in catalog.indexes:
        index = row.stats
        waiting_for_parts = around.kind(index) == "partitioned"
        if (index.valid and index.ready) or index.building or waiting_for_parts:
            continue
        if index.constraint is not None or index.owned_by_extension or index.parent is not None:
            continue
        yield _drop(
            row,
            rule="invalid-index",
            priority=SuggestionPriority.HIGH,
            title=f"Drop the invalid index {index.name} on {index.table}",
            text=f"A build of {index.name} failed and left it behind: queries cannot use it, and every write to "
            f"{index.table} still has to keep it ({size(index.size_bytes)}). "
            + ("It was to be unique, so look for repeated values before you build it again." if index.unique else ""),
            facts=[f"pg_index says invalid, and no build is in progress: {index.definition}"],
            confidence=0.95,
        )


def _duplicate(row: IndexRow, kept: IndexRow) -> Suggestion:
    return _drop(
        row,
        rule="duplicate-index",
        priority=SuggestionPriority.MEDIUM,
        title=f"Drop {row.stats.name}: the same index as {kept.stats.name}",
        text=f"{row.stats.name} and {kept.stats.name} on {row.stats.table} are the same in every respect. "
        f"Dropping {row.stats.name} frees {size(row.stats.size_bytes)} and spares each write one index; "
        f"{kept.stats.name} serves its {count(row.stats.scans)} scans as well.",
        facts=[f"drop: {row.stats.definition}", f"keep: {kept.stats.definition}"],
        confidence=0.95,
        kept=kept,
    )


def _redundant(row: IndexRow, kept: IndexRow) -> Suggestion:
    return _drop(
        row,
        rule="redundant-index",
        priority=SuggestionPriority.MEDIUM,
        title=f"Drop {row.stats.name}: {kept.stats.name} begins with the same columns",
        text=f"Whatever {row.stats.name} on {row.stats.table} is used for, {kept.stats.name} can do: its keys begin "
        f"with the same columns in the same order. Dropping the shorter one frees {size(row.stats.size_bytes)} and "
        "spares each write one index.",
        facts=[f"drop: {row.stats.definition}", f"keep: {kept.stats.definition}"],
        confidence=0.85,
        kept=kept,
    )


def _unused(catalog: Catalog, around: _Around, settled: Collection[str], days: float) -> Iterator[Suggestion]:
    for row in catalog.indexes:
        if row.stats.key in settled:
            continue
        reasons = _reasons(row, around, days)
        observed = _observed_days(row, catalog.facts.observed_at)
        index = row.stats
        if not reasons:
            yield _drop(
                row,
                rule="unused-index",
                priority=SuggestionPriority.MEDIUM,
                title=f"Drop {index.name} on {index.table}: unused for {observed:.0f} days",
                text=f"{index.name} has not been scanned once in {observed:.0f} days of unbroken observation. It takes "
                f"{size(index.size_bytes)} and is kept up to date by every write to {index.table}.",
                facts=[f"0 scans seen in {observed:.1f} days", f"{index.definition}"],
                confidence=0.8,
            )
        elif len(reasons) == 1 and reasons[0].startswith(TOO_YOUNG) and not index.scans:
            known = around.known_days(row)
            if known >= min(WATCH_DAYS, days):
                yield _watched(row, known, observed, days)


def _watched(row: IndexRow, known: float, observed: float, days: float) -> Suggestion:
    """Said early and without SQL: not enough has been seen to drop it."""
    index = row.stats
    return Suggestion(
        rule="unused-index",
        identity=f"unused-index-watch:{index.schema}.{index.name}",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=SuggestionPriority.LOW,
        title=f"{index.name} on {index.table}: unused since we first saw it, {known:.0f} days ago",
        text=f"{index.name} has not been scanned in the {known:.0f} days we have known it. It takes "
        f"{size(index.size_bytes)} and is kept up to date by every write to {index.table}. Nothing to do yet: after "
        f"{days:.0f} days of unbroken observation without a scan, so that monthly work has been seen, dropping it "
        "will be proposed.",
        evidence_kind=EvidenceKind.COUNTED,
        evidence={
            "kind": EvidenceKind.COUNTED.value,
            "facts": [
                f"0 scans counted in {known:.1f} days",
                f"observed without a break for {observed:.1f} of {days:.0f} days",
                index.definition,
            ],
        },
        confidence=0.5,
        risk=Risk.LOW,
        schema=index.schema,
        table=index.table,
    )


def _drop(
    row: IndexRow,
    *,
    rule: str,
    priority: SuggestionPriority,
    title: str,
    text: str,
    facts: Iterable[str],
    confidence: float,
    kept: IndexRow | None = None,
) -> Suggestion:
    index = row.stats
    evidence: dict[str, Any] = {
        "kind": EvidenceKind.COUNTED.value,
        "facts": list(facts),
        "size_bytes": index.size_bytes,
        "scans": index.scans,
    }
    if kept is not None:
        evidence["kept"] = f"{kept.stats.schema}.{kept.stats.name}"
    return Suggestion(
        rule=rule,
        identity=f"{rule}:{index.schema}.{index.name}",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=priority,
        title=title,
        text=text.strip(),
        evidence_kind=EvidenceKind.COUNTED,
        evidence=evidence,
        confidence=confidence,
        risk=Risk.HIGH,
        schema=index.schema,
        table=index.table,
        change=DropIndex(index.schema, index.table, index.name),
    )
