"""How many different combinations of columns there are, as far as keys say: what statistics of single columns do not.

A table that refers to the whole key of another one, by a foreign key or by what statements join on, holds no more
combinations of these columns than the other table has rows. The product of the columns' own numbers may be thousands
of times as many, and an index on them then seems to have nothing to keep once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.plan import Predicate
from meshag_tui.snapshot import ForeignKey

Name = tuple[str, str]
"""Alias and column."""


def combined(tables: Tables, keys: Iterable[ForeignKey], statements: Iterable[Sequence[Predicate]]) -> Tables:
    """The tables, each with what is known of its combinations of columns.

    Args:
        keys: declared foreign keys.
        statements: the conditions of each statement.
    """
    found: dict[Relation, dict[frozenset[str], float]] = {}

    def note(relation: Relation, columns: Iterable[str], other: Relation) -> None:
        view, together = tables.views.get(other), frozenset(columns)
        if view is not None and len(together) > 1:
            known = found.setdefault(relation, {})
            known[together] = min(known.get(together, view.rows), view.rows)

    for key in keys:
        note(tables.home(key.schema, key.table), key.columns, tables.home(key.ref_schema, key.ref_table))
    for predicates in statements:
        for relation, columns, other in _joined_by_key(predicates, tables):
            note(relation, columns, other)
    if not found:
        return tables
    views = {
        key: replace(view, combinations=found[key]) if key in found else view for key, view in tables.views.items()
    }
    return replace(tables, views=views)


def _joined_by_key(
    predicates: Sequence[Predicate], tables: Tables
) -> Iterator[tuple[Relation, tuple[str, ...], Relation]]:
    """Columns of a table that a statement compares with the whole of a unique key of another."""
    homes: dict[str, Relation] = {}
    same: dict[Name, set[Name]] = {}  # columns a statement holds to be equal
    for one in predicates:
        if one.joined is not None and one.column is not None:
            homes[one.alias] = tables.home(one.schema, one.table)
            mine, theirs = same.get((one.alias, one.column)), same.get(one.joined)
            whole = {(one.alias, one.column), one.joined, *(mine or ()), *(theirs or ())}
            same.update(dict.fromkeys(whole, whole))
    for alias, home in homes.items():
        for key in _unique_keys(tables, home):
            if not all((alias, column) in same for column in key):
                continue
            for other, there in homes.items():
                columns = _of_alias(same, alias, key, other) if there != home else ()
                if len(columns) == len(key):
                    yield there, columns, home


def _unique_keys(tables: Tables, relation: Relation) -> Iterator[tuple[str, ...]]:
    view = tables.views.get(relation)
    for index in view.indexes if view is not None else ():
        names = tuple(key.column for key in index.keys if key.column is not None)
        if index.unique and index.valid and index.predicate is None and len(names) == len(index.keys) > 1:
            yield names


def _of_alias(same: Mapping[Name, set[Name]], alias: str, key: Sequence[str], other: str) -> tuple[str, ...]:
    """The columns of another relation that equal these."""
    found = []
    for column in key:
        equal = sorted(name for which, name in same[alias, column] if which == other)
        found += equal[:1]
    return tuple(found)
