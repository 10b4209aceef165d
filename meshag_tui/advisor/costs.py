"""Where a plan's cost really is: the planner's figures with loops, limits and shares worked out.

A node's own figures mislead twice. The inner side of a nested loop is priced for one pass and run for each outer row;
below a LIMIT a node is priced to its end and read only in part. `weigh` puts both right, so that the shares of all
nodes add up to the plan's cost. Of a plan that was run they are shares of its time instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from meshag_tui.plan import Plan, PlanNode

_KEEPS_ROWS = frozenset({"Materialize", "Memoize"})
_GATHERS = frozenset({"Gather", "Gather Merge"})
_UNITS = {"b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3, "tb": 1024**4}


@dataclass(frozen=True, slots=True)
class Weighed:
    """A node in its plan. `cost` is exclusive, of all loops; `share` is its part of the plan's cost, 0..1.

    Of a plan that was run (ANALYZE) `share` is the node's own part of the time instead, and `loops` are counted ones.
    """

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
    whole = _elapsed(plan.root, 1.0)
    if whole is None or whole <= 0:
        return tuple(found)
    times = dict(_own_times(plan.root, 1.0))
    return tuple(
        replace(one, share=min(1.0, times[one.node.path] / whole), loops=one.node.actual.get("Actual Loops", one.loops))
        for one in found
    )


def _own_times(node: PlanNode, workers: float) -> Iterator[tuple[str, float]]:
    """Path and own time of each node, ms by the clock; below a Gather times are sums of all processes."""
    inside = workers * (1.0 + float(node.extra.get("Workers Launched") or 0)) if node.kind in _GATHERS else workers
    below = sum(_elapsed(child, inside) or 0.0 for child in node.children)
    yield node.path, max(0.0, (_elapsed(node, workers) or 0.0) - below)
    for child in node.children:
        yield from _own_times(child, inside)


def _elapsed(node: PlanNode, workers: float) -> float | None:
    time = node.actual.get("Actual Total Time")
    return None if time is None else time * node.actual.get("Actual Loops", 1.0) / workers


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


def enough(needed: float) -> str:
    """The memory setting that holds so many bytes, as one writes it: "64MB", the next power of two, at least 4 MB."""
    return f"{max(4, 2 ** math.ceil(math.log2(max(needed, 1.0) / 1024**2)))}MB" if needed > 1024**2 else "4MB"


def number_setting(settings: Mapping[str, str], name: str, default: float) -> float:
    """A numeric server setting such as random_page_cost."""
    try:
        return float(settings.get(name, default))
    except ValueError:
        return default
