"""Each rule fires on a plan that has its trouble, at the right node, and none on a plan that has not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshag_tui.advisor.bottlenecks import bottlenecks
from meshag_tui.advisor.costs import memory_setting, weigh
from meshag_tui.engines.postgres.plantree import read_plan
from meshag_tui.plan import Bottleneck
from tests.advisor.conftest import Connect, Watch
from tests.rig.postgres import Database

SCHEMA = """
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total int NOT NULL, note text NOT NULL);
INSERT INTO orders SELECT g, g % 5000, g % 900, repeat('n', 60) FROM generate_series(1, 60000) g;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, region int NOT NULL);
INSERT INTO customers SELECT g, 'c' || g, g % 7 FROM generate_series(0, 4999) g;
CREATE INDEX orders_total ON orders (total);
"""


async def rules(connect: Connect, database: Database, statement: str, *, before: str = "") -> list[Bottleneck]:
    database.execute(SCHEMA, before or "SELECT 1", "VACUUM ANALYZE")
    async with connect(database) as session:
        plan = await session.explain(statement)
        found = bottlenecks(plan)
        nodes = {one.node.path: one.node for one in weigh(plan)}
        assert all(one.node_path in nodes and 0 <= one.share <= 1 for one in found)
        return [*found]


async def test_a_table_read_for_a_few_rows(connect: Connect, pg: Database) -> None:
    found = await rules(connect, pg, "SELECT sum(total) FROM orders WHERE customer_id = 7")
    assert [one.rule for one in found] == ["filtered-seq-scan"]
    assert found[0].node_path != "0" and found[0].severity == "high" and "orders" in found[0].text


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM orders WHERE id = 5",
        "SELECT count(*) FROM orders",
        "SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 5",
        "SELECT * FROM orders ORDER BY id LIMIT 20",
        "UPDATE orders SET total = 0 WHERE id = 9",
        "SELECT customer_id, sum(total) FROM orders WHERE total = 5 GROUP BY 1",
    ],
)
async def test_a_good_plan_has_none(connect: Connect, pg18: Database, statement: str) -> None:
    assert await rules(connect, pg18, statement) == []


async def test_rows_skipped_by_an_offset(connect: Connect, pg18: Database) -> None:
    found = await rules(connect, pg18, "SELECT id FROM orders ORDER BY id LIMIT 20 OFFSET 50000")
    assert [one.rule for one in found] == ["large-offset"]
    assert found[0].node_path == "0" and "50,000" in found[0].text


async def test_the_inner_side_of_a_loop_counts_as_often_as_it_runs(connect: Connect, pg18: Database) -> None:
    statement = "SELECT o.note, c.name FROM customers c JOIN orders o ON o.id = c.id * 3 OR o.id = c.id * 5"
    found = await rules(connect, pg18, statement)
    loop = next(one for one in found if one.rule == "nested-loop-repeats")
    assert loop.share > 0.9 and "times" in loop.text


async def test_shares_add_up_to_the_whole(connect: Connect, pg18: Database) -> None:
    pg18.execute(SCHEMA, "VACUUM ANALYZE")
    async with connect(pg18) as session:
        for statement in (
            "SELECT name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE total = 5 ORDER BY 1 LIMIT 3",
            "SELECT * FROM orders WHERE note = 'x' LIMIT 1",
            "SELECT c.name, (SELECT max(total) FROM orders o WHERE o.id = c.id) FROM customers c",
            "SELECT region, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY 1 ORDER BY 2 DESC",
        ):
            plan = await session.explain(statement)
            assert sum(one.share for one in weigh(plan)) == pytest.approx(1.0, abs=0.02), statement


async def test_what_settings_keep_a_plan_from(watch: Watch, pg18: Database) -> None:
    """A scan by one process where more are worth it, and joins in the order they are written."""
    parallel_unsafe = "CREATE FUNCTION odd(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 2 = 1; END'"
    pg18.execute(SCHEMA, parallel_unsafe, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()

    def named(statement: str, rule: str, **settings: str) -> list[Bottleneck]:
        with pg18.connect() as connection, connection.transaction():
            for name, value in settings.items():
                connection.execute(f"SET LOCAL {name} = '{value}'")
            ((document,),) = connection.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) {statement}").fetchall()
        facts = replace(catalog.facts, settings={**catalog.facts.settings, **settings})
        found = bottlenecks(read_plan(document, "literal", statement), replace(catalog, facts=facts).for_plans)
        return [one for one in found if one.rule == rule]

    whole = "SELECT sum(total) FROM orders WHERE note = 'x'"
    small = {"min_parallel_table_scan_size": "64kB"}
    (one,) = named(whole, "parallel-shortfall", max_parallel_workers_per_gather="0", **small)
    assert one.node_path == "0.0" and "per_gather is 0: SET it to 5" in one.text and "Seq Scan on orders" in one.text
    (one,) = named("SELECT sum(total) FROM orders WHERE odd(customer_id)", "parallel-shortfall", **small)
    assert "not marked PARALLEL SAFE" in one.text
    free = {"max_parallel_workers_per_gather": "4", "parallel_setup_cost": "0", "max_parallel_workers": "4"}
    assert named(whole, "parallel-shortfall", **free, **small) == []
    assert named(whole, "parallel-shortfall", max_parallel_workers_per_gather="0") == []  # it is small as it is
    update = "UPDATE orders SET total = 1 WHERE note = 'x'"
    assert named(update, "parallel-shortfall", max_parallel_workers_per_gather="0", **small) == []

    written = (
        "SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id JOIN orders p ON p.id = o.id AND p.id < 9"
    )
    (one,) = named(written, "join-order", join_collapse_limit="1")
    assert one.node_path.startswith("0.") and "3 relations are more than join_collapse_limit (1)" in one.text
    assert "rows together, and Hash Join at node 0 keeps" in one.text and "(p) is asked for by o alone" in one.text
    assert named(written, "join-order", join_collapse_limit="8") == []
    needs_both = written.replace("p.id = o.id", "p.id = o.id + c.region")
    assert named(needs_both, "join-order", join_collapse_limit="1") == []


def test_memory_settings_are_read_in_every_form() -> None:
    settings = {"a": "4MB", "b": "4194304", "c": "1 GB", "d": "64kB", "e": "nonsense"}
    assert [memory_setting(settings, name) for name in "abcdef"] == [4 << 20, 4 << 20, 1 << 30, 64 << 10, None, None]
