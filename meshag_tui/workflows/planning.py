"""Plan statements now, without running them, and keep the plans: one that is looked at, those a change is for, those
that became slower, and now and then the dearest, so that another plan of them is noticed.

The plans before and after a change stand beside each other in what is found of it (`changes.verification`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import EngineError, Session
from meshag_tui.settings import Settings
from meshag_tui.store import connections, history
from meshag_tui.store.database import Store
from meshag_tui.store.ids import query_uid
from meshag_tui.store.vault import Vault
from meshag_tui.types import MeshagError
from meshag_tui.workflows.sync import limits

MOST = 5
"""Statements of a change, or that became slower, that are planned."""
DEAREST = 10
"""Statements that are planned while improvements are looked for."""
_PATIENCE_S = 5.0
_PLANNED_KINDS = ("select", "insert", "update", "delete")
_log = logging.getLogger("meshag.workflows")


async def plan(store: Store, vault: Vault, settings: Settings, query_ids: Sequence[int]) -> None:
    """Plan statements of one connection, in one read-only session, and keep each plan that is another than before.

    Raises:
        MeshagError: the text of one is not known, it ran in another database, or the server cannot plan it.
    """
    found = [await store.read(history.statement, query_id) for query_id in query_ids]
    target = await store(connections.target, found[0].connection_id, vault)
    async with engine_for(target.db_type).connect(target, "explain", limits(settings.collect)) as session:
        for query_id, one in zip(query_ids, found, strict=True):
            if one.aside == "elsewhere":
                where = one.database or "another database"
                raise MeshagError(f"{one.uid} ran in {where}: a connection to that can explain it, this one cannot")
            if one.text is None:
                raise MeshagError(f"The text of {one.uid} is {one.text_state}: it cannot be planned")
            await store(history.save_plan, query_id, await session.explain(one.text, database=one.database))


async def plan_what_can_be(store: Store, vault: Vault, settings: Settings, query_ids: Sequence[int]) -> None:
    """The same of a few, as far as it goes in a few seconds: what cannot be planned is left without a plan."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            for query_id in query_ids[:MOST]:
                try:
                    await plan(store, vault, settings, [query_id])
                except MeshagError as error:
                    _log.info("%s was not planned: %s", query_uid(query_id), error)
    except TimeoutError:
        _log.info("planning took too long: %s have no plan of now", ", ".join(map(query_uid, query_ids)))


async def plan_dearest(store: Store, session: Session, workload: Sequence[history.QueryRow]) -> int:
    """Plan the dearest statements of a workload and keep what is another plan than before; how many could be planned.

    Raises:
        EngineError: the session is lost.
    """
    dearest = sorted((row for row in workload if not row.internal), key=lambda row: -row.total_time_ms)
    planned = 0
    for row in dearest[:DEAREST]:
        if row.text_state != "ok" or not row.text or row.kind not in _PLANNED_KINDS:
            continue
        try:
            found = await session.explain(row.text, database=row.database)
        except EngineError as error:
            if error.transient:
                raise
            _log.info("%s was not planned: %s", row.uid, error)
            continue
        await store(history.save_plan, row.id, found)
        planned += 1
    return planned
