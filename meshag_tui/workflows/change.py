"""The workflow `change_database`: bring one agreed change to its end.

The journal row is the truth of what was done to the server, and `changes/` writes it; this workflow makes sure that
somebody looks after it, also after a crash: what had begun is judged by asking the server and never issued again, what
had not begun is not begun by another process than the one that was told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import CannotConnect, EngineError, LockTimeout
from meshag_tui.settings import Settings
from meshag_tui.store import changes, connections, database, executions
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import ChangeState, ConnectionStatus, ExecutionState, MeshagError
from meshag_tui.workflows.durable import Run, RunFailed, Workflow
from meshag_tui.workflows.owner import is_dead
from meshag_tui.workflows.sync import limits

KIND = "change_database"
LEFT = {"left": True}
"""Input of a run that looks after what another process left."""
_NOT_BEGUN = (ChangeState.PLANNED, ChangeState.GATED)
_ON_ITS_WAY_MS = 60_000


def workflow(store: Store, vault: Vault, settings: Settings) -> Workflow:
    """The workflow function, bound to a store. Its key is the change's id."""

    async def change_database(run: Run) -> Mapping[str, Any]:
        row = await store(changes.get, run.key)
        protected = (await store(connections.get, row.connection_id)).read_only
        if settings.read_only or protected:
            whose = "the connection is marked" if protected else "MeshAG runs"
            raise MeshagError(f"Nothing is done for {row.id}, which is {row.state}: {whose} read-only")
        from meshag_tui.changes import apply, house_rules, record

        if row.state in _NOT_BEGUN and (run.attempt > 1 or run.input.get("left")):
            why = "MeshAG was stopped before it began: nothing was run, look at the statement again"
            await store(record.failed, row.id, why)
            raise MeshagError(why)
        target = await store(connections.target, row.connection_id, vault)
        asked = (settings, row.connection_id, row.suggestion_id, row.actor)
        rules = await store(house_rules.house_rules, *asked, undoes=row.undoes is not None)

        async def say(level: str, message: str) -> None:
            run.progress(message)
            await run.log(level, message)

        async def stop_wanted() -> bool:
            return await store(executions.cancel_requested, run.id)

        async with run.phase("apply"):
            try:
                row = await apply.carry_out(
                    store,
                    engine_for(target.db_type),
                    target,
                    limits(settings.collect),
                    row.id,
                    say,
                    stop_wanted,
                    rules,
                )
            except EngineError as error:
                row = await store(changes.get, run.key)
                said = row.error or str(error)
                if row.state is ChangeState.UNKNOWN and error.code != LockTimeout.code:
                    raise CannotConnect(said, error.fix) from error  # worth asking the server again, soon
                raise RunFailed(said, error.code, error.fix) from error
        if row.state not in (ChangeState.DONE, ChangeState.UNDONE):
            raise MeshagError(row.error or f"The change {row.id} is {row.state}")
        return {"change": row.id, "state": str(row.state), "sql": row.sql, "undo_sql": row.undo_sql}

    return change_database


def left_behind(connection_id: str | None = None, *, answering: bool = False) -> tuple[ChangeRow, ...]:
    """Changes without an end that no living process works on (in the store's thread), oldest first.

    Those of a process on another machine count when its lease has run out. `answering` leaves out connections that
    fail now; those of connections that must not be changed are never among them.
    """
    now = database.now_ms()
    open_runs = executions.listing(kind=KIND, states=(ExecutionState.READY, ExecutionState.RUNNING))
    looked_after = {run.key for run in open_runs if _is_alive(run, now)}
    rows = (*changes.running(), *changes.planned_before(now - _ON_ITS_WAY_MS))
    wanted = []
    for row in rows:
        if row.id not in looked_after and (connection_id is None or row.connection_id == connection_id):
            info = connections.get(row.connection_id)
            if not info.read_only and not (answering and info.status is ConnectionStatus.ERROR):
                wanted.append(row)
    return tuple(wanted)


def _is_alive(run: executions.ExecutionInfo, now: int) -> bool:
    if run.state is ExecutionState.READY:
        return True
    return run.lease_until >= now and not (run.owner is not None and is_dead(run.owner))
