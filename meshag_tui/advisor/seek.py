"""Looking for the indexes of a workload: its statements with their candidates, whatever can price them, the search.

In: examined statements and the tables they read. Out: the choices, and all that was known when they were made, so that
it can also be said why something was not chosen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.budget import Budget, OutOfBudget
from meshag_tui.advisor.candidates import Candidate, Usage, candidates, count_usage
from meshag_tui.advisor.examined import Examined, typed
from meshag_tui.advisor.planner import Planner
from meshag_tui.advisor.pricing import Pricer, Statement
from meshag_tui.advisor.reckoner import Reckoner
from meshag_tui.advisor.search import Listed, Search, search
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.engines.base import EngineError, Session, WhatIf
from meshag_tui.plan import Plan
from meshag_tui.settings import Settings
from meshag_tui.types import IndexSpec

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

BROAD = 0.20
"""A statement whose calls return this share of a table is served best by reading it, whatever a sample promises."""

_SETTLING = 0.15
"""Share of the planner calls that may go to choosing among sample values; twice as much of the time may be over."""


def weighed(planned: Sequence[tuple[Examined, Plan]]) -> list[float]:
    """The time each statement counts for, ms in the window: what was measured, where there were many calls.

    A time of few calls is half chance (a cold cache, a neighbour): so far it is drawn towards what the statement's cost
    takes at the pace of the middle statement.
    """
    paces = sorted(
        one.query.total_time_ms / one.query.calls / plan.cost for one, plan in planned if one.query.calls and plan.cost
    )
    pace = paces[len(paces) // 2] if paces else 0.0

    def weight(one: Examined, plan: Plan) -> float:
        measured, calls = one.query.total_time_ms, one.query.calls
        if not calls or measured <= 0 or plan.cost <= 0:
            return measured
        return math.exp((calls * math.log(measured) + math.log(plan.cost * pace * calls)) / (calls + 1))

    return [weight(one, plan) for one, plan in planned]


@dataclass(frozen=True)
class Sought:
    """A search with what it was among. `what_if`: what answered for planned prices; None: nothing did."""

    search: Search
    statements: tuple[Statement, ...]
    usage: Usage
    pricer: Pricer
    refused: Mapping[IndexSpec, str]
    what_if: WhatIf | None


async def seek(
    examined: Sequence[Examined],
    catalog: Catalog,
    tables: Tables,
    session: Session,
    settings: Settings,
    room: int | None,
    budget: Budget,
    notes: list[str],
) -> Sought:
    """Search for the indexes of the examined statements. `room`: bytes they may take, see `search`."""
    planned = [(one, one.plan) for one in examined if one.plan is not None]
    usage = count_usage(((one.predicates, one.share) for one, _ in planned), tables)
    weights = weighed(planned)
    bare = [
        Statement(one.query, plan, one.predicates, (), weight)
        for (one, plan), weight in zip(planned, weights, strict=True)
    ]
    made = (
        replace(one, candidates=candidates(one.plan, one.predicates, tables, usage, one.observed_share(tables)))
        for one in bare
    )
    statements = tuple(one for one in made if one.candidates and one.least_share(tables) <= BROAD and not one.slight)
    reckoner = Reckoner(tables, catalog.facts)
    choice, plans = settings.advice.what_if, [one.plan for one in statements]
    began = time.monotonic()
    what_if = await session.what_if(choice, plans, notes) if statements else None
    # On a busy machine a sandbox takes as long to start as a search may: clocks run while there is one to ask.
    budget.give(time.monotonic() - began)
    left = max(0, settings.advice.planner_calls - budget.spent)  # plans of today have taken some
    asking = budget.part(left, settings.advice.time_limit_s)
    pricer: Pricer = reckoner
    refused: Mapping[IndexSpec, str] = {}
    if what_if is not None:
        pricer = planner = Planner(what_if, tables, asking, reckoner, catalog.facts.costs)
        refused = planner.refused

    def more(statement: Statement, plan: Plan) -> Iterable[Candidate]:
        return candidates(
            plan, typed(session.predicates(plan), tables), tables, usage, statement.observed_share(tables)
        )

    if what_if is not None:
        statements = await _of_middling_use(statements, pricer, session, tables, usage, asking)
    sought = {one.query.id for one in statements}
    writing = [one for one in bare if one.query.id not in sought]
    listed = tuple(_listed(one, tables, session) for one in examined)
    costs = catalog.facts.costs
    found = await search(statements, pricer, tables, settings.advice, room, costs, more, asking, writing, listed)
    return Sought(found, statements, usage, pricer, refused, what_if)


def _listed(one: Examined, tables: Tables, session: Session) -> Listed:
    """A statement with the tables that its plan reads, or, where it could not be explained, those that it names."""
    homes: set[Relation] = set()
    if one.plan is not None:
        homes = {tables.home(node.schema or "", node.table) for node in one.plan.root.walk() if node.table is not None}
    elif one.query.text:
        names = {name.lower() for name in session.named(one.query.text)}
        homes = {tables.home(*relation) for relation in tables.views if relation[1].lower() in names}
    return Listed(one.query, frozenset(homes), one.plan is not None)


async def _of_middling_use(
    statements: Sequence[Statement], pricer: Pricer, session: Session, tables: Tables, usage: Usage, asking: Budget
) -> tuple[Statement, ...]:
    """The statements, each with that of its sample values for which indexes do neither the most nor the least.

    Values that fit what was measured equally well may differ in what indexes do for them: without one, each reads the
    whole table. Some calls are spent on this, on the statements of most time first.
    """
    settled = {id(one): one for one in statements}
    most = int(_SETTLING * asking.left)
    for one in sorted(statements, key=lambda each: -each.weight):
        if len(one.plan.variants) < 2 or one.misjudged(tables):
            continue
        most -= len(one.plan.variants)
        if most < 0 or asking.used > 2 * _SETTLING:
            break
        try:
            settled[id(one)] = await _settled(one, pricer, session, tables, usage)
        except OutOfBudget:
            break
        except EngineError as error:  # the search will meet it again, and says so
            if error.transient:
                raise
    return tuple(settled[id(one)] for one in statements)


async def _settled(one: Statement, pricer: Pricer, session: Session, tables: Tables, usage: Usage) -> Statement:
    every = frozenset(spec for candidate in one.candidates for spec in candidate.specs)
    left = []
    for place, plan in enumerate(one.plan.variants):
        price = await pricer.price(replace(one, plan=plan), every)
        left.append((price.cost / max(plan.cost, 1e-9), place))
    plan = one.plan.variants[sorted(left)[len(left) // 2][1]]
    if plan.parameters == one.plan.parameters:
        return one
    plan = replace(plan, variants=one.plan.variants, others=one.plan.others)
    bare = replace(one, plan=plan, predicates=typed(session.predicates(plan), tables))
    found = candidates(plan, bare.predicates, tables, usage, bare.observed_share(tables))
    return replace(bare, candidates=found) if found else one
