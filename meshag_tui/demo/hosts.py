"""Servers that have the shop in them, one kind an engine.

In: nothing but where folders may be made. Out: a running server with the loaded shop, URLs of its roles, and where the
shop's programs get their sessions from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from meshag_tui.demo.shop import SCHEMA

if TYPE_CHECKING:  # drivers and servers are loaded when they are needed
    from meshag_tui.demo.shopper import Sessions
    from meshag_tui.servers.mysqld import Installation

Say = Callable[[str], None]

POSTGRES_SETTINGS = {
    "track_io_timing": "on",
    "autovacuum_naptime": "1h",  # as on a server that cannot keep up: it must not mend what is planted
    "pg_stat_statements.track": "top",
}
MYSQL_SETTINGS = {
    "innodb-buffer-pool-size": "192M",
    # Room for all that loading writes: a small one makes it wait for checkpoints, three times as long.
    "loose-innodb-log-file-size": "192M",
    "loose-innodb-redo-log-capacity": "192M",
}


class Server(Protocol):
    """What the servers of all engines have."""

    @property
    def root(self) -> Path:
        """The run folder."""

    @property
    def running(self) -> bool:
        """Whether the server process lives."""

    def close(self) -> None:
        """End it and delete everything it had."""


class Host(Protocol):
    """A server that can have the shop."""

    @property
    def server(self) -> Server:
        """The server itself."""

    def open(self, passwords: Mapping[str, str], progress: Say) -> None:
        """Start the server and load the shop; passwords by role."""

    def url(self, role: str, password: str) -> str:
        """The shop for one of its roles."""

    def sessions(self, url: str) -> Sessions:
        """Sessions of the shop's programs."""


class PostgresHost:
    """PostgreSQL from the wheel, or from `bindir`."""

    def __init__(self, bindir: Path | None = None, base: Path | None = None) -> None:
        from meshag_tui.servers.postgres import EmbeddedPostgres

        self.server = EmbeddedPostgres(bindir, settings=POSTGRES_SETTINGS, tcp=True, base=base)

    def open(self, passwords: Mapping[str, str], progress: Say) -> None:
        import psycopg

        from meshag_tui.demo.shop import postgres

        progress(f"starting PostgreSQL {self.server.version}")
        self.server.start()
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {SCHEMA}".encode())
        progress("loading the shop")
        postgres.create_roles(self.server.dsn(SCHEMA), passwords)
        postgres.load(self.server.dsn(SCHEMA))

    def url(self, role: str, password: str) -> str:
        return self.server.dsn(SCHEMA, role, password, tcp=True)

    def sessions(self, url: str) -> Sessions:
        from meshag_tui.demo.shop.postgres.shopper import PostgresSessions

        return PostgresSessions(url)


class MysqlHost:
    """MySQL or MariaDB, of the programs that are on this machine."""

    def __init__(self, installation: Installation, base: Path | None = None) -> None:
        from meshag_tui.servers.mysqld import EmbeddedMysql

        self.server = EmbeddedMysql(installation, settings=MYSQL_SETTINGS, base=base)

    def open(self, passwords: Mapping[str, str], progress: Say) -> None:
        from meshag_tui.demo.shop import mysql

        progress(f"starting {self.server.installation.flavour} {self.server.installation.version}")
        self.server.start()
        progress("loading the shop")
        asyncio.run(mysql.create_roles(self.server.url(), passwords))
        asyncio.run(mysql.load(self.server.url(SCHEMA)))

    def url(self, role: str, password: str) -> str:
        return self.server.url(SCHEMA, role, password)

    def sessions(self, url: str) -> Sessions:
        from meshag_tui.demo.shop.mysql.shopper import MysqlSessions

        return MysqlSessions(url)
