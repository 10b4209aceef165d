"""The place of health by keys: the score and its limits, alerts, webhooks; the overview and the lines that tell."""

from __future__ import annotations

from datetime import datetime

import pytest

from meshag_tui.live import Vital
from meshag_tui.screens.alert_news import AlertNews
from meshag_tui.settings import AlertSettings
from meshag_tui.store import alerts, channels, connections, health, models, projects, sampled
from meshag_tui.store.alerts import AlertInfo
from meshag_tui.store.sampled import Span
from meshag_tui.workflows.notices import Changed
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Open

MINUTE = 60_000


@pytest.fixture
def shop_id(bench: Workbench) -> str:
    """The shop, sampled up to now: its replica lags and one session waits."""
    found = bench.store.run(shop.fill_open, bench.vault)
    vitals = {
        "lag_ms": Vital("ok", 70_000.0),
        "connections": Vital("ok", 41.0, 97.0),
        "oldest_ms": Vital("insufficient privilege", fix="GRANT pg_read_all_stats TO watcher;"),
        "age": Vital("ok", 1.0e9, 2.0e9),
    }
    for minute in range(5, 0, -1):
        at = AT - minute * MINUTE
        bench.store.run(sampled.add, found, Span(at, at + MINUTE, 12, {"cpu": 12.0, "lock": 6.0}, (), vitals))
    return found


async def test_the_score_its_limits_and_its_history(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    for minute, score in ((50, 100), (20, 90), (5, 80)):
        items = [{"name": "lag", "title": "Replication lag", "lost": 100 - score, "points": 10, "said": "x"}]
        bench.store.run(health.keep, shop_id, AT - minute * MINUTE, score, 95, [items[0] | {"verdict": "warning"}])
    async with at_desk(bench, clock=lambda: AT / 1000) as desk:
        await desk.press("H")
        said = await desk.until("[Score]")
        (row,) = [line for line in said.splitlines() if "Replication lag" in line]
        assert row.split()[:4] == ["-10", "10", "Replication", "lag"] and "✗ critical" in row and "70 s" in row
        assert "not counted" in said and "not allowed" in said and "GRANT pg_read_all" in said
        pane = desk.app.front_pane()
        assert pane is not None and pane.table is not None
        lost = sum(item.lost for item in pane.table.rows)
        assert f"shop: {100 - lost} of 100" in said
        names = [item.name for item in pane.table.rows]
        await desk.press(*["j"] * names.index("lag"))
        await desk.until("warning from 10 s")
        await desk.press("E")
        await desk.until("Limits: Replication lag")
        await desk.type("90%")
        await desk.press("tab")
        await desk.until("is written as 30s or 5min")
        await desk.press("shift+tab", "backspace", "backspace", "backspace")
        await desk.type("2min")
        await desk.press("tab")
        await desk.type("5min")
        await desk.press("enter")
        await desk.until(f"shop: {110 - lost} of 100")
        assert bench.store.run(health.limits, shop_id) == {"lag": (120_000.0, 300_000.0)}
        await desk.press("f")
        said = await desk.until("[History]")
        await desk.until("shop: health")
        assert "lag -20 (x)" in desk.screen
        bench.store.run(_settings)
        await desk.press("f", "f", "f")
        said = await desk.until("[Settings]")
        said = await desk.until("Nothing is forced to disk")
        assert "✗ wrong" in said and said.index("fsync") < said.index("work_mem"), "what is wrong comes first"
        await desk.press("f")
        await desk.until("The first that was seen")


def _settings() -> None:
    row = models.Connection.get()
    row.facts = {**row.facts, "settings": {"fsync": "off", "work_mem": "4194304", "max_connections": "100"}}
    row.save()


async def test_the_line_of_lists_fits_its_terminal_when_that_changes(
    bench: Workbench, at_desk: Open, shop_id: str
) -> None:
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("H")
        await desk.until("[Score]  History  Alerts  Webhooks")
        await desk.until("of 100")
        await desk.pilot.resize_terminal(70, 24)
        await desk.until("[Score] 1 of 6")
        await desk.pilot.resize_terminal(120, 40)
        await desk.until("[Score]  History  Alerts  Webhooks")


async def test_alerts_are_told_once_noted_and_sent_somewhere(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    old = bench.store.run(alerts.put, shop_id, "critical", "Replication lag: 70 s", subject="lag")
    assert old is not None
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        rung: list[str] = []
        desk.app.ring = rung.append  # type: ignore[method-assign]
        await desk.press("H", "f", "f")
        await desk.until("[Alerts]")
        await desk.until("1 alert")
        assert rung == [], "what was there before is not rung"
        bench.store.run(alerts.put, shop_id, "blocked", "Session 7 of app@shop waits for 4", subject="7")
        bench.notices.publish(Changed("alerts", shop_id))
        await desk.until("shop: Session 7 of app@shop waits for 4 (H)")
        assert rung == ["\a"]
        bench.notices.publish(Changed("alerts", shop_id))
        await desk.until("blocked")
        await desk.press("m", "enter")
        await desk.until("Noted: ")
        assert rung == ["\a"]
        assert bench.store.run(alerts.standing) == {shop_id: 1}
        await desk.press("f")
        await desk.until("alerts are sent nowhere")
        await desk.press("i")
        await desk.until("Add a webhook")
        await desk.type("oncall")
        await desk.press("tab")
        await desk.type("http://127.0.0.1:1/canary")
        await desk.press("enter")
        await desk.until("Added oncall")
        await desk.until("not encrypted")
        assert "canary" not in desk.screen
        await desk.press("T")
        await desk.until("did not take it")
        await desk.press("P")
        await desk.until("oncall is off")
    (hook,) = bench.store.run(channels.listing)
    assert not hook.enabled and hook.place == "http://127.0.0.1:1"


async def test_the_overview_says_health_load_by_waits_and_stage(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, size=(140, 50), clock=lambda: AT / 1000) as desk:
        await desk.press("1")
        said = await desk.until("shop: active sessions")
        assert "running 67 %" in said and "lock 33 %" in said
        said = await desk.until("Health")
        assert "✗ replication lag 70 s -10" in said
        assert "PRODUCTION" not in said
        bench.store.run(connections.edit, shop_id, stage="production")
        said = await desk.until("PRODUCTION")
        assert said.splitlines()[0].lstrip().startswith("PRODUCTION"), "the first word of the first line"
        await desk.until(lambda screen: screen.count("PRODUCTION") == 3)
        file = bench.settings.home / "report.md"
        await desk.press("e")
        await desk.until("Report of shop, 24 h")
        await desk.press("ctrl+u")
        await desk.type(str(file))
        await desk.press("enter")
        await desk.until("Wrote a report of")
    assert file.read_text().startswith("# shop: 2026-09-20")


def test_a_terminal_rings_but_not_in_quiet_hours() -> None:
    alert = AlertInfo(
        *("alr_1", "con_1", "shop", "critical", "lag", "critical", "lag \x1b]0;x\x07", {}, 1, 2),
        *(None, None, None, True, ()),
    )  # fmt: skip
    night, day = datetime(2026, 9, 21, 23, 0), datetime(2026, 9, 21, 12, 0)
    quiet = AlertNews(AlertSettings(quiet="22:00-07:00", osc9=True))
    assert quiet.rings((alert,), night) == ""
    said = quiet.rings((alert,), day)
    assert said.startswith("\a\x1b]9;meshag: shop: lag") and said.count("\x1b") == 1 and said.count("\a") == 2
    assert AlertNews(AlertSettings(bell=False)).rings((alert,), day) == ""
    assert quiet.rings((), day) == ""


async def test_a_project_has_its_alerts_told_otherwise(bench: Workbench, shop_id: str) -> None:
    news = AlertNews(AlertSettings(osc9=True))
    await news.read(bench.store)
    project = bench.store.run(connections.get, shop_id).project_id
    day, night = datetime(2026, 9, 21, 12, 0), datetime(2026, 9, 21, 23, 0)
    for settings, said, rung in (
        ({"bell": False, "quiet": "22:00-07:00"}, True, ["\x1b]9;"]),
        ({"bell": None, "osc9": False, "toast": False}, False, ["\a"]),
    ):
        bench.store.run(lambda given=settings: projects.edit("ada", project, **given))
        bench.store.run(alerts.put, shop_id, "critical", "lag", subject=str(rung))
        found = await news.read(bench.store)
        assert len(found) == 1 and bool(news.said(found, day)) is said
        assert [news.rings(found, day)[: len(each)] for each in rung] == rung
        assert (news.said(found, night), news.rings(found, night)) == ((), "")
