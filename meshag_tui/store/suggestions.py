"""Suggestions as they are kept: the same advice once, and what the user said about it for good."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import peewee

from meshag_tui import types
from meshag_tui.store import activity, bulk, changes, database, ids, models
from meshag_tui.store.change_documents import change_document, change_from
from meshag_tui.store.documents import as_json, clean, document
from meshag_tui.types import (
    Change,
    EvidenceKind,
    MeshagError,
    Risk,
    SuggestionPriority,
    SuggestionStatus,
    SuggestionType,
)

MOST = 2_000
"""How many are read at once; the least urgent of those that are decided already are the first to be left out."""
_OPEN = (SuggestionStatus.NEW, SuggestionStatus.REVIEWED)
# What a later run may say differently about the same thing.
_FOUND_AGAIN = (
    *("origin", "model", "type", "rule", "priority", "title", "text", "schema_name", "table_name"),
    *("change", "sql", "undo_sql", "evidence_kind", "evidence", "confidence", "risk", "gain_ms_per_day", "query_ids"),
    *("last_found_at", "resolved_at", "status", "applied_at", "reviewed_at", "updated_at"),
)
_COLUMNS = ("id", "connection_id", "identity", *_FOUND_AGAIN, "created_at")
_MOVES = {  # where a suggestion may go by hand or by a change
    SuggestionStatus.NEW: {SuggestionStatus.REVIEWED, SuggestionStatus.APPLIED, SuggestionStatus.DISMISSED},
    SuggestionStatus.REVIEWED: {SuggestionStatus.NEW, SuggestionStatus.APPLIED, SuggestionStatus.DISMISSED},
    SuggestionStatus.APPLIED: {SuggestionStatus.NEW, SuggestionStatus.REVIEWED},  # undone
    SuggestionStatus.DISMISSED: {SuggestionStatus.NEW, SuggestionStatus.REVIEWED},
}


@dataclass(frozen=True, slots=True)
class StoredSuggestion:
    """A suggestion with its row: fields of `types.Suggestion`, and what became of it. Times are epoch ms."""

    id: str
    connection_id: str
    status: SuggestionStatus
    created_at: int
    updated_at: int
    last_found_at: int
    resolved_at: int | None
    reviewed_at: int | None
    applied_at: int | None
    dismissed_at: int | None
    dismiss_reason: str | None
    rule: str
    identity: str
    type: SuggestionType
    priority: SuggestionPriority
    title: str
    text: str
    evidence_kind: EvidenceKind
    evidence: Mapping[str, Any]
    confidence: float
    risk: Risk
    schema: str | None
    table: str | None
    change: Change | None
    sql: str | None
    undo_sql: str | None
    query_ids: tuple[int, ...]
    origin: str
    model: str | None
    gain_ms_per_day: float | None

    @property
    def is_open(self) -> bool:
        """Still to be decided, and still found."""
        return self.status in _OPEN and self.resolved_at is None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a run of the advisor changed: counts, and the ids of its suggestions in the order given."""

    new: int
    updated: int
    resolved: int
    ids: tuple[str, ...]


def save(
    connection_id: str, suggestions: Sequence[types.Suggestion], *, complete_rules: frozenset[str] = frozenset()
) -> Saved:
    """Keep what a run found, in one transaction.

    The same (connection, identity) is one row: its text and evidence follow the newest run, its id and the user's
    dismissal stay. What was applied is NEW again if it is found in data younger than its change. An open suggestion
    of a rule in `complete_rules` (rules that looked at everything this time) that was not found any more gets
    `resolved_at`, unless it is just being applied: what was half made hides it, and may fail yet.
    """
    unique = {clean(suggestion.identity): suggestion for suggestion in suggestions}
    with database.atomic():
        now = database.now_ms()
        known = _known(connection_id)
        data_at = _last_sync(connection_id)
        rows, updated, again = [], 0, []
        for identity, suggestion in unique.items():
            old = known.get(identity)
            updated += old is not None
            if reopened := old is not None and _reopened(old, data_at):
                again.append((old["id"], f"{clean(suggestion.title)}: it was applied, and is found again"))
            rows.append(_row(connection_id, identity, suggestion, old, reopened, now))
        rows.sort(key=lambda row: row[0])  # one order for all writers: no deadlock on a shared store
        update = {column: f"excluded.{column}" for column in _FOUND_AGAIN}
        bulk.upsert("suggestion", _COLUMNS, rows, key=("connection_id", "identity"), update=update)
        in_hand = {change.suggestion_id for change in changes.running()}
        gone = [
            old["id"]
            for identity, old in known.items()
            if identity not in unique
            and old["id"] not in in_hand
            and old["rule"] in complete_rules
            and old["status"] in _OPEN
            and old["resolved_at"] is None
        ]
        bulk.update("suggestion", ["id"], ["resolved_at", "updated_at"], [(id_, now, now) for id_ in gone])
        for suggestion_id, said in again:
            activity.record("meshag", "suggestion.new", said, connection=connection_id, subject=suggestion_id)
        by_identity = {row[2]: row[0] for row in rows}
    order = dict.fromkeys(by_identity[clean(suggestion.identity)] for suggestion in suggestions)
    return Saved(len(rows) - updated, updated, len(gone), tuple(order))


def withdraw(connection_id: str, identity: str) -> None:
    """An open suggestion is no longer found."""
    row = models.Suggestion
    where = (row.connection == connection_id) & (row.identity == clean(identity)) & row.status.in_(_OPEN)
    now = database.now_ms()
    row.update(resolved_at=now, updated_at=now).where(where & row.resolved_at.is_null()).execute()


def listing(
    connection_id: str | None = None,
    *,
    status: SuggestionStatus | None = None,
    type: SuggestionType | None = None,
    priority: SuggestionPriority | None = None,
    rule: str | None = None,
    resolved: bool = False,
    open_only: bool = False,
    limit: int = MOST,
) -> tuple[StoredSuggestion, ...]:
    """Suggestions, the most urgent first, then by gain.

    Args:
        resolved: also those no longer found.
        open_only: those still to be decided, and still found.
        limit: at most so many; the open ones come before all others into it.
    """
    row = models.Suggestion
    query = row.select()
    undecided = row.status.in_(_OPEN) & row.resolved_at.is_null()
    for column, value in (
        (row.connection, connection_id),
        (row.status, status),
        (row.type, type),
        (row.priority, priority),
        (row.rule, rule),
    ):
        if value is not None:
            query = query.where(column == value)
    if open_only:
        query = query.where(undecided)
    elif not resolved:
        query = query.where(row.resolved_at.is_null())
    order = peewee.Case(row.priority, [(str(each), place) for place, each in enumerate(SuggestionPriority)])
    gain = peewee.fn.COALESCE(row.gain_ms_per_day, 0)
    decided = peewee.Case(None, [(undecided, 0)], 1)
    query = query.order_by(decided, order, gain.desc(), row.confidence.desc(), row.identity)
    return tuple(sorted(_stored(query.limit(limit)), key=_urgency))


def get(suggestion_id: str) -> StoredSuggestion:
    """One suggestion. MeshagError if there is none with this id."""
    for found in _stored(models.Suggestion.select().where(models.Suggestion.id == suggestion_id)):
        return found
    raise MeshagError(f"There is no suggestion {suggestion_id}")


def of_query(query_id: int, connection_id: str) -> tuple[StoredSuggestion, ...]:
    """The open suggestions that are about a query."""
    return tuple(found for found in listing(connection_id, open_only=True) if query_id in found.query_ids)


def revise(suggestion_id: str, said: types.Suggestion) -> None:
    """Say something else about a suggestion than the run that found it: what was measured since."""
    row = models.Suggestion
    row.update(
        title=clean(said.title),
        priority=str(said.priority),
        evidence_kind=str(said.evidence_kind),
        evidence=document(said.evidence),
        confidence=said.confidence,
        gain_ms_per_day=said.gain_ms_per_day,
        updated_at=database.now_ms(),
    ).where(row.id == suggestion_id).execute()


def bare(found: StoredSuggestion) -> types.Suggestion:
    """A suggestion as it was before it had a row."""
    return types.Suggestion(**{entry.name: getattr(found, entry.name) for entry in fields(types.Suggestion)})


def set_status(suggestion_id: str, status: SuggestionStatus, actor: str, reason: str | None = None) -> StoredSuggestion:
    """Say what became of a suggestion, and enter it in the activity log; both or neither.

    `reason` is kept with a dismissal. Setting the status it has already changes nothing.

    Raises:
        MeshagError: it cannot go from its status to this one, or another process changed it meanwhile.
    """
    row = models.Suggestion
    with database.durable():
        now = database.now_ms()
        old = get(suggestion_id)
        if old.status is status:
            return old
        if status not in _MOVES[old.status]:
            raise MeshagError(f"A suggestion that is {old.status} cannot become {status}")
        columns: dict[str, Any] = {"status": status, "updated_at": now}
        if status is SuggestionStatus.DISMISSED:
            columns |= {"dismissed_at": now, "dismiss_reason": clean(reason) if reason else None}
        elif status is SuggestionStatus.APPLIED:
            columns["applied_at"] = now
        elif status is SuggestionStatus.REVIEWED:
            columns["reviewed_at"] = now
        if old.status in (SuggestionStatus.DISMISSED, SuggestionStatus.APPLIED):
            columns |= {"dismissed_at": None, "dismiss_reason": None, "applied_at": None}
        if not row.update(**columns).where((row.id == suggestion_id) & (row.status == old.status)).execute():
            raise MeshagError(f"The suggestion {suggestion_id} was changed by somebody else: look again")
        said = f"{old.title}: {old.status} → {status}" + (f" ({reason})" if reason else "")
        activity.record(
            actor, f"suggestion.{status.lower()}", said, connection=old.connection_id, subject=suggestion_id
        )
    return get(suggestion_id)


def _known(connection_id: str) -> dict[str, dict[str, Any]]:
    row = models.Suggestion
    wanted = (row.id, row.identity, row.rule, row.status, row.resolved_at, row.created_at, row.applied_at)
    query = row.select(*wanted, row.reviewed_at).where(row.connection == connection_id)
    if database.kind() == "postgresql":
        query = query.for_update()
    rows: Any = query.dicts()
    return {found["identity"]: found for found in rows}


def _last_sync(connection_id: str) -> int:
    connection = models.Connection
    synced = connection.select(connection.last_sync_at).where(connection.id == connection_id).scalar()
    return int(synced or 0)


def _reopened(old: Mapping[str, Any], data_at: int) -> bool:
    """Whether what was applied is open again. A run on data from before the change would find the same, and mean
    nothing by it.
    """
    return bool(old["status"] == SuggestionStatus.APPLIED and data_at > (old["applied_at"] or 0))


def _row(
    connection_id: str,
    identity: str,
    suggestion: types.Suggestion,
    old: Mapping[str, Any] | None,
    reopened: bool,
    now: int,
) -> tuple[Any, ...]:
    status, applied_at, reviewed_at = str(SuggestionStatus.NEW), None, None
    if old is not None and not reopened:
        status, applied_at, reviewed_at = old["status"], old["applied_at"], old["reviewed_at"]
    return (
        ids.new("sug") if old is None else old["id"],
        connection_id,
        identity,
        suggestion.origin,
        suggestion.model,
        str(suggestion.type),
        suggestion.rule,
        str(suggestion.priority),
        clean(suggestion.title),
        clean(suggestion.text),
        suggestion.schema,
        suggestion.table,
        None if suggestion.change is None else as_json(change_document(suggestion.change)),
        None if suggestion.sql is None else clean(suggestion.sql),
        None if suggestion.undo_sql is None else clean(suggestion.undo_sql),
        str(suggestion.evidence_kind),
        as_json(suggestion.evidence),
        suggestion.confidence,
        str(suggestion.risk),
        suggestion.gain_ms_per_day,
        json.dumps(suggestion.query_ids),
        now,
        None,
        status,
        applied_at,
        reviewed_at,
        now,
        now if old is None else old["created_at"],
    )


def _stored(query: Any) -> list[StoredSuggestion]:
    found = []
    for row in query.dicts():
        row["connection_id"], row["schema"], row["table"] = (
            row.pop("connection"),
            row.pop("schema_name"),
            row.pop("table_name"),
        )
        row["status"] = SuggestionStatus(row["status"])
        row["type"] = SuggestionType(row["type"])
        row["priority"] = SuggestionPriority(row["priority"])
        row["evidence_kind"] = EvidenceKind(row["evidence_kind"])
        row["risk"] = Risk(row["risk"])
        row["change"] = None if row["change"] is None else change_from(row["change"])
        row["query_ids"] = tuple(row["query_ids"])
        found.append(StoredSuggestion(**row))
    return found


def _urgency(found: StoredSuggestion) -> tuple[Any, ...]:
    order = list(SuggestionPriority)
    return (order.index(found.priority), -(found.gain_ms_per_day or 0), -found.confidence, found.identity)
