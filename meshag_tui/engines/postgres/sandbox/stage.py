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
from meshag_tui.engines.here import free_bytes, megabytes
from meshag_tui.engines.postgres import render, samples
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.explain import Planner, checked
from meshag_tui.engines.postgres.plantree import read_plan
from meshag_tui.engines.postgres.sandbox import filling, proving
from meshag_tui.engines.postgres.sandbox import source as sources
from meshag_tui.engines.postgres.sandbox.copying import plan as plan_of
from meshag_tui.engines.postgres.sandbox.making import PLANNER, REACHING_OUT, Connection, Maker
from meshag_tui.engines.postgres.sandbox.schema import dotted
from meshag_tui.engines.postgres.sandbox.source import Source
from meshag_tui.engines.postgres.session import PostgresSession
from meshag_tui.engines.postgres.threads import in_thread
from meshag_tui.engines.rehearsal import (
    Answer,
    Copied,
    CopyLimits,
    CopyPlan,
    Execution,
    Proof,
    Rehearsal,
    Runnable,
    Say,
    Side,
)
from meshag_tui.plan import Plan
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.postgres import EmbeddedPostgres, wheel_bindir
from meshag_tui.types import Change, CreateIndex, DbType, DropIndex, Target, TlsMode

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.samples import Parameter

SUPERUSER, DATABASE = "meshag", "rehearsal"
RUN_S = 30.0
"""Seconds after which a run is ended."""
_LEAST_ROOM = 256 * 1024 * 1024
_TIMES = 3
"""Room wanted, in times of what is copied: the tables, their indexes, and what is sorted."""
_SETTINGS = {
    "autovacuum": "off",  # nothing may change between two runs but what is measured
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",
    "temp_file_limit": "1GB",
    "max_connections": "12",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",  # statements are nobody's business, also in a log that goes away
}
_RUN = "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY, BUFFERS, VERBOSE, FORMAT JSON)"


async def copy_plan(session: PostgresSession, statements: Sequence[str], limits: CopyLimits) -> CopyPlan:
    """See `base.Session`."""
    try:
        bindir = await asyncio.to_thread(wheel_bindir)
    except ServerUnavailable as error:
        raise Refused(f"There is no sandbox here: {error}") from None
    version = await asyncio.to_thread(lambda: EmbeddedPostgres(bindir).version)
    return await plan_of(session, statements, limits, f"a private PostgreSQL {version} on this machine")


@asynccontextmanager
async def rehearse(session: PostgresSession, plan: CopyPlan, say: Say) -> AsyncIterator[Rehearsal]:
    """See `base.Session`."""
    if session.facts.epoch.system_identifier != plan.source_id:
        raise Refused("The statements were agreed to for another server: look again")
    begin = time.monotonic()
    stage = Stage(plan)
    try:
        say("starting a private server")
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

    def __init__(self, plan: CopyPlan) -> None:
        self._plan = plan
        self._server = EmbeddedPostgres(settings=_SETTINGS, preload=(), checksums=False, superuser=SUPERUSER)
        self._maker = Maker()
        self._source: Source | None = None
        self._session: PostgresSession | None = None
        self._first: dict[Side, str] = {}  # what a side runs first in its transaction
        self.label = f"PostgreSQL {self._server.version} on this machine"
        self.copied: Sequence[Copied] = ()
        self.source_plans: Mapping[str, Plan] = {}
        self.prepared_s = 0.0

    @property
    def notes(self) -> Sequence[str]:
        """What is not as on the source."""
        source, said = self._source, list(self._plan.notes)
        if source is not None and self._server.version.partition(".")[0] != str(source.version_number // 10_000):
            said.append(f"the source is PostgreSQL {source.version}")
        said += self._maker.notes
        if self._maker.missing:
            some = [f"{schema}.{name}".strip(".") for schema, name in sorted(self._maker.missing)[:5]]
            said.append(f"without {', '.join(some)}{' and others' if len(self._maker.missing) > 5 else ''}")
        return said

    # ------------------------------------------------------------------ making it

    async def start(self) -> None:
        """Start the empty server; Refused when it would be the source, or there is no room."""
        await in_thread(self._server.start)
        room = free_bytes(str(self._server.root))
        wanted = _LEAST_ROOM + _TIMES * self._plan.limits.bytes
        if room is not None and room < wanted:
            raise Refused(f"{megabytes(room)} are free where the sandbox would be, {megabytes(wanted)} are wanted")
        with self._admin("postgres") as admin:
            rows = admin.execute("SELECT system_identifier::text FROM pg_catalog.pg_control_system()").fetchall()
        refuse_source(self._plan, str(rows[0][0]))

    async def fill(self, session: PostgresSession, source: Source, say: Say) -> None:
        """Make the schema, copy the rows, then all that stands on them."""
        self._source = source
        await in_thread(lambda: self._make_tables(source))
        loader = await filling.Loader.open(self._target())
        try:
            self.copied = await filling.fill(session, loader, self._plan, source, say)
        finally:
            await loader.close()
        say("making indexes and statistics")
        await in_thread(lambda: self._finish(source))
        self._session = await PostgresSession.open(self._target(), "sandbox", Limits(call_s=RUN_S), read_only=False)

    def _make_tables(self, source: Source) -> None:
        with self._admin("postgres") as admin:
            self._maker.database(admin, source, DATABASE)
        with self._admin() as admin, self._connect(PLANNER) as maker:
            self._maker.tables(admin, maker, source, without=REACHING_OUT, stand_in="pg_catalog.text")

    def _finish(self, source: Source) -> None:
        with self._admin() as admin, self._connect(PLANNER) as maker:
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
        with self._admin() as admin:
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
            raise Refused("no values are known for its parameters")
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

    async def run(self, side: Side, runnable: Runnable, values: tuple[str, ...]) -> Execution:
        """See `rehearsal.Rehearsal`."""
        rows = await self._in_transaction(runnable, f"{_RUN} {proving.filled(runnable, values)}", self._first.get(side))
        document = rows[0][0]
        plan: Plan = read_plan(document, "custom" if values else "literal", runnable.text, values)
        top = document[0]
        return Execution(
            ms=float(top["Execution Time"]),
            hit=int(top["Plan"].get("Shared Hit Blocks", 0)),
            read=int(top["Plan"].get("Shared Read Blocks", 0)),
            rows=float(top["Plan"].get("Actual Rows", 0)),
            plan=plan,
        )

    async def answer(self, runnable: Runnable, values: tuple[str, ...]) -> Answer:
        """See `rehearsal.Rehearsal`."""
        async with self.session.wire.transaction(read_only=False):
            await self.session.fetch("SELECT pg_catalog.set_config('search_path', %s, true)", (runnable.path,))
            return await proving.answer(self.session, runnable, values)

    async def rewritten(self, runnable: Runnable, text: str) -> Runnable:
        """See `rehearsal.Rehearsal`."""
        planner = await Planner.prepare(self.session, text, None, runnable.path)
        if planner.types != runnable.types:
            raise Refused("the parameters of the other statement are not the same")
        return replace(runnable, text=text, prepared=planner.text)

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
        await in_thread(self._server.close)

    def _target(self) -> Target:
        return Target(DbType.POSTGRES, str(self._server.socket_dir), 5432, DATABASE, PLANNER, tls=TlsMode.DISABLE)

    def _admin(self, database: str = DATABASE) -> Connection:
        return self._connect(SUPERUSER, database)

    def _connect(self, user: str, database: str = DATABASE) -> Connection:
        return psycopg.connect(
            host=str(self._server.socket_dir),
            port=5432,
            user=user,
            dbname=database,
            autocommit=True,
            prepare_threshold=None,
            options="-c search_path=pg_catalog,pg_temp",
        )


def refuse_source(plan: CopyPlan, identifier: str) -> None:
    """Raises Refused where the sandbox would be on the server that is watched."""
    if identifier == plan.source_id:
        raise Refused("The sandbox would be on the watched server itself: nothing is made or run there")


def _filled(variant: tuple[str, ...], rows: Sequence[dict[int, str]], at: int) -> tuple[str, ...]:
    row = rows[at] if at < len(rows) else {}
    return tuple(row.get(number, value) for number, value in enumerate(variant, 1))


__all__ = ["Stage", "copy_plan", "rehearse"]
