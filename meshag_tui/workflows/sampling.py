"""Looks at what sessions do, again and again, and keeps it: the active session history.

One task and one open read-only session for each connection that is synced without trouble. A look is one statement; its
pace follows who looks (a screen in front asks for more) and what it costs: a server that answers slowly is asked less
often. What was seen is added up in memory and written once a minute, more often while somebody looks at it, seldom
while nothing works there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import EngineError, Limits, Session
from meshag_tui.live import LiveReading, LiveSession, Vital
from meshag_tui.settings import Settings
from meshag_tui.store import connections, sampled
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.database import Store, StoreUnavailable
from meshag_tui.store.vault import Vault
from meshag_tui.types import ConnectionStatus, MeshagError
from meshag_tui.workflows.notices import Changed, Notices

WATCHED_S = 1.0
"""Between two looks while somebody looks on."""
WATCHED_FOR_S = 10.0
"""How long one who looked is taken to look on."""
DEAREST_SHARE = 0.02
"""Of the time that a server may be busy with being looked at, as far as its answers tell."""
SLOWEST_S = 60.0
VITALS_EVERY_S = 30.0
SPAN_S, WATCHED_SPAN_S, IDLE_SPAN_S = 60.0, 10.0, 300.0
"""How much one row of the store covers: usually, while somebody looks on, while nothing works."""
REMEMBERED = 25
"""Sessions of a span that are kept, those that mattered most."""
_LIMITS = Limits(connect_s=5.0, call_s=3.0)
_AGAIN_S = (5.0, 10.0, 20.0, 40.0, 60.0)
_LIST_EVERY_S = 5.0
_log = logging.getLogger("meshag.workflows")


@dataclass(frozen=True, slots=True)
class Latest:
    """What is known of a connection: the last reading, and why there is no newer one. `vitals` are the last read."""

    reading: LiveReading | None = None
    error: str = ""
    fix: str = ""
    vitals: Mapping[str, Vital] | None = None
    every_s: float = 0.0  # the pace


@dataclass(slots=True)
class _Sum:
    """What was seen since `start_at` (epoch ms)."""

    start_at: int
    samples: int = 0
    active: dict[str, float] = field(default_factory=dict)
    sessions: dict[tuple[object, ...], sampled.SeenSession] = field(default_factory=dict)
    vitals: Mapping[str, Vital] | None = None

    def add(self, reading: LiveReading) -> None:
        self.samples += 1
        for name, number in reading.active().items():
            self.active[name] = self.active.get(name, 0.0) + number
        blocking = {each for session in reading.sessions for each in session.blocked_by}
        for session in reading.sessions:
            if session.state in ("active", "idle in transaction") or session.id in blocking:
                seen = _seen(session)
                key = (session.id, seen.state, seen.wait, seen.event, seen.fingerprint, seen.blocked_by)
                before = self.sessions.get(key)
                self.sessions[key] = (
                    replace(seen, seen=before.seen + 1, ms=max(before.ms or 0.0, seen.ms or 0.0)) if before else seen
                )
        if reading.vitals is not None:
            self.vitals = reading.vitals

    def span(self, end_at: int) -> sampled.Span:
        blocking = {each for session in self.sessions.values() for each in session.blocked_by}

        def weight(session: sampled.SeenSession) -> tuple[object, ...]:
            return bool(session.blocked_by) or session.id in blocking, session.state == "active", session.seen

        kept = sorted(self.sessions.values(), key=weight, reverse=True)[:REMEMBERED]
        return sampled.Span(self.start_at, end_at, self.samples, self.active, tuple(kept), self.vitals)


class Sampler:
    """Samples every connection that is not paused. One instance a process; `run` until cancelled."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        settings: Settings,
        notices: Notices,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._vault, self._settings, self._notices = store, vault, settings, notices
        self._clock = clock
        self._latest: dict[str, Latest] = {}
        self._watched_until: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._awake: dict[str, asyncio.Event] = {}

    def latest(self, connection_id: str) -> Latest | None:
        """The last look at a connection from here; None: there was none yet."""
        return self._latest.get(connection_id)

    def watch(self, connection_id: str) -> None:
        """Somebody looks on: look more often for a while, at idle sessions too."""
        fresh = not self._is_watched(connection_id)
        self._watched_until[connection_id] = self._clock() + WATCHED_FOR_S
        if fresh and connection_id in self._awake:
            self._awake[connection_id].set()

    def _is_watched(self, connection_id: str) -> bool:
        return self._clock() < self._watched_until.get(connection_id, float("-inf"))

    async def run(self) -> None:
        """Work until cancelled."""
        if self._settings.collect.sample_s <= 0:
            return
        try:
            while True:
                try:
                    known = await self._store.read(connections.listing)
                    self._keep_to({info.id: info for info in known if info.status is ConnectionStatus.ACTIVE})
                except StoreUnavailable as error:
                    _log.warning("sampling waits for the store: %s", error)
                except Exception:  # one mistake must not end the sampling of everything
                    _log.exception("sampling failed unexpectedly, and goes on")
                await asyncio.sleep(_LIST_EVERY_S)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _keep_to(self, wanted: Mapping[str, ConnectionInfo]) -> None:
        """Have a task for each of these and no other. A sync must have worked first: it is what tries passwords."""
        for gone in set(self._tasks) - set(wanted):
            self._tasks.pop(gone).cancel()
            self._latest.pop(gone, None)
        for new in set(wanted) - set(self._tasks):
            self._awake[new] = asyncio.Event()
            self._tasks[new] = asyncio.create_task(self._follow(new), name=f"sampling {new}")

    async def _follow(self, connection_id: str) -> None:
        failures = 0
        while True:
            try:
                await self._sample(connection_id)
            except MeshagError as error:
                before = self._latest.get(connection_id, Latest())
                fix = getattr(error, "fix", None) or ""
                self._latest[connection_id] = replace(before, error=str(error), fix=fix)
                self._notices.publish(Changed("sessions", connection_id))
                worked = before.reading is not None and not before.error
                failures = 0 if worked else failures + 1
                if isinstance(error, EngineError) and not error.transient and failures:
                    failures = len(_AGAIN_S)  # a password, a grant: what only people mend is not tried in a hurry
            except Exception:
                _log.exception("sampling failed")
                failures += 1
            await asyncio.sleep(_AGAIN_S[min(failures, len(_AGAIN_S) - 1)])

    async def _sample(self, connection_id: str) -> None:
        """Look over one session until it fails."""
        target = await self._store(connections.target, connection_id, self._vault)
        async with engine_for(target.db_type).connect(target, "live", _LIMITS) as session:
            summed = _Sum(int(time.time() * 1000))
            vitals_at = self._clock()
            try:
                while True:
                    due = self._clock() >= vitals_at
                    if due:
                        vitals_at = self._clock() + VITALS_EVERY_S
                    reading = await self._look(connection_id, session, vitals=due)
                    summed.add(reading)
                    if self._is_due(connection_id, summed, reading.taken_at):
                        summed = await self._keep(connection_id, summed, reading.taken_at)
                    await self._pause(connection_id)
            finally:
                if summed.samples:
                    await self._store(sampled.add, connection_id, summed.span(int(time.time() * 1000)))

    async def _look(self, connection_id: str, session: Session, vitals: bool) -> LiveReading:
        watched = self._is_watched(connection_id)
        reading = await session.live(idle=watched, vitals=vitals)
        known = self._latest.get(connection_id, Latest())
        every_s = pace(WATCHED_S if watched else self._settings.collect.sample_s, reading.took_ms)
        self._latest[connection_id] = Latest(reading, "", "", reading.vitals or known.vitals, every_s)
        if watched:
            self._notices.publish(Changed("sessions", connection_id))
        return reading

    def _is_due(self, connection_id: str, summed: _Sum, now_ms: int) -> bool:
        if self._is_watched(connection_id):
            span_s = WATCHED_SPAN_S
        else:
            span_s = SPAN_S if summed.active or summed.sessions else IDLE_SPAN_S
        return now_ms - summed.start_at >= span_s * 1000

    async def _keep(self, connection_id: str, summed: _Sum, end_at: int) -> _Sum:
        try:
            await self._store(sampled.add, connection_id, summed.span(end_at))
        except StoreUnavailable as error:  # a span is lost, not the session
            _log.warning("what sessions did was not kept: %s", error)
        return _Sum(end_at)

    async def _pause(self, connection_id: str) -> None:
        awake = self._awake[connection_id]
        awake.clear()
        try:
            async with asyncio.timeout(self._latest[connection_id].every_s):
                await awake.wait()
        except TimeoutError:
            return


def pace(usual_s: float, took_ms: float) -> float:
    """Seconds to the next look after one that took so long: as usual, longer where that would be dear."""
    return max(usual_s, min(SLOWEST_S, took_ms / 1000 / DEAREST_SHARE))


def _seen(session: LiveSession) -> sampled.SeenSession:
    return sampled.SeenSession(
        id=session.id,
        user=session.user,
        database=session.database,
        client=session.client,
        application=session.application,
        kind=session.kind,
        state=session.state,
        wait=session.wait,
        event=session.event,
        ms=session.statement_ms if session.state == "active" else session.transaction_ms,
        fingerprint=session.fingerprint,
        blocked_by=session.blocked_by,
        seen=1,
        text=session.text,
    )
