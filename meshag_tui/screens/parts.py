"""Parts that share the room of a detail: side by side where there is enough, else the one with the focus is open."""

from __future__ import annotations

from textual.containers import Vertical
from textual.widget import Widget

from meshag_tui.glyphs import glyphs
from meshag_tui.widgets.chart import Chart
from meshag_tui.widgets.page import PlainLine


class TrendChart(Chart, can_focus=True):
    """A chart that can be gone to, so that it opens where parts share the room."""


class Part(Vertical):
    """A part of a detail: its title line, and what it is of. Where parts share the room it is closed without focus."""

    DEFAULT_CSS = """
    Part { height: 1; padding: 0 1; }
    Part:focus-within { height: 1fr; }
    Part > .part--title { text-style: bold; color: $accent; }
    """

    def __init__(self, title: str, *inside: Widget, id: str) -> None:
        super().__init__(PlainLine(title, classes="part--title"), *inside, id=id, classes="part")
        self._open_title = self._shut_title = title

    def set_title(self, title: str, closed: str | None = None) -> None:
        """Name it; `closed` also says what is in it, for where that is not shown."""
        self._open_title, self._shut_title = title, title if closed is None else closed
        self._say()

    def _say(self) -> None:
        said = self._open_title
        if self.screen.has_class("-short") or self.screen.has_class("-narrow"):
            drawn = glyphs()
            opened = self.has_focus_within
            said = f"{drawn.unfolded} {said}" if opened else f"{drawn.folded} {self._shut_title}"
        self.query_one(".part--title", PlainLine).set_text(said)

    def on_descendant_focus(self) -> None:
        self._say()

    def on_descendant_blur(self) -> None:
        self._say()

    def on_resize(self) -> None:
        self._say()

    def on_click(self) -> None:
        if not self.has_focus_within:
            next(widget for widget in self.query(Widget) if widget.focusable).focus()
