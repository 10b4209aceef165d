"""`meshag health`, `limits`, `alerts` and `webhooks`, as scripts and people read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshag_tui.cli import watch_words
from meshag_tui.figures import moment
from meshag_tui.live import Vital
from meshag_tui.settings import Settings
from meshag_tui.store import alerts, connections, database, sampled
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import Span
from tests.cli.conftest import Meshag
from tests.screens import shop


def test_words_written_twice_are_the_same() -> None:
    assert tuple(alerts.RULES) == watch_words.RULES


def test_settings_with_reasons_and_what_changed_of_the_schema(meshag: Meshag, must: Callable[..., Any]) -> None:
    meshag.home.mkdir(mode=0o700)
    shop.fill_changed(Settings(home=meshag.home, store_url=f"sqlite:///{meshag.home}/meshag.db"))
    found = {row["name"]: row for row in must("settings", "shop")}
    assert found["work_mem"]["judgement"] == "ok" and found["work_mem"]["value"] == "4096 B"
    (change,) = must("schema", "shop")[0]["changes"]
    assert (change["kind"], change["part"]) == ("added", "index") and change["name"].endswith("orders_total_idx")
    assert "+ index" in meshag("schema", "shop").out


@pytest.mark.slow
def test_health_limits_alerts_and_webhooks(meshag: Meshag, must: Callable[..., Any]) -> None:
    must("connections", "add", "shop", "postgresql://watcher@127.0.0.1:1/shop", "--no-test")
    store = Store.open(f"sqlite:///{meshag.home}/meshag.db")
    try:
        shop_id = store.run(connections.find, "shop").id
        now = store.run(database.now_ms)
        vitals = {"lag_ms": Vital("ok", 70_000.0), "oldest_ms": Vital("insufficient privilege", fix="GRANT x;")}
        store.run(sampled.add, shop_id, Span(now - 60_000, now, 12, {}, (), vitals))
        raised = store.run(alerts.put, shop_id, "critical", "Replication lag: 70 s", subject="lag")
    finally:
        store.close()
    found = must("health", "shop")
    items = {item["name"]: item for item in found["items"]}
    assert sum(item["lost"] for item in found["items"]) == 100 - found["score"] == 10
    assert (items["lag"]["verdict"], items["lag"]["value"], items["lag"]["critical"]) == ("critical", 70_000, 60_000)
    assert (items["oldest"]["verdict"], items["oldest"]["fix"]) == ("not counted", "GRANT x;")
    said = meshag("health").out
    assert "shop: 90 of 100, critical" in said and "GRANT x;" in said and "-10" in said

    limits = {row["measure"]: row for row in must("limits", "shop", "lag", "2min", "5min")}
    assert (limits["lag"]["warning"], limits["lag"]["critical"], limits["lag"]["own"]) == (120_000, 300_000, True)
    assert must("health", "shop")["score"] == 100
    assert "warning limit of lag lies below" in meshag("limits", "shop", "lag", "5min", "2min").err
    assert meshag("limits", "shop", "lag", "80%", "90%").code == 2
    assert not any(row["own"] for row in must("limits", "shop", "--usual"))
    must("connections", "add", "mine", "mysql://watcher@127.0.0.1:1/shop", "--no-test")
    has = {name: {row["measure"] for row in must("limits", name)} for name in ("shop", "mine")}
    assert has["shop"] - has["mine"] == {"wraparound"} and has["mine"] - has["shop"] == {"undo"}
    assert "MySQL or MariaDB" in meshag("connections", "list").out, "nobody asked it yet which"

    (alert,) = must("alerts", "shop", "--open")
    assert raised is not None and (alert["id"], alert["ended_at"]) == (raised.id, None)
    assert must("alerts", alert["id"], "--note")["acknowledged_by"]
    assert "Replication lag: 70 s" in meshag("alerts").out

    url = "http://127.0.0.1:1/hook?token=canary\nsigning-canary\n"
    made = meshag("webhooks", "add", "oncall", "--rule", "blocked", "--quiet", "22:00-07:00", stdin=url)
    assert made.code == 0 and "http://127.0.0.1:1" in made.out and "not encrypted" in made.err
    (hook,) = must("webhooks", "list")
    assert (hook["rules"], hook["quiet"], hook["place"]) == (["blocked"], "Mon-Sun 22:00-07:00", "http://127.0.0.1:1")
    assert must("webhooks", "edit", "oncall", "--quiet", "none", "--off")["quiet"] == ""
    assert meshag("webhooks", "add", "x").code == 2
    assert "canary" not in made.out + made.err + meshag.log + meshag("webhooks", "list").out
    file = meshag.home.parent / "record.db"
    assert must("record", str(file))["left_out"]["channel"] == 1
    assert must("sessions", "shop", "--at", moment(now - 30_000, "%H:%M:%S"), "--store", str(file))["samples"] == 12
    assert "terminal" in meshag("replay", str(file)).err

    must("webhooks", "remove", "oncall")
    assert must("webhooks", "list") == []
