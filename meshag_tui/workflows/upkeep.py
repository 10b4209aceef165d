"""The workflow `keep_store`: sum, roll up and prune the store's history, once an hour on all instances together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshag_tui.settings import Settings
from meshag_tui.store import connections, digests, retention
from meshag_tui.store.database import Store
from meshag_tui.workflows.durable import Run, Workflow

KIND = "keep_store"
_MOST_ROUNDS = 100


def workflow(store: Store, settings: Settings) -> Workflow:
    """The workflow function, bound to a store."""

    async def keep_store(run: Run) -> Mapping[str, Any]:
        intervals = 0
        async with run.phase("sum"):
            for info in await store(connections.listing):  # one at a time, for the same reason
                await store(digests.close, info.id)
        async with run.phase("roll up"):
            for _ in range(_MOST_ROUNDS):  # a bounded piece of work at a time: syncs wait for the store's thread
                rolled = await store(retention.roll_up, settings.retention)
                intervals += rolled.intervals
                if not rolled.more:
                    break
        async with run.phase("prune"):
            pruned = await store(retention.prune, settings.retention)
        return {"rolled_up": intervals, "pruned": pruned}

    return keep_store
