"""From a review to a change: what was shown is what is agreed to, and what is agreed to is carried out.

A review is kept for a quarter of an hour under its hash and what it is about. Only a hash that was shown for just that
suggestion, or that undo, lets a change into the journal, from where the workflow `change_database` carries it out.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from meshag_tui.engines import engine_for
from meshag_tui.settings import Settings
from meshag_tui.store import changes, connections, history_objects, suggestions
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.database import Store, now_ms
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.store.vault import Vault
from meshag_tui.types import Change, ChangeState, ExecutionState, MeshagError, RestoreIndex, SuggestionStatus, Target
from meshag_tui.workflows import change
from meshag_tui.workflows.durable import Runner
from meshag_tui.workflows.notices import Changed, Notices
from meshag_tui.workflows.planning import plan_what_can_be
from meshag_tui.workflows.sync import limits

if TYPE_CHECKING:
    from meshag_tui.changes.review import Review
    from meshag_tui.engines.base import Limits


_PATIENCE_S = 10.0


class Agreements:
    """Reviews made in this process, and the changes that come of them. See `Hands` for what its methods promise."""

    def __init__(
        self, store: Store, vault: Vault, settings: Settings, runner: Runner, notices: Notices, actor: str
    ) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._runner = runner
        self._notices = notices
        self._actor = actor  # who looks at reviews here
        self._shown: dict[tuple[str, str], tuple[Review, float]] = {}

    async def review(self, suggestion_id: str, *, beside_bytes: int = 0) -> Review:
        """`beside_bytes`: what others take that run before it."""
        found, wanted = await self.applicable(suggestion_id)
        if (undoes := _undoes(found)) is not None:
            return (await self._reviewed_undo(undoes, suggestion_id))[1]
        size = estimated_bytes(found)
        size = None if size is None else size + beside_bytes
        return await self._review(found.connection_id, wanted, suggestion_id, size, suggestion_id=suggestion_id)

    async def apply(self, suggestion_id: str, plan_hash: str, actor: str, accept: Collection[str]) -> ChangeRow:
        return await self.carry_out(suggestion_id, self._agreed(suggestion_id, plan_hash), actor, accept)

    async def carry_out(self, suggestion_id: str, reviewed: Review, actor: str, accept: Collection[str]) -> ChangeRow:
        """Apply a suggestion by a review of it that was agreed to, of several perhaps some time ago."""
        found, wanted = await self.applicable(suggestion_id)
        if reviewed.change != wanted:
            raise MeshagError("The suggestion says something else by now: look at it again")
        undoes = _undoes(found)
        size = estimated_bytes(found) if undoes is None else reviewed.estimated_bytes
        return await self._carry_out(reviewed, actor, suggestion_id, accept, estimated_bytes=size, undoes=undoes)

    async def target_of(self, suggestion_id: str) -> Target:
        """The server that a suggestion is about."""
        found = await self._store(suggestions.get, suggestion_id)
        return await self._store(connections.target, found.connection_id, self._vault)

    @property
    def limits(self) -> Limits:
        return limits(self._settings.collect)

    async def review_undo(self, change_or_suggestion_id: str) -> tuple[ChangeRow, Review]:
        row = await self._change_of(change_or_suggestion_id)
        return await self._reviewed_undo(row.id, row.id)

    async def _reviewed_undo(self, change_id: str, about: str) -> tuple[ChangeRow, Review]:
        """`about`: the change, or the suggestion that asks for it to be undone."""
        from meshag_tui.changes.undo import check_same, inverse

        row = await self._store(changes.get, change_id)
        undoing = inverse(row)
        size = None
        if isinstance(undoing, RestoreIndex):
            where = (undoing.schema, undoing.table, undoing.name)
            size = await self._store.read(history_objects.last_size, row.connection_id, *where)
        reviewed = await self._review(row.connection_id, undoing, about, size)
        check_same(row, reviewed)
        return row, reviewed

    async def undo(self, change_id: str, plan_hash: str | None, actor: str, accept: Collection[str] = ()) -> ChangeRow:
        if plan_hash is None:
            row, reviewed = await self.review_undo(change_id)
        else:
            row = await self._change_of(change_id)
            reviewed = self._agreed(row.id, plan_hash)
        size = reviewed.estimated_bytes
        return await self._carry_out(reviewed, actor, row.suggestion_id, accept, estimated_bytes=size, undoes=row.id)

    async def applicable(self, suggestion_id: str) -> tuple[StoredSuggestion, Change]:
        """A suggestion with what it asks for. Raises MeshagError where that is nothing, or is done."""
        found = await self._store(suggestions.get, suggestion_id)
        if found.change is None and found.sql is not None:
            raise MeshagError("MeshAG does not run this statement itself: it is shown to be run by hand")
        if found.change is None:
            raise MeshagError("This suggestion is for the application or a person: there is no statement to run")
        if found.status is SuggestionStatus.APPLIED:
            raise MeshagError(f"{suggestion_id} is applied already: meshag undo {suggestion_id} puts it back")
        if found.status is SuggestionStatus.DISMISSED:
            raise MeshagError(f"{suggestion_id} was dismissed: meshag review {suggestion_id} takes it up again")
        return found, found.change

    async def _review(
        self,
        connection_id: str,
        wanted: Change,
        about: str,
        estimated_bytes: int | None,
        *,
        suggestion_id: str | None = None,
    ) -> Review:
        """`suggestion_id`: the one that is to be applied; None for what puts a change back."""
        from meshag_tui.changes.house_rules import house_rules
        from meshag_tui.changes.review import REVIEW_VALID_MS, review

        await self._check_writable(connection_id)
        await self._look_after(connection_id)
        made_at = await self._store(now_ms)
        target = await self._store(connections.target, connection_id, self._vault)
        made = await review(
            engine_for(target.db_type),
            target,
            limits(self._settings.collect),
            connection_id,
            wanted,
            made_at=made_at,
            estimated_bytes=estimated_bytes,
            rules=await self._store(
                house_rules, self._settings, connection_id, suggestion_id, self._actor, undoes=suggestion_id is None
            ),
        )
        now = time.monotonic()
        self._shown = {key: kept for key, kept in self._shown.items() if now - kept[1] < REVIEW_VALID_MS / 1000}
        self._shown[about, made.plan_hash] = (made, now)
        return made

    async def _check_writable(self, connection_id: str) -> None:
        if self._settings.read_only:
            raise MeshagError("MeshAG runs read-only: start it without --read-only to change a database")
        info = await self._store(connections.get, connection_id)
        if info.read_only:
            raise MeshagError(f"{info.name} is marked read-only: meshag connections edit {info.name} --writable")

    async def _look_after(self, connection_id: str) -> None:
        """Before anything new: what became of changes that another process left, or that nobody could judge yet."""
        for row in await self._store(change.left_behind, connection_id):
            asking = self._runner.submit(change.KIND, row.id, connection_id=connection_id, input=change.LEFT)
            with contextlib.suppress(TimeoutError):  # it goes on without us: the server may be at it for hours
                await asyncio.wait_for(asking, _PATIENCE_S)

    def _agreed(self, about: str, plan_hash: str) -> Review:
        from meshag_tui.changes.review import REVIEW_VALID_MS

        reviewed, made_at = self._shown.get((about, plan_hash), (None, 0.0))
        if reviewed is None or time.monotonic() - made_at > REVIEW_VALID_MS / 1000:
            raise MeshagError("The review is too old: look at the statement again, the server has moved on")
        return reviewed

    async def _carry_out(
        self,
        reviewed: Review,
        actor: str,
        suggestion_id: str | None,
        accept: Collection[str],
        *,
        estimated_bytes: int | None = None,
        undoes: str | None = None,
    ) -> ChangeRow:
        from meshag_tui.changes.apply import enter
        from meshag_tui.changes.record import never_begun
        from meshag_tui.changes.review import check_unknown

        check_unknown(reviewed.unknown, accept)
        await self._check_writable(reviewed.connection_id)
        if undoes is None and suggestion_id is not None:  # how its statements are planned without it
            found = await self._store(suggestions.get, suggestion_id)
            await plan_what_can_be(self._store, self._vault, self._settings, found.query_ids)
        row = await self._store(
            enter,
            reviewed.change,
            reviewed,
            actor=actor,
            estimated_bytes=estimated_bytes,
            suggestion_id=suggestion_id,
            undoes=undoes,
        )
        self._shown = {key: kept for key, kept in self._shown.items() if key[1] != reviewed.plan_hash}
        outcome = await self._runner.submit(change.KIND, row.id, connection_id=row.connection_id)
        if outcome.state is not ExecutionState.DONE:
            await self._store(never_begun, row.id)
        self._notices.publish(Changed("changes", row.connection_id))
        self._notices.publish(Changed("suggestions", row.connection_id))
        outcome.value()
        return await self._store(changes.get, row.id)

    async def _change_of(self, change_or_suggestion_id: str) -> ChangeRow:
        """The change of this id, or the last one done for this suggestion."""
        if change_or_suggestion_id.startswith("chg_"):
            return await self._store(changes.get, change_or_suggestion_id)
        for row in await self._store(changes.listing, suggestion_id=change_or_suggestion_id):
            if row.undoes is None and row.state is ChangeState.DONE:
                return row
        raise MeshagError(f"Nothing was applied for {change_or_suggestion_id} that could be undone")


def _undoes(found: StoredSuggestion) -> str | None:
    """The change that a suggestion asks to be taken back."""
    undoes = found.evidence.get("undoes")
    return undoes if isinstance(undoes, str) else None


def estimated_bytes(found: StoredSuggestion) -> int | None:
    size = found.evidence.get("size_bytes")
    return int(size) if isinstance(size, (int, float)) else None
