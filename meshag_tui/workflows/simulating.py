"""Price indexes that do not exist, now: what the planner thinks that suggestions would bring. Nothing is made or run.

In: suggestions of one connection. Out: for each that is an index the planner's cost of its statements without it and
with it, weighed by their calls; by HypoPG on the server, or by a statistics sandbox of our own (`base.WhatIf`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import EngineError, Session, WhatIf
from meshag_tui.plan import Plan
from meshag_tui.settings import Settings
from meshag_tui.store import connections, history, suggestions
from meshag_tui.store.database import Store
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.store.vault import Vault
from meshag_tui.types import CreateIndex, MeshagError
from meshag_tui.workflows.suggest import look
from meshag_tui.workflows.sync import limits


class Simulated(NamedTuple):
    """A suggestion, what its statements cost the planner without and with it, and how many could be planned."""

    suggestion: StoredSuggestion
    before: float
    after: float
    statements: int
    method: str  # what planned, for people

    @property
    def gain(self) -> float:
        """The share of the cost that it would save; below 0 where it would cost more."""
        return 1 - self.after / self.before if self.before else 0.0


async def simulate(
    store: Store, vault: Vault, settings: Settings, connection_id: str, suggestion_ids: Sequence[str]
) -> list[Simulated]:
    """Those of the suggestions that are indexes, each alone, priced.

    Raises:
        MeshagError: there is nothing here that prices an index without making it.
    """
    found = [await store.read(suggestions.get, each) for each in suggestion_ids]
    wanted = [each for each in found if isinstance(each.change, CreateIndex)]
    if not wanted:
        return []
    seen = await look(store, connection_id, None)
    known = {row.id: row for row in seen.workload if row.text is not None and row.text_state == "ok"}
    target = await store(connections.target, connection_id, vault)
    async with engine_for(target.db_type).connect(target, "simulate", limits(settings.collect)) as session:
        rows = {each: known[each] for one in wanted for each in one.query_ids if each in known}
        plans = await _plans(session, list(rows.values()))
        what_if = await session.what_if(settings.advice.what_if, [plan for _, plan in plans.values()])
        if what_if is None:
            raise MeshagError(f"No index can be priced without making it: {session.words.no_what_if}")
        return [await _one(what_if, each, plans) for each in wanted]


_Plans = Mapping[int, tuple[history.QueryRow, Plan]]


async def _plans(session: Session, rows: Sequence[history.QueryRow]) -> _Plans:
    """The present plans of the statements that can be planned, by id."""
    found = {}
    for row in rows:
        try:
            found[row.id] = row, await session.explain(row.text or "", database=row.database)
        except EngineError as error:
            if error.transient:
                raise
    return found


async def _one(what_if: WhatIf, suggestion: StoredSuggestion, plans: _Plans) -> Simulated:
    before = after = 0.0
    planned = 0
    assert isinstance(suggestion.change, CreateIndex)  # noqa: S101 (see simulate)
    for each in suggestion.query_ids:
        if each not in plans:
            continue
        row, plan = plans[each]
        text, mode, values = row.text or "", plan.mode, plan.parameters
        try:
            costs = [
                (await what_if.plan(text, specs, mode, values)).plan.cost for specs in ((), (suggestion.change.spec,))
            ]
        except EngineError as error:
            if error.transient:
                raise
            continue
        before, after, planned = before + row.calls * costs[0], after + row.calls * costs[1], planned + 1
    return Simulated(suggestion, before, after, planned, what_if.label)
