"""The shop at work: several sessions that read and write as a shop's programs do, slow ones and rude ones included.

In: the URL of a loaded shop for role `shop_app`, and a rate. Out: traffic, until stopped, from a thread of its own (the
app's event loop never waits for it). Every problem of `meshag_tui.demo.shop.PLANTED` that costs time costs it here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, LiteralString

import psycopg

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Job = Callable[["Shopper"], Awaitable[None]]

PRODUCTS, CUSTOMERS, SESSIONS, ORDERS = 6_000, 40_000, 60_000, 150_000


class Shopper:
    """One session's connection and chance; `run` executes one statement and counts it."""

    def __init__(self, connection: Connection, chance: random.Random, count: Callable[[], None]) -> None:
        self.connection, self.chance, self._count = connection, chance, count

    async def run(self, statement: LiteralString, *values: Any) -> Sequence[tuple[Any, ...]]:
        """The rows of one statement (none for a write without RETURNING)."""
        cursor = await self.connection.execute(statement, values)
        self._count()
        return await cursor.fetchall() if cursor.description else ()

    def one_of(self, count: int) -> int:
        """An id; low ones are more popular."""
        return 1 + int(count * self.chance.random() ** 2)


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
    async with shopper.connection.transaction():
        [(order,)] = await shopper.run(
            "INSERT INTO shop.orders (customer_id, status, total_cents, channel, placed_at, updated_at)"
            " VALUES (%s, 'pending', %s, 'web', now(), now()) RETURNING id",
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
            "SELECT EXISTS (SELECT FROM shop.order_items WHERE order_id = %s AND product_id = %s)",
            shopper.one_of(ORDERS),
            row[0],
        )


async def work_off_orders(shopper: Shopper) -> None:
    """Take the oldest pending order, pay and ship it."""
    async with shopper.connection.transaction():
        orders = await shopper.run(
            "SELECT id, total_cents FROM shop.orders WHERE status = 'pending' ORDER BY placed_at LIMIT 1"
            " FOR UPDATE SKIP LOCKED"
        )
        for order, cents in orders:
            await shopper.run(
                "INSERT INTO shop.payments (order_id, provider, reference, amount_cents, state, paid_at)"
                " VALUES (%s, 'card', %s, %s, 'settled', now()) ON CONFLICT (order_id) DO NOTHING",
                order,
                f"PAY-{order}",
                cents,
            )
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
    [(customer,)] = await shopper.run(
        "INSERT INTO shop.customers (email, name, country, segment, created_at)"
        " VALUES (%s, 'Passing Through', 'DE', 'consumer', now()) RETURNING id",
        f"passing{time.time_ns()}@example.com",
    )
    await shopper.run("DELETE FROM shop.customers WHERE id = %s", customer)


# ---------------------------------------------------------------- what the reports do


async def revenue_report(shopper: Shopper) -> None:
    """Revenue by category and month: a big join and a sort that does not fit its memory."""
    await shopper.run("SET work_mem = '1MB'")
    await shopper.run(
        "SELECT c.name, date_trunc('month', o.placed_at) AS month, sum(i.quantity * i.price_cents) AS cents,"
        " count(DISTINCT o.customer_id) AS customers FROM shop.orders o JOIN shop.order_items i ON i.order_id = o.id"
        " JOIN shop.products p ON p.id = i.product_id JOIN shop.categories c ON c.id = p.category_id"
        " WHERE o.placed_at > now() - make_interval(days => %s) AND o.status <> 'cancelled'"
        " GROUP BY c.name, month ORDER BY month DESC, cents DESC",
        shopper.chance.choice((30, 90, 365)),
    )


async def countries_report(shopper: Shopper) -> None:
    """Customers of a small country, and who is online."""
    await shopper.run(
        "SELECT count(*) FROM shop.customers WHERE country = %s", shopper.chance.choice(("AT", "IT", "ES"))
    )
    await shopper.run("SELECT count(*) FROM shop.sessions WHERE last_seen_at > now() - interval '5 minutes'")


async def forget_to_commit(shopper: Shopper) -> None:
    """A batch program that opens a transaction, reads, and goes to lunch."""
    async with shopper.connection.transaction():
        await shopper.run("SELECT count(*) FROM shop.categories")
        await asyncio.sleep(45)


# Program, its jobs with weights, its share of the rate.
PROGRAMS: tuple[tuple[str, tuple[tuple[Job, int], ...], float], ...] = (
    *(("shop-web", ((browse, 8), (sign_in, 6), (order_history, 3), (fill_cart, 5), (check_out, 1)), 0.25),) * 3,
    (
        "shop-office",
        ((watch_failed_payments, 4), (page_through_customers, 3), (find_product, 6), (forget_customer, 1)),
        0.12,
    ),
    ("shop-worker", ((work_off_orders, 1),), 0.1),
    ("shop-reports", ((revenue_report, 1), (countries_report, 4)), 0.03),
    ("shop-batch", ((forget_to_commit, 1),), 0.01),
)


class Workload:
    """The traffic. `statements` counts what was executed, `last_error` is the latest trouble (empty: none)."""

    def __init__(self, url: str, *, rate: float = 40, seed: int = 1) -> None:
        """Traffic on the shop at `url` of about `rate` jobs a second; equal seeds make equal choices."""
        self._url, self._rate, self._seed = url, rate, seed
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._all: asyncio.Task[None] | None = None
        self.statements = 0
        self.last_error = ""

    @property
    def running(self) -> bool:
        """Whether the sessions are at work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Open the sessions, in a thread of their own."""
        if not self.running:
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, name="shop-workload", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 10) -> None:
        """Cancel what runs and close the sessions."""
        self._stop.set()
        if self._loop is not None and self._all is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._all.cancel)
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        asyncio.run(self._programs())

    async def _programs(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._all = asyncio.create_task(self._together())
        if self._stop.is_set():
            self._all.cancel()
        await asyncio.wait([self._all])

    async def _together(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, (name, jobs, share) in enumerate(PROGRAMS):
                group.create_task(
                    self._program(name, jobs, self._rate * share, random.Random(self._seed * 100 + number))
                )

    async def _program(self, name: str, jobs: tuple[tuple[Job, int], ...], rate: float, chance: random.Random) -> None:
        """One session; a lost connection is opened again, as a program under a supervisor would."""
        work, weights = [job for job, _ in jobs], [weight for _, weight in jobs]
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, application_name=name, autocommit=True, connect_timeout=5
                ) as connection:
                    shopper = Shopper(connection, chance, self._counted)
                    while True:
                        await asyncio.sleep(chance.expovariate(rate))
                        try:
                            await chance.choices(work, weights)[0](shopper)
                        except psycopg.Error as error:
                            self.last_error = f"{name}: {error}"
                            if connection.broken:
                                raise
            except psycopg.Error as error:
                self.last_error = f"{name}: {error}"
                await asyncio.sleep(1)

    def _counted(self) -> None:
        self.statements += 1
