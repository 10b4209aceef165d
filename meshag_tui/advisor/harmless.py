"""A set of indexes that slows no statement, whichever of the values that fit it is asked for.

The search prices each statement with one of its sets of sample values. What is taken in the end is looked at with the
others as well: with other values the planner may choose a plan, of the same indexes, that takes longer than today's.
What is seen counts from then on, many times (`Known.felt`), and the set is improved once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from meshag_tui.advisor.budget import OutOfBudget
from meshag_tui.advisor.configurations import SLOWER, Configurations, Known, Look
from meshag_tui.advisor.selection import Selection
from meshag_tui.engines.base import EngineError
from meshag_tui.plan import Plan

_TRIED = 2
"""How often others are tried in the place of what was taken away, each time with 50 to 100 calls."""


async def without_harm(selection: Selection, taken: int, stop: Callable[[], bool]) -> int:
    """The set without indexes that slow a statement more than they save, with others in their place where these pay.

    Out of calls or time, the set without those that are known to.
    """
    met, harmless = [taken], False
    try:
        taken, harmless = await _taken_away(selection, met), True
        for _ in range(_TRIED if len(met) > 1 else 0):
            more = await asyncio.to_thread(_improved, selection, taken, stop)
            await selection.sharpen(more)
            more = selection.prune_known(more)
            if more in met or selection.change(taken, more) > -selection.least_ms:
                break
            met.append(more)
            taken = await _taken_away(selection, met)
    except OutOfBudget:
        if not harmless:
            selection.workload.notes.append(
                "Not every statement was priced with all its sample values: an index that is advised may slow one"
            )
            taken = _best(selection, met)
    return taken


async def _taken_away(selection: Selection, met: list[int]) -> int:
    """The best of the sets met without what slows, once nothing is seen to but what is worth it; adds those it met."""
    while True:
        taken = _best(selection, met)
        if taken not in met:
            met.append(taken)
        await selection.sharpen(taken)
        if not await _harmed(selection.workload, taken) or _best(selection, met) == taken:
            return taken


def _best(selection: Selection, met: Sequence[int]) -> int:
    return min(map(selection.drop, met), key=lambda mask: selection.change(0, mask))


def _improved(selection: Selection, taken: int, stop: Callable[[], bool]) -> int:
    """The best set by what is known now, from the one taken; unasked, also from the beginning."""
    found = selection.improve(taken, stop, least=selection.least_ms)
    if selection.worth.by_budget:
        return found
    return min(found, selection.greedy(None), key=lambda mask: selection.change(0, mask))


async def _harmed(workload: Configurations, taken: int) -> bool:
    """Whether a statement is slowed by this set, whichever of its values are asked for."""
    readers = sorted(workload.readers(taken), key=lambda one: -one.statement.weight)
    for turn in range(3):
        for known in readers:
            for plan in () if known.failed else _in_turn(known.statement.plan)[turn]:
                await _look(workload, known, taken, plan)
        if any(one.harmed(taken) for one in readers):
            return True
    return False


def _in_turn(present: Plan) -> tuple[Sequence[Plan], Sequence[Plan], Sequence[Plan]]:
    """Plans with the values to be looked at, first those that tell most for a call: what is chosen changes with how
    much is found, so that of values that fit, those that find least and most. Then the others that fit, then the rest.
    """
    fitting = present.variants or (present,)
    telling = {one.parameters: one for one in (present, fitting[0], fitting[-1])}
    return tuple(telling.values()), [one for one in fitting if one.parameters not in telling], present.others


async def _look(workload: Configurations, known: Known, taken: int, plan: Plan) -> None:
    """See how a statement fares with this set and the values of a plan, unless that is known."""
    if known.looked(plan.parameters, taken) is None:
        try:
            known.look(plan.parameters, await _seen(workload, known, taken, plan))
        except EngineError as error:
            if error.transient:
                raise


async def _seen(workload: Configurations, known: Known, taken: int, plan: Plan) -> Look:
    """How it fares with the values of a plan.

    What is not thought of for the statement is there all the same, and the server reads it where it likes. What was
    counted in memory is of calls with values like those taken: with others only the planner's word counts.
    """
    present = known.statement.plan
    statement, given = replace(known.statement, plan=plan), taken & (known.relevant | known.left)
    price = await workload.pricer.price(statement, workload.specs_of(given))
    if price.used is not None and not price.used:
        return Look(given, 0, 1.0)
    times = price.times or 0.0 if plan.parameters == present.parameters else 0.0
    if price.cost > max(times, SLOWER) * plan.cost:
        times = max(times, price.cost / (await workload.pricer.price(statement, frozenset())).cost)
    return Look(given, given if price.used is None else workload.mask(price.used) & given, times)
