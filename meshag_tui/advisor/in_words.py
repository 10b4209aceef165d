"""A plan in plain words, without any model: one sentence for each node, with the node's own figures and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.figures import count
from meshag_tui.plan import Plan, PlanNode

Say = Callable[[PlanNode], str]


def in_words(plan: Plan) -> Mapping[str, str]:
    """A sentence by the path of each node: what it does, how many rows come of it, how often it is run."""
    return {one.node.path: _sentence(one) for one in weigh(plan)}


def _sentence(one: Weighed) -> str:
    node = one.node
    say = _SAYS.get(node.kind)
    what = say(node) if say is not None else node.kind + (f" of {node.table}" if node.table else "")
    ran = "Actual Rows" in node.actual
    number = count(node.actual["Actual Rows"] if ran else node.rows)
    rows = f"{'' if ran else 'about '}{number} {'row' if number == '1' else 'rows'}"
    times = f", {count(one.loops)} times over" if one.loops >= 2 else ""
    return f"{what}: {rows}{times}."


def _where(node: PlanNode, *names: str) -> str:
    said = [node.conditions[name] for name in names if name in node.conditions]
    return f" where {' and '.join(said)}" if said else ""


def _keeping(node: PlanNode) -> str:
    return f", and keeps those where {node.conditions['Filter']}" if "Filter" in node.conditions else ""


def _by(keys: tuple[str, ...]) -> str:
    return f" by {', '.join(keys)}" if keys else ""


def _joined(node: PlanNode, how: str) -> str:
    kept = {"Left": ", keeping those of the first without a match", "Anti": ", keeping those without a match"}
    kept["Semi"] = ", keeping those with a match"
    where = _where(node, "Hash Cond", "Merge Cond", "Join Filter")
    return how + where + kept.get(node.join_type or "", "") + _keeping(node)


def _loop(node: PlanNode) -> str:
    outer = node.children[0] if node.children else None
    return _joined(
        node, f"For each of the {count(outer.rows)} rows of the first, asks the second" if outer else "Joins"
    )


def _grouping(node: PlanNode) -> str:
    return f"Groups{_by(node.group_keys)}" if node.group_keys else "Reckons one result"


_SAYS: Mapping[str, Say] = {
    "Seq Scan": lambda node: f"Reads all of {node.table}{_keeping(node)}",
    "Index Scan": lambda node: f"Finds {node.table} by {node.index}{_where(node, 'Index Cond')}{_keeping(node)}",
    "Index Only Scan": lambda node: f"Answers from {node.index} alone{_where(node, 'Index Cond')}{_keeping(node)}",
    "Bitmap Index Scan": lambda node: f"Asks {node.index} on which pages rows are{_where(node, 'Index Cond')}",
    "Bitmap Heap Scan": lambda node: f"Reads the named pages of {node.table} in their order{_keeping(node)}",
    "BitmapAnd": lambda node: "Keeps the pages that all of these named",
    "BitmapOr": lambda node: "Puts together the pages that any of these named",
    "Nested Loop": _loop,
    "Block Nested Loop": lambda node: _joined(node, "Compares rows of the first, in blocks, with all of the second"),
    "Hash Join": lambda node: _joined(node, "Looks each row of the first up in a hash of the second"),
    "Merge Join": lambda node: _joined(node, "Walks both inputs in the same order and pairs rows"),
    "Hash": lambda node: "Keeps its rows in a hash, in memory while they fit",
    "Sort": lambda node: f"Sorts{_by(node.sort_keys)}",
    "Incremental Sort": lambda node: f"Sorts the rest{_by(node.sort_keys)}, what comes in order already left as it is",
    "Aggregate": lambda node: f"{_grouping(node)}{_keeping(node)}",
    "Group": lambda node: f"Groups{_by(node.group_keys)}",
    "Unique": lambda node: "Leaves out what repeats",
    "WindowAgg": lambda node: "Reckons over the rows around each row",
    "Limit": lambda node: "Stops after the rows asked for",
    "Gather": lambda node: "Collects what workers found",
    "Gather Merge": lambda node: "Collects what workers found, in order",
    "Materialize": lambda node: "Keeps its rows to give them again",
    "Memoize": lambda node: "Remembers answers it has given",
    "Append": lambda node: "Takes one input after the other",
    "Merge Append": lambda node: "Takes from its inputs in order",
    "CTE Scan": lambda node: f"Reads what WITH kept{_keeping(node)}",
    "Subquery Scan": lambda node: f"Takes the rows of a sub-query{_keeping(node)}",
    "Result": lambda node: f"Gives a computed row{_where(node, 'One-Time Filter')}",
    "ModifyTable": lambda node: f"{node.extra.get('Operation', 'Writes')}s rows of {node.table}",
    "LockRows": lambda node: "Locks each row",
}  # fmt: skip
