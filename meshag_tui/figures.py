"""Figures in words and small drawings, so that 1.2 s looks the same on every screen and in every report.

Times come in milliseconds, sizes in bytes, moments in epoch milliseconds UTC (shown in local time). None and NaN become
a dash: a figure that was not measured is never shown as 0. Nothing in here raises on any input.
"""

import math
import time
from datetime import datetime, timedelta

from meshag_tui.glyphs import glyphs
from meshag_tui.text import fit


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
