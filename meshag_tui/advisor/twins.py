"""Which indexes are copies of others, and which are prefixes: facts for lists, and the ground of advice to drop.

The order in which one of several equal indexes is kept is the same in every run: what plans may use first, then what is
bound to a constraint, then what a statement names in a hint, then the most used, then the oldest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from meshag_tui.advisor.indexes import covered_by, prefix_length, twins
from meshag_tui.snapshot import IndexStats

if TYPE_CHECKING:
    from meshag_tui.store.history import IndexRow


def duplicates(rows: Iterable[IndexRow]) -> dict[str, str]:
    """For each index that equals a better-placed one: its key on the server -> the name of the one to keep."""
    return {key: kept.stats.name for key, kept in equal(rows).items()}


def redundant(rows: Iterable[IndexRow]) -> dict[str, str]:
    """For each index another one serves for: its key on the server -> the name of the longer one."""
    return {key: kept.stats.name for key, kept in prefixes(rows, frozenset()).items()}


def equal(rows: Iterable[IndexRow], named: Collection[str] = ()) -> dict[str, IndexRow]:
    """The same with the row to keep as value; of equal indexes one is never among the keys.

    Args:
        named: keys of indexes that a statement names: of equal ones they are kept.
    """
    kept: dict[str, IndexRow] = {}
    by_table: dict[tuple[str, str], list[IndexRow]] = {}
    for row in rows:
        if row.stats.valid and row.stats.ready:
            by_table.setdefault((row.stats.schema, row.stats.table), []).append(row)
    for left in by_table.values():
        while left:
            first, *others = left
            same = [twins(first.stats, row.stats) for row in others]
            group = [first, *(row for row, is_same in zip(others, same, strict=True) if is_same)]
            left = [row for row, is_same in zip(others, same, strict=True) if not is_same]
            best, *rest = sorted(group, key=lambda row: _worth_keeping(row, named))
            kept.update({row.stats.key: best for row in rest})
    return kept


def prefixes(rows: Iterable[IndexRow], gone: Iterable[str]) -> dict[str, IndexRow]:
    """Each index that a longer one serves for, with that one; keys in `gone` serve for nothing any more.

    The value is never itself a key: of a chain (a), (a, b), (a, b, c) both shorter ones point to the longest.
    """
    out = set(gone)
    by_table: dict[tuple[str, str], list[IndexRow]] = {}
    for row in rows:
        if row.stats.valid and row.stats.ready and row.stats.key not in out:
            by_table.setdefault((row.stats.schema, row.stats.table), []).append(row)
    found: dict[str, IndexRow] = {}
    for here in by_table.values():
        for row in here:
            longer = [other for other in here if not other.stats.hidden and covered_by(row.stats, other.stats)]
            if longer:
                found[row.stats.key] = min(longer, key=_most_serving)
    return found


def bound(index: IndexStats) -> bool:
    """Tied to something other than queries: never ours to drop as a copy of another."""
    return (
        index.primary
        or index.constraint is not None
        or index.replica_identity
        or index.clustered
        or index.owned_by_extension
        or index.parent is not None
    )


def unused(row: IndexRow) -> bool:
    """Whether an index is there for queries alone and no query was seen to use it in the window of `row`.

    A primary key, a unique index or one that backs a constraint does its work on every write, without a scan.
    """
    return row.scans == 0 and row.stats.valid and not (row.stats.unique or bound(row.stats))


def _worth_keeping(row: IndexRow, named: Collection[str]) -> tuple[bool, bool, bool, int, int, str]:
    key = row.stats.key
    return (
        row.stats.hidden,
        not bound(row.stats),
        key not in named,
        -(row.stats.scans or 0),
        int(key) if key.isdigit() else 0,
        row.stats.name,
    )


def _most_serving(row: IndexRow) -> tuple[bool, int, float, int, str]:
    """Unique twins first, then those with most keys, characters and columns: nothing covers them in turn."""
    stats = row.stats
    cut = sum(1 / length for key in stats.keys if (length := prefix_length(key.opclass)))
    return not bound(stats), -len(stats.keys), cut, -len(stats.include), stats.name
