-- After the ANALYZE of everything: a table whose statistics know of 200 rows and that has 60,000.
INSERT INTO shop.price_history (product_id, valid_from, price_cents)
SELECT n, now() - interval '2 years', 1000 FROM generate_series(1, 200) AS n;
ANALYZE shop.price_history;
INSERT INTO shop.price_history (product_id, valid_from, price_cents)
SELECT 1 + n % 6000, now() - make_interval(hours => n / 10), 199 + (n * 7919) % 49800 FROM generate_series(1, 60000) AS n;
