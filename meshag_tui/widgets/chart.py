"""Trends over time, drawn by plotext: where nothing was measured the line stops, and the clock is the user's own.

A chart is plotted anew only when its data or its size changes; plotext is imported in a thread, after the first paint.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from rich.segment import Segment
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from meshag_tui.figures import bar, count, course, moment, sparkline
from meshag_tui.glyphs import ASCII, PLAIN, glyphs
from meshag_tui.text import fit, one_line
from meshag_tui.widgets.states import LOADING, READY, Condition, State

__all__ = ["Chart", "Event", "Series", "Trend", "bar", "sparkline"]

Points = tuple[tuple[int, float | None], ...]

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_STEPS = (
    *(n * 1000 for n in (1, 5, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 90, 365)),
)
_MARKERS = ("braille", "dot", "hd")
_MARKERS_ASCII = ("*", "o", "+")
_COLOURS = (None, 3, 6)  # the terminal's own palette: yellow, cyan
_TO_ASCII = str.maketrans("┌┐└┘├┤┬┴┼─│", "++++||+++-|")


@dataclass(frozen=True)
class Series:
    """A named line: (epoch ms, value) in the order of time; None says that nothing was measured."""

    name: str
    points: Points


@dataclass(frozen=True)
class Event:
    """Something that happened to the figures (a reset, a restart): epoch ms and a few words."""

    at: int
    text: str


@dataclass(frozen=True)
class Trend:
    """What a chart shows between `start` and `end` (epoch ms).

    Points further apart than `gap_ms` are not joined: a line is drawn only through what was measured. `unit` says a
    value of the vertical axis (`duration`, `size`, `count`). `bars`: each point of the first series
    is a bar of its own.
    """

    title: str
    start: int
    end: int
    series: tuple[Series, ...]
    gap_ms: int
    unit: Callable[[float | None], str] = count
    events: tuple[Event, ...] = field(default=())
    bars: bool = False

    @property
    def measured(self) -> bool:
        return any(value is not None for series in self.series for _, value in series.points)


def runs(points: Points, gap_ms: int) -> list[Points]:
    """The stretches of points that may be joined by a line."""
    stretches: list[list[tuple[int, float | None]]] = []
    last: int | None = None
    for at, value in points:
        if value is None or not math.isfinite(value):
            last = None
            continue
        if last is None or at - last > gap_ms:
            stretches.append([])
        stretches[-1].append((at, value))
        last = at
    return [tuple(stretch) for stretch in stretches]


def time_ticks(start: int, end: int, at_most: int) -> list[tuple[int, str]]:
    """Round moments of local time between two (epoch ms), with labels; days begin at local midnight."""
    span = max(1, end - start)
    step = next((step for step in _STEPS if span / step <= at_most), _STEPS[-1])
    form = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%d %b" if step < 365 * _DAY else "%Y"
    return [(at, moment(at, form)) for at in _round_moments(start, end, step)]


def _round_moments(start: int, end: int, step: int) -> Iterator[int]:
    if step < _DAY:
        offset = time.localtime(start / 1000).tm_gmtoff * 1000
        first = -(-(start + offset) // step) * step - offset
        yield from range(first, end + 1, step)
        return
    day = datetime.fromtimestamp(start / 1000).replace(hour=0, minute=0, second=0, microsecond=0)
    while (at := int(day.timestamp() * 1000)) <= end:
        if at >= start:
            yield at
        day += timedelta(days=step // _DAY)  # wall clock: a day of 23 or 25 hours is one day


def _folded(points: Points, start: int, end: int, columns: int) -> Points:
    """At most two points a column: the highest of each half, so that a peak is never lost."""
    if len(points) <= columns * 2:
        return points
    best: dict[int, tuple[int, float | None]] = {}
    for at, value in points:
        place = (at - start) * columns * 2 // max(1, end - start)
        if place not in best or (value or 0) > (best[place][1] or 0):
            best[place] = (at, value)
    return tuple(best.values())


def _ceiling(value: float) -> float:
    """The next round figure above."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999_999)


def plot(plotext: Any, trend: Trend, width: int, height: int) -> list[str]:
    """The chart as lines of text with plotext's colour codes, `width` by `height` cells."""
    plain = glyphs() is ASCII
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)
    plotext.plot_size(width, height)
    top = _ceiling(max((v for s in trend.series for _, v in s.points if v is not None and math.isfinite(v)), default=1))
    markers = _MARKERS_ASCII if plain else _MARKERS
    if trend.bars:
        known = [point for point in trend.series[0].points if point[1] is not None]
        plotext.bar([at for at, _ in known], [value for _, value in known], marker="#" if plain else "hd", width=0.6)
    for number, series in enumerate(() if trend.bars else trend.series):
        look = {"marker": markers[number % len(markers)], "color": _COLOURS[number % len(_COLOURS)]}
        inside = tuple(point for point in series.points if trend.start <= point[0] <= trend.end)
        for stretch in runs(inside, trend.gap_ms):
            stretch = _folded(stretch, trend.start, trend.end, width)
            moments, values = [at for at, _ in stretch], [value for _, value in stretch]
            draw = plotext.plot if len(stretch) > 1 else plotext.scatter
            draw(moments, values, **{name: value for name, value in look.items() if value is not None})
    for event in trend.events:
        if trend.start <= event.at <= trend.end:
            plotext.vline(event.at)
    plotext.xlim(trend.start, trend.end)
    plotext.ylim(0, top)
    ticks = time_ticks(trend.start, trend.end, max(2, width // 12))
    plotext.xticks([at for at, _ in ticks], [label for _, label in ticks])
    levels = [top * n / 4 for n in range(5)] if height >= 12 else [0, top / 2, top] if height >= 6 else [0, top]
    plotext.yticks(levels, [trend.unit(level) if level else "0" for level in levels])
    drawn = str(plotext.build())
    return (drawn.translate(_TO_ASCII) if plain else drawn).split("\n")[:height]


def spoken(trend: Trend) -> list[str]:
    """The chart in words, a line for each of its lines and each event."""
    said = []
    for series in trend.series:
        known = [(at, value) for at, value in series.points if value is not None and math.isfinite(value)]
        if known:
            most, least = max(known, key=lambda point: point[1]), min(known, key=lambda point: point[1])
            words = f"newest {trend.unit(known[-1][1])}, most {trend.unit(most[1])} at {moment(most[0], '%d %b %H:%M')}"
            words += f", least {trend.unit(least[1])}"
            how = course([value for _, value in known])
            said.append(": ".join(filter(None, (one_line(series.name), ", ".join(filter(None, (how, words)))))))
    return said + [f"{moment(event.at, '%d %b %H:%M')} {one_line(event.text)}" for event in trend.events]


class Chart(Widget):
    """A `Trend` in all the room there is, under a line with its title, legend and highest values."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"chart--{part}" for part in ("title", "dim", "warning", "critical", "accent")
    }
    DEFAULT_CSS = """
    Chart { height: 1fr; min-height: 4; }
    Chart > .chart--title { text-style: bold; }
    Chart > .chart--dim { text-style: dim; }
    Chart > .chart--warning { color: $warning; }
    Chart > .chart--critical { color: $error; }
    Chart > .chart--accent { color: $accent; }
    """

    def __init__(self, *, empty: State | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.trend: Trend | None = None
        self.state = LOADING
        self.plots = 0  # how often it was really plotted
        self._empty = empty or State(Condition.EMPTY, "no samples in this window yet")
        self._plotext: Any = None
        self._importing = False
        self._plotted: tuple[tuple[Trend, int, int], list[Strip]] | None = None

    def set_trend(self, trend: Trend | None, state: State = READY) -> None:
        """Show another trend; the same again costs nothing."""
        if trend == self.trend and state == self.state:
            return
        self.trend, self.state = trend, state
        if self._plotext is None and not self._importing and trend is not None:
            self._importing = True
            self.run_worker(self._import(), group="plotext")
        self.refresh()

    async def _import(self) -> None:
        self._plotext = await asyncio.to_thread(importlib.import_module, "plotext")
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        trend = self.trend
        if trend is None or not trend.measured or (self._plotext is None):
            state = self.state if self.state.condition is not Condition.READY else self._empty
            if trend is not None and trend.measured:
                state = LOADING
            lines = state.lines(width)
            text, tone = lines[y] if y < len(lines) else ("", "")
            return self._line(text, tone)
        if y == 0:
            return self._line(self._heading(trend, width), "title")
        if glyphs() is PLAIN:
            words = spoken(trend)
            return self._line(words[y - 1] if y <= len(words) else "", "")
        lines_drawn = self._drawn(trend, width, height - 1)
        return lines_drawn[y - 1] if y - 1 < len(lines_drawn) else Strip.blank(width, self.rich_style)

    def _line(self, text: str, part: str) -> Strip:
        style = self.get_component_rich_style(f"chart--{part}") if part else self.rich_style
        return Strip([Segment(fit(text, self.size.width), style)], self.size.width)

    def _heading(self, trend: Trend, width: int) -> str:
        said = [one_line(trend.title)]
        signs = _MARKERS_ASCII if glyphs() is ASCII else ("⣀⡠", "••", "▖▖")
        for number, series in enumerate(trend.series):
            highest = max((v for _, v in series.points if v is not None and math.isfinite(v)), default=None)
            sign = signs[number % len(signs)] if len(trend.series) > 1 else ""
            said.append(" ".join(filter(None, (sign, one_line(series.name), f"max {trend.unit(highest)}"))))
        said += [f"{glyphs().warning} {moment(event.at, '%H:%M')} {one_line(event.text)}" for event in trend.events]
        if self.state.condition is not Condition.READY:
            said.insert(0, self.state.headline())
        return glyphs().separator.join(said)

    def _drawn(self, trend: Trend, width: int, height: int) -> list[Strip]:
        wanted = (trend, width, height)
        if self._plotted is None or self._plotted[0] != wanted:
            self.plots += 1
            base = self.rich_style
            strips = []
            for line in plot(self._plotext, trend, width, height):
                text = Text.from_ansi(line, no_wrap=True, end="")
                segments = [
                    Segment(segment.text, base + segment.style if segment.style else base)
                    for segment in text.render(self.app.console, "")
                ]
                strips.append(Strip(segments).simplify().adjust_cell_length(width, base))
            self._plotted = (wanted, strips)
        return self._plotted[1]

    def notify_style_update(self) -> None:
        self._plotted = None  # another theme
        super().notify_style_update()
