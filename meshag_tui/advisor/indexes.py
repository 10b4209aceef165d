"""What an index can do for another one: the same, more, or less. Compares catalogue entries, never their text.

An index differs from another by method, keys in order with operator class, collation, direction and nulls, included
columns, predicate and uniqueness; each of these decides whether one can take the other's place.
"""

from __future__ import annotations

import re
from dataclasses import replace

from meshag_tui.snapshot import ForeignKey, IndexKey, IndexStats
from meshag_tui.types import IndexColumn, IndexSpec

_PREFIX = re.compile(r"\((\d+)\)")
_PATHS = "jsonb_path_ops"
"""Answers containment alone, and that no better than the wider class of all of jsonb's operators."""
_CAST_TO_TEXT = re.compile(r"::(text|character varying)(\(\d+\))?")


def same_expression(one: str | None, other: str | None) -> bool:
    """Whether two expressions are the same once the server's brackets and text casts are taken off."""
    return (one is None and other is None) or (one is not None and other is not None and plain(one) == plain(other))


def plain(expression: str) -> str:
    """An expression without blanks, brackets, casts to text and the quotes of plain lower-case names."""
    bare = _CAST_TO_TEXT.sub("", re.sub(r'(["`])([a-z_][a-z0-9_]*)\1', r"\2", expression))
    return re.sub(r"[\s()]", "", bare)


def shown(expression: str) -> str:
    """An expression for people: its calls keep their brackets, casts to text and doubled brackets go."""
    return re.sub(r"\(\(([^()]*)\)\)", r"(\1)", _CAST_TO_TEXT.sub("", expression))


def same_key(one: IndexKey, other: IndexKey) -> bool:
    """Whether two key columns are the same in everything the catalogue says of them."""
    return (
        one.column == other.column
        and one.expression == other.expression
        and one.opclass == other.opclass
        and one.collation == other.collation
        and one.descending == other.descending
        and one.nulls_first == other.nulls_first
    )


def whole_keys(index: IndexStats) -> tuple[IndexKey, ...]:
    """The keys with those the server adds by itself, where these are not among them already."""
    named = {key.column for key in index.keys}
    added = (name for name in index.suffix if name not in named)
    return (*index.keys, *(IndexKey(name, None, "", None, False, False) for name in added))


def prefix_length(opclass: str | None) -> int | None:
    """Of how many characters a key of the first characters of a column is; None where it is of the whole column."""
    match = _PREFIX.fullmatch(opclass or "")
    return int(match[1]) if match else None


def _leads(short: IndexKey, long: IndexKey) -> bool:
    """Whether a key can stand in for another: the same, or one of more characters of the same column."""
    if same_key(short, long):
        return True
    mine, theirs = prefix_length(short.opclass), prefix_length(long.opclass)
    longer = mine is not None and (not long.opclass or (theirs is not None and theirs > mine))
    return longer and same_key(replace(short, opclass=""), replace(long, opclass=""))


def twins(one: IndexStats, other: IndexStats) -> bool:
    """Whether two indexes are the same but for name, constraint and size.

    Keys the server adds count, except in unique indexes: these keep only their own from repeating.
    """
    mine, theirs = (one.keys, other.keys) if one.unique else (whole_keys(one), whole_keys(other))
    return (
        _same_place(one, other)
        and len(mine) == len(theirs)
        and all(same_key(a, b) for a, b in zip(mine, theirs, strict=True))
        and set(one.include) == set(other.include)
        and one.unique == other.unique
        and one.nulls_not_distinct == other.nulls_not_distinct
    )


def covered_by(short: IndexStats, long: IndexStats) -> bool:
    """Whether every use of `short` is served by `long`: a B-tree prefix of it, or its twin that is also unique."""
    if short.unique or short.method != "btree" or not _same_place(short, long) or not long.keys:
        return False
    mine, theirs = whole_keys(short), whole_keys(long)
    if len(short.keys) > len(theirs):
        return False
    pairs = list(zip(short.keys, theirs[: len(short.keys)], strict=True))
    same = len(mine) == len(theirs) and all(same_key(a, b) for a, b in zip(mine, theirs, strict=True))
    if same and not (long.unique or set(short.include) < set(long.include)):
        return False
    stored = {key.column for key in theirs} | set(long.include)
    return set(short.include) <= stored and all(_leads(a, b) for a, b in pairs)


def _same_place(one: IndexStats, other: IndexStats) -> bool:
    return (
        (one.schema, one.table, one.method) == (other.schema, other.table, other.method)
        and one.predicate == other.predicate
        and one.name != other.name
    )


def usable(index: IndexStats) -> bool:
    """Whether the planner can use it for any row of its table."""
    return index.valid and index.ready and index.predicate is None and not index.hidden


def covers_columns(index: IndexStats, columns: tuple[str, ...]) -> bool:
    """Whether the leading keys are these columns in any order: what a look-up by all of them needs."""
    leading = {key.column for key in index.keys[: len(columns)]}
    return usable(index) and index.method in ("btree", "hash") and leading == set(columns)


def supports(index: IndexStats, key: ForeignKey) -> bool:
    """Whether the index lets the server find the rows that refer to one parent row."""
    return (index.schema, index.table) == (key.schema, key.table) and covers_columns(index, key.columns)


def holds(index: IndexStats, columns: tuple[str, ...]) -> bool:
    """Whether a server that wants an index for each foreign key is content with this one: whole columns in order."""
    lead = index.keys[: len(columns)]
    whole = all(prefix_length(key.opclass) is None for key in lead)
    return index.method == "btree" and whole and tuple(key.column for key in lead) == columns


def serves(index: IndexStats, spec: IndexSpec, free: int) -> bool:
    """Whether an existing index already does what `spec` would.

    Args:
        free: how many leading columns of `spec` are compared by equality only and may come in any order.
    """
    if not (index.valid and index.ready) or (index.schema, index.table) != (spec.schema, spec.table):
        return False
    keys = whole_keys(index)
    if index.method != spec.method or not (index.predicate is None or same_expression(index.predicate, spec.where)):
        return False
    if len(keys) < len(spec.columns):
        return False
    lead = list(keys[: len(spec.columns)])
    wanted = list(spec.columns)
    if not all(any(_is(key, column) for key in lead[:free]) for column in wanted[:free]):
        return False
    rest = list(zip(lead[free:], wanted[free:], strict=True))
    if not all(_is(key, column) and _ordered(key, column) for key, column in rest):
        return False
    turned = {key.descending != column.descending for key, column in rest}
    stored = {key.column for key in keys} | set(index.include)
    return len(turned) <= 1 and set(spec.include) <= stored


def _is(key: IndexKey, column: IndexColumn) -> bool:
    if column.is_expression:
        return key.column is None and same_expression(key.expression, column.name)
    wanted, have = prefix_length(column.opclass), prefix_length(key.opclass)
    if wanted is not None:
        return key.column == column.name and (have or wanted) >= wanted
    if key.column != column.name or key.collation is not None:
        return False  # with another collation than the column's own it answers no condition of the column
    if column.opclass is None:
        return key.opclass != _PATHS
    return key.opclass == column.opclass or (column.opclass == _PATHS and key.opclass == "jsonb_ops")


def _ordered(key: IndexKey, column: IndexColumn) -> bool:
    """Whether a key of the column's own order, one way or the other, is wanted and there: ranges and sorting ask it."""
    if column.opclass is None and key.opclass.endswith("_pattern_ops"):
        return False
    return (key.nulls_first != key.descending) == column.nulls_turned


def covered_by_spec(short: IndexSpec, long: IndexSpec) -> bool:
    """Whether an index to be made begins with the keys of another one to be made."""
    return (
        short != long
        and (short.schema, short.table, short.method, short.where) == (long.schema, long.table, long.method, long.where)
        and short.method == "btree"
        and len(short.columns) <= len(long.columns)
        and short.columns == long.columns[: len(short.columns)]
        and set(short.include) <= {key.name for key in long.columns} | set(long.include)
    )


def serves_spec(made: IndexSpec, wanted: IndexSpec) -> bool:
    """Whether an index to be made begins with the columns of another, in any order: enough for a look-up by all."""
    lead = {key.name for key in made.columns[: len(wanted.columns)]}
    return made.method == "btree" and made.where is None and lead == {key.name for key in wanted.columns}
