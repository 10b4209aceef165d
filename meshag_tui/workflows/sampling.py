"""Looks at what sessions do, again and again, and keeps it: the active session history.

One task and one open read-only session for each server that is synced without trouble: what sessions do is the same for
all connections of one role to it, whichever database they lead to. A look is one statement; its pace follows who looks
(a screen in front asks for more) and what it costs: a server that answers slowly is asked less often. What was seen is
added up in memory and written once a minute, more often while somebody looks at it, seldom while nothing works there.
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
from meshag_tui.workflows.turns import Server, servers

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
    shared_with: int = 0  # other connections that are told what this session sees


@dataclass(slots=True)
class _Sum:
    """What was seen since `start_at` (epoch ms)."""

    start_at: int
    samples: int = 0
    active: dict[str, float] = field(default_factory=dict)
    sessions: dict[tuple[object, ...], sampled.SeenSession] = field(default_factory=dict)
    last: LiveReading | None = None  # that read the vital figures

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
            self.last = reading

    def spans(self, members: Mapping[str, str], end_at: int) -> dict[str, sampled.Span]:
        """What is kept of each connection; `members` as a `_Look` has them."""
        span, last = self._span(end_at), self.last
        return {
            each: span if last is None else replace(span, vitals=last.vitals_of(database))
            for each, database in members.items()
        }

    def _span(self, end_at: int) -> sampled.Span:
        blocking = {each for session in self.sessions.values() for each in session.blocked_by}

        def weight(session: sampled.SeenSession) -> tuple[object, ...]:
            return bool(session.blocked_by) or session.id in blocking, session.state == "active", session.seen

        kept = sorted(self.sessions.values(), key=weight, reverse=True)[:REMEMBERED]
        return sampled.Span(self.start_at, end_at, self.samples, self.active, tuple(kept))


@dataclass(slots=True)
class _Look:
    """A server, as one role sees it, and who is told of it: one session looks for all these connections."""

    members: Mapping[str, str]  # the database of each connection, by its id
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    turn: int = 0  # whose way to the server is taken
    every_s: float = 0.0  # the pace
    task: asyncio.Task[None] | None = None


class Sampler:
    """Samples every server whose connections are not paused. One instance a process; `run` until cancelled."""

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
        self._looks: dict[Server, _Look] = {}

    def latest(self, connection_id: str) -> Latest | None:
        """The last look at a connection from here; None: there was none yet."""
        return self._latest.get(connection_id)

    def watch(self, connection_id: str) -> None:
        """Somebody looks on: look more often for a while, at idle sessions too."""
        fresh = not self._is_watched(connection_id)
        self._watched_until[connection_id] = self._clock() + WATCHED_FOR_S
        if fresh:
            for look in self._looks.values():
                if connection_id in look.members:
                    look.awake.set()

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
            tasks = [look.task for look in self._looks.values() if look.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _keep_to(self, wanted: Mapping[str, ConnectionInfo]) -> None:
        """Have a task for each server of these and no other. A sync must have worked first: it is what tries
        passwords."""
        members: dict[Server, dict[str, str]] = {}
        for connection_id, server in servers(wanted.values()).items():
            info = wanted[connection_id]
            database = str(info.facts.get("database") or info.database)
            members.setdefault((server, info.username), {})[connection_id] = database
        gone = {server: look for server, look in self._looks.items() if server not in members}
        for server, found in members.items():
            if server not in self._looks:
                # One that calls itself otherwise since its restart is looked at as before.
                before = next((each for each, look in gone.items() if look.members.keys() & found.keys()), None)
                self._looks[server] = _Look(found) if before is None else gone.pop(before)
                if before is not None:
                    del self._looks[before]
            look = self._looks[server]
            look.members = found
            if look.task is None:
                look.task = asyncio.create_task(self._follow(look), name=f"sampling {server}")
        for server, look in gone.items():
            del self._looks[server]
            if look.task is not None:
                look.task.cancel()
        for connection_id in self._latest.keys() - wanted.keys():
            del self._latest[connection_id]

    async def _follow(self, look: _Look) -> None:
        failures = 0
        while True:
            try:
                await self._sample(look)
            except MeshagError as error:
                fix = getattr(error, "fix", None) or ""
                before = [self._latest.get(each, Latest()) for each in look.members]
                for connection_id, latest in zip(look.members, before, strict=True):
                    self._latest[connection_id] = replace(latest, error=str(error), fix=fix)
                    self._notices.publish(Changed("sessions", connection_id))
                look.turn += 1
                worked = any(latest.reading is not None and not latest.error for latest in before)
                failures = 0 if worked else failures + 1
                if isinstance(error, EngineError) and not error.transient and failures >= len(look.members):
                    failures = len(_AGAIN_S)  # a password, a grant: what only people mend is not tried in a hurry
            except Exception:
                _log.exception("sampling failed")
                failures += 1
            await asyncio.sleep(_AGAIN_S[min(failures, len(_AGAIN_S) - 1)])

    async def _sample(self, look: _Look) -> None:
        """Look over one session until it fails."""
        way = tuple(look.members)[look.turn % len(look.members)]
        target = await self._store(connections.target, way, self._vault)
        async with engine_for(target.db_type).connect(target, "live", _LIMITS) as session:
            members, summed = look.members, _Sum(int(time.time() * 1000))
            vitals_at = self._clock()
            try:
                while True:
                    due = self._clock() >= vitals_at
                    if due:
                        vitals_at = self._clock() + VITALS_EVERY_S
                    reading = await self._look(look, session, vitals=due)
                    if members != look.members and summed.samples:  # each is told what was seen while it was one
                        summed = await self._keep(members, summed, reading.taken_at)
                    members = look.members
                    summed.add(reading)
                    if self._is_due(look, summed, reading.taken_at):
                        summed = await self._keep(members, summed, reading.taken_at)
                    await self._pause(look)
            finally:
                if summed.samples:
                    await self._store(sampled.add_all, summed.spans(members, int(time.time() * 1000)))

    async def _look(self, look: _Look, session: Session, vitals: bool) -> LiveReading:
        watched = [each for each in look.members if self._is_watched(each)]
        databases = tuple(look.members.values()) if len(look.members) > 1 else ()
        reading = await session.live(idle=bool(watched), vitals=vitals, databases=databases)
        look.every_s = pace(WATCHED_S if watched else self._settings.collect.sample_s, reading.took_ms)
        for connection_id, database in look.members.items():
            known = self._latest.get(connection_id, Latest())
            own = reading.vitals_of(database) or known.vitals
            self._latest[connection_id] = Latest(reading, "", "", own, look.every_s, len(look.members) - 1)
        for connection_id in watched:
            self._notices.publish(Changed("sessions", connection_id))
        return reading

    def _is_due(self, look: _Look, summed: _Sum, now_ms: int) -> bool:
        if any(map(self._is_watched, look.members)):
            span_s = WATCHED_SPAN_S
        else:
            span_s = SPAN_S if summed.active or summed.sessions else IDLE_SPAN_S
        return now_ms - summed.start_at >= span_s * 1000

    async def _keep(self, members: Mapping[str, str], summed: _Sum, end_at: int) -> _Sum:
        try:
            await self._store(sampled.add_all, summed.spans(members, end_at))
        except StoreUnavailable as error:  # a span is lost, not the session
            _log.warning("what sessions did was not kept: %s", error)
        return _Sum(end_at)

    async def _pause(self, look: _Look) -> None:
        look.awake.clear()
        try:
            async with asyncio.timeout(look.every_s):
                await look.awake.wait()
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
