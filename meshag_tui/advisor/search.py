"""Which indexes a workload should have: candidates of all statements priced together, so that one serves many.

The search is greedy. Each round takes the candidate that saves most measured time over the whole workload, given those
taken before; of candidates that save nearly the same, the smaller one. It ends when the best left saves no statement
the share asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshag_tui.advisor.budget import OutOfBudget
from meshag_tui.advisor.candidates import Candidate
from meshag_tui.advisor.indexes import covered_by_spec
from meshag_tui.advisor.pricing import Price, Pricer, Statement
from meshag_tui.advisor.statistics import Tables
from meshag_tui.engines.base import EngineError
from meshag_tui.snapshot import CostModel
from meshag_tui.types import (
    EvidenceKind,
    IndexSpec,
)

if TYPE_CHECKING:
    from meshag_tui.settings import AdviceSettings

NEARLY = 0.95
"""A smaller index is taken when it saves at least this part of what the best one saves."""
COVERING_TAKES = 0.75
"""Columns are only included when no index without them saves this part of what they would."""
CAREFUL_GAIN = 0.50
"""Share of its cost a statement must save for an index nobody has checked, or that only widens one that is there."""
CHEAP_COST = 25.0
"""Planner units below which a statement reads a handful of pages and wants no index of its own."""
WIDENING_COST = 100.0
"""The same where an index with the same first column serves it already."""
COVERING_COST = 1_000.0
"""The same where only the visits to the table would be saved: some hundreds of rows a call."""
MINIMUM_SHARE = 0.005
"""Share of the workload's time an index must save, estimated, to be worth its keep."""
ROW_UPKEEP_MS = 0.01
"""Assumed time to keep one index entry for one written row."""
MOST_INDEXES = 12


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
        return self.statement.weight * self.gain


@dataclass
class Choice:
    """One candidate taken, and the statements it serves."""

    candidate: Candidate
    serves: list[Serves]
    evidence: EvidenceKind


@dataclass
class Search:
    """The choices of a search, and what stopped it short."""

    choices: list[Choice] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complete: bool = True


async def search(
    statements: Sequence[Statement],
    pricer: Pricer,
    tables: Tables,
    settings: AdviceSettings,
    budget_bytes: int | None,
    costs: CostModel,
) -> Search:
    """Choose indexes for a workload.

    Args:
        statements: with candidates and present plans.
        pricer: what answers "what would it cost".
        budget_bytes: most space all chosen indexes may take; None for no limit.
        costs: what the prices are in.
    """
    result = Search()
    taken: frozenset[IndexSpec] = frozenset()
    room = budget_bytes
    failed: set[int] = set()
    total_ms = sum(statement.weight for statement in statements)
    unit = _some_work(costs) / _some_work(CostModel())
    pool = _pool(statements)
    try:
        while len(result.choices) < MOST_INDEXES:
            offers = []
            for candidate, owners in pool.items():
                if set(candidate.specs) <= taken:
                    continue
                needs = sum(pricer.size(spec) for spec in candidate.specs if spec not in taken)
                if room is not None and needs > room:
                    continue
                touched = [one for one in owners if one.query.id not in failed]
                offer = await _offer(candidate, touched, taken, pricer, failed, result.notes)
                if offer is not None and _worth(offer, tables, settings, total_ms, unit):
                    offers.append((offer, needs))
            if not offers:
                break
            choice, needs = _pick(offers)
            result.choices.append(choice)
            taken |= frozenset(choice.candidate.specs)
            room = None if room is None else room - needs
    except OutOfBudget:
        result.complete = False
        result.notes.append("Not every index could be priced: the planner was asked as often as we allow ourselves")
    result.complete = result.complete and not failed
    result.choices = _without_covered(result.choices)
    return result


def _some_work(costs: CostModel) -> float:
    """What makes prices of two servers comparable: a page of a hundred rows read in order, and one row looked up.

    One server prices pages and the other rows, so neither alone would do.
    """
    in_order = costs.sequential_page + 100 * (costs.row + costs.operator)
    looked_up = costs.random_page + costs.index_entry + costs.row + costs.operator
    return math.sqrt(in_order * looked_up)


def _pool(statements: Sequence[Statement]) -> dict[Candidate, list[Statement]]:
    """Each candidate with every statement that reads its table: those that did not ask for it may gain as well."""
    pool: dict[Candidate, list[Statement]] = {}
    for statement in statements:
        for candidate in statement.candidates:
            pool.setdefault(candidate, [])
    for candidate, owners in pool.items():
        homes = {(spec.schema, spec.table) for spec in candidate.specs}
        owners += [one for one in statements if any(homes & {_home(spec) for spec in c.specs} for c in one.candidates)]
    return pool


def _home(spec: IndexSpec) -> tuple[str, str]:
    return spec.schema, spec.table


async def _offer(
    candidate: Candidate,
    statements: Sequence[Statement],
    taken: frozenset[IndexSpec],
    pricer: Pricer,
    failed: set[int],
    notes: list[str],
) -> Choice | None:
    served, evidence = [], EvidenceKind.PLANNED
    for statement in statements:
        relevant = frozenset(spec for spec in taken if _touches(statement, spec))
        try:
            base = await pricer.price(statement, frozenset())
            before = await pricer.price(statement, relevant)
            after = await pricer.price(statement, relevant | frozenset(candidate.specs))
        except EngineError as error:
            failed.add(statement.query.id)
            notes.append(f"{statement.query.uid} could not be priced: {error}")
            continue
        if after.cost < before.cost * 0.999:
            served.append(Serves(statement, base.cost, before.cost, after.cost))
            evidence = _weaker(evidence, after)
    return Choice(candidate, served, evidence) if served else None


def _touches(statement: Statement, spec: IndexSpec) -> bool:
    return any(_home(spec) == _home(other) for candidate in statement.candidates for other in candidate.specs)


def _weaker(evidence: EvidenceKind, price: Price) -> EvidenceKind:
    return EvidenceKind.STATED if EvidenceKind.STATED in (evidence, price.evidence) else price.evidence


def _worth(choice: Choice, tables: Tables, settings: AdviceSettings, total_ms: float, unit: float) -> bool:
    """Whether it saves a statement enough, the workload something, and more than its upkeep takes.

    Args:
        unit: how many units of this server make one of PostgreSQL's, in which the thresholds are.
    """
    wanted = settings.minimum_gain
    if choice.evidence is EvidenceKind.STATED or _widens(choice.candidate, tables):
        wanted = max(wanted, CAREFUL_GAIN)
    least = CHEAP_COST
    if _widens(choice.candidate, tables):
        covering = any(spec.include for spec in choice.candidate.specs)
        least = COVERING_COST if covering else WIDENING_COST
    best = max((one.gain for one in choice.serves if one.base >= least * unit), default=0.0)
    saved = sum(one.saved_ms for one in choice.serves)
    return best >= wanted and saved >= MINIMUM_SHARE * total_ms and saved > _upkeep_ms(choice, tables)


def _widens(candidate: Candidate, tables: Tables) -> bool:
    """Whether an index with the same first column is there already."""
    for spec in candidate.specs:
        view = tables.view(spec.schema, spec.table)
        for index in view.indexes if view is not None else ():
            if index.valid and index.predicate is None and index.keys and index.keys[0].column == spec.columns[0].name:
                return True
    return False


def _upkeep_ms(choice: Choice, tables: Tables) -> float:
    return sum(writes_to(spec, tables) * ROW_UPKEEP_MS for spec in choice.candidate.specs)


def writes_to(spec: IndexSpec, tables: Tables) -> float:
    """Rows written in the window, each of which an index would have to follow."""
    view = tables.view(spec.schema, spec.table)
    return view.writes if view is not None else 0.0


def _pick(offers: Sequence[tuple[Choice, int]]) -> tuple[Choice, int]:
    best = max(_saved(choice) for choice, _ in offers)
    near = [offer for offer in offers if _saved(offer[0]) >= NEARLY * best]
    bare = [offer for offer in offers if not any(spec.include for spec in offer[0].candidate.specs)]
    if bare and max(_saved(choice) for choice, _ in bare) >= COVERING_TAKES * best:
        best = max(_saved(choice) for choice, _ in bare)
        near = [offer for offer in bare if _saved(offer[0]) >= NEARLY * best]
    return min(
        near,
        key=lambda offer: (
            offer[1],
            sum(len(spec.columns) + len(spec.include) for spec in offer[0].candidate.specs),
            -_saved(offer[0]),
            repr(offer[0].candidate),
        ),
    )


def _saved(choice: Choice) -> float:
    return sum(one.saved_ms for one in choice.serves)


def _without_covered(choices: list[Choice]) -> list[Choice]:
    """Leave out what a later, longer choice does as well: its statements go over to that one."""
    kept: list[Choice] = []
    for choice in choices:
        longer = next(
            (
                other
                for other in choices
                if other is not choice
                and all(
                    any(covered_by_spec(mine, theirs) for theirs in other.candidate.specs)
                    for mine in choice.candidate.specs
                )
            ),
            None,
        )
        if longer is None:
            kept.append(choice)
        else:
            _merge(longer, choice)
    return kept


def _merge(into: Choice, other: Choice) -> None:
    by_query = {one.statement.query.id: one for one in into.serves}
    for one in other.serves:
        known = by_query.get(one.statement.query.id)
        if known is None:
            into.serves.append(one)
        else:
            into.serves[into.serves.index(known)] = Serves(
                one.statement, one.base, max(one.before, known.before), min(one.after, known.after)
            )
