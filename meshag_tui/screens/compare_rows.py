"""What the comparison of two windows says: its columns, its head, and a difference in plain words."""

from __future__ import annotations

from meshag_tui.cli.compare import signed
from meshag_tui.figures import bar, count, duration, moment
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.queries_rows import no_text
from meshag_tui.store.comparison import Amount, Baseline, Comparison, Course, Difference
from meshag_tui.store.happenings import Happening
from meshag_tui.widgets.columns import Column, Tone
from meshag_tui.widgets.page import Piece

_WORSE = frozenset({Course.NEW, Course.BACK, Course.SLOWER, Course.BUSIER})
_KINDS = {
    "plan": "another plan",
    "schema": "schema",
    "setting": "setting",
    "size": "size",
    "change": "change",
    "event": "statistics",
}


_WHEN: dict[Baseline, str] = {"before": "before", "yesterday": "yesterday", "last-week": "a week ago"}


class Compared:
    """A line of the list: a difference, and the greatest of the page it is measured by."""

    def __init__(self, difference: Difference, greatest: float) -> None:
        self.difference = difference
        self.share = abs(difference.by_ms_per_s) / greatest if greatest else 0.0

    @property
    def text(self) -> str:
        found = self.difference
        return found.text if found.text is not None else f"<{no_text(found.text_state)}>"


def compared(found: Comparison) -> list[Compared]:
    """The lines of a comparison, in its order."""
    greatest = max((abs(row.by_ms_per_s) for row in found.rows), default=0.0)
    return [Compared(row, greatest) for row in found.rows]


def _rate(calls_per_s: float) -> str:
    """Calls a second, or an hour where they are few: "12/s", "0.4/s", "3/h"."""
    return _rates(calls_per_s)[0]


def _rates(*calls_per_s: float) -> list[str]:
    """Several in one unit, so that they can be compared: an hour where the smallest are few."""
    few = min((one for one in calls_per_s if one), default=1.0) < 0.05
    return [f"{count(one * 3600)}/h" if few else f"{count(one)}/s" for one in calls_per_s]


def _mean(amount: Amount) -> str:
    return duration(amount.mean_ms)


def _means(row: Difference) -> str:
    return f"{_mean(row.then)} {glyphs().arrow} {_mean(row.now)}"


def _calls(row: Difference) -> str:
    return f" {glyphs().arrow} ".join(_rates(row.then.calls_per_s, row.now.calls_per_s))


def _course(course: Course) -> str:
    sign = glyphs().warning if course in _WORSE else glyphs().gap if course is Course.STEADY else glyphs().ok
    return f"{sign} {course}"


def _course_tone(course: Course) -> Tone:
    return "warning" if course in _WORSE else "dim" if course is Course.STEADY else "good"


COLUMNS: tuple[Column, ...] = (
    Column("course", "What", 9, value=lambda row: row.difference.course, render=_course, tone=_course_tone, keep=95),
    Column(
        "by", "Load", 11, align="right", value=lambda row: row.difference, render=lambda row: signed(row.by_ms_per_s),
        sort_key=lambda row: abs(row.by_ms_per_s), descending=True, keep=90, name="Difference of load",
    ),
    Column("share", "", 8, draw=bar, keep=20, name="Bar"),
    Column(
        "mean", "Mean", 18, value=lambda row: row.difference, render=_means,
        sort_key=lambda row: abs(row.by_mean_ms_per_s), descending=True, keep=85,
    ),
    Column(
        "calls", "Calls", 16, value=lambda row: row.difference, render=_calls,
        sort_key=lambda row: abs(row.by_calls_ms_per_s), descending=True, keep=40,
    ),
    Column("text", "Query", 20, flex=1, prose=True, keep=100),
)  # fmt: skip
"""Sorted by load, or by the part of it that the mean, or the number of calls, is to be thanked for."""

HAPPENINGS: tuple[Column, ...] = (
    Column("at", "Seen", 12, render=lambda at: moment(at, "%d %b %H:%M"), descending=True, keep=90),
    Column("kind", "What", 12, render=lambda kind: _KINDS[kind], keep=95),
    Column("what", "In words", 30, flex=1, prose=True, keep=100),
)


def head(found: Comparison, against: Baseline) -> list[Piece]:
    """The figures above the list: both loads, and what the statements of each course add up to."""
    if not found.observed:
        return []
    moved = found.now_ms_per_s - found.then_ms_per_s
    share = f" ({moved / found.then_ms_per_s:+.0%})" if found.then_ms_per_s else ""
    said: list[Piece] = [
        ("bold", f"{duration(found.now_ms_per_s)}/s of work"),
        ("", f", {duration(found.then_ms_per_s)}/s {_WHEN[against]} ({span(found, then=True)}): "),
        ("warning" if moved > 0 else "good", signed(moved) + share),
    ]
    groups = [group for group in found.groups if group.course is not Course.STEADY]
    if groups:
        parts = [f"{group.statements:,} {group.course} {signed(group.by_ms_per_s)}" for group in groups]
        said.append(("", "\n" + glyphs().separator.join(parts)))
    if not found.complete:
        lost = glyphs().warning
        said.append(("warning", f"\n{lost} counts were lost in one of the windows: T shows when, on the time line"))
    return said


def span(found: Comparison, *, then: bool) -> str:
    """When a window was: "27 Nov 14:00 to 15:00"."""
    window = found.then if then else found.now
    form = "%H:%M" if window.span_ms < 86_400_000 else "%d %b %H:%M"
    return f"{moment(window.start, '%d %b %H:%M')} to {moment(window.end, form)}"


def in_words(row: Difference) -> list[Piece]:
    """A difference in plain words, with the figures it rests on."""
    now, then = row.now, row.then
    course = row.course
    said: list[Piece] = [(_course_tone(course) or "bold", f"{_course(course)}  ")]
    if course is Course.NEW:
        said.append(("", f"never seen before this window: {_rate(now.calls_per_s)} of {_mean(now)}"))
    elif course is Course.BACK:
        said.append(("", f"not called in the earlier window: {_rate(now.calls_per_s)} of {_mean(now)} now"))
    elif course is Course.GONE:
        said.append(("", f"not called in this window: {_rate(then.calls_per_s)} of {_mean(then)} before"))
    else:
        said.append(("", f"mean {_mean(then)} before, {_mean(now)} now{_times(then.mean_ms, now.mean_ms)}"))
        before, after = _rates(then.calls_per_s, now.calls_per_s)
        said.append(("", f"; {before} before, {after} now"))
        said.append(("", _times(then.calls_per_s, now.calls_per_s)))
    said.append(("", f".\n{signed(row.by_ms_per_s)} of load"))
    if course not in (Course.NEW, Course.BACK, Course.GONE):
        parts = f"{signed(row.by_mean_ms_per_s)} by its mean, {signed(row.by_calls_ms_per_s)} by its calls"
        said.append(("", f": {parts}"))
    said.append(("dim", f" ({count(then.calls)} and {count(now.calls)} calls)\n"))
    return said


def _times(before: float | None, now: float | None) -> str:
    if not before or now is None:
        return ""
    ratio = now / before
    if 0.95 < ratio < 1.05:
        return ""
    return f" ({ratio:.1f}×)" if ratio >= 2 else f" ({ratio - 1:+.0%})"


def kind_of(happening: Happening) -> str:
    """The word for what happened."""
    return _KINDS[happening.kind]
