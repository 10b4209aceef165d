"""Slow queries by keys alone: order, filter, window, what is slow, what cannot be read, ten thousand of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshag_tui.app import MeshagApp
from meshag_tui.engines.postgres.words import WORDS
from meshag_tui.figures import duration
from meshag_tui.screens import first
from meshag_tui.screens.presets import kept_under
from meshag_tui.screens.queries import QueriesPane
from meshag_tui.screens.queries_rows import PAGE, QueryRows, columns_for
from meshag_tui.screens.query_facts import summary
from meshag_tui.store import connections, history, history_queries, models, remembered, snapshots
from meshag_tui.store.history import SORTS, Loss, QueryPage
from meshag_tui.types import ASIDE, Target, Window
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Desk, Open
from tests.screens.picture import HOUR, MINUTE
from tests.store.readings import Watched, text

DAY = Window(AT - 12_000 - 24 * HOUR, AT - 12_000)


@pytest.fixture
def shop_id(bench: Workbench) -> str:
    return bench.store.run(shop.fill_open, bench.vault)


@asynccontextmanager
async def at_queries(
    at_desk: Open, bench: Workbench, size: tuple[int, int] = (200, 50)
) -> AsyncIterator[tuple[Desk, QueriesPane]]:
    async with at_desk(bench, size=size, clock=lambda: AT / 1000) as desk:
        await desk.until("Share")
        pane = desk.app.pane("queries")
        assert isinstance(pane, QueriesPane)
        await until_read(desk, pane)
        yield desk, pane


async def until_read(desk: Desk, pane: QueriesPane) -> None:
    for _ in range(500):
        await desk.pilot.pause(0.02)
        if not pane.stale and not pane.loading_now and not pane._rows.wanted:
            return
    raise AssertionError(f"it never read to the end:\n{desk.screen}")


def listed(pane: QueriesPane) -> list[str]:
    return [row.row.key if row.row else "unread" for row in pane._rows]


async def test_the_dearest_come_first_with_the_store_s_own_figures(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    page = bench.store.run(history.queries, shop_id, DAY)
    async with at_queries(at_desk, bench) as (desk, pane):
        assert listed(pane) == [row.key for row in page.rows]
        lines = [line for line in desk.screen.splitlines() if "SELECT id, status" in line]
        top = page.rows[0]
        assert f"{top.share * 100:.0f} %" in lines[0] and f"{top.calls:,}" in lines[0]
        assert f"{page.total_rows} statements" in desk.screen and f"{page.calls:,} calls" in desk.screen
        assert f"{page.calls:,} calls, mean {duration(page.total_time_ms / page.calls)}" in desk.screen


@pytest.mark.parametrize("kept", [None, {"now": {"name": "arranged", "sort": "calls", "descending": False}}])
async def test_the_first_page_is_read_before_the_screen_and_only_then(
    bench: Workbench, at_desk: Open, shop_id: str, monkeypatch: pytest.MonkeyPatch, kept: object
) -> None:
    """What is read ahead is what the screen asks for, arranged as it was left."""
    if kept is not None:
        bench.store.run(remembered.remember, kept_under("queries", bench.actor), kept)
    pages: list[str] = []

    def page(*given: Any, **asked: Any) -> Any:
        pages.append(asked["sort"])
        return read(*given, **asked)

    read = history_queries.page
    monkeypatch.setattr(history_queries, "page", page)
    await asyncio.to_thread(first.ask, bench)
    async with at_queries(at_desk, bench):
        assert pages == ["total_time" if kept is None else "calls"]


async def test_keys_that_came_before_the_data_are_done_when_it_is_there(bench: Workbench, shop_id: str) -> None:
    """In their order; what needs no data is done at once."""
    opening: Future[Workbench] = Future()
    app = MeshagApp(bench.settings, opening=opening, collect=False, clock=lambda: AT / 1000)
    async with app.run_test(size=(120, 40)) as pilot:
        desk = Desk(app, pilot)
        await pilot.press("question_mark")
        await desk.until("Keys")
        await pilot.press("escape", "j", "j", "4", "2", "j")
        opening.set_result(bench)
        await desk.until("Share")
        await desk.until(lambda _: app.place == "queries" and app.pane("suggestions") is not None)
        pane = app.pane("queries")
        assert isinstance(pane, QueriesPane)
        await desk.until(lambda _: pane._list.cursor == 3)


async def test_every_column_with_figures_is_sorted_by(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_queries(at_desk, bench) as (desk, pane):
        seen = []
        for _ in range(11):
            await desk.press("s")
            await until_read(desk, pane)
            sort, descending = pane._list.sort or ("", False)
            page = bench.store.run(history.queries, shop_id, DAY, sort=sort, descending=descending)
            assert descending == (sort != "text") and listed(pane) == [row.key for row in page.rows], sort
            seen.append(sort)
        assert set(seen) == {
            column.key for column in columns_for(200, WORDS.figures) if column.key in SORTS and not column.optional
        }
        for typed, sort in ((3, "wal"), (1, "last_seen")):
            await desk.press("C")
            await desk.until("space shows or hides")
            await desk.press("G", *["k"] * typed, "s")
            await until_read(desk, pane)
            assert pane._list.sort == (sort, True), "also by one that was not shown"
        await desk.press("S")
        await until_read(desk, pane)
        page = bench.store.run(history.queries, shop_id, DAY, sort="last_seen", descending=False)
        assert listed(pane) == [row.key for row in page.rows]


async def test_a_mean_above_the_limit_is_slow_and_a_cheap_frequent_one_is_not(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_queries(at_desk, bench) as (desk, pane):
        assert [row.row.key for row in pane._rows if row.row and row.slow] == ["report"]
        assert desk.screen.count("▲ slow") == 1 and "▲ 1 slow" in desk.screen
    bench.store.run(connections.edit, shop_id, vault=bench.vault, slow_ms=50.0)
    async with at_queries(at_desk, bench) as (desk, pane):
        assert {row.row.key for row in pane._rows if row.row and row.slow} == {"report", "events"}
        assert "▲ 2 slow" in desk.screen


async def test_one_call_makes_slow_where_the_connection_says_so(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    bench.store.run(connections.edit, shop_id, vault=bench.vault, slow_ms=90.0)
    async with at_queries(at_desk, bench) as (desk, pane):
        assert "▲ 1 slow" in desk.screen and "once" not in desk.screen
    bench.store.run(connections.edit, shop_id, vault=bench.vault, slow_by_longest=True)
    async with at_queries(at_desk, bench) as (desk, pane):
        (events,) = [row.row for row in pane._rows if row.row and row.slow_once and not row.slow]
        assert events.key == "events" and events.longest_ms == pytest.approx(92.8)
        assert desk.screen.count("▲ once") == 1 and "▲ 2 slow" in desk.screen


async def test_the_filter_takes_part_of_a_text_and_turns_round(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_queries(at_desk, bench) as (desk, pane):
        await desk.press("slash")
        await desk.type("events")
        await desk.until("matching events")
        await until_read(desk, pane)
        assert listed(pane) == ["events"]
        await desk.press("home")
        await desk.type("!")
        await desk.until("matching !events")
        await until_read(desk, pane)
        assert "events" not in listed(pane) and len(listed(pane)) == 5
        await desk.press("enter", "escape")
        await until_read(desk, pane)
        assert len(listed(pane)) == 6, "esc takes the filter away"


async def test_the_filter_takes_an_expression_and_a_wrong_one_loses_nothing(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_queries(at_desk, bench) as (desk, pane):
        await desk.press("slash")
        await desk.type("~^(update|nothing) .*cart")
        await desk.until("matching ~^(update|nothing)")
        await until_read(desk, pane)
        assert listed(pane) == ["basket"]
        await desk.type("(")
        said = await desk.until("Not a regular expression: missing )")
        assert listed(pane) == ["basket"] and "~^(update|nothing) .*cart(" in said
        await desk.press("enter")
        assert pane.filter_line is not None and pane.filter_line.has_focus, "it is there to be mended"
        await desk.press("backspace", "home")
        await desk.type("!")
        await desk.press("enter")
        await until_read(desk, pane)
        assert len(listed(pane)) == 5 and "basket" not in listed(pane)


async def test_columns_are_chosen_and_come_back(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_queries(at_desk, bench, (80, 24)) as (desk, _):
        assert "Share" in desk.screen and "Last seen" not in desk.screen
        await desk.press("C")
        said = await desk.until("enter takes them")
        assert "no room at this width" in said and "the order, greatest first" in said
        await desk.press("space", "G", "k", "space", "enter")
        said = await desk.until("Last seen")
        assert "Share" not in said and "21 Sep 14:13" in said
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        assert "Share" not in await desk.until("Last seen")
        await desk.press("C", "space", "escape")
        assert "Share" not in desk.screen, "esc leaves all as it was"


async def test_presets_are_given_kept_found_after_a_restart_and_forgotten(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_queries(at_desk, bench, (80, 24)) as (desk, pane):
        for typed, column, sort in (("slowest", "▼Mean", "mean"), ("I/O", "▼I/O", "io"), ("temp", "▼Temp", "temp")):
            await desk.press("F")
            await desk.type(typed)
            await desk.press("enter")
            await until_read(desk, pane)
            assert pane._list.sort == (sort, True) and column in desk.screen
        await desk.press("slash")
        await desk.type("~orders|carts")
        await desk.press("enter", "F")
        await desk.type("keep this")
        await desk.press("enter")
        await desk.until("Keep as a preset")
        await desk.press("enter")
        assert "needed" in desk.screen, "not without a name"
        await desk.type("shop I/O")
        await desk.press("enter")
        await desk.until("Kept as shop I/O: F finds it again")
        await desk.press("F", "enter")
        await until_read(desk, pane)
        assert pane._list.sort == ("total_time", True) and "Share" in desk.screen and len(listed(pane)) == 6
    async with at_queries(at_desk, bench, (80, 24)) as (desk, pane):
        await desk.press("F")
        await desk.type("shop I/O")
        await desk.press("enter")
        await desk.until("matching ~orders|carts")
        await until_read(desk, pane)
        assert set(listed(pane)) == {"orders", "report", "basket"} and "▼Temp" in desk.screen
        await desk.press("F")
        await desk.type("forget shop")
        await desk.press("enter")
        await desk.until("Forgot the preset shop I/O")
        await desk.press("F")
        await desk.type("shop")
        await desk.until("nothing fits what you typed")


async def test_marked_queries_are_copied_together(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_queries(at_desk, bench) as (desk, _):
        await desk.press("space", "space")
        await desk.until("● 2 marked")
        await desk.press("y")
        await desk.until("Copied the 2 queries")
        assert desk.app.clipboard.count(";\n") == 2 and shop.STATEMENTS["orders"] + ";\n" in desk.app.clipboard
        await desk.press("r", "escape")
        await desk.gone("marked")


async def test_what_is_set_aside_is_counted_by_kind_and_shown_by_kind(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    """None is hidden without being counted, each has a switch of its own, and a saved filter has them."""

    def some_more() -> None:
        query = models.Query
        mine = (query.connection == shop_id) & query.key.in_(["basket", "events"])
        query.update(internal=True, alone=False, aside="utility").where(mine).execute()
        query.update(internal=True, alone=False, aside="own").where(
            (query.connection == shop_id) & (query.key == "hostile")
        ).execute()

        # As a sync leaves it that only counted what other databases did.
        row = models.Connection.get_by_id(shop_id)
        others = {"databases": 3, "statements": 412, "calls": 98_765, "time_ms": 61_000.0}
        models.Connection.update(reading={**(row.reading or {}), "other_databases": others}).where(
            models.Connection.id == shop_id
        ).execute()

    bench.store.run(some_more)
    async with at_queries(at_desk, bench) as (desk, pane):
        everything = {"basket", "events", "hostile", "own"}
        await desk.until("1 own, 2 utility, 1 catalogue hidden")
        assert not everything & set(listed(pane))
        await desk.press("i")
        await desk.until("Statements set aside")
        for said in ("MeshAG's own", "2 ran", "Other databases", "412 not read"):
            assert said in desk.screen
        await desk.press("j", "space", "enter")  # utilities
        await desk.until("1 own, 1 catalogue hidden, utility shown")
        await until_read(desk, pane)
        assert everything & set(listed(pane)) == {"basket", "events"}
        assert pane.narrowed == "utility"
        await desk.press("i")
        await desk.until("Statements set aside")
        await desk.press("i")
        await desk.until("internal ones shown")
        await until_read(desk, pane)
        assert everything <= set(listed(pane))
        await desk.press("i")
        await desk.until("Statements set aside")
        await desk.press("i")
        await desk.until("1 own, 2 utility, 1 catalogue hidden")
        pane.narrow("internal")
        assert pane.shown == set(ASIDE), "as it was kept once"
        pane.narrow("utility nonsense")
        assert pane.shown == {"utility"}
        await desk.press("i")
        await desk.until("Statements set aside")
        await desk.press("G")
        await desk.until("3 databases since counting began")
        assert not (await bench.store(connections.get, shop_id)).other_databases, "nothing is switched before enter"
        await desk.press("space", "enter")
        await desk.until("keeps what runs in other databases from its next sync on")
        assert (await bench.store(connections.get, shop_id)).other_databases
        assert pane.shown == {"utility", "elsewhere"}
        await desk.press("i")
        await desk.press("G")
        await desk.until("They are explained and advised on by a connection of their own")


def test_the_line_below_the_list_leaves_whole_parts_out() -> None:
    page = QueryPage((), DAY, 28, 70, 9.0, 5_400.0, 8_555, 0.98, True, (), 1)
    ranked = {
        200: "28 statements · ▲ 1 slow · 5.4 s in 8,555 calls, mean 631 µs · 98 % of it known by statement "
        "· 70 internal hidden (i chooses)",
        80: "28 statements · ▲ 1 slow · 5.4 s in 8,555 calls · 98 % of it known by statement",
        60: "28 statements · ▲ 1 slow · 5.4 s in 8,555 calls",
        10: "28 statements",
    }
    for room, said in ranked.items():
        assert summary(page, frozenset(), "", "i", room) == (said, False)
    lost = page._replace(complete=False, covered_share=None, events=(Loss(1, "reset", "by somebody"),))
    said, warns = summary(lost, frozenset(ASIDE), "", "i", 10)
    assert warns and said.startswith("28 statements · ") and "by somebody" in said, "what was lost is never left out"


async def test_nothing_of_the_text_of_others_reaches_the_terminal_or_is_markup(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_queries(at_desk, bench) as (desk, _):
        await desk.press("G")
        said = await desk.until("[bold]no[/bold]")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said)
        await desk.press("enter")
        said = await desk.until("Statement")
        assert "[@click=app.quit]" in said and "\\u202e" in said and "\x1b" not in said
        await desk.press("y")
        assert desk.app.clipboard == shop.HOSTILE, "what is copied is the statement itself"


async def test_enter_opens_the_text_the_trend_the_plan_and_its_advice(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_queries(at_desk, bench, (120, 40)) as (desk, _):
        await desk.press("j", "enter")
        said = await desk.until("custom: planned with sample values")
        assert "JOIN shop.order_items i" in said and "first seen 2026-09-21" in said
        assert "Seq Scan on shop.orders" in said and "52 %" in said
        await desk.until("time spent in each second")
        await desk.press("m")
        await desk.until("calls per minute · max 1")
        await desk.press("tab", "tab", "tab", "tab", "enter")
        said = await desk.until("Queries it is about")
        assert "Index orders (customer_id)" in said
        await desk.press("enter")
        await desk.until("Queries it is about")


async def test_where_there_is_little_room_the_part_with_the_focus_is_open(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_queries(at_desk, bench, (80, 24)) as (desk, _):
        assert "SELECT id, status" in desk.screen, "the text is the last to go"
        await desk.press("j", "enter")
        await desk.until("ORDER BY month DESC")
        await desk.press("tab", "tab")
        said = await desk.until("Nested Loop")
        assert "ORDER BY month" not in said and "▾ Plan [custom" in said
        assert "▸ Statement: SELECT c.name" in said and "▸ Advice (1): Index orders (customer_id)" in said
        await desk.press("tab", "tab")
        said = await desk.until("▾ Advice (1): enter opens it")
        assert "▸ Plan: custom, cost 6,785 · ◆ filtered seq scan 52 %" in said and "enter Open" in said
        await desk.pilot.click("#part-trend")
        assert "▾ Trend (m: another figure)" in desk.screen and "enter Open" not in desk.screen
        await desk.press("q")
        await desk.until("6 statements")


async def test_a_text_that_cannot_be_read_says_why_and_what_mends_it(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_queries(at_desk, bench) as (desk, pane):
        assert "<text hidden from our role: GRANT pg_read_all_stats>" in desk.screen
        pane._list.move_to(next(row.key for row in pane._rows if row.row and row.row.key == "secret"))
        await desk.press("enter")
        await desk.until('GRANT pg_read_all_stats TO "watcher";')
        await desk.press("P")
        assert "its text is not known" in desk.screen


async def test_a_missing_extension_is_not_an_empty_list(bench: Workbench, at_desk: Open) -> None:
    bench.store.run(shop.fill_open, bench.vault, False, (shop.PGSS_MISSING,))
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        said = await desk.until("pg_stat_statements is not set up")
        assert "SELECT id, status" in said, "what was read before stays in sight"
        await desk.press("[", "[")
        said = await desk.until("shared_preload_libraries = 'pg_stat_statements'")
        assert "Nothing here" not in said


async def test_losses_are_said(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    def reset() -> None:
        newest = models.Interval.select().order_by(models.Interval.end_at.desc()).first()
        events = [{"kind": "reset", "detail": "statement statistics were reset"}]
        models.Interval.update(complete=False, events=events).where(models.Interval.id == newest.id).execute()

    bench.store.run(reset)
    async with at_queries(at_desk, bench) as (desk, _):
        assert "▲ incomplete: 21 Sep 14:13 statement statistics were reset" in desk.screen
        await desk.press("enter")
        await desk.until("▲ 14:13 reset")  # in the chart as well


async def test_three_milliards_of_calls(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    def much() -> None:
        newest = models.Interval.select(models.Interval.id).order_by(models.Interval.end_at.desc()).scalar()
        row = models.QueryStatistics
        row.update(calls=3_000_000_000, time_ms=9e12, rows=2**62).where(row.interval_id == newest).execute()

    bench.store.run(much)
    async with at_queries(at_desk, bench) as (desk, _):
        assert "3.00 G" in desk.screen
        await desk.press("enter")
        await desk.until("Statement")


async def test_of_ten_thousand_only_what_is_seen_is_read(bench: Workbench, at_desk: Open) -> None:
    def many() -> None:
        target = shop.Target.from_url("postgresql://watcher@db1.example.org/shop")
        made = connections.add("many", target, bench.vault).id
        server = Watched(at=AT - 5 * MINUTE)
        names = [f"s{number:05}" for number in range(10_000)]
        for name in names:
            server.run(name)
        snapshots.write(made, server.snapshot(), [text(name, f"SELECT {name} FROM t") for name in names])
        for number, name in enumerate(names):
            server.run(name, 10_000 - number)
        snapshot = server.snapshot()
        snapshots.write(made, snapshot, ())
        connections.synced(made, snapshot.facts, (), AT)
        models.Connection.update(last_sync_at=snapshot.taken_at).execute()

    bench.store.run(many)
    async with at_queries(at_desk, bench, (120, 40)) as (desk, pane):
        assert "SELECT s00000 FROM t" in desk.screen and len(pane._rows) == 10_000
        assert pane._rows.known == 100
        await desk.press("G")
        await desk.until("SELECT s09999 FROM t")
        await desk.press("k", "k")
        assert pane._rows.known <= 300
        await desk.press("g")
        await desk.until("SELECT s00000 FROM t")


def test_at_most_two_thousand_rows_are_kept() -> None:
    asked: list[bool] = []
    rows = QueryRows(100_000, 100.0, ask=lambda: asked.append(True))
    page = history.QueryPage((), DAY, 100_000, 0, 0.0, 0.0, 0, None, True, ())
    for number in range(1_000):
        rows[number * PAGE]
        rows.add(number, page)
    assert len(asked) == 1_000 and not rows.wanted
    assert len(rows._pages) <= 20 and 999 in rows._pages
    assert sum(1 for _ in rows) == 100_000 and not rows.wanted, "looking for a row reads nothing"
    assert rows[0].row is None and rows.wanted == {0}, "it is asked for again when one comes back"


async def test_what_was_never_synced_says_so(bench: Workbench, at_desk: Open) -> None:
    await bench.connections.add("new", Target.from_url("postgresql://watcher@192.0.2.1/shop"))
    async with at_desk(bench) as desk:
        await desk.press("2")
        await desk.until("new was never synced")
