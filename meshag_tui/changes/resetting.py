"""Resetting a server's statement counters: what exactly would run and what it means; then that, journalled.

What was collected stays. Before the reset the counters are read once more, so that nothing since the last sync is lost,
and after it, so that what comes next is counted from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.engines import engine_for
from meshag_tui.store import activity, connections
from meshag_tui.types import MeshagError

if TYPE_CHECKING:
    from meshag_tui.engines.base import Limits
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.store.database import Store
    from meshag_tui.store.vault import Vault

EFFECT = "Statements are counted from nothing again. What MeshAG collected stays, and is read once more before."
NOTE = "Other tools that read these counters see them start anew, too"


@dataclass(frozen=True, slots=True)
class ResetReview:
    """What would be run on a connection: the exact `sql`."""

    connection_id: str
    sql: str


async def review(store: Store, vault: Vault, limits: Limits, info: ConnectionInfo, *, read_only: bool) -> ResetReview:
    """What a reset would run.

    Raises:
        MeshagError: this connection must not be changed, or it cannot be done; for a missing right with its `fix`.
    """
    if read_only or info.read_only:
        raise MeshagError(f"{info.name} is read-only: its counters are not reset from here")
    target = await store(connections.target, info.id, vault)
    return ResetReview(info.id, await engine_for(target.db_type).reset_sql(target, limits))


async def reset(
    store: Store, vault: Vault, limits: Limits, info: ConnectionInfo, shown: ResetReview, actor: str
) -> None:
    """Run what `review` showed. The journal has it before it is sent, and again with what came of it.

    Raises:
        EngineError: the server refused; for a right that is missing the grant is its `fix`.
    """
    target = await store(connections.target, info.id, vault)

    def note(message: str) -> None:
        activity.record(actor, "statistics.reset", message, connection=info.id, details={"sql": shown.sql})

    await store(note, "asked to reset the statement counters")
    try:
        await engine_for(target.db_type).reset(target, limits, shown.sql)
    except MeshagError as error:
        await store(note, f"statement counters not reset, {error}")
        raise
    await store(note, "statement counters were reset")
