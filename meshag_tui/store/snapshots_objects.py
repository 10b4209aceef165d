"""Tables, indexes, schema and sequences of one sync: what changed of them, what they did, and how long we have watched.

`prepare` reads what is known and works everything out; `Objects.write` puts it into the interval. Called by
`snapshots.write` inside its transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from meshag_tui.snapshot import INDEX_COUNTERS, TABLE_COUNTERS, IndexStats, Snapshot, TableStats
from meshag_tui.store import bulk, deltas_objects, models, readings
from meshag_tui.store.documents import as_json, clean, document
from meshag_tui.store.readings import Event, Reading, Span, event

OBSERVED_GAP_MS = 26 * 3_600_000
"""A pause up to this long still counts as observed when the counters are proved to have gone on; the rest does not."""
SEQUENCES_KEPT = 500
"""Sequences remembered of a connection: those nearest to their limit."""

_SECOND_MS = 1000
_FROZEN_STEP = 1_000_000  # transactions; the age of every table grows all the time, which is no change of the table
_TABLE = ("connection_id", "key", "schema_name", "name", "stats", "first_seen_at", "last_seen_at")
_INDEX = (
    "connection_id",
    "key",
    "schema_name",
    "table_name",
    "name",
    "stats",
    "first_seen_at",
    "last_seen_at",
    "last_used_at",
    "observed_since",
)
_TABLE_CHANGE = ("schema_name", "name", "stats", "last_seen_at", "gone_at")
_INDEX_CHANGE = (
    *("schema_name", "table_name", "name", "stats"),
    *("last_seen_at", "last_used_at", "observed_since", "gone_at"),
)
_TABLE_FIELDS = tuple(each.name for each in fields(TableStats))
_INDEX_FIELDS = tuple(each.name for each in fields(IndexStats))


@dataclass(slots=True)
class Objects:
    """What a sync has to say of tables and indexes, ready to be written."""

    connection_id: str
    at: int
    events: tuple[Event, ...] = ()
    new_tables: list[tuple[Any, ...]] = field(default_factory=list)
    changed_tables: list[tuple[Any, ...]] = field(default_factory=list)
    table_access: list[tuple[Any, ...]] = field(default_factory=list)  # without the interval
    new_indexes: list[tuple[Any, ...]] = field(default_factory=list)
    changed_indexes: list[tuple[Any, ...]] = field(default_factory=list)
    index_usage: list[tuple[Any, ...]] = field(default_factory=list)
    since: int | None = None  # start of what the deltas are of, epoch ms; None: there is nothing to compare with
    observed_anew: bool = False
    observed_less_ms: int = 0  # how much of the time since the last reading was not observed; may be negative

    def write(self, interval_id: int) -> None:
        """Write it; at most eight statements."""
        if self.changed_tables:
            _update("monitored_table", _TABLE_CHANGE, self.changed_tables)
        if self.new_tables:
            bulk.insert("monitored_table", _TABLE, self.new_tables)
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
        if self.changed_indexes:
            _update("monitored_index", _INDEX_CHANGE, self.changed_indexes)
        if self.observed_anew or self.observed_less_ms:
            self._observe()
        if self.new_indexes:
            bulk.insert("monitored_index", _INDEX, self.new_indexes)
        if self.index_usage:
            columns = ("interval_id", "index_id", *INDEX_COUNTERS, "size_bytes")
            bulk.insert("index_usage", columns, ((interval_id, *row) for row in self.index_usage))

    def _observe(self) -> None:
        index = models.MonitoredIndex
        since: Any = self.at if self.observed_anew else index.observed_since + self.observed_less_ms
        index.update(observed_since=since).where(index.connection == self.connection_id).execute()


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
    if snapshot.tables is not None:
        parts.append(_tables(objects, snapshot.tables, tie, may_be_gone, read_at))
    if snapshot.indexes is not None:
        derived = {f"{t.schema}.{t.name}" for t in snapshot.tables or () if t.kind == "partitioned"}
        parts.append(_indexes(objects, snapshot.indexes, tie, may_be_gone, derived, read_at))
    if not parts or last is None:
        return objects
    span = readings.span(last, now, expected_ms)
    if tie.state != "broken" and not span.events:
        objects.since = span.start_at
    lost = deltas_objects.observation_break(last, now.epoch, tie, parts)
    if lost is None:
        lost = _unobserved(objects, last, now, span)
    if lost is not None:
        objects.observed_anew = True
        objects.events = (lost,)
    return objects


def _unobserved(objects: Objects, last: Reading, now: Reading, span: Span) -> Event | None:
    """Take from the time observed what no clock proves; the event that ends the observation, if nothing is proved."""
    kinds = {each["kind"] for each in span.events}
    if "clock" in kinds and span.start_at is not None:
        objects.observed_less_ms = span.start_at - last.taken_at
    elif "gap" in kinds and span.start_at is not None:
        if now.epoch.stats_reset is None:
            return event("gap", "nothing proves that no crash fell into the pause: index use is observed anew")
        objects.observed_less_ms = max(0, span.end_at - span.start_at - OBSERVED_GAP_MS)
    return None


def _tables(
    objects: Objects, tables: Sequence[TableStats], tie: readings.Continuity, may_be_gone: bool, read_at: int
) -> deltas_objects.ObjectDeltas:
    at = objects.at
    table = models.MonitoredTable
    stored = {
        key: (table_id, stats, gone_at)
        for table_id, key, stats, gone_at in table.select(table.id, table.key, table.stats, table.gone_at)
        .where(table.connection == objects.connection_id)
        .tuples()
        .iterator()
    }
    now: dict[str, dict[str, Any]] = {}
    for each in tables:
        stats = _table_document(each)
        now[each.key] = stats
        known = stored.get(each.key)
        if known is None:
            objects.new_tables.append(
                (objects.connection_id, each.key, stats["schema"], stats["name"], as_json(stats), at, at)
            )
        elif known[2] is not None or _table_differs(known[1], stats):
            objects.changed_tables.append((known[0], stats["schema"], stats["name"], stats, at, None))
    if may_be_gone:
        for key, (table_id, stats, gone_at) in stored.items():
            if gone_at is None and key not in now:
                objects.changed_tables.append((table_id, stats["schema"], stats["name"], stats, at, at))
    found = deltas_objects.objects(
        tie,
        {key: stats["counters"] for key, (_, stats, _) in stored.items()},
        {key: stats["counters"] for key, stats in now.items()},
        derived={each.key for each in tables if each.kind == "partitioned"},
        renewed=_renewed({key: stats for key, (_, stats, _) in stored.items()}, now, read_at),
    )
    for key, change in found.active.items():
        stats = now[key]
        counters = (change.get(name) for name in TABLE_COUNTERS)
        gauges = (stats["size_bytes"], stats["live_rows"], stats["dead_rows"])
        objects.table_access.append((stored[key][0], *counters, *gauges))
    return found


def _indexes(
    objects: Objects,
    indexes: Sequence[IndexStats],
    tie: readings.Continuity,
    may_be_gone: bool,
    derived: set[str],
    read_at: int,
) -> deltas_objects.ObjectDeltas:
    at = objects.at
    index = models.MonitoredIndex
    stored = {
        row[1]: row
        for row in index.select(
            index.id, index.key, index.stats, index.last_used_at, index.observed_since, index.gone_at
        )
        .where(index.connection == objects.connection_id)
        .tuples()
        .iterator()
    }
    now = {each.key: _index_document(each) for each in indexes}
    for key, stats in now.items():
        if stats["hidden"]:
            known = stored[key][2] if key in stored and stored[key][5] is None else {}
            stats["hidden_since"] = known.get("hidden_since") or at
    stored_stats = {key: row[2] for key, row in stored.items()}
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
            objects.new_indexes.append((objects.connection_id, key, *names, as_json(stats), at, at, None, at))
            continue
        index_id, _, before, used_at, since, gone_at = row
        if found.active.get(key, {}).get("scans"):
            used_at = at
        if gone_at is None and before == stats:
            continue
        if before["definition"] != stats["definition"] and before.get("hidden") == stats["hidden"]:
            since = at  # another index under the same key
        elif key in anew:
            since = at
        objects.changed_indexes.append((index_id, *names, stats, at, used_at, since, None))
    if may_be_gone:
        for key, (index_id, _, stats, used_at, since, gone_at) in stored.items():
            if gone_at is None and key not in now:
                names = (stats["schema"], stats["table"], stats["name"])
                objects.changed_indexes.append((index_id, *names, stats, at, used_at, since, at))
    for key, change in found.active.items():
        counters = (change.get(name) for name in INDEX_COUNTERS)
        objects.index_usage.append((stored[key][0], *counters, now[key]["size_bytes"]))
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


def _update(table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Update rows by id; `columns` names what each row has after it."""
    stats = 1 + columns.index("stats")
    bulk.update(table, ("id",), columns, ((*row[:stats], as_json(row[stats]), *row[stats + 1 :]) for row in rows))


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
        relations.setdefault(f"{index.schema}.{index.table}", {})[index.name] = index.definition
    return {
        "columns": _sorted(schema.columns if schema else {}, lambda columns: [asdict(each) for each in columns]),
        "views": _sorted(schema.views if schema else {}, str),
        "constraints": _sorted(schema.constraints if schema else {}, sorted),
        "indexes": _sorted(relations, lambda found: dict(sorted(found.items()))),
        "foreign_keys": sorted(
            (asdict(key) for key in snapshot.foreign_keys or ()),
            key=lambda key: (key["schema"], key["table"], key["name"]),
        ),
    }


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
