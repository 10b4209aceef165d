"""Why a statement gets an index suggestion or none, asked now: the answer is shown and not kept.

In: a statement that ran in the window. Out: `advisor.verdicts.Why`, over one read-only session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshag_tui.engines import engine_for
from meshag_tui.store import connections
from meshag_tui.workflows.suggest import look
from meshag_tui.workflows.sync import limits

if TYPE_CHECKING:
    from meshag_tui.advisor.verdicts import Why
    from meshag_tui.workflows.workbench import Workbench


async def why(bench: Workbench, query_id: int, *, budget_bytes: int | None = None, window_ms: int | None = None) -> Why:
    """The indexes that could serve a statement, what each would cost it, and what speaks against them.

    Args:
        budget_bytes, window_ms: as for `Advice.suggest`.

    Raises:
        Forbidden: who acts may not ask for plans.
        MeshagError: it is not known.
        EngineError: the server could not be asked.
    """
    from meshag_tui.advisor import verdicts
    from meshag_tui.store import history

    await bench.need("analyze")
    statement = await bench.store.read(history.statement, query_id)
    seen = await look(bench.store, statement.connection_id, window_ms)
    detail = await bench.store.read(history.query, query_id, seen.window)
    row = next((one for one in seen.workload if one.id == query_id or one.id in detail.members), None)
    if row is None:
        return verdicts.unseen(detail.row)
    target = await bench.store(connections.target, statement.connection_id, bench.vault)
    async with engine_for(target.db_type).connect(target, "advice", limits(bench.settings.collect)) as session:
        found = await verdicts.why(row, seen.workload, seen.catalog, session, bench.settings, budget_bytes)
    await bench.store(connections.read_texts_soon, seen.connection.id)
    return found
