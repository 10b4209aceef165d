"""Killed at any moment while it writes real syncs: whole batches, no lost acknowledgement, no call lost or doubled."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import history, models
from meshag_tui.types import Target, Window
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.rig.stores import put_store

ROOT = Path(__file__).parents[2]
SYNCS = """
import asyncio, sys
from pathlib import Path
from meshag_tui.settings import Settings
from meshag_tui.workflows.workbench import Workbench
home, store_url, connection = sys.argv[1:]
async def main():
    async with await Workbench.open(Settings(home=Path(home), store_url=store_url)) as bench:
        print("open", flush=True)
        while True:
            report = await bench.sync(connection)
            print(report.execution_id, flush=True)
asyncio.run(main())
"""
ORPHANS = """
    SELECT (SELECT count(*) FROM query_statistics s LEFT JOIN interval i ON i.id = s.interval_id WHERE i.id IS NULL)
         + (SELECT count(*) FROM query_statistics s LEFT JOIN query q ON q.id = s.query_id WHERE q.id IS NULL)
         + (SELECT count(*) FROM baseline b, json_each(b.statements, '$[0]') s LEFT JOIN query q ON q.id = s.value
            WHERE q.id IS NULL)
"""


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
@pytest.mark.slow
async def test_kill_9_while_syncing(pg18: Database, tmp_path: Path, kills: int) -> None:
    settings = Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))
    async with await Workbench.open(settings) as bench:
        added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
        await bench.sync(added.id)
    chance, executed, acknowledged = random.Random(kills), 0, set[str]()
    command = [sys.executable, "-c", SYNCS, str(tmp_path), settings.store_url, added.id]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: ASYNC220
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pg18.connect() as connection:
            for number in range(chance.randrange(1, 9)):
                connection.execute(f"SELECT {number} AS counted")
                executed += 1
        if chance.random() < 0.25:  # some finish one first, however slow the machine is
            acknowledged |= {line for line in [process.stdout.readline()] if line}  # none: the run was killed too often
        time.sleep(chance.random() * 0.4)  # noqa: ASYNC251 (nothing else runs in this loop)
        process.kill()
        acknowledged |= {line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}
        process.wait()
        process.stdout.close()
        with sqlite3.connect(tmp_path / "store.db") as store:
            assert store.execute("PRAGMA quick_check").fetchone() == ("ok",)
            assert store.execute(ORPHANS).fetchone() == (0,)
        store.close()
    assert acknowledged, "something was finished between the kills"
    async with await Workbench.open(settings) as bench:
        await bench.sync(added.id)  # joins or resumes what the last one left
        await bench.sync(added.id)
        everything = Window(0, 10**14)
        page = await bench.store(history.queries, added.id, everything, text="counted")
        assert sum(row.calls for row in page.rows) == executed, "each call once, however often it died"
        done = await bench.store(
            lambda: {run.id for run in models.Execution.select().where(models.Execution.state == "done")}
        )
        assert {line.strip() for line in acknowledged} <= done
        left = await bench.store(
            lambda: models.Execution.select().where(models.Execution.state.in_(["ready", "running"])).count()
        )
        assert left == 0
    with sqlite3.connect(tmp_path / "store.db") as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
