"""Columns that look like references and have no foreign key: a word to the owner of the schema, not a change.

Four things must agree: the name (user_id, users_id beside users.id, or the key's own name), the type, a join of the two
in the workload, and the planner's sample: its values lie among those of the key. A schema without any foreign key is so
by choice, and nothing is said there. Rows whose parent is missing are not counted, as that reads both tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from meshag_tui.advisor.by_hand import made_name, qualified, quoted
from meshag_tui.advisor.examined import Examined
from meshag_tui.advisor.statistics import Relation, Tables, TableView
from meshag_tui.figures import count
from meshag_tui.plan import Plan
from meshag_tui.types import EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

_NAME = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\w+)'
_JOINED = re.compile(rf"({_NAME})\.({_NAME}) = ({_NAME})\.({_NAME})(?![\w.(:])")
_JOIN_CONDITIONS = ("Hash Cond", "Merge Cond", "Join Filter", "Index Cond", "Recheck Cond", "Filter")
_WHOLE = re.compile(r"^(?:small|big|medium|tiny)?int(?:eger)?\b")
_TABLES = ("table", "partitioned")
Place = tuple[str, str, str]
"""Schema, table and column."""


def missing_foreign_keys(examined: Sequence[Examined], catalog: Catalog, tables: Tables) -> Iterator[Suggestion]:
    """One for each column that looks like a reference; nothing where foreign keys were not read."""
    if catalog.foreign_keys is None:
        return
    tying = {key.schema for key in catalog.foreign_keys}
    tied = {(key.schema, key.table, name) for key in catalog.foreign_keys for name in key.columns}
    found: dict[tuple[Place, Place], list[Examined]] = {}
    for one in examined:
        for child, parent in _joined(one.plan) if one.plan is not None else ():
            for ends in ((child, parent), (parent, child)):
                found.setdefault(ends, []).append(one)
    for (child, parent), joining in found.items():
        views = tables.view(*child[:2]), tables.view(*parent[:2])
        if views[0] is None or views[1] is None or child in tied or child[:2] == parent[:2] or child[0] not in tying:
            continue
        if _refers(views[0], child[2], views[1], parent[2]):
            yield _suggestion(views[0], child[2], views[1], parent[2], joining, catalog)


def _joined(plan: Plan) -> Iterator[tuple[Place, Place]]:
    """Columns that a plan joins by equality."""
    places: dict[str, Relation] = {
        node.alias: (node.schema, node.table)
        for node in plan.root.walk()
        if node.alias is not None and node.schema is not None and node.table is not None
    }
    pairs: dict[tuple[Place, Place], None] = {}
    for node in plan.root.walk():
        for name in _JOIN_CONDITIONS:
            for match in _JOINED.finditer(node.conditions.get(name, "")):
                one, column, other, key = (_bare(each) for each in match.groups())
                if one in places and other in places and one != other:
                    pairs[(*places[one], column), (*places[other], key)] = None
    yield from pairs


def _refers(child: TableView, column: str, parent: TableView, key: str) -> bool:
    """Whether name, type, key and sample agree."""
    unique = any(
        index.unique and index.predicate is None and [each.column for each in index.keys] == [key]
        for index in parent.indexes
    )
    own = any(index.unique and [each.column for each in index.keys] == [column] for index in child.indexes)
    kinds = child.types.get(column, ""), parent.types.get(key, "?")
    alike = kinds[0] == kinds[1] or all(_WHOLE.match(each) for each in kinds)
    stored = child.stats.kind in _TABLES and parent.stats.kind in _TABLES and parent.stats.schema == child.stats.schema
    polymorphic = column.endswith("_id") and f"{column.removesuffix('_id')}_type" in child.types
    if not (unique and alike and stored) or own or polymorphic or not _is_named_for(column, parent.stats.name, key):
        return False
    return _within(child, column, parent, key)


def _is_named_for(column: str, table: str, key: str) -> bool:
    """Whether a column is called after a table and its key."""
    singular = re.sub(r"ies$", "y", table) if table.endswith("ies") else re.sub(r"(?<=[sxz])es$|(?<!s)s$", "", table)
    names = {f"{one}_{key}" for one in (table, singular, table.removesuffix("s"))}
    return column in names or (column == key and key.lower() not in ("id", "uuid", "code", "name"))


def _within(child: TableView, column: str, parent: TableView, key: str) -> bool:
    """Whether the sampled values of a column lie among those of the key, as far as samples say."""
    mine, theirs = child.columns.get(column), parent.columns.get(key)
    if mine is None or theirs is None or child.distinct(column) > 1.1 * parent.rows:
        return False
    values, keys = (*mine.common_values, *mine.histogram), (*theirs.common_values, *theirs.histogram)
    if not values or not keys:
        return False
    if not all(re.fullmatch(r"-?\d+", value) for value in (*values, *keys)):
        return True  # an order of texts is the server's to know
    lowest, highest = min(map(int, keys)), max(map(int, keys))
    return all(lowest <= int(value) <= highest for value in values)


def _suggestion(
    child: TableView, column: str, parent: TableView, key: str, joining: Sequence[Examined], catalog: Catalog
) -> Suggestion:
    here, there = child.stats, parent.stats
    facts = catalog.facts
    table, other = qualified(here.schema, here.name, facts), qualified(there.schema, there.name, facts)
    name, key_name = quoted(column, facts), quoted(key, facts)
    constraint = quoted(made_name(here.name, column, "fkey"), facts)
    adding = f"ALTER TABLE {table} ADD CONSTRAINT {constraint} FOREIGN KEY ({name}) REFERENCES {other} ({key_name})"
    how = (
        f"{adding} NOT VALID, which checks new rows only and takes a short lock; then ALTER TABLE {table} VALIDATE "
        f"CONSTRAINT {constraint}, which lets work go on."
        if facts.traits.checks_rows_later
        else f"{adding}, which checks every row and blocks writers meanwhile."
    )
    calls = sum(one.query.calls for one in joining)
    joined = f"{len(joining)} statements join them, {count(calls)} calls"
    return Suggestion(
        rule="missing-foreign-key",
        identity=f"missing-foreign-key:{here.schema}.{here.name}:{column}",
        type=SuggestionType.SCHEMA_OPTIMIZATION,
        priority=SuggestionPriority.LOW,
        title=f"{here.name}.{column} looks like a reference to {there.name}.{key}, without a foreign key",
        text=f"Its name and type say so, and statements join the two; nothing keeps rows of {here.name} from referring "
        f"to a row of {there.name} that is not there. Whether such rows are there was not counted, as that reads both "
        f"tables. If it is meant as a reference: {how}",
        evidence_kind=EvidenceKind.STATED,
        evidence={
            "kind": EvidenceKind.STATED.value,
            "facts": [
                joined,
                f"{child.types[column]} and {parent.types[key]}",
                f"{count(child.distinct(column))} values for {count(parent.rows)} rows of {there.name}, those in the "
                "planner's sample among its keys",
            ],
        },
        confidence=0.4,
        risk=Risk.LOW,
        schema=here.schema,
        table=here.name,
        query_ids=tuple(dict.fromkeys(one.query.id for one in joining)),
    )


def _bare(name: str) -> str:
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote in ('"', "`") else name
