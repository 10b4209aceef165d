"""PostgreSQL for tests: servers 13 to 18 started on first use, a fresh database for every test.

Fixtures: `pg18`, `pg15` (the latter with HypoPG where Debian's package is installed), `pg` (both in turn), `pg_all`
(13 to 18 in turn): each a new `Database` on a server shared by the session. `private_pg` starts a server of the test's
own, to restart, crash or configure.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import itertools
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.postgres import EmbeddedPostgres, wheel_bindir
from tests.rig.places import FETCHED

MAJORS = (13, 14, 15, 16, 17, 18)
MONITOR = "meshag_monitor"
MONITOR_PASSWORD = "monitor's p@ss/word"  # every character that a careless URL would break on
BLANK = "blank"
EXTENSIONS = ("pg_stat_statements", "hypopg", "pgstattuple", "btree_gin")

_names = itertools.count(1)


def bindir(major: int) -> Path:
    """Where the binaries of a major version are; ServerUnavailable if they are not on this machine."""
    if major == 18:
        return wheel_bindir()
    for place in (Path(f"/usr/lib/postgresql/{major}/bin"), FETCHED / str(major) / "bin"):
        if (place / "postgres").exists() and (place / "initdb").exists():
            return place
    raise ServerUnavailable(f"PostgreSQL {major} is not on this machine (tests/run says why)")


@dataclass(frozen=True)
class Database:
    """A fresh database. Its owner is the superuser `app`; the role meshag_monitor may read what a monitor should."""

    server: EmbeddedPostgres
    name: str
    major: int
    extensions: frozenset[str]

    @property
    def url(self) -> str:
        """URL for the superuser, over TCP with a password."""
        return self.server.dsn(self.name, tcp=True)

    @property
    def socket_url(self) -> str:
        """URL for the superuser over the Unix socket."""
        return self.server.dsn(self.name)

    @property
    def monitor_url(self) -> str:
        """URL for meshag_monitor: member of pg_monitor, may read all tables, owns nothing."""
        return self.server.dsn(self.name, MONITOR, MONITOR_PASSWORD, tcp=True)

    @property
    def hypopg(self) -> bool:
        """Whether HypoPG can be created here."""
        return "hypopg" in self.extensions

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A superuser's connection in autocommit mode; the caller closes it."""
        return psycopg.connect(self.socket_url, autocommit=True, **options)

    def execute(self, *statements: str) -> None:
        """Run statements (each may hold several, separated by semicolons), committed one by one."""
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    def fetch(self, query: str, parameters: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with self.connect() as connection:
            return connection.execute(query, parameters).fetchall()


_SHARED = {
    "max_connections": "80",
    "track_io_timing": "on",
    "autovacuum_naptime": "10min",
    "pg_stat_statements.max": "20000",  # of all tests together: what one counts is not evicted by another
}


class Servers:
    """The session's servers, one a major version, started when first asked for."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[EmbeddedPostgres, frozenset[str]]] = {}

    def get(self, major: int) -> tuple[EmbeddedPostgres, frozenset[str]]:
        """The server and the extensions its blank database has."""
        if major not in self._running:
            server = Shared(bindir(major), tcp=True, settings=_SHARED).start()
            self._running[major] = (server, prepare(server))
        return self._running[major]

    def fresh(self, major: int, template: str = BLANK) -> Iterator[Database]:
        """Make a database, yield it, drop it."""
        database = self.make(major, f"t{next(_names)}", template)
        yield database
        with psycopg.connect(database.server.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def make(self, major: int, name: str, template: str = BLANK) -> Database:
        """Make a database as a copy of another one that nobody is connected to."""
        server, extensions = self.get(major)
        strategy = sql.SQL("STRATEGY file_copy" if major >= 15 else "")  # a third of the work of the default
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
                    sql.Identifier(name), sql.Identifier(template), strategy
                )
            )
        return Database(server, name, major, extensions)

    def close(self) -> None:
        """End them all."""
        for server, _ in self._running.values():
            server.close()


def prepare(server: EmbeddedPostgres) -> frozenset[str]:
    """Create the monitoring role and the blank database with pg_stat_statements; returns what else could be created."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(MONITOR), _quick(MONITOR_PASSWORD))
        )
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(server.superuser), _quick(server.password))
        )
        connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(MONITOR)))
        if connection.info.server_version >= 140000:
            connection.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(MONITOR)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(BLANK)))
    with psycopg.connect(server.dsn(BLANK), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        if connection.info.server_version < 140000:
            connection.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {}").format(sql.Identifier(MONITOR))
            )
        rows = connection.execute(
            "SELECT name FROM pg_available_extensions WHERE name = ANY(%s)", (list(EXTENSIONS),)
        ).fetchall()
    return frozenset(name for (name,) in rows)


def _quick(password: str) -> sql.Literal:
    """What SCRAM keeps of a password, of one round for 4,096: each connection reckons them, for 2.5 ms."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 1)
    client, server = (hmac.digest(salted, of, "sha256") for of in (b"Client Key", b"Server Key"))
    parts = (base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client).digest(), server))
    return sql.Literal("SCRAM-SHA-256$1:{}${}:{}".format(*parts))


class Shared(EmbeddedPostgres):
    """A server of the session: one a version, so that its cluster may be a copy. Two copies would have one identity."""


@pytest.fixture(scope="session", autouse=True)
def copied_clusters() -> Iterator[None]:
    """Have initdb make the cluster of a session's server, and of a sandbox, once an environment: a copy is a tenth.

    Sandboxes are told by their having no checksums; who they are is asked of none.
    """
    make = EmbeddedPostgres._initialise
    with pytest.MonkeyPatch.context() as patch:

        def initialise(self: EmbeddedPostgres) -> None:
            if isinstance(self, Shared) or not self._checksums:
                _copied(self, make)
            else:
                make(self)

        patch.setattr(EmbeddedPostgres, "_initialise", initialise)
        yield


def _copied(server: EmbeddedPostgres, make: Callable[[EmbeddedPostgres], None]) -> None:
    name = f"PostgreSQL-{server.version}-{server.superuser}-{os.geteuid()}"
    place, unfinished = FETCHED / "data" / name, FETCHED / "data" / f"{name}.new"
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{name}.lock").open("w") as lock:  # pytest's workers begin at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            make(server)
            shutil.rmtree(unfinished, ignore_errors=True)
            subprocess.run(["cp", "-a", server.data, unfinished], check=True)
            unfinished.rename(place)
            return
    subprocess.run(["cp", "-a", f"{place}/.", server.data], check=True)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The session's servers."""
    running = Servers()
    yield running
    running.close()


def _database(servers: Servers, major: int) -> Iterator[Database]:
    try:
        bindir(major)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    yield from servers.fresh(major)


@pytest.fixture
def pg18(servers: Servers) -> Iterator[Database]:
    """A fresh database on PostgreSQL 18."""
    yield from _database(servers, 18)


@pytest.fixture
def pg15(servers: Servers) -> Iterator[Database]:
    """A fresh database on PostgreSQL 15, which has HypoPG where the package is installed."""
    yield from _database(servers, 15)


@pytest.fixture(params=[pytest.param(18, id="pg18"), pytest.param(15, id="pg15", marks=pytest.mark.soak)])
def pg(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh database, on 18 and on 15 in turn."""
    yield from _database(servers, request.param)


@pytest.fixture(params=MAJORS, ids=lambda major: f"pg{major}")
def pg_all(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh database, on each of 13 to 18 in turn."""
    yield from _database(servers, request.param)


@pytest.fixture
def private_pg() -> Iterator[Callable[..., Database]]:
    """Start a server for this test alone: `private_pg(18, settings={"pg_stat_statements.max": "100"}, preload=[…])`."""
    started: list[EmbeddedPostgres] = []

    def start(major: int = 18, **options: Any) -> Database:
        try:
            server = EmbeddedPostgres(bindir(major), tcp=True, **options)
        except ServerUnavailable as missing:
            pytest.skip(str(missing))
        started.append(server.start())
        return Database(server, BLANK, major, prepare(server))

    yield start
    for server in started:
        server.close()
