"""A database that is watched: synced into a store of its own, looked at through it, advised over a real session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshag_tui.advisor import generate
from meshag_tui.engines import engine_for
from meshag_tui.engines.base import Limits, Session, WhatIf
from meshag_tui.settings import Settings
from meshag_tui.store import connections, history, snapshots
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import Suggestion, Target, Window
from tests.rig.mysql import Schema
from tests.rig.postgres import Database
from tests.rig.stores import put_store

Watchable = Database | Schema
Connect = Callable[[Watchable], AbstractAsyncContextManager[Session]]


@pytest.fixture
def connect() -> Connect:
    """Open a read-only session on a database, as the workflows do."""

    @asynccontextmanager
    async def opened(database: Watchable) -> AsyncIterator[Session]:
        target = Target.from_url(database.url)
        async with engine_for(target.db_type).connect(target, "advice", Limits()) as session:
            yield session

    return opened


class WithoutWhatIf:
    """A session on a server that has no hypothetical indexes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def what_if(self, *_: Any) -> WhatIf | None:
        return None


class Watched:
    """One database and what our store remembers of it."""

    def __init__(self, database: Watchable, store: Store, connect: Connect, home: Path) -> None:
        self.database = database
        self.settings = Settings(home=home, store_url="")
        self.store = store
        self.connect = connect
        vault = Vault.open(self.settings, {})
        self.id = store.run(connections.add, "shop", Target.from_url(database.url), vault).id

    async def sync(self) -> None:
        """Read the server once, texts included."""
        async with self.connect(self.database) as session:
            snapshot = await session.collect()
            texts = await session.texts(None)
        self.store.run(snapshots.write, self.id, snapshot, texts)
        self.store.run(connections.synced, self.id, snapshot.facts, snapshot.warnings)

    async def work(self, *statements: str, times: int = 20) -> None:
        """Sync, let an application run these, sync again: they are the workload."""
        await self.sync()
        with self.database.connect() as connection, connection.cursor() as cursor:
            for _ in range(times):
                for statement in statements:
                    cursor.execute(statement)
        await asyncio.sleep(0.05)
        await self.sync()

    def window(self) -> Window:
        return self.store.run(history.latest_window, self.id, 3_600_000)

    def catalog(self) -> history.Catalog:
        return self.store.run(history.catalog, self.id, self.window())

    def workload(self) -> tuple[history.QueryRow, ...]:
        return self.store.run(history.queries, self.id, self.window(), limit=500).rows

    async def advice(self, *, what_if: bool = True, **options: Any) -> generate.Advice:
        """What the rules say now."""
        async with self.connect(self.database) as session:
            asked: Any = session if what_if else WithoutWhatIf(session)
            return await generate.suggestions(
                self.catalog(), self.workload(), asked, self.settings, window=self.window(), **options
            )


@pytest.fixture
def watch(connect: Connect, tmp_path: Path) -> Iterator[Callable[[Watchable], Watched]]:
    """Begin to watch a database."""
    stores: list[Store] = []

    def begin(database: Watchable) -> Watched:
        store = Store.open(put_store(tmp_path / f"store{len(stores)}.db"))
        stores.append(store)
        return Watched(database, store, connect, tmp_path)

    yield begin
    for store in stores:
        store.close()


Watch = Callable[[Watchable], Watched]


def filled(table: str, rows: int, columns: str) -> str:
    """A statement of MySQL and MariaDB that puts rows into a table; `columns` may use `n`, 1 to `rows`."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    places = range(len(str(rows)))
    joined = " JOIN ".join(f"({digits}) t{place}" for place in places)
    number = " + ".join(f"t{place}.d * {10**place}" for place in places)
    return f"INSERT INTO {table} SELECT {columns} FROM (SELECT {number} + 1 AS n FROM {joined}) s WHERE n <= {rows}"


def by_rule(advice: generate.Advice, rule: str) -> Sequence[Suggestion]:
    """The suggestions of one rule."""
    return [one for one in advice.suggestions if one.rule == rule]
