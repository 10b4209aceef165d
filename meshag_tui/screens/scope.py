"""What the panes look at: one connection, and a span of time that follows the newest data or was moved back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from meshag_tui.figures import moment
from meshag_tui.types import UsageError, Window

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
REMEMBERED = "screens.scope"
"""Under which name the store remembers the scope."""
SPANS = (
    (15 * MINUTE_MS, "15 min"),
    (HOUR_MS, "1 h"),
    (6 * HOUR_MS, "6 h"),
    (DAY_MS, "24 h"),
    (7 * DAY_MS, "7 d"),
    (30 * DAY_MS, "30 d"),
)
_UNITS = {"m": MINUTE_MS, "min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_SPAN = r"(?i)\s*(\d+(?:\.\d+)?)\s*(m|min|h|d|w)\s*"


class Scope(NamedTuple):
    """`connection_id` None: there is none yet. `end` (epoch ms) None: the window ends at the newest data."""

    connection_id: str | None = None
    span_ms: int = DAY_MS
    end: int | None = None

    def window(self, newest: int) -> Window:
        """The window, where `newest` (epoch ms) is the end of what was collected."""
        end = newest if self.end is None else min(self.end, newest)
        return Window(end - self.span_ms, end)

    def on_one_of(self, connections: Sequence[ConnectionInfo]) -> Scope:
        """The same on a connection there is: of others on the one that was synced last, so that there is something to
        see, at its newest data."""
        if any(info.id == self.connection_id for info in connections):
            return self
        if not connections:
            return self._replace(connection_id=None)
        newest = max(connections, key=lambda info: info.last_sync_at or 0)
        return self._replace(connection_id=newest.id, end=None)

    def moved(self, by: int, newest: int) -> Scope:
        """The window moved by `by` of its spans; moved up to the newest data it follows that again."""
        end = (newest if self.end is None else self.end) + by * self.span_ms
        return self._replace(end=None if end >= newest else end)

    @property
    def said(self) -> str:
        """ "24 h", or "24 h to 22 Nov 14:05" when it was moved."""
        name = span_name(self.span_ms)
        return name if self.end is None else f"{name} to {moment(self.end, '%d %b %H:%M')}"


def scope_from(document: Any) -> Scope:
    """What was looked at last, as the store remembers it."""
    if not isinstance(document, dict):
        return Scope()
    span = document.get("span_ms")
    return Scope(document.get("connection"), span if isinstance(span, int) and span > 0 else DAY_MS)


def span_name(span_ms: int) -> str:
    for known, name in SPANS:
        if known == span_ms:
            return name
    for unit, length in (("d", DAY_MS), ("h", HOUR_MS)):
        if span_ms % length == 0:
            return f"{span_ms // length} {unit}"
    return f"{round(span_ms / MINUTE_MS)} min"


def span_from(text: str) -> int:
    """ "90m", "36 h", "3d", "2w" as milliseconds. UsageError if it is none, or not between a minute and ten years."""
    found = re.fullmatch(_SPAN, text)
    if found is None:
        raise UsageError("A window is a number and a unit: 90m, 36h, 3d, 2w")
    span = round(float(found[1]) * _UNITS[found[2].lower()])
    if not MINUTE_MS <= span <= 3650 * DAY_MS:
        raise UsageError("A window is between one minute and ten years")
    return span
