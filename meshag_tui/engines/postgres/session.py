"""A read-only session with one PostgreSQL database: opening it, proving that it is read-only, and its methods.

The methods themselves live in the rooms they are named for (collect, texts, doctor, explain, whatif, render, …) and are
imported when first called, so that a session that only counts loads no parser.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import SYNC, ColumnStatistics, Compiled, Limits, RenderedChange, WhatIf
from meshag_tui.engines.costly import Choice
from meshag_tui.engines.postgres import facts as facts_of
from meshag_tui.engines.postgres.wire import Wire
from meshag_tui.engines.postgres.words import WORDS
from meshag_tui.live import LiveReading
from meshag_tui.plan import Plan, PlanMode, Predicate
from meshag_tui.snapshot import Elsewhere, ServerFacts, Snapshot, StatementText
from meshag_tui.types import Change, Finding, Target, WhatIfChoice

if TYPE_CHECKING:
    from psycopg import sql

    from meshag_tui.engines.postgres.explain import Planner
    from meshag_tui.engines.postgres.live import Live
    from meshag_tui.engines.postgres.sandbox import StatisticsSandbox
    from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, Named, Rehearsal, Say


def read_only_settings(limits: Limits) -> dict[str, str]:
    """What a session starts with. The server's own time-outs are shorter than our deadlines, so they speak first.

    `pg_temp` is named last: it would otherwise be searched before the catalogue. Nothing we run is worth compiling, but
    over the catalogues of many tables the planner's estimates would have it done.
    """
    return {
        "default_transaction_read_only": "on",
        "statement_timeout": str(max(500, int(limits.call_s * 900))),
        "lock_timeout": str(limits.lock_ms),
        "idle_in_transaction_session_timeout": "10000",
        "search_path": "pg_catalog,pg_temp",
        "jit": "off",
    }


@asynccontextmanager
async def connect(target: Target, purpose: str, limits: Limits) -> AsyncIterator[PostgresSession]:
    """Open a read-only session as meshag/<purpose>, closed at the end without waiting for the server.

    Raises:
        EngineError: the server cannot be reached, or does not let us in; each cause has its class and its words.
    """
    session = await PostgresSession.open(target, purpose, limits)
    try:
        yield session
    finally:
        await session.close()


class PostgresSession:
    """One conversation with one database. `server` is what only this engine needs to know, `facts` what all may."""

    words = WORDS

    def __init__(self, wire: Wire, server: facts_of.Server, remembers: bool = False) -> None:
        self.wire = wire
        self.server = server
        self.facts: ServerFacts = server.facts
        self.prepared: dict[tuple[str, PlanMode], Planner] = {}  # statements that were explained here
        self.running_patterns: tuple[str, ...] | None = None  # texts, see `patterns`; None: not read yet
        self.remembers = remembers  # what lasts between syncs
        self.collected = False  # whether `facts` belong to a reading already
        self.choice = Choice()  # which statements are read
        self._sandbox: StatisticsSandbox | None = None
        self._live: Live | None = None

    @classmethod
    async def open(cls, target: Target, purpose: str, limits: Limits, *, read_only: bool = True) -> PostgresSession:
        """Connect and read the facts; if the server dropped our settings, each transaction sets them from now on.

        `read_only=False` is for servers of our own.
        """
        settings = read_only_settings(limits)
        if not read_only:
            settings["default_transaction_read_only"] = "off"
        wire = await Wire.open(target, f"meshag/{purpose}", settings, limits)
        try:
            server = await facts_of.read(wire, remember=purpose == SYNC)
            wire.settings_taken = wire.settings_taken and _as_asked(settings, server.session_settings)
        except BaseException:
            wire.close()
            raise
        return cls(wire, server, remembers=purpose == SYNC)

    async def fetch(
        self,
        query: str | sql.Composable,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        deadline_s: float | None = None,
        simple: bool = False,
        shape: Callable[[list[tuple[Any, ...]]], list[Any]] | None = None,
    ) -> list[Any]:
        """Run one statement and return its rows as tuples; see `Wire.fetch`."""
        return await self.wire.fetch(query, params, deadline_s=deadline_s, simple=simple, shape=shape)

    def extension_schema(self, name: str) -> str | None:
        """The schema an installed extension lives in, None when it is not installed in this database."""
        return self.server.extension_schemas.get(name)

    @property
    def keepable(self) -> bool:
        return self.wire.settings_taken and self.wire.gone is None

    async def refresh(self, remember: bool = False) -> None:
        """Read the facts anew; `remember` as `facts.read` has it."""
        self.server = await facts_of.read(self.wire, remember)
        self.facts = self.server.facts

    async def collect(self, objects: bool = True, elsewhere: Elsewhere = "left out") -> Snapshot:
        from meshag_tui.engines.postgres import collect

        return await collect.collect(self, objects, elsewhere)

    async def texts(self, keys: Collection[str] | None) -> tuple[StatementText, ...]:
        from meshag_tui.engines.postgres import texts

        return await texts.texts(self, keys)

    async def live(self, idle: bool = False, vitals: bool = False, databases: Collection[str] = ()) -> LiveReading:
        from meshag_tui.engines.postgres.live import Live

        self._live = self._live or Live(self)
        return await self._live.read(idle, vitals, databases)

    async def findings(self) -> tuple[Finding, ...]:
        from meshag_tui.engines.postgres import doctor

        return await doctor.findings(self)

    async def explain(
        self,
        statement: str,
        mode: PlanMode | None = None,
        search_path: str | None = None,
        database: str | None = None,
    ) -> Plan:
        from meshag_tui.engines.postgres import explain

        return await explain.explain(self, statement, mode, search_path)

    async def what_if(
        self, choice: WhatIfChoice = "auto", plans: Sequence[Plan] = (), notes: list[str] | None = None
    ) -> WhatIf | None:
        from meshag_tui.engines.postgres import whatif

        return await whatif.what_if(self, choice, plans, [] if notes is None else notes)

    async def sandbox(self, plans: Sequence[Plan]) -> StatisticsSandbox:
        """The statistics sandbox of this session: the one there is when it has what these plans read, else a new one.

        Raises as `sandbox.open_sandbox`.
        """
        from meshag_tui.engines.postgres import sandbox

        if self._sandbox is not None and not self._sandbox.holds(plans):
            await self._end_sandbox()
        if self._sandbox is None:
            self._sandbox = await sandbox.open_sandbox(self, plans)
        return self._sandbox

    async def _end_sandbox(self) -> None:
        ended, self._sandbox = self._sandbox, None
        if ended is not None:
            await ended.close()

    def named(self, statement: str) -> frozenset[str]:
        from meshag_tui.engines.postgres import parse

        return frozenset(one.name for one in parse.relations(statement))

    def rewritten(self, rule: str, statement: str) -> str | None:
        from meshag_tui.engines.postgres import rewriting

        return rewriting.written_otherwise(rule, statement)

    async def copy_plan(self, statements: Sequence[str], limits: CopyLimits, server: Named | None = None) -> CopyPlan:
        from meshag_tui.engines.postgres.sandbox import stage

        return await stage.copy_plan(self, statements, limits, server)

    async def schema_plan(self, change: Change, limits: CopyLimits, server: Named | None = None) -> CopyPlan:
        from meshag_tui.engines.postgres.sandbox import stage

        return await stage.schema_plan(self, change, limits, server)

    def rehearse(self, plan: CopyPlan, say: Say, server: Named | None = None) -> AbstractAsyncContextManager[Rehearsal]:
        from meshag_tui.engines.postgres.sandbox import stage

        return stage.rehearse(self, plan, say, server)

    async def column_statistics(self, schema: str, table: str) -> tuple[ColumnStatistics, ...]:
        from meshag_tui.engines.postgres import explain

        return await explain.column_statistics(self, schema, table)

    async def compiled(self) -> Mapping[str, Compiled]:
        from meshag_tui.engines.postgres import statements

        return await statements.compiled(self.wire, self.server)

    def predicates(self, plan: Plan) -> tuple[Predicate, ...]:
        from meshag_tui.engines.postgres import predicates

        return predicates.predicates(plan)

    async def render(self, change: Change) -> RenderedChange:
        from meshag_tui.engines.postgres import render

        return await render.render(self, change)

    async def close(self) -> None:
        self.wire.close()
        await self._end_sandbox()


def _as_asked(asked: Mapping[str, str], have: Mapping[str, str]) -> bool:
    """Whether the server has our settings: a pooler in transaction mode drops start-up options silently."""
    return all(have.get(name, "").replace(" ", "") == value for name, value in asked.items())
