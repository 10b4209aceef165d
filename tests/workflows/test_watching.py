"""Alerts by scripted faults: each kind is raised once, ends with its cause, and is told to whom it should be."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.live import LiveReading, LiveSession, Vital
from meshag_tui.settings import AlertSettings, Settings
from meshag_tui.store import (
    activity,
    alerts,
    budgets,
    channels,
    connections,
    database,
    health,
    history,
    models,
    projects,
    sampled,
    snapshots,
)
from meshag_tui.store.alerts import AlertInfo
from meshag_tui.store.sampled import Span
from meshag_tui.types import ConnectionStatus, ExecutionState, Secret, Target, UsageError, Window
from meshag_tui.workflows import webhooks
from meshag_tui.workflows.notices import Changed, Finished
from meshag_tui.workflows.sampling import Latest
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.rig.stores import put_store
from tests.store.readings import MINUTE, Watched, text


@dataclass
class Hook:
    """A webhook's other side: answers with what is in `script`, then 200; keeps what was posted."""

    script: list[int] = field(default_factory=list)
    posted: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.posted]


@pytest.fixture
def hook() -> Iterator[Hook]:
    known = Hook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.posted.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status = known.script.pop(0) if known.script else 200
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    known.url = f"http://127.0.0.1:{server.server_port}/hook/secret-part?token=canary"
    yield known
    server.shutdown()
    server.server_close()


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workbench]:
    monkeypatch.setattr(webhooks, "PAUSE_S", 0.0)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with await Workbench.open(Settings(home=home, store_url=put_store(home / "meshag.db"))) as bench:
        yield bench


async def shop(bench: Workbench, url: str = "postgresql://watcher@db.example/shop") -> str:
    return (await bench.connections.add("shop", Target.from_url(url))).id


def rules(bench: Workbench, **more: Any) -> list[tuple[str, str]]:
    return sorted((each.rule, each.subject) for each in bench.store.run(alerts.listing, **more))


async def test_a_measure_past_its_limit_and_a_fall_of_the_score(bench: Workbench) -> None:
    connection = await shop(bench)
    now = bench.store.run(database.now_ms)

    def sample(lag_ms: float, taken: float) -> None:
        vitals = {"lag_ms": Vital("ok", lag_ms), "connections": Vital("ok", taken, 100.0)}
        sampled.add(connection, Span(now - MINUTE, now, 12, {}, (), vitals))

    bench.store.run(sample, 0.0, 10.0)
    watcher = bench.watcher
    assert (await watcher.look_at(connection)).score == 100
    bench.store.run(lambda: models.Health.update(at=now - 3_600_000).execute())
    bench.store.run(lambda: models.Sampled.delete().execute())
    bench.store.run(sample, 70_000.0, 99.0)
    judged = await watcher.look_at(connection)
    assert judged.score == 78
    assert rules(bench) == [("critical", "connections"), ("critical", "lag"), ("health-drop", "")]
    lag = next(each for each in bench.store.run(alerts.listing) if each.subject == "lag")
    assert (lag.severity, lag.details["value"], lag.details["limit"]) == ("critical", 70_000, 60_000)
    bench.store.run(health.set_limits, connection, {"lag": (100_000.0, 200_000.0)})
    assert (await watcher.look_at(connection)).score == 88
    assert rules(bench, open_only=True) == [("critical", "connections")]
    assert [each.score for each in bench.store.run(health.history, connection)] == [88, 78, 100]


async def test_a_statement_that_became_slower_is_planned_anew(bench: Workbench, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE report AS SELECT g AS id, repeat('x', 50) AS note FROM generate_series(1, 20000) g",
        "CREATE INDEX report_id ON report (id)",
        "ANALYZE report",
    )
    connection = await shop(bench, pg18.monitor_url)
    now = bench.store.run(database.now_ms)
    server = Watched(at=now - 40 * MINUTE)
    server.run("report").run("steady")
    texts = [text(key, f"SELECT * FROM {key} WHERE id = $1", fingerprint=key) for key in ("report", "steady")]
    bench.store.run(snapshots.write, connection, server.snapshot(), texts)
    for minute in range(39):
        server.run("report", 30, 20.0 if minute < 25 else 90.0).run("steady", 30, 20.0)
        bench.store.run(snapshots.write, connection, server.snapshot())

    def synced(at: int) -> None:
        models.Connection.update(last_sync_at=at, next_sync_at=at + MINUTE).execute()

    bench.store.run(synced, server.at)
    page = bench.store.run(history.queries, connection, Window(0, now), text="report")
    before = await bench.explain(page.rows[0].id)
    pg18.execute("DROP INDEX report_id")
    await bench.watcher.look_at(connection)
    (raised,) = [each for each in bench.store.run(alerts.listing) if each.rule == "regression"]
    assert raised.subject == page.rows[0].uid
    assert raised.details["mean_ms"] == pytest.approx(90.0, rel=0.1) and raised.details["before_ms"] == 20.0
    await bench.watcher.look_at(connection)
    (flip,) = [each for each in bench.store.run(alerts.listing) if each.rule == "plan-flip"]
    kept = bench.store.run(history.plans, page.rows[0].id)
    assert (flip.details["query"], flip.details["before"], len(kept)) == (page.rows[0].uid, before.id, 2)
    assert kept[0].plan.hash != before.plan.hash
    bench.watcher._slower_at.clear()
    bench.store.run(models.Connection.update(last_sync_at=now + 30 * MINUTE).execute)
    await bench.watcher.look_at(connection)
    assert ("regression", raised.subject) not in rules(bench, open_only=True), "it does not run any more"


async def test_a_session_that_waits_for_another_for_too_long(bench: Workbench) -> None:
    connection = await shop(bench)
    session = LiveSession(
        *(
            7,
            "began",
            "begun",
            "app",
            "shop",
            "",
            "web",
            "client",
            "active",
            "lock",
            "Lock",
            1.0,
            1.0,
            1.0,
            "UPDATE",
            "f",
        ),
        blocked_by=(4,),
    )
    known: dict[str, Latest] = {}
    watcher = bench.watcher
    watcher._sampler = type("Samples", (), {"latest": lambda self, which: known.get(which)})()  # type: ignore[assignment]
    for second, sessions, expected in (
        (0, (session,), []),
        (29, (session,), []),
        (30, (session,), ["blocked"]),
        (35, (replace(session, begun="another"),), []),
        (70, (replace(session, begun="another"),), ["blocked"]),
        (75, (), []),
    ):
        known[connection] = Latest(LiveReading(1_000 * second, 1.0, sessions))
        await watcher.tick()
        assert [rule for rule, _ in rules(bench, open_only=True)] == expected, second
    assert [each.details["waited_s"] for each in bench.store.run(alerts.listing)] == [35.0, 30.0]


async def test_a_wait_on_a_real_server_is_seen_and_ends(bench: Workbench, pg18: Database) -> None:
    collect = bench.settings.collect._replace(sample_s=0.1)
    settings = bench.settings._replace(collect=collect, alerts=AlertSettings(blocked_s=0.5))
    bench.settings = settings
    info = await bench.connections.add("shop", Target.from_url(pg18.url))
    await bench.store(connections.set_status, info.id, ConnectionStatus.ACTIVE)
    pg18.execute("CREATE TABLE stock (id int PRIMARY KEY)", "INSERT INTO stock VALUES (1)")
    sampling = asyncio.create_task(bench.sampler.run())

    async def until(open_now: int) -> None:
        async with asyncio.timeout(30):
            while len(bench.store.run(alerts.listing, open_only=True)) != open_now:
                await asyncio.sleep(0.05)
                await bench.watcher.tick()

    try:
        with pg18.connect() as holder, pg18.connect() as waiter:
            holder.execute("BEGIN")
            holder.execute("UPDATE stock SET id = 1")
            waiting = asyncio.create_task(asyncio.to_thread(waiter.execute, "UPDATE stock SET id = 1"))
            await until(1)
            (raised,) = bench.store.run(alerts.listing)
            assert raised.details["blocked_by"] == [holder.info.backend_pid] and raised.details["waited_s"] >= 0.5
            holder.execute("ROLLBACK")
            await waiting
            await until(0)
    finally:
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)


async def test_a_run_that_fails_and_one_that_works_again(bench: Workbench) -> None:
    connection = await shop(bench)
    with bench.watcher.listening():
        for state, expected in (("failed", 1), ("failed", 1), ("done", 0)):
            error = "no route to host" if state == "failed" else None
            bench.notices.publish(Finished("exec_1", "sync_database_stats", connection, ExecutionState(state), error))
            await bench.watcher.tick()
            assert len(bench.store.run(alerts.listing, open_only=True)) == expected
    (one,) = bench.store.run(alerts.listing)
    assert one.message == "sync failed: no route to host"


async def test_a_budget_that_is_nearly_spent(bench: Workbench) -> None:
    def spend(micros: int) -> None:
        now = database.now_ms()
        models.Usage.create(
            id=f"use_{micros}", at=now, provider="p", model="m", purpose="test", outcome="success", local=False,
            actor="ada", prompt_hash="h", cost_micros=micros, currency="USD", created_at=now, updated_at=now,
        )  # fmt: skip

    await shop(bench)
    bench.store.run(budgets.add_plan, "Team", Decimal(10))
    bench.store.run(budgets.subscribe, "Team")
    bench.store.run(spend, 7_900_000)
    await bench.watcher.tick()
    assert rules(bench) == []
    bench.store.run(spend, 200_000)
    bench.watcher._budget_at = 0
    await bench.watcher.tick()
    (one,) = bench.store.run(alerts.listing)
    assert (one.rule, one.severity, one.connection_id) == ("budget", "warning", None)
    assert one.details["spent"] == "8.100000" and "81 %" in one.message


async def test_webhooks_are_told_once_signed_and_only_what_they_want(bench: Workbench, hook: Hook) -> None:
    connection = await shop(bench)
    told: list[Changed] = []
    bench.subscribe(lambda notice: told.append(notice) if isinstance(notice, Changed) else None)
    vault, run = bench.vault, bench.store.run
    all_of = run(channels.add, "all", Secret(hook.url), vault, key=Secret("signing-key"))
    run(channels.add, "flips", Secret(hook.url), vault, rules=["plan-flip"])
    run(channels.add, "night", Secret(hook.url), vault, quiet="00:00-24:00")
    assert all_of.place == hook.url.split("/hook")[0] and not all_of.encrypted
    run(alerts.put, connection, "critical", "Replication lag: 2 min", subject="lag")
    hook.script = [503, 429]
    await bench.watcher.tick()
    await bench.watcher.tick()
    assert len(hook.posted) == 3, "two that failed and one that was taken; the others do not want it, or sleep"
    path, headers, body = hook.posted[-1]
    assert path == "/hook/secret-part?token=canary"
    assert headers["x-meshag-signature"] == "sha256=" + hmac.new(b"signing-key", body, hashlib.sha256).hexdigest()
    assert hook.documents[-1]["text"] == "[critical] shop: Replication lag: 2 min"
    (alert,) = run(alerts.listing)
    assert [(each["name"], each["taken"]) for each in alert.deliveries] == [("all", True)] and alert.undelivered
    run(channels.edit, run(channels.find, "night").id, quiet="")
    run(models.Alert.update(claimed_until=0).execute)
    await bench.watcher.tick()
    assert len(hook.posted) == 4 and not run(alerts.get, alert.id).undelivered
    project = run(connections.get, connection).project_id
    run(lambda: projects.edit("ada", project, quiet="00:00-24:00"))
    run(alerts.put, connection, "critical", "Connections: 99 %", subject="connections")
    await bench.watcher.tick()
    assert len(hook.posted) == 4, "the project is quiet"
    run(lambda: projects.edit("ada", project, quiet=None))
    run(models.Alert.update(claimed_until=0).execute)
    await bench.watcher.tick()
    assert len(hook.posted) == 6
    run(lambda: projects.edit("ada", project, webhook=False))
    run(alerts.put, connection, "critical", "Locks: 99 %", subject="locks")
    await bench.watcher.tick()
    assert len(hook.posted) == 6
    run(lambda: projects.edit("ada", project, webhook=None, rate=1))
    run(channels.add, "ours", Secret(hook.url), vault, project=project)
    run(projects.add, "ada", "Other")
    run(channels.add, "theirs", Secret(hook.url), vault, project="Other")
    run(lambda: [channels.remove(run_id) for run_id in (all_of.id, channels.find("night").id)])
    for number in range(2):
        run(alerts.put, connection, "critical", f"Undo: {number}", subject=f"undo {number}")
        await bench.watcher.tick()
    assert [each["message"] for each in hook.documents[6:]] == ["Undo: 0"], "one an hour, to the project's own"
    said = " ".join(each.message for each in run(activity.recent, kind="alert"))
    row = run(lambda: list(models.Channel.select().dicts()))
    assert "canary" not in said + str(row) and "signing-key" not in str(row)


async def test_what_is_not_taken_is_said_without_the_address(bench: Workbench, hook: Hook) -> None:
    bench.store.run(channels.add, "all", Secret(hook.url), bench.vault)
    bench.store.run(alerts.put, None, "budget", "spent", subject="sub_1")
    hook.script = [302, 302]
    await bench.watcher._teller.tell()
    assert len(hook.posted) == 1, "a redirection is not followed, and not tried again at once"
    (alert,) = bench.store.run(alerts.listing)
    assert alert.undelivered
    assert "it answered 302" in alert.deliveries[0]["error"] and "canary" not in str(alert.deliveries)
    (entry,) = bench.store.run(activity.recent, kind="alert")
    assert entry.kind == "alert.not-sent" and "canary" not in entry.message


@pytest.mark.parametrize("url", ["ftp://x", "http://", "https://user:pass@host/x", "http://host:port/", "no"])
async def test_an_address_that_cannot_be_is_refused(bench: Workbench, url: str) -> None:
    with pytest.raises(UsageError) as refused:
        bench.store.run(channels.add, "x", Secret(url), bench.vault)
    assert url not in str(refused.value)


def test_the_document_of_an_alert_is_a_line_and_its_figures() -> None:
    alert = AlertInfo(
        "alr_1", "con_1", "shop", "critical", "lag", "critical", "Replication lag: 2 min", {"value": 120_000},
        1, 2, None, None, None, True, (),
    )  # fmt: skip
    said = webhooks.document(alert)
    assert said["text"] == "[critical] shop: Replication lag: 2 min"
    assert {"id", "rule", "subject", "connection", "details", "began_at", "ended_at"} <= said.keys()
