-- Keys and healthy indexes, made after the data as a restore would.
ALTER TABLE shop.categories ADD PRIMARY KEY (id), ADD UNIQUE (slug);
ALTER TABLE shop.products ADD PRIMARY KEY (id), ADD UNIQUE (sku);
ALTER TABLE shop.inventory ADD PRIMARY KEY (product_id, warehouse);
ALTER TABLE shop.customers ADD PRIMARY KEY (id), ADD UNIQUE (email);
ALTER TABLE shop.sessions ADD PRIMARY KEY (id);
ALTER TABLE shop.orders ADD PRIMARY KEY (id);
ALTER TABLE shop.order_items ADD PRIMARY KEY (id);
ALTER TABLE shop.payments ADD PRIMARY KEY (id), ADD UNIQUE (order_id);
ALTER TABLE shop.reviews ADD PRIMARY KEY (id);
ALTER TABLE shop.carts ADD PRIMARY KEY (id);
ALTER TABLE shop.events ADD PRIMARY KEY (id);
ALTER TABLE shop.audit_log ADD PRIMARY KEY (id);

CREATE INDEX products_category_id_idx ON shop.products (category_id);
CREATE INDEX categories_parent_id_idx ON shop.categories (parent_id);
CREATE INDEX orders_open_idx ON shop.orders (placed_at) WHERE status IN ('pending', 'paid');
CREATE INDEX order_items_order_id_product_id_idx ON shop.order_items (order_id, product_id);
CREATE INDEX order_items_product_id_idx ON shop.order_items (product_id);
CREATE INDEX sessions_customer_id_idx ON shop.sessions (customer_id);
CREATE INDEX sessions_last_seen_at_idx ON shop.sessions (last_seen_at);
CREATE INDEX reviews_product_id_created_at_idx ON shop.reviews (product_id, created_at DESC);
CREATE INDEX customers_country_idx ON shop.customers (country);
CREATE INDEX price_history_product_id_idx ON shop.price_history (product_id, valid_from DESC);
CREATE INDEX carts_session_id_idx ON shop.carts (session_id);

ALTER TABLE shop.categories ADD FOREIGN KEY (parent_id) REFERENCES shop.categories;
ALTER TABLE shop.products ADD FOREIGN KEY (category_id) REFERENCES shop.categories;
ALTER TABLE shop.inventory ADD FOREIGN KEY (product_id) REFERENCES shop.products;
ALTER TABLE shop.sessions ADD FOREIGN KEY (customer_id) REFERENCES shop.customers;
ALTER TABLE shop.orders ADD FOREIGN KEY (customer_id) REFERENCES shop.customers;
ALTER TABLE shop.order_items ADD FOREIGN KEY (order_id) REFERENCES shop.orders ON DELETE CASCADE;
ALTER TABLE shop.order_items ADD FOREIGN KEY (product_id) REFERENCES shop.products;
ALTER TABLE shop.payments ADD FOREIGN KEY (order_id) REFERENCES shop.orders;
ALTER TABLE shop.reviews ADD FOREIGN KEY (product_id) REFERENCES shop.products;
ALTER TABLE shop.reviews ADD FOREIGN KEY (customer_id) REFERENCES shop.customers ON DELETE CASCADE;
ALTER TABLE shop.price_history ADD FOREIGN KEY (product_id) REFERENCES shop.products;

SELECT setval(pg_get_serial_sequence('shop.products', 'id'), 6000), setval(pg_get_serial_sequence('shop.customers', 'id'), 40000),
       setval(pg_get_serial_sequence('shop.sessions', 'id'), 60000), setval(pg_get_serial_sequence('shop.orders', 'id'), 150000);
