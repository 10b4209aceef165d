"""What this terminal tells of alerts: how many stand, and each new one once, with a bell, but not in quiet hours.

The project of a connection may have it otherwise: no toast, no bell, no message of the desktop, quiet hours of its own,
so many an hour.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from meshag_tui.figures import number_of
from meshag_tui.glyphs import glyphs
from meshag_tui.maintenance import quiet_hours
from meshag_tui.store import alerts, projects
from meshag_tui.text import one_line
from meshag_tui.widgets.terminal import passed_through

if TYPE_CHECKING:
    from meshag_tui.settings import AlertSettings
    from meshag_tui.store.alerts import AlertInfo
    from meshag_tui.store.database import Store


class AlertNews:
    """Of one terminal. What was there when it began is counted, and not told."""

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._after: str | None = None
        self._projects: Mapping[str, Mapping[str, Any]] = {}
        self._rates = projects.Rates()
        self._too_many: set[str] = set()  # ids of those that are beyond the rate of their project
        self.standing: dict[str | None, int] = {}

    async def read(self, store: Store) -> tuple[AlertInfo, ...]:
        """The alerts that are new since the last reading, the oldest first."""
        if self._after is None:
            self._after = await store.read(alerts.last_id)
        self.standing, found = await store.read(_since, self._after)
        if found:
            self._after = max(each.id for each in found)
            self._projects = await store.read(projects.told)
            self._too_many = set()
            for each in found:
                own, now = self._projects.get(each.connection_id or "", {}), time.time()
                if self._rates.allows(own, now):
                    self._rates.count(own, now)
                else:
                    self._too_many.add(each.id)
        return found

    def said(self, found: tuple[AlertInfo, ...], now: datetime | None = None) -> tuple[AlertInfo, ...]:
        """Those of them that are said on the screen."""
        return self._told_by("toast", found, now)

    def _told_by(self, way: str, found: tuple[AlertInfo, ...], now: datetime | None) -> tuple[AlertInfo, ...]:
        settings = [(each, self._projects.get(each.connection_id or "", {})) for each in found]
        return tuple(
            each
            for each, own in settings
            if each.id not in self._too_many and projects.tells(own, way, now or datetime.now())
        )

    def words(self, connection_id: str | None) -> str:
        """How many nobody took note of, of a connection and of everything; "" for none."""
        count = self.standing.get(connection_id, 0) + (self.standing.get(None, 0) if connection_id else 0)
        return f"{glyphs().warning} {number_of(count, 'alert')}" if count else ""

    def rings(self, found: tuple[AlertInfo, ...], now: datetime | None = None) -> str:
        """What the terminal is to be written for new alerts: a bell, a message of the desktop, or nothing."""
        hours = quiet_hours(self._settings.quiet)
        if not found or (hours is not None and hours.is_open(now or datetime.now())):
            return ""
        bell = "\a" if self._settings.bell and self._told_by("bell", found, now) else ""
        found = self._told_by("osc9", found, now)
        if not (self._settings.osc9 and found):
            return bell
        said = one_line(in_words(found[-1]), 200, " ")
        return bell + passed_through(f"\x1b]9;meshag: {said}\a", os.environ)


def in_words(alert: AlertInfo) -> str:
    """An alert in a line."""
    return f"{alert.connection_name}: {alert.message}" if alert.connection_name else alert.message


def _since(after: str) -> tuple[dict[str | None, int], tuple[AlertInfo, ...]]:
    new = sorted(alerts.listing(after=after, limit=20), key=lambda each: each.id)
    return alerts.standing(), tuple(new)
