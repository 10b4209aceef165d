"""Values that may stand for a statement's `?`: such as the columns they meet hold, else some of their type.

In: what each value meets (`resolve.Meeting`), types and statistics of columns. Out: up to five sets of literals, as the
server reads them. There is no generic plan here: a plan always has values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meshag_tui.engines.base import ColumnStatistics
from meshag_tui.engines.mysql.digest import literal
from meshag_tui.engines.mysql.resolve import DATE_LITERAL, Meeting
from meshag_tui.engines.sampling import MOST_VARIANTS, cut, ends, pattern, typical

_RANGES = frozenset(("<", "<=", ">", ">="))
_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year", "bit")
_BINARY = ("binary", "varbinary")
_DEFAULTS = {
    "date": "2024-06-01",
    "datetime": "2024-06-01 12:00:00",
    "timestamp": "2024-06-01 12:00:00",
    "time": "12:00:00",
    "json": "{}",
    "uuid": "00000000-0000-0000-0000-000000000001",
    "inet4": "127.0.0.1",
    "inet6": "::1",
}
_BY_OPERATOR = {"LIMIT": "20", "OFFSET": "0", "INTERVAL": "1", "TYPE": "10", DATE_LITERAL: "'2024-06-01'"}
_BY_FUNCTION = {
    **dict.fromkeys(("time_to_str", "date_format", "str_to_time", "str_to_date", "time_format"), "'%Y-%m-%d'"),
    **dict.fromkeys(("json_extract", "json_value", "json_contains_path", "json_unquote"), "'$.a'"),
    **dict.fromkeys(("json_array_contains", "json_contains"), "'1'"),
    **dict.fromkeys(("group_concat", "concat_ws", "trim", "str_position", "replace"), "'a'"),
    **dict.fromkeys(("date", "datediff", "timestampdiff", "timestamp_diff", "date_diff"), "'2024-06-01'"),
    "match_against": "'a'",
}
_ALIKE = frozenset(("lower", "upper", "trim", "cast", "collate", "ltrim", "rtrim", "binary"))
_DATES = frozenset(("date", "ts_or_ds_to_date", DATE_LITERAL))
_PARTS = {"year": "2024", "month": "6", "day": "1", "day_of_month": "1", "hour": "12", "week": "23", "quarter": "2"}


@dataclass(frozen=True, slots=True)
class Samples:
    """Sets of literals, one for each `?`, and how many of them have values that their columns hold."""

    variants: tuple[tuple[str, ...], ...]
    sampled: int


def choose(
    count: int,
    meetings: Mapping[int, Meeting],
    types: Mapping[tuple[str, str, str], str],
    statistics: Mapping[tuple[str, str, str], ColumnStatistics],
    variants: int = 3,
) -> Samples:
    """Literals for `count` values. `types` and `statistics` are by (schema, table, column). The same input gives the
    same values."""
    bounds = ends(
        (one.number, (one.schema, one.table, one.column), one.operator.startswith("<"))
        for one in meetings.values()
        if one.operator in _RANGES and one.column is not None
    )
    sets: dict[tuple[str, ...], None] = {}
    sampled: set[int] = set()
    for variant in range(min(variants, MOST_VARIANTS)):
        values = []
        for number in range(count):
            one = meetings.get(number, Meeting(number))
            key = _key(one)
            kind = types.get(key, "") if key is not None else ""
            known = statistics.get(key) if key is not None else None
            value = _value(one, kind, known, variant, bounds.get(number))
            if value is not None:
                sampled.add(number)
            values.append(value if value is not None else _default(one, kind))
        sets.setdefault(tuple(values))
    return Samples(tuple(sets), len(sampled))


def default_value(kind: str) -> str:
    """Some literal of a column's type."""
    base = _base(kind)
    if base.startswith(_NUMBERS):
        return "1"
    if base in _DEFAULTS:
        return literal(_DEFAULTS[base])
    if base in ("enum", "set"):
        first = kind[kind.find("(") + 1 :].split("','")[0].strip("()'")
        return literal(first)
    return literal("a") if base else "1"


def _key(one: Meeting) -> tuple[str, str, str] | None:
    if one.schema is None or one.table is None or one.column is None:
        return None
    return one.schema, one.table, one.column


def _base(kind: str) -> str:
    return kind.split("(")[0].split(" ")[0].lower()


def _value(one: Meeting, kind: str, known: ColumnStatistics | None, variant: int, end: bool | None) -> str | None:
    """A literal from the statistics of the column that a value meets; None where they have none."""
    if known is None or (one.function is not None and one.function not in _ALIKE | _DATES):
        return None
    found: str | None = None
    if one.operator in _RANGES:
        found = cut(known, one.operator.startswith(">"), variant, end)
    elif one.operator == "LIKE":
        found = pattern(known, variant)
    elif one.operator in ("=", "<>"):
        chosen: Sequence[str] = typical(known, variant)
        found = chosen[one.place % len(chosen)] if chosen else None
    if found is None:
        return None
    if one.function in _DATES:
        found = found[:10]
    base = _base(kind)
    if base.startswith(_NUMBERS) and one.operator != "LIKE":
        return literal(found, number=True)
    if base in _BINARY and one.operator != "LIKE":
        return f"x'{found}'" if len(found) % 2 == 0 else None
    return literal(found)


def _default(one: Meeting, kind: str) -> str:
    if one.operator in _BY_OPERATOR or one.function == DATE_LITERAL:
        return _BY_OPERATOR[one.operator if one.operator in _BY_OPERATOR else DATE_LITERAL]
    if one.function in _PARTS:
        return _PARTS[one.function]
    if one.function in _BY_FUNCTION and not kind:
        return _BY_FUNCTION[one.function]
    if one.operator in ("LIKE", "REGEXP"):
        return "'%a%'" if one.operator == "LIKE" else "'a'"
    if one.function is not None and one.function not in _ALIKE:
        return "1" if _base(kind).startswith(_NUMBERS) or not kind else literal("a")
    return default_value(kind)


__all__ = ["Samples", "choose", "default_value"]
