"""Conditions that no plain index serves: functions and casts around a column, values of another type."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Tables, TableView
from meshag_tui.figures import count
from meshag_tui.plan import PlanNode
from meshag_tui.types import Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

FEW_ROWS = 10.0
HARDLY_READ = 0.05
"""Part of a table that a call reads, below which no condition on it costs much."""
_DATES = re.compile(
    r"^\(*(date|date_trunc|date_part|extract|to_char|timezone|date_format|year|month|dayofmonth|to_days|unix_timestamp)\("
    r"|::date\b|^\(*cast\(.* as date(time)?\b",
    re.IGNORECASE,
)
_CAST = re.compile(r'^\(*"?[A-Za-z_]\w*"?\)*::[a-z]|^\(*(cast|convert)\(', re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_VALUE = r"(?:\$\d+|\?)"
_FUNCTION_IN_TEXT = re.compile(
    r"\bWHERE\b.*?\b(?P<function>date|date_trunc|to_char|date_format|year|month|lower|upper|trim|substr|substring|abs"
    rf"|coalesce|ifnull)\s*\((?:\s*{_VALUE}\s*,)?\s*(?:\w+\.)?(?P<column>[A-Za-z_]\w*)\s*(?:,\s*{_VALUE}\s*)*\)\s*"
    r"(?:=|<|>|IN\b|BETWEEN\b)",
    re.IGNORECASE,
)
_OF_DATES = ("date", "to_char", "year", "month")


def computed(
    one: Examined, tables: Tables, helped: Collection[int], remedies: Mapping[str, str]
) -> Iterator[Suggestion]:
    """A function or a cast around a column hides the column's index."""
    if one.query.id in helped or one.plan is None:
        return
    scanned = {
        node.alias
        for node in one.plan.root.walk()
        if node.table is not None and ("Filter" in node.conditions or node.kind == "Seq Scan")
    }
    for predicate in one.predicates:
        view = tables.view(predicate.schema, predicate.table)
        if predicate.column is not None or predicate.alias not in scanned or view is None or view.small:
            continue
        read = one.read_share(view)
        if read is not None and read < HARDLY_READ:
            continue  # another condition finds its rows
        if predicate.kind not in ("eq", "range", "join", "contains"):
            continue
        named = [name for name in view.types if re.search(rf'(?<![\w"]){re.escape(name)}(?!\w)', predicate.expression)]
        if len(named) != 1:
            continue
        column, expression = named[0], predicate.expression
        indexed = any(index.keys and index.keys[0].column == column for index in view.indexes)
        hidden = f" and hides the index on {column}" if indexed else ""
        dates = _DATES.search(expression) is not None
        if _CAST.match(expression) and not dates:
            if predicate.kind != "eq" and not indexed:
                continue
            yield advice(
                "implicit-cast",
                one,
                f"{one.query.uid} compares {view.stats.name}.{column} after a cast: {expression}",
                f"The value compared with {column} ({view.types[column]}) has another data type, so the column is "
                f"converted for every row{hidden}. Pass the value in the column's own type.",
                [f"condition on {expression}, column of type {view.types[column]}"],
                0.75,
                table=predicate,
            )
            return
        if predicate.kind == "range" and not (dates or indexed):
            continue
        cure = (
            f"Write a half-open range on the bare column instead: {column} >= day AND {column} < next day."
            if dates
            else remedies["function-on-column"]
        )
        yield advice(
            "function-on-column",
            one,
            f"{one.query.uid} applies a function to {view.stats.name}.{column} in its condition",
            f"{expression} is computed for every row{hidden}. {cure}",
            [f"condition on {expression}", f"{count(view.rows)} rows in {view.stats.name}"],
            0.75,
            table=predicate,
        )
        return


def unusable(one: Examined, tables: Tables) -> Iterator[Suggestion]:
    """The planner itself says that a value's type keeps it from an index."""
    for node in one.plan.root.walk() if one.plan is not None else ():
        found = node.extra.get("Index Not Usable")
        view = tables.view(node.schema or "", node.table or "")
        if not isinstance(found, dict) or view is None or view.small:
            continue
        for column, why in found.items():
            yield advice(
                "implicit-cast",
                one,
                f"{one.query.uid} cannot use the index on {view.stats.name}.{column}: its value is of another type",
                f"What {column} ({view.types.get(column, 'unknown')}) is compared with has another data type or "
                f"collation ({why}), so the column is converted for every row and its index is of no use. Pass the "
                "value in the column's own type.",
                [f"the planner's warning about {column}", f"{count(view.rows)} rows in {view.stats.name}"],
                0.85,
                schema=view.stats.schema,
                name=view.stats.name,
            )
            return


def index_not_used(one: Examined, catalog: Catalog, tables: Tables) -> Iterator[Suggestion]:
    """The plan uses an index, and calls read the whole table: the value they pass must be of another type.

    Normalised texts do not keep a literal's type, so the plan we can make is not the one that ran. The proof is in the
    figures: all of a table read for a row or two, and as many sequential scans of it as there were calls, or as many
    calls without an index as the server counted.
    """
    rows = one.rows_per_call
    if one.plan is None or rows is None or rows > FEW_ROWS:
        return
    scanned = {(row.stats.schema, row.stats.name): row.seq_scan for row in catalog.tables}
    for node in one.plan.root.walk():
        looking = _looking_up(node)
        if looking is None:
            continue
        view = tables.views.get((node.schema or "", node.table or ""))
        if view is None or view.small or node.rows > FEW_ROWS:
            continue
        seen = _read_whole(one, view, scanned.get(view.relation) or 0)
        if seen is None:
            continue
        columns = [each.column for each in one.predicates if each.alias == node.alias and each.kind == "eq"]
        index = next((each for each in view.indexes if each.name == looking.index), None)
        keys = [key.column for key in index.keys] if index is not None else []
        column = next((name for name in keys if name in columns), None)
        if column is None:
            continue
        yield advice(
            "implicit-cast",
            one,
            f"{one.query.uid} does not use {looking.index}, though its condition on {view.stats.name}.{column} could",
            f"To return {count(rows)} rows a call {seen.text} of {view.stats.name}, while the index {looking.index} "
            f"would find them in a few. Most likely the value is passed in another data type than {column} has "
            f"({view.types.get(column, 'unknown')}), so the column is converted for every row: pass it in the column's "
            "own type. An old prepared statement would look the same.",
            list(seen.facts),
            0.7,
            schema=view.stats.schema,
            name=view.stats.name,
        )
        return


def _looking_up(node: PlanNode) -> PlanNode | None:
    """The node that looks rows of this one up in an index; None where they are not looked up in one."""
    if node.kind == "Bitmap Heap Scan" and len(node.children) == 1:
        return node.children[0] if "Index Cond" in node.children[0].conditions else None
    return node if node.kind in ("Index Scan", "Index Only Scan") and "Index Cond" in node.conditions else None


@dataclass(frozen=True)
class _ReadWhole:
    text: str
    facts: tuple[str, ...]


def _read_whole(one: Examined, view: TableView, scans: int) -> _ReadWhole | None:
    """What shows that calls read all of a table: its blocks with its sequential scans, or rows without an index."""
    blocks, rows, calls = one.blocks_per_call, one.rows_per_call, one.query.calls
    if blocks is not None and blocks >= max(0.5 * view.pages, 100) and scans >= 0.5 * calls:
        return _ReadWhole(
            f"it touches {count(blocks)} blocks, the whole",
            (
                f"{count(blocks)} blocks and {count(rows)} rows a call",
                f"{count(scans)} sequential scans of {view.stats.name}",
            ),
        )
    without, examined = one.query.no_index_calls, one.query.rows_examined
    if one.plan is None or any(node.kind == "Seq Scan" for node in one.plan.root.walk()):
        return None  # what the plan itself reads whole is no riddle
    if without and examined and without >= 0.05 * calls and examined / without >= 0.5 * view.rows:
        return _ReadWhole(
            f"{count(without)} of {count(calls)} calls use no index and read {count(examined / without)} rows each, "
            "the whole",
            (f"{count(examined)} rows read in {count(calls)} calls", f"{count(without)} calls without an index"),
        )
    return None


def computed_in_text(one: Examined, tables: Tables, remedies: Mapping[str, str]) -> Iterator[Suggestion]:
    """The same where there is no plan to read: a function around one column of one table, and nothing else in it."""
    if one.plan is not None:
        return
    match = _FUNCTION_IN_TEXT.search(one.words)
    if match is None:
        return
    function, column = match["function"].lower(), match["column"].lower()
    named = {word.lower() for word in _WORD.findall(one.words)}
    homes = [view for view in tables.views.values() if view.stats.name in named and column in view.types]
    if len(homes) != 1 or homes[0].small:
        return
    view = homes[0]
    indexed = any(index.keys and index.keys[0].column == column for index in view.indexes)
    hidden = f" and hides the index on {column}" if indexed else ""
    cure = (
        f"Write a half-open range on the bare column instead: {column} >= day AND {column} < next day."
        if function.startswith(_OF_DATES)
        else remedies["function-on-column"]
    )
    yield advice(
        "function-on-column",
        one,
        f"{one.query.uid} applies {function}() to {view.stats.name}.{column} in its condition",
        f"{function}({column}) is computed for every row{hidden}. {cure}",
        [f"condition on {function}({column}), read from the text: this statement could not be explained"],
        0.6,
        schema=view.stats.schema,
        name=view.stats.name,
    )
