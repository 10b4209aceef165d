"""Values that may stand for a statement's parameters: typed, and such as the columns they are compared with hold.

In: a generic plan, whose conditions say which parameter meets which column; the columns' statistics; the parameters'
types. Out: up to five sets of values, as texts. A generic plan knows nothing of skew, LIKE prefixes or partial indexes;
with NULLs for values the planner answers "never true".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshag_tui.engines.base import ColumnStatistics
from meshag_tui.engines.postgres import parse
from meshag_tui.engines.postgres.predicates import RANGES, Comparison, comparisons, relabelled, uncast
from meshag_tui.engines.sampling import MOST_VARIANTS, cut, ends, pattern, typical
from meshag_tui.plan import Plan

_DEFAULTS: Mapping[str, str] = {
    "boolean": "true",
    "uuid": "00000000-0000-0000-0000-000000000001",
    "json": "{}",
    "jsonb": "{}",
    "jsonpath": "$",
    "date": "2024-06-01",
    "timestamp without time zone": "2024-06-01 12:00:00",
    "timestamp with time zone": "2024-06-01 12:00:00+00",
    "time without time zone": "12:00:00",
    "time with time zone": "12:00:00+00",
    "interval": "1 day",
    "inet": "127.0.0.1",
    "cidr": "127.0.0.0/8",
    "macaddr": "08:00:2b:01:02:03",
    "bytea": "\\x00",
    "regconfig": "simple",
    "regclass": "pg_class",
    "tsquery": "a",
    "tsvector": "a",
    "xml": "<a/>",
    "bit": "1",
    "bit varying": "1",
    "point": "(0,0)",
}
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "oid", "money", "xid")
_TEXTS = ("text", "character varying", "character", "name", '"char"', "citext")
_FIRST_ARGUMENT = {"date_trunc": "day", "date_part": "day", "timezone": "UTC", "to_tsquery": "a", "to_char": "YYYY"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a parameter is compared with; `place` is its place among the values that the same column is to equal."""

    number: int
    schema: str
    table: str
    column: str
    operator: str
    array: bool
    place: int


@dataclass(frozen=True, slots=True)
class Samples:
    """Sets of values, each with one text a parameter, and how many parameters have theirs from statistics."""

    variants: tuple[tuple[str, ...], ...]
    sampled: int


def compared(plan: Plan) -> tuple[Parameter, ...]:
    """The parameters that a plan's conditions compare with a column, directly or through one function over it."""
    found: dict[int, Parameter] = {}
    places: Counter[tuple[str, str, str]] = Counter()
    for one in comparisons(plan):
        column = _only_column(one)
        if column is None or one.other is None:
            continue
        for number, array in _values(one.other):
            if number in found:
                continue
            at = (one.scan.schema, one.scan.table, column)
            place = places[at]
            places[at] += one.operator == "="  # who asks twice asks for two values
            found[number] = Parameter(number, *at, one.operator, array, place)
    return tuple(found.values())


def choose(
    types: Sequence[str],
    parameters: Sequence[Parameter],
    statistics: Mapping[tuple[str, str, str], ColumnStatistics],
    elements: Mapping[tuple[str, str, str], tuple[str, ...]],
    tree: Mapping[str, Any],
    variants: int = 3,
    leading: Mapping[int, int] | None = None,
) -> Samples | None:
    """Values for parameters of these types (as the server prints them); None when some type has no value known to us.

    `statistics` is keyed by (schema, table, column), `elements` likewise with the commonest elements of array columns.
    `leading` is by parameter how many characters patterns begin with, see `patterns`. The same input gives the same
    values.
    """
    by_number = {one.number: one for one in parameters}
    ranges = _ranges(parameters)
    fixed = _fixed(tree)
    sets: dict[tuple[str, ...], None] = {}
    sampled: set[int] = set()
    for variant in range(min(variants, MOST_VARIANTS)):
        values = []
        for number, type_name in enumerate(types, 1):
            one = by_number.get(number)
            value = fixed.get(number)
            if value is None and one is not None:
                key = (one.schema, one.table, one.column)
                begin = (leading or {}).get(number, 0)
                value = _value(one, statistics.get(key), elements.get(key, ()), variant, ranges.get(number), begin)
                if value is not None:
                    sampled.add(number)
            elif value is not None:
                sampled.add(number)
            if value is None:
                value = default_value(type_name)
            if value is None:
                return None
            values.append(value)
        sets.setdefault(tuple(values))
    return Samples(tuple(sets), len(sampled))


def default_value(type_name: str) -> str | None:
    """Some valid text of a type; None for types not known."""
    base = type_name.split("(")[0].strip()
    if type_name.endswith("[]"):
        inner = default_value(type_name[:-2])
        return None if inner is None else _array([inner])
    if base in _NUMBERS:
        return "1"
    if base in _TEXTS:
        return "a"
    if base.endswith("range"):
        return "empty"
    return _DEFAULTS.get(base)


def _value(
    one: Parameter,
    statistics: ColumnStatistics | None,
    elements: Sequence[str],
    variant: int,
    end: bool | None,
    leading: int,
) -> str | None:
    if one.operator in ("@>", "<@", "&&") and elements:
        return _array([elements[min(variant, len(elements) - 1)]])
    if one.operator == "= ANY":  # looked for in an array
        return elements[min(variant, len(elements) - 1)] if elements else None
    if statistics is None:
        return None
    if one.operator in RANGES and not one.array:
        return cut(statistics, one.operator.strip("~").startswith(">"), variant, end)
    if one.operator in ("~~", "~~*", "!~~", "!~~*"):
        return pattern(statistics, variant, leading)
    if one.operator in ("=", "<>", "!="):
        found = typical(statistics, variant)
        if not found:
            return None
        if one.array:
            return _array([found[at % len(found)] for at in range(min(3, len(found)))])
        return found[one.place % len(found)]
    return None


def _ranges(parameters: Sequence[Parameter]) -> dict[int, bool]:
    return ends(
        (one.number, (one.schema, one.table, one.column), one.operator.strip("~").startswith("<"))
        for one in parameters
        if one.operator in RANGES
    )


def _fixed(tree: Mapping[str, Any]) -> dict[int, str]:
    """Values that no column says: LIMIT, OFFSET, and the words some functions take."""
    values: dict[int, str] = {}
    for node in ({"SelectStmt": tree}, *({"SelectStmt": one} for one in parse.find(tree, "SelectStmt"))):
        select = node["SelectStmt"]
        for clause, value in (("limitCount", "20"), ("limitOffset", "0")):
            parameter = uncast(select.get(clause) or {}).get("ParamRef")
            if parameter:
                values[int(parameter.get("number", 0))] = value
    for call in parse.find(tree, "FuncCall"):
        name = (parse.names(call.get("funcname", ())) or ("",))[-1]
        word = _FIRST_ARGUMENT.get(name)
        for argument in call.get("args", ()) if word else ():
            parameter = uncast(argument).get("ParamRef")
            if parameter and word:
                values.setdefault(int(parameter.get("number", 0)), word)
                break
    return values


def _only_column(one: Comparison) -> str | None:
    """The column, also under a function whose results are like its argument."""
    if one.column is not None:
        return one.column
    call = relabelled(one.side).get("FuncCall") or {}
    if not call or parse.names(call.get("funcname", ()))[-1:] not in (
        ("lower",),
        ("upper",),
        ("btrim",),
        ("date_trunc",),
    ):
        return None
    columns = {
        name[1] for field in parse.find(call, "ColumnRef") if len(name := parse.names(field.get("fields", ()))) == 2
    }
    return columns.pop() if len(columns) == 1 else None


def _values(other: Mapping[str, Any]) -> list[tuple[int, bool]]:
    """The parameters that are values of this side: (number, whether it is a whole array)."""
    inner = uncast(other)
    if "ParamRef" in inner:
        return [(int(inner["ParamRef"].get("number", 0)), _is_array(other))]
    if "A_Expr" in inner:  # of `$1 + $2` the first is like the column
        first = uncast((inner["A_Expr"].get("lexpr")) or {}).get("ParamRef")
        return [(int(first.get("number", 0)), False)] if first else []
    if "A_ArrayExpr" in inner:
        return [
            (int(reference["ParamRef"].get("number", 0)), False)
            for element in inner["A_ArrayExpr"].get("elements", ())
            if "ParamRef" in (reference := uncast(element))
        ]
    return []


def _is_array(node: Mapping[str, Any]) -> bool:
    return bool(((node.get("TypeCast") or {}).get("typeName") or {}).get("arrayBounds"))


def _array(values: Sequence[str]) -> str:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"
