"""An index as one statement sees it: without columns that it has no use for, so that it is not taken for too large.

HypoPG reckons every column of an index 12 bytes too wide. A wide index serves several statements, each of which needs
some of its columns; planned with these alone, its size comes nearer to what it will be, and so does the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile

from meshag_tui.advisor.candidates import relations_of
from meshag_tui.advisor.pricing import Statement
from meshag_tui.advisor.statistics import Relation, Tables
from meshag_tui.advisor.wanted import needed
from meshag_tui.types import IndexSpec


def needs_of(statement: Statement, tables: Tables) -> dict[Relation, frozenset[str]]:
    """Columns that the statement uses of each table; a table of which that is not known is left out."""
    found: dict[Relation, list[frozenset[str]]] = {}
    for relation, alias in relations_of(statement.plan, statement.predicates):
        found.setdefault(tables.home(*relation), []).append(needed(statement.plan, alias))
    return {home: frozenset().union(*each) for home, each in found.items() if all(each)}


def narrowed(spec: IndexSpec, needs: Mapping[Relation, frozenset[str]]) -> IndexSpec:
    """The index with the columns that are needed, promising no order or search that it does not give.

    Keys behind one that is left out are carried only, as they lie in no order of their own there.
    """
    columns = needs.get((spec.schema, spec.table))
    if columns is None or spec.method != "btree" or spec.where or any(key.is_expression for key in spec.columns):
        return spec
    first, *others = spec.columns
    kept = (first, *takewhile(lambda key: key.name in columns, others))
    carried = [*(key.name for key in spec.columns[len(kept) :]), *spec.include]
    return replace(spec, columns=kept, include=tuple(sorted(name for name in carried if name in columns)))
