"""Which connections lead to one server, and that work which begins by itself takes turns there.

A server is told by its address until it was synced, and then by what it calls itself: one pooler leads to several
servers, and one server has several names. Sampling has a session of its own a server; of all else as many run side by
side as `[collect] sessions` leaves. What somebody asks for by hand waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from meshag_tui.settings import CollectSettings
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.types import ConnectionStatus, DbType

if TYPE_CHECKING:
    from meshag_tui.workflows.kept import KeptSessions

Server = tuple[Any, ...]
"""What tells a server from others: opaque, equal for connections to the same one."""


def servers(known: Iterable[ConnectionInfo]) -> dict[str, Server]:
    """The server of each connection, by its id.

    A standby calls itself what its primary does, and a copy what it was made from: of PostgreSQL's the moment it was
    started counts too, as the newest sync at that address has it, so that a restart parts nobody for long.
    """
    known = tuple(known)
    newest: dict[Server, tuple[int, int]] = {}
    for info in known:
        if info.system_identifier is not None:
            at = _itself(info)
            newest[at] = max(newest.get(at, (0, 0)), (info.last_sync_at or 0, _started_at(info)))
    found: dict[str, Server] = {}
    by_address: dict[Server, Server] = {}
    for info in known:
        if info.system_identifier is not None:
            moment = newest[_itself(info)][1] if info.db_type is DbType.POSTGRES else 0
            found[info.id] = (info.db_type, info.system_identifier, _in_recovery(info), moment)
            by_address.setdefault(_address(info), found[info.id])
    return found | {
        info.id: by_address.get(_address(info), _address(info)) for info in known if info.system_identifier is None
    }


def _address(info: ConnectionInfo) -> Server:
    return info.db_type, info.host.casefold(), info.port, info.proxy


def _itself(info: ConnectionInfo) -> Server:
    return _address(info), info.system_identifier, _in_recovery(info)


def _in_recovery(info: ConnectionInfo) -> bool:
    return bool(info.facts.get("in_recovery"))


def _started_at(info: ConnectionInfo) -> int:
    return int((info.facts.get("epoch") or {}).get("started_at") or 0)


class Turns:
    """Lets what begins by itself onto servers, first come, first served. One a process."""

    def __init__(self, collect: CollectSettings, kept: KeptSessions | None = None) -> None:
        """`kept`: idle sessions that make room for others."""
        self.at_once = beside_sampling(collect)
        self._kept = kept
        self._known: dict[str, ConnectionInfo] = {}
        self._servers: dict[str, Server] = {}
        self._changed = False
        self._turns: dict[Server, asyncio.Semaphore] = {}

    def learn(self, known: Sequence[ConnectionInfo]) -> None:
        """These are all connections there are."""
        self._known = {info.id: info for info in known}
        self._changed = True

    def update(self, info: ConnectionInfo) -> None:
        """One of them is now as this."""
        self._known[info.id] = info
        self._changed = True

    def neighbours(self, connection_id: str) -> tuple[str, ...]:
        """All connections to the same server that are not paused, this one among them."""
        server, paused = self._server(connection_id), ConnectionStatus.INACTIVE
        return tuple(each for each, at in self._all().items() if at == server and self._known[each].status != paused)

    def may_keep(self, connection_id: str) -> bool:
        """Whether there are so few connections to the server that each may keep its session."""
        return len(self.neighbours(connection_id)) <= self.at_once

    @asynccontextmanager
    async def of(self, connection_id: str, *, syncs: bool = False) -> AsyncIterator[None]:
        """Be on a connection's server when its turn comes. `syncs`: over the session that may be kept for it."""
        while True:
            turn = self._turn(connection_id)
            async with turn:
                if self._turn(connection_id) is not turn:  # meanwhile a sync told which server it is
                    continue
                if self._kept is not None and not (syncs and self.may_keep(connection_id)):
                    await self._kept.let_go(self.neighbours(connection_id))
                yield
                return

    def _turn(self, connection_id: str) -> asyncio.Semaphore:
        server = self._server(connection_id)
        if server not in self._turns:
            self._turns[server] = asyncio.Semaphore(self.at_once)
        return self._turns[server]

    def _server(self, connection_id: str) -> Server:
        return self._all().get(connection_id, (connection_id,))

    def _all(self) -> dict[str, Server]:
        if self._changed:
            before, self._servers = self._servers, servers(self._known.values())
            self._changed = False
            there = set(self._servers.values())
            for connection_id, server in self._servers.items():  # whoever is on it stays, by whatever name it goes now
                old = before.get(connection_id, server)
                if old not in there and old in self._turns and server not in self._turns:
                    self._turns[server] = self._turns.pop(old)
        return self._servers


def beside_sampling(collect: CollectSettings) -> int:
    """How many sessions a server may have beside the one that samples."""
    return collect.sessions - (1 if collect.sample_s > 0 else 0)
