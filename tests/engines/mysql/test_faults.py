"""Servers that freeze or fall silent: every operation ends in time, and the next one works."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from meshag_tui.engines.base import CannotConnect, DeadlinePassed, Limits
from meshag_tui.engines.mysql.wire import Wire
from meshag_tui.settings import Settings
from meshag_tui.store import connections
from meshag_tui.types import Target, TlsMode
from meshag_tui.workflows.scheduler import Scheduler
from meshag_tui.workflows.workbench import Workbench
from tests.engines.mysql.conftest import Listen, Open
from tests.engines.mysql.test_dial import silent
from tests.rig.mysql import FLAVOURS, Schema

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str.lower)
async def test_a_frozen_server(private_my: Callable[..., Schema], open_session: Open, flavour: str) -> None:
    schema = private_my(flavour)
    session = await open_session(schema.monitor_url, limits=Limits(call_s=1))
    schema.server.freeze()
    try:
        begin = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await session.collect()
        await session.close()
        assert time.monotonic() - begin < 10
        begin = time.monotonic()
        with pytest.raises(CannotConnect, match="No answer"):
            await open_session(schema.monitor_url, limits=Limits(connect_s=1))
        assert time.monotonic() - begin < 10
    finally:
        schema.server.thaw()
    again = await open_session(schema.monitor_url)
    assert (await again.collect()).statements is not None, "the next session works"


async def test_what_is_cancelled_stops_on_the_server_and_nobody_else_s_does(my: Schema) -> None:
    """A statement that computes for minutes, beside another session of the same account that does so too."""
    burning = "SELECT BENCHMARK(1000000000, SHA2('a', 512))"
    at_work = (
        "SELECT LOCATE('meshag', INFO) > 0 FROM information_schema.PROCESSLIST"
        " WHERE INFO LIKE 'SELECT%BENCHMARK(%' AND ID <> CONNECTION_ID() ORDER BY 1"
    )
    target = Target.from_url(my.monitor_url)
    limits = Limits(call_s=300)
    ours, other = [await Wire.open(target, "sync", lambda _: {"wait_timeout": 60}, limits) for _ in range(2)]

    async def until(*wanted: int) -> None:
        for _ in range(100):  # of a tenth of a second
            found = [int(each) for (each,) in await asyncio.to_thread(my.fetch, at_work)]
            if found == list(wanted):
                return
            await asyncio.sleep(0.1)
        assert found == list(wanted)

    foreign = asyncio.ensure_future(other._line.query(burning.encode()))  # the application's: without our mark
    try:
        task = asyncio.ensure_future(ours.fetch(burning))
        await until(0, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(0)
    finally:
        await asyncio.to_thread(my.execute, f"KILL {other.connection_id}")
        await asyncio.gather(foreign, return_exceptions=True)
        other.close()


ASKS = """
import asyncio, sys
from meshag_tui.engines.base import Limits
from meshag_tui.engines.mysql.session import connect
from meshag_tui.types import Target

async def main():
    async with connect(Target.from_url(sys.argv[1]), "sync", Limits()) as session:
        await session.fetch("SELECT BENCHMARK(1000000000, SHA2('a', 512))")

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_killed_program_leaves_no_session_for_long(my: Schema) -> None:
    """Neither flavour sees that a client is gone while it computes for it: our time-out ends it. The statement takes
    the server minutes."""
    at_work = "SELECT INFO LIKE '%%BENCHMARK(%%' FROM information_schema.PROCESSLIST WHERE USER = %s"
    command = [sys.executable, "-c", ASKS, my.monitor_url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)

    async def until(*wanted: tuple[int]) -> None:
        for _ in range(800):  # of a tenth of a second
            found = await asyncio.to_thread(my.fetch, at_work, (f"{my.name}_monitor",))
            if found == list(wanted):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(found)

    await until((1,))
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    await until()


async def test_a_line_cut_half_open(my: Schema, open_session: Open) -> None:
    """A relay that stops carrying bytes: no FIN, no RST, as a firewall that drops."""
    carrying = asyncio.Event()
    carrying.set()
    async with _relay(my.server.port, carrying) as port:
        session = await open_session(my.monitor_url, limits=Limits(call_s=1), port=port)
        assert await session.fetch("SELECT 1") == [(1,)]
        carrying.clear()
        begin = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await session.fetch("SELECT 1")
        assert time.monotonic() - begin < 10


@asynccontextmanager
async def _relay(to_port: int | None, carrying: asyncio.Event) -> AsyncIterator[int]:
    tasks: list[asyncio.Task[None]] = []

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65_536):
            await carrying.wait()
            sink.write(chunk)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to_port)
        tasks.append(asyncio.create_task(pump(reader, far_writer)))
        tasks.append(asyncio.create_task(pump(far_reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def test_one_stalled_server_delays_no_other(mariadb: Schema, fake_server: Listen, open_session: Open) -> None:
    async with fake_server(silent) as stalled:
        waiting = asyncio.create_task(open_session(f"mysql://u@127.0.0.1:{stalled.port}", limits=Limits(connect_s=1)))
        session = await open_session(mariadb.monitor_url)
        await session.collect()
        assert not waiting.done()
        with pytest.raises(CannotConnect):
            await waiting


async def test_locked_tables_cost_no_wait(my: Schema, open_session: Open) -> None:
    my.execute(*(f"CREATE TABLE t{n} (id int PRIMARY KEY, a int, KEY (a))" for n in range(30)))
    session = await open_session(my.monitor_url)
    with my.connect() as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLES " + ", ".join(f"t{n} WRITE" for n in range(28)))
        snapshot = await session.collect()
        assert len(snapshot.tables or ()) == 30
        assert len(snapshot.indexes or ()) == 60
        assert not snapshot.warnings


async def test_a_server_that_answers_slowly_is_asked_seldom_and_one_thing_at_a_time(my: Schema, tmp_path: Path) -> None:
    """Each answer comes 50 ms late, so that a sync takes most of its interval of a second."""
    waiting: set[int] = set()
    at_once = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", my.server.port)

        async def ask() -> None:
            nonlocal at_once
            while chunk := await reader.read(65_536):
                waiting.add(id(writer))
                at_once = max(at_once, len(waiting))
                await asyncio.sleep(0.05)
                far_writer.write(chunk)
            far_writer.close()

        asking = asyncio.create_task(ask())
        while chunk := await far_reader.read(65_536):
            waiting.discard(id(writer))
            writer.write(chunk)
        waiting.discard(id(writer))
        writer.close()
        await asking

    relay = await asyncio.start_server(accept, "127.0.0.1", 0)
    settings = Settings(home=tmp_path, store_url=f"sqlite:///{tmp_path}/store.db")
    async with relay, await Workbench.open(settings) as bench:
        target = replace(Target.from_url(my.monitor_url), port=relay.sockets[0].getsockname()[1], tls=TlsMode.DISABLE)
        added = await bench.connections.add("slow", target, interval_s=1)
        now = 1_000.0
        scheduler = Scheduler(bench.store, bench.settings, bench.runner, bench.notices, clock=lambda: now)
        await asyncio.gather(scheduler.once(), scheduler.once())
        now += 1.2
        await scheduler.once()
        assert len([run for run in await bench.executions() if run.kind == "sync_database_stats"]) == 1
        assert at_once == 1
        stretched = [each for each in (await bench.store(connections.get, added.id)).warnings if "every" in each.title]
        assert stretched and "instead of every 1 s" in stretched[0].title
