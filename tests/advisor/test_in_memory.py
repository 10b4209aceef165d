"""Plans whose pages are in memory: how often they go to one, and what is not advised because of it."""

from __future__ import annotations

import json

import pytest

from meshag_tui.advisor.in_memory import found_in_memory, in_memory
from meshag_tui.advisor.statistics import tables_of
from meshag_tui.types import CreateIndex
from tests.advisor.conftest import Connect, Watch, by_rule
from tests.rig.postgres import Database

STORE = """
CREATE TABLE regions (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO regions SELECT g, 'region ' || g FROM generate_series(0, 3) g;
CREATE TABLE buyers (id int PRIMARY KEY, region int NOT NULL, name text NOT NULL);
INSERT INTO buyers SELECT g, g * 7919 % 4, repeat('x', 20) FROM generate_series(1, 4000) g;
CREATE TABLE orders (id int PRIMARY KEY, buyer int NOT NULL, price int NOT NULL, note text NOT NULL);
INSERT INTO orders SELECT g, 1 + g * 7919 % 4000,
    (hashint4(g) & 1023) % 900, repeat('n', 60) FROM generate_series(1, 60000) g;
"""
REPORT = (
    "SELECT sum(length(o.note)) FROM regions r JOIN buyers b ON b.region = r.id JOIN orders o ON o.buyer = b.id "
    "WHERE r.name = 'region 2'"
)


@pytest.fixture
def store(pg15: Database) -> Database:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute("CREATE EXTENSION hypopg", STORE, "VACUUM ANALYZE", "VACUUM")
    pg15.execute(f"ALTER DATABASE {pg15.name} SET random_page_cost = 1.1")
    return pg15


async def test_visits_are_as_many_as_the_server_counts(watch: Watch, store: Database, connect: Connect) -> None:
    store.execute("CREATE INDEX by_buyer ON orders (buyer)", "CREATE INDEX by_price ON orders (price)", "VACUUM orders")
    shop = watch(store)
    await shop.sync()
    off = {}
    async with connect(store) as session:
        statistics = {
            ("public", name): await session.column_statistics("public", name) for name in ("orders", "buyers")
        }
        tables, costs = tables_of(shop.catalog(), statistics), session.facts.costs
        for statement in (
            REPORT,  # look-ups all over the table
            "SELECT sum(price) FROM orders",
            "SELECT sum(length(note)) FROM orders WHERE price < 20",  # a bitmap
            "SELECT sum(o.price) FROM buyers b JOIN orders o ON o.id = b.id WHERE b.region = 1",  # side by side
            "SELECT count(*) FROM orders WHERE id BETWEEN 1000 AND 30000",  # the index alone
            "SELECT count(note) FROM orders WHERE id BETWEEN 5000 AND 30000 AND price < 450",  # a filter
            "SELECT id, note FROM orders ORDER BY price LIMIT 3000",
        ):
            visits = in_memory(await session.explain(statement), tables, costs).visits
            found = store.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")[0][0]
            top = (found if isinstance(found, list) else json.loads(found))[0]["Plan"]
            off[statement] = visits / (top["Shared Hit Blocks"] + top["Shared Read Blocks"])
    assert all(0.6 < ratio < 1.6 for ratio in off.values()), sorted(off.values())


async def test_what_the_server_counted_says_whether_pages_are_in_memory(watch: Watch, store: Database) -> None:
    shop = watch(store)
    await shop.work(REPORT, times=3)
    (query,) = [one for one in shop.workload() if one.text and "FROM regions" in one.text]
    seen = ((query.shared_hit or 0) + (query.shared_read or 0)) / query.calls
    read = query._replace(shared_hit=0, shared_read=90, io_time_ms=None)
    assert found_in_memory(query._replace(shared_read=0), seen) == 1
    assert found_in_memory(read, seen) == 0
    assert found_in_memory(read._replace(io_time_ms=query.total_time_ms / 4), seen) == pytest.approx(0.75)
    assert found_in_memory(query, seen / 10) == 0  # the planner knows less of it than is needed


async def test_no_index_for_look_ups_that_take_longer_in_memory_than_the_scan(watch: Watch, store: Database) -> None:
    """The planner promises a third less of the report: it takes every second visit to a page as free."""
    looked_up = "SELECT note FROM orders WHERE buyer = 44"
    seldom, often = watch(store), watch(store)
    await seldom.work(looked_up, times=1)
    await seldom.work(REPORT, times=20)
    await often.work(looked_up, times=800)
    await often.work(REPORT, times=1)
    found = [
        {
            one.change.spec.columns[0].name
            for one in by_rule(await shop.advice(), "missing-index")
            if isinstance(one.change, CreateIndex)
        }
        for shop in (seldom, often)
    ]
    assert "buyer" not in found[0] and "buyer" in found[1]
