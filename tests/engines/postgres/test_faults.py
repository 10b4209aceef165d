"""Servers that are frozen, silent, slow or something else: every operation ends in time and in words."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from meshag_tui.engines.base import CannotConnect, DeadlinePassed, EngineError, Limits
from meshag_tui.engines.postgres.session import connect
from meshag_tui.types import Target, TlsMode
from tests.engines.postgres.conftest import Answer, Open
from tests.rig.postgres import Database

LISTEN = Callable[[Answer], AbstractAsyncContextManager[Target]]
LIMITS = Limits(connect_s=1.0, call_s=1.0)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    for byte in b"R\x00\x00\x10\x00" + b"\x00" * 60:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.4)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    block = os.urandom(65_536)
    while True:
        writer.write(block)
        await writer.drain()


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>no</html>")
    await writer.drain()


async def tls_alert(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"S")
    await writer.drain()
    await reader.read(1)
    writer.write(b"\x15\x03\x03\x00\x02\x02\x28")  # fatal, handshake failure
    await writer.drain()


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)


async def silent_after_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"N")
    await reader.read(1000)
    writer.write(b"R\x00\x00\x00\x08\x00\x00\x00\x00" + b"Z\x00\x00\x00\x05I")
    await writer.drain()
    await asyncio.sleep(60)


@pytest.mark.parametrize("mode", [TlsMode.PREFER, TlsMode.REQUIRE])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (silent, "No answer"),
        (dripping, "No answer|not a PostgreSQL server"),
        (garbage, "not a PostgreSQL server|TLS|closed the connection"),
        (http, "not a PostgreSQL server"),
        (tls_alert, "TLS|handshake failure"),
        (hanging_up, "closed the connection"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_connecting_ends_in_time_and_in_words(
    fake_server: LISTEN, answer: Answer, words: str, mode: TlsMode
) -> None:
    async with fake_server(answer) as target:
        with pytest.raises(EngineError, match=words) as caught:
            await _open(target, mode)
        assert "s3cret-canary" not in str(caught.value)


async def _open(target: Target, mode: TlsMode = TlsMode.PREFER) -> None:
    from dataclasses import replace

    begin = time.monotonic()
    try:
        async with connect(replace(target, tls=mode), "test", LIMITS):
            raise AssertionError("it connected")
    finally:
        assert time.monotonic() - begin < LIMITS.connect_s + 9  # a second on an idle machine


async def test_a_server_silent_after_login(fake_server: LISTEN) -> None:
    async with fake_server(silent_after_login) as target:
        with pytest.raises(DeadlinePassed):
            await _open(target)


async def test_a_frozen_postmaster(private_pg) -> None:
    database: Database = private_pg(18)
    os.kill(database.server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(CannotConnect, match="No answer"):
            await _open(Target.from_url(database.monitor_url))
    finally:
        os.kill(database.server.pid, signal.SIGCONT)


async def test_freezing_in_the_middle_of_a_collection(pg18: Database, open_session: Open) -> None:
    session = await open_session(pg18.monitor_url, limits=Limits(call_s=1))
    os.kill(session.wire.backend_pid, signal.SIGSTOP)
    pid = session.wire.backend_pid
    try:
        begin = time.monotonic()
        with pytest.raises(DeadlinePassed):
            await session.collect()
        assert time.monotonic() - begin < 10
    finally:
        os.kill(pid, signal.SIGCONT)
    again = await open_session(pg18.monitor_url)
    assert (await again.collect()).statements is not None, "the next session works"


async def test_a_line_cut_half_open(pg18: Database, open_session: Open) -> None:
    """A relay that stops carrying bytes: no FIN, no RST, as a firewall that drops."""
    carrying = asyncio.Event()
    carrying.set()
    async with _relay(pg18.server.port, carrying) as port:
        session = await open_session(pg18.monitor_url, limits=Limits(call_s=1), port=port)
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


async def test_one_stalled_server_delays_no_other(pg18: Database, fake_server: LISTEN, open_session: Open) -> None:
    async with fake_server(silent) as stalled:
        waiting = asyncio.create_task(connect(stalled, "test", Limits(connect_s=60)).__aenter__())
        session = await open_session(pg18.monitor_url)
        await session.collect()
        assert not waiting.done(), "the other one is still waiting"
        waiting.cancel()
        await asyncio.wait({waiting})


async def test_a_server_that_answers_slowly_is_given_up_not_waited_for(pg18: Database, open_session: Open) -> None:
    session = await open_session(pg18.monitor_url)
    begin = time.monotonic()
    with pytest.raises(DeadlinePassed):
        await session.fetch("SELECT pg_sleep(20)", deadline_s=0.5)
    assert time.monotonic() - begin < 8


async def test_fifty_locked_tables_cost_no_wait(pg: Database, open_session: Open) -> None:
    pg.execute(
        *(f"CREATE TABLE t{n} (id int PRIMARY KEY, a text)" for n in range(52)),
        "CREATE INDEX t0_lower ON t0 (lower(a))",
        "CREATE INDEX t51_lower ON t51 (lower(a))",
    )
    session = await open_session(pg.monitor_url)
    with pg.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE " + ", ".join(f"t{n}" for n in range(50)) + " IN ACCESS EXCLUSIVE MODE")
        begin = time.monotonic()
        snapshot = await session.collect()
        assert time.monotonic() - begin < 15
    assert snapshot.tables is not None
    assert snapshot.indexes is not None
    tables = {table.name: table for table in snapshot.tables}
    assert len(tables) == 52
    assert tables["t3"].size_bytes is None
    assert tables["t3"].has_primary_key
    assert (tables["t3"].counters["index_scan"], tables["t3"].index_bytes) == (0, None)
    assert tables["t51"].size_bytes is not None
    indexes = {index.name: index for index in snapshot.indexes}
    assert set(indexes) == {"t50_pkey", "t51_pkey", "t51_lower"}, (
        "a definition cannot be told without opening the table"
    )
    assert indexes["t51_lower"].keys[0].expression == "lower(a)"
    assert snapshot.schema is None, "half a structure would look like a change"
    (warning,) = [finding for finding in snapshot.warnings if finding.code == "relations-locked"]
    assert "public.t3" in warning.facts["relations"]
    assert snapshot.foreign_keys is not None
    assert snapshot.statements is not None


async def test_a_waiting_lock_counts_as_locked(pg18: Database, open_session: Open) -> None:
    """A size asked for behind a waiting AccessExclusive lock would queue as well."""
    pg18.execute("CREATE TABLE busy (a int)")
    session = await open_session(pg18.monitor_url)
    loop = asyncio.get_running_loop()
    with pg18.connect() as reader, pg18.connect() as waiter, reader.transaction():
        reader.execute("SELECT * FROM busy")
        altering = loop.run_in_executor(None, waiter.execute, "ALTER TABLE busy ADD COLUMN b int")
        for _ in range(1_500):
            await asyncio.sleep(0.02)
            if pg18.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):
                break
        begin = time.monotonic()
        snapshot = await session.collect()
        assert time.monotonic() - begin < 5
        reader.execute("ROLLBACK")
        await altering
    assert snapshot.tables is not None
    assert {table.name: table.size_bytes for table in snapshot.tables} == {"busy": None}
