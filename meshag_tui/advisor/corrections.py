"""What a planner's price of a plan leaves out.

A hypothetical index has no height, so that going down to a leaf costs nothing: a nested loop with thousands of look-ups
then seems cheaper than it is with the real index. This is put back before plans are compared.

The look-ups of a nested loop share the pages that they find in memory. The planner shares them out among as many
look-ups as the table whose values are looked up has rows, also where other joins leave few of these, or have them come
in another order: each look-up then seems cheaper than it is, with a real index too. The planner chooses its plans by
such prices all the same; what they are worth is another matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.statistics import Tables, TableView
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.snapshot import CostModel

_LEVEL = 50  # comparisons that the planner reckons for each level of a B-tree
_FANOUT = 256
_AS_IT_LIES = ("Seq Scan", "Bitmap Heap Scan")
_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_COLUMN = re.compile(rf"({_NAME})\.({_NAME})")
_LOOKED_UP = re.compile(rf"({_NAME})\.({_NAME})(?:\)?::[\w ]+)? = ")


def left_out(plan: Plan, tables: Tables, costs: CostModel) -> float:
    """Planner units to be added to the plan's cost: for each look-up in an index that is not there."""
    return sum(_of_height(one, tables, costs) for one in weigh(plan) if one.node.index is not None)


def unshared(plan: Plan, tables: Tables, costs: CostModel) -> float:
    """Planner units that the plan takes more: for pages that fewer look-ups share than the planner thinks."""
    weighed = weigh(plan)
    outer = {bare(one.node.alias): one for one in weighed if one.node.alias}
    return sum(_of_sharing(one, outer, tables, costs) for one in weighed if one.node.index is not None)


def _of_height(scan: Weighed, tables: Tables, costs: CostModel) -> float:
    view = table_of(scan, tables)
    if view is None or any(index.name == scan.node.index for index in (*view.indexes, *view.hidden)):
        return 0.0
    height = max(0, math.ceil(math.log(max(2.0, view.rows), _FANOUT)) - 1)
    return scan.loops * scan.read * (height + 1) * _LEVEL * costs.operator


def _of_sharing(scan: Weighed, outer: Mapping[str, Weighed], tables: Tables, costs: CostModel) -> float:
    view, condition = table_of(scan, tables), scan.node.conditions.get("Index Cond", "")
    if view is None or scan.node.kind == "Index Only Scan" or not condition:
        return 0.0
    alias = bare(_visit(scan).alias or "")
    others = {bare(name) for name, _ in _COLUMN.findall(condition)} - {alias}
    known = [(rows, name) for name in others if name in outer and (rows := _rows(outer[name], tables)) is not None]
    shared, by = min(known, default=(0.0, ""))
    loops = scan.loops * scan.read
    if loops >= shared:
        return 0.0
    keys = {bare(column) for name, column in _LOOKED_UP.findall(condition) if bare(name) == alias}
    each = max(view.rows * math.prod((view.equal_share(key) for key in keys), start=1.0), scan.node.rows, 1.0)
    side_by_side = max((view.correlation(key) ** 2 for key in keys), default=1.0)
    # A table that is read as it lies, and this one too, have look-ups find the page of the one before.
    together = 0 if outer[by].node.kind in _AS_IT_LIES else math.ceil(each / view.rows * view.pages)

    def missed(found: float) -> float:
        return max(0.0, pages_of(view, found * loops) - pages_of(view, found * shared) * loops / shared)

    return costs.random_page * (side_by_side * missed(together) + (1 - side_by_side) * missed(each))


def _rows(scan: Weighed, tables: Tables) -> float | None:
    """Rows of a table that meet its own conditions, whatever it is joined by; None where the plan does not say it."""
    node, alias = scan.node, bare(scan.node.alias or "")
    searched = [*node.conditions.values(), *(each for child in node.children for each in child.conditions.values())]
    if all(bare(name) == alias for text in searched for name, _ in _COLUMN.findall(text)):
        return node.rows
    view = table_of(scan, tables)
    return view.rows if view is not None and "Filter" not in node.conditions else None


def pages_of(view: TableView, rows: float) -> float:
    """Different pages on which so many rows anywhere in the table are, as the planner reckons (Mackert and Lohman)."""
    return min(view.pages, 2 * view.pages * rows / (2 * view.pages + rows))


def _visit(scan: Weighed) -> PlanNode:
    """The node that says its table: of a bitmap it is the one above."""
    return scan.parent if scan.node.table is None and scan.parent is not None else scan.node


def table_of(scan: Weighed, tables: Tables) -> TableView | None:
    node = _visit(scan)
    return tables.views.get((node.schema or "", node.table or ""))


def bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
