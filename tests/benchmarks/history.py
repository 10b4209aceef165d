"""What it takes to open each place on ninety days of ten servers, on a store in SQLite and in PostgreSQL.

Measured are the reads that a screen waits for, through the store's reading thread: the first after the store was
opened, and the least of the next ones, which a busy machine disturbs least; and the least processor time that one of
these took, of the thread and of the session of PostgreSQL that works for it, which on a machine alone is the time by
the clock. Beside them what the store takes, by table and by row, and what one hour's upkeep does.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from meshag_tui.screens import finding, indexes_facts, overview, query, suggestions, table_facts
from meshag_tui.screens.question import Question
from meshag_tui.screens.scope import SPANS
from meshag_tui.servers.postgres import EmbeddedPostgres
from meshag_tui.settings import RetentionSettings
from meshag_tui.store import (
    activity,
    agents,
    alerts,
    budgets,
    comparison,
    connections,
    database,
    digests,
    executions,
    happenings,
    health,
    history,
    history_queries,
    ledger,
    models,
    outcomes,
    retention,
    sampled,
    tiles,
)
from meshag_tui.store import suggestions as kept_suggestions
from meshag_tui.store.database import Store
from meshag_tui.types import ExecutionState, Window
from meshag_tui.workflows import report
from meshag_tui.workflows.watching import judge
from tests.benchmarks.ninety_days import DAY, HOUR, MINUTE, fill
from tests.benchmarks.terminal import Figure, figure

MOST_MS = 300
ROUNDS = 4
_SLOW_MS = 100.0
_STEPS = 60
Read = Callable[[], Any]


def run() -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    for kind in ("sqlite", "postgresql"):
        with _empty(kind) as (url, home):
            store = Store.open(url)
            started = time.perf_counter()
            filled = fill(store, home)
            took = time.perf_counter() - started
            store.close()
            found[f"places, {kind}"] = measure(url, filled[len(filled) // 2])
            found[f"store, {kind}"] = [{"what": "filled in", "measured": f"{took:.0f} s"}, *sizes(url)]
            found[f"upkeep, {kind}"] = upkeep(url, filled)
    return found


def measure(url: str, connection_id: str) -> list[Figure]:
    """The time of each place's reads, ms."""
    store = Store.open(url)
    try:
        reads = store.run(places, connection_id)
        return [asyncio.run(_timed(store, name, read)) for name, read in reads.items()]
    finally:
        store.close()


async def _timed(store: Store, name: str, read: Read) -> Figure:
    took, worked = [], []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        worked.append((await store.read(_worked, read))[1])
        took.append((time.perf_counter() - started) * 1000)
    least = round(min(worked[1:]), 1)
    return figure(name, round(min(took[1:]), 1), MOST_MS, "ms", first_ms=round(took[0], 1), cpu_ms=least)


def _worked(work: Callable[[], Any]) -> tuple[Any, float]:
    """What something done in the store's thread gives, and its processor time there and in its session of PostgreSQL,
    ms."""
    session = models.database.connection().info.backend_pid if database.kind() == "postgresql" else None

    def so_far() -> float:
        server = 0 if session is None else int(Path(f"/proc/{session}/schedstat").read_text().split()[0])
        return (time.thread_time_ns() + server) / 1e6

    before = so_far()
    done = work()
    return done, so_far() - before


def places(connection_id: str) -> dict[str, Read]:
    """What each place reads of a connection, by its name; in the store's thread."""
    newest = history.latest_window(connection_id, DAY).end
    spans = {**{name: span for span, name in SPANS}, "90 d": 90 * DAY}
    windows = {name: Window(newest - span, newest) for name, span in spans.items()}
    month = windows["30 d"]
    some = history.queries(connection_id, month, limit=1).rows[0].id
    table, index = history.tables(connection_id, month)[0], history.indexes(connection_id, month)[0]
    advised = kept_suggestions.listing(connection_id)[0].id
    found: dict[str, Read] = {
        "connections: listing": connections.listing,
        "connections: what removing one would lose": partial(connections.contents, connection_id),
        "looking: newest data": partial(history.latest_window, connection_id, DAY),
        "overview: scores": health.newest_scores,
        "palette: what it finds, 30 d": partial(finding.things, connection_id, month),
        "queries: by an expression, 30 d": partial(_asked(connection_id, month, text="~customer_id.*LIMIT").page, 0),
        "queries: by a text, 30 d": partial(_asked(connection_id, month, text="column_17").page, 0),
        "queries: page 5, 30 d": partial(_asked(connection_id, month).page, 5),
        "advice: list": partial(kept_suggestions.listing, connection_id, resolved=True),
        "advice: one": partial(suggestions.read_whole, advised),
        "advice: applied": partial(outcomes.applied, connection_id),
        "runs": partial(executions.listing, limit=500),
        "runs: newest of an agent": partial(executions.newest, agents.RUN, connection_id),
        "runs: that have no end, as collecting looks for them": partial(
            executions.listing, states=(ExecutionState.RUNNING,)
        ),
        "activity": partial(activity.recent, 1_000),
        "health: now": partial(judge, connection_id, _SLOW_MS),
        "health: past scores": partial(health.history, connection_id, 500),
        "health: alerts": partial(alerts.listing, connection_id, limit=500),
        "health: versions of the schema": partial(history.schema_versions, connection_id),
        "models: ledger": partial(ledger.page, 500),
        "models: sums by day, 30 d": partial(ledger.pivot, "day", month.start),
        "models: budgets": budgets.standings,
        "figures of the whole installation": partial(tiles.tiles, newest - DAY),
        "live: around a moment": partial(sampled.at, connection_id, newest - 7 * DAY, 5 * MINUTE),
        "doctor: the store itself": lambda: (retention.total_bytes(), retention.levels()),
        "live: newest": partial(sampled.newest, connection_id),
    }
    for name, window in windows.items():
        before = comparison.baseline(window, "before")
        found |= {
            f"overview: figures, {name}": partial(history.overview, connection_id, window, _SLOW_MS),
            f"overview: around it, {name}": partial(overview.around, connection_id, newest, _SLOW_MS, window, _STEPS),
            f"queries, {name}": partial(_asked(connection_id, window).page, 0),
            f"query with its trend, {name}": partial(query.read, some, window),
            f"indexes, {name}": partial(history.indexes, connection_id, window),
            f"index with its trend, {name}": partial(indexes_facts.read_whole, index, connection_id, window, 30.0),
            f"tables, {name}": partial(history.tables, connection_id, window),
            f"table with its trend, {name}": partial(table_facts.read_whole, table, connection_id, window),
            f"compare, {name}": partial(comparison.compare, connection_id, window, before, limit=500),
            f"time line, {name}": partial(happenings.happenings, connection_id, Window(before.start, window.end)),
            f"live: past load, {name}": partial(sampled.load, connection_id, window, _STEPS),
            f"health: trend, {name}": partial(health.history, connection_id, 500, window),
        }
    for sort in history_queries.SORTS:
        for name in ("24 h", "30 d"):
            found[f"queries by {sort}, {name}"] = partial(_asked(connection_id, windows[name], sort=sort).page, 0)
    found["report, 7 d"] = partial(report.read, connection_id, 7 * DAY, _SLOW_MS)
    return found


def _asked(connection_id: str, window: Window, sort: str = "total_time", text: str = "") -> Question:
    return Question(connection_id, window, sort, True, text, False, _SLOW_MS)


def sizes(url: str) -> list[Figure]:
    """What the store takes: in all, and by table, bytes a row."""
    store = Store.open(url)
    try:
        found = store.run(_sizes)
    finally:
        store.close()
    return found


def _sizes() -> list[Figure]:
    execute, tables = models.database.execute_sql, retention.by_table()
    said: list[Figure] = [{"what": "all", "measured": f"{sum(tables.values()) / 2**20:.0f} MB"}]
    for name, size in sorted(tables.items(), key=lambda each: -each[1])[:8]:
        rows = execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
        measured = f"{size / 2**20:.0f} MB"
        said.append({"what": name, "measured": measured, "rows": rows, "bytes_a_row": round(size / max(rows, 1), 1)})
    return said


def upkeep(url: str, connection_ids: tuple[str, ...]) -> list[Figure]:
    """An hour's upkeep, and that of a day that nobody kept house: the longest a sync waits for one piece of it."""
    store = Store.open(url)
    try:
        now = store.run(database.now_ms) // HOUR * HOUR
        return [
            figure(
                *(name, round(max(took)), 2_000, "ms at once"),
                **{"pieces": len(took), "together_ms": round(sum(took)), "cpu_ms": round(sum(worked))},
            )
            for name, hours in (("an hour's roll-up", 1), ("a day's roll-up", 24))
            for took, worked in (_pieces(store, now + hours * HOUR, connection_ids),)
        ]
    finally:
        store.close()


def _pieces(store: Store, now: int, connection_ids: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """What `workflows.upkeep` does, piece by piece: by the clock and by the processor, ms."""
    settings, took, worked = RetentionSettings(), [], []

    def timed(work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        done, cpu_ms = store.run(_worked, work)
        took.append((time.perf_counter() - started) * 1000)
        worked.append(cpu_ms)
        return done

    for each in connection_ids:
        timed(partial(digests.close, each, now))
    while timed(partial(retention.roll_up, settings, now)).more:
        pass
    while timed(partial(retention.prune, settings, now)).more:
        pass
    return took, worked


@contextmanager
def _empty(kind: str) -> Iterator[tuple[str, Path]]:
    """The URL of an empty store, and a home."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if kind == "sqlite":
            yield f"sqlite:///{home / 'store.db'}", home
            return
        with EmbeddedPostgres(tcp=True) as server:
            yield server.dsn(tcp=True), home
