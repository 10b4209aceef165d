"""A quantity over time made of parts, stacked: each part has its own sign beside its colour, a gap is a gap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from meshag_tui.figures import count, moment, percent
from meshag_tui.glyphs import ASCII, PLAIN, glyphs
from meshag_tui.text import fit, one_line
from meshag_tui.widgets.chart import time_ticks
from meshag_tui.widgets.states import LOADING, READY, Condition, State

MARGIN = 6
"""Cells left of the first column, for the figures of the vertical axis."""
_SIGNS = ("█", "▒", "▓", "░", ":", "+")
_SIGNS_ASCII = ("#", "x", "%", "o", ":", "+")
_COLOURS = ("blue", "yellow", "cyan", "magenta", "white", "bright_black")


@dataclass(frozen=True)
class Stack:
    """What is drawn between `start` and `end` (epoch ms): equal steps, each with the amounts of all parts in the order
    of `names`, or None where nothing was measured. `cursor` is the step that is looked at."""

    title: str
    names: tuple[str, ...]
    start: int
    end: int
    steps: tuple[tuple[float, ...] | None, ...]
    cursor: int | None = None
    unit: Callable[[float | None], str] = count

    @property
    def measured(self) -> bool:
        return any(step is not None for step in self.steps)

    @property
    def highest(self) -> float:
        return max((sum(step) for step in self.steps if step is not None), default=0.0)

    def shares(self) -> list[tuple[int, float]]:
        """Each part that is there, and its share of all; the largest first."""
        totals = [sum(step[at] for step in self.steps if step is not None) for at in range(len(self.names))]
        whole = sum(totals)
        found = [(at, total / whole) for at, total in enumerate(totals) if total > 0]
        return sorted(found, key=lambda each: -each[1])


def scale_of(highest: float) -> float:
    """The next round figure from 1 on: one session is the least there is to see."""
    top = 1.0
    while top < highest * 0.999:
        top = {1: 2, 2: 5, 5: 10}[int(str(top)[0])] * 10 ** (len(str(int(top))) - 1) * 1.0
    return top


def part_at(step: tuple[float, ...], level: float) -> int | None:
    """Which part of a stack covers a level; None: it is not so high."""
    reached = 0.0
    for at, amount in enumerate(step):
        reached += amount
        if level < reached:
            return at
    return None


class Stacked(Widget):
    """A `Stack` under a line with its legend, above its axis of time."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"stacked--title", "stacked--dim", "stacked--warning", "stacked--critical"}
    DEFAULT_CSS = """
    Stacked { height: 9; }
    Stacked > .stacked--title { text-style: bold; }
    Stacked > .stacked--dim { text-style: dim; }
    Stacked > .stacked--warning { color: $warning; }
    Stacked > .stacked--critical { color: $error; }
    """

    def __init__(self, *, empty: State, id: str | None = None) -> None:
        super().__init__(id=id)
        self.stack: Stack | None = None
        self.state = LOADING
        self._empty = empty

    @property
    def columns(self) -> int:
        """How many steps there is room for."""
        return max(10, self.size.width - MARGIN - 1)

    def set_stack(self, stack: Stack | None, state: State = READY) -> None:
        """Show another; the same again costs nothing."""
        if (stack, state) != (self.stack, self.state):
            self.stack, self.state = stack, state
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        stack = self.stack
        if stack is None or not stack.measured:
            state = self.state if self.state.condition is not Condition.READY else self._empty
            lines = state.lines(width)
            return self._line(*(lines[y] if y < len(lines) else ("", "")))
        if y == 0:
            return self._heading(stack)
        if glyphs() is PLAIN:
            return self._line(_spoken(stack) if y == 1 else "", "")
        if y == height - 1:
            return self._line(_axis(stack, width), "dim")
        return self._row(stack, height - 2 - y, height - 2)

    def _line(self, text: str, part: str) -> Strip:
        known = part in ("title", "dim", "warning", "critical")
        style = self.get_component_rich_style(f"stacked--{part}") if known else self.rich_style
        return Strip([Segment(fit(text, self.size.width), style)], self.size.width)

    def _heading(self, stack: Stack) -> Strip:
        signs = _SIGNS_ASCII if glyphs() in (ASCII, PLAIN) else _SIGNS
        title = self.get_component_rich_style("stacked--title")
        said = one_line(stack.title)
        if self.state.condition is not Condition.READY:
            said = f"{self.state.headline()}{glyphs().separator}{said}"
        segments = [Segment(said, title)]
        for at, share in stack.shares():
            segments.append(Segment("  "))
            if glyphs() is not PLAIN:
                segments.append(Segment(f"{signs[at]} ", self._look(at)))
            segments.append(Segment(f"{stack.names[at]} {percent(share)}", self.rich_style))
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    def _look(self, part: int) -> Style:
        return self.rich_style + Style(color=_COLOURS[part % len(_COLOURS)])

    def _row(self, stack: Stack, row: int, rows: int) -> Strip:
        """The cells between two levels; `row` 0 is the lowest."""
        top = scale_of(stack.highest)
        label = stack.unit(top) if row == rows - 1 else "0" if row == 0 else ""
        segments = [Segment(f"{label:>{MARGIN - 1}} ", self.get_component_rich_style("stacked--dim"))]
        for at, step in enumerate(stack.steps):
            sign, style = self._cell(step, row, top / rows)
            segments.append(Segment(sign, style + Style(reverse=True) if at == stack.cursor and sign == " " else style))
        return Strip(segments).simplify().adjust_cell_length(self.size.width, self.rich_style)

    def _cell(self, step: tuple[float, ...] | None, row: int, height: float) -> tuple[str, Style]:
        signs = _SIGNS_ASCII if glyphs() is ASCII else _SIGNS
        if step is None:
            return " ", self.rich_style
        part = part_at(step, (row + 0.5) * height)
        if part is None and row == 0:
            total = sum(step)
            if not total:  # somebody looked, and nothing worked
                return "_", self.get_component_rich_style("stacked--dim")
            part = max(range(len(step)), key=lambda at: step[at])
        return (" ", self.rich_style) if part is None else (signs[part], self._look(part))


def _axis(stack: Stack, width: int) -> str:
    """Round moments below their columns, and a mark below the one that is looked at."""
    columns = len(stack.steps)
    line = [" "] * width
    for moment_ms, label in time_ticks(stack.start, stack.end, max(2, columns // 12)):
        at = MARGIN + (moment_ms - stack.start) * columns // max(1, stack.end - stack.start)
        if at + len(label) < width and all(each == " " for each in line[max(0, at - 1) : at + len(label) + 1]):
            line[at : at + len(label)] = label
    if stack.cursor is not None:
        step = (stack.end - stack.start) / max(1, columns)
        label = "^" + moment(stack.start + (stack.cursor + 0.5) * step, "%H:%M:%S")
        at = MARGIN + stack.cursor
        at, label = (at, label) if at + len(label) < width else (at - len(label) + 1, label[1:] + "^")
        left, right = at, at + len(label)
        while left > 0 and line[left - 1] != " ":  # a label that it covers in part goes
            left -= 1
        while right < width and line[right] != " ":
            right += 1
        line[left:right] = " " * (right - left)
        line[at : at + len(label)] = label
    return "".join(line)[:width]


def _spoken(stack: Stack) -> str:
    known = [(sum(step), at) for at, step in enumerate(stack.steps) if step is not None]
    most, at = max(known)
    width = (stack.end - stack.start) / max(1, len(stack.steps))
    when = moment(stack.start + at * width, "%d %b %H:%M")
    return f"newest {stack.unit(known[-1][0])}, most {stack.unit(most)} at {when}"
