"""Text that may be shown: the one sanitiser, cutting to a width, and the net under passwords in messages.

Names, query texts, server errors and model answers are written by others. A terminal obeys what it is sent, so every
such text passes through `sanitise` (several lines) or `one_line` (a table cell) on its way to a screen, a log line or
plain output. What cannot be seen is made visible, never dropped silently. Nothing in here raises on any input.
"""

import re
from itertools import chain
from typing import Literal

from meshag_tui.glyphs import ASCII, glyphs

Align = Literal["left", "right"]

MAX_TEXT = 256 * 1024
"""Characters of one text that are ever shown; a longer one is cut and says so."""

# --- The sanitiser -------------------------------------------------------------------------------------------------

# Expressions are compiled when they are first needed, by `re`, which keeps them: all of them take longer than the rest
# of this room, and few starts need one.

# Printable by Unicode's tables, yet nothing is seen: fillers, joiners and variation selectors.
_INVISIBLE = frozenset(
    chain(
        (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
        range(0x180B, 0x1810),
        range(0xFE00, 0xFE10),
        range(0xE0100, 0xE01F0),
    )
)
# "⚠️" is a symbol and an emoji selector; the selector alone carries nothing, and terminals disagree on its width.
_EMOJI_SELECTOR = "(?<=[\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff])[\ufe0e\ufe0f]"
_STACKED_MARKS = (
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
_TAB = "    "


class _Visible(dict[int, str]):
    """A translate table that works out each character once: itself, or what is shown instead of it."""

    def __init__(self, ascii_only: bool) -> None:
        super().__init__({0x0A: "\n", 0x09: _TAB})
        self._ascii_only = ascii_only

    def __missing__(self, code: int) -> str:
        shown = self._shown(code)
        if code < 0x10000:  # a hostile text of all Unicode must not fill the memory
            self[code] = shown
        return shown

    def _shown(self, code: int) -> str:
        character = chr(code)
        if character.isprintable() and code not in _INVISIBLE and (code < 0x80 or not self._ascii_only):
            return character
        if code < 0x20 or code == 0x7F:
            return f"\\x{code:02x}" if self._ascii_only else chr(0x2421 if code == 0x7F else 0x2400 + code)
        if code < 0x100:
            return f"\\x{code:02x}"
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_VISIBLE = _Visible(ascii_only=False)
_VISIBLE_ASCII = _Visible(ascii_only=True)


def sanitise(text: object, limit: int = MAX_TEXT) -> str:
    """`text` so that a terminal shows it and does nothing else; line ends are kept.

    Controls become ␛ and the like; C1, bidi controls, zero-width and tag characters, private and unassigned ones, lone
    surrogates are written out (\\u202e). Bytes are read as UTF-8, the rest escaped. At most `limit` characters are
    returned, a cut is marked. Applying it twice changes nothing.
    """
    given = _as_text(text)
    if len(given) > limit:
        given = given[:limit]
        cut = True
    else:
        cut = False
        if given.isascii() and given.isprintable():
            return given
    shown = given.replace("\r\n", "\n")
    if not shown.isascii():
        shown = re.sub(_EMOJI_SELECTOR, "", shown)
        shown = shown.translate(_VISIBLE_ASCII if glyphs() is ASCII else _VISIBLE)
        shown = re.sub(_STACKED_MARKS, "\\1…", shown)
    else:
        shown = shown.translate(_VISIBLE_ASCII if glyphs() is ASCII else _VISIBLE)
    return _cut(shown, limit) if cut or len(shown) > limit else shown


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if value is None:
        return ""
    try:
        return str(value)
    except Exception as error:  # a foreign object's __str__ may do anything
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _cut(text: str, limit: int) -> str:
    mark = glyphs().ellipsis
    return text[: max(0, limit - len(mark))] + mark if limit > 0 else ""


_BREAK = re.compile(r"[ ]*\n\s*")


def one_line(text: object, width: int | None = None, newline: str | None = None) -> str:
    """`text` sanitised, on one line, and cut to `width` cells if one is given.

    A line end and the indentation after it become `newline`: by default the ↵ sign, so that a name cannot hide one;
    a column of query texts passes " ".
    """
    shown = sanitise(text, MAX_TEXT if width is None else max(64, width * 8))
    if "\n" in shown:
        sign = glyphs().newline if newline is None else newline
        shown = sign.join(_BREAK.split(shown)).strip()
    return shown if width is None else clip(shown, width)


# --- Widths --------------------------------------------------------------------------------------------------------


def width_of(text: str) -> int:
    """Terminal cells that `text` (one line, sanitised) takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def clip(text: str, width: int) -> str:
    """`text` (one line, sanitised) in at most `width` cells; a cut is marked with an ellipsis."""
    if width <= 0:
        return ""
    if len(text) <= width and width_of(text) <= width:
        return text
    mark = glyphs().ellipsis
    if text.isascii():
        return text[: width - 1] + mark
    from rich.cells import set_cell_size

    return set_cell_size(text[:width], width - 1).rstrip(" ") + mark if width > 1 else mark


def fit(text: str, width: int, align: Align = "left") -> str:
    """`text` in exactly `width` cells: clipped, or padded on the side away from `align`."""
    clipped = clip(text, width)
    padding = " " * (width - width_of(clipped))
    return clipped + padding if align == "left" else padding + clipped


# --- Secrets in messages -------------------------------------------------------------------------------------------

_MASKED = (
    (r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s]*@(?=[^\s@]*)", r"\1:***@"),
    # A URL within a URL, as a proxy is.
    (r"(?i)(\b[a-z][a-z0-9+.-]*%3A%2F%2F(?:(?!%3A)[^\s&])*%3A)(?:(?!%40)[^\s&])*(?=%40)", r"\1***"),
    (r"(?i)\b(bearer\s+|sk-)[\w.\-]{8,}", r"\1***"),
    (
        r"(?i)(?<![a-z0-9])(password|passwd|pwd|secret|token|api[_-]?key)"
        r"(\s*[=:]\s*(?:'(?:[^']|'')*'|\"[^\"]*\"|\S+)|\s+'(?:[^']|'')*')",
        r"\1 ***",
    ),
)
"""What a password stands in, and what is written instead, in this order."""


def mask_secrets(text: str) -> str:
    """`text` without the passwords it may carry: URL userinfo, `password=…`, bearer tokens.

    The last net under an error message or a crash report, not a reason to put secrets into either.
    """
    for found, instead in _MASKED:
        text = re.sub(found, instead, text)
    return text
