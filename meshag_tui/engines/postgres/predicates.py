"""The conditions of a plan, by relation: what an index could serve.

In: a plan made with VERBOSE, whose conditions name every column by the alias of its scan, with views, sub-queries and
unqualified names already resolved by the planner. Out: `plan.Predicate` values, and for each comparison the parameters
in it, from which `samples` picks values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.lexer import Token, tokens
from meshag_tui.plan import Plan, PlanNode, Predicate

RANGES = frozenset(("<", "<=", ">", ">=", "~<~", "~<=~", "~>~", "~>=~"))
LIKES = frozenset(("~~", "~~*", "!~~", "!~~*", "~", "~*", "!~", "!~*", "^@"))
CONTAINS = frozenset(("@>", "<@", "&&", "?", "?|", "?&", "@@", "@?", "<<", ">>", "&<", "&>", "-|-", "%", "<%", "%>"))
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "@>": "<@", "<@": "@>", "=": "=", "<>": "<>", "&&": "&&"}
_TEXT_TYPES = ("text", "bpchar", "varchar", "name")
_CONDITIONS = ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter")

Node = Mapping[str, Any]
Kind = Literal["eq", "range", "like-prefix", "like", "contains", "join", "row", "other"]


@dataclass(frozen=True, slots=True)
class Scan:
    """A relation as a plan scans it."""

    schema: str
    table: str
    alias: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition with its parts as parsed: `side` is what an index would hold, `other` what it is compared with."""

    scan: Scan
    side: Node
    side_text: str
    operator: str
    kind: Kind
    other: Node | None
    other_text: str
    arm: int

    @property
    def column(self) -> str | None:
        """The bare column of the indexed side, None for an expression."""
        name = _column(relabelled(self.side))
        return name[1] if name else None


def predicates(plan: Plan) -> tuple[Predicate, ...]:
    """The conditions of a plan on its tables, each once, in the order of the tree.

    A bitmap scan says its condition up to three times; an equal condition on the same alias is given once. Casts to a
    text and collations are taken off a column, and stay in `expression`: of a varchar they change nothing that an index
    holds, of a number they do. `value` is a constant's text.
    """
    found: dict[Predicate, None] = {}
    for one in comparisons(plan):
        column = one.column
        bare = column is not None and (_column(one.side) is not None or not one.side_text)
        expression = column if bare and column is not None else _bare(one.side_text, one.scan.alias)
        constant = one.other is not None and one.kind != "join" and not _mentions_anything(one.other)
        found.setdefault(
            Predicate(
                schema=one.scan.schema,
                table=one.scan.table,
                alias=one.scan.alias,
                column=column,
                expression=expression,
                kind=one.kind,
                operator=one.operator,
                alternatives=one.arm,
                value=one.other_text if constant else None,
                joined=_column(relabelled(one.other)) if one.kind == "join" and one.other is not None else None,
            )
        )
    return tuple(found)


def comparisons(plan: Plan) -> Iterator[Comparison]:
    """Every condition of every node as parsed comparisons; what cannot be parsed is left out."""
    scans = {
        node.alias: Scan(node.schema, node.table, node.alias)
        for node in plan.root.walk()
        if node.alias and node.table and node.schema
    }
    reader = _Reader(scans)
    for node in plan.root.walk():
        for name in _CONDITIONS:
            text = node.conditions.get(name)
            if text:
                yield from reader.read(text)


def scans(plan: Plan) -> Iterator[PlanNode]:
    """The nodes that read a relation."""
    return (node for node in plan.root.walk() if node.table is not None)


def relabelled(node: Node) -> Node:
    """The node without collations and casts between text types, which an index on the column does not mind."""
    while True:
        if "CollateClause" in node:
            node = node["CollateClause"].get("arg") or {}
        elif "TypeCast" in node and _type_name(node["TypeCast"]) in _TEXT_TYPES:
            node = node["TypeCast"].get("arg") or {}
        else:
            return node


def uncast(node: Node) -> Node:
    """The node without any cast around it."""
    while "TypeCast" in node or "CollateClause" in node:
        node = (node.get("TypeCast") or node.get("CollateClause") or {}).get("arg") or {}
    return node


class _Reader:
    def __init__(self, scans: Mapping[str, Scan]) -> None:
        self._scans = scans
        self._arms = 0

    def read(self, text: str) -> Iterator[Comparison]:
        plain = _without_subplans(text)
        try:
            tree = parse.parse_one(f"SELECT {plain}").tree
        except Refused:
            return
        targets = tree.get("targetList") or [{}]
        value = (targets[0].get("ResTarget") or {}).get("val") or {}
        yield from self._condition(value, _Text(f"SELECT {plain}"), 0)

    def _condition(self, node: Node, text: _Text, arm: int) -> Iterator[Comparison]:
        if "BoolExpr" in node:
            inner = node["BoolExpr"]
            operation, arms = inner.get("boolop"), inner.get("args", [])
            if operation == "AND_EXPR":
                for each in arms:
                    yield from self._condition(each, text, arm)
            elif operation == "OR_EXPR":
                for each in arms:
                    self._arms += 1
                    yield from self._condition(each, text, self._arms)
            elif arms and _column(arms[0]):
                yield from self._single(arms[0], "= false", "eq", arm)
        elif "NullTest" in node:
            inner = node["NullTest"]
            is_null = inner.get("nulltesttype") != "IS_NOT_NULL"
            yield from self._single(
                inner.get("arg") or {}, "IS NULL" if is_null else "IS NOT NULL", "eq" if is_null else "other", arm
            )
        elif "BooleanTest" in node:
            inner = node["BooleanTest"]
            yield from self._single(inner.get("arg") or {}, inner.get("booltesttype", ""), "other", arm)
        elif _column(node):
            yield from self._single(node, "= true", "eq", arm)
        elif "A_Expr" in node:
            yield from self._comparison(node["A_Expr"], text, arm)

    def _single(self, side: Node, operator: str, kind: Kind, arm: int) -> Iterator[Comparison]:
        name = _column(relabelled(side))
        scan = self._scans.get(name[0]) if name else None
        if scan is not None and name is not None:
            yield Comparison(scan, side, name[1], operator, kind, None, "", arm)

    def _comparison(self, inner: Node, text: _Text, arm: int) -> Iterator[Comparison]:
        operator = "".join(parse.names(inner.get("name", ()))[-1:])
        how = inner.get("kind")
        left, right = inner.get("lexpr") or {}, inner.get("rexpr") or {}
        if how not in ("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL") or not left or not right:
            return
        left_text, right_text = text.operands(int(inner.get("location", -1)))
        if how == "AEXPR_OP" and operator in RANGES and "RowExpr" in left and "RowExpr" in right:
            # ROW(a, b) > ROW(1, 2) walks an index on (a, …): what counts is the first column.
            left, right = left["RowExpr"]["args"][0], right["RowExpr"]["args"][0]
            left_text = right_text = ""
        sides = self._aliases(left), self._aliases(right)
        if sides[0] and sides[1]:
            if how == "AEXPR_OP" and sides[0] == sides[1]:
                yield from self._in_row(inner, operator, left, right, arm)
            if how != "AEXPR_OP" or sides[0] & sides[1]:
                return
            yield from self._one(left, left_text, operator, right, right_text, arm, "join", sides[0])
            mirrored = _MIRRORED.get(operator, operator)
            yield from self._one(right, right_text, mirrored, left, left_text, arm, "join", sides[1])
            return
        if sides[0]:
            kind = self._kind(operator, how, right)
            yield from self._one(left, left_text, operator, right, right_text, arm, kind, sides[0])
        elif sides[1]:
            if how == "AEXPR_OP_ANY":  # 'x' = ANY (tags): only containment could be indexed
                yield from self._one(right, right_text, "= ANY", left, left_text, arm, "other", sides[1])
                return
            mirrored = _MIRRORED.get(operator, operator)
            kind = self._kind(mirrored, how, left)
            yield from self._one(right, right_text, mirrored, left, left_text, arm, kind, sides[1])

    def _in_row(self, inner: Node, operator: str, left: Node, right: Node, arm: int) -> Iterator[Comparison]:
        """Two columns of one row, written the same way round wherever it stands."""
        one, other = _column(left), _column(right)
        scan = self._scans.get(one[0]) if one is not None else None
        if one is None or other is None or scan is None or operator not in _MIRRORED:
            return
        names = [_quoted(one[1]), _quoted(other[1])]
        if operator.startswith(">") or (operator in ("=", "<>") and names[0] > names[1]):
            names, operator = names[::-1], _MIRRORED[operator]
        yield Comparison(scan, {"A_Expr": inner}, f" {operator} ".join(names), operator, "row", None, "", arm)

    def _one(
        self,
        side: Node,
        side_text: str,
        operator: str,
        other: Node,
        other_text: str,
        arm: int,
        kind: Kind,
        aliases: frozenset[str],
    ) -> Iterator[Comparison]:
        if len(aliases) != 1:
            return
        scan = self._scans.get(next(iter(aliases)))
        if scan is None:
            return
        if kind == "join" and operator != "=":
            kind = "other"
        yield Comparison(scan, side, side_text, operator, kind, other, other_text, arm)

    @staticmethod
    def _kind(operator: str, how: str, other: Node) -> Kind:
        if operator == "=":
            return "other" if how == "AEXPR_OP_ALL" else "eq"
        if operator in RANGES:
            return "range"
        if operator in LIKES:
            pattern = (uncast(other).get("A_Const") or {}).get("sval", {}).get("sval", "")
            if operator == "~~" and pattern and pattern[0] not in "%_\\":
                return "like-prefix"
            if operator == "^@" or (operator == "~" and re.match(r"\^[\w ]", pattern)):
                return "like-prefix"
            return "other" if operator.startswith("!") else "like"
        if operator in CONTAINS:
            return "contains"
        return "other"

    def _aliases(self, node: Node) -> frozenset[str]:
        """The relations an expression is over; an alias that is no scan (a sub-query's) counts too."""
        return frozenset(
            name[0] for field in parse.find(node, "ColumnRef") if (name := parse.names(field.get("fields", ())))
        )


class _Text:
    """A condition's text with the places of its tokens: finds the operands of an operator.

    The server prints every operator with its operands in brackets of their own.
    """

    def __init__(self, text: str) -> None:
        self._tokens: list[Token] = []
        self._places: dict[int, int] = {}  # byte offset -> token
        offset = 0
        for token in tokens(text):
            self._places[offset] = len(self._tokens)
            self._tokens.append(token)
            offset += len(token.text.encode("utf-8"))

    def operands(self, location: int) -> tuple[str, str]:
        """The texts left and right of the operator at a byte offset, outer brackets of each taken off."""
        at = self._places.get(location)
        if at is None:
            return "", ""
        start, depth = at, 0
        while start > 0:
            word = self._tokens[start - 1].text
            depth += (word == ")") - (word == "(")
            if depth < 0 or (depth == 0 and word.upper() in ("SELECT", "AND", "OR", "NOT")):
                break
            start -= 1
        after = at
        while after < len(self._tokens) and self._tokens[after].kind == "symbol":
            if self._tokens[after].text in "()":
                break
            after += 1
        end, depth = after, 0
        while end < len(self._tokens):
            word = self._tokens[end].text
            depth += (word == "(") - (word == ")")
            if depth < 0 or (depth == 0 and word.upper() in ("AND", "OR")):
                break
            end += 1
        return self._joined(start, at), self._joined(after, end)

    def _joined(self, start: int, end: int) -> str:
        return "".join(token.text for token in self._tokens[start:end]).strip()


def _column(node: Node) -> tuple[str, str] | None:
    """(alias, column) of a plain column reference."""
    if "ColumnRef" not in node:
        return None
    parts = parse.names(node["ColumnRef"].get("fields", ()))
    return (parts[0], parts[1]) if len(parts) == 2 else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _type_name(cast: Node) -> str:
    parts = parse.names((cast.get("typeName") or {}).get("names", ()))
    return parts[-1] if parts and not (cast.get("typeName") or {}).get("arrayBounds") else ""


def _mentions_anything(node: Node) -> bool:
    """Whether an expression is more than constants: parameters, columns, or functions of the moment."""
    return any(
        next(parse.find({"x": node}, name), None) is not None
        for name in ("ParamRef", "ColumnRef", "FuncCall", "SQLValueFunction", "SubLink")
    )


def _bare(text: str, alias: str) -> str:
    """An expression's text without the alias before its columns."""
    words = list(tokens(text))
    kept = []
    at = 0
    while at < len(words):
        word = words[at]
        name = word.text[1:-1].replace('""', '"') if word.kind == "quoted" else word.text
        if word.kind in ("name", "quoted") and name == alias and at + 1 < len(words) and words[at + 1].text == ".":
            at += 2
            continue
        kept.append(word.text)
        at += 1
    plain = "".join(kept).strip()
    return plain[1:-1] if plain.startswith("(") and _closes_at_end(plain) and plain[1:2] != "(" else plain


def _closes_at_end(text: str) -> bool:
    depth = 0
    words = list(tokens(text))
    for at, word in enumerate(words):
        depth += (word.text == "(") - (word.text == ")")
        if depth == 0:
            return at == len(words) - 1
    return False


_SUBPLAN = re.compile(
    r"\(alternatives: [^)]*\)|EXISTS\((?:hashed )?SubPlan \d+\)"
    r"|\((?:rescan |hashed )?(?:SubPlan|InitPlan) \d+(?: \([^)]*\))?\)(?:\.col\d+)?"
    r"|(?<![\w$])\(returns \$[\d,$]+\)"
)
_ANY_SUBPLAN = re.compile(r"(?<![=<>~!@&|*%^?-] )\b(?:ANY|ALL) \((?=\()?")


def _without_subplans(text: str) -> str:
    """The text with sub-plans, which no grammar knows, as a parameter: `(InitPlan 1).col1`, `ANY (… (SubPlan 2))`."""
    if "Plan " not in text:
        return text
    text = _SUBPLAN.sub(" $0", text)
    return _ANY_SUBPLAN.sub("(", text)


__all__ = ["Comparison", "Scan", "comparisons", "predicates", "relabelled", "scans", "uncast"]
