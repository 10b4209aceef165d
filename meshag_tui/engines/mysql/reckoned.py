"""What reading and sorting cost in the server's cost model, where the server does not say it: MariaDB's whole plans.

The formulas are the advisor's, so that what it reckons with an index is comparable with what is shown without.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from meshag_tui.snapshot import CostModel

_DEFAULT_ROWS = 1000.0


@dataclass(frozen=True, slots=True)
class Size:
    """A table: its rows and bytes as estimated by the server."""

    rows: float = _DEFAULT_ROWS
    bytes: float = 0.0
    page: int = 16_384

    @property
    def pages(self) -> float:
        return max(1.0, math.ceil(self.bytes / self.page))

    @property
    def row_bytes(self) -> int:
        return max(1, round(self.bytes / max(1.0, self.rows)))


def whole_table(size: Size, costs: CostModel) -> float:
    """Read it from end to end."""
    return size.pages * costs.sequential_page + size.rows * costs.row


def whole_index(size: Size, rows: float, covering: bool, costs: CostModel) -> float:
    """Walk an index, and visit the table for each entry where the index does not hold all that is wanted."""
    entries = max(1.0, size.pages * 0.3) * min(1.0, rows / max(1.0, size.rows)) * costs.sequential_page
    walked = entries + rows * costs.row
    return walked if covering else walked + _scattered(size, rows) * costs.random_page


def lookup(size: Size, rows: float, covering: bool, clustered: bool, costs: CostModel) -> float:
    """Go down an index once and fetch this many rows through it."""
    descent = costs.operator * math.log2(max(2.0, size.rows)) + costs.random_page
    share = min(1.0, rows / max(1.0, size.rows))
    if clustered or covering:
        pages = size.pages * share * (1.0 if clustered else 0.3) * costs.sequential_page
    else:
        pages = _scattered(size, rows) * costs.random_page
    return descent + pages + rows * (costs.index_entry + costs.row)


def sorting(rows: float, costs: CostModel) -> float:
    return max(1.0, rows) * costs.row


def _scattered(size: Size, rows: float) -> float:
    """Pages that so many rows lie on, anywhere in the table."""
    return size.pages * (1 - math.exp(-rows / size.pages))
