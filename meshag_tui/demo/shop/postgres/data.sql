-- About 1.1 million rows, made by the server itself. Modular arithmetic instead of random(): every run is the same shop.
-- Recent rows are made dense and old ones sparse by squaring, as in a shop that grows.
INSERT INTO shop.categories (id, parent_id, slug, name)
SELECT n, nullif(n / 8, 0), 'category-' || n, (ARRAY['Garden', 'Kitchen', 'Books', 'Toys', 'Sport', 'Music'])[1 + n % 6] || ' ' || n
FROM generate_series(1, 60) AS n;

INSERT INTO shop.products (id, category_id, sku, name, description, price_cents, active, attributes)
SELECT n, 1 + n % 60, 'SKU-' || lpad(n::text, 6, '0'),
       (ARRAY['Steel', 'Oak', 'Linen', 'Glass', 'Cotton', 'Copper', 'Paper'])[1 + n % 7] || ' '
           || (ARRAY['lamp', 'chair', 'kettle', 'notebook', 'ball', 'rug', 'clock', 'bag'])[1 + n % 8] || ' ' || n,
       repeat('A thing worth having. ', 3 + n % 9), 199 + (n * 7919) % 49800, n % 23 <> 0,
       jsonb_build_object('colour', (ARRAY['red', 'green', 'blue', 'black'])[1 + n % 4], 'weight_g', 50 + (n * 31) % 9000)
FROM generate_series(1, 6000) AS n;

INSERT INTO shop.inventory (product_id, warehouse, quantity)
SELECT p, w, (p * 13 + w * 7) % 400 FROM generate_series(1, 6000) AS p, generate_series(1, 2) AS w;

INSERT INTO shop.customers (id, email, name, country, segment, created_at)
SELECT n, 'customer' || n || '@example.com', 'Customer ' || n,
       (ARRAY['DE', 'DE', 'DE', 'AT', 'CH', 'FR', 'NL', 'PL', 'IT', 'ES'])[1 + n % 10],
       CASE WHEN n % 50 = 0 THEN 'vip' WHEN n % 7 = 0 THEN 'business' ELSE 'consumer' END,
       now() - make_interval(secs => 94608000 * (1 - (n / 40000::float8) ^ 0.5))
FROM generate_series(1, 40000) AS n;

INSERT INTO shop.sessions (id, customer_id, token, user_agent, started_at, last_seen_at)
SELECT n, CASE WHEN n % 3 > 0 THEN 1 + (n * 17) % 40000 END, md5('session' || n),
       'Mozilla/5.0 (' || (ARRAY['X11; Linux x86_64', 'Windows NT 10.0', 'iPhone; CPU iPhone OS 17_5'])[1 + n % 3] || ')',
       now() - make_interval(secs => (60000 - n) * 12), now() - make_interval(secs => (60000 - n) * 12 - n % 900)
FROM generate_series(1, 60000) AS n;

INSERT INTO shop.orders (id, customer_id, status, total_cents, channel, note, placed_at, updated_at)
SELECT n, 1 + (n::bigint * 7919) % 40000,
       (CASE WHEN n > 148500 THEN 'pending' WHEN n > 147000 THEN 'paid' WHEN n > 144000 THEN 'shipped'
             WHEN n % 37 = 0 THEN 'cancelled' WHEN n % 61 = 0 THEN 'refunded' ELSE 'delivered' END)::shop.order_status,
       500 + (n::bigint * 104729) % 45000, (ARRAY['web', 'web', 'web', 'app', 'app', 'phone'])[1 + n % 6],
       CASE WHEN n % 20 = 0 THEN 'Please leave with the neighbours' END,
       now() - make_interval(secs => 63072000 * (1 - (n / 150000::float8) ^ 0.6)),
       now() - make_interval(secs => 63072000 * (1 - (n / 150000::float8) ^ 0.6) * 0.99)
FROM generate_series(1, 150000) AS n;

INSERT INTO shop.order_items (order_id, product_id, quantity, price_cents)
SELECT o, 1 + (o::bigint * 31 + i * 1009) % 6000, 1 + (o + i) % 3, 199 + ((o::bigint * 31 + i * 1009) % 6000 * 7919) % 49800
FROM generate_series(1, 150000) AS o, generate_series(1, 2) AS i;

INSERT INTO shop.payments (order_id, provider, reference, amount_cents, state, paid_at)
SELECT id, (ARRAY['card', 'card', 'paypal', 'invoice'])[1 + id % 4], 'PAY-' || md5(id::text), total_cents,
       CASE status WHEN 'pending' THEN 'open' WHEN 'refunded' THEN 'refunded' ELSE 'settled' END,
       CASE WHEN status <> 'pending' THEN placed_at + interval '3 minutes' END
FROM shop.orders WHERE status <> 'cancelled';

INSERT INTO shop.reviews (product_id, customer_id, rating, body, created_at)
SELECT 1 + (n * 37) % 6000, 1 + (n * 7907) % 40000, 1 + (n * 3 + n / 7) % 5, repeat('Does what it should. ', 1 + n % 6),
       now() - make_interval(mins => (50000 - n) * 20)
FROM generate_series(1, 50000) AS n;

INSERT INTO shop.events (session_id, kind, payload, occurred_at)
SELECT 1 + (n * 7) % 60000,
       CASE WHEN n % 400 = 0 THEN 'payment_failed' WHEN n % 25 = 0 THEN 'checkout' WHEN n % 5 = 0 THEN 'add_to_cart' ELSE 'page_view' END,
       jsonb_build_object('path', '/product/' || (n * 37) % 6000, 'ms', 20 + n % 700),
       now() - make_interval(secs => (200000 - n) * 4)
FROM generate_series(1, 200000) AS n;

INSERT INTO shop.audit_log (id, actor, action, subject, at)
SELECT n, 'clerk' || n % 12, (ARRAY['refund', 'price change', 'login', 'export'])[1 + n % 4], 'order ' || (n * 7) % 150000,
       now() - make_interval(mins => (5000 - n) * 60)
FROM generate_series(1, 5000) AS n;
