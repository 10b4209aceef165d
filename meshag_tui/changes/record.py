"""What is written down of a change: its journal row, a line in the activity log, and what becomes of its suggestion.

The one place that writes it. Each step is one durable transaction, committed before the step's side effect begins, so
that the journal, the log and the suggestion never tell different stories. All functions run in the store's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshag_tui.store import activity, connections, database, outcomes, suggestions
from meshag_tui.store import changes as journal
from meshag_tui.store.changes import ChangeRow
from meshag_tui.types import Change, ChangeState, MeshagError, SuggestionStatus

OPEN = frozenset({ChangeState.PLANNED, ChangeState.GATED})
"""Agreed to, and nothing was sent to the server."""
BEGUN = frozenset({ChangeState.RUNNING, ChangeState.VERIFYING, ChangeState.UNKNOWN})
"""Something may have been sent: only the server knows what became of it."""


class ChangeRefused(MeshagError):
    """The change may not or cannot run now; the text says which gate or rule and what to do."""


def planned(
    connection_id: str,
    change: Change,
    sql: str,
    *,
    actor: str,
    plan_hash: str,
    target: Mapping[str, Any],
    undo_sql: str | None,
    gates: Sequence[Mapping[str, Any]],
    suggestion_id: str | None,
    undoes: str | None,
) -> ChangeRow:
    """Somebody said yes to a review: enter it. Nothing has happened to the database yet."""
    with database.durable():
        row = journal.plan(
            connection_id,
            change,
            sql,
            actor=actor,
            plan_hash=plan_hash,
            target=target,
            undo_sql=undo_sql,
            gates=gates,
            suggestion_id=suggestion_id,
            undoes=undoes,
        )
        if undoes is None:
            outcomes.expect(row, None if suggestion_id is None else suggestions.get(suggestion_id))
        despite = {"warned of": "warn", "without knowing": "unknown"}
        said = [f"{how} {', '.join(names)}" for how, state in despite.items() if (names := _of(row, state))]
        _tell(row, f"Agreed to: {sql}" + (f" ({'; '.join(said)})" if said else ""))
    return row


def gated(row: ChangeRow, gates: Sequence[Mapping[str, Any]]) -> ChangeRow:
    """Every gate lets it through: the change is about to begin.

    Raises:
        ChangeRefused: what was agreed to has been overtaken by another change, or changes are forbidden by now.
    """
    with database.durable():
        # First the move: it waits for another change of the suggestion that is just being written down as done.
        moved = journal.move(row.id, OPEN, ChangeState.GATED, gates=list(gates))
        _still_wanted(moved)
        _tell(moved, f"{len(gates)} gates let it through")
    return moved


def begun(change_id: str, backend_pid: int, backend_start: int) -> ChangeRow:
    """This session of the server is about to be sent the statement."""
    with database.durable():
        row = journal.move(
            change_id,
            ChangeState.GATED,
            ChangeState.RUNNING,
            backend_pid=backend_pid,
            backend_start=backend_start,
        )
        _tell(row, f"Begun by session {backend_pid}: {row.sql}")
    return row


def attempt(change_id: str, number: int) -> ChangeRow:
    """The statement is about to be sent for the `number`-th time."""
    with database.durable():
        row = journal.move(change_id, ChangeState.RUNNING, ChangeState.RUNNING, attempts=number)
        if number > 1:
            _tell(row, f"Attempt {number}: {row.sql}")
    return row


def making(change_id: str, oid: int) -> None:
    """The server has entered the index in its catalogue under this oid: if it stays invalid, it is ours to remove."""
    with database.durable():
        row = journal.get(change_id)
        if row.state in (ChangeState.RUNNING, ChangeState.VERIFYING):
            journal.move(change_id, row.state, row.state, target={**row.target, "making": oid})


def verifying(change_id: str, why: str | None = None) -> ChangeRow:
    """The statement is over, or its session lost: the catalogue is asked what became of it."""
    with database.durable():
        row = journal.move(change_id, BEGUN, ChangeState.VERIFYING)
        _tell(row, why or "The statement ended: asking the catalogue")
    return row


def done(change_id: str, made: Mapping[str, Any] | None) -> ChangeRow:
    """The catalogue confirms it. `made`: what is there now, to know it again when it is to be undone.

    From now on it is compared with the time before; of one that is undone what was found so far is kept.
    """
    with database.durable():
        target = {**journal.get(change_id).target, "made": made}
        row = journal.move(change_id, ChangeState.VERIFYING, ChangeState.DONE, error=None, target=target)
        _tell(row, row.sql, "change.applied" if row.undoes is None else "change.undone")
        if row.undoes is None:
            outcomes.begin(row.id, row.finished_at or row.updated_at)
            _set_status(row, row.suggestion_id, SuggestionStatus.APPLIED)
        else:
            undone = journal.move(row.undoes, ChangeState.DONE, ChangeState.UNDONE)
            outcomes.end(undone.id)
            _set_status(row, undone.suggestion_id, SuggestionStatus.REVIEWED)
            if row.suggestion_id != undone.suggestion_id:  # it was advised to undo it
                _set_status(row, row.suggestion_id, SuggestionStatus.APPLIED)
    return row


def failed(change_id: str, error: str, gates: Sequence[Mapping[str, Any]] | None = None) -> ChangeRow:
    """It is over, and the database is as it was, or as `error` says."""
    fields: dict[str, Any] = {"error": error}
    if gates is not None:
        fields["gates"] = list(gates)
    with database.durable():
        row = journal.move(change_id, OPEN | {ChangeState.VERIFYING}, ChangeState.FAILED, **fields)
        _tell(row, error)
    return row


def never_begun(change_id: str) -> None:
    """It was cancelled: if nothing was sent so far, nobody is to carry it out later."""
    with database.durable():
        if journal.get(change_id).state in OPEN:
            failed(change_id, "Cancelled before it began: nothing was run")


def unknown(change_id: str, error: str) -> ChangeRow:
    """The server cannot say now, or what is left cannot be removed yet: to be looked at again."""
    with database.durable():
        row = journal.move(change_id, BEGUN, ChangeState.UNKNOWN, error=error)
        _tell(row, error)
    return row


def accepted(row: ChangeRow) -> frozenset[tuple[str, str]]:
    """Name and state of the gates of the row's last review that were accepted: what warned, what was unknown."""
    return frozenset((gate["name"], gate["state"]) for gate in row.gates if gate["state"] in ("warn", "unknown"))


def _of(row: ChangeRow, state: str) -> list[str]:
    return [gate["name"] for gate in row.gates if gate["state"] == state]


def _still_wanted(row: ChangeRow) -> None:
    """Two people may look at the same review, and one of them be quicker."""
    if connections.get(row.connection_id).read_only:
        raise ChangeRefused("Not run: the connection was marked read-only meanwhile")
    if row.undoes is not None:
        state = journal.get(row.undoes).state
        if state is not ChangeState.DONE:
            raise ChangeRefused(f"Not run: {row.undoes} is {state} by now")
    elif row.suggestion_id is not None:
        for other in journal.listing(suggestion_id=row.suggestion_id):
            overtook = (other.finished_at or 0) >= row.target.get("reviewed_at", row.created_at)
            if other.id != row.id and other.undoes is None and other.state is ChangeState.DONE and overtook:
                raise ChangeRefused(f"Not run: {other.actor} applied it meanwhile ({other.id})")


def _set_status(row: ChangeRow, suggestion_id: str | None, status: SuggestionStatus) -> None:
    """A suggestion's status, with its own line in the log. The change has happened, whatever became of the advice."""
    if suggestion_id is None:
        return
    try:
        suggestions.set_status(suggestion_id, status, row.actor)
    except MeshagError as error:
        _tell(row, f"The suggestion keeps its status: {error}", "change.noted")


def _tell(row: ChangeRow, message: str, kind: str | None = None) -> None:
    details = {"suggestion": row.suggestion_id, "undoes": row.undoes, "attempts": row.attempts}
    activity.record(
        row.actor,
        kind or f"change.{row.state}",
        message,
        connection=row.connection_id,
        subject=row.id,
        details=details,
    )
