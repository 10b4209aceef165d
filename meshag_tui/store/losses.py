"""How often something was lost on a connection, counted over the intervals themselves."""

from __future__ import annotations

from meshag_tui.store import models
from meshag_tui.store.history_windows import listed


def resets(connection_id: str, since: int) -> int:
    """Syncs after `since` (epoch ms) that found the statistics reset."""
    row = models.Interval
    query = row.select(row.events).where(
        (row.connection == connection_id) & (row.resolution_s == 0) & (row.end_at > since) & ~row.complete
    )
    return sum(any(event["kind"] == "reset" for event in events) for (events,) in listed(query))
