"""The workflow `verify_change`: compare an applied change with the time before it, and act on what is found.

Its key is the change's id, its slot the time the look was due. What a look found, and the advice to take the change
back that follows from it, are one transaction. Only after that, and only on connections where somebody asked for it, a
change that makes things worse is undone by itself: through the same review, journal and gates as by hand, and not when
a gate warns of something that was not accepted when the change was agreed to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from meshag_tui.settings import Settings
from meshag_tui.store import changes, connections, database, outcomes, suggestions
from meshag_tui.store.database import Store
from meshag_tui.store.outcomes import OutcomeState
from meshag_tui.store.vault import Vault
from meshag_tui.types import ChangeState, MeshagError
from meshag_tui.workflows.durable import Run, Workflow
from meshag_tui.workflows.planning import plan_what_can_be

if TYPE_CHECKING:
    from meshag_tui.changes.verification import Look
    from meshag_tui.workflows.agreement import Agreements

KIND = "verify_change"
BY_ITSELF = "meshag (automatic)"
"""Who undoes a change on a connection where that was asked for."""
_LATER_MS = 3_600_000
_TOLD = (OutcomeState.BETTER, OutcomeState.WORSE, OutcomeState.INCONCLUSIVE)
_log = logging.getLogger("meshag.workflows")


def workflow(store: Store, vault: Vault, settings: Settings, agreements: Callable[[], Agreements]) -> Workflow:
    """The workflow function, bound to a store; `agreements` are what undoes a change. Input `by_hand`: somebody asks,
    who may do so after the last word."""

    async def verify_change(run: Run) -> Mapping[str, Any]:
        from meshag_tui.changes import verification

        found = dict(run.done.get("outcome", {}))
        if not found:
            targets, settled = await store.read(_asked_about, run.key)
            later = settled and bool(run.input.get("by_hand"))
            if later or not settled:
                async with run.phase("plan"):
                    await plan_what_can_be(store, vault, settings, targets)
            async with run.phase("compare"):
                look = await store.read(partial(verification.look, run.key, settings.verify, later=later))
            found = dict(await run.commit("outcome", lambda: _write(run.key, look, later=later)))
        if found["state"] == OutcomeState.WORSE and await store(_asked_for, run.key, settings):
            async with run.phase("undo"):
                found |= await run.step("undo", lambda: _undo(store, agreements(), run))
        return found

    return verify_change


def _asked_about(change_id: str) -> tuple[list[int], bool]:
    """The statements a change was made for, and whether the last word about it was spoken."""
    outcome = outcomes.get(change_id)
    if outcome is None:
        return [], False
    return [int(each) for each in outcome.forecast.get("query_ids", ())], outcome.settled


def _write(change_id: str, look: Look, *, later: bool = False) -> dict[str, Any]:
    """What was found, and what follows from it; in the step's transaction. `later`: beside the last word."""
    from meshag_tui.changes import take_back
    from meshag_tui.changes.record import ChangeRefused

    row, outcome, verdict = changes.get(change_id), outcomes.get(change_id), look.verdict
    if outcome is None or row.state is not ChangeState.DONE:  # undone while it was looked at
        return {"change": change_id, "state": str(row.state)}
    advised: dict[str, str] = {}
    wanted: dict[take_back.Rule, bool] = {"rollback-unused": look.unused}
    if outcome.settled:  # that was the last word: only the use of a made index is still watched
        result = {**outcome.result, "index": look.document["index"]}
        if later:
            result["later"] = {**look.document, "state": str(verdict.state), "at": database.now_ms()}
            if verdict.state in _TOLD:
                wanted["rollback-regression"] = verdict.state is OutcomeState.WORSE
        outcomes.save(change_id, result=result, next_look_at=look.next_look_at)
    else:
        wanted["rollback-regression"] = verdict.state is OutcomeState.WORSE
        outcomes.save(
            change_id,
            state=verdict.state,
            settled=look.settled,
            held=verdict.held if look.settled else None,
            saved_ms_per_day=None if verdict.saved is None else verdict.saved.value,
            result=look.document,
            next_look_at=look.next_look_at,
        )
    for rule, so in wanted.items():
        if not so:
            suggestions.withdraw(row.connection_id, take_back.identity(rule, row))
            continue
        try:
            made = take_back.advice(rule, row, outcome, look)
        except ChangeRefused as error:  # nothing puts it back
            _log.info("%s: %s", change_id, error)
            continue
        (advised[rule],) = suggestions.save(row.connection_id, [made]).ids
    kept = outcomes.get(change_id) or outcome
    return {
        "change": change_id,
        "state": str(kept.state),
        "settled": kept.settled,
        "said": (kept.result["later"] if later else kept.result).get("said"),
        "saved": kept.result.get("saved"),
        "advised": advised,
        "next_look_at": look.next_look_at,
    }


def _asked_for(change_id: str, settings: Settings) -> bool:
    """Whether a change that makes things worse is to be undone without asking, and may be: not one that was measured
    together with others, as nobody knows which of them it is."""
    row, outcome = changes.get(change_id), outcomes.get(change_id)
    info = connections.get(row.connection_id)
    if outcome is None or outcome.result.get("together"):
        return False
    return info.undo_worse and not info.read_only and not settings.read_only and row.state is ChangeState.DONE


async def _undo(store: Store, agreements: Agreements, run: Run) -> Mapping[str, Any]:
    """Undo it, once; what stands in the way is told, and left to a person."""
    from meshag_tui.changes.record import accepted

    try:
        row, reviewed = await agreements.review_undo(run.key)
        known = accepted(row)
        new = [each for each in (*reviewed.unknown, *reviewed.warned_by) if (each.name, each.state) not in known]
        for gate in (*reviewed.blocked_by, *new):
            raise MeshagError(f"{gate.name} is {gate.value}, should be {gate.limit}. {gate.detail}".rstrip())
        accept = [gate.name for gate in reviewed.unknown]
        undone = await agreements.undo(row.id, reviewed.plan_hash, BY_ITSELF, accept)
    except MeshagError as error:
        said = f"It was not undone by itself: {error}"
        await run.log("error", said)
        return {"undone": None, "not_undone": said}
    await run.log("info", f"undone by itself, as asked for: {undone.sql}")
    return {"undone": undone.id}


def postpone(change_id: str) -> None:
    """A look failed (in the store's thread): what is still done is looked at again in an hour."""
    if changes.get(change_id).state is ChangeState.DONE:
        outcomes.postpone(change_id, database.now_ms() + _LATER_MS)
    else:
        outcomes.end(change_id)
