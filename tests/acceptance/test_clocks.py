"""A wall clock that is wrong, frozen or set back costs marks, never calls, negatives, infinities or the history."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import peewee
import pytest
import pytest_asyncio

from meshag_tui.settings import Settings
from meshag_tui.store import database, executions, history, models, retention
from meshag_tui.types import Target, Window
from meshag_tui.workflows.scheduler import Scheduler
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.rig.stores import put_store

HOUR = 3_600_000
YEAR = 365 * 24 * HOUR
TO_1970 = -int(time.time() * 1000) + HOUR


@dataclass
class Wrong:
    """Our machine's clock: `shift_ms` away from the true one, or standing still."""

    shift_ms: int = 0
    frozen_ms: int | None = None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Wrong:
    """The clock of the process and of its SQLite store; the server's stays right."""
    wrong, true = Wrong(), time.time

    def now() -> float:
        return true() + wrong.shift_ms / 1000 if wrong.frozen_ms is None else wrong.frozen_ms / 1000

    monkeypatch.setattr(time, "time", now)
    monkeypatch.setattr(database, "now_ms", lambda: int(now() * 1000))
    expression = database._CLOCK["sqlite"]

    def in_sql() -> peewee.SQL:
        return peewee.SQL(f"({expression} + {wrong.shift_ms})" if wrong.frozen_ms is None else str(wrong.frozen_ms))

    monkeypatch.setattr(database, "clock", in_sql)
    return wrong


@pytest_asyncio.fixture
async def bench(clock: Wrong, tmp_path: Path) -> AsyncIterator[Workbench]:
    """A workbench whose clock is `clock`."""
    async with await Workbench.open(Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))) as bench:
        yield bench


def work(database: Database) -> None:
    with database.connect() as connection:
        for number in range(7):
            connection.execute(f"SELECT {number} AS counted")


async def calls(bench: Workbench, connection_id: str, window: Window) -> int:
    page = await bench.store(history.queries, connection_id, window, text="counted")
    return sum(row.calls for row in page.rows)


@pytest.mark.parametrize("shift_ms", [HOUR, -HOUR, 10 * YEAR, TO_1970, 900], ids=["+1h", "-1h", "+10y", "1970", "step"])
async def test_a_clock_that_jumps_and_is_set_right(
    bench: Workbench, clock: Wrong, pg18: Database, shift_ms: int
) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    work(pg18)
    await bench.sync(added.id)
    await bench.store(retention.prune, bench.settings.retention)  # as every hour
    clock.shift_ms = shift_ms
    work(pg18)
    jumped = await bench.sync(added.id)
    kinds = {event["kind"] for event in jumped.events}
    assert kinds == ({"clock"} if abs(shift_ms) > 5_000 else set()), "a step of less than 5 s is none"
    seen = await bench.store(history.latest_window, added.id, 10_000)
    assert await calls(bench, added.id, seen) >= 7, "what was just read is what is shown"
    for _ in range(3):  # upkeep by the wrong clock
        await bench.store(retention.roll_up, bench.settings.retention)
        assert (await bench.store(retention.prune, bench.settings.retention)).rows["intervals"] == 0
    clock.shift_ms = 0
    work(pg18)
    await bench.sync(added.id)
    seen = await bench.store(history.latest_window, added.id, 10 * 60_000)
    assert abs(database.now_ms() - seen.end) < 60_000, "it ends with the last sync, not in the future"
    assert await calls(bench, added.id, seen) >= 14
    assert await calls(bench, added.id, Window(0, database.now_ms() + 20 * YEAR)) == 21, "nothing lost or doubled"
    found = await bench.store(history.intervals, added.id, Window(0, database.now_ms() + 20 * YEAR))
    assert all(0 <= each.length_ms < 10 * 60_000 for each in found), "no giant span"
    for span in (60_000, HOUR, YEAR):
        series = await bench.store(history.load_series, added.id, Window(seen.end - span, seen.end))
        rates = [rate for rate in (*series.calls_per_s, *series.ms_per_s) if rate is not None]
        assert all(math.isfinite(rate) and 0 <= rate < 10_000 for rate in rates)


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-10-25T01:00"),
        ("America/St_Johns", "2026-11-01T04:30"),
    ],
    ids=["an hour less", "an hour twice", "half past"],
)
async def test_each_sync_is_made_once_where_the_clock_is_put_forward_or_back(
    bench: Workbench, clock: Wrong, pg18: Database, monkeypatch: pytest.MonkeyPatch, zone: str, change: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url), interval_s=1800)
    moment = round(datetime.fromisoformat(f"{change}+00:00").timestamp() * 1000)
    monotonic = 0.0
    scheduler = Scheduler(bench.store, bench.settings, bench.runner, bench.notices, clock=lambda: monotonic)
    offsets, made = set(), []
    for minutes in (
        -40,
        -5,
        30,
        65,
    ):  # half an hour apart and its jitter: before, around, in the hour that is there twice
        clock.frozen_ms = moment + minutes * 60_000
        monotonic += 35 * 60
        offsets.add(time.localtime(clock.frozen_ms / 1000).tm_gmtoff)
        for _ in range(2):
            await scheduler.once()
        made.append(len(await bench.store(executions.listing, connection_id=added.id)))
    clock.frozen_ms = None
    monkeypatch.undo()
    time.tzset()
    assert len(offsets) == 2 and made == [1, 2, 3, 4]


async def test_a_clock_that_stands_still(bench: Workbench, clock: Wrong, pg18: Database) -> None:
    added = await bench.connections.add("shop", Target.from_url(pg18.monitor_url))
    await bench.sync(added.id)
    clock.frozen_ms = database.now_ms()
    for _ in range(3):
        work(pg18)
        await bench.sync(added.id)
    clock.frozen_ms = None
    work(pg18)
    await bench.sync(added.id)
    seen = await bench.store(history.latest_window, added.id, HOUR)
    assert await calls(bench, added.id, seen) == 28
    runs = await bench.store(executions.listing, connection_id=added.id)
    assert {run.state.value for run in runs} == {"done"}
    assert all((run.duration_ms or 0) >= 0 for run in runs)
    lengths = await bench.store(lambda: [row.end_at - row.start_at for row in models.Interval.select() if row.start_at])
    assert all(length >= 0 for length in lengths)
