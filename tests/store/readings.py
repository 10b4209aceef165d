"""Snapshots made by hand for the store's tests: a server whose counters the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from meshag_tui.snapshot import (
    TABLE_COUNTERS,
    Column,
    Epoch,
    ForeignKey,
    IndexKey,
    IndexStats,
    SchemaSnapshot,
    Sequence,
    ServerFacts,
    SessionStats,
    Snapshot,
    Statements,
    StatementText,
    TableStats,
)

MINUTE = 60_000
START = 1_790_000_000_000
COLUMNS = (
    *("calls", "total_time_ms", "rows", "shared_hit", "shared_read", "io_read_ms", "min_time_ms", "max_time_ms"),
    *("time_squares", "rows_examined", "lock_time_ms"),
)


@dataclass
class Watched:
    """A server as the store sees it: move its counters, then take a `snapshot()` (a minute after the last)."""

    epoch: Epoch = field(default_factory=lambda: Epoch("7001", "primary", 1, 1, 0, None))
    at: int = START
    statements: dict[str, list[Any]] | None = field(default_factory=dict)
    tables: dict[str, TableStats] | None = field(default_factory=dict)
    indexes: dict[str, IndexStats] | None = field(default_factory=dict)
    columns: dict[str, tuple[Column, ...]] = field(
        default_factory=lambda: {"public.orders": (Column("id", "int8", False),)}
    )
    views: dict[str, str] = field(default_factory=dict)
    sequences: tuple[Sequence, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()

    def run(self, key: str, calls: int = 1, ms: float = 1.0, **more: float) -> Watched:
        """`calls` executions of a statement, `ms` each."""
        assert self.statements is not None
        row = self.statements.setdefault(key, [0, 0.0, 0, 0, 0, None, ms, ms, 0.0, None, None])
        row[0] += calls
        row[1] += calls * ms
        row[2] += calls
        row[6], row[7], row[8] = min(row[6], ms), max(row[7], ms), row[8] + calls * ms * ms
        for name, value in more.items():
            row[COLUMNS.index(name)] = (row[COLUMNS.index(name)] or 0) + value
        return self

    def table(self, name: str, **changes: Any) -> Watched:
        """Add a table, or change its gauges; names of counters are added to them."""
        assert self.tables is not None
        stats = self.tables.get(name) or TableStats(
            key=name,
            schema="public",
            name=name,
            kind="table",
            parent=None,
            rows_estimate=1000.0,
            pages=10,
            size_bytes=81_920,
            index_bytes=16_384,
            live_rows=1000,
            dead_rows=0,
            modified_since_analyze=0,
            last_vacuum=None,
            last_analyze=None,
            counters=dict.fromkeys(TABLE_COUNTERS, 0),
            frozen_age=100,
        )
        moved = {each: changes.pop(each) for each in TABLE_COUNTERS if each in changes}
        counters = {each: (value or 0) + moved.get(each, 0) for each, value in stats.counters.items()}
        self.tables[name] = replace(stats, counters=counters, **changes)
        return self

    def index(self, name: str, scans: int = 0, table: str = "orders", **changes: Any) -> Watched:
        """Add an index, or scan it."""
        assert self.indexes is not None
        stats = self.indexes.get(name) or IndexStats(
            key=name,
            schema="public",
            table=table,
            name=name,
            definition=f"CREATE INDEX {name} ON public.{table} USING btree (id)",
            method="btree",
            keys=(IndexKey("id", None, "int8_ops", None, False, False),),
            include=(),
            predicate=None,
            unique=False,
            primary=False,
            valid=True,
            ready=True,
            constraint=None,
            replica_identity=False,
            clustered=False,
            parent=None,
            size_bytes=16_384,
            rows_estimate=1000.0,
            scans=0,
            rows_read=0,
            rows_fetched=0,
            last_scan=None,
        )
        self.indexes[name] = replace(stats, scans=(stats.scans or 0) + scans, **changes)
        return self

    def snapshot(self, after_ms: int = MINUTE, **changes: Any) -> Snapshot:
        self.at += after_ms
        facts = ServerFacts(
            engine="PostgreSQL",
            version="18.0",
            version_number=180000,
            database="shop",
            database_oid=5,
            user="meshag",
            superuser=False,
            encoding="UTF8",
            in_recovery=False,
            observed_at=self.at,
            epoch=self.epoch,
            latency_ms=0.1,
            tls=None,
        )
        rows = None if self.statements is None else [(key, *row) for key, row in self.statements.items()]
        snapshot = Snapshot(
            facts=facts,
            taken_at=self.at,
            statements=None if rows is None else Statements(COLUMNS, rows),
            tables=None if self.tables is None else tuple(self.tables.values()),
            indexes=None if self.indexes is None else tuple(self.indexes.values()),
            schema=SchemaSnapshot(self.columns, self.views, {}),
            foreign_keys=self.foreign_keys,
            sequences=self.sequences,
            sessions=SessionStats(100, 3, {"active": 2, "idle": 5}),
        )
        return replace(snapshot, **changes)


def text(key: str, sql: str | None = None, **more: Any) -> StatementText:
    """The text of a statement."""
    values = {"state": "ok", "fingerprint": None, "kind": "select", "database": "shop", "user": "app"} | more
    return StatementText(key=key, text=sql or f"SELECT {key}", **values)
