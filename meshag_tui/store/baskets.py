"""Runs of several changes: which were agreed to together, and how far each run came.

A row is committed before the first change begins and before each further one, so that after a crash what was not begun
is known and can be offered again. What was begun is the journal's business (`changes`). All functions run in the
store's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from meshag_tui.store import activity, database, ids, models
from meshag_tui.store.documents import clean
from meshag_tui.types import SuggestionStatus


class RunState(StrEnum):
    """ENDED: all are done. STOPPED: one failed, or it was cancelled. TAKEN UP: what was left of it was offered."""

    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    TAKEN_UP = "taken up"


class Item(NamedTuple):
    """One of a run: its suggestion, what that is called, and waiting, begun, done or failed."""

    suggestion_id: str
    title: str
    state: str = "waiting"


@dataclass(frozen=True, slots=True)
class BasketRow:
    """One run. `owner` is the process that runs it (`workflows.owner`), `created_at` epoch ms."""

    id: str
    connection_id: str
    created_at: int
    actor: str
    owner: str
    state: RunState
    items: tuple[Item, ...]
    error: str | None


def begin(connection_id: str, items: Iterable[Item], *, actor: str, owner: str, plan_hash: str) -> str:
    """A run was agreed to; its id."""
    made = ids.new("bsk")
    entered = [list(each) for each in items]
    with database.durable():
        now = database.now_ms()
        models.Basket.create(
            id=made,
            connection=connection_id,
            created_at=now,
            updated_at=now,
            actor=actor,
            owner=owner,
            plan_hash=plan_hash,
            state=RunState.RUNNING,
            items=entered,
        )
        said = f"Agreed to {len(entered)} changes, one after the other"
        activity.record(actor, "basket.begun", said, connection=connection_id, subject=made)
    return made


def step(basket_id: str, suggestion_id: str, state: str) -> None:
    """One of a run begins, is done, or failed."""
    with database.durable():
        row = get(basket_id)
        items = [
            list(each._replace(state=state) if each.suggestion_id == suggestion_id else each) for each in row.items
        ]
        _update(basket_id, items=items)


def end(basket_id: str, error: str | None = None) -> None:
    """A run is over: all are done, or `error` says why the rest was not begun."""
    with database.durable():
        row = get(basket_id)
        left = sum(each.state == "waiting" for each in row.items)
        _update(
            basket_id, state=RunState.ENDED if error is None else RunState.STOPPED, error=clean(error or "") or None
        )
        said = f"{sum(each.state == 'done' for each in row.items)} of {len(row.items)} done"
        if error is not None:
            said += f", {left} not begun: {error}"
        activity.record(row.actor, "basket.ended", said, connection=row.connection_id, subject=basket_id)


def get(basket_id: str) -> BasketRow:
    """One run; it is there."""
    (found,) = _rows(models.Basket.select().where(models.Basket.id == basket_id))
    return found


def left(connection_id: str, is_dead: Callable[[str], bool], *, asked: bool = False) -> BasketRow | None:
    """The last run, if its process is gone and something of it was not begun and may still be applied: just that.

    Args:
        asked: somebody wants to know: also of a run that was stopped, or was offered before.
    """
    row, advice = models.Basket, models.Suggestion
    newest = row.select().where(row.connection == connection_id).order_by(row.id.desc()).limit(1)
    for found in _rows(newest):
        interrupted = found.state is RunState.RUNNING and is_dead(found.owner)
        if not interrupted and not (asked and found.state in (RunState.STOPPED, RunState.TAKEN_UP)):
            return None
        waiting = [each.suggestion_id for each in found.items if each.state == "waiting"]
        waiting += _not_in_the_journal(found)
        open_ = (SuggestionStatus.NEW, SuggestionStatus.REVIEWED)
        where = advice.id.in_(waiting) & advice.status.in_(open_) & advice.resolved_at.is_null()
        still = {each.id for each in advice.select(advice.id).where(where)}
        items = tuple(each for each in found.items if each.suggestion_id in still)
        return replace(found, items=items) if items else None
    return None


def _not_in_the_journal(found: BasketRow) -> list[str]:
    """What was about to begin when the process ended: nothing is written down of it, so nothing was done."""
    change = models.Change
    begun = [each.suggestion_id for each in found.items if each.state == "begun"]
    since = (change.created_at >= found.created_at) & change.suggestion.in_(begun)
    rows: Any = change.select(change.suggestion).where(since).tuples()
    written = {row[0] for row in rows}
    return [one for one in begun if one not in written]


def taken_up(basket_id: str) -> None:
    """What was left of it was offered to somebody, who decides."""
    with database.durable():
        _update(basket_id, state=RunState.TAKEN_UP)


def _update(basket_id: str, **columns: Any) -> None:
    row = models.Basket
    row.update(updated_at=database.now_ms(), **columns).where(row.id == basket_id).execute()


def _rows(query: Any) -> tuple[BasketRow, ...]:
    return tuple(
        BasketRow(
            id=row["id"],
            connection_id=row["connection"],
            created_at=row["created_at"],
            actor=row["actor"],
            owner=row["owner"],
            state=RunState(row["state"]),
            items=tuple(Item(*each) for each in row["items"]),
            error=row["error"],
        )
        for row in query.dicts()
    )
