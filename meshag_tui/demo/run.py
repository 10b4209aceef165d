"""The demo as a whole: a server, the shop in it, and the shop's traffic when asked for.

    async with Demo() as demo:
        demo.start_workload()
        ...                       # demo.url is a connection like any other

Everything is private, needs no network and is gone afterwards.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from meshag_tui.demo import shop
from meshag_tui.demo.hosts import Host, MysqlHost, PostgresHost, Server
from meshag_tui.demo.workload import Workload
from meshag_tui.servers.place import ServerUnavailable

ENGINES = ("postgresql", "mariadb", "mysql")


def host(engine: str, program: Path | None = None) -> Host:
    """A host for the shop on one of `ENGINES`, of the server `program` where one is named.

    Raises ServerUnavailable, and says what to do, if its programs are not here or are those of another server.
    """
    if engine == "postgresql":
        return PostgresHost(program and program.absolute().parent)
    from meshag_tui.servers.mysqld import MARIADB, MYSQL, Installation, find

    flavour = MARIADB if engine == "mariadb" else MYSQL
    if program is None:
        try:
            return MysqlHost(find(flavour))
        except ServerUnavailable as missing:
            raise ServerUnavailable(f"{missing}, or name the server's program by --server") from None
    installed = Installation.of(str(program.absolute()))
    if installed.flavour != flavour:
        raise ServerUnavailable(f"{program} is {installed.flavour} {installed.version}: --engine is for {flavour}")
    return MysqlHost(installed)


class Demo:
    """A running shop. `url` may read and change it (role shop_owner), `monitor_url` only read (meshag_monitor)."""

    def __init__(
        self,
        on: Host | None = None,
        *,
        rate: float = 40,
        progress: Callable[[str], None] = lambda said: None,
    ) -> None:
        """Prepare a demo on a host (PostgreSQL's when none is given) with `rate` jobs a second.

        `progress` is called with a few words before each step, from another thread.
        """
        self._host = on or host("postgresql")
        self._passwords = {role: secrets.token_urlsafe(12) for role in shop.ROLES}
        self._rate = rate
        self._progress = progress
        self._workload: Workload | None = None

    @property
    def server(self) -> Server:
        """The server the shop is on."""
        return self._host.server

    @property
    def url(self) -> str:
        """The shop for its owner, who may also read what a monitor may: everything can be read and applied."""
        return self._url_of(shop.OWNER)

    @property
    def monitor_url(self) -> str:
        """The shop for a role that reads everything and changes nothing."""
        return self._url_of(shop.MONITOR)

    @property
    def statements(self) -> int:
        """How many statements the workload has executed."""
        return self._workload.statements if self._workload else 0

    @property
    def last_error(self) -> str:
        """The workload's latest trouble (empty: none)."""
        return self._workload.last_error if self._workload else ""

    def open(self) -> None:
        """Start the server and load the shop: some seconds. MeshagError says why it cannot be done."""
        try:
            self._host.open(self._passwords, self._progress)
        except BaseException:
            self.close()
            raise

    def start_workload(self) -> None:
        """Let the shop work until `stop_workload` or the end."""
        if self._workload is None:
            self._workload = Workload(self._host.sessions(self._url_of(shop.APP)), rate=self._rate)
        self._workload.start()

    def stop_workload(self) -> None:
        """Close the shop's sessions."""
        if self._workload is not None:
            self._workload.stop()

    def close(self) -> None:
        """End the workload and the server, and remove everything."""
        self.stop_workload()
        self.server.close()

    async def __aenter__(self) -> Demo:
        await asyncio.to_thread(self.open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def _url_of(self, role: str) -> str:
        return self._host.url(role, self._passwords[role])
