"""Carry out one reviewed change, once, and judge it by the catalogue.

In: a journal row made from a review the DBA said yes to. Out: the row in a final state. Every step is committed to the
journal before its side effect, so whoever picks the row up after a crash looks at the server first: `carry_out` may be
called again at any time and never issues a statement whose outcome is unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from meshag_tui.changes.review import ChangeRefused, Review, review_with
from meshag_tui.engines.base import (
    CannotConnect,
    DdlSession,
    Engine,
    EngineError,
    Gate,
    Limits,
    LockTimeout,
    RenderedChange,
)
from meshag_tui.store import changes as journal
from meshag_tui.store.changes import ChangeRow
from meshag_tui.store.database import Store
from meshag_tui.types import Change, ChangeState, Target

LOCK_ATTEMPTS = 5
POLL_S = 1.0

Say = Callable[[str, str], Awaitable[None]]
"""Where progress goes: (level, message)."""

_OPEN = frozenset({ChangeState.PLANNED, ChangeState.GATED})
_BEGUN = frozenset({ChangeState.RUNNING, ChangeState.VERIFYING, ChangeState.UNKNOWN})


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
    return journal.plan(
        reviewed.connection_id,
        change,
        reviewed.sql,
        actor=actor,
        plan_hash=reviewed.plan_hash,
        target={"catalogue": dict(reviewed.catalogue), "estimated_bytes": estimated_bytes},
        undo_sql=reviewed.undo_sql,
        gates=gate_documents(reviewed.gates),
        suggestion_id=suggestion_id,
        undoes=undoes,
    )


async def carry_out(
    store: Store, engine: Engine, target: Target, limits: Limits, change_id: str, say: Say
) -> ChangeRow:
    """Bring a journalled change to its end and return its row; a row that has ended is returned as it is.

    A row begun by a process that died is reconciled with the server, never run again.

    Raises:
        ChangeRefused: a gate blocks, or the object is no longer as it was reviewed; the row is failed.
        EngineError: the server failed it. The row is failed and nothing half-made of ours is left, or it is unknown
            because the server could not be asked.
    """
    row = await store(journal.get, change_id)
    if row.state not in _OPEN | _BEGUN:
        return row
    try:
        async with engine.connect_for_change(target, limits) as hands:
            if row.state in _BEGUN:
                return await _reconcile(store, row, hands, say)
            rendered = await _check_again(store, engine, target, limits, row, hands)
            row = await store(
                journal.move,
                row.id,
                ChangeState.GATED,
                ChangeState.RUNNING,
                backend_pid=hands.backend_pid,
                backend_start=hands.backend_start,
            )
            return await _run(store, engine, target, limits, row, hands, rendered, say)
    except EngineError as error:
        await _note_failure(store, change_id, error)
        raise


async def _check_again(
    store: Store, engine: Engine, target: Target, limits: Limits, row: ChangeRow, hands: DdlSession
) -> RenderedChange:
    """Look once more, immediately before running: the world may have changed since the DBA looked."""
    estimated = row.target.get("estimated_bytes")
    now, rendered = await review_with(hands, engine, target, limits, row.connection_id, row.change, estimated)
    reason = refusal(now, row.plan_hash)
    gates = gate_documents(now.gates)
    if reason is not None:
        await store(journal.move, row.id, _OPEN, ChangeState.FAILED, gates=gates, error=reason)
        raise ChangeRefused(reason)
    await store(journal.move, row.id, _OPEN, ChangeState.GATED, gates=gates)
    return rendered


def refusal(now: Review, agreed_hash: str) -> str | None:
    """Why a review made now does not let through what was agreed to, or None."""
    if now.plan_hash != agreed_hash:
        return "The object has changed since it was reviewed: open the suggestion again and look at the new statement"
    if now.blocked_by:
        gate = now.blocked_by[0]
        return f"Not run: {gate.name} is {gate.value}, must be {gate.limit}. {gate.detail}".rstrip()
    return None


async def _run(
    store: Store,
    engine: Engine,
    target: Target,
    limits: Limits,
    row: ChangeRow,
    hands: DdlSession,
    rendered: RenderedChange,
    say: Say,
) -> ChangeRow:
    """Run the statement, again after a lock time-out, and let the catalogue say what came of it."""
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        await store(journal.move, row.id, ChangeState.RUNNING, ChangeState.RUNNING, attempts=attempt)
        await say("info", rendered.sql)
        watching = asyncio.create_task(_watch(engine, target, limits, hands.backend_pid, say))
        try:
            await hands.run(row.change, rendered.sql)
            break
        except LockTimeout as error:
            await say("warning", f"attempt {attempt} of {LOCK_ATTEMPTS}: {error}")
            await _remove_leftover(row.change, rendered, hands, say)
            if attempt == LOCK_ATTEMPTS:
                raise
            await asyncio.sleep(random.uniform(0.5, 1.5) * attempt)  # noqa: S311 - spreads retries
        except EngineError:
            await _remove_leftover(row.change, rendered, hands, say)
            raise
        except asyncio.CancelledError:
            # The session has cancelled the statement on the server; what it began must not stay behind half-made.
            await asyncio.shield(_after_cancel(store, row, rendered, hands, say))
            raise
        finally:
            watching.cancel()
    await store(journal.move, row.id, ChangeState.RUNNING, ChangeState.VERIFYING)
    return await _judge(store, row, rendered, hands, say)


async def _after_cancel(store: Store, row: ChangeRow, rendered: RenderedChange, hands: DdlSession, say: Say) -> None:
    await _remove_leftover(row.change, rendered, hands, say)
    await store(journal.move, row.id, ChangeState.RUNNING, ChangeState.VERIFYING)
    await _judge(store, row, rendered, hands, say, "Cancelled")


async def _judge(
    store: Store,
    row: ChangeRow,
    rendered: RenderedChange,
    hands: DdlSession,
    say: Say,
    reason: str = "The server did not make the change",
) -> ChangeRow:
    """The final state, from the catalogue and never from the command's tag."""
    found = await hands.verify(row.change, rendered)
    while found == "running":
        await say("info", "still at work on the server")
        await asyncio.sleep(POLL_S)
        found = await hands.verify(row.change, rendered)
    if found == "done":
        await say("info", "the catalogue confirms it")
        return await store(journal.move, row.id, ChangeState.VERIFYING, ChangeState.DONE, error=None)
    if found == "invalid" and await hands.clean_up(row.change, rendered):
        await say("info", "removed the invalid leftover")
    error = f"{reason}: the catalogue says {found}"
    await say("error", error)
    return await store(journal.move, row.id, ChangeState.VERIFYING, ChangeState.FAILED, error=error)


async def _reconcile(store: Store, row: ChangeRow, hands: DdlSession, say: Say) -> ChangeRow:
    """A process died while this ran: adopt what the server is still doing, then judge. Nothing is issued again."""
    await say("warning", f"found {row.state} from an earlier process (backend {row.backend_pid}): asking the server")
    rendered = RenderedChange(row.sql, row.undo_sql, row.target["catalogue"])
    if row.state is not ChangeState.VERIFYING:
        row = await store(journal.move, row.id, row.state, ChangeState.VERIFYING)
    return await _judge(store, row, rendered, hands, say, "MeshAG was stopped while it ran")


async def _remove_leftover(change: Change, rendered: RenderedChange, hands: DdlSession, say: Say) -> None:
    """A failed CREATE INDEX CONCURRENTLY leaves an invalid index that costs writes and serves nobody."""
    if await hands.verify(change, rendered) == "invalid" and await hands.clean_up(change, rendered):
        await say("info", "removed the invalid leftover")


async def _note_failure(store: Store, change_id: str, error: EngineError) -> None:
    """FAILED when the catalogue can be trusted to be as before; UNKNOWN when the server went away in between."""
    row = await store(journal.get, change_id)
    if row.state in _OPEN:
        await store(journal.move, change_id, _OPEN, ChangeState.FAILED, error=str(error))
    elif row.state in (ChangeState.RUNNING, ChangeState.VERIFYING):
        lost = isinstance(error, CannotConnect) or error.code == "deadline"
        end = ChangeState.UNKNOWN if lost else ChangeState.FAILED
        await store(journal.move, change_id, row.state, end, error=str(error))


async def _watch(engine: Engine, target: Target, limits: Limits, backend_pid: int, say: Say) -> None:
    """Say where the server is with it, as long as it runs; a failure to look is no failure of the change."""
    last = ""
    try:
        async with engine.connect(target, "progress", limits) as session:
            while True:
                await asyncio.sleep(POLL_S)
                progress = await engine.progress(session, backend_pid)
                if progress is None:
                    continue
                share = "" if progress.share is None else f" {progress.share:.0%}"
                waiting = "" if progress.waiting_for is None else f", waiting for {progress.waiting_for}"
                line = f"{progress.phase}{share}{waiting}"
                if line != last:
                    await say("info", line)
                    last = line
    except EngineError as error:
        await say("warning", f"its progress cannot be seen: {error}")


def gate_documents(gates: tuple[Gate, ...]) -> list[Mapping[str, Any]]:
    return [asdict(gate) for gate in gates]
