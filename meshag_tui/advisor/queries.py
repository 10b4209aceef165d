"""What is wrong with statements themselves: no index cures these, the application has to change.

Each rule rests on a measured figure or on the plan, and on the text only where the text is decisive. A statement that
a suggested index helps is left out of the rules that guess at the same slowness.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statistics import Tables
from meshag_tui.text import count, duration, percent, size
from meshag_tui.types import EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

NOTABLE_SHARE = 0.02
FAR_OFFSET_BLOCKS = 50.0
LONG_LIST = 100
SPILL_BLOCKS = 32.0
FEW_ROWS = 10.0
WIDE_ROW_BYTES = 1_000.0
_DATES = re.compile(r"^\(*(date|date_trunc|date_part|extract|to_char|timezone)\(|::date\b", re.IGNORECASE)
_CAST = re.compile(r'^\(*"?[A-Za-z_]\w*"?\)*::[a-z]')
_OFFSET = re.compile(r"\bOFFSET\s+(\$\d+|\d+)", re.IGNORECASE)
_NOT_IN = re.compile(r"\bNOT\s+IN\s*\(\s*SELECT\b", re.IGNORECASE)
_RANDOM = re.compile(r"\bORDER\s+BY\s+random\s*\(\s*\)", re.IGNORECASE)
_LIST = re.compile(r"\bIN\s*\(((?:\s*\$\d+\s*,)+\s*\$\d+)\s*\)", re.IGNORECASE)
_FUNCTION_IN_TEXT = re.compile(
    r"\bWHERE\b.*?\b(?P<function>date|date_trunc|to_char|lower|upper|trim|substr|substring|abs|coalesce)\s*\("
    r"(?:\s*\$\d+\s*,)?\s*(?:\w+\.)?(?P<column>[A-Za-z_]\w*)\s*(?:,\s*\$\d+\s*)*\)\s*(?:=|<|>|IN\b|BETWEEN\b)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z_]\w*")
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
        yield from _computed(one, tables, helped)
        yield from _computed_in_text(one, tables)
        yield from _index_not_used(one, catalog, tables)
        yield from _pattern(one, tables, helped)
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
    yield _advice(
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
    yield _advice(
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
    yield _advice(
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
    yield _advice(
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
    yield _advice(
        "long-in-list",
        one,
        f"{one.query.uid} passes {count(longest)} values in an IN list",
        "Each length of list is a statement of its own to parse, plan and count. Pass one array and write = ANY ($1), "
        "or join unnest($1).",
        [f"{count(longest)} parameters in one list"],
        0.7,
    )


def _computed(one: Examined, tables: Tables, helped: Collection[int]) -> Iterator[Suggestion]:
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
            yield _advice(
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
        yield _advice(
            "function-on-column",
            one,
            f"{one.query.uid} applies a function to {view.stats.name}.{column} in its condition",
            f"{expression} is computed for every row{hidden}. {cure}",
            [f"condition on {expression}", f"{count(view.rows)} rows in {view.stats.name}"],
            0.75,
            table=predicate,
        )
        return


def _index_not_used(one: Examined, catalog: Catalog, tables: Tables) -> Iterator[Suggestion]:
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
        yield _advice(
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


def _computed_in_text(one: Examined, tables: Tables) -> Iterator[Suggestion]:
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
    yield _advice(
        "function-on-column",
        one,
        f"{one.query.uid} applies {function}() to {view.stats.name}.{column} in its condition",
        f"{function}({column}) is computed for every row{hidden}. {cure}",
        [f"condition on {function}({column}), read from the text: this statement could not be explained"],
        0.6,
        schema=view.stats.schema,
        name=view.stats.name,
    )


def _pattern(one: Examined, tables: Tables, helped: Collection[int]) -> Iterator[Suggestion]:
    if one.query.id in helped or one.plan is None:
        return
    for predicate in one.predicates:
        view = tables.view(predicate.schema, predicate.table)
        if predicate.kind != "like" or view is None or view.small or not predicate.operator.startswith("~"):
            continue
        yield _advice(
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
            yield _advice(
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
            yield _advice(
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
        yield _advice(
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


def _advice(
    rule: str,
    one: Examined,
    title: str,
    text: str,
    facts: list[str],
    confidence: float,
    table: object = None,
    schema: str | None = None,
    name: str | None = None,
) -> Suggestion:
    node_schema, node_name = _first_table(one)
    return Suggestion(
        rule=rule,
        identity=f"{rule}:{one.query.fingerprint or one.query.key}",
        type=SuggestionType.QUERY_OPTIMIZATION,
        priority=SuggestionPriority.HIGH if one.share >= 0.3 else SuggestionPriority.MEDIUM,
        title=title,
        text=text,
        evidence_kind=EvidenceKind.COUNTED,
        evidence={
            "kind": EvidenceKind.COUNTED.value,
            "facts": [*facts, f"{duration(one.query.total_time_ms)} in all, {percent(one.share)} of all query time"],
        },
        confidence=confidence,
        risk=Risk.LOW,
        schema=getattr(table, "schema", None) or schema or node_schema,
        table=getattr(table, "table", None) or name or node_name,
        query_ids=(one.query.id,),
    )


def _first_table(one: Examined) -> tuple[str | None, str | None]:
    for node in one.plan.root.walk() if one.plan is not None else ():
        if node.table is not None:
            return node.schema, node.table
    return None, None
