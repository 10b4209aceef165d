"""The store: one SQLite file or one PostgreSQL database, opened, migrated and used from a thread of its own.

In: the store's URL. Out: a `Store` that runs plain functions on the bound database, one at a time, off the event
loop. `await store(fn, …)` runs where writes happen; `await store.read(fn, …)` on a second, read-only connection, so
that a screen never waits behind a large sync. One store is open in a process at a time: the models have one binding.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, TypeVar

from meshag_tui import upgrading
from meshag_tui.store import drivers, models, place, schema
from meshag_tui.store.sqlite_file import SqliteFile
from meshag_tui.store.thread import StoreThread
from meshag_tui.types import MeshagError

if TYPE_CHECKING:
    import peewee

P = ParamSpec("P")
T = TypeVar("T")

_CLOCK = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
}
_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "busy_timeout": 10_000,
    "foreign_keys": 1,
    "synchronous": "normal",
    "journal_size_limit": 64 * 1024 * 1024,
    "cache_size": -8_000,  # kB; with twice as much a sync of fifty thousand statements is no quicker
    "temp_store": "memory",
}
_SQLITE_READING = "PRAGMA query_only = 1; PRAGMA cache_size = -16000; PRAGMA temp_store = file"
"""Rows are sorted in one block of memory and, what is more than the cache, in a file; with `memory` each is a block."""
_POSTGRES_SETTINGS = "; ".join(
    (
        "SET statement_timeout = '120s'",
        "SET lock_timeout = '15s'",
        # A process that is frozen or cut off within a transaction holds what all the others wait for: not for long.
        "SET idle_in_transaction_session_timeout = '20s'",
        "SET tcp_keepalives_idle = 10",
        "SET tcp_keepalives_interval = 5",
        "SET tcp_keepalives_count = 3",
        "SET tcp_user_timeout = '20s'",
        # A page is summed in tens of milliseconds: starting processes for it takes the server longer than they save.
        "SET max_parallel_workers_per_gather = 0",
    )
)


class Spent(NamedTuple):
    """What one thing took that the store was asked: in its thread, ms, `read` beside the writer."""

    name: str
    read: bool
    calls: int
    total_ms: float
    longest_ms: float


class StoreUnavailable(MeshagError):
    """The store cannot be reached, is locked, full or damaged; the text says what to do."""


def kind() -> Literal["sqlite", "postgresql"]:
    """Which database the models are bound to."""
    return "sqlite" if isinstance(models.database.obj, SqliteFile) else "postgresql"


def clock() -> peewee.SQL:
    """The store's clock, epoch ms, as an expression: all instances of a shared store agree on it."""
    import peewee

    return peewee.SQL(_CLOCK[kind()])


def now_ms() -> int:
    """The store's clock, epoch ms."""
    return int(models.database.execute_sql(f"SELECT {_CLOCK[kind()]}").fetchone()[0])


def atomic() -> Any:
    """One transaction (a savepoint inside another); on SQLite it takes the write lock at once."""
    return models.database.atomic()


@contextmanager
def durable() -> Iterator[None]:
    """A transaction that survives loss of power once it is committed.

    SQLite otherwise syncs at checkpoints only: enough for statistics, not for what must be known before a side effect.
    Inside another transaction it is that transaction's durability that counts.
    """
    database = models.database
    if kind() == "postgresql" or database.in_transaction():
        with database.atomic():
            yield
        return
    database.pragma("synchronous", "full")
    try:
        with database.atomic():
            yield
    finally:
        database.pragma("synchronous", "normal")


def _is_misshapen(error: Exception) -> bool:
    """Whether the database says that a table or column is not there: somebody else changed the store."""
    import peewee

    said = str(error).lower()
    if isinstance(error, (peewee.OperationalError, sqlite3.OperationalError)):
        return said.startswith(("no such table", "no such column")) or "has no column named" in said
    return isinstance(error, peewee.ProgrammingError) and "does not exist" in said


def _whole(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    with durable():
        return fn(*args, **kwargs)


class Store:
    """An open store.

    Attributes: `kind`; `url_label`, which never holds a password; `path`, the SQLite file or None; `warnings`, lines
    about where it lives; `migrated`, the names of the migrations this opening applied.
    """

    def __init__(self, url: str) -> None:
        self._location = place.locate(url)
        self.kind: Literal["sqlite", "postgresql"] = self._location.kind
        self.url_label = self._location.label
        self.path: Path | None = self._location.path
        self.warnings: tuple[str, ...] = ()
        self.migrated: tuple[str, ...] = ()
        self._database = self._make_database()
        self._writer = StoreThread("store")
        self._reader = StoreThread("store-read")
        self._begun: list[tuple[Callable[..., Any], tuple[Any, ...], Future[Any]]] = []
        self._spent: dict[tuple[str, bool], Spent] = {}

    @classmethod
    def open(cls, url: str, backup: bool = True, migrate: bool = True) -> Store:
        """Open the store, creating it if it is not there, and bring its schema up to date. Blocks.

        `backup` copies an SQLite file before its schema changes; `migrate=False` leaves pending migrations alone
        (for `status` only).

        Raises:
            UsageError: the URL or path cannot be a store.
            StoreUnavailable: it cannot be reached or is damaged.
            schema.SchemaRefused: it was written by a newer MeshAG, or belongs to something else.
        """
        store = cls(url)
        try:
            if store.path is not None:
                store.warnings = place.prepare(store.path)
            store.run(store._begin, backup, migrate)
        except BaseException:
            store.close()
            raise
        return store

    async def __call__(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` in the store's thread. Cancelling does not stop a function that has begun."""
        return await asyncio.wrap_future(self._submit(self._writer, False, fn, *args, **kwargs))

    async def whole(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same as calling the store, in one durable transaction: all that `fn` writes, or nothing."""
        return await self(_whole, fn, *args, **kwargs)

    async def read(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn`, which only reads, beside the writer: it sees what was committed."""
        for begun in self._begun:  # none but in the first moments
            if begun[:2] == (fn, args) and not kwargs:
                self._begun.remove(begun)
                return await asyncio.wrap_future(begun[2])
        return await asyncio.wrap_future(self._submit(self._reader, True, fn, *args, **kwargs))

    def ahead(self, fn: Callable[..., T], /, *args: Any) -> Future[T]:
        """Begin a read that somebody will ask for in a moment: the first `read` of the same takes its answer."""
        answer = self._submit(self._reader, True, fn, *args)
        self._begun.append((fn, args, answer))
        return answer

    def drop_ahead(self) -> None:
        """What was read ahead and not asked for is old by now."""
        self._begun.clear()

    def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same as calling the store, blocking: for commands and tests, never on an event loop."""
        return self._submit(self._writer, False, fn, *args, **kwargs).result()

    def slowest(self, n: int = 5) -> tuple[Spent, ...]:
        """What this process asked that took longest at once, the slowest first."""
        return tuple(sorted(self._spent.values(), key=lambda each: -each.longest_ms)[:n])

    def close(self) -> None:
        """Finish what was begun and close; safe to call twice."""
        for thread in (self._reader, self._writer):
            if thread.alive:
                thread.submit(self._disconnect).result()
                thread.stop()

    def status(self) -> tuple[schema.Migration, ...]:
        """The migrations, applied and pending. Blocks."""
        return self.run(schema.status, self._database)

    def migrate(self, backup: bool = True) -> tuple[str, ...]:
        """Apply what is pending and return the names. Blocks."""
        return self.run(self._migrate, backup)

    def backup(self, to: Path | None = None) -> Path:
        """Copy an SQLite store, consistently, while it is in use; default beside it. Blocks.

        Raises:
            MeshagError: the store is PostgreSQL, whose own tools make backups.
        """
        if self.path is None:
            raise MeshagError("A PostgreSQL store is backed up by its own tools: pg_dump")
        return self.run(place.backup, self._database.connection, self.path, to)

    # ------------------------------------------------------------------ in the threads

    def _submit(self, thread: StoreThread, read: bool, fn: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        return thread.submit(self._call, read, fn, args, kwargs)

    def _call(self, read: bool, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        began = time.perf_counter()
        try:
            self._connect(read)
            return fn(*args, **kwargs)
        except Exception as error:
            if self._is_trouble(error):
                raise StoreUnavailable(self._explain(error)) from error
            raise
        finally:
            self._count(args[0] if fn is _whole else fn, read, (time.perf_counter() - began) * 1000)

    def _count(self, fn: Callable[..., T], read: bool, took_ms: float) -> None:
        said = getattr(fn, "func", fn)  # of a partial what it is of
        where = getattr(said, "__module__", "").rpartition(".")[2]
        name = f"{where}.{getattr(said, '__qualname__', type(said).__name__)}".replace(".<locals>", "")
        before = self._spent.get((name, read), Spent(name, read, 0, 0.0, 0.0))
        self._spent[name, read] = before._replace(
            calls=before.calls + 1,
            total_ms=before.total_ms + took_ms,
            longest_ms=max(before.longest_ms, took_ms),
        )

    def _is_trouble(self, error: Exception) -> bool:
        """Whether the store itself failed, through Peewee or, in a bulk write, past it; not a mistake in what we do."""
        import peewee

        if self.kind == "postgresql":
            from psycopg import OperationalError

            if _is_misshapen(error):
                return True
            return isinstance(error, (peewee.OperationalError, peewee.InterfaceError, OperationalError))
        if isinstance(error, (peewee.OperationalError, peewee.InterfaceError, sqlite3.OperationalError)):
            return True
        return isinstance(error, (peewee.DatabaseError, sqlite3.DatabaseError)) and place.is_damage(error)

    def _connect(self, read: bool) -> None:
        if models.database.obj is not self._database:
            models.database.initialize(self._database)
        if not self._database.is_closed():
            if self._database.is_connection_usable():
                return
            self._disconnect()  # the server went away; what was in flight has failed already
        self._database.connect()
        if self.kind == "postgresql":
            self._database.execute_sql(_POSTGRES_SETTINGS)
        if read and self.kind == "sqlite":
            self._database.connection().executescript(_SQLITE_READING)
        elif read:
            self._database.execute_sql("SET default_transaction_read_only = on")

    def _disconnect(self) -> None:
        if not self._database.is_closed():
            try:
                self._database.close()
            except Exception as error:
                if not self._is_trouble(error):
                    raise
                self._database.dispose()  # already gone on the other side

    def _begin(self, backup: bool, migrate: bool) -> None:
        if self.path is not None:
            place.check(self._database.connection(), self.path)
        found = schema.refuse_foreign(self._database, self.url_label)
        if migrate:
            self._apply(found, backup)

    def _migrate(self, backup: bool) -> tuple[str, ...]:
        return self._apply(schema.status(self._database), backup)

    def _apply(self, found: Sequence[schema.Migration], backup: bool) -> tuple[str, ...]:
        pending = [migration for migration in found if migration.state == "pending"]
        if not pending:
            self.migrated = ()
        elif len(pending) == len(found):  # a new store: nobody waits for it
            self.migrated = schema.apply(self._database)
        else:
            try:
                if backup and self.path is not None:
                    upgrading.tell(upgrading.Step(upgrading.COPY, 0, len(pending)))
                    place.backup(self._database.connection, self.path, None)
                self.migrated = schema.apply(self._database, upgrading.tell)
            finally:
                upgrading.tell(None)
        return self.migrated

    def _make_database(self) -> Any:
        if self._location.path is not None:
            return SqliteFile(self._location.path, _SQLITE_PRAGMAS)
        assert self._location.conninfo is not None  # noqa: S101
        drivers.hand_over_psycopg()
        from playhouse.postgres_ext import Psycopg3Database

        return Psycopg3Database(
            self._location.conninfo.reveal(),
            autoconnect=False,
            connect_timeout=5,
            application_name="meshag/store",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
        )

    def _explain(self, error: Exception) -> str:
        reason = " ".join(str(error).split()) or type(error).__name__
        if _is_misshapen(error):
            return (
                f"The store {self.url_label} lacks a part ({reason}): `meshag store check` says which, `meshag store "
                "restore FILE` puts a backup in its place"
            )
        if self.path is not None:
            return place.explain(self.path, error, reason)
        return f"The store {self.url_label} cannot be used: {reason}"
