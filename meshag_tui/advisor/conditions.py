"""Conditions that no plain index serves: functions and casts around a column, patterns, values of another type."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statement_advice import advice
from meshag_tui.advisor.statistics import Tables
from meshag_tui.text import count
from meshag_tui.types import Suggestion

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

FEW_ROWS = 10.0
_DATES = re.compile(r"^\(*(date|date_trunc|date_part|extract|to_char|timezone)\(|::date\b", re.IGNORECASE)
_CAST = re.compile(r'^\(*"?[A-Za-z_]\w*"?\)*::[a-z]')
_WORD = re.compile(r"[A-Za-z_]\w*")
_FUNCTION_IN_TEXT = re.compile(
    r"\bWHERE\b.*?\b(?P<function>date|date_trunc|to_char|lower|upper|trim|substr|substring|abs|coalesce)\s*\("
    r"(?:\s*\$\d+\s*,)?\s*(?:\w+\.)?(?P<column>[A-Za-z_]\w*)\s*(?:,\s*\$\d+\s*)*\)\s*(?:=|<|>|IN\b|BETWEEN\b)",
    re.IGNORECASE,
)


def computed(one: Examined, tables: Tables, helped: Collection[int]) -> Iterator[Suggestion]:
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
            else "Compare the bare column, or index the expression."
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


def index_not_used(one: Examined, catalog: Catalog, tables: Tables) -> Iterator[Suggestion]:
    """The plan uses an index, and the calls read the whole table: the value they pass must be of another type.

    Normalised texts do not keep a literal's type, so the plan we can make is not the one that ran. The proof is in the
    figures: blocks of a whole table for a row or two, and as many sequential scans of it as there were calls.
    """
    blocks, rows = one.blocks_per_call, one.rows_per_call
    if one.plan is None or blocks is None or rows is None or rows > FEW_ROWS:
        return
    scanned = {(row.stats.schema, row.stats.name): row.seq_scan for row in catalog.tables}
    for node in one.plan.root.walk():
        if node.kind not in ("Index Scan", "Index Only Scan") or "Index Cond" not in node.conditions:
            continue
        view = tables.views.get((node.schema or "", node.table or ""))
        if view is None or view.small or node.rows > FEW_ROWS or blocks < 0.5 * view.pages or blocks < 100:
            continue
        if (scanned.get(view.relation) or 0) < 0.5 * one.query.calls:
            continue
        columns = [each.column for each in one.predicates if each.alias == node.alias and each.kind == "eq"]
        index = next((each for each in view.indexes if each.name == node.index), None)
        keys = [key.column for key in index.keys] if index is not None else []
        column = next((name for name in keys if name in columns), None)
        if column is None:
            continue
        yield advice(
            "implicit-cast",
            one,
            f"{one.query.uid} does not use {node.index}, though its condition on {view.stats.name}.{column} could",
            f"For {count(rows)} rows a call it touches {count(blocks)} blocks, the whole of {view.stats.name}, while "
            f"the index {node.index} would find them in a few. Most likely the value is passed in another data type "
            f"than {column} has ({view.types.get(column, 'unknown')}), so the column is converted for every row: pass "
            "it in the column's own type. An old prepared statement would look the same.",
            [
                f"{count(blocks)} blocks and {count(rows)} rows a call",
                f"{count(scanned.get(view.relation))} sequential scans of {view.stats.name}",
            ],
            0.7,
            schema=view.stats.schema,
            name=view.stats.name,
        )
        return


def computed_in_text(one: Examined, tables: Tables) -> Iterator[Suggestion]:
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
        if function.startswith(("date", "to_char"))
        else "Compare the bare column, or index the expression."
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


def pattern(one: Examined, tables: Tables, helped: Collection[int]) -> Iterator[Suggestion]:
    if one.query.id in helped or one.plan is None:
        return
    for predicate in one.predicates:
        view = tables.view(predicate.schema, predicate.table)
        if predicate.kind != "like" or view is None or view.small or not predicate.operator.startswith("~"):
            continue
        yield advice(
            "leading-wildcard",
            one,
            f"{one.query.uid} searches {view.stats.name}.{predicate.column or predicate.expression} for a pattern",
            "A pattern that begins with a wildcard cannot use a B-tree, so the whole table is read. A trigram index "
            "(extension pg_trgm, USING gin (… gin_trgm_ops)) finds such patterns; for words, full-text search. If the "
            "patterns only ever begin with fixed characters, a B-tree with text_pattern_ops is enough.",
            [f"{count(view.rows)} rows in {view.stats.name}", f"{count(one.query.calls)} calls"],
            0.65,
            table=predicate,
        )
        return
