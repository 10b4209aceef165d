"""What is wrong with statements themselves: no index cures these, the application has to change.

Each rule rests on a measured figure or on the plan, and on the text only where the text is decisive. A statement that
a suggested index helps is left out of the rules that guess at the same slowness.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from meshag_tui.advisor.conditions import computed, computed_in_text, index_not_used, unusable
from meshag_tui.advisor.correlated import correlated_columns
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.misjudged import misjudged_columns
from meshag_tui.advisor.patterns import pattern
from meshag_tui.advisor.rewrites import rewrites
from meshag_tui.advisor.spills import spills
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Tables
from meshag_tui.engines import words_for
from meshag_tui.figures import count, duration, percent, size
from meshag_tui.plan import PlanNode
from meshag_tui.types import Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

NOTABLE_SHARE = 0.02
FAR_OFFSET_BLOCKS = 50.0
FAR_OFFSET_ROWS = 1_000.0
FEW_ROWS, MANY_RUNS = 10.0, 10_000
WASTEFUL_ROWS = 10_000.0
WASTEFUL_RATIO = 100.0
WIDE_ROW_BYTES = 1_000.0
_OFFSET = re.compile(r"\bOFFSET\s+(?:\$\d+|\d+|\?)|\bLIMIT\s+(?:\?|\d+)\s*,", re.IGNORECASE)
_RANDOM = re.compile(r"\bORDER\s+BY\s+(?P<function>random|rand)\s*\(\s*\)", re.IGNORECASE)
_STAR = re.compile(r"^\s*SELECT\s+(?:\w+\.)?\*\s+FROM\b", re.IGNORECASE)
_WHERE = re.compile(r"\bWHERE\b", re.IGNORECASE)


def query_advice(
    examined: Sequence[Examined],
    catalog: Catalog,
    tables: Tables,
    helped: Collection[int],
    *,
    cured: Collection[int] = (),
) -> Iterator[Suggestion]:
    """Advice about statements, for the application.

    Args:
        examined: the notable statements of the window.
        helped: ids of statements a suggested index serves.
        cured: those of which it leaves almost nothing: they will spill no more.
    """
    remedies = words_for(catalog.facts.engine).remedies
    for one in examined:
        if one.query.kind not in ("select", "update", "delete", "insert"):
            continue
        if one.query.id not in cured:
            yield from spills(one, catalog, remedies)
        if one.share < NOTABLE_SHARE:
            continue
        yield from _offset(one, helped, remedies)
        yield from _random(one, remedies)
        yield from rewrites(one, catalog, tables, helped, remedies)
        yield from computed(one, tables, helped, remedies)
        in_text = list(computed_in_text(one, tables, remedies))
        yield from in_text
        yield from unusable(one, tables)
        yield from index_not_used(one, catalog, tables)
        yield from pattern(one, catalog, tables, helped, remedies)
        yield from _correlated(one, remedies)
        yield from _wide(one, tables)
        if not in_text:  # that says why none is used
            yield from _without_index(one, helped, remedies)
    yield from correlated_columns(examined, catalog, tables)
    yield from misjudged_columns([one for one in examined if one.query.id not in helped], tables)
    yield from _one_by_one(examined, catalog, remedies)


def _without_index(one: Examined, helped: Collection[int], remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    """A statement nobody could explain that reads far more than it returns, by the server's own count."""
    examined, rows, without = one.examined_per_call, one.rows_per_call, one.query.no_index_calls
    if one.plan is not None or one.query.id in helped or examined is None or rows is None or not without:
        return
    if not _WHERE.search(one.words) or examined < WASTEFUL_ROWS or examined < WASTEFUL_RATIO * max(rows, 1.0):
        return
    yield advice(
        "no-index-used",
        one,
        f"{one.query.uid} reads {count(examined)} rows a call without an index, and returns {count(rows)}",
        f"{count(without)} of {count(one.query.calls)} calls read a table without an index. "
        f"{remedies['no-index-used']}",
        [f"{count(examined)} rows read and {count(rows)} returned a call", f"{count(without)} calls without an index"],
        0.6,
    )


def _offset(one: Examined, helped: Collection[int], remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    rows = one.rows_per_call
    if not _OFFSET.search(one.words) or rows is None or one.query.id in helped:
        return
    blocks, examined = one.blocks_per_call, one.examined_per_call
    if blocks is not None and blocks >= max(FAR_OFFSET_BLOCKS, 3 * rows):
        read = f"{count(blocks)} blocks"
    elif examined is not None and examined >= max(FAR_OFFSET_ROWS, 10 * rows):
        read = f"{count(examined)} rows"
    else:
        return
    yield advice(
        "offset-pagination",
        one,
        f"{one.query.uid} pages with OFFSET and throws most of what it reads away",
        f"To return {count(rows)} rows, {one.query.uid} reads {read} a call: every page reads all the pages before it. "
        "Remember the last key shown and ask for what follows it (keyset pagination): "
        f"{remedies['offset-pagination']}",
        [f"reads {read} and returns {count(rows)} rows a call", f"{count(one.query.calls)} calls"],
        0.8,
    )


def _random(one: Examined, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    match = _RANDOM.search(one.words)
    if match is None:
        return
    function = f"{match['function'].lower()}()"
    yield advice(
        "order-by-random",
        one,
        f"{one.query.uid} sorts by {function}: every row is read and sorted for a few",
        f"ORDER BY {function} computes and sorts a value for every row. {remedies['order-by-random']}",
        [f"{count(one.query.calls)} calls, {duration(one.query.mean_time_ms)} each"],
        0.85,
    )


def _correlated(one: Examined, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    """A sub-query run again for each row of the outer one, where that is most of the cost."""
    if one.plan is None:
        return
    for node in one.plan.root.walk():
        texts = " ".join([*node.conditions.values(), *node.output])
        for child in node.children:
            if child.extra.get("Parent Relationship") != "SubPlan":
                continue
            if f"hashed {child.extra.get('Subplan Name', 'SubPlan')}" in texts:
                continue
            again = _rows_in(node)
            if one.rows_per_call is not None and node is one.plan.root and "SubPlan" in " ".join(node.output):
                again = min(again, one.rows_per_call)  # once for each row that a call returns
            if again < 100 or child.total_cost * again < 0.3 * one.plan.cost:
                continue
            if again < MANY_RUNS and _is_a_look_up(child):
                continue
            yield advice(
                "correlated-subquery",
                one,
                f"{one.query.uid} runs a sub-query again for each of {count(again)} rows",
                "The sub-query depends on the outer row, so it is run once for each. "
                f"{remedies['correlated-subquery']}",
                [f"about {count(again)} runs at planner cost {child.total_cost:,.1f} of {one.plan.cost:,.0f} in all"],
                0.7,
            )
            return


def _is_a_look_up(subquery: PlanNode) -> bool:
    """Whether a sub-query finds a few rows by an index: run for some rows, a join would do no better."""
    scans = [node for node in subquery.walk() if node.table is not None]
    return bool(scans) and all("Index Cond" in node.conditions and node.rows <= FEW_ROWS for node in scans)


def _rows_in(node: object) -> float:
    """Rows a node works on: those of its first ordinary child, else its own."""
    children = getattr(node, "children", ())
    for child in children:
        if child.extra.get("Parent Relationship") not in ("SubPlan", "InitPlan"):
            return float(child.rows)
    return float(getattr(node, "rows", 0.0))


def _wide(one: Examined, tables: Tables) -> Iterator[Suggestion]:
    rows = one.rows_per_call
    if not _STAR.match(one.words) or one.plan is None or rows is None or rows < 10:
        return
    for node in one.plan.root.walk():
        view = tables.view(node.schema or "", node.table or "")
        if view is None or not view.stats.size_bytes:
            continue
        each = view.stats.size_bytes / view.rows
        if each >= WIDE_ROW_BYTES:
            yield advice(
                "select-star",
                one,
                f"{one.query.uid} fetches every column of {view.stats.name}, {size(each)} a row",
                f"Asking for * brings {size(each)} for each of {count(rows)} rows a call, large values included. "
                "Name only the columns that are shown.",
                [f"{size(view.stats.size_bytes)} for {count(view.rows)} rows in {view.stats.name}"],
                0.6,
            )
            return


def _one_by_one(examined: Sequence[Examined], catalog: Catalog, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    """Many look-ups of one row by key where one statement could fetch all: N+1."""
    unique = {(row.stats.schema, row.stats.table, row.stats.name) for row in catalog.indexes if row.stats.unique}
    all_calls = sum(one.query.calls for one in examined)
    for one in examined:
        rows = one.rows_per_call
        if one.plan is None or one.query.kind != "select" or rows is None or rows > 1.05 or one.query.calls < 200:
            continue
        node = one.plan.root
        while node.kind in ("Limit", "Result", "LockRows") and node.children:
            node = node.children[0]
        if (node.schema or "", node.table or "", node.index or "") not in unique or "Index Cond" not in node.conditions:
            continue
        lists = [
            other
            for other in examined
            if other is not one
            and other.query.kind == "select"
            and (other.rows_per_call or 0) >= 5
            and one.query.calls >= 5 * other.query.calls
            and 0.5 <= (other.query.rows or 0) / one.query.calls <= 2.0
        ]
        dominant = one.query.calls >= 10_000 and one.query.calls >= 0.8 * all_calls
        if not lists and not dominant:
            continue
        because = (
            f"{lists[0].query.uid} returned {count(lists[0].query.rows)} rows in {count(lists[0].query.calls)} calls, "
            "about as many as there were look-ups: it looks like a list and then one query for each of its rows. "
            if lists
            else ""
        )
        yield advice(
            "n-plus-one",
            one,
            f"{one.query.uid} reads {node.table} one row at a time, {count(one.query.calls)} calls",
            f"{one.query.uid} is {percent(one.query.calls / max(all_calls, 1))} of all calls, each a look-up of one "
            f"row by key. {because}Each is fast; the round trips are the load. Fetch them in a single query: "
            f"{remedies['n-plus-one']}",
            [
                f"{count(one.query.calls)} calls, {duration(one.query.mean_time_ms)} and {rows:.2f} rows each",
                *(f"{other.query.uid}: {count(other.query.rows)} rows in all" for other in lists[:1]),
            ],
            0.75 if lists else 0.6,
            schema=node.schema,
            name=node.table,
        )
