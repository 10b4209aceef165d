"""The shop's sessions on MySQL and MariaDB."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, LiteralString

import asyncmy

from meshag_tui.demo.jobs import ORDERS, PRODUCTS
from meshag_tui.demo.shop.mysql import connect
from meshag_tui.demo.shopper import Dialect, Shopper


async def find_receipt(shopper: Shopper) -> None:
    """A clerk types a receipt's number, and the program sends it as a number: no index on text serves that."""
    await shopper.run(
        "SELECT id, order_id, amount_cents FROM shop.payments WHERE receipt = %s", 100_000 + shopper.one_of(ORDERS)
    )


async def correct_price(shopper: Shopper) -> None:
    """A clerk corrects the latest price of a product, in a table whose rows nothing tells apart."""
    await shopper.run(
        "UPDATE shop.price_history SET price_cents = %s WHERE product_id = %s ORDER BY valid_from DESC LIMIT 1",
        shopper.chance.randrange(199, 50_000),
        shopper.one_of(PRODUCTS),
    )


DIALECT = Dialect(
    pay="INSERT INTO shop.payments (order_id, provider, reference, amount_cents, state, paid_at)"
    " VALUES (%s, 'card', %s, %s, 'settled', now()) ON DUPLICATE KEY UPDATE order_id = order_id",
    little_memory="SET SESSION sort_buffer_size = 32768",
    revenue="SELECT c.name, date_format(o.placed_at, '%%Y-%%m-01') AS month, sum(i.quantity * i.price_cents) AS cents,"
    " count(DISTINCT o.customer_id) AS customers FROM shop.orders o JOIN shop.order_items i ON i.order_id = o.id"
    " JOIN shop.products p ON p.id = i.product_id JOIN shop.categories c ON c.id = p.category_id"
    " WHERE o.placed_at > now() - INTERVAL %s DAY AND o.status <> 'cancelled'"
    " GROUP BY c.name, month ORDER BY month DESC, cents DESC",
    office=((find_receipt, 3), (correct_price, 1)),
)


class MysqlShopper(Shopper):
    """A session on asyncmy."""

    dialect = DIALECT

    def __init__(self, connection: Any, chance: random.Random, count: Callable[[], None]) -> None:
        super().__init__(chance, count)
        self._connection = connection

    @property
    def broken(self) -> bool:
        return not self._connection.connected

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        await self._connection.begin()
        try:
            yield
        except asyncmy.errors.MySQLError:
            if not self.broken:
                await self._connection.rollback()
            raise
        await self._connection.commit()

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self._transaction()

    async def _execute(self, statement: LiteralString, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement, tuple(values))
            return tuple(await cursor.fetchall()) if cursor.description else ()

    async def _insert(self, statement: LiteralString, values: Sequence[Any]) -> int:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement, tuple(values))
            return int(cursor.lastrowid)


class MysqlSessions:
    """Sessions on the shop at `url`."""

    dialect = DIALECT
    errors: tuple[type[Exception], ...] = (asyncmy.errors.MySQLError, OSError)

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def open(self, program: str, chance: random.Random, count: Callable[[], None]) -> AsyncIterator[Shopper]:
        async with connect(self._url, program_name=program) as connection:
            yield MysqlShopper(connection, chance, count)
