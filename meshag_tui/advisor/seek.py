"""Looking for the indexes of a workload: its statements with their candidates, whatever can price them, the search.

In: examined statements and the tables they read. Out: the choices, and all that was known when they were made, so that
it can also be said why something was not chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.budget import Budget
from meshag_tui.advisor.candidates import Candidate, Usage, candidates, count_usage
from meshag_tui.advisor.examined import Examined, typed
from meshag_tui.advisor.planner import Planner
from meshag_tui.advisor.pricing import Pricer, Statement
from meshag_tui.advisor.reckoner import Reckoner
from meshag_tui.advisor.search import Search, search
from meshag_tui.advisor.statistics import Tables
from meshag_tui.engines.base import Session, WhatIf
from meshag_tui.plan import Plan
from meshag_tui.settings import Settings
from meshag_tui.types import IndexSpec

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

BROAD = 0.20
"""A statement whose calls return this share of a table is served best by reading it, whatever a sample promises."""


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
    bare = (
        Statement(one.query, plan, one.predicates, (), weight)
        for (one, plan), weight in zip(planned, weights, strict=True)
    )
    made = (
        replace(one, candidates=candidates(one.plan, one.predicates, tables, usage, one.observed_share(tables)))
        for one in bare
    )
    statements = tuple(one for one in made if one.candidates and one.least_share(tables) <= BROAD)
    reckoner = Reckoner(tables, catalog.facts)
    asking = budget.part(settings.advice.planner_calls, settings.advice.time_limit_s)
    choice, plans = settings.advice.what_if, [one.plan for one in statements]
    what_if = await session.what_if(choice, plans, notes) if statements else None
    pricer: Pricer = reckoner
    refused: Mapping[IndexSpec, str] = {}
    if what_if is not None:
        pricer = planner = Planner(what_if, tables, asking, reckoner, catalog.facts.costs)
        refused = planner.refused

    def more(statement: Statement, plan: Plan) -> Iterable[Candidate]:
        return candidates(
            plan, typed(session.predicates(plan), tables), tables, usage, statement.observed_share(tables)
        )

    found = await search(statements, pricer, tables, settings.advice, room, catalog.facts.costs, more, asking)
    return Sought(found, statements, usage, pricer, refused, what_if)
