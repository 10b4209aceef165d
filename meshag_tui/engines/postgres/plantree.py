"""PostgreSQL's EXPLAIN (FORMAT JSON) document as a `plan.Plan`.

In: the document as the server sent it, without or with ANALYZE. Out: the tree of `plan.PlanNode`, and a hash of its
shape that stays the same while only figures change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.engines.base import ServerFault
from meshag_tui.plan import Plan, PlanMode, PlanNode, shape_hash

CONDITIONS = (
    "Index Cond",
    "Recheck Cond",
    "Hash Cond",
    "Merge Cond",
    "TID Cond",
    "Order By",
    "Run Condition",
    "Join Filter",
    "Filter",
    "One-Time Filter",
    "Conflict Filter",
)
_OWN_FIELDS = frozenset(
    (
        *("Node Type", "Startup Cost", "Total Cost", "Plan Rows", "Plan Width", "Plans", "Schema", "Relation Name"),
        *("Alias", "Index Name", "Join Type", "Sort Key", "Group Key", "Output"),
        *CONDITIONS,
    )
)


def read_plan(document: Any, mode: PlanMode, statement: str, parameters: tuple[str, ...] = ()) -> Plan:
    """The plan of an EXPLAIN document; of several (a rule rewrote the statement) the first.

    Raises:
        ServerFault: there is no plan in it, as of a statement that a rule rewrites to nothing.
    """
    entries = document if isinstance(document, list) else [document]
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("Plan"), dict):
            root = _node(entry["Plan"], "0")
            return Plan(root, mode, shape_hash(root), document, statement, parameters)
    raise ServerFault("The server has no plan for this statement: a rule turns it into nothing")


def _node(entry: Mapping[str, Any], path: str) -> PlanNode:
    return PlanNode(
        path=path,
        kind=str(entry.get("Node Type", "?")),
        startup_cost=float(entry.get("Startup Cost", 0)),
        total_cost=float(entry.get("Total Cost", 0)),
        rows=float(entry.get("Plan Rows", 0)),
        width=int(entry.get("Plan Width", 0)),
        children=tuple(_node(child, f"{path}.{at}") for at, child in enumerate(entry.get("Plans", ()))),
        schema=entry.get("Schema"),
        table=entry.get("Relation Name"),
        alias=entry.get("Alias"),
        index=entry.get("Index Name"),
        join_type=entry.get("Join Type"),
        sort_keys=tuple(entry.get("Sort Key", ())),
        group_keys=tuple(entry.get("Group Key", ())),
        conditions={name: entry[name] for name in CONDITIONS if isinstance(entry.get(name), str)},
        output=tuple(entry.get("Output", ())),
        actual={
            name: float(value)
            for name, value in entry.items()
            if name.startswith("Actual ") and isinstance(value, (int, float))
        },
        extra={
            name: value
            for name, value in entry.items()
            if name not in _OWN_FIELDS and not name.startswith("Actual ") and not isinstance(value, dict)
        },
    )
