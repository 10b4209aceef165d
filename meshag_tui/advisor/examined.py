"""Statements of the workload as the rules see them: their figures, their present plans, their conditions.

In: the workload of a window and a session. Out: the statements that make nearly all of its time, each explained within
a budget of planner calls, and the statistics of the tables they read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.budget import Budget, OutOfBudget
from meshag_tui.advisor.statistics import Relation, Tables, TableView
from meshag_tui.engines.base import ColumnStatistics, EngineError, Session
from meshag_tui.plan import Plan, Predicate

if TYPE_CHECKING:
    from meshag_tui.store.history import QueryRow

MOST_STATEMENTS = 60
COVERED_SHARE = 0.99
_ENOUGH = 5
"""Statements from which on their median says what a unit of cost takes."""
_AS_NEAR = 0.25
"""Natural logarithm of how much worse than the best values may fit and yet do as well: measured times are not exact."""
_TEXTS = ("text", "character varying", "varchar")
"""Types that are texts as they are: a cast to text changes nothing of their values."""
PLANNED_KINDS = ("select", "update", "delete", "insert")
_DOTS = re.compile(r" ?\. ?(?=[A-Za-z_*])")
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
        """The text without comments, quoted constants and the quotes of names, blanks as one space."""
        plain = " ".join(_NOISE.sub(" ", self.query.text or "").split())
        return _DOTS.sub(".", plain.replace("`", "")) if "`" in plain else plain

    @property
    def rows_per_call(self) -> float | None:
        rows = self.query.rows
        return rows / self.query.calls if rows is not None and self.query.calls else None

    @property
    def examined_per_call(self) -> float | None:
        """Rows the server read for one call, where it counts them."""
        found = self.query.rows_examined
        return found / self.query.calls if found is not None and self.query.calls else None

    def read_share(self, view: TableView) -> float | None:
        """Part of a table that a call reads, by blocks or rows, as if all it reads were of it; None: not counted."""
        if self.blocks_per_call is not None:
            return self.blocks_per_call / view.pages
        return self.examined_per_call / view.rows if self.examined_per_call is not None else None

    @property
    def blocks_per_call(self) -> float | None:
        """Blocks of tables and indexes touched by one call, from cache or disk."""
        hit, read = self.query.shared_hit, self.query.shared_read
        if hit is None and read is None:
            return None
        return ((hit or 0) + (read or 0)) / max(self.query.calls, 1)


def typed(predicates: Sequence[Predicate], tables: Tables) -> tuple[Predicate, ...]:
    """The conditions without the column where a cast to text stands around it and is none to its type.

    A plan prints `(name)::text` of a varchar, which an index on it serves, as it prints `(id)::text` of a number.
    """
    return tuple(_typed(one, tables.view(one.schema, one.table)) for one in predicates)


def _typed(one: Predicate, view: TableView | None) -> Predicate:
    if view is None or one.column is None or "::" not in one.expression:
        return one
    kind = view.types.get(one.column, "text")
    return one if kind.startswith(_TEXTS) else replace(one, column=None)


def important(workload: Sequence[QueryRow], most: int = MOST_STATEMENTS) -> tuple[list[tuple[QueryRow, float]], bool]:
    """Statements with their share of all time, until nearly all time is covered; and whether that was reached."""
    readable = [one for one in workload if not one.internal and one.calls > 0]
    total = sum(one.total_time_ms for one in readable)
    ranked = sorted(readable, key=lambda one: (-one.total_time_ms, one.id))
    chosen: list[tuple[QueryRow, float]] = []
    covered = 0.0
    for one in ranked:
        if covered >= COVERED_SHARE * total and len(chosen) >= 10:
            return chosen, True
        if len(chosen) >= most:
            return chosen, False
        share = one.total_time_ms / total if total > 0 else 0.0
        chosen.append((one, share))
        covered += one.total_time_ms
    return chosen, True


async def examine(
    important: Sequence[tuple[QueryRow, float]],
    session: Session,
    budget: Budget,
    notes: list[str],
) -> tuple[list[Examined], bool]:
    """Plans of the important statements; False when one of them could not be had."""
    found: list[Examined] = []
    all_explained = True
    for query, share in important:
        if query.text_state != "ok" or not query.text or query.kind not in PLANNED_KINDS:
            found.append(Examined(query, share))
            all_explained = all_explained and query.text_state == "ok"
            continue
        try:
            found.append(await _explain(query, share, session, budget))
        except OutOfBudget:
            notes.append("Not every statement was explained: the planner was asked as often as we allow ourselves")
            found.append(Examined(query, share))
            all_explained = False
        except EngineError as error:
            if error.transient:
                raise
            notes.append(f"{query.uid} could not be explained: {error}")
            found.append(Examined(query, share))
            all_explained = False
    return _fitted(found, session), all_explained


def _fitted(found: Sequence[Examined], session: Session) -> list[Examined]:
    """Each with that of its plans whose sample values come nearest to what calls really returned and really took.

    Its variants are from now on those that come about as near. What a unit of cost takes here is the median of all
    statements, as far as the middle plan of each is right.
    """
    paces = sorted(
        one.query.total_time_ms / one.query.calls / one.plan.cost
        for one in found
        if one.plan is not None and one.plan.cost > 0
    )
    pace = paces[len(paces) // 2] if len(paces) >= _ENOUGH else None
    return [one if one.plan is None or len(one.plan.variants) < 2 else _nearest(one, pace, session) for one in found]


def _nearest(one: Examined, pace: float | None, session: Session) -> Examined:
    variants = one.plan.variants if one.plan is not None else ()
    middle, rows, calls = (len(variants) - 1) // 2, one.rows_per_call, one.query.calls

    def distance(place: int) -> tuple[float, int]:
        plan, apart = variants[place], 0.0
        if rows is not None:
            apart += abs(math.log(max(plan.root.rows, 1.0) / max(rows, 1.0)))
        if pace is not None and plan.cost > 0:
            apart += abs(math.log(plan.cost * pace / max(one.query.total_time_ms / calls, 1e-6)))
        return apart, abs(place - middle)

    places = sorted(range(len(variants)), key=distance)
    best, nearest = variants[places[0]], distance(places[0])[0]
    fitting = tuple(variants[place] for place in sorted(places) if distance(place)[0] <= nearest + _AS_NEAR)
    chosen = replace(
        best,
        variants=fitting,
        others=tuple(variants[place] for place in sorted(places) if variants[place] not in fitting),
    )
    if one.plan is None or best.parameters == one.plan.parameters:
        return replace(one, plan=chosen)
    return replace(one, plan=chosen, predicates=session.predicates(chosen))


async def _explain(query: QueryRow, share: float, session: Session, budget: Budget) -> Examined:
    budget.spend()
    plan = await session.explain(query.text or "", database=query.database)
    return Examined(query, share, plan, session.predicates(plan))


async def statistics_of(
    examined: Iterable[Examined], session: Session, notes: list[str]
) -> dict[Relation, tuple[ColumnStatistics, ...]]:
    """Statistics of the columns of every table a plan reads, and of the first part of a partitioned one."""
    wanted = dict.fromkeys(
        (node.schema, node.table)
        for one in examined
        if one.plan is not None
        for node in one.plan.root.walk()
        if node.schema is not None and node.table is not None
    )
    found: dict[Relation, tuple[ColumnStatistics, ...]] = {}
    for schema, table in wanted:
        try:
            found[(schema, table)] = await session.column_statistics(schema, table)
        except EngineError as error:
            if error.transient:
                raise
            notes.append(f"The column statistics of {schema}.{table} could not be read: {error}")
    return found
