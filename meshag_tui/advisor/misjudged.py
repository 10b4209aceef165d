"""Columns of whose values a planner knows nothing, or something old, and orders joins by a guess: a histogram tells it.

In: statements with their plans, where these say what the server itself guesses a filter to keep ("Filtered") beside
what a sample of the column shows; and rows read, as counted. Out: CREATE STATISTICS of kind "histogram". A look-up in
one table is the same whatever is expected of it, so that only joins count, and only those that read many times what
they were expected to, or what reading the filtered table first would.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Tables, TableView
from meshag_tui.figures import count, percent
from meshag_tui.plan import PlanNode
from meshag_tui.types import CreateStatistics, Suggestion, SuggestionPriority, SuggestionType

RULE = "missing-histogram"
WRONG_BY = 5.0
"""Times that the guess is off from the sample."""
READ_BY = 3.0
"""Times that more rows are read than were expected, or than the other order would read."""
LEAST_ROWS = 1_000.0
"""Rows read a call, below which no order of the join is worth a thought."""
NOTABLE_SHARE = 0.02
_JOINS = ("Nested Loop", "Hash Join", "Block Nested Loop")


class _Misjudged(NamedTuple):
    """A column whose filter is guessed wrongly in a statement's plan: shares of the rows, and rows of a call."""

    view: TableView
    column: str
    guess: float
    kept: float
    fact: str


def misjudged_columns(examined: Sequence[Examined], tables: Tables) -> Iterator[Suggestion]:
    """A histogram for columns that no index describes, one suggestion a column."""
    by_column: dict[tuple[str, str, str], list[tuple[Examined, _Misjudged]]] = {}
    for one in examined:
        if one.share >= NOTABLE_SHARE:
            for found in _misjudged(one, tables):
                by_column.setdefault((*found.view.relation, found.column), []).append((one, found))
    for founds in by_column.values():
        yield _suggestion(founds)


def _misjudged(one: Examined, tables: Tables) -> Iterator[_Misjudged]:
    read = one.examined_per_call
    if one.plan is None or read is None or read < LEAST_ROWS:
        return
    scans = [node for node in one.plan.root.walk() if node.table is not None]
    for node in scans if len(scans) > 1 else ():
        yield from _of_scan(one, node, first=node is scans[0], read=read, tables=tables)


def _of_scan(one: Examined, node: PlanNode, *, first: bool, read: float, tables: Tables) -> Iterator[_Misjudged]:
    view, filtered = tables.view(node.schema or "", node.table or ""), node.extra.get("Filtered")
    if view is None or filtered is None or node.extra.get("Rows") is None or "Filter" not in node.conditions:
        return
    column = _without_index(one, node, view)
    if column is None:
        return
    scanned = max(float(node.extra["Rows Examined"]), 1.0)
    guess = float(filtered) / 100
    kept = max(float(node.extra.get("Rows Per Loop", node.rows)) / scanned, 1 / view.rows)
    if kept >= WRONG_BY * guess:
        expected = _expected(one.plan.root) if one.plan is not None else None
        if expected is None or read < READ_BY * expected[0]:
            return
        fact = f"{count(read)} rows read a call, {count(expected[0])} expected"
    elif guess >= WRONG_BY * kept and not first and read >= READ_BY * view.rows:
        fact = f"{count(read)} rows read a call, {count(view.rows)} rows in {view.stats.name}, which it reads late"
    else:
        return
    yield _Misjudged(view, column, guess, kept, fact)


def _without_index(one: Examined, node: PlanNode, view: TableView) -> str | None:
    """The one column that the filter of a scan is about, if the server has no index to count its values in."""
    columns = {
        None if each.alternatives or each.kind not in ("eq", "range") else each.column
        for each in one.predicates
        if each.alias == node.alias and each.kind != "join"
    }
    led = {index.keys[0].column for index in view.indexes if index.keys}
    asked = {each for each in columns if each is None or each not in led}
    column = asked.pop() if len(asked) == 1 else None
    told = column is not None and re.search(rf"\b{re.escape(column)}\b", node.conditions["Filter"])
    return column if told else None


def _expected(node: PlanNode) -> tuple[float, float] | None:
    """Rows that a call is to read and to give on, both as the server itself guesses; None where that is not told."""
    if node.table is not None and not node.children:
        scanned = float(node.extra.get("Rows Examined", node.rows))
        return scanned, scanned * float(node.extra.get("Filtered", 100.0)) / 100
    parts = [_expected(child) for child in node.children]
    if node.kind in _JOINS and len(parts) == 2:
        outer, inner = parts
        if outer is None or inner is None:
            return None
        runs = max(1.0, outer[1]) if node.kind == "Nested Loop" else 1.0
        return outer[0] + runs * inner[0], outer[1] * inner[1]
    if node.kind == "Limit" and not any(each.kind in ("Sort", "Aggregate") for each in node.walk()):
        return None  # it ends before all is read
    return parts[0] if len(parts) == 1 and node.table is None else None


def _suggestion(founds: Sequence[tuple[Examined, _Misjudged]]) -> Suggestion:
    one, found = founds[0]
    schema, table = found.view.relation
    share = sum(each.share for each, _ in founds)
    made = advice(
        RULE,
        one,
        f"Tell the planner what {table}.{found.column} holds",
        f"The plan of {one.query.uid} expects its filter on {found.column} to keep {percent(found.guess)} of the rows "
        f"of {table}, and a sample of them says {percent(found.kept)}. It orders its joins by that number. A histogram "
        "tells it; it is read when a statement is planned and costs writers nothing, and is made anew when the values "
        "have changed. Whether another order is faster shows once it is there.",
        [f"{each.query.uid}: {what.fact}" for each, what in founds],
        0.6,
        schema=schema,
        name=table,
    )
    return replace(
        made,
        identity=f"{RULE}:{schema}.{table}:{found.column}",
        type=SuggestionType.SCHEMA_OPTIMIZATION,
        priority=SuggestionPriority.MEDIUM if share >= 0.1 else SuggestionPriority.LOW,
        change=CreateStatistics(schema, table, (found.column,), ("histogram",)),
        query_ids=tuple(each.query.id for each, _ in founds),
    )
