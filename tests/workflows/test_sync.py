"""Syncs of real servers: what they write, how they fail, and how a connection recovers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from meshag_tui.settings import CollectSettings, Settings
from meshag_tui.store import activity, connections, executions, models
from meshag_tui.types import ConnectionStatus, ExecutionState, Secret, Target
from meshag_tui.workflows.durable import RunFailed
from meshag_tui.workflows.notices import Changed, Finished, Notice, Progress
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.rig.socks import SocksServer
from tests.rig.statements import Sent
from tests.rig.stores import put_store
from tests.rig.waiting import behind


@pytest.fixture
async def bench(store_url: str, tmp_path: Path) -> AsyncIterator[Workbench]:
    """A workbench on an empty store, on either database in turn."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = Settings(home=home, store_url=store_url, collect=CollectSettings(interval_s=10))
    async with await Workbench.open(settings) as bench:
        yield bench


async def status_of(bench: Workbench, connection_id: str) -> connections.ConnectionInfo:
    return await bench.store(connections.get, connection_id)


async def test_a_sync_writes_everything_and_says_so(bench: Workbench, pg18: Database) -> None:
    pg18.execute("CREATE TABLE shop (id int PRIMARY KEY, name text)", "CREATE INDEX shop_name ON shop (name)")
    heard: list[Notice] = []
    bench.subscribe(heard.append)
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    assert added.status is ConnectionStatus.TESTING
    first = await bench.sync(added.id)
    assert (first.tables, first.indexes) == (1, 2) and first.statements > 0
    for _ in range(41):
        pg18.execute("SELECT name FROM shop WHERE id = 7")
    second = await bench.sync(added.id)
    assert second.active > 0 and second.complete
    info = await status_of(bench, added.id)
    assert info.status is ConnectionStatus.ACTIVE and info.last_error is None and info.last_sync_at is not None
    assert info.next_sync_at is not None
    assert 9_000 <= info.next_sync_at - info.last_sync_at <= 10_600
    run = await bench.store(executions.get, second.execution_id)
    assert run.state is ExecutionState.DONE and run.duration_ms is not None
    assert set(run.result["phases"]) == {"connect", "collect", "texts", "store"}
    phases = [notice.phase for notice in heard if isinstance(notice, Progress)]
    assert phases[:4] == ["connect", "collect", "texts", "store"]
    assert Changed("statistics", added.id) in heard
    assert [notice.state for notice in heard if isinstance(notice, Finished)] == [ExecutionState.DONE] * 2


async def test_a_server_behind_a_proxy_alone_is_tested_and_synced(bench: Workbench, pg18: Database) -> None:
    async with SocksServer({"database.behind.example": "127.0.0.1"}, ("someone", "pr0xy-pass")) as proxy:
        target = replace(Target.from_url(pg18.monitor_url), host="database.behind.example", proxy=proxy.url)
        info = await bench.connections.add("hidden", target)
        await bench.connections.test_saved(info.id)
        tested = len(proxy.asked)
        assert tested and (await bench.sync(info.id)).server_statements > 0
        assert len(proxy.asked) > tested, "the sync went through it as well"
        found = await bench.store(connections.get, info.id)
        assert (found.status, found.last_error) == (ConnectionStatus.ACTIVE, None)


async def test_three_triggers_one_collection(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    reports = await asyncio.gather(*(bench.sync(added.id) for _ in range(3)))
    assert len({report.execution_id for report in reports}) == 1
    assert len({report.statements for report in reports}) == 1
    assert sum(report.joined for report in reports) == 2
    assert len(await bench.executions(added.id)) == 1


async def scheduled(bench: Workbench, connection_id: str) -> set[str]:
    """Sync as the scheduler does; the phases it went through."""
    outcome = await bench.runner.submit(
        "sync_database_stats", connection_id, connection_id=connection_id, input={"by_hand": False}
    )
    return set(outcome.value()["phases"])


async def test_texts_are_not_read_at_every_sync_but_by_hand(bench: Workbench, pg18: Database) -> None:
    pg18.execute("SELECT 1 AS first_statement")
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)

    pg18.execute("SELECT 1 AS brand_new_statement")
    assert "texts" not in await scheduled(bench, added.id)
    assert "texts" in (await bench.sync(added.id)).phases


async def test_what_we_asked_the_server_is_known_as_ours_at_the_next_sync(bench: Workbench, pg18: Database) -> None:
    """Of a role that also owns things only the texts say what is ours: they are not waited for."""
    pg18.execute("CREATE TABLE orders (id int PRIMARY KEY, customer_id int)", "SELECT * FROM orders WHERE id = 4")
    added = await bench.connections.add("shop", Target.from_url(pg18.url))
    await bench.sync(added.id)
    query = await bench.store(
        lambda: models.QueryText.select().where(models.QueryText.text.contains("orders WHERE id")).get().query_id
    )

    asking: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: bench.explain(query),
        lambda: bench.advice.suggest(added.id),
    )
    for ask in asking:
        await ask()
        assert "texts" in await scheduled(bench, added.id)
        unread = models.Query.select().where(models.Query.text_state == "unread", ~models.Query.internal)
        assert await bench.store(unread.count) == 0
        assert "texts" not in await scheduled(bench, added.id)


async def test_tables_and_indexes_are_not_read_at_every_sync_but_by_hand(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    assert (await bench.sync(added.id)).tables == 0
    pg18.execute("CREATE TABLE late (id int PRIMARY KEY)")
    outcome = await bench.runner.submit(
        "sync_database_stats", added.id, connection_id=added.id, input={"by_hand": False}
    )
    assert outcome.value()["tables"] is None
    assert (await bench.sync(added.id)).tables == 1


async def test_a_sync_that_has_everything_to_say_sends_the_store_few_statements(
    store_url: str, tmp_path: Path, pg18: Database
) -> None:
    """Each kind of news at once: statements that are new, went, came back or got their text, a reset, moved extremes,
    tables and indexes that are new, used, altered or gone, a sequence that moved, warnings."""
    pg18.execute(
        "CREATE TABLE used (id serial PRIMARY KEY, note text)",
        "CREATE TABLE going (id int PRIMARY KEY)",
        "CREATE INDEX used_note ON used (note)",
        "SELECT count(*) FROM used WHERE note = 'returns'",
    )
    every_time = CollectSettings(objects_every_s=0, texts_every_s=0, texts_per_sync=3)
    settings = Settings(home=tmp_path, store_url=store_url, collect=every_time)
    async with await Workbench.open(settings) as bench:
        added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))

        async def sync() -> dict[str, Any]:
            outcome = await bench.runner.submit(
                "sync_database_stats", added.id, connection_id=added.id, input={"by_hand": False}
            )
            return dict(outcome.value())

        await sync()
        pg18.execute("SELECT pg_stat_statements_reset()", "INSERT INTO used (note) VALUES ('a')", "SELECT 1 AS goes")
        await sync()
        pg18.execute(
            "SELECT pg_stat_statements_reset()",
            "SELECT pg_stat_reset()",
            "SELECT count(*) FROM used WHERE note = 'returns'",
            "INSERT INTO used (note) VALUES ('b')",
            "SELECT 1 AS is_new, pg_sleep(0.01)",
            "ALTER TABLE used ADD COLUMN more int",
            "CREATE TABLE is_new (id int PRIMARY KEY)",
            "DROP TABLE going",
            "SET enable_seqscan = off",
            "SELECT id FROM used WHERE id = 1",
        )
        await asyncio.sleep(1.2)  # until the sessions' counters are with the server
        sent = Sent()
        await bench.store(sent.note)
        result = await sync()

        assert result["new_statements"] and result["active"] and result["schema_changed"] and result["warnings"]
        assert {event["kind"] for event in result["events"]} >= {"reset"}
        written = " ".join(sent.statements)
        for table in ("query", "query_text", "query_statistics", "baseline", "monitored_table", "table_access"):
            assert f'"{table}"' in written, table
        for table in ("monitored_index", "index_usage", "schema_version", "setting", "connection", "execution"):
            assert f'"{table}"' in written, table
        assert len(sent.statements) <= 20, "\n".join(sent.statements)


async def test_a_first_sync_of_many_statements_reads_the_costliest_texts_first(
    store_url: str, tmp_path: Path, pg18: Database
) -> None:
    columns = [f"c{number}" for number in range(12)]
    pg18.execute(f"CREATE TABLE wide ({', '.join(f'{name} int' for name in columns)})")
    for name in columns:
        pg18.execute(f"SELECT {name} FROM wide")
    pg18.execute("SELECT pg_sleep(0.3), * FROM wide LIMIT 1", "SELECT pg_sleep(0.3)")
    collect = CollectSettings(texts_per_sync=3)
    settings = Settings(home=tmp_path, store_url=store_url, collect=collect)
    async with await Workbench.open(settings) as bench:
        added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
        first = await bench.sync(added.id)
        assert "texts-pending" in {finding.code for finding in first.warnings}
        texts = await bench.store(lambda: {row.text for row in models.QueryText.select()})
        assert len(texts) == 3 and any("pg_sleep" in text for text in texts)
        for _ in range(30):
            await bench.runner.submit("sync_database_stats", added.id, connection_id=added.id, input={"by_hand": False})
            if not (await status_of(bench, added.id)).warnings:
                break
        texts = await bench.store(lambda: {row.text for row in models.QueryText.select()})
        assert {f"SELECT {name} FROM wide" for name in columns} <= texts


async def test_a_wrong_password_is_not_retried_and_recovers(bench: Workbench, pg18: Database) -> None:
    good = Target.from_url(pg18.monitor_url)
    added = await bench.connections.add("shop", replace(good, password=Secret("wrong")))
    with pytest.raises(RunFailed) as failed:
        await bench.sync(added.id)
    assert failed.value.code == "authentication"
    (run,) = await bench.executions(added.id)
    assert (run.attempts, run.state) == (1, ExecutionState.FAILED)
    info = await status_of(bench, added.id)
    assert info.status is ConnectionStatus.ERROR and info.last_error == str(failed.value)
    assert "wrong" not in str(failed.value)
    await bench.connections.edit(added.id, password=good.password)
    await bench.sync(added.id)
    info = await status_of(bench, added.id)
    assert (info.status, info.last_error, info.failures) == (ConnectionStatus.ACTIVE, None, 0)


async def test_a_server_that_is_down_is_retried_and_recovers(
    bench: Workbench, private_pg: Callable[..., Database]
) -> None:
    database = private_pg(18)
    added = await bench.connections.add("shop", Target.from_url(database.monitor_url))
    await bench.sync(added.id)
    before = await status_of(bench, added.id)
    database.server.stop()
    with pytest.raises(RunFailed):
        await bench.sync(added.id)
    run = (await bench.executions(added.id))[0]
    assert (run.attempts, run.state) == (3, ExecutionState.FAILED)
    down = await status_of(bench, added.id)
    assert down.status is ConnectionStatus.ERROR
    assert down.last_sync_at == before.last_sync_at, "what was collected before stays"
    database.server.start()
    await bench.sync(added.id)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.ACTIVE


async def test_three_closed_databases_of_ten_are_named_and_the_others_are_read(tmp_path: Path, pg18: Database) -> None:
    names = [pg18.name, *(f"{pg18.name}_{number}" for number in range(9))]
    for name in names[1:]:
        pg18.execute(f"CREATE DATABASE {name} TEMPLATE blank")
    closed = names[1::3]
    try:
        for name in closed:
            pg18.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        async with await Workbench.open(Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))) as bench:
            for name in names:
                url = pg18.monitor_url.replace(f"/{pg18.name}", f"/{name}")
                await bench.connections.add(name, Target.from_url(url))
            await bench.scheduler().once()
            for info in await bench.store(connections.listing):
                if info.name in closed:
                    assert info.status is ConnectionStatus.ERROR and info.name in (info.last_error or "")
                    run = (await bench.executions(info.id))[0]
                    assert run.result["fix"].startswith(f'GRANT CONNECT ON DATABASE "{info.name}" TO ')
                else:
                    assert (info.status, info.last_error) == (ConnectionStatus.ACTIVE, None)
    finally:
        for name in names[1:]:
            pg18.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_paused_connection_stays_paused(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.connections.pause(added.id)
    await bench.sync(added.id)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.INACTIVE
    await bench.connections.test_saved(added.id)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.INACTIVE
    await bench.connections.resume(added.id)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.ACTIVE


async def test_testing_is_a_state_while_it_lasts(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    testing = asyncio.create_task(bench.connections.test_saved(added.id))
    seen = set()
    while not testing.done():
        seen.add((await status_of(bench, added.id)).status)
    assert ConnectionStatus.TESTING in seen
    report = await testing
    assert report.facts.version.startswith("18") and report.same_as == ("shop",)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.ACTIVE


async def test_a_failed_test_is_an_error_that_a_sync_mends(bench: Workbench, pg18: Database) -> None:
    good = Target.from_url(pg18.monitor_url)
    added = await bench.connections.add("shop", replace(good, database="nowhere"))
    with pytest.raises(Exception, match="nowhere"):
        await bench.connections.test_saved(added.id)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.ERROR
    await bench.connections.edit(added.id, target=good)
    await bench.sync(added.id)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.ACTIVE


async def test_no_session_is_left_behind(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    for _ in range(3):
        await bench.sync(added.id)
    await asyncio.sleep(0.2)
    left = pg18.fetch(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'meshag/%' AND datname = current_database()"
    )
    assert left == [(0,)]


def read_without_end(bench: Workbench, server: Database) -> None:
    """Let syncs read the counters of statements from a view that gives none for ten minutes."""
    server.execute(
        "CREATE SCHEMA slow",
        "GRANT USAGE ON SCHEMA slow TO PUBLIC",
        """CREATE VIEW slow.seen AS SELECT 10::oid AS userid, d.oid AS dbid, 1::int8 AS queryid, NULL::text AS query,
               1::int8 AS calls, 1::float8 AS total_exec_time FROM pg_database d, pg_sleep(600)
           WHERE d.datname = current_database()""",
        "GRANT SELECT ON slow.seen TO PUBLIC",
    )
    collect = bench.settings.collect._replace(statements_from="slow.seen", statement_timeout_s=300.0)
    bench.settings = bench.settings._replace(collect=collect)


async def test_a_cancelled_sync_leaves_the_store_as_it_was(bench: Workbench, pg18: Database) -> None:
    """While it reads: what it waits for does not come, so it cannot have ended before."""
    pg18.execute("CREATE TABLE shop (id int PRIMARY KEY)")
    read_without_end(bench, pg18)
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    began = asyncio.Event()

    def cancel_at(notice: Notice) -> None:
        if isinstance(notice, Progress) and notice.phase == "collect":
            began.set()

    bench.subscribe(cancel_at)
    syncing = asyncio.create_task(bench.sync(added.id))
    await began.wait()
    await bench.cancel(bench.runner.running[0])
    with pytest.raises(RunFailed, match="Cancelled"):
        await syncing
    info = await status_of(bench, added.id)
    assert info.last_sync_at is None and info.status is ConnectionStatus.TESTING


async def test_the_same_database_under_two_names_is_noticed(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    by_socket = Target.from_url(pg18.socket_url)
    report = await bench.connections.test(by_socket)
    assert report.same_as == ("shop",)


async def test_locked_statistics_are_a_partial_sync(bench: Workbench, pg18: Database) -> None:
    pg18.execute("DROP EXTENSION pg_stat_statements", "CREATE TABLE shop (id int PRIMARY KEY)")
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    report = await bench.sync(added.id)
    assert report.tables == 1 and report.statements == 0
    assert any(finding.fix and "CREATE EXTENSION" in finding.fix for finding in report.warnings)
    assert (await status_of(bench, added.id)).status is ConnectionStatus.ACTIVE


def test_fixture_password_is_the_monitor_s(pg18: Database) -> None:
    with psycopg.connect(pg18.monitor_url) as connection:
        assert connection.info.user == "meshag_monitor"


async def test_a_cancelled_sync_leaves_no_statement_of_ours_and_touches_no_other(
    bench: Workbench, pg18: Database
) -> None:
    """It waits for a view that never ends; another program waits beside it, and goes on to wait."""
    read_without_end(bench, pg18)

    async def at_work_are(*wanted: str) -> None:
        asked = """SELECT application_name FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                   AND pid <> pg_backend_pid() ORDER BY application_name COLLATE "C" """
        for _ in range(50):  # of a tenth of a second: that long a statement of ours may be left
            found = [name for (name,) in await asyncio.to_thread(pg18.fetch, asked)]
            if found == list(wanted):
                return
            await asyncio.sleep(0.1)
        assert found == list(wanted)

    info = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))

    def work() -> None:
        with pg18.connect(application_name="the application") as other:
            other.execute("SELECT pg_sleep(600)")

    with behind(work, psycopg.errors.AdminShutdown) as ended:
        await at_work_are("the application")
        ours = asyncio.create_task(bench.sync(info.id))
        await at_work_are("meshag/sync", "the application")
        (run,) = bench.runner.running
        assert await bench.cancel(run)
        with pytest.raises(RunFailed):
            await ours
        await at_work_are("the application")
        assert not ended
        pg18.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the application'"
        )
    found = await bench.store(executions.get, run)
    assert found.state is ExecutionState.CANCELLED and found.finished_at is not None
    (entry,) = await bench.store.read(activity.recent, 1)
    assert (entry.kind, entry.subject, entry.actor) == ("run.cancelled", run, bench.actor)
    assert not await bench.cancel(run), "it has ended"
