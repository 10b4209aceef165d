"""The two lines that are always there: where we are and how fresh it is, and what can be done.

Both take values and repaint only when they differ. Nothing ticks by itself: whoever shows an age decides how often.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.timer import Timer

from meshag_tui.figures import ago, moment
from meshag_tui.glyphs import glyphs
from meshag_tui.text import fit, one_line, width_of
from meshag_tui.widgets.actions import Action, bar_text
from meshag_tui.widgets.line import Line

PRODUCTION = "production"
_STAGES = (PRODUCTION, "staging", "test", "development")
_PARTS = ("strong", "warning", "critical", "notice", "alerts", *(f"stage-{stage}" for stage in _STAGES))

_COLOUR = "colour "


class Status(NamedTuple):
    """What the status line says. Empty parts are left out.

    `freshness` is text with its own tone ("" or "warning"), see `freshness`; `spend` is money against its budget;
    `stage` what the connection is for: production stands in capitals on a ground of its own, and the line is marked;
    `colour` the one of its project, a name of the terminal's eight; `role` who looks, where they may only look.
    """

    connection: str = ""
    server: str = ""
    read_only: bool = False
    freshness: tuple[str, str] = ("", "")
    work: str = ""
    spend: str = ""
    place: str = ""
    alerts: str = ""
    stage: str = ""
    colour: str = ""
    role: str = ""


def freshness(at_ms: float | None, now_ms: float, stale_after_ms: float, paused: bool = False) -> tuple[str, str]:
    """The age of the data as (text, tone): "12 s ago", "stale, 3 min ago", or of paused data its time of day.

    A paused screen must write nothing, so it shows a moment and not an age.
    """
    if at_ms is None:
        return "never synced", "warning"
    if paused:
        return f"paused at {moment(at_ms, '%H:%M:%S')}", ""
    if now_ms - at_ms > stale_after_ms:
        return f"{glyphs().warning} stale, {ago(at_ms, now_ms)}", "warning"
    return ago(at_ms, now_ms), ""


def down_since(at_ms: float | None) -> str:
    """Since when a server gives no data: the moment of the last, "down since 29 Nov 18:05:12"."""
    return "no answer yet" if at_ms is None else f"down since {moment(at_ms, '%d %b %H:%M:%S')}"


class StatusLine(Line):
    """One line: connection, freshness, work, spend; a notice takes its right part for a while."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"status-line--{part}" for part in _PARTS}
    DEFAULT_CSS = """
    StatusLine { height: 1; dock: top; background: $panel; }
    StatusLine.-production { background: $error 30%; }
    StatusLine > .status-line--strong { text-style: bold; }
    StatusLine > .status-line--warning { color: $warning; }
    StatusLine > .status-line--critical { color: $error; text-style: bold; }
    StatusLine > .status-line--notice { text-style: bold; color: $accent; }
    StatusLine > .status-line--alerts { text-style: bold; color: $warning; }
    StatusLine > .status-line--stage-production { text-style: bold reverse; color: $error; }
    StatusLine > .status-line--stage-staging { text-style: reverse; color: $warning; }
    StatusLine > .status-line--stage-test { text-style: reverse; color: $accent; }
    StatusLine > .status-line--stage-development { text-style: reverse; color: $success; }
    """
    NOTICE_S = 6.0

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.status = Status()
        self.notice: tuple[str, str] = ("", "")
        self._timer: Timer | None = None

    def set_status(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            self.set_class(status.stage == PRODUCTION, "-production")
            self.refresh()

    def change(self, **parts: object) -> None:
        """Replace some parts of the status."""
        self.set_status(self.status._replace(**parts))  # type: ignore[arg-type]

    def say(self, message: str, severity: str = "information") -> None:
        """Show a notice for some seconds; `severity` is Textual's: information, warning, error."""
        tone = {"warning": "warning", "error": "critical"}.get(severity, "notice")
        self.notice = (one_line(message, 500), tone)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(self.NOTICE_S * (2 if tone == "critical" else 1), self._quiet)
        self.refresh()

    def holds(self, message: str) -> bool:
        """Whether there is room for all of a notice."""
        return width_of(one_line(message, 500)) <= self.size.width - width_of(self._left()[0][0]) - 2

    def _quiet(self) -> None:
        self.notice = ("", "")
        self.refresh()

    def segments(self, width: int) -> list[Segment]:
        left = self._left()
        if self.notice[0]:
            left = [part for part in left if part[1] != "alerts"]
        room = width - sum(width_of(text) for text, _ in left) - 2
        right, tone = self.notice if self.notice[0] else (self._right(), "")
        if self.notice[0] and width_of(right) > room:  # a notice matters more than where we are
            left = left[:1]
            room = width - sum(width_of(text) for text, _ in left) - 2
        right = fit(one_line(right, max(0, room)), max(0, room), "right")
        segments = [Segment(text, self._look(look)) for text, look in left]
        blank = Segment(" ", self.rich_style)
        return [*segments, blank, Segment(right, self._look(tone)), blank]

    def _left(self) -> list[tuple[str, str]]:
        status, between = self.status, glyphs().separator
        strong = f"{_COLOUR}{status.colour}" if status.colour else "strong"
        parts: list[tuple[str, str]] = [(" " + (one_line(status.connection, 40) or "no connection"), strong)]
        if status.stage:
            word = status.stage.upper() if status.stage == PRODUCTION else status.stage
            parts.insert(0, (f" {word} ", f"stage-{status.stage}"))
        if status.read_only:
            parts.append((f"{between}read-only", "warning"))
        if status.role:
            parts.append((f"{between}{status.role}", ""))
        for text, tone in ((one_line(status.server, 40), ""), status.freshness, (one_line(status.place, 40), "")):
            if text:
                parts.append((between + text, tone))
        if status.alerts:
            parts.append((f"{between}{status.alerts}", "alerts"))
        return parts

    def _right(self) -> str:
        return glyphs().separator.join(part for part in (self.status.work, self.status.spend) if part)

    def _look(self, part: str) -> Style:
        if part.startswith(_COLOUR):
            return self._look("strong") + Style(color=part.removeprefix(_COLOUR))
        return self.get_component_rich_style(f"status-line--{part}") if part else self.rich_style


class ActionBar(Line):
    """The footer: the keys that work here, the disabled ones in brackets, always with the way to the help."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"action-bar--key", "action-bar--dim"}
    DEFAULT_CSS = """
    ActionBar { height: 1; dock: bottom; background: $panel; }
    ActionBar > .action-bar--key { text-style: bold; color: $accent; }
    ActionBar > .action-bar--dim { text-style: dim; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: tuple[tuple[Action, ...], dict[str, str], Action | None] = ((), {}, None)

    def set_actions(self, actions: Sequence[Action], reasons: Mapping[str, str], last: Action | None = None) -> None:
        """Show actions, the most important first; `last` (the help) is at the right end and always there."""
        shown = (tuple(actions), dict(reasons), last)
        if shown != self._shown:
            self._shown = shown
            self.refresh()

    def segments(self, width: int) -> list[Segment]:
        actions, reasons, last = self._shown
        end = f"{last.shown_key} {last.title} " if last is not None else ""
        pieces = bar_text(actions, reasons, width - len(end) - 2)
        segments = [Segment(" ", self.rich_style), *(Segment(text, self._look(part)) for text, part in pieces)]
        used = 1 + sum(len(text) for text, _ in pieces)
        segments.append(Segment(" " * max(0, width - used - len(end)), self.rich_style))
        if last is not None:
            segments += [Segment(last.shown_key, self._look("key")), Segment(f" {last.title} ", self.rich_style)]
        return segments

    def _look(self, part: str) -> Style:
        return self.get_component_rich_style(f"action-bar--{part}") if part else self.rich_style
