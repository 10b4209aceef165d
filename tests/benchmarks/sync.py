"""What a sync costs, beside the floor: the same rows fetched by psycopg and written by one bulk insert.

Both connect anew each time. Rounds are interleaved and the medians compared. Timed are the first sync (all statements
new), and syncs between which all statements were active, 15 % (what servers were seen to have), or none. The floor
writes all rows each time.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from meshag_tui import settings as settings_module
from meshag_tui.demo.server import EmbeddedPostgres
from meshag_tui.types import Target
from meshag_tui.workflows import sync
from meshag_tui.workflows.workbench import Workbench
from tests.benchmarks.statements import run_statements

ROUNDS = 5
_FLOOR_COLUMNS = (
    "userid, dbid, queryid, toplevel, calls, total_exec_time, rows, plans, total_plan_time, shared_blks_hit, "
    "shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, "
    "shared_blk_read_time, shared_blk_write_time, wal_bytes, min_exec_time, max_exec_time, stats_since"
)


@contextmanager
def server(maximum: int) -> Iterator[EmbeddedPostgres]:
    """A private PostgreSQL 18 that keeps up to `maximum` statements."""
    options = {"pg_stat_statements.max": str(maximum), "pg_stat_statements.track": "all", "autovacuum": "off"}
    with EmbeddedPostgres(settings=options, tcp=True) as running:
        with psycopg.connect(running.dsn(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        yield running


class Bench:
    """A workbench on an empty store with one connection to `server`."""

    def __init__(self, running: EmbeddedPostgres, home: Path) -> None:
        self.server = running
        self.settings = settings_module.load(environment={"MESHAG_HOME": str(home), "HOME": str(home)})

    async def __aenter__(self) -> Bench:
        self.workbench = await Workbench.open(self.settings)
        target = Target.from_url(self.server.dsn(tcp=True))
        self.connection = await self.workbench.add_connection("bench", target)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.workbench.close()

    async def sync(self) -> tuple[float, Any]:
        """One sync by hand: its wall time in ms, and its report."""
        started = time.perf_counter()
        report = await self.workbench.sync(self.connection.id)
        return (time.perf_counter() - started) * 1000, report

    async def scheduled_sync(self) -> float:
        """One sync as the scheduler starts it: its wall time in ms."""
        started = time.perf_counter()
        outcome = await self.workbench.runner.submit(
            sync.KIND, self.connection.id, connection_id=self.connection.id, input={"by_hand": False}
        )
        outcome.value()
        return (time.perf_counter() - started) * 1000


def floor(running: EmbeddedPostgres, path: Path) -> float:
    """Wall time in ms of the bare minimum: connect, fetch all counters, insert them in one transaction."""
    started = time.perf_counter()
    with psycopg.connect(running.dsn(tcp=True), autocommit=True) as connection:
        # The columns are a constant of this module.
        rows = connection.execute(f"SELECT {_FLOOR_COLUMNS} FROM pg_stat_statements(false)").fetchall()  # type: ignore[arg-type]
    store = sqlite3.connect(path)
    with store:
        store.execute("PRAGMA journal_mode=wal")
        store.execute(f"CREATE TABLE IF NOT EXISTS sample ({_FLOOR_COLUMNS})")
        plain = [(*row[:17], int(row[17]), *row[18:20], row[20].timestamp()) for row in rows]
        store.executemany(f"INSERT INTO sample VALUES ({','.join('?' * 21)})", plain)
    store.close()
    return (time.perf_counter() - started) * 1000


def statements(count: int) -> dict[str, Any]:
    """Syncs of `count` statements as ratios to the floor."""
    with (
        server(count + 2_000) as running,
        tempfile.TemporaryDirectory() as folder,
        psycopg.connect(running.dsn(), autocommit=True) as work,
    ):
        run_statements(work, count)

        async def measure() -> dict[str, Any]:
            async with Bench(running, Path(folder)) as bench:
                first, report = await bench.sync()
                await bench.sync()
                floors, active, some, idle = [], [], [], []
                for _ in range(ROUNDS):
                    await asyncio.to_thread(run_statements, work, count)
                    floors.append(await asyncio.to_thread(floor, running, Path(folder) / "floor.db"))
                    active.append(await bench.scheduled_sync())
                    await asyncio.to_thread(run_statements, work, count * 15 // 100)
                    some.append(await bench.scheduled_sync())
                    idle.append(await bench.scheduled_sync())
                base = statistics.median(floors)
                phases = (await bench.sync())[1].phases
                return {
                    "statements_on_server": count,
                    "statements_stored": report.statements,
                    "truncated": report.statements < count,
                    "floor_ms": round(base, 1),
                    "first_ms": round(first, 1),
                    "first_phases_ms": dict(report.phases),
                    "all_active_ratio": round(statistics.median(active) / base, 2),
                    "some_active_ratio": round(statistics.median(some) / base, 2),
                    "idle_ratio": round(statistics.median(idle) / base, 2),
                    "idle_phases_ms": dict(phases),
                    "target": "ratios <= 2, truncated false",
                }

        return asyncio.run(measure())


def tables(count: int) -> dict[str, Any]:
    """SQL statements of one sync with `count` tables, on the server and on the store."""
    with server(10_000) as running, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(running.dsn(), autocommit=True) as work:
            for start in range(0, count, 500):
                work.execute(
                    "".join(
                        f"CREATE TABLE t{n} (id int PRIMARY KEY, a int, b text);"
                        for n in range(start, min(count, start + 500))
                    ).encode()
                )

        async def measure() -> dict[str, Any]:
            async with Bench(running, Path(folder)) as bench:
                await bench.sync()
                sent: list[str] = []
                report = (await bench.sync())[1]
                bench.workbench.store.run(_record_statements, sent)
                wall = await bench.scheduled_sync()
                return {
                    "tables": report.tables,
                    "server_statements": report.server_statements,
                    "store_statements": len([key for key, _ in itertools.groupby(sent)]),
                    "sync_ms": round(wall, 1),
                    "target": "server_statements <= 10, store_statements <= 20, equal for any number of tables",
                }

        return asyncio.run(measure())


def _record_statements(sent: list[str]) -> None:
    """From now on note the beginning of each statement the store's writing connection runs (SQLite's own trace).

    The trace has a line for each row of an executemany: equal ones in a row are one statement.
    """
    from meshag_tui.store import models

    def note(text: str) -> None:
        if not text.startswith(("--", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")):
            sent.append(text[:60])

    models.database.connection().set_trace_callback(note)


def server_cpu(count: int, text_bytes: int, rounds: int = 20) -> dict[str, Any]:
    """CPU of the server's backends for `rounds` syncs, beside as many bare reads of pg_stat_statements(false)."""
    with server(count + 2_000) as running, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(running.dsn(), autocommit=True) as work:
            run_statements(work, count, text_bytes)

        def bare() -> None:
            with psycopg.connect(running.dsn(tcp=True), autocommit=True) as connection:
                connection.execute(f"SELECT {_FLOOR_COLUMNS} FROM pg_stat_statements(false)").fetchall()  # type: ignore[arg-type]

        async def measure() -> dict[str, Any]:
            async with Bench(running, Path(folder)) as bench:
                while any(finding.code == "texts-pending" for finding in (await bench.sync())[1].warnings):
                    pass  # a scheduled sync reads texts only of what is new
                ours = bare_cpu = 0.0
                for _ in range(rounds):
                    before = _ended_backends_cpu_s(running)
                    await asyncio.to_thread(bare)
                    await asyncio.sleep(0.05)
                    between = _ended_backends_cpu_s(running)
                    await bench.scheduled_sync()
                    await asyncio.sleep(0.05)
                    ours += _ended_backends_cpu_s(running) - between
                    bare_cpu += between - before
                return {
                    "statements": count,
                    "text_bytes": text_bytes,
                    "rounds": rounds,
                    "bare_cpu_ms": round(bare_cpu / rounds * 1000, 1),
                    "sync_cpu_ms": round(ours / rounds * 1000, 1),
                    "ratio": round(ours / bare_cpu, 2) if bare_cpu else None,
                    "target": "ratio <= 1.2",
                }

        return asyncio.run(measure())


def _ended_backends_cpu_s(running: EmbeddedPostgres) -> float:
    """CPU seconds of all backends that have ended: what the postmaster has waited for (cutime+cstime in /proc)."""
    assert running.pid is not None
    fields = Path(f"/proc/{running.pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def run() -> dict[str, Any]:
    return {
        "statements": [statements(count) for count in (500, 5_000, 50_000)],
        "tables": [tables(count) for count in (100, 3_000)],
        "server_cpu": [server_cpu(5_000, 7_000), server_cpu(100_000, 0, rounds=8)],
    }
