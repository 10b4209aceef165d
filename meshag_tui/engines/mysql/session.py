"""A read-only session with a MySQL or MariaDB server: opening it, and its methods.

The methods themselves live in the rooms they are named for (collect, texts, doctor, explain, render, …) and are
imported when first called, so that a session that only counts loads no parser.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import SYNC, ColumnStatistics, Compiled, Limits, RenderedChange, WhatIf
from meshag_tui.engines.costly import Choice
from meshag_tui.engines.mysql import facts as facts_of
from meshag_tui.engines.mysql.wire import Flavour, SessionSettings, Wire
from meshag_tui.engines.mysql.words import words_of
from meshag_tui.live import LiveReading
from meshag_tui.plan import Plan, PlanMode, Predicate
from meshag_tui.snapshot import Elsewhere, ServerFacts, Snapshot, StatementText
from meshag_tui.types import Change, Finding, Target, WhatIfChoice

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.explain import Planning
    from meshag_tui.engines.mysql.live import Live
    from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, Named, Rehearsal, Say


def common_settings(limits: Limits) -> dict[str, str | float]:
    """What every session of ours starts with, whatever the server's defaults are.

    `sql_mode` is known and without ANSI_QUOTES, so that our SQL means the same everywhere; times are in UTC; an idle
    session that we lost is ended by the server.
    """
    return {
        "autocommit": 1,
        "sql_mode": "",
        "time_zone": "+00:00",
        "character_set_client": "utf8mb4",
        "character_set_connection": "utf8mb4",
        "character_set_results": "utf8mb4",
        "lock_wait_timeout": max(1, limits.lock_ms // 1000),
        "innodb_lock_wait_timeout": max(1, limits.lock_ms // 1000),
        "wait_timeout": 600,
        "group_concat_max_len": 1_048_576,
        "sql_select_limit": 2**64 - 1,
        "sql_big_selects": 1,
        "sql_safe_updates": 0,
        "sql_quote_show_create": 1,
    }


def read_only_settings(limits: Limits) -> SessionSettings:
    """The settings of a read-only session. The server's own time-outs are shorter than ours, so they speak first."""

    def settings(flavour: Flavour) -> Mapping[str, str | float]:
        deadline_ms = max(500, int(limits.call_s * 900))
        own: dict[str, str | float]
        if flavour == "MySQL":
            own = {
                "transaction_read_only": 1,
                "max_execution_time": deadline_ms,
                "information_schema_stats_expiry": 0,
            }
        else:
            own = {"tx_read_only": 1, "max_statement_time": deadline_ms / 1000}
        return common_settings(limits) | own

    return settings


@asynccontextmanager
async def connect(target: Target, purpose: str, limits: Limits) -> AsyncIterator[MysqlSession]:
    """Open a read-only session as meshag/<purpose>, closed at the end without waiting for the server.

    Raises:
        EngineError: the server cannot be reached, or does not let us in; each cause has its class and its words.
    """
    session = await MysqlSession.open(target, purpose, limits)
    try:
        yield session
    finally:
        session.wire.close()


class MysqlSession:
    """One conversation with one server. `server` is what only this engine needs to know, `facts` what all may."""

    def __init__(self, wire: Wire, server: facts_of.Server, remembers: bool = False) -> None:
        self.wire = wire
        self.server = server
        self.facts: ServerFacts = server.facts
        self.words = words_of(server.flavour)
        self.remembers = remembers  # what lasts between syncs
        self.choice = Choice()  # which statements are read
        self.collected = False  # whether `facts` belong to a reading already
        self._planning: Planning | None = None
        self._live: Live | None = None

    @classmethod
    async def open(
        cls, target: Target, purpose: str, limits: Limits, settings: SessionSettings | None = None
    ) -> MysqlSession:
        """Connect and read the facts. `settings`: other than those of a read-only session, for a sandbox alone."""
        wire = await Wire.open(target, purpose, settings or read_only_settings(limits), limits)
        try:
            server = await facts_of.read(wire, remember=purpose == SYNC)
        except BaseException:
            wire.close()
            raise
        return cls(wire, server, remembers=purpose == SYNC)

    async def fetch(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        deadline_s: float | None = None,
        shape: Callable[[list[tuple[Any, ...]]], list[Any]] | None = None,
    ) -> list[Any]:
        """Run one statement and return its rows as tuples; see `Wire.fetch`."""
        return await self.wire.fetch(query, params, deadline_s=deadline_s, shape=shape)

    @property
    def keepable(self) -> bool:
        return self.server.settings_taken and not self.server.pooled and self.wire.gone is None

    async def refresh(self, remember: bool = False) -> None:
        """Read the facts anew; `remember` as `facts.read` has it."""
        self.server = await facts_of.read(self.wire, remember)
        self.facts = self.server.facts

    async def collect(self, objects: bool = True, elsewhere: Elsewhere = "left out") -> Snapshot:
        from meshag_tui.engines.mysql import collect

        return await collect.collect(self, objects, elsewhere)

    async def texts(self, keys: Collection[str] | None) -> tuple[StatementText, ...]:
        from meshag_tui.engines.mysql import texts

        return await texts.texts(self, keys)

    async def live(self, idle: bool = False, vitals: bool = False, databases: Collection[str] = ()) -> LiveReading:
        """See `base.Session.live`; neither flavour counts a vital figure by database."""
        from meshag_tui.engines.mysql.live import Live

        self._live = self._live or Live(self)
        return await self._live.read(idle, vitals)

    async def findings(self) -> tuple[Finding, ...]:
        from meshag_tui.engines.mysql import doctor

        return await doctor.findings(self)

    @property
    def planning(self) -> Planning:
        """What plans statements, and remembers the statistics of tables it looked at."""
        if self._planning is None:
            from meshag_tui.engines.mysql.explain import Planning

            self._planning = Planning(self)
        return self._planning

    async def explain(
        self,
        statement: str,
        mode: PlanMode | None = None,
        search_path: str | None = None,
        database: str | None = None,
    ) -> Plan:
        return await self.planning.explain(statement, mode, search_path or database)

    async def what_if(
        self, choice: WhatIfChoice = "auto", plans: Sequence[Plan] = (), notes: list[str] | None = None
    ) -> WhatIf | None:
        """None: neither flavour can price an index that is not made."""
        return None

    async def compiled(self) -> Mapping[str, Compiled]:
        """None are: neither flavour compiles plans."""
        return {}

    def named(self, statement: str) -> frozenset[str]:
        from meshag_tui.engines.mysql import parse

        return frozenset(one.name for one in parse.relations(statement))

    def rewritten(self, rule: str, statement: str) -> str | None:
        from meshag_tui.engines.mysql.rewriting import written_otherwise

        return written_otherwise(rule, statement)

    async def copy_plan(self, statements: Sequence[str], limits: CopyLimits, server: Named | None = None) -> CopyPlan:
        from meshag_tui.engines.mysql.sandbox import stage

        return await stage.copy_plan(self, statements, limits, server)

    async def schema_plan(self, change: Change, limits: CopyLimits, server: Named | None = None) -> CopyPlan:
        from meshag_tui.engines.mysql.sandbox import stage

        return await stage.schema_plan(self, change, limits, server)

    def rehearse(self, plan: CopyPlan, say: Say, server: Named | None = None) -> AbstractAsyncContextManager[Rehearsal]:
        from meshag_tui.engines.mysql.sandbox import stage

        return stage.rehearse(self, plan, say, server)

    async def column_statistics(self, schema: str, table: str) -> tuple[ColumnStatistics, ...]:
        return await self.planning.column_statistics(schema, table)

    def predicates(self, plan: Plan) -> tuple[Predicate, ...]:
        from meshag_tui.engines.mysql import predicates

        return predicates.predicates(plan)

    async def render(self, change: Change) -> RenderedChange:
        from meshag_tui.engines.mysql import render

        return await render.render(self.wire, change)

    async def close(self) -> None:
        self.wire.close()
