"""What a table costs and who reads it how: columns and flags for the list, and the line below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from meshag_tui.advisor import health
from meshag_tui.figures import ago, bar, count, percent, size
from meshag_tui.glyphs import glyphs
from meshag_tui.snapshot import ServerFacts
from meshag_tui.store.history import TableRow
from meshag_tui.store.history_objects import server_facts
from meshag_tui.text import one_line
from meshag_tui.widgets.columns import Column

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words

SHOWN = {
    "all": "All tables",
    "troubled": "Those with something wrong",
    "whole": "Read whole more than by an index",
    "written": "Written to in the window",
    "idle": "Neither read nor written in the window",
}
OFTEN = 10
"""Times its own rows that a table is read whole in the window from which that is said to be often."""
_STORED = ("table", "partition", "materialized view")


@dataclass(frozen=True)
class ListedTable:
    """A table in the list, at a moment (epoch ms). `facts` are those of its server, None before the first sync."""

    row: TableRow
    now: float
    words: Words
    home: str = "public"  # the schema that is left out of names
    facts: ServerFacts | None = None

    @property
    def key(self) -> int:
        return self.row.id

    @property
    def name(self) -> str:
        """Its name, with the schema where that says something."""
        stats = self.row.stats
        return stats.name if stats.schema == self.home else f"{stats.schema}.{stats.name}"

    @property
    def size_bytes(self) -> int | None:
        """With its indexes; None where it could not be read."""
        stats = self.row.stats
        return None if stats.size_bytes is None else stats.size_bytes + (stats.index_bytes or 0)

    @property
    def rows(self) -> int | None:
        """Rows as the server counts or estimates them; None where it knows none."""
        stats = self.row.stats
        return None if stats.live_rows is None and stats.rows_estimate < 0 else health.rows_of(stats)

    @property
    def whole(self) -> int | None:
        """Reads of the whole table in the window: scans, or where the server counts these not, rows."""
        return self.row.seq_scan if counts_scans(self.words) else self.row.seq_rows

    @property
    def by_index(self) -> int | None:
        """The same by an index."""
        return self.row.index_scan if counts_scans(self.words) else self.row.index_rows

    @property
    def whole_share(self) -> float | None:
        """The part of its reads that read it whole."""
        both = (self.whole or 0) + (self.by_index or 0)
        return None if self.whole is None or self.by_index is None or not both else self.whole / both

    @property
    def dead_share(self) -> float | None:
        dead = self.row.stats.dead_rows
        every = (self.row.stats.live_rows or 0) + (dead or 0)
        return None if dead is None or not every else dead / every

    @property
    def hit_share(self) -> float | None:
        """The part of its blocks that was found in the cache in the window; None when it touched none."""
        hit, read = self.row.blocks_hit, self.row.blocks_read
        return None if hit is None or read is None or not hit + read else hit / (hit + read)

    @property
    def written(self) -> int | None:
        """Rows inserted, updated and deleted in the window."""
        known = [each for each in (self.row.inserts, self.row.updates, self.row.deletes) if each is not None]
        return sum(known) if known else None

    @property
    def read_often(self) -> bool:
        """Whether most of the rows read came from reading it whole, many times over. Small tables are meant to be."""
        row, rows = self.row, self.rows or 0
        read = row.seq_rows or 0
        return rows >= health.FEW_ROWS and read >= OFTEN * rows and read > (row.index_rows or 0)

    @cached_property
    def troubles(self) -> tuple[str, ...]:
        """What is wrong with it as far as the store knows, what matters most first, by the advisor's limits."""
        stats = self.row.stats
        said = []
        if "error" in stats.options:
            said.append(f"cannot be opened: {one_line(stats.options['error'])}")
        elif stats.size_bytes is None and stats.kind in _STORED:
            said.append("could not be read")
        if self.read_often:
            times = (self.row.seq_rows or 0) / max(self.rows or 0, 1)
            said.append(f"read whole, {times:,.0f} times over")
        if (dead := health.much_dead(stats)) is not None:
            said.append(f"{percent(dead)} dead rows")
        if (free := health.much_free(stats)) is not None:
            said.append(f"{percent(free)} free space")
        if stats.kind in _STORED and health.never_analysed(stats) and self.rows:
            said.append("never analysed")
        elif self.facts is not None and (old := health.out_of_date(stats, self.facts)) is not None:
            said.append(f"{percent(old[1])} changed since ANALYZE")
        if health.vacuum_off(stats):
            said.append("autovacuum is off")
        if not stats.has_primary_key and stats.kind == "table":
            said.append("no primary key")
        return tuple(said)

    @property
    def flags(self) -> str:
        """What is wrong with it, and what it is where that is no plain table."""
        said = [f"{glyphs().warning} {self.troubles[0]}", *self.troubles[1:]] if self.troubles else []
        stats = self.row.stats
        if stats.parent is not None:
            said.append(f"partition of {one_line(stats.parent)}")
        elif stats.kind != "table":
            said.append(stats.kind)
        return ", ".join(said)

    def is_shown(self, wanted: str) -> bool:
        """Whether the list of `wanted` (a key of `SHOWN`) holds it."""
        match wanted:
            case "troubled":
                return bool(self.troubles)
            case "whole":
                return (self.whole_share or 0) > 0.5
            case "written":
                return bool(self.written)
            case "idle":
                return self.whole == 0 and not self.by_index and self.written == 0
        return True

    @property
    def text(self) -> str:
        """What the filter looks at."""
        return f"{self.name} {self.flags}"


def counts_scans(words: Words) -> bool:
    """Whether the server counts scans; else it counts the rows they read."""
    return words.index_uses == "scans"


def listed(
    rows: Sequence[TableRow], now: float, words: Words, home: str, facts: Mapping[str, Any]
) -> tuple[ListedTable, ...]:
    """Rows for the list; `facts` is the stored document of the server's."""
    known = server_facts(facts) if facts else None
    return tuple(ListedTable(row, now, words, home, known) for row in rows)


def _share(share: float, width: int) -> str:
    return f"{bar(share, width - 7)} {percent(share):>6}"


def _number(key: str, title: str, name: str, keep: int, *, width: int = 7, optional: bool = False) -> Column:
    return Column(
        key, title, width, align="right", render=count, descending=True, keep=keep, name=name, optional=optional
    )  # fmt: skip


def _stats(key: str, title: str, name: str, keep: int, *, optional: bool = False) -> Column:
    column = _number(key, title, name, keep, optional=optional)
    return column._replace(value=lambda row: getattr(row.row.stats, key))


def _since(key: str, title: str, keep: int) -> Column:
    """How long ago something was; what never was comes first in the useful order."""
    return Column(
        key, title, 10, value=lambda row: (getattr(row.row.stats, key) or 0, row.now), keep=keep,
        render=lambda value: ago(value[0], value[1]) if value[0] else "not seen", sort_key=lambda value: value[0],
    )  # fmt: skip


_NAME = Column("name", "Table", 16, flex=3, keep=100, tells_apart=True)
_SIZE = Column("size_bytes", "Size", 7, align="right", render=size, descending=True, keep=90, name="Size with indexes")
_ROWS = _number("rows", "Rows", "Rows, as the server estimates them", 88)
_WHOLE_SHARE = Column("whole_share", "Whole", 13, draw=_share, descending=True, keep=60, name="Share read whole")
_WRITTEN = _number("written", "Written", "Rows written", 35)
_FLAGS = Column(
    "flags", "What it is", 22, flex=6, tone=lambda flags: "warning" if flags.startswith(glyphs().warning) else "",
    keep=85,
)  # fmt: skip
SCANS = (
    _NAME,
    _SIZE,
    _ROWS,
    _number("whole", "Seq", "Sequential scans", 95, width=6),
    _number("by_index", "Index", "Index scans", 94, width=6),
    _WHOLE_SHARE,
    Column("dead_share", "Dead", 6, align="right", render=percent, descending=True, keep=80, name="Share of dead rows"),
    _stats("dead_rows", "Dead", "Dead rows", 30, optional=True),
    Column("hit_share", "Hits", 6, align="right", render=percent, keep=50, name="Share found in the cache"),
    _WRITTEN,
    _since("last_vacuum", "Vacuumed", 40),
    _since("last_analyze", "Analyzed", 45),
    _FLAGS,
)
ROWS_READ = (
    _NAME,
    _SIZE,
    _ROWS,
    _number("whole", "Whole", "Rows read whole", 95),
    _number("by_index", "Index", "Rows read by index", 94),
    _WHOLE_SHARE._replace(title="Whole %"),
    _WRITTEN._replace(keep=78),
    Column(
        "free_bytes", "Free", 7, align="right", value=lambda row: row.row.stats.free_bytes, render=size,
        descending=True, keep=70, name="Free space in its file",
    ),
    _since("last_analyze", "Analyzed", 45),
    _FLAGS,
)  # fmt: skip


def columns_for(words: Words) -> tuple[Column, ...]:
    """The columns of the list: scans and dead rows, or where the server has not these, rows read and free space."""
    return SCANS if counts_scans(words) else ROWS_READ


def summary(rows: Sequence[ListedTable], found: Sequence[ListedTable], wanted: str) -> str:
    """The line below the list: how many there are, what they take, and what is not known of them."""
    taken = [each.size_bytes for each in rows]
    unread = sum(each is None for each in taken)
    said = [f"{len(rows):,} of {len(found):,} shown ({wanted}), {size(sum(each or 0 for each in taken))}"]
    if unread:
        said.append(f"{unread:,} of unknown size")
    troubled = sum(bool(each.troubles) for each in found)
    if troubled:
        said.append(f"{troubled:,} with something wrong")
    if found and all(each.whole is None and each.by_index is None for each in found):
        said.append("no reads are known in this window")
    return glyphs().separator.join(said)
