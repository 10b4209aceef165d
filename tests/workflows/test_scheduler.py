"""The scheduler: each connection at its own interval, by a clock the test turns, and nothing made up for."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from meshag_tui.settings import AdviceSettings, CollectSettings, Settings
from meshag_tui.store import connections, models
from meshag_tui.store.executions import ExecutionInfo
from meshag_tui.types import ConnectionStatus, Target
from meshag_tui.workflows import pacing
from meshag_tui.workflows.scheduler import Scheduler
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database


class Clock:
    """A monotonic clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def bench(store_url: str, tmp_path: Path) -> AsyncIterator[Workbench]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = Settings(home=home, store_url=store_url, collect=CollectSettings(interval_s=600))
    async with await Workbench.open(settings) as bench:
        yield bench


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scheduler(bench: Workbench, clock: Clock) -> Scheduler:
    return Scheduler(bench.store, bench.settings, bench.runner, bench.notices, clock=clock)


async def runs(bench: Workbench) -> Counter[str]:
    found = await bench.executions()
    return Counter(run.connection_name or "" for run in found if run.kind == "sync_database_stats")


async def add(bench: Workbench, name: str, pg: Database, interval_s: int) -> str:
    return (await bench.connections.add(name, Target.from_url(pg.monitor_url), interval_s=interval_s)).id


async def test_two_intervals_two_runs(bench: Workbench, scheduler: Scheduler, clock: Clock, pg18: Database) -> None:
    await add(bench, "often", pg18, 60)
    await add(bench, "seldom", pg18, 600)
    await scheduler.once()
    assert await runs(bench) == {"often": 1, "seldom": 1}, "a new connection is due at once"
    clock.now += 30
    await scheduler.once()
    assert await runs(bench) == {"often": 1, "seldom": 1}
    for expected in (2, 3):
        clock.now += 64  # an interval and its jitter
        await scheduler.once()
        assert await runs(bench) == {"often": expected, "seldom": 1}


async def test_another_interval_holds_from_the_next_sync_on(
    bench: Workbench, scheduler: Scheduler, clock: Clock, pg18: Database
) -> None:
    shop = await add(bench, "shop", pg18, 600)
    await scheduler.once()
    await bench.connections.edit(shop, interval_s=30)
    await scheduler.once()  # as it does when it hears of it, or within five seconds
    clock.now += 25
    await scheduler.once()
    assert await runs(bench) == {"shop": 1}
    clock.now += 10
    await scheduler.once()
    assert await runs(bench) == {"shop": 2}
    await bench.connections.edit(shop, interval_s=None)  # the setting's, which is 600 s
    await scheduler.once()
    clock.now += 500
    await scheduler.once()
    assert await runs(bench) == {"shop": 2}
    clock.now += 140
    await scheduler.once()
    assert await runs(bench) == {"shop": 3}


async def test_missed_slots_are_not_made_up_for(
    bench: Workbench, scheduler: Scheduler, clock: Clock, pg18: Database
) -> None:
    await add(bench, "shop", pg18, 10)
    await scheduler.once()
    clock.now += 1_800  # the process was stopped for half an hour
    await scheduler.once()
    assert await runs(bench) == {"shop": 2}


async def test_paused_connections_and_a_paused_scheduler_run_nothing(
    bench: Workbench, scheduler: Scheduler, clock: Clock, pg18: Database
) -> None:
    first = await add(bench, "first", pg18, 60)
    await add(bench, "second", pg18, 60)
    await bench.connections.pause(first)
    await scheduler.once()
    assert await runs(bench) == {"second": 1}
    scheduler.pause()
    clock.now += 120
    await scheduler.once()
    assert await runs(bench) == {"second": 1}
    scheduler.resume()
    await bench.connections.resume(first)
    await scheduler.once()
    assert await runs(bench) == {"first": 1, "second": 2}


async def test_a_wall_clock_far_off_does_not_stop_the_syncs(
    bench: Workbench, scheduler: Scheduler, clock: Clock, pg18: Database
) -> None:
    connection_id = await add(bench, "shop", pg18, 60)
    row = models.Connection

    def due_in_ten_years() -> None:
        row.update(next_sync_at=row.created_at + 315_360_000_000).where(row.id == connection_id).execute()

    await bench.store(due_in_ten_years)
    await scheduler.once()
    assert await runs(bench) == {"shop": 1}


async def test_two_instances_share_the_work(bench: Workbench, clock: Clock, pg18: Database) -> None:
    await add(bench, "shop", pg18, 60)
    pair = [Scheduler(bench.store, bench.settings, bench.runner, bench.notices, clock=clock) for _ in range(2)]
    for _ in range(2):
        await asyncio.gather(*(each.once() for each in pair))
        clock.now += 64
    assert await runs(bench) == {"shop": 2}


async def test_a_server_that_is_down_delays_nobody(
    bench: Workbench, scheduler: Scheduler, clock: Clock, pg18: Database
) -> None:
    dead = Target.from_url("postgresql://nobody@127.0.0.1:1/nothing")
    await bench.connections.add("dead", dead, interval_s=10)
    for number in range(3):
        await add(bench, f"shop{number}", pg18, 10)
    working = asyncio.create_task(scheduler.once())
    async with asyncio.timeout(60):
        while True:
            known = {info.name: info.status for info in await bench.store(connections.listing)}
            if all(known[f"shop{number}"] is ConnectionStatus.ACTIVE for number in range(3)):
                break
            await asyncio.sleep(0.02)
    await working
    assert (await bench.store(connections.find, "dead")).status is ConnectionStatus.ERROR


async def until_run(
    bench: Workbench, times: dict[str, int], also: Callable[[Sequence[ExecutionInfo]], bool] = bool
) -> Sequence[ExecutionInfo]:
    """Wait until each of these connections has had so many syncs and the runs are as `also` says; the newest first."""
    async with asyncio.timeout(90):
        while True:
            done = await runs(bench)
            if all(done[name] >= wanted for name, wanted in times.items()):
                found = await bench.executions(limit=200)
                if also(found):
                    return found
            await asyncio.sleep(0.05)


async def test_run_stops_cleanly(bench: Workbench, pg18: Database) -> None:
    await add(bench, "shop", pg18, 1)
    scheduler = bench.scheduler()
    working = asyncio.create_task(scheduler.run())
    found = await until_run(bench, {"shop": 3})
    scheduler.stop()
    await asyncio.wait_for(working, 30)
    begun = [run.created_at for run in found if run.kind == "sync_database_stats"]
    assert all(later - earlier > 500 for later, earlier in itertools.pairwise(begun)), "a second apart, as asked for"
    done = (await runs(bench))["shop"]
    await asyncio.sleep(1.2)  # the next one would have come
    assert (await runs(bench))["shop"] == done


async def test_rules_look_for_improvements_by_themselves_once_there_is_a_workload(
    bench: Workbench, clock: Clock, pg18: Database
) -> None:
    pg18.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, note text)",
        "INSERT INTO orders SELECT g, g % 5000, repeat('x', 60) FROM generate_series(1, 60000) g",
        "ANALYZE orders",
    )
    connection_id = await add(bench, "shop", pg18, 60)
    settings = bench.settings._replace(advice=AdviceSettings(every_s=1))
    scheduler = Scheduler(bench.store, settings, bench.runner, bench.notices, clock=clock)

    async def advised() -> list[ExecutionInfo]:
        return [run for run in await bench.executions() if run.kind == "generate_suggestions"]

    def work() -> None:
        with pg18.connect(prepare_threshold=None) as connection:
            for number in range(200):
                connection.execute("SELECT id, note FROM orders WHERE customer_id = %s", (number,))

    work()
    await scheduler.once()
    assert not await advised(), "what ran before the first sync is no workload yet"
    work()
    clock.now += 64
    await scheduler.once()
    assert len(await advised()) == 1
    found = await bench.advice.open_suggestions(connection_id)
    assert any(one.rule == "missing-index" and one.origin == "rule" for one in found)
    await asyncio.sleep(1.0)  # another span begins, by the store's clock
    clock.now += 64
    await scheduler.once()
    done = await advised()
    assert len({run.slot for run in done}) == 2 and all(run.state == "done" and not run.input for run in done)


async def test_no_rule_looks_by_itself_where_that_is_switched_off(
    bench: Workbench, clock: Clock, pg18: Database
) -> None:
    await add(bench, "shop", pg18, 60)
    settings = bench.settings._replace(advice=AdviceSettings(every_s=0))
    scheduler = Scheduler(bench.store, settings, bench.runner, bench.notices, clock=clock)
    for _ in range(3):
        pg18.fetch("SELECT 1")
        await scheduler.once()
        clock.now += 64
    assert "generate_suggestions" not in {run.kind for run in await bench.executions()}


def test_the_interval_is_stretched_until_reading_is_cheap() -> None:
    chance = random.Random(1)
    assert pacing.after_success(60, 100, chance).stretch == 1
    dear = pacing.after_success(10, 20_000, chance)
    assert dear.stretch == 64 and 0.05 * 10_000 * dear.stretch >= 20_000
    assert 0.95 * 640_000 <= dear.delay_ms <= 1.05 * 640_000


def test_what_the_server_took_stretches_the_interval_and_not_what_this_process_was_busy_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, busy = itertools.count(10.0, 5.0), itertools.count(3.0, 4.5)  # in each 5 s, 4.5 are our own work
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=clock.__next__, process_time=busy.__next__))
    waited = pacing.Waited()
    for _ in range(2):  # a session that had to be opened anew is read twice
        with waited:
            pass
    assert waited.ms == 1_000.0
    busy = itertools.count(3.0, 9.0)  # two threads at work
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=clock.__next__, process_time=busy.__next__))
    with waited:
        pass
    assert waited.ms == 1_000.0


async def test_a_server_that_answers_late_is_read_less_often_and_the_connection_says_so(
    bench: Workbench, pg18: Database
) -> None:
    pg18.execute(
        "CREATE SCHEMA slow",
        "GRANT USAGE ON SCHEMA slow TO PUBLIC",
        """CREATE VIEW slow.seen AS SELECT 10::oid AS userid, d.oid AS dbid, 1::int8 AS queryid, NULL::text AS query,
               1::int8 AS calls, 1::float8 AS total_exec_time FROM pg_database d, pg_sleep(0.3)
           WHERE d.datname = current_database()""",
        "GRANT SELECT ON slow.seen TO PUBLIC",
    )
    bench.settings = bench.settings._replace(collect=bench.settings.collect._replace(statements_from="slow.seen"))
    connection_id = await add(bench, "shop", pg18, 1)
    for _ in range(2):  # what is read into memory to begin with is work of ours, at the same time
        await bench.sync(connection_id)
    known = await bench.store(connections.get, connection_id)
    (said,) = [each for each in known.warnings if each.code == "interval-stretched"]
    assert "instead of every 1 s" in said.title and "for the server" in said.detail
    assert known.next_sync_at and known.last_sync_at and known.next_sync_at - known.last_sync_at > 3_000


def test_back_off_doubles_from_a_second_to_a_minute_and_refusals_wait_longer() -> None:
    chance = random.Random(1)
    delays = [pacing.after_failure(60, failures, True, chance).delay_ms for failures in range(1, 12)]
    assert 500 <= delays[0] <= 1_000 and all(30_000 <= delay <= 60_000 for delay in delays[6:])
    assert max(pacing.after_failure(10, 9, True, chance).delay_ms for _ in range(50)) <= 20_000, "two intervals at most"
    refused = [pacing.after_failure(60, failures, False, chance).delay_ms for failures in (1, 2, 9)]
    assert refused[0] > 110_000 and refused[1] > 220_000 and refused[2] <= 1.05 * 900_000


def meanwhile(found: Sequence[ExecutionInfo]) -> bool:
    """Whether a sync of another began and ended while one of the silent server waited for it."""
    waited = [(run.started_at, run.finished_at) for run in found if run.connection_name == "silent"]
    return any(
        begun and ended and run.started_at and run.finished_at and begun < run.started_at and run.finished_at < ended
        for run in found
        for begun, ended in waited
        if run.connection_name != "silent"
    )


async def test_a_server_that_is_silent_costs_the_others_no_sample(bench: Workbench, pg18: Database) -> None:
    bench.settings = bench.settings._replace(collect=CollectSettings(interval_s=600, collectors=1))

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    hole = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = hole.sockets[0].getsockname()[1]
    await bench.connections.add("silent", Target.from_url(f"postgresql://u@127.0.0.1:{port}/d"), interval_s=1)
    for number in range(3):
        await add(bench, f"shop{number}", pg18, 1)
    scheduler = bench.scheduler()
    working = asyncio.create_task(scheduler.run())
    found = await until_run(bench, {f"shop{number}": 4 for number in range(3)}, also=meanwhile)
    scheduler.stop()
    silent = [run for run in found if run.connection_name == "silent"]
    assert len(silent) < 4, "its time-out is all it costs, and that of itself alone"
    assert all(later.created_at >= (earlier.finished_at or 0) for later, earlier in itertools.pairwise(silent))
    await asyncio.wait_for(working, 30)
    hole.close()


async def test_a_frozen_backend_is_given_up_and_the_next_sync_is_fine(
    store_url: str, tmp_path: Path, pg18: Database
) -> None:
    """The server process of our session is stopped in the middle of a sync: the client's own deadline ends it."""
    import os
    import signal

    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    settings = Settings(home=home, store_url=store_url, collect=CollectSettings(statement_timeout_s=1.5))
    frozen: list[int] = []

    def freeze() -> None:
        ours = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'meshag/sync' AND datname = current_database()"
        )
        found = pg18.fetch(ours)
        if found and not frozen:
            frozen.append(found[0][0])
            os.kill(frozen[0], signal.SIGSTOP)

    async with await Workbench.open(settings) as bench:
        connection_id = await add(bench, "shop", pg18, 60)
        bench.subscribe(lambda notice: freeze() if getattr(notice, "phase", "") == "collect" else None)
        try:
            await bench.sync(connection_id)  # the second attempt gets a session that answers
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        assert frozen
        (run,) = await bench.executions()
        assert run.attempts == 2
