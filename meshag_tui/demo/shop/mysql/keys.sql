-- Keys and healthy indexes, made after the data as a restore would. InnoDB indexes each foreign key that has no index;
-- orders.customer_id has neither key nor index, as in many shops.
ALTER TABLE shop.categories ADD UNIQUE KEY categories_slug_key (slug), ADD KEY categories_parent_id_idx (parent_id);
ALTER TABLE shop.products ADD UNIQUE KEY products_sku_key (sku), ADD KEY products_category_id_idx (category_id);
ALTER TABLE shop.customers ADD UNIQUE KEY customers_email_key (email), ADD KEY customers_country_idx (country);
ALTER TABLE shop.sessions ADD KEY sessions_customer_id_idx (customer_id), ADD KEY sessions_last_seen_at_idx (last_seen_at);
ALTER TABLE shop.orders ADD KEY orders_status_placed_at_idx (status, placed_at);
ALTER TABLE shop.order_items ADD KEY order_items_order_id_product_id_idx (order_id, product_id),
    ADD KEY order_items_product_id_idx (product_id);
ALTER TABLE shop.payments ADD UNIQUE KEY payments_order_id_key (order_id), ADD KEY payments_receipt_idx (receipt);
ALTER TABLE shop.reviews ADD KEY reviews_product_id_created_at_idx (product_id, created_at DESC),
    ADD KEY reviews_customer_id_idx (customer_id);
ALTER TABLE shop.carts ADD KEY carts_session_id_idx (session_id);
ALTER TABLE shop.price_history ADD KEY price_history_product_id_idx (product_id, valid_from DESC);

ALTER TABLE shop.categories ADD FOREIGN KEY (parent_id) REFERENCES shop.categories (id);
ALTER TABLE shop.products ADD FOREIGN KEY (category_id) REFERENCES shop.categories (id);
ALTER TABLE shop.inventory ADD FOREIGN KEY (product_id) REFERENCES shop.products (id);
ALTER TABLE shop.sessions ADD FOREIGN KEY (customer_id) REFERENCES shop.customers (id);
ALTER TABLE shop.order_items ADD FOREIGN KEY (order_id) REFERENCES shop.orders (id) ON DELETE CASCADE,
    ADD FOREIGN KEY (product_id) REFERENCES shop.products (id);
ALTER TABLE shop.payments ADD FOREIGN KEY (order_id) REFERENCES shop.orders (id);
ALTER TABLE shop.reviews ADD FOREIGN KEY (product_id) REFERENCES shop.products (id),
    ADD FOREIGN KEY (customer_id) REFERENCES shop.customers (id) ON DELETE CASCADE;
ALTER TABLE shop.price_history ADD FOREIGN KEY (product_id) REFERENCES shop.products (id);
