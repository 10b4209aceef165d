"""The state of tables, sequences and sessions: what maintenance has not reached, and what will run out.

Every rule reads counters and the catalogue only; each threshold is relative to the table or limit it speaks of, with a
floor below which the matter is too small to mention.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshag_tui.engines import words_for
from meshag_tui.figures import count, duration, moment, percent, size
from meshag_tui.snapshot import ServerFacts, TableStats
from meshag_tui.types import (
    Analyze,
    Change,
    EvidenceKind,
    Rebuild,
    Risk,
    SetTableOptions,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
    Vacuum,
)

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words
    from meshag_tui.store.history import Catalog, TableRow

FEW_ROWS = 1_000
FREE_BYTES = 8 * 1024**2
"""Free space in a table's file below which it says nothing: files grow by several megabytes at once."""
STALE_SHARE = 0.25
DEAD_SHARE = 0.30
IDLE_TRANSACTION_MS = 5 * 60_000
SATURATED = 0.80
FEW_SAMPLES, WATCHED_MS = 30, 6 * 3_600_000
"""Syncs, and the time they must span, before anything is said of how large pools are."""
MANY_IDLE, IDLE_SHARE = 30, 0.25
_RECALCULATES = "stats_auto_recalc"
_STORED = ("table", "partition", "materialized view")


def table_health(catalog: Catalog) -> Iterator[Suggestion]:
    """Statistics that are out of date, dead rows that stay, autovacuum switched off by hand, tables without a key."""
    words, facts = words_for(catalog.facts.engine), catalog.facts
    for table in catalog.tables:
        if table.stats.kind in _STORED:
            yield from _stale(table, facts, words)
            yield from _bloat(table, words)
            yield from _free_space(table, words)
            yield from _autovacuum_off(table, words)
            yield from _no_key(table, catalog, words)


def rows_of(stats: TableStats) -> int:
    """Rows as counted, or as estimated where the server does not count them."""
    return stats.live_rows if stats.live_rows is not None else max(0, round(stats.rows_estimate))


def _stale(table: TableRow, facts: ServerFacts, words: Words) -> Iterator[Suggestion]:
    stats = table.stats
    found = out_of_date(stats, facts)
    if found is None:
        return
    modified, share = found
    live = rows_of(stats)
    why = (
        f"{stats.name} holds {count(live)} rows and has never been analysed: the planner guesses."
        if never_analysed(stats)
        else f"{count(modified)} rows of {stats.name} were changed since its last ANALYZE, against {count(live)} it "
        "holds"
        + (f"; the planner still plans for {count(stats.rows_estimate)}." if live != stats.rows_estimate else ".")
    )
    if stats.options.get(_RECALCULATES) == "0":
        why += f" Its option {_RECALCULATES.upper()}=0 keeps the server from renewing them by itself."
    yield _about(
        table,
        rule="stale-statistics",
        priority=SuggestionPriority.HIGH if share >= 1 else SuggestionPriority.MEDIUM,
        title=f"Analyze {stats.name}: its statistics are out of date",
        text=f"{why} {words.remedies['stale-statistics']}",
        facts=[f"modified since analyze: {count(modified)}", f"live rows: {count(live)}"],
        change=Analyze(stats.schema, stats.name),
    )


def never_analysed(stats: TableStats) -> bool:
    """Whether the planner knows nothing of a table."""
    return stats.rows_estimate < 0 and stats.last_analyze is None


def out_of_date(stats: TableStats, facts: ServerFacts) -> tuple[int, float] | None:
    """Rows changed since the last ANALYZE and their share of the table, where that is much; None where it is not."""
    live, modified = rows_of(stats), stats.modified_since_analyze
    if modified is None or max(live, modified) < FEW_ROWS or _renewed_by_itself(stats, facts):
        return None
    if facts.traits.counts_late:
        modified = min(modified, _not_seen(stats, live, facts.block_size))
    share = 1.0 if never_analysed(stats) else modified / max(live, 1)
    return (modified, share) if share >= STALE_SHARE else None


def _renewed_by_itself(stats: TableStats, facts: ServerFacts) -> bool:
    """Whether the server renews a table's statistics as soon as a tenth of it changed, as MySQL and MariaDB do.

    What they count as changed beyond that is for seconds, or, on MariaDB, UPDATEs of columns that no index has, of
    which its statistics say nothing.
    """
    return stats.options.get(_RECALCULATES, facts.settings.get(f"innodb_{_RECALCULATES}")) in ("1", "ON")


def _not_seen(stats: TableStats, live: int, page_bytes: int) -> int:
    """Most rows that the last ANALYZE can have missed.

    A session reports its rows up to seconds late, so that rows loaded and analysed at once are counted twice and as
    modified since. A file that has not grown since ANALYZE holds no more rows; a later VACUUM counts pages anew, and
    then nothing is known. Of wide rows, whose TOAST is part of the size, the rows inserted
    since the counters began tell.
    """
    churn = sum(stats.counters.get(name) or 0 for name in ("updates", "deletes"))
    recounted = stats.last_analyze is None or (stats.last_vacuum or 0) > stats.last_analyze + 60_000
    if recounted or stats.pages <= 0 or stats.rows_estimate <= 0 or stats.size_bytes is None:
        return live + churn
    if stats.size_bytes > stats.rows_estimate * page_bytes / 4:
        grown = (stats.counters.get("inserts") or 0) - stats.rows_estimate
    else:
        grown = (stats.size_bytes / page_bytes / stats.pages - 1) * stats.rows_estimate
    return int(churn + max(0.0, min(live - stats.rows_estimate, grown)))


def much_dead(stats: TableStats) -> float | None:
    """The share of dead rows, where they are many."""
    dead = stats.dead_rows or 0
    share = dead / max((stats.live_rows or 0) + dead, 1)
    return share if dead >= FEW_ROWS and share >= DEAD_SHARE else None


def much_free(stats: TableStats) -> float | None:
    """The share of a table's own file that holds nothing, where that is much."""
    free, used = stats.free_bytes, (stats.size_bytes or 0) + (stats.index_bytes or 0)
    if free is None or free < FREE_BYTES or free / (free + used) < DEAD_SHARE:
        return None
    return free / (free + used)


def _bloat(table: TableRow, words: Words) -> Iterator[Suggestion]:
    stats = table.stats
    live, dead = stats.live_rows or 0, stats.dead_rows or 0
    share = much_dead(stats)
    if share is None:
        return
    off = vacuum_off(stats)
    yield _about(
        table,
        rule="table-bloat",
        priority=SuggestionPriority.HIGH if share >= 0.5 else SuggestionPriority.MEDIUM,
        title=f"Vacuum {stats.name}: {percent(share)} of its rows are dead",
        text=f"{count(dead)} dead rows lie between {count(live)} live ones in {stats.name} "
        f"({size(stats.size_bytes)}): {words.remedies['table-bloat']}"
        + (" Autovacuum is switched off for this table, so they will come back." if off else ""),
        facts=[f"dead rows: {count(dead)}", f"live rows: {count(live)}", f"last vacuum: {moment(stats.last_vacuum)}"],
        change=Vacuum(stats.schema, stats.name),
    )


def _free_space(table: TableRow, words: Words) -> Iterator[Suggestion]:
    """Space inside a table's own file that only this table could use again, where the server says so."""
    stats = table.stats
    free, used = stats.free_bytes or 0, (stats.size_bytes or 0) + (stats.index_bytes or 0)
    share = much_free(stats)
    if share is None:
        return
    yield _about(
        table,
        rule="table-bloat",
        priority=SuggestionPriority.MEDIUM if share >= 0.5 else SuggestionPriority.LOW,
        title=f"Rebuild {stats.name}: {percent(share)} of its file is free space",
        text=f"{size(free)} of the {size(free + used)} that {stats.name} takes on disk hold nothing. "
        f"{words.remedies['table-bloat']}",
        facts=[f"free: {size(free)}", f"rows and indexes: {size(used)}", f"rows: {count(rows_of(stats))}"],
        change=Rebuild(stats.schema, stats.name),
        risk=Risk.MEDIUM,
    )


def _autovacuum_off(table: TableRow, words: Words) -> Iterator[Suggestion]:
    stats = table.stats
    if not vacuum_off(stats):
        return
    written = sum(stats.counters.get(name) or 0 for name in ("inserts", "updates", "deletes"))
    if written < FEW_ROWS and (stats.dead_rows or 0) < FEW_ROWS:
        return
    remedy = words.remedies["autovacuum-off"]
    yield _about(
        table,
        rule="autovacuum-off",
        priority=SuggestionPriority.MEDIUM,
        title=f"Autovacuum is switched off for {stats.name}",
        text=f"{stats.name} is written to, and the storage option autovacuum_enabled=false keeps autovacuum from "
        f"cleaning and analysing it. {remedy}",
        facts=[f"rows written: {count(written)}", f"dead rows: {count(stats.dead_rows)}"],
        change=SetTableOptions(stats.schema, stats.name, (("autovacuum_enabled", None),)),
    )


def _no_key(table: TableRow, catalog: Catalog, words: Words) -> Iterator[Suggestion]:
    stats = table.stats
    if stats.has_primary_key or stats.kind != "table" or rows_of(stats) < FEW_ROWS:
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
        text=f"{stats.name} is updated and has neither a primary key nor a unique index: "
        f"{words.remedies['no-primary-key']}",
        facts=[f"rows: {count(rows_of(stats))}", f"updates and deletes counted: {count(changed)}"],
    )


def _on(index: Any, table: TableRow) -> bool:
    return (index.schema, index.table) == (table.stats.schema, table.stats.name)


def vacuum_off(stats: TableStats) -> bool:
    """Whether autovacuum is switched off for a table."""
    return stats.options.get("autovacuum_enabled", "").lower() in ("false", "off", "no", "0")


def sessions(catalog: Catalog) -> Iterator[Suggestion]:
    """Transactions left open, and connections that are running out."""
    yield from _large_pools(catalog)
    state, words = catalog.sessions, words_for(catalog.facts.engine)
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
            f"{words.remedies['idle-in-transaction']}: {', '.join(users)}.",
            [
                f"{words.session_id} {one.get('pid')}: idle in transaction for {duration(one['state_age_ms'])}"
                for one in idle[:10]
            ],
        )
    used, free = sum(state.by_state.values()), state.max_connections - state.reserved
    if free > 0 and used / free >= SATURATED:
        yield _connections(
            "connection-saturation",
            SuggestionPriority.HIGH if used / free >= 0.9 else SuggestionPriority.MEDIUM,
            f"{used} of {free} connections are taken",
            words.remedies["connection-saturation"],
            [f"{name}: {number}" for name, number in sorted(state.by_state.items())],
        )


def _large_pools(catalog: Catalog) -> Iterator[Suggestion]:
    """Connections that are kept and never needed, by what syncs over hours have found."""
    seen, state = catalog.busiest, catalog.sessions
    if seen is None or state is None or seen.samples < FEW_SAMPLES or seen.span_ms < WATCHED_MS:
        return
    most = state.max_connections - state.reserved
    if seen.idle < max(MANY_IDLE, IDLE_SHARE * most, 5 * seen.working):
        return
    wanted = max(2 * seen.working, seen.working + 5)
    yield _connections(
        "oversized-pool",
        SuggestionPriority.LOW,
        f"At least {seen.idle} connections idle all the time: pools are larger than the work",
        f"In {count(seen.samples)} looks over {duration(seen.span_ms)} never more than {seen.working} sessions worked "
        f"at once, and never fewer than {seen.idle} idled. Each costs memory on the server, and when all wake at once "
        f"they queue on locks and processors. Pools of about {wanted} in all would have been enough; a pooler in front "
        "shares them between applications. (A burst between two looks is not seen: leave room for those you know of.)",
        [f"most at work: {seen.working}", f"fewest idle: {seen.idle}", f"max_connections: {state.max_connections}"],
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
    risk: Risk = Risk.LOW,
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
        risk=risk,
        schema=stats.schema,
        table=stats.name,
        change=change,
    )
