"""A trend shows what was measured and nothing else, on the user's clock."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest
from textual.app import ComposeResult

from meshag_tui import figures, glyphs
from meshag_tui.widgets.chart import Chart, Event, Series, Trend, runs, time_ticks
from meshag_tui.widgets.guarded import GuardedApp
from meshag_tui.widgets.states import Condition, State
from tests.rig.screen import lines, shown

START = 1_790_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE


def trend(*gap: int, title: str = "Mean time") -> Trend:
    points = tuple((START + n * MINUTE, None if n in gap else 50.0) for n in range(120))
    return Trend(title, START, START + 120 * MINUTE, (Series("mean", points),), 2 * MINUTE, figures.duration)


class Probe(GuardedApp):
    def compose(self) -> ComposeResult:
        yield Chart()


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def test_a_line_joins_only_what_was_measured() -> None:
    points = ((0, 1.0), (10, 2.0), (20, None), (30, 3.0), (90, 4.0), (100, float("nan")), (110, 5.0))
    assert [[at for at, _ in stretch] for stretch in runs(points, 15)] == [[0, 10], [30], [90], [110]]


async def test_a_gap_is_a_gap_on_the_screen() -> None:
    app = Probe("dark")
    async with app.run_test(size=(100, 14)) as pilot:
        chart = app.query_one(Chart)
        chart.set_trend(trend(*range(40, 80)))
        await app.workers.wait_for_complete()
        await pilot.pause()
        level = next(line for line in lines(app) if sum(line.count(dot) for dot in "⠉⠒⣀⠤") > 40)
        assert " " * 25 in level[10:-1].strip()
        chart.set_trend(trend())
        await pilot.pause()
        level = next(line for line in lines(app) if sum(line.count(dot) for dot in "⠉⠒⣀⠤") > 40)
        assert " " * 25 not in level[10:-1].strip()


async def test_it_is_plotted_again_only_when_something_changed() -> None:
    app = Probe("dark")
    async with app.run_test(size=(100, 14)) as pilot:
        chart = app.query_one(Chart)
        chart.set_trend(trend())
        await app.workers.wait_for_complete()
        await pilot.pause()
        for _ in range(5):
            chart.set_trend(trend())
            chart.refresh()
            await pilot.pause()
        assert chart.plots == 1
        chart.set_trend(trend(7))
        await pilot.pause()
        assert chart.plots == 2
        await pilot.resize_terminal(90, 14)
        await pilot.pause()
        assert chart.plots == 3


async def test_states_and_hostile_titles() -> None:
    app = Probe("dark")
    async with app.run_test(size=(100, 14)) as pilot:
        chart = app.query_one(Chart)
        await pilot.pause()
        assert "Loading" in shown(app)
        chart.set_trend(Trend("Calls", START, START + HOUR, (Series("calls", ()),), MINUTE))
        await pilot.pause()
        assert "no samples in this window yet" in shown(app)
        chart.set_trend(trend(title="a[/b]\x1b[2J\nz"), State(Condition.STALE, "12 s old"))
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "Stale: 12 s old" in lines(app)[0] and "a[/b]␛[2J↵z" in lines(app)[0] and "max 50 ms" in lines(app)[0]


async def test_events_are_marked_and_named() -> None:
    app = Probe("dark")
    async with app.run_test(size=(100, 14)) as pilot:
        chart = app.query_one(Chart)
        with_event = Trend("Calls", START, START + HOUR, trend().series, MINUTE, events=(Event(START, "reset"),))
        chart.set_trend(with_event)
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "▲" in lines(app)[0] and "reset" in lines(app)[0]


def test_local_time_and_days_of_23_and_25_hours(zone: pytest.MonkeyPatch) -> None:
    for where, month, day, hours in (
        ("Europe/Berlin", 3, 29, 23),
        ("Europe/Berlin", 10, 25, 25),
        ("America/St_Johns", 3, 8, 23),
        ("America/St_Johns", 11, 1, 25),
        ("Asia/Kathmandu", 3, 29, 24),
    ):
        zone.setenv("TZ", where)
        time.tzset()
        begin = round(time.mktime((2026, month, day, 0, 0, 0, 0, 0, -1)) * 1000)
        ticks = time_ticks(begin, begin + 3 * 24 * HOUR, 4)
        assert [int(label.split()[0]) for _, label in ticks[:3]] == [day, day + 1, day + 2 if day < 29 else 31], where
        assert [later - earlier for (earlier, _), (later, _) in itertools.pairwise(ticks[:3])] == [
            hours * HOUR,
            24 * HOUR,
        ], where
    zone.setenv("TZ", "Asia/Kathmandu")  # UTC+5:45
    time.tzset()
    assert all(label.endswith("0") for _, label in time_ticks(START, START + HOUR, 6))


async def test_in_words() -> None:
    glyphs.use_plain()
    try:
        app = Probe("dark")
        async with app.run_test(size=(80, 14)) as pilot:
            app.query_one(Chart).set_trend(trend())
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert "newest" in shown(app) and "most" in shown(app) and "least" in shown(app)
            assert not any(letter in shown(app) for letter in "─│┤⣀⡠▁█*#")
    finally:
        glyphs.use_ascii(None)


async def test_without_unicode() -> None:
    glyphs.use_ascii(True)
    try:
        app = Probe("dark")
        async with app.run_test(size=(80, 14)) as pilot:
            app.query_one(Chart).set_trend(trend())
            await app.workers.wait_for_complete()
            await pilot.pause()
            assert all(line.isascii() for line in lines(app)) and "****" in shown(app)
    finally:
        glyphs.use_ascii(None)
