"""Which indexes a workload should have: candidates of all statements priced together, so that one serves many.

Each statement is studied on its own (`study`). What its plans used becomes the pool, with shorter and merged forms
(`merging`), and the pool is searched for the set that saves most measured time (`selection`), any time: out of calls or
time, the best set so far is taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from meshag_tui.advisor.budget import Budget, OutOfBudget
from meshag_tui.advisor.candidates import Candidate, standing_in
from meshag_tui.advisor.configurations import Configurations
from meshag_tui.advisor.harmless import without_harm
from meshag_tui.advisor.merging import merged, shorter
from meshag_tui.advisor.pricing import Pricer, Statement
from meshag_tui.advisor.selection import BY_SIZE, Option, Selection
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.advisor.study import Depth, study
from meshag_tui.advisor.upkeep import upkeep
from meshag_tui.advisor.worth import worth
from meshag_tui.figures import count, number_of
from meshag_tui.plan import Plan
from meshag_tui.snapshot import CostModel
from meshag_tui.types import EvidenceKind, IndexSpec

if TYPE_CHECKING:
    from meshag_tui.settings import AdviceSettings
    from meshag_tui.store.history import QueryRow

MOST_OPTIONS = 400
_ROUNDS = 3
_HARDLY = 1e-3
_SURE = 0.95
"""Part of a storage budget that is given out: sizes are reckoned, and come out up to a twentieth larger."""
_STUDY = 0.7
"""Share of the time that may be over before the last statement is studied: the search needs some as well."""
_AROUND = 60
"""Planner calls a round of the search may take to look at what it did not take."""
_KEPT, _KEPT_TIME = 200, 0.15
"""Planner calls, and share of the time, kept for the end: to see whether what was chosen slows a statement, with any of
its sample values."""


@dataclass(frozen=True)
class Serves:
    """What one choice does for one statement, in planner units. `base` is its cost with no new index at all."""

    statement: Statement
    base: float
    before: float
    after: float

    @property
    def gain(self) -> float:
        """Share of the statement's present cost saved by this choice, 0..1."""
        return (self.before - self.after) / self.base if self.base > 0 else 0.0

    @property
    def saved_ms(self) -> float:
        """Estimated time saved in the window: the statement's measured time by the share of cost saved."""
        return self.statement.query.total_time_ms * self.gain


@dataclass(frozen=True)
class Listed:
    """A statement among those of most time, with the tables that it reads. `planned`: it could be explained."""

    query: QueryRow
    relations: frozenset[Relation]
    planned: bool


@dataclass
class Checked:
    """The statements of most time on the tables of one choice, by what it does to each; `…_calls` of each kind.

    Unchanged are those whose price stays the same, and those that it could not serve; failed those that could not be
    explained or priced.
    """

    improved: int = 0
    unchanged: int = 0
    worse: int = 0
    failed: int = 0
    improved_calls: int = 0
    unchanged_calls: int = 0
    worse_calls: int = 0
    failed_calls: int = 0
    whole: bool = True  # all on its tables are counted, not only those that somebody named

    def count(self, calls: int, old: float | None, new: float | None) -> None:
        """Add one statement with its cost before and after; None where it could not be priced."""
        if old is None or new is None:
            self.failed, self.failed_calls = self.failed + 1, self.failed_calls + calls
        elif new < old * 0.999:
            self.improved, self.improved_calls = self.improved + 1, self.improved_calls + calls
        elif new > old * 1.001:
            self.worse, self.worse_calls = self.worse + 1, self.worse_calls + calls
        else:
            self.unchanged, self.unchanged_calls = self.unchanged + 1, self.unchanged_calls + calls

    @property
    def tested(self) -> int:
        return self.improved + self.worse + self.unchanged

    @property
    def listed(self) -> int:
        return self.tested + self.failed

    def document(self) -> dict[str, int]:
        """All of it, for evidence."""
        return {"listed": self.listed, "tested": self.tested, **asdict(self)}

    def __str__(self) -> str:
        """In words for evidence."""
        kinds = (
            (self.improved, "better", self.improved_calls),
            (self.worse, "worse", self.worse_calls),
            (self.unchanged, "the same", self.unchanged_calls),
            (self.failed, "not priced", self.failed_calls),
        )
        which = "of most time on its table" if self.whole else "it was proposed for"
        return f"of {number_of(self.listed, 'statement')} {which}: " + ", ".join(
            f"{count(many)} {word}" + (f" ({number_of(calls, 'call')})" if many else "") for many, word, calls in kinds
        )


@dataclass
class Choice:
    """One candidate taken, and the statements it serves."""

    candidate: Candidate
    serves: list[Serves]
    evidence: EvidenceKind
    checked: Checked = field(default_factory=Checked)


@dataclass
class Search:
    """The choices of a search, what stopped it short, and what it took."""

    choices: list[Choice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    calls: int = 0
    wall_ms: float = 0.0
    options: int = 0
    saved_share: float = 0.0  # of the workload's time, estimated
    size_bytes: int = 0
    budget_bytes: int | None = None
    selection: Selection | None = None
    taken: int = 0


async def search(
    statements: Sequence[Statement],
    pricer: Pricer,
    tables: Tables,
    settings: AdviceSettings,
    budget_bytes: int | None,
    costs: CostModel,
    more: Callable[[Statement, Plan], Iterable[Candidate]] = lambda statement, plan: (),
    asking: Budget | None = None,
    writing: Sequence[Statement] = (),
    listed: Sequence[Listed] = (),
) -> Search:
    """Choose indexes for a workload.

    Args:
        statements: with candidates and present plans.
        pricer: what answers "what would it cost".
        budget_bytes: most space all chosen indexes may take; None: not asked for the most, few and plain ones will do.
        costs: what the prices are in.
        more: candidates that a plan with indexes shows.
        asking: what the pricer may ask; its end is the end of the search.
        writing: statements that no index serves, which say what is written and how long that takes.
        listed: all statements of most time, for what is counted of each choice.
    """
    began, calls = time.monotonic(), pricer.calls
    result = Search(budget_bytes=budget_bytes)
    workload = Configurations(statements, pricer, tables)
    measure = worth(tables, settings, costs, budget_bytes is not None)
    if asking is not None:
        asking.keep(min(_KEPT, asking.left // 4), _KEPT_TIME)
    try:
        for known in sorted(workload.known, key=lambda one: -one.statement.weight):
            if asking is not None and asking.used > _STUDY:
                raise OutOfBudget
            await study(workload, known, lambda one, plan: more(one.statement, plan), measure.copies, Depth())
    except OutOfBudget:
        result.complete = False
        result.notes.append("Not every index could be priced: the planner was asked as often as we allow ourselves")
    room = None if budget_bytes is None else int(budget_bytes * _SURE)
    selection = Selection(
        workload,
        _options(workload, measure.possible),
        upkeep(
            ((one.query, one.plan) for one in (*statements, *writing)),
            tables,
            measure.expected_upkeep * sum(one.weight for one in statements),
        ),
        measure,
        room,
    )
    result.options = len(selection.options)
    taken = await _select(selection, asking)
    result.selection, result.taken = selection, taken
    result.choices = await _choices(selection, taken, listed)
    result.notes += dict.fromkeys(workload.notes)
    result.complete = result.complete and not any(one.failed for one in workload.known)
    result.calls, result.wall_ms = pricer.calls - calls, (time.monotonic() - began) * 1000
    result.saved_share = -selection.change(0, taken) / selection.total
    result.size_bytes = workload.size(taken)
    return result


def _options(workload: Configurations, possible: Callable[[IndexSpec], bool]) -> list[Option]:
    """What can be taken: all that some plan used, the most useful first, then shorter and merged forms of these."""
    score: dict[int, float] = {}
    together: dict[int, Candidate] = {}
    for one in workload.known:
        for answer in one.answers:
            for bit in workload.of(answer.used):
                saved = one.statement.weight * (one.base - answer.cost) / max(one.base, 1e-9) / answer.used.bit_count()
                score[bit] = max(score.get(bit, 0.0), saved)
        for candidate in one.statement.candidates:
            if len(candidate.specs) > 1:
                together[workload.mask(candidate.specs)] = candidate
    used = sorted(score, key=lambda bit: (-score[bit], bit))[:MOST_OPTIONS]
    specs = [workload.specs[bit] for bit in used]
    more = dict.fromkeys(each for spec in specs[:200] for each in shorter(spec))
    more |= dict.fromkeys(merged(specs[:150]))
    free = {
        spec: candidate.free
        for one in workload.known
        for candidate in one.statement.candidates
        for spec in candidate.specs
    }
    singles = [
        Candidate((spec,), free.get(spec, 0))
        for spec in dict.fromkeys((*specs, *more))
        if possible(spec) and not _there(spec, workload.tables)
    ]
    found = [*together.values(), *singles]
    return [Option(one, mask, workload.size(mask)) for one in found for mask in (workload.mask(one.specs),)]


def _there(spec: IndexSpec, tables: Tables) -> bool:
    """Whether an existing index does what it would: shorter forms may be of one that is there."""
    view = tables.view(spec.schema, spec.table)
    return view is not None and standing_in(spec, 0, view) is not None


async def _select(selection: Selection, asking: Budget | None) -> int:
    """The best set that calls and time allow. What needs no server runs in a thread, so that nobody waits for it."""

    def stop() -> bool:
        return asking is not None and asking.over

    best = await (_by_budget if selection.worth.by_budget else _unasked)(selection, asking, stop)
    if asking is not None:
        asking.keep(0, 0)
    return await without_harm(selection, best, stop)


async def _unasked(selection: Selection, asking: Budget | None, stop: Callable[[], bool]) -> int:
    best = 0
    try:
        for _ in range(_ROUNDS):
            found = await asyncio.to_thread(selection.greedy, None)
            if best and selection.change(best, found) >= 0:
                break
            best = found
            await selection.sharpen(best)  # what it shows may speak against what was taken first
        return await selection.prune(best)
    except OutOfBudget:
        return selection.prune_known(best)


async def _by_budget(selection: Selection, asking: Budget | None, stop: Callable[[], bool]) -> int:
    best = 0
    try:
        for again in reversed(range(_ROUNDS)):
            found = await asyncio.to_thread(_search_known, selection, best, stop)
            best = best or found  # something is better than nothing, should calls or time be over now
            await selection.sharpen(found)
            if best != found and selection.change(best, found) > -_HARDLY * selection.total:
                break
            best = found
            spare = _AROUND if asking is None else min(_AROUND, asking.left)
            if spare <= 0 or (again and await selection.look_around(best, spare) == 0):
                break
        return await selection.prune(best)
    except OutOfBudget:
        return selection.prune_known(best)


def _search_known(selection: Selection, best: int, stop: Callable[[], bool]) -> int:
    """The best set as far as plans are known, from the best so far and from what the greedy ways lead to."""
    starts = {best, *(selection.greedy(power) for power in BY_SIZE)}
    return selection.explore(min(starts, key=lambda mask: selection.change(0, mask)), stop)


async def _choices(selection: Selection, taken: int, listed: Sequence[Listed]) -> list[Choice]:
    """What is taken, the most useful first, each with what it adds to those before it."""
    workload, made, before = selection.workload, [], 0
    left = selection.parts(taken)
    by_mask = {option.mask: option.candidate for option in selection.options}
    while left:
        mask = min(left, key=lambda each: (selection.change(before, before | each), each))
        left.remove(mask)
        served, kinds, checked = [], set(), Checked(whole=bool(listed))
        for known in workload.readers(mask):
            try:
                old, new = await workload.ask(known, before), await workload.ask(known, before | mask)
            except OutOfBudget:
                old, new = known.best(before), known.best(before | mask)
            prices = [None if price is None or known.failed else price.cost for price in (old, new)]
            checked.count(known.statement.query.calls, *prices)
            if old is not None and new is not None and new.cost < old.cost * 0.999:
                served.append(Serves(known.statement, known.base, old.cost, new.cost))
                kinds.add(new.evidence)
        homes = {workload.tables.home(spec.schema, spec.table) for spec in workload.specs_of(mask)}
        priced = {known.statement.query.id for known in workload.readers(mask)}
        for one in listed:
            if one.query.id not in priced and homes & one.relations:
                checked.count(one.query.calls, *([0.0] * 2 if one.planned else [None] * 2))
        before |= mask
        if served:
            evidence = EvidenceKind.STATED if EvidenceKind.STATED in kinds else next(iter(kinds))
            candidate = by_mask.get(mask) or Candidate(tuple(workload.specs_of(mask)))
            made.append(Choice(candidate, served, evidence, checked))
    return made
