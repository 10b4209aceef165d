"""The journal of what was done to monitored databases.

A row is committed in each state before the step that state names begins, and survives loss of power: after a crash it
says how far we may have come. A state moves by compare-and-set, so that two processes never both take the next step;
the schema allows one change at a time for a suggestion.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import peewee

from meshag_tui.store import database, ids, models
from meshag_tui.store.change_documents import change_document, change_from
from meshag_tui.store.documents import clean, document
from meshag_tui.types import Change, ChangeState, MeshagError

ACTIVE = (ChangeState.GATED, ChangeState.RUNNING, ChangeState.VERIFYING)
_ENDED = (ChangeState.DONE, ChangeState.FAILED, ChangeState.UNDONE)
_FIELDS = frozenset(
    {"gates", "backend_pid", "backend_start", "attempts", "started_at", "finished_at", "error", "undo_sql", "target"}
)


class MovedElsewhere(MeshagError):
    """Another process took this change, or another change of the same suggestion, a step further."""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One row of the journal. Times are epoch ms; `undoes` is the id of the change this one puts back."""

    id: str
    connection_id: str
    suggestion_id: str | None
    actor: str
    state: ChangeState
    undoes: str | None
    change: Change
    sql: str
    undo_sql: str | None
    plan_hash: str
    target: Mapping[str, Any]
    gates: tuple[Any, ...]
    backend_pid: int | None
    backend_start: int | None
    attempts: int
    started_at: int | None
    finished_at: int | None
    error: str | None
    created_at: int
    updated_at: int


def plan(
    connection_id: str,
    change: Change,
    sql: str,
    *,
    actor: str,
    plan_hash: str,
    target: Mapping[str, Any],
    undo_sql: str | None = None,
    gates: Sequence[Any] = (),
    suggestion_id: str | None = None,
    undoes: str | None = None,
) -> ChangeRow:
    """Enter a change in state PLANNED: nothing has happened to the database yet."""
    change_id = ids.new("chg")
    with database.durable():
        now = database.now_ms()
        models.Change.create(
            id=change_id,
            connection=connection_id,
            suggestion=suggestion_id,
            actor=actor,
            state=ChangeState.PLANNED,
            undoes=undoes,
            change=change_document(change),
            sql=sql,
            undo_sql=undo_sql,
            plan_hash=plan_hash,
            target=document(dict(target)),
            gates=document(list(gates)),
            created_at=now,
            updated_at=now,
        )
    return get(change_id)


def move(
    change_id: str, from_states: ChangeState | Collection[ChangeState], to_state: ChangeState, **fields: Any
) -> ChangeRow:
    """Take a change from one of `from_states` to `to_state`, with `fields` of its row; committed on return.

    `started_at` and `finished_at` are set to the store's clock when RUNNING begins and an end state is reached.

    Raises:
        MovedElsewhere: it is in none of `from_states`, or another change of its suggestion is active.
    """
    expected = [from_states] if isinstance(from_states, ChangeState) else list(from_states)
    unknown = set(fields) - _FIELDS
    if unknown:
        raise TypeError(f"a change has no field {sorted(unknown)[0]}")
    columns = {key: document(value) if key in ("gates", "target") else value for key, value in fields.items()}
    if columns.get("error") is not None:
        columns["error"] = clean(columns["error"])
    row = models.Change
    try:
        with database.durable():
            now = database.now_ms()
            if to_state is ChangeState.RUNNING:
                columns.setdefault("started_at", now)
            elif to_state in _ENDED:
                columns.setdefault("finished_at", now)
            where = (row.id == change_id) & row.state.in_(expected)
            if not row.update(state=to_state, updated_at=now, **columns).where(where).execute():
                found = row.get_or_none(row.id == change_id)
                state = "gone" if found is None else found.state
                raise MovedElsewhere(f"The change {change_id} is {state}: another process took it further")
    except peewee.IntegrityError:
        raise MovedElsewhere("Another change of the same suggestion is under way") from None
    return get(change_id)


def get(change_id: str) -> ChangeRow:
    """One change. MeshagError if there is none with this id."""
    for found in rows(models.Change.select().where(models.Change.id == change_id)):
        return found
    raise MeshagError(f"There is no change {change_id}")


def running() -> tuple[ChangeRow, ...]:
    """What a crash may have left half done, or could not be judged: to be reconciled at start. Oldest first."""
    states = (*ACTIVE, ChangeState.UNKNOWN)
    return rows(models.Change.select().where(models.Change.state.in_(states)).order_by(models.Change.id))


def planned_before(time: int) -> tuple[ChangeRow, ...]:
    """What was agreed to before `time` (epoch ms) and has not begun: the process that was told to is gone."""
    row = models.Change
    where = (row.state == ChangeState.PLANNED) & (row.created_at < time)
    return rows(row.select().where(where).order_by(row.id))


def listing(
    connection_id: str | None = None, *, suggestion_id: str | None = None, limit: int = 500
) -> tuple[ChangeRow, ...]:
    """Changes, newest first."""
    query = models.Change.select().order_by(models.Change.id.desc()).limit(limit)
    if connection_id is not None:
        query = query.where(models.Change.connection == connection_id)
    if suggestion_id is not None:
        query = query.where(models.Change.suggestion == suggestion_id)
    return rows(query)


def applied(connection_id: str | None = None, limit: int = 500) -> tuple[ChangeRow, ...]:
    """What was carried out, be it undone since or not, without the undos themselves; newest first."""
    row = models.Change
    query = row.select().where(row.state.in_([ChangeState.DONE, ChangeState.UNDONE]) & row.undoes.is_null())
    if connection_id is not None:
        query = query.where(row.connection == connection_id)
    return rows(query.order_by(row.id.desc()).limit(limit))


def rows(query: Any) -> tuple[ChangeRow, ...]:
    """The rows of a query of `models.Change`."""
    return tuple(_row(row) for row in query.dicts())


def _row(row: dict[str, Any]) -> ChangeRow:
    return ChangeRow(
        connection_id=row.pop("connection"),
        suggestion_id=row.pop("suggestion"),
        state=ChangeState(row.pop("state")),
        change=change_from(row.pop("change")),
        gates=tuple(row.pop("gates")),
        **row,
    )
