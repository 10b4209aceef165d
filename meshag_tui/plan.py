"""Plan trees as values: what an engine's EXPLAIN says, in one shape for every engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PlanMode = Literal["generic", "custom", "literal"]
"""generic: parameters unknown; custom: typed sample values stand for them; literal: the text had its own values."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """One condition on one relation, names resolved by the planner.

    `kind`: eq (=, IN, IS NULL), range (<, >, BETWEEN), like-prefix, like, contains (@>, &&, ?, @@), join (= a column of
    another relation), row (columns of one row with each other), other. `operator` and `expression` are as the server
    prints them (of a row as an index predicate has them), `column` is None for an expression. `alternatives` numbers
    the OR arm a condition belongs to (0: not under an OR).
    """

    schema: str
    table: str
    alias: str
    column: str | None
    expression: str
    kind: Literal["eq", "range", "like-prefix", "like", "contains", "join", "row", "other"]
    operator: str
    alternatives: int = 0
    value: str | None = None  # the constant it is compared with, as printed; None: a parameter, another column, none
    joined: tuple[str, str] | None = None  # of a join: alias and bare column that it is compared with


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node. Costs are the planner's units including children; `rows` are estimated output rows per loop."""

    path: str  # "0", "0.1", …: position in the tree, cited by bottlenecks
    kind: str  # the server's node type, "Seq Scan"
    startup_cost: float
    total_cost: float
    rows: float
    width: int
    children: tuple[PlanNode, ...] = ()
    schema: str | None = None
    table: str | None = None
    alias: str | None = None
    index: str | None = None
    join_type: str | None = None
    sort_keys: tuple[str, ...] = ()
    group_keys: tuple[str, ...] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)  # "Filter" -> text, "Index Cond" -> text, …
    output: tuple[str, ...] = ()
    actual: Mapping[str, float] = field(default_factory=dict)  # only from ANALYZE: rows, loops, time_ms, …
    extra: Mapping[str, Any] = field(default_factory=dict)

    def walk(self) -> Iterator[PlanNode]:
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan; `hash` is of its shape (node kinds, relations, indexes), not of its figures."""

    root: PlanNode
    mode: PlanMode
    hash: str
    document: Any  # the server's own EXPLAIN JSON
    statement: str  # the text that was explained
    parameters: tuple[str, ...] = ()  # sample values used in custom mode
    seen_patterns: tuple[str, ...] = ()  # of these, patterns that begin as those of running statements do
    variants: tuple[Plan, ...] = ()  # in custom mode: with other sample values, this one among them, cheapest first
    others: tuple[Plan, ...] = ()  # and with values that fit less well what was measured

    @property
    def cost(self) -> float:
        return self.root.total_cost


def steps(plan: Plan) -> list[str]:
    """Its nodes in words, from the top down: "Index Scan by orders_by_customer of orders"."""
    return [
        " ".join(filter(None, (node.kind, node.index and f"by {node.index}", node.table and f"of {node.table}")))
        for node in plan.root.walk()
    ]


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A named trouble in a plan, citing its node and figures."""

    rule: str
    node_path: str
    severity: Literal["high", "medium", "low"]
    share: float  # of the plan's cost, 0..1, exclusive
    text: str


_SHAPE_FIELDS = ("Strategy", "Partial Mode", "Operation", "Scan Direction", "Command", "Subplan Name")


def shape_hash(root: PlanNode) -> str:
    """16 hex digits of node kinds, relations and indexes, from the top down."""
    digest = hashlib.sha256()
    for node in root.walk():
        shape = (node.path, node.kind, node.schema, node.table, node.index, node.join_type)
        digest.update(repr((*shape, *(node.extra.get(name) for name in _SHAPE_FIELDS))).encode())
    return digest.hexdigest()[:16]
