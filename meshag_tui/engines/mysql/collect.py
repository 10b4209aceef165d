"""One sync's reading of a server: a constant number of statements, however many tables and statements there are.

Each section fails for itself: what could not be read is None and a warning says why and what mends it. Only a lost
connection or a passed deadline ends the whole reading.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from meshag_tui.engines import costly
from meshag_tui.engines.base import EngineError, LockTimeout, PermissionDenied
from meshag_tui.engines.mysql import capabilities, relations, schema, statements, storage, unaltered
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.unwritten import memory
from meshag_tui.snapshot import Elsewhere, IndexStats, Sequence, SessionStats, Snapshot, TableStats
from meshag_tui.types import Finding

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.session import MysqlSession

T = TypeVar("T")
_LISTED = 50  # idle transactions, the oldest
# Both flavours' lists of processes cost more: MySQL's old one holds a mutex that all need, MariaDB's goes over a disk.
_THREADS = """(
    SELECT PROCESSLIST_ID AS ID, PROCESSLIST_USER AS USER, PROCESSLIST_HOST AS HOST, PROCESSLIST_COMMAND AS COMMAND,
        PROCESSLIST_TIME AS TIME
    FROM performance_schema.threads WHERE TYPE = 'FOREGROUND'
)"""
_CLIENTS = (
    "p.ID <> CONNECTION_ID() AND p.COMMAND NOT IN ('Daemon', 'Binlog Dump', 'Binlog Dump GTID') "
    "AND p.USER NOT IN ('system user', 'event_scheduler')"
)


async def collect(session: MysqlSession, objects: bool = True, elsewhere: Elsewhere = "left out") -> Snapshot:
    """Read everything but texts.

    `objects=False` leaves out tables, indexes, structure, foreign keys and sequences (None, without a warning).
    `elsewhere`: what becomes of statements of other databases; they are counted unless they are read.

    Raises:
        EngineError: the session is lost; nothing of this reading is to be used.
    """
    before = 0
    if session.collected:  # a session that is kept must not go on with the facts of its beginning
        before = session.wire.statements
        await session.refresh(remember=session.remembers)
    session.collected = True
    snapshot = await _Collection(session, elsewhere).run(objects)
    return replace(snapshot, server_statements=session.wire.statements - before)


class _Collection:
    def __init__(self, session: MysqlSession, elsewhere: Elsewhere) -> None:
        self.elsewhere = elsewhere
        self.session, self.wire, self.server = session, session.wire, session.server
        self.warnings: list[Finding] = list(capabilities.shortcomings(session.server))

    async def run(self, objects: bool) -> Snapshot:
        taken_at = int(time.time() * 1000)
        reading = await self._statements()
        if reading is None and self.server.remembered:  # what was remembered may be why
            await self.session.refresh()
            self.server = self.session.server
            self.warnings = list(capabilities.shortcomings(self.server))
            reading = await self._statements()
        facts = self.server.facts
        if reading is not None:
            facts = replace(facts, epoch=reading.epoch(facts.epoch))
            self.session.facts = facts
            self.warnings += capabilities.unattributed(self.server, reading)
            if reading.narrowed is not None:
                self.warnings.append(costly.finding(reading.narrowed, len(reading.statements.rows), "digests"))
        indexes, tables, structure, sequences = await self._objects() if objects else (None, None, None, None)
        return Snapshot(
            facts=facts,
            taken_at=taken_at,
            statements=reading.statements if reading else None,
            tables=tables,
            indexes=indexes,
            schema=structure.schema if structure else None,
            foreign_keys=structure.foreign_keys if structure else None,
            sequences=sequences,
            sessions=await self._sessions(),
            warnings=tuple(self.warnings),
            other_databases=reading.others if reading else None,
        )

    async def _statements(self) -> statements.Reading | None:
        if not capabilities.counts_statements(self.server):
            return None
        return await self._section(
            "statement statistics",
            statements.read(self.wire, self.server, self.session.choice, self.elsewhere == "read"),
        )

    async def _objects(
        self,
    ) -> tuple[
        tuple[IndexStats, ...] | None,
        tuple[TableStats, ...] | None,
        schema.Structure | None,
        tuple[Sequence, ...] | None,
    ]:
        used = await self._section("use of indexes", relations.uses(self.wire, self.server))
        used = used or relations.Uses()
        stored = await self._storage()
        rows = await self._section("tables", relations.table_rows(self.wire, self.server, stored))
        sign = await unaltered.sign(self.wire, self.server, rows, stored)
        keys, structure = await self._structure(sign, files=stored.modified is not None)
        stored = replace(stored, files=structure.files if structure else None)
        made = await asyncio.to_thread(_made, self.server, used, stored, rows, keys)
        indexes, tables, following = made
        sequences = schema.sequences(structure.numbering, following, self.server) if structure and rows else None
        return indexes, tables, structure, sequences

    async def _structure(
        self, sign: unaltered.Sign | None, files: bool
    ) -> tuple[schema.IndexRows | None, schema.Structure | None]:
        """Keys of the indexes and the structure, read anew unless nothing was altered since, which the sign tells.

        `files`: with what only PROCESS shows.
        """
        known = unaltered.recall(self.wire.target, sign)
        if known is not None:
            return known.keys, known.structure
        read = await self._section("indexes", schema.structure(self.wire, self.server, files))
        if read is None:
            return None, None
        unaltered.remember(self.wire.target, sign, *read)
        return read

    async def _storage(self) -> storage.Storage:
        """What PROCESS shows; without it, nothing but a finding that is there already."""
        try:
            known = memory(self.wire.target, self.server)
            altering = self.server.altering is not None and known.begun != self.server.altering
            return await storage.storage(self.wire, self.server, altering=altering)
        except EngineError as error:
            if self.wire.gone is not None:
                raise
            self._lacking(error, "storage of tables")
            return storage.Storage()

    async def _sessions(self) -> SessionStats | None:
        """Source: the list of threads and information_schema.INNODB_TRX, which needs PROCESS."""
        parts = {"processes": self.server.processes, "clients": _CLIENTS}
        threads = _THREADS if self.server.observing is not None else self.server.processes
        try:
            rows = await self.wire.fetch(load("sessions").format(processes=threads, clients=_CLIENTS))
        except EngineError as error:
            if self.wire.gone is not None:
                raise
            self._lacking(error, "sessions")
            if not isinstance(error, PermissionDenied):
                return None
            ours = await self._section("sessions", self.wire.fetch(load("sessions_by_state").format(**parts)))
            if ours is None:
                return None
            rows = ours
        by_state: Counter[str] = Counter()
        idle: list[Mapping[str, Any]] = []
        for state, count, pid, user, host, age, state_age in rows:
            by_state[state] += int(count)
            if pid is not None and len(idle) < _LISTED:
                idle.append(
                    {
                        "pid": int(pid),
                        "user": user,
                        "application": host or "",
                        "age_ms": int(age),
                        "state_age_ms": int(state_age or 0),
                    }
                )
        return SessionStats(
            max_connections=int(self.server.settings.get("max_connections", "0")),
            reserved=0,
            by_state=dict(by_state),
            idle_in_transaction=tuple(idle),
        )

    def _lacking(self, error: EngineError, name: str) -> None:
        """Say once that PROCESS is missing; anything else is a failure of its own."""
        if not isinstance(error, PermissionDenied):
            self.warnings.append(_failed(name, error))
            return
        finding = capabilities.process_missing(self.server)
        if all(warning.code != finding.code for warning in self.warnings):
            self.warnings.append(finding)

    async def _section(self, name: str, work: Coroutine[Any, Any, T]) -> T | None:
        """The section, or None and a warning; what ends the session is raised."""
        try:
            return await work
        except EngineError as error:
            if self.wire.gone is not None:
                raise
            self.warnings.append(_failed(name, error))
            return None


def _made(
    server: Server,
    used: relations.Uses,
    stored: storage.Storage,
    rows: relations.TableRows | None,
    keys: schema.IndexRows | None,
) -> tuple[tuple[IndexStats, ...] | None, tuple[TableStats, ...] | None, Mapping[schema.Name, int | None]]:
    """Indexes and tables from what was read of them, and the next value of each table that numbers its rows."""
    indexes = None if keys is None else relations.indexes(keys, server, used, stored)
    if rows is None:
        return indexes, None, {}
    tables, following = relations.tables(rows, server, used, stored, indexes)
    return indexes if indexes is None else relations.joined(indexes, tables), tables, following


def _failed(name: str, error: EngineError) -> Finding:
    code = "section-" + name.replace(" ", "-")
    fix = "Nothing to do if it passes: the next sync reads it again" if isinstance(error, LockTimeout) else error.fix
    return Finding(code, "degraded", f"The {name} could not be read", str(error), fix, {"error": error.code})
