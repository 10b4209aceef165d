"""One sync in the store: deltas, baselines, gone objects, schema versions, and nothing half done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import peewee
import psycopg
import pytest

from meshag_tui.snapshot import Column, Epoch, Sequence
from meshag_tui.store import bulk, connections, models, snapshots, snapshots_statements
from meshag_tui.store.baselines import Block
from meshag_tui.store.database import Store
from meshag_tui.types import Finding, MeshagError
from tests.store.readings import MINUTE, START, Watched, text

DAY = 86_400_000


def statistics() -> list[tuple[Any, ...]]:
    query, row = models.Query, models.QueryStatistics
    return list(
        row.select(row.interval_id, query.key, row.calls, row.time_ms)
        .join(query, on=row.query_id == query.id)
        .order_by(row.interval_id, query.key)
        .tuples()
    )


def count_statements(monkeypatch: pytest.MonkeyPatch, kind: str) -> list[str]:
    """A list that grows by one for every statement sent to the store but BEGIN; a bulk statement counts once."""
    sent: list[str] = []

    def watch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            statement = f"{args[1] if len(args) > 1 else args[0]!s:.60}"
            if statement != "BEGIN":
                sent.append(f"{name} {statement}")
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    if kind == "postgresql":
        watch(psycopg.Cursor, "execute")
        watch(psycopg.Cursor, "copy")
    else:
        watch(peewee.Database, "execute_sql")
        watch(bulk, "insert")
        watch(bulk, "update")
        watch(bulk, "upsert")
    return sent


def test_forty_one_calls_are_forty_one_after_idle_syncs(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.run("a", 1000)
    first = store.run(snapshots.write, con, server.snapshot())
    server.run("a", 41, 2.0).run("b", 2, 5.0)
    second = store.run(snapshots.write, con, server.snapshot())
    for _ in range(3):
        idle = store.run(snapshots.write, con, server.snapshot())
    assert (first.active, first.new_statements, second.active, second.new_statements) == (0, 1, 2, 1)
    assert (idle.active, idle.complete, idle.events) == (0, True, ())
    assert store.run(statistics) == [(second.interval_id, "a", 41, 82.0), (second.interval_id, "b", 2, 10.0)]
    rows = store.run(lambda: list(models.Interval.select().order_by(models.Interval.id).tuples()))
    assert [(row[3], row[4], row[5], row[7], row[8]) for row in rows[:2]] == [
        (None, START + MINUTE, True, 0, 0.0),
        (START + MINUTE, START + 2 * MINUTE, True, 43, 92.0),
    ]


def test_a_counter_not_measured_is_null(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    store.run(snapshots.write, con, server.run("a").snapshot())
    store.run(snapshots.write, con, server.run("a", 3, shared_read=7).snapshot())
    row = store.run(lambda: models.QueryStatistics.get())
    assert (row.calls, row.shared_read, row.io_time_ms, row.wal_bytes) == (3, 7, None, None)


def test_a_reset_is_an_event_and_never_negative(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    store.run(snapshots.write, con, server.run("a", 100).run("b", 100).index("i", 7).index("j", 5).snapshot())
    server.statements = {}
    server.epoch = replace(server.epoch, stats_reset=server.at + 1)
    written = store.run(snapshots.write, con, server.run("a", 4).snapshot())
    assert not written.complete
    assert [event["kind"] for event in written.events] == ["reset"]
    assert store.run(statistics) == [(written.interval_id, "a", 4, 4.0)]
    # b was gone at the last reading: what it has now is of this interval.
    again = store.run(snapshots.write, con, server.run("b", 9).snapshot())
    assert again.complete
    assert store.run(statistics)[1:] == [(again.interval_id, "b", 9, 9.0)]


def test_a_reset_is_counted_once_though_tables_are_read_more_seldom(store: Store, connection: str) -> None:
    con, server = connection, Watched()

    def counted(objects: bool = False) -> tuple[list[str], int]:
        unread = {} if objects else {"tables": None, "indexes": None}
        written = store.run(snapshots.write, con, server.run("a").snapshot(**unread))
        return [event["kind"] for event in written.events], written.resets

    server.index("i")
    assert counted(objects=True) == ([], 0)
    server.epoch = replace(server.epoch, stats_reset=server.at + 1)
    assert counted() == (["reset"], 1)
    assert counted() == ([], 1)
    assert counted(objects=True) == (["reset"], 1), "what the index counted may be lost, by the same"
    server.epoch = replace(server.epoch, objects_reset=server.at + 1)
    assert counted(objects=True) == (["reset"], 2), "they were reset themselves"


def test_what_leaves_the_server_and_returns_is_the_same_statement(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    for n in range(600):
        server.run(f"q{n:03}")
    store.run(snapshots.write, con, server.snapshot())

    def kept() -> tuple[list[int], list[int], dict[str, int]]:
        """Sizes of blocks, ids in them, and ids of statements that are not on the server."""
        blocks = [Block.from_texts(row.number, row.statements, row.counters) for row in models.Baseline.select()]
        query = models.Query
        gone = {row.key: row.id for row in query.select().where(query.gone_at.is_null(False))}
        known = {row.id: row.key for row in query.select()}
        assert all(known[i] == key for block in blocks for i, key in zip(block.ids, block.keys, strict=True))
        return sorted(map(len, blocks)), sorted(i for block in blocks for i in block.ids), gone

    sizes, ids, gone = store.run(kept)
    assert (sizes, len(set(ids)), gone) == ([88, 256, 256], 600, {})
    assert server.statements is not None
    away = {key: server.statements.pop(key) for key in list(server.statements)[100:400]}
    store.run(snapshots.write, con, server.run("q000", 2).snapshot())
    sizes, left, gone = store.run(kept)
    assert (sum(sizes), gone.keys()) == (300, away.keys())
    assert sorted([*left, *gone.values()]) == ids
    server.statements |= away
    for n in range(50):
        server.run(f"new{n}")
    written = store.run(snapshots.write, con, server.run("q100", 4).snapshot())
    assert (written.new_statements, written.active) == (50, 350), "what began anew counts whole"
    sizes, now, gone = store.run(kept)
    assert (sum(sizes), len(sizes), gone) == (650, 3, {}) and set(ids) < set(now)
    assert (written.interval_id, "q100", 5, 5.0) in store.run(statistics)
    server.statements = {}
    store.run(snapshots.write, con, server.snapshot())
    sizes, now, gone = store.run(kept)
    assert (sum(sizes), now, len(gone)) == (0, [], 650)
    server.statements |= away
    assert store.run(snapshots.write, con, server.snapshot()).new_statements == 0
    sizes, now, gone = store.run(kept)
    assert (sum(sizes), len(sizes), len(gone)) == (300, 3, 350), "blocks that nothing was left of are filled again"


def test_many_new_statements_are_entered_in_parts(
    store: Store, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 7)
    con, server = connection, Watched()
    names = [f"n{number:02}" for number in range(20)]
    for number, name in enumerate(names[:10], 1):
        server.run(name, number)
    first = store.run(snapshots.write, con, server.snapshot())
    for number, name in enumerate(names, 1):
        server.run(name, number)
    second = store.run(snapshots.write, con, server.snapshot())
    assert (first.new_statements, second.new_statements, second.active) == (10, 10, 20)
    assert [row[:3] for row in store.run(statistics)] == [
        (second.interval_id, name, number) for number, name in enumerate(names, 1)
    ]


def test_extremes_and_when_it_was_last_seen_follow_the_statement(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    store.run(snapshots.write, con, server.run("a", 1, 5.0).run("b", 1, 5.0).snapshot())
    store.run(snapshots.write, con, server.run("a", 1, 2.0).snapshot())
    store.run(snapshots.write, con, server.run("b", 1, 5.0).snapshot())

    def seen() -> dict[str, tuple[Any, ...]]:
        rows = models.Query.select()
        return {row.key: (row.min_time_ms, row.max_time_ms, row.first_seen_at, row.last_seen_at) for row in rows}

    first, at = START + MINUTE, START + 2 * MINUTE
    assert store.run(seen) == {"a": (2.0, 5.0, first, at), "b": (5.0, 5.0, first, at + MINUTE)}
    # Another server: nothing is counted, but what ran there was seen.
    server.epoch = replace(server.epoch, system_identifier="7002")
    written = store.run(snapshots.write, con, server.run("a", 1, 9.0).snapshot())
    assert written.active == 0
    assert store.run(seen)["a"] == (2.0, 9.0, first, at + 2 * MINUTE)


def test_texts_are_kept_and_asked_for_once(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.run("a").run("b").run("c")
    keys = list(server.statements or {})
    assert store.run(snapshots_statements.unread_texts, con, keys) == keys
    found = [
        text("a", "SELECT 1", fingerprint="f1"),
        text("b", None, state="forbidden"),
        text("c", "VACUUM", aside="utility"),
    ]
    store.run(snapshots.write, con, server.snapshot(), [replace(found[1], text=None), found[0]])
    assert store.run(snapshots_statements.unread_texts, con, ["a", "b", "c", "d"]) == ["b", "c", "d"]
    # b is active and c idle when their texts come
    store.run(
        snapshots.write, con, server.run("b").snapshot(), [replace(found[1], text="SELECT 2", state="ok"), found[2]]
    )
    assert store.run(snapshots_statements.unread_texts, con, ["a", "b", "c"]) == []
    rows = store.run(
        lambda: {
            row.query.key: (row.text, row.query.text_state, row.query.internal, row.query.db_user)
            for row in models.QueryText.select()
        }
    )
    assert rows == {
        "a": ("SELECT 1", "ok", False, "app"),
        "b": ("SELECT 2", "ok", False, "app"),
        "c": ("VACUUM", "ok", True, "app"),
    }


def test_a_text_no_database_would_take_is_cleaned(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    store.run(snapshots.write, con, server.run("a").snapshot(), [text("a", "SELECT '\0\ud800\t\\N'")])
    assert store.run(lambda: models.QueryText.get().text) == "SELECT '\ufffd?\t\\N'"


def test_an_unread_section_keeps_what_is_known_and_says_so(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.run("a", 5).table("orders").index("i")
    store.run(snapshots.write, con, server.snapshot())
    server.run("a", 5).table("orders", seq_scan=3)
    blind = store.run(snapshots.write, con, server.snapshot(statements=None, indexes=None))
    assert (blind.statements, blind.indexes, blind.complete) == (0, None, False)
    assert [event["kind"] for event in blind.events] == ["unread"]
    later = store.run(snapshots.write, con, server.run("a", 1).index("i", 2).snapshot())
    assert store.run(statistics) == [(later.interval_id, "a", 6, 6.0)]
    interval = store.run(lambda: models.Interval.get_by_id(later.interval_id))
    assert interval.start_at == START + MINUTE  # the deltas are of both minutes
    assert store.run(lambda: [row.scans for row in models.IndexUsage.select()]) == [2]
    assert store.run(lambda: models.MonitoredIndex.get().gone_at) is None


def test_tables_and_indexes_write_only_what_they_did(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.table("orders", seq_scan=9).table("idle").index("i", 4).index("unused")
    store.run(snapshots.write, con, server.snapshot())
    server.table("orders", seq_scan=2, seq_rows=2000, size_bytes=90_000).table("idle", frozen_age=5000).index("i", 3)
    store.run(snapshots.write, con, server.snapshot())
    store.run(snapshots.write, con, server.snapshot())
    access = store.run(lambda: [(r.seq_scan, r.seq_rows, r.inserts, r.size_bytes) for r in models.TableAccess.select()])
    assert access == [(2, 2000, 0, 90_000)]
    assert store.run(lambda: [(row.scans, row.size_bytes) for row in models.IndexUsage.select()]) == [(3, 16_384)]
    used = store.run(
        lambda: {row.name: (row.last_used_at, row.observed_since) for row in models.MonitoredIndex.select()}
    )
    assert used == {"i": (START + 2 * MINUTE, START + MINUTE), "unused": (None, START + MINUTE)}
    assert store.run(lambda: models.MonitoredTable.get(name="idle").stats["frozen_age"]) == 100


def test_what_disappears_is_marked_gone_and_may_return(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.table("orders").table("old").index("i").index("dropped")
    store.run(snapshots.write, con, server.snapshot())
    old, dropped = (server.tables or {}).pop("old"), (server.indexes or {}).pop("dropped")

    def gone() -> dict[str, int | None]:
        rows = [*models.MonitoredTable.select(), *models.MonitoredIndex.select()]
        return {row.name: row.gone_at for row in rows}

    locked = Finding("relations-locked", "degraded", "", "")
    store.run(snapshots.write, con, server.snapshot(warnings=(locked,)))
    assert set(store.run(gone).values()) == {None}, "a locked relation may be left out of a reading"
    store.run(snapshots.write, con, server.snapshot())
    at = START + 3 * MINUTE
    assert store.run(gone) == {"orders": None, "old": at, "i": None, "dropped": at}
    assert server.tables is not None and server.indexes is not None
    server.tables["old"], server.indexes["dropped"] = old, dropped
    store.run(snapshots.write, con, server.snapshot())
    assert set(store.run(gone).values()) == {None}


@pytest.mark.parametrize("how", ["crash", "failover", "objects reset", "statements reset", "quiet"])
def test_observation_of_index_use(store: Store, connection: str, how: str) -> None:
    con, server = connection, Watched()
    server.table("orders", inserts=5).index("i", 7).index("j", 2)
    store.run(snapshots.write, con, server.snapshot())
    assert server.indexes is not None and server.tables is not None
    if how == "crash":
        server.indexes["i"] = replace(server.indexes["i"], scans=0)
        server.indexes["j"] = replace(server.indexes["j"], scans=0)
        server.epoch = replace(server.epoch, stats_reset=server.at + 1)
    elif how == "failover":
        server.epoch = replace(server.epoch, role="replica", started_at=77)
    elif how == "objects reset":
        server.epoch = replace(server.epoch, objects_reset=server.at + 1)
    elif how == "statements reset":
        server.epoch = replace(server.epoch, stats_reset=server.at + 1)
    server.index("i", 1)
    written = store.run(snapshots.write, con, server.snapshot())
    since = store.run(lambda: {row.observed_since for row in models.MonitoredIndex.select()})
    broken = how in ("crash", "failover", "objects reset")
    assert since == {START + (2 if broken else 1) * MINUTE}
    assert any("observed anew" in event["detail"] for event in written.events) is broken
    usage = store.run(lambda: [row.scans for row in models.IndexUsage.select()])
    assert usage == ([] if how == "failover" else [1])


def test_time_nobody_watched_is_not_observation(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.index("i", 7)
    store.run(snapshots.write, con, server.snapshot())
    store.run(snapshots.write, con, server.snapshot(after_ms=DAY))
    since = lambda: models.MonitoredIndex.get().observed_since  # noqa: E731
    assert store.run(since) == START + MINUTE, "the counters bridge a day's pause"
    written = store.run(snapshots.write, con, server.snapshot(after_ms=10 * DAY))
    assert [event["kind"] for event in written.events] == ["gap"] and written.complete
    assert START + 11 * DAY + MINUTE - store.run(since) < 3 * DAY
    # Our clock leaps a month ahead while the server's does not: no month was observed.
    leap = server.snapshot()
    before = leap.taken_at - store.run(since)
    store.run(snapshots.write, con, replace(leap, taken_at=leap.taken_at + 30 * DAY))
    assert leap.taken_at + 30 * DAY - store.run(since) == before


def test_a_pause_without_any_witness_starts_observation_anew(store: Store, connection: str) -> None:
    con, server = connection, Watched(epoch=Epoch("7001", "primary", 1, None))
    store.run(snapshots.write, con, server.index("i", 7).snapshot(statements=None))
    store.run(snapshots.write, con, server.snapshot(after_ms=DAY, statements=None))
    assert store.run(lambda: models.MonitoredIndex.get().observed_since) == START + MINUTE + DAY


def test_a_schema_is_stored_when_it_changes(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.table("orders").index("i")
    assert not store.run(snapshots.write, con, server.snapshot()).schema_changed
    assert not store.run(snapshots.write, con, server.index("i", 5).snapshot()).schema_changed
    assert store.run(lambda: models.SchemaVersion.select().count()) == 1
    server.columns["public.orders"] += (Column("note", "text", True),)
    assert store.run(snapshots.write, con, server.snapshot()).schema_changed
    assert not store.run(snapshots.write, con, server.snapshot(indexes=None)).schema_changed
    assert store.run(snapshots.write, con, server.index("k").snapshot()).schema_changed
    assert store.run(lambda: models.SchemaVersion.select().count()) == 3


def test_sequences_nearest_their_limit_are_kept(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    server.sequences = tuple(Sequence("public", f"s{n}", n, 1000, 1, False) for n in range(600))
    store.run(snapshots.write, con, server.snapshot())
    kept = store.run(lambda: models.Setting.get().value)
    assert len(kept) == 500 and kept[0]["name"] == "s599"
    store.run(connections.remove, con)
    assert store.run(lambda: models.Setting.select().count()) == 0


def test_a_failure_in_the_middle_leaves_everything_as_it_was(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    store.run(snapshots.write, con, server.run("a", 5).table("orders").index("i").snapshot())

    def everything() -> list[list[tuple[Any, ...]]]:
        return [list(model.select().order_by(*model._meta.get_primary_keys()).tuples()) for model in models.MODELS]

    before = store.run(everything)
    server.run("a", 3).run("b", 1).table("orders", seq_scan=1).index("i", 2)
    broken = replace(server.snapshot(), sequences=("not a sequence",))  # fails after the rows are written
    with pytest.raises(Exception, match="last_value"):
        store.run(snapshots.write, con, broken)
    assert store.run(everything) == before
    good = store.run(snapshots.write, con, server.snapshot())
    assert store.run(statistics) == [(good.interval_id, "a", 3, 3.0), (good.interval_id, "b", 1, 1.0)]


def test_a_reading_overtaken_by_a_later_one_is_refused(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    store.run(snapshots.write, con, server.run("a", 5).snapshot())
    early = server.run("a", 5).snapshot(after_ms=1000)
    late = server.run("a", 5).snapshot(after_ms=1000)
    store.run(snapshots.write, con, late)
    with pytest.raises(snapshots.Overtaken):
        store.run(snapshots.write, con, early)
    assert [row[2] for row in store.run(statistics)] == [10]


def test_an_unknown_connection_is_an_error(store: Store) -> None:
    with pytest.raises(MeshagError, match="gone"):
        store.run(snapshots.write, "con_nobody", Watched().snapshot())


def test_figures_beyond_32_bits(store: Store, connection: str) -> None:
    con, server = connection, Watched()
    store.run(snapshots.write, con, server.run("a").snapshot())
    store.run(snapshots.write, con, server.run("a", 3 * 10**9, 2.5, shared_hit=2**62).snapshot())
    row = store.run(lambda: models.QueryStatistics.get())
    assert (row.calls, row.time_ms, row.shared_hit) == (3 * 10**9, 7.5 * 10**9, 2**62)


@pytest.mark.parametrize("tables", [100, 3000])
def test_the_number_of_statements_does_not_depend_on_the_number_of_objects(
    store: Store, connection: str, tables: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    con, server, sent = connection, Watched(), count_statements(monkeypatch, store.kind)
    for n in range(tables):
        server.table(f"t{n}").index(f"i{n}", table=f"t{n}").run(f"q{n}")
    counts = []
    for _ in range(3):
        snapshot = server.snapshot()
        sent.clear()
        store.run(snapshots.write, con, snapshot, [text(key) for key in list(server.statements or {})[:50]])
        counts.append(len(sent))
        for n in range(0, tables, 2):
            server.table(f"t{n}", inserts=1).index(f"i{n}", 1).run(f"q{n}").run(f"new{tables}-{n}")
    assert max(counts) <= 20, (counts, sent)
