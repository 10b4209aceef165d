"""When an index is worth suggesting: by its own merits, and beside what is there already.

Two temperaments. Unasked, few indexes are proposed, each of plain use. With a storage budget the question is another:
what is the best use of so much disk; then wide and overlapping indexes are welcome as long as each still pays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meshag_tui.advisor.costs import weigh
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.plan import Plan
from meshag_tui.settings import AdviceSettings
from meshag_tui.snapshot import CostModel
from meshag_tui.types import IndexSpec

CAREFUL_GAIN = 0.50
"""Share of its cost a statement must save for an index nobody has checked, or that only widens one that is there."""
CHEAP_COST = 25.0
"""Planner units below which a statement reads a handful of pages and wants no index of its own."""
WIDENING_COST = 100.0
"""The same where an index with the same first column serves it already."""
COVERING_COST = 1_000.0
"""The same where only the visits to the table would be saved: some hundreds of rows a call."""
COVERING_COLUMNS = 3
COVERING_WIDTH = 48
MOST_INDEXES = 12
EXPECTED_UPKEEP = 0.01
"""With a budget; unasked three times as much, for who did not ask for many indexes would not be told of them."""
SHORT = 2
"""Columns that an index may have whatever its size: of a narrow table every index is half as large."""
COPY_SIZE = 0.5
"""Share of its table's size from which an index that is read from end to end is but a copy of it in another order."""


@dataclass(frozen=True)
class Worth:
    """What an index must do. `share`: of the workload's time, estimated, that it must save to be worth its keep.

    `expected_upkeep`: part of the workload's time that writes to an index on every row are reckoned to take at least.
    """

    tables: Tables
    unit: float  # units of this server that make one of PostgreSQL's, in which the thresholds are
    minimum_gain: float
    by_budget: bool
    share: float
    expected_upkeep: float
    most: int

    def wanted(self, specs: Sequence[IndexSpec], checked: bool) -> tuple[float, float]:
        """The share of its cost that these must save some statement, and the cost from which a statement counts."""
        if self.by_budget and checked:
            return self.minimum_gain, CHEAP_COST * self.unit
        widens = any(self._widens(spec) for spec in specs)
        covering = any(spec.include for spec in specs)
        least = (COVERING_COST if covering else WIDENING_COST) if widens else CHEAP_COST
        careful = widens or not checked
        return max(self.minimum_gain, CAREFUL_GAIN) if careful else self.minimum_gain, least * self.unit

    def counts(self, gain: float, guessed: bool) -> bool:
        """Whether the share that a statement saves is a reason. `guessed`: its calls may read far more than thought."""
        return self.by_budget or not guessed or gain >= CAREFUL_GAIN

    def possible(self, spec: IndexSpec) -> bool:
        """Whether it may be thought of at all: unasked, no index carries half a table along, or is half as large."""
        if self.by_budget:
            return True
        if len(spec.columns) + len(spec.include) > SHORT and self._as_large(spec):
            return False
        if not spec.include:
            return True
        view = self.tables.view(spec.schema, spec.table)
        width = sum(view.width(name) for name in spec.include) if view is not None else 0
        return len(spec.include) <= COVERING_COLUMNS and width <= COVERING_WIDTH

    def copies(self, plan: Plan, used: Iterable[IndexSpec]) -> set[IndexSpec]:
        """New indexes a plan used that are but their table in another order: read whole, and not much smaller.

        Unasked, nobody is told to keep a second copy of a table so that a report need not sort it.
        """
        if self.by_budget:
            return set()
        whole: set[Relation] = set()
        in_part: set[Relation] = set()
        for scan in weigh(plan):
            node = scan.node if scan.node.table is not None else scan.parent  # a bitmap's parent says its table
            if scan.node.index is None or node is None:
                continue
            view = self.tables.views.get((node.schema or "", node.table or ""))
            if view is not None and all(index.name != scan.node.index for index in view.indexes):
                searched = "Index Cond" in scan.node.conditions or scan.read < COPY_SIZE
                (in_part if searched else whole).add(self.tables.home(node.schema or "", node.table or ""))
        return {
            spec
            for spec in used
            if (home := (spec.schema, spec.table)) in whole and home not in in_part and self._as_large(spec)
        }

    def _as_large(self, spec: IndexSpec) -> bool:
        view = self.tables.view(spec.schema, spec.table)
        return view is not None and view.index_bytes(spec) > COPY_SIZE * view.pages * view.block_size

    def _widens(self, spec: IndexSpec) -> bool:
        """Whether an index with the same first column is there already."""
        view = self.tables.view(spec.schema, spec.table)
        return any(
            index.valid and index.predicate is None and index.keys and index.keys[0].column == spec.columns[0].name
            for index in (view.indexes if view is not None else ())
        )


def worth(tables: Tables, settings: AdviceSettings, costs: CostModel, by_budget: bool) -> Worth:
    """The measure for a workload on a server with these planner costs."""
    return Worth(
        tables,
        _some_work(costs) / _some_work(CostModel()),
        settings.minimum_gain,
        by_budget,
        share=0.001 if by_budget else 0.01,
        expected_upkeep=EXPECTED_UPKEEP if by_budget else 3 * EXPECTED_UPKEEP,
        most=60 if by_budget else MOST_INDEXES,
    )


def _some_work(costs: CostModel) -> float:
    """What makes prices of two servers comparable: a page of a hundred rows read in order, and one row looked up.

    One server prices pages and the other rows, so neither alone would do.
    """
    in_order = costs.sequential_page + 100 * (costs.row + costs.operator)
    looked_up = costs.random_page + costs.index_entry + costs.row + costs.operator
    return math.sqrt(in_order * looked_up)
