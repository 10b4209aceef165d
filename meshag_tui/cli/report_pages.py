"""A report in words: the same parts as Markdown and as one HTML file that loads and runs nothing.

Names and texts were written by others: each is made harmless here, so that nothing in them is taken for markup. Both
forms are made of the same parts, so they say the same figures.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from meshag_tui.cli.compare import signed
from meshag_tui.figures import duration, exact, gained, moment, percent, size
from meshag_tui.live import WAIT_WORDS
from meshag_tui.store.history import Series
from meshag_tui.text import one_line, sanitise
from meshag_tui.workflows.report import Report

_MARKDOWN = re.compile(r"([\\`*_\[\]|#~])")
_COURSE = {"before": "the window before", "yesterday": "the same time yesterday", "last-week": "a week ago"}


class Heading(NamedTuple):
    text: str
    level: int = 2


class Words(NamedTuple):
    """A paragraph."""

    text: str


class Table(NamedTuple):
    """Columns as (title, whether its cells are figures), and rows of text; `code` is the column that is SQL."""

    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]
    code: int | None = None


class Bars(NamedTuple):
    """A quantity over equal steps; None is a gap. `says` writes one."""

    title: str
    times: tuple[int, ...]
    values: tuple[float | None, ...]
    says: Callable[[float | None], str]


Part = Heading | Words | Table | Bars


def parts(report: Report) -> Iterator[Part]:
    """The report, part by part."""
    info, seen = report.info, report.overview
    server = " ".join(filter(None, (info.engine, info.version)))
    yield Heading(f"{info.name}: {_span(report.window.start, report.window.end)}", 1)
    stage = f" ({info.stage.upper() if info.stage == 'production' else info.stage})" if info.stage else ""
    yield Words(f"{info.label}{stage}, {server or 'never read'}. Written {moment(report.written_at)}.")
    if not seen.syncs:
        yield Words("Nothing was observed in this window.")
    if not seen.complete:
        yield Words("Counts were lost in this window, so totals are lower bounds: what happened says when.")
    yield Table((("Figure", False), ("Value", True)), tuple(_figures(report)))
    yield from _load(seen.load)
    yield from _health(report)
    yield from _statements(report)
    yield from _compared(report)
    yield from _happened(report)
    yield from _advice(report)
    yield from _tables(report)


def _span(start: int, end: int) -> str:
    return f"{moment(start, '%Y-%m-%d %H:%M')} to {moment(end, '%Y-%m-%d %H:%M')}"


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    seen = report.overview
    yield "Calls", exact(seen.calls)
    yield "Time of all statements", duration(seen.total_time_ms)
    yield "Mean time of a call", duration(seen.mean_time_ms)
    yield "Calls a second", "not observed" if seen.calls_per_s is None else f"{seen.calls_per_s:,.2f}"
    yield "Load", "not observed" if seen.ms_per_s is None else f"{duration(seen.ms_per_s)}/s"
    yield "Statements that ran", exact(seen.statements)
    yield "Slow, on average or by one call" if report.info.slow_by_longest else "Slow on average", exact(seen.slow)
    yield "Syncs", exact(seen.syncs)
    if report.waits is None:
        yield "Average active sessions", "nobody looked"
    else:
        yield "Average active sessions", f"{sum(report.waits.values()):.2f}"
        for name, amount in report.waits.items():
            yield f"of them: {WAIT_WORDS.get(name, name)}", f"{amount:.2f}"


def _load(load: Series) -> Iterator[Part]:
    if any(each is not None for each in load.ms_per_s):
        yield Bars("Load, ms in each second", load.times, load.ms_per_s, duration)


def _health(report: Report) -> Iterator[Part]:
    found = report.health
    unread = f" {100 - found.judged} points could not be judged." if found.judged < 100 else ""
    yield Heading("Health")
    yield Words(f"{found.score} of 100 when this was written.{unread}")
    columns = (("What", False), ("State", False), ("Figure", True), ("Takes", True), ("Why", False))
    rows = tuple((item.title, item.verdict, item.said, str(item.lost), item.detail or item.fix) for item in found.items)
    yield Table(columns, rows)
    if report.alerts:
        yield Heading("Alerts", 3)
        columns = (("Since", False), ("Until", False), ("", False), ("Rule", False), ("What", False))
        yield Table(
            columns,
            tuple(
                (moment(a.began_at), "open" if a.is_open else moment(a.ended_at), a.severity, a.rule, a.message)
                for a in report.alerts
            ),
        )


def _statements(report: Report) -> Iterator[Part]:
    yield Heading("Statements by time")
    if not report.statements:
        yield Words("No statement ran in this window.")
        return
    yield Words(f"{len(report.statements)} of {exact(report.statements_total)}.")
    columns = (("ID", False), ("Share", True), ("Total", True), ("Calls", True), ("Mean", True), ("Rows", True))
    rows = tuple(
        (
            row.uid,
            percent(row.share),
            duration(row.total_time_ms),
            exact(row.calls),
            duration(row.mean_time_ms),
            exact(row.rows),
            row.text if row.text is not None else f"<{row.text_state}>",
        )
        for row in report.statements
    )
    yield Table((*columns, ("Query", False)), rows, code=6)


def _compared(report: Report) -> Iterator[Part]:
    found = report.compared
    yield Heading(f"What changed against {_COURSE[report.against]}")
    if not found.observed:
        yield Words("One of the two windows was not observed: there is nothing to compare.")
        return
    moved = found.now_ms_per_s - found.then_ms_per_s
    yield Words(f"Load {duration(found.now_ms_per_s)}/s, {duration(found.then_ms_per_s)}/s then: {signed(moved)}.")
    columns = (("What", False), ("Load", True), ("Mean then", True), ("Mean now", True), ("Calls then", True))
    rows = tuple(
        (
            str(row.course),
            signed(row.by_ms_per_s),
            duration(row.then.mean_ms),
            duration(row.now.mean_ms),
            exact(row.then.calls),
            exact(row.now.calls),
            row.text if row.text is not None else f"<{row.text_state}>",
        )
        for row in found.rows
    )
    yield Table((*columns, ("Calls now", True), ("Query", False)), rows, code=6)


def _happened(report: Report) -> Iterator[Part]:
    if report.happened:
        yield Heading("What happened")
        yield Words(f"{len(report.happened)} of {exact(report.happened_total)}, the newest first.")
        rows = tuple((moment(each.at), each.kind, each.what) for each in report.happened)
        yield Table((("Seen", False), ("Kind", False), ("What", False)), rows)


def _advice(report: Report) -> Iterator[Part]:
    if report.applied:
        yield Heading("Applied")
        columns = (("Done", False), ("Statement", False), ("Found", False), ("Forecast", True), ("Measured", True))
        rows = tuple(
            (
                moment(each.change.finished_at),
                each.change.sql,
                "" if each.outcome is None else str(each.outcome.state),
                gained(None if each.outcome is None else each.outcome.gain_ms_per_day),
                gained(None if each.outcome is None else each.outcome.saved_ms_per_day),
            )
            for each in report.applied
        )
        yield Table(columns, rows, code=1)
    yield Heading("Advice")
    if not report.advice:
        yield Words("No suggestion is open.")
        return
    yield Words(f"{len(report.advice)} of {exact(report.advice_total)} open.")
    columns = (("ID", False), ("Priority", False), ("Gain a day", True), ("What", False), ("Evidence", False))
    yield Table(
        columns,
        tuple((s.id, str(s.priority), gained(s.gain_ms_per_day), s.title, str(s.evidence_kind)) for s in report.advice),
    )


def _tables(report: Report) -> Iterator[Part]:
    if not report.tables:
        return
    yield Heading("Largest tables")
    yield Words(f"{len(report.tables)} of {exact(report.tables_total)}.")
    # What lies in a table and is no row: old versions where the server counts them, else free space in its file.
    free = all(row.stats.dead_rows is None for row in report.tables)
    waste = "Free" if free else "Dead"
    columns = (("Table", False), ("Size", True), ("Indexes", True), ("Rows", True), (waste, True), ("Written", True))
    rows = []
    for row in report.tables:
        stats = row.stats
        known = [each for each in (row.inserts, row.updates, row.deletes) if each is not None]
        written = exact(sum(known)) if known else exact(None)
        rows.append(
            (
                f"{stats.schema}.{stats.name}",
                size(stats.size_bytes),
                size(stats.index_bytes),
                exact(stats.live_rows),
                size(stats.free_bytes) if free else exact(stats.dead_rows),
                written,
            )
        )
    yield Table(columns, tuple(rows))


# --- Markdown -------------------------------------------------------------------------------------------------------


def as_markdown(made: Sequence[Part]) -> str:
    """As Markdown; nothing in a name or text is taken for markup."""
    lines: list[str] = []
    for part in made:
        match part:
            case Heading(text, level):
                lines.append(f"{'#' * level} {_marked(text)}")
            case Words(text):
                lines.append(_marked(text))
            case Table(columns, rows):
                lines.append(f"| {' | '.join(_marked(title) or ' ' for title, _ in columns)} |")
                lines[-1] += f"\n|{'|'.join(' ---: ' if figure else ' --- ' for _, figure in columns)}|"
                for row in rows:
                    lines[-1] += f"\n| {' | '.join(map(_marked, row))} |"
            case Bars():
                known = [value for value in part.values if value is not None]
                said = f"{part.title}: newest {part.says(known[-1])}, highest {part.says(max(known))}"
                lines.append(_marked(f"{said}, lowest {part.says(min(known))}"))
    return "\n\n".join(lines) + "\n"


def _marked(text: str) -> str:
    return html.escape(_MARKDOWN.sub(r"\\\1", one_line(text, newline=" ")), quote=False)


# --- HTML -----------------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #888; --bar: #3a7bd5; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem; font-size: 13px; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
td.figure, th.figure { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font: 12px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figcaption { color: var(--faint); font-size: 13px; } svg { width: 100%; height: 8rem; }
rect { fill: var(--bar); }
"""


def as_html(title: str, made: Sequence[Part]) -> str:
    """As one HTML document; it has no script, and forbids itself to load anything."""
    body = "\n".join(_html(part) for part in made)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _html(part: Part) -> str:
    match part:
        case Heading(text, level):
            return f"<h{level}>{_text(text)}</h{level}>"
        case Words(text):
            return f"<p>{_text(text)}</p>"
        case Table(columns, rows, code):
            head = "".join(f"<th{_figure(figure)}>{_text(title)}</th>" for title, figure in columns)
            lines = [
                "<tr>" + "".join(
                    f"<td{_figure(columns[at][1])}>{_cell(cell, at == code)}</td>" for at, cell in enumerate(row)
                ) + "</tr>"
                for row in rows
            ]  # fmt: skip
            return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(lines)}\n</tbody>\n</table>"
        case Bars():
            return _drawn(part)


def _drawn(bars: Bars) -> str:
    known = [value for value in bars.values if value is not None]
    top = max(known) or 1.0
    width = 1000 / len(bars.values)
    drawn = []
    for at, (moment_ms, value) in enumerate(zip(bars.times, bars.values, strict=True)):
        if value is None:
            continue
        height = 100 * value / top
        said = _text(f"{moment(moment_ms, '%Y-%m-%d %H:%M')}: {bars.says(value)}")
        drawn.append(
            f'<rect x="{at * width:.2f}" y="{100 - height:.2f}" width="{width * 0.9:.2f}" height="{height:.2f}">'
            f"<title>{said}</title></rect>"
        )
    caption = f"{bars.title}; highest {bars.says(max(known))}, newest {bars.says(known[-1])}"
    return (
        f'<figure><svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img">{"".join(drawn)}</svg>'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _figure(figure: bool) -> str:
    return ' class="figure"' if figure else ""


def _cell(text: str, code: bool) -> str:
    return f"<code>{_text(text)}</code>" if code else _text(text)


def _text(text: Any) -> str:
    return html.escape(sanitise(text))
