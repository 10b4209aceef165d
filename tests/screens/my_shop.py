"""The same shop on MariaDB: what its server counts, an index that is hidden, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

from meshag_tui.engines.mysql.written import as_written
from meshag_tui.settings import Settings
from meshag_tui.snapshot import CostModel, IndexKey, Snapshot, Statements, StatementText, Traits
from meshag_tui.store import connections, history, models, snapshots, suggestions
from meshag_tui.store.vault import Vault
from meshag_tui.types import (
    CreateIndex,
    DropIndex,
    EvidenceKind,
    Finding,
    IndexColumn,
    IndexSpec,
    Risk,
    Suggestion,
    SuggestionPriority,
    SuggestionType,
    Target,
    Window,
)
from tests.screens.picture import AT, DAY, HOUR, MINUTE, filled
from tests.store.readings import Watched, text

_DIGESTS = {
    "orders": "SELECT `id` , `status` , `total_cents` FROM `orders` WHERE `customer_id` = ?",
    "report": "SELECT `c` . `name` , SUM ( `i` . `price_cents` ) AS `cents` FROM `orders` `o` JOIN `order_items` `i` "
    "ON `i` . `order_id` = `o` . `id` JOIN `categories` `c` ON `c` . `id` = `i` . `category_id` GROUP BY `c` . `name`",
    "events": "SELECT `id` , `payload` FROM `events` WHERE `kind` = ? ORDER BY `occurred_at` DESC LIMIT ?",
    "basket": "UPDATE `carts` SET `updated_at` = NOW ( ) WHERE `session_id` = ?",
    "long": "SELECT " + " , ".join(f"`column_{number}`" for number in range(40)),
}
STATEMENTS = {name: as_written(digest) for name, digest in _DIGESTS.items()}
_COLUMNS = (
    *("calls", "total_time_ms", "rows", "min_time_ms", "max_time_ms"),
    *("rows_examined", "no_index_calls", "tmp_tables", "tmp_disk_tables", "sort_merge_passes"),
)
# calls a minute, ms a call, rows read by a call, whether without an index, whether with temporary tables on disk
_WORK = {
    "orders": (40, 26.0, 90_000, True, False),
    "report": (1, 640.0, 420_000, True, True),
    "events": (9, 58.0, 9_100, False, False),
    "basket": (120, 0.08, 1, False, False),
    "long": (2, 3.0, 40, False, False),
}
PERFORMANCE_SCHEMA_OFF = Finding(
    "performance-schema-off",
    "missing",
    "The server counts no statements: performance_schema is off",
    "Queries, their times and the use of indexes are not counted. Tables, indexes and sizes are shown all the same",
    "In my.cnf under [mysqld] set performance_schema = ON, then restart the server",
)


def fill(settings: Settings, *, warnings: tuple[Finding, ...] = ()) -> str:
    """Make the store and fill it; the id of its connection "shop"."""
    return filled(settings.home, _fill_open, warnings)


def _fill_open(vault: Vault, warnings: tuple[Finding, ...]) -> str:
    target = Target.from_url("mariadb://watcher@db2.example.org/shop")
    shop = connections.add("shop", target, vault).id
    server = Watched(at=AT - 61 * MINUTE - 12_000)
    _objects(server)
    totals = {key: [0.0] * len(_COLUMNS) for key in _WORK}
    for minute in range(61):
        for key, work in _WORK.items():
            _run(totals[key], minute, *work)
        server.index("orders_id", scans=900).index("status", scans=30, table="orders")
        texts = [_text(key, sql) for key, sql in STATEMENTS.items()] if minute == 0 else ()
        snapshot = _snapshot(server, totals, unread=bool(warnings))
        snapshots.write(shop, snapshot, texts)
    connections.synced(shop, snapshot.facts, warnings, AT + 48_000)
    models.Connection.update(
        last_sync_at=AT - 12_000, created_at=AT - 9 * DAY, updated_at=AT, warnings=[each._asdict() for each in warnings]
    ).where(models.Connection.id == shop).execute()
    _advise(shop)
    return shop


def _text(key: str, sql: str) -> StatementText:
    kind = "update" if key == "basket" else "select"
    return text(key, sql, fingerprint=key, kind=kind, state="cut" if key == "long" else "ok", user=None)


def _run(total: list[float], minute: int, calls: int, ms: float, read: int, whole: bool, on_disk: bool) -> None:
    busy = calls + minute * 7 % (calls // 2 + 1)
    more = (busy, busy * ms, busy * 3, 0, 0, busy * read, busy * whole, busy * on_disk * 2, busy * on_disk, 0)
    for place, value in enumerate(more):
        total[place] += value
    total[3], total[4] = ms * 0.8, ms * 1.7


def _snapshot(server: Watched, totals: dict[str, list[float]], *, unread: bool) -> Snapshot:
    found = server.snapshot()
    facts = replace(
        found.facts,
        engine="MariaDB",
        version="10.11.18",
        version_number=101118,
        block_size=16_384,
        costs=CostModel(1.0, 0.25, 0.1, 0.05, 0.05),
        hides_indexes=True,
        traits=Traits(("btree",), False, False, False, False, 3072, False, False, True),
    )
    rows = [(key, *values) for key, values in totals.items()]
    statements = None if unread else Statements(_COLUMNS, rows, hidden=7, hidden_time_ms=sum(r[2] for r in rows) / 40)
    return replace(found, facts=facts, statements=statements)


def _objects(server: Watched) -> None:
    for name, size in (("orders", 90_000_000), ("events", 40_000_000)):
        server.table(name, schema="shop", size_bytes=size, index_bytes=size // 3, live_rows=size // 600)
    key = IndexKey("status", None, "", None, False, False)
    for name, column, more in (
        ("PRIMARY", "id", {"unique": True, "primary": True, "constraint": "PRIMARY", "size_bytes": 90_000_000}),
        ("status", "status", {"size_bytes": 1_900_000}),
        ("status_copy", "status", {"size_bytes": 1_900_000}),
        ("updated_at", "updated_at", {"size_bytes": 5_200_000, "hidden": True}),
    ):
        definition = f"CREATE INDEX `{name}` ON `shop`.`orders` (`{column}`)"
        suffix = () if name == "PRIMARY" else ("id",)
        keys = (replace(key, column=column),)
        server.index(
            "orders_id" if name == "PRIMARY" else name, 0, schema="shop", definition=definition, keys=keys,
            rows_read=None, rows_fetched=None, suffix=suffix, **more,
        )  # fmt: skip
    assert server.indexes is not None
    server.indexes["orders_id"] = replace(server.indexes["orders_id"], name="PRIMARY")


def _advise(shop: str) -> None:
    page = history.queries(shop, Window(AT - 2 * HOUR, AT), internal=True)
    ids = {row.key: row.id for row in page.rows}
    common = {"schema": "shop", "table": "orders", "type": SuggestionType.INDEX_OPTIMIZATION}
    spec = IndexSpec("shop", "orders", (IndexColumn("customer_id"),))
    saved = suggestions.save(shop, [
        Suggestion(
            rule="missing-index", identity="a", priority=SuggestionPriority.HIGH,
            title="Index orders (customer_id): about 51 % of all query time",
            text="It takes 26 ms a call, and reads 90,000 rows a call to return 3.",
            evidence_kind=EvidenceKind.STATED, evidence={"kind": "stated", "facts": ["reckoned cost 9,004 → 22"]},
            confidence=0.65, risk=Risk.MEDIUM, change=CreateIndex(spec),
            query_ids=(ids["orders"],) if ids else (),
            sql="ALTER TABLE `shop`.`orders` ADD INDEX `orders_customer_id_idx` (`customer_id`), ALGORITHM=NOCOPY, "
            "LOCK=NONE",
            undo_sql="ALTER TABLE `shop`.`orders` DROP INDEX `orders_customer_id_idx`, ALGORITHM=NOCOPY, LOCK=NONE",
            **common,
        ),
        Suggestion(
            rule="duplicate-index", identity="b", priority=SuggestionPriority.MEDIUM,
            title="Drop status_copy: the same index as status",
            text="status_copy and status on orders are the same in every respect. Dropping it frees 1.8 MB and "
            "spares each write one index.",
            evidence_kind=EvidenceKind.COUNTED, evidence={"kind": "counted", "facts": ["keep: status"]},
            confidence=0.95, risk=Risk.HIGH, change=DropIndex("shop", "orders", "status_copy"),
            sql="ALTER TABLE `shop`.`orders` DROP INDEX `status_copy`, ALGORITHM=NOCOPY, LOCK=NONE",
            undo_sql="ALTER TABLE `shop`.`orders` ADD INDEX `status_copy` (`status`), ALGORITHM=NOCOPY, LOCK=NONE",
            **common,
        ),
    ])  # fmt: skip
    row = models.Suggestion
    for number, made in enumerate(saved.ids, start=1):
        known = {"id": f"sug_{number:016d}", "created_at": AT - 3 * HOUR, "last_found_at": AT - HOUR}
        row.update(**known).where(row.id == made).execute()
    row.update(updated_at=AT - HOUR).execute()
