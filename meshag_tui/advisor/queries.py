"""What is wrong with statements themselves: no index cures these, the application has to change.

Each rule rests on a measured figure or on the plan, and on the text only where the text is decisive. A statement that
a suggested index helps is left out of the rules that guess at the same slowness.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from meshag_tui.advisor.conditions import computed, computed_in_text, index_not_used, pattern
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Tables
from meshag_tui.text import count, duration, percent, size
from meshag_tui.types import Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

NOTABLE_SHARE = 0.02
FAR_OFFSET_BLOCKS = 50.0
LONG_LIST = 100
SPILL_BLOCKS = 32.0
WIDE_ROW_BYTES = 1_000.0
_OFFSET = re.compile(r"\bOFFSET\s+(\$\d+|\d+)", re.IGNORECASE)
_NOT_IN = re.compile(r"\bNOT\s+IN\s*\(\s*SELECT\b", re.IGNORECASE)
_RANDOM = re.compile(r"\bORDER\s+BY\s+random\s*\(\s*\)", re.IGNORECASE)
_LIST = re.compile(r"\bIN\s*\(((?:\s*\$\d+\s*,)+\s*\$\d+)\s*\)", re.IGNORECASE)
_STAR = re.compile(r"^\s*SELECT\s+(?:\w+\.)?\*\s+FROM\b", re.IGNORECASE)


def query_advice(
    examined: Sequence[Examined], catalog: Catalog, tables: Tables, helped: Collection[int]
) -> Iterator[Suggestion]:
    """Advice about statements, for the application.

    Args:
        examined: the notable statements of the window.
        helped: ids of statements a suggested index serves.
    """
    for one in examined:
        if one.query.kind not in ("select", "update", "delete", "insert"):
            continue
        yield from _spill(one, catalog, helped)
        if one.share < NOTABLE_SHARE:
            continue
        yield from _offset(one, helped)
        yield from _not_in(one)
        yield from _random(one)
        yield from _long_list(one)
        yield from computed(one, tables, helped)
        yield from computed_in_text(one, tables)
        yield from index_not_used(one, catalog, tables)
        yield from pattern(one, tables, helped)
        yield from _correlated(one)
        yield from _wide(one, tables)
    yield from _one_by_one(examined, catalog)


def _spill(one: Examined, catalog: Catalog, helped: Collection[int]) -> Iterator[Suggestion]:
    written, calls = one.query.temp_written, max(one.query.calls, 1)
    if not written or written / calls < SPILL_BLOCKS or one.share < 0.005 or one.query.id in helped:
        return
    each = written / calls * catalog.facts.block_size
    have = catalog.facts.settings.get("work_mem", "unknown")
    wanted = max(4, 2 ** (int(each * 2.5) // 1024**2).bit_length())
    yield advice(
        "work-mem-spill",
        one,
        f"{one.query.uid} writes {size(each)} of temporary files a call",
        f"A sort or hash of {one.query.uid} does not fit in work_mem ({have}) and spills {size(each)} to temporary "
        f"files on each of {count(calls)} calls. Sort or keep fewer rows, or give this report more memory: "
        f"SET LOCAL work_mem = '{wanted}MB' in its transaction. Raising work_mem for all multiplies by every session.",
        [f"{count(written)} temporary blocks written in {count(calls)} calls", f"work_mem {have}"],
        0.85,
    )


def _offset(one: Examined, helped: Collection[int]) -> Iterator[Suggestion]:
    blocks, rows = one.blocks_per_call, one.rows_per_call
    if not _OFFSET.search(one.words) or blocks is None or rows is None or one.query.id in helped:
        return
    if blocks < FAR_OFFSET_BLOCKS or blocks < 3 * rows:
        return
    yield advice(
        "offset-pagination",
        one,
        f"{one.query.uid} pages with OFFSET and throws most of what it reads away",
        f"To return {count(rows)} rows, {one.query.uid} touches {count(blocks)} blocks a call: every page reads all "
        "the pages before it. Remember the last key shown and ask for what follows it (keyset pagination): "
        "WHERE (sort columns) > (last values) ORDER BY … LIMIT n.",
        [f"{count(blocks)} blocks and {count(rows)} rows a call", f"{count(one.query.calls)} calls"],
        0.8,
    )


def _not_in(one: Examined) -> Iterator[Suggestion]:
    if not _NOT_IN.search(one.words):
        return
    yield advice(
        "not-in-subquery",
        one,
        f"{one.query.uid}: write NOT EXISTS instead of NOT IN (SELECT …)",
        "NOT IN gives no row at all as soon as the sub-query returns one NULL, and it cannot be planned as an "
        "anti-join: the sub-query's result is searched for each row. NOT EXISTS means what is usually meant and joins.",
        [f"{count(one.query.calls)} calls, {duration(one.query.mean_time_ms)} each"],
        0.75,
    )


def _random(one: Examined) -> Iterator[Suggestion]:
    if not _RANDOM.search(one.words):
        return
    yield advice(
        "order-by-random",
        one,
        f"{one.query.uid} sorts by random(): every row is read and sorted for a few",
        "ORDER BY random() computes and sorts a value for every row. Take a random key from the range of the primary "
        "key and read from there, or use TABLESAMPLE.",
        [f"{count(one.query.calls)} calls, {duration(one.query.mean_time_ms)} each"],
        0.85,
    )


def _long_list(one: Examined) -> Iterator[Suggestion]:
    longest = max((match.group(1).count(",") + 1 for match in _LIST.finditer(one.words)), default=0)
    if longest < LONG_LIST:
        return
    yield advice(
        "long-in-list",
        one,
        f"{one.query.uid} passes {count(longest)} values in an IN list",
        "Each length of list is a statement of its own to parse, plan and count. Pass one array and write = ANY ($1), "
        "or join unnest($1).",
        [f"{count(longest)} parameters in one list"],
        0.7,
    )


def _correlated(one: Examined) -> Iterator[Suggestion]:
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
            if again < 100 or child.total_cost * again < 0.3 * one.plan.cost:
                continue
            yield advice(
                "correlated-subquery",
                one,
                f"{one.query.uid} runs a sub-query again for each of {count(again)} rows",
                "The sub-query depends on the outer row, so it is run once for each. Compute it once for all rows (a "
                "join with a grouped sub-query, or a window function) or look rows up with LATERAL and an index.",
                [f"about {count(again)} runs at planner cost {child.total_cost:,.1f} of {one.plan.cost:,.0f} in all"],
                0.7,
            )
            return


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


def _one_by_one(examined: Sequence[Examined], catalog: Catalog) -> Iterator[Suggestion]:
    """Many look-ups of one row by key where one statement could fetch all: N+1."""
    unique = {(row.stats.schema, row.stats.name) for row in catalog.indexes if row.stats.unique}
    all_calls = sum(one.query.calls for one in examined)
    for one in examined:
        rows = one.rows_per_call
        if one.plan is None or one.query.kind != "select" or rows is None or rows > 1.05 or one.query.calls < 200:
            continue
        node = one.plan.root
        while node.kind in ("Limit", "Result", "LockRows") and node.children:
            node = node.children[0]
        if (node.schema or "", node.index or "") not in unique or "Index Cond" not in node.conditions:
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
            f"row by key. {because}Each is fast; the round trips are the load. Fetch them in a single query: a join, "
            "or WHERE key = ANY ($1).",
            [
                f"{count(one.query.calls)} calls, {duration(one.query.mean_time_ms)} and {rows:.2f} rows each",
                *(f"{other.query.uid}: {count(other.query.rows)} rows in all" for other in lists[:1]),
            ],
            0.75 if lists else 0.6,
            schema=node.schema,
            name=node.table,
        )
