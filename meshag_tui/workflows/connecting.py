"""The monitored connections, as screens and command line use them: test, add, change, remove, and what is missing.

A test stores nothing; what is changed is in the activity log with it, or neither is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from meshag_tui.engines import engine_for
from meshag_tui.settings import Settings
from meshag_tui.store import activity, connections
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.database import Store
from meshag_tui.store.vault import Vault
from meshag_tui.types import ConnectionStatus, Finding, MeshagError, Target
from meshag_tui.workflows.notices import Changed, Notices
from meshag_tui.workflows.rights import needs
from meshag_tui.workflows.sync import limits

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from meshag_tui.engines.base import Session
    from meshag_tui.live import LiveReading
    from meshag_tui.snapshot import ServerFacts


class Tested(NamedTuple):
    """What a test of a connection found: the server, what is missing, and whether we know this server already.

    `same_as` names connections to the same database of the same server; `duration_ms` is the whole test.
    """

    label: str
    facts: ServerFacts
    findings: tuple[Finding, ...]
    same_as: tuple[str, ...]
    duration_ms: float

    @property
    def missing(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity in ("missing", "degraded"))


class Connections:
    """What is done about connections; `actor` does it."""

    def __init__(self, store: Store, vault: Vault, settings: Settings, notices: Notices, actor: str) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._notices = notices
        self._actor = actor

    async def test(self, target: Target) -> Tested:
        """Connect, look at everything a sync would need, and leave. Nothing is stored.

        Raises:
            EngineError: it cannot be reached or does not let us in; each cause has its own words.
        """
        started = time.monotonic()
        async with self._session(target, "test") as session:
            findings = await session.findings()
            facts = session.facts
        same = tuple(info.name for info in await self.watching(target, facts))
        return Tested(target.label, facts, findings, same, round((time.monotonic() - started) * 1000, 1))

    async def watching(self, target: Target, facts: ServerFacts | None = None) -> tuple[ConnectionInfo, ...]:
        """The connections to the same database: at the same address or, by `facts`, on what calls itself the same."""
        known = await self._store.read(connections.listing)
        place = (target.db_type, target.host, target.port, target.database)
        return tuple(
            info
            for info in known
            if (info.db_type, info.host, info.port, info.database) == place
            or (facts is not None and _same_database(info, facts))
        )

    @needs("collect")
    async def test_saved(self, connection_id: str) -> Tested:
        """Test a saved connection. Its status is TESTING meanwhile, then ACTIVE or ERROR; a paused one stays paused."""
        info = await self._store(connections.get, connection_id)
        paused = info.status is ConnectionStatus.INACTIVE
        target = await self._store(connections.target, connection_id, self._vault)
        if not paused:
            await self._set_status(connection_id, ConnectionStatus.TESTING)
        try:
            report = await self.test(target)
        except MeshagError as error:
            await self._store(connections.failed, connection_id, str(error), info.next_sync_at)
            self._notices.publish(Changed("connections", connection_id))
            raise
        except BaseException:
            if not paused:
                await self._set_status(connection_id, info.status)
            raise
        await self._store(connections.answered, connection_id, report.facts)
        if not paused:
            await self._set_status(connection_id, ConnectionStatus.ACTIVE)
        return report

    @needs("admin")
    async def add(
        self,
        name: str,
        target: Target,
        *,
        project: str | None = None,
        interval_s: int | None = None,
        read_only: bool = False,
        slow_ms: float | None = None,
        slow_by_longest: bool = False,
        other_databases: bool = False,
        facts: ServerFacts | None = None,
    ) -> ConnectionInfo:
        """Save a connection; its first sync makes it ACTIVE. UsageError if the name is taken.

        `facts` are those of a test of it, where there was one: then it is known at once which server it is.
        """

        def save() -> ConnectionInfo:
            info = connections.add(
                name,
                target,
                self._vault,
                project=project,
                interval_s=interval_s,
                read_only=read_only,
                slow_ms=slow_ms,
                slow_by_longest=slow_by_longest,
                other_databases=other_databases,
                facts=facts,
            )
            activity.record(actor, "connection.added", f"{info.name}: {info.label}", connection=info.id)
            return info

        actor = self._actor
        info = await self._store.whole(save)
        self._notices.publish(Changed("connections", info.id))
        return info

    @needs("admin")
    async def edit(self, connection_id: str, **changes: Any) -> ConnectionInfo:
        """Change a connection; see `store.connections.edit` for the names."""

        def save() -> ConnectionInfo:
            before = connections.get(connection_id)
            info = connections.edit(connection_id, vault=self._vault, **changes)
            if info.interval_s != before.interval_s:  # it holds from the next sync on
                connections.due_after(connection_id, info.interval_s or self._settings.collect.interval_s)
                info = connections.get(connection_id)
            what = ", ".join(sorted(changes))
            activity.record(actor, "connection.edited", f"{info.name}: {what}", connection=info.id)
            return info

        actor = self._actor
        info = await self._store.whole(save)
        self._notices.publish(Changed("connections", connection_id))
        return info

    @needs("admin")
    async def remove(self, connection_id: str) -> dict[str, int]:
        """Forget a connection with all its history; rows removed by kind."""

        def remove() -> dict[str, int]:
            info = connections.get(connection_id)
            gone = connections.remove(connection_id)
            activity.record(actor, "connection.removed", f"{info.name}: {info.label}", subject=connection_id)
            return gone

        actor = self._actor
        gone = await self._store.whole(remove)
        self._notices.publish(Changed("connections", None))
        return gone

    @needs("collect")
    async def pause(self, connection_id: str) -> None:
        """Stop syncing a connection (INACTIVE) until `resume`."""
        await self._switched(connection_id, ConnectionStatus.INACTIVE, "connection.paused")

    @needs("collect")
    async def resume(self, connection_id: str) -> None:
        """Sync a paused connection again, at once and then at its interval."""
        await self._switched(connection_id, ConnectionStatus.ACTIVE, "connection.resumed")

    def setup_sql(self, target: Target) -> str:
        """The script an administrator runs to make the role MeshAG needs."""
        return engine_for(target.db_type).setup_sql(target.user, target.database)

    async def doctor(self, connection_id: str) -> tuple[Finding, ...]:
        """Every capability of a connection: ok, degraded or missing, with the exact SQL or step that mends it."""
        target = await self._store(connections.target, connection_id, self._vault)
        async with self._session(target, "doctor") as session:
            return await session.findings()

    async def live(self, connection_id: str) -> LiveReading:
        """What sessions of a connection do now, idle ones and the vital figures too.

        Raises:
            EngineError: the server cannot be reached, or does not let us in.
        """
        target = await self._store(connections.target, connection_id, self._vault)
        async with self._session(target, "live") as session:
            return await session.live(idle=True, vitals=True)

    def _session(self, target: Target, purpose: str) -> AbstractAsyncContextManager[Session]:
        return engine_for(target.db_type).connect(target, purpose, limits(self._settings.collect))

    async def _switched(self, connection_id: str, status: ConnectionStatus, kind: str) -> None:
        def save() -> None:
            connections.set_status(connection_id, status)
            activity.record(self._actor, kind, connections.get(connection_id).name, connection=connection_id)

        await self._store.whole(save)
        self._notices.publish(Changed("connections", connection_id))

    async def _set_status(self, connection_id: str, status: ConnectionStatus) -> None:
        await self._store(connections.set_status, connection_id, status)
        self._notices.publish(Changed("connections", connection_id))


def _same_database(info: ConnectionInfo, facts: ServerFacts) -> bool:
    """Whether it is the same database of the same server, by what was known of it at the last sync.

    A standby calls itself what its primary does. Two of them are one only if they began at the same moment.
    """
    if info.system_identifier != facts.epoch.system_identifier or info.database != facts.database:
        return False
    if bool(info.facts.get("in_recovery")) != facts.in_recovery:
        return False
    began = (info.facts.get("epoch") or {}).get("started_at")
    return not facts.in_recovery or began == facts.epoch.started_at
