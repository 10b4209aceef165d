"""Prices from the server's own planner, with hypothetical indexes: exact, and asked as seldom as can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from meshag_tui.advisor.budget import Budget
from meshag_tui.advisor.corrections import left_out, unshared
from meshag_tui.advisor.in_memory import InMemory, found_in_memory, in_memory
from meshag_tui.advisor.narrowing import narrowed, needs_of
from meshag_tui.advisor.pricing import Price, Statement
from meshag_tui.advisor.real_sizes import Sized, as_read, too_large
from meshag_tui.advisor.reckoner import Reckoner
from meshag_tui.advisor.stand_ins import spared, stand_in
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.engines.base import EngineError, WhatIf
from meshag_tui.plan import Plan
from meshag_tui.snapshot import CostModel
from meshag_tui.types import IndexSpec

_FEW = 24
"""Indexes up to which each is planned with as the statement sees it."""


class Planner:
    """The server's planner with hypothetical indexes. What it cannot hold (GIN) and refuses is reckoned instead."""

    def __init__(self, what_if: WhatIf, tables: Tables, budget: Budget, reckoner: Reckoner, costs: CostModel) -> None:
        self._what_if = what_if
        self._tables = tables
        self._budget = budget
        self._reckoner = reckoner
        self._costs = costs
        self._known: dict[tuple[int, tuple[str, ...], frozenset[IndexSpec]], Price] = {}
        self.refused: dict[IndexSpec, str] = {}
        self.unplanned: dict[int, str] = {}  # statements that cannot be planned at all, by id, and why
        self.calls = 0
        self._needs: dict[tuple[int, tuple[str, ...]], dict[Relation, frozenset[str]]] = {}
        self._today: dict[tuple[int, tuple[str, ...]], tuple[float, InMemory]] = {}

    def size(self, spec: IndexSpec) -> int:
        return self._reckoner.size(spec)

    async def price(self, statement: Statement, specs: frozenset[IndexSpec]) -> Price:
        """Cost with these indexes. A spec the server refuses counts as not there.

        Raises:
            OutOfBudget: no call is left.
            EngineError: the server failed; nothing is known of this statement. One it cannot plan is reckoned.
        """
        if statement.query.id in self.unplanned or statement.misjudged(self._tables):
            return await self._reckoner.price(statement, specs)
        refused = {spec for spec in specs if spec in self.refused}
        beyond = {spec for spec in specs if spec.method not in self._what_if.methods}
        asked = frozenset(specs - refused - beyond)
        try:
            planned = await self._ask(statement, asked)
        except EngineError as error:
            if error.transient or asked:
                raise
            self.unplanned[statement.query.id] = str(error)
            return await self._reckoner.price(statement, specs)
        if not beyond:
            return planned
        reckoned = await self._reckoner.price(statement, frozenset(beyond))
        return reckoned if reckoned.cost < planned.cost else planned

    async def _ask(self, statement: Statement, specs: frozenset[IndexSpec]) -> Price:
        unseen = {spec for spec in specs if not self._what_if.sees(statement.plan.statement, spec)}
        if not unseen:
            return await self._asked(statement, specs, {})
        plain = await self._asked(statement, specs - unseen, {})
        instead = {made: spec for spec in unseen if (made := stand_in(spec)) is not None}
        # Between an index on all rows and what stands for one on some with the same keys, a plan would take either.
        keys = {spec.columns for spec in unseen}
        others = frozenset(spec for spec in specs - unseen if spec.columns not in keys)
        price = await self._asked(statement, others, instead) if instead else plain
        return min(plain, price, key=lambda one: one.cost)

    async def _asked(
        self, statement: Statement, specs: frozenset[IndexSpec], instead: Mapping[IndexSpec, IndexSpec]
    ) -> Price:
        """The price with these, and with others `instead` of those that no plan can use here."""
        key = (statement.query.id, statement.plan.parameters, specs | frozenset(instead.values()))
        if key not in self._known:
            self._budget.spend()
            self.calls += 1
            leaves = self._leaves(self._seen_by(statement, specs) | {spec: spec for spec in instead})
            try:
                plan = statement.plan
                answer = await self._what_if.plan(plan.statement, list(leaves), plan.mode, plan.parameters)
            except EngineError as error:
                if error.transient or not leaves:
                    raise
                if instead:
                    return await self._asked(statement, specs, {})
                if len(specs) == 1:
                    self.refused[next(iter(specs))] = str(error)
                    return await self._ask(statement, frozenset())
                return await self._without_refused(statement, specs, error)
            used = frozenset(instead.get(leaves[leaf], leaves[leaf]) for leaf in answer.used)
            cost = answer.plan.cost + left_out(answer.plan, self._tables, self._costs)
            if instead:
                names = {name: instead[leaves[leaf]] for leaf, name in answer.names.items() if leaves[leaf] in instead}
                less = spared(answer.plan, names, self._tables)
                if less is None:
                    return await self._asked(statement, specs, {})
                cost -= less
            names = {name: instead.get(leaves[leaf], leaves[leaf]) for leaf, name in answer.names.items()}
            there = {
                answer.names[leaf]: Sized(leaves[leaf], answer.size_bytes[leaf], self._part(instead.get(leaves[leaf])))
                for leaf in answer.used
            }
            cost -= too_large(answer.plan, self._tables, self._costs, there)
            plan, new = as_read(answer.plan, self._tables, self._costs, specs)
            if new:
                used |= frozenset(new.values())
                names |= new
                cost -= answer.plan.cost - plan.cost
            likely = cost + unshared(plan, self._tables, self._costs)
            times = self._times(statement, plan, likely, names)
            self._known[key] = Price(likely, self._what_if.evidence, used, plan, cost, times)
        return self._known[key]

    def _part(self, spec: IndexSpec | None) -> float:
        """Share of its table's rows that are in an index for which another is planned with; 1 where none is."""
        view = self._tables.view(spec.schema, spec.table) if spec is not None else None
        return view.where_share(spec.where) if view is not None and spec is not None else 1.0

    def _times(self, statement: Statement, plan: Plan, likely: float, names: Mapping[str, IndexSpec]) -> float | None:
        """How many times as long as today a plan takes, as far as its pages are in memory; None where nobody knows."""
        today = statement.plan
        key = (statement.query.id, today.parameters)
        if key not in self._today:
            whole = today.cost + unshared(today, self._tables, self._costs)
            self._today[key] = whole, in_memory(today, self._tables, self._costs)
        cost, there = self._today[key]
        part = found_in_memory(statement.query, there.visits)
        if not part or cost <= 0:
            return None
        other = in_memory(plan, self._tables, self._costs, names)
        return part * other.cost / there.cost + (1 - part) * likely / cost

    async def _without_refused(self, statement: Statement, specs: frozenset[IndexSpec], error: EngineError) -> Price:
        """Find the index of several that the server refuses by asking for each alone; raise what it is not."""
        for spec in specs:
            await self._ask(statement, frozenset({spec}))
        left = frozenset(spec for spec in specs if spec not in self.refused)
        if left == specs:
            raise error
        return await self._ask(statement, left)

    def _seen_by(self, statement: Statement, specs: frozenset[IndexSpec]) -> dict[IndexSpec, IndexSpec]:
        """These as the statement sees them, each with what it stands for; of two that look alike, the smaller one.

        Of many, which are offered for the planner to choose from, each stands for itself: to write another form of each
        takes as long as planning.
        """
        if len(specs) > _FEW:
            return {spec: spec for spec in specs}
        key = (statement.query.id, statement.plan.parameters)
        if key not in self._needs:
            self._needs[key] = needs_of(statement, self._tables)
        found: dict[IndexSpec, IndexSpec] = {}
        for spec in sorted(specs, key=lambda one: (-self.size(one), repr(one))):
            found[narrowed(spec, self._needs[key])] = spec
        return found

    def _leaves(self, seen: Mapping[IndexSpec, IndexSpec]) -> dict[IndexSpec, IndexSpec]:
        """What is planned with, and which spec it stands for: a partitioned parent's index is one on each partition."""
        wanted: dict[IndexSpec, IndexSpec] = {}
        for made, spec in sorted(seen.items(), key=repr):
            view = self._tables.view(spec.schema, spec.table)
            if view is None or not view.parts:
                wanted[made] = spec
                continue
            for schema, table in view.parts:
                wanted[replace(made, schema=schema, table=table)] = spec
        return wanted
