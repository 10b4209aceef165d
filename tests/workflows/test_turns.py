"""Connections that lead to one server: which do, and how many sessions all of them have there together."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.screens import overview
from meshag_tui.settings import AdviceSettings, CollectSettings, Settings, load
from meshag_tui.store import connections
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.types import ConnectionStatus, DbType, Target, UsageError
from meshag_tui.workflows.turns import Turns, servers
from meshag_tui.workflows.workbench import Workbench
from tests.rig.mysql import Schema
from tests.rig.postgres import Database
from tests.rig.stores import put_store

OURS = "SELECT application_name, count(*) FROM pg_stat_activity WHERE application_name LIKE 'meshag/%' GROUP BY 1"


def info(name: str, **told: Any) -> ConnectionInfo:
    """A connection as the store tells it; `started_at` and `in_recovery` are among its facts."""
    facts = {"epoch": {"started_at": told.pop("started_at", 1)}, "in_recovery": told.pop("in_recovery", False)}
    given = {
        "id": name, "db_type": DbType.POSTGRES, "host": "db", "port": 5432, "proxy": None, "facts": facts,
        "system_identifier": "71", "last_sync_at": 1_000, "status": ConnectionStatus.ACTIVE,
    }  # fmt: skip
    blank: dict[str, Any] = dict.fromkeys(ConnectionInfo._fields)
    return ConnectionInfo(**(blank | given | told))


def parted(*known: ConnectionInfo) -> list[set[str]]:
    """The names by server."""
    found: dict[Any, set[str]] = {}
    for name, server in servers(known).items():
        found.setdefault(server, set()).add(name)
    return sorted(found.values(), key=sorted)


def test_servers_are_told_by_what_they_call_themselves() -> None:
    one, other = info("a"), info("b", host="10.0.0.1")
    assert parted(one, other) == [{"a", "b"}], "two names of one server"
    assert parted(one, info("b", system_identifier="72")) == [{"a"}, {"b"}], "behind one pooler"
    assert parted(one, info("b", in_recovery=True, started_at=5)) == [{"a"}, {"b"}], "a standby behind the same pooler"
    assert parted(one, info("b", host="copy", started_at=5)) == [{"a"}, {"b"}], "restored from a backup of it"
    restarted = info("b", started_at=9, last_sync_at=2_000)
    assert parted(one, restarted) == [{"a", "b"}], "the first of them that was synced since a restart"
    assert parted(one, info("b", host="DB", system_identifier=None)) == [{"a", "b"}], "yet to be synced"
    assert parted(info("a", system_identifier=None), info("b", port=1, system_identifier=None)) == [{"a"}, {"b"}]
    mysql = {"db_type": DbType.MYSQL, "system_identifier": "uuid"}
    assert parted(info("a", **mysql), info("b", host="h", started_at=2, **mysql)) == [{"a", "b"}], "to the second only"


async def test_one_after_the_other_also_when_it_is_told_only_then_that_they_are_one_server() -> None:
    turns, order, inside = Turns(CollectSettings()), list[str](), Counter[str]()

    async def work(name: str) -> None:
        async with turns.of(name):
            inside["now"] += 1
            assert inside["now"] == 1, order
            order.append(name)
            turns.update(info(name))  # its first sync says which server it is
            await asyncio.sleep(0.01)
            inside["now"] -= 1

    names = [f"c{number}" for number in range(12)]
    turns.learn([info(name, system_identifier=None) for name in names])
    await asyncio.gather(*map(work, names))
    assert sorted(order) == sorted(names)
    assert not turns.may_keep("c0")
    turns.learn([info("c0"), info("c1", status=ConnectionStatus.INACTIVE), info("c2", host="h", system_identifier="5")])
    assert turns.may_keep("c0") and turns.neighbours("c0") == ("c0",)


def test_fewer_than_it_takes_are_refused(tmp_path: Path) -> None:
    environment = {"MESHAG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    (tmp_path / "config.toml").write_text("[collect]\nsessions = 1\n")
    with pytest.raises(UsageError, match="2 or more, as one only samples"):
        load(environment=environment)
    (tmp_path / "config.toml").write_text("[collect]\nsessions = 1\nsample_s = 0\n")
    assert load(environment=environment).collect.sessions == 1


class Counting:
    """Counts our sessions on a server each 100 ms, by what they are for."""

    def __init__(self, count: Callable[[], dict[str, int]]) -> None:
        self.most: Counter[str] = Counter()
        self.looks = 0
        self._count, self._over = count, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def at_once(self) -> int:
        """The most there were of all of them together."""
        return self.most["of all"]

    def _run(self) -> None:
        while not self._over.wait(0.1):
            found = self._count()
            for name, number in {**found, "of all": sum(found.values())}.items():
                self.most[name] = max(self.most[name], number)
            self.looks += 1

    def __enter__(self) -> Counting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def counting(database: Database) -> Iterator[Counting]:
    with database.connect() as connection, Counting(lambda: dict(connection.execute(OURS).fetchall())) as found:
        yield found


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Workbench]:
    async with await Workbench.open(Settings(folder, put_store(folder / "store.db"), **settings)) as bench:
        yield bench


@asynccontextmanager
async def running(bench: Workbench) -> AsyncIterator[None]:
    scheduler = bench.scheduler()
    task = asyncio.create_task(scheduler.run())
    try:
        yield
    finally:
        scheduler.stop()
        await asyncio.wait_for(task, 60)


async def until_synced(bench: Workbench, times: int) -> None:
    """Wait until each connection was synced so often, and looked at."""
    async with asyncio.timeout(240):
        while True:
            known = [each.id for each in await bench.store.read(connections.listing)]
            done = Counter(run.connection_id for run in await bench.executions(limit=10_000) if run.state == "done")
            looks = [bench.sampler.latest(each) for each in known]
            if all(done[each] >= times for each in known) and all(look and look.reading for look in looks):
                return
            await asyncio.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_thirty_databases_of_one_server_never_have_more_than_two_sessions(
    tmp_path: Path, private_pg: Callable[..., Database]
) -> None:
    first = private_pg(18)
    names = [f"shop_{number}" for number in range(30)]
    with first.connect() as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {first.name} STRATEGY file_copy")
    collect = CollectSettings(interval_s=5, sample_s=0.5)
    async with opened(tmp_path, collect=collect, advice=AdviceSettings(every_s=0)) as bench:
        for name in names:
            url = first.monitor_url.replace(f"/{first.name}", f"/{name}")
            await bench.connections.add(name, Target.from_url(url))
        with counting(first) as seen:
            async with running(bench):
                await until_synced(bench, 2)
        assert seen.looks > 20 and seen.most == {"meshag/sync": 1, "meshag/live": 1, "of all": 2}
        known = await bench.store.read(connections.listing)
        assert {(each.status, each.failures) for each in known} == {(ConnectionStatus.ACTIVE, 0)}
        assert "2 sessions at most, of all 30 connections" in overview.ours_pieces(known[0], known, 2)[1][1]
        assert overview.ours_pieces(known[0], known[:1], 2) == []
        (shared,) = {latest.shared_with for each in known if (latest := bench.sampler.latest(each.id))}
        assert shared == 29
    assert first.fetch(OURS) == []


async def test_looking_for_advice_takes_its_turn(tmp_path: Path, private_pg: Callable[..., Database]) -> None:
    """Whoever is alone on a server keeps a session, which makes room for what is not a sync."""
    first = private_pg(18)
    first.execute(
        "CREATE TABLE item (id int, part int)", "INSERT INTO item SELECT g, g FROM generate_series(1, 5000) g"
    )
    advice = AdviceSettings(every_s=1, what_if="off")
    async with opened(tmp_path, collect=CollectSettings(interval_s=1, sample_s=0.2), advice=advice) as bench:
        await bench.connections.add("shop", Target.from_url(first.monitor_url))
        with counting(first) as seen, first.connect() as working:
            async with running(bench), asyncio.timeout(90):
                while (
                    sum(run.kind == "generate_suggestions" for run in await bench.executions()) < 3
                    or seen.at_once < 2  # each is there for a moment only
                    or "meshag/advice" not in seen.most
                ):
                    for part in range(20):
                        working.execute(f"SELECT id FROM item WHERE part = {part}")
                    await asyncio.sleep(0.2)
        assert seen.at_once == 2 and seen.most["meshag/advice"] == 1


async def test_a_second_database_of_the_server_ends_the_session_that_was_kept(
    tmp_path: Path, pg18: Database, servers: Any
) -> None:
    async with opened(tmp_path, collect=CollectSettings(interval_s=1, sample_s=0, sessions=1)) as bench:
        await bench.connections.add("one", Target.from_url(pg18.monitor_url))
        ours = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'meshag/sync' AND datname = '{pg18.name}'"
        async with running(bench), asyncio.timeout(60):
            pids = set[int]()
            while len(pids) < 1:
                await asyncio.sleep(0.05)
                pids |= {pid for (pid,) in pg18.fetch(ours)}
            for _ in range(10):
                await asyncio.sleep(0.2)
                pids |= {pid for (pid,) in pg18.fetch(ours)}
            assert len(pids) == 1, "it is alone: its session is kept"
            for other in servers.fresh(18):
                await bench.connections.add("two", Target.from_url(other.monitor_url))
                while len(pids) < 3:
                    pids |= {pid for (pid,) in pg18.fetch(ours)}
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
async def test_schemas_of_one_server(tmp_path: Path, request: pytest.FixtureRequest, flavour: str) -> None:
    schema: Schema = request.getfixturevalue(flavour)
    names = [f"{schema.name}_{number}" for number in range(4)]
    for name in names:
        schema.execute(f"CREATE DATABASE {name}")
    target = Target.from_url(schema.user("PROCESS ON *.*", "SELECT ON *.*"))
    count = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{target.user}'"
    async with opened(tmp_path, collect=CollectSettings(interval_s=2, sample_s=0.5)) as bench:
        for name in names:
            await bench.connections.add(name, replace(target, database=name))
        with Counting(lambda: {"": int(schema.fetch(count)[0][0])}) as seen:
            async with running(bench), asyncio.timeout(90):
                await until_synced(bench, 3)
                while seen.at_once < 2:  # noqa: ASYNC110 - each is there for a moment only, on the server
                    await asyncio.sleep(0.1)
        assert seen.at_once == 2
    for name in names:
        schema.execute(f"DROP DATABASE {name}")
