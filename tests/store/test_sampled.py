"""What sessions did, as it is kept: added up by steps, scrolled back through, forgotten in time."""

from __future__ import annotations

from meshag_tui.live import Vital
from meshag_tui.settings import RetentionSettings
from meshag_tui.store import models, retention, sampled
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import SeenSession, Span
from meshag_tui.types import Window

MINUTE = 60_000
T = 1_790_000_000_000 // MINUTE * MINUTE


def session(number: int, fingerprint: str = "f1", blocked_by: tuple[int, ...] = ()) -> SeenSession:
    wait = "lock" if blocked_by else "cpu"
    return SeenSession(
        *(
            number,
            "app",
            "shop",
            "10.0.0.1",
            "shop-web",
            "client",
            "active",
            wait,
            "",
            12.5,
            fingerprint,
            blocked_by,
            3,
        ),
        text=f"SELECT {fingerprint} \0",
    )


def span(minute: int, samples: int, sessions: tuple[SeenSession, ...] = (), **active: float) -> Span:
    return Span(T + minute * MINUTE, T + (minute + 1) * MINUTE, samples, active, sessions)


def test_load_is_the_mean_over_samples_and_a_gap_where_nobody_looked(store: Store, connection: str) -> None:
    store.run(sampled.add, connection, span(0, 12, cpu=24.0, lock=6.0))
    store.run(sampled.add, connection, span(0, 4, cpu=0.0))  # another process looked at the same minute
    store.run(sampled.add, connection, span(2, 10))
    buckets = store.run(sampled.load, connection, Window(T, T + 4 * MINUTE), 4)
    assert [each.active for each in buckets] == [{"cpu": 1.5, "lock": 0.375}, None, {}, None]
    assert [each.total for each in buckets] == [1.875, None, 0, None]
    (whole,) = store.run(sampled.load, connection, Window(T, T + 4 * MINUTE), 1)
    assert whole.active == {"cpu": 24 / 26, "lock": 6 / 26}
    finer = store.run(sampled.load, connection, Window(T, T + MINUTE), 4)
    assert [each.total for each in finer] == [1.875] * 4


def test_what_was_it_doing_then(store: Store, connection: str) -> None:
    vitals = {"connections": Vital("ok", 7.0, 97.0), "lag_ms": Vital("no data", detail="nobody replicates from it")}
    store.run(sampled.add, connection, span(0, 12, (session(1), session(2, "f2", (1,)))))
    store.run(sampled.add, connection, Span(T + 5 * MINUTE, T + 6 * MINUTE, 1, {}, (session(3),), vitals))
    found = store.run(sampled.at, connection, T + 30_000, MINUTE)
    assert found is not None
    assert [(each.id, each.text, each.blocked_by) for each in found.sessions] == [
        (1, "SELECT f1 \N{REPLACEMENT CHARACTER}", ()),
        (2, "SELECT f2 \N{REPLACEMENT CHARACTER}", (1,)),
    ]
    assert store.run(sampled.at, connection, T + 3 * MINUTE, MINUTE) is None
    near = store.run(sampled.at, connection, T + 6 * MINUTE + 20_000, MINUTE)
    assert near is not None
    assert near.vitals == vitals
    assert store.run(sampled.newest_vitals, connection) == (T + 6 * MINUTE, vitals)


def test_texts_are_kept_once_and_all_is_forgotten_in_time(store: Store, connection: str) -> None:
    for minute in range(3):
        store.run(sampled.add, connection, span(minute, 12, (session(1),)))
    assert store.run(models.SampledText.select().count) == 1
    day = 24 * 60 * MINUTE
    store.run(retention.prune, RetentionSettings(sampled_days=1), T + day)  # the clock is believed from here
    gone = store.run(retention.prune, RetentionSettings(sampled_days=1), T + day + 2 * MINUTE)
    assert gone.rows["sampled"] == 2
    assert store.run(models.SampledText.select().count) == 1
    store.run(retention.prune, RetentionSettings(sampled_days=1), T + day + 3 * MINUTE)
    assert store.run(models.SampledText.select().count) == 0


def test_the_statement_of_a_session_is_found_by_its_fingerprint(store: Store, connection: str) -> None:
    def put() -> None:
        for key, seen in (("a", 1), ("b", 2)):
            models.Query.insert(
                connection=connection, key=key, fingerprint="f1", first_seen_at=1, last_seen_at=seen
            ).execute()

    store.run(put)
    newest = store.run(lambda: models.Query.get(models.Query.key == "b").id)
    assert store.run(sampled.query_of, connection, "f1") == newest
    assert store.run(sampled.query_of, connection, "f2") is None
