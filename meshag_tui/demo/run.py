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
from typing import TYPE_CHECKING

from meshag_tui.demo import shop
from meshag_tui.demo.server import EmbeddedPostgres

if TYPE_CHECKING:  # it brings psycopg, which nobody needs before the server runs
    from meshag_tui.demo.workload import Workload

DATABASE = "shop"
SETTINGS = {
    "track_io_timing": "on",
    "autovacuum_naptime": "1h",  # as on a server that cannot keep up: it must not mend what is planted
    "pg_stat_statements.track": "top",
}


class Demo:
    """A running shop. `url` may read and change it (role shop_owner), `monitor_url` only read (meshag_monitor)."""

    def __init__(
        self,
        *,
        bindir: Path | None = None,
        base: Path | None = None,
        rate: float = 40,
        progress: Callable[[str], None] = lambda said: None,
    ) -> None:
        """Prepare a demo: server binaries and run folder as for EmbeddedPostgres, `rate` jobs a second.

        `progress` is called with a few words before each step, from another thread.
        """
        self.server = EmbeddedPostgres(bindir, settings=SETTINGS, tcp=True, base=base)
        self._passwords = {role: secrets.token_urlsafe(12) for role in (shop.OWNER, shop.MONITOR, shop.APP)}
        self._rate = rate
        self._progress = progress
        self._workload: Workload | None = None

    @property
    def url(self) -> str:
        """The shop for its owner, who is also a member of pg_monitor: everything can be read and applied."""
        return self._url_of(shop.OWNER)

    @property
    def monitor_url(self) -> str:
        """The shop for a role that reads everything and changes nothing."""
        return self._url_of(shop.MONITOR)

    @property
    def statements(self) -> int:
        """How many statements the workload has executed."""
        return self._workload.statements if self._workload else 0

    def open(self) -> None:
        """Start the server and load the shop: some seconds. MeshagError says why it cannot be done."""
        import psycopg

        try:
            self._progress(f"starting PostgreSQL {self.server.version}")
            self.server.start()
            with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            self._progress("loading the shop")
            shop.create_roles(self.server.dsn(DATABASE), self._passwords)
            shop.load(self.server.dsn(DATABASE))
        except BaseException:
            self.close()
            raise

    def start_workload(self) -> None:
        """Let the shop work until `stop_workload` or the end."""
        from meshag_tui.demo.workload import Workload

        if self._workload is None:
            self._workload = Workload(self._url_of(shop.APP), rate=self._rate)
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
        return self.server.dsn(DATABASE, role, self._passwords[role], tcp=True)
