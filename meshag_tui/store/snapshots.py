"""Writing one sync: a snapshot becomes deltas, baselines and events, in one transaction of few bulk statements.

In: what an engine read. Out: rows of one `Interval`, and what the next sync will be compared with. Idle statements,
tables and indexes write nothing. A failure anywhere leaves the store as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from typing import Any

from meshag_tui.settings import CollectSettings
from meshag_tui.snapshot import Snapshot, StatementText
from meshag_tui.snapshot import Statements as StatementRows
from meshag_tui.store import bulk, database, deltas, digests, models, readings, snapshots_objects
from meshag_tui.store.baselines import ABSENT
from meshag_tui.store.documents import clean, document
from meshag_tui.store.readings import LOSSLESS, Event, Reading, Span, event
from meshag_tui.store.uncollected import uncollected
from meshag_tui.types import MeshagError

SYNC_LONGEST_MS = 120_000
"""A reading older than the last one by less than this was overtaken by it; by more, the clocks were set back."""

_SETTLED = ("ok", "cut", "undecodable")
_STATISTICS = ("interval_id", "query_id", *deltas.DELTA_COLUMNS)
_NEW_QUERY = (
    "connection_id",
    "key",
    "baseline",
    "min_time_ms",
    "max_time_ms",
    "first_seen_at",
    "last_seen_at",
    "text_state",
    "fingerprint",
    "kind",
    "internal",
    "db_name",
    "db_user",
)
_CHANGED = ("last_seen_at", "min_time_ms", "max_time_ms", "baseline")
_TEXT = ("text_state", "fingerprint", "kind", "internal", "db_name", "db_user")
_NO_TEXT = (None,) * len(_TEXT)
_UNREAD = ("unread", None, "other", False, None, None)


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
    written_at: int  # epoch ms of the store's clock


@dataclass(frozen=True, slots=True)
class _Statements:
    """What the statements of a sync come to, before anything is written."""

    known: Mapping[str, int]  # ids by key
    found: deltas.StatementDeltas


def unread_texts(connection_id: str, keys: Iterable[str]) -> list[str]:
    """Those of `keys` whose text we do not have, in their order: never read, or not to be had when last asked for."""
    query = models.Query
    have = {
        key
        for (key,) in models.database.execute(
            query.select(query.key).where((query.connection == connection_id) & query.text_state.in_(_SETTLED))
        )
    }
    return [key for key in keys if key not in have]


def objects_read_at(reading: Mapping[str, Any]) -> int | None:
    """When tables and indexes were last read, epoch ms of our clock, by what the last sync left; None: never."""
    last = _reading(reading.get("objects"))
    return None if last is None else last.taken_at


def write(
    connection_id: str,
    snapshot: Snapshot,
    texts: Sequence[StatementText] = (),
    *,
    expected_ms: int | None = None,
    objects_expected_ms: int = 0,
) -> SyncWritten:
    """Write one sync in one transaction.

    Args:
        snapshot: what was read; a section that is None leaves what is known of it as it was.
        texts: texts read with it, for keys that `unread_texts` named.
        expected_ms: how long the interval was meant to be; None: the connection's own interval, or the default.
        objects_expected_ms: the same for tables and indexes, where they are read less often.

    Raises:
        MeshagError: the connection is gone.
        Overtaken: a later reading was written meanwhile.
    """
    with database.atomic(), uncollected():
        state, interval_s = _state(connection_id)
        expected = expected_ms or 1000 * (interval_s or CollectSettings().interval_s)
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
            statements = _statements(connection_id, last["statements"], snapshot.statements, now)
            span = readings.span(last["statements"], now, expected)
            if statements.found.broken:
                span = replace(span, start_at=None)  # nothing ties what is counted now to a moment before
            events = (*statements.found.events, *span.events, *objects.events)
            state["statements"] = now.as_document()
        interval_id = _interval(connection_id, span, snapshot, statements, events, objects.since)
        new = 0 if statements is None else _write_statements(connection_id, interval_id, statements, texts, snapshot)
        objects.write(interval_id)
        if snapshot.tables is not None or snapshot.indexes is not None:
            state["objects"] = now.as_document()
        digests.follow(connection_id, span.end_at, state)
        schema_changed = snapshots_objects.write_schema(connection_id, snapshot, state)
        written_at = _remember(connection_id, state, snapshot.taken_at if texts else None)
    return SyncWritten(
        interval_id=interval_id,
        statements=0 if snapshot.statements is None else len(snapshot.statements.rows),
        new_statements=new,
        active=0 if statements is None else len(statements.found.active),
        tables=None if snapshot.tables is None else len(snapshot.tables),
        indexes=None if snapshot.indexes is None else len(snapshot.indexes),
        schema_changed=schema_changed,
        events=events,
        complete=_complete(events),
        written_at=written_at,
    )


def _complete(events: Iterable[Event]) -> bool:
    return all(each["kind"] in LOSSLESS for each in events)


def _state(connection_id: str) -> tuple[dict[str, Any], int | None]:
    """What the last sync left; on PostgreSQL the row stays locked, so that two syncs follow each other."""
    connection = models.Connection
    query = connection.select(connection.reading, connection.interval_s).where(connection.id == connection_id)
    if database.kind() == "postgresql":
        query = query.for_update()
    row = query.tuples().first()
    if row is None:
        raise MeshagError(f"The connection {connection_id} is gone")
    return dict(row[0] or {}), row[1]


def _reading(found: Mapping[str, Any] | None) -> Reading | None:
    return None if found is None else Reading.from_document(found)


def _refuse_overtaken(lasts: Iterable[Reading | None], now: Reading) -> None:
    for last in lasts:
        if last is None:
            continue
        behind = (last.taken_at - now.taken_at, last.observed_at - now.observed_at)
        if all(0 < each <= SYNC_LONGEST_MS for each in behind):
            raise Overtaken("A later sync of this connection was written meanwhile; nothing is lost")


def _statements(connection_id: str, last: Reading | None, rows: StatementRows, now: Reading) -> _Statements:
    query = models.Query
    cursor = models.database.execute(
        query.select(query.key, query.id, query.baseline).where(query.connection == connection_id)
    )
    known: dict[str, int] = {}
    baselines: dict[str, str] = {}
    for key, query_id, baseline in cursor.fetchall():
        known[key] = query_id
        if baseline:
            baselines[key] = baseline
    return _Statements(known, deltas.statements(last, baselines, rows, now))


def _interval(
    connection_id: str,
    span: Span,
    snapshot: Snapshot,
    statements: _Statements | None,
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


def _write_statements(
    connection_id: str, interval_id: int, statements: _Statements, texts: Sequence[StatementText], snapshot: Snapshot
) -> int:
    """Baselines, texts and deltas; returns how many statements are new."""
    known, found, at = statements.known, statements.found, snapshot.taken_at
    read = {text.key: _description(text) for text in texts}
    new = sorted(key for key in found.baselines if key not in known)  # in the order of the index they go into
    if new:
        bulk.insert(
            "query",
            _NEW_QUERY,
            (
                (connection_id, key, found.baselines[key], *found.extremes[key], at, at, *read.get(key, _UNREAD))
                for key in new
            ),
        )
        known = {**known, **_ids_after(connection_id, max(known.values(), default=0))}
    if read or found.vanished or len(found.extremes) < len(found.baselines):
        changed = sorted(_described(statements, read, at), key=itemgetter(0))
        bulk.update("query", ("id",), _CHANGED + _TEXT, changed, none_keeps=True)
    elif len(found.baselines) > len(new):
        bulk.update("query", ("id",), _CHANGED, _changed(statements, at))
    _write_texts((known[text.key], clean(text.text)) for text in texts if text.text is not None and text.key in known)
    active = sorted(found.active, key=lambda entry: known[entry[0]])
    bulk.insert("query_statistics", _STATISTICS, ((interval_id, known[key], *change) for key, change in active))
    return len(new)


def _changed(statements: _Statements, at: int) -> Iterator[tuple[Any, ...]]:
    """Rows for the statements that were known before: id, then what changed of each; as they lie in the table."""
    known, found = statements.known, statements.found
    for query_id, key in sorted((known[key], key) for key in found.baselines if key in known):
        yield (query_id, at, *found.extremes[key], found.baselines[key])


def _described(statements: _Statements, read: Mapping[str, tuple[Any, ...]], at: int) -> Iterator[tuple[Any, ...]]:
    """The same with what texts say, and with what went out of sight; None is no change."""
    known, found = statements.known, statements.found
    for key, baseline in found.baselines.items():
        if key in known:
            seen = (at, *found.extremes[key]) if key in found.extremes else (None, None, None)
            yield (known[key], *seen, baseline, *read.get(key, _NO_TEXT))
    for key in found.vanished:
        yield (known[key], None, None, None, ABSENT, *read.get(key, _NO_TEXT))
    touched = found.baselines.keys() | set(found.vanished)
    for key, description in read.items():
        if key in known and key not in touched:
            yield (known[key], None, None, None, None, *description)


def _write_texts(texts: Iterable[tuple[int, str]]) -> None:
    """Texts by query id, in one statement: they are capped, and few after the first sync."""
    rows = list(texts)
    if not rows:
        return
    if database.kind() == "sqlite":
        bulk.upsert("query_text", ("query_id", "text"), rows, key=("query_id",), update=("text",))
        return
    models.database.execute_sql(
        "INSERT INTO query_text(query_id, text) SELECT * FROM unnest(%s::int4[], %s::text[]) "
        "ON CONFLICT(query_id) DO UPDATE SET text = excluded.text",
        ([query_id for query_id, _ in rows], [text for _, text in rows]),
    )


def _ids_after(connection_id: str, last: int) -> dict[str, int]:
    query = models.Query
    mine = (query.connection == connection_id) & (query.id > last)
    return dict(models.database.execute(query.select(query.key, query.id).where(mine)).fetchall())


def _description(text: StatementText) -> tuple[Any, ...]:
    return (
        text.state,
        text.fingerprint,
        text.kind,
        text.internal,
        None if text.database is None else clean(text.database),
        None if text.user is None else clean(text.user),
    )


def _remember(connection_id: str, state: Mapping[str, Any], texts_at: int | None) -> int:
    """Keep what the next sync is compared with; returns the store's clock."""
    columns: dict[str, Any] = {"reading": document(state)}
    if texts_at is not None:
        columns["texts_at"] = texts_at
    update = models.Connection.update(**columns).where(models.Connection.id == connection_id)
    ((now,),) = update.returning(database.clock().alias("now")).tuples().execute()
    return int(now)
