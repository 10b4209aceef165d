"""MySQL and MariaDB for tests: servers started on first use, a fresh schema for every test.

How to use: take the fixture `mysql`, `mariadb`, `later_mariadb`, or `my` (the first two in turn); each is a new
`Schema` on a server shared by the session, with performance_schema on. `schema.url` is the administrator's URL,
`schema.owner_url` one that may change this schema, `schema.monitor_url` one that may read what a monitor should (its
password holds what a careless URL breaks on); `socket_url` goes over the Unix socket; `schema.user("SELECT ON *.*",
plugin=…, require="SSL")` makes another account and returns its URL. `execute`, `fetch` and `connect` work as the
administrator through pymysql, which is not the driver under test. `private_my("MariaDB", {"performance-schema":
"OFF"})` starts a server of the test's own with options of the server (name and value, None for an option alone);
`PFS_OFF`, `SMALL_DIGESTS`, `ANSI_QUOTES`, `NO_TLS` and `BINARY_LOG` are such options, `lower_case_table_names=1` and
`tls=certificates.files(…)` arguments. `schema.server` (`EmbeddedMysql`) has `stop()`, `start()` (same port, same data),
`stop(immediate=True)` for kill -9, `freeze()` and `thaw()`; `schema.replica()` stands for a replica, and
`private_my(flavour, of=schema)` is one. What the session's
servers count and hold is shared with other tests: never TRUNCATE there, look only at your own schema. A missing server
skips the test (in CI it fails).
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from meshag_tui.servers.mysqld import ADMIN, MARIADB, MYSQL, EmbeddedMysql, Installation, find
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.rundir import DATA
from tests.rig import fetch_mysql
from tests.rig.places import FETCHED

FLAVOURS = (MARIADB, MYSQL)
LATER = "later MariaDB"  # than the one that most tests run on, for a few that stand for all
PASSWORD = "monitör's p@ss/word€"  # every character that a careless URL, or a driver's latin-1, would break on

Options = Mapping[str, str | None]
PFS_OFF: Options = {"performance-schema": "OFF"}
SMALL_DIGESTS: Options = {"performance-schema-digests-size": "200"}
ANSI_QUOTES: Options = {"sql-mode": "ANSI_QUOTES,STRICT_TRANS_TABLES"}
NO_TLS: Options = {"tls-version": "", "loose-skip-ssl": None}  # MySQL makes itself certificates, so does MariaDB 11.4
BINARY_LOG: Options = {"log-bin": "binlog", "server-id": "7"}

_names = itertools.count(1)


def installation(flavour: str) -> Installation:
    """The server of a flavour; ServerUnavailable if it is not on this machine."""
    if flavour == MYSQL:
        return fetch_mysql.installation(fetch_mysql.ANY_MYSQL)
    if flavour == LATER:
        return fetch_mysql.installation(fetch_mysql.LATER_MARIADB)
    try:
        return find(MARIADB)
    except ServerUnavailable:
        raise ServerUnavailable("MariaDB is not on this machine (tests/run says why)") from None


@dataclass(frozen=True)
class Schema:
    """A fresh schema. Accounts `<name>_owner` and `<name>_monitor` go with it."""

    server: EmbeddedMysql
    name: str

    @property
    def flavour(self) -> str:
        """ "MySQL" or "MariaDB"."""
        return self.server.installation.flavour

    @property
    def url(self) -> str:
        """URL for the administrator `app`, over TCP."""
        return self.server.url(self.name)

    @property
    def socket_url(self) -> str:
        """URL for the administrator over the Unix socket."""
        return self.server.url(self.name, over_socket=True)

    @property
    def owner_url(self) -> str:
        """URL for an account that may read what a monitor may, and change everything in this schema."""
        return self.server.url(self.name, f"{self.name}_owner", PASSWORD)

    @property
    def monitor_url(self) -> str:
        """URL for an account with PROCESS, SELECT on performance_schema and SELECT on this schema, no more."""
        return self.server.url(self.name, f"{self.name}_monitor", PASSWORD)

    def user(self, *grants: str, name: str = "", password: str = PASSWORD, plugin: str = "", require: str = "") -> str:
        """Make another account `<schema>_u<n>` (or `name`) with `grants` ("SELECT ON *.*"); returns its URL.

        `plugin` is an authentication plugin ("caching_sha2_password"), `require` what its sessions must have ("SSL").
        """
        name = name or f"{self.name}_u{next(_names)}"
        with self.connect() as connection, connection.cursor() as cursor:
            secret = connection.escape(password)
            how = f"IDENTIFIED BY {secret}"
            if plugin:
                how = f"IDENTIFIED WITH {plugin} BY {secret}"
                if self.flavour == MARIADB:
                    how = f"IDENTIFIED VIA {plugin} USING PASSWORD({secret})"
            cursor.execute(f"CREATE USER '{name}'@'%' {how}{f' REQUIRE {require}' if require else ''}")
            for grant in grants:
                cursor.execute(f"GRANT {grant} TO '{name}'@'%'")
        return self.server.url(self.name, name, password)

    def connect(self, **options: Any) -> pymysql.Connection[Any]:
        """The administrator's connection in autocommit mode, with the schema as default; the caller closes it."""
        how = {
            "user": ADMIN,
            "password": self.server.password,
            "database": self.name,
            "unix_socket": str(self.server.socket),
            "charset": "utf8mb4",
            "autocommit": True,
            # Over the socket; else pymysql reads the machine's certificates for each, 30 ms.
            "ssl_disabled": "ssl" not in options,
        }
        return pymysql.connect(**{**how, **options})

    def next_second(self) -> None:
        """Wait until what the server tells in whole seconds (its start, FIRST_SEEN, CREATE_TIME) is another one."""
        time.sleep(1.05)

    def execute(self, *statements: str) -> None:
        """Run statements, one each."""
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fetch(self, query: str, parameters: tuple[Any, ...] | None = None) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())

    @contextlib.contextmanager
    def replica(self) -> Iterator[None]:
        """A client that asks for the binary log as a replica does; the server needs `BINARY_LOG`."""
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'")
        begin, server_id = (4).to_bytes(4, "little"), (99).to_bytes(4, "little")
        connection._execute_command(0x12, begin + b"\0\0" + server_id + b"binlog.000001")  # type: ignore[no-untyped-call]
        try:
            for _ in range(100):
                if self.fetch("SELECT 1 FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%%'", ()):
                    break
            yield
        finally:
            connection._force_close()

    def follow(self, source: Schema) -> None:
        """Make this server a replica of another's with `BINARY_LOG`, from its beginning."""
        source.execute(
            "CREATE USER follower@'%' IDENTIFIED BY 'follows'", "GRANT REPLICATION SLAVE ON *.* TO follower@'%'"
        )
        words = (
            ("MASTER", "SLAVE", "") if self.flavour == MARIADB else ("SOURCE", "REPLICA", ", GET_SOURCE_PUBLIC_KEY=1")
        )
        here = {"HOST": "'127.0.0.1'", "PORT": source.server.port, "USER": "'follower'", "PASSWORD": "'follows'"}
        place = {**here, "LOG_FILE": "'binlog.000001'", "LOG_POS": 4}
        how = ", ".join(f"{words[0]}_{name}={value}" for name, value in place.items())
        change = "CHANGE MASTER TO" if self.flavour == MARIADB else "CHANGE REPLICATION SOURCE TO"
        with self.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"{change} {how}{words[2]}")
            cursor.execute(f"START {words[1]}")

    def caught_up(self, source: Schema) -> None:
        """Wait until all that the source has done is done here."""
        before = self.flavour == MARIADB or source.fetch("SELECT VERSION()")[0][0] < "8.2"  # the word of 8.2 and later
        with source.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW MASTER STATUS" if before else "SHOW BINARY LOG STATUS")
            file, position = cursor.fetchone()[:2]
        wait = "MASTER_POS_WAIT" if self.flavour == MARIADB else "SOURCE_POS_WAIT"
        with self.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {wait}(%s, %s, 60)", (file, position))
            waited = cursor.fetchone()[0]
            assert waited is not None and waited >= 0, "the replica does not follow"

    def create(self) -> Schema:
        """Make the schema and its accounts."""
        with self.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
            for account, rights in (("owner", "ALL"), ("monitor", "SELECT")):
                who = f"'{self.name}_{account}'@'%'"
                cursor.execute(f"CREATE USER {who} IDENTIFIED BY {connection.escape(PASSWORD)}")
                cursor.execute(f"GRANT PROCESS ON *.* TO {who}")
                cursor.execute(f"GRANT SELECT ON performance_schema.* TO {who}")
                cursor.execute(f"GRANT {rights} ON `{self.name}`.* TO {who}")
        return self

    def drop(self) -> None:
        """Remove the schema and every account that begins with its name; sessions of theirs are ended."""
        with self.connect(database=None) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE user LIKE %s", (f"{self.name}\\_%",))
            for (session,) in cursor.fetchall():
                with contextlib.suppress(pymysql.MySQLError):  # it has just ended by itself
                    cursor.execute(f"KILL {session}")
            cursor.execute("SELECT user FROM mysql.user WHERE user LIKE %s", (f"{self.name}\\_%",))
            for (user,) in cursor.fetchall():
                cursor.execute(f"DROP USER '{user}'@'%'")
            cursor.execute(f"DROP DATABASE IF EXISTS `{self.name}`")


def on_path(flavour: str, folder: Path) -> str:
    """A PATH on which the flavour's server is found, as on a machine where it is installed."""
    installed = installation(flavour)
    program = folder / "mysqld"
    words = [shlex.join(installed.command), '"$@"', shlex.join(installed.options)]
    program.write_text(f"#!/bin/sh\nexec {' '.join(words)}\n", encoding="utf-8")
    program.chmod(0o755)
    return os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath)))


def server(
    flavour: str,
    options: Options | None = None,
    *,
    lower_case_table_names: int = 0,
    tls: tuple[Path, ...] = (),
    before_start: Callable[[EmbeddedMysql], None] | None = None,
) -> EmbeddedMysql:
    """Start a server from a copied data folder; the caller closes it.

    `tls` are PEM files: authority, certificate, key; `before_start` is given the server that has its folders. Raises
    ServerUnavailable.
    """
    installed = installation(flavour)
    settings = dict(options or {})
    if lower_case_table_names:
        settings["lower-case-table-names"] = str(lower_case_table_names)
    running = EmbeddedMysql(installed, settings=settings, template=_template(installed, lower_case_table_names))
    try:
        running.create()
        for name, path in zip(("ssl-ca", "ssl-cert", "ssl-key"), tls, strict=False):
            mine = running.root / DATA / f"{name}.pem"  # beside the data, where the server's account may read it
            shutil.copyfile(path, mine)
            owner = (running.root / DATA).stat()
            os.chown(mine, owner.st_uid, owner.st_gid)
            running.settings[name] = str(mine)
        if before_start is not None:
            before_start(running)
        return running.start()
    except BaseException:
        running.close()
        raise


def _template(installed: Installation, lower_case_table_names: int) -> Path:
    """A new data folder of this version, made once an environment; each server begins with a copy of it."""
    name = f"{installed.flavour}-{installed.version}-{lower_case_table_names}-{os.geteuid()}"
    place = FETCHED / "data" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f"{name}.lock").open("w") as lock:  # pytest's workers begin at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            settings = {"lower-case-table-names": str(lower_case_table_names)} if lower_case_table_names else {}
            maker = EmbeddedMysql(installed, settings=settings)
            try:
                maker.create()
                shutil.rmtree(place.with_suffix(".new"), ignore_errors=True)
                shutil.copytree(maker.root / DATA, place.with_suffix(".new"))
                place.with_suffix(".new").rename(place)
            finally:
                maker.close()
    return place


class Servers:
    """The session's servers, one a flavour, started when first asked for."""

    def __init__(self) -> None:
        self._running: dict[str, EmbeddedMysql] = {}

    def fresh(self, flavour: str) -> Iterator[Schema]:
        """Make a schema, yield it, drop it; skip the test if there is no such server."""
        if flavour not in self._running:
            self._running[flavour] = _started(flavour)
        schema = Schema(self._running[flavour], f"t{next(_names)}").create()
        yield schema
        schema.drop()

    def close(self) -> None:
        """End them all."""
        for running in self._running.values():
            running.close()


def _started(flavour: str, options: Options | None = None, **how: Any) -> EmbeddedMysql:
    try:
        installation(flavour)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    return server(flavour, options, **how)


@pytest.fixture(scope="session")
def my_servers() -> Iterator[Servers]:
    """The session's servers."""
    running = Servers()
    yield running
    running.close()


@pytest.fixture
def mariadb(my_servers: Servers) -> Iterator[Schema]:
    """A fresh schema on MariaDB."""
    yield from my_servers.fresh(MARIADB)


@pytest.fixture
def mysql(my_servers: Servers) -> Iterator[Schema]:
    """A fresh schema on MySQL."""
    yield from my_servers.fresh(MYSQL)


@pytest.fixture(params=FLAVOURS, ids=str.lower)
def my(my_servers: Servers, request: pytest.FixtureRequest) -> Iterator[Schema]:
    """A fresh schema, on MariaDB and on MySQL in turn."""
    yield from my_servers.fresh(request.param)


@pytest.fixture
def later_mariadb(my_servers: Servers) -> Iterator[Schema]:
    """A fresh schema on MariaDB 11.4 or later."""
    yield from my_servers.fresh(LATER)


@pytest.fixture
def private_my() -> Iterator[Callable[..., Schema]]:
    """Start a server for this test alone; arguments as for `server`. Returns its schema `shop`.

    `of` is the schema `shop` of another one started so, with `BINARY_LOG`: then it is a replica of that.
    """
    started: list[EmbeddedMysql] = []

    def start(flavour: str, options: Options | None = None, *, of: Schema | None = None, **how: Any) -> Schema:
        if of is not None:
            options = {**BINARY_LOG, "server-id": "8", **(options or {})}
        running = _started(flavour, options, **how)
        started.append(running)
        schema = Schema(running, "shop")
        if of is None:
            return schema.create()
        schema.follow(of)
        schema.caught_up(of)
        return schema

    yield start
    for running in started:
        running.close()
