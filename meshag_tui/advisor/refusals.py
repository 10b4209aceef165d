"""Every reason not to drop an index: what it does beside serving queries, and what nobody can know of its use.

Proposing to drop an index that is needed is the one mistake that cannot be forgiven, so each reason is in words, and an
index goes for lack of use only when there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshag_tui.advisor.indexes import holds, supports
from meshag_tui.engines import words_for
from meshag_tui.figures import count
from meshag_tui.snapshot import ForeignKey, IndexStats

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, IndexRow, Loss
    from meshag_tui.store.history_objects import Standby

DAY_MS = 86_400_000
_REVIEWED_METHODS = frozenset({"brin", "gist", "spgist", "fulltext", "spatial", "rtree"})
"""Small or odd by design: use counts say little of them."""
_WORK = ("seq_scan", "index_scan", "seq_rows", "index_rows", "inserts", "updates", "deletes")
_BREAKS = frozenset({"reset", "failover", "decrease", "clock"})
TOO_YOUNG = "watched"


def refusals(index: IndexRow, catalog: Catalog, days: float = 30.0) -> tuple[str, ...]:
    """Every reason not to drop an index for lack of use; empty when there is none.

    Args:
        index: definition and our own observation of its use.
        catalog: what else there is: foreign keys, other indexes, replicas.
        days: continuous observation without a scan that is asked for.
    """
    return reasons(index, Around(catalog), days)


def reasons(index: IndexRow, around: Around, days: float) -> tuple[str, ...]:
    """The same as `refusals`, for many indexes of one catalogue."""
    return (*_structural_refusals(index.stats, around), *_usage_refusals(index, around, days))


class Around:
    """What a rule looks up beside an index, found once for all indexes."""

    def __init__(self, catalog: Catalog) -> None:
        self.facts = catalog.facts
        self.standbys = catalog.standbys
        self.words = words_for(catalog.facts.engine)
        self.tables = {(row.stats.schema, row.stats.name): row for row in catalog.tables}
        self.foreign_keys: dict[tuple[str, str], list[ForeignKey]] | None = None
        self.referred: dict[tuple[str, str], list[ForeignKey]] = {}
        if catalog.foreign_keys is not None:
            self.foreign_keys = {}
            for key in catalog.foreign_keys:
                self.foreign_keys.setdefault((key.schema, key.table), []).append(key)
                self.referred.setdefault((key.ref_schema, key.ref_table), []).append(key)
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


def _structural_refusals(index: IndexStats, around: Around) -> Iterator[str]:
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
    others = [other for other in around.indexes.get(place, ()) if other.name != index.name]
    keeps = around.facts.traits.foreign_keys_keep_index
    for key in around.foreign_keys.get(place, ()):
        mine = supports(index, key) or (keeps and holds(index, key.columns))
        if mine and not any(holds(other, key.columns) if keeps else supports(other, key) for other in others):
            yield f"the foreign key {key.name} has no other index"
    for key in around.referred.get(place, ()):
        if holds(index, key.ref_columns) and not any(holds(other, key.ref_columns) for other in others):
            yield f"the foreign key {key.name} of {key.table} refers to its columns"


def _usage_refusals(index: IndexRow, around: Around, days: float) -> Iterator[str]:
    stats, now = index.stats, around.facts.observed_at
    if around.facts.in_recovery:
        yield "this server is a standby: the primary may use it"
    if around.facts.replicas > len(around.standbys):
        unknown = f"unknown replicas: {around.facts.replicas} in {around.words.replicas}"
        yield f"{unknown}, {len(around.standbys)} monitored"
    for standby in around.standbys:
        yield from _used_on(standby, index, now, days, around.words.index_uses)
    if stats.scans is None:
        yield "its use is not counted"
    if index.last_used_at is not None:
        yield "we have seen it used"
    elif stats.last_scan is not None and now - stats.last_scan < days * DAY_MS:
        yield "the server says it was used lately"
    elif stats.scans and stats.last_scan is None and observed_days(index, now) < 2 * days:
        yield f"{count(stats.scans)} {around.words.index_uses} were counted before we watched"
    if not _table_worked(index, around):
        yield "its table has hardly been used while we watched"
    if observed_days(index, now) < days:
        yield f"{TOO_YOUNG} for {observed_days(index, now):.0f} of {days:.0f} days"


def _used_on(standby: Standby, index: IndexRow, now: int, days: float, uses: str) -> Iterator[str]:
    """What is known, and not known, of the use of an index on one standby."""
    found = standby.indexes.get(index.stats.key)
    if found is None:
        yield f"the standby {standby.name} has not shown it yet"
    elif found.last_used_at is not None:
        yield f"we have seen it used on the standby {standby.name}"
    elif found.stats.scans and observed_days(found, standby.observed_at) < 2 * days:
        yield f"{count(found.stats.scans)} {uses} were counted on the standby {standby.name} before we watched"
    elif now - standby.observed_at > DAY_MS:
        yield f"the standby {standby.name} was last seen {(now - standby.observed_at) / DAY_MS:.0f} days ago"
    elif observed_days(found, standby.observed_at) < days:
        seen = observed_days(found, standby.observed_at)
        yield f"the standby {standby.name} was watched for {seen:.0f} of {days:.0f} days"


def observed_days(index: IndexRow, now: int) -> float:
    """Days of unbroken observation of an index up to `now`, epoch ms."""
    since = index.observed_since
    if index.stats.created_at is not None:
        since = max(since, index.stats.created_at)
    return max(0.0, (now - since) / DAY_MS)


def _table_worked(index: IndexRow, around: Around) -> bool:
    """Whether the table was read or written at all, so that a scan could have been seen."""
    table = around.tables.get((index.stats.schema, index.stats.table))
    if table is None:
        return False
    counters = table.stats.counters
    return any(counters.get(name) for name in _WORK)
