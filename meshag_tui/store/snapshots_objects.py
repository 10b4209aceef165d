"""Tables, indexes, schema and sequences of one sync: what changed of them, what they did, and how long we have watched.

`prepare` reads what is known and works everything out; `Objects.write` puts it into the interval. Called by
`snapshots.write` inside its transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import peewee

from meshag_tui.snapshot import INDEX_COUNTERS, TABLE_COUNTERS, Column, IndexStats, Snapshot, TableStats
from meshag_tui.store import bulk, deltas_objects, models, readings
from meshag_tui.store.documents import as_json, clean, document
from meshag_tui.store.readings import Event, Reading, Span, event

OBSERVED_GAP_MS = 26 * 3_600_000
"""A pause up to this long still counts as observed when the counters are proved to have gone on; the rest does not."""
SEQUENCES_KEPT = 500
"""Sequences remembered of a connection: those nearest to their limit."""

_SECOND_MS = 1000
_FROZEN_STEP = 1_000_000  # transactions; the age of every table grows all the time, which is no change of the table
_NEW = ("id", "connection_id", "key", "first_seen_at")  # of an object that is known only its id counts
_TABLE_CHANGE = ("schema_name", "name", "stats", "last_seen_at", "gone_at")
_INDEX_CHANGE = (
    *("schema_name", "table_name", "name", "stats"),
    *("last_seen_at", "gone_at", "last_used_at", "observed_since"),
)
_TABLE_FIELDS = tuple(each.name for each in fields(TableStats))
_INDEX_FIELDS = tuple(each.name for each in fields(IndexStats))


@dataclass(slots=True)
class Objects:
    """What a sync has to say of tables and indexes, ready to be written."""

    connection_id: str
    at: int
    events: tuple[Event, ...] = ()
    tables: dict[str, list[Any]] = field(default_factory=dict)  # new and changed ones by key: id, `_TABLE_CHANGE`
    table_access: list[tuple[Any, ...]] = field(default_factory=list)  # without the interval
    indexes: dict[str, list[Any]] = field(default_factory=dict)  # id, `_INDEX_CHANGE`
    index_usage: list[tuple[Any, ...]] = field(default_factory=list)
    since: int | None = None  # start of what the deltas are of, epoch ms; None: there is nothing to compare with

    def write(self, interval_id: int) -> None:
        """Write it; at most four statements."""
        self._save("monitored_table", _TABLE_CHANGE, self.tables)
        if self.table_access:
            columns: tuple[str, ...] = (
                "interval_id",
                "table_id",
                *TABLE_COUNTERS,
                "size_bytes",
                "live_rows",
                "dead_rows",
            )
            bulk.insert("table_access", columns, ((interval_id, *row) for row in self.table_access))
        self._save("monitored_index", _INDEX_CHANGE, self.indexes)
        if self.index_usage:
            columns = ("interval_id", "index_id", *INDEX_COUNTERS, "size_bytes")
            bulk.insert("index_usage", columns, ((interval_id, *row) for row in self.index_usage))

    def _save(self, table: str, columns: Sequence[str], objects: Mapping[str, Sequence[Any]]) -> None:
        if not objects:
            return
        stats = 1 + columns.index("stats")
        rows = (
            (row[0], self.connection_id, key, self.at, *row[1:stats], as_json(row[stats]), *row[stats + 1 :])
            for key, row in objects.items()
        )
        bulk.upsert(table, (*_NEW, *columns), rows, key=("id",), update=columns)


class _Known(NamedTuple):
    """A table or an index as the store has it. Times are epoch ms."""

    is_index: int
    id: int
    key: str
    stats: Mapping[str, Any]
    last_seen_at: int
    gone_at: int | None
    last_used_at: int | None
    observed_since: int | None


def prepare(connection_id: str, snapshot: Snapshot, last: Reading | None, now: Reading, expected_ms: int) -> Objects:
    """Work out what a sync has to say of tables and indexes.

    Args:
        last: the last reading of either; None at the first.
        now: this reading.
        expected_ms: how long the interval was meant to be.
    """
    objects = Objects(connection_id, snapshot.taken_at)
    tie = readings.continuity(last, now.epoch)
    # What is locked may be left out of a reading: it is not gone.
    may_be_gone = not any(warning.code == "relations-locked" for warning in snapshot.warnings)
    parts = []
    read_at = 0 if last is None else last.observed_at
    if snapshot.tables is None and snapshot.indexes is None:
        return objects
    tables, indexes = _known(connection_id)
    if snapshot.tables is not None:
        parts.append(_tables(objects, tables, snapshot.tables, tie, may_be_gone, read_at))
    if snapshot.indexes is not None:
        derived = {f"{t.schema}.{t.name}" for t in snapshot.tables or () if t.kind == "partitioned"}
        parts.append(_indexes(objects, indexes, snapshot.indexes, tie, may_be_gone, derived, read_at))
    if last is None:
        return objects
    span = readings.span(last, now, expected_ms)
    if tie.state != "broken" and not span.events:
        objects.since = span.start_at
    lost = deltas_objects.observation_break(last, now.epoch, tie, parts)
    less_ms = 0
    if lost is None:
        lost, less_ms = _unobserved(last, now, span)
    if lost is not None:
        objects.events = (lost,)
    if lost is not None or less_ms:
        _observe(objects, indexes, None if lost is not None else less_ms)
    return objects


def _known(connection_id: str) -> tuple[dict[str, _Known], dict[str, _Known]]:
    """The tables and the indexes of a connection, by key."""
    table, index = models.MonitoredTable, models.MonitoredIndex
    none = peewee.SQL("CAST(NULL AS BIGINT)")
    tables = table.select(
        peewee.SQL("0"), table.id, table.key, table.stats, table.last_seen_at, table.gone_at, none, none
    ).where(table.connection == connection_id)
    indexes = index.select(
        peewee.SQL("1"),
        *(index.id, index.key, index.stats, index.last_seen_at, index.gone_at),
        *(index.last_used_at, index.observed_since),
    ).where(index.connection == connection_id)
    found: tuple[dict[str, _Known], dict[str, _Known]] = {}, {}
    for row in tables.union_all(indexes).tuples().iterator():
        found[row[0]][row[2]] = _Known(*row)
    return found


def _unobserved(last: Reading, now: Reading, span: Span) -> tuple[Event | None, int]:
    """The event that ends the observation, if no clock proves any of it; else how much of the time since the last
    reading was not observed, ms: it may be negative."""
    kinds = {each["kind"] for each in span.events}
    if "clock" in kinds and span.start_at is not None:
        return None, span.start_at - last.taken_at
    if "gap" in kinds and span.start_at is not None:
        if now.epoch.stats_reset is None:
            return event("gap", "nothing proves that no crash fell into the pause: index use is observed anew"), 0
        return None, max(0, span.end_at - span.start_at - OBSERVED_GAP_MS)
    return None, 0


def _observe(objects: Objects, known: Mapping[str, _Known], less_ms: int | None) -> None:
    """Count all known indexes as observed for so much less, or (None) from now on."""
    names = ("schema", "table", "name")
    for key, row in known.items():
        changed = objects.indexes.setdefault(
            key,
            [
                *(row.id, *(row.stats[name] for name in names), row.stats),
                *(row.last_seen_at, row.gone_at, row.last_used_at, row.observed_since),
            ],
        )
        changed[-1] = objects.at if less_ms is None else changed[-1] + less_ms


def _tables(
    objects: Objects,
    stored: Mapping[str, _Known],
    tables: Sequence[TableStats],
    tie: readings.Continuity,
    may_be_gone: bool,
    read_at: int,
) -> deltas_objects.ObjectDeltas:
    at = objects.at
    now: dict[str, dict[str, Any]] = {}
    for each in tables:
        stats = _table_document(each)
        now[each.key] = stats
        known = stored.get(each.key)
        if known is None or known.gone_at is not None or _table_differs(known.stats, stats):
            names = (stats["schema"], stats["name"])
            objects.tables[each.key] = [None if known is None else known.id, *names, stats, at, None]
    if may_be_gone:
        for key, row in stored.items():
            if row.gone_at is None and key not in now:
                objects.tables[key] = [row.id, row.stats["schema"], row.stats["name"], row.stats, at, at]
    before = {key: row.stats for key, row in stored.items()}
    found = deltas_objects.objects(
        tie,
        {key: stats["counters"] for key, stats in before.items()},
        {key: stats["counters"] for key, stats in now.items()},
        derived={each.key for each in tables if each.kind == "partitioned"},
        renewed=_renewed(before, now, read_at),
    )
    for key, change in found.active.items():
        stats = now[key]
        counters = (change.get(name) for name in TABLE_COUNTERS)
        gauges = (stats["size_bytes"], stats["live_rows"], stats["dead_rows"])
        objects.table_access.append((stored[key].id, *counters, *gauges))
    return found


def _indexes(
    objects: Objects,
    stored: Mapping[str, _Known],
    indexes: Sequence[IndexStats],
    tie: readings.Continuity,
    may_be_gone: bool,
    derived: set[str],
    read_at: int,
) -> deltas_objects.ObjectDeltas:
    at = objects.at
    now = {each.key: _index_document(each) for each in indexes}
    for key, stats in now.items():
        if stats["hidden"]:
            known = stored[key].stats if key in stored and stored[key].gone_at is None else {}
            stats["hidden_since"] = known.get("hidden_since") or at
    stored_stats = {key: row.stats for key, row in stored.items()}
    anew = _observed_anew(stored_stats, now, read_at)
    found = deltas_objects.objects(
        tie,
        # An altered table may have given the counts of one index to another: they are a baseline, no more.
        {key: _index_counters(stats) for key, stats in stored_stats.items() if key not in anew},
        {key: _index_counters(stats) for key, stats in now.items()},
        derived={each.key for each in indexes if f"{each.schema}.{each.table}" in derived},
        renewed=_renewed(stored_stats, now, read_at),
    )
    for key, stats in now.items():
        names = (stats["schema"], stats["table"], stats["name"])
        row = stored.get(key)
        if row is None:
            objects.indexes[key] = [None, *names, stats, at, None, None, at]
            continue
        before, used_at, since = row.stats, row.last_used_at, row.observed_since
        if found.active.get(key, {}).get("scans"):
            used_at = at
        if row.gone_at is None and before == stats:
            continue
        if before["definition"] != stats["definition"] and before.get("hidden") == stats["hidden"]:
            since = at  # another index under the same key
        elif key in anew:
            since = at
        objects.indexes[key] = [row.id, *names, stats, at, None, used_at, since]
    if may_be_gone:
        for key, row in stored.items():
            if row.gone_at is None and key not in now:
                names = (row.stats["schema"], row.stats["table"], row.stats["name"])
                objects.indexes[key] = [row.id, *names, row.stats, at, at, row.last_used_at, row.observed_since]
    for key, change in found.active.items():
        counters = (change.get(name) for name in INDEX_COUNTERS)
        objects.index_usage.append((stored[key].id, *counters, now[key]["size_bytes"]))
    return found


def _renewed(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]], read_at: int
) -> frozenset[str]:
    """Keys that count from another moment than at the last reading, where each object's moment is known.

    It is told in whole seconds, and not at once with the counters: a table altered in the second in which we read it
    (`read_at`, epoch ms of the server's clock), or while we did, has the same moment and yet lower counters.
    """
    known = {key: moment for key, stats in before.items() if (moment := stats.get("counted_since"))}
    renewed = {key for key, stats in now.items() if stats["counted_since"] and key in known}
    lately = {key for key in renewed if now[key]["counted_since"] == known[key] >= read_at - _SECOND_MS}
    fell = {_table_of(now[key]) for key in lately if _fell(before[key], now[key])}
    return frozenset(
        key
        for key in renewed
        if now[key]["counted_since"] != known[key] or (key in lately and _table_of(now[key]) in fell)
    )


def _fell(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a counter of a table or an index is lower than it was."""
    old, new = (stats.get("counters") or {name: stats.get(name) for name in INDEX_COUNTERS} for stats in (before, now))
    return any((new.get(name) or 0) < (value or 0) for name, value in old.items())


def _observed_anew(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]], read_at: int
) -> frozenset[str]:
    """Indexes whose use before their table was altered is lost.

    Hiding and showing an index alters the table, too: that must not end the observation it is part of. Then the other
    indexes of the table go on as well, unless a counter that fell shows that all of them were lost.
    """
    renewed = _renewed(before, now, read_at)
    toggled = {key for key in renewed if before[key].get("hidden", False) != now[key]["hidden"]}
    tables = {_table_of(now[key]) for key in toggled}
    fell = {_table_of(now[key]) for key in renewed if _fell(before[key], now[key])}
    kept = tables - fell
    return frozenset(key for key in renewed if key not in toggled and _table_of(now[key]) not in kept)


def _table_of(stats: Mapping[str, Any]) -> tuple[str, str]:
    return stats["schema"], stats.get("table", stats["name"])


def _table_document(table: TableStats) -> dict[str, Any]:
    stats = {name: getattr(table, name) for name in _TABLE_FIELDS}
    stats["schema"], stats["name"] = clean(table.schema), clean(table.name)
    stats["counters"], stats["options"] = dict(table.counters), dict(table.options)
    return stats


def _index_document(index: IndexStats) -> dict[str, Any]:
    stats = {name: getattr(index, name) for name in _INDEX_FIELDS}
    stats["schema"], stats["table"], stats["name"] = clean(index.schema), clean(index.table), clean(index.name)
    stats["keys"] = [asdict(key) for key in index.keys]
    stats["include"] = list(index.include)
    return stats


def _index_counters(stats: Mapping[str, Any]) -> dict[str, int | None]:
    return {name: stats[name] for name in INDEX_COUNTERS}


def _table_differs(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if abs((before["frozen_age"] or 0) - (now["frozen_age"] or 0)) > _FROZEN_STEP:
        return True
    return {**before, "frozen_age": None} != {**now, "frozen_age": None}


# Schema and sequences


def write_schema(connection_id: str, snapshot: Snapshot, state: MutableMapping[str, Any]) -> bool:
    """Store the structure if it is not what it was; True if it changed. `state` remembers its hash.

    Half a structure would look like a change: nothing is stored unless every part of it was read.
    """
    _write_sequences(connection_id, snapshot, state)
    if snapshot.schema is None or snapshot.indexes is None or snapshot.foreign_keys is None:
        return False
    if any(warning.code == "relations-locked" for warning in snapshot.warnings):
        return False
    structure = schema_document(snapshot)
    digest = hashlib.sha256(as_json(structure).encode()).hexdigest()
    before = state.get("schema")
    if before == digest:
        return False
    state["schema"] = digest
    models.SchemaVersion.insert(
        connection=connection_id, taken_at=snapshot.taken_at, hash=digest, document=document(structure)
    ).execute()
    return before is not None


def schema_document(snapshot: Snapshot) -> dict[str, Any]:
    """The structure with its indexes and foreign keys, in one order: equal structure gives an equal document."""
    schema = snapshot.schema
    relations: dict[str, dict[str, str]] = {}
    for index in snapshot.indexes or ():
        relations.setdefault(f"{index.schema}.{index.table}", {})[index.name] = index.definition + (
            " -- hidden: no plan uses it" if index.hidden else ""
        )
    return {
        "columns": _sorted(schema.columns if schema else {}, lambda columns: [_column(each) for each in columns]),
        "views": _sorted(schema.views if schema else {}, str),
        "constraints": _sorted(schema.constraints if schema else {}, sorted),
        "indexes": _sorted(relations, lambda found: dict(sorted(found.items()))),
        "foreign_keys": sorted(
            (asdict(key) for key in snapshot.foreign_keys or ()),
            key=lambda key: (key["schema"], key["table"], key["name"]),
        ),
    }


def _column(column: Column) -> dict[str, Any]:
    """A column; `extra` only where there is one."""
    return {name: value for name, value in asdict(column).items() if name != "extra" or value is not None}


def _sorted(found: Mapping[str, Any], shape: Callable[[Any], Any]) -> dict[str, Any]:
    return {name: shape(found[name]) for name in sorted(found)}


def sequences_key(connection_id: str) -> str:
    """Where the sequences of a connection are remembered among the settings."""
    return f"sequences:{connection_id}"


def _write_sequences(connection_id: str, snapshot: Snapshot, state: MutableMapping[str, Any]) -> None:
    if snapshot.sequences is None:
        return
    nearest = sorted(snapshot.sequences, key=lambda each: (each.last_value or 0) / (each.limit or 1), reverse=True)
    value = document([asdict(each) for each in nearest[:SEQUENCES_KEPT]])
    digest = hashlib.sha256(as_json(value).encode()).hexdigest()
    if state.get("sequences") == digest:
        return
    state["sequences"] = digest
    setting = models.Setting
    setting.insert(key=sequences_key(connection_id), value=value).on_conflict(
        conflict_target=[setting.key], update={setting.value: value}
    ).execute()
