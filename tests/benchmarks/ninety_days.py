"""A store as ninety days of ten busy servers leave it, made in minutes: what is due is rolled up already.

What the servers are (statements, texts, tables, indexes, a schema) is written by the store's own room; what they did is
written in bulk, by the database itself where it is much. Of a thousand statements the first few run every minute and
the last ones twice an hour: 17 % of them in a minute, which is what servers were seen to have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from meshag_tui.live import Vital
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.settings import RetentionSettings, Settings
from meshag_tui.snapshot import Column, SessionStats
from meshag_tui.store import bulk, connections, database, digests, history_plans, models, snapshots, suggestions
from meshag_tui.store.database import Store
from meshag_tui.store.documents import as_json, document
from meshag_tui.store.models import LEVELS
from meshag_tui.store.retention import EXECUTION_DAYS
from meshag_tui.store.vault import Vault
from meshag_tui.types import EvidenceKind, Risk, Suggestion, SuggestionPriority, SuggestionType, Target
from meshag_tui.workflows import sync
from tests.store.readings import MINUTE, Watched, text

HOUR, DAY = 60 * MINUTE, 24 * 60 * MINUTE
KEPT = RetentionSettings()
_ALWAYS = 40  # statements that run in every minute
_INTERVALS = ("id", "connection_id", "resolution_s", "start_at", "end_at", "complete", "events", "calls", "time_ms")


class Shape(NamedTuple):
    """How much there is; `sampled_days` of what sessions did, `runs_days` of what MeshAG did."""

    servers: int = 10
    days: int = 90
    statements: int = 1_000
    tables: int = 200
    indexes: int = 400
    sampled_days: float = KEPT.sampled_days
    runs_days: float = EXECUTION_DAYS


USUAL = Shape()


def fill(store: Store, home: Path, shape: Shape = USUAL) -> tuple[str, ...]:
    """Fill an empty store up to the last full hour; the ids of its connections. `home` gets the vault's key."""
    now = store.run(database.now_ms) // HOUR * HOUR
    if store.kind == "postgresql":  # what is made in bulk takes minutes
        store.run(_run, "SET statement_timeout = 0")
    vault = Vault.open(Settings(home=home, store_url=""), {})
    found = tuple(store.run(_server, vault, number, now - shape.days * DAY, shape) for number in range(shape.servers))
    for part in (_intervals, _statistics, _objects, _digests, _sessions, _work, _advice):
        store.run(part, found, now, shape)
    store.run(_settle, found, now)
    return found


def _server(vault: Vault, number: int, begun: int, shape: Shape) -> str:
    """A connection, synced for the first time when its history begins."""
    target = Target.from_url(f"postgresql://watcher@db{number}.example/shop")
    connection_id = connections.add(f"shop {number}", target, vault).id
    server = Watched(at=begun - MINUTE)
    for each in range(shape.tables):
        server.table(f"orders_{each}", size_bytes=8192 * (each + 1) * 100)
        server.columns[f"public.orders_{each}"] = tuple(Column(f"c{place}", "int8", False) for place in range(12))
    for each in range(shape.indexes):
        server.index(f"orders_{each}_idx", table=f"orders_{each % shape.tables}")
    for each in range(shape.statements):
        server.run(f"s{each}")
    texts = [text(f"s{each}", _text(each), fingerprint=f"{number}-{each}") for each in range(shape.statements)]
    written = snapshots.write(connection_id, server.snapshot(), texts)
    models.Interval.delete().where(models.Interval.id == written.interval_id).execute()
    for version in range(1, 30):  # the schema changed every three days
        server.columns["public.orders_0"] += (Column(f"added_{version}", "text", True),)
        structure = as_json(_structure(connection_id) | {"columns": {k: list(v) for k, v in server.columns.items()}})
        row = (connection_id, begun + version * 3 * DAY, str(version), structure)
        bulk.insert("schema_version", ("connection_id", "taken_at", "hash", "document"), [row])
    return connection_id


def _text(number: int) -> str:
    columns = ", ".join(f"o.column_{each}" for each in range(number % 40))
    return f"SELECT o.id, {columns or 'o.note'} FROM orders_{number} o WHERE o.customer_id = $1 ORDER BY o.id LIMIT $2"


def _structure(connection_id: str) -> dict[str, Any]:
    version = models.SchemaVersion
    return dict(version.select().where(version.connection == connection_id).order_by(version.id.desc()).get().document)


def _intervals(found: Sequence[str], now: int, shape: Shape) -> None:
    """Those of each level, numbered in the order in which they would have come to be."""
    ages = (0.0, KEPT.raw_days, KEPT.ten_minute_days, KEPT.hour_days, float(shape.days))
    made = []
    for number, resolution in enumerate(LEVELS):
        width = (resolution or 60) * 1000
        newest, oldest = (int(now - min(age, shape.days) * DAY) // width * width for age in ages[number : number + 2])
        written_after = int(ages[number] * DAY)
        for end in range(newest, oldest, -width):
            made += [(end + written_after, owner, resolution, end - width, end) for owner in found]
    made.sort()
    sessions = as_json(SessionStats(100, 3, {"active": 4, "idle": 90}))
    rows = (
        (
            *(each, owner, resolution, start, end, True, "[]"),
            (end - start) // 10,
            (end - start) / 2,
            sessions,
            start if resolution == 0 and end // MINUTE % 5 == 0 else None,
        )
        for each, (_, owner, resolution, start, end) in enumerate(made, 1_000_000)
    )
    with database.atomic():
        bulk.insert("interval", (*_INTERVALS, "sessions", "objects_since"), rows)
        if database.kind() == "postgresql":
            _run("SELECT setval(pg_get_serial_sequence('interval', 'id'), (SELECT max(id) FROM interval))")


def _pace(table: str, key: str, busy: int, every_minutes: int = 1) -> None:
    """A table `pace` of how likely each object is to have done something in an interval of each level, in thousandths,
    and how much. The first `busy` always do."""
    _run("DROP TABLE IF EXISTS pace")
    _run(
        "CREATE TEMP TABLE pace (connection_id TEXT, resolution_s INTEGER, key_id BIGINT, chance INTEGER, "
        "amount BIGINT, mean_ms DOUBLE PRECISION, PRIMARY KEY (connection_id, resolution_s, key_id))"
    )
    rows = []
    places: dict[str, int] = {}
    for owner, object_id in _rows(f"SELECT connection_id, id FROM {table} ORDER BY id"):
        place = places[owner] = places.get(owner, -1) + 1
        a_minute = min(1.0, busy / (place + 1))
        for resolution in LEVELS:
            minutes = max(1, resolution // 60 // every_minutes)
            chance = 1.0 - (1.0 - a_minute) ** minutes
            amount = max(1, round(1_000 / (place + 1) * minutes * a_minute / chance))
            rows.append((owner, resolution, object_id, math.ceil(chance * 1000), amount, 1.0 + place % 97))
    bulk.insert("pace", ("connection_id", "resolution_s", "key_id", "chance", "amount", "mean_ms"), rows)


def _draw(only: str = "1 = 1") -> str:
    """Which objects did something in which interval: its id, theirs, an amount, a mean, and a number below 1,000."""
    return f"""
        SELECT i.id AS interval_id, p.key_id, p.amount, p.mean_ms, (i.id * 7919 + p.key_id * 104729) % 1000 AS dice
        FROM "interval" i CROSS JOIN pace p
        WHERE p.connection_id = i.connection_id AND p.resolution_s = i.resolution_s AND {only}
            AND (i.id * 7919 + p.key_id * 104729) % 1000 < p.chance
    """


def _statistics(found: Sequence[str], now: int, shape: Shape) -> None:
    with database.atomic():
        _pace("query", "query_id", _ALWAYS)
        _run(f"""
            INSERT INTO query_statistics (interval_id, query_id, calls, time_ms, rows, plan_time_ms, shared_hit,
                shared_read, shared_dirtied, temp_read, temp_written, io_time_ms, wal_bytes)
            SELECT interval_id, key_id, amount, amount * mean_ms * (800 + dice) / 1300, amount * 3, 0.0, amount * 20,
                amount * dice / 500, 0, 0, 0, amount * dice / 5000.0, 0 FROM ({_draw()}) drawn
        """)


def _objects(found: Sequence[str], now: int, shape: Shape) -> None:
    """Tables and indexes: read every five minutes, a few of them in use."""
    read = "(i.objects_since IS NOT NULL OR i.resolution_s > 0)"
    with database.atomic():
        _pace("monitored_table", "table_id", 20, 5)
        _run(f"""
            INSERT INTO table_access (interval_id, table_id, seq_scan, seq_rows, index_scan, index_rows, inserts,
                updates, hot_updates, deletes, blocks_read, blocks_hit, size_bytes, live_rows, dead_rows)
            SELECT interval_id, key_id, amount, amount * 100, amount * 5, amount * 9, amount, amount, amount, 0,
                dice, amount * 50, 819200 * (100 + dice), 1000 * dice, dice FROM ({_draw(read)}) drawn
        """)
        _pace("monitored_index", "index_id", 40, 5)
        _run(f"""
            INSERT INTO index_usage (interval_id, index_id, scans, rows_read, rows_fetched, size_bytes)
            SELECT interval_id, key_id, amount, amount * 4, amount * 3, 81920 * (100 + dice) FROM ({_draw(read)}) drawn
        """)


def _digests(found: Sequence[str], now: int, shape: Shape) -> None:
    """The sums of the hours and days that are over, as the hourly upkeep made them one by one."""
    sums = ", ".join(f"SUM({name})" for name in digests.COUNTERS)
    today = now // DAY * DAY
    with database.atomic():
        _run("CREATE TEMP TABLE summed (digest_id BIGINT, interval_id BIGINT, PRIMARY KEY (digest_id, interval_id))")
        for width, kept in digests.KEPT_MS.items():
            newest = now if width == HOUR else today
            oldest = max(newest - kept, now - shape.days * DAY)
            ends = [(owner, width // 1000, end) for end in range(newest, oldest, -width) for owner in found]
            bulk.insert("digest", ("connection_id", "width_s", "end_at"), sorted(ends, key=lambda row: row[2]))
        _run("""
            INSERT INTO summed SELECT d.id, i.id FROM "interval" i JOIN digest d ON d.connection_id = i.connection_id
                AND d.end_at = (i.end_at + d.width_s * 1000 - 1) / (d.width_s * 1000) * (d.width_s * 1000)
        """)
        for (digest_id,) in _rows("SELECT id FROM digest ORDER BY id"):
            _run(f"""
                INSERT INTO query_digest (digest_id, query_id, {", ".join(digests.COUNTERS)})
                SELECT {digest_id}, query_id, {sums} FROM query_statistics
                WHERE interval_id IN (SELECT interval_id FROM summed WHERE digest_id = {digest_id}) GROUP BY query_id
            """)


def _sessions(found: Sequence[str], now: int, shape: Shape) -> None:
    """A minute of each server at work: five sessions seen, and vital figures."""
    seen = [
        {
            **{"id": 4_000 + number, "user": "app", "database": "shop", "client": "10.0.0.1", "application": "web"},
            **{"kind": "client", "state": "active", "wait": "cpu", "event": "", "ms": 12.5 * number},
            **{"fingerprint": f"0-{number}", "blocked_by": [], "seen": 3},
        }
        for number in range(5)
    ]
    vitals = {name: asdict(Vital("ok", 0.9, 100.0)) for name in ("hit_ratio", "connections", "lag_ms", "age")}
    active = [as_json({"cpu": n % 60 / 1.0, "io": n % 7 / 1.0, "lock": n % 3 / 1.0}) for n in range(60)]
    documents = as_json(seen), as_json(vitals)
    oldest = int(now - min(shape.sampled_days, shape.days) * DAY) // MINUTE * MINUTE
    rows = (
        (owner, end - MINUTE, end, 12, active[end // MINUTE % 60], *documents)
        for end in range(oldest + MINUTE, now + 1, MINUTE)
        for owner in found
    )
    columns = ("connection_id", "start_at", "end_at", "samples", "active", "sessions", "vitals")
    with database.atomic():
        bulk.insert("sampled", columns, rows)


def _work(found: Sequence[str], now: int, shape: Shape) -> None:
    """A run a minute and server, for as long as runs are kept; a score an hour; calls of models; what people did."""
    begun, runs_from = now - shape.days * DAY, int(now - min(shape.runs_days, shape.days) * DAY) // MINUTE * MINUTE
    phases = {"connect": 0.4, "read": 12.5, "store": 3.1}
    result = as_json({"statements": 1_000, "active": 170, "events": [], "server_statements": 3, "phases": phases})
    items = as_json([{"name": f"measure {n}", "title": "Measure", "lost": n % 3, "said": "fine"} for n in range(10)])
    span = range(runs_from + MINUTE, now + 1, MINUTE)
    with database.atomic():
        bulk.insert(
            "execution",
            (
                *("id", "kind", "key", "slot", "connection_id", "state", "owner", "fence", "lease_until", "not_before"),
                *("attempts", "cancel_requested", "input", "result", "created_at", "updated_at"),
                *("started_at", "finished_at"),
            ),
            (
                (
                    *(f"exec_{end:013d}{number:03d}", sync.KIND, owner, end, owner, "done", "host:1:1", 1, end, 0),
                    *(1, False, '{"by_hand":false}', result, end, end + 20, end, end + 20),
                )
                for end in span
                for number, owner in enumerate(found)
            ),
        )
        hours = range(begun + HOUR, now + 1, HOUR)
        bulk.insert(
            "health",
            ("connection_id", "at", "score", "judged", "items"),
            ((owner, end, 90 - end // HOUR % 20, 100, items) for end in hours for owner in found),
        )
        _log(found, hours)


def _log(found: Sequence[str], hours: Sequence[int]) -> None:
    """Four entries of the log and two calls of a model an hour."""
    bulk.insert(
        "activity",
        ("at", "actor", "kind", "connection_id", "about", "message", "details"),
        (
            (end + each, "ada", "advice.generated", owner, owner, "Looked for improvements", '{"new":0}')
            for end in hours
            for each in range(4)
            for owner in (found[each % len(found)],)
        ),
    )
    columns = ("id", "at", "provider", "model", "purpose", "outcome", "local", "connection_id", "actor", "attempts")
    money = ("tokens_in", "tokens_out", "cost_micros", "currency", "prompt_hash", "query_ids")
    bulk.insert(
        "usage",
        (*columns, *money, "created_at", "updated_at"),
        (
            (
                *(f"use_{end + each:013d}", end + each, "work", f"model-{each}", "advice", "success", False),
                *(found[0], "ada", 1, 4_000, 500, 1_250, "EUR", "0" * 64, "[]", end, end),
            )
            for end in hours
            for each in range(2)
        ),
    )
    alert = ("id", "connection_id", "rule", "subject", "severity", "message", "details", "began_at", "seen_at")
    bulk.insert(
        "alert",
        (*alert, "ended_at", "undelivered", "claimed_until", "deliveries"),
        (
            (f"alr_{end:013d}", found[0], "blocked", str(end), "critical", "waits", "{}", end, end, end, False, 0, "[]")
            for end in hours
        ),
    )


def _advice(found: Sequence[str], now: int, shape: Shape) -> None:
    """Two hundred suggestions a server, and three plans of each of its twenty dearest statements."""
    for owner in found:
        ids = [row[0] for row in _rows(f"SELECT id FROM query WHERE connection_id = '{owner}' ORDER BY id LIMIT 20")]
        suggestions.save(owner, [_suggestion(number, ids) for number in range(200)])
        with database.atomic():
            for query_id in ids:
                for number in range(3):
                    history_plans.save_plan(query_id, _plan(number))


def _suggestion(number: int, ids: Sequence[int]) -> Suggestion:
    return Suggestion(
        rule="missing-index",
        identity=f"missing-index:public.orders_{number}:customer_id",
        type=SuggestionType.INDEX_OPTIMIZATION,
        priority=SuggestionPriority.MEDIUM,
        title=f"An index on orders_{number}(customer_id)",
        text="It is read whole for each customer. " * 5,
        evidence_kind=EvidenceKind.PLANNED,
        evidence={"kind": "planned", "facts": [f"cost {n}00 before, {n} with it" for n in range(10)]},
        confidence=0.9,
        risk=Risk.LOW,
        schema="public",
        table=f"orders_{number}",
        query_ids=tuple(ids[number % 7 :: 7]),
        gain_ms_per_day=1_000.0 * number,
    )


def _plan(number: int) -> Plan:
    leaves = tuple(
        PlanNode(f"0.{n}", "Seq Scan", 0.0, 1_000.0, 10.0, 8, schema="public", table=f"orders_{n}") for n in range(8)
    )
    root = PlanNode("0", "Append", 0.0, 8_000.0 + number, 80.0, 8, children=leaves)
    return Plan(root=root, mode="generic", hash=str(number), document={"Plan": {"Node Type": "Append"}}, statement="")


def _settle(found: Sequence[str], now: int) -> None:
    """As the last sync leaves it; and what the database's own upkeep would have done by now."""
    row = models.Connection
    row.update(status="ACTIVE", last_sync_at=now, next_sync_at=now + MINUTE).where(row.id.in_(list(found))).execute()
    snapshot = Watched(at=now).snapshot(0)
    row.update(facts=document(asdict(snapshot.facts))).where(row.id.in_(list(found))).execute()
    if database.kind() == "postgresql":
        _run("VACUUM ANALYZE")


def _run(statement: str) -> None:
    models.database.execute_sql(statement.replace("%", "%%") if database.kind() == "postgresql" else statement)


def _rows(statement: str) -> Iterator[tuple[Any, ...]]:
    return iter(models.database.execute_sql(statement).fetchall())
