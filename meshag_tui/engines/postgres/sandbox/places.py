"""Where a sandbox with data is: a private server of our own, or a database of its own on a server that was named.

A place gives connections to the sandbox's database, as its owner and (where there is one) as the superuser, and is gone
when it is closed. All of it blocks: it is run in a thread.

On a named server the sandbox is an empty database that is filled, or a copy of one that was restored there. The role
that was given is all there is: it must be no superuser, as texts of others are run by it, and may make databases. The
watched server itself is refused, by its system identifier, and so is one that does not say its own. The database is
dropped when the place is closed; one that a killed process left is known by its name and by the lock that nobody holds
any more, and is dropped by whoever comes next.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg import sql

from meshag_tui.engines.base import Refused
from meshag_tui.engines.here import free_bytes, megabytes
from meshag_tui.engines.postgres.dial import parameters
from meshag_tui.engines.postgres.sandbox.making import PLANNER, Connection, Maker
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.rehearsal import Named
from meshag_tui.servers.postgres import EmbeddedPostgres
from meshag_tui.types import DbType, Target, TlsMode

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.sandbox.source import Source

PREFIX = "meshag_rehearsal_"
_BESIDE = "postgres"
"""The database to connect to while another is copied."""
_PATH = "-c search_path=pg_catalog,pg_temp"
_SUPERUSER, _DATABASE = "meshag", "rehearsal"
_LEAST_ROOM = 256 * 1024 * 1024
_TIMES = 3
"""Room wanted, in times of what is copied: the tables, their indexes, and what is sorted."""
_SETTINGS = {
    "autovacuum": "off",  # nothing may change between two runs but what is measured
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",
    "temp_file_limit": "1GB",
    "max_connections": "12",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",  # statements are nobody's business, also in a log that goes away
}
_LOCK = "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(%s, 0))"
_UNLOCK = "SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended(%s, 0))"


class Place(Protocol):
    """See the module. `label` says it in words, `version` is PostgreSQL's; both are known once it is started."""

    label: str
    version: str

    def start(self, source_id: str, bytes_: int) -> None:
        """Make it ready for a copy of so many bytes of the server `source_id`; Refused where it must not be there."""

    def make_database(self, maker: Maker, source: Source) -> None:
        """Make the empty database."""

    def admin(self) -> contextlib.AbstractContextManager[Connection]:
        """A connection that may do what its place allows most."""

    def owner(self) -> contextlib.AbstractContextManager[Connection]:
        """A connection of the role that owns what is made."""

    def target(self) -> Target:
        """The database, for the owner."""

    def close(self) -> None:
        """Take it away."""


class PrivateServer:
    """A server of our own, from the wheel, on this machine."""

    def __init__(self) -> None:
        self._server = EmbeddedPostgres(settings=_SETTINGS, preload=(), checksums=False, superuser=_SUPERUSER)
        self.version = self._server.version
        self.label = f"PostgreSQL {self.version} on this machine"

    def start(self, source_id: str, bytes_: int) -> None:
        self._server.start()
        room, wanted = free_bytes(str(self._server.root)), _LEAST_ROOM + _TIMES * bytes_
        if room is not None and room < wanted:
            raise Refused(f"{megabytes(room)} are free where the sandbox would be, {megabytes(wanted)} are wanted")
        with self._connect(_SUPERUSER, "postgres") as admin:
            refuse_source(source_id, _identifier(admin))

    def make_database(self, maker: Maker, source: Source) -> None:
        with self._connect(_SUPERUSER, "postgres") as admin:
            maker.database(admin, source, _DATABASE)

    def admin(self) -> contextlib.AbstractContextManager[Connection]:
        return self._connect(_SUPERUSER, _DATABASE)

    def owner(self) -> contextlib.AbstractContextManager[Connection]:
        return self._connect(PLANNER, _DATABASE)

    def target(self) -> Target:
        return Target(DbType.POSTGRES, str(self._server.socket_dir), 5432, _DATABASE, PLANNER, tls=TlsMode.DISABLE)

    def close(self) -> None:
        self._server.close()

    def _connect(self, user: str, database: str) -> Connection:
        return psycopg.connect(
            host=str(self._server.socket_dir),
            port=5432,
            user=user,
            dbname=database,
            autocommit=True,
            prepare_threshold=None,
            options=_PATH,
        )


class NamedServer:
    """A database of its own on a server that the user named."""

    def __init__(self, server: Named) -> None:
        self._given = server.target
        self._template = server.template
        self._name = f"{PREFIX}{secrets.token_hex(6)}"
        self._keeper: Connection | None = None  # holds the lock that says that the database is in use
        self.version = ""
        self.label = server.said

    def start(self, source_id: str, bytes_: int) -> None:
        if self._given.proxy is not None:
            raise Refused("A server behind a proxy cannot be the place of a sandbox")
        keeper = self._keeper = self._connect(_BESIDE if self._template else self._given.database)
        try:
            identifier = _identifier(keeper)
        except psycopg.Error:
            identifier = ""
        if not identifier.isdigit() or not source_id.isdigit():
            raise Refused(f"It cannot be told whether {self._given.label} is the watched server: nothing is made there")
        refuse_source(source_id, identifier)
        row = keeper.execute(
            "SELECT r.rolsuper, r.rolcreatedb, pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting("
            "'server_version') FROM pg_catalog.pg_roles r WHERE r.rolname = CURRENT_USER"
        ).fetchall()[0]
        if row[0]:
            raise Refused(f"{self._given.user} is a superuser of {self._given.label}: give a role that is none")
        if not row[1] or row[2]:
            why = "is a standby" if row[2] else f"lets {self._given.user} make no database: ALTER ROLE … CREATEDB"
            raise Refused(f"{self._given.label} {why}")
        self.version = str(row[3]).split()[0]
        where = "in a copy of it" if self._template else "in a database of its own"
        self.label = f"PostgreSQL {self.version}, {self._given.label}, {where}"
        self._drop_leftovers(keeper)

    def make_database(self, maker: Maker, source: Source) -> None:
        keeper = self._kept()
        keeper.execute(_LOCK.encode(), (self._name,))
        if self._template:
            self._copy(keeper)
            return
        text = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(self._name))
        alike = sql.SQL(" LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(source.collate), sql.Literal(source.ctype))
        try:
            keeper.execute(text + alike)
        except psycopg.errors.InsufficientPrivilege as error:
            raise Refused(f"No database can be made on {self._given.label}: {error}") from error
        except psycopg.Error:  # it has no such locale
            keeper.execute(text)
            maker.notes.append(f"texts sort as its server does by itself, not by {source.collate}")
        maker.settings(keeper, source, self._name)
        maker.notes.append("how much room its server has is not known")

    def _copy(self, keeper: Connection) -> None:
        names = sql.Identifier(self._name), sql.Identifier(self._given.database)
        try:
            keeper.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        except psycopg.errors.ObjectInUse as error:
            raise Refused(f"Somebody is connected to {self._given.label}: a template must not be in use") from error
        except psycopg.Error as error:
            raise Refused(f"{self._given.label} cannot be copied: {str(error).splitlines()[0]}") from error

    def admin(self) -> contextlib.AbstractContextManager[Connection]:
        return self._connect(self._name)

    def owner(self) -> contextlib.AbstractContextManager[Connection]:
        return self._connect(self._name)

    def target(self) -> Target:
        return replace(self._given, database=self._name)

    def close(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with contextlib.closing(keeper):
                _drop(keeper, self._name)

    def _kept(self) -> Connection:
        if self._keeper is None:
            raise Refused("The sandbox is closed")
        return self._keeper

    def _drop_leftovers(self, keeper: Connection) -> None:
        """Databases of processes that were killed: ours by name and owner, and locked by nobody."""
        found = keeper.execute(
            "SELECT d.datname::text FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba "
            "WHERE r.rolname = CURRENT_USER AND d.datname ~ %s",
            (f"^{PREFIX}[0-9a-f]{{12}}$",),
        ).fetchall()
        for (name,) in found:
            if keeper.execute(_LOCK.encode(), (name,)).fetchall() == [(True,)]:
                _drop(keeper, name)
                keeper.execute(_UNLOCK.encode(), (name,))

    def _connect(self, database: str) -> Connection:
        given = parameters(replace(self._given, database=database), "meshag/sandbox", _PATH)
        return psycopg.connect(**given, autocommit=True, prepare_threshold=None)  # type: ignore[arg-type]


def place_of(server: Named | None) -> Place:
    """The place that was named, else a private server."""
    return PrivateServer() if server is None else NamedServer(server)


def refuse_source(source_id: str, identifier: str) -> None:
    """Raises Refused where the sandbox would be on the server that is watched."""
    if identifier == source_id:
        raise Refused("The sandbox would be on the watched server itself: nothing is made or run there")


def _identifier(connection: Connection) -> str:
    return str(connection.execute(load("system_identifier").encode()).fetchall()[0][0])


def _drop(keeper: Connection, name: str) -> None:
    keeper.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
