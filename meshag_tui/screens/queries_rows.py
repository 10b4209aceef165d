"""The list of statements as a table reads it: any number of rows of which only those on the screen were read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence, Set
from typing import Any, NamedTuple, overload

from meshag_tui.engines.words import COUNTED_BY_SOME
from meshag_tui.figures import bar, count, duration, moment, percent, size, sparkline
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.presets import Preset
from meshag_tui.screens.question import PAGE
from meshag_tui.store.history import SORTS, QueryPage, QueryRow
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.table import Table

_SAME_ORDER = {"share": "total_time", "badge": "mean"}
"""Columns that say the same as another: the list is ordered by that."""
MOST_PAGES = 20
"""Pages kept at once; those farthest from where one looks are forgotten, and read again when one comes back."""
BLOCK = 8192
"""Bytes of a block of PostgreSQL as it is nearly always built."""

_WHY_NO_TEXT = {
    "unread": "text not read yet",
    "forbidden": "text hidden from our role",
    "unavailable": "text gone from the server before it was read",
    "undecodable": "text in another encoding than the database's",
}


def no_text(state: str, mends: str = "") -> str:
    """Why a statement has no text, in a few words; `mends` is what makes the server show a hidden one."""
    why = _WHY_NO_TEXT.get(state, f"no text ({state})")
    return f"{why}: {mends}" if state == "forbidden" and mends else why


class Listed(NamedTuple):
    """A line of the list: a statement, or (`row` None) one whose page is not read yet."""

    place: int
    row: QueryRow | None
    slow_ms: float
    block: int = BLOCK
    mends: str = ""  # what makes the server show hidden texts

    @property
    def key(self) -> Hashable:
        return ("unread", self.place) if self.row is None else self.row.id

    @property
    def text(self) -> str:
        if self.row is None:
            return glyphs().ellipsis
        return self.row.text if self.row.text is not None else f"<{no_text(self.row.text_state, self.mends)}>"

    @property
    def slow(self) -> bool:
        """Whether its mean is at or above what counts as slow on this connection."""
        return self.row is not None and is_slow(self.row.mean_time_ms, self.slow_ms)

    @property
    def slow_once(self) -> bool:
        """Whether a call of it took that long, where this connection counts it: else the longest is not read."""
        return self.row is not None and is_slow(self.row.longest_ms, self.slow_ms)


def is_slow(time_ms: float | None, from_ms: float) -> bool:
    return time_ms is not None and time_ms >= from_ms


class QueryRows(Sequence[Listed]):
    """All statements that match, of which some pages are known. Those asked for and not known are in `wanted`."""

    def __init__(
        self,
        total: int,
        slow_ms: float,
        block: int = BLOCK,
        ask: Callable[[], None] = lambda: None,
        mends: str = "",
    ) -> None:
        """`ask` is called when a page is wanted that was not."""
        self.total = total
        self.wanted: set[int] = set()
        self._ask = ask
        self._slow_ms = slow_ms
        self._block = block
        self._mends = mends
        self._pages: dict[int, tuple[QueryRow, ...]] = {}

    def add(self, number: int, page: QueryPage) -> None:
        """Take over page `number` (from 0)."""
        self._pages[number] = page.rows
        self.wanted.discard(number)
        while len(self._pages) > MOST_PAGES:
            del self._pages[max(self._pages, key=lambda known: abs(known - number))]

    @property
    def known(self) -> int:
        """How many rows are in memory."""
        return sum(map(len, self._pages.values()))

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> Listed: ...

    @overload
    def __getitem__(self, index: slice) -> list[Listed]: ...

    def __getitem__(self, index: int | slice) -> Listed | list[Listed]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self.total))]
        if index < 0:
            index += self.total
        if not 0 <= index < self.total:
            raise IndexError(index)
        number = index // PAGE
        if number not in self._pages and number not in self.wanted:
            self.wanted.add(number)
            self._ask()
        return self._at(index)

    def __iter__(self) -> Iterator[Listed]:
        """All lines, without asking for those not known; one stands for all of these."""
        unread = Listed(-1, None, self._slow_ms, self._block, self._mends)
        for first in range(0, self.total, PAGE):
            page = self._pages.get(first // PAGE, ())
            for place in range(min(PAGE, self.total - first)):
                yield self._at(first + place) if place < len(page) else unread

    def _at(self, index: int) -> Listed:
        number, place = divmod(index, PAGE)
        page = self._pages.get(number, ())
        return Listed(index, page[place] if place < len(page) else None, self._slow_ms, self._block, self._mends)


class QueryTable(Table):
    """The list; it is ordered by the store, and holds marks of rows that are not read any more."""

    def can_sort(self, key: str) -> bool:
        return _SAME_ORDER.get(key, key) in SORTS

    def keys_among(self, rows: Sequence[Any]) -> Set[Hashable]:
        return self.marks

    def sort_by(self, key: str, descending: bool | None = None) -> None:
        key = _SAME_ORDER.get(key, key)
        if descending is None and not (self.sort and self.sort[0] == key):
            descending = key != TEXT.key
        if key in SORTS:
            super().sort_by(key, descending)

    def sort_next(self) -> None:
        shown = [column for column, _ in self._fitting() if column.key not in _SAME_ORDER]
        keys = [column.key for column in shown]
        at = keys.index(self.sort[0]) if self.sort and self.sort[0] in keys else -1
        following = shown[(at + 1) % len(shown)]
        self.sort_by(following.key, following.key != TEXT.key)

    def action_mark(self) -> None:
        if isinstance(self.row, Listed) and self.row.row is not None:
            super().action_mark()


def _of(pick: Callable[[QueryRow], Any]) -> Callable[[Listed], Any]:
    """A figure of a statement; "" while it is not read yet."""
    return lambda listed: "" if listed.row is None else pick(listed.row)


def _said(render: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "" if value == "" else render(value)


def hit_ratio(row: QueryRow) -> float | None:
    """The part of its blocks found in shared buffers; None when it touched none, or this is not counted."""
    touched = (row.shared_hit or 0) + (row.shared_read or 0)
    return None if row.shared_hit is None or not touched else row.shared_hit / touched


def rows_per_call(row: QueryRow) -> float | None:
    return None if row.rows is None or not row.calls else row.rows / row.calls


def examined_per_call(row: QueryRow) -> float | None:
    """Rows the server read for one call."""
    return None if row.rows_examined is None or not row.calls else row.rows_examined / row.calls


def no_index_share(row: QueryRow) -> float | None:
    """The part of its calls in which a table was read without an index."""
    return None if row.no_index_calls is None or not row.calls else min(1.0, row.no_index_calls / row.calls)


def spread(row: QueryRow) -> float | None:
    """How much longer than the mean of the window the longest call took that the server knows of, ms."""
    if row.max_time_ms is None or row.mean_time_ms is None:
        return None
    return row.max_time_ms - row.mean_time_ms


def temp_blocks(row: QueryRow) -> int | None:
    if row.temp_read is None and row.temp_written is None:
        return None
    return (row.temp_read or 0) + (row.temp_written or 0)


def _share(share: Any, width: int) -> str:
    return " " * width if share == "" else f"{bar(share, width - 7)} {percent(share):>6}"


def _trend(points: Any, width: int) -> str:
    return " " * width if points == "" else sparkline(points, width)


def _slow(listed: Listed) -> str:
    word = "slow" if listed.slow else "once" if listed.slow_once else ""
    return f"{glyphs().warning} {word}" if word else ""


def _slow_tone(said: str) -> Tone:
    return "warning" if said else ""


def _text_tone(text: str) -> Tone:
    return "warning" if text.startswith("<text ") or text.startswith("<no text ") else ""


def _temp(listed: Listed) -> Any:
    if listed.row is None:
        return ""
    blocks = temp_blocks(listed.row)
    return None if blocks is None else blocks * listed.block


def _read(listed: Listed) -> Any:
    if listed.row is None:
        return ""
    return None if listed.row.shared_read is None else listed.row.shared_read * listed.block


def _seen(at: Any) -> str:
    return "" if at == "" else moment(at, "%d %b %H:%M")


TEXT = Column("text", "Query", 30, flex=1, value=lambda row: row.text, tone=_text_tone, prose=True, keep=100)
COLUMNS: tuple[Column, ...] = (
    Column("share", "Share", 13, value=_of(lambda row: row.share), draw=_share, keep=88),
    Column(
        "total_time",
        "Total",
        8,
        align="right",
        value=_of(lambda row: row.total_time_ms),
        render=_said(duration),
        keep=95,
    ),
    Column("calls", "Calls", 7, align="right", value=_of(lambda row: row.calls), render=_said(count), keep=85),
    Column("mean", "Mean", 7, align="right", value=_of(lambda row: row.mean_time_ms), render=_said(duration), keep=90),
    Column("badge", "", 6, value=_slow, tone=_slow_tone, keep=80, name="Slow"),
    Column("max", "Max", 7, align="right", value=_of(lambda row: row.max_time_ms), render=_said(duration), keep=50),
    Column(
        "rows_per_call",
        "Rows/c",
        7,
        align="right",
        value=_of(rows_per_call),
        render=_said(count),
        keep=45,
        name="Rows a call",
    ),
    Column(
        "hit_ratio",
        "Hit",
        6,
        align="right",
        value=_of(hit_ratio),
        render=_said(percent),
        keep=40,
        name="Blocks found in memory",
    ),
    Column("temp", "Temp", 7, align="right", value=_temp, render=_said(size), keep=35),
    Column("io", "I/O", 7, align="right", value=_of(lambda row: row.io_time_ms), render=_said(duration), keep=30),
    Column(
        "examined_per_call",
        "Read/c",
        7,
        align="right",
        value=_of(examined_per_call),
        render=_said(count),
        keep=47,
        name="Rows read by a call",
    ),
    Column(
        "no_index_share",
        "NoIdx",
        6,
        align="right",
        value=_of(no_index_share),
        render=_said(percent),
        keep=40,
        name="Calls without an index",
    ),
    Column(
        "tmp_disk_tables",
        "TmpDsk",
        7,
        align="right",
        value=_of(lambda row: row.tmp_disk_tables),
        render=_said(count),
        keep=35,
        name="Temporary tables on disk",
    ),
    Column("change", "Trend", 14, value=_of(lambda row: row.spark), draw=_trend, keep=60),
    Column(
        "rows", "Rows", 7, align="right", value=_of(lambda row: row.rows), render=_said(count), keep=29, optional=True
    ),
    Column(
        "shared_read",
        "Read",
        7,
        align="right",
        value=_read,
        render=_said(size),
        keep=28,
        optional=True,
        name="Read from disk or the system's cache",
    ),
    Column(
        "wal", "WAL", 7, align="right", value=_of(lambda row: row.wal_bytes), render=_said(size), keep=27, optional=True
    ),
    Column(
        "rows_examined",
        "RowsRead",
        8,
        align="right",
        value=_of(lambda row: row.rows_examined),
        render=_said(count),
        keep=28,
        optional=True,
        name="Rows read in all",
    ),
    Column(
        "tmp_tables",
        "TmpTbl",
        7,
        align="right",
        value=_of(lambda row: row.tmp_tables),
        render=_said(count),
        keep=27,
        optional=True,
        name="Temporary tables, in memory or on disk",
    ),
    Column(
        "sort_merge_passes",
        "Merges",
        7,
        align="right",
        value=_of(lambda row: row.sort_merge_passes),
        render=_said(count),
        keep=27,
        optional=True,
        name="Passes of sorts through files",
    ),
    Column(
        "stddev",
        "StdDev",
        7,
        align="right",
        value=_of(lambda row: row.stddev_ms),
        render=_said(duration),
        keep=27,
        optional=True,
        name="Standard deviation of the time of a call",
    ),
    Column(
        "spread",
        "Max-mean",
        8,
        align="right",
        value=_of(spread),
        render=_said(duration),
        keep=27,
        optional=True,
        name="Longest call ever beyond the mean",
    ),
    Column(
        "lock_time",
        "Locks",
        7,
        align="right",
        value=_of(lambda row: row.lock_time_ms),
        render=_said(duration),
        keep=27,
        optional=True,
        name="Waits for locks (rows; MariaDB: tables)",
    ),
    Column("last_seen", "Last seen", 12, value=_of(lambda row: row.last_seen_at), render=_seen, keep=26, optional=True),
    TEXT,
)

PRESETS = (
    Preset("most time"),
    Preset("slowest", "mean"),
    Preset("most frequent", "calls"),
    Preset("most I/O", "io", columns=("io", "shared_read", "hit_ratio", "calls", "text")),
    Preset("most read", "examined_per_call", columns=("examined_per_call", "rows_per_call", "calls", "mean", "text")),
    Preset(
        "without an index", "no_index_share", columns=("no_index_share", "examined_per_call", "calls", "mean", "text")
    ),
    Preset("temporary tables", "tmp_disk_tables", columns=("tmp_disk_tables", "calls", "mean", "total_time", "text")),
    Preset("temp", "temp", columns=("temp", "calls", "mean", "total_time", "text")),
    Preset("most uneven", "stddev", columns=("stddev", "mean", "max", "calls", "total_time", "text")),
    Preset("most uneven", "spread", columns=("spread", "mean", "max", "calls", "total_time", "text")),
    Preset("most waiting for locks", "lock_time", columns=("lock_time", "calls", "mean", "total_time", "text")),
    Preset("slower than before", "change"),
)


def columns_for(width: int, figures: Collection[str]) -> tuple[Column, ...]:
    """The columns of a table of `width` cells: the text always has two fifths of it.

    Args:
        figures: of the columns that only some servers fill, those that this one does.
    """
    least = max(TEXT.width, width * 2 // 5)
    here = (column for column in COLUMNS if column.key not in COUNTED_BY_SOME or column.key in figures)
    return tuple(column._replace(width=least) if column is TEXT else column for column in here)
