"""Sessions that scheduled syncs keep for the next one: how many there are, and when they are let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshag_tui.settings import CollectSettings, Settings
from meshag_tui.store import connections
from meshag_tui.types import ConnectionStatus, Target
from meshag_tui.workflows import kept, sync
from meshag_tui.workflows.durable import Outcome
from meshag_tui.workflows.workbench import Workbench
from tests.rig.mysql import Schema
from tests.rig.postgres import Database
from tests.rig.stores import put_store


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    settings = Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))
    async with await Workbench.open(settings) as bench:
        yield bench


async def scheduled(bench: Workbench, connection_id: str) -> Outcome:
    given = {"by_hand": False}
    outcome = await bench.runner.submit(sync.KIND, connection_id, connection_id=connection_id, input=given)
    outcome.value()
    return outcome


def ours(database: Database) -> list[int]:
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'meshag/sync' AND datname = current_database()"
    return [pid for (pid,) in database.fetch(query)]


def ours_of(schema: Schema) -> list[int]:
    user = Target.from_url(schema.monitor_url).user
    return [pid for (pid,) in schema.fetch("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", (user,))]


async def until(found: Callable[[], list[int]], count: int) -> list[int]:
    async with asyncio.timeout(30):
        while len(pids := found()) != count:  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.05)
    return pids


async def test_scheduled_syncs_use_one_session_and_those_by_hand_their_own(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    await until(lambda: ours(pg18), 0)
    first = await scheduled(bench, added.id)
    (pid,) = ours(pg18)
    sent = []
    for _ in range(3):
        pg18.execute("CREATE TABLE IF NOT EXISTS late ()")
        again = await scheduled(bench, added.id)
        assert "connect" in first.value()["phases"] and "connect" not in again.value()["phases"]
        sent.append(again.value()["server_statements"])
    assert set(sent) == {3}, "what a session sent before is not counted again"
    report = await bench.sync(added.id)
    assert report.tables == 1 and "connect" in report.phases
    assert await until(lambda: ours(pg18), 1) == [pid]
    await bench.close()
    await until(lambda: ours(pg18), 0)


async def test_a_session_that_ended_meanwhile_is_no_failure(bench: Workbench, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await scheduled(bench, added.id)
    for _ in range(2):
        (pid,) = ours(pg18)
        pg18.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
        await scheduled(bench, added.id)
        assert pid not in ours(pg18)
    info = await bench.store(connections.get, added.id)
    assert info.status is ConnectionStatus.ACTIVE and info.failures == 0
    assert [run.attempts for run in await bench.executions(added.id)] == [1, 1, 1]


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
async def test_on_mysql_and_mariadb(bench: Workbench, request: pytest.FixtureRequest, flavour: str) -> None:
    schema: Schema = request.getfixturevalue(flavour)
    added = await bench.connections.add("shop", Target.from_url(schema.monitor_url))
    await bench.sync(added.id)
    await until(lambda: ours_of(schema), 0)
    calls = []
    for _ in range(3):
        schema.execute("SELECT 'seen by the next sync'")
        calls.append((await scheduled(bench, added.id)).value()["server_statements"])
        (pid,) = ours_of(schema)
    assert calls[1] == calls[2] <= 4
    schema.execute(f"KILL {pid}")
    await scheduled(bench, added.id)
    assert await until(lambda: ours_of(schema), 1) != [pid]
    assert [run.attempts for run in await bench.executions(added.id)] == [1] * 5


async def test_it_goes_where_the_connection_leads_now(bench: Workbench, pg18: Database) -> None:
    target = Target.from_url(pg18.monitor_url)
    added = await bench.connections.add("shop", target)
    await scheduled(bench, added.id)
    before = ours(pg18)
    await bench.connections.edit(added.id, target=replace(target, host="localhost"))
    assert "connect" in (await scheduled(bench, added.id)).value()["phases"]
    assert len(after := await until(lambda: ours(pg18), 1)) == 1 and after != before


async def test_none_is_kept_for_long(bench: Workbench, pg18: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a sync that does not come, and beyond its age: what a role is given at its start is to be found."""
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url), interval_s=1)
    await scheduled(bench, added.id)
    await until(lambda: ours(pg18), 1)
    await until(lambda: ours(pg18), 0)
    await scheduled(bench, added.id)
    monkeypatch.setattr(kept, "LONGEST_S", 0)
    assert "connect" in (await scheduled(bench, added.id)).value()["phases"]


async def test_none_is_kept_that_lacked_something(bench: Workbench, pg18: Database) -> None:
    pg18.execute("DROP EXTENSION pg_stat_statements")
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    assert (await scheduled(bench, added.id)).value()["warnings"]
    await until(lambda: ours(pg18), 0)


async def test_none_is_kept_where_that_is_switched_off(tmp_path: Path, pg18: Database) -> None:
    collect = CollectSettings(keep_session_s=0)
    settings = Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"), collect=collect)
    async with await Workbench.open(settings) as bench:
        added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
        await scheduled(bench, added.id)
        await until(lambda: ours(pg18), 0)
