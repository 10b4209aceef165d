"""One sync's reading of a server: a constant number of statements, however many tables and statements there are.

Each section fails for itself: what could not be read is None and a warning says why and what mends it. Only a lost
connection or a passed deadline ends the whole reading.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from meshag_tui.engines import costly
from meshag_tui.engines.base import EngineError, LockTimeout, PermissionDenied
from meshag_tui.engines.postgres import relations, schema, statements, unaltered
from meshag_tui.engines.postgres.capabilities import readable, statements_finding, unseen_finding
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.postgres.unaltered import Objects
from meshag_tui.snapshot import UNSEEN, Elsewhere, SessionStats, Snapshot
from meshag_tui.types import Finding

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

T = TypeVar("T")
_NAMED = 10  # locked relations a warning names
_MS = timedelta(milliseconds=1)
_LISTED = 50  # idle transactions, the oldest


async def collect(session: PostgresSession, objects: bool = True, elsewhere: Elsewhere = "left out") -> Snapshot:
    """Read everything but texts.

    `objects=False` leaves out tables, indexes, structure, foreign keys and sequences (None, without a warning): they
    change slowly. `elsewhere`: what becomes of statements of other databases.

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
    def __init__(self, session: PostgresSession, elsewhere: Elsewhere) -> None:
        self.elsewhere = elsewhere
        self.session, self.wire, self.server = session, session.wire, session.server
        self.warnings: list[Finding] = []

    async def run(self, objects: bool) -> Snapshot:
        taken_at = int(time.time() * 1000)
        facts = self.server.facts
        reading = await self._statements()
        if reading is None and self.server.remembered:  # what was remembered may be why
            self.warnings.clear()
            await self.session.refresh()
            self.server = self.session.server
            facts = self.server.facts
            reading = await self._statements()
        if reading is not None:
            facts = replace(facts, epoch=reading.epoch(facts.epoch))
            self.session.facts = facts
        found = await self._objects() if objects else Objects(None, None, None, None, None)
        return Snapshot(
            facts=facts,
            taken_at=taken_at,
            statements=reading.statements if reading else None,
            tables=found.tables,
            indexes=found.indexes,
            schema=found.schema,
            foreign_keys=found.foreign_keys,
            sequences=found.sequences,
            sessions=await self._section("sessions", self._sessions()),
            warnings=tuple(self.warnings),
            other_databases=reading.others if reading else None,
        )

    async def _objects(self) -> Objects:
        """Their figures; and all the rest, if something was altered or the facts of the server were read anew."""
        target = self.wire.target
        sign = await unaltered.sign(self.wire) if self.server.remembered else None
        known = unaltered.recall(target, sign)
        found = await unaltered.current(self.wire, self.server, known) if known is not None else None
        found = found or await self._all_objects()
        unaltered.remember(target, sign, found)
        return found

    async def _all_objects(self) -> Objects:
        indexes = await self._section("indexes", relations.indexes(self.wire, self.server))
        tables = await self._section("tables", relations.tables(self.wire, self.server, indexes))
        locked = (tables.locked if tables else ()) + (indexes.locked if indexes else ())
        structure = None
        if locked:  # half a structure would look like a change
            self.warnings.append(_locked(locked))
        else:
            structure = await self._section("schema", schema.structure(self.wire))
        links = await self._section("foreign keys and sequences", schema.links(self.wire, self.server))
        foreign_keys, sequences = links or (None, None)
        return Objects(
            tables=tables.stats if tables else None,
            indexes=indexes.stats if indexes else None,
            schema=structure,
            foreign_keys=foreign_keys,
            sequences=sequences,
        )

    async def _statements(self) -> statements.Reading | None:
        missing = statements_finding(self.server)
        if missing is not None:
            self.warnings.append(missing)
        if not readable(self.server):
            return None
        begun = len(self.warnings)
        reading = await self._section(
            "statement statistics",
            statements.read(self.wire, self.server, self.session.choice, self.elsewhere),
        )
        if reading is None:
            if len(self.warnings) == begun:
                self.warnings.append(
                    Finding(
                        "pgss-resets",
                        "degraded",
                        "Statement statistics are reset while we read them",
                        "Another tool calls pg_stat_statements_reset() all the time: no figures in this sync",
                        "Stop what resets pg_stat_statements",
                    )
                )
            return None
        if reading.unseen:
            self.warnings.append(unseen_finding(self.server, reading.unseen, len(reading.statements.rows)))
        if reading.narrowed is not None:
            self.warnings.append(costly.finding(reading.narrowed, len(reading.statements.rows), "pgss"))
        return reading

    async def _sessions(self) -> SessionStats:
        """Source: pg_stat_get_activity(), client backends but ours."""
        rows = await self.wire.fetch(load("sessions"), {})
        settings = self.server.session_settings
        by_state: Counter[str] = Counter()
        idle: list[dict[str, Any]] = []
        for state, pid, user, application, began, changed, now in rows:
            by_state[state or UNSEEN] += 1
            if user is not None and began is not None:
                ages = {"age_ms": (now - began) / _MS, "state_age_ms": (now - changed) / _MS}
                idle.append({"pid": pid, "user": user, "application": application, **ages})
        idle.sort(key=lambda session: -session["age_ms"])
        return SessionStats(
            max_connections=int(settings.get("max_connections", "0")),
            reserved=int(settings.get("superuser_reserved_connections", "0"))
            + int(settings.get("reserved_connections", "0")),
            by_state=dict(by_state),
            idle_in_transaction=tuple(idle[:_LISTED]),
        )

    async def _section(self, name: str, work: Coroutine[Any, Any, T]) -> T | None:
        """The section, or None and a warning; what ends the session is raised."""
        try:
            return await work
        except EngineError as error:
            if self.wire.gone is not None:
                raise
            self.warnings.append(_failed(name, error, self.server.facts.user))
            return None


def _failed(name: str, error: EngineError, user: str) -> Finding:
    code = "section-" + name.replace(" ", "-")
    if isinstance(error, PermissionDenied):
        fix: str | None = f"GRANT pg_monitor TO {quoted(user)};"
    elif isinstance(error, LockTimeout):
        fix = "Nothing to do if it passes: the next sync reads it again"
    else:
        fix = error.fix
    return Finding(code, "degraded", f"The {name} could not be read", str(error), fix, {"error": error.code})


def _locked(names: tuple[str, ...]) -> Finding:
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return Finding(
        "relations-locked",
        "degraded",
        f"{len(names)} relations are locked: their sizes, indexes and the schema were not read",
        f"Somebody holds, or waits for, an AccessExclusive lock on {shown}",
        "SELECT pid, mode, granted, relation::regclass FROM pg_locks WHERE mode = 'AccessExclusiveLock';",
        {"relations": list(names)},
    )
