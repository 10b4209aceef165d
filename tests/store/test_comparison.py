"""Two windows beside each other: the difference is split without a rest, and the planted regression is first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshag_tui.store import comparison, snapshots
from meshag_tui.store.comparison import Comparison, Course, baseline, compare
from meshag_tui.store.database import Store
from meshag_tui.types import UsageError, Window
from tests.store.readings import MINUTE, START, Watched, text

THEN = Window(START + MINUTE, START + 2 * MINUTE)
NOW = Window(START + 2 * MINUTE, START + 3 * MINUTE)
DAY = 86_400_000


@pytest.fixture
def watched(store: Store, connection: str) -> Watched:
    """A baseline, a minute as usual, and one in which `report` takes ten times as long and the rest moves a little."""
    server = Watched()
    for key in ("report", "steady", "busy", "quiet", "fast", "gone", "twin", "own"):
        server.run(key)
    texts = [text(key, f"SELECT * FROM {key}", fingerprint=key) for key in ("report", "busy", "quiet", "fast", "gone")]
    texts += [text(key, "SELECT * FROM steady", fingerprint="s") for key in ("steady", "twin")]
    texts.append(text("own", "SELECT * FROM pg_stat_activity", fingerprint="o", aside="catalogue"))
    store.run(snapshots.write, connection, server.snapshot(), texts)
    server.run("report", 10, 20.0).run("steady", 60, 1.0).run("busy", 60, 1.0).run("quiet", 600, 1.0)
    server.run("fast", 60, 5.0).run("gone", 60, 2.0).run("own", 600, 9.0)
    store.run(snapshots.write, connection, server.snapshot())
    server.run("report", 10, 200.0).run("steady", 30, 1.0).run("twin", 30, 1.0).run("busy", 600, 1.0)
    server.run("quiet", 60, 1.0).run("fast", 60, 1.0).run("fresh", 6, 10.0).run("own", 1, 9.0)
    store.run(snapshots.write, connection, server.snapshot(), [text("fresh", "SELECT * FROM fresh", fingerprint="n")])
    return server


def found(store: Store, connection: str, **more: object) -> Comparison:
    return store.run(compare, connection, NOW, THEN, **more)


def test_a_planted_regression_is_first_and_every_statement_has_its_course(
    store: Store, connection: str, watched: Watched
) -> None:
    told = found(store, connection)
    assert told.rows[0].text == "SELECT * FROM report"
    courses = {row.text.removeprefix("SELECT * FROM "): row.course for row in told.rows if row.text}
    assert courses == {
        "report": Course.SLOWER,
        "busy": Course.BUSIER,
        "quiet": Course.QUIETER,
        "fast": Course.FASTER,
        "gone": Course.GONE,
        "fresh": Course.NEW,
        "steady": Course.STEADY,
    }, "twins are one, our own statements are left out"


def test_figures_are_those_computed_by_hand(store: Store, connection: str, watched: Watched) -> None:
    told = found(store, connection)
    report = told.rows[0]
    assert (report.then.calls, report.now.calls) == (10, 10)
    assert (report.then.mean_ms, report.now.mean_ms) == (20.0, 200.0)
    assert report.by_ms_per_s == pytest.approx(10 * 180 / 60)
    assert report.by_mean_ms_per_s == pytest.approx(report.by_ms_per_s) and report.by_calls_ms_per_s == pytest.approx(0)
    busy = next(row for row in told.rows if row.course is Course.BUSIER)
    assert busy.by_calls_ms_per_s == pytest.approx(540 / 60) and busy.by_mean_ms_per_s == pytest.approx(0)


def test_the_parts_add_up_to_the_whole(store: Store, connection: str, watched: Watched) -> None:
    told = found(store, connection)
    moved = told.now_ms_per_s - told.then_ms_per_s
    assert sum(row.by_ms_per_s for row in told.rows) == pytest.approx(moved)
    assert sum(group.by_ms_per_s for group in told.groups) == pytest.approx(moved)
    assert sum(group.statements for group in told.groups) == told.total_rows == len(told.rows)
    for row in told.rows:
        assert row.by_mean_ms_per_s + row.by_calls_ms_per_s == pytest.approx(row.by_ms_per_s)


def test_pages_follow_each_other_and_a_filter_narrows(store: Store, connection: str, watched: Watched) -> None:
    whole = [row.id for row in found(store, connection).rows]
    paged = [row.id for offset in (0, 3, 6) for row in found(store, connection, limit=3, offset=offset).rows]
    assert paged == whole
    assert [row.text for row in found(store, connection, text="REPORT").rows] == ["SELECT * FROM report"]
    assert all(row.text != "SELECT * FROM report" for row in found(store, connection, text="!~rep.rt").rows)
    with pytest.raises(UsageError):
        found(store, connection, text="~(")


def test_nothing_is_new_against_a_time_that_nobody_observed(store: Store, connection: str, watched: Watched) -> None:
    told = store.run(compare, connection, NOW, baseline(NOW, "yesterday"))
    assert not told.observed and told.then_s == 0 and told.now_s == 60
    assert told.rows == () and told.groups == ()


def test_what_was_known_before_is_back_and_not_new(store: Store, connection: str, watched: Watched) -> None:
    watched.run("gone", 5, 2.0)
    store.run(snapshots.write, connection, watched.snapshot())
    third = Window(NOW.end, NOW.end + MINUTE)
    told = store.run(compare, connection, third, NOW)
    assert next(row for row in told.rows if row.text == "SELECT * FROM gone").course is Course.BACK


def test_windows_of_other_lengths_are_compared_by_the_second(store: Store, connection: str, watched: Watched) -> None:
    for _ in range(3):
        watched.run("report", 10, 200.0)
        store.run(snapshots.write, connection, watched.snapshot())
    told = store.run(compare, connection, Window(NOW.end, NOW.end + 3 * MINUTE), NOW)
    report = next(row for row in told.rows if row.text == "SELECT * FROM report")
    assert report.course is Course.STEADY and report.by_ms_per_s == pytest.approx(0)


def test_baselines_are_before_yesterday_and_a_week_ago() -> None:
    assert baseline(NOW, "before") == THEN
    assert baseline(NOW, "yesterday") == Window(NOW.start - DAY, NOW.end - DAY)
    assert baseline(NOW, "last-week") == Window(NOW.start - 7 * DAY, NOW.end - 7 * DAY)
    assert set(comparison.BASELINES) == {"before", "yesterday", "last-week"}


def test_a_loss_in_either_window_is_told(store: Store, connection: str, watched: Watched) -> None:
    assert found(store, connection).complete
    watched.epoch = replace(watched.epoch, stats_reset=watched.at + 1)
    watched.run("report", 1, 1.0)
    store.run(snapshots.write, connection, watched.snapshot())
    told = store.run(compare, connection, Window(NOW.end, NOW.end + MINUTE), NOW)
    assert not told.complete and {event.kind for event in told.events} == {"reset"}
