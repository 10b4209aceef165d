"""What the terminal shows, cell by cell, so that only what changed is written to the line.

Textual 8.2 repaints whole widgets: a partial update goes out from the widget's left edge, a new screen in full. Over a
slow link those bytes are the waiting time. A `Frame` remembers the cells it wrote last, takes the strips of an update,
and returns the shortest sequence that gets from one to the other.

It also is the last gate before the terminal: a control character that got into a widget past the sanitiser is made
visible here, and hyperlinks (OSC 8) are never written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from meshag_tui.glyphs import ASCII, glyphs
from meshag_tui.text import sanitise

Piece = tuple[int, int, Sequence[Segment]]
"""Line, first column, and the segments to show from there."""

_CLEAR = "\x1b[0m\x1b[H\x1b[J"
_SAFE_WIDTHS = re.compile("[\x20-\x7e\xa1-\xac\xae-\xff\u2010-\u2027\u2500-\u257f\u2580-\u2590\u2800-\u28ff]*")
_ATTRIBUTES = (
    ("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("blink", "5"), ("reverse", "7"), ("strike", "9"),
)  # fmt: skip
_BACKGROUND_ONLY = re.compile(r"(4[0-7]|10[0-7]|48;[\d;]+)$")
_NEVER_SPACE = 16
"""Trailing blanks from which erasing to the end of the line is shorter than writing them."""

_DRAWN_IN_ASCII = dict(
    zip("─━═│┃║┌┐└┘├┤┬┴┼╭╮╯╰▔▁▎▊█▀▄▌▐•…–—→▶▼▲●✓", "---|||+++++++++++++-_||#-_||*~-->>v^*+", strict=True)
)
"""Borders and signs of Textual's own widgets where the terminal takes ASCII only."""


@lru_cache(maxsize=4096)
def _sgr(style: Style | None, system: ColorSystem | None, blank: bool) -> str:
    """The SGR parameters of a style after a reset; for a blank only those that can be seen on one."""
    if style is None:
        return ""
    seen = ("underline", "reverse", "strike") if blank else tuple(name for name, _ in _ATTRIBUTES)
    codes = [code for name, code in _ATTRIBUTES if name in seen and getattr(style, name)]
    if system is not None:
        if style.color is not None and not style.color.is_default and (not blank or codes):
            codes += style.color.downgrade(system).get_ansi_codes()
        if style.bgcolor is not None and not style.bgcolor.is_default:
            codes += style.bgcolor.downgrade(system).get_ansi_codes(foreground=False)
    return ";".join(codes)


_ON_BLANK: dict[str, str] = {"": ""}
"""For each style in use, what of it can be seen on a blank: a blank may be written under any style that looks so."""


@lru_cache(maxsize=256)
def _graphemes(text: str) -> tuple[tuple[str, int], ...]:
    """The clusters of a text and the cells each takes; one that takes none goes with the cluster before it.

    Some screens full of such texts are kept: a line as wide as a terminal takes 30 kB and more, and has another text at
    each width.
    """
    clusters: list[tuple[str, int]] = []
    for start, end, width in split_graphemes(text)[0]:
        if width == 0 and clusters:
            before, cells = clusters[-1]
            clusters[-1] = (before + text[start:end], cells)
        elif width:
            clusters.append((text[start:end], width))
    return tuple(clusters)


class Frame:
    """The cells on a terminal, and how to change them.

    `erase_colours`: the terminal erases with the current background (terminfo's bce), so blanks of any background
    need not be written out.
    """

    def __init__(self, erase_colours: bool = False) -> None:
        self.erase_colours = erase_colours
        self._size = (0, 0)
        self._texts: list[list[str]] = []  # "" is the second half of a wide character
        self._styles: list[list[str]] = []
        self._stale = True

    def forget(self) -> None:
        """The terminal shows something else by now: the next paint clears it and writes everything."""
        self._stale = True

    def paint(self, pieces: Iterable[Piece], size: tuple[int, int], system: ColorSystem | None) -> str:
        """Take over `pieces` and return what to write to a terminal of `size` (width, height); "" if all is shown."""
        opening = ""
        if self._stale or size != self._size:
            width, height = self._size = size
            self._texts = [[" "] * width for _ in range(height)]
            self._styles = [[""] * width for _ in range(height)]
            self._stale = False
            opening = _CLEAR
        writer = _Writer(self._size[0], self.erase_colours)
        for y, x, segments in pieces:
            if 0 <= y < self._size[1] and x < self._size[0]:
                self._line(writer, y, x, segments, system)
        return opening + writer.end()

    def _line(self, writer: _Writer, y: int, x: int, segments: Sequence[Segment], system: ColorSystem | None) -> None:
        width = self._size[0]
        texts, styles = _cells(segments, system)
        if len(texts) > width - x:
            if texts[width - x] == "":  # a wide character in the last column
                texts[width - x - 1] = " "
            del texts[width - x :], styles[width - x :]
        old_texts, old_styles = self._texts[y], self._styles[y]
        end = x + len(texts)
        if old_texts[x:end] == texts and old_styles[x:end] == styles:
            return
        # Half of a wide character that is overwritten takes the other half with it.
        if old_texts[x] == "" and x > 0:
            x -= 1
            texts.insert(0, " ")
            styles.insert(0, old_styles[x])
        if end < width and old_texts[end] == "":
            texts.append(" ")
            styles.append(old_styles[end])
            end += 1
        changed = [i for i in range(len(texts)) if texts[i] != old_texts[x + i] or styles[i] != old_styles[x + i]]
        old_texts[x:end], old_styles[x:end] = texts, styles
        for first, last in _runs(changed, texts):
            writer.write(y, x + first, old_texts, old_styles, x + last)


def _cells(segments: Sequence[Segment], system: ColorSystem | None) -> tuple[list[str], list[str]]:
    texts: list[str] = []
    styles: list[str] = []
    for text, style, _control in segments:
        if not text.isprintable():
            text = sanitise(text).replace("\n", " ")
        if not text.isascii() and glyphs() is ASCII:
            text = "".join(_DRAWN_IN_ASCII.get(cluster, "?") * cells for cluster, cells in _graphemes(text))
        sgr, on_blank = _sgr(style, system, False), _sgr(style, system, True)
        _ON_BLANK[sgr] = _ON_BLANK[on_blank] = on_blank
        if _SAFE_WIDTHS.fullmatch(text):
            texts.extend(text)
            styles.extend([sgr] * len(text) if sgr == on_blank else [on_blank if c == " " else sgr for c in text])
            continue
        for cluster, cells in _graphemes(text):
            texts.extend([cluster] + [""] * (cells - 1))
            styles.extend([on_blank if cluster == " " else sgr] * cells)
    return texts, styles


def _runs(changed: list[int], texts: list[str]) -> Iterator[tuple[int, int]]:
    """Changed cells as (first, end) runs; one that starts in the middle of a wide character starts at its left half."""
    first = last = changed[0]
    for i in changed[1:]:
        if i > last + 1:
            yield _whole(first, texts), last + 1
            first = i
        last = i
    yield _whole(first, texts), last + 1


def _whole(first: int, texts: list[str]) -> int:
    while first > 0 and texts[first] == "":
        first -= 1
    return first


class _Writer:
    """Collects the sequences, knowing where the cursor stands and which style is set."""

    def __init__(self, width: int, erase_colours: bool) -> None:
        self._parts: list[str] = []
        self._erase_colours = erase_colours
        self._width = width
        self._sgr = ""
        self._at: tuple[int, int] | None = None  # None: unknown

    def write(self, y: int, x: int, texts: list[str], styles: list[str], end: int) -> None:
        """Write the cells x <= column < end of a line whose cells are `texts` and `styles`."""
        blank_from = max(x, self._blank_from(texts, styles)) if end == self._width else end
        if end - blank_from < _NEVER_SPACE:
            blank_from = end
        self._move(y, x, texts, styles)
        column = x
        while column < blank_from:
            sgr = self._style_for(texts[column], styles[column])
            stop = column + 1
            while stop < blank_from and (
                styles[stop] == sgr or (texts[stop] == " " and styles[stop] == _ON_BLANK[sgr])
            ):
                stop += 1
            self._style(sgr)
            self._cells(y, column, texts[column:stop])
            column = stop
        if blank_from < end:
            self._style(self._style_for(" ", styles[blank_from]))
            self._parts.append("\x1b[K")
            self._at = (y, blank_from)

    def _style_for(self, text: str, sgr: str) -> str:
        """The style to write a cell under: a blank keeps the current one where that looks the same."""
        return self._sgr if text == " " and _ON_BLANK[self._sgr] == sgr else sgr

    def _cells(self, y: int, column: int, texts: list[str]) -> None:
        text = "".join(texts)
        if len(text) == len(texts) and _SAFE_WIDTHS.fullmatch(text):
            self._parts.append(text)
            self._arrive(y, column + len(texts))
            return
        # Terminals disagree on the width of some characters: say the place again after each of them.
        for offset, cluster in enumerate(texts):
            if not cluster:
                continue
            if self._at != (y, column + offset):
                self._parts.append(f"\x1b[{y + 1};{column + offset + 1}H")
            self._parts.append(cluster)
            if _SAFE_WIDTHS.fullmatch(cluster):
                self._arrive(y, column + offset + 1)
            else:
                self._at = None

    def _arrive(self, y: int, x: int) -> None:
        # After the last column the cursor waits there or has wrapped, as the terminal likes.
        self._at = (y, x) if x < self._width else None

    def _move(self, y: int, x: int, texts: list[str], styles: list[str]) -> None:
        if self._at == (y, x):
            return
        if self._at is not None and self._at[0] == y and self._at[1] < x:
            gap = x - self._at[1]
            between = "".join(texts[self._at[1] : x])
            same_style = all(style == self._sgr for style in styles[self._at[1] : x])
            if gap <= 4 and same_style and len(between) == gap and _SAFE_WIDTHS.fullmatch(between):
                self._parts.append(between)
            else:
                self._parts.append(f"\x1b[{gap}C" if gap > 1 else "\x1b[C")
        else:
            self._parts.append(f"\x1b[{y + 1};{x + 1}H")
        self._at = (y, x)

    def _style(self, sgr: str) -> None:
        if sgr != self._sgr:
            # Without a style set, there is nothing to reset.
            self._parts.append(f"\x1b[{sgr}m" if not self._sgr else f"\x1b[0;{sgr}m" if sgr else "\x1b[m")
            self._sgr = sgr

    def _blank_from(self, texts: list[str], styles: list[str]) -> int:
        """The column from which the line is blank in one background and can be erased."""
        column, sgr = len(texts), styles[-1]
        if sgr and not (self._erase_colours and _BACKGROUND_ONLY.match(sgr)):
            return column
        while column > 0 and texts[column - 1] == " " and styles[column - 1] == sgr:
            column -= 1
        return column

    def end(self) -> str:
        self._style("")
        return "".join(self._parts)
