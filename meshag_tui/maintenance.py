"""When changes may be made, and alerts are not told: windows of the week, as written in `config.toml`, in local time.

"Sat,Sun 22:00-04:00; Wed 12:30-13:00": parts with semicolons between, each of days and hours. One that ends before it
begins goes on into the next day; 00:00-24:00 is a whole day.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from meshag_tui.types import UsageError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PART = re.compile(r"([A-Za-z,-]+)\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DAY_MINUTES = 24 * 60


class MaintenanceWindow(NamedTuple):
    """`parts`: of each the days on which it begins (0 is Monday), and minutes of the day from and to."""

    text: str
    parts: tuple[tuple[frozenset[int], int, int], ...]

    def is_open(self, now: datetime) -> bool:
        """Whether a change may begin at this moment."""
        minute = now.hour * 60 + now.minute
        today, yesterday = now.weekday(), (now - timedelta(days=1)).weekday()
        for days, begin, end in self.parts:
            if begin < end and today in days and begin <= minute < end:
                return True
            if begin >= end and ((today in days and minute >= begin) or (yesterday in days and minute < end)):
                return True
        return False


def maintenance_window(text: str) -> MaintenanceWindow:
    """Read a window. UsageError: it is none; the text says how one is written."""
    parts = []
    for part in text.split(";"):
        match = _PART.fullmatch(part.strip())
        days = None if match is None else _days(match[1])
        if match is None or days is None:
            raise UsageError(f'{part.strip()!r} is no maintenance window: write it as "Sat,Sun 22:00-04:00"')
        begin, end = int(match[2]) * 60 + int(match[3]), int(match[4]) * 60 + int(match[5])
        if int(match[3]) > 59 or int(match[5]) > 59 or begin >= _DAY_MINUTES or end > _DAY_MINUTES:
            raise UsageError(f"{part.strip()!r} is no maintenance window: hours go from 00:00 to 24:00")
        parts.append((days, begin, end))
    return MaintenanceWindow(text.strip(), tuple(parts))


def quiet_hours(text: str) -> MaintenanceWindow | None:
    """Read quiet hours: a window, or hours alone ("22:00-07:00"), which are of every day; None: there are none.

    UsageError: they cannot be read.
    """
    text = text.strip()
    if not text:
        return None
    return maintenance_window(f"Mon-Sun {text}" if text[0].isdigit() else text)


def _days(text: str) -> frozenset[int] | None:
    found: set[int] = set()
    for part in text.split(","):
        ends = [name.capitalize() for name in part.split("-")]
        if not 1 <= len(ends) <= 2 or any(name not in DAYS for name in ends):
            return None
        first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
        found |= {day % 7 for day in range(first, last + 1 + (7 if last < first else 0))}
    return frozenset(found)
