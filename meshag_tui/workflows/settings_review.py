"""The settings of a server beside what the store knows of it: which are worth a look, and why."""

from __future__ import annotations

from meshag_tui.engines import reviewed_settings
from meshag_tui.engines.reviewing import Figures, Judged
from meshag_tui.store import connections, database, history, sampled
from meshag_tui.store.history_objects import busiest
from meshag_tui.types import MeshagError, Window

_DAY_MS = 86_400_000
_ORDER = {"wrong": 0, "look": 1, "ok": 2}


def review(connection_id: str) -> tuple[Judged, ...]:
    """The settings of a connection as last read, those to look at first; in the store's thread.

    Raises:
        MeshagError: it was never synced.
    """
    info = connections.get(connection_id)
    given = info.facts.get("settings") or {}
    if not given:
        raise MeshagError(f"The settings of {info.name} were never read: meshag sync {info.name}")
    judged = reviewed_settings(info.engine or info.db_type, given, figures(connection_id))
    return tuple(sorted(judged, key=lambda each: _ORDER[each.judgement]))


def figures(connection_id: str) -> Figures:
    """What the store knows that settings are judged by."""
    end = history.latest_window(connection_id, 0).end
    window = Window(min(end, database.now_ms()) - _DAY_MS, end)
    tables = history.tables(connection_id, window)
    page = history.queries(connection_id, window, sort="temp", limit=200)
    temp = [each.temp_written for each in page.rows if each.temp_written is not None]
    written = [sum(filter(None, (row.inserts, row.updates, row.deletes))) for row in tables]
    seen = busiest(connection_id)
    vitals = sampled.newest_vitals(connection_id)
    hits = None if vitals is None else vitals[1].get("hit_ratio")
    block = connections.get(connection_id).facts.get("block_size") or 0
    return Figures(
        stored_bytes=sum((row.stats.size_bytes or 0) + (row.stats.index_bytes or 0) for row in tables) or None,
        largest_rows=max((row.stats.live_rows or 0 for row in tables), default=None),
        hit_ratio=None if hits is None else hits.value,
        temp_bytes=sum(temp) * block if temp else None,
        written_rows=sum(written) if written else None,
        most_connections=None if seen is None else seen.taken,
    )
