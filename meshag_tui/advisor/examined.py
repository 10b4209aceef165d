"""A statement of the workload as the rules see it: its figures, its present plan, its conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.plan import Plan, Predicate

if TYPE_CHECKING:
    from meshag_tui.store.history import QueryRow

_NOISE = re.compile(r"/\*.*?\*/|--[^\n]*|'(?:[^']|'')*'", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Examined:
    """`plan` is None where the statement could not be explained. `share` is its part of all measured time, 0..1."""

    query: QueryRow
    share: float
    plan: Plan | None = None
    predicates: tuple[Predicate, ...] = ()

    @property
    def words(self) -> str:
        """The text without comments and quoted constants, blanks as one space."""
        return " ".join(_NOISE.sub(" ", self.query.text or "").split())

    @property
    def rows_per_call(self) -> float | None:
        rows = self.query.rows
        return rows / self.query.calls if rows is not None and self.query.calls else None

    @property
    def blocks_per_call(self) -> float | None:
        """Blocks of tables and indexes touched by one call, from cache or disk."""
        hit, read = self.query.shared_hit, self.query.shared_read
        if hit is None and read is None:
            return None
        return ((hit or 0) + (read or 0)) / max(self.query.calls, 1)
