"""A sandbox with data: a private server with the tables that some statements read, and rows of them.

In: a read-only session with the source, and a `CopyPlan` that was agreed to. Out: a `rehearsal.Rehearsal`. Both sides
read the same pages in the same server. For what only reads, the index that is rehearsed is there all the time, and the
planner is not let see it on the side that has it not. A write keeps an index up to date that nobody sees, so before
one the index is really made or dropped, and the write is rolled back. Statements run as an account that has nothing
but the sandbox.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from meshag_tui.engines.base import EngineError, Limits, Refused
from meshag_tui.engines.mysql import render
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.explainable import explainable
from meshag_tui.engines.mysql.sandbox import filling, proving, schema, undoing, values
from meshag_tui.engines.mysql.sandbox import source as sources
from meshag_tui.engines.mysql.sandbox.copying import plan as plan_of
from meshag_tui.engines.mysql.sandbox.places import NamedServer, Place, PrivateServer, writing
from meshag_tui.engines.mysql.sandbox.schema import Homes
from meshag_tui.engines.mysql.sandbox.source import Name, Source
from meshag_tui.engines.mysql.session import MysqlSession
from meshag_tui.engines.rehearsal import (
    Answer,
    Copied,
    CopyLimits,
    CopyPlan,
    Execution,
    Named,
    Proof,
    Rehearsal,
    Runnable,
    Say,
    Side,
    Undone,
    Values,
)
from meshag_tui.plan import Plan
from meshag_tui.servers.mysqld import Installation, find
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.types import Change, CreateIndex, DbType, DropIndex, HideIndex, SetSetting

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server

RUN_S = 30.0
"""Seconds after which a run is ended."""
COMPARE_S = 120.0
"""Seconds within which data is altered anew to tell two statements apart."""
_PAGES = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_buffer_pool_read_requests', 'Innodb_buffer_pool_reads')"
_AS_SOURCE = (
    *("optimizer_switch", "sort_buffer_size", "join_buffer_size", "read_rnd_buffer_size", "tmp_table_size"),
    *("max_heap_table_size", "eq_range_index_dive_limit"),
)
"""Settings of a session that decide plans."""


async def copy_plan(
    session: MysqlSession, statements: Sequence[str], limits: CopyLimits, server: Named | None
) -> CopyPlan:
    """See `base.Session`."""
    return await plan_of(session, statements, limits, *await _place_said(session, server))


async def schema_plan(session: MysqlSession, change: Change, limits: CopyLimits, server: Named | None) -> CopyPlan:
    """See `base.Session`."""
    statement = "SELECT 1"  # that reads no table: of a setting the sandbox is an empty server
    if not isinstance(change, SetSetting):
        on = change.spec if isinstance(change, CreateIndex) else change
        statement = f"SELECT 1 FROM {quoted(on.schema)}.{quoted(on.table)}"  # noqa: S608 (names are quoted)
    return await plan_of(session, [statement], limits, *await _place_said(session, server), reads=False)


async def _place_said(session: MysqlSession, server: Named | None) -> tuple[str, list[str]]:
    """Where the sandbox would be, in words, and what is not as on the source there; Refused where it cannot be."""
    engine = session.facts.engine
    if server is not None:
        if server.target.db_type is not DbType.MYSQL:
            raise Refused(f"{server.target.label} is no {engine}: it cannot be the place of a sandbox")
        if server.template:
            raise Refused(f"{engine} cannot copy a database by itself: [rehearsal] template must be off")
        return server.said, []
    installed = await asyncio.to_thread(_installed, session.server)
    other = installed.version != ".".join(str(part) for part in session.server.version)
    notes = [f"the source is {engine} {session.facts.version}"] if other else []
    return f"a private {installed.flavour} {installed.version} on this machine", notes


def _installed(source: Server) -> Installation:
    try:
        return find(source.flavour)
    except ServerUnavailable as error:
        raise Refused(
            f"There is no sandbox here: {error}",
            "Or name a server for it: [rehearsal] server, with an account that may make databases",
        ) from None


@asynccontextmanager
async def rehearse(session: MysqlSession, plan: CopyPlan, say: Say, server: Named | None) -> AsyncIterator[Rehearsal]:
    """See `base.Session`."""
    if session.facts.epoch.system_identifier != plan.source_id:
        raise Refused("The statements were agreed to for another server: look again")
    if server is not None and plan.place != server.said:
        raise Refused("The sandbox would be in another place than was agreed to: look again")
    begin = time.monotonic()
    place: Place
    if server is None:
        place = PrivateServer(await asyncio.to_thread(_installed, session.server), session.server)
    else:
        place = NamedServer(server, session.server.flavour)
    stage = Stage(plan, place)
    try:
        say("starting a private server" if server is None else f"asking {server.target.label}")
        await place.start(plan.source_id, plan.limits.bytes)
        say("reading the catalogue")
        stage.source_plans = {text: await session.explain(text) for text in plan.asked}
        await stage.fill(session, say)
        stage.prepared_s = time.monotonic() - begin
        yield stage
    except (ServerUnavailable, OSError) as error:
        raise Refused(f"The sandbox cannot be made: {error}") from error
    finally:
        await stage.close()


class Stage:
    """See `rehearsal.Rehearsal`."""

    def __init__(self, plan: CopyPlan, place: Place) -> None:
        self._plan = plan
        self._place = place
        self._session: MysqlSession | None = None
        self._homes = Homes({}, {})
        self._made: list[Name] = []
        self._notes: list[str] = []
        self._index: _Index | None = None
        self._plans: dict[tuple[Side, str], Plan] = {}
        self.copied: Sequence[Copied] = ()
        self.source_plans: Mapping[str, Plan] = {}
        self.prepared_s = 0.0

    @property
    def label(self) -> str:
        return self._place.label

    @property
    def notes(self) -> Sequence[str]:
        """What is not as on the source."""
        return [*self._plan.notes, *self._notes]

    # ------------------------------------------------------------------ making it

    async def fill(self, source: MysqlSession, say: Say) -> None:
        """Make the schema and copy the rows."""
        found = await sources.read(source, self._plan.asked)
        homes = {*found.tables, *found.views}
        named = await self._place.make(sorted({home[0] for home in homes}))
        known = {one: {name for schema, name in homes if schema == one} for one in named}
        self._homes = Homes(named, known)
        limits = Limits(call_s=RUN_S)
        self._session = await MysqlSession.open(self._place.target(), "sandbox", limits, writing(limits))
        await self._make_tables(source, found)
        target, plan = self._place.target(), self._plan
        self.copied = await filling.fill(source, target, plan, found, self._homes, say)
        say("counting statistics")
        for home in self._made:
            await self.session.fetch(f"ANALYZE TABLE {self._homes.sql(home)}", deadline_s=plan.limits.seconds)
        await self._make_views(found)
        await self._take_settings(source)

    async def _make_tables(self, source: MysqlSession, found: Source) -> None:
        copied = {(one.schema, one.table) for one in self._plan.tables}
        await self.session.fetch("SET SESSION foreign_key_checks = 0")
        for home, table in found.tables.items():
            if home in copied:
                printed = await sources.definition(source, table)
                await self.session.fetch(schema.create_table(printed, home, self._homes, copied))
                self._made.append(home)
        await self.session.fetch("SET SESSION foreign_key_checks = 1")

    async def _make_views(self, found: Source) -> None:
        """One may be over another, so those that fail are tried again as long as any succeeds."""
        waiting = dict(found.views)
        while waiting:
            failed = {}
            for home, text in waiting.items():
                try:
                    await self.session.fetch(schema.create_view(text, home, self._homes))
                except EngineError as error:
                    if error.transient:
                        raise
                    failed[home] = text
            if len(failed) == len(waiting):
                self._notes.append(f"without {', '.join('.'.join(home) for home in sorted(failed))}")
                return
            waiting = failed

    async def _take_settings(self, source: MysqlSession) -> None:
        for name in _AS_SOURCE:
            value = source.facts.settings.get(name)
            if value is None:
                continue
            said = value if value.isdigit() else self.session.wire.literal(value)
            try:
                await self.session.fetch(f"SET SESSION {name} = {said}")
            except EngineError as error:
                if error.transient:
                    raise
                self._notes.append(f"{name} is not as on the source")

    async def change(self, change: Change) -> str:
        """See `rehearsal.Rehearsal`. Refused: it is no change that is rehearsed, or it cannot be made here."""
        if not isinstance(change, CreateIndex | DropIndex | HideIndex):
            raise Refused("Only indexes that are made, dropped or hidden are rehearsed")
        wire = self.session.wire
        change = _moved(change, self._homes)
        rendered = await render.render(wire, change)
        name = str(rendered.target["index"])
        place = (str(rendered.target["schema"]), str(rendered.target["table"]))
        if isinstance(change, CreateIndex):
            await self._alter(rendered.sql)
            make, drop, there = rendered.sql, rendered.undo_sql or "", "after"
        else:
            dropping = await render.render(wire, DropIndex(*place, name))
            make, drop, there = dropping.undo_sql or "", dropping.sql, "before"
        hide = await render.render(wire, HideIndex(*place, name))
        hides = isinstance(change, HideIndex)
        self._index = _Index(
            place, make, drop, hide.sql, hide.undo_sql or "", "after" if there == "after" else "before", hides
        )
        return rendered.sql

    async def _alter(self, text: str) -> None:
        try:
            await self.session.fetch(text, deadline_s=max(RUN_S, self._plan.limits.seconds))
        except EngineError as error:
            if error.transient:
                raise
            raise Refused(f"The change cannot be made in the sandbox: {error}") from error

    # ------------------------------------------------------------------ running in it

    async def ready(self, statement: str, sets: int, seed: int) -> Runnable:
        """See `rehearsal.Rehearsal`. Refused: there are no values for its parameters, or it cannot be run here."""
        found = await asyncio.to_thread(explainable, self._homes.text(statement))
        home = self._homes.schemas.get(await self.session.planning.home(statement) or "")
        if home is None:
            home = next(iter(self._homes.schemas.values()))
        made = await values.ready(self.session, found, statement, home, sets, seed)
        if made.notes:
            self._notes += [note for note in made.notes if note not in self._notes]
        return made.runnable

    async def run(self, side: Side, runnable: Runnable, given: Values) -> Execution:
        """See `rehearsal.Rehearsal`. The time is the server's own, from the statement's arrival to its last row."""
        session = self.session
        text = proving.filled(runnable, given)
        await self._turn(side, writes=runnable.writes)
        plan = await self._plan_of(side, runnable, text)
        await session.fetch(f"USE {quoted(runnable.path)}")
        if runnable.writes:
            await session.fetch("START TRANSACTION")
        try:
            before = await self._pages()
            await session.fetch("SET SESSION profiling_history_size = 1, profiling = 1")
            rows = await session.fetch(text)
            await session.fetch("SET SESSION profiling = 0")
            took = await session.fetch("SHOW PROFILES")
            after = await self._pages()
        finally:
            if session.wire.gone is None:
                await session.fetch("ROLLBACK")
        read = after[1] - before[1]
        return Execution(
            ms=float(took[-1][1]) * 1000,
            hit=max(0, after[0] - before[0] - read),
            read=read,
            rows=float(len(rows)),
            plan=plan,
        )

    async def _pages(self) -> tuple[int, int]:
        """Pages of InnoDB asked for so far, and read from disk, by everybody: on a private server nobody else is."""
        found = {str(name).lower(): int(value) for name, value in await self.session.fetch(_PAGES)}
        return found["innodb_buffer_pool_read_requests"], found["innodb_buffer_pool_reads"]

    async def _plan_of(self, side: Side, runnable: Runnable, text: str) -> Plan:
        if (side, text) not in self._plans:
            self._plans[side, text] = await self.session.explain(text, search_path=runnable.path)
        return self._plans[side, text]

    async def _turn(self, side: Side, *, writes: bool) -> None:
        """Let the index be there, or be seen, as a side has it."""
        index = self._index
        if index is None:
            return
        has = side == index.side
        if writes and not index.stays and index.there != has:
            await self._alter(index.make if has else index.drop)
            index.there, index.seen = has, True
        elif not writes or index.stays:
            if not index.there:
                await self._alter(index.make)
                index.there, index.seen = True, True
            if index.seen != has:
                await self._alter(index.show if has else index.hide)
                index.seen = has
                # The table is opened anew by whoever comes next: not by the run that is timed.
                await self.session.fetch(f"SELECT 1 FROM {'.'.join(map(quoted, index.table))} LIMIT 1")  # noqa: S608
        elif index.there and not index.seen:
            await self._alter(index.show)
            index.seen = True

    async def undone(self, change: Change, sql: str, undo_sql: str) -> Undone:
        """See `rehearsal.Rehearsal`."""
        index, self._index = self._index, None
        if index is not None:  # as it was before any of it
            if not index.seen and index.there:
                await self._alter(index.show)
            if index.there != (index.side == "before"):
                await self._alter(index.drop if index.there else index.make)
        admin = self._place.admin()
        if admin is None and isinstance(change, SetSetting):
            return Undone(sql, undo_sql, "a setting of a named server is not touched")
        tables = [self._homes.sql(home) for home in self._made]
        limits = Limits(call_s=max(RUN_S, self._plan.limits.seconds))
        session = await MysqlSession.open(admin or self._place.target(), "sandbox", limits, writing(limits))
        try:
            texts = (self._homes.text(sql), self._homes.text(undo_sql))
            found = await undoing.undone(session.fetch, session.server.flavour, tables, change, *texts)
        finally:
            session.wire.close()
        return Undone(sql, undo_sql, found.doubt)

    async def answer(self, runnable: Runnable, given: Values) -> Answer:
        """See `rehearsal.Rehearsal`."""
        await self._turn("before", writes=False)
        return await proving.answer(self.session, runnable, given)

    async def rewritten(self, runnable: Runnable, text: str) -> Runnable:
        """See `rehearsal.Rehearsal`."""
        return await values.rewritten(self.session, runnable, text, self._homes.text(text))

    async def compare(self, one: Runnable, other: Runnable) -> Proof:
        """See `rehearsal.Rehearsal`."""
        return await proving.compare(self.session, one, other, COMPARE_S)

    # ------------------------------------------------------------------ connections

    @property
    def session(self) -> MysqlSession:
        """The one that runs everything."""
        if self._session is None:
            raise EngineError("The sandbox is closed")
        return self._session

    async def close(self) -> None:
        """End its server, or take its databases away; nothing of it is left."""
        session, self._session = self._session, None
        if session is not None:
            session.wire.close()
        await self._place.close()


class _Index:
    """The index that one side has: what makes and drops it, hides and shows it, and how it is just now.

    `stays`: it is there on both sides, and only hidden on one.
    """

    def __init__(self, table: Name, make: str, drop: str, hide: str, show: str, side: Side, stays: bool) -> None:
        self.table, self.side, self.stays = table, side, stays
        self.make, self.drop, self.hide, self.show = make, drop, hide, show
        self.there = self.seen = True


def _moved(change: CreateIndex | DropIndex | HideIndex, homes: Homes) -> Change:
    """The change on the sandbox's table."""
    if isinstance(change, CreateIndex):
        schema_, _ = homes.home((change.spec.schema, change.spec.table))
        return replace(change, spec=replace(change.spec, schema=schema_))
    schema_, _ = homes.home((change.schema, change.table))
    return replace(change, schema=schema_)


__all__ = ["Stage", "copy_plan", "rehearse", "schema_plan"]
