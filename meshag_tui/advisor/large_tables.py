"""What the rows of a large table are made of: columns that scans carry along for nothing, rows that go as a range.

Both are work for people, a table taken apart; so both ask for size, for a share of the load that was counted, and name
the statements that would gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from meshag_tui.advisor.costs import memory_setting, weigh
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statistics import Relation, Tables, TableView
from meshag_tui.advisor.wanted import needed
from meshag_tui.engines import words_for
from meshag_tui.figures import count, number_of, percent, size
from meshag_tui.types import EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

WIDE_ROW = 1_000.0
"""Bytes of a row in the table's own pages: a page holds eight or fewer."""
WIDE_BYTES = 64 * 1024**2
CARRIED = 0.6
"""Share of a row that the columns have which no scan of the table asks for."""
SCAN_SHARE, LOAD_SHARE = 0.3, 0.05
PARTITION_BYTES = 1024**3
RANGED = 0.9
"""Share of a table's time whose statements ask for a range of one column."""
_TIMES = ("date", "timestamp", "datetime")


def large_tables(
    examined: Sequence[Examined], catalog: Catalog, tables: Tables, helped: Set[int]
) -> Iterator[Suggestion]:
    """Wide rows and partition candidates. `helped`: ids of statements that a suggested index serves."""
    remedies = words_for(catalog.facts.engine).remedies
    for view in tables.views.values():
        if view.stats.kind == "table":
            yield from _wide_rows(view, examined, tables, helped, remedies)
            yield from _partition(view, examined, catalog, tables, remedies)


def _wide_rows(
    view: TableView, examined: Sequence[Examined], tables: Tables, helped: Set[int], remedies: Mapping[str, str]
) -> Iterator[Suggestion]:
    """Most of each row is never asked for by those who read the table whole."""
    in_pages = view.pages * view.block_size
    row = in_pages / view.rows
    if row < WIDE_ROW or in_pages < WIDE_BYTES or not view.columns:
        return
    readers, asked = [], set[str]()
    for one in examined:
        aliases = _read_whole(one, view, tables)
        if one.plan is None or not aliases or one.query.id in helped:
            continue
        readers.append(one)
        asked |= {name for alias in aliases for name in needed(one.plan, alias)}
    idle = {name: view.width(name) for name in view.columns if name not in asked}
    carried, share = sum(idle.values()), sum(one.share for one in readers)
    if not readers or not asked or share < LOAD_SHARE or carried < CARRIED * row or carried > 2 * row:
        return
    widest = [name for name in sorted(idle, key=lambda name: -idle[name])[:3] if idle[name] >= carried / 10]
    named = [*sorted(asked)[:5], *(["others"] if len(asked) > 5 else [])]
    yield _suggestion(
        view,
        "wide-rows",
        f"Rows of {view.stats.name} take {size(row)} each, and scans use little of them",
        f"{number_of(len(readers), 'statement')} with {percent(share)} of all query time read {view.stats.name} whole, "
        f"{size(in_pages)}, for {', '.join(named)}. Of each row {size(sum(idle[name] for name in widest))} on average "
        f"are {', '.join(widest)}, which none of them asks for. {remedies['wide-rows']}",
        [f"{count(view.rows)} rows in {count(view.pages)} pages", *(f"{name}: {size(idle[name])}" for name in widest)],
        readers,
        0.6,
    )


def _read_whole(one: Examined, view: TableView, tables: Tables) -> set[str]:
    """The aliases under which a SELECT reads the table from end to end, where that is a notable part of its cost."""
    if one.plan is None or one.query.kind != "select":
        return set()
    return {
        each.node.alias or each.node.table or ""
        for each in weigh(one.plan)
        if each.node.kind == "Seq Scan"
        and each.share >= SCAN_SHARE
        and tables.home(each.node.schema or "", each.node.table or "") == view.relation
    }


def _partition(
    view: TableView, examined: Sequence[Examined], catalog: Catalog, tables: Tables, remedies: Mapping[str, str]
) -> Iterator[Suggestion]:
    """A table larger than what is kept in memory, whose rows go, or are read, as ranges of one column of time."""
    settings = catalog.facts.settings
    memory = max(memory_setting(settings, name) or 0 for name in ("shared_buffers", "innodb_buffer_pool_size"))
    bytes_ = view.stats.size_bytes or 0
    if bytes_ < max(PARTITION_BYTES, memory):
        return
    mine = [one for one in examined if one.plan is not None and _of(one, view.relation, tables)]
    load = sum(one.share for one in mine)
    for column, kind in view.types.items():
        if not kind.startswith(_TIMES):
            continue
        ranged = [one for one in mine if _asks_a_range(one, view.relation, column, tables)]
        purged = [one for one in ranged if one.query.kind == "delete" and (one.query.rows or 0) > 0]
        share = sum(one.share for one in ranged)
        if not purged and (load < LOAD_SHARE or share < RANGED * load):
            continue
        gone = sum(one.query.rows or 0 for one in purged)
        why = (
            f"{count(gone)} rows were deleted by ranges of {column} in the window: each is looked up and removed one "
            f"by one, from every index too, and its room is not given back. Dropping a partition takes a moment"
            if purged
            else f"Statements with {percent(share / load)} of its time ask for a range of {column}: only the "
            "partitions of that range would be read, and their indexes are small"
        )
        yield _suggestion(
            view,
            "partition-candidate",
            f"Partition {view.stats.name} by ranges of {column}",
            f"{view.stats.name} takes {size(bytes_)}, more than the {size(max(memory, PARTITION_BYTES))} from which "
            f"that is worth a thought. {why}. {remedies['partition-candidate']}",
            [f"{size(bytes_)}, {count(view.rows)} rows", *(f"{one.query.uid}: {percent(one.share)}" for one in ranged)],
            purged or ranged,
            0.7 if purged else 0.5,
        )
        return


def _of(one: Examined, relation: Relation, tables: Tables) -> bool:
    return any(
        node.table is not None and tables.home(node.schema or "", node.table) == relation
        for node in (one.plan.root.walk() if one.plan is not None else ())
    )


def _asks_a_range(one: Examined, relation: Relation, column: str, tables: Tables) -> bool:
    return any(
        each.column == column
        and each.kind == "range"
        and not each.alternatives
        and tables.home(each.schema, each.table) == relation
        for each in one.predicates
    )


def _suggestion(
    view: TableView,
    rule: str,
    title: str,
    text: str,
    facts: list[str],
    about: Sequence[Examined],
    confidence: float,
) -> Suggestion:
    schema, table = view.relation
    return Suggestion(
        rule=rule,
        identity=f"{rule}:{schema}.{table}",
        type=SuggestionType.SCHEMA_OPTIMIZATION,
        priority=SuggestionPriority.LOW,
        title=title,
        text=text,
        evidence_kind=EvidenceKind.COUNTED,
        evidence={"kind": EvidenceKind.COUNTED.value, "facts": facts},
        confidence=confidence,
        risk=Risk.LOW,
        schema=schema,
        table=table,
        query_ids=tuple(one.query.id for one in about),
    )
