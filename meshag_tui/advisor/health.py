"""The state of tables, sequences and sessions: what maintenance has not reached, and what will run out.

Every rule reads counters and the catalogue only; each threshold is relative to the table or limit it speaks of, with a
floor below which the matter is too small to mention.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.snapshot import TableStats
from meshag_tui.text import count, duration, exact, moment, percent, size
from meshag_tui.types import (
    Analyze,
    Change,
    EvidenceKind,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
    Vacuum,
)

if TYPE_CHECKING:
    from meshag_tui.store.history import Catalog, TableRow

FEW_ROWS = 1_000
PAGE_BYTES = 8192
STALE_SHARE = 0.25
DEAD_SHARE = 0.30
SEQUENCE_SHARE = 0.75
IDLE_TRANSACTION_MS = 5 * 60_000
SATURATED = 0.80
_STORED = ("table", "partition", "materialized view")


def table_health(catalog: Catalog) -> Iterator[Suggestion]:
    """Statistics that are out of date, dead rows that stay, autovacuum switched off by hand, tables without a key."""
    for table in catalog.tables:
        if table.stats.kind in _STORED:
            yield from _stale(table)
            yield from _bloat(table)
            yield from _autovacuum_off(table)
            yield from _no_key(table, catalog)


def _stale(table: TableRow) -> Iterator[Suggestion]:
    stats = table.stats
    live, modified = stats.live_rows or 0, stats.modified_since_analyze
    never = stats.rows_estimate < 0 and stats.last_analyze is None
    if modified is None or max(live, modified) < FEW_ROWS:
        return
    modified = min(modified, _not_seen(stats, live))
    share = 1.0 if never else modified / max(live, 1)
    if share < STALE_SHARE:
        return
    why = (
        f"{stats.name} holds {count(live)} rows and has never been analysed: the planner guesses."
        if never
        else f"{count(modified)} rows of {stats.name} were changed since its last ANALYZE, against {count(live)} it "
        f"holds; the planner still plans for {count(max(stats.rows_estimate, 0))}."
    )
    yield _about(
        table,
        rule="stale-statistics",
        priority=SuggestionPriority.HIGH if share >= 1 else SuggestionPriority.MEDIUM,
        title=f"Analyze {stats.name}: its statistics are out of date",
        text=f"{why} Wrong row counts make it choose wrong joins and scans. ANALYZE reads a sample and takes seconds.",
        facts=[f"modified since analyze: {count(modified)}", f"live rows: {count(live)}"],
        change=Analyze(stats.schema, stats.name),
    )


def _not_seen(stats: TableStats, live: int) -> int:
    """Most rows that the last ANALYZE can have missed.

    A session reports its rows up to seconds late, so that rows loaded and analysed at once are counted twice and as
    modified since. A file that has not grown since ANALYZE holds no more rows; a later VACUUM counts pages anew, and
    then nothing is known.
    """
    churn = sum(stats.counters.get(name) or 0 for name in ("updates", "deletes"))
    recounted = stats.last_analyze is None or (stats.last_vacuum or 0) > stats.last_analyze + 60_000
    if recounted or stats.pages <= 0 or stats.rows_estimate <= 0 or stats.size_bytes is None:
        return live + churn
    growth = stats.size_bytes / PAGE_BYTES / stats.pages - 1
    return int(churn + max(0.0, min(live - stats.rows_estimate, growth * stats.rows_estimate)))


def _bloat(table: TableRow) -> Iterator[Suggestion]:
    stats = table.stats
    live, dead = stats.live_rows or 0, stats.dead_rows or 0
    share = dead / max(live + dead, 1)
    if dead < FEW_ROWS or share < DEAD_SHARE:
        return
    off = _is_off(table)
    yield _about(
        table,
        rule="table-bloat",
        priority=SuggestionPriority.HIGH if share >= 0.5 else SuggestionPriority.MEDIUM,
        title=f"Vacuum {stats.name}: {percent(share)} of its rows are dead",
        text=f"{count(dead)} dead rows lie between {count(live)} live ones in {stats.name} "
        f"({size(stats.size_bytes)}): scans read them and new rows find no room. VACUUM makes their space usable "
        "again; it does not make the file smaller."
        + (" Autovacuum is switched off for this table, so they will come back." if off else ""),
        facts=[f"dead rows: {count(dead)}", f"live rows: {count(live)}", f"last vacuum: {moment(stats.last_vacuum)}"],
        change=Vacuum(stats.schema, stats.name),
    )


def _autovacuum_off(table: TableRow) -> Iterator[Suggestion]:
    stats = table.stats
    if not _is_off(table):
        return
    written = sum(stats.counters.get(name) or 0 for name in ("inserts", "updates", "deletes"))
    if written < FEW_ROWS and (stats.dead_rows or 0) < FEW_ROWS:
        return
    yield _about(
        table,
        rule="autovacuum-off",
        priority=SuggestionPriority.MEDIUM,
        title=f"Autovacuum is switched off for {stats.name}",
        text=f"{stats.name} is written to, and the storage option autovacuum_enabled=false keeps autovacuum from "
        "cleaning and analysing it. If there is no reason left for it: "
        f"ALTER TABLE {stats.schema}.{stats.name} RESET (autovacuum_enabled).",
        facts=[f"rows written: {count(written)}", f"dead rows: {count(stats.dead_rows)}"],
    )


def _no_key(table: TableRow, catalog: Catalog) -> Iterator[Suggestion]:
    stats = table.stats
    if stats.has_primary_key or stats.kind != "table" or (stats.live_rows or 0) < FEW_ROWS:
        return
    changed = sum(stats.counters.get(name) or 0 for name in ("updates", "deletes"))
    unique = any(row.stats.unique for row in catalog.indexes if _on(row.stats, table))
    if unique or not changed:
        return
    yield _about(
        table,
        rule="no-primary-key",
        priority=SuggestionPriority.LOW,
        title=f"{stats.name} has no primary key",
        text=f"{stats.name} is updated and has neither a primary key nor a unique index: rows cannot be told apart, "
        "duplicates are not kept out, and logical replication refuses its updates.",
        facts=[f"rows: {count(stats.live_rows)}", f"updates and deletes counted: {count(changed)}"],
    )


def _on(index: Any, table: TableRow) -> bool:
    return (index.schema, index.table) == (table.stats.schema, table.stats.name)


def _is_off(table: TableRow) -> bool:
    return table.stats.options.get("autovacuum_enabled", "").lower() in ("false", "off", "no", "0")


def sequences(catalog: Catalog) -> Iterator[Suggestion]:
    """Sequences that have used most of the numbers their column can hold."""
    for sequence in catalog.sequences or ():
        if sequence.last_value is None or sequence.cycles or sequence.increment < 1 or sequence.limit <= 0:
            continue
        share = sequence.last_value / sequence.limit
        if share < SEQUENCE_SHARE:
            continue
        where = f"{sequence.table}.{sequence.column}" if sequence.table else sequence.name
        kind = f" of type {sequence.column_type}" if sequence.column_type else ""
        yield Suggestion(
            rule="sequence-exhaustion",
            identity=f"sequence-exhaustion:{sequence.schema}.{sequence.name}",
            type=SuggestionType.SCHEMA_OPTIMIZATION,
            priority=SuggestionPriority.HIGH if share >= 0.9 else SuggestionPriority.MEDIUM,
            title=f"{sequence.name} has used {percent(share)} of its numbers",
            text=f"{sequence.name} stands at {exact(sequence.last_value)} of {exact(sequence.limit)}, the most that "
            f"{where}{kind} can hold. When it runs out, inserts fail. Plan the move to bigint: a new column filled in "
            "the background and swapped in, since changing the type rewrites the table under a lock.",
            evidence_kind=EvidenceKind.COUNTED,
            evidence={
                "kind": EvidenceKind.COUNTED.value,
                "facts": [f"last value {exact(sequence.last_value)}, limit {exact(sequence.limit)}"],
            },
            confidence=0.95,
            risk=Risk.LOW,
            schema=sequence.table_schema or sequence.schema,
            table=sequence.table,
        )


def sessions(catalog: Catalog) -> Iterator[Suggestion]:
    """Transactions left open, and connections that are running out."""
    state = catalog.sessions
    if state is None:
        return
    idle = [one for one in state.idle_in_transaction if (one.get("state_age_ms") or 0) >= IDLE_TRANSACTION_MS]
    if idle:
        longest = max(one["state_age_ms"] for one in idle)
        users = sorted({f"{one.get('user')} ({one.get('application') or 'no application name'})" for one in idle})
        yield _connections(
            "idle-in-transaction",
            SuggestionPriority.HIGH,
            f"{len(idle)} sessions sit idle in an open transaction, one for {duration(longest)}",
            "An open transaction keeps its locks and keeps VACUUM from removing any row that died since it began. Find "
            "where the application does not commit, and set idle_in_transaction_session_timeout as a net: "
            f"{', '.join(users)}.",
            [f"pid {one.get('pid')}: idle in transaction for {duration(one['state_age_ms'])}" for one in idle[:10]],
        )
    used, free = sum(state.by_state.values()), state.max_connections - state.reserved
    if free > 0 and used / free >= SATURATED:
        yield _connections(
            "connection-saturation",
            SuggestionPriority.HIGH if used / free >= 0.9 else SuggestionPriority.MEDIUM,
            f"{used} of {free} connections are taken",
            "When the last one is taken, new sessions are refused. Put a connection pooler in front or lower the "
            "pools of the applications; raising max_connections costs memory for each of them.",
            [f"{name}: {number}" for name, number in sorted(state.by_state.items())],
        )


def _connections(rule: str, priority: SuggestionPriority, title: str, text: str, facts: list[str]) -> Suggestion:
    return Suggestion(
        rule=rule,
        identity=rule,
        type=SuggestionType.CONNECTION_OPTIMIZATION,
        priority=priority,
        title=title,
        text=text,
        evidence_kind=EvidenceKind.COUNTED,
        evidence={"kind": EvidenceKind.COUNTED.value, "facts": facts},
        confidence=0.9,
        risk=Risk.LOW,
    )


def _about(
    table: TableRow,
    *,
    rule: str,
    priority: SuggestionPriority,
    title: str,
    text: str,
    facts: list[str],
    change: Change | None = None,
) -> Suggestion:
    stats = table.stats
    return Suggestion(
        rule=rule,
        identity=f"{rule}:{stats.schema}.{stats.name}",
        type=SuggestionType.SCHEMA_OPTIMIZATION,
        priority=priority,
        title=title,
        text=text,
        evidence_kind=EvidenceKind.COUNTED,
        evidence={"kind": EvidenceKind.COUNTED.value, "facts": facts},
        confidence=0.9,
        risk=Risk.LOW,
        schema=stats.schema,
        table=stats.name,
        change=change,
    )
