"""What the shop's programs do all day: read and write as a shop does, slow jobs and rude ones included.

Every problem of the shop's `PLANTED` that costs time costs it here. A job is a coroutine on one `Shopper`.
"""

from __future__ import annotations

import asyncio
import time

from meshag_tui.demo.shopper import Job, Shopper

PRODUCTS, CUSTOMERS, SESSIONS, ORDERS = 6_000, 40_000, 60_000, 150_000


# ---------------------------------------------------------------- what the web shop does


async def browse(shopper: Shopper) -> None:
    """A category page and the reviews of a product on it."""
    products = await shopper.run(
        "SELECT id, name, price_cents FROM shop.products WHERE category_id = %s AND active"
        " ORDER BY price_cents LIMIT 24",
        shopper.one_of(60),
    )
    if products:
        await shopper.run(
            "SELECT rating, body, created_at FROM shop.reviews WHERE product_id = %s ORDER BY created_at DESC LIMIT 10",
            products[0][0],
        )
        await shopper.run(
            "SELECT price_cents FROM shop.price_history WHERE product_id = %s ORDER BY valid_from DESC LIMIT 1",
            products[0][0],
        )


async def sign_in(shopper: Shopper) -> None:
    """A login by address, the customer's sessions, and the session's last sign of life."""
    rows = await shopper.run(
        "SELECT id, name, segment FROM shop.customers WHERE email = %s",
        f"customer{shopper.one_of(CUSTOMERS)}@example.com",
    )
    sessions = await shopper.run("SELECT id FROM shop.sessions WHERE customer_id = %s", rows[0][0]) if rows else ()
    if sessions:
        await shopper.run("UPDATE shop.sessions SET last_seen_at = now() WHERE id = %s", sessions[0][0])


async def order_history(shopper: Shopper) -> None:
    """A customer's orders (no index), then the items of each in a query of its own."""
    orders = await shopper.run(
        "SELECT id, status, total_cents, placed_at FROM shop.orders WHERE customer_id = %s", shopper.one_of(CUSTOMERS)
    )
    for order in orders:
        await shopper.run(
            "SELECT product_id, quantity, price_cents FROM shop.order_items WHERE order_id = %s", order[0]
        )


async def fill_cart(shopper: Shopper) -> None:
    """Change a cart and note it as an event."""
    session = shopper.one_of(SESSIONS)
    await shopper.run("UPDATE shop.carts SET updated_at = now() WHERE session_id = %s", session)
    await shopper.run(
        "INSERT INTO shop.events (session_id, kind, payload, occurred_at) VALUES (%s, 'add_to_cart', '{}', now())",
        session,
    )


async def check_out(shopper: Shopper) -> None:
    """Place an order with two items."""
    async with shopper.transaction():
        order = await shopper.insert(
            "INSERT INTO shop.orders (customer_id, status, total_cents, channel, placed_at, updated_at)"
            " VALUES (%s, 'pending', %s, 'web', now(), now())",
            shopper.one_of(CUSTOMERS),
            shopper.chance.randrange(500, 50_000),
        )
        for _ in range(2):
            await shopper.run(
                "INSERT INTO shop.order_items (order_id, product_id, quantity, price_cents) VALUES (%s, %s, 1, 1999)",
                order,
                shopper.one_of(PRODUCTS),
            )
        await shopper.run(
            "INSERT INTO shop.events (session_id, kind, payload, occurred_at) VALUES (%s, 'checkout', '{}', now())",
            shopper.one_of(SESSIONS),
        )


# ---------------------------------------------------------------- what the back office does


async def watch_failed_payments(shopper: Shopper) -> None:
    """The newest failed payments: no index gives this order."""
    await shopper.run(
        "SELECT id, session_id, payload, occurred_at FROM shop.events WHERE kind = %s"
        " ORDER BY occurred_at DESC LIMIT 50",
        "payment_failed",
    )


async def page_through_customers(shopper: Shopper) -> None:
    """A deep page by OFFSET."""
    await shopper.run(
        "SELECT id, email, name FROM shop.customers ORDER BY id LIMIT 50 OFFSET %s", shopper.one_of(CUSTOMERS)
    )


async def find_product(shopper: Shopper) -> None:
    """A clerk's look-up by article number, how often it was sold, and whether an order has it."""
    rows = await shopper.run("SELECT id, name FROM shop.products WHERE sku = %s", f"SKU-{shopper.one_of(PRODUCTS):06d}")
    for row in rows:
        await shopper.run("SELECT count(*), sum(quantity) FROM shop.order_items WHERE product_id = %s", row[0])
        await shopper.run(
            "SELECT EXISTS (SELECT 1 FROM shop.order_items WHERE order_id = %s AND product_id = %s)",
            shopper.one_of(ORDERS),
            row[0],
        )


async def work_off_orders(shopper: Shopper) -> None:
    """Take the oldest pending order, pay and ship it."""
    async with shopper.transaction():
        orders = await shopper.run(
            "SELECT id, total_cents FROM shop.orders WHERE status = 'pending' ORDER BY placed_at LIMIT 1"
            " FOR UPDATE SKIP LOCKED"
        )
        for order, cents in orders:
            await shopper.run(shopper.dialect.pay, order, f"PAY-{order}", cents)
            await shopper.run("UPDATE shop.orders SET status = 'paid', updated_at = now() WHERE id = %s", order)
            await shopper.run(
                "UPDATE shop.inventory SET quantity = quantity - 1, updated_at = now()"
                " WHERE product_id = %s AND warehouse = %s",
                shopper.one_of(PRODUCTS),
                shopper.chance.randrange(1, 3),
            )
    await shopper.run("INSERT INTO shop.audit_log (actor, action, subject) VALUES ('worker', 'paid', 'order')")


async def forget_customer(shopper: Shopper) -> None:
    """Somebody signs up and asks to be forgotten: the delete scans every table that refers to customers unindexed."""
    customer = await shopper.insert(
        "INSERT INTO shop.customers (email, name, country, segment, created_at)"
        " VALUES (%s, 'Passing Through', 'DE', 'consumer', now())",
        f"passing{time.time_ns()}@example.com",
    )
    await shopper.run("DELETE FROM shop.customers WHERE id = %s", customer)


async def correct_stock(shopper: Shopper) -> None:
    """A clerk's correction; it waits while the shelf is being counted."""
    await shopper.run(
        "UPDATE shop.inventory SET quantity = quantity + 1, updated_at = now()"
        " WHERE product_id = %s AND warehouse = %s",
        shopper.one_of(PRODUCTS),
        1,
    )


async def take_stock(shopper: Shopper) -> None:
    """The shelf of the popular products is counted, in a transaction: who sells one of them waits until it is done."""
    async with shopper.transaction():
        await shopper.run(
            "UPDATE shop.inventory SET updated_at = now() WHERE product_id <= %s AND warehouse = 1", PRODUCTS // 20
        )
        await asyncio.sleep(4)


# ---------------------------------------------------------------- what the reports do


async def revenue_report(shopper: Shopper) -> None:
    """Revenue by category and month: a big join and a sort that does not fit its memory."""
    await shopper.run(shopper.dialect.little_memory)
    await shopper.run(shopper.dialect.revenue, shopper.chance.choice((30, 90, 365)))


async def countries_report(shopper: Shopper) -> None:
    """Customers of a small country, and who is online."""
    await shopper.run(
        "SELECT count(*) FROM shop.customers WHERE country = %s", shopper.chance.choice(("AT", "IT", "ES"))
    )
    await shopper.run("SELECT count(*) FROM shop.sessions WHERE last_seen_at > now() - interval '5' minute")


async def forget_to_commit(shopper: Shopper) -> None:
    """A batch program that opens a transaction, reads, and goes to lunch."""
    async with shopper.transaction():
        await shopper.run("SELECT count(*) FROM shop.categories")
        await asyncio.sleep(45)


OFFICE = "shop-office"
# Program, its jobs with weights, its share of the rate.
PROGRAMS: tuple[tuple[str, tuple[tuple[Job, int], ...], float], ...] = (
    *(("shop-web", ((browse, 8), (sign_in, 6), (order_history, 3), (fill_cart, 5), (check_out, 1)), 0.25),) * 3,
    (
        OFFICE,
        ((watch_failed_payments, 4), (page_through_customers, 3), (find_product, 6), (forget_customer, 1)),
        0.12,
    ),
    ("shop-worker", ((work_off_orders, 1),), 0.1),
    ("shop-reports", ((revenue_report, 1), (countries_report, 4)), 0.03),
    ("shop-batch", ((forget_to_commit, 1),), 0.01),
    ("shop-stock", ((take_stock, 1),), 0.002),
    ("shop-clerk", ((correct_stock, 1),), 0.02),
)
