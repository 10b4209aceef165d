"""kill -9 of MeshAG and of the server at each of twenty moments of a change: run once at most, judged by the catalogue,
nothing of ours left half made, and the next change goes through.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from meshag_tui.servers.mysqld import MARIADB, MYSQL
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.settings import Settings
from meshag_tui.store import outcomes
from meshag_tui.store.outcomes import OutcomeState
from meshag_tui.types import (
    Analyze,
    Change,
    ChangeState,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    HideIndex,
    MeshagError,
    Rebuild,
    RenameIndex,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
)
from meshag_tui.workflows import change as workflow
from tests.changes.conftest import BY_CUSTOMER, ROOT, SHOP, Desk, catalogue, invalid
from tests.changes.points import POINTS, at
from tests.changes.test_verify import counted, one_clock
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

__all__ = ["one_clock"]

SOME = ("after planned", "after gated", "after attempt", "after run", "before done", "after status")
"""The points of every run of the tests, those at which most could go wrong; the others are among the long cases."""

_MY_ALWAYS = ((MARIADB, "drop index", "after run"), (MYSQL, "hide index", "after run"))

KINDS: tuple[Change, ...] = (
    DropIndex("public", "orders", "orders_status"),
    RenameIndex("public", "orders", "orders_status", "by_status"),
    SetTableOptions("public", "orders", (("autovacuum_vacuum_scale_factor", "0.02"),)),
    SetStatisticsTarget("public", "orders", "status", 500),
    CreateStatistics("public", "orders", ("customer_id", "status"), ("ndistinct",), "orders_two"),
    SetSetting("log_temp_files", "64MB"),
)
"""The kinds beside a new index that leave something in the catalogue, or in the server's files."""

MY_KINDS: Mapping[str, Change] = {
    "drop index": DropIndex("", "orders", "by_status"),
    "hide index": HideIndex("", "orders", "by_status"),
    "rename index": RenameIndex("", "orders", "by_status", "status"),
    "set table options": SetTableOptions("", "orders", (("STATS_SAMPLE_PAGES", "64"),)),
    "create statistics": CreateStatistics("", "orders", ("status",), ("histogram",)),
    "set setting": SetSetting("long_query_time", "0.25"),
    "analyze": Analyze("", "orders"),
    "rebuild": Rebuild("", "orders"),
}
"""The same on MySQL and MariaDB, of a schema that is put in."""

MY_CASES = [
    pytest.param(
        flavour,
        kind,
        point,
        marks=[] if (flavour, kind, point) in _MY_ALWAYS else [pytest.mark.soak],
        id=f"{flavour.lower()}-{kind}-{point}",
    )
    for flavour in (MARIADB, MYSQL)
    for kind in MY_KINDS
    for point in POINTS
    if (flavour, kind) != (MARIADB, "create statistics")  # which cannot be taken back there
]

BESIDE = """
SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
UNION ALL SELECT name || ' ' || setting FROM pg_file_settings WHERE sourcefile LIKE '%postgresql.auto.conf'
"""
"""What changes leave beside relations."""

APPLIES = """
import asyncio, os, signal, sys
from pathlib import Path
from meshag_tui.settings import Settings
from meshag_tui.workflows.workbench import Workbench
from tests.changes.points import at

async def main():
    home, store, suggestion, point = sys.argv[1:]
    async with await Workbench.open(Settings(home=Path(home), store_url=store)) as bench:
        review = await bench.hands.review(suggestion)
        at(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
        await bench.hands.apply(suggestion, review.plan_hash)

asyncio.run(main())
"""


def some_of(points: tuple[str, ...], always: tuple[str, ...]) -> list[Any]:
    return [each if each in always else pytest.param(each, marks=pytest.mark.soak) for each in points]


class Place:
    """A database of either kind with a change to be made: what it looks like, and what is half made in it."""

    def __init__(self, database: Database | Schema, change: Change = BY_CUSTOMER) -> None:
        self.database = database
        self.change = change
        if not isinstance(database, Schema):
            database.execute(SHOP)
            return
        database.execute(
            "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, status VARCHAR(9), KEY by_status (status))",
            "INSERT INTO orders VALUES (1, 1, 'new'), (2, 2, 'done')",
        )
        if isinstance(change, CreateIndex):
            self.change = CreateIndex(replace(change.spec, schema=database.name))
        elif not isinstance(change, SetSetting):
            self.change = replace(change, schema=database.name)  # type: ignore[call-arg]

    def look(self) -> Any:
        """All that must be as before when nothing was done."""
        if isinstance(self.database, Database):
            return catalogue(self.database), self.database.fetch(BESIDE)
        histograms = ""
        if self.database.flavour == MYSQL:
            histograms = " UNION ALL SELECT COLUMN_NAME FROM information_schema.COLUMN_STATISTICS"
            histograms += f" WHERE SCHEMA_NAME = '{self.database.name}'"
        beside = f"SELECT @@GLOBAL.long_query_time{histograms}"
        return self.database.fetch("SHOW CREATE TABLE orders"), self.database.fetch(beside)

    @property
    def leaves_traces(self) -> bool:
        return not isinstance(self.change, Analyze | Rebuild)

    @property
    def half_made(self) -> list[str]:
        return invalid(self.database) if isinstance(self.database, Database) else []


async def recovered(desk: Desk, place: Place, suggestion_id: str, before: Any) -> ChangeState | None:
    """MeshAG is started again: the change has an end that the catalogue bears out, and nothing was left by it.

    Then the same is applied, if it is not, and undone: nothing stands in the way of what comes next.
    """
    for _ in range(3):  # the session of the dead may be at its statement still
        await desk.bench.scheduler().once()
        rows = [row for row in await desk.journal() if row.suggestion_id == suggestion_id]
        if all(row.state in (ChangeState.DONE, ChangeState.FAILED) for row in rows):
            break
    assert len(rows) <= 1 and all(row.attempts <= 1 for row in rows)
    state = rows[0].state if rows else None
    assert state in (None, ChangeState.DONE, ChangeState.FAILED), rows
    assert place.half_made == []
    assert (place.look() != before) is (state is ChangeState.DONE and place.leaves_traces)
    if state is not ChangeState.DONE:
        assert place.look() == before
        review = await desk.bench.hands.review(suggestion_id)
        assert (await desk.bench.hands.apply(suggestion_id, review.plan_hash)).state is ChangeState.DONE
    if place.leaves_traces:
        await desk.bench.hands.undo(suggestion_id)
    assert place.look() == before
    return state


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was agreed to and not begun is not waited for."""
    monkeypatch.setattr(workflow, "_ON_ITS_WAY_MS", 0)


async def killed_at(desk: Desk, settings: Settings, place: Place, point: str) -> ChangeState | None:
    before = place.look()
    advice = await desk.suggest(place.database, place.change)
    command = [sys.executable, "-c", APPLIES, str(settings.home), settings.store_url, advice.id, point]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: ASYNC221
    assert done.returncode == -signal.SIGKILL, done.stderr
    return await recovered(desk, place, advice.id, before)


@pytest.mark.parametrize("point", some_of(POINTS, SOME))
async def test_meshag_killed(desk: Desk, settings: Settings, pg18: Database, point: str) -> None:
    state = await killed_at(desk, settings, Place(pg18), point)
    begun = POINTS.index(point) >= POINTS.index("after run")
    assert state is (ChangeState.DONE if begun else state)
    assert (state is None) is (point == "before planned")


@pytest.mark.parametrize("change", KINDS, ids=lambda change: change.kind)
@pytest.mark.parametrize("point", some_of(POINTS, ("after run",)))
async def test_meshag_killed_at_other_changes(
    desk: Desk, settings: Settings, pg18: Database, change: Change, point: str
) -> None:
    await killed_at(desk, settings, Place(pg18, change), point)


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS)
async def test_meshag_killed_on_version_15(desk: Desk, settings: Settings, pg15: Database, point: str) -> None:
    await killed_at(desk, settings, Place(pg15), point)


@pytest.mark.parametrize("point", some_of(POINTS, ("after attempt", "after run")))
async def test_meshag_killed_on_mariadb(desk: Desk, settings: Settings, mariadb: Schema, point: str) -> None:
    await killed_at(desk, settings, Place(mariadb), point)


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS)
async def test_meshag_killed_on_mysql(desk: Desk, settings: Settings, mysql: Schema, point: str) -> None:
    await killed_at(desk, settings, Place(mysql), point)


@pytest.mark.parametrize(("flavour", "kind", "point"), MY_CASES)
async def test_meshag_killed_at_other_changes_of_mysql(
    desk: Desk, settings: Settings, request: pytest.FixtureRequest, flavour: str, kind: str, point: str
) -> None:
    await killed_at(desk, settings, Place(request.getfixturevalue(flavour.lower()), MY_KINDS[kind]), point)


# ---------------------------------------------------------------------------------------------- undone by itself

VERIFIES = APPLIES.replace("        review = await bench.hands.review(suggestion)\n", "").replace(
    "await bench.hands.apply(suggestion, review.plan_hash)", "await bench.hands.verify(suggestion)"
)
LOOKS = ("after look", "before found", "after found", "before checkpoint", "after checkpoint", *POINTS)


@pytest.mark.parametrize("point", some_of(LOOKS, ("after found", "after checkpoint", "after run")))
async def test_killed_while_it_undoes_what_made_things_worse(
    desk: Desk, settings: Settings, pg18: Database, point: str
) -> None:
    """Whoever comes next finds the same and undoes it, once."""
    place = Place(pg18)
    before = place.look()
    row = await desk.apply(pg18, place.change)
    await desk.bench.connections.edit(row.connection_id, undo_worse=True)
    await counted(desk, row, after=30.0)
    command = [sys.executable, "-c", VERIFIES, str(settings.home), settings.store_url, row.id, point]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)  # noqa: ASYNC221
    assert done.returncode == -signal.SIGKILL, done.stderr
    for _ in range(3):
        await desk.bench.scheduler().once()
        if place.look() == before:
            break
    if place.look() != before:  # what was agreed to and not begun is not begun by another
        await desk.bench.hands.verify(row.id)
    assert place.look() == before and place.half_made == []
    undos = [each for each in await desk.journal() if each.undoes == row.id]
    assert [each.state for each in undos].count(ChangeState.DONE) == 1
    assert {each.state for each in undos} <= {ChangeState.DONE, ChangeState.FAILED}
    found = await desk.bench.store(outcomes.get, row.id)
    assert found is not None and found.state is OutcomeState.WORSE and found.next_look_at is None


# ---------------------------------------------------------------------------------------------- the server


@contextlib.contextmanager
def dying_at(point: str, server: Any) -> Iterator[None]:
    """kill -9 of the server's first process at a point."""
    back = at(point, lambda: os.kill(server.pid, signal.SIGKILL))
    try:
        yield
    finally:
        back()


def started_again(server: Any) -> None:
    """The server after a crash. PostgreSQL's other processes need a moment to see that the first is gone."""
    server.stop()
    for attempt in range(30):
        try:
            server.start()
            return
        except ServerUnavailable:
            if attempt == 29:
                raise
            server.stop()
            time.sleep(0.2)


async def server_killed_at(desk: Desk, place: Place, point: str) -> None:
    before = place.look()
    advice = await desk.suggest(place.database, place.change)
    review = await desk.bench.hands.review(advice.id)
    with dying_at(point, place.database.server), contextlib.suppress(MeshagError):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    started_again(place.database.server)
    await recovered(desk, place, advice.id, before)


async def test_the_server_killed(desk: Desk, private_pg: Callable[..., Database]) -> None:
    place = Place(private_pg(18))
    for point in ("after gated", "before run", "after run"):
        await server_killed_at(desk, place, point)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("major", [18, 15])
async def test_the_server_killed_at_each_point(desk: Desk, private_pg: Callable[..., Database], major: int) -> None:
    place = Place(private_pg(major))
    for point in POINTS:
        await server_killed_at(desk, place, point)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("flavour", [MARIADB, MYSQL])
async def test_a_mysql_server_killed_at_each_point(desk: Desk, private_my: Callable[..., Schema], flavour: str) -> None:
    place = Place(private_my(flavour))
    for point in POINTS:
        await server_killed_at(desk, place, point)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("flavour", [MARIADB, MYSQL])
async def test_a_mysql_server_killed_at_other_changes(
    desk: Desk, private_my: Callable[..., Schema], flavour: str
) -> None:
    schema = private_my(flavour)
    for kind, change in MY_KINDS.items():
        if kind == "set setting" or (flavour, kind) == (MARIADB, "create statistics"):
            continue  # MariaDB forgets it, as does MySQL with --no-defaults; it cannot be taken back there
        schema.execute("DROP TABLE IF EXISTS orders")
        place = Place(schema, change)
        for point in SOME:
            await server_killed_at(desk, place, point)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_the_server_killed_at_other_changes(desk: Desk, private_pg: Callable[..., Database]) -> None:
    database = private_pg(18)
    for change in KINDS:
        database.execute("DROP TABLE IF EXISTS public.orders")
        place = Place(database, change)
        for point in SOME:
            await server_killed_at(desk, place, point)
