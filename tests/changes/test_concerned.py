"""Which statements a change concerns: by their text, through views and partitioned parents, or by their plan."""

from __future__ import annotations

from meshag_tui.changes import concerned
from meshag_tui.plan import Plan, PlanNode
from meshag_tui.store import connections, history, models, snapshots
from meshag_tui.types import Target, Window
from meshag_tui.workflows.workbench import Workbench
from tests.changes.conftest import BY_CUSTOMER
from tests.store import readings

TEXTS = {
    "target": "SELECT note FROM orders WHERE customer_id = $1",
    "parent": "SELECT count(*) FROM sales WHERE id = $1",
    "view": "SELECT * FROM recent_orders WHERE id = $1",
    "view of a view": "SELECT * FROM late_orders",
    "through a view": "UPDATE recent_orders SET note = $1",
    "writer": "DELETE FROM public.orders WHERE id = $1",
    "kept apart": "SELECT * FROM orders_summary",
    "by its plan": "SELECT spent($1)",
    "nothing": "SELECT name FROM goods",
}


async def test_what_uses_a_table_by_any_name_is_found(bench: Workbench) -> None:
    target = Target.from_url("postgresql://meshag@nowhere.invalid/shop")
    connection_id = (await bench.connections.add("shop", target)).id

    def write() -> dict[str, int]:
        server = readings.Watched(
            views={
                "public.recent_orders": " SELECT id, note FROM orders WHERE (at > now())",
                "public.late_orders": " SELECT r.id FROM recent_orders r",
                "public.orders_summary": " SELECT count(*) FROM orders",
                "public.goods_list": " SELECT name FROM goods",
            }
        )
        server.table("orders", parent="public.sales", kind="partition").table("sales", kind="partitioned")
        server.table("orders_summary", kind="materialized view")
        kinds = {"through a view": "update", "writer": "delete"}
        texts = [readings.text(name, text, kind=kinds.get(name, "select")) for name, text in TEXTS.items()]
        for _ in range(2):
            for name in TEXTS:
                server.run(name, 10, 2.0)
            snapshot = server.snapshot()
            snapshots.write(connection_id, snapshot, texts, expected_ms=60_000)
        connections.synced(connection_id, snapshot.facts, ())
        return {row.key: row.id for row in models.Query.select()}

    ids = await bench.store(write)
    node = PlanNode("0", "Seq Scan", 0.0, 10.0, 1.0, 8, schema="public", table="orders")
    await bench.store(history.save_plan, ids["by its plan"], Plan(node, "custom", "abc", {}, "SELECT spent(1)"))
    names = await bench.store(concerned.names_of, connection_id, "public", "orders")
    assert set(names) == {"orders", "sales", "recent_orders", "late_orders"}
    everything = Window(0, 10**14)
    found = await bench.store(concerned.watched, connection_id, BY_CUSTOMER, [ids["target"]], everything)
    known = {number: name for name, number in ids.items()}
    assert {known[number]: role for number, role in found.roles.items()} == {
        "target": "target",
        "parent": "reader",
        "view": "reader",
        "view of a view": "reader",
        "through a view": "writer",
        "writer": "writer",
        "by its plan": "reader",
    }
    assert {known[number] for number in found.controls} == {"kept apart", "nothing"}
