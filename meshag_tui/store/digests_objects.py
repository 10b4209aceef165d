"""What tables and indexes did in a window or digest, from intervals and digests alike: see `digests`.

Their intervals are the connection's, and so are its hours and days; a row is there for what was in use only. Beside the
counters each part has the first and the last size that is known of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from meshag_tui.snapshot import INDEX_COUNTERS, TABLE_COUNTERS
from meshag_tui.store import models
from meshag_tui.store.digests import Source


class Kind(NamedTuple):
    """Tables or indexes: where their rows are, by interval and by digest."""

    rows: str
    digests: str
    key: str
    counters: tuple[str, ...]


TABLES = Kind("table_access", "table_digest", "table_id", tuple(TABLE_COUNTERS))
INDEXES = Kind("index_usage", "index_digest", "index_id", tuple(INDEX_COUNTERS))


def sums(kind: Kind, source: Source) -> dict[int, dict[str, int | None]]:
    """The counters of each object that did something in a window, by its id."""
    columns = ", ".join((kind.key, *kind.counters))
    parts = [
        f"SELECT {columns} FROM {table} WHERE {of} IN ({_listed(ids)})"  # noqa: S608
        for table, of, ids in _places(kind, source)
    ]
    totals = ", ".join(f"SUM({name})" for name in kind.counters)
    statement = f"SELECT {kind.key}, {totals} FROM ({' UNION ALL '.join(parts)}) r GROUP BY {kind.key}"  # noqa: S608
    return {
        row[0]: {
            name: None if value is None else int(value) for name, value in zip(kind.counters, row[1:], strict=True)
        }
        for row in models.database.execute_sql(statement).fetchall()
    }


def sized_sql(kind: Kind, source: Source) -> str:
    """A SELECT of each object's key, counters, `first_bytes`, `size_bytes` and end: a row for each part."""
    parts = []
    for table, of, ids in _places(kind, source):
        counters = ", ".join(f"a.{name}" for name in kind.counters)
        owner, first = ('"interval"', "size_bytes") if of == "interval_id" else ("digest", "first_bytes")
        parts.append(
            f"SELECT a.{kind.key}, {counters}, a.{first} AS first_bytes, a.size_bytes, o.end_at "  # noqa: S608
            f"FROM {table} a JOIN {owner} o ON o.id = a.{of} WHERE a.{of} IN ({_listed(ids)})"
        )
    return " UNION ALL ".join(parts)


def write(digest: int, source: Source) -> None:
    """Make the rows of a digest from its parts."""
    for kind in (TABLES, INDEXES):
        columns = ", ".join((kind.key, *kind.counters, "first_bytes", "size_bytes"))
        totals = ", ".join(f"SUM({name})" for name in kind.counters)
        models.database.execute_sql(
            f"""
            INSERT INTO {kind.digests} (digest_id, {columns})
            SELECT {int(digest)}, {kind.key}, {totals}, {ENDS} FROM ({ranked_sql(kind, source)}) r GROUP BY {kind.key}
            """  # noqa: S608
        )


ENDS = (
    "MAX(CASE WHEN from_first = 1 THEN first_bytes END) AS first_bytes, "
    "MAX(CASE WHEN from_last = 1 THEN size_bytes END) AS size_bytes"
)
"""The first and the last known size of what `ranked_sql` gives, grouped by object."""


def ranked_sql(kind: Kind, source: Source) -> str:
    """`sized_sql` with each row's place among those of its object that know a size, from either end of the window."""
    return f"""
        SELECT p.*, ROW_NUMBER() OVER (PARTITION BY {kind.key} ORDER BY (size_bytes IS NULL), end_at) AS from_first,
            ROW_NUMBER() OVER (PARTITION BY {kind.key} ORDER BY (size_bytes IS NULL), end_at DESC) AS from_last
        FROM ({sized_sql(kind, source)}) p
    """  # noqa: S608


def _places(kind: Kind, source: Source) -> list[tuple[str, str, Sequence[int]]]:
    found: list[tuple[str, str, Sequence[int]]] = []
    if source.intervals or not source.digests:
        found.append((kind.rows, "interval_id", source.intervals))
    if source.digests:
        found.append((kind.digests, "digest_id", source.digests))
    return found


def _listed(ids: Sequence[int]) -> Any:
    return ", ".join(map(str, ids)) or "NULL"
