"""What is asked of whatever prices a statement: the statement with its present plan, and a price with its source.

`planner.Planner` asks the server, `reckoner.Reckoner` uses the planner's formulas; the search asks either.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from meshag_tui.advisor.candidates import Candidate
from meshag_tui.advisor.statistics import Tables
from meshag_tui.plan import Plan, Predicate
from meshag_tui.types import EvidenceKind, IndexSpec

if TYPE_CHECKING:
    from meshag_tui.store.history import QueryRow

MISJUDGED = 5.0
SLIGHT_BLOCKS = 8
"""Blocks a call from which on something can be spared: a look-up in a new index takes three or four."""
SLIGHT_ROWS = 60
"""The same in rows read, where these are counted: no more than lie on a page."""
_HANDS_UP_ALL = frozenset(
    {"Sort", "Incremental Sort", "Gather", "Gather Merge", "Result", "ModifyTable", "Bitmap Index Scan", "BitmapOr"}
)


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement of the workload with its present plan. `weight` is the time it counts for, ms in the window."""

    query: QueryRow
    plan: Plan
    predicates: tuple[Predicate, ...]
    candidates: tuple[Candidate, ...]
    weight: float

    def observed_share(self, tables: Tables) -> float | None:
        """Share of its one table's rows that a call really returned or changed; None where rows do not say it."""
        return self._share(tables, _HANDS_UP_ALL)

    def least_share(self, tables: Tables) -> float:
        """Share of its one table's rows that calls are known to find at least: a LIMIT may have cut off more."""
        return self._share(tables, _HANDS_UP_ALL | {"Limit"}) or 0.0

    def _share(self, tables: Tables, passing: Set[str]) -> float | None:
        scans = [node for node in self.plan.root.walk() if node.table is not None and node.kind != "ModifyTable"]
        if len(scans) != 1 or self.query.rows is None or not self.query.calls:
            return None
        if any(node.kind not in passing for node in self.plan.root.walk() if node is not scans[0]):
            return None
        view = tables.view(scans[0].schema or "", scans[0].table or "")
        if view is None:
            return None
        read = view.rows
        if self.query.rows_examined and scans[0].kind == "Seq Scan":  # counted goes above an estimate of the table
            read = max(read, self.query.rows_examined / self.query.calls)
        return min(1.0, self.query.rows / self.query.calls / read)

    @property
    def slight(self) -> bool:
        """Whether calls were counted to read next to nothing, whatever sample values promise."""
        calls, query = self.query.calls, self.query
        if not calls:
            return False
        if query.rows_examined is not None:
            return query.rows_examined <= SLIGHT_ROWS * calls
        if query.shared_hit is None or query.shared_read is None:
            return False
        return query.shared_hit + query.shared_read <= SLIGHT_BLOCKS * calls

    def guessed_range(self, tables: Tables) -> str | None:
        """A column that is to lie between two values, how far apart nobody shows: statistics of statements keep no
        values, and no row that comes back is one of those read. None where there is none."""
        if self.plan.mode == "literal" or self.observed_share(tables) is not None:
            return None
        sides: dict[tuple[str, str], set[str]] = {}
        for one in self.predicates:
            if one.kind == "range" and one.column is not None and not one.alternatives:
                sides.setdefault((one.alias, one.column), set()).add(one.operator.strip("~")[:1])
        return next((column for (_, column), both in sides.items() if len(both) > 1), None)

    def misjudged(self, tables: Tables) -> bool:
        """Whether calls really find far fewer rows than the plan's sample values promise."""
        seen = self.observed_share(tables)
        if seen is None or self.plan.mode == "literal":
            return False
        scan = next(node for node in self.plan.root.walk() if node.table is not None and node.kind != "ModifyTable")
        view = tables.view(scan.schema or "", scan.table or "")
        return view is not None and scan.rows > MISJUDGED * max(1.0, seen * view.rows)


@dataclass(frozen=True)
class Price:
    """A cost in planner units and how it is known.

    `used`: the indexes without which it would be another; None where that is not known. `plan` is the planner's, and
    `chosen_by` what it chose it by, where the cost is likely to be another. `times` what the statement takes today it
    would take, where that is reckoned otherwise than by the cost.
    """

    cost: float
    evidence: EvidenceKind
    used: frozenset[IndexSpec] | None = None
    plan: Plan | None = None
    chosen_by: float | None = None
    times: float | None = None


class Pricer(Protocol):
    """Prices one statement as if these indexes existed."""

    calls: int

    async def price(self, statement: Statement, specs: frozenset[IndexSpec]) -> Price: ...

    def size(self, spec: IndexSpec) -> int: ...
