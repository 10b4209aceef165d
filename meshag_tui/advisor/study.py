"""What each statement could gain: planned with all its candidates at once, then with those it used taken away.

A few plans tell more than pricing every candidate alone. The plan with everything says what the best indexes are; with
these taken away the next best show; without covering indexes, and with single columns only, the small ones show that a
tight budget needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from meshag_tui.advisor.candidates import Candidate
from meshag_tui.advisor.configurations import Configurations, Known
from meshag_tui.engines.base import EngineError
from meshag_tui.plan import Plan
from meshag_tui.types import IndexSpec

PLANS = 14
"""Plans of one statement with indexes taken away, of all its candidates; fewer of the simpler ones."""
GAINS = 0.99


@dataclass(frozen=True)
class Depth:
    """How many plans each universe of a statement's candidates is worth."""

    every: int = PLANS
    lean: int = PLANS * 2 // 3
    single: int = PLANS // 2


async def study(
    workload: Configurations,
    known: Known,
    more: Callable[[Known, Plan], Iterable[Candidate]],
    unwanted: Callable[[Plan, Iterable[IndexSpec]], set[IndexSpec]],
    depth: Depth,
) -> None:
    """Learn what one statement costs with its candidates.

    Args:
        more: candidates that only a plan with indexes shows, such as look-ups through another join.
        unwanted: of the indexes that a plan used, those that are not thought of for this statement.
        depth: how far to go.

    Raises:
        OutOfBudget: no call is left; what was learnt stays.
    """
    try:
        await _study(workload, known, more, unwanted, depth)
    except EngineError:
        return  # noted; the others go on


async def _study(
    workload: Configurations,
    known: Known,
    more: Callable[[Known, Plan], Iterable[Candidate]],
    unwanted: Callable[[Plan, Iterable[IndexSpec]], set[IndexSpec]],
    depth: Depth,
) -> None:
    base = await workload.exact(known, 0)
    known.base = base.cost
    every = workload.offer(known, known.statement.candidates)
    if not every:
        return
    best = await workload.exact(known, every)
    if known.plan is not None and best.used:
        extra = workload.offer(known, more(known, known.plan))
        if extra & ~every:
            every |= extra
            best = await workload.exact(known, every)
    while known.plan is not None and (copies := unwanted(known.plan, workload.specs_of(best.used))):
        known.leave(workload.mask(copies))
        best = await workload.exact(known, every)
    lean = workload.mask(spec for spec in workload.specs_of(every) if not spec.include)
    single = workload.mask(spec for spec in workload.specs_of(lean) if len(spec.columns) == 1)
    hits = 0
    for universe, plans in ((every, depth.every), (lean, depth.lean), (single, depth.single)):
        hits |= await _peel(workload, known, universe, plans)
    for bit in workload.of(hits):
        await workload.exact(known, 1 << bit)


async def _peel(workload: Configurations, known: Known, universe: int, plans: int) -> int:
    """Plan with everything, then without each index that was used, and so on; returns all that were ever used."""
    first = await workload.exact(known, universe)
    todo, seen, hits = [(universe, first.used)], {universe}, first.used
    while todo and plans > 0:
        given, used = todo.pop(0)
        for bit in workload.of(used):
            less = given & ~(1 << bit)
            if less in seen or plans <= 0:
                continue
            seen.add(less)
            if known.find(less) is None:
                plans -= 1
            answer = await workload.exact(known, less)
            hits |= answer.used
            if answer.cost < known.base * GAINS:
                todo.append((less, answer.used))
    return hits
