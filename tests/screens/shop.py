"""A watched shop in a store, the same every time: an hour of statements, indexes of every kind, advice, a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from meshag_tui.advisor.rehearsed import rehearsed
from meshag_tui.advisor.rewrites import unproven
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.settings import Settings
from meshag_tui.snapshot import IndexKey, StatementText
from meshag_tui.store import connections, history, models, rehearsals, snapshots, suggestions
from meshag_tui.store.vault import Vault
from meshag_tui.types import (
    Analyze,
    CreateIndex,
    DropIndex,
    EvidenceKind,
    Finding,
    IndexColumn,
    IndexSpec,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionStatus,
    SuggestionType,
    Target,
    Window,
)
from tests.screens.picture import AT, DAY, HOUR, MINUTE, filled
from tests.store.readings import Watched, text

HOSTILE = "SELECT '[bold]no[/bold] [@click=app.quit]' \x1b[2J\x07, \u202eevil\u202c FROM \"x\ny\""
STATEMENTS = {
    "orders": "SELECT id, status, total_cents, placed_at FROM shop.orders WHERE customer_id = $1",
    "report": "SELECT c.name, date_trunc($2, o.placed_at) AS month, sum(i.quantity * i.price_cents) AS cents FROM "
    "shop.orders o JOIN shop.order_items i ON i.order_id = o.id JOIN shop.categories c ON c.id = i.category_id "
    "WHERE o.placed_at > now() - make_interval(days => $1) GROUP BY c.name, month ORDER BY month DESC",
    "events": "SELECT id, session_id, payload FROM shop.events WHERE kind = $1 ORDER BY occurred_at DESC LIMIT $2",
    "basket": "UPDATE shop.carts SET updated_at = now() WHERE session_id = $1",
    "hostile": HOSTILE,
}
_KINDS = {"basket": "update"}
_FEW = {"orders": (40, 26.0), "report": (1, 640.0), "events": (9, 58.0), "basket": (120, 0.08), "hostile": (3, 1.2)}
PGSS_MISSING = Finding(
    "pgss-missing",
    "missing",
    "pg_stat_statements is not set up",
    "The server counts no statements, because the library is not in shared_preload_libraries",
    "shared_preload_libraries = 'pg_stat_statements'  -- in postgresql.conf, then restart",
)


def fill(settings: Settings, *, read_only: bool = False, warnings: tuple[Finding, ...] = ()) -> str:
    """Make the store and fill it; the id of its connection "shop"."""
    return filled(settings.home, fill_open, read_only, warnings)


def fill_open(vault: Vault, read_only: bool = False, warnings: tuple[Finding, ...] = ()) -> str:
    """The same in the thread of a store that is open."""
    target = Target.from_url("postgresql://watcher@db1.example.org/shop")
    shop = connections.add("shop", target, vault, read_only=read_only).id
    server = Watched(at=AT - 61 * MINUTE - 12_000)
    _objects(server)
    for key in _FEW:
        server.run(key)
    server.run("secret").run("own")
    snapshots.write(shop, server.snapshot(), _texts())
    for minute in range(60):
        _work(server, minute)
        snapshot = server.snapshot()
        snapshots.write(shop, snapshot, ())
    connections.synced(shop, snapshot.facts, warnings, AT + 48_000)
    models.Connection.update(
        last_sync_at=AT - 12_000, created_at=AT - 9 * DAY, updated_at=AT, warnings=[each._asdict() for each in warnings]
    ).where(models.Connection.id == shop).execute()
    _advise(shop)
    _plan(shop)
    return shop


def fill_changed(settings: Settings) -> str:
    """Another store: half an hour in whose second half look-ups are slow, with another plan, setting and index."""
    return filled(settings.home, _changed)


def _changed(vault: Vault) -> str:
    shop = connections.add("shop", Target.from_url("postgresql://watcher@db1.example.org/shop"), vault).id
    server = Watched(at=AT - 31 * MINUTE - 12_000)
    _objects(server)
    for key in _FEW:
        server.run(key)
    snapshots.write(shop, server.snapshot(), [each for each in _texts() if each.key != "report"])
    for minute in range(30):
        late = minute >= 15
        for key, (calls, ms) in _FEW.items():
            if key != "hostile" or not late:
                server.run(key, calls, ms * (6 if late and key == "orders" else 1))
        if late:
            server.run("fresh", 4, 31.0)
        if minute == 15:
            server.index("orders_total_idx", 0, size_bytes=2_000_000, schema="shop")
        server.table("orders", inserts=90, size_bytes=90_000_000 + minute * 900_000)
        snapshot = server.snapshot()
        facts = replace(snapshot.facts, settings={"work_mem": "4096" if late else "65536", "jit": "on"})
        fresh = [text("fresh", "SELECT count(*) FROM shop.orders WHERE total_cents > $1", fingerprint="fresh")]
        report = [each for each in _texts() if each.key == "report"]
        texts = report if minute == 0 else fresh if minute == 15 else []
        snapshots.write(shop, replace(snapshot, facts=facts), texts)
    connections.synced(shop, facts, (), AT + 48_000)
    models.Connection.update(last_sync_at=AT - 12_000).where(models.Connection.id == shop).execute()
    page = history.queries(shop, Window(AT - 2 * HOUR, AT))
    _other_plan(next(row.id for row in page.rows if row.key == "orders"))
    return shop


def _other_plan(query_id: int) -> None:
    where = {"schema": "shop", "table": "orders"}
    by_index = PlanNode("0", "Index Scan", 0.4, 12.0, 3.0, 24, index="orders_customer_idx", **where)
    whole = PlanNode("0", "Seq Scan", 0.0, 3_517.0, 3.0, 24, conditions={"Filter": "(customer_id = $1)"}, **where)
    for number, (node, at) in enumerate(((by_index, AT - 3 * HOUR), (whole, AT - 14 * MINUTE)), start=1):
        history.save_plan(query_id, Plan(node, "generic", f"h{number}", {}, STATEMENTS["orders"], ()))
        models.Plan.update(taken_at=at, last_seen_at=at + MINUTE).where(models.Plan.id == number).execute()


def _texts() -> list[StatementText]:
    found = [text(key, sql, fingerprint=key, kind=_KINDS.get(key, "select")) for key, sql in STATEMENTS.items()]
    found.append(text("own", "SELECT * FROM pg_stat_activity", fingerprint="own", aside="catalogue"))
    return [*found, StatementText("secret", None, "forbidden", None, "other", "shop", "boss")]


def _work(server: Watched, minute: int) -> None:
    for key, (calls, ms) in _FEW.items():
        busy = calls + (minute * 7 + len(key)) % (calls // 2 + 1)
        server.run(key, busy, ms * (1 + minute // 20 * 0.3), rows=busy * 3, shared_hit=busy * 90, shared_read=busy * 9)
    server.run("secret", 2, 30.0).run("own", 1, 0.5)
    server.index("orders_pkey", scans=40).index("orders_status_idx", scans=3)


def _objects(server: Watched) -> None:
    for name, size in (("orders", 90_000_000), ("events", 40_000_000), ("carts", 9_000_000)):
        server.table(name, schema="shop", size_bytes=size, index_bytes=size // 3, live_rows=size // 600, seq_scan=9)
    server.tables = {
        name: replace(stats, rows_estimate=150_000.0, pages=11_000) for name, stats in server.tables.items()
    }
    key = IndexKey("status", None, "text_ops", None, False, False)
    shop = {"schema": "shop", "keys": (key,)}
    server.index(
        "orders_pkey", 9, unique=True, primary=True, constraint="orders_pkey", size_bytes=3_400_000, schema="shop"
    )
    server.index("orders_status_idx", 2, size_bytes=1_900_000, **shop)
    server.index("orders_status_copy", 0, size_bytes=1_900_000, **shop)
    updated = (replace(key, column="updated_at"),)
    server.index("orders_updated_at_idx", 0, size_bytes=5_200_000, schema="shop", keys=updated)
    server.index("events_kind_idx", 0, table="events", valid=False, size_bytes=8_192, schema="shop")
    server.index("[bold]carts[/]\x1b[2J", 0, table="carts", size_bytes=16_384, schema="shop", keys=updated)


def advice(ids: Mapping[str, int]) -> list[Suggestion]:
    """What is advised: to make, to drop, to analyse, and something for the application."""
    spec = IndexSpec("shop", "orders", (IndexColumn("customer_id"),))
    common = {"schema": "shop", "table": "orders", "evidence_kind": EvidenceKind.COUNTED, "confidence": 0.9}
    index, query = SuggestionType.INDEX_OPTIMIZATION, SuggestionType.QUERY_OPTIMIZATION
    return [
        Suggestion(
            rule="missing-index", identity="a", type=index, priority=SuggestionPriority.HIGH,
            title="Index orders (customer_id): about 27 % of all query time",
            text="It takes 34 ms a call. With an index on orders (customer_id) it should cost 99 % less.",
            **(common | {"evidence_kind": EvidenceKind.PLANNED}),
            evidence={"kind": "planned", "facts": ["cost 3,646 → 20 (99 % less)", "estimated size 1.8 MB"]},
            risk=Risk.LOW, change=CreateIndex(spec), query_ids=(ids["orders"], ids["report"]),
            gain_ms_per_day=2_500_000.0,
            sql="CREATE INDEX CONCURRENTLY orders_customer_id_idx ON shop.orders USING btree (customer_id)",
            undo_sql="DROP INDEX CONCURRENTLY shop.orders_customer_id_idx",
        ),
        Suggestion(
            rule="duplicate-index", identity="b", type=index, priority=SuggestionPriority.MEDIUM,
            title="Drop orders_status_copy: the same index as orders_status_idx", text="They are the same.",
            **common, evidence={"kind": "counted", "facts": ["keep: orders_status_idx"], "size_bytes": 1_900_000},
            risk=Risk.HIGH, change=DropIndex("shop", "orders", "orders_status_copy"),
            sql="DROP INDEX CONCURRENTLY shop.orders_status_copy",
            undo_sql="CREATE INDEX CONCURRENTLY orders_status_copy ON shop.orders USING btree (status)",
        ),
        Suggestion(
            rule="stale-statistics", identity="c", type=SuggestionType.SCHEMA_OPTIMIZATION,
            priority=SuggestionPriority.MEDIUM, title="Analyze orders: its statistics are 9 d old",
            text="Half of its rows are newer than what the planner knows.",
            **common, evidence={"kind": "counted", "modified_rows": 75_000}, risk=Risk.LOW,
            change=Analyze("shop", "orders"), sql="ANALYZE shop.orders",
        ),
        Suggestion(
            rule="offset-pagination", identity="d", type=query, priority=SuggestionPriority.LOW,
            title="events is paged by OFFSET [bold]hostile[/] \x1b[2J", text="Remember the last row instead.",
            **common, evidence={"kind": "counted", "facts": []}, risk=Risk.LOW, query_ids=(ids["events"],),
        ),
    ]  # fmt: skip


def _advise(shop: str) -> None:
    page = history.queries(shop, Window(AT - 2 * HOUR, AT), internal=True)
    saved = suggestions.save(shop, advice({row.key: row.id for row in page.rows}))
    row = models.Suggestion
    for number, made in enumerate(saved.ids, start=1):
        known = {"id": f"sug_{number:016d}", "created_at": AT - 3 * HOUR, "last_found_at": AT - HOUR}
        row.update(**known).where(row.id == made).execute()
    suggestions.set_status(f"sug_{3:016d}", SuggestionStatus.REVIEWED, "mira")
    row.update(updated_at=AT - HOUR, reviewed_at=AT - HOUR).execute()
    models.Activity.update(at=AT - HOUR).execute()


def _measured(name: str, change: float, wide: float, *, main: bool, ms: tuple[float, float]) -> dict[str, Any]:
    """A statement of a rehearsal whose figures are made up."""
    verdict = "faster" if change + wide < -0.03 else "slower" if change - wide > 0.03 else "inconclusive"
    before, after = ms
    plans = (["Seq Scan of orders"], ["Bitmap Heap Scan of orders", "Bitmap Index Scan by orders_customer_id_idx"])
    rounds = [[before * 5 * (1 + at % 3 / 9), after * 5 * (1 + at % 4 / 9)] for at in range(16)]
    return {
        "query_id": name, "text": STATEMENTS["orders"], "main": main, "calls": 2_400, "ms_per_day": 2_600_000.0,
        "verdict": verdict, "why": None, "same_plan": not main, "same_work": verdict == "inconclusive" and not main,
        "sets": 5, "rounds": 16, "runs": 160, "seconds": 4.2, "rounds_ms": rounds,
        "before": {"median_ms": before, "p95_ms": before * 1.3, "blocks": 10_400.0, "rows": 12.0},
        "after": {"median_ms": after, "p95_ms": after * 1.2, "blocks": 10_400.0 * after / before, "rows": 12.0},
        "change": {"estimate": change, "low": change - wide, "high": change + wide},
        "plan_before": {"hash": "a", "nodes": plans[0], "document": []},
        "plan_after": {"hash": "b" if main else "a", "nodes": plans[1 if main else 0], "document": []},
    }  # fmt: skip


def rehearse(connection: str, verdict: str = "faster") -> str:
    """Keep a rehearsal of the first suggestion, and have it rest on that; the rehearsal's id."""
    factor = {"faster": -0.72, "slower": 0.31, "inconclusive": -0.02}[verdict]
    failed = {
        "query_id": "qry_0000000005", "text": HOSTILE, "main": False, "calls": 9, "ms_per_day": 4_000.0,
        "verdict": "failed", "why": "no values are known for its parameters", "same_plan": None,
    }  # fmt: skip
    document = {
        "verdict": verdict, "proof": None,
        "sql": "CREATE INDEX orders_customer_id_idx ON shop.orders USING btree (customer_id)",
        "sandbox": "PostgreSQL 18.6 on this machine", "prepared_s": 4.1, "share": 0.31, "confidence": 0.95,
        "copied": [
            {"name": "shop.orders", "rows": 46_500, "of": 150_000, "bytes": 9_000_000, "share": 0.31},
            {"name": "shop.customers", "rows": 900, "of": 900, "bytes": 90_000, "share": 1.0},
        ],
        "notes": ["the source is PostgreSQL 15.18"], "listed": 4, "failed": 1,
        "faster": int(verdict == "faster"), "slower": int(verdict == "slower"),
        "inconclusive": 2 + (verdict == "inconclusive"),
        "saved_ms_per_day": None if verdict == "inconclusive" else {
            "about": -factor * 2_600_000, "least": -(factor + 0.05) * 2_600_000, "most": -(factor - 0.05) * 2_600_000
        },
        "statements": [
            _measured("qry_0000000001", factor, 0.05, main=True, ms=(34.0, 34.0 * (1 + factor))),
            _measured("qry_0000000002", 0.01, 0.06, main=False, ms=(640.0, 641.0)),
            _measured("qry_0000000004", -0.01, 0.02, main=False, ms=(0.08, 0.08)),
            failed,
        ],
    }  # fmt: skip
    found = f"sug_{1:016d}"
    made = rehearsals.save(
        connection, found, kind="change", actor="mira", verdict=verdict, found=document, samples={}, said="rehearsed"
    )
    row = f"reh_{1:016d}"
    models.Rehearsal.update(id=row, created_at=AT - HOUR).where(models.Rehearsal.id == made).execute()
    bare = suggestions.bare(suggestions.get(found))
    suggestions.revise(found, rehearsed(bare, row, AT - HOUR, document))
    return row


def rewritten(connection: str) -> None:
    """Have the first suggestion be about a statement written otherwise, measured and found not to mean the same."""
    found = f"sug_{1:016d}"
    bare = unproven(
        replace(
            suggestions.bare(suggestions.get(found)),
            rule="not-in-subquery", title="qry_0000000001: write NOT EXISTS instead of NOT IN (SELECT …)",
            text="blocked.customer_id can be NULL, and NOT IN then gives no row at all.",
        ),
        "SELECT id FROM shop.orders o WHERE NOT EXISTS (SELECT 1 FROM shop.blocked b WHERE b.customer = o.customer_id)",
    )  # fmt: skip
    statement = _measured("qry_0000000001", -0.4, 0.04, main=True, ms=(34.0, 20.0))
    proof = {
        "sets": 5,
        "trials": 9,
        "proven": False,
        "doubts": ["customer may be NULL, and NOT IN then gives no row"],
    }
    document = {
        "verdict": "faster", "sql": "", "proof": proof, "sandbox": "PostgreSQL 18.6 on this machine", "share": 1.0,
        "saved_ms_per_day": {"about": 1_040_000.0, "least": 936_000.0, "most": 1_144_000.0}, "statements": [statement],
    }  # fmt: skip
    said = rehearsed(bare, "reh_1", AT - HOUR, document)
    suggestions.revise(found, said)
    models.Suggestion.update(
        rule=said.rule, text=said.text, change=None, sql=None, undo_sql=None, schema_name="shop", table_name="orders"
    ).where(models.Suggestion.id == found).execute()


def _plan(shop: str) -> None:
    page = history.queries(shop, Window(AT - 2 * HOUR, AT), internal=True)
    report = next(row.id for row in page.rows if row.key == "report")
    scan = PlanNode(
        "0.0.0", "Seq Scan", 0.0, 3_517.0, 204.0, 24, schema="shop", table="orders", alias="o",
        conditions={"Filter": "(o.placed_at > (now() - '1 day'::interval))"},
    )  # fmt: skip
    other = PlanNode(
        "0.0.1", "Index Scan", 0.3, 15.1, 2.0, 16, schema="shop", table="order_items", alias="i", index="i_pkey"
    )
    loop = PlanNode("0.0", "Nested Loop", 0.3, 6_600.0, 408.0, 40, (scan, other))
    top = PlanNode("0", "Aggregate", 6_700.0, 6_785.0, 69.0, 40, (loop,), group_keys=("c.name", "month"))
    history.save_plan(report, Plan(top, "custom", "h", {}, STATEMENTS["report"], ("30", "month")))
    models.Plan.update(taken_at=AT - 2 * HOUR, last_seen_at=AT - HOUR).execute()
