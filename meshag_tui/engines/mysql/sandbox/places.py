"""Where a sandbox with data is: a private server of the same kind, or databases of its own on a server that was named.

A place gives the addresses of its accounts and is gone when it is closed. On a named server the account that was given
is all there is: it must have no right to files or to the whole server, as statements of others are run by it, and may
make databases called `meshag_rehearsal_…`. The watched server itself is refused, by its identity, and so is one that
does not say its own. Databases that a killed process left are known by their name and by the lock that nobody holds any
more, and are dropped by whoever comes next.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from meshag_tui.engines.base import EngineError, Limits, Refused
from meshag_tui.engines.here import free_bytes, megabytes
from meshag_tui.engines.mysql import grants
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.session import MysqlSession, common_settings
from meshag_tui.engines.mysql.wire import Flavour, SessionSettings
from meshag_tui.engines.rehearsal import Named
from meshag_tui.servers.mysqld import ADMIN, EmbeddedMysql, Installation
from meshag_tui.types import DbType, Secret, Target, TlsMode

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server

PREFIX = "meshag_rehearsal_"
_OURS = re.compile(rf"{PREFIX}([0-9a-f]{{12}})_\d+")
_ACCOUNT = "meshag"
_LEAST_ROOM = 512 * 1024 * 1024  # what a server of this kind takes by itself
_TIMES = 3
"""Room wanted, in times of what is copied: the tables, their indexes, and what is sorted."""
_TOO_MUCH = ("FILE", "SUPER", "CREATE USER", "SHUTDOWN", "ALL PRIVILEGES")
_SETTINGS: Mapping[str, str] = {
    "innodb-buffer-pool-size": "128M",
    "innodb-stats-auto-recalc": "OFF",  # nothing may change between two runs but what is measured
    "max-connections": "12",
    "performance-schema": "OFF",
    "loose-innodb-temp-data-file-path": "ibtmp1:12M:autoextend:max:1G",
}
_AS_SOURCE = ("lower_case_table_names", "innodb_page_size")


def writing(limits: Limits, more: Mapping[str, str | float] | None = None) -> SessionSettings:
    """The settings of a session that may write: in a sandbox alone."""

    def settings(flavour: Flavour) -> Mapping[str, str | float]:
        milliseconds = int(limits.call_s * 900)
        own: dict[str, str | float] = (
            {"transaction_read_only": 0, "max_execution_time": milliseconds, "information_schema_stats_expiry": 0}
            if flavour == "MySQL"
            else {"tx_read_only": 0, "max_statement_time": milliseconds / 1000}
        )
        return {**common_settings(limits), **own, **(more or {})}

    return settings


class Place(Protocol):
    """See the module. `label` says it in words; it is known once it is started."""

    label: str

    async def start(self, source_id: str, bytes_: int) -> None:
        """Make it ready for a copy of so many bytes of the server `source_id`; Refused where it must not be there."""

    async def make(self, schemas: Collection[str]) -> Mapping[str, str]:
        """Make a database for each schema of the source; what it is called here."""

    def target(self) -> Target:
        """For the account that owns what is made."""

    def admin(self) -> Target | None:
        """For an account that may do everything; None where there is none."""

    async def close(self) -> None:
        """Take it away."""


class PrivateServer:
    """A server of our own on this machine."""

    def __init__(self, installed: Installation, source: Server) -> None:
        settings = {**_SETTINGS, **{name.replace("_", "-"): source.settings[name] for name in _AS_SOURCE}}
        self._server = EmbeddedMysql(installed, settings=settings)
        self._password = secrets.token_urlsafe(18)
        self.label = f"{installed.flavour} {installed.version} on this machine"

    async def start(self, source_id: str, bytes_: int) -> None:
        await asyncio.to_thread(self._server.start)
        room, wanted = free_bytes(str(self._server.root)), _LEAST_ROOM + _TIMES * bytes_
        if room is not None and room < wanted:
            raise Refused(f"{megabytes(room)} are free where the sandbox would be, {megabytes(wanted)} are wanted")

    async def make(self, schemas: Collection[str]) -> Mapping[str, str]:
        session = await _opened(self.admin())
        try:
            await session.fetch(f"CREATE USER '{_ACCOUNT}'@'%' IDENTIFIED BY '{self._password}'")
            for name in schemas:
                await session.fetch(f"CREATE DATABASE {quoted(name)}")
                pattern = quoted(name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%"))
                await session.fetch(f"GRANT ALL ON {pattern}.* TO '{_ACCOUNT}'@'%'")
        finally:
            session.wire.close()
        return {name: name for name in schemas}

    def target(self) -> Target:
        return self._as(_ACCOUNT, self._password)

    def admin(self) -> Target:
        return self._as(ADMIN, self._server.password)

    async def close(self) -> None:
        await asyncio.to_thread(self._server.close)

    def _as(self, user: str, password: str) -> Target:
        return Target(DbType.MYSQL, str(self._server.socket.parent), 3306, "", user, Secret(password), TlsMode.DISABLE)


class NamedServer:
    """Databases of its own on a server that the user named."""

    def __init__(self, server: Named, flavour: Flavour) -> None:
        self._given = replace(server.target, database="")
        self._flavour = flavour
        self._name = f"{PREFIX}{secrets.token_hex(6)}"
        self._made: list[str] = []
        self._keeper: MysqlSession | None = None  # holds the lock that says that the databases are in use
        self.label = server.said

    async def start(self, source_id: str, bytes_: int) -> None:
        keeper = self._keeper = await _opened(self._given)
        facts = keeper.facts
        if facts.engine != self._flavour:
            raise Refused(f"{self._given.label} is {facts.engine}: a sandbox of {self._flavour} cannot be there")
        identifier = facts.epoch.system_identifier
        if ":" in identifier or ":" in source_id:
            raise Refused(f"It cannot be told whether {self._given.label} is the watched server: nothing is made there")
        if identifier == source_id:
            raise Refused("The sandbox would be on the watched server itself: nothing is made or run there")
        mine = await grants.read(keeper.wire)
        too_much = [right for right in _TOO_MUCH if mine.has_global(right)]
        if too_much:
            raise Refused(
                f"{self._given.user} has {too_much[0]} on all of {self._given.label}: give an account that has not"
            )
        self.label = f"{self._flavour} {facts.version}, {self._given.label}, in databases of its own"
        if await keeper.fetch(f"SELECT GET_LOCK('{self._name}', 0)") != [(1,)]:
            raise Refused(f"{self._given.label} gives no lock: nothing is made there")
        await self._drop_leftovers(keeper)

    async def make(self, schemas: Collection[str]) -> Mapping[str, str]:
        keeper = self._keeper
        if keeper is None:
            raise Refused("The sandbox is closed")
        names = {schema: f"{self._name}_{at}" for at, schema in enumerate(sorted(schemas))}
        for name in names.values():
            try:
                await keeper.fetch(f"CREATE DATABASE {quoted(name)}")
            except EngineError as error:
                pattern = quoted(PREFIX.replace("_", "\\_") + "%")
                raise Refused(
                    f"No database can be made on {self._given.label}: {error}",
                    f"GRANT ALL ON {pattern}.* TO the account {self._given.user}",
                ) from error
            self._made.append(name)
        return names

    def target(self) -> Target:
        return self._given

    def admin(self) -> None:
        return None

    async def close(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        try:
            if keeper.wire.gone is None:
                await _drop(keeper, self._made)
        finally:
            keeper.wire.close()

    async def _drop_leftovers(self, keeper: MysqlSession) -> None:
        """Databases of processes that were killed: ours by name, and locked by nobody."""
        rows = await keeper.fetch("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
        for name in sorted(str(row[0]) for row in rows):
            found = _OURS.fullmatch(name)
            lock = f"{PREFIX}{found[1]}" if found else ""
            if found and await keeper.fetch(f"SELECT GET_LOCK('{lock}', 0)") == [(1,)]:
                await _drop(keeper, [name])
                await keeper.fetch(f"SELECT RELEASE_LOCK('{lock}')")


async def _opened(target: Target) -> MysqlSession:
    limits = Limits(call_s=60.0)
    return await MysqlSession.open(target, "sandbox", limits, writing(limits))


async def _drop(keeper: MysqlSession, names: Collection[str]) -> None:
    for name in names:
        await keeper.fetch(f"DROP DATABASE IF EXISTS {quoted(name)}")
