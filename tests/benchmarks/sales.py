"""A shop's sales, generated in the server: a large table of facts with skewed values, tables around it, and reports.

Written for this benchmark. Made so that indexes compete: ten reports share columns of one table, some rows are rare,
some columns hang together, and rows are added all the time.
"""

from __future__ import annotations

SCHEMA = """
CREATE TABLE stores (store_id int PRIMARY KEY, city text NOT NULL, region text NOT NULL, opened_on date NOT NULL);
INSERT INTO stores SELECT n, 'city ' || n % 90, 'region ' || n % 12, date '2001-01-01' + n
    FROM generate_series(1, 240) n;
CREATE TABLE products (product_id int PRIMARY KEY, name text NOT NULL, category text NOT NULL, brand int NOT NULL,
    list_price numeric(10, 2) NOT NULL);
INSERT INTO products SELECT n, 'product ' || md5(n::text), 'category ' || floor(40 * power(n / 20000.0, 2)),
    n % 350, 5 + n % 200 FROM generate_series(1, 20000) n;
CREATE TABLE customers (customer_id int PRIMARY KEY, email text NOT NULL, segment text NOT NULL, city text NOT NULL,
    joined_on date NOT NULL);
INSERT INTO customers SELECT n, md5(n::text) || '@example.com', CASE WHEN n % 50 = 0 THEN 'vip' ELSE 'plain' END,
    'city ' || n % 700, date '2015-01-01' + n % 3000 FROM generate_series(1, 60000) n;
CREATE TABLE sales (sale_id bigint PRIMARY KEY, customer_id int NOT NULL, product_id int NOT NULL,
    store_id int NOT NULL, sold_on date NOT NULL, shipped_on date,
    status text NOT NULL, quantity int NOT NULL, price numeric(10, 2) NOT NULL,
    discount numeric(4, 2) NOT NULL, note text NOT NULL);
INSERT INTO sales SELECT n, 1 + floor(60000 * power(r.a, 2)), 1 + floor(20000 * power(r.b, 3)), 1 + floor(240 * r.c),
    date '2020-01-01' + floor(1400 * r.d)::int,
    CASE WHEN r.e > 0.02 THEN date '2020-01-04' + floor(1400 * r.d)::int END,
    CASE WHEN r.e < 0.01 THEN 'open' WHEN r.e < 0.02 THEN 'held' WHEN r.e < 0.06 THEN 'back' ELSE 'done' END,
    1 + n % 9, 5 + n % 200, (n % 10) / 100.0, repeat('n', 40)
    FROM generate_series(1, {rows}) n,
    LATERAL (SELECT random() + 0 * n AS a, random() AS b, random() AS c, random() AS d, random() AS e) r;
CREATE TABLE refunds (refund_id int PRIMARY KEY, sale_id bigint NOT NULL, amount numeric(10, 2) NOT NULL,
    reason text NOT NULL, made_on date NOT NULL);
INSERT INTO refunds SELECT n, 1 + n * 7919::bigint % {rows}, n % 90, 'reason ' || n % 15, date '2020-02-01' + n % 1380
    FROM generate_series(1, {rows} / 20) n;
"""

REPORTS = {
    "category in a month": """SELECT p.category, sum(s.price * s.quantity) FROM sales s
        JOIN products p USING (product_id) WHERE s.sold_on >= date '2022-03-01'
        AND s.sold_on < date '2022-04-01' GROUP BY 1 ORDER BY 2 DESC""",
    "orders of a customer": """SELECT sale_id, sold_on, price, note FROM sales WHERE customer_id = 44100
        ORDER BY sold_on DESC LIMIT 20""",
    "open sales": """SELECT s.sale_id, s.note, c.email FROM sales s JOIN customers c USING (customer_id)
        WHERE s.status = 'open' ORDER BY s.sold_on LIMIT 50""",
    "not shipped": "SELECT count(*), min(sold_on) FROM sales WHERE shipped_on IS NULL",
    "stores of a region": """SELECT t.city, count(*), sum(s.price) FROM sales s JOIN stores t USING (store_id)
        WHERE t.region = 'region 7' AND s.sold_on >= date '2023-09-01' GROUP BY 1""",
    "a product": "SELECT sum(quantity), max(sold_on) FROM sales WHERE product_id = 15000",
    "a brand": """SELECT p.product_id, sum(s.quantity * (1 - s.discount)) FROM products p
        JOIN sales s USING (product_id) WHERE p.brand = 33 AND p.list_price > 150 GROUP BY 1""",
    "what important customers buy": """SELECT c.city, sum(s.price) FROM customers c JOIN sales s USING (customer_id)
        WHERE c.segment = 'vip' AND c.joined_on < date '2015-06-01' GROUP BY 1 ORDER BY 2 DESC LIMIT 10""",
    "refunds of a reason": """SELECT s.product_id, sum(r.amount) FROM refunds r JOIN sales s USING (sale_id)
        WHERE r.reason = 'reason 3' AND r.made_on >= date '2023-06-01' GROUP BY 1 ORDER BY 2 DESC LIMIT 20""",
    "sent back without refund": """SELECT count(*) FROM sales s WHERE s.status = 'back'
        AND s.sold_on >= date '2023-01-01' AND NOT EXISTS (SELECT 1 FROM refunds r WHERE r.sale_id = s.sale_id)""",
    "who is it": """SELECT customer_id, joined_on FROM customers
        WHERE email = 'c4ca4238a0b923820dcc509a6f75849b@example.com'""",
    "month by month": "SELECT date_trunc('month', sold_on), sum(price * quantity) FROM sales GROUP BY 1 ORDER BY 1",
    "dear and discounted": """SELECT store_id, count(*) FROM sales WHERE discount = 0.09 AND price > 195
        AND quantity > 7 GROUP BY 1""",
}
"""What runs, by what it is for."""

WRITE = """INSERT INTO sales SELECT sale_id + 100000000, customer_id, product_id, store_id, sold_on, shipped_on, status,
    quantity, price, discount, note FROM sales WHERE sale_id % 40 = 3"""
