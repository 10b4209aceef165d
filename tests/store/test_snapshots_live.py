"""Whole syncs of real servers through resets, restarts, crashes and evictions: what the store then says ran."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from meshag_tui.engines.base import Limits
from meshag_tui.engines.postgres.session import connect
from meshag_tui.settings import Settings
from meshag_tui.store import connections, history, models, snapshots, snapshots_statements
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Target, Window
from tests.rig.postgres import Database

ALL_TIME = Window(0, 2**53)


class Sync:
    """Syncs a database into a store of its own and says what it counted of `SELECT … FROM orders`."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.store = Store.open(f"sqlite:///{folder / 'store.db'}")
        self.database = database
        vault = Vault.open(Settings(home=folder, store_url=""), {})
        target = Target.from_url(database.monitor_url)
        self.connection = self.store.run(connections.add, "live", target, vault).id

    def __call__(self) -> snapshots.SyncWritten:
        return asyncio.run(self._sync())

    async def _sync(self) -> snapshots.SyncWritten:
        async with connect(Target.from_url(self.database.monitor_url), "sync", Limits()) as session:
            snapshot = await session.collect()
            assert snapshot.statements is not None
            keys = [row[0] for row in snapshot.statements.rows]
            texts = await session.texts(self.store.run(snapshots_statements.unread_texts, self.connection, keys))
        return self.store.run(snapshots.write, self.connection, snapshot, texts)

    @property
    def calls(self) -> int:
        """Of the one statement, over all time."""
        page = self.store.run(history.queries, self.connection, ALL_TIME, text="from orders where")
        assert len(page.rows) <= 1
        return page.rows[0].calls if page.rows else 0

    @property
    def index(self) -> history.IndexRow:
        (row,) = self.store.run(history.indexes, self.connection, ALL_TIME)
        return row


@pytest.fixture
def synced(tmp_path: Path) -> Any:
    """`synced(database)` makes a table of orders with an index, and a `Sync` of it."""
    made: list[Sync] = []

    def make(database: Database) -> Sync:
        database.execute(
            "CREATE TABLE orders (id int, note text)",
            "INSERT INTO orders SELECT i, 'x' FROM generate_series(1, 5000) i",
            "CREATE INDEX orders_id ON orders (id)",
            "ANALYZE orders",
        )
        made.append(Sync(database, tmp_path))
        return made[0]

    yield make
    for sync in made:
        sync.store.close()


def run(database: Database, calls: int) -> None:
    with database.connect() as connection:
        for number in range(calls):
            connection.execute(f"SELECT note FROM orders WHERE id = {number + 1}")


def kinds(written: snapshots.SyncWritten) -> set[str]:
    return {event["kind"] for event in written.events}


def test_what_ran_between_syncs_is_what_is_counted(pg: Database, synced: Callable[[Database], Sync]) -> None:
    sync = synced(pg)
    run(pg, 5)
    sync()
    assert sync.calls == 0, "what ran before the first sync is a baseline"
    run(pg, 41)
    for _ in range(3):
        written = sync()
    assert sync.calls == 41 and sync.index.scans == 41
    assert written.complete and written.events == ()
    pg.execute("SELECT count(*) FROM orders o JOIN orders p USING (id)")
    before = sync().active
    assert before >= 1, "a statement seen for the first time between two syncs counts"


def test_lists_of_any_length_and_a_table_made_anew_are_one_statement(pg15: Database, tmp_path: Path) -> None:
    sync, pg = Sync(pg15, tmp_path), pg15
    make = "CREATE TABLE orders (id int PRIMARY KEY)"
    lists = [", ".join(map(str, range(length))) for length in range(1, 501)]
    pg.execute(make)
    sync()
    pg.execute(*(f"SELECT * FROM orders WHERE id IN ({each})" for each in lists))
    sync()
    assert sync.calls == 500
    pg.execute("DROP TABLE orders", make, *(f"SELECT * FROM orders WHERE id IN ({each})" for each in lists[:40]))
    sync()
    assert sync.calls == 540
    kept = sync.store.run(lambda: models.Query.select().where(models.Query.fingerprint.is_null(False)).count())
    assert kept >= 540, "to the server, each is a statement of its own"
    sync.store.close()


def test_a_reset_between_syncs(pg: Database, synced: Callable[[Database], Sync]) -> None:
    pg.execute("CREATE TABLE calm AS SELECT 1")  # stands still: it shows that this was no crash
    sync = synced(pg)
    run(pg, 10)
    sync()
    pg.execute("SELECT pg_stat_statements_reset()")
    run(pg, 25)
    written = sync()
    assert not written.complete and "reset" in kinds(written)
    assert sync.calls == 25 if pg.major >= 17 else 15 <= sync.calls <= 25
    assert sync.index.observed_since < written_at(sync), "indexes were not reset"
    run(pg, 3)
    counted = sync.calls
    assert sync().complete and sync.calls == counted + 3


def written_at(sync: Sync) -> int:
    return sync.store.run(history.latest_window, sync.connection, 0).end


def test_one_entry_reset_is_rebased_alone(pg: Database, synced: Callable[[Database], Sync]) -> None:
    sync = synced(pg)
    run(pg, 10)
    sync()
    pg.execute(
        "SELECT pg_stat_statements_reset(userid, dbid, queryid) FROM pg_stat_statements "
        "WHERE query LIKE '%FROM orders WHERE%'"
    )
    run(pg, 4)
    written = sync()
    assert sync.calls == 4
    assert not written.complete and kinds(written) == {"decrease"}


def test_the_longest_call_of_an_interval(pg: Database, synced: Callable[[Database], Sync]) -> None:
    """As far as the server's maximum tells: where it rose, or began anew."""
    sync = synced(pg)

    def longest(*seconds: float) -> float | None:
        with pg.connect(prepare_threshold=None) as connection:
            for each in seconds:
                connection.execute(f"SELECT pg_sleep({each}) FROM orders WHERE id = 1")
        sync()
        last = sync.store.run(history.latest_window, sync.connection, 1)
        page = sync.store.run(lambda: history.queries(sync.connection, last, text="from orders where", by_longest=True))
        return page.rows[0].longest_ms if page.rows else None

    assert longest(0.2) is None, "a baseline"
    assert longest(0.0, 0.01, 0.0) is None, "no longer than one before"
    assert 400 <= (longest(0.0, 0.4, 0.0) or 0) < 10_000
    assert longest() is None
    pg.execute(
        "SELECT pg_stat_statements_reset(userid, dbid, queryid) FROM pg_stat_statements WHERE query LIKE '%pg_sleep(%'"
    )
    assert 50 <= (longest(0.05) or 0) < 400
    if pg.major >= 17:
        pg.execute(
            "SELECT pg_stat_statements_reset(userid, dbid, queryid, true) FROM pg_stat_statements "
            "WHERE query LIKE '%pg_sleep(%'"
        )
        assert 20 <= (longest(0.02) or 0) < 50, "only what moved it since"


def test_a_restart_that_saves_its_statistics(private_pg: Callable[..., Database], synced: Any) -> None:
    database = private_pg(18)
    sync = synced(database)
    run(database, 10)
    sync()
    run(database, 7)
    database.server.stop()
    database.server.start()
    run(database, 5)
    written = sync()
    assert sync.calls == 12 and sync.index.scans == 12
    assert kinds(written) == {"restart"} and written.complete
    assert sync.index.observed_since < written_at(sync)


@pytest.mark.parametrize("major", [15, 18])
def test_a_crash_loses_the_use_of_indexes_and_says_so(
    private_pg: Callable[..., Database], synced: Any, major: int
) -> None:
    database = private_pg(major)
    sync = synced(database)
    run(database, 10)
    sync()
    since = sync.index.observed_since
    database.execute("CHECKPOINT")
    crash(database)
    run(database, 3)
    written = sync()
    assert not written.complete and "reset" in kinds(written)
    assert 0 <= sync.calls <= 3 and 0 <= (sync.index.scans or 0) <= 3
    assert sync.index.observed_since > since, "nobody knows whether it was used before the crash"


def crash(database: Database) -> None:
    """Kill a backend: the server restarts itself, its start time unchanged and its statistics gone."""
    with database.connect() as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.1)
            try:
                database.fetch("SELECT 1")
            except psycopg.OperationalError:
                continue
            if victim_is_gone(victim):
                return
    raise AssertionError("the server did not come back")


def victim_is_gone(victim: psycopg.Connection[Any]) -> bool:
    try:
        victim.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_evictions_mark_the_interval(private_pg: Callable[..., Database], synced: Any) -> None:
    database = private_pg(18, settings={"pg_stat_statements.max": "100"})
    sync = synced(database)
    sync()
    with database.connect() as connection:
        for number in range(300):
            connection.execute(f"SELECT {', '.join(['note'] * (number + 1))} FROM orders WHERE id = 1")
    written = sync()
    assert "eviction" in kinds(written) and not written.complete
    counted = sync.store.run(lambda: models.Interval.get_by_id(written.interval_id).calls)
    assert 0 < counted < 400
