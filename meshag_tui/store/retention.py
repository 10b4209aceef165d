"""Keeping history in bounds: fine intervals are summed into coarser ones, and the coarsest end some day.

Sums stay what they were: a window that covers whole buckets adds up to the same before and after. A counter that was
not measured stays NULL; sizes and row counts keep the last known value of the bucket. The number of SQL statements
does not depend on how much there is, and one call does a bounded amount of work.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import peewee

from meshag_tui.settings import RetentionSettings
from meshag_tui.store import bulk, database, health, models
from meshag_tui.store.documents import as_json
from meshag_tui.store.models import LEVELS
from meshag_tui.store.statistics import forget_digests, forget_intervals
from meshag_tui.types import ExecutionState

EXECUTION_DAYS = 30
_YEAR = 366
_DAY = 86_400_000
_AT_ONCE = 2_000  # intervals summed by one call and level: a few seconds of the store's thread at worst
_SUMS_DELETED = 50  # intervals, and digests, deleted at once: each has a row for every statement that ran
_ROWS_DELETED = 10_000
_CLOCK_KEY = "retention.clock"
_LOCK = 1835365218
_CHEAP_TO_WALK = 256 * 1024 * 1024
_GREATEST = frozenset({"longest_ms"})
"""Of these the greatest of a bucket is kept: they are no sums."""
_ROLLED: tuple[tuple[type[models.Record], str, tuple[str, ...]], ...] = (
    (models.QueryStatistics, "query_id", ()),
    (models.TableAccess, "table_id", ("size_bytes", "live_rows", "dead_rows")),
    (models.IndexUsage, "index_id", ("size_bytes",)),
)


@dataclass(frozen=True, slots=True)
class RolledUp:
    """How many intervals became how many; `more`: there is more to do than one call does."""

    intervals: int
    buckets: int
    more: bool


class Pruned(NamedTuple):
    """Rows that were deleted, by kind; `more`: there is more to delete than one call does."""

    rows: dict[str, int]
    more: bool


@dataclass(frozen=True, slots=True)
class Level:
    """The intervals of one resolution. Times are epoch ms, None when there are none."""

    resolution_s: int
    intervals: int
    oldest: int | None
    newest: int | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the store takes. `tables`: bytes with their indexes, empty where the database cannot tell cheaply."""

    total_bytes: int
    tables: dict[str, int]
    levels: tuple[Level, ...]


def roll_up(settings: RetentionSettings, now: int | None = None) -> RolledUp:
    """Sum what is older than its level's limit into the next level, each level in one transaction.

    `now` is epoch ms, by default the store's clock; it is not believed when it leaps (see `prune`).
    """
    now = _believable(database.now_ms() if now is None else now)
    limits = (settings.raw_days, settings.ten_minute_days, settings.hour_days)
    done, buckets, more = 0, 0, False
    for source, target, days in zip(LEVELS, LEVELS[1:], limits, strict=False):
        width = target * 1000
        cut = int(now - days * _DAY) // width * width  # whole buckets only: the rest of one may still come
        level = _roll_level(source, target, cut)
        done, buckets, more = done + level.intervals, buckets + level.buckets, more or level.more
    return RolledUp(done, buckets, more)


def prune(settings: RetentionSettings, now: int | None = None) -> Pruned:
    """Delete what is past the last limit, so much of it as one transaction should.

    That is: daily intervals, statements gone from their server with no statistics left, tables and indexes gone as
    long, old schema versions but the last, ended runs after 30 days. Scores and ended alerts go with the hours, calls
    of models after `ledger_days`, but not those of the last year, which its budgets count. The activity log stays
    whole: it is a chain.

    A clock that leaps ahead must not cost the history: `now` counts for at most a day more than when all was deleted
    last.
    """
    now = _believable(database.now_ms() if now is None else now)
    end, hours = int(now - settings.day_days * _DAY), int(now - settings.hour_days * _DAY)
    interval, query, version, run = models.Interval, models.Query, models.SchemaVersion, models.Execution
    newer, left = models.SchemaVersion.alias("newer"), models.Interval.alias("left")
    with database.atomic():
        if not _alone():
            return Pruned({}, False)
        oldest = (interval.resolution_s == LEVELS[-1]) & (interval.end_at <= end)
        sums = {
            "intervals": forget_intervals(oldest, _SUMS_DELETED),
            "digests": forget_digests(models.Digest.end_at <= end, _SUMS_DELETED),
        }
        # No interval that ends later has it: it was gone by then, and a roll-up ends within the day of what it sums.
        older = (left.connection == query.connection) & left.resolution_s.in_(LEVELS) & (left.end_at <= end)
        later = newer.select().where((newer.connection == version.connection) & (newer.id > version.id))
        ended = (ExecutionState.DONE, ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.INTERRUPTED)
        table, index, usage = models.MonitoredTable, models.MonitoredIndex, models.Usage
        sampled_until = int(now - settings.sampled_days * _DAY)
        past: dict[str, tuple[type[models.Record], Any]] = {
            "queries": (query, (query.gone_at <= end - _DAY) & ~_exists(left.select().where(older))),
            "tables": (table, table.gone_at <= end),
            "indexes": (index, index.gone_at <= end),
            "schemas": (version, (version.taken_at <= end) & _exists(later)),
            "executions": (run, run.state.in_(ended) & (run.finished_at <= now - EXECUTION_DAYS * _DAY)),
            "sampled": (models.Sampled, models.Sampled.end_at <= sampled_until),
            "sampled_texts": (models.SampledText, models.SampledText.seen_at <= sampled_until),
            "health": (models.Health, health.past(hours)),
            "alerts": (models.Alert, models.Alert.ended_at <= hours),
            "ledger": (usage, usage.at <= now - max(settings.ledger_days, _YEAR) * _DAY),
        }
        more = max(sums.values()) >= _SUMS_DELETED
        # Statements only when all sums are gone: a digest must not outlive what it counts.
        rows = dict.fromkeys(past, 0) if more else {what: _delete(*each) for what, each in past.items()}
        more = more or max(rows.values()) >= _ROWS_DELETED
        if not more:
            _remember(now)
    if database.kind() == "sqlite":
        # A script: execute() stops after the first page of this pragma.
        models.database.connection().executescript("PRAGMA incremental_vacuum(4000)")
    return Pruned(sums | rows, more)


def sizes() -> Sizes:
    """Bytes of the store, by table where that is cheap to know, and the intervals of each level."""
    total = total_bytes()
    cheap = database.kind() == "postgresql" or total <= _CHEAP_TO_WALK
    return Sizes(total, by_table() if cheap else {}, levels())


def total_bytes() -> int:
    """What the store takes on disk, without its write-ahead log."""
    if database.kind() == "postgresql":
        return sum(by_table().values())
    execute = models.database.execute_sql
    return int(execute("PRAGMA page_count").fetchone()[0]) * int(execute("PRAGMA page_size").fetchone()[0])


def levels() -> tuple[Level, ...]:
    """The intervals of each resolution there is."""
    interval = models.Interval
    count, first, last = (peewee.fn.COUNT(interval.id), peewee.fn.MIN(interval.end_at), peewee.fn.MAX(interval.end_at))
    query = interval.select(interval.resolution_s, count, first, last)
    rows: Any = query.group_by(interval.resolution_s).order_by(interval.resolution_s).tuples()
    return tuple(Level(*row) for row in rows)


def by_table() -> dict[str, int]:
    """Bytes of each table with its indexes; on SQLite the whole file is read, and there are none without dbstat."""
    if database.kind() == "sqlite":
        return _sqlite_tables()
    found = models.database.execute_sql(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    )
    ours = {model._meta.table_name for model in models.MODELS}
    return {name: int(size) for name, size in found.fetchall() if name in ours}


def _roll_level(source: int, target: int, cut: int) -> RolledUp:
    """Sum the intervals of resolution `source` that end by `cut` into buckets of `target` seconds."""
    width = target * 1000
    with database.atomic():
        if not _alone():
            return RolledUp(0, 0, False)
        taken, more = _oldest(source, cut, width)
        if not taken:
            return RolledUp(0, 0, False)
        grouped = [
            list(group) for _, group in itertools.groupby(taken, key=lambda row: (row[1], _bucket(row[3], width)))
        ]
        buckets = _new_ids(len(grouped))
        bulk.insert(
            "interval",
            (
                "id",
                "connection_id",
                "resolution_s",
                "start_at",
                "end_at",
                "complete",
                "events",
                "calls",
                "time_ms",
                "sessions",
            ),
            [(bucket, *_sum_intervals(group, target)) for bucket, group in zip(buckets, grouped, strict=True)],
        )
        execute = models.database.execute_sql
        execute(
            "CREATE TEMP TABLE IF NOT EXISTS rolled (source BIGINT PRIMARY KEY, target BIGINT NOT NULL, "
            "end_at BIGINT NOT NULL)"
        )
        execute("DELETE FROM rolled")
        members = zip(buckets, grouped, strict=True)
        bulk.insert(
            "rolled",
            ("source", "target", "end_at"),
            [(row[0], bucket, row[3]) for bucket, group in members for row in group],
        )
        if database.kind() == "postgresql":
            # It would read all rows there are for the few of each interval: it takes these to lie apart.
            execute("SET LOCAL enable_seqscan = off")
        for model, key, gauges in _ROLLED:
            execute(_sum_statement(model, key, gauges))
            execute(f"DELETE FROM {model._meta.table_name} WHERE interval_id IN (SELECT source FROM rolled)")  # noqa: S608
        execute("DELETE FROM interval WHERE id IN (SELECT source FROM rolled)")
        execute("DELETE FROM rolled")
    return RolledUp(len(taken), len(buckets), more)


def _oldest(source: int, cut: int, width: int) -> tuple[list[tuple[Any, ...]], bool]:
    """The oldest intervals due, by connection and time, in whole buckets; and whether more are due."""
    row = models.Interval
    query = row.select(
        row.id, row.connection, row.start_at, row.end_at, row.complete, row.events, row.calls, row.time_ms, row.sessions
    )
    due = (row.resolution_s == source) & (row.end_at <= cut)
    found: Any = query.where(due).order_by(row.connection, row.end_at, row.id).limit(_AT_ONCE + 1).tuples()
    taken = list(found)
    if len(taken) <= _AT_ONCE:
        return taken, False
    cut_off = (taken[-1][1], _bucket(taken[-1][3], width))
    whole = [entry for entry in taken if (entry[1], _bucket(entry[3], width)) != cut_off]
    return whole or taken, True  # a bucket of more than all: take what we have of it


def _sum_intervals(group: list[tuple[Any, ...]], target: int) -> tuple[Any, ...]:
    starts = [row[2] for row in group if row[2] is not None]
    events = [event for row in group for event in row[5]]
    sessions = next((row[8] for row in reversed(group) if row[8] is not None), None)
    return (
        group[0][1],
        target,
        min(starts, default=None),
        group[-1][3],
        all(row[4] for row in group),
        as_json(events),
        sum(row[6] for row in group),
        sum(row[7] for row in group),
        None if sessions is None else as_json(sessions),
    )


def _sum_statement(model: type[models.Record], key: str, gauges: tuple[str, ...]) -> str:
    """INSERT … SELECT that sums the counters of `rolled` intervals and keeps the last known value of each gauge."""
    columns = [name for name in model._meta.columns if name not in ("interval_id", key)]
    order = ", ".join(
        f"ROW_NUMBER() OVER (PARTITION BY r.target, s.{key} ORDER BY (s.{name} IS NULL), r.end_at DESC) AS last_{name}"
        for name in gauges
    )
    values = ", ".join(
        f"MAX(CASE WHEN last_{name} = 1 THEN {name} END)"
        if name in gauges
        else f"{'MAX' if name in _GREATEST else 'SUM'}({name})"
        for name in columns
    )
    table = model._meta.table_name
    return (
        f"INSERT INTO {table} (interval_id, {key}, {', '.join(columns)}) "  # noqa: S608
        f"SELECT target, {key}, {values} FROM (SELECT r.target, s.*{', ' if order else ''}{order} "
        f"FROM rolled r JOIN {table} s ON s.interval_id = r.source) each_row GROUP BY target, {key}"
    )


def _new_ids(count: int) -> list[int]:
    """Ids for `count` new intervals, nobody else's."""
    if database.kind() == "postgresql":
        statement = "SELECT nextval(pg_get_serial_sequence('interval', 'id')) FROM generate_series(1, %s)"
        return [row[0] for row in models.database.execute_sql(statement, (count,)).fetchall()]
    last = models.Interval.select(peewee.fn.MAX(models.Interval.id)).scalar() or 0  # we hold the write lock
    return list(range(last + 1, last + 1 + count))


def _bucket(end_at: int, width: int) -> int:
    """Intervals are (start, end]: one that ends on the boundary belongs to the bucket before it."""
    return (end_at - 1) // width


def _alone() -> bool:
    """Of several instances on a shared store one does this; SQLite's write lock says the same."""
    if database.kind() == "sqlite":
        return True
    return bool(models.database.execute_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})").fetchone()[0])


def _believable(now: int) -> int:
    last = models.Setting.get_or_none(models.Setting.key == _CLOCK_KEY)
    return now if last is None else min(now, int(last.value) + _DAY)


def _remember(now: int) -> None:
    row = models.Setting
    row.insert(key=_CLOCK_KEY, value=now).on_conflict(conflict_target=[row.key], update={row.value: now}).execute()


def _delete(model: Any, where: Any) -> int:
    chosen = model.select(model.id).where(where).limit(_ROWS_DELETED)
    return int(model.delete().where(model.id.in_(chosen)).execute())


def _exists(query: Any) -> Any:
    return peewee.fn.EXISTS(query)


def _sqlite_tables() -> dict[str, int]:
    """Bytes of each table with its indexes; empty where SQLite was built without dbstat."""
    try:
        found = models.database.execute_sql(
            "SELECT m.tbl_name, SUM(d.pgsize) FROM dbstat d JOIN sqlite_master m ON m.name = d.name "
            "WHERE d.aggregate = 1 GROUP BY m.tbl_name"
        )
        return {name: int(size) for name, size in found.fetchall()}
    except peewee.OperationalError:
        return {}
