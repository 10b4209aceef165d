"""The one session that may change a server: a rendered change, gated, run once, judged by the catalogue.

In: a target whose role owns the table. Out: a `base.DdlSession`. Its lock time-out is short, so that nobody queues
behind us; its statement has no time-out, as an index may take hours. A pooler or a standby is refused. Cancelling the
task cancels the statement on the server, and the session can then still look and clean up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import (
    EngineError,
    Gate,
    Limits,
    LockTimeout,
    Progress,
    Refused,
    RenderedChange,
)
from meshag_tui.engines.marker import marked
from meshag_tui.engines.postgres import catalogue, dropping, kinds, parse, permitted, render, reworking, trees
from meshag_tui.engines.postgres import gates as gate_checks
from meshag_tui.engines.postgres.catalogue import State
from meshag_tui.engines.postgres.same_index import same_index
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.postgres.wire import Wire
from meshag_tui.types import Analyze, Change, CreateIndex, DropIndex, Reindex, RestoreIndex, Target, Vacuum, table_of

if TYPE_CHECKING:
    from psycopg import sql

    from meshag_tui.engines.postgres.session import PostgresSession

APPLICATION_NAME = "meshag/apply"
LOCK_TIMEOUT_MS = 2_000
_DUPLICATE = "42P07"  # duplicate_table, which is also said of indexes
_AS_LONG_AS_IT_TAKES_S = 30 * 24 * 3600.0
_CANCEL_S = 5.0
_STATISTICS_S = 2.0  # until version 14 the statistics of a table arrive with a delay
_QUIET_S = 1.0  # a transaction that has used the table for longer would make a drop wait, and half done if it gives up


def change_settings() -> dict[str, str]:
    """What the session starts with; with this search path the server reads our names as it printed them."""
    return {
        "default_transaction_read_only": "off",
        "statement_timeout": "0",
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": "10000",
        "search_path": "pg_catalog,pg_temp",
        "default_tablespace": "",
    }


@asynccontextmanager
async def connect_for_change(target: Target, limits: Limits) -> AsyncIterator[PostgresDdlSession]:
    """Open a session that may change things: for changes/ only.

    Raises:
        Refused: a connection pooler stands between, or the server is a standby.
        EngineError: it cannot be connected to.
    """
    session = await PostgresDdlSession.open(target, limits)
    try:
        yield session
    finally:
        await session.close()


class PostgresDdlSession:
    """See `base.DdlSession`. `backend_start` is epoch ms of the server's clock."""

    def __init__(self, wire: Wire, target: Target, limits: Limits, backend_pid: int, backend_start: int) -> None:
        self.target = target
        self.backend_pid = backend_pid
        self.backend_start = backend_start
        self._wire = wire
        self._limits = limits
        self._ran_at: float | None = None  # epoch s of the server, when this session began to run its change
        self._adopted: tuple[int, int] | None = None  # pid and start of the session that we stand in for
        self._made: int | None = None  # oid of the index that one was seen making
        self._taken = False  # the name was somebody else's before the server came to us
        self._left: tuple[str, tuple[str, ...]] | None = None  # a text, and what of it was seen not to have run yet

    @classmethod
    async def open(cls, target: Target, limits: Limits) -> PostgresDdlSession:
        """Connect, and prove that we speak with one backend of a primary; raises as `connect_for_change`."""
        wire = await Wire.open(target, APPLICATION_NAME, change_settings(), limits)
        try:
            rows = await wire.fetch(
                "SELECT pg_catalog.pg_backend_pid(), (pg_catalog.date_part('epoch', a.backend_start) * 1000)::bigint, "
                "pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('lock_timeout') "
                "FROM pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid()"
            )
            pid, started, in_recovery, lock_timeout = rows[0]
            if not wire.settings_taken or pid != wire.backend_pid or lock_timeout != f"{LOCK_TIMEOUT_MS // 1000}s":
                raise Refused(
                    f"{target.host}:{target.port} is a connection pooler: a change needs a session of its own",
                    "Give the address of the server itself",
                )
            if in_recovery:
                raise Refused(f"{target.host}:{target.port} is a standby: changes are made on the primary")
        except BaseException:
            wire.close()
            raise
        return cls(wire, target, limits, pid, started)

    async def fetch(
        self, query: str | sql.Composable, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[Any]:
        """Read something; see `Wire.fetch`."""
        return await self._wire.fetch(query, params)

    async def gates(self, change: Change, rendered: RenderedChange, estimated_bytes: int | None) -> tuple[Gate, ...]:
        """Every pre-flight check; see `gates.gates`."""
        return await gate_checks.gates(self, change, rendered, estimated_bytes)

    async def run(self, change: Change, sql: str) -> None:
        """Run a rendered change once, each of its statements; what is known to be there already is left out.

        Raises:
            Refused: `sql` is not what rendering the change gives now.
            LockTimeout: a lock was not had within 2 s; its text names who was in the way.
            EngineError: the server failed it.
        """
        permitted.check(change, sql)
        if isinstance(change, CreateIndex) and self._ran_at is not None:
            await self._drop_own_leftover(change, sql)
        rest = await self._statements(change, sql)
        if isinstance(change, DropIndex | Reindex):
            await self._wait_for_quiet(change)
        self._ran_at = (await self.fetch("SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::float8"))[
            0
        ][0]
        for statement in rest:
            try:
                await self._run(statement)
            except LockTimeout as error:
                raise LockTimeout(f"{error}{await self._blockers(change)}") from error
            except EngineError as error:
                self._taken = getattr(error.__cause__, "sqlstate", None) == _DUPLICATE
                raise

    async def adopt(self, backend_pid: int, backend_start: int, made: int | None) -> bool:
        """Stand in for an earlier session of ours; True while it is at work.

        One that is idle is ended: its process may only be stopped, and must not go on with what we judge meanwhile.
        """
        self._adopted, self._made = (backend_pid, backend_start), made
        self._ran_at = backend_start / 1000
        rows = await self.fetch(
            "SELECT CASE WHEN a.state = 'idle' THEN pg_catalog.pg_terminate_backend(a.pid) END "
            "FROM pg_catalog.pg_stat_activity a WHERE a.pid = %s "
            "AND (pg_catalog.date_part('epoch', a.backend_start) * 1000)::bigint = %s",
            self._adopted,
        )
        return bool(rows)

    async def stop_adopted(self) -> None:
        """End the adopted session with its statement; what it leaves is for `clean_up`."""
        if self._adopted is not None:
            await self.fetch(
                "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a WHERE a.pid = %s "
                "AND (pg_catalog.date_part('epoch', a.backend_start) * 1000)::bigint = %s",
                self._adopted,
            )

    async def verify(self, change: Change, rendered: RenderedChange) -> State:
        """What the catalogue says of the change now: "done" when its effect is there, "absent" when it is not.

        "invalid": an index is there that nothing uses; "partial": a restored one lacks its comment or the like, or what
        goes with a change (ANALYZE, a reload) has not come. For ANALYZE and VACUUM "done" means since this session, or
        the one it stands in for, began.
        """
        if await self._is_running(change, rendered):
            return "running"
        if isinstance(change, Analyze | Vacuum):
            return await self._maintained(change, rendered)
        kind = kinds.KINDS.get(type(change))
        if kind is not None:
            state = await kind.state(self, change, rendered, self._ran_at)
            rest = trees.statements_in(rendered.sql)[1:]
            self._left = (rendered.sql, rest) if state == "partial" else None
            return state
        found = await self._index(rendered)
        if isinstance(change, DropIndex):
            if found is None or found[0] != rendered.target.get("oid"):
                return "done"
            return "absent" if found[2] else "invalid"
        if found is None or not self._is_ours(found, rendered):
            return "absent"
        if not found[2]:
            return "invalid"
        if isinstance(change, RestoreIndex):
            said = await dropping.recreating(self, change.schema, change.name)
            return "done" if said == change.statements else "partial"
        return "done"

    async def clean_up(self, change: Change, rendered: RenderedChange) -> bool:
        """Remove the invalid index that a failed build of this change left. True if removed.

        Its name was free when the change was rendered, so it is ours if it has that name, that table and that
        definition, and nobody builds it. False also while transactions that use the table are open: dropping it without
        blocking others must wait for them. An index that a failed drop left invalid is not touched: drop it again.
        """
        if not isinstance(change, CreateIndex | RestoreIndex | Reindex) or await self._is_running(change, rendered):
            return False
        if isinstance(change, Reindex):
            return await self._drop_leftovers(change, rendered)
        found = await self._index(rendered)
        if found is None or found[2] or not self._is_ours(found, rendered):
            return False
        if self._adopted is not None and found[0] != self._made:
            return False  # like ours to a hair, but nobody saw our session make it
        try:
            await self._drop(rendered.target["schema"], rendered.target["index"])
        except LockTimeout:
            return False
        return await self._index(rendered) is None

    async def _drop_leftovers(self, change: Reindex, rendered: RenderedChange) -> bool:
        """Those that were not there before; of an adopted REINDEX the new index only if it was seen being made."""
        before = set(rendered.target["left_before"])
        found = await reworking.leftovers(self, rendered.target["table_oid"], change)
        ours = [(oid, name) for oid, name in found if oid not in before]
        if self._adopted is not None and any(oid not in (self._made, rendered.target["oid"]) for oid, _ in ours):
            return False
        try:
            for _, name in ours:
                await self._drop(change.schema, name)
        except LockTimeout:
            return False
        return True

    async def close(self) -> None:
        """End the session without waiting for the server."""
        self._wire.close()

    # ------------------------------------------------------------------ how

    def _is_ours(self, found: Sequence[Any], rendered: RenderedChange) -> bool:
        """Whether an index of the change's name is what the change makes; if it is invalid, also made by it."""
        oid, table_oid, valid, definition = found
        if not valid and (self._taken or (self._made is not None and self._made != oid)):
            return False
        same_table = table_oid == rendered.target["table_oid"]
        return same_table and same_index(definition, rendered.sql.split(";\n")[0])

    async def _wait_for_quiet(self, change: DropIndex | Reindex) -> None:
        """Wait, as long as for a lock, for transactions that have used the table for a while: before anything is done.

        What is done CONCURRENTLY and gives up waiting for them leaves an index there and useless.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + LOCK_TIMEOUT_MS / 1000
        while True:
            rows = await self.fetch(load("change_users"), (change.schema, change.table, _QUIET_S))
            if not rows:
                return
            if loop.time() > end:
                raise LockTimeout(f"The table is in use{await self._blockers(change)}")
            await asyncio.sleep(0.1)

    async def _statements(self, change: Change, sql: str) -> list[str]:
        """What is left to run of a change whose text is still the one that rendering it gives."""
        if isinstance(change, RestoreIndex):
            rows = await self.fetch(load("change_index_state"), (change.schema, change.name))
            if rows and rows[0][2] and same_index(rows[0][3], change.statements[0]):
                return list(change.statements[1:])  # an earlier try got this far
        if self._left is not None and self._left[0] == sql:
            return list(self._left[1])
        again = await render.render(self, change)
        if again.sql != sql:
            raise Refused("The object has changed since the statement was made: look at it again")
        return list(change.statements) if isinstance(change, RestoreIndex) else list(trees.statements_in(sql))

    async def _drop_own_leftover(self, change: CreateIndex, sql: str) -> None:
        """Before a second try: the invalid index that the first one left, which could not be removed then."""
        name = parse.parse_one(sql).tree.get("idxname")
        rows = await self.fetch(load("change_index_state"), (change.spec.schema, name))
        if rows and not rows[0][2] and same_index(rows[0][3], sql):
            try:
                await self._drop(change.spec.schema, str(name))
            except LockTimeout as error:
                raise LockTimeout(f"{error}{await self._blockers(change)}") from error

    async def _drop(self, schema: str, index: str) -> None:
        quoted = await catalogue.quote(self, [schema, index])
        await self._run(f"DROP INDEX CONCURRENTLY {quoted[schema]}.{quoted[index]}")

    async def _run(self, statement: str) -> None:
        """Send one statement and wait for its end; when cancelled, cancel it on the server and wait for that."""
        sent = asyncio.ensure_future(self._wire.fetch(statement, deadline_s=_AS_LONG_AS_IT_TAKES_S))
        try:
            await asyncio.shield(sent)
        except asyncio.CancelledError:
            if not sent.done():
                await self._cancel()
                await asyncio.wait({sent}, timeout=_CANCEL_S)
            if not sent.done():
                self._wire.close()
            sent.add_done_callback(_forget)
            raise

    async def _cancel(self) -> None:
        """Cancel our own statement through a second session; a pid of another start of a backend is not ours."""
        try:
            wire = await Wire.open(self.target, "meshag/cancel", {"statement_timeout": "3000"}, self._limits)
        except EngineError:
            return
        try:
            await wire.fetch(
                "SELECT pg_catalog.pg_cancel_backend(a.pid) FROM pg_catalog.pg_stat_activity a WHERE a.pid = %s "
                "AND (pg_catalog.date_part('epoch', a.backend_start) * 1000)::bigint = %s",
                (self.backend_pid, self.backend_start),
            )
        except EngineError:
            return
        finally:
            wire.close()

    async def _blockers(self, change: Change) -> str:
        """Who was in the way, as far as can be seen right after."""
        schema, table = table_of(change) or ("", "")
        try:
            found = await self.fetch(
                "SELECT c.oid::bigint FROM pg_catalog.pg_class c "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
                (schema, table),
            )
            rows = await self.fetch(load("change_blockers"), (found[0][0] if found else 0,))
        except EngineError:
            return ""
        holders = [row for row in rows if row[5]] or rows
        said = [
            f"pid {pid} ({', '.join(filter(None, (user, application))) or 'unknown'}), "
            f"in a transaction since {since} UTC ({age:.0f} s)"
            for pid, user, application, since, age, _ in holders
        ]
        return f"; blocked by {'; '.join(said)}" if said else ""

    async def _is_running(self, change: Change, rendered: RenderedChange) -> bool:
        statements = change.statements if isinstance(change, RestoreIndex) else trees.statements_in(rendered.sql)
        sent = [marked(statement.encode()).decode() for statement in statements]
        if (await self.fetch(load("change_running"), (sent,)))[0][0]:
            return True
        if isinstance(change, CreateIndex | RestoreIndex):
            rows = await self.fetch(
                "SELECT 1 FROM pg_catalog.pg_stat_progress_create_index p JOIN pg_catalog.pg_class c "
                "ON c.oid = p.index_relid WHERE p.relid = %s AND c.relname = %s "
                "AND p.pid <> pg_catalog.pg_backend_pid()",
                (rendered.target["table_oid"], rendered.target["index"]),
            )
            return bool(rows)
        return False

    async def _index(self, rendered: RenderedChange) -> tuple[Any, ...] | None:
        rows = await self.fetch(load("change_index_state"), (rendered.target["schema"], rendered.target["index"]))
        return rows[0] if rows else None

    async def _maintained(self, change: Analyze | Vacuum, rendered: RenderedChange) -> State:
        if self._ran_at is None:
            return "absent"
        column = "last_analyze" if isinstance(change, Analyze) else "last_vacuum"
        query = (
            f"SELECT bool_or(pg_catalog.date_part('epoch', s.{column})::float8 >= %s) "  # noqa: S608
            "FROM pg_catalog.pg_stat_all_tables s WHERE s.relid IN (SELECT %s::oid UNION ALL "
            "SELECT relid FROM pg_catalog.pg_partition_tree(%s::oid))"
        )
        oid = rendered.target["table_oid"]
        loop = asyncio.get_running_loop()
        end = loop.time() + _STATISTICS_S
        while True:
            if (await self.fetch(query, (self._ran_at, oid, oid)))[0][0]:
                return "done"
            if loop.time() > end:
                return "absent"
            await asyncio.sleep(0.1)


async def progress(session: PostgresSession, backend_pid: int) -> Progress | None:
    """Where the statement of a backend is (pg_stat_progress_create_index and its like); None when it runs none."""
    rows = await session.fetch(load("change_progress"), (backend_pid,))
    if not rows or rows[0][0] is None:
        return None
    phase, share, pid, user, application, making = rows[0]
    waiting = None if pid is None else f"pid {pid} ({', '.join(filter(None, (user, application))) or 'unknown'})"
    return Progress(phase, None if share is None else min(1.0, max(0.0, share)), waiting, making)


def _forget(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
