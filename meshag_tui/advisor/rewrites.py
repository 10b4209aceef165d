"""Statements that mean the same written otherwise and run better: NOT IN, OR across tables, long lists, = ANY (array).

Each rests on what the plan or the catalogue says beside the text: whether a column can be NULL, what a join filter
compares, how many rows came back by a unique key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from meshag_tui.advisor.costs import Weighed, weigh
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Tables
from meshag_tui.figures import count, duration, percent
from meshag_tui.plan import PlanNode
from meshag_tui.snapshot import IndexStats
from meshag_tui.types import Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

RULES = frozenset({"not-in-subquery", "long-in-list", "or-across-tables", "array-membership"})
LONG_LIST = 100
OR_SHARE = 0.5
"""Share of the statement's cost from which joining by an OR is worth another way of writing it."""
OR_ROWS = 2_000.0
ARRAY_SHARE = 0.5
"""The same for reading a table to look into an array of each row."""
FEW = 0.05
"""Share of the rows read that an index finds better than reading them all does."""
_NAME = r'(?:[`"]?\w+[`"]?\.)*[`"]?(\w+)[`"]?'
_IS_NOT_IN = re.compile(r"\bNOT\s+IN\s*\(\s*SELECT\b", re.IGNORECASE)
_ASKED = re.compile(rf"\bNOT\s+IN\s*\(\s*SELECT\s+(?:DISTINCT\s+)?{_NAME}\s+FROM\s+{_NAME}", re.IGNORECASE)
_LIST = re.compile(r"\bIN\s*\(((?:\s*(?:\$\d+|\?)\s*,)+\s*(?:\$\d+|\?))\s*\)", re.IGNORECASE)
_SHORTENED = re.compile(
    rf"{_NAME}\s+IN\s*\(\s*(?:\.\.\.|\?\s*,\s*\.\.\.|\$\d+\s*/\*\s*,\s*\.\.\.\s*\*/)\s*\)", re.IGNORECASE
)
"""A list as MySQL's digests and PostgreSQL 18 keep it: how long it was is not in the text."""
_STRING = re.compile(r"'(?:[^']|'')*'")
_COLUMN = re.compile(r'\b(\w+)\."?\w+"?')


_NEVER_SAME = {
    "offset-pagination": "a page begins where the last one ended: it is given that, and rows that come meanwhile move "
    "no page; rows whose order is equal are left out unless the order ends with a unique key"
}
"""Rules whose other text asks something else, and in what."""


def unproven(made: Suggestion, text: str | None) -> Suggestion:
    """Advice to write a statement otherwise, with that text where there is one, said to be not proven.

    Only a rehearsal proves it (`rehearsed`), of what can mean the same at all.
    """
    why = "it was not compared yet on data" if text is not None else "there is no other text that could be compared"
    why = _NEVER_SAME.get(made.rule, why)
    rewrite = {"text": text, "proven": False, "why": [why], "comparable": made.rule not in _NEVER_SAME}
    evidence = {**made.evidence, "rewrite": rewrite}
    return replace(
        made, evidence={**evidence, "facts": [*made.evidence["facts"], f"not proven to mean the same: {why}"]}
    )


def rewrites(
    one: Examined, catalog: Catalog, tables: Tables, helped: Collection[int], remedies: Mapping[str, str]
) -> Iterator[Suggestion]:
    """What one statement could be written as instead."""
    yield from _not_in(one, catalog, remedies)
    yield from _long_list(one, tables, remedies)
    if one.query.id not in helped:
        yield from _or_across_tables(one)
        yield from _in_array(one, tables)


def _in_array(one: Examined, tables: Tables) -> Iterator[Suggestion]:
    """A value looked for in an array of each row: only containment can be looked up, in a GIN index."""
    for scan in weigh(one.plan) if one.plan is not None else ():
        node = scan.node
        view = tables.view(node.schema or "", node.table or "")
        if node.kind != "Seq Scan" or view is None or view.small or scan.share < ARRAY_SHARE:
            continue
        found = next((each for each in one.predicates if each.alias == node.alias and each.operator == "= ANY"), None)
        kind = view.types.get((found.column if found is not None else None) or "", "")
        if found is None or not kind.endswith("[]") or node.rows > FEW * view.rows:
            continue
        there = [each.name for each in view.indexes if each.method == "gin" and found.column in _keys(each)]
        column = found.column
        cure = (
            f"the index {there[0]} serves it then"
            if there
            else f"CREATE INDEX ON {node.schema}.{node.table} USING gin ({column}) serves it then"
        )
        yield advice(
            "array-membership",
            one,
            f"{one.query.uid} looks for a value in {found.column} of every row: containment can be looked up",
            f"value = ANY ({column}) is compared row by row. Written as {column} @> ARRAY[value]::{kind} "
            f"it means the same, and {cure}. (A NULL value finds nothing either way.)",
            [
                f"Seq Scan at node {node.path}: {percent(scan.share)} of the plan's cost, {count(node.rows)} of "
                f"{count(view.rows)} rows expected"
            ],
            0.8,
            schema=node.schema,
            name=node.table,
        )
        return


def _keys(index: IndexStats) -> tuple[str | None, ...]:
    return tuple(key.column for key in index.keys)


def _not_in(one: Examined, catalog: Catalog, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    """NOT IN over a column that can be NULL, or one whose answer the planner must search for each row."""
    if not _IS_NOT_IN.search(one.words):
        return
    column, nullable = _asked(one, catalog)
    searched = _searched_for_each_row(one)
    if nullable is False and not searched:
        return
    known = nullable is True
    can = f"{column} can be NULL, and " if known else ""
    yield advice(
        "not-in-subquery",
        one,
        f"{one.query.uid}: write NOT EXISTS instead of NOT IN (SELECT …)",
        f"{can}NOT IN gives no row at all as soon as the sub-query returns one NULL; besides, "
        f"{remedies['not-in-subquery']} NOT EXISTS means what is usually meant and joins. (If no row is what is meant "
        "when there is a NULL, leave it.)",
        [
            f"{count(one.query.calls)} calls, {duration(one.query.mean_time_ms)} each",
            *([f"{column} has no NOT NULL"] if known else []),
            *(["the plan searches the sub-query's answer for each row"] if searched else []),
        ],
        0.85 if known else 0.7,
    )


def _asked(one: Examined, catalog: Catalog) -> tuple[str, bool | None]:
    """The column that a NOT IN asks for, as table.column, and whether it can be NULL; None where that is not known."""
    match = _ASKED.search(one.words)
    if match is None or catalog.schema is None:
        return "", None
    column, table = match[1].lower(), match[2].lower()
    if re.search(rf'\b{re.escape(column)}[`"]?\s+IS\s+NOT\s+NULL', one.words, re.IGNORECASE):
        return f"{table}.{column}", False
    homes = [
        each
        for name, columns in catalog.schema.columns.items()
        if name.rpartition(".")[2].lower() == table
        for each in columns
        if each.name.lower() == column
    ]
    return f"{table}.{column}", any(each.nullable for each in homes) if homes else None


def _searched_for_each_row(one: Examined) -> bool:
    """Whether the plan keeps the sub-query's answer as a list to search, not as a hash or a join."""
    for node in one.plan.root.walk() if one.plan is not None else ():
        said = node.conditions.get("Filter", "")
        if "NOT" in said and "SubPlan" in said and "hashed SubPlan" not in said:
            return True
    return False


def _long_list(one: Examined, tables: Tables, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    longest = max((match.group(1).count(",") + 1 for match in _LIST.finditer(one.words)), default=0)
    said, fact = count(longest), f"{count(longest)} parameters in one list"
    if longest < LONG_LIST:
        found = _came_back(one, tables)
        if found is None:
            return
        column, rows = found
        said, fact = f"at least {count(rows)}", f"{count(rows)} rows a call came back by {column}, which is unique"
    yield advice(
        "long-in-list",
        one,
        f"{one.query.uid} passes {said} values in an IN list",
        remedies["long-in-list"],
        [fact],
        0.7,
    )


def _came_back(one: Examined, tables: Tables) -> tuple[str, float] | None:
    """The unique column of a list that the text no longer has in full, and the rows of a call: no fewer values."""
    match = _SHORTENED.search(one.query.text or "")
    rows = one.rows_per_call
    if match is None or one.plan is None or rows is None or rows < LONG_LIST:
        return None
    scans = [node for node in one.plan.root.walk() if node.table is not None]
    view = tables.view(scans[0].schema or "", scans[0].table or "") if len(scans) == 1 else None
    named = match[1].lower()  # a digest writes names that are words of the language in capitals
    for index in view.indexes if view is not None else ():
        keys = [key.column or "" for key in index.keys]
        if view is not None and index.unique and index.predicate is None and [each.lower() for each in keys] == [named]:
            return f"{view.stats.name}.{keys[0]}", rows
    return None


def _or_across_tables(one: Examined) -> Iterator[Suggestion]:
    """An OR whose sides are of different tables, or that joins by one column or another: no index and no hash helps."""
    if one.plan is None or one.query.kind != "select":
        return
    nodes = weigh(one.plan)
    by_path = {each.node.path: each for each in nodes}
    for weighed in nodes:
        found = _joined_by_or(weighed, by_path)
        if found is None:
            continue
        join, condition, tables, read = found
        inside = min(1.0, sum(each.share for each in nodes if _within(each.node, join)))
        if inside < OR_SHARE or join.rows * 10 > read:
            continue
        yield advice(
            "or-across-tables",
            one,
            f"{one.query.uid} joins by an OR across {' and '.join(tables)}: UNION lets each side use an index",
            f"The condition {condition} can be looked at only when the rows of both are side by side, so about "
            f"{count(read)} rows are put together to keep {count(join.rows)}. Written as one SELECT for each side of "
            "the OR, put together by UNION (UNION ALL where no row can fit both), each side is looked up by itself.",
            [f"{join.kind} at node {join.path}: {percent(inside)} of the plan's cost, filter {condition}"],
            0.7,
        )
        return


def _joined_by_or(weighed: Weighed, nodes: Mapping[str, Weighed]) -> tuple[PlanNode, str, list[str], float] | None:
    """The join, its condition, the tables in it and the rows it looks at, where the condition is one OR across tables.

    MySQL and MariaDB say it as the filter of the table read last, PostgreSQL as one of the join.
    """
    node, parent = weighed.node, nodes.get(weighed.node.path.rpartition(".")[0])
    condition = node.conditions.get("Join Filter", "")
    join = node
    if not condition and node.table is not None and parent is not None and "Loop" in parent.node.kind:
        condition, join = node.conditions.get("Filter", ""), parent.node
    bare = _STRING.sub("", condition).lower()
    tables = sorted(set(_COLUMN.findall(bare)))
    if " or " not in bare or " and " in bare or len(tables) < 2 or len(join.children) < 2:
        return None
    outer, inner = join.children[0].rows, join.children[1].rows
    pairs = outer * inner if "Loop" in join.kind else outer + inner
    read = pairs if join is node else weighed.loops
    large = read >= OR_ROWS and ("Loop" in join.kind or min(outer, inner) >= OR_ROWS / 2)
    return (join, condition, tables, read) if large else None


def _within(node: PlanNode, top: PlanNode) -> bool:
    return node.path == top.path or node.path.startswith(top.path + ".")
