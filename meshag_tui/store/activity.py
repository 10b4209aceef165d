"""The activity log: what people and MeshAG did, append-only; `chain` keeps it from being changed unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from meshag_tui.store import chain, database, models
from meshag_tui.store.documents import clean, document
from meshag_tui.types import UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. `at` is epoch ms; `subject` the prefixed id of what it is about; `about` the id of the
    connection, which may be gone by now; `origin` the hash it had in the store it was brought from."""

    id: int
    at: int
    actor: str
    kind: str
    connection_id: str | None
    connection_name: str | None
    subject: str | None
    message: str
    details: Mapping[str, Any]
    about: str | None
    origin: str | None
    prev_hash: str | None
    hash: str | None


class Filter(NamedTuple):
    """Which entries: all that is given must hold. `since` (included) and `until` are epoch ms; `kind` also matches what
    is under it (`change` matches `change.applied`); `project` is a name; `text` is looked for in the message."""

    connection: str | None = None
    project: str | None = None
    subject: str | None = None
    kind: str | None = None
    actor: str | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None


def record(
    actor: str,
    kind: str,
    message: str,
    *,
    connection: str | None = None,
    subject: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append an entry. `kind` is one of `activity_kinds`, such as `change.applied`; `message` one line for people.

    Never put a secret or a literal of a query in it.
    """
    chain.append([_draft(actor, kind, message, connection, subject, details)])


def recent(n: int = 200, **which: Any) -> tuple[Entry, ...]:
    """The last `n` entries, newest first; `which` are the names of `Filter`."""
    return _entries(_those(which).order_by(models.Activity.id.desc()).limit(n))


def following(after: int, n: int, **which: Any) -> tuple[Entry, ...]:
    """The first `n` entries with a number above `after`, oldest first: a long log is read page by page."""
    activity = models.Activity
    return _entries(_those(which).where(activity.id > after).order_by(activity.id).limit(n))


def _those(which: Mapping[str, Any]) -> Any:
    wanted = Filter(**which)
    activity, connection, project = models.Activity, models.Connection, models.Project
    query = activity.select(activity, connection.name.alias("connection_name")).left_outer_join(connection)
    if wanted.project is not None:
        query = query.join(project).where(project.name == wanted.project)
    for column, value in (
        (activity.about, wanted.connection),
        (activity.subject, wanted.subject),
        (activity.actor, wanted.actor),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.kind is not None:
        query = query.where((activity.kind == wanted.kind) | activity.kind.startswith(f"{wanted.kind}."))
    if wanted.since is not None:
        query = query.where(activity.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(activity.at < wanted.until)
    if wanted.text:
        query = query.where(activity.message.contains(wanted.text))
    return query


def _entries(query: Any) -> tuple[Entry, ...]:
    rows: Any = query.dicts()
    return tuple(Entry(connection_id=row.pop("connection"), **row) for row in rows)


def bring(entries: Sequence[Mapping[str, Any]], actor: str, source: str) -> int:
    """Append the entries of another store's export, oldest first, and say so; how many were not here yet.

    They keep their time, and the hash they had there; a connection is known again only by its id.

    Raises:
        UsageError: one of them is not as that store wrote it; nothing is appended.
    """
    ordered = sorted(entries, key=lambda entry: int(entry["id"]))
    if faults := chain.verify_entries(ordered):
        raise UsageError(f"{source} is not a whole log as it was written: {faults[0].what}")
    activity = models.Activity
    with database.durable():
        rows: Any = activity.select(activity.origin, activity.hash).tuples()
        known = {value for row in rows for value in row}
        here = {row.id for row in models.Connection.select(models.Connection.id)}
        drafts = []
        for entry in ordered:
            if entry["hash"] not in known:
                about = entry["about"] if entry["about"] in here else None
                details = {**entry["details"], **({"connection": entry["about"]} if about != entry["about"] else {})}
                said = _draft(entry["actor"], entry["kind"], entry["message"], about, entry["subject"], details)
                drafts.append({**said, "at": int(entry["at"]), "origin": entry["hash"]})
        if drafts:
            chain.append([*drafts, _draft(actor, "activity.brought", f"{len(drafts)} entries of {source}")])
    return len(drafts)


def exported(entry: Entry) -> dict[str, Any]:
    """An entry as it is written to a file: all that its hash is over, and the hash."""
    return asdict(entry)


def _draft(
    actor: str,
    kind: str,
    message: str,
    connection: str | None = None,
    subject: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "actor": actor,
        "kind": kind,
        "about": connection,
        "subject": subject,
        "message": clean(message),
        "details": document(dict(details or {})),
    }
