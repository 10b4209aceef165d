"""What an index costs those who write: entries to make for rows written, and updates in place that it would end.

PostgreSQL updates a row in place, touching no index, while no indexed column changes (HOT). An index on a column that
statements update ends that for the whole table: every index then gets an entry for each such update.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshag_tui.advisor.pricing import Statement
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.types import IndexSpec

ROW_UPKEEP_MS = 0.01
"""Assumed time to keep one index entry for one written row."""
_SET = re.compile(r"\bset\b(.*?)(?:\bwhere\b|\bfrom\b|\breturning\b|$)", re.IGNORECASE | re.DOTALL)
_ASSIGNED = re.compile(r'(?:^|,)\s*(?:[\w"`]+\.)?["`]?(\w+)["`]?\s*=')


@dataclass(frozen=True)
class Upkeep:
    """What keeping an index takes in the window. `updated`: columns that statements of the workload assign."""

    tables: Tables
    updated: Mapping[Relation, frozenset[str]] = field(default_factory=dict)

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

    def ms(self, spec: IndexSpec) -> float:
        return self.rows(spec) * ROW_UPKEEP_MS


def upkeep(statements: Iterable[Statement], tables: Tables) -> Upkeep:
    """The write side of a workload."""
    updated: dict[Relation, set[str]] = {}
    for one in statements:
        root = one.plan.root
        match = _SET.search(one.query.text or "") if root.extra.get("Operation") == "Update" else None
        if match is not None and root.schema and root.table:
            names = {name.lower() for name in _ASSIGNED.findall(match[1])}
            updated.setdefault(tables.home(root.schema, root.table), set()).update(names)
    return Upkeep(tables, {relation: frozenset(names) for relation, names in updated.items()})
