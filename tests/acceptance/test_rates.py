"""Live rates: what a database does is shown as often as it is really done."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshag_tui.settings import Settings
from meshag_tui.store import history
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench
from tests.rig.mysql import Schema
from tests.rig.postgres import Database
from tests.rig.stores import put_store

RATE = 50.0
INTERVALS = 3


class Generator(threading.Thread):
    """Runs a statement at a steady pace: what a busy machine could not do in time it does next."""

    def __init__(self, database: Database | Schema) -> None:
        super().__init__(daemon=True)
        self._database = database
        self._ended = threading.Event()

    def run(self) -> None:
        with self._database.connect() as connection, connection.cursor() as cursor:
            begin, done = time.monotonic(), 0
            while not self._ended.is_set():
                due = int((time.monotonic() - begin) * RATE)
                for _ in range(due - done):
                    cursor.execute("SELECT 50 AS steadily")
                    cursor.fetchall()
                done = max(done, due)
                self._ended.wait(0.005)

    def __enter__(self) -> Generator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


@pytest.fixture(
    params=[
        "pg18",
        "mariadb",
        pytest.param("pg15", marks=pytest.mark.soak),
        pytest.param("mysql", marks=pytest.mark.soak),
    ]
)
def database(request: pytest.FixtureRequest) -> Iterator[Database | Schema]:
    """An empty database of each kind in turn."""
    found: Database | Schema = request.getfixturevalue(request.param)
    yield found


async def test_fifty_a_second_are_shown_as_fifty_within_three_intervals(
    database: Database | Schema, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))
    async with await Workbench.open(settings) as bench:
        info = await bench.connections.add("shop", Target.from_url(database.monitor_url))
        await bench.sync(info.id)
        with Generator(database):
            await asyncio.sleep(0.3)
            for _ in range(INTERVALS + 1):
                await asyncio.sleep(0.7)
                await bench.sync(info.id)
        window = await bench.store(history.latest_window, info.id, INTERVALS * 800)
        intervals = await bench.store(history.intervals, info.id, window)
        page = await bench.store(lambda: history.queries(info.id, window, text="steadily"))
        (row,) = page.rows
        observed_s = sum(each.length_ms for each in intervals) / 1000
        assert row.calls / observed_s == pytest.approx(RATE, rel=0.05)
        series = await bench.store(history.query_series, row.id, window, len(intervals))
        shown = [rate for rate in series.calls_per_s if rate is not None]
        assert shown and sum(shown) / len(shown) == pytest.approx(RATE, rel=0.05)
        rows = [rate for rate in series.rows_per_s if rate is not None]
        assert rows == pytest.approx(shown), "each call returns one row"
        assert series.blocks_per_s if isinstance(database, Database) else series.examined_per_s, "reads are counted"
