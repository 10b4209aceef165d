"""A set of indexes that slows no statement, whichever of the values that fit it is asked for.

The search prices each statement with one of its sets of sample values. What is taken in the end is looked at with the
others as well: with other values the planner may choose a plan, of the same indexes, that takes longer than today's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from meshag_tui.advisor.budget import OutOfBudget
from meshag_tui.advisor.configurations import DREADED, SLOWER, Configurations, Known
from meshag_tui.advisor.pricing import Price
from meshag_tui.advisor.selection import Selection
from meshag_tui.engines.base import EngineError
from meshag_tui.plan import Plan

_ROUNDS = 5


async def without_harm(selection: Selection, taken: int, stop: Callable[[], bool]) -> int:
    """The set without indexes that slow a statement more than they save, with others in their place where these pay.

    Out of calls, what is known to be harmless.
    """
    banned = 0
    try:
        for again in reversed(range(_ROUNDS)):
            harmful = await _harmful(selection, taken)
            if not harmful:
                break
            banned |= harmful
            taken &= ~banned
            if again:
                better = await asyncio.to_thread(_without, selection, taken, banned, stop)
                await selection.sharpen(better)
                taken = await selection.prune(better)
    except OutOfBudget:
        pass
    return taken


def _without(selection: Selection, taken: int, banned: int, stop: Callable[[], bool]) -> int:
    """The best set without what is banned, from what is left of the one taken; unasked, also from the beginning."""
    found = selection.improve(taken, stop, banned)
    if selection.worth.by_budget:
        return found
    return min(found, selection.greedy(None, banned), key=lambda mask: selection.change(0, mask))


async def _harmful(selection: Selection, taken: int) -> int:
    """The index whose loss costs least, of those without which a statement is not slowed; 0 where none is worth it."""
    workload = selection.workload
    for known in workload.readers(taken):
        slowed = await _slowed(workload, known, taken)
        if slowed is None:
            continue
        harm = known.statement.weight * (slowed.times - SLOWER) * DREADED
        losses = {bit: selection.change(taken, taken & ~(1 << bit)) for bit in workload.of(slowed.by)}
        worth = sorted((loss, bit) for bit, loss in losses.items() if loss < harm)
        for _, bit in worth:
            if await _times(workload, known, taken & ~(1 << bit), slowed.plan) <= SLOWER:
                return 1 << bit
        if worth:
            return 1 << worth[0][1]
    return 0


class _Slowed(NamedTuple):
    """A statement that takes so many `times` as long as today, with the values of this plan, `by` these indexes."""

    by: int
    times: float
    plan: Plan | None


async def _slowed(workload: Configurations, known: Known, taken: int) -> _Slowed | None:
    """What slows the statement most, whichever of its values are asked for; None where nothing does."""
    if known.failed:
        return None
    worst = _Slowed(0, SLOWER, None)
    best = known.best(taken)
    if best is not None and best.used and (best.times or 0.0) > worst.times:
        worst = _Slowed(best.used & taken, best.times or 0.0, None)
    present = known.statement.plan
    for plan in (*(present.variants or (present,)), *present.others):
        try:
            price, times = await _priced(workload, known, taken, plan)
        except EngineError as error:
            if error.transient:
                raise
            continue
        if price.used and times > worst.times:
            worst = _Slowed(workload.mask(price.used) & taken, times, plan)
    return worst if worst.by else None


async def _times(workload: Configurations, known: Known, taken: int, plan: Plan | None) -> float:
    """How many times as long as today it takes with this set, with the values of a plan."""
    if plan is None:
        best = known.best(taken)
        return (best.times or 0.0) if best is not None else 0.0
    return (await _priced(workload, known, taken, plan))[1]


async def _priced(workload: Configurations, known: Known, taken: int, plan: Plan) -> tuple[Price, float]:
    """The price with these values, and how many times as long as today that is.

    What is not thought of for the statement is there all the same, and the server reads it where it likes. What was
    counted in memory is of calls with values like those taken: with others only the planner's word counts.
    """
    statement = replace(known.statement, plan=plan)
    price = await workload.pricer.price(statement, workload.specs_of(taken & (known.relevant | known.left)))
    times = price.times or 0.0 if plan.parameters == known.statement.plan.parameters else 0.0
    if price.used and price.cost > max(times, SLOWER) * plan.cost:
        times = max(times, price.cost / (await workload.pricer.price(statement, frozenset())).cost)
    return price, times
