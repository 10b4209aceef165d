"""Statements with a label: what must be said of each, and of most nothing: each rule on its trouble and its double."""

from __future__ import annotations

import pytest

from tests.advisor.conftest import Watch, by_rule
from tests.rig.postgres import Database

STORE = """
CREATE TABLE customers (id int PRIMARY KEY, email text NOT NULL, name varchar(80) NOT NULL, code char(8) NOT NULL,
    kind smallint NOT NULL);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customers (id),
    total numeric(10,2) NOT NULL, placed_at timestamptz NOT NULL, ref varchar(20) NOT NULL, note text NOT NULL);
CREATE TABLE docs (id int PRIMARY KEY, owner int NOT NULL, big text NOT NULL);
ALTER TABLE docs ALTER big SET STORAGE EXTERNAL;
INSERT INTO customers SELECT g, 'c' || g || '@x.org', 'Name ' || g, lpad(g::text, 8, '0'), g % 5
    FROM generate_series(1, 20000) g;
INSERT INTO orders SELECT g, g * 7919 % 20000 + 1, g % 900, timestamptz '2024-01-01' + g * interval '3 min', 'R' || g,
    repeat('n', 40) FROM generate_series(1, 60000) g;
INSERT INTO docs SELECT g, g % 60, repeat(md5(g::text), 150) FROM generate_series(1, 2000) g;
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_placed ON orders (placed_at);
CREATE INDEX customers_email ON customers (email);
CREATE INDEX customers_lower ON customers (lower(name));
CREATE INDEX customers_name ON customers (name text_pattern_ops);
CREATE INDEX customers_code ON customers (code);
CREATE INDEX docs_owner ON docs (owner);
"""
FINE = (
    (
        "SELECT * FROM customers WHERE id = 7",
        "SELECT id FROM customers WHERE lower(name) = 'name 77'",
        "SELECT total FROM orders WHERE customer_id = 99 ORDER BY placed_at DESC LIMIT 5",
        "SELECT id, total FROM orders WHERE placed_at >= '2024-03-01' AND placed_at < '2024-03-01 06:00'",
        "SELECT o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.id = 12345",
        "SELECT id FROM customers WHERE code = '00000077'",
        "SELECT id FROM customers WHERE name LIKE 'Name 77%'",
        "SELECT id FROM customers WHERE email = ANY(ARRAY['c1@x.org', 'c2@x.org'])",
    ),
    (
        "SELECT id, placed_at FROM orders ORDER BY placed_at DESC LIMIT 20",
        "SELECT id FROM orders WHERE customer_id IN (1, 2, 3, 4)",
        "UPDATE orders SET note = 'x' WHERE id = 5",
        "SELECT id FROM orders WHERE placed_at::date = '2024-03-01' AND customer_id = 5",
        "SELECT id FROM orders WHERE customer_id = 7 OR id = 9",
        "SELECT id, total FROM orders ORDER BY placed_at LIMIT 20 OFFSET 20",
        "SELECT * FROM docs WHERE id = 7",
    ),
    (
        "SELECT kind, count(*) FROM customers GROUP BY kind",
        "SELECT date_trunc('month', placed_at), sum(total) FROM orders GROUP BY 1",
        "SELECT count(*) FROM customers WHERE id NOT IN (SELECT customer_id FROM orders)",
    ),
)
TROUBLES = {
    "SELECT email FROM customers WHERE id::text = '77'": "implicit-cast",
    "SELECT id FROM customers WHERE code::text = '00000077'": "implicit-cast",
    "SELECT id FROM orders WHERE customer_id = 99.0": "implicit-cast",
    "SELECT count(*) FROM orders WHERE date(placed_at at time zone 'UTC') = '2024-02-02'": "function-on-column",
    "SELECT count(*) FROM orders WHERE extract(year from placed_at) = 2024": "function-on-column",
    "SELECT id FROM orders WHERE customer_id + 0 = 99": "function-on-column",
    "SELECT id, total FROM orders ORDER BY placed_at LIMIT 20 OFFSET 40000": "offset-pagination",
    "SELECT * FROM docs WHERE owner = 7": "select-star",
    "SELECT c.name FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.email = 'c5@x.org' "
    "OR o.ref = 'R5'": "or-across-tables",
    f"SELECT id FROM customers WHERE id IN ({', '.join(str(n * 3) for n in range(1, 300))})": "long-in-list",
    "SELECT id FROM customers WHERE name ILIKE '%77%'": "leading-wildcard",
    "SELECT email FROM customers ORDER BY random() LIMIT 3": "order-by-random",
}


@pytest.mark.parametrize("statements", FINE, ids=["look-ups", "more look-ups", "reports"])
async def test_nothing_is_said_of_what_is_fine(watch: Watch, pg15: Database, statements: tuple[str, ...]) -> None:
    pg15.execute(STORE, "VACUUM ANALYZE", "VACUUM")
    shop = watch(pg15)
    await shop.work(*statements, times=6)
    advice = await shop.advice()
    assert [(one.rule, one.title) for one in advice.suggestions] == [] and advice.notes == ()


@pytest.mark.slow
async def test_trouble_is_named_and_nothing_else(watch: Watch, pg15: Database) -> None:
    pg15.execute(STORE, "VACUUM ANALYZE", "VACUUM")
    said: dict[str, tuple[list[str], tuple[str, ...]]] = {}
    for statement in TROUBLES:
        shop = watch(pg15)  # with a store of its own: nothing is known of the statements before
        await shop.work(statement, times=6)
        advice = await shop.advice()
        said[statement] = [one.rule for one in advice.suggestions], advice.notes
    assert said == {statement: ([rule], ()) for statement, rule in TROUBLES.items()}


async def test_a_sub_query_runs_as_often_as_rows_come_back(watch: Watch, pg15: Database) -> None:
    pg15.execute(STORE, "VACUUM ANALYZE", "VACUUM")
    shop = watch(pg15)
    few = "SELECT c.name, (SELECT max(o.total) FROM orders o WHERE o.customer_id = c.id) FROM customers c WHERE c.id "
    await shop.work(f"{few} BETWEEN 5 AND 9", times=6)
    assert by_rule(await shop.advice(), "correlated-subquery") == []
