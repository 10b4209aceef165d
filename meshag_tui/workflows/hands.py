"""The hands of MeshAG, as screens and command line use them: look at a change, apply, verify and undo it, rehearse it.

Nothing runs that was not shown just before: each method that does something is given the hash of what its `review`
showed. The work itself is done by workflows, which outlive whoever asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from meshag_tui.changes import ending as ends
from meshag_tui.changes import resetting
from meshag_tui.settings import Settings
from meshag_tui.store import changes, connections, outcomes, rehearsals
from meshag_tui.store.baskets import BasketRow
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.database import Store
from meshag_tui.store.outcomes import ChangeOutcome
from meshag_tui.store.rehearsals import RehearsalRow
from meshag_tui.store.vault import Vault
from meshag_tui.types import MeshagError
from meshag_tui.workflows import rehearsal, sync, verify
from meshag_tui.workflows.agreement import Agreements
from meshag_tui.workflows.baskets import Baskets, Ran
from meshag_tui.workflows.durable import Runner
from meshag_tui.workflows.notices import Changed, Notices, Progress
from meshag_tui.workflows.rehearsal import RehearsalReview
from meshag_tui.workflows.rights import needs
from meshag_tui.workflows.sync import limits

if TYPE_CHECKING:
    from meshag_tui.changes.basket import Basket, Wanted
    from meshag_tui.changes.ending import EndReview
    from meshag_tui.changes.migration import Migration
    from meshag_tui.changes.resetting import ResetReview
    from meshag_tui.changes.review import Review
    from meshag_tui.live import Ended, Ending


class Hands:
    """Reviews made in this process, and what comes of them; `actor` does what is not said to be done by another."""

    def __init__(
        self, store: Store, vault: Vault, settings: Settings, runner: Runner, notices: Notices, actor: str
    ) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._runner = runner
        self._notices = notices
        self._actor = actor
        self.agreements = Agreements(store, vault, settings, runner, notices, actor)
        self._baskets = Baskets(store, self.agreements)
        self._reviewed: dict[tuple[str, str], RehearsalReview] = {}

    async def review(self, suggestion_id: str) -> Review:
        """What applying a suggestion would run, where, its gates and its undo; nothing is run.

        Raises:
            MeshagError: there is nothing to run, or this connection must not be changed.
        """
        return await self.agreements.review(suggestion_id)

    @needs("apply")
    async def apply(
        self, suggestion_id: str, plan_hash: str, actor: str | None = None, accept: Collection[str] = ()
    ) -> ChangeRow:
        """Run what `review` showed, by its hash. Returns the journal row, DONE.

        Args:
            accept: names of gates whose value is unknown, that somebody goes on without.

        Raises:
            ChangeRefused: a gate's value is unknown, and that was not accepted.
            RunFailed: a gate blocks, or the server failed it; nothing half-made is left, or the text says what is.
        """
        return await self.agreements.apply(suggestion_id, plan_hash, actor or self._actor, accept)

    async def review_basket(self, suggestion_ids: Sequence[str]) -> Basket:
        """What applying several suggestions of one connection would run, in order, and what speaks against it.

        Raises:
            MeshagError: one of them has nothing to run or cannot be looked at; the text names it.
        """
        return await self._baskets.review(suggestion_ids)

    @needs("apply")
    async def apply_basket(
        self,
        plan_hash: str,
        actor: str | None = None,
        tell: Callable[[int, Wanted], None] | None = None,
        accept: Collection[str] = (),
    ) -> Ran:
        """Run what `review_basket` showed, by its hash, one after the other; the first that fails ends it.

        Args:
            tell: is called with number and change before each begins.
            accept: see `apply`; for all of them.
        """
        return await self._baskets.apply(plan_hash, actor or self._actor, tell, accept)

    async def left_of_basket(self, connection_id: str, *, asked: bool = False) -> BasketRow | None:
        """What was not begun of the last run of several, as MeshAG was killed; told once. None: nothing.

        Args:
            asked: somebody wants to know: told again, and also of a run in which one failed, or that was cancelled.
        """
        return await self._baskets.left(connection_id, asked=asked)

    async def migration(self, suggestion_ids: Sequence[str], up_name: str, down_name: str) -> Migration:
        """The statements of several suggestions, and what puts them back, as the texts of two files; nothing is run."""
        return await self._baskets.migration(suggestion_ids, up_name, down_name)

    async def review_undo(self, change_or_suggestion_id: str) -> tuple[ChangeRow, Review]:
        """What undoing would run: the change that would be put back, and its review."""
        return await self.agreements.review_undo(change_or_suggestion_id)

    @needs("apply")
    async def undo(
        self, change_id: str, plan_hash: str | None = None, actor: str | None = None, accept: Collection[str] = ()
    ) -> ChangeRow:
        """Put back what a change did; with `plan_hash`, exactly what `review_undo` showed. Returns the new row.

        Args:
            accept: see `apply`.
        """
        return await self.agreements.undo(change_id, plan_hash, actor or self._actor, accept)

    @needs("analyze")
    async def verify(self, change_id: str) -> ChangeOutcome:
        """Compare an applied change with the time before it now, and return what is known of it.

        After the last word a later window is compared: what it says is the result's "later".

        Raises:
            RunFailed: it is not done, or nothing was forecast of it.
        """
        row = await self._store(changes.get, change_id)
        outcome = await self._runner.submit(
            verify.KIND, change_id, connection_id=row.connection_id, input={"by_hand": True}
        )
        for topic in ("changes", "suggestions"):
            self._notices.publish(Changed(topic, row.connection_id))
        outcome.value()
        found = await self._store(outcomes.get, change_id)
        assert found is not None  # noqa: S101 (it was just written)
        return found

    async def review_rehearsal(self, suggestion_id: str, structure: bool = False) -> RehearsalReview:
        """What rehearsing a suggestion would read of the watched server and run in a sandbox; no row is read yet, and
        none at all with `structure`: then the change is made and taken back in a sandbox without rows.

        Raises:
            MeshagError: it cannot be rehearsed; the text says why.
        """
        made = await rehearsal.review(self._store, self._vault, self._settings, suggestion_id, structure)
        self._reviewed[suggestion_id, made.hash] = made
        return made

    @needs("sandbox")
    async def rehearse(
        self, suggestion_id: str, agreed: str, progress: Callable[[Progress], None] | None = None
    ) -> RehearsalRow:
        """Do what `review_rehearsal` showed, by its hash, and return what was measured.

        Raises:
            RunFailed: it could not be done, or was cancelled; nothing of the sandbox is left.
        """
        made = self._reviewed.pop((suggestion_id, agreed), None)
        if made is None:
            raise MeshagError("What would be read was not shown just now: look at it again")
        given = rehearsal.given(made, self._actor)
        with self._notices.progress_of(rehearsal.KIND, made.connection_id, progress):
            outcome = await self._runner.submit(
                rehearsal.KIND, suggestion_id, connection_id=made.connection_id, input=given
            )
        self._notices.publish(Changed("suggestions", made.connection_id))
        return await self._store(rehearsals.get, str(outcome.value()["rehearsal"]))

    async def review_end(self, connection_id: str, ending: Ending) -> EndReview:
        """What stopping a session would run; nothing is run. MeshagError: it must not be stopped from here."""
        info = await self._store(connections.get, connection_id)
        return ends.review(info, ending, read_only=self._settings.read_only)

    @needs("apply")
    async def end_session(self, connection_id: str, shown: EndReview, actor: str | None = None) -> Ended:
        """Run what `review_end` showed, if the session still is what was seen; journalled.

        Raises:
            MeshagError: it was refused by the server, or something else was shown.
        """
        now = await self.review_end(connection_id, shown.ending)
        if now.hash != shown.hash:
            raise MeshagError("What would run is not what was shown: look at it again")
        info = await self._store(connections.get, connection_id)
        within = limits(self._settings.collect)
        return await ends.end(self._store, self._vault, within, info, shown, actor or self._actor)

    async def review_reset(self, connection_id: str) -> ResetReview:
        """What resetting the server's statement counters would run; nothing is run.

        Raises:
            MeshagError: it cannot be done from here; for a missing right with its `fix`.
        """
        info = await self._store(connections.get, connection_id)
        within = limits(self._settings.collect)
        return await resetting.review(self._store, self._vault, within, info, read_only=self._settings.read_only)

    @needs("apply")
    async def reset_statistics(self, shown: ResetReview, actor: str | None = None) -> None:
        """Run what `review_reset` showed, with a sync before it and one after; journalled.

        Raises:
            MeshagError: the server could not be read, and nothing was reset; or it refused.
        """
        info = await self._store(connections.get, shown.connection_id)
        within = limits(self._settings.collect)
        await self._sync(info.id)
        await resetting.reset(self._store, self._vault, within, info, shown, actor or self._actor)
        await self._sync(info.id)

    async def _sync(self, connection_id: str) -> None:
        given = {"by_hand": True}
        outcome = await self._runner.submit(sync.KIND, connection_id, connection_id=connection_id, input=given)
        outcome.value()
        self._notices.publish(Changed("statistics", connection_id))
