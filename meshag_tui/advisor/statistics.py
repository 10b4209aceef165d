"""What the planner's statistics say of tables and columns: how many rows a condition keeps, how large an index gets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshag_tui.advisor import rows_alike
from meshag_tui.advisor.skewed import value_of
from meshag_tui.engines.base import ColumnStatistics
from meshag_tui.engines.index_size import index_bytes
from meshag_tui.snapshot import IndexStats, TableStats, Traits
from meshag_tui.types import IndexSpec

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog

Relation = tuple[str, str]
"""Schema and name."""

SMALL_PAGES = 8
_UNKNOWN_DISTINCT = 200.0  # what PostgreSQL itself assumes
_UNKNOWN_WIDTH = 8
_SAMPLED_ROWS = 30_000  # that ANALYZE looks at, unless told otherwise
_RARE_VALUES = 2.0
"""How many times more values a large, uneven column has than a sample of it lets the server guess (1.6 to 3.2 seen)."""
_UNEVEN = 5.0  # times the mean: a value as common as this
_CUT_OFF = 0.5  # bytes: the server keeps mean widths without their fraction
_WHERE = re.compile(r'^(?P<not>NOT )?"(?P<column>(?:[^"]|"")+)"(?P<null> IS NULL)?$')
_WRITES = ("inserts", "updates", "deletes")
_ALIGNED = {
    **dict.fromkeys(("bigint", "double precision", "timestamp without time zone", "timestamp with time zone"), 8),
    **dict.fromkeys(("integer", "int", "date", "real", "oid"), 4),
    "smallint": 2,
}
"""Types of fixed width, and where their values may begin; all others vary and begin anywhere."""
_PADDED = ("character", "uuid", "boolean")
"""Types that take the same room whatever the value is, and begin anywhere."""
_NO_DEDUPLICATION = ("numeric", "float4", "float8", "real", "double precision", "jsonb", "interval")


@dataclass(frozen=True)
class TableView:
    """One table with its columns' statistics and indexes, as the rules look at it."""

    stats: TableStats
    columns: Mapping[str, ColumnStatistics]
    types: Mapping[str, str]
    indexes: tuple[IndexStats, ...] = ()  # those that plans may use
    hidden: tuple[IndexStats, ...] = ()  # those kept out of plans
    parts: tuple[Relation, ...] = ()  # leaf partitions, when it is a partitioned parent
    writes: float = 0.0  # rows inserted, updated or deleted in the window
    hot_updates: float = 0.0  # of these, updates in place that touched no index
    trigrams: bool = False  # pg_trgm is installed
    traits: Traits = field(default_factory=Traits)
    block_size: int = 8192
    combinations: Mapping[frozenset[str], float] = field(default_factory=dict)  # at most so many of these together
    _alike: dict[str, float] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def relation(self) -> Relation:
        return self.stats.schema, self.stats.name

    @property
    def rows(self) -> float:
        """Rows as estimated by the last ANALYZE, else as counted; at least 1."""
        known = self.stats.rows_estimate if self.stats.rows_estimate > 0 else float(self.stats.live_rows or 0)
        return max(1.0, known)

    @property
    def pages(self) -> float:
        known = self.stats.pages or math.ceil((self.stats.size_bytes or 0) / self.block_size)
        return max(1.0, float(known))

    @property
    def small(self) -> bool:
        """So small that reading it whole costs no more than an index would."""
        return self.pages < SMALL_PAGES

    def distinct(self, column: str) -> float:
        """Number of different values, NULL apart."""
        known = self.columns.get(column)
        if known is None or known.distinct == 0:
            return min(_UNKNOWN_DISTINCT, self.rows)
        return max(1.0, -known.distinct * self.rows if known.distinct < 0 else known.distinct)

    def _distinct_kept(self, column: str) -> float:
        """The same for sizes, where many rare values count: of these a sample sees only some."""
        found, known = self.distinct(column), self.columns.get(column)
        commonest = known.common_frequencies[0] if known is not None and known.common_frequencies else 0.0
        even = commonest < max(_UNEVEN / found, _UNEVEN * 2 / _SAMPLED_ROWS)  # chance makes some of a sample commoner
        if even or found < _SAMPLED_ROWS / 10 or self.rows < 2 * _SAMPLED_ROWS:
            return found
        return min(self.rows, found * _RARE_VALUES)

    def _combined(self, columns: set[str]) -> float:
        """Different combinations of columns: each with each, but no more than is known of some together."""
        found, left = 1.0, set(columns)
        for some, number in sorted(self.combinations.items(), key=lambda one: (-len(one[0]), sorted(one[0]))):
            if some <= left and number < math.prod(map(self._distinct_kept, some)):
                found *= number
                left -= some
        return found * math.prod(map(self._distinct_kept, left))

    def equal_share(self, column: str) -> float:
        """Share of the rows that equal an average value."""
        known = self.columns.get(column)
        nulls = known.null_fraction if known else 0.0
        return max((1.0 - nulls) / self.distinct(column), 1.0 / self.rows)

    def value_share(self, column: str, value: str) -> float:
        """Share of the rows with this value, by its printed text; the average share where it is not a common one."""
        known = self.columns.get(column)
        shares = dict(zip(known.common_values, known.common_frequencies, strict=False)) if known else {}
        return shares.get(value, self.equal_share(column) if not shares else 0.0)

    def where_share(self, where: str | None) -> float:
        """Share of the rows in a partial index: on IS NULL, a boolean, one value, or columns compared; of others 1."""
        one_value = value_of(where)
        if one_value is not None:
            return max(self.value_share(*one_value), 1.0 / self.rows)
        if where is not None and rows_alike.conditions(where):
            if where not in self._alike:
                self._alike[where] = max(rows_alike.share(where, self.columns), 1.0 / self.rows)
            return self._alike[where]
        match = _WHERE.match(where or "")
        if match is None:
            return 1.0
        column = match["column"].replace('""', '"')
        if match["null"]:
            return self.null_share(column)
        return self.value_share(column, "f" if match["not"] else "t")

    def null_share(self, column: str) -> float:
        known = self.columns.get(column)
        return known.null_fraction if known else 0.005

    def correlation(self, column: str) -> float:
        known = self.columns.get(column)
        return known.correlation or 0.0 if known else 0.0

    def width(self, column: str) -> int:
        known = self.columns.get(column)
        return known.average_width if known else _UNKNOWN_WIDTH

    @property
    def suffix(self) -> tuple[str, ...]:
        """Columns the server adds to the keys of every index by itself."""
        return next((index.suffix for index in self.indexes if index.suffix), ())

    def _width(self, spec: IndexSpec) -> float:
        """Bytes of an entry's values, each where its type may begin."""
        named = {key.name for key in spec.columns}
        size = float(sum(2 * _UNKNOWN_WIDTH for key in spec.columns if key.is_expression))
        names = [key.name for key in spec.columns if not key.is_expression]
        for name in (*names, *spec.include, *(one for one in self.suffix if one not in named)):
            kind = self.types.get(name, "").split("(")[0]
            step = _ALIGNED.get(kind, 1)
            varies = step == 1 and kind not in _PADDED
            size = math.ceil(size / step) * step + self.width(name) + (_CUT_OFF if varies else 0.0)
        return size

    def index_bytes(self, spec: IndexSpec) -> int:
        """Size an index would have. B-tree deduplication (PostgreSQL 13+) is counted, which HypoPG leaves out."""
        rows = max(1.0, self.rows * self.where_share(spec.where))
        dedup = self.traits.shares_repeats and not spec.include
        distinct = self._combined({key.name for key in spec.columns if not key.is_expression})
        for key in spec.columns:
            distinct *= rows / 4 if key.is_expression else 1.0
            dedup = dedup and not self.types.get(key.name, "").startswith(_NO_DEDUPLICATION)
        return index_bytes(
            rows, self._width(spec), distinct, method=spec.method, shares_repeats=dedup, page=self.block_size
        )


@dataclass(frozen=True)
class Tables:
    """All tables of a database; a partition is seen as its parent, where an index for it belongs."""

    views: Mapping[Relation, TableView]
    parents: Mapping[Relation, Relation] = field(default_factory=dict)

    def home(self, schema: str, table: str) -> Relation:
        """The relation an index would be made on: the topmost parent of a partition, else the table itself."""
        relation = (schema, table)
        while relation in self.parents:
            relation = self.parents[relation]
        return relation

    def view(self, schema: str, table: str) -> TableView | None:
        return self.views.get(self.home(schema, table))


def tables_of(catalog: Catalog, columns: Mapping[Relation, tuple[ColumnStatistics, ...]]) -> Tables:
    """The catalogue as views; a partitioned parent is given the rows, pages and statistics of its parts together."""
    stats = {(row.stats.schema, row.stats.name): row.stats for row in catalog.tables}
    by_text = {f"{schema}.{name}": (schema, name) for schema, name in stats}
    parents = {
        key: by_text[one.parent] for key, one in stats.items() if one.parent is not None and one.parent in by_text
    }
    indexes: dict[Relation, list[IndexStats]] = {}
    for row in catalog.indexes:
        indexes.setdefault((row.stats.schema, row.stats.table), []).append(row.stats)
    parts: dict[Relation, list[Relation]] = {}
    for part in parents:
        if stats[part].kind != "partitioned":
            top = parents[part]
            while top in parents:
                top = parents[top]
            parts.setdefault(top, []).append(part)
    types = catalog.schema.columns if catalog.schema is not None else {}
    written = {
        (row.stats.schema, row.stats.name): float(sum(getattr(row, name) or 0 for name in _WRITES))
        for row in catalog.tables
    }
    in_place = {(row.stats.schema, row.stats.name): float(row.hot_updates or 0) for row in catalog.tables}
    views = {}
    for key, one in stats.items():
        leaves = tuple(sorted(parts.get(key, ())))
        known = columns.get(key) or (columns.get(leaves[0]) if leaves else None) or ()
        views[key] = TableView(
            stats=_together(one, [stats[leaf] for leaf in leaves]) if leaves else one,
            columns={column.column: column for column in known},
            types={column.name: column.type for column in types.get(f"{key[0]}.{key[1]}", ())},
            indexes=tuple(index for index in indexes.get(key, ()) if not index.hidden),
            hidden=tuple(index for index in indexes.get(key, ()) if index.hidden),
            parts=leaves,
            writes=sum(written[leaf] for leaf in leaves) if leaves else written[key],
            hot_updates=sum(in_place[leaf] for leaf in leaves) if leaves else in_place[key],
            trigrams="pg_trgm" in catalog.facts.extensions,
            traits=catalog.facts.traits,
            block_size=catalog.facts.block_size,
        )
    return Tables(views, parents)


def _together(parent: TableStats, parts: list[TableStats]) -> TableStats:
    def total(name: str) -> int:
        return sum(getattr(part, name) or 0 for part in parts)

    return TableStats(
        key=parent.key,
        schema=parent.schema,
        name=parent.name,
        kind=parent.kind,
        parent=None,
        rows_estimate=sum(max(0.0, part.rows_estimate) for part in parts),
        pages=total("pages"),
        size_bytes=total("size_bytes"),
        index_bytes=total("index_bytes"),
        live_rows=total("live_rows"),
        dead_rows=total("dead_rows"),
        modified_since_analyze=None,
        last_vacuum=None,
        last_analyze=None,
        counters={
            name: sum(part.counters.get(name) or 0 for part in parts) for name in (parts[0].counters if parts else ())
        },
    )
