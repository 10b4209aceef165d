-- What is wrong with the shop, each planted on purpose and listed in meshag_tui.demo.shop.PLANTED.
-- Missing indexes (orders.customer_id, events by kind and time) and the unindexed foreign key (reviews.customer_id)
-- are what keys.sql leaves out.

-- unused-index: somebody once wanted a report that nobody reads.
CREATE INDEX orders_updated_at_idx ON shop.orders (updated_at);
-- duplicate-index: a migration that ran twice.
CREATE INDEX customers_country_idx1 ON shop.customers (country);
-- redundant-index: a prefix of order_items_order_id_product_id_idx.
CREATE INDEX order_items_order_id_idx ON shop.order_items (order_id);

-- table-bloat, autovacuum-off: the carts table is rewritten all day and "vacuum disturbed us" once.
ALTER TABLE shop.carts SET (autovacuum_enabled = false);
INSERT INTO shop.carts (session_id, content, updated_at)
SELECT n, jsonb_build_object('items', jsonb_build_array(n % 6000, n % 911), 'coupon', repeat('x', 40)), now() FROM generate_series(1, 50000) AS n;
UPDATE shop.carts SET updated_at = now() + interval '1 second';
DELETE FROM shop.carts WHERE id % 5 > 0;

-- sequence-exhaustion: the audit log's ids are integers, and a data import skipped ahead.
SELECT setval('shop.audit_log_id_seq', 2140000000);
