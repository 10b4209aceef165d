"""What an index on some rows would cost where no hypothetical one can be planned with: by one on all rows in its place.

It has the same keys, and the columns of the condition beside them, so that a scan of it finds and visits the same rows,
and those that do not meet the condition as well: their part of the scan's cost is what the index on some rows spares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from meshag_tui.advisor import rows_alike
from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.statistics import Tables
from meshag_tui.plan import Plan
from meshag_tui.types import IndexSpec


def stand_in(spec: IndexSpec) -> IndexSpec | None:
    """The index on all rows; None where the condition is of another kind than columns compared with each other."""
    compared = {name for one, _, other in rows_alike.conditions(spec.where) for name in (one, other)}
    if not compared or spec.method != "btree" or any(key.is_expression for key in spec.columns):
        return None
    more = compared - {key.name for key in spec.columns}
    return replace(spec, include=tuple(sorted({*spec.include, *more})), where=None)


def spared(plan: Plan, names: Mapping[str, IndexSpec], tables: Tables) -> float | None:
    """Planner units that the plan would cost less; None where it reads an index for rows that would not be in it.

    Args:
        names: of indexes in the plan, which each one stands for.
    """
    found, weighed = 0.0, weigh(plan)
    for scan in weighed:
        spec = names.get(scan.node.index or "")
        view = tables.view(spec.schema, spec.table) if spec is not None else None
        if spec is None or view is None:
            continue
        visit = scan if scan.node.table is not None else _above(scan, weighed)
        asked = " ".join(visit.node.conditions.values())
        alias = visit.node.alias or ""
        if any(rows_alike.without(asked, alias, one) == asked for one in rows_alike.each(spec.where)):
            return None
        cost = scan.cost if visit is scan else scan.cost + visit.cost
        found += cost * (1 - view.where_share(spec.where))
    return found


def _above(scan: Weighed, weighed: tuple[Weighed, ...]) -> Weighed:
    """The bitmap scan that visits the rows which this one finds."""
    while scan.node.table is None and scan.parent is not None:
        parent = scan.parent
        scan = next(one for one in weighed if one.node is parent)
    return scan
