"""Durable runs: what was asked for, who does it, which steps are done, and what they said.

(kind, key, slot) is unique, so a run is asked for once however many instances ask. Its owner holds a lease on the
store's clock; each taking raises the fence, and an owner whose fence is old can write nothing more. A step's rows and
its checkpoint are one transaction: a resumed run skips the step or repeats it, never half.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import peewee

from meshag_tui.store import database, ids, models
from meshag_tui.store.documents import clean, document
from meshag_tui.types import ExecutionState, MeshagError

ENDED = (ExecutionState.DONE, ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.INTERRUPTED)
_WAITING = (ExecutionState.READY, ExecutionState.RUNNING)
_RESUMABLE = (ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.INTERRUPTED)
FOREVER = 1 << 62
"""When a run that waits for somebody's answer is due."""
_LOG_LIMIT = 1_000  # lines of one run that are kept


class LostLease(MeshagError):
    """Another instance took the run over, or it was ended: stop, and write nothing."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run we own until `lease_until` (store's clock, epoch ms), with what earlier owners completed."""

    id: str
    kind: str
    key: str
    slot: int
    connection_id: str | None
    owner: str
    fence: int
    ttl_ms: int
    attempts: int  # this one included
    input: Mapping[str, Any]
    done: Mapping[str, Any]  # step name -> output


@dataclass(frozen=True, slots=True)
class Step:
    """A completed step. Times are epoch ms."""

    name: str
    started_at: int
    finished_at: int
    output: Any


@dataclass(frozen=True, slots=True)
class LogLine:
    at: int
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """A run as shown. Times are epoch ms; `steps`, `log` and how many lines there are in all are filled by `get`."""

    id: str
    kind: str
    key: str
    slot: int
    connection_id: str | None
    connection_name: str | None
    state: ExecutionState
    owner: str | None
    lease_until: int
    not_before: int
    attempts: int
    cancel_requested: bool
    input: Mapping[str, Any]
    result: Any
    error: str | None
    created_at: int
    updated_at: int
    started_at: int | None
    finished_at: int | None
    steps: tuple[Step, ...] = ()
    log: tuple[LogLine, ...] = ()
    log_lines: int = 0

    @property
    def duration_ms(self) -> int | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


def owner_name() -> str:
    """A name for one instance: host, process and chance, so that a recycled process id is another owner."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"


def request(
    kind: str,
    key: str,
    slot: int,
    *,
    connection: str | None = None,
    input: Mapping[str, Any] | None = None,
    not_before: int = 0,
) -> str | None:
    """Ask for a run; its id, or None if (kind, key, slot) was asked for before or a run of the key is open.

    `slot` tells one run of a key from the next, as in `store clock // interval`; `not_before` is epoch ms.
    """
    execution_id = ids.new("exec")
    with database.atomic():
        now = database.now_ms()
        models.Execution.insert(
            id=execution_id,
            kind=kind,
            key=key,
            slot=slot,
            connection=connection,
            state=ExecutionState.READY,
            not_before=not_before,
            input=document(dict(input or {})),
            created_at=now,
            updated_at=now,
        ).on_conflict_ignore().execute()
        row = models.Execution
        made = row.select().where(row.id == execution_id).exists()
    return execution_id if made else None


def begin(
    kind: str,
    key: str,
    slot: int | None,
    owner: str,
    ttl_ms: int,
    *,
    connection: str | None = None,
    input: Mapping[str, Any] | None = None,
) -> tuple[str, Claimed | None]:
    """Ask for a run and take it at once; its id, and the claim if it is ours to run.

    While a run of this kind and key is open anywhere, or when the occasion `slot` has had its run, the id is that
    run's and the claim None. A `slot` of None is an occasion of its own; one whose run was cancelled or interrupted
    is open again.
    """
    row = models.Execution
    execution_id, given = ids.new("exec"), dict(input or {})
    with database.atomic():
        for occasion in (slot, None):
            taken: Any = row.insert(
                id=execution_id,
                kind=kind,
                key=key,
                slot=_moment(kind, key) if occasion is None else occasion,
                connection=connection,
                state=ExecutionState.RUNNING,
                owner=owner,
                fence=1,
                attempts=1,
                lease_until=database.clock() + ttl_ms,
                input=document(given),
                started_at=database.clock(),
                created_at=database.clock(),
                updated_at=database.clock(),
            )
            taken = list(taken.on_conflict_ignore().returning(row.slot).tuples().execute())
            if taken:
                break
            hinders = row.state.in_(_WAITING)
            if occasion is not None:
                hinders |= row.slot == occasion
            query: Any = row.select(row.id, row.state).where((row.kind == kind) & (row.key == key) & hinders)
            for known_id, state in query.order_by(row.slot.desc()).tuples():
                if state not in (ExecutionState.CANCELLED, ExecutionState.INTERRUPTED):
                    return known_id, None
        else:
            raise MeshagError("Another run of this kind began and ended just now: try again")
    claimed = Claimed(
        id=execution_id,
        kind=kind,
        key=key,
        slot=int(taken[0][0]),
        connection_id=connection,
        owner=owner,
        fence=1,
        ttl_ms=ttl_ms,
        attempts=1,
        input=given,
        done={},
    )
    return execution_id, claimed


def _moment(kind: str, key: str) -> Any:
    """The slot of an occasion of its own: now, or just after the last one when the clock was set back or two ask in one
    millisecond."""
    every = models.Execution.alias("every")
    after = every.select(peewee.fn.COALESCE(peewee.fn.MAX(every.slot) + 1, 0))
    later = peewee.fn.MAX if database.kind() == "sqlite" else peewee.fn.GREATEST
    return later(database.clock(), after.where((every.kind == kind) & (every.key == key)))


def claim(kinds: Sequence[str], owner: str, ttl_ms: int, only: str | None = None) -> Claimed | None:
    """Take the oldest run of these kinds that is due, or whose owner let its lease pass; None if there is none.

    Of one kind and key only one run is open at a time, on all instances together: the database refuses another. `only`
    is the id of the one run that is wanted.
    """
    row = models.Execution
    with database.atomic():
        _take_turns()
        now = database.now_ms()
        due = (row.state == ExecutionState.READY) & (row.not_before <= now)
        orphan = (row.state == ExecutionState.RUNNING) & (row.lease_until < now)
        query = row.select().where(row.kind.in_(list(kinds)) & (due | orphan))
        if only is not None:
            query = query.where(row.id == only)
        found: Any = query.order_by(row.not_before, row.id).dicts().first()
        if found is None:
            return None
        started = found["started_at"] or now
        row.update(
            state=ExecutionState.RUNNING,
            owner=owner,
            fence=row.fence + 1,
            attempts=row.attempts + 1,
            lease_until=now + ttl_ms,
            started_at=started,
            updated_at=now,
        ).where(row.id == found["id"]).execute()
        step = models.ExecutionStep
        steps: Any = step.select(step.name, step.output).where(step.execution == found["id"]).tuples()
        done = dict(steps)
    return Claimed(
        id=found["id"],
        kind=found["kind"],
        key=found["key"],
        slot=found["slot"],
        connection_id=found["connection"],
        owner=owner,
        fence=found["fence"] + 1,
        ttl_ms=ttl_ms,
        attempts=found["attempts"] + 1,
        input=found["input"],
        done=done,
    )


def renew(claimed: Claimed) -> bool:
    """Keep the lease for another `ttl_ms`; True if cancelling was asked for meanwhile. LostLease if it is not ours."""
    row = models.Execution
    found: Any = list(_update(claimed).returning(row.cancel_requested).tuples().execute())
    if not found:
        raise _lost(claimed)
    return bool(found[0][0])


def commit_step(
    claimed: Claimed, name: str, output: Any, started_at: int, write: Callable[[], Any] | None = None
) -> None:
    """Complete a step: the rows `write` makes, the checkpoint and the fence check in one transaction.

    `output` is JSON and comes back in `Claimed.done` when the run is resumed. A step is completed once.

    Raises:
        LostLease: nothing was written.
    """
    with database.atomic():
        _mine(claimed)  # first: on a shared store it also keeps others from taking the run until we commit
        if write is not None:
            write()
        models.ExecutionStep.insert(
            execution=claimed.id,
            name=name,
            started_at=started_at,
            finished_at=database.now_ms(),
            output=document(output),
        ).execute()


def complete(claimed: Claimed, write: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Make the rows of `write` and end the run as DONE with the result it returns, in one transaction.

    Raises:
        LostLease: nothing was written.
    """
    with database.atomic():
        _mine(claimed)
        result = document(dict(write()))
        _mine(
            claimed, state=ExecutionState.DONE, result=result, error=None, lease_until=0, finished_at=database.clock()
        )
    return dict(result)


def finish(claimed: Claimed, state: ExecutionState, result: Any = None, error: str | None = None) -> None:
    """End the run. LostLease if it is not ours any more."""
    _mine(
        claimed,
        state=state,
        result=document(result),
        error=None if error is None else clean(error),
        lease_until=0,
        finished_at=database.clock(),
    )


def retry(claimed: Claimed, not_before: int, error: str) -> ExecutionState:
    """Give the run back, to be taken again from `not_before` (epoch ms) on; completed steps stay completed.

    Returns READY, or CANCELLED if that was asked for meanwhile.
    """
    row = models.Execution
    with database.atomic():
        _mine(claimed, state=ExecutionState.READY, owner=None, lease_until=0, not_before=not_before, error=clean(error))
        if cancel_requested(claimed.id):
            ended = row.update(state=ExecutionState.CANCELLED, finished_at=database.clock())
            ended.where(row.id == claimed.id).execute()
            return ExecutionState.CANCELLED
    return ExecutionState.READY


def park(claimed: Claimed, not_before: int, why: str) -> ExecutionState:
    """Give the run back until a moment (epoch ms) or, with `FOREVER`, until `answer`: nothing went wrong.

    Returns READY, or CANCELLED if that was asked for meanwhile.
    """
    with database.atomic():
        state = retry(claimed, not_before, why)
        models.Execution.update(attempts=0).where(models.Execution.id == claimed.id).execute()
    return state


def answer(execution_id: str, step: str, output: Any) -> None:
    """Complete a step that a parked run waits for, and let the run go on.

    Raises:
        MeshagError: it does not wait, or was answered.
    """
    row, done = models.Execution, models.ExecutionStep
    with database.atomic():
        now = database.now_ms()
        waits = (row.id == execution_id) & (row.state == ExecutionState.READY) & (row.not_before == FOREVER)
        if not row.update(not_before=0, error=None, updated_at=now).where(waits).execute():
            raise MeshagError(f"The run {execution_id} does not wait for an answer")
        done.insert(
            execution=execution_id, name=step, started_at=now, finished_at=now, output=document(output)
        ).execute()


def reopen(execution_id: str, kinds: Sequence[str]) -> None:
    """Let a run that did not end well go on behind its last step.

    Raises:
        MeshagError: it is of another kind, ended well or has not ended, or another of its key is open.
    """
    row = models.Execution
    with database.atomic():
        _take_turns()
        found: Any = row.get_or_none(row.id == execution_id)
        if found is None:
            _gone(execution_id)
        if found.kind not in kinds or found.state not in _RESUMABLE:
            raise MeshagError(f"The run {execution_id} is {found.state}: there is nothing to go on with")
        others = (row.kind == found.kind) & (row.key == found.key) & row.state.in_(_WAITING)
        if row.select().where(others).exists():
            raise MeshagError("Another run of this kind is open for the same: wait for its end")
        row.update(
            state=ExecutionState.READY,
            attempts=0,
            cancel_requested=False,
            not_before=0,
            error=None,
            finished_at=None,
            updated_at=database.clock(),
        ).where(row.id == execution_id).execute()


def release(execution_id: str, owner: str) -> bool:
    """Let a run be taken at once because its owner is known to be dead; True if it still was that owner's."""
    row = models.Execution
    dead = (row.id == execution_id) & (row.owner == owner) & (row.state == ExecutionState.RUNNING)
    return bool(row.update(lease_until=0, updated_at=database.clock()).where(dead).execute())


def cancel(execution_id: str) -> ExecutionState:
    """Ask a run to stop: one nobody has taken is CANCELLED at once, a running one when its owner sees the request."""
    row = models.Execution
    with database.atomic():
        now = database.now_ms()
        waiting = (row.id == execution_id) & (row.state == ExecutionState.READY)
        row.update(state=ExecutionState.CANCELLED, cancel_requested=True, finished_at=now, updated_at=now).where(
            waiting
        ).execute()
        running = (row.id == execution_id) & (row.state == ExecutionState.RUNNING)
        row.update(cancel_requested=True, updated_at=now).where(running).execute()
        state = row.select(row.state).where(row.id == execution_id).scalar()
    if state is None:
        _gone(execution_id)
    return ExecutionState(state)


def cancel_requested(execution_id: str) -> bool:
    row = models.Execution
    return bool(row.select(row.cancel_requested).where(row.id == execution_id).scalar())


def log(execution_id: str, level: str, message: str) -> None:
    """Add a line to the run's log; past a thousand lines only warnings, errors and notes are kept."""
    line = models.ExecutionLog
    if level in ("debug", "info") and line.select().where(line.execution == execution_id).count() >= _LOG_LIMIT:
        return
    line.insert(execution=execution_id, at=database.clock(), level=level, message=clean(message)).execute()


def listing(
    *,
    connection_id: str | None = None,
    kind: str | None = None,
    states: Sequence[ExecutionState] = (),
    limit: int = 200,
    agent: str | None = None,
    project: str | None = None,
    since: int | None = None,
    before: str | None = None,
) -> tuple[ExecutionInfo, ...]:
    """Runs, newest first, without their steps and logs.

    Args:
        agent, project: ids, of whose runs they are to be.
        since: epoch ms from which on they were asked for.
        before: the id of the last one of the page before.
    """
    row = models.Execution
    query = _select().order_by(row.id.desc()).limit(limit)
    if connection_id is not None:
        query = query.where(row.connection == connection_id)
    if kind is not None:
        query = query.where(row.kind == kind)
    if states:
        query = query.where(row.state.in_(list(states)))
    if agent is not None:  # the key of its runs begins with it
        query = query.where(row.key.startswith(f"{agent}:"))
    if project is not None:
        mine = models.Connection.select(models.Connection.id).where(models.Connection.project == project)
        query = query.where(row.connection.in_(mine))
    if since is not None:
        query = query.where(row.created_at >= since)
    if before is not None:
        query = query.where(row.id < before)
    return tuple(_info(found) for found in query.dicts())


def newest(kind: str, key: str) -> str | None:
    """The id of the newest run of a kind and key; None: there is none."""
    row = models.Execution
    found = row.select(row.id).where((row.kind == kind) & (row.key == key)).order_by(row.slot.desc()).limit(1)
    return found.scalar()  # type: ignore[no-any-return]


def get(execution_id: str, lines: int | None = None, skip: int = 0) -> ExecutionInfo:
    """A run with its steps and log: all of it, or the `lines` that stand before the newest `skip`.

    Raises:
        MeshagError: there is none with this id.
    """
    found = _select().where(models.Execution.id == execution_id).dicts().first()
    if found is None:
        _gone(execution_id)
    step, line = models.ExecutionStep, models.ExecutionLog
    steps: Any = step.select().where(step.execution == execution_id).order_by(step.finished_at, step.name)
    mine = line.execution == execution_id
    newest: Any = line.select(line.at, line.level, line.message).where(mine).order_by(line.id.desc())
    if lines is not None:
        newest = newest.limit(lines).offset(skip)
    return _info(
        found,
        steps=tuple(Step(each.name, each.started_at, each.finished_at, each.output) for each in steps),
        log=tuple(LogLine(*each) for each in newest.tuples())[::-1],
        log_lines=line.select().where(mine).count(),
    )


def mark_interrupted(kinds: Sequence[str], reason: str = "its process ended before it was done") -> tuple[str, ...]:
    """End the runs of these kinds whose owner let the lease pass, instead of resuming them; their ids."""
    row = models.Execution
    with database.atomic():
        now = database.now_ms()
        dead = row.kind.in_(list(kinds)) & (row.state == ExecutionState.RUNNING) & (row.lease_until < now)
        found: Any = row.select(row.id).where(dead).tuples()
        dead_ids = [each for (each,) in found]
        if dead_ids:
            row.update(
                state=ExecutionState.INTERRUPTED,
                fence=row.fence + 1,
                error=reason,
                finished_at=now,
                updated_at=now,
            ).where(row.id.in_(dead_ids) & dead).execute()
    return tuple(dead_ids)


def _mine(claimed: Claimed, **columns: Any) -> None:
    if not _update(claimed, **columns).execute():
        raise _lost(claimed)


def _lost(claimed: Claimed) -> LostLease:
    return LostLease(f"The run {claimed.id} was taken over by another instance or ended")


def _update(claimed: Claimed, **columns: Any) -> Any:
    """Renew the lease and set columns, if the run is still ours."""
    row = models.Execution
    columns.setdefault("lease_until", database.clock() + claimed.ttl_ms)
    where = (
        (row.id == claimed.id)
        & (row.owner == claimed.owner)
        & (row.fence == claimed.fence)
        & (row.state == ExecutionState.RUNNING)
    )
    return row.update(updated_at=database.clock(), **columns).where(where)


def _take_turns() -> None:
    """Two instances looking at once would both take one run on PostgreSQL; SQLite has one writer anyway."""
    if database.kind() == "postgresql":
        models.database.execute_sql("SELECT pg_advisory_xact_lock(1835365217)")


def _select() -> Any:
    query = models.Execution.select(models.Execution, models.Connection.name.alias("connection_name"))
    return query.left_outer_join(models.Connection)


def _info(row: dict[str, Any], **more: Any) -> ExecutionInfo:
    values = {key: row[key] for key in ExecutionInfo.__dataclass_fields__ if key in row}
    values["connection_id"] = row["connection"]
    values["state"] = ExecutionState(row["state"])
    return ExecutionInfo(**values, **more)


def _gone(execution_id: str) -> NoReturn:
    raise MeshagError(f"There is no run {execution_id}")
