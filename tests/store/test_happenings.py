"""The time line of a window: plans, schema, settings, sizes, changes and losses, each said once and in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meshag_tui.plan import Plan, PlanNode
from meshag_tui.snapshot import Column
from meshag_tui.store import history, models, snapshots
from meshag_tui.store.database import Store
from meshag_tui.store.happenings import Happening, happenings
from meshag_tui.types import Window
from tests.store.readings import MINUTE, START, Watched, text

MB = 2**20


def told(store: Store, connection: str, start: int = 0, end: int = 2**52) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in store.run(happenings, connection, Window(start, end)):
        found.setdefault(each.kind, []).append(each.what)
    return found


def synced(store: Store, connection: str, server: Watched, **facts: Any) -> None:
    snapshot = server.snapshot()
    store.run(snapshots.write, connection, replace(snapshot, facts=replace(snapshot.facts, **facts)))


def plan(kind: str, cost: float) -> Plan:
    root = PlanNode(path="0", kind=kind, rows=1.0, width=8, startup_cost=0.0, total_cost=cost)
    return Plan(root=root, mode="generic", hash=kind, document={}, statement="SELECT 1", parameters=())


def test_a_setting_that_is_another_is_said_with_both_values(store: Store, connection: str) -> None:
    server = Watched()
    synced(store, connection, server, settings={"work_mem": "4194304", "jit": "on"})
    synced(store, connection, server, settings={"work_mem": "4194304", "jit": "on"})
    assert told(store, connection) == {}
    synced(store, connection, server, settings={"work_mem": "65536"})
    assert told(store, connection) == {"setting": ["work_mem was 4194304, is 65536"]}, "what is hidden now is not gone"
    found = store.run(history.intervals, connection, Window(0, 2**52))
    assert all(each.complete for each in found), "nothing is lost by it"


def test_a_schema_change_names_its_parts(store: Store, connection: str) -> None:
    server = Watched()
    synced(store, connection, server)
    server.columns |= {
        "public.orders": (*server.columns["public.orders"], Column("note", "text", True)),
        "public.extra": (Column("a", "int8", True), Column("b", "int8", True)),
    }
    synced(store, connection, server)
    assert told(store, connection)["schema"] == ["added table public.extra, added column public.orders.note"]


def test_another_plan_is_said_with_both_costs(store: Store, connection: str) -> None:
    server = Watched().run("a")
    store.run(snapshots.write, connection, server.snapshot(), [text("a", "SELECT * FROM orders", fingerprint="a")])
    query_id = store.run(lambda: models.Query.get(models.Query.key == "a").id)
    store.run(history.save_plan, query_id, plan("Index Scan", 8.4))
    store.run(history.save_plan, query_id, plan("Index Scan", 9.0))
    assert "plan" not in told(store, connection), "the first plan of a statement is not another one"
    store.run(history.save_plan, query_id, plan("Seq Scan", 12_000.0))
    found = [each for each in store.run(happenings, connection, Window(0, 2**52)) if each.kind == "plan"]
    assert len(found) == 1 and found[0].query_id == query_id
    assert found[0].what.startswith("another generic plan, cost 9 before, 12,000 now: SELECT * FROM orders")
    kept = {stored.id: stored.plan.root.kind for stored in store.run(history.plans, query_id)}
    assert found[0].plans is not None and [kept[each] for each in found[0].plans] == ["Index Scan", "Seq Scan"]


def test_tables_that_grew_are_said_and_small_ones_are_not(store: Store, connection: str) -> None:
    server = Watched().table("orders", size_bytes=100 * MB).table("tiny", size_bytes=MB)
    synced(store, connection, server)
    server.table("orders", inserts=5, size_bytes=110 * MB).table("tiny", inserts=5, size_bytes=2 * MB)
    synced(store, connection, server)
    server.table("orders", inserts=5, size_bytes=150 * MB).table("tiny", inserts=5, size_bytes=3 * MB)
    synced(store, connection, server)
    assert told(store, connection)["size"] == ["public.orders: 110 MB before, 150 MB now (+36%)"]


def test_the_newest_is_first_and_only_the_window_counts(store: Store, connection: str) -> None:
    server = Watched()
    for value in ("1", "2", "3"):
        synced(store, connection, server, settings={"jit": value})
    whole: tuple[Happening, ...] = store.run(happenings, connection, Window(0, 2**52))
    assert [each.what for each in whole] == ["jit was 2, is 3", "jit was 1, is 2"]
    assert told(store, connection, START, START + 2 * MINUTE) == {"setting": ["jit was 1, is 2"]}
