"""How large an index gets: one reckoning for the advisor and for sandboxes.

In: rows in it, the width of an entry's columns in bytes, how many different keys there are. Out: bytes.
"""

from __future__ import annotations

import math

FILL = 0.9
"""Share of a page that is filled when an index is made."""
_LARGEST_ENTRY = 0.1  # of a page: what one shared entry takes at most when an index is made
_ROW = 6  # bytes of a row in the list of a shared entry
_LIST_END = 4  # bytes lost, on average, where the list of a shared entry is rounded up
_UPPER_PAGES = 1.01
"""Pages above the leaves, and the root's."""


def entry_bytes(width: float) -> int:
    """Bytes of one entry of a B-tree: its head and its columns, aligned."""
    return 8 * math.ceil((8 + width) / 8)


def index_bytes(
    rows: float, width: float, distinct: float, *, method: str = "btree", shares_repeats: bool, page: int = 8192
) -> int:
    """Size of an index.

    Args:
        rows: of the table that are in it.
        width: mean bytes of keys and included columns together.
        distinct: different keys among them.
        shares_repeats: whether equal keys are kept once, each with a list of rows (PostgreSQL 13 and later).
    """
    if method == "brin":
        return 3 * page
    rows = max(1.0, rows)
    size = entry_bytes(width) + 4
    repeats = rows / min(max(1.0, distinct), rows)
    entries = rows * size
    if shares_repeats and repeats >= 2:
        longest = max(2.0, (page * _LARGEST_ENTRY - size) // _ROW)  # rows in one list
        entries = rows / min(repeats, longest) * (size + _LIST_END) + rows * _ROW
    if method == "gin":
        entries *= 1.5  # several entries a row, kept once each with a compressed list of rows
    return int(max(2 * page, entries * _UPPER_PAGES / FILL))
