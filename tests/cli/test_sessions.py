"""`meshag sessions`: what sessions do now and did then, as scripts and people read it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from meshag_tui.figures import moment
from meshag_tui.store import connections, sampled
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import SeenSession, Span
from tests.cli.conftest import Meshag
from tests.rig.postgres import Database

MINUTE = 60_000


def test_now_and_then(meshag: Meshag, must: Callable[..., Any], pg18: Database) -> None:
    must("connections", "add", "shop", pg18.monitor_url)
    with pg18.connect(application_name="holder") as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 'canary'")
        now = must("sessions", "shop")
        said = meshag("sessions", "shop").out
    (row,) = [each for each in now["sessions"] if each["application"] == "holder"]
    assert (row["state"], row["text"], row["blocked_by"]) == ("idle in transaction", "SELECT $1", [])
    assert (now["state"], now["active"]) == ("ok", {})
    assert now["vitals"]["connections"]["state"] == "ok"
    assert "holder" in said
    assert "idle in transaction" in said
    assert "canary" not in said

    at = int(time.time() * 1000) - 60 * MINUTE
    seen = SeenSession(7, "app", "shop", "local", "web", "client", "active", "cpu", "", 12.0, "f", (), 3, "SELECT old")
    store = Store.open(f"sqlite:///{meshag.home}/meshag.db")
    try:
        info = store.run(connections.find, "shop")
        store.run(sampled.add, info.id, Span(at, at + MINUTE, 12, {"cpu": 24.0}, (seen,)))
    finally:
        store.close()
    then = must("sessions", "shop", "--at", moment(at + MINUTE / 2, "%H:%M:%S"))
    assert (then["active"], then["samples"]) == ({"cpu": 2.0}, 12)
    assert [(each["id"], each["text"], each["seen"]) for each in then["sessions"]] == [(7, "SELECT old", 3)]
    nobody = meshag("sessions", "shop", "--at", moment(at - 60 * MINUTE, "%H:%M"))
    assert nobody.code == 1
    assert "Nobody looked at shop" in nobody.err
    assert meshag("sessions", "shop", "--at", "soon").code == 2
