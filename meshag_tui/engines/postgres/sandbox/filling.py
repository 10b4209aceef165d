"""Moving rows from a database into a sandbox: tables and samples first, then the parents that they name.

In: a session with the source, the agreed plan, an empty schema. Out: what was copied of each table. Everything is read
in one transaction that sees one moment and is rolled back. Where the limits stop it before every row has its parents,
rows without are taken out again: no foreign key of the copy points nowhere.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres.dial import dial
from meshag_tui.engines.postgres.sandbox import copying
from meshag_tui.engines.postgres.sandbox.source import Source
from meshag_tui.engines.postgres.session import PostgresSession
from meshag_tui.engines.rehearsal import Copied, CopyPlan, KeyCopy, Say, TableCopy
from meshag_tui.engines.shares import ROUNDS, batches
from meshag_tui.figures import count
from meshag_tui.types import Target

_CONNECT_S = 10.0
_SPARE_S = 30.0
"""Seconds after its time is up in which copying ends by itself, and is said to."""


class Loader:
    """A connection of the sandbox's own role, for writing."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, target: Target) -> Loader:
        connection, _, _ = await dial(target, "meshag/sandbox", {"search_path": "pg_catalog,pg_temp"}, _CONNECT_S)
        return cls(connection)

    async def close(self) -> None:
        await self._connection.close()

    async def rows(self, query: sql.Composed) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(query)
            return await cursor.fetchall()

    async def execute(self, query: sql.Composed) -> int:
        async with self._connection.cursor() as cursor:
            await cursor.execute(query)
            return cursor.rowcount

    async def exists(self, table: TableCopy) -> bool:
        found = await self.rows(
            sql.SQL("SELECT pg_catalog.to_regclass({})").format(sql.Literal(_home(table).as_string(self._connection)))
        )
        return found[0][0] is not None

    async def take(
        self, session: PostgresSession, table: TableCopy, text: str, most_bytes: int, seconds: float
    ) -> tuple[int, int]:
        """Write the rows that a statement on the source returns into a table; rows and bytes."""
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(
            _home(table), sql.SQL(", ").join(sql.Identifier(column) for column in table.columns)
        )
        async with self._connection.cursor() as cursor:
            async with cursor.copy(into) as copy:
                came = await copying.read_rows(session, text, copy.write, most_bytes, seconds)
            return cursor.rowcount, came


async def fill(
    session: PostgresSession, loader: Loader, plan: CopyPlan, source: Source, say: Say
) -> tuple[Copied, ...]:
    """Copy what the plan says.

    Raises:
        Refused: more came than there is room for.
        DeadlinePassed: it took longer than the limits allow.
        EngineError: the source refuses.
    """
    work = _Filling(session, loader, plan, source, say)
    async with session.wire.transaction():
        await session.fetch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # The source waits while the sandbox takes in what came and looks for what is missing.
        idle_ms = int((plan.limits.seconds + _SPARE_S) * 1000)
        await session.fetch(f"SET LOCAL idle_in_transaction_session_timeout = {idle_ms}")
        await work.tables()
        await work.parents()
    await work.without_orphans()
    return work.copied()


class _Filling:
    def __init__(self, session: PostgresSession, loader: Loader, plan: CopyPlan, source: Source, say: Say) -> None:
        self._session, self._loader, self._plan, self._say = session, loader, plan, say
        self._tables = {(table.schema, table.table): table for table in plan.tables}
        self._types = {one.home: {column.name: column.type for column in one.columns} for one in source.relations}
        self._rows: dict[tuple[str, str], int] = {}
        self._bytes: dict[tuple[str, str], int] = {}
        self._seconds = plan.limits.clock()

    async def tables(self) -> None:
        """Read each table, or its sample."""
        for table in self._plan.tables:
            if table.share and await self._loader.exists(table):
                self._say(f"copying {table.name}")
                await self._take(table, copying.select(table))

    async def _take(self, table: TableCopy, text: str) -> int:
        # A row may be longer as text than it is kept, four times at most in what we have seen.
        room = 4 * self._plan.limits.bytes - sum(self._bytes.values())
        rows, came = await self._loader.take(self._session, table, text, room, self._seconds())
        home = (table.schema, table.table)
        self._rows[home] = self._rows.get(home, 0) + rows
        self._bytes[home] = self._bytes.get(home, 0) + came
        return rows

    async def parents(self) -> None:
        """Look up what copied rows name, again for what came, until nothing is missing or the limit is reached."""
        for _ in range(ROUNDS):
            came = 0
            for key in self._plan.keys:
                parent = self._tables[key.parent_schema, key.parent]
                left = self._plan.limits.rows - sum(self._rows.values())
                if parent.share < 1 and left > 0:
                    came += await self._parents_of(key, parent, left)
            if not came:
                return

    async def _parents_of(self, key: KeyCopy, parent: TableCopy, most: int) -> int:
        columns = sql.SQL(", ").join(sql.SQL("c.{}::text").format(sql.Identifier(one)) for one in key.columns)
        missing = await self._loader.rows(
            sql.SQL("SELECT DISTINCT {} FROM {} c WHERE {} LIMIT {}").format(
                columns, sql.Identifier(key.schema, key.table), _without_parent(key), sql.Literal(most)
            )
        )
        types = [self._types[key.parent_schema, key.parent][one] for one in key.parent_columns]
        came = 0
        for some in batches(missing):
            self._say(f"copying {parent.name}: {count(len(missing))} rows that {key.table} names")
            values = copying.arrays(some, types)
            came += await self._take(parent, copying.by_keys(parent, key.parent_columns, values))
        return came

    async def without_orphans(self) -> None:
        """Take out rows whose parents did not come."""
        for _ in range(ROUNDS):
            gone = 0
            for key in self._plan.keys:
                lost = await self._loader.execute(
                    sql.SQL("DELETE FROM {} c WHERE {}").format(
                        sql.Identifier(key.schema, key.table), _without_parent(key)
                    )
                )
                home = (key.schema, key.table)
                self._rows[home] = max(0, self._rows.get(home, 0) - lost)
                gone += lost
            if not gone:
                return
        raise Refused("The copy's foreign keys cannot be closed: they go in too long a circle")

    def copied(self) -> tuple[Copied, ...]:
        return tuple(
            Copied(table.name, rows, max(table.rows, rows if table.share == 1 else 0), self._bytes.get(home, 0))
            for home, table in self._tables.items()
            if (rows := self._rows.get(home)) is not None
        )


def _without_parent(key: KeyCopy) -> sql.Composed:
    pairs = list(zip(key.columns, key.parent_columns, strict=True))
    named = sql.SQL(" AND ").join(sql.SQL("c.{} IS NOT NULL").format(sql.Identifier(mine)) for mine, _ in pairs)
    same = sql.SQL(" AND ").join(
        sql.SQL("p.{} = c.{}").format(sql.Identifier(theirs), sql.Identifier(mine)) for mine, theirs in pairs
    )
    return sql.SQL("{} AND NOT EXISTS (SELECT FROM {} p WHERE {})").format(
        named, sql.Identifier(key.parent_schema, key.parent), same
    )


def _home(table: TableCopy) -> sql.Identifier:
    return sql.Identifier(table.schema, table.table)
