"""What a planner's price of a plan with hypothetical indexes leaves out, put back before plans are compared.

A hypothetical index has no height, so that going down to a leaf costs nothing: a nested loop with thousands of look-ups
then seems cheaper than it is with the real index.
"""

from __future__ import annotations

import math

from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.statistics import Tables
from meshag_tui.plan import Plan
from meshag_tui.snapshot import CostModel

_LEVEL = 50  # comparisons that the planner reckons for each level of a B-tree
_FANOUT = 256


def left_out(plan: Plan, tables: Tables, costs: CostModel) -> float:
    """Planner units to be added to the plan's cost: for each look-up in an index that is not there."""
    return sum(_of_scan(one, tables, costs) for one in weigh(plan) if one.node.index is not None)


def _of_scan(scan: Weighed, tables: Tables, costs: CostModel) -> float:
    node = scan.node
    if node.table is None and scan.parent is not None:
        node = scan.parent  # of a bitmap scan, which says its table
    view = tables.views.get((node.schema or "", node.table or ""))
    if view is None or any(index.name == scan.node.index for index in (*view.indexes, *view.hidden)):
        return 0.0
    height = max(0, math.ceil(math.log(max(2.0, view.rows), _FANOUT)) - 1)
    return scan.loops * scan.read * (height + 1) * _LEVEL * costs.operator
