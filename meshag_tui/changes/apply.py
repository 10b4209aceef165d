"""Carry out one reviewed change, once, and judge it by the catalogue.

In: a journal row made from a review the DBA said yes to. Out: the row in a final state, or unknown for as long as the
server cannot say. Every step is committed to the journal before its side effect, so whoever picks the row up after a
crash looks at the server first: `carry_out` may be called again at any time and never issues a statement whose outcome
is unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from meshag_tui.changes import record
from meshag_tui.changes.house_rules import NO_RULES, HouseRules
from meshag_tui.changes.record import ChangeRefused
from meshag_tui.changes.review import Review, review_with
from meshag_tui.changes.undo import inverse_of
from meshag_tui.changes.verdict import verdict
from meshag_tui.changes.watch import watched
from meshag_tui.engines.base import DdlSession, Engine, EngineError, Gate, Limits, LockTimeout, RenderedChange
from meshag_tui.store import changes as journal
from meshag_tui.store.changes import ChangeRow, MovedElsewhere
from meshag_tui.store.database import Store
from meshag_tui.types import Change, ChangeState, CreateIndex, Reindex, RestoreIndex, Target

LOCK_ATTEMPTS = 5
CLEAN_ATTEMPTS = 3
POLL_S = 1.0
_CANCELLED = "Cancelled"

Say = Callable[[str, str], Awaitable[None]]
"""Where progress goes: (level, message)."""


def enter(
    change: Change,
    reviewed: Review,
    *,
    actor: str,
    estimated_bytes: int | None = None,
    suggestion_id: str | None = None,
    undoes: str | None = None,
) -> ChangeRow:
    """Enter an agreed review in the journal (in the store's thread): nothing has happened to the database yet."""
    return record.planned(
        reviewed.connection_id,
        change,
        reviewed.sql,
        actor=actor,
        plan_hash=reviewed.plan_hash,
        target={
            "catalogue": dict(reviewed.catalogue),
            "estimated_bytes": estimated_bytes,
            "reviewed_at": reviewed.made_at,
        },
        undo_sql=reviewed.undo_sql,
        gates=_documents(reviewed.gates),
        suggestion_id=suggestion_id,
        undoes=undoes,
    )


async def _no() -> bool:
    return False


async def carry_out(
    store: Store,
    engine: Engine,
    target: Target,
    limits: Limits,
    change_id: str,
    say: Say,
    stop_wanted: Callable[[], Awaitable[bool]] = _no,
    rules: HouseRules = NO_RULES,
) -> ChangeRow:
    """Bring a journalled change to its end and return its row; a row that has ended is returned as it is.

    A row begun by a process that died is reconciled with the server, never run again. When the task is cancelled,
    `stop_wanted` says whether the user cancelled the change: then the statement is cancelled on the server and what it
    left is removed. Otherwise MeshAG is ending, and the server goes on; the next process asks it what became of it.

    Raises:
        ChangeRefused: a gate blocks, or the object is no longer as it was reviewed; the row is failed.
        EngineError: the server failed it. The row is failed and nothing half-made of ours is left, or it is unknown
            and its error says why.
    """
    row = await store(journal.get, change_id)
    if row.state not in record.OPEN | record.BEGUN:
        return row
    try:
        async with engine.connect_for_change(target, limits) as hands:
            work = _Work(store, engine, target, limits, hands, say, stop_wanted, rules)
            try:
                return await (work.reconcile(row) if row.state in record.BEGUN else work.run(row))
            except asyncio.CancelledError:
                await asyncio.shield(work.after_cancel(change_id))
                raise
    except asyncio.CancelledError:
        await asyncio.shield(store(record.never_begun, change_id))
        raise
    except (EngineError, ChangeRefused, MovedElsewhere) as error:
        await _note_failure(store, change_id, error)
        raise


@dataclass
class _Work:
    """One change in work over one session."""

    store: Store
    engine: Engine
    target: Target
    limits: Limits
    hands: DdlSession
    say: Say
    stop_wanted: Callable[[], Awaitable[bool]]
    rules: HouseRules
    detached: bool = False  # the server goes on without us

    # ------------------------------------------------------------------ running

    async def run(self, row: ChangeRow) -> ChangeRow:
        """Look again, run the statement, again after a lock time-out, and let the catalogue say what came of it."""
        row, rendered = await self._check_again(row)
        row = await self.store(record.begun, row.id, self.hands.backend_pid, self.hands.backend_start)
        for attempt in range(1, LOCK_ATTEMPTS + 1):
            row = await self.store(record.attempt, row.id, attempt)
            await self.say("info", rendered.sql)
            try:
                await self._send(row, rendered)
                break
            except LockTimeout as error:
                await self.say("warning", f"attempt {attempt} of {LOCK_ATTEMPTS}: {error}")
                if attempt == LOCK_ATTEMPTS:
                    return await self._failed(row, rendered, error)
                await self._remove_leftover(row.change, rendered)
            except EngineError as error:
                return await self._failed(row, rendered, error)
            await asyncio.sleep(_pause_s(attempt))
        row = await self.store(record.verifying, row.id)
        return await self._judge(row, rendered, None)

    async def _check_again(self, row: ChangeRow) -> tuple[ChangeRow, RenderedChange]:
        """Look once more, immediately before running: the world may have changed since the DBA looked."""
        estimated = row.target.get("estimated_bytes")
        now, rendered = await review_with(
            self.hands, self.engine, self.target, self.limits, row.connection_id, row.change, estimated, self.rules
        )
        gates = _documents(now.gates)
        reason = refusal(now, row.plan_hash, record.accepted(row))
        if reason is not None:
            await self.store(record.failed, row.id, reason, gates)
            raise ChangeRefused(reason)
        return await self.store(record.gated, row, gates), rendered

    async def _send(self, row: ChangeRow, rendered: RenderedChange) -> None:
        """Send the statement and wait for its end, telling meanwhile where the server is with it."""

        async def seen(oid: int) -> None:
            await self.store(record.making, row.id, oid)

        async with watched(self.engine, self.target, self.limits, self.hands.backend_pid, row.change, self.say, seen):
            sending = asyncio.ensure_future(self.hands.run(row.change, rendered.sql))
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                if await asyncio.shield(self.stop_wanted()):
                    sending.cancel()  # the session cancels the statement on the server
                elif not sending.done():
                    self.detached = True
                    await self.hands.close()
                await asyncio.wait({sending})
                if not sending.cancelled():
                    sending.exception()
                raise

    async def _failed(self, row: ChangeRow, rendered: RenderedChange, error: EngineError) -> ChangeRow:
        """The server failed it: leave nothing half-made. An error that reached us after it was made is no failure."""
        row = await self.store(record.verifying, row.id, f"The server failed it: {error}")
        try:
            row = await self._judge(row, rendered, str(error))
        except EngineError as lost:
            raise error from lost
        if row.state is ChangeState.DONE:
            return row
        raise error

    # ------------------------------------------------------------------ judging

    async def _judge(self, row: ChangeRow, rendered: RenderedChange, reason: str | None) -> ChangeRow:
        """The end, from the catalogue and never from the command's tag. `reason`: what we know of a failure."""
        found = await self._settled(row.change, rendered)
        if found == "partial" and (reason != _CANCELLED or isinstance(row.change, RestoreIndex)):
            await self.hands.run(row.change, rendered.sql)
            found = await self._settled(row.change, rendered)
        left = found == "invalid" and isinstance(row.change, CreateIndex | RestoreIndex | Reindex)
        if left and await self._clean_up(row.change, rendered):
            left, found = False, await self._settled(row.change, rendered)
        if found in ("done", "partial"):
            await self.say("info", "the catalogue confirms it")
            return await self.store(record.done, row.id, await self._made(row.change, rendered))
        error = verdict(row, found, reason, self.engine.words)
        if not left:
            await self.say("error", error)
            return await self.store(record.failed, row.id, error)
        if row.target.get("making") is None and row.backend_pid != self.hands.backend_pid:
            await self.say("error", error)  # nobody saw our session make it: a person must decide
            return await self.store(record.failed, row.id, error)
        error += "; transactions that use the table keep it from being removed: MeshAG will try again"
        await self.say("warning", error)
        return await self.store(record.unknown, row.id, error)

    async def _settled(self, change: Change, rendered: RenderedChange) -> str:
        while (found := await self.hands.verify(change, rendered)) == "running":
            await self.say("info", "still at work on the server")
            await asyncio.sleep(POLL_S)
        return found

    async def _clean_up(self, change: Change, rendered: RenderedChange) -> bool:
        for attempt in range(1, CLEAN_ATTEMPTS + 1):
            if await self._remove_leftover(change, rendered):
                return True
            if attempt < CLEAN_ATTEMPTS:
                await asyncio.sleep(_pause_s(attempt))
        return False

    async def _remove_leftover(self, change: Change, rendered: RenderedChange) -> bool:
        """A build that failed may leave an invalid index (PostgreSQL) that costs writes and serves nobody."""
        removed = await self.hands.verify(change, rendered) == "invalid" and await self.hands.clean_up(change, rendered)
        if removed:
            await self.say("info", "removed the invalid leftover")
        return removed

    async def _made(self, change: Change, rendered: RenderedChange) -> Mapping[str, Any] | None:
        """What is there now of a made index, so that undoing can tell whether it still is that index."""
        undoing = inverse_of(change, rendered.target)
        if undoing is None:
            return None
        try:
            async with self.engine.connect(self.target, "review", self.limits) as session:
                return dict((await session.render(undoing)).target)
        except EngineError as error:
            await self.say("warning", f"it could not be looked at once more: {error}")
            return None

    # ------------------------------------------------------------------ after a crash

    async def reconcile(self, row: ChangeRow) -> ChangeRow:
        """A process died while this ran: adopt what the server is still doing, then judge. Nothing is issued again."""
        found = f"Found {row.state} from an earlier session ({row.backend_pid} on the server): asking the server"
        await self.say("warning", found)
        row = await self.store(record.verifying, row.id, found)
        await self._adopt(row)
        return await self._judge(row, _rendered(row), "MeshAG was stopped while it ran")

    async def _adopt(self, row: ChangeRow, stop: bool = False) -> None:
        """Wait for an earlier session of ours to end what it does, or `stop` it; from then on ours stands in for it."""
        if row.backend_pid is None or row.backend_start is None:
            return
        backend_pid, backend_start = row.backend_pid, row.backend_start
        making: int | None = row.target.get("making")

        async def seen(oid: int) -> None:
            nonlocal making
            making = oid
            await self.store(record.making, row.id, oid)

        if await self.hands.adopt(backend_pid, backend_start, making):
            if stop:
                await self.hands.stop_adopted()
            async with watched(self.engine, self.target, self.limits, backend_pid, row.change, self.say, seen):
                while True:
                    await asyncio.sleep(POLL_S)
                    if not await self.hands.adopt(backend_pid, backend_start, making):
                        break

    # ------------------------------------------------------------------ cancelled

    async def after_cancel(self, change_id: str) -> None:
        """The task was cancelled: by the user, who wants it gone, or because MeshAG is ending."""
        row = await self.store(journal.get, change_id)
        if row.state not in record.BEGUN or self.detached or not await self.stop_wanted():
            return
        if row.state is not ChangeState.VERIFYING:
            row = await self.store(record.verifying, change_id, "Cancelled: asking the catalogue")
        try:
            try:
                if row.backend_pid != self.hands.backend_pid:
                    await self._adopt(row, stop=True)
                await self._judge(row, _rendered(row), _CANCELLED)
            except EngineError:
                # What was cancelled was a look at the catalogue, and the session went with the answer.
                async with self.engine.connect_for_change(self.target, self.limits) as self.hands:
                    await self._adopt(row, stop=True)
                    await self._judge(row, _rendered(row), _CANCELLED)
        except EngineError as error:
            await _note_failure(self.store, change_id, error)


def refusal(now: Review, agreed_hash: str, accepted: Collection[tuple[str, str]]) -> str | None:
    """Why a review made now does not let through what was agreed to, or None. `accepted`: see `record.accepted`."""
    if now.plan_hash != agreed_hash:
        return "The object has changed since it was reviewed: open the suggestion again and look at the new statement"
    new = [gate for gate in (*now.unknown, *now.warned_by) if (gate.name, gate.state) not in accepted]
    for gate in (*now.blocked_by, *new):
        must = "should be" if gate.state == "warn" else "must be"
        said = f"Not run: {gate.name} is {gate.value}, {must} {gate.limit}. {gate.detail}".rstrip()
        return said if gate.state == "block" else f"{said}; that was not so when it was reviewed: look again"
    return None


async def _note_failure(store: Store, change_id: str, error: Exception) -> None:
    """FAILED when nothing was sent; UNKNOWN when something was and the catalogue could not be asked."""
    row = await store(journal.get, change_id)
    if row.state in record.OPEN:
        await store(record.failed, change_id, str(error))
    elif row.state in (ChangeState.RUNNING, ChangeState.VERIFYING) and isinstance(error, EngineError):
        await store(record.unknown, change_id, f"{error}; what became of it is not known until the server answers")


def _pause_s(attempt: int) -> float:
    """Between two attempts, longer each time, and never in step with somebody else's."""
    return random.uniform(0.5, 1.5) * attempt  # noqa: S311 - spreads retries


def _rendered(row: ChangeRow) -> RenderedChange:
    return RenderedChange(row.sql, row.undo_sql, row.target["catalogue"])


def _documents(gates: tuple[Gate, ...]) -> list[Mapping[str, Any]]:
    return [asdict(gate) for gate in gates]
