"""What running a plan shows: each rule on a plan that was run and has its trouble, and none on one that has not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from meshag_tui.advisor.bottlenecks import bottlenecks
from meshag_tui.advisor.costs import weigh
from meshag_tui.engines.postgres.plantree import read_plan
from meshag_tui.plan import Bottleneck, Plan
from tests.advisor.conftest import Watch
from tests.rig.postgres import Database

SCHEMA = """
CREATE TABLE orders (id int PRIMARY KEY, city int NOT NULL, country int NOT NULL, total int NOT NULL,
    note text NOT NULL);
INSERT INTO orders SELECT g, g % 300, g % 300 / 10, g % 900, repeat('n', 150) FROM generate_series(1, 60000) g;
CREATE TABLE cities (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO cities SELECT g, 'c' || g FROM generate_series(0, 299) g;
CREATE INDEX orders_total ON orders (total);
CREATE INDEX orders_city ON orders (city);
"""
CITY = "SELECT count(*) FROM orders WHERE city = 77 AND country = 7"

# The trouble, what is set for the statement, the statement, and what the text must say.
TROUBLES = [
    ("row-estimate", "", CITY, "takes city, country for independent: CREATE STATISTICS (dependencies)"),
    ("row-estimate", "", "SELECT city, country FROM orders GROUP BY 1, 2", "combinations of (city, country)"),
    ("row-estimate", "", "SELECT id FROM orders WHERE upper(note) LIKE 'N%'", "upper() has no statistics"),
    ("sort-spill", "SET LOCAL work_mem = '256kB'", "SELECT id FROM orders ORDER BY note, id", "would hold it"),
    ("hash-spill", "SET LOCAL work_mem = '64kB'; SET LOCAL enable_sort = off",
     "SELECT note || id, count(*) FROM orders GROUP BY 1", "batches"),
    ("lossy-bitmap", "SET LOCAL work_mem = '64kB'; SET LOCAL enable_indexscan = off; SET LOCAL enable_seqscan = off",
     "SELECT note FROM orders WHERE total > 50", "work_mem of 4MB"),
    ("rows-removed", "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off",
     "SELECT note FROM orders WHERE total > 5 AND note = 'x'", "threw away 59,"),
    ("parallel-shortfall", "SET LOCAL max_parallel_workers = 0; SET LOCAL max_parallel_workers_per_gather = 2; "
     "SET LOCAL parallel_setup_cost = 0; SET LOCAL min_parallel_table_scan_size = 0",
     "SELECT count(*) FROM orders WHERE note = 'x'", "planned for 2 workers and got 0"),
    ("join-misjudged", "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
     "SET LOCAL enable_memoize = off; SET LOCAL enable_material = off",
     "SELECT c.name FROM orders o JOIN cities c ON c.id = o.city WHERE upper(o.note) LIKE 'N%' AND length(note) > 2",
     "so Index Scan on cities ran 60,000 times"),
    ("join-order", "SET LOCAL join_collapse_limit = 1",
     "SELECT o.id FROM orders o JOIN orders p ON p.id = o.id JOIN cities c ON c.id = o.city "
     "WHERE upper(o.note) LIKE 'N%' AND c.name = 'c7'", "(c) is asked for by o alone"),
]  # fmt: skip


def run(database: Database, before: str, statement: str) -> Plan:
    with database.connect() as connection, connection.transaction():
        connection.execute(f"SET LOCAL jit = off; {before}")
        ((document,),) = connection.execute(f"EXPLAIN (ANALYZE, VERBOSE, FORMAT JSON) {statement}").fetchall()
    return read_plan(document, "literal", statement)


def found(plan: Plan) -> list[Bottleneck]:
    nodes = {one.node.path for one in weigh(plan)}
    named = [*bottlenecks(plan)]
    assert all(one.node_path in nodes and 0 <= one.share <= 1 for one in named)
    return named


async def test_each_trouble_is_named_where_it_is(pg15: Database) -> None:
    pg15.execute(SCHEMA, "VACUUM ANALYZE")
    for rule, before, statement, said in TROUBLES:
        plan = run(pg15, before, statement)
        mine = [one.text for one in found(plan) if one.rule == rule]
        assert len(mine) == 1 and said in mine[0], (statement, rule, mine)
    for statement in (
        "SELECT * FROM orders WHERE id = 5",
        "SELECT count(*) FROM orders",
        "SELECT c.name FROM orders o JOIN cities c ON c.id = o.city WHERE o.total = 7",
        "SELECT id FROM orders ORDER BY id LIMIT 10",
        "SELECT id FROM orders WHERE total = 5 ORDER BY id",
    ):
        assert found(run(pg15, "", statement)) == [], statement
    pg15.execute("CREATE STATISTICS of_city (dependencies) ON city, country FROM orders", "ANALYZE orders")
    assert "row-estimate" not in {one.rule for one in found(run(pg15, "", CITY))}


async def test_a_plan_that_took_long_to_compile(pg15: Database) -> None:
    """Servers of packages are built without a compiler, so what one with it says is put beside a plan that was run."""
    pg15.execute(SCHEMA, "VACUUM ANALYZE")
    plan = run(pg15, "", "SELECT count(*) FROM orders WHERE city + total = 9")
    took = plan.document[0]["Execution Time"]
    said = {"Functions": 7, "Options": {"Inlining": True}, "Timing": {"Generation": 2.1, "Total": 300.0}}

    def compiled(whole: float) -> list[str]:
        document = [{**plan.document[0], "JIT": said, "Execution Time": whole}]
        return [one.text for one in found(replace(plan, document=document)) if one.rule == "jit-overhead"]

    (text,) = compiled(took + 300)
    assert "Compiling 7 functions (JIT) took 300 ms" in text and "raise jit_above_cost" in text
    assert compiled(took + 30_000) == []


async def test_shares_are_of_the_time(pg15: Database) -> None:
    pg15.execute(SCHEMA, "VACUUM ANALYZE")
    parallel = (
        "SET LOCAL max_parallel_workers_per_gather = 2; SET LOCAL parallel_setup_cost = 0; "
        "SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0"
    )
    for before in ("", parallel):
        plan = run(pg15, before, "SELECT city, count(*) FROM orders WHERE note <> 'x' GROUP BY 1 ORDER BY 2")
        assert sum(one.share for one in weigh(plan)) == pytest.approx(1.0, abs=0.1)


async def test_rows_that_an_index_only_scan_looks_up_all_the_same(watch: Watch, pg: Database) -> None:
    pg.execute(SCHEMA, "VACUUM ANALYZE", "UPDATE orders SET note = note || '.'", "ANALYZE")
    shop = watch(pg)
    await shop.sync()
    statement = "SELECT total FROM orders WHERE total BETWEEN 100 AND 200"
    settings = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
    plan = run(pg, settings, statement)
    (one,) = [each for each in found(plan) if each.rule == "heap-fetches"]
    assert "VACUUM orders" in one.text
    with pg.connect() as connection, connection.transaction():
        connection.execute(settings)
        ((document,),) = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement}").fetchall()
    foretold = read_plan(document, "literal", statement)
    (one,) = [each for each in bottlenecks(foretold, shop.catalog().for_plans) if each.rule == "heap-fetches"]
    assert one.node_path == "0" and "not marked all-visible" in one.text
    for _ in range(100):  # a transaction of a background process may still see the old rows
        pg.execute("VACUUM orders")
        if pg.fetch("SELECT relallvisible > 0.9 * relpages FROM pg_class WHERE relname = 'orders'")[0][0]:
            break
        await asyncio.sleep(0.1)
    await shop.sync()
    assert [each for each in bottlenecks(foretold, shop.catalog().for_plans) if each.rule == "heap-fetches"] == []
