"""One table in words: its figures, its trends, its structure, and what became of that over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.figures import ago, count, duration, exact, moment, percent, size
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import indexes_facts
from meshag_tui.screens.query_facts import pace
from meshag_tui.screens.tables_facts import ListedTable, counts_scans
from meshag_tui.store import history, history_relations, suggestions
from meshag_tui.store.history import IndexRow, TableRow
from meshag_tui.store.history_relations import Past
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import one_line
from meshag_tui.types import Window
from meshag_tui.widgets.chart import Series, Trend
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words

_MONTH_MS = 30 * 86_400_000
_FORESEEN_MS = 6 * 3_600_000
"""How long a size must have been watched before its pace is told for a month."""
METRICS = ("reads", "rows read", "rows written", "size")


@dataclass(frozen=True)
class Whole:
    """A table with all that is kept about it for one window."""

    trend: history.Trend
    indexes: tuple[IndexRow, ...]
    past: Past
    advice: tuple[StoredSuggestion, ...]


def read_whole(row: TableRow, connection_id: str, window: Window) -> Whole:
    """Read what there is about a table, in the store's thread. MeshagError if it is not in the store any more."""
    schema, name = row.stats.schema, row.stats.name
    observed = history.intervals(connection_id, window)
    seen = history.observed_part(observed, window)
    mine = (each for each in history.indexes(connection_id, window) if _on(each.stats.schema, each.stats.table, row))
    about = (each for each in suggestions.listing(connection_id) if _on(each.schema, each.table, row))
    return Whole(
        trend=history.table_series(row.id, seen, observed=observed),
        indexes=tuple(mine),
        past=history_relations.past(connection_id, schema, name),
        advice=tuple(about),
    )


def _on(schema: str | None, table: str | None, row: TableRow) -> bool:
    return (schema, table) == (row.stats.schema, row.stats.name)


def about(table: ListedTable, trend: history.Trend | None = None) -> list[Piece]:
    """A table in figures, as far as the list knows it; with its `trend` also how it grows."""
    row, stats, between = table.row, table.row.stats, glyphs().separator
    facts = [
        ("Size", f"{size(stats.size_bytes)} and indexes {size(stats.index_bytes)}"),
        *([] if trend is None else [("Growth", growth(trend))]),
        ("Rows", f"{count(table.rows)}, the planner expects {_expected(stats.rows_estimate)}"),
        *(_scans(table) if counts_scans(table.words) else _rows_read(table)),
        ("Written", f"{exact(row.inserts)} inserted, {exact(row.updates)} updated, {exact(row.deletes)} deleted"),
    ]
    if row.updates and row.hot_updates is not None:
        facts.append(("HOT updates", f"{exact(row.hot_updates)} of {exact(row.updates)} left the indexes alone"))
    if table.hit_share is not None:
        blocks = (row.blocks_hit or 0) + (row.blocks_read or 0)
        facts.append(("Cache", f"{percent(table.hit_share)} of {exact(blocks)} blocks were in it"))
    if counts_scans(table.words):
        facts += [
            ("Dead rows", f"{exact(stats.dead_rows)}, {percent(table.dead_share)} of all"),
            ("Vacuumed", _when(stats.last_vacuum, table.now)),
        ]
    if stats.free_bytes is not None:
        facts.append(("Free space", f"{size(stats.free_bytes)} in its file, for no other table"))
    if counts_scans(table.words) or stats.last_analyze is not None:
        facts.append(("Analyzed", _when(stats.last_analyze, table.now)))
    if stats.modified_since_analyze is not None:
        facts.append(("Changed", f"{exact(stats.modified_since_analyze)} rows since the last ANALYZE"))
    if stats.frozen_age is not None:
        facts.append(("Frozen", f"its oldest rows are {exact(stats.frozen_age)} transactions old"))
    if stats.counted_since is not None:
        facts.append(("Counted", f"since {moment(stats.counted_since, '%Y-%m-%d %H:%M')}"))
    options = between.join(f"{name}={one_line(value)}" for name, value in sorted(stats.options.items()))
    if options:
        facts.append(("Options", options))
    said: list[Piece] = []
    for label, value in facts:
        said += [("dim", f"{label:<14}"), ("", f"{value}\n")]
    return said


def _expected(estimate: float) -> str:
    return count(estimate) if estimate >= 0 else "nothing known: it was never analysed"


def _scans(table: ListedTable) -> list[tuple[str, str]]:
    row = table.row
    return [
        ("Read whole", f"{exact(row.seq_scan)} scans, {exact(row.seq_rows)} rows{_part(table, 'scans')}"),
        ("By index", f"{exact(row.index_scan)} scans, {exact(row.index_rows)} rows"),
    ]


def _rows_read(table: ListedTable) -> list[tuple[str, str]]:
    row = table.row
    return [
        ("Read whole", f"{exact(row.seq_rows)} rows{_part(table, 'rows read')}"),
        ("By index", f"{exact(row.index_rows)} rows"),
    ]


def _part(table: ListedTable, of: str) -> str:
    return "" if table.whole_share is None else f", {percent(table.whole_share)} of its {of}"


def reads(table: ListedTable) -> str:
    """How it was read in the window, in a line."""
    what = "scans" if counts_scans(table.words) else "rows"
    return (
        f"{count(table.whole)} {what} whole, {count(table.by_index)} by an index, {count(table.written)} rows written"
    )


def _when(at: int | None, now: float) -> str:
    return f"{ago(at, now)}, {moment(at, '%Y-%m-%d %H:%M')}" if at is not None else "never seen"


def growth(trend: history.Trend) -> str:
    """How the size moved between its first and last reading in the window, and what that makes in thirty days."""
    known = [(at, value) for at, value in zip(trend.times, trend.size_bytes, strict=True) if value is not None]
    if len(known) < 2:
        return "not known: its size was read once in this window" if known else "not known in this window"
    (began, before), (ended, now) = known[0], known[-1]
    if before == now:
        return f"none in the window, {size(now)} throughout"
    sign, span = "+" if now > before else "-", ended - began
    said = f"{sign}{size(abs(now - before))} in {duration(span)}"
    if span < _FORESEEN_MS:
        return said
    return f"{said}: at this pace {sign}{size(abs(now - before) * _MONTH_MS / span)} in 30 days"


def head(table: ListedTable) -> list[Piece]:
    """What it is, in a line."""
    stats, between = table.row.stats, glyphs().separator
    kind = f"partition of {one_line(stats.parent)}" if stats.parent is not None else stats.kind
    return [
        ("bold", one_line(f"{stats.schema}.{stats.name}")),
        ("", f"{between}{kind}{between}{size(table.size_bytes)}{between}{count(table.rows)} rows"),
        ("warning" if table.troubles else "", f"{between}{table.flags}" if table.troubles else ""),
    ]


def trend_of(trend: history.Trend, metric: str, words: Words) -> Trend:
    """Reads, rows read and written a second, or size, of a table over time."""
    lines: dict[str, tuple[float | None, ...]]
    unit = size if metric == "size" else count
    match metric:
        case "size":
            title, lines = "size without indexes", {"": trend.size_bytes}
        case "rows written":
            lines = {name: trend.rates[name] for name in ("inserts", "updates", "deletes")}
            title, lines = _paced("rows written", lines)
        case "reads" if counts_scans(words):
            title, lines = _paced("scans", {"whole": trend.rates["seq_scan"], "by index": trend.rates["index_scan"]})
        case _:
            title, lines = _paced(
                "rows read", {"whole": trend.rates["seq_rows"], "by index": trend.rates["index_rows"]}
            )
    return Trend(
        title=title,
        start=trend.times[0] - trend.step_ms if trend.times else 0,
        end=trend.times[-1] if trend.times else 1,
        series=tuple(Series(name, tuple(zip(trend.times, values, strict=True))) for name, values in lines.items()),
        gap_ms=round(trend.step_ms * 1.5),
        unit=unit,
    )


def metrics_for(words: Words) -> tuple[str, ...]:
    """The figures a trend can show: where scans are not counted, rows read are what is known of reads."""
    return METRICS if counts_scans(words) else METRICS[1:]


def _paced(what: str, lines: Mapping[str, Sequence[float | None]]) -> tuple[str, dict[str, tuple[float | None, ...]]]:
    """Several counts per second in one unit of time, that of the greatest."""
    word, factor = pace(value for line in lines.values() for value in line)
    made = {name: tuple(None if value is None else value * factor for value in line) for name, line in lines.items()}
    return f"{what} per {word}", made


def structure_pieces(past: Past) -> list[Piece]:
    """Columns and keys as the newest version of the schema has them."""
    found = past.structure
    if found is None:
        return [("warning", "The schema was never read whole: the doctor says why")]
    if not found.columns:
        return [
            ("warning", f"The schema read at {moment(found.read_at)} does not have it: it is newer, or not visible")
        ]
    width = min(30, max(len(one_line(column.name)) for column in found.columns))
    said: list[Piece] = []
    for column in found.columns:
        said += [
            ("bold", f"{one_line(column.name):<{width}}"),
            ("", f"  {one_line(f'{column.type}{column.conditions}')}\n"),
        ]
    for constraint in found.constraints:
        said.append(("", f"{one_line(constraint)}\n"))
    for key in found.refers:
        if any(constraint.startswith(f"{key.name} ") for constraint in found.constraints):
            continue  # it stands among them
        target = f"{key.ref_schema}.{key.ref_table} ({', '.join(key.ref_columns)})"
        said += [("dim", "refers to "), ("", one_line(f"{target} by {', '.join(key.columns)}, as {key.name}") + "\n")]
    for key in found.referred_by:
        said += [
            ("dim", "referred to by "),
            ("", one_line(f"{key.schema}.{key.table} ({', '.join(key.columns)})") + "\n"),
        ]
    if found.view is not None:
        said += [("dim", "made by\n"), ("", f"{found.view}\n")]
    return said


@dataclass(frozen=True)
class Entry:
    """A line of the history of a table's structure."""

    number: int
    at: int
    what: str


ENTRIES = (
    Column(
        "at", "Seen", 16, value=lambda entry: entry.at, render=lambda at: moment(at, "%Y-%m-%d %H:%M"),
        descending=True, keep=60,
    ),
    Column("what", "What changed", 30, flex=1, prose=True, keep=100),
)  # fmt: skip


def entries(past: Past, relation: str) -> tuple[Entry, ...]:
    """What changed of a table ("schema.table"), newest first, and since when its structure is watched."""
    said = [(each.at, _entry(each.change, relation)) for each in past.changes]
    if past.since is not None:
        more = f" (the newest {past.versions} versions)" if past.versions >= history_relations.MOST_VERSIONS else ""
        said.append((past.since, f"watched since{more}"))
    return tuple(Entry(number, at, what) for number, (at, what) in enumerate(said))


def _entry(change: history.SchemaChange, relation: str) -> str:
    before, after = (one_line(each, 200) if each else "" for each in (change.before, change.after))
    value = f"{before} {glyphs().arrow} {after}" if before and after else before or after
    name = one_line(change.name.removeprefix(f"{relation}.").removeprefix(f"{relation}: "))
    named = f"{change.kind} {change.part} {name}"
    return named if not value or value in name else f"{named}: {value}"


INDEXES = (
    Column("name", "Index", 20, flex=2, value=lambda row: row.name, keep=100, tells_apart=True),
    indexes_facts.SIZE,
    indexes_facts.USES,
    Column("flags", "What it is", 18, flex=3, keep=80),
    Column("definition", "Definition", 20, flex=3, value=lambda row: row.row.stats.definition, prose=True, keep=20),
)  # fmt: skip
