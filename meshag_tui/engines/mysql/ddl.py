"""The one session that may change a server: a rendered change, gated, run once, judged by the catalogue.

In: a target whose account may alter the table. Out: a `base.DdlSession`. Its lock time-out is short, so that nobody
queues behind us for long; its statement has no time-out, as an index may take hours. A pooler or a server that takes no
changes is refused. Cancelling the task cancels the statement on the server, and the session can then still look.

A definition changes wholly or not at all on these servers, also when they crash: there is nothing half made to remove.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from meshag_tui.engines.base import (
    EngineError,
    Gate,
    Limits,
    LockTimeout,
    Progress,
    Refused,
    RenderedChange,
    ServerFault,
)
from meshag_tui.engines.marker import marked
from meshag_tui.engines.mysql import gates as gate_checks
from meshag_tui.engines.mysql import inuse, kinds, permitted, render
from meshag_tui.engines.mysql.catalogue import State, find_table
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.keys import Key
from meshag_tui.engines.mysql.session import common_settings, read_only_settings
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.strict import statements_in
from meshag_tui.engines.mysql.wire import Flavour, SessionSettings, Wire
from meshag_tui.types import (
    Analyze,
    Change,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    HideIndex,
    Rebuild,
    SetSetting,
    ShowIndex,
    Target,
)

LOCK_TIMEOUT_S = 2
LONG_S = 60.0
"""A statement that gave up waiting after it worked for so long is not tried again: it would begin anew each time."""
_QUIET_S = 1.0  # a transaction that has used the table for longer would make others wait behind us
_AS_LONG_AS_IT_TAKES_S = 30 * 24 * 3600.0
_CANCEL_S = 5.0
_ERRORS = ("error", "Error")


def change_settings(limits: Limits) -> SessionSettings:
    """What the session starts with. Its time zone is the server's, in which InnoDB says when transactions began."""

    def settings(flavour: Flavour) -> dict[str, str | float]:
        own: dict[str, str | float] = {
            "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            "lock_wait_timeout": LOCK_TIMEOUT_S,
            "time_zone": "SYSTEM",
        }
        if flavour == "MySQL":
            own |= {"transaction_read_only": 0, "max_execution_time": 0, "information_schema_stats_expiry": 0}
        else:
            own |= {"tx_read_only": 0, "max_statement_time": 0}
        return common_settings(limits) | own

    return settings


@asynccontextmanager
async def connect_for_change(target: Target, limits: Limits) -> AsyncIterator[MysqlDdlSession]:
    """Open a session that may change things: for changes/ only.

    Raises:
        Refused: a pooler stands between, or the server takes no changes.
        EngineError: it cannot be connected to.
    """
    session = await MysqlDdlSession.open(target, limits)
    try:
        yield session
    finally:
        await session.close()


class MysqlDdlSession:
    """See `base.DdlSession`. `backend_pid` is the connection's id, `backend_start` when the server was started, epoch
    ms: ids are given once only for as long as it runs."""

    def __init__(self, wire: Wire, target: Target, limits: Limits, backend_start: int) -> None:
        self.target = target
        self.backend_pid = wire.connection_id
        self.backend_start = backend_start
        self._wire = wire
        self._limits = limits
        self._ran_at: int | None = None  # epoch s of the server, when this session began to run its change
        self._analyzed = False  # the server said so, in answer to this session
        self._adopted: tuple[int, int] | None = None  # id and server start of the session that we stand in for

    @classmethod
    async def open(cls, target: Target, limits: Limits) -> MysqlDdlSession:
        """Connect, and prove that we speak with one server that takes changes; raises as `connect_for_change`."""
        wire = await Wire.open(target, "apply", change_settings(limits), limits)
        try:
            values = await gate_checks.server_values(wire)
            if int(values["connection_id"]) != wire.connection_id:
                raise Refused(
                    f"{target.host}:{target.port} is a connection pooler: a change needs a session of its own",
                    "Give the address of the server itself",
                )
            closed = gate_checks.read_only(values)
            if closed is not None:
                raise Refused(f"{target.host}:{target.port} is a read-only server ({closed}): change its primary")
            source = await gate_checks.source(wire, values)
            if source is not None:
                raise Refused(f"{target.host}:{target.port} is a replica of {source}: change that, its primary")
        except BaseException:
            wire.close()
            raise
        return cls(wire, target, limits, _started(values))

    async def gates(self, change: Change, rendered: RenderedChange, estimated_bytes: int | None) -> tuple[Gate, ...]:
        """Every pre-flight check; see `gates.gates`."""
        return await gate_checks.gates(self._wire, self.target, change, rendered, estimated_bytes)

    async def run(self, change: Change, sql: str) -> None:
        """Run a rendered change once.

        Raises:
            Refused: `sql` is not what rendering the change gives now.
            LockTimeout: a lock was not had within 2 s; its text names who was in the way.
            EngineError: the server failed it, or would have had to block others: then it did nothing.
        """
        permitted.check(change, sql)
        again = await render.render(self._wire, change)
        if again.sql != sql:
            raise Refused("The object has changed since the statement was made: look at it again")
        if isinstance(change, SetSetting):
            for statement in statements_in(sql):
                await self._run(statement)
            return
        schema, table = again.target["schema"], again.target["table"]
        if gate_checks.holds_up(self._wire, change):
            await self._wait_for_quiet(schema, table)
        await self._wire.fetch(f"USE {quoted(schema)}")  # which is what filters of a binary log and of replicas go by
        self._ran_at = int((await self._wire.fetch("SELECT UNIX_TIMESTAMP()"))[0][0])
        if isinstance(change, Rebuild) and self._ran_at <= (again.target["created"] or 0):
            await asyncio.sleep(1.0)  # so that the second in which it was made tells it from what it was before
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            rows = await self._run(sql)
        except LockTimeout as error:
            said = f"{error}{await inuse.blockers(self._wire, schema, table)}"
            if loop.time() - begin > LONG_S:
                raise ServerFault(
                    f"After {loop.time() - begin:.0f} s of work: {said}", "Try it at a quiet time"
                ) from error
            raise LockTimeout(said) from error
        if isinstance(change, Analyze | CreateStatistics | DropStatistics):
            failed = [row[3] for row in rows if row[2] in _ERRORS]
            if failed:
                raise ServerFault(f"The server could not analyse it: {failed[0]}")
            self._analyzed = True

    async def adopt(self, backend_pid: int, backend_start: int, made: int | None) -> bool:
        """Stand in for an earlier session of ours; True while it is at work.

        One that does nothing is ended: its process may only be stopped, and must not go on with what we judge
        meanwhile. After a restart of the server there is none, whoever has its number now.
        """
        self._adopted = (backend_pid, backend_start)
        command = await self._adopted_command()
        if command == "Sleep":
            await self._kill("CONNECTION", backend_pid, self._wire)
        return command is not None

    async def stop_adopted(self) -> None:
        """End the adopted session with its statement; the server then takes back what it has done."""
        if self._adopted is not None and await self._adopted_command() is not None:
            await self._kill("CONNECTION", self._adopted[0], self._wire)

    async def verify(self, change: Change, rendered: RenderedChange) -> State:
        """What the catalogue says of the change now: "done" when its effect is there, "absent" when it is not.

        For ANALYZE "done" means since this session began to run it; for a rebuild that the table is another one.
        """
        if await self._is_running(rendered):
            return "running"
        if isinstance(change, Analyze):
            return "done" if self._analyzed or await self._renewed(change) else "absent"
        kind = kinds.KINDS.get(type(change))
        if kind is not None:
            return await kind.state(self._wire, change, rendered)
        try:
            table = await find_table(self._wire, rendered.target["schema"], rendered.target["table"])
        except Refused:  # gone, and its indexes with it
            return "done" if isinstance(change, DropIndex) else "absent"
        if isinstance(change, Rebuild):
            return "done" if table.created != rendered.target["created"] else "absent"
        key = table.key(rendered.target["index"])
        if isinstance(change, DropIndex):
            return "done" if key is None else "absent"
        if key is None:
            return "absent"
        if isinstance(change, HideIndex | ShowIndex):
            return "done" if key.hidden == isinstance(change, HideIndex) else "absent"
        return "done" if _text(key, self._wire.flavour) == rendered.target["definition"] else "absent"

    async def clean_up(self, change: Change, rendered: RenderedChange) -> bool:
        """False: nothing half made is ever left, see above."""
        return False

    async def close(self) -> None:
        """End the session without waiting for the server."""
        self._wire.close()

    # ------------------------------------------------------------------ how

    async def _wait_for_quiet(self, schema: str, table: str) -> None:
        """Wait, as long as for a lock, for transactions that have used the table for a while: before we stand in line.

        Whoever comes after an ALTER TABLE that waits, waits as well.
        """
        if not await inuse.shows_locks(self._wire):
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + LOCK_TIMEOUT_S
        while any(user.age_s > _QUIET_S for user in await inuse.table_users(self._wire, schema, table)):
            if loop.time() > end:
                raise LockTimeout(f"The table is in use{await inuse.blockers(self._wire, schema, table)}")
            await asyncio.sleep(0.2)  # INNODB_TRX is renewed only when nobody has read it for 0.1 s

    async def _run(self, statement: str) -> list[tuple[Any, ...]]:
        """Send one statement and wait for its end; when cancelled, cancel it on the server and wait for that."""
        sent = asyncio.ensure_future(self._wire.fetch(statement, deadline_s=_AS_LONG_AS_IT_TAKES_S))
        try:
            return await asyncio.shield(sent)
        except asyncio.CancelledError:
            if not sent.done():
                await self._cancel()
                await asyncio.wait({sent}, timeout=_CANCEL_S)
            if not sent.done():
                self._wire.close()
            sent.add_done_callback(_forget)
            raise

    async def _cancel(self) -> None:
        """Cancel our own statement through a second session; our number after a restart is somebody else's."""
        try:
            wire = await Wire.open(self.target, "cancel", read_only_settings(self._limits), self._limits)
        except EngineError:
            return
        try:
            if _started(await gate_checks.server_values(wire)) == self.backend_start:
                await self._kill("QUERY", self.backend_pid, wire)
        except EngineError:
            return
        finally:
            wire.close()

    async def _kill(self, what: Literal["QUERY", "CONNECTION"], id_: int, wire: Wire) -> None:
        await wire.fetch(f"KILL {what} {id_:d}")

    async def _adopted_command(self) -> str | None:
        """What the adopted session does; None when it is not there any more."""
        if self._adopted is None or self._adopted[1] != self.backend_start:
            return None
        rows = [row for row in await inuse.sessions(self._wire) if row[0] == self._adopted[0]]
        if not rows:
            return None
        if rows[0][3] != "Sleep" and self._ran_at is None:
            now = int((await self._wire.fetch("SELECT UNIX_TIMESTAMP()"))[0][0])
            self._ran_at = now - math.ceil(rows[0][4] or 0)
        return str(rows[0][3])

    async def _is_running(self, rendered: RenderedChange) -> bool:
        sent = [marked(statement.encode()).decode() for statement in statements_in(rendered.sql)]
        return any(row[6] in sent for row in await inuse.sessions(self._wire))

    async def _renewed(self, change: Analyze) -> bool:
        """Whether InnoDB wrote down new statistics of the table, or of all its partitions, since we began."""
        if self._ran_at is None:
            return False
        try:
            rows = await self._wire.fetch(load("change_statistics"), (change.schema, change.table, f"{change.table}#%"))
        except EngineError:
            if self._wire.gone is not None:
                raise
            return False
        return bool(rows) and all(row[0] >= self._ran_at for row in rows)


async def progress(wire: Wire, backend_pid: int) -> Progress | None:
    """Where a session's statement is: the server's own words, and the share where it says it; None: it runs none."""
    rows = await wire.fetch(load(f"change_progress_{wire.flavour.lower()}"), (backend_pid,))
    if not rows or not rows[0][0]:
        return None
    phase, share = rows[0]
    return Progress(str(phase), None if share is None else min(1.0, max(0.0, float(share))))


def _started(values: Mapping[str, str]) -> int:
    """When the server was started, epoch ms of its clock."""
    return (int(values["now"]) - int(values["uptime"])) * 1000


def _text(key: Key, flavour: Flavour) -> str | None:
    try:
        return key.text(flavour)
    except Refused:
        return None


def _forget(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
