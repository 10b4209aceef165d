"""What a plan costs with indexes of the size they will have, and which scan the server takes then.

HypoPG reckons every further column of an index 12 bytes too wide (the head of an entry once a column), 30 % of free
space, and shares no repeated keys: an index of five columns is 2.4 times as large there as when it is made. The planner
pays for its pages. What reads many of them then seems dearer than it will be, so that an index which the answer leaves
aside is read after all once it is there, and nobody has asked whether that is faster.

In: a plan with indexes that are not there, what each stands for and how large it was taken for. Out: planner units it
costs less; and the plan with the scans that will take the place of reading a table whole, where an index has all the
columns and, by its real size, costs the planner less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from meshag_tui.advisor.corrections import pages_of, table_of
from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.in_memory import entries_found
from meshag_tui.advisor.statistics import Tables
from meshag_tui.advisor.wanted import needed
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.snapshot import CostModel
from meshag_tui.types import IndexSpec

_TO_ITS_END = 0.9
"""Share of a scan's rows from which all are asked for: of a LIMIT above a sort the planner makes a little less."""


class Sized(NamedTuple):
    """An index in a plan that is not there: what it is, and the bytes the planner took it for.

    `part`: of its rows, those in the index that it stands for.
    """

    spec: IndexSpec
    bytes: int
    part: float = 1.0


def too_large(plan: Plan, tables: Tables, costs: CostModel, there: Mapping[str, Sized]) -> float:
    """Planner units that the plan costs less: for pages of its indexes that will not be.

    Args:
        there: indexes that are not there, by their name in the plan.
    """
    scans = [(one, there.get(one.node.index or "")) for one in weigh(plan)]
    return sum((_of_scan(one, tables, costs, index) for one, index in scans if index is not None), start=0.0)


def _of_scan(scan: Weighed, tables: Tables, costs: CostModel, index: Sized) -> float:
    view, loops = table_of(scan, tables), scan.loops * scan.read
    if view is None:
        return 0.0
    share = min(1.0, entries_found(scan, view, costs) / view.rows)
    taken, real = index.bytes / view.block_size, view.index_bytes(index.spec) / view.block_size
    fewer = _read(taken, share, loops) - _read(real, share, loops)
    # A scan cannot cost less than nothing; what it is there for, its rows, stays.
    return min(max(0.0, fewer * costs.random_page), scan.cost / 2) * index.part


def _read(pages: float, share: float, loops: float) -> float:
    """Pages of an index that are read in all passes, as the planner reckons."""
    each = math.ceil(max(1.0, pages) * share)
    return each * loops if loops <= 1 else _fetched(max(1.0, pages), each * loops)


def _fetched(pages: float, times: float) -> float:
    return min(pages, 2 * pages * times / (2 * pages + times))


def as_read(
    plan: Plan, tables: Tables, costs: CostModel, specs: Collection[IndexSpec]
) -> tuple[Plan, dict[str, IndexSpec]]:
    """The plan with scans of an index alone where the server will take them instead of reading a table whole.

    Returns it with the indexes that are new in it, by the name they have there; the plan itself where none is.
    """
    taken: dict[str, IndexSpec] = {}
    once = {one.node.path for one in weigh(plan) if one.loops == 1.0 and one.read > _TO_ITS_END}

    def scan(node: PlanNode) -> PlanNode:
        found = _instead(plan, node, tables, costs, specs) if node.path in once else None
        if found is None:
            return node
        spec, less = found
        name = f"new index {len(taken) + 1}"
        taken[name] = spec
        return replace(node, kind="Index Only Scan", index=name, total_cost=node.total_cost - less)

    root = _rebuilt(plan.root, scan)
    return (replace(plan, root=root), taken) if taken else (plan, taken)


def _rebuilt(node: PlanNode, scan: Callable[[PlanNode], PlanNode]) -> PlanNode:
    """The tree with some scans that are run once replaced: what is above costs less by as much as they do."""
    if node.kind == "Seq Scan":
        return scan(node)
    children = tuple(_rebuilt(child, scan) for child in node.children)
    less = sum(old.total_cost - new.total_cost for old, new in zip(node.children, children, strict=True))
    return replace(node, children=children, total_cost=node.total_cost - less) if less else node


def _instead(
    plan: Plan, node: PlanNode, tables: Tables, costs: CostModel, specs: Collection[IndexSpec]
) -> tuple[IndexSpec, float] | None:
    """An index that is read whole for less than the table, and how much less that is."""
    view = tables.views.get((node.schema or "", node.table or ""))
    if view is None or view.small:
        return None
    home = tables.home(node.schema or "", node.table or "")
    mine = [
        spec for spec in specs if (spec.schema, spec.table) == home and spec.method == "btree" and spec.where is None
    ]
    columns = needed(plan, node.alias or "") if mine else frozenset()
    held = [spec for spec in mine if columns and columns <= {key.name for key in spec.columns} | set(spec.include)]
    if not held:
        return None
    spec = min(held, key=view.index_bytes)
    unseen = 1.0 - min(1.0, (view.stats.all_visible_pages or 0) / view.pages)
    index = view.index_bytes(spec) / view.block_size * costs.random_page + view.rows * costs.index_entry
    visits = pages_of(view, view.rows) * unseen * costs.random_page
    less = view.pages * costs.sequential_page - index - visits
    return (spec, less) if less > 0 else None
