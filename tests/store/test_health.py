"""Health as it is kept: the figures a score rests on, limits of one's own, scores that changed; alerts that last."""

from __future__ import annotations

import time

import pytest

from meshag_tui.advisor import score
from meshag_tui.live import Vital
from meshag_tui.settings import RetentionSettings
from meshag_tui.store import alerts, health, models, retention, sampled, snapshots
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import SeenSession, Span
from meshag_tui.types import MeshagError
from tests.store.readings import MINUTE, Watched, text

HOUR = 60 * MINUTE


def waiting(number: int, seen: int, blocked_by: tuple[int, ...] = (1,)) -> SeenSession:
    state = "active" if blocked_by else "idle in transaction"
    parts = (number, "app", "shop", "", "web", "client", state, "lock", "", 90_000.0, "f", blocked_by, seen)
    return SeenSession(*parts, text="SELECT 1")


def test_readings_are_what_the_store_holds(store: Store, connection: str) -> None:
    server = Watched()
    for key in ("quick", "dull"):
        server.run(key)
    store.run(snapshots.write, connection, server.snapshot(), [text("quick", "SELECT 1"), text("dull", "SELECT 2")])
    server.run("quick", 100, 1.0).run("dull", 1, 300.0)
    store.run(snapshots.write, connection, server.snapshot())
    at = server.at
    models_at = models.Connection.update(last_sync_at=at, next_sync_at=at + MINUTE, interval_s=60)
    store.run(models_at.where(models.Connection.id == connection).execute)
    vitals = {
        "hit_ratio": Vital("ok", 0.9),
        "connections": Vital("ok", 90.0, 100.0),
        "lag_ms": Vital("no data", detail="nobody replicates from it"),
        "oldest_ms": Vital("insufficient privilege", fix="GRANT pg_read_all_stats TO watcher;"),
        "age": Vital("ok", 1e9, 2e9),
    }
    seen = (waiting(2, 6), waiting(2, 3, (1, 3)), waiting(4, 2), waiting(1, 12, ()))
    store.run(sampled.add, connection, Span(at, at + MINUTE, 12, {"lock": 11.0}, seen, vitals))
    found = store.run(health.found, connection, 100.0, at + 2 * MINUTE)
    given = score.readings(found)
    assert {name: reading.value for name, reading in given.items() if reading.state == "ok"} == {
        "reading": 2.0,
        "connections": 0.9,
        "blocked": 45_000.0,  # session 2 was seen to wait in 9 of 12 samples of a minute
        "hits": 0.9,
        "wraparound": 0.5,
        "slow": 300 / 400,
        "idle": 1.0,
        "advice": 0.0,
    }
    assert given["lag"].detail == "nobody replicates from it"
    assert given["oldest"].fix == "GRANT pg_read_all_stats TO watcher;"
    judged = score.score(given)
    assert judged.judged == 80 and sum(item.lost for item in judged.items) == 100 - judged.score
    later = score.readings(store.run(health.found, connection, 100.0, at + HOUR))
    assert {later[name].state for name in ("connections", "blocked", "hits", "idle")} == {"no data"}
    assert later["reading"].value == 60.0


def test_limits_of_a_connection(store: Store, connection: str) -> None:
    assert store.run(health.limits, connection) == {}
    store.run(health.set_limits, connection, {"lag": (1.0, 2.0)})
    store.run(health.set_limits, connection, {"hits": (0.9, 0.5)})
    assert store.run(health.limits, connection) == {"hits": (0.9, 0.5)}
    with pytest.raises(MeshagError):
        store.run(health.set_limits, "con_gone", {})


def test_a_score_is_kept_when_it_changed_and_once_an_hour(store: Store, connection: str) -> None:
    def keep(minute: int, lost: int) -> bool:
        items = [{"name": "lag", "lost": lost}]
        return bool(store.run(health.keep, connection, minute * MINUTE, 100 - lost, 90, items))

    assert [keep(0, 0), keep(1, 0), keep(2, 5), keep(3, 5), keep(61, 5), keep(62, 5)] == [
        *(True, False, True, False, False, True),
    ]
    assert [each.score for each in store.run(health.history, connection)] == [95, 95, 100]
    assert store.run(health.newest_scores)[connection].at == 62 * MINUTE
    store.run(lambda: models.Health.delete().where(health.past(62 * MINUTE)).execute())
    assert [each.at for each in store.run(health.history, connection)] == [62 * MINUTE], "the last one stays"


def test_an_alert_lasts_as_long_as_its_cause(store: Store, connection: str) -> None:
    first = store.run(alerts.put, connection, "critical", "lag 2 min", subject="lag", details={"value": 120})
    assert first is not None and first.is_open and first.connection_name == "shop"
    assert store.run(alerts.put, connection, "critical", "lag 3 min", subject="lag", details={"value": 180}) is None
    assert store.run(alerts.put, connection, "critical", "hits", subject="hits") is not None
    assert store.run(alerts.get, first.id).details == {"value": 180}
    assert store.run(alerts.standing) == {connection: 2}
    ended = store.run(alerts.end, connection, "critical", {"hits"})
    assert [each.subject for each in ended] == ["lag"]
    assert [each.subject for each in store.run(alerts.listing, connection, open_only=True)] == ["hits"]
    again = store.run(alerts.put, connection, "critical", "lag 1 min", subject="lag")
    assert again is not None and again.id != first.id
    noted = store.run(alerts.acknowledge, again.id, "ada")
    assert noted.acknowledged_by == "ada" and store.run(alerts.standing) == {connection: 1}
    assert len(store.run(alerts.listing)) == 3


def test_what_happened_at_a_moment_is_alerted_of_once(store: Store, connection: str) -> None:
    put = ("plan-flip", "another plan")
    assert store.run(alerts.put, connection, *put, subject="plan 2", lasting=False) is not None
    assert store.run(alerts.put, connection, *put, subject="plan 2", lasting=False) is None
    assert store.run(alerts.put, connection, *put, subject="plan 3", lasting=False) is not None
    assert store.run(alerts.end, connection, "plan-flip") == ()
    assert store.run(alerts.standing) == {connection: 2}


def test_one_process_tells_an_alert_and_what_is_over_is_not_told(store: Store, connection: str) -> None:
    over = store.run(alerts.put, connection, "blocked", "waits")
    moment = store.run(alerts.put, connection, "plan-flip", "another", subject="p", lasting=False)
    lasting = store.run(alerts.put, None, "budget", "spent", subject="sub_1")
    assert over and moment and lasting
    time.sleep(0.002)
    store.run(alerts.end, connection, "blocked")
    assert {each.id for each in store.run(alerts.claim)} == {moment.id, lasting.id}
    assert store.run(alerts.claim) == (), "another process has them"
    store.run(alerts.told, moment.id, [{"channel": "chn_1", "taken": True}], again=False)
    store.run(alerts.told, lasting.id, [], again=True)
    assert store.run(alerts.claim) == ()
    store.run(models.Alert.update(claimed_until=0).execute)
    assert [each.id for each in store.run(alerts.claim)] == [lasting.id]
    gone = store.run(retention.prune, RetentionSettings(hour_days=0))
    assert gone.rows["alerts"] == 2 and [each.id for each in store.run(alerts.listing)] == [lasting.id]
