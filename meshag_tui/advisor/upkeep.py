"""What an index costs those who write: entries to make for rows written, and updates in place that it would end.

PostgreSQL updates a row in place, touching no index, while no indexed column changes (HOT). An index on a column that
statements update ends that for the whole table: every index then gets an entry for each such update. What an entry
takes is reckoned from what plain INSERTs into the table took, shared among the table and its indexes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.figures import count, duration, size
from meshag_tui.types import CreateIndex, IndexSpec, Suggestion

if TYPE_CHECKING:
    from meshag_tui.plan import Plan
    from meshag_tui.store.history import QueryRow

ROW_UPKEEP_MS = 0.01
"""Assumed time to keep one index entry for one written row, where no INSERT into its table says it."""
_LEAST_MS, _MOST_MS = 0.001, 0.05
DAY_MS = 86_400_000
_ENOUGH_ROWS = 100
"""Rows inserted from which on their time says something."""
_SET = re.compile(r"\bset\b(.*?)(?:\bwhere\b|\bfrom\b|\breturning\b|$)", re.IGNORECASE | re.DOTALL)
_ASSIGNED = re.compile(r'(?:^|,)\s*(?:[\w"`]+\.)?["`]?(\w+)["`]?\s*=')


@dataclass(frozen=True, slots=True)
class Keep:
    """What keeping one index took, had it been there in the window.

    `entries` written, `in_place` of these for updates that would no longer be in place; `ms` they take, `each` one of
    them; `measured`: whether INSERTs said so; `expected_ms`: what is reckoned with instead, where little was written.
    """

    entries: float
    in_place: float
    ms: float
    each: float
    measured: bool
    expected_ms: float


@dataclass(frozen=True)
class Upkeep:
    """What keeping an index takes in the window.

    `updated`: columns that statements of the workload assign; `paces`: ms for one entry, by table.
    `expected_ms` is what an index on all rows of the database is reckoned to take at least. A window in which nothing
    was written says little: its tables were filled once, most rows came to the largest ones, and more will come.
    """

    tables: Tables
    updated: Mapping[Relation, frozenset[str]] = field(default_factory=dict)
    expected_ms: float = 0.0
    paces: Mapping[Relation, float] = field(default_factory=dict)

    def keep(self, spec: IndexSpec) -> Keep:
        """What one index takes: entries, time, updates in place that it would end."""
        view = self.tables.view(spec.schema, spec.table)
        if view is None:
            return Keep(0.0, 0.0, 0.0, ROW_UPKEEP_MS, False, 0.0)
        share = view.where_share(spec.where)
        touched = {key.name for key in spec.columns} | set(spec.include)
        if touched & self.updated.get(view.relation, frozenset()):
            in_place = view.hot_updates * (share + len(view.indexes))
        else:
            in_place = 0.0
        entries = share * (view.writes - view.hot_updates) + in_place
        pace = self.paces.get(view.relation)
        each = ROW_UPKEEP_MS if pace is None else pace
        expected = self.expected_ms * view.rows * share / self._all_rows
        return Keep(entries, in_place, entries * each, each, pace is not None, expected)

    def rows(self, spec: IndexSpec) -> float:
        """Entries written in the window because of the index, those of other indexes it brings about included."""
        return self.keep(spec).entries

    def seen_ms(self, spec: IndexSpec) -> float:
        """Time for the rows that were written in the window."""
        return self.keep(spec).ms

    def ms(self, spec: IndexSpec) -> float:
        """Time to be reckoned with: for what was written, at least for what is to be expected."""
        kept = self.keep(spec)
        return max(kept.ms, kept.expected_ms)

    def crowd_ms(self, specs: Iterable[IndexSpec]) -> float:
        """Time that indexes are reckoned to take beyond that of each alone: every write into a table keeps them all.

        The second on a table takes twice what is expected of the first, the third three times as much.
        """
        entries: dict[Relation, float] = {}
        for spec in specs:
            view = self.tables.view(spec.schema, spec.table)
            if view is not None:
                entries[view.relation] = entries.get(view.relation, 0.0) + view.where_share(spec.where)
        return sum(
            self.expected_ms * self.tables.views[relation].rows / self._all_rows * max(0.0, each * (each - 1) / 2)
            for relation, each in entries.items()
        )

    @cached_property
    def _all_rows(self) -> float:
        return sum(view.rows for key, view in self.tables.views.items() if key not in self.tables.parents) or 1.0


def upkeep(statements: Iterable[tuple[QueryRow, Plan]], tables: Tables, expected_ms: float) -> Upkeep:
    """The write side of a workload.

    Args:
        statements: all that are known with their plans, those that no index serves too.
        expected_ms: what an index on every row is reckoned to take at least.
    """
    updated: dict[Relation, set[str]] = {}
    inserted: dict[Relation, tuple[float, float]] = {}
    for query, plan in statements:
        root = plan.root
        if not root.schema or not root.table:
            continue
        home, operation = tables.home(root.schema, root.table), root.extra.get("Operation")
        match = _SET.search(query.text or "") if operation == "Update" else None
        if match is not None:
            names = {name.lower() for name in _ASSIGNED.findall(match[1])}
            updated.setdefault(home, set()).update(names)
        if operation == "Insert" and query.rows and all(node.table is None for node in root.walk() if node != root):
            ms, rows = inserted.get(home, (0.0, 0.0))
            inserted[home] = ms + query.total_time_ms, rows + query.rows
    paces = {}
    for home, (ms, rows) in inserted.items():
        view = tables.views.get(home)
        if view is not None and rows >= _ENOUGH_ROWS:
            paces[home] = min(_MOST_MS, max(_LEAST_MS, ms / rows / (1 + len(view.indexes))))
    return Upkeep(tables, {relation: frozenset(names) for relation, names in updated.items()}, expected_ms, paces)


def writers_pay(spec: IndexSpec, kept: Keep | None) -> Iterator[str]:
    """What those who write pay for an index, in words."""
    if kept is None:
        return
    if not kept.entries:
        yield f"No row of {spec.table} was seen written in the window: what writers would pay for it is not known."
        return
    how = f"as INSERTs into {spec.table} took" if kept.measured else "assumed"
    yield (
        f"Writers would have kept {count(kept.entries)} entries in the window, about {duration(kept.ms)} "
        f"({duration(kept.each)} each, {how})."
    )
    if kept.in_place:
        yield "It holds a column that statements update: those updates could no longer be made in place (HOT)."


def with_upkeep(made: Suggestion, costs: Upkeep, span_ms: float | None) -> Suggestion:
    """A suggestion to make an index with its size and what writers pay for it, where nothing says that yet."""
    if not isinstance(made.change, CreateIndex) or made.evidence.get("upkeep") is not None:
        return made
    spec = made.change.spec
    view = costs.tables.view(spec.schema, spec.table)
    if view is None:
        return made
    kept, bytes_ = costs.keep(spec), view.index_bytes(spec)
    evidence = {
        **made.evidence,
        "facts": [*made.evidence.get("facts", ()), f"estimated size {size(bytes_)}"],
        "size_bytes": bytes_,
        "upkeep": kept_document(kept, span_ms),
    }
    return replace(made, text=" ".join((made.text, *writers_pay(spec, kept))), evidence=evidence)


def kept_document(kept: Keep, span_ms: float | None = None) -> dict[str, float]:
    """The figures, for evidence; with the window's length also what is reckoned with a day, and entries a day."""
    found = {name: round(getattr(kept, name), 4) for name in ("entries", "in_place", "ms", "expected_ms")}
    if span_ms:
        found["ms_per_day"] = round(max(kept.ms, kept.expected_ms) * DAY_MS / span_ms, 3)
        found["entries_per_day"] = round(kept.entries * DAY_MS / span_ms, 3)
    return found
