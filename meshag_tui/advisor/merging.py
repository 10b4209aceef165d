"""Indexes that no statement asked for in this form: shorter ones, and ones that do the work of two."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from meshag_tui.types import IndexColumn, IndexSpec

MOST_KEYS = 4
MOST_INCLUDED = 6
_PAIRED = 8
"""Of the indexes of one table that begin with the same column, so many are paired."""


def shorter(spec: IndexSpec) -> Iterator[IndexSpec]:
    """The same index without its included columns, and with fewer keys."""
    if spec.method != "btree":
        return
    if spec.include:
        yield replace(spec, include=())
    for keys in range(1, len(spec.columns)):
        yield replace(spec, columns=spec.columns[:keys], include=())


def merged(specs: Sequence[IndexSpec]) -> Iterator[IndexSpec]:
    """Of two indexes that begin with the same column, the one that has the keys of one and all columns of both.

    Args:
        specs: the most useful first.
    """
    groups: dict[object, list[IndexSpec]] = {}
    for spec in specs:
        if spec.method == "btree" and not any(key.is_expression or key.opclass for key in spec.columns):
            groups.setdefault((spec.schema, spec.table, spec.where, spec.columns[0].name), []).append(spec)
    for group in groups.values():
        for one, other in itertools.permutations(group[:_PAIRED], 2):
            yield from _pair(one, other)


def _pair(one: IndexSpec, other: IndexSpec) -> Iterator[IndexSpec]:
    named = {key.name for key in one.columns}
    more = [key for key in other.columns if key.name not in named]
    if len(one.columns) + len(more) <= MOST_KEYS:
        keys = (*one.columns, *more)
        yield from _with(one, keys, (*one.include, *other.include))
    yield from _with(one, one.columns, (*one.include, *(key.name for key in more), *other.include))


def _with(spec: IndexSpec, keys: Sequence[IndexColumn], included: Iterable[str]) -> Iterator[IndexSpec]:
    named = {key.name for key in keys}
    include = tuple(sorted({name for name in included if name not in named}))
    if len(include) <= MOST_INCLUDED:
        made = replace(spec, columns=tuple(keys), include=include)
        if made != spec:
            yield made
