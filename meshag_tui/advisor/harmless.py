"""A set of indexes that slows no statement, whichever of the values that fit it is asked for.

The search prices each statement with one of its sets of sample values. What is taken in the end is looked at with the
others as well: with other values the planner may choose a plan, of the same indexes, that takes longer than today's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from meshag_tui.advisor.budget import OutOfBudget
from meshag_tui.advisor.configurations import DREADED, SLOWER, Configurations, Known
from meshag_tui.advisor.selection import Selection
from meshag_tui.engines.base import EngineError

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
                better = await asyncio.to_thread(selection.improve, taken, stop, banned)
                await selection.sharpen(better)
                taken = await selection.prune(better)
    except OutOfBudget:
        pass
    return taken


async def _harmful(selection: Selection, taken: int) -> int:
    """The index whose loss costs least, of those by which a statement is slowed by more than that; 0 where none is."""
    workload = selection.workload
    for known in workload.readers(taken):
        by, times = await _slowed(workload, known, taken)
        for bit in workload.of(by):
            without = taken & ~(1 << bit)
            if selection.change(taken, without) < known.statement.weight * (times - SLOWER) * DREADED:
                return 1 << min(workload.of(by), key=lambda one: selection.change(taken, taken & ~(1 << one)))
    return 0


async def _slowed(workload: Configurations, known: Known, taken: int) -> tuple[int, float]:
    """The indexes of the plan that slows a statement most with any of its values, and how many times what it takes."""
    worst = (0, SLOWER)
    if known.failed:
        return worst
    specs, present = workload.specs_of(taken & known.relevant), known.statement.plan
    for plan in (*(present.variants or (present,)), *present.others):
        statement = replace(known.statement, plan=plan)
        try:
            price = await workload.pricer.price(statement, specs)
            # What was counted in memory is of calls with values like those taken.
            times = price.times or 0.0 if plan.parameters == present.parameters else 0.0
            if price.used and price.cost > worst[1] * plan.cost:
                times = max(times, price.cost / (await workload.pricer.price(statement, frozenset())).cost)
            if price.used and times > worst[1]:
                worst = workload.mask(price.used) & taken, times
        except EngineError as error:
            if error.transient:
                raise
    return worst
