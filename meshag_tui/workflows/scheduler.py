"""Starts syncs when they are due, the search for improvements after them, and the store's own upkeep once an hour.

Time is the monotonic clock: a step of the wall clock moves nothing, and a process that was stopped for half an hour
wakes to one sync of each connection, not thirty. What is due is agreed with other instances on the same store by the
due time itself: it is the slot of the execution, and a slot has one run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshag_tui.settings import Settings
from meshag_tui.store import agents, connections, database, digests, outcomes
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.database import Store, StoreUnavailable
from meshag_tui.types import ConnectionStatus, ExecutionState
from meshag_tui.workflows import change, suggest, sync, upkeep, verify
from meshag_tui.workflows.durable import Outcome, Runner
from meshag_tui.workflows.notices import Changed, Notice, Notices
from meshag_tui.workflows.sampling import Sampler
from meshag_tui.workflows.turns import Turns
from meshag_tui.workflows.watching import Watcher

if TYPE_CHECKING:
    from meshag_tui.workflows.agents import DueRun

LOOK_EVERY_S = 5.0
"""How soon a change made by another process (a connection added, paused) is seen."""
UPKEEP_EVERY_S = 3600.0
_UPKEEP_AFTER_S = digests.SETTLED_MS / 1000 + 10  # an hour is summed when all syncs in it are written
RECOVER_EVERY_S = 15.0
RECONCILE_EVERY_S = 60.0
"""How often a change that nobody could judge, as its server was away, is asked about again."""
VERIFY_EVERY_S = 15.0
"""How often is looked whether an applied change is due to be compared with the time before it."""
AGENTS_EVERY_S = 10.0
"""How often is looked whether an agent is due."""
ADVISED_AT_ONCE = 2
"""Searches for improvements side by side: each asks a server's planner for some seconds."""
DOUBTFUL_AT_ONCE = 24
"""Connections side by side that failed last or were never synced. They wait for silence to end, which takes nothing of
us: beside each other only, for a few of them would hold up all that work."""
_FIRST_SPREAD_S = 2.0
_log = logging.getLogger("meshag.workflows")


@dataclass(slots=True)
class _Due:
    """When a connection is due on our clock, and for which stored due time (its slot; None = it never synced)."""

    at: float
    slot: int | None


class Scheduler:
    """Keeps every connection that is not paused at its interval. One instance a process; `run` until `stop`."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        runner: Runner,
        notices: Notices,
        clock: Callable[[], float] = time.monotonic,
        sampler: Sampler | None = None,
        watcher: Watcher | None = None,
        turns: Turns | None = None,
    ) -> None:
        """`sampler` looks at sessions, and `watcher` over all that is known, as long as this runs. `turns`: those that
        others take too."""
        self._store = store
        self._settings = settings
        self._runner = runner
        self._notices = notices
        self._clock = clock
        self._sampler = sampler
        self._watcher = watcher
        self._chance = random.Random()  # noqa: S311 (spreads syncs)
        self._due: dict[str, _Due] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._turns = turns or Turns(settings.collect)
        self._free = asyncio.Semaphore(settings.collect.collectors)
        self._doubtful = asyncio.Semaphore(DOUBTFUL_AT_ONCE)
        self._free_to_advise = asyncio.Semaphore(ADVISED_AT_ONCE)
        self._advised: dict[str, int] = {}  # connection id -> the slot it was advised in
        self._wake = asyncio.Event()
        self._stopping = False
        self._upkeep_at = clock() + 60
        self._recover_at = self._reconcile_at = self._verify_at = self._agents_at = clock()
        self.paused = False

    def pause(self) -> None:
        """Start nothing more until `resume`; what runs goes on."""
        self.paused = True

    def resume(self) -> None:
        """Start again. Slots that passed meanwhile are not made up for: each connection is due once."""
        self.paused = False
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return when what it started has ended or been interrupted."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop` or cancelled."""
        unsubscribe = self._notices.subscribe(self._heard)
        if self._sampler is not None:
            self._begin("sampling", self._sampler.run())
        if self._watcher is not None:
            self._begin("watching", self._watcher.run())
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    wait_s = await self.tick()
                except Exception:  # one mistake must not end the collecting of everything
                    _log.exception("the scheduler failed unexpectedly, and goes on")
                    wait_s = LOOK_EVERY_S
                try:
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            unsubscribe()
            tasks = list(self._working.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def once(self) -> None:
        """Sync what is due now, take up what dead processes left, wait for both, and judge what came of it."""
        with contextlib.ExitStack() as watching:
            if self._watcher is not None:
                watching.enter_context(self._watcher.listening())
            await self.tick()
            while self._working:
                await asyncio.gather(*self._working.values(), return_exceptions=True)
            await self._runner.settle()
            if self._watcher is not None:
                await self._watcher.tick()

    async def tick(self) -> float:
        """Start what is due and return the seconds until it is worth looking again."""
        if self.paused:
            return LOOK_EVERY_S
        try:
            known, now_ms = await self._store(_listing_now)
            now = self._clock()
            await self._keep_house(now, now_ms)
        except StoreUnavailable as error:
            _log.warning("the scheduler waits for the store: %s", error)
            return LOOK_EVERY_S
        self._turns.learn(known)
        alive = {info.id for info in known if info.status is not ConnectionStatus.INACTIVE}
        for gone in set(self._due) - alive:
            del self._due[gone]
            self._advised.pop(gone, None)
        nearest = LOOK_EVERY_S
        for info in known:
            if info.id not in alive or info.id in self._working:
                continue
            due = self._due_of(info, now, now_ms)
            if due.at <= now:
                self._begin(info.id, self._sync(info, now_ms if due.slot is None else due.slot))
            else:
                nearest = min(nearest, due.at - now)
        return max(0.01, nearest)

    # ------------------------------------------------------------------

    def _due_of(self, info: ConnectionInfo, now: float, now_ms: int) -> _Due:
        """When it is due on our clock; read anew when the stored due time is another than the one we know."""
        known = self._due.get(info.id)
        if known is not None and known.slot == info.next_sync_at:
            return known
        if info.next_sync_at is None:
            spread = min(_FIRST_SPREAD_S, self._interval_s(info) / 10)
            wait_s = self._chance.uniform(0, spread) if info.last_sync_at is not None else 0.0
        else:
            # A due time further away than any pace we set is from a clock that was wrong.
            longest = max(2 * self._interval_s(info), 900.0) * 2
            wait_s = (info.next_sync_at - now_ms) / 1000
            wait_s = 0.0 if wait_s > longest else max(0.0, wait_s)
        due = self._due[info.id] = _Due(now + wait_s, info.next_sync_at)
        return due

    async def _set_next(self, info: ConnectionInfo) -> int:
        """Count from the end of the run. A run that set no new time (cancelled, interrupted) waits an interval.

        Returns the store's clock, 0 if the store cannot be asked.
        """
        try:
            fresh, now_ms = await self._store(_now_of, info)
        except StoreUnavailable:
            fresh, now_ms = info, 0
        self._turns.update(fresh)
        self._due.pop(info.id, None)
        due = self._due_of(fresh, self._clock(), now_ms)
        if fresh.next_sync_at == info.next_sync_at:
            due.at = self._clock() + self._interval_s(info)
        return now_ms

    def _interval_s(self, info: ConnectionInfo) -> int:
        return info.interval_s or self._settings.collect.interval_s

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Work on something beside the others; one thing of a name at a time."""

        async def guarded() -> None:
            try:
                await work
            except StoreUnavailable as error:
                _log.warning("%s waits for the store: %s", name, error)
                await asyncio.sleep(1.0)
            except Exception:  # not begun again before the others had their turn
                _log.exception("%s failed unexpectedly", name)
                await asyncio.sleep(LOOK_EVERY_S)

        def ended(_: asyncio.Task[None]) -> None:
            self._working.pop(name, None)
            self._wake.set()

        task = self._working[name] = asyncio.create_task(guarded(), name=f"scheduled {name}")
        task.add_done_callback(ended)

    async def _sync(self, info: ConnectionInfo, slot: int) -> None:
        works = info.failures == 0 and info.last_sync_at is not None
        async with self._turns.of(info.id, syncs=True), self._free if works else self._doubtful:
            if self._stopping or self.paused:
                return
            given = {"by_hand": False, "keep": self._turns.may_keep(info.id)}
            synced = await self._runner.submit(sync.KIND, info.id, slot=slot, connection_id=info.id, input=given)
            self._advise_if_due(info, synced, await self._set_next(info))
            self._notices.publish(Changed("statistics", info.id))
            self._notices.publish(Changed("connections", info.id))

    def _advise_if_due(self, info: ConnectionInfo, synced: Outcome, now_ms: int) -> None:
        """Look for improvements once there is a workload, and again in each further span since it was added."""
        every_ms = self._settings.advice.every_s * 1000
        if every_ms <= 0 or not now_ms or synced.state is not ExecutionState.DONE:
            return
        slot = (now_ms - info.created_at) // every_ms
        known = self._advised.get(info.id)
        if slot != known and (known is not None or synced.result.get("active")):
            self._advised[info.id] = slot
            self._begin(f"advice {info.id}", self._advise(info, slot))

    async def _advise(self, info: ConnectionInfo, slot: int) -> None:
        async with self._free_to_advise, self._turns.of(info.id):
            if self._stopping or self.paused:
                return
            await self._runner.submit(suggest.KIND, info.id, slot=slot, connection_id=info.id, input={})
            self._notices.publish(Changed("suggestions", info.id))

    async def _keep_house(self, now: float, now_ms: int) -> None:
        if now >= self._recover_at:
            self._recover_at = now + RECOVER_EVERY_S
            await self._runner.recover()
        if now >= self._reconcile_at and not self._settings.read_only:
            self._reconcile_at = now + RECONCILE_EVERY_S
            for row in await self._store(change.left_behind, answering=True):
                self._begin(row.id, self._look_after(row.id, row.connection_id))
        if now >= self._verify_at:
            self._verify_at = now + VERIFY_EVERY_S
            for due in await self._store(outcomes.due):
                self._begin(f"verify {due.change_id}", self._verify(due))
        if now >= self._agents_at:
            self._agents_at = now + AGENTS_EVERY_S
            for scheduled in await self._store(agents.take_due):
                from meshag_tui.workflows.agents import runs_of

                for run in await self._store(runs_of, scheduled):
                    self._begin(f"agent {run.key}", self._run_agent(run))
        if now >= self._upkeep_at:
            slot, since_s = divmod(now_ms / 1000 - _UPKEEP_AFTER_S, UPKEEP_EVERY_S)
            self._upkeep_at = now + UPKEEP_EVERY_S - since_s
            self._begin(upkeep.KIND, self._tidy(int(slot)))

    async def _look_after(self, change_id: str, connection_id: str) -> None:
        """A change whose outcome nobody knows (a lost server, a stopped process): ask the server what became of it."""
        await self._runner.submit(change.KIND, change_id, connection_id=connection_id, input=change.LEFT)
        self._notices.publish(Changed("changes", connection_id))
        self._notices.publish(Changed("suggestions", connection_id))

    async def _verify(self, due: outcomes.Due) -> None:
        async with self._turns.of(due.connection_id):
            looked = await self._runner.submit(
                verify.KIND, due.change_id, slot=due.due_at, connection_id=due.connection_id
            )
        if looked.state is not ExecutionState.DONE:  # its occasion is over: there must be another
            await self._store(verify.postpone, due.change_id)
        self._notices.publish(Changed("changes", due.connection_id))
        self._notices.publish(Changed("suggestions", due.connection_id))

    async def _run_agent(self, run: DueRun) -> None:
        await self._runner.submit(agents.RUN, run.key, slot=run.slot, connection_id=run.connection_id, input=run.input)
        self._notices.publish(Changed("agents", run.connection_id))

    async def _tidy(self, slot: int) -> None:
        await self._runner.submit(upkeep.KIND, "store", slot=slot)

    def _heard(self, notice: Notice) -> None:
        if isinstance(notice, Changed) and notice.topic == "connections":
            self._wake.set()


def _listing_now() -> tuple[tuple[ConnectionInfo, ...], int]:
    return connections.listing(), database.now_ms()


def _now_of(info: ConnectionInfo) -> tuple[ConnectionInfo, int]:
    """A connection as it is now, or as it was when it went."""
    try:
        return connections.get(info.id), database.now_ms()
    except connections.Gone:
        return info, database.now_ms()
