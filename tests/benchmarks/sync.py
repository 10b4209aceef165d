"""What a sync costs, beside the floor: the same rows fetched by psycopg and written by one bulk insert.

Both connect anew each time. Rounds are interleaved and the medians compared. Timed are syncs between which all
statements were active, 15 % (what servers were seen to have), or none, once all texts are read; the floor writes all
rows each time. Tables, indexes and structure are read every few minutes: such syncs are counted apart.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
_VALUE = re.compile(r"'(?:[^']|'')*'|-?\b\d[\d.e+-]*\b|NULL")
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
    """A workbench on an empty store with one connection to `server`, by `url` where it is not reached directly."""

    def __init__(
        self, running: EmbeddedPostgres, home: Path, objects_every_s: int | None = None, url: str | None = None
    ) -> None:
        self.server = running
        self._url = url or running.dsn(tcp=True)
        self.settings = settings_module.load(environment={"MESHAG_HOME": str(home), "HOME": str(home)})
        if objects_every_s is not None:
            collect = replace(self.settings.collect, objects_every_s=objects_every_s)
            self.settings = replace(self.settings, collect=collect)

    async def __aenter__(self) -> Bench:
        self.workbench = await Workbench.open(self.settings)
        target = Target.from_url(self._url)
        self.connection = await self.workbench.add_connection("bench", target)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.workbench.close()

    async def sync(self) -> tuple[float, Any]:
        """One sync by hand: its wall time in ms, and its report."""
        started = time.perf_counter()
        report = await self.workbench.sync(self.connection.id)
        return (time.perf_counter() - started) * 1000, report

    async def settle(self) -> int:
        """Sync until every text is read, as the first syncs of the scheduler do; how many syncs it took."""
        for number in itertools.count(1):
            if all(finding.code != "texts-pending" for finding in (await self.sync())[1].warnings):
                return number
        raise AssertionError

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


def statements(count: int) -> list[dict[str, Any]]:
    """Syncs of `count` statements as ratios to the floor."""
    with (
        server(count + 2_000) as running,
        tempfile.TemporaryDirectory() as folder,
        psycopg.connect(running.dsn(), autocommit=True) as work,
    ):
        run_statements(work, count)

        async def measure() -> list[dict[str, Any]]:
            async with Bench(running, Path(folder)) as bench:
                first, report = await bench.sync()
                settled = await bench.settle()
                floors: list[float] = []
                ours: dict[str, list[float]] = {"all active": [], "15 % active": [], "idle": []}
                for _ in range(ROUNDS):
                    await asyncio.to_thread(run_statements, work, count)
                    floors.append(await asyncio.to_thread(floor, running, Path(folder) / "floor.db"))
                    ours["all active"].append(await bench.scheduled_sync())
                    await asyncio.to_thread(run_statements, work, count * 15 // 100)
                    ours["15 % active"].append(await bench.scheduled_sync())
                    ours["idle"].append(await bench.scheduled_sync())
                base = statistics.median(floors)
                known = {"statements": count, "floor_ms": round(base, 1)}
                return [
                    {**known, "stored": report.statements, "target": f">= {count}, nothing cut off"},
                    {**known, "first_ms": round(first, 1), "syncs_until_all_texts_are_read": settled, "target": "none"},
                    *(
                        {**known, "sync": name, "ratio": round(statistics.median(took) / base, 2), "target": "<= 2"}
                        for name, took in ours.items()
                    ),
                ]

        return asyncio.run(measure())


def tables(count: int) -> list[dict[str, Any]]:
    """SQL statements of a scheduled sync with `count` tables in use, on the server and on the store."""
    with server(10_000) as running, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(running.dsn(), autocommit=True) as work:
            for start in range(0, count, 500):
                work.execute(
                    "".join(
                        f"CREATE TABLE t{n} (id int PRIMARY KEY, a int, b text);"
                        for n in range(start, min(count, start + 500))
                    ).encode()
                )

        def use() -> None:
            with psycopg.connect(running.dsn(), autocommit=True) as work:
                for n in range(20):
                    work.execute(f"INSERT INTO t{n} SELECT coalesce(max(id), 0) + 1 FROM t{n}".encode())

        async def measure(sync_of: str, objects_every_s: int | None) -> dict[str, Any]:
            async with Bench(running, Path(folder) / sync_of.replace(" ", "-"), objects_every_s) as bench:
                await bench.sync()
                for _ in range(2):
                    await asyncio.to_thread(use)
                    await bench.scheduled_sync()
                await asyncio.to_thread(use)
                sent: list[str] = []
                bench.workbench.store.run(_record_statements, sent)
                wall = await bench.scheduled_sync()
                run = (await bench.workbench.executions(limit=1))[0]
                return {
                    "tables": count,
                    "sync of": sync_of,
                    "on_the_server": run.result["server_statements"],
                    "on_the_store": len([key for key, _ in itertools.groupby(sent)]),
                    "sync_ms": round(wall, 1),
                    "target": "<= 10 on the server, <= 20 on the store, the same for any number of tables",
                }

        return [asyncio.run(measure("counters", None)), asyncio.run(measure("counters and objects", 0))]


def _record_statements(sent: list[str]) -> None:
    """From now on note each statement the store's writing connection runs (SQLite's own trace), its values taken out.

    The trace has a line for each row of an executemany: equal ones in a row are one statement.
    """
    from meshag_tui.store import models

    def note(text: str) -> None:
        if not text.startswith(("--", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")):
            sent.append(_VALUE.sub("?", text))

    models.database.connection().set_trace_callback(note)


def server_cpu(count: int, text_bytes: int, rounds: int = 20, objects: bool = False) -> dict[str, Any]:
    """CPU of the server's backends for `rounds` syncs, beside as many bare reads of pg_stat_statements(false).

    `objects`: of syncs that read tables, indexes and structure too.
    """
    with server(count + 2_000) as running, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(running.dsn(), autocommit=True) as work:
            run_statements(work, count, text_bytes)

        def bare() -> None:
            with psycopg.connect(running.dsn(tcp=True), autocommit=True) as connection:
                connection.execute(f"SELECT {_FLOOR_COLUMNS} FROM pg_stat_statements(false)").fetchall()  # type: ignore[arg-type]

        async def measure() -> dict[str, Any]:
            async with Bench(running, Path(folder), 0 if objects else None) as bench:
                await bench.settle()  # a scheduled sync reads texts only of what is new
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
                    "sync of": "counters and objects" if objects else "counters",
                    "bare_cpu_ms": round(bare_cpu / rounds * 1000, 1),
                    "sync_cpu_ms": round(ours / rounds * 1000, 1),
                    "ratio": round(ours / bare_cpu, 2) if bare_cpu else None,
                    "target": "<= 1.2",
                }

        return asyncio.run(measure())


def _ended_backends_cpu_s(running: EmbeddedPostgres) -> float:
    """CPU seconds of all backends that have ended: what the postmaster has waited for (cutime+cstime in /proc)."""
    assert running.pid is not None
    fields = Path(f"/proc/{running.pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def run() -> dict[str, Any]:
    return {
        "statements": [row for count in (500, 5_000, 50_000) for row in statements(count)],
        "tables": [row for count in (100, 3_000) for row in tables(count)],
        "server_cpu": [
            server_cpu(5_000, 7_000),
            server_cpu(5_000, 7_000, objects=True),
            server_cpu(100_000, 0, rounds=8),
        ],
    }
