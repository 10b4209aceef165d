"""Reading windows back: hand-computed figures, sorts, filters, gaps, roll-ups, and speed at ten thousand statements."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peewee import fn

from meshag_tui.plan import Plan, PlanNode
from meshag_tui.settings import RetentionSettings
from meshag_tui.snapshot import Column, Epoch, ForeignKey, IndexKey, Sequence
from meshag_tui.store import (
    connections,
    digests,
    history,
    history_queries,
    history_windows,
    ids,
    models,
    retention,
    snapshots,
)
from meshag_tui.store.database import Store
from meshag_tui.store.text_filter import matcher
from meshag_tui.types import Aside, MeshagError, UsageError, Window
from tests.store.readings import MINUTE, START, Watched, text

DAY = 86_400_000


@pytest.fixture
def watched(store: Store, connection: str) -> Watched:
    """A baseline, then two minutes: fast runs often, slow seldom, own is MeshAG's, twin is fast under another key."""
    server = Watched()
    for key in ("fast", "slow", "own", "twin", "idle"):
        server.run(key)
    texts = [
        text("fast", "SELECT * FROM orders WHERE id = $1", fingerprint="f"),
        text("twin", "SELECT * FROM orders WHERE id = $1", fingerprint="f"),
        text("slow", "SELECT 100% FROM Customers", fingerprint="s"),
        text("own", "SELECT * FROM pg_stat_activity", fingerprint="o", aside="catalogue"),
    ]
    store.run(snapshots.write, connection, server.snapshot(), texts)
    server.run("fast", 100, 1.0, shared_read=5).run("slow", 2, 500.0, shared_read=70).run("own", 10, 10.0)
    store.run(snapshots.write, connection, server.snapshot())
    server.run("fast", 50, 2.0).run("twin", 50, 4.0)
    store.run(snapshots.write, connection, server.snapshot())
    return server


@pytest.fixture
def window() -> Window:
    """The three minutes of `watched`."""
    return Window(START, START + 3 * MINUTE)


def keys(page: history.QueryPage) -> list[str]:
    return [row.key for row in page.rows]


def test_totals_means_and_shares_are_those_computed_by_hand(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    page = store.run(history.queries, connection, window)
    assert keys(page) == ["slow", "fast"]
    slow, fast = page.rows
    assert (fast.calls, fast.total_time_ms, fast.mean_time_ms, fast.rows) == (200, 400.0, 2.0, 200)  # twin included
    assert (fast.min_time_ms, fast.max_time_ms, fast.shared_read) == (1.0, 4.0, 5)
    assert (slow.calls, slow.total_time_ms, slow.mean_time_ms) == (2, 1000.0, 500.0)
    assert (slow.io_time_ms, slow.wal_bytes) == (None, None), "not measured is not 0"
    assert (page.total_time_ms, page.calls, page.covered_share) == (1500.0, 212, 1.0)
    assert (fast.share, slow.share) == (pytest.approx(400 / 1500), pytest.approx(1000 / 1500))
    assert (page.total_rows, page.hidden, page.hidden_time_ms) == (2, 1, 100.0)
    assert page.complete and page.events == ()
    assert fast.uid == ids.query_uid(fast.id) and fast.text == "SELECT * FROM orders WHERE id = $1"
    assert fast.last_seen_at == START + 3 * MINUTE and fast.first_seen_at == START + MINUTE


def test_slow_ones_are_counted_from_a_mean_on_among_those_that_match(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    def slow(slow_ms: float | None, **more: Any) -> int | None:
        return store.run(lambda: history.queries(connection, window, slow_ms=slow_ms, limit=1, **more)).slow

    # The means: slow 1000 / 2, fast with its twin 400 / 200, MeshAG's own 100 / 10.
    assert [slow(each) for each in (500.1, 500.0, 2.0, None)] == [0, 1, 2, None]
    assert slow(2.0, internal=True) == 3 and slow(10.0, internal=True) == 2
    assert slow(2.0, text="orders") == 1 and slow(500.0, text="orders", sort="change") == 0


def test_what_is_set_aside_is_counted_by_why_and_shown_by_why(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    texts = [text("own", "SELECT 1", aside="own"), text("set", "SET x = $1", kind="utility", aside="utility")]
    texts += [text(key, "SELECT version()", fingerprint="v", aside="catalogue") for key in ("v1", "v2")]
    watched.run("set", 3).run("v1").run("v2")
    store.run(snapshots.write, connection, watched.snapshot(), texts)
    window = Window(window.start, watched.at)

    def counted(**more: Any) -> dict[str, int]:
        return store.run(lambda: history_queries.set_aside(connection, window, **more))

    def shown(*kinds: Aside) -> tuple[set[str], int]:
        page = store.run(lambda: history.queries(connection, window, internal=kinds))
        return {*keys(page)} - {"fast", "slow"}, page.hidden

    assert counted() == {"own": 1, "utility": 1, "catalogue": 1}, "what means the same is one"
    assert counted(text="version") == {"catalogue": 1} and counted(text="!~version|SELECT") == {"utility": 1}
    assert shown() == (set(), 3) and shown("utility") == ({"set"}, 2)
    assert shown("own", "catalogue") == ({"own", "v1"}, 1)
    assert shown("own", "utility", "catalogue") == ({"own", "set", "v1"}, 0)


def test_one_call_makes_slow_where_that_is_asked_for_and_cheap_ones_in_number_do_not(
    store: Store, connection: str
) -> None:
    server = Watched().run("cheap", 1, 1.0).run("twin", 1, 300.0).run("spiky", 1, 1.0).run("once", 1, 900.0)
    texts = [text("cheap", fingerprint="c"), text("twin", fingerprint="c"), text("spiky"), text("once")]
    store.run(snapshots.write, connection, server.snapshot(), texts)
    server.run("cheap", 5000, 1.0).run("spiky", 99, 1.0).run("spiky", 1, 250.0).run("once", 50, 2.0)
    store.run(snapshots.write, connection, server.snapshot())
    server.run("cheap", 10, 3.0).run("spiky", 10, 2.0).run("twin", 9, 2.0)
    store.run(snapshots.write, connection, server.snapshot())
    window = Window(START, server.at)

    def slow(**more: Any) -> int | None:
        return store.run(lambda: history.queries(connection, window, slow_ms=100.0, limit=1, **more)).slow

    assert (slow(), slow(by_longest=True), slow(by_longest=True, text="nothing")) == (0, 1, 0)
    rows = store.run(lambda: history.queries(connection, window, by_longest=True)).rows
    assert {row.key: row.longest_ms for row in rows} == {"cheap": 3.0, "spiky": 250.0, "once": None}
    assert {row.longest_ms for row in store.run(history.queries, connection, window).rows} == {None}, "nobody asked"
    assert [store.run(history.overview, connection, window, 100.0, each).slow for each in (False, True)] == [0, 1]
    (spiky,) = [row.id for row in rows if row.key == "spiky"]
    last = Window(server.at - MINUTE, server.at)
    found = [store.run(history.query, spiky, each).row for each in (window, last)]
    assert [(each.longest_ms, each.max_time_ms) for each in found] == [(250.0, 250.0), (None, 250.0)]


def test_an_interval_belongs_to_the_window_it_ends_in(store: Store, connection: str, watched: Watched) -> None:
    second = Window(START + MINUTE, START + 2 * MINUTE)
    third = Window(START + 2 * MINUTE, START + 3 * MINUTE)
    calls = [store.run(history.queries, connection, each, internal=True).calls for each in (second, third)]
    assert calls == [112, 100]
    assert store.run(history.queries, connection, Window(START - DAY, START)).rows == ()


@pytest.mark.parametrize(
    ("sort", "first"),
    [("total_time", "slow"), ("mean", "slow"), ("calls", "fast"), ("rows", "fast"), ("shared_read", "slow"),
     ("max", "slow"), ("last_seen", "fast"), ("temp", "fast"), ("io", "fast"), ("wal", "fast"), ("change", "fast")],
)  # fmt: skip
def test_sorts(store: Store, connection: str, watched: Watched, window: Window, sort: str, first: str) -> None:
    assert set(history.SORTS) >= {sort}
    page = store.run(history.queries, connection, window, sort=sort)
    assert keys(page)[0] == first
    if sort not in ("temp", "io", "wal", "change"):  # where all are equal or unmeasured the older comes first
        assert keys(store.run(history.queries, connection, window, sort=sort, descending=False))[0] != first


def test_sorts_by_locks_and_by_how_far_the_longest_call_is_from_the_mean(store: Store, connection: str) -> None:
    server = Watched()
    server.run("even", lock_time_ms=0.0).run("uneven").run("waiting", lock_time_ms=0.0)
    store.run(snapshots.write, connection, server.snapshot())
    server.run("even", calls=10, ms=50.0, lock_time_ms=0.5)
    server.run("uneven", calls=9, ms=1.0).run("uneven", ms=191.0)
    server.run("waiting", calls=10, ms=20.0, lock_time_ms=150.0)
    store.run(snapshots.write, connection, server.snapshot())
    window = Window(server.at - MINUTE, server.at)

    def by(sort: str) -> list[history.QueryRow]:
        return list(store.run(history.queries, connection, window, sort=sort).rows)

    assert [(row.key, row.lock_time_ms) for row in by("lock_time")] == [
        ("waiting", 150.0),
        ("even", 0.5),
        ("uneven", None),
    ]
    (first, *others) = by("spread")
    assert first.key == "uneven" and first.max_time_ms == 191.0 and first.mean_time_ms == pytest.approx(20.0)
    assert [row.max_time_ms == row.mean_time_ms for row in others] == [True, True]


def test_sorts_by_ratios_and_shows_the_trend_of_the_observed_part(store: Store, connection: str) -> None:
    server = Watched().run("wide").run("narrow")
    texts = [text("wide", "UPDATE a"), text("narrow", "insert b", kind="insert")]
    store.run(snapshots.write, connection, server.snapshot(), texts)
    server.run("wide", 10, rows=90, shared_hit=10, shared_read=90).run("narrow", 50, rows=50, shared_hit=99)
    store.run(snapshots.write, connection, server.snapshot())
    day = Window(server.at - DAY, server.at)
    for sort, first in (("rows_per_call", "wide"), ("hit_ratio", "narrow"), ("text", "wide")):
        page = store.run(history.queries, connection, day, sort=sort)
        assert keys(page)[0] == first
        assert keys(store.run(history.queries, connection, day, sort=sort, descending=False))[0] != first
    assert None not in page.rows[0].spark, "not a point lost at the end of an empty day"


def test_how_unevenly_calls_take_is_of_the_window(store: Store, connection: str) -> None:
    server = Watched().run("steady", 40, 9.0).run("uneven", 1000, 10.0)
    store.run(snapshots.write, connection, server.snapshot(), [text("steady"), text("uneven")])
    server.run("steady", 10, 10.0).run("uneven", 5, 2.0).run("uneven", 5, 18.0)
    store.run(snapshots.write, connection, server.snapshot())
    page = store.run(history.queries, connection, Window(server.at - DAY, server.at), sort="stddev")
    assert [(row.key, row.stddev_ms) for row in page.rows] == [
        ("uneven", pytest.approx(8.0)),
        ("steady", pytest.approx(0.0, abs=1e-6)),
    ]
    store.run(models.QueryStatistics.update(time_squares=None).where(models.QueryStatistics.query_id > 0).execute)
    unknown = store.run(history.queries, connection, Window(server.at - DAY, server.at), sort="stddev")
    assert {row.stddev_ms for row in unknown.rows} == {None}, "kept before squares were"


def test_an_unknown_sort_is_an_error_of_usage(store: Store, connection: str, window: Window) -> None:
    with pytest.raises(UsageError, match="total_time"):
        store.run(history.queries, connection, window, sort="calls; DROP TABLE query")


def test_what_is_no_expression_is_an_error_of_usage_and_none_takes_for_ever(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    with pytest.raises(UsageError, match=r"Not a regular expression: .*\("):
        store.run(history.queries, connection, window, text="~(orders")
    evil = matcher("~(a+)+$")
    assert not evil("a" * 60_000 + "b"), "a backtracking engine would not come back"
    assert matcher("~ÄRGER.*ende")("x ÄRGER\nende") and not matcher("!~ärger")("Ärger") and matcher("~.")("\ud800")


def test_the_worst_regression_is_first_under_change(store: Store, connection: str, watched: Watched) -> None:
    watched.run("fast", 100, 1.0).run("slow", 3, 400.0)  # slow became quicker; fast's mean was 3 ms, with twin's
    store.run(snapshots.write, connection, watched.snapshot())
    watched.run("fast", 100, 5.0).run("slow", 3, 400.0)
    store.run(snapshots.write, connection, watched.snapshot())
    last = history.latest_window
    page = store.run(history.queries, connection, store.run(last, connection, MINUTE), sort="change")
    assert keys(page) == ["fast", "slow"]
    assert (page.rows[0].mean_time_ms, page.rows[0].mean_before_ms) == (5.0, 1.0)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("orders", ["fast"]), ("ORDERS", ["fast"]), ("customers", ["slow"]), ("!orders", ["slow"]), ("100%", ["slow"]),
     ("1%0", []), ("_", []), ("'", []), ("!", ["slow", "fast"]), ("", ["slow", "fast"]),
     ("~from (orders|nothing)", ["fast"]), ("~FROM ORDERS", []), ("!~ orders.*", ["slow"]), ("~", ["slow", "fast"])],
)  # fmt: skip
def test_filter_by_text(
    store: Store, connection: str, watched: Watched, window: Window, wanted: str, found: list[str]
) -> None:
    page = store.run(history.queries, connection, window, text=wanted)
    assert keys(page) == found and page.total_rows == len(found)
    assert page.total_time_ms == 1500.0, "shares stay of all"


def test_hidden_statements_are_counted_and_can_be_shown(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    page = store.run(history.queries, connection, window, internal=True)
    assert keys(page) == ["slow", "fast", "own"] and page.hidden == 0
    assert page.rows[2].internal


def test_pages_do_not_overlap_and_know_the_whole(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    pages = [store.run(history.queries, connection, window, limit=1, offset=n) for n in range(3)]
    assert [keys(page) for page in pages] == [["slow"], ["fast"], []]
    assert {page.total_rows for page in pages} == {2}


def test_statements_of_two_users_stay_apart(store: Store, connection: str, window: Window) -> None:
    server = Watched().run("a").run("b")
    texts = [text("a", "SELECT 1", fingerprint="x", user="ann"), text("b", "SELECT 1", fingerprint="x", user="bob")]
    store.run(snapshots.write, connection, server.snapshot(), texts)
    store.run(snapshots.write, connection, server.run("a", 3).run("b", 5).snapshot())
    page = store.run(history.queries, connection, window, sort="calls")
    assert [(row.db_user, row.calls) for row in page.rows] == [("bob", 5), ("ann", 3)]


def test_a_statement_s_page_has_all_that_is_shown_as_it(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    fast = store.run(history.queries, connection, window).rows[1]
    for member in store.run(history.query, fast.id, window).members:
        detail = store.run(history.query, member, window)
        assert (detail.row.calls, detail.row.share) == (200, fast.share)
        series = store.run(history.query_series, member, window, 3)
        assert series.calls_per_s == (None, pytest.approx(100 / 60), pytest.approx(100 / 60))
        assert series.mean_ms == (None, 1.0, 3.0)
        assert series.ms_per_s == (None, pytest.approx(100 / 60), pytest.approx(300 / 60))
        assert series.rows_per_s == series.calls_per_s, "a row a call"
        assert series.blocks_per_s == (None, 5 / 60, 0.0) and series.examined_per_s == (), (
            "this server does not count it"
        )
    assert len(detail.members) == 2 and detail.statement.connection_id == connection


def test_what_is_told_the_intervals_reads_the_same_without_looking_for_them(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    watched.table("orders").index("i")
    store.run(snapshots.write, connection, watched.snapshot())
    watched.table("orders", seq_scan=4).index("i", 6).run("fast", 60)
    store.run(snapshots.write, connection, watched.snapshot())
    window = Window(window.start, watched.at)
    statement = store.run(history.queries, connection, window).rows[1]
    (table,), (index,) = store.run(history.tables, connection, window), store.run(history.indexes, connection, window)

    def asked(observed: tuple[history_windows.Observed, ...] | None) -> tuple[list[Any], int]:
        seen = history.observed_part(history.intervals(connection, window), window)
        sql: list[str] = []
        models.database.query_hooks.append(hook := lambda event: sql.append(event.sql))
        try:
            found = [
                history.query(statement.id, window, observed),
                history.query_series(statement.id, seen, 5, observed),
                history.table_series(table.id, seen, 5, observed),
                history.index_series(index.id, seen, 5, observed),
            ]
        finally:
            models.database.query_hooks.remove(hook)
        return found, sum("start_at, end_at" in each for each in sql)

    alone, told = store.run(asked, None), store.run(lambda: asked(history.intervals(connection, window)))
    assert alone[0] == told[0] and told[0][0].row.calls == 260, "the statement ran"
    assert told[0][2].rates["seq_scan"] != told[0][2].rates["inserts"], "the table was read"
    assert (alone[1], told[1]) == (4, 0)


def test_a_statement_that_did_not_run_has_a_page_too(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    idle = store.run(lambda: models.Query.get(key="idle").id)
    detail = store.run(history.query, idle, window)
    assert (detail.row.calls, detail.row.mean_time_ms, detail.row.text_state) == (0, None, "unread")
    assert store.run(history.query_series, idle, window, 3).calls_per_s == (None, 0.0, 0.0)
    with pytest.raises(MeshagError, match="qry_"):
        store.run(history.statement, 10_000)


def test_series_show_gaps_where_nothing_was_observed(store: Store, connection: str, watched: Watched) -> None:
    watched.run("fast", 60)
    store.run(
        snapshots.write, connection, watched.snapshot(after_ms=10 * MINUTE)
    )  # a pause: its place in time is unknown
    watched.run("fast", 120)
    store.run(snapshots.write, connection, watched.snapshot())
    window = Window(START + MINUTE, START + 14 * MINUTE)
    series = store.run(history.load_series, connection, window, 13)
    assert series.calls_per_s[:2] == (pytest.approx(112 / 60), pytest.approx(100 / 60))
    assert series.calls_per_s[2:12] == (None,) * 10
    assert series.calls_per_s[12] == 2.0
    assert series.times[-1] == window.end and len(series.times) == 13
    page = store.run(history.queries, connection, window)
    assert page.calls == 112 + 100 + 60 + 120, "the pause's calls are in the sum"
    assert [loss.kind for loss in page.events] == ["gap"] and page.complete


def test_a_point_is_never_finer_than_what_was_measured(
    store: Store, connection: str, watched: Watched, window: Window
) -> None:
    series = store.run(history.load_series, connection, window, 120)
    assert len(series.times) == 3 and series.step_ms == MINUTE
    empty = store.run(history.load_series, connection, Window(0, MINUTE), 10)
    assert set(empty.calls_per_s) == {None}


def test_losses_in_a_window_are_told(store: Store, connection: str, watched: Watched) -> None:
    watched.statements = {}
    watched.epoch = replace(watched.epoch, stats_reset=watched.at + 1)
    store.run(snapshots.write, connection, watched.run("fast", 3).snapshot())
    page = store.run(history.queries, connection, store.run(history.latest_window, connection, MINUTE))
    assert not page.complete and page.calls == 3
    assert (page.events[0].kind, page.events[0].at) == ("reset", START + 4 * MINUTE)


def test_rolled_up_history_adds_up_to_the_same(store: Store, connection: str, watched: Watched) -> None:
    watched.table("orders").index("i")
    store.run(snapshots.write, connection, watched.snapshot())
    for _ in range(40):
        watched.run("fast", 7, 1.5).run("slow", 1, 100.0).table("orders", seq_scan=2).index("i", 3)
        store.run(snapshots.write, connection, watched.snapshot())

    def figures() -> Any:
        window = Window(START - DAY, START + DAY)
        page = history.queries(connection, window, internal=True)
        rows = [(row.key, row.calls, round(row.total_time_ms, 6), row.rows) for row in page.rows]
        return (
            rows, page.calls, round(page.total_time_ms, 6),
            [(row.scans, row.rows_read) for row in history.indexes(connection, window)],
            [(row.seq_scan, row.inserts) for row in history.tables(connection, window)],
        )  # fmt: skip

    before = store.run(figures)
    store.run(retention.roll_up, RetentionSettings(), START + 3 * DAY)
    assert store.run(lambda: models.Interval.select().where(models.Interval.resolution_s == 600).count()) > 0
    assert store.run(figures) == before
    series = store.run(history.load_series, connection, Window(START + 5 * MINUTE, START + 45 * MINUTE), 120)
    assert any(value is not None for value in series.calls_per_s)


def test_figures_beyond_32_bits_and_no_calls_at_all(store: Store, connection: str, window: Window) -> None:
    server = Watched().run("big")
    store.run(snapshots.write, connection, server.snapshot())
    server.run("big", 3 * 10**9, 1.0, shared_hit=2**61)
    store.run(snapshots.write, connection, server.snapshot())
    page = store.run(history.queries, connection, window)
    assert (page.rows[0].calls, page.rows[0].shared_hit, page.calls) == (3 * 10**9, 2**61, 3 * 10**9)
    nothing = store.run(history.queries, connection, Window(0, 1))
    assert (nothing.rows, nothing.total_time_ms, nothing.covered_share, nothing.total_rows) == ((), 0, None, 0)


def test_the_overview_equals_the_pages(store: Store, connection: str, watched: Watched, window: Window) -> None:
    found = store.run(history.overview, connection, window, 100.0)
    assert (found.calls, found.total_time_ms, found.statements, found.slow) == (212, 1500.0, 2, 1)
    assert found.mean_time_ms == pytest.approx(1500 / 212)
    assert found.calls_per_s == pytest.approx(212 / 120), "the baseline has no length: two minutes were observed"
    assert found.ms_per_s == pytest.approx(1500 / 120)
    assert found.sessions is not None and found.sessions["by_state"] == {"active": 2, "idle": 5}
    empty = store.run(history.overview, connection, Window(0, 1), 100.0)
    assert (empty.calls, empty.mean_time_ms, empty.sessions) == (0, None, None)
    assert (empty.calls_per_s, empty.ms_per_s, empty.slow) == (None, None, 0)


def test_the_latest_window_ends_with_the_last_sync(store: Store, connection: str, watched: Watched) -> None:
    assert store.run(history.latest_window, connection, 60_000) == Window(START + 2 * MINUTE, START + 3 * MINUTE)
    never = store.run(history.latest_window, "con_never", 60_000)
    assert abs(never.end - time.time() * 1000) < 10_000


def windows_equal(connection_id: str, *windows: Window) -> None:
    """Whatever a window is read through, it says what its intervals say."""
    row, interval = models.QueryStatistics, models.Interval
    for window in windows:
        chosen = row.interval_id.in_(interval.select(interval.id).where(history_windows.within(connection_id, window)))
        sums = (
            row.select(row.query_id, fn.SUM(row.calls), fn.SUM(row.rows), fn.MAX(row.longest_ms))
            .where(chosen)
            .group_by(row.query_id)
            .tuples()
        )
        page = history.queries(connection_id, window, internal=True, limit=1000, by_longest=True)
        assert {each.id: (each.calls, each.rows, each.longest_ms) for each in page.rows} == {
            query: (int(calls), int(rows), longest) for query, calls, rows, longest in sums
        }, window


def test_long_windows_are_read_through_hours_and_days(store: Store, connection: str) -> None:
    hour = 60 * MINUTE
    server = Watched(at=START // DAY * DAY - 7 * MINUTE)
    store.run(snapshots.write, connection, server.run("a").run("b").snapshot())
    for n in range(210):  # every 20 minutes for 70 hours, with a pause of 5 hours
        server.run("a", n + 1, 1 + n / 100).run("b" if n % 9 else "c", 2)
        store.run(snapshots.write, connection, server.snapshot(after_ms=(300 if n == 100 else 20) * MINUTE))
    end = server.at
    for _ in range(4):  # so many hours at once
        store.run(digests.close, connection, end)
    windows = [Window(end - span, end) for span in (hour, 2 * hour, 5 * hour, 24 * hour, 31 * hour, 80 * hour)]
    windows += [Window(end - 50 * hour + shift, end - 3 * hour - shift) for shift in (0, 1, MINUTE, 17 * MINUTE, hour)]
    source = store.run(digests.source, connection, windows[-6])
    assert len(source.digests) < 60 and len(source.intervals) < 10, "two days, the hours beside them, the edges"
    store.run(windows_equal, connection, *windows)
    # Rolled up, the intervals are others and the sums the same.
    store.run(retention.roll_up, RetentionSettings(raw_days=1), end)
    store.run(windows_equal, connection, *windows)
    # A clock set back puts an interval into an hour that was summed already.
    late = replace(server.run("a", 1000).snapshot(), taken_at=end - 10 * hour)
    store.run(snapshots.write, connection, late)
    store.run(windows_equal, connection, *windows)
    server.run("a", 5)
    store.run(snapshots.write, connection, server.snapshot(after_ms=hour))
    store.run(digests.close, connection, server.at)
    store.run(windows_equal, connection, *windows)


def test_digests_are_forgotten_in_time(store: Store, connection: str) -> None:
    server = Watched(at=START // DAY * DAY + MINUTE)
    for n in range(24 * 12 + 1):
        store.run(snapshots.write, connection, server.run("a").snapshot(after_ms=60 * MINUTE))
        if n % 12 == 0:
            store.run(digests.close, connection, server.at + digests.SETTLED_MS)

    def widths() -> dict[int, int]:
        row = models.Digest
        return dict(row.select(row.width_s, fn.COUNT(row.id)).group_by(row.width_s).tuples())

    found = store.run(widths)
    assert 8 * 24 <= found[3600] <= 9 * 24 and found[86_400] >= 10


# Tables, indexes, catalogue


def test_tables_and_indexes_in_a_window(store: Store, connection: str, window: Window) -> None:
    server = Watched()
    server.table("orders").table("calm").table("dropped").index("i").index("calm_i", table="calm").index("p", scans=0)
    server.index("p", scans=0, unique=True, include=("note",), predicate="(id > 0)")
    assert server.indexes is not None and server.tables is not None
    server.indexes["p"] = replace(server.indexes["p"], scans=None)
    store.run(snapshots.write, connection, server.snapshot())
    assert [row.scans for row in store.run(history.indexes, connection, window)] == [None] * 3, "only a baseline"
    server.table("orders", seq_scan=4, inserts=9).index("i", 6)
    del server.tables["dropped"]
    store.run(snapshots.write, connection, server.snapshot())
    rows = {row.stats.name: row for row in store.run(history.indexes, connection, window)}
    assert {name: row.scans for name, row in rows.items()} == {"i": 6, "calm_i": 0, "p": None}
    assert rows["i"].last_used_at == START + 2 * MINUTE and rows["calm_i"].last_used_at is None
    assert rows["p"].stats == server.indexes["p"], "the statistics come back as they were"
    assert isinstance(rows["p"].stats.keys[0], IndexKey)
    found = {row.stats.name: row for row in store.run(history.tables, connection, window)}
    assert set(found) == {"orders", "calm"}
    assert (found["orders"].seq_scan, found["orders"].inserts, found["calm"].seq_scan) == (4, 9, 0)
    assert found["orders"].stats == server.tables["orders"]
    trend = store.run(history.index_series, rows["i"].id, Window(START, START + 2 * MINUTE))
    assert trend.rates["scans"] == (None, pytest.approx(0.1)) and trend.size_bytes == (None, 16_384)
    trend = store.run(history.table_series, found["orders"].id, Window(START, START + 2 * MINUTE))
    assert trend.rates["inserts"] == (None, pytest.approx(9 / 60))


def test_objects_read_at_every_third_sync_have_true_rates(store: Store, connection: str) -> None:
    server = Watched()
    server.table("orders").index("i")
    store.run(snapshots.write, connection, server.snapshot())
    assert snapshots.objects_read_at(store.run(connections.watched, connection).reading) == START + MINUTE
    for n in range(1, 7):
        server.index("i", 60)
        left_out = {} if n % 3 == 0 else {"tables": None, "indexes": None, "sessions": None}
        store.run(snapshots.write, connection, server.snapshot(**left_out), objects_expected_ms=4 * MINUTE)
    window = Window(START + MINUTE, START + 7 * MINUTE)
    (row,) = store.run(history.indexes, connection, window)
    assert row.scans == 360 and row.observed_since == START + MINUTE
    trend = store.run(history.index_series, row.id, window, 6)
    assert trend.rates["scans"] == (pytest.approx(1.0),) * 2, "no finer than what was measured"
    between = Window(window.end - 2 * MINUTE, window.end - MINUTE)
    assert [each.scans for each in store.run(history.indexes, connection, between)] == [None]


def test_the_catalog_is_what_was_read(store: Store, connection: str) -> None:
    with pytest.raises(MeshagError, match="never synced"):
        store.run(history.catalog, connection)
    server = Watched()
    server.table("orders").index("i")
    server.foreign_keys = (ForeignKey("fk", "public", "orders", ("id",), "public", "people", ("id",)),)
    server.sequences = (Sequence("public", "s", 5, 100, 1, False, "public", "orders", "id", "integer"),)
    first = server.snapshot()
    store.run(snapshots.write, connection, first)
    store.run(connections.synced, connection, first.facts, ())
    second = server.index("i", 2).snapshot()
    store.run(snapshots.write, connection, second)
    found = store.run(history.catalog, connection)
    assert found.facts == first.facts and isinstance(found.facts.epoch, Epoch)
    assert found.foreign_keys == server.foreign_keys and found.sequences == server.sequences
    assert found.sessions == first.sessions
    assert found.schema is not None and found.schema.columns == server.columns
    assert [(row.stats.name, row.scans) for row in found.indexes] == [("i", 2)]
    assert [row.stats.name for row in found.tables] == ["orders"]
    assert found.window.start == first.facts.observed_at, "figures per day are of the time that was watched"


def test_what_was_never_read_is_none_in_the_catalog(store: Store, connection: str) -> None:
    server = Watched()
    snapshot = server.snapshot(schema=None, foreign_keys=None, sequences=None, sessions=None)
    store.run(snapshots.write, connection, snapshot)
    store.run(connections.synced, connection, snapshot.facts, ())
    found = store.run(history.catalog, connection)
    assert (found.schema, found.foreign_keys, found.sequences, found.sessions) == (None,) * 4


# Plans and schema versions


def plan(hash_: str, cost: float = 10.0) -> Plan:
    leaf = PlanNode(
        "0.0", "Seq Scan", 0.0, cost, 5.0, 8, schema="public", table="orders", conditions={"Filter": "a = 1"}
    )
    root = PlanNode("0", "Sort", 0.0, cost + 1, 5.0, 8, children=(leaf,), sort_keys=("a",), extra={"Loops": 1})
    return Plan(root, "generic", hash_, [{"Plan": {"Node Type": "Sort"}}], "SELECT 1", ("1",))


def test_a_plan_is_stored_when_its_shape_changes(store: Store, connection: str, watched: Watched) -> None:
    query = store.run(lambda: models.Query.get(key="fast").id)
    assert store.run(history.save_plan, query, plan("a"))
    assert not store.run(history.save_plan, query, plan("a", cost=20.0))
    assert store.run(history.save_plan, query, plan("b"))
    assert store.run(history.save_plan, query, plan("a"))  # it flipped back
    found = store.run(history.plans, query)
    assert [each.plan.hash for each in found] == ["a", "b", "a"]
    assert found[0].plan == plan("a") and found[2].plan == plan("a", cost=20.0)


def test_schema_versions_and_what_changed(store: Store, connection: str) -> None:
    server = Watched()
    server.table("orders").index("i").index("old")
    store.run(snapshots.write, connection, server.snapshot())
    server.columns["public.orders"] = (Column("id", "int8", False, "0"), Column("note", "text", True))
    assert server.indexes is not None
    del server.indexes["old"]
    store.run(snapshots.write, connection, server.snapshot())
    new, old = store.run(history.schema_versions, connection)
    changes = store.run(history.schema_diff, old.id, new.id)
    assert [(each.kind, each.part, each.name) for each in changes] == [
        ("changed", "column", "public.orders.id"),
        ("added", "column", "public.orders.note"),
        ("removed", "index", "public.orders.old"),
    ]
    assert (changes[0].before, changes[0].after) == ("int8 NOT NULL", "int8 NOT NULL DEFAULT 0")
    assert store.run(history.schema_diff, new.id, new.id) == ()
    with pytest.raises(MeshagError):
        store.run(history.schema_diff, 0, new.id)


# Size


def test_windows_are_read_through_their_index(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")

    def plan_of() -> str:
        statement = (
            "EXPLAIN QUERY PLAN SELECT query_id, SUM(calls) FROM query_statistics "
            f"WHERE interval_id IN ({history_queries.intervals_sql('?')}) GROUP BY query_id"
        )
        return " | ".join(row[3] for row in models.database.execute_sql(statement, ("con", 1, 2)).fetchall())

    found = store.run(plan_of)
    store.close()
    assert "end_at>? AND end_at<?" in found and "PRIMARY KEY (interval_id=?)" in found


def test_values_are_plain(store: Store, connection: str, watched: Watched, window: Window) -> None:
    """What the database adds up comes back as int and float on both, fit for JSON."""
    for row in store.run(history.queries, connection, window).rows:
        for name, value in row._asdict().items():
            assert value is None or type(value) in (int, float, str, bool, tuple, list), name
