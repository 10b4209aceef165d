"""Indexes that carry the few other columns a statement needs, so that it never looks at the table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from meshag_tui.advisor.statistics import TableView
from meshag_tui.types import IndexSpec

MOST_INCLUDED = 6
_PART = 0.5
"""Of the width of a row: an index that carries more is a second table."""
_LONG_ROW = 300.0
_ROW_HEADER = 28


def covering(view: TableView, specs: Sequence[IndexSpec], needed: frozenset[str]) -> Iterable[tuple[int, IndexSpec]]:
    """Of each spec that can be widened its place and its covering form.

    Args:
        needed: columns of the table that the statement uses.
    """
    if not needed or not view.types or not view.traits.index_includes:
        return
    limit = _PART * (_ROW_HEADER + sum(view.width(name) for name in view.types))
    for place, spec in enumerate(specs):
        if spec.method != "btree" or any(key.is_expression for key in spec.columns):
            continue
        more = sorted((needed & view.types.keys()) - {key.name for key in spec.columns})
        if not more or len(more) > MOST_INCLUDED or any(_may_be_long(view, name) for name in more):
            continue
        if sum(view.width(name) for name in more) <= limit:
            yield place, replace(spec, include=tuple(more))


def _may_be_long(view: TableView, column: str) -> bool:
    """A value that may not fit an index entry, whatever the average says: large ones are stored elsewhere."""
    kind = view.types.get(column, "")
    if kind.startswith(("json", "bytea", "xml", "tsvector")) or kind.endswith("[]"):
        return True
    endless = kind == "text" or kind == "character varying"
    return endless and (view.stats.size_bytes or 0) / view.rows > _LONG_ROW
