"""What an index is and is good for, in words: flags for the list, and the reasons why it may or may not go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.advisor import refusals, twins
from meshag_tui.figures import ago, count, exact, moment, size
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.query_facts import rate
from meshag_tui.store import history
from meshag_tui.store.history import Catalog, IndexRow
from meshag_tui.text import one_line
from meshag_tui.types import MeshagError, Window
from meshag_tui.widgets.chart import Series, Trend
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.dialog import sql_parts
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words

DAY_MS = 86_400_000
SHOWN = {
    "all": "All indexes",
    "unused": "Unused: no use seen in the window",
    "duplicate": "Duplicates, and those another index makes redundant",
    "invalid": "Invalid: left behind by a failed build",
}
METRICS = ("scans", "size")


@dataclass(frozen=True)
class Index:
    """An index in the list, at a moment (epoch ms)."""

    row: IndexRow
    now: float
    words: Words
    home: str = "public"  # the schema that is left out of names
    duplicate_of: str | None = None
    redundant_with: str | None = None

    @property
    def key(self) -> int:
        return self.row.id

    @property
    def name(self) -> str:
        return self.row.stats.name

    @property
    def table(self) -> str:
        """Its table, with the schema where that says something."""
        stats = self.row.stats
        return stats.table if stats.schema == self.home else f"{stats.schema}.{stats.table}"

    @property
    def valid(self) -> bool:
        return self.row.stats.valid and self.row.stats.ready

    @property
    def unused(self) -> bool:
        return twins.unused(self.row)

    @property
    def watched_ms(self) -> float:
        """How long it was watched without a break and without a scan."""
        since = max(self.row.observed_since, self.row.last_used_at or 0, self.row.stats.created_at or 0)
        return max(0.0, self.now - since)

    @property
    def flags(self) -> str:
        """What is special about it, what matters most first."""
        stats, drawn = self.row.stats, glyphs()
        said = []
        if stats.building:
            said.append(f"{drawn.ellipsis} being built")
        elif not self.valid:
            said.append(f"{drawn.bad} invalid")
        if stats.hidden:
            since = stats.hidden_since
            said.append("hidden" if since is None else f"hidden {span(max(0.0, self.now - since))}")
        if self.duplicate_of:
            said.append(f"{drawn.warning} duplicate of {one_line(self.duplicate_of)}")
        elif self.redundant_with:
            said.append(f"{drawn.warning} redundant with {one_line(self.redundant_with)}")
        if self.unused:
            said.append(f"{drawn.warning} unused {span(self.watched_ms)}")
        if stats.primary:
            said.append("primary key")
        elif stats.constraint is not None:
            said.append(f"constraint {one_line(stats.constraint)}" if stats.constraint != stats.name else "constraint")
        elif stats.unique:
            said.append("unique")
        if stats.predicate is not None:
            said.append("partial")
        return ", ".join(said)

    def is_shown(self, wanted: str) -> bool:
        """Whether the list of `wanted` (a key of `SHOWN`) holds it."""
        match wanted:
            case "unused":
                return self.unused
            case "duplicate":
                return bool(self.duplicate_of or self.redundant_with)
            case "invalid":
                return not self.valid
        return True

    @property
    def text(self) -> str:
        """What the filter looks at."""
        return f"{self.table} {self.name} {self.flags} {self.row.stats.definition}"


def flags_tone(flags: str) -> Tone:
    drawn = glyphs()
    return "critical" if flags.startswith(drawn.bad) else "warning" if flags.startswith(drawn.warning) else ""


def used(index: Index) -> str:
    """When a use was last seen, or that none was."""
    if index.row.stats.scans is None:
        return "not counted"
    if index.row.last_used_at is not None:
        return ago(index.row.last_used_at, index.now)
    if index.row.stats.last_scan is not None:
        return ago(index.row.stats.last_scan, index.now)
    return "not seen"


def stored(index: Index) -> str:
    """What an index takes; one that the rows themselves are kept in takes nothing beside the table."""
    stats = index.row.stats
    return "table" if stats.in_table else size(stats.size_bytes)


SIZE = Column(
    "size", "Size", 7, align="right", value=lambda row: row, sort_key=lambda row: row.row.stats.size_bytes,
    render=stored, descending=True, keep=90,
)  # fmt: skip
USES = Column(
    "scans", "Scans", 7, align="right", value=lambda row: row.row.scans, render=count, descending=True, keep=95
)


def in_words(columns: Sequence[Column], words: Words) -> tuple[Column, ...]:
    """The columns for a server: `USES` named for what it counts as a use of an index."""
    uses = USES._replace(title=words.index_uses.split()[-1].capitalize(), name=words.index_uses.capitalize())
    return tuple(uses if column.key == USES.key else column for column in columns)


def span(ms: float) -> str:
    """A stretch of observation: "12 d", "5 h", "40 min"."""
    if ms >= 2 * DAY_MS:
        return f"{ms / DAY_MS:,.0f} d"
    return f"{ms / 3_600_000:.0f} h" if ms >= 7_200_000 else f"{ms / 60_000:.0f} min"


def with_relations(rows: Sequence[IndexRow], now: float, words: Words, home: str) -> tuple[Index, ...]:
    """Rows with which of them are copies or prefixes of others."""
    duplicate_of, redundant_with = twins.duplicates(rows), twins.redundant(rows)
    return tuple(
        Index(row, now, words, home, duplicate_of.get(row.stats.key), redundant_with.get(row.stats.key)) for row in rows
    )


@dataclass(frozen=True)
class Whole:
    """An index with its past: `refusals` None when the catalogue was never read whole."""

    trend: history.Trend
    refusals: tuple[str, ...] | None
    table: history.TableRow | None


def read_whole(row: IndexRow, connection_id: str, window: Window, days: float) -> Whole:
    """Read the past of an index and what speaks against dropping it, in the store's thread."""
    observed = history.intervals(connection_id, window)
    trend = history.index_series(row.id, history.observed_part(observed, window), observed=observed)
    try:
        catalog: Catalog = history.catalog(connection_id)
    except MeshagError:
        return Whole(trend, None, None)
    mine = next((each for each in catalog.indexes if each.id == row.id), row)
    place = (row.stats.schema, row.stats.table)
    table = next((each for each in catalog.tables if (each.stats.schema, each.stats.name) == place), None)
    return Whole(trend, refusals.refusals(mine, catalog, days), table)


def about(index: Index) -> list[Piece]:
    """An index in full, as far as the list knows it."""
    stats, row = index.row.stats, index.row
    said: list[Piece] = [
        ("bold", f"{stats.schema}.{stats.name}"), ("", f" on {stats.schema}.{stats.table}\n"),
        *sql_parts(stats.definition, index.words.dialect), ("", "\n"),
    ]  # fmt: skip
    if index.flags:
        said.append((flags_tone(index.flags), f"{index.flags}\n"))
    facts = [
        ("Size", f"{stored(index)}, about {count(stats.rows_estimate)} entries"),
        (
            index.words.index_uses.capitalize(),
            f"{exact(row.scans)} in the window, {exact(stats.scans)} since the server's statistics began",
        ),
        ("Entries read", f"{exact(row.rows_read)}, rows fetched through them {exact(row.rows_fetched)}"),
        ("Last used", used(index)),
        ("Watched", f"without a break since {moment(row.observed_since, '%Y-%m-%d %H:%M')}"),
    ]
    for label, value in facts:
        if label != "Entries read" or index.words.index_uses == "scans":
            said += [("dim", f"{label:<14}"), ("", f"{value}\n")]
    return said


def whole_pieces(index: Index, whole: Whole, days: float) -> list[Piece]:
    """What speaks against dropping it, and its table."""
    said: list[Piece] = []
    if whole.table is not None:
        stats = whole.table.stats
        said += [
            ("dim", f"{'Table':<14}"),
            (
                "",
                f"{size(stats.size_bytes)}, {count(stats.live_rows)} rows, all its indexes {size(stats.index_bytes)}\n",
            ),
        ]
    if whole.refusals is None:
        return [*said, ("warning", "\nThe catalogue was not read whole: nothing can be said about dropping it\n")]
    if not whole.refusals:
        said.append(
            ("good", f"\n{glyphs().ok} Nothing speaks against dropping it: unused for {days:.0f} days and more\n")
        )
        return said
    said.append(("accent", "\nWhy it is not proposed for dropping as unused\n"))
    said += [("", f"  {glyphs().gap} {one_line(reason)}\n") for reason in whole.refusals]
    if index.duplicate_of or index.redundant_with:
        other = index.duplicate_of or index.redundant_with
        said.append(("dim", f"Another index does its work all the same: {one_line(other)}. See the suggestions.\n"))
    return said


def trend_of(trend: history.Trend, metric: str, words: Words) -> Trend:
    """Uses a second, or size, of an index over time."""
    if metric == "size":
        values: tuple[float | None, ...] = trend.size_bytes
        title, unit = "size", size
    else:
        title, values = rate(words.index_uses, trend.rates["scans"])
        unit = count
    return Trend(
        title=title,
        start=trend.times[0] - trend.step_ms if trend.times else 0,
        end=trend.times[-1] if trend.times else 1,
        series=(Series("", tuple(zip(trend.times, values, strict=True))),),
        gap_ms=round(trend.step_ms * 1.5),
        unit=unit,
    )
