"""The activity log: what people and MeshAG did, append-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshag_tui.store import database, models
from meshag_tui.store.documents import clean, document


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. `at` is epoch ms; `subject` the prefixed id of what it is about."""

    id: int
    at: int
    actor: str
    kind: str
    connection_id: str | None
    connection_name: str | None
    subject: str | None
    message: str
    details: Mapping[str, Any]


def record(
    actor: str,
    kind: str,
    message: str,
    *,
    connection: str | None = None,
    subject: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append an entry. `kind` is stable and dotted, such as `change.applied`; `message` one line for people.

    Never put a secret or a literal of a query in it.
    """
    models.Activity.insert(
        at=database.clock(),
        actor=actor,
        kind=kind,
        connection=connection,
        subject=subject,
        message=clean(message),
        details=document(dict(details or {})),
    ).execute()


def recent(
    n: int = 200, *, connection: str | None = None, subject: str | None = None, kind: str | None = None
) -> tuple[Entry, ...]:
    """The last `n` entries, newest first; `kind` also matches what is under it (`change` matches `change.applied`)."""
    activity = models.Activity
    query = activity.select(activity, models.Connection.name.alias("connection_name"))
    query = query.left_outer_join(models.Connection).order_by(activity.id.desc()).limit(n)
    if connection is not None:
        query = query.where(activity.connection == connection)
    if subject is not None:
        query = query.where(activity.subject == subject)
    if kind is not None:
        query = query.where((activity.kind == kind) | activity.kind.startswith(f"{kind}."))
    rows: Any = query.dicts()
    return tuple(Entry(connection_id=row.pop("connection"), **row) for row in rows)
