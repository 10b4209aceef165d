"""A line that is always there, whatever goes wrong in it: status line, places, footer.

What fails in its painting or in what it hears is said in its place and logged; the next painting tries again.
"""

from __future__ import annotations

import logging

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from meshag_tui.glyphs import glyphs
from meshag_tui.text import mask_secrets, one_line
from meshag_tui.widgets.guarded import crash_report

_LOG = logging.getLogger("meshag.screens")


class Line(Widget):
    """One line. Subclasses write `segments`."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._logged = ""

    def segments(self, width: int) -> list[Segment]:
        """What the line says in `width` cells; what is longer is cut."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        try:
            segments = self.segments(width)
        except Exception as error:
            said = mask_secrets(one_line(f"{type(error).__name__}: {error}", 300))
            segments = [Segment(f" {glyphs().warning} this line failed: {said}", self.rich_style)]
            self.failed(error)
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    async def _dispatch_message(self, message: Message) -> None:
        # Textual ends the loop of a widget whose handler failed, and with it what the line hears from then on.
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Log what failed, once however often it is painted."""
        report = crash_report(error)
        if report != self._logged:
            self._logged = report
            _LOG.error("%s failed\n%s", type(self).__name__, report)
