"""One conversation with a MySQL or MariaDB server in which every call ends by a client deadline.

A frozen server answers nothing and its own time-outs do not fire, so the deadline is ours: the line is cut, which ends
the waiting task at once, and the conversation is over. One statement goes in a call (the server takes no more, the
switch for several is off), with our marker in it, and is counted.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from meshag_tui.engines.base import CannotConnect, DeadlinePassed, EngineError, Limits, ServerFault
from meshag_tui.engines.marker import marked
from meshag_tui.engines.mysql.dial import dial
from meshag_tui.engines.mysql.errors import number, place, quoted, statement_error
from meshag_tui.engines.mysql.stopping import stop
from meshag_tui.types import Target

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.dial import Line

Flavour = Literal["MySQL", "MariaDB"]
SessionSettings = Callable[[Flavour], Mapping[str, str | float]]
"""The settings of a session by flavour: what one server calls so the other calls otherwise, or does not have."""

_BINARY = 63  # the "character set" of bytes that are no text
_CHUNK = 250  # rows decoded before the event loop gets its turn
_QUIT = b"\x01\x00\x00\x00\x01"
_LINGER_S = 1.0
_UNKNOWN_SETTING = 1193

T = TypeVar("T")
Row = tuple[Any, ...]


class Wire:
    """A connection with its deadlines. `statements` counts what was sent; `gone` says why no more can be."""

    def __init__(self, line: Line, target: Target, limits: Limits) -> None:
        self.target = target
        self.limits = limits
        self.statements = 0
        self.gone: str | None = None
        self.latency_ms = 0.0  # of the first statement, which is next to no work for the server
        self.flavour: Flavour
        self.flavour, self.version = flavour_and_version(line.server_version)
        self.tls = _cipher(line)
        self._line = line
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, target: Target, purpose: str, settings: SessionSettings, limits: Limits) -> Wire:
        """Connect within `limits.connect_s` and give the session its settings. `purpose` as in meshag/<purpose>.

        Raises:
            EngineError: as `dial` says.
        """
        begin = asyncio.get_running_loop().time()
        wire = cls(await dial(target, purpose, limits.connect_s), target, limits)
        try:
            assigned = settings(wire.flavour)
            names = ", ".join(f"{quoted(name)} = %s" for name in assigned)
            asked = asyncio.get_running_loop().time()
            left = max(0.1, limits.connect_s - (asked - begin))
            await wire.fetch(f"SET SESSION {names}", list(assigned.values()), deadline_s=left)
            wire.latency_ms = (asyncio.get_running_loop().time() - asked) * 1000
        except BaseException as error:
            wire.close()
            if isinstance(error, ServerFault) and number(error) == _UNKNOWN_SETTING:
                raise ServerFault(
                    f"{place(target)} says it is {wire.server_version}, and lacks what MySQL 8.0 or MariaDB 10.6 has: "
                    f"{error}",
                    "Upgrade the server; if it is a proxy, connect to the server's own port",
                ) from error
            raise
        return wire

    @property
    def connection_id(self) -> int:
        """The server's number of this session: what KILL takes."""
        return int(self._line.thread_id())

    @property
    def server_version(self) -> str:
        """As the server greets; behind a proxy it may be the proxy's."""
        return str(self._line.server_version)

    async def fetch(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        deadline_s: float | None = None,
        shape: Callable[[list[Row]], list[T]] | None = None,
    ) -> list[Any]:
        """Run one statement and return its rows (none for a command).

        Args:
            query: one statement; values go into `params` (%s or %(name)s, a list as (…)), names by `errors.quoted`.
            deadline_s: seconds until the line is cut and the session gone; by default the session's.
            shape: turns rows into what is returned, a few hundred at a time, so that the event loop is never held.

        Raises:
            DeadlinePassed: no answer in time.
            EngineError: what the server said, see `errors.statement_error`; the asyncmy error is its cause.
        """
        text = self._text(query, params)
        async with self._lock:
            return await self._bounded(
                self._execute(text, shape), self.limits.call_s if deadline_s is None else deadline_s
            )

    async def stream(self, query: str, take: Callable[[list[Row]], Awaitable[None]], deadline_s: float) -> None:
        """Run one statement and give `take` its rows as they come, some at a time; what it raises ends the session.

        Raises:
            DeadlinePassed, EngineError: as `fetch`.
        """
        text = self._text(query, None)
        async with self._lock:
            await self._bounded(self._stream(text, take), deadline_s)

    def literal(self, value: Any) -> str:
        """A value as the server reads it in a statement; of a collection its values in brackets."""
        if isinstance(value, Collection) and not isinstance(value, str | bytes):
            return "(" + (", ".join(self.literal(each) for each in value) or "NULL") + ")"
        return str(self._line.literal(value))

    def close(self) -> None:
        """End the session without waiting for the server. It is told, so that it does not count us as broken off."""
        busy, open_still = self._lock.locked(), self.gone is None
        self.gone = self.gone or "it was closed"
        transport = self._line._transport
        if transport is None or transport.is_closing():
            return
        if busy or not open_still:
            self._line.abort()
            return
        transport.write(_QUIT)
        transport.close()
        asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)

    def _text(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None) -> bytes:
        if isinstance(params, Mapping):
            query %= {name: self.literal(value) for name, value in params.items()}
        elif params is not None:
            query %= tuple(self.literal(value) for value in params)
        try:
            return marked(query.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            raise ServerFault("A statement with half a character in it cannot be sent") from None

    async def _execute(self, text: bytes, shape: Callable[[list[Row]], list[T]] | None) -> list[Any]:
        from asyncmy.errors import Error

        self.statements += 1
        line = self._line
        try:
            await line.query(text)
        except (Error, OSError, RuntimeError) as error:
            raise statement_error(error, self.target.user) from error
        result, line._result = line._result, None
        if not result.rows:
            return []
        texts = [at for at, field in enumerate(result.fields) if field.charsetnr != _BINARY]
        rows: list[Any] = []
        for start in range(0, len(result.rows), _CHUNK):
            chunk = _decoded(result.rows[start : start + _CHUNK], texts)
            rows.extend(shape(chunk) if shape else chunk)
            await asyncio.sleep(0)
        return rows

    async def _stream(self, text: bytes, take: Callable[[list[Row]], Awaitable[None]]) -> list[Any]:
        from asyncmy.errors import Error

        self.statements += 1
        line = self._line
        try:
            await line.query(text, unbuffered=True)
            result = line._result
            texts = [at for at, field in enumerate(result.fields) if field.charsetnr != _BINARY]
            some: list[Row] = []
            while (row := await result._read_rowdata_packet_unbuffered()) is not None:
                some.append(row)
                if len(some) == _CHUNK:
                    await take(_decoded(some, texts))
                    some = []
            if some:
                await take(_decoded(some, texts))
        except (Error, OSError, RuntimeError) as error:
            raise statement_error(error, self.target.user) from error
        except BaseException as error:  # rows that nobody reads are still on their way
            self.gone = self.gone or f"its rows were not wanted: {error}"
            line.abort()
            raise
        line._result = None
        return []

    async def _bounded(self, work: Coroutine[Any, Any, list[Any]], seconds: float) -> list[Any]:
        if self.gone is not None:
            work.close()
            raise CannotConnect(f"The session with {self.target.label} is over: {self.gone}")
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            stop(self.target, self.connection_id)
            await self._abandon(task, "it was cancelled")
            raise
        if not done:
            await self._abandon(task, f"it gave no answer within {seconds:g} s")
            raise DeadlinePassed(
                f"{place(self.target)} did not answer within {seconds:.3g} s; the session was given up"
            )
        try:
            return task.result()
        except EngineError as error:
            if self._line._stream_broken and self.gone is None:
                self.gone = str(error)
            raise

    async def _abandon(self, task: asyncio.Task[list[Any]], why: str) -> None:
        """Cut the line and let the task see that."""
        self.gone = why
        self._line.abort()
        task.cancel()
        await asyncio.wait({task}, timeout=0.3)
        task.add_done_callback(_forget)


def flavour_and_version(said: str) -> tuple[Flavour, tuple[int, int, int]]:
    """What a server's version text says: "5.5.5-10.11.18-MariaDB-0+deb12u1" is how MariaDB greets old clients."""
    flavour: Flavour = "MariaDB" if "mariadb" in said.lower() else "MySQL"
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", said.removeprefix("5.5.5-") if flavour == "MariaDB" else said)
    if found is None:
        return flavour, (0, 0, 0)
    return flavour, (int(found[1]), int(found[2]), int(found[3] or 0))


def _cipher(line: Line) -> str | None:
    """Protocol and cipher in use, None on a clear line."""
    tls = line._transport.get_extra_info("ssl_object")
    return f"{tls.version()} {tls.cipher()[0]}" if tls is not None else None


def _decoded(rows: list[Row], texts: list[int]) -> list[Row]:
    """The rows with their texts as str; bytes that are not UTF-8 are shown as \\x.."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for at in texts:
        columns[at] = [
            value.decode("utf-8", "backslashreplace") if type(value) is bytes else value for value in columns[at]
        ]
    return list(zip(*columns, strict=True))


def _forget(task: asyncio.Task[list[Any]]) -> None:
    if not task.cancelled():
        task.exception()
