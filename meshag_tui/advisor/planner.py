"""Prices from the server's own planner, with hypothetical indexes: exact, and asked as seldom as can be."""

from __future__ import annotations

from meshag_tui.advisor.budget import Budget
from meshag_tui.advisor.pricing import PLANNABLE, Price, Statement
from meshag_tui.advisor.reckoner import Reckoner
from meshag_tui.advisor.statistics import Tables
from meshag_tui.engines.base import EngineError, WhatIf
from meshag_tui.types import IndexSpec


class Planner:
    """The server's planner with hypothetical indexes. What it cannot hold (GIN) and refuses is reckoned instead."""

    def __init__(self, what_if: WhatIf, tables: Tables, budget: Budget, reckoner: Reckoner) -> None:
        self._what_if = what_if
        self._tables = tables
        self._budget = budget
        self._reckoner = reckoner
        self._known: dict[tuple[int, frozenset[IndexSpec]], float] = {}
        self._sizes: dict[IndexSpec, int] = {}
        self.refused: dict[IndexSpec, str] = {}
        self.calls = 0

    def size(self, spec: IndexSpec) -> int:
        return self._reckoner.size(spec)

    async def price(self, statement: Statement, specs: frozenset[IndexSpec]) -> Price:
        """Cost with these indexes. A spec the server refuses counts as not there.

        Raises:
            OutOfBudget: no call is left.
            EngineError: the server failed; nothing is known of this statement.
        """
        if statement.misjudged(self._tables):
            return await self._reckoner.price(statement, specs)
        refused = {spec for spec in specs if spec in self.refused}
        beyond = {spec for spec in specs if spec.method not in PLANNABLE}
        asked = frozenset(specs - refused - beyond)
        planned = Price(await self._ask(statement, asked), self._what_if.evidence)
        if not beyond:
            return planned
        reckoned = await self._reckoner.price(statement, frozenset(beyond))
        return reckoned if reckoned.cost < planned.cost else planned

    async def _ask(self, statement: Statement, specs: frozenset[IndexSpec]) -> float:
        key = (statement.query.id, specs)
        if key not in self._known:
            self._budget.spend()
            self.calls += 1
            try:
                answer = await self._what_if.plan(statement.plan.statement, self._leaves(specs), statement.plan.mode)
            except EngineError as error:
                if len(specs) != 1 or error.transient:
                    raise
                self.refused[next(iter(specs))] = str(error)
                return await self._ask(statement, frozenset())
            self._known[key] = answer.plan.cost
        return self._known[key]

    def _leaves(self, specs: frozenset[IndexSpec]) -> list[IndexSpec]:
        """A partitioned parent holds no rows: its index is planned on each partition."""
        wanted: list[IndexSpec] = []
        for spec in sorted(specs, key=repr):
            view = self._tables.view(spec.schema, spec.table)
            if view is None or not view.parts:
                wanted.append(spec)
                continue
            wanted += [
                IndexSpec(schema, table, spec.columns, spec.method, spec.include, spec.where)
                for schema, table in view.parts
            ]
        return wanted
