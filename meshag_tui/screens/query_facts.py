"""A statement in figures and words: what stands beside its text in the preview and above its parts in the detail."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from meshag_tui.figures import ago, count, duration, exact, moment, number_of, percent, size
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.queries_rows import (
    BLOCK,
    examined_per_call,
    hit_ratio,
    is_slow,
    no_index_share,
    no_text,
    rows_per_call,
    temp_blocks,
)
from meshag_tui.store.history import Loss, QueryDetail, QueryPage, QueryRow, Series
from meshag_tui.text import one_line, width_of
from meshag_tui.types import ASIDE
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words
    from meshag_tui.types import Aside, Finding
    from meshag_tui.widgets.chart import Trend

METRICS = (
    ("ms_per_s", "time spent in each second", duration),
    ("calls_per_s", "calls per second", count),
    ("mean_ms", "mean time of a call", duration),
    ("rows_per_s", "rows", count),
    ("blocks_per_s", "blocks read", count),
    ("examined_per_s", "rows read", count),
)
"""What a trend can show: attribute of `Series`, title, unit."""
_COUNTS = {"calls_per_s": "calls", "rows_per_s": "rows", "blocks_per_s": "blocks read", "examined_per_s": "rows read"}


def figures(
    row: QueryRow, slow_ms: float, block: int = BLOCK, counted: Collection[str] = ()
) -> list[tuple[str, str, str]]:
    """Label, value and look of each figure of a statement in the window; `counted` are those of `Words.figures`."""
    slow = is_slow(row.mean_time_ms, slow_ms)
    mean = duration(row.mean_time_ms) + (f"  {glyphs().warning} slow from {duration(slow_ms)}" if slow else "")
    found = [
        ("total", f"{duration(row.total_time_ms)}, {percent(row.share)} of all", ""),
        ("calls", exact(row.calls), ""),
        ("mean", mean, "warning" if slow else ""),
        ("min, max ever", f"{duration(row.min_time_ms)}, {duration(row.max_time_ms)}", ""),
        ("rows", f"{count(row.rows)}, {count(rows_per_call(row))} a call", ""),
        *(each for key, each in _own_figures(row, block) if key in counted),
    ]
    if row.mean_before_ms is not None:
        found.insert(3, ("mean before", duration(row.mean_before_ms), ""))
    if row.longest_ms is not None:
        found.insert(3, ("longest call", duration(row.longest_ms), ""))
    return found


def _own_figures(row: QueryRow, block: int) -> list[tuple[str, tuple[str, str, str]]]:
    """What some servers count, each under the name in `Words.figures` that says so."""
    temp = temp_blocks(row)
    without = f"{count(row.no_index_calls)} calls, {percent(no_index_share(row))}"
    disk = f"{count(row.tmp_disk_tables)} of {count(row.tmp_tables)}"
    return [
        ("examined_per_call", ("rows read", f"{count(row.rows_examined)}, {count(examined_per_call(row))} a call", "")),
        ("no_index_share", ("without index", without, "warning" if row.no_index_calls else "")),
        ("tmp_disk_tables", ("temp on disk", disk, "warning" if row.tmp_disk_tables else "")),
        (
            "sort_merge_passes",
            ("sort passes", count(row.sort_merge_passes), "warning" if row.sort_merge_passes else ""),
        ),
        ("lock_time", ("lock waits", f"{duration(row.lock_time_ms)}", "")),
        ("hit_ratio", ("cache hits", percent(hit_ratio(row)), "")),
        ("shared_read", ("blocks read", f"{count(row.shared_read)} ({_bytes(row.shared_read, block)})", "")),
        ("temp", ("temp files", _bytes(temp, block), "warning" if temp else "")),
        ("io", ("I/O time", duration(row.io_time_ms), "")),
        ("wal", ("WAL", size(row.wal_bytes), "")),
        ("stddev", ("deviation", f"{duration(row.stddev_ms)} from the mean", "")),
    ]


def _bytes(blocks: int | None, block: int) -> str:
    return glyphs().none if blocks is None else size(blocks * block)


def figure_pieces(
    row: QueryRow, slow_ms: float, now_ms: float, block: int = BLOCK, counted: Collection[str] = ()
) -> list[Piece]:
    """The figures below each other, then where the statement is from and when it was seen."""
    said: list[Piece] = []
    for label, value, look in figures(row, slow_ms, block, counted):
        said += [("dim", f"{label:<14}"), (look, f"{value}\n")]
    said += [
        ("dim", f"{'run by' if row.db_user else 'run':<14}"), ("", f"{_who(row.db_user, row.database)}\n"),
        ("dim", f"{'seen':<14}"), ("", f"{ago(row.first_seen_at, now_ms)}, last {ago(row.last_seen_at, now_ms)}\n"),
        ("dim", f"{'id':<14}"), ("", f"{row.uid}\n"),
    ]  # fmt: skip
    return said


def _who(user: str | None, database: str | None) -> str:
    """Who ran it where; not every server says who."""
    return f"{user} in {database or '?'}" if user else f"in {database or '?'}"


def head_pieces(
    detail: QueryDetail, slow_ms: float, now_ms: float, block: int = BLOCK, counted: Collection[str] = ()
) -> list[Piece]:
    """A statement in three lines: what it is, its figures, when it was seen and what is missing."""
    found, row, between = detail.statement, detail.row, glyphs().separator
    who = ("run by " if found.db_user else "run ") + _who(found.db_user, found.database)
    merged = f"{between}{len(detail.members)} entries of the server as one" if len(detail.members) > 1 else ""
    said: list[Piece] = [("bold", found.uid), ("", f"{between}{found.kind}{between}{who}{merged}\n")]
    if row.calls:
        mean_look = "warning" if is_slow(row.mean_time_ms, slow_ms) else ""
        slow = f" {glyphs().warning} slow" if mean_look else ""
        said += [
            ("", f"{percent(row.share)} of the time{between}{duration(row.total_time_ms)} in {exact(row.calls)} calls"),
            (mean_look, f"{between}mean {duration(row.mean_time_ms)}{slow}"),
            ("", "" if row.longest_ms is None else f"{between}longest {duration(row.longest_ms)}"),
            ("", f"{between}max ever {duration(row.max_time_ms)}{between}{count(rows_per_call(row))} rows/call"),
            ("", "".join(between + said for key, said in _in_a_line(row, block) if key in counted) + "\n"),
        ]
    else:
        said.append(("dim", "It did not run in this window.\n"))
    seen = f"first seen {moment(found.first_seen_at, '%Y-%m-%d %H:%M')}, last {ago(found.last_seen_at, now_ms)}"
    said.append(("dim", seen))
    if lost := losses(detail.events, detail.complete):
        said.append(("warning" if not detail.complete else "dim", between + lost))
    return said


def _in_a_line(row: QueryRow, block: int) -> list[tuple[str, str]]:
    return [
        ("examined_per_call", f"{count(examined_per_call(row))} read/call"),
        ("no_index_share", f"{percent(no_index_share(row))} without index"),
        ("tmp_disk_tables", f"temp tables on disk {count(row.tmp_disk_tables)}"),
        ("hit_ratio", f"hits {percent(hit_ratio(row))}"),
        ("temp", f"temp {_bytes(temp_blocks(row), block)}"),
        ("io", f"I/O {duration(row.io_time_ms)}"),
        ("wal", f"WAL {size(row.wal_bytes)}"),
    ]


def losses(events: Sequence[Loss], complete: bool) -> str:
    """What happened to the figures of a window: the newest event, and how many there are."""
    if not events:
        return "" if complete else f"{glyphs().warning} incomplete"
    newest = max(events, key=lambda event: event.at)
    more = f" (+{len(events) - 1})" if len(events) > 1 else ""
    word = "" if complete else f"{glyphs().warning} incomplete: "
    return f"{word}{moment(newest.at, '%d %b %H:%M')} {one_line(newest.detail or newest.kind)}{more}"


def summary(
    page: QueryPage,
    shown: Set[Aside],
    filter_text: str,
    internal_key: str,
    room: int,
    warnings: Sequence[Finding] = (),
    aside: Mapping[Aside, int] | None = None,
) -> tuple[str, bool]:
    """The line below the list, and whether it warns: how many there are, how much they account for, what is lost.

    `shown` is listed of what is set aside, of which `aside` says how many ran of each kind, once that is counted.
    Where `room` cells are too few, whole parts go, first the one with the highest rank.
    """
    between = glyphs().separator
    matching = f" matching {one_line(filter_text, 24)}" if filter_text else ""
    said = [(0, "", number_of(page.total_rows, "statement") + matching)]  # rank, what stands before it, text
    if page.slow:
        said.append((1, between, f"{glyphs().warning} {count(page.slow)} slow"))
    if page.total_time_ms:
        said.append((2, between, f"{duration(page.total_time_ms)} in {number_of(page.calls, 'call')}"))
        if page.calls:
            said.append((6, ", ", f"mean {duration(page.total_time_ms / page.calls)}"))
    if page.covered_share is not None and page.covered_share < 0.9995:
        said.append((3, between, f"{percent(page.covered_share)} of it known by statement"))
    if lost := losses(page.events, page.complete):
        said.append((0, between, lost))
    for each in warnings:
        if each.code.endswith("-narrowed"):
            read, of = each.facts["read"], each.facts["all"]
            said.append((0, between, f"narrowed to {count(read)} of {count(of)}"))
    if hidden := _set_aside(page.hidden, shown, aside):
        said += [(4, between, hidden), (5, " ", f"({internal_key} chooses)")]
    while True:
        line = "".join(f"{before}{text}" for _, before, text in said)
        least = max(said)
        if width_of(line) <= room or least[0] == 0:
            return line, not page.complete
        said.remove(least)


def _set_aside(hidden: int, shown: Set[Aside], aside: Mapping[Aside, int] | None) -> str:
    """What is hidden, by kind once that is known, and what is shown of it."""
    if not hidden:
        return "internal ones shown" if shown else ""
    known = {} if aside is None else aside
    of_each = [f"{count(known[kind])} {kind}" for kind in ASIDE if kind not in shown and known.get(kind)]
    shows = f", {' and '.join(kind for kind in ASIDE if kind in shown)} shown" if shown else ""
    return f"{', '.join(of_each) or f'{count(hidden)} internal'} hidden{shows}"


def trend_of(series: Series, metric: int, events: Sequence[Loss]) -> Trend:
    """A metric of a statement as a chart shows it."""
    from meshag_tui.widgets.chart import Event, Trend
    from meshag_tui.widgets.chart import Series as Line

    name, title, unit = METRICS[metric]
    values: tuple[float | None, ...] = getattr(series, name)
    if name in _COUNTS:
        title, values = rate(_COUNTS[name], values)
    return Trend(
        title=title,
        start=series.times[0] - series.step_ms if series.times else 0,
        end=series.times[-1] if series.times else 1,
        series=(Line("", tuple(zip(series.times, values, strict=True))),),
        gap_ms=round(series.step_ms * 1.5),
        unit=unit,
        events=tuple(Event(event.at, event.kind) for event in events),
    )


def next_metric(series: Series, metric: int) -> int:
    """The metric after this one, of those that the server counts."""
    following = [*range(metric + 1, len(METRICS)), *range(metric + 1)]
    return next((each for each in following if getattr(series, METRICS[each][0])), 0)


def rate(what: str, per_s: Sequence[float | None]) -> tuple[str, tuple[float | None, ...]]:
    """Counts per second with their title, of what is rare per minute or hour: no figure is lost in rounding."""
    word, factor = pace(per_s)
    return f"{what} per {word}", tuple(None if value is None else value * factor for value in per_s)


def pace(per_s: Iterable[float | None]) -> tuple[str, int]:
    """The unit of time in which the greatest of some rates is at least one, and how many seconds it has."""
    most = max((value for value in per_s if value is not None), default=0.0)
    return ("second", 1) if most >= 1 or not most else ("minute", 60) if most * 60 >= 1 else ("hour", 3_600)


def shows_texts(words: Words, user: str) -> str:
    """What makes the server show the texts of others' statements to `user`, in a few words."""
    return words.text_forbidden.format(user=user).partition(" TO ")[0]


def text_state(state: str, user: str, words: Words) -> State:
    """What is said in the place of a text that is not there."""
    why = no_text(state, shows_texts(words, user))
    match state:
        case "forbidden":
            detail = f"The server shows the texts of other roles' statements only to {words.texts_for}."
            return State(Condition.FORBIDDEN, why, detail, words.text_forbidden.format(user=user))
        case "unavailable":
            detail = "The server forgot it before it was read, or lost its file of texts. Its figures are right."
            return State(Condition.EMPTY, why, detail, "It is read again when the statement comes back.")
        case "undecodable":
            detail = "Some statement of the cluster holds bytes this database cannot convert. Its figures are right."
            return State(Condition.ERROR, why, detail, "Its text is read again when that statement is gone.")
        case _:
            return State(Condition.LOADING, why, "Texts of new statements are read every few minutes.", "r reads now.")
