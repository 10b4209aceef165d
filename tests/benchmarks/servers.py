"""Servers to measure a sync on: each keeps many statements, tells the CPU of its sessions, and has a floor to beat.

The floor is the bare minimum by the same driver: connect, fetch all counters, insert them in one transaction.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import asyncmy
import psycopg
import pymysql

from meshag_tui.servers.postgres import EmbeddedPostgres
from meshag_tui.types import Target
from tests.benchmarks.statements import run_statements
from tests.rig.mysql import server

Row = Sequence[Any]


class Server(ABC):
    """A server of its own that keeps `maximum` statements; `name` says which."""

    name: str
    columns: str

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, for an account that may read everything."""

    @abstractmethod
    def run(self, count: int, text_bytes: int = 0) -> None:
        """Run `count` different statements, the same ones for the same count."""

    @abstractmethod
    def execute(self, statements: Sequence[str]) -> None:
        """Run statements."""

    @abstractmethod
    def counters(self) -> list[Row]:
        """All counters, through the product's driver on a new connection."""

    @abstractmethod
    def sessions_cpu_s(self) -> float:
        """CPU seconds that sessions took so far, once all have ended, as precisely as the system knows."""

    @abstractmethod
    def close(self) -> None:
        """End it."""

    def floor_ms(self, path: Path) -> float:
        """Wall time of the bare minimum, into a SQLite file."""
        started = time.perf_counter()
        rows = self.counters()
        store = sqlite3.connect(path)
        with store:
            store.execute("PRAGMA journal_mode=wal")
            store.execute(f"CREATE TABLE IF NOT EXISTS sample ({self.columns})")
            store.executemany(f"INSERT INTO sample VALUES ({','.join('?' * len(rows[0]))})", map(_plain, rows))
        store.close()
        return (time.perf_counter() - started) * 1000


def _plain(row: Row) -> list[Any]:
    """A row as SQLite takes it."""
    return [each if isinstance(each, int | float | str | None) else _number(each) for each in row]


def _number(value: Any) -> float:
    return float(value.timestamp()) if hasattr(value, "timestamp") else int(value)


class Postgres(Server):
    """PostgreSQL 18."""

    name = "PostgreSQL"
    columns = (
        "userid, dbid, queryid, toplevel, calls, total_exec_time, rows, plans, total_plan_time, shared_blks_hit, "
        "shared_blks_read, shared_blks_dirtied, shared_blks_written, temp_blks_read, temp_blks_written, "
        "shared_blk_read_time, shared_blk_write_time, wal_bytes, min_exec_time, max_exec_time, stats_since"
    )

    def __init__(self, maximum: int) -> None:
        options = {"pg_stat_statements.max": str(maximum), "pg_stat_statements.track": "all", "autovacuum": "off"}
        self._server = EmbeddedPostgres(settings=options, tcp=True).start()
        self._work = psycopg.connect(self._server.dsn(), autocommit=True)
        self._work.execute("CREATE EXTENSION pg_stat_statements")

    @property
    def url(self) -> str:
        return self._server.dsn(tcp=True)

    def run(self, count: int, text_bytes: int = 0) -> None:
        run_statements(self._work, count, text_bytes)

    def execute(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._work.execute(statement.encode())

    def counters(self) -> list[Row]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            query = f"SELECT {self.columns} FROM pg_stat_statements(false)"
            return list(connection.execute(query.encode()).fetchall())

    def sessions_cpu_s(self) -> float:
        """Of all backends but that of the benchmark's work: what the postmaster has waited for (cutime, cstime), and
        what those took that syncs keep.
        """
        kept = {
            pid for (pid,) in self._work.execute("SELECT pid FROM pg_stat_activity WHERE application_name ^@ 'meshag/'")
        }
        while self._sessions() - kept:
            time.sleep(0.005)
        fields = Path(f"/proc/{self._server.pid}/stat").read_bytes().rpartition(b")")[2].split()
        ended = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
        return ended + sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in kept) / 1e9

    def _sessions(self) -> set[int]:
        """Backends of clients but that of the benchmark's work, also those the postmaster has yet to wait for."""
        postmaster, own = self._server.pid, self._work.info.backend_pid
        found = set()
        for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split():
            with suppress(OSError):  # it has just been waited for
                title = Path(f"/proc/{pid}/cmdline").read_bytes()
                if int(pid) != own and (not title or f": {self._server.superuser} ".encode() in title):
                    found.add(int(pid))
        return found

    def close(self) -> None:
        self._work.close()
        self._server.close()


_ENDING = """SELECT p.ID FROM information_schema.PROCESSLIST p
    LEFT JOIN performance_schema.session_connect_attrs a
        ON a.PROCESSLIST_ID = p.ID AND a.ATTR_NAME = 'program_name' AND a.ATTR_VALUE LIKE 'meshag/%'
    WHERE p.COMMAND <> 'Daemon' AND p.ID <> CONNECTION_ID() AND a.ATTR_VALUE IS NULL"""
"""Sessions but the benchmark's own and those that syncs keep."""


class MysqlOrMariaDb(Server):
    """MySQL or MariaDB."""

    columns = (
        "SCHEMA_NAME, DIGEST, COUNT_STAR, SUM_TIMER_WAIT, MIN_TIMER_WAIT, MAX_TIMER_WAIT, SUM_LOCK_TIME, SUM_ERRORS, "
        "SUM_ROWS_AFFECTED, SUM_ROWS_SENT, SUM_ROWS_EXAMINED, SUM_CREATED_TMP_DISK_TABLES, SUM_CREATED_TMP_TABLES, "
        "SUM_SELECT_FULL_JOIN, SUM_SORT_MERGE_PASSES, SUM_SORT_ROWS, SUM_NO_INDEX_USED, FIRST_SEEN"
    )

    def __init__(self, flavour: str, maximum: int) -> None:
        self.name = flavour
        self._server = server(flavour, {"performance-schema-digests-size": str(maximum)})
        self._work = pymysql.connect(
            unix_socket=str(self._server.socket), user="app", password=self._server.password, autocommit=True
        )
        self.execute(["CREATE DATABASE bench", "USE bench"])
        # Threads that take over another session keep what they have used: none of it is lost.
        self.execute(["SET GLOBAL thread_cache_size = 64"])
        with self._work.cursor() as cursor:
            cursor.execute("SELECT thread_os_id FROM performance_schema.threads")
            self._others = {str(thread) for (thread,) in cursor.fetchall()}

    @property
    def url(self) -> str:
        return self._server.url("bench")

    def run(self, count: int, text_bytes: int = 0) -> None:
        # Comments are no part of a digest: a long text is made of names.
        long = "".join(f", 1 AS a_name_to_make_this_statement_long_{n}" for n in range(text_bytes // 44))
        self.execute([f"SELECT 1 AS statement_{n}{long}" for n in range(count)])

    def execute(self, statements: Sequence[str]) -> None:
        with self._work.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def counters(self) -> list[Row]:
        return asyncio.run(self._counters())

    async def _counters(self) -> list[Row]:
        target = Target.from_url(self.url)
        secret = target.password.reveal().encode() if target.password else b""
        connection = await asyncmy.connect(
            host=target.host, port=target.port, user=target.user, password=secret, autocommit=True
        )
        async with connection.cursor() as cursor:
            await cursor.execute(
                f"SELECT {self.columns} FROM performance_schema.events_statements_summary_by_digest"
                " WHERE SCHEMA_NAME = 'bench'"
            )
            rows = list(await cursor.fetchall())
        connection.close()
        return rows

    def sessions_cpu_s(self) -> float:
        """Of all threads but the server's own and the one that serves the benchmark's work."""
        with self._work.cursor() as cursor:
            while cursor.execute(_ENDING):
                time.sleep(0.005)
        threads = Path(f"/proc/{self._server.pid}/task").iterdir()
        took = (int((each / "schedstat").read_text().split()[0]) for each in threads if each.name not in self._others)
        return sum(took) / 1e9

    def close(self) -> None:
        self._work.close()
        self._server.close()
