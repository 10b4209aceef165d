"""The screens as lines of words, for a screen reader: each new line once, one below the other, nothing is redrawn.

Textual lays the screens out in memory; of each settled picture the lines that were not there before are written, and
what the cursor or the focus went to. No escape sequence leaves, so a dumb terminal and a braille line do as well.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textual._compositor import CompositorUpdate
from textual.timer import Timer

from meshag_tui.text import one_line
from meshag_tui.widgets.frame import Frame
from meshag_tui.widgets.guarded import GuardedApp, GuardedDriver, pieces_of

if TYPE_CHECKING:
    from textual.driver import Driver
    from textual.notifications import SeverityLevel
    from textual.screen import Screen

SIZE = (160, 40)
"""The page in memory: wide, as lines are not cut where the terminal ends, and as long as one can listen to."""
SETTLE_S = 0.15
"""How long a picture must have stood before it is told."""
CSS = """
* { border: none !important; scrollbar-size: 0 0 !important; }
ModalScreen { background: $surface !important; align: left top !important; }
ModalScreen > .dialog {
    width: 100% !important; max-width: 100% !important; height: 100% !important; max-height: 100% !important;
    margin: 0 !important;
}
ActionBar { display: none !important; }
#queries-preview, #suggestions-about, #indexes-preview { height: 0 !important; }
"""
"""No frames, a dialog alone on the page, nothing beside a list that enter opens anyway, no line of keys: ? has them."""

_DRAWN = re.compile("[\u2500-\u259f\u2800-\u28ff]")
_BLANKS = re.compile(" {3,}")


class Telling(Frame):
    """The page in memory, and what of it was not told yet."""

    def __init__(self) -> None:
        super().__init__()
        self._told: Counter[str] = Counter()
        self._pointed: Counter[str] = Counter()

    def news(self) -> list[str]:
        """The lines that are new since the last time, and new places of cursor or focus in lines that are not."""
        lines = [_words(texts) for texts in self._texts]
        pointed = [_words(_reversed(*line)) for line in zip(self._texts, self._styles, strict=True)]
        old, was = self._told.copy(), self._pointed.copy()
        self._told, self._pointed = Counter(lines), Counter(pointed)
        said = []
        for line, place in zip(lines, pointed, strict=True):
            known = old[line] > 0
            old[line] -= known
            if line and not known:
                said.append(line)
            elif place and not was[place]:
                said.append(place)
        return said


def _words(texts: Sequence[str]) -> str:
    return _BLANKS.sub("  ", _DRAWN.sub(" ", "".join(texts))).strip()


def _reversed(texts: Sequence[str], styles: Sequence[str]) -> list[str]:
    return [text if "7" in style.split(";") else " " for text, style in zip(texts, styles, strict=True)]


class PlainDriver(GuardedDriver):
    """Reads keys as ever, and writes nothing of what Textual would: no mode, no cursor, no picture."""

    def write(self, data: str) -> None:
        return

    def pass_on(self, data: str) -> None:
        super().write(data)

    def tell(self, line: str) -> None:
        encoding = getattr(self._file, "encoding", None) or "utf-8"
        super().write(line.encode(encoding, "replace").decode(encoding) + "\r\n")

    def _get_terminal_size(self) -> tuple[int, int]:
        return SIZE


class PlainApp(GuardedApp):
    """A mixin, to stand before the application it makes plain."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow")]
    VERTICAL_BREAKPOINTS = [(0, "-short")]

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.frame = self._telling = Telling()
        self._due: Timer | None = None

    def get_driver_class(self) -> type[Driver]:
        return PlainDriver if super().get_driver_class() is GuardedDriver else super().get_driver_class()

    def _display(self, screen: Screen[Any], renderable: object) -> None:
        if not isinstance(self._driver, PlainDriver):
            super()._display(screen, renderable)
            return
        pieces = pieces_of(renderable) if isinstance(renderable, CompositorUpdate) else None
        if pieces is not None and self._running and not self._closed and not self._batch_count:
            self._telling.paint(pieces, SIZE, None)
            if self._due is None:
                self._due = self.set_timer(SETTLE_S, self._tell)
        self.post_display_hook()

    def _tell(self) -> None:
        self._due = None
        if isinstance(self._driver, PlainDriver):
            for line in self._telling.news():
                self._driver.tell(line)

    def say(self, message: str, severity: SeverityLevel = "information") -> None:
        """Tell it at once, in a line of its own."""
        if isinstance(self._driver, PlainDriver):
            word = {"warning": "Note: ", "error": "Error: "}.get(severity, "")
            self._driver.tell(f"{word}{one_line(message, 2_000)}")
        else:
            super().say(message, severity)
