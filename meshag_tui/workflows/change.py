"""The workflow `change_database`: carry out one agreed change and say what became of its suggestion.

The journal row is the truth of what was done to the server (see `changes/`); this workflow makes sure that it is
brought to its end, also after a crash: a run taken over asks the server first and never issues a statement again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.changes import apply
from meshag_tui.changes.review import REVIEW_VALID_MS
from meshag_tui.engines import engine_for
from meshag_tui.settings import Settings
from meshag_tui.store import activity, changes, connections, database, suggestions
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import ChangeState, MeshagError, SuggestionStatus
from meshag_tui.workflows.durable import Run, Workflow
from meshag_tui.workflows.sync import limits

KIND = "change_database"
_NOT_BEGUN = (ChangeState.PLANNED, ChangeState.GATED)


def workflow(store: Store, vault: Vault, settings: Settings) -> Workflow:
    """The workflow function, bound to a store. Its key is the change's id."""

    async def change_database(run: Run) -> Mapping[str, Any]:
        row = await store(_agreed, run.key, settings.read_only)
        target = await store(connections.target, row.connection_id, vault)

        async def say(level: str, message: str) -> None:
            run.progress(message)
            await run.log(level, message)

        async with run.phase("apply"):
            row = await apply.carry_out(
                store, engine_for(target.db_type), target, limits(settings.collect), row.id, say
            )
        if row.state is not ChangeState.DONE:
            raise MeshagError(row.error or f"The change {row.id} is {row.state}")
        return await run.commit("record", lambda: _record(row))

    return change_database


def _agreed(change_id: str, read_only: bool) -> ChangeRow:
    """The row, unless it must not be begun any more.

    A process may have died between the yes and the first step. Whoever finds that run soon after carries it out; a day
    later nobody expects it.
    """
    row = changes.get(change_id)
    if row.state in _NOT_BEGUN:
        too_old = database.now_ms() - row.created_at > REVIEW_VALID_MS
        if too_old or read_only:
            why = "MeshAG runs read-only" if read_only else "it was agreed to too long ago"
            changes.move(change_id, _NOT_BEGUN, ChangeState.FAILED, error=f"Not run: {why}")
            raise MeshagError(f"Not run: {why}; look at the statement again")
    elif read_only:
        raise MeshagError(f"The change {change_id} is {row.state}: start MeshAG without --read-only to look after it")
    return row


def _record(row: ChangeRow) -> dict[str, Any]:
    """Enter the outcome: the suggestion's status, the undone change, the activity log."""
    undone = row.undoes is not None
    if row.undoes is not None:
        changes.move(row.undoes, ChangeState.DONE, ChangeState.UNDONE)
    if row.suggestion_id is not None:
        status = SuggestionStatus.REVIEWED if undone else SuggestionStatus.APPLIED
        suggestions.set_status(row.suggestion_id, status, row.actor)
    activity.record(
        row.actor,
        "change.undone" if undone else "change.applied",
        row.sql,
        connection=row.connection_id,
        subject=row.id,
        details={"suggestion": row.suggestion_id, "undoes": row.undoes},
    )
    return {"change": row.id, "state": str(row.state), "sql": row.sql, "undo_sql": row.undo_sql}
