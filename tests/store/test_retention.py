"""History is summed, never changed: what a window added up to before, it adds up to after."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshag_tui.settings import RetentionSettings
from meshag_tui.store import bulk, executions, models, retention, snapshots
from meshag_tui.store.database import Store, atomic
from meshag_tui.types import ExecutionState
from tests.store.readings import Watched

HOUR, DAY = 3_600_000, 86_400_000
T0 = 20_000 * DAY
FIRST = 1_000_000  # id of the first interval; those of roll-ups come from the database
LIMITS = RetentionSettings(raw_days=2, ten_minute_days=14, hour_days=90, day_days=400)
INTERVAL = (
    *("id", "connection_id", "resolution_s", "start_at", "end_at"),
    *("complete", "events", "calls", "time_ms", "sessions"),
)
STATISTICS = ("interval_id", "query_id", "calls", "time_ms", "rows", "shared_hit")
ACCESS = ("interval_id", "table_id", "seq_scan", "size_bytes", "live_rows")

counter = st.none() | st.integers(0, 10**12)
sample = st.tuples(
    st.integers(1, 40 * 60_000),  # length of the interval, ms
    st.booleans(),  # complete
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 10**12), counter, counter), max_size=3, unique_by=lambda row: row[0]
    ),
    st.lists(st.tuples(st.integers(0, 1), counter, counter, counter), max_size=2, unique_by=lambda row: row[0]),
)


def _empty() -> None:
    for model in (models.QueryStatistics, models.Interval, models.Query, models.MonitoredTable, models.Setting):
        model.delete().execute()


def _fill(connection: str, samples: list[Any]) -> None:
    queries = [
        models.Query.create(connection=connection, key=str(n), first_seen_at=1, last_seen_at=T0) for n in range(3)
    ]
    tables = [
        models.MonitoredTable.create(
            connection=connection, key=str(n), schema_name="s", name="t", stats={}, first_seen_at=1, last_seen_at=1
        )
        for n in range(2)
    ]
    end, intervals, statistics, access = T0, [], [], []
    for number, (length, complete, stats, accesses) in enumerate(samples, FIRST):
        start, end = end, end + length
        events = "[]" if complete else f'[{{"kind":"gap","detail":"{number}"}}]'
        start_at = None if number == FIRST else start
        intervals.append((number, connection, 0, start_at, end, complete, events, number - FIRST, 1.0, '{"n": 1}'))
        statistics += [(number, queries[n].id, calls, calls / 8, rows, hit) for n, calls, rows, hit in stats]
        access += [(number, tables[n].id, scans, size, live) for n, scans, size, live in accesses]
    with atomic():
        columns = [
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
        ]
        bulk.insert("interval", columns, intervals)
        bulk.insert("query_statistics", STATISTICS, statistics)
        bulk.insert("table_access", ACCESS, access)


def _sums(table: str, key: str, columns: tuple[str, ...]) -> dict[int, Any]:
    listed = ", ".join(f"SUM({column})" for column in columns)
    rows = models.database.execute_sql(f"SELECT {key}, {listed} FROM {table} GROUP BY {key}").fetchall()
    return {row[0]: tuple(None if value is None else float(value) for value in row[1:]) for row in rows}


def _last_known(column: str) -> dict[int, int]:
    rows = models.database.execute_sql(
        f"SELECT a.table_id, a.{column} FROM table_access a JOIN interval i ON i.id = a.interval_id "
        f"WHERE a.{column} IS NOT NULL ORDER BY i.end_at"
    ).fetchall()
    return dict(rows)


def _totals() -> Any:
    interval = models.Interval
    rows = list(interval.select().order_by(interval.end_at))
    return (
        _sums("query_statistics", "query_id", STATISTICS[2:]),
        _sums("table_access", "table_id", ("seq_scan",)),
        _last_known("size_bytes"),
        _last_known("live_rows"),
        sum(row.calls for row in rows),
        sum(row.time_ms for row in rows),
        [event for row in rows for event in row.events],
        min(row.end_at for row in rows) if not rows else max(row.end_at for row in rows),
    )


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(samples=st.lists(sample, min_size=1, max_size=60))
def test_sums_are_the_same_before_and_after(store: Store, connection: str, samples: list[Any]) -> None:
    store.run(_empty)
    store.run(_fill, connection, samples)
    before = store.run(_totals)
    assert store.run(retention.roll_up, LIMITS, T0) == retention.RolledUp(0, 0, False)
    for days in (4, 20, 120):
        now = T0 + days * DAY
        store.run(retention.roll_up, LIMITS, now)
        assert store.run(_totals) == before
        assert store.run(retention.roll_up, LIMITS, now).intervals == 0
    rows = store.run(lambda: list(models.Interval.select().order_by(models.Interval.end_at)))
    assert {row.resolution_s for row in rows} == {86_400}
    assert len(rows) == len({(row.end_at - 1) // DAY for row in rows})
    assert all(row.complete == (not row.events) for row in rows)
    assert rows[0].sessions == {"n": 1}
    for earlier, later in pairwise(rows):
        assert earlier.end_at <= later.start_at


def test_buckets_are_aligned_and_only_whole_ones_are_made(store: Store, connection: str) -> None:
    """A window that covers whole buckets adds up the same at every resolution."""
    minutes = [(60_000, True, [(0, 1, 1, None)], [])] * 45
    store.run(_fill, connection, minutes)
    store.run(retention.roll_up, LIMITS, T0 + 2 * DAY + 25 * 60_000)
    found = store.run(
        lambda: [
            (row.resolution_s, (row.end_at - T0) // 60_000, row.calls)
            for row in models.Interval.select().order_by(models.Interval.end_at)
        ]
    )
    assert [entry[:2] for entry in found[:3]] == [(600, 10), (600, 20), (0, 21)]
    assert found[0][2] == sum(range(10))
    per_bucket = store.run(
        lambda: {
            row.interval_id: (row.calls, row.rows, row.shared_hit)
            for row in models.QueryStatistics.select()
            .join(models.Interval, on=models.QueryStatistics.interval_id == models.Interval.id)
            .where(models.Interval.resolution_s == 600)
        }
    )
    assert set(per_bucket.values()) == {(10, 10, None)}


def test_statements_do_not_grow_with_the_history(store: Store, connection: str) -> None:
    counts = defaultdict(int)
    for samples in (5, 300):
        store.run(_empty)
        store.run(_fill, connection, [(600_000, True, [(0, 1, 1, 1)], [(0, 1, 1, 1)])] * samples)

        def count(event: Any, samples: int = samples) -> None:
            counts[samples] += 1

        def work(count: Any = count) -> None:
            models.database.query_hooks.append(count)
            try:
                retention.roll_up(LIMITS, T0 + 10 * DAY)
            finally:
                models.database.query_hooks.remove(count)

        store.run(work)
    assert counts[5] == counts[300] <= 30


def test_postgresql_reads_no_other_history_to_sum_what_is_due(store: Store, connection: str) -> None:
    """Most of a store is older than what an hour's upkeep sums: each table is read by its key alone."""
    if store.kind == "sqlite":
        return  # joins by the key whatever there is
    store.run(_fill, connection, [(60_000, True, [(0, 1, 1, 1)], [(0, 1, 1, 1)])] * 300)
    store.run(models.database.execute_sql, "ANALYZE")

    def scans() -> dict[str, tuple[int, bool]]:
        with atomic():
            assert retention.roll_up(LIMITS, T0 + 2 * DAY + HOUR).intervals == 60
            found = models.database.execute_sql(
                "SELECT relname, seq_scan, idx_scan > 0 FROM pg_stat_xact_user_tables "
                "WHERE relname IN ('query_statistics', 'table_access', 'index_usage')"
            )
            return {name: (whole, by_key) for name, whole, by_key in found.fetchall()}

    assert store.run(scans) == dict.fromkeys(("query_statistics", "table_access", "index_usage"), (0, True))


def test_prune_forgets_what_is_past_the_last_limit(store: Store, connection: str) -> None:
    store.run(_fill, connection, [(60_000, True, [(0, 1, 1, 1)], [(0, 1, 1, 1)])] * 3)
    store.run(lambda: models.Query.update(gone_at=T0).where(models.Query.key == "1").execute())
    store.run(lambda: models.MonitoredTable.update(gone_at=T0).where(models.MonitoredTable.key == "1").execute())
    for number in range(2):
        store.run(
            lambda n=number: models.SchemaVersion.create(connection=connection, taken_at=n, hash="x", document={})
        )
    store.run(executions.request, "sync", "a", 1)
    claimed = store.run(executions.claim, ["sync"], "me", 60_000)
    assert claimed is not None
    store.run(executions.finish, claimed, ExecutionState.DONE)
    store.run(lambda: models.Execution.update(finished_at=T0).execute())
    now = T0 + 500 * DAY
    store.run(retention.roll_up, LIMITS, now)
    assert store.run(retention.prune, LIMITS, now).rows == {
        "intervals": 1,
        "digests": 0,
        "queries": 1,  # only the one that is gone from its server: others keep their baseline
        "tables": 1,
        "indexes": 0,
        "schemas": 1,
        "executions": 1,
        "sampled": 0,
        "sampled_texts": 0,
        "health": 0,
        "alerts": 0,
        "ledger": 0,
    }
    assert store.run(lambda: [row.key for row in models.Query.select()]) == ["0", "2"]
    assert store.run(models.QueryStatistics.select().count) == 0


def test_a_statement_outlives_every_interval_it_ran_in(
    store: Store, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key of the database binds them: it is when they end that keeps them together, whatever the clocks did, and
    in however many pieces they are deleted."""
    monkeypatch.setattr(retention, "_SUMS_DELETED", 1)
    monkeypatch.setattr(retention, "_ROWS_DELETED", 1)
    server = Watched(at=T0)
    store.run(snapshots.write, connection, server.run("a").run("b").snapshot())
    for hours in (1, 20, 30):
        store.run(snapshots.write, connection, server.run("a").snapshot(after_ms=hours * HOUR))
    # Our clock was ahead by forty days and is set back: the latest interval of `a` ends long after it was last seen.
    ahead = server.run("a").snapshot()
    store.run(snapshots.write, connection, replace(ahead, taken_at=ahead.taken_at + 40 * DAY))
    store.run(snapshots.write, connection, server.run("a").snapshot())
    assert server.statements is not None
    del server.statements["a"]
    store.run(snapshots.write, connection, server.run("b").snapshot())
    kept: list[list[str]] = []
    pieces = 0
    for days in range(0, 480, 16):
        now = T0 + days * DAY
        store.run(models.Setting.delete().execute)  # the time is real
        while store.run(retention.roll_up, LIMITS, now).more:
            pass
        while store.run(retention.prune, LIMITS, now).more:
            pieces += 1
            assert store.run(_orphans) == (0, 0)
        assert store.run(_orphans) == (0, 0)
        kept.append(store.run(lambda: [row.key for row in models.Query.select().order_by(models.Query.key)]))
    assert pieces >= 3
    assert kept[-1] == ["b"], "a is forgotten, b is on the server"
    assert kept.index(["b"]) * 16 > LIMITS.day_days + 40
    assert store.run(models.QueryStatistics.select().count) == store.run(models.QueryDigest.select().count) == 0


def _orphans() -> tuple[int, ...]:
    """Rows of statistics whose statement is gone, or whose interval or digest."""
    counts = []
    for table, owner, key in (("query_statistics", "interval", "interval_id"), ("query_digest", "digest", "digest_id")):
        rows = models.database.execute_sql(
            f'SELECT COUNT(*) FROM {table} s LEFT JOIN "{owner}" o ON o.id = s.{key} '
            "LEFT JOIN query q ON q.id = s.query_id WHERE o.id IS NULL OR q.id IS NULL"
        )
        counts.append(rows.fetchone()[0])
    return tuple(counts)


def test_a_leaping_clock_does_not_cost_the_history(store: Store, connection: str) -> None:
    store.run(_fill, connection, [(60_000, True, [(0, 1, 1, 1)], [])])
    now = T0 + 5 * DAY
    store.run(retention.prune, LIMITS, now)
    decade = now + 3650 * DAY
    for _ in range(24):
        store.run(retention.roll_up, LIMITS, decade)
        assert store.run(retention.prune, LIMITS, decade).rows["intervals"] == 0
    store.run(retention.prune, LIMITS, now)  # mended
    assert store.run(models.Interval.select().count) == 1
    assert store.run(lambda: models.Setting.get_by_id("retention.clock").value) == now


def test_sizes(store: Store, connection: str) -> None:
    store.run(_fill, connection, [(60_000, True, [(0, 1, 1, 1)], [])] * 3)
    found = store.run(retention.sizes)
    assert found.total_bytes > 10_000
    assert found.tables["query_statistics"] > 0
    assert found.levels == (retention.Level(0, 3, T0 + 60_000, T0 + 180_000),)


@pytest.mark.parametrize("rows", [30_000])
def test_sqlite_gives_space_back(tmp_path: Any, rows: int) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    text = dict.fromkeys(("provider", "model", "purpose", "outcome", "actor"), "x" * 20)
    row = {**text, "at": T0, "created_at": T0, "updated_at": T0, "prompt_hash": "h", "query_ids": "[]"}
    row |= {"local": False, "attempts": 1}

    def fill() -> None:
        with atomic():
            bulk.insert("usage", ("id", *row), [(f"use_{number}", *row.values()) for number in range(rows)])

    store.run(fill)
    before = store.run(retention.sizes).total_bytes
    assert store.run(retention.prune, LIMITS, T0 + 700 * DAY).rows["ledger"] == 0
    store.run(lambda: models.Setting.delete().where(models.Setting.key == "retention.clock").execute())
    while store.run(retention.prune, LIMITS, T0 + 801 * DAY).more:  # what a clock says that does not leap
        pass
    assert store.run(retention.sizes).total_bytes < before / 4
    store.close()


def test_a_call_does_a_bounded_piece_and_says_that_there_is_more(
    store: Store, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_AT_ONCE", 25)
    store.run(_fill, connection, [(60_000, True, [(0, 1, 1, 1)], [])] * 60)
    before = store.run(_totals)
    rounds, now = 0, T0 + 5 * DAY
    while store.run(retention.roll_up, LIMITS, now).more:
        rounds += 1
        assert store.run(_totals) == before
    assert rounds >= 2
    assert store.run(lambda: {(row.resolution_s, row.end_at - T0) for row in models.Interval.select()}) == {
        (600, 600_000 * n) for n in range(1, 7)
    }
