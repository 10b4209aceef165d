-- About 1.1 million rows, made by the server itself. Modular arithmetic instead of rand(): every run is the same shop.
-- Recent rows are made dense and old ones sparse by powers, as in a shop that grows.
CREATE TABLE shop.numbers (n int NOT NULL PRIMARY KEY) ENGINE = InnoDB;

INSERT INTO shop.numbers
WITH digits AS (
    SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
)
SELECT 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 100000 * g.d
FROM digits AS g, digits AS f, digits AS e, digits AS c, digits AS b, digits AS a WHERE g.d < 2 ORDER BY 1;

INSERT INTO shop.categories (id, parent_id, slug, name)
SELECT n, nullif(n DIV 8, 0), concat('category-', n),
       concat(elt(1 + n % 6, 'Garden', 'Kitchen', 'Books', 'Toys', 'Sport', 'Music'), ' ', n)
FROM shop.numbers WHERE n <= 60;

INSERT INTO shop.products (id, category_id, sku, name, description, price_cents, active, attributes)
SELECT n, 1 + n % 60, concat('SKU-', lpad(n, 6, '0')),
       concat(elt(1 + n % 7, 'Steel', 'Oak', 'Linen', 'Glass', 'Cotton', 'Copper', 'Paper'), ' ',
              elt(1 + n % 8, 'lamp', 'chair', 'kettle', 'notebook', 'ball', 'rug', 'clock', 'bag'), ' ', n),
       repeat('A thing worth having. ', 3 + n % 9), 199 + (n * 7919) % 49800, n % 23 <> 0,
       json_object('colour', elt(1 + n % 4, 'red', 'green', 'blue', 'black'), 'weight_g', 50 + (n * 31) % 9000)
FROM shop.numbers WHERE n <= 6000;

INSERT INTO shop.inventory (product_id, warehouse, quantity)
SELECT p.n, w.n, (p.n * 13 + w.n * 7) % 400 FROM shop.numbers AS p, shop.numbers AS w WHERE p.n <= 6000 AND w.n <= 2;

INSERT INTO shop.customers (id, email, name, country, segment, created_at)
SELECT n, concat('customer', n, '@example.com'), concat('Customer ', n),
       elt(1 + n % 10, 'DE', 'DE', 'DE', 'AT', 'CH', 'FR', 'NL', 'PL', 'IT', 'ES'),
       CASE WHEN n % 50 = 0 THEN 'vip' WHEN n % 7 = 0 THEN 'business' ELSE 'consumer' END,
       now() - INTERVAL round(94608000 * (1 - pow(n / 40000, 0.5))) SECOND
FROM shop.numbers WHERE n <= 40000;

INSERT INTO shop.sessions (id, customer_id, token, user_agent, started_at, last_seen_at)
SELECT n, CASE WHEN n % 3 > 0 THEN 1 + (n * 17) % 40000 END, left(sha2(concat('session', n), 256), 32),
       concat('Mozilla/5.0 (', elt(1 + n % 3, 'X11; Linux x86_64', 'Windows NT 10.0', 'iPhone; CPU iPhone OS 17_5'), ')'),
       now() - INTERVAL (60000 - n) * 12 SECOND, now() - INTERVAL (60000 - n) * 12 - n % 900 SECOND
FROM shop.numbers WHERE n <= 60000;

INSERT INTO shop.orders (id, customer_id, status, total_cents, channel, note, placed_at, updated_at)
SELECT n, 1 + (n * 7919) % 40000,
       CASE WHEN n > 148500 THEN 'pending' WHEN n > 147000 THEN 'paid' WHEN n > 144000 THEN 'shipped'
            WHEN n % 37 = 0 THEN 'cancelled' WHEN n % 61 = 0 THEN 'refunded' ELSE 'delivered' END,
       500 + (n * 104729) % 45000, elt(1 + n % 6, 'web', 'web', 'web', 'app', 'app', 'phone'),
       CASE WHEN n % 20 = 0 THEN 'Please leave with the neighbours' END,
       now() - INTERVAL round(63072000 * (1 - pow(n / 150000, 0.6))) SECOND,
       now() - INTERVAL round(63072000 * (1 - pow(n / 150000, 0.6)) * 0.99) SECOND
FROM shop.numbers WHERE n <= 150000;

INSERT INTO shop.order_items (order_id, product_id, quantity, price_cents)
SELECT o.n, 1 + (o.n * 31 + i.n * 1009) % 6000, 1 + (o.n + i.n) % 3,
       199 + ((o.n * 31 + i.n * 1009) % 6000 * 7919) % 49800
FROM shop.numbers AS o JOIN shop.numbers AS i ON i.n <= 2 WHERE o.n <= 150000;

INSERT INTO shop.payments (order_id, provider, reference, receipt, amount_cents, state, paid_at)
SELECT id, elt(1 + id % 4, 'card', 'card', 'paypal', 'invoice'), concat('PAY-', left(sha2(id, 256), 32)), 100000 + id, total_cents,
       CASE status WHEN 'pending' THEN 'open' WHEN 'refunded' THEN 'refunded' ELSE 'settled' END,
       CASE WHEN status <> 'pending' THEN placed_at + INTERVAL 3 MINUTE END
FROM shop.orders WHERE status <> 'cancelled';

INSERT INTO shop.reviews (product_id, customer_id, rating, body, created_at)
SELECT 1 + (n * 37) % 6000, 1 + (n * 7907) % 40000, 1 + (n * 3 + n DIV 7) % 5,
       repeat('Does what it should. ', 1 + n % 6), now() - INTERVAL (50000 - n) * 20 MINUTE
FROM shop.numbers WHERE n <= 50000;

INSERT INTO shop.events (session_id, kind, payload, occurred_at)
SELECT 1 + (n * 7) % 60000,
       CASE WHEN n % 400 = 0 THEN 'payment_failed' WHEN n % 25 = 0 THEN 'checkout'
            WHEN n % 5 = 0 THEN 'add_to_cart' ELSE 'page_view' END,
       json_object('path', concat('/product/', (n * 37) % 6000), 'ms', 20 + n % 700),
       now() - INTERVAL (200000 - n) * 4 SECOND
FROM shop.numbers;

INSERT INTO shop.audit_log (id, actor, action, subject, at)
SELECT n, concat('clerk', n % 12), elt(1 + n % 4, 'refund', 'price change', 'login', 'export'),
       concat('order ', (n * 7) % 150000), now() - INTERVAL (5000 - n) * 60 MINUTE
FROM shop.numbers WHERE n <= 5000;
