"""What the store knows of how a connection fares: the figures its score rests on, its limits, and past scores.

In: what syncs and samples left. Out: `found`, which `advisor.score` judges; and what it judged, kept when it changed,
else once an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import peewee

from meshag_tui.live import Vital
from meshag_tui.store import connections, database, history_queries, models, sampled
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.documents import document
from meshag_tui.store.history_windows import intervals, listed
from meshag_tui.types import MeshagError, SuggestionPriority, SuggestionStatus, Window

HOUR_MS = 3_600_000
FRESH_MS = 10 * 60_000
"""How old a sample may be to say something of now: while nothing works one is kept every five minutes."""
Limits = Mapping[str, tuple[float, float]]
"""Name of a measure -> the values from which it is a warning, and critical."""


class Found(NamedTuple):
    """What is known of a connection at `at` (epoch ms). None: nothing is."""

    info: ConnectionInfo
    at: int
    vitals: Mapping[str, Vital] | None  # read in the last `FRESH_MS`
    ages_to_limit: bool | None  # whether its age has an end, as on PostgreSQL; None: its vitals were never read
    span: sampled.Span | None  # the newest samples, likewise
    time_ms: float | None  # of all statements, in the last hour observed
    slow_ms: float | None  # of those that are slow on average
    slow_from_ms: float  # what counts as slow
    urgent: int  # open suggestions of high priority


class Kept(NamedTuple):
    """A score as it was kept. `items` are documents of `advisor.score.Item`."""

    connection_id: str
    at: int
    score: int
    judged: int
    items: tuple[Mapping[str, Any], ...]


def found(connection_id: str, slow_from_ms: float, at: int | None = None) -> Found:
    """The figures of a score. `slow_from_ms`: the mean from which a statement is slow, where the connection has none.

    Sources: the newest samples and vitals of `sampled`; sums of `query_statistics`; open rows of `suggestion`.
    """
    info = connections.get(connection_id)
    now = database.now_ms() if at is None else at
    vitals, span = sampled.newest_vitals(connection_id, at), sampled.newest(connection_id, at)
    slow_from = slow_from_ms if info.slow_ms is None else info.slow_ms
    end = min(now, info.last_sync_at or now)
    window = Window(end - HOUR_MS, end)
    times = history_queries.slow_time(connection_id, window, slow_from) if intervals(connection_id, window) else None
    suggestion = models.Suggestion
    mine = (suggestion.connection == connection_id) & (suggestion.priority == SuggestionPriority.HIGH)
    still_open = suggestion.status.in_((SuggestionStatus.NEW, SuggestionStatus.REVIEWED))
    urgent = suggestion.select().where(mine & still_open & suggestion.resolved_at.is_null()).count()
    return Found(
        info=info,
        at=now,
        vitals=vitals[1] if vitals is not None and now - vitals[0] <= FRESH_MS else None,
        ages_to_limit=None if vitals is None or "age" not in vitals[1] else bool(vitals[1]["age"].limit),
        span=span if span is not None and now - span.end_at <= FRESH_MS else None,
        time_ms=None if times is None else times[0],
        slow_ms=None if times is None else times[1],
        slow_from_ms=slow_from,
        urgent=urgent,
    )


# --- limits ---------------------------------------------------------------------------------------------------------


def limits(connection_id: str) -> dict[str, tuple[float, float]]:
    """The limits this connection has of its own."""
    row = models.HealthLimits
    rows = listed(row.select(row.limits).where(row.connection == connection_id))
    return {name: (float(pair[0]), float(pair[1])) for name, pair in rows[0][0].items()} if rows else {}


def set_limits(connection_id: str, own: Limits) -> None:
    """Give a connection limits of its own, in place of those it had; none: the usual ones hold again."""
    row = models.HealthLimits
    with database.durable():
        kept = {"limits": document({name: list(pair) for name, pair in own.items()}), "updated_at": database.now_ms()}
        insert = row.insert(connection=connection_id, **kept)
        changed = {row.limits: kept["limits"], row.updated_at: kept["updated_at"]}
        try:
            insert.on_conflict(conflict_target=[row.connection], update=changed).execute()
        except peewee.IntegrityError:
            raise MeshagError(f"The connection {connection_id} is gone") from None


# --- history --------------------------------------------------------------------------------------------------------


def keep(connection_id: str, at: int, score: int, judged: int, items: Sequence[Mapping[str, Any]]) -> bool:
    """Keep a score, if it is another than the last one or that is an hour old; True if it was kept."""
    row = models.Health
    with database.atomic():
        last = newest(connection_id)
        if last is not None and at - last.at < HOUR_MS and (last.score, last.judged) == (score, judged):
            lost = [(each["name"], each["lost"]) for each in last.items]
            if lost == [(each["name"], each["lost"]) for each in items]:
                return False
        row.insert(connection=connection_id, at=at, score=score, judged=judged, items=document(list(items))).execute()
    return True


def newest(connection_id: str) -> Kept | None:
    """The last score that was kept; None: it was never judged."""
    found = history(connection_id, limit=1)
    return found[0] if found else None


def newest_scores() -> dict[str, Kept]:
    """The last score of every connection that has one, by its id."""
    row = models.Health
    last = row.select(peewee.fn.MAX(row.id)).group_by(row.connection)
    return {each.connection_id: each for each in _kept(row.id.in_(last), None)}


def history(connection_id: str, limit: int = 500, window: Window | None = None) -> tuple[Kept, ...]:
    """Scores of a connection, the newest first."""
    row = models.Health
    mine = row.connection == connection_id
    if window is not None:
        mine &= (row.at > window.start) & (row.at <= window.end)
    return _kept(mine, limit)


def past(end: int) -> Any:
    """The condition on scores that they are of a moment up to `end` (epoch ms) and not the last of their connection."""
    row, last = models.Health, models.Health.alias("last")
    return (row.at <= end) & row.id.not_in(last.select(peewee.fn.MAX(last.id)).group_by(last.connection))


def _kept(where: Any, limit: int | None) -> tuple[Kept, ...]:
    row = models.Health
    query = row.select(row.connection, row.at, row.score, row.judged, row.items).where(where)
    rows = listed(query.order_by(row.at.desc(), row.id.desc()).limit(limit))
    return tuple(Kept(owner, at, score, judged, tuple(items)) for owner, at, score, judged, items in rows)
