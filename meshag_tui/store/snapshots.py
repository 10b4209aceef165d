"""Writing one sync: a snapshot becomes deltas, baselines and events, in one transaction of few bulk statements.

In: what an engine read. Out: rows of one `Interval`, and what the next sync will be compared with. Idle statements,
tables and indexes write nothing. A failure anywhere leaves the store as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from meshag_tui.settings import CollectSettings
from meshag_tui.snapshot import OtherDatabases, Snapshot, StatementText
from meshag_tui.snapshot import Statements as StatementRows
from meshag_tui.store import database, digests, models, readings, snapshots_objects, snapshots_statements
from meshag_tui.store.baselines import Block
from meshag_tui.store.documents import document
from meshag_tui.store.readings import LOSSLESS, Event, Reading, Span, event
from meshag_tui.store.snapshots_statements import Alike, Statements
from meshag_tui.store.uncollected import uncollected
from meshag_tui.types import MeshagError

_HOUR_MS = 3_600_000
SYNC_LONGEST_MS = 120_000
"""A reading older than the last one by less than this was overtaken by it; by more, the clocks were set back."""


class Overtaken(MeshagError):
    """Another sync of the same connection read the server later and was written first: this one adds nothing."""


@dataclass(frozen=True, slots=True)
class SyncWritten:
    """What a sync left in the store."""

    interval_id: int
    statements: int  # read
    new_statements: int
    active: int  # statements with deltas in this interval
    tables: int | None  # read; None: the section could not be read
    indexes: int | None
    schema_changed: bool
    events: tuple[Event, ...]
    complete: bool
    resets: int  # how often the statistics were reset in the last 24 hours
    written_at: int  # epoch ms of the store's clock


def objects_read_at(reading: Mapping[str, Any]) -> int | None:
    """When tables and indexes were last read, epoch ms of our clock, by what the last sync left; None: never."""
    last = _reading(reading.get("objects"))
    return None if last is None else last.taken_at


def others_counted_at(reading: Mapping[str, Any]) -> int | None:
    """The same of what other databases do."""
    at: int | None = reading.get("others_counted_at")
    return at


def other_databases(connection_id: str) -> OtherDatabases | None:
    """What other databases of its server were last counted to have done; None: they were not counted, or are read."""
    row = models.Connection.select(models.Connection.reading).where(models.Connection.id == connection_id).first()
    found = None if row is None else (row.reading or {}).get("other_databases")
    return None if found is None else OtherDatabases(**found)


def write(
    connection_id: str,
    snapshot: Snapshot,
    texts: Sequence[StatementText] | None = None,
    *,
    expected_ms: int | None = None,
    objects_expected_ms: int = 0,
    success: Callable[[SyncWritten], Mapping[str, Any]] | None = None,
) -> SyncWritten:
    """Write one sync in one transaction.

    Args:
        snapshot: what was read; a section that is None leaves what is known of it as it was. Its list of statements is
            empty afterwards: fifty thousand and what is made of them would take too much memory together.
        texts: texts read with it, for keys that `unread_texts` named; None: they were not asked for.
        expected_ms: how long the interval was meant to be; None: the connection's own interval, or the default.
        objects_expected_ms: the same for tables and indexes, where they are read less often.
        success: what else to set of the connection, by column, when this is written (see `connections.success`).

    Raises:
        MeshagError: the connection is gone.
        Overtaken: a later reading was written meanwhile.
    """
    read = 0 if snapshot.statements is None else len(snapshot.statements.rows)
    with database.atomic(), uncollected():
        left = _left(connection_id, {each.fingerprint for each in texts or ()})
        state, clock = left.state, left.clock
        expected = expected_ms or 1000 * (left.interval_s or CollectSettings().interval_s)
        now = Reading.of(snapshot.facts, snapshot.statements or StatementRows((), []), snapshot.taken_at)
        last = {part: _reading(state.get(part)) for part in ("statements", "objects")}
        _refuse_overtaken(last.values(), now)
        objects = snapshots_objects.prepare(
            connection_id, snapshot, last["objects"], now, max(expected, objects_expected_ms)
        )
        if snapshot.statements is None:
            statements = None
            unread = event("unread", "statement statistics could not be read")
            span = readings.span(last["objects"] or last["statements"], now, expected)
            events = (unread, *span.events, *objects.events)
        else:
            statements = snapshots_statements.prepare(
                connection_id, last["statements"], left.blocks, left.last_end_at, snapshot.statements, now
            )
            span = readings.span(last["statements"], now, expected)
            if statements.found.broken:
                span = replace(span, start_at=None)  # nothing ties what is counted now to a moment before
            events = (*statements.found.events, *span.events, *objects.events)
            state["statements"] = now.as_document()
        events = (*events, *_settings(snapshot.facts.settings, state))
        if snapshot.statements is not None and snapshot.statements.elsewhere is not None:
            for name in ("other_databases", "others_counted_at"):
                state.pop(name, None)  # they are counted as they are listed
        elif snapshot.other_databases is not None:
            state["other_databases"] = asdict(snapshot.other_databases)
            state["others_counted_at"] = snapshot.taken_at
        interval_id = _interval(connection_id, span, snapshot, statements, events, objects.since)
        new = 0
        if statements is not None:
            new = statements.write(interval_id, span.end_at, texts or (), left.alike, snapshot.taken_at)
        objects.write(interval_id)
        if snapshot.tables is not None or snapshot.indexes is not None:
            state["objects"] = now.as_document()
        digests.undo(connection_id, span.end_at, clock)
        schema_changed = snapshots_objects.write_schema(connection_id, snapshot, state)
        written = SyncWritten(
            interval_id=interval_id,
            statements=read,
            new_statements=new,
            active=0 if statements is None else statements.active,
            tables=None if snapshot.tables is None else len(snapshot.tables),
            indexes=None if snapshot.indexes is None else len(snapshot.indexes),
            schema_changed=schema_changed,
            events=events,
            complete=_complete(events),
            resets=_resets(_was_reset(statements, objects.events, last["objects"], now), clock, state),
            written_at=clock,
        )
        columns = {} if success is None else dict(success(written))
        columns["reading"] = document(state)
        if texts is not None:
            columns["texts_at"] = snapshot.taken_at
        models.Connection.update(**columns).where(models.Connection.id == connection_id).execute()
    return written


def _settings(now: Mapping[str, str], state: MutableMapping[str, Any]) -> tuple[Event, ...]:
    """The settings of the server that are not what they were at the last sync. `state` remembers them."""
    before, state["settings"] = state.get("settings"), dict(now)
    if before is None:
        return ()
    # What is missing now may only be hidden from us now: nothing is said of it.
    return tuple(
        event("setting", f"{name} was {before[name]}, is {value}")
        for name, value in sorted(now.items())
        if name in before and before[name] != value
    )


def _complete(events: Iterable[Event]) -> bool:
    return all(each["kind"] in LOSSLESS for each in events)


class _Left(NamedTuple):
    """What the last sync left, and what this one needs to know beside it. Times are epoch ms."""

    state: dict[str, Any]
    interval_s: int | None  # of the connection
    clock: int  # the store's
    last_end_at: int | None  # of the latest interval
    blocks: list[Block]
    alike: Alike  # statements that have a fingerprint of a text that was just read


def _left(connection_id: str, fingerprints: Set[str | None]) -> _Left:
    """Read at once. On PostgreSQL the connection stays locked, so that two syncs follow each other."""
    mark = models.database.param
    texts = sorted(each for each in fingerprints if each is not None)
    postgres = database.kind() == "postgresql"
    pairs = "json_agg(json_build_array" if postgres else "json_group_array(json_array"
    listed = f"= ANY ({mark})" if postgres else f"IN (SELECT value FROM json_each({mark}))"  # noqa: S608
    # COALESCE keeps SQLite from the index of the connection's keys: that of fingerprints finds the few that count.
    alike = f"""
        (SELECT {pairs}(q.id, q.meaning)) FROM query q
            WHERE q.fingerprint {listed} AND COALESCE(q.connection_id, '') = {mark})
    """  # noqa: S608
    levels = ", ".join(map(str, models.LEVELS))  # all of them: named so that the index serves the search for the last
    lock = "FOR UPDATE OF c" if postgres else ""
    given = (texts if postgres else json.dumps(texts), connection_id) if texts else ()
    rows = models.database.execute_sql(
        f"""
        SELECT c.reading, c.interval_s, {database.clock().sql},
            (SELECT MAX(end_at) FROM "interval" i WHERE i.connection_id = c.id AND i.resolution_s IN ({levels})),
            {alike if texts else "NULL"}, b.number, b.statements, b.counters
        FROM connection c LEFT JOIN baseline b ON b.connection_id = c.id WHERE c.id = {mark} ORDER BY b.number {lock}
        """,  # noqa: S608
        (*given, connection_id),
    )
    row = rows.fetchone()
    if row is None:
        raise MeshagError(f"The connection {connection_id} is gone")
    reading, interval_s, clock, last_end_at, others = row[:5]
    state, others = (json.loads(each) if isinstance(each, str) else each for each in (reading, others))
    blocks = []
    while row is not None and row[5] is not None:  # one by one: the texts of all take as much as the blocks
        blocks.append(Block.from_texts(*row[5:]))
        row = rows.fetchone()
    return _Left(dict(state or {}), interval_s, int(clock), last_end_at, blocks, others or ())


def _was_reset(
    statements: Statements | None, of_objects: Iterable[Event], last_objects: Reading | None, now: Reading
) -> bool:
    """Whether counters were reset since the last sync, as far as it is proved.

    Tables and indexes are read more seldom: that their counters may have been lost with those of the statements was
    counted when these were read.
    """
    if statements is not None and _has_reset(statements.found.events):
        return True
    moved = last_objects is not None and last_objects.epoch.objects_reset != now.epoch.objects_reset
    return moved and _has_reset(of_objects)


def _has_reset(events: Iterable[Event]) -> bool:
    return any(each["kind"] == "reset" for each in events)


def _resets(reset: bool, clock: int, state: MutableMapping[str, Any]) -> int:
    """How often a sync found the statistics reset in the last 24 hours. `state` remembers how often in which hour."""
    hour = clock // _HOUR_MS
    counts = {at: count for at, count in state.get("resets", {}).items() if hour - 24 < int(at) <= hour}
    if reset:
        counts[str(hour)] = counts.get(str(hour), 0) + 1
    state["resets"] = counts
    return sum(counts.values())


def _reading(found: Mapping[str, Any] | None) -> Reading | None:
    return None if found is None else Reading.from_document(found)


def _refuse_overtaken(lasts: Iterable[Reading | None], now: Reading) -> None:
    for last in lasts:
        if last is None:
            continue
        behind = (last.taken_at - now.taken_at, last.observed_at - now.observed_at)
        if all(0 < each <= SYNC_LONGEST_MS for each in behind):
            raise Overtaken("A later sync of this connection was written meanwhile; nothing is lost")


def _interval(
    connection_id: str,
    span: Span,
    snapshot: Snapshot,
    statements: Statements | None,
    events: Sequence[Event],
    objects_since: int | None,
) -> int:
    sessions = snapshot.sessions
    return int(
        models.Interval.insert(
            connection=connection_id,
            start_at=span.start_at,
            end_at=span.end_at,
            complete=_complete(events),
            events=document(list(events)),
            calls=0 if statements is None else statements.found.calls,
            time_ms=0.0 if statements is None else statements.found.time_ms,
            sessions=None if sessions is None else document(asdict(sessions)),
            objects_since=objects_since,
        ).execute()
    )
