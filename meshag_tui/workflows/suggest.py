"""The workflow `generate_suggestions`: what would help one database, kept with its evidence.

In: a connection that was synced. Out: the ids of the suggestions found. The rules look at what the store remembers and
ask the server's planner over one read-only session, which also plans the dearest statements, so that another plan of
them is noticed; a model is asked only when the user agreed to what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import Session
from meshag_tui.settings import Settings
from meshag_tui.store import connections, suggestions
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import MeshagError, Suggestion, Window
from meshag_tui.workflows import model_advice, planning
from meshag_tui.workflows.durable import Run, Workflow
from meshag_tui.workflows.sync import limits

if TYPE_CHECKING:
    from meshag_tui.store import history
    from meshag_tui.store.connections import ConnectionInfo

KIND = "generate_suggestions"
WINDOW_MS = 7 * 86_400_000
"""The workload that is judged, unless another span is asked for."""
MOST_QUERIES = 1_000
"""Statements that are looked at, the dearest first."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store remembers of a database: what the advisor and a model are given."""

    connection: ConnectionInfo
    window: Window
    catalog: history.Catalog
    workload: tuple[history.QueryRow, ...]


async def look(store: Store, connection_id: str, window_ms: int | None) -> Seen:
    """Read catalogue and workload from the store.

    Raises:
        MeshagError: the connection was never synced.
    """
    from meshag_tui.store import history

    connection = await store.read(connections.get, connection_id)
    if connection.last_sync_at is None:
        raise MeshagError(f"{connection.name} was never synced: meshag sync {connection.name}")
    window = await store.read(history.latest_window, connection_id, window_ms or WINDOW_MS)
    catalog = await store.read(history.catalog, connection_id)
    page = await store.read(history.queries, connection_id, window, limit=MOST_QUERIES)
    intervals = await store.read(history.intervals, connection_id, window)
    # Figures per day are of the time that was watched: an hour of history is not a day.
    return Seen(connection, history.observed_part(intervals, window), catalog, tuple(page.rows))


def workflow(store: Store, vault: Vault, settings: Settings) -> Workflow:
    """The workflow function, bound to a store. Input: llm, budget_bytes, window_ms (see `Advice.suggest`),
    model, fresh, actor (see `model_advice.advice`)."""

    async def generate_suggestions(run: Run) -> Mapping[str, Any]:
        if run.connection_id is None:
            raise MeshagError("Suggestions need a connection")
        async with run.phase("read history"):
            seen = await look(store, run.connection_id, run.input.get("window_ms"))
        target = await store(connections.target, seen.connection.id, vault)
        engine = engine_for(target.db_type)
        async with engine.connect(target, "advice", limits(settings.collect)) as session:
            result = dict(await _rules(run, store, settings, seen, session))
            async with run.phase("plan"):
                result["planned"] = await planning.plan_dearest(store, session, seen.workload)
            if run.input.get("llm"):
                result |= await model_advice.advice(run, store, vault, seen, session, engine, settings)
        return result

    return generate_suggestions


def resting_on_rehearsals(connection_id: str, made: Sequence[Suggestion]) -> list[Suggestion]:
    """In the store's thread: the suggestions, those that were rehearsed lately resting on what was measured."""
    from meshag_tui.advisor.rehearsed import with_rehearsals
    from meshag_tui.store import database, rehearsals

    newest = {
        identity: (row.id, row.created_at, row.document) for identity, row in rehearsals.newest(connection_id).items()
    }
    return with_rehearsals(made, newest, database.now_ms())


async def _rules(run: Run, store: Store, settings: Settings, seen: Seen, session: Session) -> Mapping[str, Any]:
    if "rules" in run.done:
        return dict(run.done["rules"])
    from meshag_tui.advisor import generate
    from meshag_tui.advisor.calibration import Calibration
    from meshag_tui.advisor.leaning import Leaning
    from meshag_tui.store import history_queries, outcomes

    async with run.phase("advise"):
        leaning = Leaning(seen.catalog)
        if leaning.wanted:
            await store.read(history_queries.each_text, seen.connection.id, leaning.see)
        advice = await generate.suggestions(
            seen.catalog,
            seen.workload,
            session,
            settings,
            budget_bytes=run.input.get("budget_bytes"),
            window=seen.window,
            leaning=leaning,
            calibration=Calibration(await store.read(outcomes.tracks)),
        )

    def save() -> dict[str, Any]:
        made = resting_on_rehearsals(seen.connection.id, advice.suggestions)
        saved = suggestions.save(seen.connection.id, made, complete_rules=advice.complete_rules)
        connections.read_texts_soon(seen.connection.id)
        return {
            "new": saved.new,
            "updated": saved.updated,
            "resolved": saved.resolved,
            "ids": list(saved.ids),
            "notes": list(advice.notes),
            "planner_calls": advice.planner_calls,
        }

    async with run.phase("save"):
        return await run.commit("rules", save)
