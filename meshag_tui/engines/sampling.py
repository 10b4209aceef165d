"""Which of a column's values stand for a parameter: chosen from statistics, the same for every engine.

In: `ColumnStatistics`, and how the column is compared. Out: values as texts. A variant is one of several sets of values
that a statement is planned with; the same input gives the same values.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from meshag_tui.engines.base import ColumnStatistics

MOST_VARIANTS = 5
_RANGE_AT = ((0.5, 0.6), (0.9, 0.97), (0.1, 0.2), (0.25, 0.5), (0.75, 0.9))
"""For each variant, where in a column's values a range begins and ends."""
_LONE_AT = (0.9, 0.5, 0.98, 0.75, 0.1)
"""For each variant, where `column > value` cuts (for `<`, the mirror): mostly the newest rows are asked for."""


def typical(statistics: ColumnStatistics, variant: int) -> list[str]:
    """Values of a column to be asked for, the likeliest first; `variant` turns the list."""
    common, spread = list(statistics.common_values), list(statistics.histogram)
    share = sum(statistics.common_frequencies)
    middle = len(spread) // 2
    spread = spread[middle:] + spread[:middle]
    if common and (share >= 0.5 or not spread):
        # Few values, and often skewed: neither the commonest alone nor the rarest says what is asked for.
        start = (len(common) // 2, 0, len(common) - 1, len(common) // 4, 3 * len(common) // 4)[variant]
        return common[start:] + common[:start] + spread
    start = (0, len(spread) // 4, len(spread) // 2, len(spread) // 8, 3 * len(spread) // 8)[variant] if spread else 0
    return spread[start:] + spread[:start] + common


def cut(statistics: ColumnStatistics, greater: bool, variant: int, end: bool | None) -> str | None:
    """A value that a range begins or ends with; `end`, where it has both: False for the lower, True for the upper."""
    values = statistics.histogram or tuple(sorted(statistics.common_values, key=_sort_key))
    if not values:
        return None
    if end is None:
        share = _LONE_AT[variant] if greater else 1 - _LONE_AT[variant]
    else:
        share = _RANGE_AT[variant][1 if end else 0]
    return values[min(len(values) - 1, int(share * len(values)))]


def pattern(statistics: ColumnStatistics, variant: int, leading: int = 0) -> str | None:
    """A pattern for LIKE that begins with so many characters of a value.

    Where nobody knows where the wildcard was, it comes first: what no plain index serves promises nothing.
    """
    found = typical(statistics, variant)
    if found and leading:
        begin = found[0][:leading].replace("\\", "").replace("%", "").replace("_", "")
        return f"{begin}%" if begin else None
    return "%" + found[0][1:5].replace("%", "").replace("_", "") + "%" if found else None


def ends(bounds: Iterable[tuple[int, Hashable, bool]]) -> dict[int, bool]:
    """Of parameters that bound a column from both sides: False for the lower, True for the upper.

    Args:
        bounds: of each parameter in a range: its number, what it bounds, whether from above.
    """
    sides: dict[Hashable, dict[bool, int]] = {}
    for number, bounded, upper in bounds:
        sides.setdefault(bounded, {})[upper] = number
    return {number: upper for both in sides.values() if len(both) == 2 for upper, number in both.items()}


def _sort_key(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)
