"""Several suggestions in one run: looked at together, agreed to together, carried out one after the other.

Each is a change of its own in the journal, with its own gates asked again right before it; the first that fails, or
that a gate holds up, ends the run, and what comes after it is not begun.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.engines import engine_for
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import Change, MeshagError, Target
from meshag_tui.workflows.agreement import Agreements, estimated_bytes

if TYPE_CHECKING:
    from meshag_tui.changes.basket import Basket, Wanted
    from meshag_tui.changes.migration import Migration


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run: the changes that are done, and of the one that ended it what was wrong.

    `not_begun` are the ids of the suggestions behind that one.
    """

    done: tuple[ChangeRow, ...]
    failed: str | None = None  # id of the suggestion
    error: str | None = None
    not_begun: tuple[str, ...] = ()


class Baskets:
    """Baskets shown in this process. See `Workbench` for what its methods promise."""

    def __init__(self, agreements: Agreements) -> None:
        self._agreements = agreements
        self._shown: dict[str, tuple[Basket, float]] = {}

    async def review(self, suggestion_ids: Sequence[str]) -> Basket:
        from meshag_tui.changes.basket import Basket, Item, between

        wanted = await self._in_order(suggestion_ids)
        items = []
        for one in wanted:
            try:
                items.append(Item(one, await self._agreements.review(one.suggestion_id)))
            except MeshagError as error:
                raise MeshagError(f"{one.title} ({one.suggestion_id}): {error}") from error
        basket = Basket(tuple(items), between(wanted))
        self._shown[basket.plan_hash] = (basket, time.monotonic())
        return basket

    async def apply(self, plan_hash: str, actor: str, tell: Callable[[int, Wanted], None] | None = None) -> Ran:
        from meshag_tui.changes.review import REVIEW_VALID_MS

        basket, made_at = self._shown.pop(plan_hash, (None, 0.0))
        if basket is None or time.monotonic() - made_at > REVIEW_VALID_MS / 1000:
            raise MeshagError("The review is too old: look at the statements again, the server has moved on")
        if basket.blocked_by:
            gate = basket.blocked_by[0]
            raise MeshagError(f"Not run: {gate.name} is {gate.value}, must be {gate.limit}. {gate.detail}".rstrip())
        done: list[ChangeRow] = []
        for number, item in enumerate(basket.items):
            if tell is not None:
                tell(number + 1, item.wanted)
            try:
                done.append(await self._agreements.carry_out(item.wanted.suggestion_id, item.review, actor))
            except MeshagError as error:
                behind = tuple(each.wanted.suggestion_id for each in basket.items[number + 1 :])
                return Ran(tuple(done), item.wanted.suggestion_id, str(error), behind)
        return Ran(tuple(done))

    async def migration(self, suggestion_ids: Sequence[str], up_name: str, down_name: str) -> Migration:
        from meshag_tui.changes.basket import between
        from meshag_tui.changes.migration import Step, migration

        wanted = await self._in_order(suggestion_ids)
        blocked = [gate for gate in between(wanted) if gate.state == "block"]
        if blocked:
            raise MeshagError(f"{blocked[0].name}: {blocked[0].value}. {blocked[0].detail}")
        target = await self._agreements.target_of(wanted[0].suggestion_id)
        engine = engine_for(target.db_type)
        steps = []
        async with engine.connect(target, "review", self._agreements.limits) as session:
            for one in wanted:
                steps.append(Step(one.title, await session.render(one.change)))
        return migration(steps, engine.words.dialect, _without_user(target), up_name, down_name)

    async def _in_order(self, suggestion_ids: Sequence[str]) -> tuple[Wanted, ...]:
        from meshag_tui.changes.basket import in_order

        found = [await self._agreements.applicable(each) for each in dict.fromkeys(suggestion_ids)]
        if not found:
            raise MeshagError("Nothing is marked")
        if len({suggestion.connection_id for suggestion, _ in found}) > 1:
            raise MeshagError("They are of several connections: take those of one")
        return in_order([_wanted(suggestion, change) for suggestion, change in found])


def _wanted(found: StoredSuggestion, change: Change) -> Wanted:
    from meshag_tui.changes.basket import Wanted

    kept = found.evidence.get("kept")
    return Wanted(found.id, found.title, change, estimated_bytes(found), kept if isinstance(kept, str) else None)


def _without_user(target: Target) -> str:
    return f"{target.database or 'all databases'} on {target.host}:{target.port}"
