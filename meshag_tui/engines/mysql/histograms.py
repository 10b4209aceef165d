"""What the planner itself was told of a column's values: MySQL's histograms, MariaDB's engine-independent statistics.

In: a session and a table, and what a sample of its rows says. Out: the same with what the server has seen in more rows
than we have, unless the sample shows that this was long ago.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.mysql.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.base import ColumnStatistics
    from meshag_tui.engines.mysql.session import MysqlSession

MOST_COMMON = 100
PRIVATE = "column_stats"
"""MariaDB's table of them, in `mysql`, which is nobody's to read but by a grant."""
_OTHERWISE_BY = 3.0
_NOTABLE = 0.02
_BEYOND = 0.1


@dataclass(frozen=True, slots=True)
class Told:
    """Of one column: share of NULLs, values in all, and either values with their shares or the ends of buckets."""

    nulls: float
    distinct: float | None
    values: tuple[tuple[str, float], ...] = ()  # the commonest first
    ends: tuple[str, ...] = ()


async def read(session: MysqlSession, here: Mapping[str, str], rows: float) -> dict[str, Told]:
    """By column; those that somebody made, and that we may read.

    Sources: information_schema.COLUMN_STATISTICS, mysql.column_stats.

    Args:
        here: "schema" and "table".
        rows: of the table, by estimate.
    """
    if session.server.flavour == "MySQL":
        found = await session.fetch(load("histograms"), here)
        return {name: _of_mysql(json.loads(text) if isinstance(text, str | bytes) else text) for name, text in found}
    if PRIVATE not in session.server.readable:
        return {}
    return {
        str(name): _of_mariadb(float(nulls or 0), float(each or 0), text, rows)
        for name, nulls, each, text in await session.fetch(load("column_stats"), here)
    }


def _of_mysql(document: Mapping[str, Any]) -> Told:
    nulls = float(document.get("null-values", 0.0))
    buckets: Sequence[Any] = document.get("buckets") or []
    if document.get("histogram-type") == "singleton":
        values, before = [], 0.0
        for value, upto in buckets:
            values.append((_plain(value), upto - before))
            before = upto
        return _single(nulls, values)
    ends = [_plain(bucket[0]) for bucket in buckets] + [_plain(bucket[1]) for bucket in buckets[-1:]]
    return Told(nulls, float(sum(bucket[3] for bucket in buckets)) or None, ends=tuple(ends))


def _of_mariadb(nulls: float, each: float, text: str | None, rows: float) -> Told:
    """`each`: rows of a value, on average; `text`: a histogram of kind JSON_HB."""
    told = Told(nulls, max(1.0, rows * (1 - nulls) / each) if each > 0 else None)
    buckets = [] if text is None else json.loads(text).get("histogram_hb") or []
    if not buckets:
        return told
    if all(bucket.get("ndv") == 1 for bucket in buckets):
        return _single(nulls, [(str(bucket["start"]), bucket["size"] * (1 - nulls)) for bucket in buckets])
    return replace(told, ends=(*(str(bucket["start"]) for bucket in buckets), str(buckets[-1].get("end", ""))))


def _single(nulls: float, values: Sequence[tuple[str, float]]) -> Told:
    return Told(nulls, float(len(values)), tuple(sorted(values, key=lambda one: -one[1])))


def _plain(value: Any) -> str:
    """A bucket's end as text: MySQL keeps strings as base64."""
    text = str(value)
    if text.startswith("base64:"):
        try:
            return base64.b64decode(text.split(":", 2)[2]).decode("utf-8", "replace")
        except (binascii.Error, IndexError):
            return text
    return text.removesuffix(".000000")


def with_told(one: ColumnStatistics, told: Told, ranked: Callable[[str], Any]) -> ColumnStatistics:
    """A column's statistics by a sample, with what the server was told; as they are where that is out of date.

    Args:
        ranked: the order of the column's values.
    """
    if _is_old(one, told, ranked):
        return one
    one = replace(one, null_fraction=told.nulls, distinct=told.distinct or one.distinct)
    if told.values:
        return replace(
            one,
            common_values=tuple(value for value, _ in told.values[:MOST_COMMON]),
            common_frequencies=tuple(share for _, share in told.values[:MOST_COMMON]),
            histogram=(),
        )
    if one.common_values or len(told.ends) < 2:  # buckets name no common values: the sample's stay
        return one
    return replace(one, histogram=told.ends)


def _is_old(one: ColumnStatistics, told: Told, ranked: Callable[[str], Any]) -> bool:
    """Whether rows that are there now are not in what the server was told: other shares, or values beyond all of it."""
    if told.values:
        shares = dict(told.values)
        seen = zip(one.common_values, one.common_frequencies, strict=False)
        return any(share >= max(_NOTABLE, _OTHERWISE_BY * shares.get(value, 0.0)) for value, share in seen)
    if len(told.ends) < 2 or not one.histogram:
        return False
    first, last = ranked(told.ends[0]), ranked(told.ends[-1])
    beyond = sum(not first <= ranked(value) <= last for value in one.histogram)
    return beyond > _BEYOND * len(one.histogram)
