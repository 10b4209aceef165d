"""Text that may be shown: the one sanitiser, cutting to a width, and figures in words.

Names, query texts, server errors and model answers are written by others. A terminal obeys what it is sent, so every
such text passes through `sanitise` (several lines) or `one_line` (a table cell) on its way to a screen, a log line or
plain output. What cannot be seen is made visible, never dropped silently. Nothing in here raises on any input.

Figures are humanised here too, so that 1.2 s looks the same on every screen and in every report: times come in
milliseconds, sizes in bytes, moments in epoch milliseconds UTC (shown in local time). None and NaN become a dash: a
figure that was not measured is never shown as 0.
"""

import math
import os
import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Literal, NamedTuple

Align = Literal["left", "right"]

MAX_TEXT = 256 * 1024
"""Characters of one text that are ever shown; a longer one is cut and says so."""


class Glyphs(NamedTuple):
    """The characters we draw with; each has the same meaning in both sets."""

    ellipsis: str
    newline: str
    none: str
    micro: str
    separator: str
    cursor: str
    mark: str
    ascending: str
    descending: str
    ok: str
    bad: str
    unknown: str
    warning: str
    critical: str
    bar: str  # from a thin slice to a full cell
    spark: str  # from the lowest to the highest
    track: str
    gap: str
    branch: str
    last_branch: str
    trunk: str
    folded: str
    unfolded: str
    arrow: str


UNICODE = Glyphs(
    ellipsis="…",
    newline="↵",
    none="–",
    micro="µs",
    separator=" · ",
    cursor="▸",
    mark="●",
    ascending="▲",
    descending="▼",
    ok="✓",
    bad="✗",
    unknown="?",
    warning="▲",
    critical="◆",
    bar="▏▎▍▌▋▊▉█",
    spark="▁▂▃▄▅▆▇█",
    track=" ",
    gap="·",
    branch="├─",
    last_branch="└─",
    trunk="│ ",
    folded="▸",
    unfolded="▾",
    arrow="→",
)
ASCII = Glyphs(
    ellipsis="~",
    newline="|",
    none="-",
    micro="us",
    separator=" | ",
    cursor=">",
    mark="*",
    ascending="^",
    descending="v",
    ok="+",
    bad="x",
    unknown="?",
    warning="!",
    critical="X",
    bar="#",
    spark="_.-=+*%#",
    track=".",
    gap=" ",
    branch="|-",
    last_branch="`-",
    trunk="| ",
    folded="+",
    unfolded="-",
    arrow="->",
)

PLAIN = ASCII._replace(
    **dict.fromkeys(("cursor", "ok", "bad", "unknown", "warning", "critical", "gap"), " "),
    **dict.fromkeys(("branch", "last_branch", "trunk"), "  "),
    ellipsis="...",
    newline=" ",
    separator=", ",
    arrow=" to ",
    bar="",
    spark="",
)
"""For a screen reader: a word stands beside every sign anyway, so the signs are left out, and drawings are words."""


def wants_ascii(environment: Mapping[str, str]) -> bool:
    """Whether the locale names a character set other than UTF-8.

    An environment that says nothing (a container) is taken for UTF-8: the terminal emulator in front of it is.
    """
    if environment.get("PYTHONIOENCODING", "").lower().startswith(("ascii", "us-ascii", "latin")):
        return True
    if environment.get("LANG") in ("C", "POSIX") and environment.get("LC_CTYPE") == "C.UTF-8":
        return True  # Python itself put LC_CTYPE there (PEP 538)
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if value := environment.get(name):
            return "utf" not in value.lower()
    return False


class _Drawing:
    """Which glyphs are in use, decided once a process: what the user wants beats the locale."""

    glyphs: Glyphs | None = None


def glyphs() -> Glyphs:
    """The set in use: Unicode, or ASCII where the locale or the user asks for it."""
    if _Drawing.glyphs is None:
        _Drawing.glyphs = ASCII if wants_ascii(os.environ) else UNICODE
    return _Drawing.glyphs


def use_ascii(wanted: bool | None) -> None:
    """Draw with ASCII (True), with Unicode (False), or as the locale says (None)."""
    _Drawing.glyphs = None if wanted is None else ASCII if wanted else UNICODE


def use_plain() -> None:
    """Say everything in words, for a screen reader."""
    _Drawing.glyphs = PLAIN


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


# --- Figures -------------------------------------------------------------------------------------------------------


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def duration(ms: float | None) -> str:
    """A time in milliseconds: "340 µs", "1.2 ms", "56 ms", "1.2 s", "2.1 min", "3.3 h", "4.2 d"."""
    value = _known(ms)
    if value is None:
        return glyphs().none
    if value < 0:
        return "-" + duration(-value)
    if value == 0:
        return "0 ms"
    if value < 0.9995:
        micros = value * 1000
        return f"{micros:.0f} {glyphs().micro}" if micros >= 0.5 else f"<1 {glyphs().micro}"
    if value < 9.995:
        return f"{value:.1f} ms"
    if value < 999.5:
        return f"{value:.0f} ms"
    seconds = value / 1000
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    for unit, length in (("min", 60), ("h", 3600), ("d", 86_400)):
        if seconds / length < (99.95 if unit != "h" else 47.95) or unit == "d":
            break
    return f"{seconds / length:,.1f} {unit}" if seconds / length < 999.5 else f"{seconds / length:,.0f} {unit}"


_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def gained(ms_per_day: float | None) -> str:
    """ "+3.2 min/d" for time saved each day, "-1.1 s/d" for time lost; nothing where it is not known."""
    if ms_per_day is None:
        return ""
    return f"{'-' if ms_per_day < 0 else '+'}{duration(abs(ms_per_day))}/d"


def size(value: float | None) -> str:
    """Bytes, in steps of 1024 under the names PostgreSQL prints: "8192 B", "640 kB", "1.5 GB"."""
    known = _known(value)
    if known is None:
        return glyphs().none
    if known < 0:
        return "-" + size(-known)
    if known < 9999.5:
        return f"{known:.0f} B"
    step = 0
    while known >= 999.5 and step < len(_SIZES) - 1:
        known /= 1024
        step += 1
    return f"{known:.1f} {_SIZES[step]}" if known < 9.95 else f"{known:.0f} {_SIZES[step]}"


_COUNTS = ("", " k", " M", " G", " T", " P", " E")


def count(value: float | None) -> str:
    """A count in at most seven characters: "0", "12,345", "123 k", "1.23 M", "9.22 E"."""
    known = _known(value)
    if known is None:
        return glyphs().none
    if known < 0:
        return "-" + count(-known)
    if known < 99_999.5:
        return f"{known:,.0f}" if known >= 100 or known == int(known) else f"{known:.1f}"
    step = 0
    while known >= 999.5 and step < len(_COUNTS) - 1:
        known /= 1000
        step += 1
    return (f"{known:.2f}" if known < 9.995 else f"{known:.1f}" if known < 99.95 else f"{known:.0f}") + _COUNTS[step]


def number_of(value: float | None, noun: str) -> str:
    """A count with what is counted, by the rule of its plural: "1 row", "12,345 rows", "2 entries", "3 indexes"."""
    said = count(value)
    if said == "1":
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{said} {noun[:-1]}ies"
    return f"{said} {noun}es" if noun.endswith("x") else f"{said} {noun}s"


def exact(value: int | None) -> str:
    """All the digits of a count: "9,223,372,036,854,775,807"."""
    return glyphs().none if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    """A share of 1 as per cent: "0 %", "<0.1 %", "4.2 %", "57 %"."""
    value = _known(share)
    if value is None:
        return glyphs().none
    value *= 100
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{value:.0f} %" if value == 0 or abs(value) >= 9.95 else f"{value:.1f} %"


def ago(at_ms: float | None, now_ms: float | None = None) -> str:
    """How long ago a moment was: "just now", "12 s ago", "3 min ago", "2 h ago", "5 d ago"; ahead of us: "in 3 min".

    Arguments are epoch milliseconds; `now_ms` defaults to this machine's clock.
    """
    moment = _known(at_ms)
    if moment is None:
        return "never"
    now = time.time() * 1000 if now_ms is None else now_ms
    seconds = (now - moment) / 1000
    if abs(seconds) < 1:
        return "just now"
    words = _coarse(abs(seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def _coarse(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:,.0f} d"


def moment(at_ms: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment (epoch ms UTC) in local time; `form` as for strftime ("%H:%M" for a clock)."""
    value = _known(at_ms)
    if value is None:
        return glyphs().none
    try:
        return time.strftime(form, time.localtime(value / 1000))
    except (OverflowError, ValueError, OSError):  # a year the C library cannot say
        return f"{value:.0f} ms"


def moment_from(text: str, now_ms: float) -> int | None:
    """ "03:12", "03:12:30", "2026-09-21 03:12" in local time as epoch ms; without a day the last one before now.

    None: it is no moment.
    """
    now = datetime.fromtimestamp(now_ms / 1000)
    for form in ("%H:%M", "%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"):
        try:
            found = datetime.strptime(text.strip(), form)
        except ValueError:
            continue
        if "%Y" not in form:
            found = datetime.combine(now.date(), found.time())
            found = found if found <= now else found - timedelta(days=1)
        return round(found.timestamp() * 1000)
    return None


# --- Small drawings ------------------------------------------------------------------------------------------------


def bar(share: float | None, width: int) -> str:
    """A share of 1 as a bar of exactly `width` cells; anything above 0 shows at least a sliver."""
    value = _known(share)
    drawn = glyphs()
    if width <= 0:
        return ""
    if value is None:
        return fit(drawn.none, width)
    if not drawn.bar:
        return " " * width
    steps = len(drawn.bar)
    total = round(min(1.0, max(0.0, value)) * width * steps)
    if value > 0:
        total = max(1, total)
    full, part = divmod(total, steps)
    text = drawn.bar[-1] * full + (drawn.bar[part - 1] if part else "")
    return text + drawn.track * (width - len(text))


def sparkline(values: list[float | None] | tuple[float | None, ...], width: int) -> str:
    """The trend of `values`, oldest first, in exactly `width` cells; None (no data) is a gap, never a line through it.

    The scale starts at 0, so that a flat load looks flat; more values than cells are folded by their maximum.
    """
    drawn = glyphs()
    if width <= 0:
        return ""
    known = [None if value is None else _known(value) for value in values]
    if not drawn.spark:
        return fit(course(known), width)
    if len(known) > width:
        known = [_highest(known[i * len(known) // width : (i + 1) * len(known) // width]) for i in range(width)]
    top = max((value for value in known if value is not None), default=0.0)
    levels = len(drawn.spark) - 1
    text = ""
    for value in known:
        if value is None:
            text += drawn.gap
        else:
            text += drawn.spark[0 if top <= 0 else round(max(0.0, value) / top * levels)]
    return text.rjust(width)


def course(values: list[float | None] | tuple[float | None, ...]) -> str:
    """The trend of `values` in a word: the last third against the first; "" where too little was measured."""
    known = [value for value in values if value is not None]
    third = len(known) // 3
    if not third:
        return ""
    first, last = sum(known[:third]), sum(known[-third:])
    return "rising" if last > first * 1.2 else "falling" if last * 1.2 < first else "steady"


def _highest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
