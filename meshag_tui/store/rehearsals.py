"""What was measured in sandboxes with data, with every run, so that each figure can be reckoned again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from meshag_tui.store import activity, database, ids, models
from meshag_tui.store.documents import document
from meshag_tui.types import MeshagError

KEPT = 5
"""Of one suggestion: the newest."""

Kind = Literal["change", "rewrite", "undo"]


@dataclass(frozen=True, slots=True)
class RehearsalRow:
    """One of them; `document` as `changes.rehearse.Rehearsed.document`, `created_at` epoch ms."""

    id: str
    connection_id: str
    suggestion_id: str | None
    created_at: int
    actor: str
    verdict: str
    kind: Kind
    document: Mapping[str, Any]


def save(
    connection_id: str,
    suggestion_id: str,
    *,
    kind: Kind,
    actor: str,
    verdict: str,
    found: Mapping[str, Any],
    samples: Mapping[str, Any],
    said: str,
) -> str:
    """Keep one, and enter it in the activity log as `said`; its id. Of a suggestion only the newest stay."""
    row = models.Rehearsal
    with database.atomic():
        made = ids.new("reh")
        row.insert(
            id=made,
            connection=connection_id,
            suggestion=suggestion_id,
            created_at=database.now_ms(),
            actor=actor,
            verdict=verdict,
            kind=kind,
            document=document(found),
            samples=document(samples),
        ).execute()
        old = row.select(row.id).where(row.suggestion == suggestion_id).order_by(row.id.desc()).offset(KEPT).limit(1000)
        gone = [each.id for each in old]
        if gone:
            row.delete().where(row.id.in_(gone)).execute()
        activity.record(actor, "suggestion.rehearsed", said, connection=connection_id, subject=suggestion_id)
    return made


def get(rehearsal_id: str) -> RehearsalRow:
    """One of them. MeshagError if there is none with this id."""
    found = _rows(models.Rehearsal.id == rehearsal_id)
    if not found:
        raise MeshagError(f"There is no rehearsal {rehearsal_id}")
    return found[0]


def of_suggestion(suggestion_id: str) -> tuple[RehearsalRow, ...]:
    """Those of a suggestion, the newest first."""
    return _rows(models.Rehearsal.suggestion == suggestion_id)


def newest(connection_id: str) -> dict[str, RehearsalRow]:
    """The newest of each suggestion of a connection, by the suggestion's identity; one that measured it, if any did."""
    known = models.Suggestion
    pairs: Any = known.select(known.id, known.identity).where(known.connection == connection_id).tuples()
    identities: dict[str, str] = dict(pairs)
    found: dict[str, RehearsalRow] = {}
    for one in sorted(_rows(models.Rehearsal.connection == connection_id), key=lambda one: one.kind == "undo"):
        identity = identities.get(one.suggestion_id or "")
        if identity is not None:
            found.setdefault(identity, one)
    return found


def samples(rehearsal_id: str) -> Mapping[str, Any]:
    """Every run, by statement: round, set of values, side, ms, blocks found, blocks read."""
    row = models.Rehearsal
    found: Any = row.select(row.samples).where(row.id == rehearsal_id).tuples().first()
    if found is None:
        raise MeshagError(f"There is no rehearsal {rehearsal_id}")
    kept: Mapping[str, Any] = found[0]
    return kept


def _rows(condition: Any) -> tuple[RehearsalRow, ...]:
    row = models.Rehearsal
    wanted = (row.id, row.connection, row.suggestion, row.created_at, row.actor, row.verdict, row.kind, row.document)
    query: Any = row.select(*wanted).where(condition).order_by(row.id.desc()).tuples()
    return tuple(RehearsalRow(*found) for found in query)
