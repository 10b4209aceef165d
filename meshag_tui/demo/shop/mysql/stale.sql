-- A table whose statistics know of 200 rows and that has 60,000, then the statistics of everything else.
INSERT INTO shop.price_history (product_id, valid_from, price_cents)
SELECT n, now() - INTERVAL 2 YEAR, 1000 FROM shop.numbers WHERE n <= 200;
ANALYZE TABLE shop.price_history;
INSERT INTO shop.price_history (product_id, valid_from, price_cents)
SELECT 1 + n % 6000, now() - INTERVAL n DIV 10 HOUR, 199 + (n * 7919) % 49800 FROM shop.numbers WHERE n <= 60000;
DROP TABLE shop.numbers;
ANALYZE TABLE shop.audit_log, shop.categories, shop.customers, shop.events, shop.inventory, shop.order_items, shop.orders,
    shop.payments, shop.products, shop.reviews, shop.sessions, shop.carts;
