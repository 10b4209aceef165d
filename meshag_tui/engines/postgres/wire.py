"""One conversation with a PostgreSQL server in which every call ends by a client deadline.

A frozen backend answers neither a query nor a cancel, and the server's own time-outs do not fire, so the deadline is
ours: the socket is shut down, which ends the waiting task at once, and the conversation is over. Statements go by the
extended protocol (the server then takes one statement only), carry our marker, which the statistics of the server
keep, so that our own statements are known as ours, and are counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from meshag_tui.engines.base import CannotConnect, DeadlinePassed, EngineError, Limits
from meshag_tui.engines.marker import MARKER, marked
from meshag_tui.engines.postgres.dial import dial
from meshag_tui.engines.postgres.errors import statement_error
from meshag_tui.engines.postgres.stopping import stop
from meshag_tui.types import Target

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    from meshag_tui.engines.proxy import Relay

MOMENTS_BEGIN_US = 946_684_800_000_000
"""Where the server's own count of time begins, 2000-01-01 UTC, in µs since 1970."""
_CHUNK = 250  # rows turned into Python values before the event loop gets its turn

T = TypeVar("T")
Row = tuple[Any, ...]


class Wire:
    """A connection with its deadlines. `statements` counts what was sent; `gone` says why no more can be."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Row],
        target: Target,
        limits: Limits,
        settings: Mapping[str, str],
        relay: Relay | None,
        settings_taken: bool,
    ) -> None:
        self.target = target
        self.limits = limits
        self.statements = 0
        self.gone: str | None = None
        self.settings_taken = settings_taken
        self._settings = settings
        self._connection = connection
        self._relay = relay
        self._lock = asyncio.Lock()
        self._in_transaction = False

    @classmethod
    async def open(cls, target: Target, application_name: str, settings: Mapping[str, str], limits: Limits) -> Wire:
        """Connect within `limits.connect_s`. `settings` are the server settings of the session.

        Raises:
            EngineError: as `dial` says.
        """
        connection, relay, took = await dial(target, application_name, settings, limits.connect_s)
        wire = cls(connection, target, limits, settings, relay, took)
        if wire.server_encoding == "SQL_ASCII":
            # The server would refuse to send bytes that are not UTF-8; taken raw, we make them visible ourselves.
            _read_any_bytes(connection)
            await wire.fetch("SET client_encoding TO 'SQL_ASCII'", deadline_s=limits.connect_s)
        return wire

    @property
    def server_encoding(self) -> str:
        return self._status(b"server_encoding")

    @property
    def tls(self) -> bool:
        """Whether the line is encrypted, as libpq knows it."""
        return not self.gone and self._connection.pgconn.ssl_in_use

    @property
    def backend_pid(self) -> int:
        return self._connection.pgconn.backend_pid

    def _status(self, name: bytes) -> str:
        value = self._connection.pgconn.parameter_status(name)
        return value.decode("ascii", "replace") if value else ""

    async def fetch(
        self,
        query: str | sql.Composable,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        deadline_s: float | None = None,
        simple: bool = False,
        shape: Callable[[list[Row]], list[T]] | None = None,
        bare_moments: bool = False,
    ) -> list[Any]:
        """Run one statement and return its rows (none for a command).

        Args:
            query: one statement; values go into `params` (%s), names are composed with psycopg.sql.
            deadline_s: seconds until the socket is shut and the session gone; by default the session's.
            simple: send by the simple protocol, which takes several statements: only for a text that a parser has
                found to be one (EXPLAIN of a text with `$1` cannot be sent otherwise).
            shape: turns rows into what is returned, a few hundred at a time, so that the event loop is never held.
            bare_moments: moments come as the server sends them, in µs since `MOMENTS_BEGIN_US`: many cost less so.

        Raises:
            DeadlinePassed: no answer in time.
            EngineError: what the server said, see `errors.statement_error`; the psycopg error is its cause.
        """
        text = marked(self._bytes(query))

        async def run() -> list[Any]:
            if self.settings_taken or self._in_transaction:
                return await self._execute(text, params, simple, shape, bare_moments)
            return await self._with_local_settings(text, params, simple, shape, bare_moments)

        async with self._lock:
            return await self._bounded(run(), self.limits.call_s if deadline_s is None else deadline_s)

    async def batch(self, statements: Sequence[str | sql.Composable]) -> list[list[Row]]:
        """Run several statements in one round trip, by the simple protocol, and return the rows of each.

        They are one transaction, read-only as the session is. Each must be known to be one statement, its values
        composed into it.

        Raises:
            DeadlinePassed, EngineError: as `fetch`. After an error none of them has had an effect on data.
        """
        text = b";\n".join(marked(self._bytes(one)) for one in statements)

        async def run() -> list[list[Row]]:
            import psycopg

            self.statements += len(statements)
            try:
                async with self._connection.cursor(binary=False) as cursor:
                    await cursor.execute(text)
                    found = [await cursor.fetchall() if cursor.description else []]
                    while cursor.nextset():
                        found.append(await cursor.fetchall() if cursor.description else [])
                    return found
            except psycopg.Error as error:
                raise statement_error(error, self.target.user) from error

        async with self._lock:
            return await self._bounded(run(), self.limits.call_s)

    async def copy_out(self, query: str, take: Callable[[bytes], Awaitable[None]], deadline_s: float) -> None:
        """Run one COPY … TO STDOUT and give `take` its rows one by one; what it raises ends the reading.

        Raises:
            DeadlinePassed, EngineError: as `fetch`.
        """
        text = marked(self._bytes(query))

        async def run() -> list[Any]:
            import psycopg

            self.statements += 1
            try:
                async with self._connection.cursor() as cursor, cursor.copy(text) as copy:
                    async for row in copy:
                        await take(bytes(row))
            except psycopg.Error as error:
                raise statement_error(error, self.target.user) from error
            return []

        async with self._lock:
            await self._bounded(run(), deadline_s)

    def transaction(self, read_only: bool = True) -> _Transaction:
        """`async with wire.transaction():` a transaction that is rolled back at its end: nothing here is to stay."""
        return _Transaction(self, read_only)

    def close(self) -> None:
        """End the session without waiting for the server."""
        if self.gone is None:
            self.gone = "it was closed"
            if self._lock.locked():
                self._shut()
        self._connection.pgconn.finish()
        if self._relay is not None:
            self._relay.close()

    async def _with_local_settings(
        self, text: bytes, params: Any, simple: bool, shape: Callable[[list[Row]], list[T]] | None, bare_moments: bool
    ) -> list[Any]:
        """A pooler dropped our start-up settings: give them to each statement's own transaction."""
        await self._execute(f"BEGIN {MARKER} READ ONLY".encode(), None, False, None)
        try:
            await self._execute(*self._local_settings(), False, None)
            return await self._execute(text, params, simple, shape, bare_moments)
        finally:
            if self.gone is None:
                await self._execute(f"ROLLBACK {MARKER}".encode(), None, False, None)

    def _local_settings(self) -> tuple[bytes, list[str]]:
        calls = ", ".join("set_config(%s, %s, true)" for _ in self._settings)
        return f"SELECT {MARKER} {calls}".encode(), [word for pair in self._settings.items() for word in pair]

    async def _execute(
        self,
        text: bytes,
        params: Any,
        simple: bool,
        shape: Callable[[list[Row]], list[T]] | None,
        bare_moments: bool = False,
    ) -> list[Any]:
        import psycopg
        from psycopg.types.numeric import Int8BinaryLoader

        self.statements += 1
        try:
            async with self._connection.cursor(binary=not simple) as cursor:
                if bare_moments:
                    cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
                if shape and not simple:
                    return await _shaped(cursor, text, params, shape)
                await cursor.execute(text, params)
                if cursor.description is None:
                    return []
                rows: list[Any] = []
                while chunk := await cursor.fetchmany(_CHUNK):
                    rows.extend(shape(chunk) if shape else chunk)
                    await asyncio.sleep(0)
                return rows
        except psycopg.Error as error:
            raise statement_error(error, self.target.user) from error

    async def _bounded(self, work: Coroutine[Any, Any, list[Any]], seconds: float) -> list[Any]:
        if self.gone is not None:
            work.close()
            raise CannotConnect(f"The session with {self.target.label} is over: {self.gone}")
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            stop(self._connection.pgconn)
            await self._abandon(task, "it was cancelled")
            raise
        if not done:
            await self._abandon(task, f"it gave no answer within {seconds:g} s")
            raise DeadlinePassed(
                f"{self.target.host}:{self.target.port} did not answer within {seconds:.3g} s; the session was given up"
            )
        try:
            return task.result()
        except EngineError as error:
            if self._connection.closed and self.gone is None:
                self.gone = str(error)
            raise

    async def _abandon(self, task: asyncio.Task[list[Any]], why: str) -> None:
        """Shut the socket and let the task see that: awaiting a polite cancel is what takes seconds."""
        self.gone = why
        self._shut()
        await asyncio.wait({task}, timeout=0.3)
        task.cancel()
        task.add_done_callback(_forget)
        self._connection.pgconn.finish()
        if self._relay is not None:
            self._relay.close()

    def _shut(self) -> None:
        import psycopg

        try:
            with socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):  # it is closed already
            return

    def _bytes(self, query: str | sql.Composable) -> bytes:
        if isinstance(query, str):
            return query.encode("utf-8", "surrogateescape")
        return query.as_bytes(self._connection)


class _Transaction:
    """Marked BEGIN and ROLLBACK around statements of one wire."""

    def __init__(self, wire: Wire, read_only: bool) -> None:
        self._wire, self._read_only = wire, read_only

    async def __aenter__(self) -> None:
        wire = self._wire
        wire._in_transaction = True
        try:
            await wire.fetch("BEGIN READ ONLY" if self._read_only else "BEGIN")
            if not wire.settings_taken:
                text, params = wire._local_settings()
                await wire.fetch(text.decode(), params)
        except BaseException:
            wire._in_transaction = False
            raise

    async def __aexit__(self, *_: object) -> None:
        wire = self._wire
        try:
            if wire.gone is None:
                await wire.fetch("ROLLBACK")
        finally:
            wire._in_transaction = False


async def _shaped(
    cursor: psycopg.AsyncCursor[Row], text: bytes, params: Any, shape: Callable[[list[Row]], list[T]]
) -> list[T]:
    """Shape rows as they come: the server's answer as a whole takes half as much memory again as what is made of it."""
    rows: list[T] = []
    chunk: list[Row] = []
    async for row in cursor.stream(text, params, binary=True, size=_CHUNK):
        chunk.append(row)
        if len(chunk) == _CHUNK:
            rows.extend(shape(chunk))
            chunk.clear()
            await asyncio.sleep(0)
    rows.extend(shape(chunk))
    return rows


def _forget(task: asyncio.Task[list[Any]]) -> None:
    if not task.cancelled():
        task.exception()


def _read_any_bytes(connection: psycopg.AsyncConnection[Row]) -> None:
    """Have texts of this connection decoded as UTF-8 with the bytes that are not shown as \\x.."""
    from psycopg.adapt import Buffer, Loader
    from psycopg.pq import Format

    class Text(Loader):
        def load(self, data: Buffer) -> Any:
            return bytes(data).decode("utf-8", "backslashreplace")

    class BinaryText(Text):
        format = Format.BINARY

    class Document(Text):
        def load(self, data: Buffer) -> Any:
            return json.loads(super().load(data))

    class BinaryDocument(Document):
        format = Format.BINARY

    for name in ("text", "varchar", "bpchar", "name", '"char"'):
        connection.adapters.register_loader(name, Text)
        connection.adapters.register_loader(name, BinaryText)
    connection.adapters.register_loader("json", Document)
    connection.adapters.register_loader("json", BinaryDocument)
