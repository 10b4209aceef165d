"""The overview: every figure is what SQL says of the store, and what is worth doing is a key away."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from meshag_tui.figures import duration
from meshag_tui.live import Vital
from meshag_tui.screens import overview
from meshag_tui.screens.connections import ConnectionsPane
from meshag_tui.screens.connections_rows import Row
from meshag_tui.store import connections, history, ledger, models, prices, sampled, suggestions
from meshag_tui.store.sampled import Span
from meshag_tui.types import ConnectionStatus, DbType, Finding, Secret, Target, Window
from meshag_tui.workflows.notices import Changed
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Desk, Open
from tests.screens.picture import HOUR

NOWHERE = Target(DbType.POSTGRES, "192.0.2.1", 5432, "shop", "watcher", Secret("unseen"))
DAY = Window(AT - 12_000 - 24 * HOUR, AT - 12_000)


@pytest.fixture
def shop_id(bench: Workbench) -> str:
    return bench.store.run(shop.fill_open, bench.vault)


def by_sql(bench: Workbench, statement: str, *values: Any) -> Any:
    """The first row of what plain SQL says."""
    return bench.store.run(lambda: models.database.execute_sql(statement, values).fetchone())


async def read(desk: Desk) -> ConnectionsPane:
    """Wait until the overview has read all it shows."""
    pane = desk.app.pane("connections")
    assert isinstance(pane, ConnectionsPane)
    for _ in range(500):
        await desk.pilot.pause(0.02)
        if not pane.stale and not pane.loading_now and pane._around:
            return pane
    raise AssertionError(f"it never read to the end:\n{desk.screen}")


async def test_vitals_and_waits_say_what_was_sampled(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    vitals = {"hit_ratio": Vital("ok", 0.982), "connections": Vital("ok", 41.0, 97.0), "lag_ms": Vital("no data")}
    vitals |= {"oldest_ms": Vital("insufficient privilege", fix="GRANT pg_read_all_stats TO watcher;")}
    vitals |= {"age": Vital("ok", 107.0, title="history list")}
    async with at_desk(bench, size=(140, 50), clock=lambda: AT / 1000) as desk:
        await desk.press("1")
        await read(desk)
        assert "Vitals" not in desk.screen, "nobody looked"
        span = Span(AT - 120_000, AT - 60_000, 12, {"cpu": 12.0, "lock": 6.0}, (), vitals)
        await bench.store(sampled.add, shop_id, span)
        bench.notices.publish(Changed("sessions", shop_id))
        said = await desk.until("Vitals")
        assert "hits 98 %" in said and "connections 41 of 97" in said and "lag no data" in said
        assert "oldest transaction not allowed" in said and "history list 107" in said
        assert "GRANT pg_read_all_stats TO watcher;" in said
        assert "1.5 on average in 15 min" in said and "running 67 %" in said and "lock 33 %" in said


async def test_spend_is_of_this_connection_and_an_unpriced_answer_is_no_zero(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    def ask(about: str | None, model: str = "m1") -> None:
        call = ledger.Call("cloud", model, "advice", False, "ada", "h", about, most_in=1000, most_out=500)
        usage_id = bench.store.run(ledger.reserve, call)
        bench.store.run(ledger.settle, usage_id, "success", tokens_in=1000, tokens_out=500)

    async with at_desk(bench, size=(80, 40)) as desk:
        await desk.press("1")
        pane = await read(desk)
        assert "Models   none asked in 24 h" in desk.screen
        ask(shop_id, "of no price")
        said = await _told(desk, pane, "unpriced")
        assert "Models   1 call in 24 h · ▲ 1 unpriced" in said, "no sum, rather than one of 0"
        bench.store.run(prices.put, "cloud", "m1", 0, "2", "8", "0.5")
        ask(shop_id)
        ask(shop_id)
        ask(None)  # about no connection
        said = await _told(desk, pane, "3 calls")
        (micros,) = by_sql(bench, "SELECT SUM(cost_micros) FROM usage WHERE connection_id = ?", shop_id)
        assert f"Models   {micros / 1e6:.6f} USD spent in 24 h · 3 calls · ▲ 1 unpriced" in said


async def _told(desk: Desk, pane: ConnectionsPane, text: str) -> str:
    pane.concerns(Changed("connections"))
    pane.refresh_soon()
    return await desk.until(text)


async def test_every_figure_equals_sql_on_the_store(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    bench.store.run(connections.edit, shop_id, slow_ms=50.0)
    calls, spent, seconds = by_sql(
        bench,
        "SELECT SUM(calls), SUM(time_ms), SUM(CASE WHEN start_at IS NOT NULL THEN end_at - start_at END) / 1000.0 "
        'FROM "interval" WHERE connection_id = ? AND end_at > ? AND end_at <= ?',
        *(shop_id, DAY.start, DAY.end),
    )
    statements, slow = by_sql(
        bench,
        "SELECT COUNT(*), SUM(mean >= 50.0) FROM (SELECT SUM(s.time_ms) / SUM(s.calls) AS mean "
        "FROM query_statistics s JOIN query q ON q.id = s.query_id WHERE NOT q.internal GROUP BY q.fingerprint, q.key)",
    )
    (sessions,) = by_sql(bench, 'SELECT sessions FROM "interval" ORDER BY end_at DESC LIMIT 1')
    (advice,) = by_sql(
        bench, "SELECT COUNT(*) FROM suggestion WHERE status IN ('NEW', 'REVIEWED') AND resolved_at IS NULL"
    )
    state = json.loads(sessions)
    async with at_desk(bench, size=(200, 50), clock=lambda: AT / 1000) as desk:
        await desk.press("1")
        pane = await read(desk)
        (row,) = pane._table.rows
        assert row.figures.ms_per_s == pytest.approx(spent / seconds)
        assert row.figures.calls_per_s == pytest.approx(calls / seconds)
        assert (row.figures.calls, row.figures.statements, row.figures.slow) == (calls, statements, slow)
        assert row.figures.mean_time_ms == pytest.approx(spent / calls)
        assert row.figures.load == bench.store.run(
            history.load_series, shop_id, history.observed_part(bench.store.run(history.intervals, shop_id, DAY), DAY)
        )
        (line,) = [line for line in desk.screen.splitlines() if "db1.example.org:5432 " in line]
        assert f"{duration(spent / seconds)}/s" in line
        shown = {column.key: column.of(row) for column in pane._table.columns}
        active = state["by_state"]["active"]
        assert (shown["active"], shown["slow"], shown["open"]) == (active, slow, advice)
        assert f"{active} {slow} {advice}" in " ".join(line.split())
        words = desk.words
        assert f"{calls:,} calls" in words and f"mean {duration(spent / calls)}" in words
        assert f"{statements} statements, ▲ {slow} slow (from 50 ms)" in words
        total = sum(state["by_state"].values())
        assert f"{total} of {state['max_connections']}: {active} active" in words


def test_active_sessions_are_not_told_from_some_of_them(bench: Workbench, shop_id: str) -> None:
    found = bench.store.run(history.overview, shop_id, DAY, 100.0)
    assert found.sessions is not None and overview.active(found) == 2
    states = {"active": 1, "not ours to see": 6}
    assert overview.active(found._replace(sessions={**found.sessions, "by_state": states})) is None
    assert overview.active(found._replace(sessions=None)) is None


def test_statements_that_nobody_counts_are_not_none(bench: Workbench, shop_id: str) -> None:
    """performance_schema off, or pg_stat_statements missing: no 0 calls, no "none slow", and what mends it."""
    info = bench.store.run(connections.get, shop_id)
    found = bench.store.run(history.overview, shop_id, DAY, 100.0)._replace(
        calls=0, statements=0, slow=0, ms_per_s=None, calls_per_s=None, mean_time_ms=None
    )
    off = Finding("performance-schema-off", "missing", "performance_schema is off", "No statements", "[mysqld]")
    keys = dict.fromkeys(("sync-now", "connection-pause", "choose-window"), "r")
    for missing in (info._replace(engine="MariaDB", warnings=(off,)), info):
        said = "".join(text for _, text in overview.figure_pieces(missing, found, "24 h", 100.0))
        row = Row(missing, AT, False, found)
        state = overview.load_state(missing, found, keys)
        if missing.warnings:
            assert "performance_schema is off" in said and "0 calls" not in said and "none slow" not in said
            assert row.figure("slow") is None and state.title == off.title and "[mysqld]" in state.remedy
        else:
            assert "0 calls" in said and row.figure("slow") == 0 and "read once" in state.title


async def test_the_chart_is_of_the_window_and_a_window_without_data_says_so(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        await desk.press("1")
        await desk.until("shop: time spent in each second")
        await desk.press("left_square_bracket")
        await desk.until("nothing was observed in this window")
        assert "executions" not in desk.screen and "calls ·" not in desk.screen


@pytest.mark.parametrize(("key", "place"), [("m", 0), ("o", 1), ("v", 2)])
async def test_what_is_worth_doing_is_one_key_away(
    bench: Workbench, at_desk: Open, shop_id: str, key: str, place: int
) -> None:
    wanted = [each for each in bench.store.run(suggestions.listing, shop_id) if each.is_open][place]
    await bench.connections.add("another", NOWHERE)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("1")
        await desk.until("Worth doing")
        await desk.press(key)
        await desk.until("Evidence")
        assert desk.app.place == "suggestions" and wanted.title.split(":")[0] in desk.words
        await desk.press("1", "g")
        await desk.until("it was never read")
        await read(desk)
        await desk.press(key)
        await desk.until("there is no such advice on this connection")
        assert desk.app.place == "connections"


async def test_never_read_switched_off_and_failed_are_told_apart(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    fresh = await bench.connections.add("a fresh one", NOWHERE)
    async with at_desk(bench, size=(80, 24), clock=lambda: AT / 1000) as desk:
        await desk.press("1", "g")
        await desk.until("it was never read")
        bench.store.run(connections.failed, fresh.id, "the server is on fire", None)
        await desk.until("it could not be read yet")
        assert "the server is on fire" in desk.screen
        await desk.press("j")
        await desk.until("shop: time spent")
        bench.store.run(connections.failed, shop_id, "the cable is out", None)
        await desk.until("Stale: it cannot be read")
        assert "the cable is out" in desk.screen and "shop: time spent" in desk.screen, "what is known stays"
        bench.store.run(connections.set_status, shop_id, ConnectionStatus.INACTIVE)
        await desk.until("Stale: it is not synced any more")


async def test_figures_are_read_again_only_after_a_sync(
    bench: Workbench, at_desk: Open, shop_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = history.overview

    def counted(connection_id: str, *more: Any) -> history.Overview:
        asked.append(connection_id)
        return real(connection_id, *more)

    monkeypatch.setattr(history, "overview", counted)
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("1")
        await desk.until("shop: time spent")
        assert asked == [shop_id]
        await desk.pilot.pause(1.0)  # several ticks
        assert asked == [shop_id]
        newer = AT - 2_000
        bench.store.run(
            lambda: models.Connection.update(last_sync_at=newer).where(models.Connection.id == shop_id).execute()
        )
        await desk.until(lambda _: len(asked) == 2)


def test_the_queries_do_not_pay_for_it() -> None:
    checked = "import meshag_tui.app, meshag_tui.screens.queries, sys; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", checked], capture_output=True, text=True, check=True)
    loaded = done.stdout
    for room in ("screens.connections", "screens.overview", "widgets.chart"):
        assert f"'meshag_tui.{room}'" not in loaded, room
