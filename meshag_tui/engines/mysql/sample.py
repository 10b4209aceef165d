"""A few thousand rows of a table, read so that it hardly notices: what is counted where a server keeps no statistics.

In: a session, a table, its columns and primary key. Out: a `Sample`, values as texts. At most `MOST_ROWS` rows, by
primary key, in slices spread over the table, in one statement. Long texts are read by their beginning, documents and
shapes not at all. Nothing of it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

MOST_ROWS = 10_000
SLICES = 40
SLICE_ROWS = 100
"""Of a table that is larger than a few thousand rows: this many rows at this many places."""
_APART = 0.618034  # of the golden ratio: places that no period in the data can follow
_WHOLE_NUMBERS = frozenset(("tinyint", "smallint", "mediumint", "int", "bigint"))
_UNREAD = frozenset(
    re.findall(
        r"\w+",
        """
        tinyblob blob mediumblob longblob json geometry point linestring polygon multipoint multilinestring
        multipolygon geomcollection geometrycollection vector
        """,
    )
)
_LONG = frozenset(("tinytext", "text", "mediumtext", "longtext"))
_BEGINNING = 64


@dataclass(frozen=True, slots=True)
class Column:
    """A column as declared: type "varchar(20)", base "varchar"."""

    name: str
    type: str
    base: str
    nullable: bool

    @property
    def readable(self) -> bool:
        """Whether its values are read at all; of others only whether they are NULL."""
        return self.base not in _UNREAD


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows with a text (None: NULL) for each column."""

    rows: Sequence[Sequence[str | None]]
    whole: bool  # all of the table
    ordered: bool  # by primary key, which is how InnoDB stores it


async def read_sample(
    session: MysqlSession, schema: str, table: str, columns: Sequence[Column], primary: Sequence[str], rows: float
) -> Sample:
    """Read the sample; an empty one of what is not ours to read.

    Args:
        primary: names of the primary key's columns.
        rows: how many the table has, by estimate.

    Raises:
        EngineError: the session is lost.
    """
    try:
        return await _read(session, f"{quoted(schema)}.{quoted(table)}", columns, primary, rows)
    except EngineError as error:
        if error.transient or session.wire.gone is not None:
            raise
        return Sample((), False, False)


async def _read(
    session: MysqlSession, table: str, columns: Sequence[Column], primary: Sequence[str], rows: float
) -> Sample:
    chosen = ", ".join(_expression(one) for one in columns)
    key = ", ".join(quoted(name) for name in primary)
    bases = {one.name: one.base for one in columns}
    if rows > SLICES * SLICE_ROWS and len(primary) == 1 and bases[primary[0]] in _WHOLE_NUMBERS:
        ends = await session.fetch(load("key_ends").format(key=key, table=table))
        low, high = (int(each or 0) for each in ends[0])
        starts = sorted({low, *(low + int((high - low) * (at * _APART % 1)) for at in range(1, SLICES))})
        form = load("sampled_slice")
        parts = [form.format(columns=chosen, table=table, key=key, start=start, rows=SLICE_ROWS) for start in starts]
        place = [one.name for one in columns].index(primary[0])
        found = _texts(await session.fetch(" UNION ALL ".join(parts)))
        # Where keys have gaps, slices overlap.
        return Sample(list({row[place]: row for row in found}.values()), False, True)
    if rows > MOST_ROWS and primary:
        backwards = ", ".join(f"{quoted(name)} DESC" for name in primary)
        form = load("sampled_end")
        parts = [form.format(columns=chosen, table=table, order=each, rows=MOST_ROWS // 2) for each in (key, backwards)]
        return Sample(_texts(await session.fetch(" UNION ALL ".join(parts))), False, False)
    order = f"ORDER BY {key}" if key else ""
    query = load("sampled_whole").format(columns=chosen, table=table, order=order, rows=MOST_ROWS)
    found = _texts(await session.fetch(query))
    return Sample(found, len(found) < MOST_ROWS, bool(order))


def _expression(column: Column) -> str:
    name = quoted(column.name)
    if not column.readable:
        return f"IF({name} IS NULL, NULL, '')"
    if column.base in _LONG:
        return f"LEFT({name}, {_BEGINNING})"
    if "binary" in column.base:
        return f"HEX({name})"
    if column.base in ("uuid", "inet4", "inet6"):
        return f"CAST({name} AS CHAR)"
    return f"{name} + 0" if column.base == "bit" else name


def _texts(rows: Sequence[Sequence[Any]]) -> list[list[str | None]]:
    return [[_text(value) for value in row] for row in rows]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
        return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return str(value)
