"""What the columns of a table hold: the advisor's statistics, which neither server keeps for all columns.

In: a session and a table. Out: `ColumnStatistics` as PostgreSQL's planner has them. Histograms, where somebody made
them, and the cardinality of indexes are taken from the server; what they do not say is counted in a sample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import ColumnStatistics
from meshag_tui.engines.mysql import histograms
from meshag_tui.engines.mysql.histograms import MOST_COMMON
from meshag_tui.engines.mysql.sample import Column, Sample, read_sample
from meshag_tui.engines.mysql.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

BUCKETS = 100
_NUMBERS = frozenset(("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year", "bit"))
_TIMES = frozenset(("date", "datetime", "timestamp", "time"))
_WIDTHS = {
    **{"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8, "float": 4, "double": 8, "decimal": 8},
    **{"date": 3, "datetime": 5, "timestamp": 4, "time": 3, "year": 1, "enum": 2},
}
_TOO_WIDE = 20


@dataclass(frozen=True, slots=True)
class _KeyPart:
    """A column of an index. `cardinality` is of the key up to it."""

    column: str
    cardinality: int | None
    unique: bool
    prefix: bool


async def column_statistics(session: MysqlSession, schema: str, table: str) -> tuple[ColumnStatistics, ...]:
    """The statistics of a table's columns, in order; empty for what is no table, or not ours to read.

    Raises:
        EngineError: the session is lost.
    """
    here = {"schema": schema, "table": table}
    columns = [
        Column(name, kind, base.lower(), null == "YES")
        for name, kind, base, null in await session.fetch(load("columns_of_table"), here)
    ]
    if not columns:
        return ()
    keys, rows = await _keys(session, here)
    told = await histograms.read(session, here, rows)
    primary = [one.column for one in keys.get("PRIMARY", ())]
    sample = await read_sample(session, schema, table, columns, primary, rows)
    first = {parts[0].column: parts[0] for parts in keys.values() if parts[0].cardinality and not parts[0].prefix}
    unique = {parts[0].column for parts in keys.values() if len(parts) == 1 and parts[0].unique and not parts[0].prefix}
    found = []
    for at, column in enumerate(columns):
        one = _counted(column, [row[at] for row in sample.rows], sample, rows)
        key = first.get(column.name)
        cardinality = key.cardinality if key is not None else None
        one = _with_index(one, column, cardinality, column.name in unique, rows, sample)
        if column.name in told and not sample.whole:
            one = histograms.with_told(one, told[column.name], _ranked(column))
        found.append(one)
    return tuple(found)


async def _keys(session: MysqlSession, here: Mapping[str, str]) -> tuple[dict[str, list[_KeyPart]], float]:
    """The parts of each index, and the table's rows by estimate."""
    keys: dict[str, list[_KeyPart]] = {}
    total = 0.0
    for index, column, cardinality, loose, part, count in await session.fetch(load("cardinalities"), here):
        total = float(count or 0)
        if index is not None and column is not None:
            known = None if cardinality is None else int(cardinality)
            keys.setdefault(index, []).append(_KeyPart(column, known, not int(loose), part is not None))
    return keys, total


def _counted(column: Column, values: Sequence[str | None], sample: Sample, rows: float) -> ColumnStatistics:
    """What the sample alone says."""
    known = [value for value in values if value is not None]
    counts = Counter(known)
    seen, total = len(known), max(rows, float(len(values)))
    nulls = 1 - seen / len(values) if values else 0.0
    if not values or not column.readable:
        return ColumnStatistics(column.name, column.type, nulls, 0.0, _width(column, known))
    common = [
        (value, times) for value, times in counts.most_common(MOST_COMMON) if _is_common(times, seen, len(counts))
    ]
    named = {value for value, _ in common}
    rest = sorted((value for value in known if value not in named), key=_ranked(column))
    histogram: tuple[str, ...] = ()
    if len(set(rest)) > 1:
        last = len(rest) - 1
        histogram = tuple(rest[round(at * last / min(BUCKETS, last))] for at in range(min(BUCKETS, last) + 1))
    return ColumnStatistics(
        column=column.name,
        type=column.type,
        null_fraction=nulls,
        distinct=_distinct(counts, seen, total * (1 - nulls), sample.whole),
        average_width=_width(column, known),
        common_values=tuple(value for value, _ in common),
        common_frequencies=tuple(times / len(values) for _, times in common),
        histogram=histogram,
        correlation=_correlation(column, values) if sample.ordered else None,
    )


def _is_common(times: int, seen: int, distinct: int) -> bool:
    return times > 1 and ((distinct <= MOST_COMMON and times * distinct >= seen / 4) or times > 1.25 * seen / distinct)


def _distinct(counts: Mapping[str, int], seen: int, rows: float, whole: bool) -> float:
    """Number of values in the table, negative as a share of its rows (Haas and Stokes)."""
    if not seen:
        return 0.0
    different = len(counts)
    once = sum(1 for times in counts.values() if times == 1)
    if whole or rows <= seen:
        estimated = float(different)
    elif once == different:
        return -1.0
    else:
        estimated = seen * different / (seen - once + once * seen / rows)
        estimated = min(max(estimated, different), rows)
    return -estimated / rows if rows > 0 and estimated > 0.1 * rows else estimated


def _with_index(
    one: ColumnStatistics, column: Column, cardinality: int | None, unique: bool, rows: float, sample: Sample
) -> ColumnStatistics:
    """The number of values as an index has it, where a sample can only guess."""
    if unique and not column.nullable:
        return replace(one, distinct=-1.0)
    few = 0 < one.distinct <= len(sample.rows) / 10
    if cardinality is None or cardinality <= 0 or rows <= 0 or (sample.whole or few):
        return one
    return replace(one, distinct=-cardinality / rows if cardinality > 0.1 * rows else float(cardinality))


def _width(column: Column, known: Sequence[str]) -> int:
    if column.base in _WIDTHS:
        return _WIDTHS[column.base]
    if column.base == "decimal":
        return 8
    if column.base == "set" or not known or not column.readable:
        return _TOO_WIDE
    return max(1, round(sum(len(value) for value in known) / len(known)))


def _ranked(column: Column) -> Callable[[str], Any]:
    if column.base not in _NUMBERS:
        return str.casefold

    def number(value: str) -> float:
        try:
            return float(value)
        except ValueError:
            return 0.0

    return number


def _correlation(column: Column, values: Sequence[str | None]) -> float | None:
    """How far the order of the values follows the primary key, -1 to 1: of numbers and times only."""
    known = [value for value in values if value is not None]
    if column.base not in _NUMBERS | _TIMES or len(set(known)) < 2:
        return None
    order = sorted(range(len(known)), key=lambda at: _ranked(column)(known[at]))
    ranks = [0] * len(known)
    for rank, at in enumerate(order):
        ranks[at] = rank
    middle = (len(known) - 1) / 2
    top = sum((at - middle) * (rank - middle) for at, rank in enumerate(ranks))
    bottom = sum((at - middle) ** 2 for at in range(len(known)))
    return top / bottom if bottom else None


__all__ = ["column_statistics"]
