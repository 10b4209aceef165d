"""The conditions of a plan, by relation: what an index could serve.

In: a plan whose conditions name every column by the alias of its scan, as the server resolved them. Out: `Predicate`s,
and the parsed comparisons from which `selectivity` reckons how many rows a condition keeps.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import parse
from meshag_tui.engines.mysql.conjuncts import conjuncts
from meshag_tui.plan import Plan, Predicate

RANGES = frozenset(("<", "<=", ">", ">="))
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_CONDITIONS = ("Index Cond", "Hash Cond", "Join Filter", "Filter")
_INTERNAL = re.compile(r"<(\w+)>")
_EXPRESSION_CACHE = re.compile(r"<expr_cache>(?:<[^<>]*>)?")

Kind = Literal["eq", "range", "like-prefix", "like", "contains", "join", "other"]


@dataclass(frozen=True, slots=True)
class Scan:
    """A relation as a plan scans it."""

    schema: str
    table: str
    alias: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition. `value` is a constant as printed, `values` how many an IN list has."""

    scan: Scan
    column: str | None
    expression: str
    operator: str
    kind: Kind
    arm: int = 0
    value: str | None = None
    values: int = 1


def predicates(plan: Plan) -> tuple[Predicate, ...]:
    """The conditions of a plan on its tables, each once, in the order of the tree."""
    scans = {
        node.alias: Scan(node.schema, node.table, node.alias)
        for node in plan.root.walk()
        if node.alias and node.table and node.schema and node.kind != "ModifyTable"
    }
    found: dict[Predicate, None] = {}
    arms = 0
    for node in plan.root.walk():
        for part in _CONDITIONS:
            if part not in node.conditions:
                continue
            for one in comparisons(node.conditions[part], scans):
                arm = one.arm + arms if one.arm else 0
                predicate = Predicate(
                    schema=one.scan.schema,
                    table=one.scan.table,
                    alias=one.scan.alias,
                    column=one.column,
                    expression=one.expression,
                    kind=one.kind,
                    operator=one.operator,
                    alternatives=arm,
                    value=one.value,
                )
                found.setdefault(predicate)
            arms = max((one.alternatives for one in found), default=0)
    return tuple(_without_lookups(found))


def comparisons(text: str, scans: Mapping[str, Scan]) -> tuple[Comparison, ...]:
    """A condition's comparisons on these scans (by alias); what cannot be read is left out."""
    reader = _Reader(scans)
    trees = (_parsed(part) for part in conjuncts(text))  # one that cannot be read does not hide the others
    return tuple(one for tree in trees if tree is not None for one in reader.read(tree))


def _without_lookups(found: Mapping[Predicate, None]) -> Iterator[Predicate]:
    """A lookup by an unnamed value and the condition it comes from are one predicate."""
    named = {(one.alias, one.column) for one in found if one.kind in ("eq", "join") and one.value is not None}
    for one in found:
        looked_up = one.kind == "eq" and one.value is None and one.operator == "="
        if not (looked_up and not one.alternatives and (one.alias, one.column) in named):
            yield one


@functools.lru_cache(256)
def _parsed(text: str) -> Any:
    plain = _INTERNAL.sub(r"__\1", _EXPRESSION_CACHE.sub("__cache", text))
    try:
        tree = parse.tree(f"SELECT {plain}")
    except Refused:
        return None
    chosen = tree.args.get("expressions") or [None]
    return chosen[0]


class _Reader:
    def __init__(self, scans: Mapping[str, Scan]) -> None:
        self._scans = scans
        self._arms = 0

    def read(self, node: Any, arm: int = 0) -> Iterator[Comparison]:
        from sqlglot import exp

        node = _unwrapped(node)
        if isinstance(node, exp.And):
            for each in node.flatten():
                yield from self.read(each, arm)
        elif isinstance(node, exp.Or):
            for each in node.flatten():
                self._arms += 1
                yield from self.read(each, self._arms)
        elif node.args.get("negate"):
            yield from self._negated(node, arm)
        elif isinstance(node, exp.Not):
            yield from self._negated(_unwrapped(node.this), arm)
        elif isinstance(node, exp.Column):
            yield from self._single(node, "= true", "eq", arm)
        elif isinstance(node, exp.Is):
            is_null = isinstance(node.expression, exp.Null)
            yield from self._single(node.this, "IS NULL" if is_null else "IS", "eq" if is_null else "other", arm)
        elif isinstance(node, exp.Between):
            yield from self._sides(node.this, ">=", node.args["low"], arm)
            yield from self._sides(node.this, "<=", node.args["high"], arm)
        elif isinstance(node, exp.In):
            yield from self._in(node, arm)
        elif isinstance(node, (exp.Like, exp.ILike)):
            yield from self._sides(node.this, "LIKE", node.expression, arm)
        elif isinstance(node, exp.RegexpLike):
            yield from self._sides(node.this, "REGEXP", node.expression, arm)
        elif isinstance(node, exp.MatchAgainst):
            for column in node.expressions[:1]:
                yield from self._single(column, "MATCH", "contains", arm)
        elif (operator := _operator(node)) is not None:
            yield from self._sides(node.this, operator, node.expression, arm)

    def _negated(self, node: Any, arm: int) -> Iterator[Comparison]:
        from sqlglot import exp

        if isinstance(node, exp.Column):
            yield from self._single(node, "= false", "eq", arm)
        elif isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            yield from self._single(node.this, "IS NOT NULL", "other", arm)
        elif isinstance(node, (exp.In, exp.Between, exp.Like)):
            name = "NOT IN" if isinstance(node, exp.In) else "NOT LIKE"
            name = "NOT BETWEEN" if isinstance(node, exp.Between) else name
            yield from self._single(node.this, name, "other", arm)

    def _single(self, side: Any, operator: str, kind: Kind, arm: int) -> Iterator[Comparison]:
        scan = self._scan(side)
        if scan is not None:
            yield Comparison(scan, _column(side), _expression(side), operator, kind, arm)

    def _in(self, node: Any, arm: int) -> Iterator[Comparison]:
        from sqlglot import exp

        side = _unwrapped(node.this)
        if node.args.get("query") is not None or not node.expressions:
            return
        if isinstance(side, exp.Tuple):
            for each in side.expressions:
                yield from self._single(each, "=", "eq", arm)
            return
        scan = self._scan(side)
        if scan is None or any(self._aliases(each) for each in node.expressions):
            return
        plain = all(_constant(each) is not None for each in node.expressions)
        value = ", ".join(each.sql(dialect="mysql") for each in node.expressions) if plain else None
        yield Comparison(
            scan,
            _column(side),
            _expression(side),
            "=",
            "eq",
            arm,
            f"({value})" if value else None,
            len(node.expressions),
        )

    def _sides(self, left: Any, operator: str, right: Any, arm: int) -> Iterator[Comparison]:
        from sqlglot import exp

        left, right = _unwrapped(left), _unwrapped(right)
        if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
            pairs = list(zip(left.expressions, right.expressions, strict=False))
            for one, other in pairs if operator == "=" else pairs[:1]:
                yield from self._sides(one, operator, other, arm)
            return
        here, there = self._aliases(left), self._aliases(right)
        if here and there:
            if here & there:
                return
            yield from self._one(left, operator, right, "join" if operator == "=" else "other", arm)
            yield from self._one(
                right, _MIRRORED.get(operator, operator), left, "join" if operator == "=" else "other", arm
            )
        elif here:
            yield from self._one(left, operator, right, _kind(operator, right), arm)
        elif there and operator not in ("LIKE", "REGEXP"):
            mirrored = _MIRRORED.get(operator, operator)
            yield from self._one(right, mirrored, left, _kind(mirrored, left), arm)

    def _one(self, side: Any, operator: str, other: Any, kind: Kind, arm: int) -> Iterator[Comparison]:
        scan = self._scan(side)
        if scan is not None:
            value = _constant(other) if kind != "join" else None
            yield Comparison(scan, _column(side), _expression(side), operator, kind, arm, value)

    def _scan(self, side: Any) -> Scan | None:
        aliases = self._aliases(side)
        return self._scans.get(next(iter(aliases))) if len(aliases) == 1 else None

    @staticmethod
    def _aliases(node: Any) -> frozenset[str]:
        from sqlglot import exp

        # A sub-query's own columns are no part of what the condition is over.
        walked = node.walk(prune=lambda each: isinstance(each, exp.Query))
        return frozenset(one.table for one in walked if isinstance(one, exp.Column) and one.table)


def _unwrapped(node: Any) -> Any:
    """The node without brackets, and without what the server puts around: caches, triggers of outer joins."""
    from sqlglot import exp

    while True:
        if isinstance(node, exp.Paren):
            node = node.this
        elif isinstance(node, exp.Anonymous) and node.name.lower() in ("__cache", "trigcond") and node.expressions:
            node = node.expressions[0]
        elif isinstance(node, exp.Anonymous) and node.name.lower() == "__if" and len(node.expressions) > 1:
            node = node.expressions[1]
        else:
            return node


def _operator(node: Any) -> str | None:
    from sqlglot import exp

    names = {exp.EQ: "=", exp.NullSafeEQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}
    return names.get(type(node))


def _kind(operator: str, other: Any) -> Kind:
    from sqlglot import exp

    if operator == "=":
        return "eq"
    if operator in RANGES:
        return "range"
    if operator == "LIKE":
        beginning = other.name[:1] if isinstance(other, exp.Literal) and other.is_string else ""
        return "like-prefix" if beginning and beginning not in "%_" else "like"
    return "like" if operator == "REGEXP" else "other"


def _column(side: Any) -> str | None:
    from sqlglot import exp

    while isinstance(side, exp.Collate):
        side = side.this
    return side.name if isinstance(side, exp.Column) else None


def _expression(side: Any) -> str:
    """The side's text without the alias before its columns."""
    from sqlglot import exp

    if isinstance(side, exp.Column):
        return str(side.name)
    bare = side.copy()
    for column in list(bare.find_all(exp.Column)):
        column.set("table", None)
    return str(bare.sql(dialect="mysql"))


def _constant(node: Any) -> str | None:
    """A constant as printed; None for what is more, and for a value that is not named."""
    from sqlglot import exp

    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        return str(node.sql(dialect="mysql"))
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal):
        return str(node.this.sql(dialect="mysql"))
    if isinstance(node, exp.Literal) and not (node.is_string and node.name in ("?", "?%", "%?", "%?%")):
        return str(node.sql(dialect="mysql"))
    return "TRUE" if isinstance(node, exp.Boolean) and node.this else "FALSE" if isinstance(node, exp.Boolean) else None


__all__ = ["Comparison", "Scan", "comparisons", "predicates"]
