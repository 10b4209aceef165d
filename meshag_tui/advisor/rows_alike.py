"""Conditions that compare columns of one row with each other: `sent_on > due_on`. They hold no constant.

So it is certain that every call asks for these rows, and an index on them alone serves it: smaller by the rest of the
table, and cheaper to keep. How many rows meet one nobody counts: planners guess a third, we compare what statistics say
of both columns, as if these had nothing to do with each other.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from meshag_tui.engines.base import ColumnStatistics
from meshag_tui.plan import Predicate

MOST = 2
"""Conditions that are taken together."""
UNKNOWN_SHARE = 0.5
_NAME = r'"((?:[^"]|"")+)"'
_ONE = re.compile(rf"{_NAME} (<=?|=|<>) {_NAME}")
_ALL = re.compile(rf"{_ONE.pattern}(?: AND {_ONE.pattern})*")
_IN_ORDER = ("date", "timestamp without time zone", "timestamp with time zone")
"""Types whose printed values sort as they do, as numbers do by their value."""
_MIRRORED = {"<": ">", "<=": ">=", "=": "=", "<>": "<>"}

Condition = tuple[str, str, str]
"""Column, operator, column."""


def conditions(where: str | None) -> tuple[Condition, ...]:
    """The comparisons of a predicate that is made of such alone; none for any other."""
    if where is None or not _ALL.fullmatch(where):
        return ()
    return tuple((_plain(one), how, _plain(other)) for one, how, other in _ONE.findall(where))


def each(where: str | None) -> tuple[str, ...]:
    """The conditions of a predicate, one by one."""
    return tuple(f"{_quoted(one)} {how} {_quoted(other)}" for one, how, other in conditions(where))


def wheres(predicates: Sequence[Predicate], types: Mapping[str, str]) -> Iterator[str]:
    """Predicates of indexes on the rows that a statement asks for: each condition, and all of them together."""
    single = sorted({one.expression for one in predicates if one.kind == "row" and not one.alternatives})
    # Between types, a comparison may depend on the session's time zone, which no index can.
    single = [text for text in single if all(types.get(a, "") == types.get(b) for a, _, b in conditions(text))]
    if 1 < len(single) <= MOST:
        yield " AND ".join(single)
    yield from single


def without(text: str, alias: str, where: str | None) -> str:
    """A condition as a plan prints it, without what the index's own predicate says already."""
    for one, how, other in conditions(where):
        for left, sign, right in ((one, how, other), (other, _MIRRORED[how], one)):
            text = text.replace(f"({_printed(alias)}.{_printed(left)} {sign} {_printed(alias)}.{_printed(right)})", "")
    return text


def share(where: str, columns: Mapping[str, ColumnStatistics]) -> float:
    """Share of the rows that meet all of these, as far as statistics of the columns say; each as if by itself."""
    found = 1.0
    for one, how, other in conditions(where):
        found *= _share(columns.get(one), how, columns.get(other))
    return found


def _share(one: ColumnStatistics | None, how: str, other: ColumnStatistics | None) -> float:
    if one is None or other is None:
        return UNKNOWN_SHARE
    known = (1 - one.null_fraction) * (1 - other.null_fraction)
    if how in ("=", "<>"):
        equal = 1 / max(one.distinct, other.distinct, 1.0)
        return known * (equal if how == "=" else 1 - equal)
    mine, theirs = _spread(one), _spread(other)
    if not mine or not theirs:
        return known * UNKNOWN_SHARE
    values = [value for value, _ in theirs]
    above = [*itertools.accumulate((weight for _, weight in reversed(theirs)), initial=0.0)][::-1]
    first = bisect.bisect_right if how == "<" else bisect.bisect_left
    less = sum(weight * above[first(values, value)] for value, weight in mine)
    return known * less / (sum(weight for _, weight in mine) * above[0])


def _spread(one: ColumnStatistics) -> list[tuple[float | str, float]]:
    """Values with how often they are, ascending; empty where their order is not that of what is printed."""
    rest = max(0.0, 1 - sum(one.common_frequencies) - one.null_fraction) / max(1, len(one.histogram))
    found = [*zip(one.common_values, one.common_frequencies, strict=False), *((value, rest) for value in one.histogram)]
    if one.type in _IN_ORDER:
        return sorted(found)
    try:
        return sorted((float(value), weight) for value, weight in found)
    except ValueError:
        return []


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(name: str) -> str:
    return name.replace('""', '"')


def _printed(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else _quoted(name)
