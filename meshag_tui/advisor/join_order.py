"""Joins in a wrong order: rows put together early, that a later join throws away and could have kept from coming.

A planner joins what leaves few rows first. It does not where it was mistaken about them, which a plan that was run
shows, or where it is not free: more relations than join_collapse_limit are joined as they are written, and so are all
under STRAIGHT_JOIN. Each trouble cites the early join.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from meshag_tui.advisor.costs import Weighed, number_setting
from meshag_tui.figures import count, percent
from meshag_tui.plan import Bottleneck, Plan, PlanNode

MANY_ROWS = 10_000.0
"""Rows put together below which no other order is worth a thought."""
KEPT = 0.1
"""Most of them that the later join keeps."""
WRONG_BY = 10.0
NOTABLE_SHARE = 0.10
_JOINS = frozenset({"Nested Loop", "Hash Join", "Merge Join", "Block Nested Loop"})
_HANDS_ON = frozenset({"Hash", "Sort", "Incremental Sort", "Materialize", "Memoize", "Gather", "Gather Merge"})
_FREE = (None, "Inner", "Semi")
"""Joins that may change places."""
_NAMED = re.compile(r"""'(?:[^']|'')*'|("(?:[^"]|"")+"|`(?:[^`]|``)+`|[^\W\d]\w*)\.""")
_AS_WRITTEN = re.compile(r"\bSTRAIGHT_JOIN\b", re.IGNORECASE)


def wrong_order(plan: Plan, nodes: tuple[Weighed, ...], settings: Mapping[str, str]) -> Iterator[Bottleneck]:
    """Early joins whose rows a later one throws away though it asks for one side of them only.

    Args:
        nodes: of `costs.weigh`.
        settings: of the server, as `ServerFacts` has them.
    """
    ran, bound = "Actual Rows" in plan.root.actual, _bound(plan, settings)
    if not ran and bound is None:
        return  # by its own numbers this order is the best
    by_path = {one.node.path: one for one in nodes}
    for early in nodes:
        later = _later(early, by_path)
        if later is None:
            continue
        brought, kept = _rows(early, ran), _rows(later, ran)
        if brought < MANY_ROWS or kept > KEPT * brought:
            continue
        why = bound or _mistaken(early.node, later.node)
        side, other = _side(early.node, later.node)
        share = min(1.0, early.share + sum(one.share for one in nodes if _within(one.node, early.node.children[1])))
        if why is None or side is None or share < NOTABLE_SHARE:
            continue
        yield Bottleneck(
            "join-order",
            early.node.path,
            "high" if share >= 0.5 else "medium",
            share,
            f"{early.node.kind} puts {count(brought)} rows together, and {later.node.kind} at node {later.node.path} "
            f"keeps {count(kept)} of them: {percent(share)} of the {'time' if ran else 'cost'}. What it joins "
            f"({', '.join(sorted(_aliases(other)))}) is asked for by {', '.join(side)} alone, so it could come first "
            f"and leave few rows to put together. {why}",
        )


def _bound(plan: Plan, settings: Mapping[str, str]) -> str | None:
    """Why the planner is not free to choose an order; None where it is."""
    if _AS_WRITTEN.search(plan.statement):
        return "STRAIGHT_JOIN keeps the order in which they are written: leave it out, or write the few rows first"
    relations = len({node.alias or node.path for node in plan.root.walk() if node.table and node.kind != "ModifyTable"})
    limit = number_setting(settings, "join_collapse_limit", float("inf"))
    if relations <= limit:
        return None
    return (
        f"{relations} relations are more than join_collapse_limit ({count(limit)}), so they are joined in the order in "
        f"which they are written: write that join first, or SET join_collapse_limit = {relations} for this statement"
    )


def _later(early: Weighed, nodes: Mapping[str, Weighed]) -> Weighed | None:
    """The join that takes the rows of this one, where both are of a kind that may change places."""
    node = early.node
    if node.kind not in _JOINS or len(node.children) < 2 or node.join_type not in _FREE:
        return None
    parent = early.parent
    while parent is not None and parent.kind in _HANDS_ON:
        parent = nodes[parent.path].parent
    if parent is None or parent.kind not in _JOINS or len(parent.children) < 2 or parent.join_type not in _FREE:
        return None
    return nodes[parent.path]


def _rows(one: Weighed, ran: bool) -> float:
    if not ran:
        return one.rows_out
    return one.node.actual.get("Actual Rows", 0.0) * one.node.actual.get("Actual Loops", 1.0)


def _mistaken(early: PlanNode, later: PlanNode) -> str | None:
    """What the planner took the rows for, where it was far off."""
    for node in (early, later):
        got = max(node.actual.get("Actual Rows", 0.0), 1.0)
        if max(got, node.rows) >= WRONG_BY * max(1.0, min(got, node.rows)):
            return (
                f"It was chosen because {node.kind} at node {node.path} was expected to give {count(node.rows)} rows, "
                f"and it gave {count(got)}"
            )
    return None


def _side(early: PlanNode, later: PlanNode) -> tuple[list[str] | None, PlanNode]:
    """The aliases by which the later join asks, where all are of one side of the early one; and its other input."""
    other = next(child for child in later.children if not _within(early, child))
    texts = [*later.conditions.values(), *(text for node in other.walk() for text in node.conditions.values())]
    named = {_bare(name) for text in texts for name in _NAMED.findall(text) if name}
    sides = [sorted(named & _aliases(child)) for child in early.children[:2]]
    asked = [side for side in sides if side]
    return (asked[0] if len(asked) == 1 else None), other


def _aliases(node: PlanNode) -> set[str]:
    return {_bare(one.alias or one.table or "") for one in node.walk() if one.alias or one.table}


def _bare(name: str) -> str:
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote in ('"', "`") else name


def _within(node: PlanNode, top: PlanNode) -> bool:
    return node.path == top.path or node.path.startswith(top.path + ".")
