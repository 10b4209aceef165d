"""Sampling: one kept session a server, paced by who looks and what it costs, and written seldom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.settings import CollectSettings, Settings
from meshag_tui.store import connections, models, sampled
from meshag_tui.types import ConnectionStatus, Target
from meshag_tui.workflows import sampling
from meshag_tui.workflows.sampling import Sampler
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.rig.stores import put_store

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'meshag/live'"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = Settings(
        home=home,
        store_url=put_store(home / "meshag.db"),
        collect=CollectSettings(interval_s=600, sample_s=0.1),
    )
    async with await Workbench.open(settings) as bench:
        yield bench


@asynccontextmanager
async def running(sampler: Sampler) -> AsyncIterator[None]:
    task = asyncio.create_task(sampler.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(wanted: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (found := wanted()):
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    return found


async def watched(bench: Workbench, url: str) -> str:
    info = await bench.connections.add("shop", Target.from_url(url))
    await bench.store(connections.set_status, info.id, ConnectionStatus.ACTIVE)
    return info.id


def looked(sampler: Sampler, connection: str) -> sampling.Latest | None:
    known = sampler.latest(connection)
    return known if known is not None and known.reading is not None and not known.error else None


async def test_what_was_seen_is_kept_and_can_be_scrolled_back_to(
    bench: Workbench, pg18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SPAN_S", 0.5)
    connection = await watched(bench, pg18.monitor_url)
    with pg18.connect(application_name="holder") as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 'canary' FROM pg_class LIMIT 1")
        async with running(bench.sampler):
            await until(lambda: looked(bench.sampler, connection))
            assert pg18.fetch(OURS) == [(1,)]
            await asyncio.sleep(1.5)
    found = await bench.store(sampled.at, connection, round(time.time() * 1000), 60_000)
    assert found is not None
    (seen,) = [each for each in found.sessions if each.application == "holder"]
    assert (seen.state, seen.text) == ("idle in transaction", "SELECT $1 FROM pg_class LIMIT $2")
    assert seen.seen == found.samples >= 1
    newest = await bench.store(sampled.newest_vitals, connection)
    assert newest is not None
    assert newest[1]["connections"].state == "ok"
    assert pg18.fetch(OURS) == [(0,)]


async def test_an_idle_server_is_written_of_seldom(bench: Workbench, pg18: Database) -> None:
    connection = await watched(bench, pg18.monitor_url)
    async with running(bench.sampler):
        await until(lambda: looked(bench.sampler, connection))
        await asyncio.sleep(1.0)
        assert await bench.store(lambda: models.Sampled.select().count()) == 0
    (row,) = await bench.store(lambda: list(models.Sampled.select()))  # what was seen last is not lost with the end
    assert (row.sessions, row.active) == ([], {})
    assert row.samples >= 2


async def test_who_looks_on_sees_idle_sessions_and_a_paused_connection_is_left_alone(
    bench: Workbench, pg18: Database
) -> None:
    connection = await watched(bench, pg18.monitor_url)
    heard: list[Any] = []
    bench.subscribe(heard.append)

    def sees_idle() -> bool:
        bench.sampler.watch(connection)
        known = looked(bench.sampler, connection)
        return known is not None and any(each.application == "resting" for each in known.reading.sessions)  # type: ignore[union-attr]

    with pg18.connect(application_name="resting") as resting:
        resting.execute("SELECT 1")
        async with running(bench.sampler):
            await until(sees_idle)
            assert ("sessions", connection) in heard
            await bench.connections.pause(connection)
            bench.sampler._keep_to({})
            await until(lambda: pg18.fetch(OURS) == [(0,)])
            assert bench.sampler.latest(connection) is None


async def test_a_server_that_goes_is_said_and_found_again(
    bench: Workbench, pg18: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_AGAIN_S", (0.1,))
    connection = await watched(bench, pg18.monitor_url)
    async with running(bench.sampler):
        first = await until(lambda: looked(bench.sampler, connection))
        pg18.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'meshag/live'")
        lost = await until(lambda: (known := bench.sampler.latest(connection)) and known.error and known)
        assert lost.reading is not None
        assert lost.reading.taken_at >= first.reading.taken_at  # the last good one stays
        await until(lambda: looked(bench.sampler, connection))


@pytest.mark.parametrize(("took_ms", "wait_s"), [(2.0, 5.0), (400.0, 20.0), (60_000.0, 60.0)])
def test_a_slow_server_is_asked_less_often(took_ms: float, wait_s: float) -> None:
    assert sampling.pace(5.0, took_ms) == wait_s
