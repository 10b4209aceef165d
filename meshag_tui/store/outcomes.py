"""What became of changes: what was forecast when somebody said yes, and what was measured since, side by side.

A row is made with the change, because a suggestion says something else after the next search for advice. All functions
run in the store's thread; whoever writes several rows does so in a transaction of his own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from meshag_tui.store import changes, database, models
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.documents import document
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import ChangeState

BUCKETS = (0.0, 0.5, 0.7, 0.85)
"""Where the classes of confidence begin that outcomes are counted by."""


class OutcomeState(StrEnum):
    """PENDING: not done (yet). WAITING: too little has happened since. The rest is what was found."""

    PENDING = "pending"
    WAITING = "waiting"
    BETTER = "better"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    INCOMPARABLE = "incomparable"
    UNDONE = "undone"  # before anything was found


_FORECAST = ("affected_ms_per_day", "affected_reads_per_day", "size_bytes", "upkeep", "rehearsal")
"""Of a suggestion's evidence what is kept with the change, to be seen beside what became of it."""


@dataclass(frozen=True, slots=True)
class ChangeOutcome:
    """One row. Times are epoch ms, gains ms of the server's time a day (negative: it costs).

    `forecast`: "query_ids", "affected_ms_per_day", "affected_reads_per_day", "size_bytes", "upkeep", "rehearsal",
    "title", "type", "shown_confidence". `result`: see `changes.verification`; {} before the first look. `settled`: it
    is the last word. `held`: whether it did what was forecast, None where that cannot be said.
    """

    change_id: str
    connection_id: str
    rule: str | None
    method: str | None
    confidence: float | None
    gain_ms_per_day: float | None
    forecast: Mapping[str, Any]
    state: OutcomeState
    settled: bool
    held: bool | None
    saved_ms_per_day: float | None
    result: Mapping[str, Any]
    looks: int
    looked_at: int | None
    next_look_at: int | None


class Applied(NamedTuple):
    """A change that was carried out, with what became of it (None: it was made before outcomes were kept)."""

    change: ChangeRow
    outcome: ChangeOutcome | None


class Track(NamedTuple):
    """How suggestions of one rule and method did whose confidence lay in [low, high): how many were measured to the
    end, and of them how many did what was forecast and how many did not; the rest could not be told."""

    rule: str
    method: str
    low: float
    high: float
    measured: int
    held: int
    refuted: int


class Due(NamedTuple):
    """A change that is to be compared now: its connection, and the time it was due, which names the occasion."""

    change_id: str
    connection_id: str
    due_at: int


def expect(row: ChangeRow, advice: StoredSuggestion | None) -> None:
    """Keep what is forecast of a change that was agreed to."""
    now = database.now_ms()
    evidence = {} if advice is None else advice.evidence
    raw = evidence.get("uncalibrated")
    forecast = {
        "title": row.sql if advice is None else advice.title,
        "type": None if advice is None else advice.type,
        "query_ids": [] if advice is None else list(advice.query_ids),
        **{name: evidence.get(name) for name in _FORECAST},
        "shown_confidence": None if advice is None else advice.confidence,
    }
    models.Outcome.create(
        change=row.id,
        connection=row.connection_id,
        rule=None if advice is None else advice.rule,
        method=None if advice is None else method_of(advice.evidence_kind, evidence),
        confidence=None if advice is None else float(advice.confidence if raw is None else raw),
        gain_ms_per_day=None if advice is None else advice.gain_ms_per_day,
        forecast=document(forecast),
        state=OutcomeState.PENDING,
        created_at=now,
        updated_at=now,
    )


def method_of(kind: str, evidence: Mapping[str, Any]) -> str:
    """How it is known: the planner that was asked, where one was, else the kind of evidence."""
    named = evidence.get("method")
    return named if isinstance(named, str) else str(kind)


def begin(change_id: str, at: int) -> None:
    """The change is done at `at`: from now on it is compared with the time before."""
    _update(change_id, state=OutcomeState.WAITING, next_look_at=at)


def end(change_id: str) -> None:
    """The change was undone. That it made things worse is the last word then; anything else was not looked at to the
    end, and counts for nothing."""
    row = models.Outcome
    _update(change_id, next_look_at=None)
    mine, unknown = row.change == change_id, row.state.in_([OutcomeState.PENDING, OutcomeState.WAITING])
    row.update(state=OutcomeState.UNDONE).where(mine & unknown).execute()
    row.update(settled=True, held=False).where(mine & (row.state == OutcomeState.WORSE)).execute()


def save(change_id: str, **columns: Any) -> None:
    """Write down what a look found: `state`, `settled`, `held`, `saved_ms_per_day`, `result`, `next_look_at`."""
    if "result" in columns:
        columns["result"] = document(dict(columns["result"]))
    row = models.Outcome
    _update(change_id, looks=row.looks + 1, looked_at=database.now_ms(), **columns)


def postpone(change_id: str, until: int) -> None:
    """Nothing could be found out now: look again then."""
    _update(change_id, next_look_at=until)


def due() -> tuple[Due, ...]:
    """Changes whose next look is due and whose server was read since it was: else there is nothing new to see."""
    row, connection = models.Outcome, models.Connection
    query = row.select(row.change, row.connection, row.next_look_at).join(connection)
    query = query.where((row.next_look_at <= database.now_ms()) & (row.next_look_at <= connection.last_sync_at))
    found: Any = query.order_by(row.next_look_at).tuples()
    return tuple(Due(*each) for each in found)


def get(change_id: str) -> ChangeOutcome | None:
    """What became of one change; None if it was made before outcomes were kept."""
    found = _rows(models.Outcome.change == change_id)
    return found[0] if found else None


def applied(connection_id: str | None = None, limit: int = 500) -> tuple[Applied, ...]:
    """Changes that were carried out and are no undo themselves, newest first, each with its outcome."""
    rows = changes.applied(connection_id, limit)
    found = {each.change_id: each for each in _rows(models.Outcome.change.in_([row.id for row in rows]))}
    return tuple(Applied(row, found.get(row.id)) for row in rows)


def neighbours(row: ChangeRow) -> tuple[ChangeRow, ...]:
    """Other changes of the same connection that were carried out, undos too, oldest first."""
    change = models.Change
    done = change.state.in_([ChangeState.DONE, ChangeState.UNDONE]) & (change.id != row.id)
    where = (change.connection == row.connection_id) & done
    return changes.rows(change.select().where(where).order_by(change.finished_at))


def tracks() -> tuple[Track, ...]:
    """The calibration table, over all connections of the store, by rule, method and class of confidence."""
    row = models.Outcome
    columns = (row.rule, row.method, row.confidence, row.held)
    known = row.settled & row.rule.is_null(False) & row.confidence.is_null(False)
    counts: dict[tuple[str, str, float], list[int]] = {}
    found: Any = row.select(*columns).where(known).tuples()
    for rule, method, confidence, held in found:
        entry = counts.setdefault((rule, method or "", bucket(confidence)[0]), [0, 0, 0])
        entry[0] += 1
        entry[1] += held is not None and bool(held)
        entry[2] += held is not None and not held
    return tuple(
        Track(rule, method, *bucket(low), measured, held, refuted)
        for (rule, method, low), (measured, held, refuted) in sorted(counts.items())
    )


def bucket(confidence: float) -> tuple[float, float]:
    """The class of a confidence: where it begins and ends."""
    low = max(edge for edge in BUCKETS if edge <= max(confidence, 0.0))
    return low, next((edge for edge in BUCKETS if edge > low), 1.0)


def _update(change_id: str, **columns: Any) -> None:
    row = models.Outcome
    row.update(updated_at=database.now_ms(), **columns).where(row.change == change_id).execute()


def _rows(where: Any) -> tuple[ChangeOutcome, ...]:
    found = []
    query: Any = models.Outcome.select().where(where).dicts()
    for row in query:
        row["change_id"], row["connection_id"] = row.pop("change"), row.pop("connection")
        row["state"] = OutcomeState(row["state"])
        row["held"] = None if row["held"] is None else bool(row["held"])
        row["settled"] = bool(row["settled"])
        found.append(ChangeOutcome(**{name: row[name] for name in ChangeOutcome.__slots__}))
    return tuple(found)
