"""How much of each table a sandbox with data copies: the small ones whole, of the others parts of equal size.

In: rows and bytes of each table, and the limits. Out: the share of each, 1 the whole table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meshag_tui.engines.rehearsal import CopyLimits

FOR_PARENTS = 0.4
"""Part of the limits that is kept for parents, where some have to be looked up."""
SPARE = 1.3
"""How many times the rows expected a sample may bring: pages are not equally full."""
ROUNDS = 20
"""How often parents of parents are looked for, and rows without any taken out."""
_SMALL = 8 * 1024 * 1024
"""Bytes up to which a table is copied whole even where that leaves others less."""
_MOST_KEYS = 5_000
"""Keys looked up by one statement."""

Name = tuple[str, str]


def shares(sizes: Mapping[Name, tuple[int, int]], limits: CopyLimits, kept: float = 0.0) -> dict[Name, float]:
    """The part of each table, from its (rows, bytes): what smaller ones leave is for the larger ones.

    Args:
        kept: part of the limits that is for something else.
    """
    found = {}
    bytes_left, rows_left = limits.bytes * (1 - kept), limits.rows * (1 - kept)
    order = sorted(sizes, key=lambda name: sizes[name][1])
    for at, name in enumerate(order):
        rows, size = sizes[name]
        many = len(order) - at
        if size <= min(_SMALL, bytes_left) and rows <= rows_left / many:
            share = 1.0
        else:
            share = min(1.0, bytes_left / many / max(size, 1), rows_left / many / max(rows, 1))
        found[name] = float(f"{share:.3g}") if share < 1 else 1.0
        bytes_left -= size * share
        rows_left -= rows * share
    return found


def batches(rows: Sequence[tuple[str, ...]]) -> list[Sequence[tuple[str, ...]]]:
    """Keys, as many together as one statement looks up."""
    return [rows[at : at + _MOST_KEYS] for at in range(0, len(rows), _MOST_KEYS)]
