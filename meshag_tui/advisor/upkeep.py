"""What an index costs those who write: entries to make for rows written, and updates in place that it would end.

PostgreSQL updates a row in place, touching no index, while no indexed column changes (HOT). An index on a column that
statements update ends that for the whole table: every index then gets an entry for each such update.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from meshag_tui.advisor.pricing import Statement
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.types import IndexSpec

ROW_UPKEEP_MS = 0.01
"""Assumed time to keep one index entry for one written row."""
_SET = re.compile(r"\bset\b(.*?)(?:\bwhere\b|\bfrom\b|\breturning\b|$)", re.IGNORECASE | re.DOTALL)
_ASSIGNED = re.compile(r'(?:^|,)\s*(?:[\w"`]+\.)?["`]?(\w+)["`]?\s*=')


@dataclass(frozen=True)
class Upkeep:
    """What keeping an index takes in the window. `updated`: columns that statements of the workload assign.

    `expected_ms` is what an index on all rows of the database is reckoned to take at least. A window in which nothing
    was written says little: its tables were filled once, most rows came to the largest ones, and more will come.
    """

    tables: Tables
    updated: Mapping[Relation, frozenset[str]] = field(default_factory=dict)
    expected_ms: float = 0.0

    def rows(self, spec: IndexSpec) -> float:
        """Entries written in the window because of the index, those of other indexes it brings about included."""
        view = self.tables.view(spec.schema, spec.table)
        if view is None:
            return 0.0
        share = view.where_share(spec.where)
        touched = {key.name for key in spec.columns} | set(spec.include)
        if not touched & self.updated.get(view.relation, frozenset()):
            return share * (view.writes - view.hot_updates)
        return share * view.writes + view.hot_updates * len(view.indexes)

    def seen_ms(self, spec: IndexSpec) -> float:
        """Time for the rows that were written in the window."""
        return self.rows(spec) * ROW_UPKEEP_MS

    def ms(self, spec: IndexSpec) -> float:
        """Time to be reckoned with: for what was written, at least for what is to be expected."""
        view = self.tables.view(spec.schema, spec.table)
        share = view.rows * view.where_share(spec.where) / self._all_rows if view is not None else 0.0
        return max(self.seen_ms(spec), self.expected_ms * share)

    @cached_property
    def _all_rows(self) -> float:
        return sum(view.rows for key, view in self.tables.views.items() if key not in self.tables.parents) or 1.0


def upkeep(statements: Sequence[Statement], tables: Tables, expected: float) -> Upkeep:
    """The write side of a workload. `expected`: part of its time that an index on every row is reckoned to take."""
    updated: dict[Relation, set[str]] = {}
    for one in statements:
        root = one.plan.root
        match = _SET.search(one.query.text or "") if root.extra.get("Operation") == "Update" else None
        if match is not None and root.schema and root.table:
            names = {name.lower() for name in _ASSIGNED.findall(match[1])}
            updated.setdefault(tables.home(root.schema, root.table), set()).update(names)
    whole = sum(one.weight for one in statements)
    return Upkeep(tables, {relation: frozenset(names) for relation, names in updated.items()}, expected * whole)
