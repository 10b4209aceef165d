"""A shop whose tables do something, the same every time: read whole, left unkept, grown, and altered half way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meshag_tui.settings import Settings
from meshag_tui.snapshot import TABLE_COUNTERS, Column, ForeignKey, Snapshot
from meshag_tui.store import connections, models, snapshots, suggestions
from meshag_tui.store.vault import Vault
from meshag_tui.types import Finding, Target
from tests.screens import shop
from tests.screens.picture import AT, DAY, HOUR, MINUTE, filled
from tests.store.readings import Watched

HOSTILE = "[bold]carts[/]\x1b[2J"
REFUSED = Finding(
    "section-tables", "missing", "Tables are not read: permission denied", "watcher may not see them",
    "GRANT USAGE ON SCHEMA shop TO watcher;", facts={"error": "permission"},
)  # fmt: skip
UNREAD = Finding("section-tables", "missing", "Tables are not read", "the statement took too long", "")
_ID = Column("id", "bigint", False)
_MARIADB = ("seq_rows", "index_rows", "inserts", "updates", "deletes")


def fill(settings: Settings, *, mariadb: bool = False, warnings: tuple[Finding, ...] = ()) -> str:
    """Make the store and fill it; the id of its connection "shop"."""
    return filled(settings.home, fill_open, mariadb, warnings)


def fill_open(
    vault: Vault, mariadb: bool = False, warnings: tuple[Finding, ...] = (), minutes: int = 30, tables: bool = True
) -> str:
    """The same in the thread of a store that is open; `minutes` 0: never synced, `tables` False: there are none."""
    url = f"{'mariadb' if mariadb else 'postgresql'}://watcher@db1.example.org/shop"
    connection = connections.add("shop", Target.from_url(url), vault).id
    if not minutes:
        return connection
    server = Watched(at=AT - (minutes + 1) * MINUTE - 12_000, tables={})
    if tables:
        _objects(server, mariadb)
    for minute in range(minutes + 1):
        if minute and tables:
            _work(server, minute)
        snapshot = _of_mariadb(server.snapshot()) if mariadb else server.snapshot()
        snapshots.write(connection, snapshot, ())
    connections.synced(connection, snapshot.facts, warnings, AT + 48_000)
    models.Connection.update(
        last_sync_at=AT - 12_000, created_at=AT - 9 * DAY, updated_at=AT, warnings=[each._asdict() for each in warnings]
    ).where(models.Connection.id == connection).execute()
    if tables and not mariadb:
        kept = suggestions.save(
            connection, [each for each in shop.advice({"orders": 1, "report": 2, "events": 3})][1:3]
        )
        for number, made in enumerate(kept.ids, start=1):
            known = {"id": f"sug_{number:016d}", "created_at": AT - 3 * HOUR, "last_found_at": AT - HOUR}
            models.Suggestion.update(**known).where(models.Suggestion.id == made).execute()
    return connection


def _objects(server: Watched, mariadb: bool) -> None:
    for name, bytes_, more in (
        ("orders", 90_000_000, {"rows_estimate": 150_000.0, "last_vacuum": AT - 5 * DAY, "last_analyze": AT - 9 * DAY}),
        ("events", 40_000_000, {"rows_estimate": -1.0}),
        (HOSTILE, 9_000_000, {"rows_estimate": 15_000.0, "last_vacuum": AT - HOUR, "last_analyze": AT - HOUR}),
        ("customers", 4_000_000, {"rows_estimate": 6_000.0, "last_analyze": AT - DAY, "last_vacuum": AT - DAY}),
    ):
        given = {"schema": "shop", "size_bytes": bytes_, "index_bytes": bytes_ // 3, "live_rows": bytes_ // 600}
        if mariadb:
            only = {"dead_rows": None, "last_vacuum": None, "frozen_age": None, "modified_since_analyze": None}
            more = {**more, **only, "rows_estimate": float(bytes_ // 600)}
        server.table(name, **given, **more)
    server.table("orders", options={} if mariadb else {"autovacuum_enabled": "false"})
    server.table("events", has_primary_key=False)
    if mariadb:
        server.table("events", free_bytes=30_000_000)
        assert server.tables is not None
        for name, stats in server.tables.items():
            server.tables[name] = replace(stats, counters=dict.fromkeys(_MARIADB, 0))
    server.index("orders_pkey", 9, unique=True, primary=True, constraint="orders_pkey", schema="shop")
    server.index("orders_status_copy", 0, size_bytes=1_900_000, schema="shop")
    server.columns = {
        "shop.orders": (_ID, Column("customer_id", "bigint", False), Column("status", "text", True, "'new'::text")),
        "shop.events": (_ID, Column("payload", "jsonb", True)),
        "shop.customers": (_ID, Column("name", "text", False)),
    }
    server.foreign_keys = (
        ForeignKey("orders_customer_fk", "shop", "orders", ("customer_id",), "shop", "customers", ("id",)),
    )


def _work(server: Watched, minute: int) -> None:
    assert server.tables is not None

    def moved(name: str, **changes: Any) -> None:
        known = server.tables[name].counters  # type: ignore[index]
        dropped = [each for each in TABLE_COUNTERS if each in changes and each not in known]
        server.table(name, **{key: value for key, value in changes.items() if key not in dropped})

    many = 40 + minute * 7 % 11
    moved("orders", seq_scan=2, seq_rows=300_000, index_scan=many, index_rows=many * 3, blocks_hit=9_000)
    moved("orders", inserts=90, updates=60, hot_updates=20, deletes=4, blocks_read=1_000)
    server.table("orders", size_bytes=90_000_000 + minute * 900_000)
    moved("events", seq_scan=1, seq_rows=900, index_scan=9, index_rows=9, inserts=300, blocks_hit=50)
    moved("customers", index_scan=50, index_rows=50, blocks_hit=150)
    server.index("orders_pkey", many)
    if server.tables["orders"].dead_rows is not None:
        server.table("orders", dead_rows=3_000 * minute, modified_since_analyze=2_000 * minute)
    if minute == 15:
        note = Column("note", "text", True)
        changed = tuple(
            replace(each, type="integer") if each.name == "customer_id" else each for each in _orders(server)
        )
        server.columns = {**server.columns, "shop.orders": (*changed, note)}
    if minute == 20:
        server.columns = {**server.columns, "shop.customers": (_ID,)}


def _orders(server: Watched) -> tuple[Column, ...]:
    return server.columns["shop.orders"]


def _of_mariadb(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, facts=replace(snapshot.facts, engine="MariaDB", version="10.11.18", version_number=101118))
