"""Columns that the planner takes for independent and that are not: the statistics that would tell it so.

The proof is in the figures. Rows of a call were counted, and they are many times what the planner expects; and many
times what independent columns could give even if every call asked for the most common value of each, so that skew
alone does not explain it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.indexes import usable
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Relation, Tables, TableView
from meshag_tui.figures import count
from meshag_tui.plan import PlanNode
from meshag_tui.types import CreateIndex, CreateStatistics, IndexSpec, Suggestion, SuggestionPriority, SuggestionType

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

WRONG_BY = 10.0
BEYOND_SKEW = 3.0
LEAST_ROWS = 100.0
NOTABLE_SHARE = 0.02
LEAST_GROUPS = 1_000.0
_PASSES_ROWS = frozenset({"Sort", "Gather", "Gather Merge", "Result", "Incremental Sort"})
_SCANS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"})


def correlated_columns(examined: Sequence[Examined], catalog: Catalog, tables: Tables) -> Iterator[Suggestion]:
    """CREATE STATISTICS for columns that statements compare, or group by, together, where there are such."""
    if not catalog.facts.traits.joint_statistics:
        return
    by_columns: dict[tuple[Relation, tuple[str, ...]], list[tuple[Examined, _Found]]] = {}
    for one in examined:
        found = _compared(one, tables) or _grouped(one, tables)
        if found is not None and one.share >= NOTABLE_SHARE:
            by_columns.setdefault((found[0].relation, found[1]), []).append((one, found))
    for founds in by_columns.values():
        if any(_decides_by_it(one, founds) for one in examined):
            yield _suggestion(founds, examined)


def _decides_by_it(one: Examined, founds: Sequence[tuple[Examined, _Found]]) -> bool:
    """Whether a plan is chosen by the wrong number: a join that compares the columns, or a sort for too many groups.

    A look-up in one table is the same however many rows are expected of it.
    """
    view, columns = founds[0][1][:2]
    nodes = list(one.plan.root.walk()) if one.plan is not None else []
    if one.share < NOTABLE_SHARE or not nodes:
        return False
    compared = {each.column for each in one.predicates if (each.schema, each.table) == view.relation}
    if set(columns) <= compared and len({node.alias for node in nodes if node.table is not None}) > 1:
        return True
    kinds = {found[2] for each, found in founds if each is one}
    return "ndistinct" in kinds and any(node.kind == "Sort" and node.path != "0" for node in nodes)


def without_idle_keys(made: Sequence[Suggestion], examined: Sequence[Examined], tables: Tables) -> list[Suggestion]:
    """The suggestions without indexes that would find no fewer rows than one that is there, as the counts show."""
    rows = {one.query.id: (one, one.rows_per_call) for one in examined if _is_of_one_table(one)}
    proved = [found for one in examined if (found := _compared(one, tables)) is not None]
    by_id = {one.query.id: one for one in examined}

    def idle(made: Suggestion) -> bool:
        if not isinstance(made.change, CreateIndex) or not made.query_ids:
            return False
        spec = made.change.spec
        names = {key.name for key in spec.columns}
        returned = [rows[query][1] if query in rows else _proved_rows(spec, names, proved) for query in made.query_ids]
        return all(
            _finds_no_fewer(spec, names, by_id.get(query), each, tables)
            for query, each in zip(made.query_ids, returned, strict=True)
        )

    return [one for one in made if not idle(one)]


def _is_of_one_table(one: Examined) -> bool:
    """Whether the rows of a call are rows of one table: a join multiplies them."""
    return one.plan is not None and len([node for node in one.plan.root.walk() if node.table is not None]) == 1


def _proved_rows(spec: IndexSpec, names: set[str], proved: Sequence[_Found]) -> float | None:
    """The rows that these columns together really find, where a statement of this table alone has shown it."""
    found = [each[5] for each in proved if each[0].relation == (spec.schema, spec.table) and names <= set(each[1])]
    return min(found, default=None)


def _finds_no_fewer(spec: IndexSpec, names: set[str], one: Examined | None, rows: float | None, tables: Tables) -> bool:
    """Whether about all the rows that an index which is there finds are wanted, and `spec` only adds equal keys.

    The planner, taking columns for independent, prices the longer index as if it found a fraction of them.
    """
    view = tables.view(spec.schema, spec.table)
    if one is None or view is None or not rows or rows < LEAST_ROWS or spec.include or spec.where:
        return False
    equal = {
        each.column
        for each in one.predicates
        if each.kind == "eq" and tables.home(each.schema, each.table) == view.relation and not each.alternatives
    }
    if not names <= equal:
        return False
    for index in view.indexes:
        keys = [key.column or "" for key in index.keys]
        matched = [name for at, name in enumerate(keys) if set(keys[: at + 1]) <= names]
        if usable(index) and index.method == "btree" and matched:
            found = view.rows * prod(view.equal_share(name) for name in matched)
            if rows >= 0.5 * found:
                return True
    return False


_Found = tuple[TableView, tuple[str, ...], str, str, list[str], float]
"""Table, columns, kind of statistics, text, facts, rows or groups of a call."""


def _compared(one: Examined, tables: Tables) -> _Found | None:
    rows = one.rows_per_call
    if one.plan is None or one.query.kind != "select" or rows is None or rows < LEAST_ROWS or one.query.calls < 3:
        return None
    node = _below(one.plan.root)
    view = tables.view(node.schema or "", node.table or "")
    listed = any(" ANY " in condition for condition in node.conditions.values())  # IN: several values of one column
    if node.kind not in _SCANS or view is None or view.parts or listed or rows < WRONG_BY * one.plan.root.rows:
        return None
    columns = tuple(
        sorted(
            {
                each.column
                for each in one.predicates
                if each.alias == node.alias and each.kind == "eq" and each.operator == "=" and not each.alternatives
                if each.column is not None and each.column in view.columns
            }
        )
    )
    if len(columns) < 2:
        return None
    at_most = view.rows * prod(_most(view, column) for column in columns)
    if rows < BEYOND_SKEW * at_most:
        return None
    narrowest = min(columns, key=view.equal_share)
    depends = rows >= 0.5 * view.rows * view.equal_share(narrowest)
    kind = "dependencies" if depends else "mcv"
    names = ", ".join(columns)
    text = (
        f"A call of {one.query.uid} compares {names} and returns {count(rows)} rows, and the planner expects "
        f"{count(one.plan.root.rows)}: it multiplies their shares as if they were independent. Even with the most "
        f"common value of each that would give {count(at_most)} rows, so one depends on the other."
    )
    return view, columns, kind, text, [f"{count(rows)} rows a call, {count(one.plan.root.rows)} expected"], rows


def _grouped(one: Examined, tables: Tables) -> _Found | None:
    rows = one.rows_per_call
    if one.plan is None or one.query.kind != "select" or rows is None or one.query.calls < 3:
        return None
    node = _below(one.plan.root)
    if node.kind not in ("Aggregate", "Group") or "Filter" in node.conditions or len(node.group_keys) < 2:
        return None
    expected = one.plan.root.rows
    if expected < LEAST_GROUPS or expected < WRONG_BY * max(rows, 1.0):
        return None
    scans = [each for each in node.walk() if each.table is not None and each.kind in _SCANS]
    view = tables.view(scans[0].schema or "", scans[0].table or "") if len(scans) == 1 else None
    columns = tuple(sorted(key.rpartition(".")[2].strip('"') for key in node.group_keys))
    if view is None or view.parts or any(column not in view.columns for column in columns):
        return None
    text = (
        f"{one.query.uid} groups by {', '.join(columns)} and gets {count(rows)} groups, and the planner expects "
        f"{count(expected)}: it multiplies how many values each has. It chooses sorts, hashes and the joins above by "
        "that number."
    )
    return view, columns, "ndistinct", text, [f"{count(rows)} groups a call, {count(expected)} expected"], rows


def _below(node: PlanNode) -> PlanNode:
    """The first node from the top that decides how many rows there are."""
    while node.kind in _PASSES_ROWS and node.children:
        node = node.children[0]
    return node


def _most(view: TableView, column: str) -> float:
    """Share of the rows that have the most common value of a column."""
    known = view.columns.get(column)
    return max([view.equal_share(column), *(known.common_frequencies[:1] if known is not None else ())])


def _suggestion(founds: Sequence[tuple[Examined, _Found]], examined: Sequence[Examined]) -> Suggestion:
    one, (view, columns, _, text, *_) = founds[0]
    schema, table = view.relation
    kinds = tuple(sorted({found[2] for _, found in founds}))
    asking = [
        each
        for each in examined
        if each in [first for first, _ in founds]
        or set(columns) <= {p.column for p in each.predicates if (p.schema, p.table) == view.relation}
    ]
    made = advice(
        "correlated-columns",
        one,
        f"Tell the planner that {' and '.join(columns)} of {table} depend on each other",
        f"{text} Extended statistics tell it; the ANALYZE that goes with them fills them, and later ones renew them.",
        [f"{each.query.uid}: {fact}" for each, found in founds for fact in found[4]],
        0.8,
        schema=schema,
        name=table,
    )
    return replace(
        made,
        identity=f"correlated-columns:{schema}.{table}:{','.join(columns)}",
        type=SuggestionType.SCHEMA_OPTIMIZATION,
        priority=SuggestionPriority.MEDIUM if sum(each.share for each in asking) >= 0.05 else SuggestionPriority.LOW,
        change=CreateStatistics(schema, table, columns, kinds),
        query_ids=tuple(each.query.id for each in asking),
    )
