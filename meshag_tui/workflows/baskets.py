"""Several suggestions in one run: looked at together, agreed to together, carried out one after the other.

How far a run came is written down as it goes, so that after a crash what was not begun is offered again. Each is a
change of its own in the journal, with its own gates asked again right before it; the first that fails, or
that a gate holds up, ends the run, and what comes after it is not begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from meshag_tui.engines import engine_for
from meshag_tui.store import baskets as runs
from meshag_tui.store.baskets import BasketRow
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.database import Store
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.types import Change, CreateIndex, MeshagError, Target
from meshag_tui.workflows.agreement import Agreements, estimated_bytes
from meshag_tui.workflows.owner import is_dead, this_process

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
    """Baskets shown in this process. See `Hands` for what its methods promise."""

    def __init__(self, store: Store, agreements: Agreements) -> None:
        self._store = store
        self._agreements = agreements
        self._shown: dict[str, tuple[Basket, float]] = {}

    async def review(self, suggestion_ids: Sequence[str]) -> Basket:
        from meshag_tui.changes.basket import Basket, Item, between

        wanted = await self._in_order(suggestion_ids)
        items: list[Item] = []
        before = 0  # bytes of those that run earlier: there must be room for all of them
        for one in wanted:
            try:
                items.append(Item(one, await self._agreements.review(one.suggestion_id, beside_bytes=before)))
            except MeshagError as error:
                raise MeshagError(f"{one.title} ({one.suggestion_id}): {error}") from error
            before += (one.size_bytes or 0) if isinstance(one.change, CreateIndex) else 0
        basket = Basket(tuple(items), between(wanted))
        self._shown[basket.plan_hash] = (basket, time.monotonic())
        return basket

    async def apply(
        self, plan_hash: str, actor: str, tell: Callable[[int, Wanted], None] | None, accept: Collection[str]
    ) -> Ran:
        from meshag_tui.changes.review import REVIEW_VALID_MS, check_unknown

        basket, made_at = self._shown.pop(plan_hash, (None, 0.0))
        if basket is None or time.monotonic() - made_at > REVIEW_VALID_MS / 1000:
            raise MeshagError("The review is too old: look at the statements again, the server has moved on")
        if basket.blocked_by:
            gate = basket.blocked_by[0]
            raise MeshagError(f"Not run: {gate.name} is {gate.value}, must be {gate.limit}. {gate.detail}".rstrip())
        check_unknown(basket.unknown, accept)
        entered = [runs.Item(item.wanted.suggestion_id, item.wanted.title) for item in basket.items]
        connection_id = basket.items[0].review.connection_id
        run_id = await self._store(
            runs.begin, connection_id, entered, actor=actor, owner=this_process(), plan_hash=plan_hash
        )
        try:
            ran = await self._run(run_id, basket, actor, tell, accept)
        except asyncio.CancelledError:
            await asyncio.shield(self._store(runs.end, run_id, "cancelled"))
            raise
        await self._store(runs.end, run_id, ran.error)
        return ran

    async def _run(
        self,
        run_id: str,
        basket: Basket,
        actor: str,
        tell: Callable[[int, Wanted], None] | None,
        accept: Collection[str],
    ) -> Ran:
        done: list[ChangeRow] = []
        for number, item in enumerate(basket.items):
            suggestion_id = item.wanted.suggestion_id
            if tell is not None:
                tell(number + 1, item.wanted)
            await self._store(runs.step, run_id, suggestion_id, "begun")
            try:
                done.append(await self._agreements.carry_out(suggestion_id, item.review, actor, accept))
            except MeshagError as error:
                await self._store(runs.step, run_id, suggestion_id, "failed")
                behind = tuple(each.wanted.suggestion_id for each in basket.items[number + 1 :])
                return Ran(tuple(done), suggestion_id, str(error), behind)
            await self._store(runs.step, run_id, suggestion_id, "done")
        return Ran(tuple(done))

    async def left(self, connection_id: str, *, asked: bool = False) -> BasketRow | None:
        """See `store.baskets.left`. Unasked it is offered once."""
        found = await self._store(partial(runs.left, connection_id, is_dead, asked=asked))
        if found is not None and not asked:
            await self._store(runs.taken_up, found.id)
        return found

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
        return migration(steps, engine.words, _without_user(target), up_name, down_name)

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
