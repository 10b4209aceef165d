"""Conversations with a model about one statement, plan or suggestion, and the evidence each began with.

A thread is hidden when it is removed, and comes back whole; what its calls cost stays in the ledger either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import peewee

from meshag_tui.store import database, ids, models
from meshag_tui.store.amounts import decimal
from meshag_tui.store.documents import clean, document
from meshag_tui.types import UsageError

SUBJECTS = ("query", "plan", "suggestion")
Role = Literal["user", "assistant", "note"]
State = Literal["complete", "cut", "cancelled", "failed"]
_NAME_LIMIT = 120


class MessageRow(NamedTuple):
    """What was said. Times epoch ms; `cost` None: unpriced, or no call was made (`usage` None)."""

    id: str
    role: str
    content: str
    state: str
    model: str | None
    usage: str | None
    cost: Decimal | None
    currency: str | None
    duration_ms: float | None
    details: Mapping[str, Any]
    created_at: int


class ThreadRow(NamedTuple):
    """A thread as listed. Times epoch ms."""

    id: str
    connection_id: str
    connection: str
    agent_id: str | None
    agent: str | None
    actor: str
    subject_kind: str
    subject_id: str
    name: str
    instructions: str
    model: str | None
    messages: int
    created_at: int
    updated_at: int
    deleted_at: int | None


class Thread(NamedTuple):
    """A thread in full. `evidence`: text, queries (numbers), at (epoch ms), cut, notes."""

    row: ThreadRow
    evidence: Mapping[str, Any]
    messages: tuple[MessageRow, ...]


def add(draft: ThreadRow, evidence: Mapping[str, Any]) -> str:
    """Keep a thread that was drafted; its id, which is a new one."""
    if draft.subject_kind not in SUBJECTS:
        raise UsageError(f"A thread is about one of {', '.join(SUBJECTS)}")
    thread_id = ids.new("thrd")
    with database.durable():
        now = database.now_ms()
        models.Thread.create(
            id=thread_id,
            connection=draft.connection_id,
            agent=draft.agent_id,
            actor=draft.actor,
            subject_kind=draft.subject_kind,
            subject_id=draft.subject_id,
            name=_named(draft.name),
            instructions=clean(draft.instructions),
            model=draft.model,
            evidence=document(dict(evidence)),
            created_at=now,
            updated_at=now,
        )
    return thread_id


def say(
    thread_id: str,
    role: Role,
    content: str,
    *,
    state: State = "complete",
    model: str | None = None,
    usage: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> str:
    """Add what was said; its id."""
    message_id = ids.new("msg")
    with database.durable():
        now = database.now_ms()
        _there(thread_id)
        models.Message.create(
            id=message_id,
            thread=thread_id,
            role=role,
            content=clean(content),
            state=state,
            model=model,
            usage=usage,
            details=document(dict(details or {})),
            created_at=now,
            updated_at=now,
        )
        models.Thread.update(updated_at=now).where(models.Thread.id == thread_id).execute()
    return message_id


def edit(thread_id: str, **changes: Any) -> ThreadRow:
    """Change name, model or instructions; a note in the thread says so, as what follows may read otherwise."""
    allowed = {"name", "model", "instructions"}
    if wrong := set(changes) - allowed:
        raise UsageError(f"Of a thread {', '.join(sorted(allowed))} can be changed, not {', '.join(sorted(wrong))}")
    with database.durable():
        before = _there(thread_id)
        new = dict(changes)
        if "name" in new:
            new["name"] = _named(new["name"])
        if "instructions" in new:
            new["instructions"] = clean(new["instructions"])
        said = [
            f"{name} is now {value or 'the usual'}" for name, value in new.items() if value != getattr(before, name)
        ]
        if said:
            models.Thread.update(**new, updated_at=database.clock()).where(models.Thread.id == thread_id).execute()
            say(thread_id, "note", "; ".join(said))
    return get(thread_id).row


def remove(thread_id: str) -> None:
    """Hide a thread; `restore` brings it back."""
    _mark(thread_id, deleted=True)


def restore(thread_id: str) -> None:
    _mark(thread_id, deleted=False)


def get(thread_id: str) -> Thread:
    """A thread with all that was said in it, also a removed one.

    Raises:
        UsageError: there is none of this id.
    """
    _there(thread_id)
    thread = models.Thread
    found = _listed(thread.id == thread_id, 1)[0]
    evidence: Any = thread.select(thread.evidence).where(thread.id == thread_id).tuples()
    message, usage = models.Message, models.Usage
    query = (
        message.select(message, usage.cost_micros, usage.currency, usage.duration_ms)
        .join(usage, peewee.JOIN.LEFT_OUTER, on=(message.usage == usage.id))
        .where(message.thread == thread_id)
        .order_by(message.id)
    )
    rows: Any = query.dicts()
    said = tuple(
        MessageRow(**{name: row[name] for name in MessageRow._fields if name in row}, cost=decimal(row["cost_micros"]))
        for row in rows
    )
    return Thread(found, evidence[0][0], said)


def page(
    limit: int = 200,
    *,
    connection_id: str | None = None,
    agent_id: str | None = None,
    subject_id: str | None = None,
    actor: str | None = None,
    removed: bool = False,
) -> tuple[ThreadRow, ...]:
    """The threads, the newest first; those that were removed only with `removed`, and then they alone."""
    thread = models.Thread
    where: list[Any] = [thread.deleted_at.is_null(not removed)]
    for column, value in (
        (thread.connection, connection_id),
        (thread.agent, agent_id),
        (thread.subject_id, subject_id),
        (thread.actor, actor),
    ):
        if value is not None:
            where.append(column == value)
    return _listed(where, limit)


# --- inside -----------------------------------------------------------------------------------------------------------


def _listed(where: Sequence[Any] | Any, limit: int) -> tuple[ThreadRow, ...]:
    thread, connection, agent, message = models.Thread, models.Connection, models.Agent, models.Message
    said = message.select(peewee.fn.COUNT(message.id)).where((message.thread == thread.id) & (message.role != "note"))
    wanted = where if isinstance(where, list) else [where]
    query = (
        thread.select(
            *(getattr(thread, name) for name in _OWN),
            connection.name.alias("connection_name"),
            agent.name.alias("agent_name"),
            said.alias("messages"),
        )
        .join(connection)
        .switch(thread)
        .join(agent, peewee.JOIN.LEFT_OUTER)
        .where(*wanted)
        .order_by(thread.id.desc())
        .limit(limit)
    )
    rows: Any = query.dicts()
    return tuple(
        ThreadRow(
            connection_id=row.pop("connection"),
            connection=row.pop("connection_name"),
            agent_id=row.pop("agent"),
            agent=row.pop("agent_name"),
            **row,
        )
        for row in rows
    )


_OWN = (
    *("id", "connection", "agent", "actor", "subject_kind", "subject_id", "name", "instructions", "model"),
    *("created_at", "updated_at", "deleted_at"),
)


def _there(thread_id: str) -> Any:
    found: Any = models.Thread.get_or_none(models.Thread.id == thread_id)
    if found is None:
        raise UsageError(f"There is no thread {thread_id}: meshag threads list shows them")
    return found


def _mark(thread_id: str, *, deleted: bool) -> None:
    with database.durable():
        _there(thread_id)
        now = database.now_ms()
        at = now if deleted else None
        models.Thread.update(deleted_at=at, updated_at=now).where(models.Thread.id == thread_id).execute()


def _named(name: str) -> str:
    plain = " ".join(clean(name).split())
    if not plain:
        raise UsageError("A thread needs a name")
    return plain[:_NAME_LIMIT]
