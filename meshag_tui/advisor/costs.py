"""Where a plan's cost really is: the planner's figures with loops, limits and shares worked out.

A node's own figures mislead twice. The inner side of a nested loop is priced for one pass and run for each outer row;
below a LIMIT a node is priced to its end and read only in part. `weigh` puts both right, so that the shares of all
nodes add up to the plan's cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshag_tui.plan import Plan, PlanNode

_KEEPS_ROWS = frozenset({"Materialize", "Memoize"})
_UNITS = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}


@dataclass(frozen=True, slots=True)
class Weighed:
    """A node in its plan. `cost` is exclusive, of all loops; `share` is its part of the plan's cost, 0..1."""

    node: PlanNode
    parent: PlanNode | None
    loops: float
    read: float  # part of the node's rows that is ever asked for, 0..1
    cost: float
    share: float

    @property
    def rows_out(self) -> float:
        """Rows it hands up in the whole plan."""
        return self.node.rows * self.loops * self.read


def weigh(plan: Plan) -> tuple[Weighed, ...]:
    """Every node of the plan in tree order, with its exclusive cost and share."""
    found: list[Weighed] = []
    _weigh(plan.root, None, 1.0, 1.0, max(plan.cost, 1e-9), found)
    return tuple(found)


def _weigh(
    node: PlanNode, parent: PlanNode | None, loops: float, read: float, whole: float, found: list[Weighed]
) -> None:
    runs = _runs(node)
    below = sum(child.total_cost * times for child, times in zip(node.children, runs, strict=True))
    part = min(1.0, node.total_cost / below) if below > 0 else 1.0
    cost = max(0.0, node.total_cost - below) * loops * read
    found.append(Weighed(node, parent, loops, read, cost, min(1.0, cost / whole)))
    for child, times in zip(node.children, runs, strict=True):
        _weigh(child, node, loops * times, read * part, whole, found)


def _runs(node: PlanNode) -> list[float]:
    """How often each child is run for one run of this node."""
    if node.kind != "Nested Loop" or len(node.children) < 2:
        return [1.0] * len(node.children)
    outer, inner = node.children[0], node.children[1]
    again = max(1.0, outer.rows)
    if inner.kind in _KEEPS_ROWS:  # a second pass reads memory, and Memoize skips most of them
        again = max(1.0, min(again, (node.total_cost - outer.total_cost) / max(inner.total_cost, 1e-9)))
    return [1.0, again, *[1.0] * (len(node.children) - 2)]


def memory_setting(settings: Mapping[str, str], name: str) -> int | None:
    """A server memory setting such as work_mem in bytes, as which a bare number stands. None when unknown."""
    text = settings.get(name, "").strip().lower().replace(" ", "")
    digits = text.rstrip("kmgtb")
    try:
        return int(float(digits) * _UNITS[text[len(digits) :] or "b"])
    except (ValueError, KeyError):
        return None


def number_setting(settings: Mapping[str, str], name: str, default: float) -> float:
    """A numeric server setting such as random_page_cost."""
    try:
        return float(settings.get(name, default))
    except ValueError:
        return default
