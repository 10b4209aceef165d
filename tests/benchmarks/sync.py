"""What a sync costs, beside the floor: the same rows fetched by the same driver and written by one bulk insert.

The floor connects anew each time, while a scheduled sync finds the session of the one before. Rounds are interleaved
and the medians compared. Timed are syncs between which all statements were active, 15 % (what servers were seen to
have), or none, once all texts are read; the floor writes all rows each time. Tables, indexes and structure are read
every few minutes: such syncs are counted apart.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from meshag_tui import settings as settings_module
from meshag_tui.engines.mysql.unwritten import RESTING_S
from meshag_tui.servers.mysqld import MARIADB, MYSQL
from meshag_tui.types import Target
from meshag_tui.workflows import sync
from meshag_tui.workflows.workbench import Workbench
from tests.benchmarks.servers import MysqlOrMariaDb, Postgres, Server
from tests.rig.statements import Sent

Start = Callable[[int], Server]
"""Starts a server that keeps as many statements as it is told."""
ROUNDS = 5


class Bench:
    """A workbench on an empty store with one connection, to `url`. The store is in SQLite if nothing else is said."""

    def __init__(self, url: str, home: Path, objects_every_s: int | None = None, store_url: str | None = None) -> None:
        self._url = url
        self.settings = settings_module.load(environment={"MESHAG_HOME": str(home), "HOME": str(home)})
        if store_url is not None:
            self.settings = self.settings._replace(store_url=store_url)
        if objects_every_s is not None:
            collect = self.settings.collect._replace(objects_every_s=objects_every_s)
            self.settings = self.settings._replace(collect=collect)

    async def __aenter__(self) -> Bench:
        self.workbench = await Workbench.open(self.settings)
        target = Target.from_url(self._url)
        self.connection = await self.workbench.connections.add("bench", target)
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


def statements(start: Start, count: int) -> list[dict[str, Any]]:
    """Syncs of `count` statements as ratios to the floor."""
    with start(count + 2_000) as running, tempfile.TemporaryDirectory() as folder:
        running.run(count)

        async def measure() -> list[dict[str, Any]]:
            async with Bench(running.url, Path(folder)) as bench:
                first, report = await bench.sync()
                settled = await bench.settle()
                floors: list[float] = []
                ours: dict[str, list[float]] = {"all active": [], "15 % active": [], "idle": []}
                for _ in range(ROUNDS):
                    await asyncio.to_thread(running.run, count)
                    floors.append(await asyncio.to_thread(running.floor_ms, Path(folder) / "floor.db"))
                    ours["all active"].append(await bench.scheduled_sync())
                    await asyncio.to_thread(running.run, count * 15 // 100)
                    ours["15 % active"].append(await bench.scheduled_sync())
                    ours["idle"].append(await bench.scheduled_sync())
                base = statistics.median(floors)
                known = {"server": running.name, "statements": count, "floor_ms": round(base, 1)}
                return [
                    {**known, "stored": report.statements, "target": f">= {count}, nothing cut off"},
                    {**known, "first_ms": round(first, 1), "syncs_until_all_texts_are_read": settled, "target": "none"},
                    *(
                        {**known, "sync": name, "ratio": round(statistics.median(took) / base, 2), "target": "<= 1.5"}
                        for name, took in ours.items()
                    ),
                ]

        return asyncio.run(measure())


def tables(start: Start, count: int) -> list[dict[str, Any]]:
    """SQL statements of a scheduled sync with `count` tables in use, on the server and on the store."""
    with start(10_000) as running, tempfile.TemporaryDirectory() as folder:
        running.execute([f"CREATE TABLE t{n} (id int PRIMARY KEY, a int, b text)" for n in range(count)])

        def use() -> None:
            running.execute([f"INSERT INTO t{n} (id) SELECT coalesce(max(id), 0) + 1 FROM t{n}" for n in range(20)])

        async def measure(sync_of: str, objects_every_s: int | None, store_url: str | None) -> dict[str, Any]:
            home = Path(folder) / f"{sync_of} {store_url is None}".replace(" ", "-")
            async with Bench(running.url, home, objects_every_s, store_url) as bench:
                await bench.sync()
                for _ in range(2):
                    await asyncio.to_thread(use)
                    await bench.scheduled_sync()
                await asyncio.to_thread(use)
                sent = Sent()
                bench.workbench.store.run(sent.note)
                wall = await bench.scheduled_sync()
                run = (await bench.workbench.executions(limit=1))[0]
                return {
                    "server": running.name,
                    "tables": count,
                    "sync of": sync_of,
                    "store": bench.workbench.store.kind,
                    "on_the_server": run.result["server_statements"],
                    "on_the_store": len(sent.statements),
                    "to_keep_its_lease": sent.renewals,  # beside them, one for each 5 s that it took
                    "sync_ms": round(wall, 1),
                    "target": "<= 10 on the server, <= 20 on the store, the same for any number of tables",
                }

        found = []
        for sync_of, objects_every_s in (("counters", None), ("counters and objects", 0)):
            found.append(asyncio.run(measure(sync_of, objects_every_s, None)))
            with Postgres(1_000) as store:
                found.append(asyncio.run(measure(sync_of, objects_every_s, store.url)))
        return found


def server_cpu(start: Start, count: int, text_bytes: int, rounds: int = 60, tables: int = 0) -> list[dict[str, Any]]:
    """CPU of the server's sessions for `rounds` syncs of each kind, beside as many bare reads of all counters.

    `tables` are there, of one row and one index beside the key each: what a sync that reads them costs grows with them.

    Syncs of counters, of tables, indexes and structure too, and five minutes of them: one of these and four of those.
    All are syncs after the first few: what is remembered between syncs is.
    """
    with start(count + 2_000) as running, tempfile.TemporaryDirectory() as folder:
        running.run(count, text_bytes)
        running.execute([f"CREATE TABLE t{n} (id int PRIMARY KEY, a int, b text)" for n in range(tables)])
        running.execute([f"CREATE INDEX t{n}_a ON t{n} (a)" for n in range(tables)])
        running.execute([f"INSERT INTO t{n} (id) VALUES (1)" for n in range(tables)])

        async def measure() -> list[dict[str, Any]]:
            home = Path(folder)
            async with Bench(running.url, home / "a") as often, Bench(running.url, home / "b", 0) as with_objects:
                for bench in (often, with_objects):
                    await bench.settle()  # a scheduled sync reads texts only of what is new
                    await bench.scheduled_sync()
                for _ in range(2):  # until MySQL's tables count as at rest: it made their statistics meanwhile
                    await asyncio.sleep(RESTING_S)
                    await with_objects.scheduled_sync()
                took: dict[str, float] = defaultdict(float)
                for _ in range(rounds):
                    for name, work in (
                        ("bare", partial(asyncio.to_thread, running.counters)),
                        ("counters", often.scheduled_sync),
                        ("counters and objects", with_objects.scheduled_sync),
                    ):
                        before = running.sessions_cpu_s()
                        await work()
                        took[name] += running.sessions_cpu_s() - before
                bare = took.pop("bare")
                took["five minutes"] = (4 * took["counters"] + took["counters and objects"]) / 5
                return [
                    {
                        "server": running.name,
                        "statements": count,
                        "text_bytes": text_bytes,
                        "tables": tables,
                        "sync of": name,
                        "bare_cpu_ms": round(bare / rounds * 1000, 1),
                        "sync_cpu_ms": round(cpu / rounds * 1000, 1),
                        "ratio": round(cpu / bare, 2) if bare else None,
                        "target": "<= 1.2",
                    }
                    for name, cpu in took.items()
                ]

        return asyncio.run(measure())


def run() -> dict[str, Any]:
    both: tuple[Start, ...] = (partial(MysqlOrMariaDb, MYSQL), partial(MysqlOrMariaDb, MARIADB))
    return {
        "statements": [
            *(row for count in (500, 5_000, 50_000) for row in statements(Postgres, count)),
            *(row for start in both for row in statements(start, 5_000)),
        ],
        "tables": [row for start in (Postgres, *both) for count in (100, 3_000) for row in tables(start, count)],
        "server_cpu": [
            *(
                row
                for start in (Postgres, *both)
                for n in (0, 100)
                for row in server_cpu(start, 5_000, 7_000, tables=n)
            ),
            *server_cpu(Postgres, 100_000, 0, rounds=8),
        ],
    }
