"""The workflow `sync_database_stats`: read one server and write what it said, in one transaction.

In: a connection. Out: a `SyncReport`. Phases: connect, collect, texts (only of statements not seen before, and not at
every sync), store. The reading itself is not checkpointed: a resumed sync reads again, which is harmless; it is written
once, because the rows, the connection's new status and the end of the run are one transaction under the lease.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from meshag_tui.engines import engine_for, words_for
from meshag_tui.engines.base import EngineError, Limits, Session
from meshag_tui.settings import CollectSettings, Settings
from meshag_tui.snapshot import Elsewhere, Snapshot, Statements, StatementText
from meshag_tui.store import connections, database, snapshots, snapshots_statements
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.database import Store
from meshag_tui.store.uncollected import uncollected
from meshag_tui.store.vault import Vault
from meshag_tui.types import Finding, MeshagError, Target
from meshag_tui.workflows import pacing
from meshag_tui.workflows.durable import Ended, Run, Workflow
from meshag_tui.workflows.kept import KeptSessions, opened

KIND = "sync_database_stats"
_PENDING = "texts-pending"
RESET_OFTEN = "statistics-reset-often"
_OTHERS_EVERY_MS = 3_600_000
_OFTEN = 3  # resets a day from which somebody must be doing it
_log = logging.getLogger("meshag.workflows")


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync did. Times in ms; `statements` are those read, `active` those that ran since the last sync."""

    connection: str
    connection_id: str
    execution_id: str
    statements: int
    new_statements: int
    active: int
    indexes: int | None  # None: could not be read; a warning says why
    tables: int | None
    duration_ms: float
    phases: Mapping[str, float]
    complete: bool
    schema_changed: bool
    events: Sequence[Mapping[str, Any]]
    warnings: Sequence[Finding]
    next_sync_at: int | None
    joined: bool = False
    server_statements: int = field(default=0)

    @classmethod
    def from_result(
        cls, connection: ConnectionInfo, execution_id: str, result: Mapping[str, Any], joined: bool
    ) -> SyncReport:
        """The report of a run that is done, from its stored result."""
        phases: Mapping[str, float] = result.get("phases", {})
        known = {entry.name for entry in fields(cls)}
        values = {key: value for key, value in result.items() if key in known}
        values |= {
            "connection": connection.name,
            "connection_id": connection.id,
            "execution_id": execution_id,
            "phases": phases,
            "duration_ms": round(sum(phases.values()), 1),
            "warnings": tuple(Finding(**finding) for finding in result.get("warnings", ())),
            "joined": joined,
        }
        return cls(**values)


def limits(collect: CollectSettings) -> Limits:
    """The deadlines of our sessions, and where they look for the counters of statements."""
    schema, _, name = collect.statements_from.partition(".")
    return Limits(
        collect.connect_timeout_s,
        collect.statement_timeout_s,
        collect.lock_timeout_ms,
        (schema, name) if name else None,
        collect.statements_most,
    )


def workflow(store: Store, vault: Vault, settings: Settings, kept: KeptSessions) -> Workflow:
    """The workflow function, bound to a store. Input: {"by_hand": bool}: such a sync opens a session of its own;
    {"keep": False}: it ends its session."""
    chance = random.Random()  # noqa: S311 (spreads syncs)

    async def sync_database_stats(run: Run) -> Ended:
        with uncollected():
            return await sync(run)

    async def sync(run: Run) -> Ended:
        if run.connection_id is None:
            raise MeshagError("A sync needs a connection")
        watched = await store(connections.watched, run.connection_id)
        connection = watched.info
        interval_s = connection.interval_s or settings.collect.interval_s
        reading = pacing.Waited()
        try:
            snapshot, texts = await _read(run, store, settings, watched, watched.target(vault), kept, reading)
        except Exception as error:
            transient = isinstance(error, EngineError) and error.transient
            pace = pacing.after_failure(interval_s, connection.failures + 1, transient, chance)
            text = str(error) if isinstance(error, MeshagError) else f"Unexpected error ({type(error).__name__})"
            await store(_failed, connection.id, text, pace.delay_ms)
            raise
        pace = pacing.after_success(interval_s, reading.ms, chance)
        remedy = words_for(snapshot.facts.engine).remedies["slow-reading"]
        warnings = (*snapshot.warnings, *_stretched(pace, interval_s, reading.ms, remedy))
        return await run.complete(
            lambda: _write(settings.collect, connection, interval_s, snapshot, texts, warnings, pace.delay_ms)
        )

    return sync_database_stats


_Read = tuple[Snapshot, tuple[StatementText, ...] | None]


async def _read(
    run: Run,
    store: Store,
    settings: Settings,
    watched: connections.Watched,
    target: Target,
    kept: KeptSessions,
    reading: pacing.Waited,
) -> _Read:
    by_hand = run.input.get("by_hand")
    held = None if by_hand else await kept.take(watched.info.id, target)
    while True:
        if held is None:
            async with run.phase("connect"):
                held = await opened(engine_for(target.db_type), target, limits(settings.collect))
        try:
            with reading:
                read = await _read_from(held.session, run, store, settings, watched)
        except BaseException as error:
            await held.end()
            if not (held.waited and isinstance(error, EngineError)):
                raise
            held = None  # the server ended it while nobody looked: that is no failure of the sync
        else:
            break
    if by_hand or not run.input.get("keep", True):
        await held.end()
    else:
        interval_s = watched.info.interval_s or settings.collect.interval_s
        await kept.keep(watched.info.id, held, read[0], interval_s * pacing.stretch(interval_s, reading.ms))
    return read


async def _read_from(
    session: Session, run: Run, store: Store, settings: Settings, watched: connections.Watched
) -> _Read:
    connection = watched.info
    objects = _objects_due(run, settings, watched)
    async with run.phase("collect"):
        snapshot = await session.collect(objects, _elsewhere(watched, objects))
    texts: tuple[StatementText, ...] | None = None  # not asked for
    if snapshot.statements is not None and _texts_due(run, settings, connection, snapshot):
        async with run.phase("texts"):
            snapshot, texts = await _texts(store, session, connection, snapshot, settings.collect.texts_per_sync)
    return snapshot, texts


def _objects_due(run: Run, settings: Settings, watched: connections.Watched) -> bool:
    """Tables, indexes and schema change slowly, and on a small database cost more to read than the counters."""
    last = snapshots.objects_read_at(watched.reading)
    if run.input.get("by_hand") or last is None:
        return True
    # A second early is due: the next sync may be a whole interval away.
    return not 0 <= time.time() * 1000 - last < settings.collect.objects_every_s * 1000 - 1000


def _elsewhere(watched: connections.Watched, objects: bool) -> Elsewhere:
    """To count what other databases do costs PostgreSQL a reading of all counters: with tables, and once an hour."""
    if watched.info.other_databases:
        return "read"
    last = snapshots.others_counted_at(watched.reading)
    due = last is None or not 0 <= time.time() * 1000 - last < _OTHERS_EVERY_MS
    return "counted" if objects and due else "left out"


def _texts_due(run: Run, settings: Settings, connection: ConnectionInfo, snapshot: Snapshot) -> bool:
    if run.input.get("by_hand") or connection.texts_at is None:
        return True
    if any(finding.code == _PENDING for finding in connection.warnings):
        return True
    age_ms = snapshot.taken_at - connection.texts_at
    return not 0 <= age_ms < settings.collect.texts_every_s * 1000  # a clock set back must not end the reading of texts


async def _texts(
    store: Store, session: Session, connection: ConnectionInfo, snapshot: Snapshot, limit: int
) -> tuple[Snapshot, tuple[StatementText, ...] | None]:
    """The texts we do not have yet. They fail (None) apart from the counters: what was counted is kept.

    Examining a text takes a third of a millisecond, so a first sync of 50,000 leaves most of them to the next ones.
    """
    statements = snapshot.statements
    if statements is None:
        return snapshot, ()
    keys = await store(lambda: snapshots_statements.unread_texts(connection.id, _costliest(statements)))
    if not keys:
        return snapshot, ()
    if len(keys) > limit:
        pending = Finding(
            code=_PENDING,
            severity="info",
            title=f"{len(keys) - limit:,} statement texts are still to be read",
            detail=f"The {limit:,} costliest are read first, the others by the next syncs. Counters are complete",
        )
        snapshot = replace(snapshot, warnings=(*snapshot.warnings, pending))
    try:
        return snapshot, await session.texts(keys[:limit])
    except EngineError as error:
        _log.warning("%s: statement texts were not read: %s", connection.name, error)
        warning = Finding(
            code="texts-unread",
            severity="degraded",
            title="Statement texts could not be read",
            detail=f"{error}; counters are complete, new statements have no text until the next reading",
            fix=error.fix,
        )
        return replace(snapshot, warnings=(*snapshot.warnings, warning)), None


def _costliest(statements: Statements) -> list[str]:
    """Keys by total time, the largest first."""
    at = 1 + statements.columns.index("total_time_ms")
    return [row[0] for row in sorted(statements.rows, key=lambda row: row[at] or 0.0, reverse=True)]


def _stretched(pace: pacing.Pace, interval_s: int, waited_ms: float, remedy: str) -> tuple[Finding, ...]:
    if pace.stretch == 1:
        return ()
    return (
        Finding(
            code="interval-stretched",
            severity="info",
            title=f"Synced every {interval_s * pace.stretch} s instead of every {interval_s} s",
            detail=f"Reading waited {waited_ms:.0f} ms for the server, more than 5 % of the interval",
            fix=f"Set the interval to {interval_s * pace.stretch} s or more, or {remedy}",
        ),
    )


def _write(
    collect: CollectSettings,
    connection: ConnectionInfo,
    interval_s: int,
    snapshot: Snapshot,
    texts: Sequence[StatementText] | None,
    warnings: Sequence[Finding],
    delay_ms: int,
) -> dict[str, Any]:
    """In the store's thread, inside the step's transaction."""
    expected_ms = interval_s * 1000
    if connection.next_sync_at is not None and connection.last_sync_at is not None:  # it may have been stretched
        expected_ms = max(expected_ms, connection.next_sync_at - connection.last_sync_at)
    objects_expected_ms = expected_ms + collect.objects_every_s * 1000
    said = list(warnings)

    def success(written: snapshots.SyncWritten) -> dict[str, Any]:
        remedies = words_for(snapshot.facts.engine).remedies
        reset = any(event["kind"] == "reset" for event in written.events)
        if reset or any(finding.code == RESET_OFTEN for finding in connection.warnings):
            said.extend(_reset_often(written.resets, remedies["reset-often"]))
        return connections.success(snapshot.facts, said, written.written_at + delay_ms)

    written = snapshots.write(
        connection.id,
        snapshot,
        texts,
        expected_ms=expected_ms,
        objects_expected_ms=objects_expected_ms,
        success=success,
    )
    return {
        "statements": written.statements,
        "new_statements": written.new_statements,
        "active": written.active,
        "indexes": written.indexes,
        "tables": written.tables,
        "complete": written.complete,
        "schema_changed": written.schema_changed,
        "events": [dict(event) for event in written.events],
        "warnings": [finding._asdict() for finding in said],
        "next_sync_at": written.written_at + delay_ms,
        "server_statements": snapshot.server_statements,
    }


def _reset_often(times: int, remedy: str) -> tuple[Finding, ...]:
    if times < _OFTEN:
        return ()
    return (
        Finding(
            code=RESET_OFTEN,
            severity="degraded",
            title=f"Statement statistics were reset {times} times in the last 24 hours",
            detail="What ran between our last reading and each reset is lost to everybody: totals are lower bounds",
            fix=remedy,
            facts={"resets": times},
        ),
    )


def _failed(connection_id: str, error: str, delay_ms: int) -> None:
    connections.failed(connection_id, error, database.now_ms() + delay_ms)
