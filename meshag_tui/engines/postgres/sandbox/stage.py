"""A sandbox with data: a private PostgreSQL with the tables that some statements read, and rows of them.

In: a read-only session with the source, and a `CopyPlan` that was agreed to. Out: a `rehearsal.Rehearsal`. An index
that is rehearsed is there; the side that has it not runs in a transaction that begins by dropping it, and every
transaction is rolled back. So both sides read the same pages in the same process: two copies, or two processes, differ
by a fifth from where their memory happens to lie. Statements run as a role without privileges; extensions that reach
out of a database are not made. Statistics of columns are the source's where they can be taken over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from meshag_tui.engines.base import EngineError, Limits, Refused
from meshag_tui.engines.postgres import render, rewrite, samples
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.explain import Planner, checked
from meshag_tui.engines.postgres.plantree import read_plan
from meshag_tui.engines.postgres.sandbox import filling, inserting, proving, schema, undoing
from meshag_tui.engines.postgres.sandbox import source as sources
from meshag_tui.engines.postgres.sandbox.copying import plan as plan_of
from meshag_tui.engines.postgres.sandbox.making import REACHING_OUT, Maker
from meshag_tui.engines.postgres.sandbox.places import PrivateServer, place_of
from meshag_tui.engines.postgres.sandbox.schema import dotted
from meshag_tui.engines.postgres.sandbox.source import Source
from meshag_tui.engines.postgres.session import PostgresSession
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.postgres.threads import in_thread
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
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.postgres import EmbeddedPostgres, wheel_bindir
from meshag_tui.types import Change, CreateIndex, DbType, DropIndex, SetSetting

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.samples import Parameter

RUN_S = 30.0
"""Seconds after which a run is ended."""
_RUN = "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY, BUFFERS, VERBOSE, FORMAT JSON)"


async def copy_plan(
    session: PostgresSession, statements: Sequence[str], limits: CopyLimits, server: Named | None
) -> CopyPlan:
    """See `base.Session`."""
    reads = server is None or not server.template
    return await plan_of(session, statements, limits, await _place_said(server), reads=reads)


async def schema_plan(session: PostgresSession, change: Change, limits: CopyLimits, server: Named | None) -> CopyPlan:
    """See `base.Session`."""
    statement = "SELECT 1"  # that reads no table: of a setting the sandbox is an empty database
    if not isinstance(change, SetSetting):
        on = change.spec if isinstance(change, CreateIndex) else change
        statement = f"SELECT FROM {dotted((on.schema, on.table))}"
    return await plan_of(session, [statement], limits, await _place_said(server), reads=False)


async def _place_said(server: Named | None) -> str:
    """Where the sandbox would be, in words; Refused where it cannot be."""
    if server is not None:
        if server.target.db_type is not DbType.POSTGRES:
            raise Refused(f"{server.target.label} is no PostgreSQL: it cannot be the place of a sandbox")
        return server.said
    try:
        bindir = await asyncio.to_thread(wheel_bindir)
    except ServerUnavailable as error:
        raise Refused(f"There is no sandbox here: {error}") from None
    version = await asyncio.to_thread(lambda: EmbeddedPostgres(bindir).version)
    return f"a private PostgreSQL {version} on this machine"


@asynccontextmanager
async def rehearse(
    session: PostgresSession, plan: CopyPlan, say: Say, server: Named | None
) -> AsyncIterator[Rehearsal]:
    """See `base.Session`."""
    if session.facts.epoch.system_identifier != plan.source_id:
        raise Refused("The statements were agreed to for another server: look again")
    if server is not None and plan.place != server.said:
        raise Refused("The sandbox would be in another place than was agreed to: look again")
    begin = time.monotonic()
    stage = Stage(plan, server)
    try:
        say("starting a private server" if server is None else f"asking {server.target.label}")
        await stage.start()
        say("reading the catalogue")
        plans = [await session.explain(statement) for statement in plan.asked]
        source = await sources.read(session, plans, keys=True)
        stage.source_plans = dict(zip(plan.asked, plans, strict=True))
        await stage.fill(session, source, say)
        stage.prepared_s = time.monotonic() - begin
        yield stage
    except (ServerUnavailable, psycopg.Error, OSError) as error:
        raise Refused(f"The sandbox cannot be made: {error}") from error
    finally:
        await stage.close()


class Stage:
    """See `rehearsal.Rehearsal`."""

    def __init__(self, plan: CopyPlan, server: Named | None = None) -> None:
        self._plan = plan
        self._place = place_of(server)
        self._template = server is not None and server.template
        self._maker = Maker()
        self._source: Source | None = None
        self._session: PostgresSession | None = None
        self._taken_out: list[str] = []  # tables of which rows are inserted again
        self._first: dict[Side, str] = {}  # what a side runs first in its transaction
        self.copied: Sequence[Copied] = ()
        self.source_plans: Mapping[str, Plan] = {}
        self.prepared_s = 0.0

    @property
    def label(self) -> str:
        return self._place.label

    @property
    def notes(self) -> Sequence[str]:
        """What is not as on the source."""
        source, said = self._source, list(self._plan.notes)
        if source is not None and self._place.version.partition(".")[0] != str(source.version_number // 10_000):
            said.append(f"the source is PostgreSQL {source.version}")
        said += self._maker.notes
        said += [f"INSERT INTO {table}: rows of the copy, taken out of it before" for table in self._taken_out]
        if self._maker.missing:
            some = [f"{schema}.{name}".strip(".") for schema, name in sorted(self._maker.missing)[:5]]
            said.append(f"without {', '.join(some)}{' and others' if len(self._maker.missing) > 5 else ''}")
        return said

    # ------------------------------------------------------------------ making it

    async def start(self) -> None:
        """Make its place ready; Refused when it would be the source, or there is no room."""
        await in_thread(lambda: self._place.start(self._plan.source_id, self._plan.limits.bytes))

    async def fill(self, session: PostgresSession, source: Source, say: Say) -> None:
        """Make the schema, copy the rows, then all that stands on them; of a template all of it at once."""
        self._source = source
        if self._template:
            say(f"making {self._plan.place}")
            await in_thread(lambda: self._place.make_database(self._maker, source))
            await self._open()
            self.copied = await self._held(source)
            return
        await in_thread(lambda: self._make_tables(source))
        loader = await filling.Loader.open(self._place.target())
        try:
            self.copied = await filling.fill(session, loader, self._plan, source, say)
        finally:
            await loader.close()
        if not self._plan.tables:
            options = await session.fetch(load("sandbox_options"), {"oids": [one.oid for one in source.relations]})
            await in_thread(lambda: self._take_options(options))
        say("making indexes and statistics")
        await in_thread(lambda: self._finish(source))
        await self._open()

    async def _open(self) -> None:
        target = self._place.target()
        self._session = await PostgresSession.open(target, "sandbox", Limits(call_s=RUN_S), read_only=False)

    async def _held(self, source: Source) -> tuple[Copied, ...]:
        """What a template's tables hold, by what its planner knows of them."""
        found = []
        for one in source.relations:
            if one.kind in "rm":
                name = dotted(one.home)
                rows = await self.session.fetch(
                    "SELECT c.reltuples::bigint, pg_catalog.pg_relation_size(c.oid) FROM pg_catalog.pg_class c "
                    "WHERE c.oid = pg_catalog.to_regclass(%s)",
                    (name,),
                )
                here, size = rows[0] if rows else (0, 0)
                found.append(Copied(".".join(one.home), max(0, here), max(0, round(one.rows)), size))
        return tuple(found)

    def _make_tables(self, source: Source) -> None:
        self._place.make_database(self._maker, source)
        with self._place.admin() as admin, self._place.owner() as maker:
            self._maker.tables(admin, maker, source, without=REACHING_OUT, stand_in="pg_catalog.text")

    def _take_options(self, options: Sequence[tuple[Any, ...]]) -> None:
        """Tables kept as on the source, for changes of just that: where rows are read, the sandbox's own will do."""
        with self._place.owner() as maker:
            undoing.run(maker, schema.options(options))

    def _finish(self, source: Source) -> None:
        with self._place.admin() as admin, self._place.owner() as maker:
            self._maker.rest(maker, source)
            self._maker.remark(source)
            maker.execute("VACUUM ANALYZE")
            self._maker.statistics(admin, source)

    async def change(self, change: Change) -> str:
        """See `rehearsal.Rehearsal`. Refused: it is no change that is rehearsed, or it cannot be made here."""
        if not isinstance(change, CreateIndex | DropIndex):
            raise Refused("Only indexes that are made or dropped are rehearsed, and statements written otherwise")
        if isinstance(change, DropIndex):
            text = f"DROP INDEX {dotted((change.schema, change.name))}"
            self._first = {"after": text}
            return text
        session = self.session
        spec = await render.checked_parts(session, replace(change.spec, name=None))
        name = change.spec.name or "meshag_rehearsed"
        names = {one: quoted(one) for one in [*render.names_in(spec), name]}
        text = render.create_index_sql(spec, name, names, concurrently=False)
        try:
            await session.fetch(text)
        except EngineError as error:
            raise Refused(f"The change cannot be made in the sandbox: {error}") from error
        self._first = {"before": f"DROP INDEX {dotted((spec.schema, name))}"}
        if any(column.is_expression for column in spec.columns):  # which has statistics of its own
            await in_thread(lambda: self._count_again(spec.schema, spec.table))
        return text

    def _count_again(self, schema: str, table: str) -> None:
        with self._place.admin() as admin:
            admin.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table)))
            if self._source is not None:
                self._maker.statistics(admin, self._source)

    # ------------------------------------------------------------------ running in it

    async def ready(self, statement: str, sets: int, seed: int) -> Runnable:
        """See `rehearsal.Rehearsal`. Refused: there are no values for its parameters, or it cannot be planned here."""
        session = self.session
        planner = await Planner.prepare(session, statement, None, None)
        writes = checked(planner.text).node != "SelectStmt"
        if planner.mode == "literal":
            return Runnable(statement, planner.text, planner.path, (), ((),), writes)
        if planner.mode == "generic":
            table = inserting.target_of(checked(planner.text).tree)
            if table is None:
                raise Refused("no values are known for its parameters")
            self._taken_out.append(table)
            return await inserting.ready(session, statement, planner.path, table, sets, seed)
        variants = [one.parameters for one in planner.first.variants] or [planner.values]
        rows = await self._rows_for(session, statement, planner, sets, seed)
        values = [_filled(variants[at % len(variants)], rows, at) for at in range(max(sets, 1))]
        return Runnable(
            statement, planner.text, planner.path, planner.types, tuple(dict.fromkeys(values))[:sets], writes
        )

    async def _rows_for(
        self, session: PostgresSession, statement: str, planner: Planner, sets: int, seed: int
    ) -> list[dict[int, str]]:
        """For each set the values that one row has in all columns compared by equality, by parameter number."""
        generic = await session.explain(statement, mode="generic", search_path=planner.path)
        by_table: dict[tuple[str, str], dict[int, Parameter]] = {}
        for one in samples.compared(generic):
            if one.operator == "=" and not one.array and one.place == 0:
                by_table.setdefault((one.schema, one.table), {})[one.number] = one
        found: list[dict[int, str]] = [{} for _ in range(sets)]
        for home, parameters in by_table.items():
            columns = [quoted(one.column) for one in parameters.values()]
            rows = await session.fetch(
                f"SELECT {', '.join(f'{column}::text' for column in columns)} FROM {dotted(home)} "  # noqa: S608
                f"WHERE {' AND '.join(f'{column} IS NOT NULL' for column in columns)} "
                "ORDER BY pg_catalog.hashtextextended(ctid::text, %s) LIMIT %s",
                (seed, sets),
            )
            for at in range(sets if rows else 0):
                found[at] |= dict(zip(parameters, rows[at % len(rows)], strict=True))
        return found

    async def run(self, side: Side, runnable: Runnable, values: Values) -> Execution:
        """See `rehearsal.Rehearsal`."""
        rows = await self._in_transaction(runnable, f"{_RUN} {proving.filled(runnable, values)}", self._first.get(side))
        document = rows[0][0]
        shown = tuple("NULL" if value is None else value for value in values)
        plan: Plan = read_plan(document, "custom" if values else "literal", runnable.text, shown)
        top = document[0]
        return Execution(
            ms=float(top["Execution Time"]),
            hit=int(top["Plan"].get("Shared Hit Blocks", 0)),
            read=int(top["Plan"].get("Shared Read Blocks", 0)),
            rows=float(top["Plan"].get("Actual Rows", 0)),
            plan=plan,
        )

    async def undone(self, change: Change, sql: str, undo_sql: str) -> Undone:
        """See `rehearsal.Rehearsal`."""
        first = self._first.pop("before", None)  # what was made to be measured goes
        if isinstance(change, SetSetting) and not isinstance(self._place, PrivateServer):
            return Undone(sql, undo_sql, "a setting of a named server is not touched")

        def both() -> Undone:
            with self._place.admin() if isinstance(change, SetSetting) else self._place.owner() as maker:
                if first is not None:
                    maker.execute(first.encode())
                return undoing.undone(maker, change, sql, undo_sql)

        return await in_thread(both)

    async def answer(self, runnable: Runnable, values: Values) -> Answer:
        """See `rehearsal.Rehearsal`."""
        async with self.session.wire.transaction(read_only=False):
            await self.session.fetch("SELECT pg_catalog.set_config('search_path', %s, true)", (runnable.path,))
            return await proving.answer(self.session, runnable, values)

    async def rewritten(self, runnable: Runnable, text: str) -> Runnable:
        """See `rehearsal.Rehearsal`."""
        planner = await Planner.prepare(self.session, text, None, runnable.path)
        numbers = rewrite.first_places(text)  # preparing it numbers them anew, in this order
        types = dict(zip(numbers, planner.types, strict=False))
        if len(numbers) != len(planner.types) or types != dict(enumerate(runnable.types, 1)):
            raise Refused("the parameters of the other statement are not the same")
        prepared = rewrite.numbered(planner.text, dict(enumerate(numbers, 1)))
        return replace(runnable, text=text, prepared=prepared)

    async def compare(self, one: Runnable, other: Runnable) -> Proof:
        """See `rehearsal.Rehearsal`."""
        return await proving.compare(self.session, one, other)

    async def _in_transaction(self, runnable: Runnable, text: str, first: str | None = None) -> list[Any]:
        """Run a text in a transaction that is rolled back, `first` before it."""
        session = self.session
        async with session.wire.transaction(read_only=False):
            if first is not None:
                await session.fetch(first)
            await session.fetch("SELECT pg_catalog.set_config('search_path', %s, true)", (runnable.path,))
            return await session.fetch(text)

    # ------------------------------------------------------------------ connections

    @property
    def session(self) -> PostgresSession:
        """The one that runs everything."""
        if self._session is None:
            raise EngineError("The sandbox is closed")
        return self._session

    async def close(self) -> None:
        """End its server; nothing of it is left."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await in_thread(self._place.close)


def _filled(variant: tuple[str, ...], rows: Sequence[dict[int, str]], at: int) -> tuple[str, ...]:
    row = rows[at] if at < len(rows) else {}
    return tuple(row.get(number, value) for number, value in enumerate(variant, 1))


__all__ = ["Stage", "copy_plan", "rehearse", "schema_plan"]
