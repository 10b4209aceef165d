"""Tables and indexes as last read, with what they did in a window; and the catalogue the advisor gets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

from meshag_tui.snapshot import (
    INDEX_COUNTERS,
    TABLE_COUNTERS,
    Column,
    CostModel,
    Epoch,
    ForeignKey,
    IndexKey,
    IndexStats,
    SchemaSnapshot,
    Sequence,
    ServerFacts,
    SessionStats,
    TableStats,
    Traits,
)
from meshag_tui.store import digests, digests_objects, history_queries, history_windows, models
from meshag_tui.store.history_windows import Loss, Observed, Trend, listed
from meshag_tui.store.snapshots_objects import sequences_key
from meshag_tui.types import MeshagError, Window

T = TypeVar("T")
_MOST_SAMPLES = 600
"""Syncs whose sessions are looked at, the newest: ten hours of one a minute."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A table as last read, and what happened to it in the window (None: not counted, or not observed)."""

    id: int
    stats: TableStats
    first_seen_at: int
    seq_scan: int | None
    seq_rows: int | None
    index_scan: int | None
    index_rows: int | None
    inserts: int | None
    updates: int | None
    hot_updates: int | None
    deletes: int | None
    blocks_read: int | None
    blocks_hit: int | None


@dataclass(frozen=True, slots=True)
class IndexRow:
    """An index as last read, and its use in the window (None: not counted, or not observed).

    `observed_since` (epoch ms) is the start of unbroken observation: it moves when counters may have been lost, and by
    the time nobody watched. `last_used_at` is when we last saw a scan, on any server this connection led to.
    """

    id: int
    stats: IndexStats
    first_seen_at: int
    observed_since: int
    last_used_at: int | None
    scans: int | None
    rows_read: int | None
    rows_fetched: int | None


@dataclass(frozen=True, slots=True)
class Busiest:
    """Sessions as each of `samples` syncs found them: the most that worked at once, and the fewest that idled."""

    samples: int
    span_ms: int
    working: int
    idle: int
    taken: int = 0  # connections at once, at most


@dataclass(frozen=True, slots=True)
class Standby:
    """A standby of the same server that is monitored too: the use of the same indexes there, up to `observed_at`."""

    name: str
    observed_at: int  # epoch ms of its clock
    indexes: Mapping[str, IndexRow]  # by key: a standby has the indexes of its primary


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What the rules of a plan look up: the server's settings, and tables as last read."""

    facts: ServerFacts
    tables: tuple[TableStats, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the advisor knows of a database. A part that was never read is None."""

    connection_id: str
    facts: ServerFacts
    tables: tuple[TableRow, ...]
    indexes: tuple[IndexRow, ...]
    foreign_keys: tuple[ForeignKey, ...] | None
    sequences: tuple[Sequence, ...] | None
    sessions: SessionStats | None
    schema: SchemaSnapshot | None
    window: Window  # that the figures of tables and indexes are of: all history by default
    events: tuple[Loss, ...]  # of its intervals, oldest first
    standbys: tuple[Standby, ...] = ()
    busiest: Busiest | None = None

    @property
    def for_plans(self) -> PlanFacts:
        return PlanFacts(self.facts, tuple(row.stats for row in self.tables))


def tables(connection_id: str, window: Window) -> tuple[TableRow, ...]:
    """The tables that are there, by schema and name."""
    table = models.MonitoredTable
    sums = digests_objects.sums(digests_objects.TABLES, digests.source(connection_id, window))
    observed = _observed(connection_id, window)
    rows = []
    query = table.select(table.id, table.stats, table.first_seen_at)
    here = (table.connection == connection_id) & table.gone_at.is_null()
    for table_id, document, first_seen in listed(query.where(here).order_by(table.schema_name, table.name)):
        stats = table_stats(document)
        counted = _counted(sums.get(table_id), stats.counters, TABLE_COUNTERS, observed)
        rows.append(TableRow(table_id, stats, first_seen, **counted))
    return tuple(rows)


def indexes(connection_id: str, window: Window) -> tuple[IndexRow, ...]:
    """The indexes that are there, by schema, table and name."""
    index = models.MonitoredIndex
    sums = digests_objects.sums(digests_objects.INDEXES, digests.source(connection_id, window))
    observed = _observed(connection_id, window)
    rows = []
    query = index.select(index.id, index.stats, index.first_seen_at, index.observed_since, index.last_used_at)
    here = (index.connection == connection_id) & index.gone_at.is_null()
    order = (index.schema_name, index.table_name, index.name)
    for index_id, document, first_seen, since, used in listed(query.where(here).order_by(*order)):
        stats = index_stats(document)
        last = {name: document[name] for name in INDEX_COUNTERS}
        counted = _counted(sums.get(index_id), last, INDEX_COUNTERS, observed)
        rows.append(IndexRow(index_id, stats, first_seen, since, used, **counted))
    return tuple(rows)


def last_size(connection_id: str, schema: str, table: str, name: str) -> int | None:
    """Bytes of an index when it was last read, also of one that is gone; None: it was never read."""
    index = models.MonitoredIndex
    mine = (index.connection == connection_id) & (index.schema_name == schema)
    same = mine & (index.table_name == table) & (index.name == name)
    found = listed(index.select(index.stats).where(same).order_by(index.last_seen_at.desc()).limit(1))
    return None if not found else found[0][0].get("size_bytes")


def table_series(
    table_id: int, window: Window, points: int = 120, observed: tuple[Observed, ...] | None = None
) -> Trend:
    """A table's counters as rates over the window, and its size. `observed`: the window's intervals, if these are
    known. MeshagError if it is gone from the store."""
    steps = (window, points, observed)
    return _trend(models.MonitoredTable, models.TableAccess, "table", table_id, TABLE_COUNTERS, *steps)


def index_series(
    index_id: int, window: Window, points: int = 120, observed: tuple[Observed, ...] | None = None
) -> Trend:
    """The same of an index."""
    steps = (window, points, observed)
    return _trend(models.MonitoredIndex, models.IndexUsage, "index", index_id, INDEX_COUNTERS, *steps)


def catalog(connection_id: str, window: Window | None = None) -> Catalog:
    """Everything the rules look at. `window` is that of the figures; None: all history, from where it begins.

    Raises:
        MeshagError: the connection is gone or was never synced.
    """
    facts = _facts(connection_id)
    within = window or Window(0, history_windows.latest_window(connection_id, 0).end)
    observed = history_windows.intervals(connection_id, within)
    if window is None:
        within = history_windows.observed_part(observed, within)
    structure = _structure(connection_id)
    kept = models.Setting.get_or_none(models.Setting.key == sequences_key(connection_id))
    return Catalog(
        connection_id=connection_id,
        facts=facts,
        tables=tables(connection_id, within),
        indexes=indexes(connection_id, within),
        foreign_keys=None if structure is None else tuple(foreign_key(each) for each in structure["foreign_keys"]),
        sequences=None if kept is None else tuple(_made(Sequence, each) for each in kept.value),
        sessions=_sessions(connection_id),
        schema=None if structure is None else schema_of(structure),
        window=within,
        events=history_windows.events(observed),
        standbys=_standbys(connection_id, within),
        busiest=busiest(connection_id),
    )


def plan_facts(connection_id: str, names: Collection[str]) -> PlanFacts:
    """What rules look up for plans that read tables of these names, in whatever schema.

    Raises:
        MeshagError: as `catalog`.
    """
    table = models.MonitoredTable
    named = table.select(table.stats).where((table.connection == connection_id) & table.name.in_(list(names)))
    here = listed(named.where(table.gone_at.is_null()))
    return PlanFacts(_facts(connection_id), tuple(table_stats(document) for (document,) in here))


def _facts(connection_id: str) -> ServerFacts:
    connection = models.Connection
    found = listed(connection.select(connection.facts, connection.name).where(connection.id == connection_id))
    if not found:
        raise MeshagError(f"The connection {connection_id} is gone")
    facts, name = found[0]
    if not facts:
        raise MeshagError(f"{name} was never synced")
    return server_facts(facts)


def table_stats(document: Mapping[str, Any]) -> TableStats:
    """The stored statistics of a table."""
    return _made(TableStats, document)


def index_stats(document: Mapping[str, Any]) -> IndexStats:
    """The stored statistics of an index."""
    keys = tuple(_made(IndexKey, key) for key in document["keys"])
    columns = {"include": tuple(document["include"]), "suffix": tuple(document.get("suffix", ()))}
    return _made(IndexStats, {**document, "keys": keys, **columns})


def server_facts(document: Mapping[str, Any]) -> ServerFacts:
    """The stored facts of a server."""
    costs, traits = _made(CostModel, document.get("costs", {})), _made(Traits, document.get("traits", {}))
    traits = replace(traits, index_methods=tuple(traits.index_methods))
    names = {name: tuple(document.get(name, ())) for name in ("sources", "known_as")}
    parts = {"epoch": _made(Epoch, document["epoch"]), "costs": costs, "traits": traits, **names}
    return _made(ServerFacts, {**document, **parts})


def _made(kind: type[T], document: Mapping[str, Any]) -> T:
    """A value from its document; fields this version does not know are left out."""
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in document.items() if name in known})


def foreign_key(document: Mapping[str, Any]) -> ForeignKey:
    """A stored foreign key."""
    columns = {name: tuple(document[name]) for name in ("columns", "ref_columns")}
    return _made(ForeignKey, {**document, **columns})


class Relation(NamedTuple):
    """What a table is, and of which partitioned one it is a part ("schema.name")."""

    kind: str
    parent: str | None


def relations(connection_id: str) -> dict[tuple[str, str], Relation]:
    """The tables that are there, by schema and name."""
    table = models.MonitoredTable
    here = (table.connection == connection_id) & table.gone_at.is_null()
    found = listed(table.select(table.schema_name, table.name, table.stats).where(here))
    return {(schema, name): Relation(stats["kind"], stats["parent"]) for schema, name, stats in found}


def views(connection_id: str) -> Mapping[str, str]:
    """Definitions of the views, materialized ones too, by "schema.name", as the schema was read last."""
    structure = _structure(connection_id)
    found: Mapping[str, str] = {} if structure is None else structure["views"]
    return found


def _structure(connection_id: str) -> Mapping[str, Any] | None:
    version = models.SchemaVersion
    mine = version.select(version.document).where(version.connection == connection_id)
    found = listed(mine.order_by(version.id.desc()).limit(1))
    return found[0][0] if found else None


def schema_of(structure: Mapping[str, Any]) -> SchemaSnapshot:
    """The schema in the document of a version."""
    columns = {name: tuple(_made(Column, each) for each in found) for name, found in structure["columns"].items()}
    constraints = {name: tuple(found) for name, found in structure["constraints"].items()}
    return SchemaSnapshot(columns, structure["views"], constraints)


def _sessions(connection_id: str) -> SessionStats | None:
    row = models.Interval
    mine = (row.connection == connection_id) & (row.resolution_s == 0) & row.sessions.is_null(False)
    found = listed(row.select(row.sessions).where(mine).order_by(row.end_at.desc()).limit(1))
    if not found:
        return None
    sessions = found[0][0]
    return _made(SessionStats, {**sessions, "idle_in_transaction": tuple(sessions["idle_in_transaction"])})


def busiest(connection_id: str) -> Busiest | None:
    """What the last syncs found of sessions; None: they were never counted."""
    row = models.Interval
    mine = (row.connection == connection_id) & (row.resolution_s == 0) & row.sessions.is_null(False)
    found = listed(row.select(row.end_at, row.sessions).where(mine).order_by(row.end_at.desc()).limit(_MOST_SAMPLES))
    if not found:
        return None
    working, idle = [], []
    for _, sessions in found:
        states = sessions["by_state"]
        resting = sum(number for state, number in states.items() if state == "idle")
        idle.append(resting)
        working.append(sum(states.values()) - resting)
    taken = max(one + other for one, other in zip(working, idle, strict=True))
    return Busiest(len(found), found[0][0] - found[-1][0], max(working), min(idle), taken)


def _standbys(connection_id: str, window: Window) -> tuple[Standby, ...]:
    """Standbys of the same server, one for each address, on which the same database is watched."""
    connection = models.Connection
    columns = (connection.id, connection.name, connection.host, connection.port, connection.facts)
    mine, *_ = listed(connection.select(*columns).where(connection.id == connection_id))
    others = connection.select(*columns).where(connection.id != connection_id).order_by(connection.name)
    found: dict[tuple[str, int], Standby] = {}
    for other, name, host, port, facts in listed(others):
        if facts and mine[-1] and _follows(facts, mine[-1]):
            rows = {row.stats.key: row for row in indexes(other, window)}
            found.setdefault((host, port), Standby(name, facts["observed_at"], rows))
    return tuple(found.values())


def _follows(facts: Mapping[str, Any], primary: Mapping[str, Any]) -> bool:
    """Whether these are facts of a standby of the other server, with its database."""
    if not facts.get("in_recovery") or facts.get("engine") != primary.get("engine"):
        return False
    if facts.get("database") not in (primary.get("database"), ""):  # "": all of the server
        return False
    identities = [each["epoch"]["system_identifier"] for each in (facts, primary)]
    named = set(facts.get("sources", ())) & set(primary.get("known_as", ()))
    copies = bool(primary.get("traits", {}).get("copies_identity", Traits().copies_identity))
    return bool(named) or (copies and identities[0] == identities[1])


def _observed(connection_id: str, window: Window) -> bool:
    """Whether anything was compared in the window: a baseline alone says nothing of what happened."""
    row = models.Interval
    compared = row.objects_since.is_null(False) | (row.resolution_s > 0)
    return bool(row.select().where(history_windows.within(connection_id, window) & compared).exists())


def _counted(
    sums: Mapping[str, int | None] | None, last: Mapping[str, int | None], names: Iterable[str], observed: bool
) -> dict[str, int | None]:
    """What was counted in a window: 0 for a counter the server keeps that did not move, None where nothing is known."""
    found: dict[str, int | None] = {}
    for name in names:
        value = None if sums is None else sums.get(name)
        found[name] = 0 if value is None and observed and last.get(name) is not None else value
    return found


def _trend(
    model: Any,
    rows: Any,
    key: str,
    object_id: int,
    counters: Iterable[str],
    window: Window,
    points: int,
    observed: tuple[Observed, ...] | None,
) -> Trend:
    names = tuple(counters)
    owner = listed(model.select(model.connection).where(model.id == object_id))
    if not owner:
        raise MeshagError(f"This {key} is not in the store any more")
    connection_id = owner[0][0]
    found = history_windows.intervals(connection_id, window) if observed is None else observed
    columns = (*names, "size_bytes")
    mark, table = models.database.param, rows._meta.table_name
    statement = f"""
        SELECT interval_id, {", ".join(columns)} FROM {table}
        WHERE {key}_id = {mark} AND interval_id IN ({history_queries.intervals_sql(mark)})
    """  # noqa: S608
    counted = history_queries.fetch(statement, [object_id, connection_id, window.start, window.end])
    by_interval = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in counted}
    over = history_windows.steps(history_windows.of_objects(found), window, points)
    return history_windows.trend(over, found, by_interval, names)
