"""The workflow `rehearse_suggestion`: try a suggestion out in a sandbox with data; it then rests on what was measured.

In: a suggestion, and the statements that would read the watched server, which somebody saw and agreed to. Out: a row of
`store.rehearsals`, and the suggestion said anew. The sandbox dies with the process, so a run that was broken off is not
begun again by itself: rows of a watched server are read only when somebody has just agreed to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import EngineError, Limits
from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, Named
from meshag_tui.settings import Settings
from meshag_tui.store import connections, rehearsals, suggestions
from meshag_tui.store.database import Store
from meshag_tui.store.ids import query_uid
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.store.vault import Vault
from meshag_tui.types import CreateIndex, DropIndex, HideIndex, MeshagError
from meshag_tui.workflows.durable import Run, RunFailed, Workflow
from meshag_tui.workflows.suggest import look

if TYPE_CHECKING:
    from meshag_tui.changes.rehearse import Asked, Rehearsed
    from meshag_tui.store.history import QueryRow

KIND = "rehearse_suggestion"
_DAY_MS = 86_400_000
_MEASURED = (CreateIndex, DropIndex, HideIndex)
"""Changes whose effect on statements is measured."""
MOST_MAINS = 5
"""Statements that the advice is for and that are run, the dearest first."""


@dataclass(frozen=True, slots=True)
class RehearsalReview:
    """What a rehearsal would read and run, before anything is. `hash` is what is agreed to."""

    suggestion_id: str
    connection_id: str
    title: str
    plan: CopyPlan
    asked: tuple[Asked, ...]

    @property
    def hash(self) -> str:
        return self.plan.hash


def why_not(found: StoredSuggestion) -> str | None:
    """Why a suggestion cannot be rehearsed, in a few words; None when it can."""
    if isinstance(found.change, _MEASURED) or undoable(found) or other_text(found) is not None:
        return None
    if found.change is not None:
        return "what it does is not measured, and nothing would take it back"
    return "only changes, and statements that we can write otherwise, can be tried out"


def undoable(found: StoredSuggestion) -> bool:
    """Whether only the taking back of its change is tried, without any row: nothing of it can be measured."""
    return found.change is not None and not isinstance(found.change, _MEASURED) and found.undo_sql is not None


def other_text(found: StoredSuggestion) -> str | None:
    """The statement written otherwise that a suggestion is about, if it can mean the same."""
    said = found.evidence.get("rewrite")
    text = said.get("text") if isinstance(said, Mapping) and said.get("comparable", True) else None
    return text if isinstance(text, str) else None


async def review(
    store: Store, vault: Vault, settings: Settings, suggestion_id: str, structure: bool = False
) -> RehearsalReview:
    """Ask the watched server's catalogue what would have to be read. No row is.

    With `structure` no row ever will be: whatever the change is, only its taking back is tried.

    Raises:
        MeshagError: it cannot be rehearsed, or its statements are not known.
        EngineError: the server cannot be asked, or there is no sandbox for it.
    """
    found = await store(suggestions.get, suggestion_id)
    if (reason := why_not(found)) is not None:
        raise MeshagError(f"{suggestion_id} cannot be rehearsed: {reason}")
    if structure and (found.change is None or found.undo_sql is None):
        raise MeshagError(f"{suggestion_id} cannot be tried without rows: nothing would take it back")
    structure = structure or undoable(found)
    asked = [] if structure else await _asked(store, settings, found)
    if other_text(found) is not None and not structure:
        asked = [one for one in asked if one.main][:1]
        if not asked:
            raise MeshagError("Its statement has not run lately: sync, and look again")
    target = await store(connections.target, found.connection_id, vault)
    async with engine_for(target.db_type).connect(target, "rehearsal", _limits(settings)) as session:
        server = await _server(store, vault, settings)
        if structure and found.change is not None:
            plan = await session.schema_plan(found.change, _copy_limits(settings), server)
        else:
            plan = await session.copy_plan([one.text for one in asked], _copy_limits(settings), server)
    return RehearsalReview(suggestion_id, found.connection_id, found.title, plan, tuple(asked))


def given(review: RehearsalReview, actor: str) -> dict[str, Any]:
    """A review that was agreed to as the input of a run."""
    return {"plan": asdict(review.plan), "asked": [asdict(one) for one in review.asked], "actor": actor}


def workflow(store: Store, vault: Vault, settings: Settings) -> Workflow:
    """The workflow function, bound to a store. Its key is the suggestion's id, its input `given`."""

    async def rehearse_suggestion(run: Run) -> Mapping[str, Any]:
        if run.attempt > 1:
            raise MeshagError("MeshAG was stopped while it rehearsed this: nothing of it is left, begin it anew")
        try:
            done = await _rehearse(run, store, vault, settings)
        except EngineError as error:  # never by itself a second time
            raise RunFailed(str(error), error.code, error.fix) from error
        async with run.phase("save"):
            return await run.commit("save", lambda: _save(run.key, done, str(run.input["actor"])))

    return rehearse_suggestion


async def _rehearse(run: Run, store: Store, vault: Vault, settings: Settings) -> Rehearsed:
    from meshag_tui.changes.rehearse import Asked, rehearse, rehearse_rewrite

    found = await store(suggestions.get, run.key)
    if why_not(found) is not None:
        raise MeshagError("The suggestion says something else by now: look at it again")
    plan = CopyPlan.from_document(run.input["plan"])
    asked = [Asked(**one) for one in run.input["asked"]]
    target = await store(connections.target, found.connection_id, vault)

    def say(words: str) -> None:
        run.progress(words)

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            engine_for(target.db_type).connect(target, "rehearsal", _limits(settings))
        )
        async with run.phase("copy"):
            server = await _server(store, vault, settings)
            stage = await stack.enter_async_context(session.rehearse(plan, say, server))
        rendered = None if found.change is None else await session.render(found.change)
        await session.close()  # the watched server is not needed any more
        for note in stage.notes:
            await run.log("info", note)
        text, seconds = other_text(found), settings.rehearsal.measure_s
        async with run.phase("measure"):
            if found.change is None and text is not None:
                return await rehearse_rewrite(stage, text, asked[0], seconds, run.progress)
            assert found.change is not None  # noqa: S101 (see why_not)
            return await rehearse(stage, found.change, asked, seconds, run.progress, rendered=rendered)


def _save(suggestion_id: str, done: Rehearsed, actor: str) -> dict[str, Any]:
    """In the store's thread: keep it, and say the suggestion anew."""
    from meshag_tui.advisor.rehearsed import rehearsed
    from meshag_tui.changes.rehearse import VERDICTS

    found, document = suggestions.get(suggestion_id), done.document()
    kept = rehearsals.save(
        found.connection_id,
        suggestion_id,
        kind="rewrite" if done.proof is not None else "change" if done.tried else "undo",
        actor=actor,
        verdict=done.outcome,
        found=document,
        samples=done.samples(),
        said=f"{found.title}: rehearsed, {done.outcome}",
    )
    row = rehearsals.get(kept)
    if done.tried or undoable(found):  # else what was measured of it with rows would be lost to its evidence
        suggestions.revise(suggestion_id, rehearsed(suggestions.bare(found), row.id, row.created_at, row.document))
    return {
        "rehearsal": kept,
        "verdict": done.outcome,
        "listed": len(done.tried),
        "failed": done.failed,
        **{name: done.counted(name) for name in VERDICTS},
    }


async def _asked(store: Store, settings: Settings, found: StoredSuggestion) -> list[Asked]:
    """The statements the suggestion is for, then others on its table, the dearest first."""
    seen = await look(store, found.connection_id, None)
    per_day = _DAY_MS / seen.window.span_ms if seen.window.span_ms > 0 else None
    known = [one for one in seen.workload if one.text is not None and one.text_state == "ok"]
    mains = [one for one in known if one.id in found.query_ids][:MOST_MAINS]
    rest = [one for one in known if one.id not in found.query_ids]
    others = [one for one in rest if _names(one, found)][: settings.rehearsal.others]
    if not mains and not others:
        raise MeshagError("No statement on its table is known with its text: sync, and look again")
    return [_one(one, True, per_day) for one in mains] + [_one(one, False, per_day) for one in others]


async def _server(store: Store, vault: Vault, settings: Settings) -> Named | None:
    """The server on which sandboxes are to be; None: a private one. UsageError: no connection is called so."""
    if not settings.rehearsal.server:
        return None
    info = await store(connections.find, settings.rehearsal.server)
    return Named(await store(connections.target, info.id, vault), settings.rehearsal.template)


def _names(one: QueryRow, found: StoredSuggestion) -> bool:
    """Whether a statement names the table: whoever looks closer finds out by running it."""
    return found.table is not None and bool(re.search(rf"\b{re.escape(found.table)}\b", one.text or "", re.IGNORECASE))


def _one(row: QueryRow, main: bool, per_day: float | None) -> Asked:
    from meshag_tui.changes.rehearse import Asked

    spent = None if per_day is None else row.total_time_ms * per_day
    return Asked(query_uid(row.id), row.text or "", main, row.calls, spent)


def _limits(settings: Settings) -> Limits:
    collect = settings.collect
    return Limits(collect.connect_timeout_s, settings.rehearsal.copy_s, collect.lock_timeout_ms)


def _copy_limits(settings: Settings) -> CopyLimits:
    wanted = settings.rehearsal
    return CopyLimits(wanted.rows, wanted.megabytes * 1024 * 1024, wanted.copy_s)


__all__: Sequence[str] = ("KIND", "RehearsalReview", "given", "review", "why_not", "workflow")
