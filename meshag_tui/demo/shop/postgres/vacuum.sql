-- Everything but shop.carts, which is to stay bloated. One statement: VACUUM runs outside a transaction.
VACUUM (ANALYZE) shop.audit_log, shop.categories, shop.customers, shop.events, shop.inventory, shop.order_items,
    shop.orders, shop.payments, shop.price_history, shop.products, shop.reviews, shop.sessions
