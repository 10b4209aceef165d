"""What a report of a window says: figures of the store, gathered at once, not yet in words.

In: a connection, a window and the one it is compared with. Out: a `Report`, whose every figure is what the rooms of the
store answer for that window. Nothing asks a server.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshag_tui.advisor.score import Health
from meshag_tui.live import WAIT_CLASSES
from meshag_tui.store import alerts, comparison, connections, database, happenings, history, outcomes, sampled
from meshag_tui.store import suggestions as advice
from meshag_tui.store.alerts import AlertInfo
from meshag_tui.store.comparison import Baseline, Comparison
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.happenings import Happening
from meshag_tui.store.history import Overview, QueryRow, TableRow
from meshag_tui.store.outcomes import Applied
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import Window
from meshag_tui.workflows.watching import judge

STATEMENTS, DIFFERENCES, TABLES, HAPPENED, ADVICE = 20, 15, 15, 40, 20
"""Rows of each part at most; the report says how many there are in all."""


@dataclass(frozen=True, slots=True)
class Report:
    """A window of a connection. `waits`: average active sessions by wait class, None where nobody looked."""

    info: ConnectionInfo
    window: Window
    against: Baseline
    written_at: int
    overview: Overview
    health: Health
    waits: dict[str, float] | None
    statements: tuple[QueryRow, ...]
    statements_total: int
    compared: Comparison
    happened: tuple[Happening, ...]
    happened_total: int
    alerts: tuple[AlertInfo, ...]
    advice: tuple[StoredSuggestion, ...]
    advice_total: int
    applied: tuple[Applied, ...]
    tables: tuple[TableRow, ...]
    tables_total: int


def read(
    connection_id: str, span_ms: int, slow_from_ms: float, against: Baseline = "before", end: int | None = None
) -> Report:
    """Gather the figures of the window of this length that ends at `end` (epoch ms), by default with the last sync.

    In the store's thread. `slow_from_ms`: the mean from which a statement is slow, where the connection has none.
    """
    info = connections.get(connection_id)
    latest = history.latest_window(connection_id, span_ms)
    window = latest if end is None else Window(end - span_ms, end)
    slow_ms = slow_from_ms if info.slow_ms is None else info.slow_ms
    page = history.queries(connection_id, window, limit=STATEMENTS)
    happened = happenings.happenings(connection_id, window)
    still_open = advice.listing(connection_id, open_only=True, limit=ADVICE)
    tables = sorted(history.tables(connection_id, window), key=lambda row: -_size(row))
    (bucket,) = sampled.load(connection_id, window, 1)
    within = [each for each in alerts.listing(connection_id) if _overlaps(each, window)]
    applied = [
        each
        for each in outcomes.applied(connection_id)
        if each.change.finished_at is not None and window.start < each.change.finished_at <= window.end
    ]
    waits = bucket.active
    return Report(
        info=info,
        window=window,
        against=against,
        written_at=database.now_ms(),
        overview=history.overview(connection_id, window, slow_ms, info.slow_by_longest),
        health=judge(connection_id, slow_from_ms),
        waits=None if waits is None else {name: waits[name] for name in WAIT_CLASSES if name in waits},
        statements=page.rows,
        statements_total=page.total_rows,
        compared=comparison.compare(connection_id, window, comparison.baseline(window, against), limit=DIFFERENCES),
        happened=happened[:HAPPENED],
        happened_total=len(happened),
        alerts=tuple(within),
        advice=still_open,
        advice_total=info.open_suggestions,
        applied=tuple(applied),
        tables=tuple(tables[:TABLES]),
        tables_total=len(tables),
    )


def _size(row: TableRow) -> int:
    return (row.stats.size_bytes or 0) + (row.stats.index_bytes or 0)


def _overlaps(alert: AlertInfo, window: Window) -> bool:
    return alert.began_at <= window.end and (alert.ended_at is None or alert.ended_at > window.start)
