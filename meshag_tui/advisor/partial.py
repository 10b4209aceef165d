"""Indexes on some rows of a table only: those with one value, with NULL, or whose columns compare in some way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from meshag_tui.advisor import rows_alike
from meshag_tui.advisor.skewed import FEW, MANY, condition_of
from meshag_tui.advisor.statistics import TableView
from meshag_tui.advisor.wanted import SortOrder
from meshag_tui.plan import Predicate
from meshag_tui.types import IndexColumn, IndexSpec


def on_few_rows(
    view: TableView,
    equal: Sequence[str],
    ranges: Sequence[str],
    certain: Sequence[Predicate],
    order: SortOrder | None,
    most_keys: int,
) -> Iterable[tuple[IndexSpec, int]]:
    """Conditions on a constant that is `certain`: an index on those rows only, when they are few.

    Gives each with how many of its leading columns may come in any order.

    Args:
        equal: columns compared by equality, in key order.
        ranges: columns compared with a range.
    """
    schema, table = view.relation
    for one in certain:
        where = condition_of(one) if one.kind == "eq" else None
        walked = order is not None and order.limited and one.operator.upper() == "IS NULL"
        if where is None or one.column is None or view.where_share(where) > (MANY if walked else FEW):
            continue
        names = [name for name in equal if name != one.column]
        sorted_by = [key for key in order.columns if key.name not in equal] if order is not None else []
        keys = [IndexColumn(name) for name in names]
        more = sorted_by or [IndexColumn(name) for name in ranges[:1] if name != one.column]
        whole = [*keys, *more] or [IndexColumn(one.column)]
        yield IndexSpec(schema, table, tuple(whole[:most_keys]), where=where), len(names)


def on_rows_alike(view: TableView, predicates: Sequence[Predicate], specs: Iterable[IndexSpec]) -> Iterable[IndexSpec]:
    """The same indexes on those rows only whose columns compare as the statement asks."""
    specs = [spec for spec in specs if spec.method == "btree" and spec.where is None]
    for where in rows_alike.wheres(predicates, view.types):
        if view.where_share(where) <= MANY:
            yield from (replace(spec, where=where) for spec in specs)
