"""The same rules on plans of MySQL and MariaDB: each fires on a plan with its trouble, and none on one that has not."""

from __future__ import annotations

import pytest

from meshag_tui.advisor.bottlenecks import bottlenecks
from meshag_tui.advisor.costs import weigh
from meshag_tui.plan import Bottleneck
from tests.advisor.conftest import Connect
from tests.rig.mysql import Schema

ROWS = "WITH RECURSIVE g AS (SELECT 1 n UNION ALL SELECT n + 1 FROM g WHERE n < 1000) SELECT n FROM g"
SCHEMA = [
    "CREATE TABLE numbers (n int PRIMARY KEY)",
    f"INSERT INTO numbers {ROWS}",
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total int NOT NULL, note varchar(80) NOT NULL, "
    "code varchar(20), KEY orders_total (total), KEY orders_code (code))",
    "INSERT INTO orders SELECT a.n * 20 + b.n, (a.n * 20 + b.n) % 5000, (a.n * 20 + b.n) % 900, repeat('n', 60), "
    "a.n * 20 + b.n FROM numbers a JOIN numbers b ON b.n <= 20",
    "CREATE TABLE customers (id int PRIMARY KEY, name varchar(20) NOT NULL, region int NOT NULL, old_id int NOT NULL)",
    "INSERT INTO customers SELECT a.n * 5 + b.n, concat('c', a.n), a.n % 7, a.n * 5 + b.n "
    "FROM numbers a JOIN numbers b ON b.n <= 5",
    "ANALYZE TABLE orders, customers",
]


@pytest.fixture
def schema(my: Schema) -> Schema:
    my.execute(*SCHEMA)
    return my


async def rules(connect: Connect, schema: Schema, *statements: str) -> list[list[Bottleneck]]:
    found = []
    async with connect(schema) as session:  # type: ignore[arg-type]
        for statement in statements:
            plan = await session.explain(statement)
            nodes = weigh(plan)
            assert plan.cost == 0 or sum(one.share for one in nodes) == pytest.approx(1.0, abs=0.02), statement
            named = [*bottlenecks(plan)]
            assert {one.node_path for one in named} <= {one.node.path for one in nodes}
            assert all(0 <= one.share <= 1 for one in named)
            found.append(named)
    return found


GOOD = [
    "SELECT * FROM orders WHERE id = 55",
    "SELECT count(*) FROM orders",
    "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 25",
    "SELECT * FROM orders ORDER BY id LIMIT 20",
    "UPDATE orders SET total = 0 WHERE id = 99",
    "SELECT customer_id, sum(total) FROM orders WHERE total = 5 GROUP BY 1",
    "INSERT INTO customers VALUES (1, 'a', 2, 3)",
    "SELECT max(total) FROM orders",
]


async def test_a_good_plan_has_none(connect: Connect, schema: Schema) -> None:
    for statement, found in zip(GOOD, await rules(connect, schema, *GOOD), strict=True):
        assert found == [], statement


async def test_each_trouble_is_named_at_its_node(connect: Connect, schema: Schema) -> None:
    bad = {
        "filtered-seq-scan": "SELECT sum(total) FROM orders WHERE customer_id = 7",
        "large-offset": "SELECT id, note FROM orders ORDER BY id LIMIT 20 OFFSET 15000",
        "nested-loop-repeats": "SELECT o.note, c.name FROM orders o JOIN customers c ON c.id = o.customer_id",
        "index-not-usable": "SELECT * FROM orders WHERE code = 77",
    }
    for (rule, statement), found in zip(bad.items(), await rules(connect, schema, *bad.values()), strict=True):
        assert rule in [one.rule for one in found], statement
        one = next(each for each in found if each.rule == rule)
        assert one.text and one.node_path.startswith("0")
    scan = (await rules(connect, schema, bad["filtered-seq-scan"]))[0]
    assert [one.rule for one in scan] == ["filtered-seq-scan"]
    assert scan[0].node_path != "0" and scan[0].severity == "high" and "orders" in scan[0].text


async def test_rows_that_a_join_without_an_index_compares(connect: Connect, mariadb: Schema) -> None:
    """MySQL hashes them."""
    mariadb.execute(*SCHEMA)
    statement = "SELECT count(*) FROM customers c JOIN orders o ON o.customer_id = c.old_id WHERE c.region = 3"
    found = (await rules(connect, mariadb, statement))[0]
    join = next(one for one in found if one.rule == "join-buffer")
    assert join.share > 0.5 and "compares" in join.text


async def test_sorts_and_temporary_tables_that_go_to_disk(connect: Connect, schema: Schema) -> None:
    """The server's own limits are read with the plan; made small here, what it keeps no longer fits."""
    sort, group = (
        "SELECT note, total FROM orders ORDER BY note",
        "SELECT customer_id, note, count(*) FROM orders GROUP BY customer_id, note",
    )
    keep = schema.fetch("SELECT @@sort_buffer_size, @@tmp_table_size, @@max_heap_table_size")[0]
    try:
        schema.execute("SET GLOBAL sort_buffer_size = 65536", "SET GLOBAL tmp_table_size = 16384")
        spilled = await rules(connect, schema, sort, group)
        schema.execute("SET GLOBAL sort_buffer_size = 268435456", "SET GLOBAL tmp_table_size = 268435456")
        schema.execute("SET GLOBAL max_heap_table_size = 268435456")
        fits = await rules(connect, schema, sort, group)
    finally:
        for name, value in zip(("sort_buffer_size", "tmp_table_size", "max_heap_table_size"), keep, strict=True):
            schema.execute(f"SET GLOBAL {name} = {value}")
    assert "sort-spill" in [one.rule for one in spilled[0]]
    assert "sort_buffer_size" in next(one.text for one in spilled[0] if one.rule == "sort-spill")
    assert "temp-table-spill" in [one.rule for one in spilled[1]]
    assert not {"sort-spill", "temp-table-spill"} & {one.rule for found in fits for one in found}
