"""How many rows a condition keeps, and how many groups there are, from the statistics of columns.

MariaDB without histograms says that every condition keeps all rows, MySQL guesses a tenth, a third or a ninth. Where a
sample of the table tells more, its word is taken; where it tells nothing, MySQL's guesses are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshag_tui.engines.base import ColumnStatistics
from meshag_tui.engines.mysql.predicates import Comparison

EQUAL, RANGE, PATTERN = 0.1, 1 / 3, 1 / 9
"""What MySQL guesses."""
Lookup = Callable[[str, str, str], ColumnStatistics | None]
"""The statistics of a column by schema, table, name."""


def share(conditions: Sequence[Comparison], statistics: Lookup, rows: Callable[[str, str], float]) -> float:
    """The share of its table's rows that meets all of these, 0..1.

    Args:
        rows: the rows of a table.
    """
    arms: dict[int, list[Comparison]] = {}
    for one in conditions:
        arms.setdefault(one.arm, []).append(one)
    kept = _all_of(arms.pop(0, []), statistics, rows)
    if arms:
        missed = 1.0
        for arm in arms.values():
            missed *= 1 - _all_of(arm, statistics, rows)
        kept *= 1 - missed
    return min(1.0, max(0.0, kept))


def distinct(one: ColumnStatistics | None, rows: float) -> float | None:
    """The number of values of a column, None where nothing is known."""
    if one is None or one.distinct == 0:
        return None
    return max(1.0, -one.distinct * rows if one.distinct < 0 else one.distinct)


def _all_of(conditions: Sequence[Comparison], statistics: Lookup, rows: Callable[[str, str], float]) -> float:
    kept = 1.0
    bounds: dict[str, list[Comparison]] = {}
    seen: set[tuple[str | None, str, str | None]] = set()
    for one in conditions:
        mark = (one.column, one.operator, one.value)
        if one.column is not None and mark in seen:
            continue
        seen.add(mark)
        known = statistics(one.scan.schema, one.scan.table, one.column) if one.column is not None else None
        if one.kind == "range" and one.column is not None:
            bounds.setdefault(one.column, []).append(one)
        else:
            kept *= _single(one, known, rows(one.scan.schema, one.scan.table))
    for column, both in bounds.items():
        scan = both[0].scan
        kept *= _between(both, statistics(scan.schema, scan.table, column))
    return kept


def _single(one: Comparison, known: ColumnStatistics | None, rows: float) -> float:
    if one.operator == "IS NULL":
        return known.null_fraction if known is not None else EQUAL
    if one.operator == "IS NOT NULL":
        return 1 - known.null_fraction if known is not None else 1.0
    if one.kind in ("eq", "join"):
        return min(1.0, _equal(one, known, rows))
    if one.operator == "<>":
        return 1 - min(1.0, _equal(one, known, rows)) if known is not None else 1.0
    if one.kind == "like-prefix":
        return _prefix(one.value, known)
    if one.kind == "like":
        return PATTERN
    return RANGE if one.kind == "range" else 1.0


def _equal(one: Comparison, known: ColumnStatistics | None, rows: float) -> float:
    different = distinct(known, rows)
    if known is None or different is None:
        return EQUAL if one.values <= 1 else min(0.5, EQUAL * one.values)
    named = zip(known.common_values, known.common_frequencies, strict=True)
    frequencies = {_comparable(each): part for each, part in named}
    value = None if (bare := _bare(one.value)) is None else _comparable(bare)
    if value is not None and value in frequencies:
        return frequencies[value]
    if one.values > 1:
        return one.values * (1 - known.null_fraction) / different
    rest = max(0.0, 1 - known.null_fraction - sum(frequencies.values()))
    if value is not None and frequencies:
        return rest / max(1.0, different - len(frequencies)) if rest > 0 else 1 / max(rows, 1.0)
    return (1 - known.null_fraction) / different


def _between(bounds: Sequence[Comparison], known: ColumnStatistics | None) -> float:
    """The share between a lower and an upper bound."""
    low, high, told = 0.0, 1.0, False
    for one in bounds:
        value = _bare(one.value)
        part = _below(value, known) if value is not None and known is not None else None
        if part is None:
            continue
        told = True
        if one.operator.startswith(">"):
            low = max(low, part)
        else:
            high = min(high, part)
    if not told:
        return RANGE if len(bounds) == 1 else PATTERN
    nulls = known.null_fraction if known is not None else 0.0
    return max(0.001, high - low) * (1 - nulls)


def _below(value: str, known: ColumnStatistics) -> float | None:
    """The share of a column's values, NULLs apart, below one."""
    here = _comparable(value)
    spread = [one for each in known.histogram if type(one := _comparable(each)) is type(here)]
    pairs = zip(known.common_values, known.common_frequencies, strict=True)
    common = [(one, part) for each, part in pairs if type(one := _comparable(each)) is type(here)]
    if len(spread) < len(known.histogram) or len(common) < len(known.common_values) or not (spread or common):
        return None
    below = sum((part for each, part in common if _less(each, here)), 0.0)
    if spread:
        named = sum(known.common_frequencies)
        part = sum(1 for each in spread if _less(each, here)) / len(spread)
        below += part * max(0.0, 1 - known.null_fraction - named)
    return min(1.0, below / max(1e-9, 1 - known.null_fraction))


def _less(one: float | str, other: float | str) -> bool:
    return one < other  # type: ignore[operator]  # both are of one type


def _prefix(value: str | None, known: ColumnStatistics | None) -> float:
    beginning = (_bare(value) or "").split("%")[0].split("_")[0].casefold()
    if known is None or not beginning or not (known.histogram or known.common_values):
        return PATTERN
    named = dict(zip(known.common_values, known.common_frequencies, strict=True))
    share = sum(part for each, part in named.items() if each.casefold().startswith(beginning))
    if known.histogram:
        part = sum(1 for each in known.histogram if each.casefold().startswith(beginning)) / len(known.histogram)
        share += part * max(0.0, 1 - known.null_fraction - sum(named.values()))
    return max(share, 0.001)


def _bare(value: str | None) -> str | None:
    """A constant as printed, without its quotes."""
    if value is None or value.startswith("("):
        return None
    if value.startswith("'") and value.endswith("'") and len(value) > 1:
        return value[1:-1].replace("''", "'").replace("\\\\", "\\").removesuffix(".000000")
    return value


def _comparable(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value.casefold()
