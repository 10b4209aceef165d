"""Expressions that may stand in an index: regenerated from their parse tree, never copied.

In: a text from the catalogue, from a plan, or by way of a model. Out: the same expression as libpg_query writes it,
made only of columns of the table, constants, operators and functions of pg_catalog that can be immutable; or Refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres import parse

_ALLOWED = frozenset(
    (
        *("ColumnRef", "A_Const", "A_Expr", "BoolExpr", "NullTest", "BooleanTest", "TypeCast", "FuncCall", "String"),
        *("CoalesceExpr", "MinMaxExpr", "CaseExpr", "CaseWhen", "A_ArrayExpr", "List", "CollateClause", "Integer"),
    )
)
_FORBIDDEN_IN_CALL = (
    "agg_order",
    "agg_filter",
    "agg_star",
    "agg_distinct",
    "agg_within_group",
    "over",
    "func_variadic",
)
LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: its text, and what the catalogue must confirm."""

    text: str
    columns: frozenset[str]
    functions: frozenset[str]
    types: frozenset[str]  # unqualified type names that are not PostgreSQL's keywords


def checked(text: str, table: str | None = None, type_schemas: Mapping[str, str] | None = None) -> Expression:
    """Read an expression and write it anew.

    Args:
        table: a name or alias that may stand before columns; it is taken off.
        type_schemas: for unqualified types outside pg_catalog, the schema to put before them.

    Raises:
        Refused: it is not one expression, or holds something an index may not: a sub-query, a parameter, an aggregate,
            a function with a schema other than pg_catalog.
    """
    import postgast
    from google.protobuf.message import DecodeError

    if len(text) > LONGEST:
        raise Refused("The expression is too long for an index")
    tree = _select(text)
    columns, functions, types = set(), set(), set()
    for name, node in _nodes(tree):
        if name not in _ALLOWED:
            raise Refused(f"An index expression may not hold {name}")
        if name == "ColumnRef":
            columns.add(_column(node, table))
        elif name == "FuncCall":
            functions.add(_function(node))
        elif name == "TypeCast":
            types.add(_type(node))
    if not columns:
        raise Refused("The expression names no column")
    try:
        document = postgast.parse(f"SELECT {text}")
        _qualify(document, table, type_schemas or {})
        written = str(postgast.deparse(document))
    except (postgast.PgQueryError, DecodeError):
        raise Refused("The expression cannot be written anew") from None
    plain = written.removeprefix("SELECT ")
    if plain == written or (not type_schemas and not table and canonical(plain) != canonical(text)):
        raise Refused("The expression does not stay the same when written anew")
    return Expression(plain, frozenset(columns), frozenset(functions), frozenset(types - {""}))


def canonical(text: str | None) -> str:
    """A form equal for expressions that differ only in brackets and in casts of constants, or of columns to text."""
    if not text:
        return ""
    try:
        return json.dumps(_plain(_select(text)), sort_keys=True)
    except Refused:
        return text


def check_columns(expression: Expression, columns: Collection[str]) -> None:
    """Raises Refused when the expression names a column that is not there."""
    unknown = sorted(expression.columns - set(columns))
    if unknown:
        raise Refused(f"There is no column {unknown[0]}")


def _select(text: str) -> Mapping[str, Any]:
    """The tree of `SELECT <text>`, which must be one target and nothing else."""
    try:
        statement = parse.parse_one(f"SELECT {text}")
    except Refused:
        raise Refused("The expression cannot be parsed") from None
    targets = statement.tree.get("targetList", [])
    rest = {name for name, value in statement.tree.items() if value not in ("SETOP_NONE", "LIMIT_OPTION_DEFAULT")}
    if statement.node != "SelectStmt" or rest != {"targetList"} or len(targets) != 1:
        raise Refused("This is not one expression")
    target = targets[0].get("ResTarget") or {}
    if "name" in target or "indirection" in target:
        raise Refused("This is not one expression")
    value: Mapping[str, Any] = target.get("val") or {}
    return value


def _nodes(tree: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name[:1].isupper() and isinstance(value, dict):
                yield name, value
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _column(node: Mapping[str, Any], table: str | None) -> str:
    fields = node.get("fields", ())
    parts = parse.names(fields)
    if len(parts) != len(fields) or not (len(parts) == 1 or (len(parts) == 2 and parts[0] == table)):
        raise Refused("The expression names something that is no column of the table")
    return parts[-1]


def _function(node: Mapping[str, Any]) -> str:
    if any(node.get(name) for name in _FORBIDDEN_IN_CALL):
        raise Refused("An index expression may not hold an aggregate or window function")
    parts = parse.names(node.get("funcname", ()))
    if len(parts) > 1 and parts[0] != "pg_catalog":
        raise Refused(f"The function {'.'.join(parts)} is not one of PostgreSQL's own")
    return parts[-1]


def _type(node: Mapping[str, Any]) -> str:
    parts = parse.names((node.get("typeName") or {}).get("names", ()))
    return parts[0] if len(parts) == 1 else ""


def _qualify(document: Any, table: str | None, type_schemas: Mapping[str, str]) -> None:
    import postgast
    from postgast import pg_query_pb2 as nodes

    for column in postgast.find_nodes(document, nodes.ColumnRef):
        if table is not None and len(column.fields) == 2:
            del column.fields[0]
    for type_name in postgast.find_nodes(document, nodes.TypeName):
        if len(type_name.names) == 1 and type_name.names[0].string.sval in type_schemas:
            bare = type_name.names[0].string.sval
            del type_name.names[:]
            for part in (type_schemas[bare], bare):
                type_name.names.add().string.sval = part


_TEXTS = ("text", "varchar", "bpchar")


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        cast = tree.get("TypeCast")
        if isinstance(cast, dict):
            inner = _plain(cast.get("arg"))
            name = (parse.names((cast.get("typeName") or {}).get("names", ())) or ("",))[-1]
            if isinstance(inner, dict) and ("A_Const" in inner or ("ColumnRef" in inner and name in _TEXTS)):
                return inner
        return {
            name: _plain(value)
            for name, value in tree.items()
            if name != "location" and not name.startswith(("rexpr_list_", "list_"))
        }
    if isinstance(tree, list):
        return [_plain(value) for value in tree]
    return tree
