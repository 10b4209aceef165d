"""Runs workflows over the store's executions: once, resumed after a crash, retried when waiting may help.

A workflow is an async function of a `Run`. What it does outside is done in phases; what it writes is committed in
steps, each one transaction of the rows, the step's checkpoint and the check that the lease is still ours. So whoever
takes a run over after a `kill -9` continues behind the last step, and a process that lost its lease can write nothing.

`Runner.submit` is single-flight: while a run of the same kind and key is open, here or in another process on the same
store, callers wait for that run and get its result.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from meshag_tui.engines.base import EngineError
from meshag_tui.store import executions
from meshag_tui.store.database import Store, StoreUnavailable, now_ms
from meshag_tui.types import ExecutionState, MeshagError
from meshag_tui.workflows.notices import Changed, Finished, Notices, Progress
from meshag_tui.workflows.owner import is_dead, this_process

LEASE_MS = 15_000
ATTEMPTS = 3
"""How often a run is tried while its errors are transient."""
PATIENCE_S = 8.0
"""A run is not retried once this much time has gone into it: waiting for a dead server is no better the third time."""
MOST_CLAIMS = 5
"""A run that was taken over so often ends its owner each time: it is marked interrupted instead."""
_POLL_S = 0.2
_PARKED_MS = 30_000
"""A run that is due later than any retry waits for somebody or something: nobody waits for it here."""
_ENDED = frozenset({ExecutionState.DONE, ExecutionState.FAILED, ExecutionState.CANCELLED, ExecutionState.INTERRUPTED})
_log = logging.getLogger("meshag.workflows")


class RunFailed(MeshagError):
    """A run did not end well. `code` and `fix` are those of the error that ended it."""

    def __init__(self, text: str, code: str = "failed", fix: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.fix = fix


class RunCancelled(RunFailed):
    """The run was cancelled, or interrupted by the end of the process that ran it."""


class Waits(Exception):
    """A workflow's way to wait without being run: until a moment (store's clock, epoch ms), or for an answer."""

    def __init__(self, why: str, until: int = executions.FOREVER) -> None:
        super().__init__(why)
        self.until = until


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, or (READY) that it waits, and for what. `joined`: another caller had started it."""

    execution_id: str
    state: ExecutionState
    result: Mapping[str, Any]
    error: str | None = None
    code: str | None = None
    fix: str | None = None
    joined: bool = False

    def value(self) -> Mapping[str, Any]:
        """The result of a run that is done.

        Raises:
            RunFailed: it failed, was cancelled or interrupted.
        """
        if self.state is ExecutionState.DONE:
            return self.result
        kind = RunFailed if self.state is ExecutionState.FAILED else RunCancelled
        raise kind(self.error or f"The run {self.execution_id} is {self.state}", self.code or self.state, self.fix)


@dataclass(frozen=True, slots=True)
class Ended:
    """A workflow's answer when it has ended its run itself (`Run.complete`)."""

    result: Mapping[str, Any]


class Run:
    """One execution in work: what a workflow function is given.

    Attributes: `id`, `key`, `connection_id`, `input`; `done`, the outputs of the steps committed so far, also by owners
    before us; `attempt`, counted from 1.
    """

    def __init__(self, store: Store, notices: Notices, claimed: executions.Claimed) -> None:
        self.id = claimed.id
        self.kind = claimed.kind
        self.key = claimed.key
        self.connection_id = claimed.connection_id
        self.input: Mapping[str, Any] = claimed.input
        self.attempt = claimed.attempts
        self.done: dict[str, Any] = dict(claimed.done)
        self.phases: dict[str, float] = {}
        self.result: dict[str, Any] = {}
        self._completed = False
        self._store = store
        self._notices = notices
        self._claimed = claimed
        self._began = time.monotonic()

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[None]:
        """Announce a phase and record how long it took, ms, also when it fails."""
        self.progress(name)
        started = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = round(self.phases.get(name, 0.0) + (time.monotonic() - started) * 1000, 1)

    def progress(self, phase: str, done: int | None = None, total: int | None = None) -> None:
        """Tell subscribers where the run is."""
        self._notices.publish(Progress(self.id, self.kind, self.connection_id, phase, done, total))

    async def log(self, level: str, message: str) -> None:
        """Add a line to the run's own log."""
        await self._store(executions.log, self.id, level, message)

    async def commit(self, name: str, write: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Run `write` in the store and checkpoint what it returns (JSON), in one transaction.

        A step that was committed before is not run again: its output is returned.

        Raises:
            LostLease: another process took this run over; nothing was written.
        """
        if name not in self.done:
            output: dict[str, Any] = {}

            def fill() -> None:  # runs inside the transaction, before the checkpoint is written
                output.update(write())

            started = time.time_ns() // 1_000_000
            await self._store(executions.commit_step, self._claimed, name, output, started, fill)
            self.done[name] = output
        return dict(self.done[name])

    async def complete(self, write: Callable[[], Mapping[str, Any]]) -> Ended:
        """Make the rows of `write` and end the run with the result it returns, in one transaction: a workflow's last
        act, instead of a step and an end of its own.

        Raises:
            LostLease: another process took this run over; nothing was written.
        """
        started = time.monotonic()

        def written() -> Mapping[str, Any]:
            result = write()
            self.phases["store"] = round((time.monotonic() - started) * 1000, 1)
            return {**self.result, **result, "phases": dict(self.phases)}

        self.progress("store")
        result = await self._store(executions.complete, self._claimed, written)
        self._completed = True
        return Ended(result)

    def has_completed(self) -> bool:
        """Whether its last rows are made: then there is no lease to keep any more."""
        return self._completed

    async def step(self, name: str, work: Callable[[], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
        """Do `work` once and checkpoint its result (JSON) before anything else happens."""
        if name in self.done:
            return dict(self.done[name])
        output = await work()
        return await self.commit(name, lambda: output)

    def may_retry(self, error: BaseException) -> bool:
        """Whether the runner will try again after this error."""
        patient = time.monotonic() - self._began < PATIENCE_S
        return isinstance(error, EngineError) and error.transient and self.attempt < ATTEMPTS and patient


Workflow = Callable[[Run], Coroutine[Any, Any, Mapping[str, Any] | Ended]]


@dataclass
class _Local:
    """A run of this process: its task, and why it is being cancelled if it is."""

    task: asyncio.Task[Any]
    cancelled: bool = False
    lost: bool = False


class Runner:
    """Runs the workflows registered with it, for this process."""

    def __init__(self, store: Store, notices: Notices, lease_ms: int = LEASE_MS) -> None:
        self._store = store
        self._notices = notices
        self._lease_ms = lease_ms
        self._owner = this_process()
        self._workflows: dict[str, Workflow] = {}
        self._flights: dict[tuple[str, str], asyncio.Task[Outcome]] = {}
        self._local: dict[str, _Local] = {}
        self._random = random.Random()  # noqa: S311 (spreads retries)
        self._closing = False

    def register(self, kind: str, workflow: Workflow) -> None:
        """Say what runs executions of `kind`."""
        self._workflows[kind] = workflow

    @property
    def running(self) -> tuple[str, ...]:
        """Ids of the executions this process works on."""
        return tuple(self._local)

    async def submit(
        self,
        kind: str,
        key: str,
        *,
        slot: int | None = None,
        connection_id: str | None = None,
        input: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Run `kind` for `key`, or join the run that is open, and wait for its end.

        `slot` names the occasion (the time it was due): an occasion that has had its run is not run again. None is an
        occasion of its own. Cancelling the caller does not cancel the run.
        """
        flight = self._flights.get((kind, key))
        if flight is not None:
            outcome = await asyncio.shield(flight)
            return _joined(outcome)
        flight = asyncio.create_task(self._fly(kind, key, slot, connection_id, dict(input or {})), name=f"{kind} {key}")
        self._flights[kind, key] = flight
        flight.add_done_callback(functools.partial(self._landed, (kind, key)))
        return await asyncio.shield(flight)

    async def recover(self) -> int:
        """Take up what dead owners left and what waits for its retry, without waiting for its end; how many."""
        taken = 0
        await self._release_dead()
        while not self._closing:
            claimed = await self._store(executions.claim, tuple(self._workflows), self._owner, self._lease_ms)
            if claimed is None:
                return taken
            taken += 1
            flight = asyncio.create_task(self._take_up(claimed), name=f"{claimed.kind} {claimed.key}")
            at = (claimed.kind, claimed.key)
            self._flights.setdefault(at, flight)
            flight.add_done_callback(functools.partial(self._landed, at))
        return taken

    async def cancel(self, execution_id: str) -> bool:
        """Cancel a run: at once if it is ours, else at its owner's next heartbeat. False if it had ended."""
        before = (await self._store(executions.get, execution_id, 0)).state
        await self._store(executions.cancel, execution_id)
        local = self._local.get(execution_id)
        if local is not None:
            local.cancelled = True
            local.task.cancel()
        return before not in _ENDED

    async def settle(self) -> None:
        """Wait until nothing runs here."""
        while self._flights:
            await asyncio.wait(list(self._flights.values()))

    async def close(self) -> None:
        """Stop what runs here and mark it interrupted."""
        self._closing = True
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    # ------------------------------------------------------------------ one flight

    async def _fly(
        self, kind: str, key: str, slot: int | None, connection_id: str | None, given: dict[str, Any]
    ) -> Outcome:
        execution_id, claimed = await self._store(
            executions.begin, kind, key, slot, self._owner, self._lease_ms, connection=connection_id, input=given
        )
        if claimed is None:
            return _joined(await self._settle(execution_id, kind))
        self._notices.publish(Changed("executions", connection_id))
        return await self._take_up(claimed)

    async def _take_up(self, claimed: executions.Claimed) -> Outcome:
        outcome = await self._execute(claimed)
        return outcome if outcome is not None else await self._settle(claimed.id, claimed.kind)

    async def _settle(self, execution_id: str, kind: str) -> Outcome:
        """Run it ourselves as soon as it is free, or wait for whoever runs it."""
        while True:
            claimed = await self._store(executions.claim, (kind,), self._owner, self._lease_ms, only=execution_id)
            if claimed is not None:
                outcome = await self._execute(claimed)
                if outcome is not None:
                    return outcome
                continue
            row = await self._store(executions.get, execution_id, 0)
            if row.state in _ENDED:
                return _joined(_outcome(row))
            if row.state is ExecutionState.READY and row.not_before > await self._store(now_ms) + _PARKED_MS:
                return _joined(_outcome(row))
            if row.state is ExecutionState.RUNNING and row.owner is not None and is_dead(row.owner):
                await self._store(executions.release, execution_id, row.owner)
                continue
            await asyncio.sleep(_POLL_S)

    async def _execute(self, claimed: executions.Claimed) -> Outcome | None:
        """Work on a claimed run. None: it is not ours any more, or waits for its retry."""
        run = Run(self._store, self._notices, claimed)
        if claimed.attempts > MOST_CLAIMS:
            return await self._finish(run, claimed, ExecutionState.INTERRUPTED, "Every process that ran it died")
        task = asyncio.create_task(self._workflows[claimed.kind](run), name=f"{claimed.kind} {claimed.id}")
        local = self._local[claimed.id] = _Local(task)
        beat = asyncio.create_task(self._beat(run, claimed, local))
        try:
            result = await task
            if isinstance(result, Ended):
                return self._ended(run, ExecutionState.DONE, None, result.result)
            return await self._finish(run, claimed, ExecutionState.DONE, None, result)
        except executions.LostLease:
            _log.warning("%s was taken over by another process", claimed.id)
            return None
        except Waits as waiting:
            state = await self._store(executions.park, claimed, waiting.until, str(waiting))
            return self._ended(run, state, str(waiting), {"phases": run.phases})
        except asyncio.CancelledError:
            if local.lost:
                return None
            if local.cancelled:
                return await self._finish(run, claimed, ExecutionState.CANCELLED, "Cancelled")
            await self._finish(run, claimed, ExecutionState.INTERRUPTED, "MeshAG was stopped")
            raise
        except MeshagError as error:
            if run.may_retry(error):
                await self._retry(run, claimed, error)
                return None
            run.result |= {"code": getattr(error, "code", None), "fix": getattr(error, "fix", None)}
            return await self._finish(run, claimed, ExecutionState.FAILED, str(error))
        except Exception as error:
            _log.exception("%s %s failed unexpectedly", claimed.kind, claimed.id)
            run.result |= {"code": "internal", "fix": None}
            text = f"Unexpected error ({type(error).__name__}); the log has the details"
            return await self._finish(run, claimed, ExecutionState.FAILED, text)
        finally:
            beat.cancel()
            del self._local[claimed.id]

    async def _retry(self, run: Run, claimed: executions.Claimed, error: MeshagError) -> None:
        delay_s: float = 0.5 * 2 ** (run.attempt - 1) * self._random.uniform(0.5, 1.5)
        run.progress("waiting to try again")
        _log.warning("%s %s, attempt %d: %s", run.kind, run.id, run.attempt, error)
        not_before = await self._store(now_ms) + round(delay_s * 1000)
        await self._store(executions.retry, claimed, not_before, str(error))
        await asyncio.sleep(delay_s)

    async def _finish(
        self,
        run: Run,
        claimed: executions.Claimed,
        state: ExecutionState,
        error: str | None,
        result: Mapping[str, Any] | None = None,
    ) -> Outcome | None:
        document = {**run.result, **(result or {}), "phases": run.phases}
        try:
            await self._store(executions.finish, claimed, state, document, error)
        except executions.LostLease:
            return None
        return self._ended(run, state, error, document)

    def _ended(self, run: Run, state: ExecutionState, error: str | None, document: Mapping[str, Any]) -> Outcome:
        level = logging.INFO if state in (ExecutionState.DONE, ExecutionState.READY) else logging.WARNING
        about = run.connection_id or run.key
        _log.log(level, "%s %s of %s is %s%s", run.kind, run.id, about, state, f": {error}" if error else "")
        self._notices.publish(Finished(run.id, run.kind, run.connection_id, state, error))
        self._notices.publish(Changed("executions", run.connection_id))
        return Outcome(run.id, state, document, error, document.get("code"), document.get("fix"))

    async def _beat(self, run: Run, claimed: executions.Claimed, local: _Local) -> None:
        """Keep the lease while the run is in work; end the run when the lease is lost or the user cancelled it."""
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            if run.has_completed():
                return
            try:
                if await self._store(executions.renew, claimed):
                    local.cancelled = True
                    local.task.cancel()
            except executions.LostLease:
                if run.has_completed():  # meanwhile
                    return
                local.lost = True
                local.task.cancel()
                return
            except StoreUnavailable as error:
                _log.warning("the lease of %s could not be renewed: %s", claimed.id, error)
            except Exception:  # the run is none the worse for it, while the lease lasts
                _log.exception("the lease of %s could not be renewed", claimed.id)

    async def _release_dead(self) -> None:
        for row in await self._store(executions.listing, states=(ExecutionState.RUNNING,)):
            if row.owner is not None and is_dead(row.owner):
                await self._store(executions.release, row.id, row.owner)

    def _landed(self, at: tuple[str, str], task: asyncio.Task[Outcome]) -> None:
        if self._flights.get(at) is task:
            del self._flights[at]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s %s could not be run: %s", *at, error)


def _joined(outcome: Outcome) -> Outcome:
    return Outcome(
        outcome.execution_id, outcome.state, outcome.result, outcome.error, outcome.code, outcome.fix, joined=True
    )


def _outcome(row: executions.ExecutionInfo) -> Outcome:
    result = dict(row.result or {})
    return Outcome(row.id, row.state, result, row.error, result.get("code"), result.get("fix"))
