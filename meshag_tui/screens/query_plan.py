"""A stored plan as a tree to look at: shares of the cost, what the findings say of each node, and its conditions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.in_words import in_words
from meshag_tui.figures import ago, count, number_of, percent
from meshag_tui.glyphs import glyphs
from meshag_tui.plan import Bottleneck, Plan, PlanNode
from meshag_tui.store import history
from meshag_tui.store.history import StoredPlan
from meshag_tui.text import one_line
from meshag_tui.types import MeshagError
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.plan import TreeNode

_MODES = {
    "generic": "generic: planned for any parameter values",
    "custom": "custom: planned with sample values",
    "literal": "literal: planned with the values in its text",
}
_LOOKS = {"high": "critical", "medium": "warning", "low": ""}
_RELATED = (
    *("Subplan Name", "Strategy", "Parent Relationship", "CTE Name", "Function Name"),
    *("Cost", "Server Cost", "Rows", "Server Words", "Join Buffer", "Planned"),  # MySQL's and MariaDB's
)


def troubles(connection_id: str, kept: Sequence[StoredPlan]) -> tuple[tuple[Bottleneck, ...], ...]:
    """What is wrong in each of these plans of a connection, in the store's thread."""
    from meshag_tui.advisor.bottlenecks import bottlenecks

    if not kept:
        return ()
    names = {node.table for stored in kept for node in stored.plan.root.walk() if node.table}
    known = None
    with suppress(MeshagError):  # never synced whole: rules that need sizes stay silent
        known = history.plan_facts(connection_id, names)
    return tuple(bottlenecks(stored.plan, known) for stored in kept)


def tree(plan: Plan, found: Sequence[Bottleneck]) -> TreeNode:
    """The plan as a tree of costs, of all passes over a node; each node carries the findings about it."""
    by_path: dict[str, list[Bottleneck]] = {}
    for bottleneck in found:
        by_path.setdefault(bottleneck.node_path, []).append(bottleneck)
    shares = {one.node.path: one.share for one in weigh(plan)}
    made: dict[str, TreeNode] = {}
    for node in reversed(list(plan.root.walk())):  # children before parents
        made[node.path] = TreeNode(
            path=node.path,
            label=label(node),
            share=shares[node.path],
            rows=node.rows,
            warnings=tuple(each.rule.replace("-", " ") for each in by_path.get(node.path, ())),
            children=tuple(made[child.path] for child in node.children),
        )
    return made[plan.root.path]


def label(node: PlanNode) -> str:
    """ "Index Scan using orders_pkey on public.orders o"."""
    words = node.kind
    if node.join_type and node.join_type != "Inner":
        words += f" {node.join_type}"
    if node.index:
        words += f" using {node.index}"
    if node.table:
        words += f" on {node.table}" if node.schema in (None, "public") else f" on {node.schema}.{node.table}"
        if node.alias and node.alias != node.table:
            words += f" {node.alias}"
    return words


def title(stored: StoredPlan, number: int, of: int, now_ms: float) -> str:
    """The line above a plan: its mode as a badge, its cost, when it was the plan, and how many there are."""
    plan = stored.plan
    said = [f"[{_MODES.get(plan.mode, plan.mode)}]", f"cost {count(plan.cost)}"]
    since = ago(stored.taken_at, now_ms)
    said.append(f"since {since}" if stored.last_seen_at != stored.taken_at else f"seen {since}")
    if of > 1:
        said.append(f"{number + 1} of {of} plans, o the older")
    return glyphs().separator.join(said)


def worst(found: Sequence[Bottleneck]) -> str:
    """The finding with the largest share, in a few words."""
    first = found[0]
    return f"{_symbol(first)} {first.rule.replace('-', ' ')} {percent(first.share)}"


def node_pieces(plan: Plan, path: str | None, found: Sequence[Bottleneck]) -> list[Piece]:
    """What is said below the tree: the findings, those of the node under the cursor first, then its conditions."""
    said: list[Piece] = []
    mine = [each for each in found if each.node_path == path]
    for bottleneck in [*mine, *(each for each in found if each.node_path != path)]:
        look = _LOOKS[bottleneck.severity]
        said += [(look, f"{_symbol(bottleneck)} {bottleneck.severity}  "), ("", f"{bottleneck.text}\n")]
    weighed = next((one for one in weigh(plan) if one.node.path == path), None)
    if weighed is not None:
        said += _about(weighed, plan)
    if plan.parameters:
        said += [("dim", "sample values: "), ("", ", ".join(one_line(each, 60) for each in plan.parameters) + "\n")]
    return said


def _symbol(bottleneck: Bottleneck) -> str:
    drawn = glyphs()
    return {"high": drawn.critical, "medium": drawn.warning}.get(bottleneck.severity, drawn.gap)


def _about(weighed: Weighed, plan: Plan) -> list[Piece]:
    node = weighed.node
    said: list[Piece] = [
        ("bold", f"{label(node)}\n"),
        ("", f"{one_line(in_words(plan)[node.path])}\n"),
        ("dim", f"{_priced(weighed)}, {number_of(node.rows, 'row')} of {count(node.width)} bytes\n"),
    ]
    for name, condition in node.conditions.items():
        said += [("dim", f"{name}: "), ("", f"{one_line(condition)}\n")]
    for name, keys in (("Sort Key", node.sort_keys), ("Group Key", node.group_keys)):
        if keys:
            said += [("dim", f"{name}: "), ("", ", ".join(map(one_line, keys)) + "\n")]
    for name in _RELATED:
        if name in node.extra:
            said += [("dim", f"{name}: "), ("", f"{one_line(node.extra[name])}\n")]
    if node.actual:
        said.append(("dim", ", ".join(f"{name} {count(value)}" for name, value in node.actual.items()) + "\n"))
    return said


def _priced(weighed: Weighed) -> str:
    """A node's cost with all below it, and its own in the whole plan: of all passes, and of what is read of it."""
    words = f"cost {count(weighed.node.total_cost)}"
    if weighed.loops >= 2:
        words += f" a pass, {count(weighed.loops)} passes"
    if weighed.read < 0.995:
        words += f", {percent(weighed.read)} of it read"
    return f"{words}, own {count(weighed.cost)} ({percent(weighed.share)})"
