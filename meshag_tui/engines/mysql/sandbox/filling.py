"""Moving rows from a server into a sandbox: tables and samples first, then the parents that they name.

In: a session with the source, the agreed plan, empty tables. Out: what was copied of each table. Everything is read in
one read-only transaction that sees one moment. Where the limits stop it before every row has its parents, rows without
are taken out again: no foreign key of the copy points nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import Limits, Refused
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.sandbox import copying
from meshag_tui.engines.mysql.sandbox.places import writing
from meshag_tui.engines.mysql.sandbox.schema import Homes
from meshag_tui.engines.mysql.sandbox.source import Name, Source, Table
from meshag_tui.engines.mysql.wire import Wire
from meshag_tui.engines.rehearsal import Copied, CopyPlan, KeyCopy, Say
from meshag_tui.engines.shares import ROUNDS, batches
from meshag_tui.figures import count
from meshag_tui.types import Target

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

_WRITING: Mapping[str, str | float] = {
    "foreign_key_checks": 0,
    "unique_checks": 0,
    "sql_mode": "NO_AUTO_VALUE_ON_ZERO",
    "net_write_timeout": 600,
}


async def fill(
    session: MysqlSession, target: Target, plan: CopyPlan, source: Source, homes: Homes, say: Say
) -> tuple[Copied, ...]:
    """Copy what the plan says.

    Raises:
        Refused: more came than there is room for.
        DeadlinePassed: it took longer than the limits allow.
        EngineError: the source refuses.
    """
    limits = Limits(call_s=max(60.0, plan.limits.seconds))
    loader = await Wire.open(target, "sandbox", writing(limits, _WRITING), limits)
    work = _Filling(session, loader, plan, source, homes, say)
    try:
        await session.fetch("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await session.fetch("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        try:
            await work.tables()
            await work.parents()
        finally:
            if session.wire.gone is None:
                await session.fetch("ROLLBACK")
        await work.without_orphans()
        return work.copied()
    finally:
        loader.close()


class _Filling:
    def __init__(
        self, session: MysqlSession, loader: Wire, plan: CopyPlan, source: Source, homes: Homes, say: Say
    ) -> None:
        self._session, self._loader, self._plan, self._say = session, loader, plan, say
        self._source, self._homes = source, homes
        self._copies = {(one.schema, one.table): one for one in plan.tables}
        self._rows: dict[Name, int] = {}
        self._bytes: dict[Name, int] = {}
        self._seconds = plan.limits.clock()

    async def tables(self) -> None:
        """Read each table, or its sample."""
        for home, copied in self._copies.items():
            table = self._source.tables.get(home)
            if table is None or not copied.share:
                continue
            self._say(f"copying {copied.name}")
            bounds = await self._bounds(table) if copied.share < 1 and table.key_kind is not None else ()
            if bounds is None:
                continue
            self._rows.setdefault(home, 0)
            for text in copying.selects(table, copied, bounds, self._loader.literal):
                await self._take(table, text)

    async def _bounds(self, table: Table) -> list[Any] | None:
        """Where the pieces of its key begin; None: it has no row."""
        low, high = (await self._session.fetch(copying.ends_of(table), deadline_s=self._seconds()))[0]
        if low is None:
            return None
        literal = self._loader.literal
        cuts = [literal(each) for each in copying.cuts(table, low, high)]
        begins = copying.begins(table, literal(low), cuts)
        found = await self._session.fetch(begins, deadline_s=self._seconds()) if cuts else []
        return [low, *(row[0] for row in found)]

    async def _take(self, table: Table, text: str) -> int:
        """Write what a statement on the source returns into a table."""
        names = ", ".join(map(quoted, table.columns))
        into = f"INSERT INTO {self._homes.sql(table.home)} ({names}) VALUES "  # noqa: S608 (names are quoted)
        came = 0

        async def take(rows: list[tuple[Any, ...]]) -> None:
            nonlocal came
            values = ", ".join(self._loader.literal(row) for row in rows)
            self._bytes[table.home] = self._bytes.get(table.home, 0) + len(values)
            # A row may be longer as text than it is kept, four times at most in what we have seen.
            if sum(self._bytes.values()) > 4 * self._plan.limits.bytes:
                raise Refused("More came than there is room for: ask for fewer rows ([rehearsal] rows, megabytes)")
            await self._loader.fetch(into + values)
            came += len(rows)

        await self._session.wire.stream(text, take, self._seconds())
        self._rows[table.home] = self._rows.get(table.home, 0) + came
        return came

    async def parents(self) -> None:
        """Look up what copied rows name, again for what came, until nothing is missing or the limit is reached."""
        for _ in range(ROUNDS):
            came = 0
            for key in self._plan.keys:
                home = (key.parent_schema, key.parent)
                left = self._plan.limits.rows - sum(self._rows.values())
                if self._copies[home].share < 1 and left > 0:
                    came += await self._parents_of(key, self._source.tables[home], left)
            if not came:
                return

    async def _parents_of(self, key: KeyCopy, parent: Table, most: int) -> int:
        columns = ", ".join(f"c.{quoted(one)}" for one in key.columns)
        missing = await self._loader.fetch(
            f"SELECT DISTINCT {columns} FROM {self._orphans(key)} LIMIT {most}"  # noqa: S608 (names are quoted)
        )
        came = 0
        for some in batches(missing):
            self._say(f"copying {'.'.join(parent.home)}: {count(len(missing))} rows that {key.table} names")
            keys = [row if len(row) > 1 else row[0] for row in some]
            came += await self._take(parent, copying.by_keys(parent, key.parent_columns, self._loader.literal(keys)))
        return came

    def _orphans(self, key: KeyCopy) -> str:
        """FROM and WHERE of rows whose parents are not there."""
        pairs = list(zip(key.columns, key.parent_columns, strict=True))
        same = " AND ".join(f"p.{quoted(theirs)} = c.{quoted(mine)}" for mine, theirs in pairs)
        named = " AND ".join(f"c.{quoted(mine)} IS NOT NULL" for mine, _ in pairs)
        child, parent = (self._homes.sql(home) for home in ((key.schema, key.table), (key.parent_schema, key.parent)))
        return f"{child} c WHERE {named} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {same})"  # noqa: S608

    async def without_orphans(self) -> None:
        """Take out rows whose parents did not come."""
        for _ in range(ROUNDS):
            gone = 0
            for key in self._plan.keys:
                lost = int((await self._loader.fetch(f"SELECT COUNT(*) FROM {self._orphans(key)}"))[0][0])  # noqa: S608
                if lost:
                    home = (key.schema, key.table)
                    await self._loader.fetch(self._taking_out(key))
                    self._rows[home] = max(0, self._rows.get(home, 0) - lost)
                    gone += lost
            if not gone:
                return
        raise Refused("The copy's foreign keys cannot be closed: they go in too long a circle")

    def _taking_out(self, key: KeyCopy) -> str:
        """DELETE with the parent joined: a table that names itself may not stand in a sub-query of its own DELETE."""
        pairs = list(zip(key.columns, key.parent_columns, strict=True))
        same = " AND ".join(f"p.{quoted(theirs)} = c.{quoted(mine)}" for mine, theirs in pairs)
        named = " AND ".join(f"c.{quoted(mine)} IS NOT NULL" for mine, _ in pairs)
        child, parent = (self._homes.sql(home) for home in ((key.schema, key.table), (key.parent_schema, key.parent)))
        missing = f"p.{quoted(key.parent_columns[0])} IS NULL"
        return f"DELETE c FROM {child} c LEFT JOIN {parent} p ON {same} WHERE {named} AND {missing}"

    def copied(self) -> tuple[Copied, ...]:
        return tuple(
            Copied(one.name, rows, rows if one.share == 1 else max(one.rows, rows), self._bytes.get(home, 0))
            for home, one in self._copies.items()
            if (rows := self._rows.get(home)) is not None
        )
