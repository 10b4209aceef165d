"""Text in parts that have a look, folded to the width and scrolled: help, errors, evidence, details."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from meshag_tui.glyphs import glyphs
from meshag_tui.text import clip, fit, one_line, sanitise, width_of
from meshag_tui.widgets.states import READY, Condition, State

Piece = tuple[str, str]
"""A look ("" for plain, "bold", "dim", "good", "warning", "critical", "accent", …) and its text."""


_UNFOLDED = (-1, -1)


def folded(parts: Iterable[Piece], width: int) -> list[list[Piece]]:
    """Lines of at most `width` cells, broken at blanks where there are some; the texts must be sanitised."""
    lines: list[list[Piece]] = [[]]
    room = width
    for part, text in parts:
        for number, piece in enumerate(text.split("\n")):
            if number:
                lines.append([])
                room = width
            while piece:
                if len(piece) <= room and width_of(piece) <= room:
                    lines[-1].append((part, piece))
                    room -= width_of(piece)
                    break
                cut = _cut(piece, room)
                if cut == 0 and room == width:
                    cut = 1
                elif cut > 0 and room < width and piece[cut - 1] not in " ,(" and _begins_with_a_word_of(piece, width):
                    cut = 0  # the word has room on the next line
                if cut:
                    lines[-1].append((part, piece[:cut]))
                piece = piece[cut:]
                lines.append([])
                room = width
    return lines


def _begins_with_a_word_of(text: str, width: int) -> bool:
    """Whether the text begins with a word, and one that takes no more than `width` cells."""
    word = text.split(" ", 1)[0]
    return 0 < len(word) <= width and width_of(word) <= width


def _cut(text: str, room: int) -> int:
    """How many characters go into `room` cells, preferably up to a blank or comma."""
    if room <= 0:
        return 0
    fitting = room if text.isascii() else len(clip(text[: room + 1], room).rstrip(glyphs().ellipsis))
    for end in range(min(fitting, len(text)), max(0, fitting - 24), -1):
        if text[end - 1] in " ,(":
            return end
    return min(fitting, len(text)) if fitting >= 24 or " " not in text[:fitting] else 0


class Page(ScrollView, can_focus=True):
    """A scrollable text. Keys: arrows or j k, g G home end, page up and down; y posts `Copied` with the plain text."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Down", show=False, id="page.down"),
        Binding("up,k", "scroll_up", "Up", show=False, id="page.up"),
        Binding("pagedown,ctrl+f", "page_down", "Page down", show=False, id="page.page-down"),
        Binding("pageup,ctrl+b", "page_up", "Page up", show=False, id="page.page-up"),
        Binding("home,g", "scroll_home", "First", show=False, id="page.first"),
        Binding("end,G", "scroll_end", "Last", show=False, id="page.last"),
        Binding("y", "copy", "Copy", show=False, id="page.copy"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"page--{part}" for part in ("bold", "dim", "good", "warning", "critical", "accent")
    }
    DEFAULT_CSS = """
    Page { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    Page > .page--bold { text-style: bold; }
    Page > .page--dim { text-style: dim; }
    Page > .page--good { color: $success; }
    Page > .page--warning { color: $warning; }
    Page > .page--critical { color: $error; text-style: bold; }
    Page > .page--accent { color: $accent; }
    """

    lines_below: Reactive[int] = Reactive(0, repaint=False)
    """How many lines of the text stand below those that are seen."""

    class Copied(Message):
        """The user wants the text on the clipboard."""

        def __init__(self, page: Page, text: str) -> None:
            super().__init__()
            self.page = page
            self.text = text

        @property
        def control(self) -> Page:
            return self.page

    def __init__(
        self,
        parts: Sequence[Piece] = (),
        *,
        empty: State | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.state = READY
        self._given: list[Piece] = []
        self._shown: list[Piece] | None = None
        self._empty = empty or State(Condition.EMPTY)
        self._folded: tuple[tuple[int, int], list[list[Piece]]] = (_UNFOLDED, [])
        self._given = list(parts)

    def set_parts(self, parts: Sequence[Piece], state: State = READY, *, keep_place: bool = False) -> None:
        """Show another text, from its first line or (`keep_place`) from where the reader is. It is sanitised here."""
        if list(parts) == self._given and state == self.state:
            return
        self._given, self.state = list(parts), state
        self._changed(keep_place)

    def set_state(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self._changed(keep_place=False)

    @property
    def copy_text(self) -> str:
        """What `y` copies."""
        return "".join(text for _, text in self._given)

    def action_copy(self) -> None:
        if self.copy_text:
            self.post_message(self.Copied(self, self.copy_text))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The lines the text takes, for pages whose height is auto."""
        state = self._said_instead()
        return len(folded(self._parts(), width)) if state is None else len(state.lines(width))

    def _parts(self) -> list[Piece]:
        if self._shown is None:
            self._shown = self._to_show()
        return self._shown

    def _to_show(self) -> list[Piece]:
        """The parts as they are shown, worked out once a text."""
        return [(part, sanitise(text)) for part, text in self._given]

    def _changed(self, keep_place: bool) -> None:
        self._shown = None
        self._folded = (_UNFOLDED, [])
        self._fold()
        if not keep_place:
            self.scroll_to(y=0, animate=False, force=True, immediate=True)
        self.refresh()

    def turn(self, pages: int) -> None:
        """Scroll by so many pages, the last line becoming the first; back where it is negative."""
        self.scroll_relative(y=pages * max(1, self.size.height - 1), animate=False)

    def on_resize(self) -> None:
        self._fold()
        self._count()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._count()

    def _count(self) -> None:
        self.lines_below = max(0, len(self._folded[1]) - self.size.height - self.scroll_offset.y)

    def _fold(self) -> None:
        width, height = self.size
        if width > 0 and self._folded[0] != (width, height):
            lines = self._lines(width)
            if 0 < height < len(lines):
                lines = self._lines(width - 1)  # the scroll bar stands in the last column
            self._folded = ((width, height), lines)
            self.virtual_size = Size(1, len(lines))
            self._count()

    def _lines(self, width: int) -> list[list[Piece]]:
        state = self._said_instead()
        return folded(self._parts(), width) if state is None else [[line[::-1]] for line in state.lines(width)]

    def _said_instead(self) -> State | None:
        if self.state.condition is not Condition.READY:
            return self.state
        return None if any(text.strip() for _, text in self._given) else self._empty

    def render_line(self, y: int) -> Strip:
        self._fold()
        index = y + self.scroll_offset.y
        if index >= len(self._folded[1]):
            return Strip.blank(self.size.width, self.rich_style)
        segments = [Segment(text, self._look(part)) for part, text in self._folded[1][index]]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    def _look(self, part: str) -> Style:
        return self.get_component_rich_style(f"page--{part}") if part else self.rich_style


class PlainLine(Widget):
    """One line of text that is never read as markup, cut to its width."""

    DEFAULT_CSS = "PlainLine { height: 1; overflow: hidden; }"

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._line = text

    def set_text(self, text: str) -> None:
        if text != self._line:
            self._line = text
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        return Strip([Segment(fit(one_line(self._line, width) if y == 0 else "", width), self.rich_style)], width)
