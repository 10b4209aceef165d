-- What is wrong with the shop, each planted on purpose and listed in meshag_tui.demo.shop.mysql.PLANTED.
-- Missing indexes (orders.customer_id, events by kind and time) are what keys.sql leaves out; a number compared with
-- text (payments.receipt) is in the workload.

-- unused-index: somebody once wanted a report that nobody reads.
ALTER TABLE shop.orders ADD KEY orders_updated_at_idx (updated_at);
-- duplicate-index: a migration that ran twice.
ALTER TABLE shop.customers ADD KEY customers_country_idx1 (country);
-- redundant-index: a prefix of order_items_order_id_product_id_idx.
ALTER TABLE shop.order_items ADD KEY order_items_order_id_idx (order_id);

-- table-bloat: old carts were deleted, and their room in the file is free but not given back.
INSERT INTO shop.carts (session_id, content, updated_at)
SELECT n, json_object('items', json_array(n % 6000, n % 911), 'coupon', repeat('x', 700)), now()
FROM shop.numbers WHERE n <= 50000;
DELETE FROM shop.carts WHERE id <= 45000;

-- sequence-exhaustion: the audit log's ids are integers, and a data import skipped ahead.
ALTER TABLE shop.audit_log AUTO_INCREMENT = 2140000000;
