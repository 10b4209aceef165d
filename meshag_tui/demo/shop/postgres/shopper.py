"""The shop's sessions on PostgreSQL."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, LiteralString

import psycopg

from meshag_tui.demo.shopper import Dialect, Shopper

DIALECT = Dialect(
    pay="INSERT INTO shop.payments (order_id, provider, reference, amount_cents, state, paid_at)"
    " VALUES (%s, 'card', %s, %s, 'settled', now()) ON CONFLICT (order_id) DO NOTHING",
    little_memory="SET work_mem = '1MB'",
    revenue="SELECT c.name, date_trunc('month', o.placed_at) AS month, sum(i.quantity * i.price_cents) AS cents,"
    " count(DISTINCT o.customer_id) AS customers FROM shop.orders o JOIN shop.order_items i ON i.order_id = o.id"
    " JOIN shop.products p ON p.id = i.product_id JOIN shop.categories c ON c.id = p.category_id"
    " WHERE o.placed_at > now() - make_interval(days => %s) AND o.status <> 'cancelled'"
    " GROUP BY c.name, month ORDER BY month DESC, cents DESC",
)


class PostgresShopper(Shopper):
    """A session on psycopg."""

    dialect = DIALECT

    def __init__(
        self,
        connection: psycopg.AsyncConnection[tuple[Any, ...]],
        chance: random.Random,
        count: Callable[[], None],
    ) -> None:
        super().__init__(chance, count)
        self._connection = connection

    @property
    def broken(self) -> bool:
        return self._connection.broken

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self._connection.transaction()

    async def _execute(self, statement: LiteralString, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        cursor = await self._connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else ()

    async def _insert(self, statement: LiteralString, values: Sequence[Any]) -> int:
        [(made,)] = await self._execute(statement + " RETURNING id", values)
        return int(made)


class PostgresSessions:
    """Sessions on the shop at `url`."""

    dialect = DIALECT
    errors: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def open(self, program: str, chance: random.Random, count: Callable[[], None]) -> AsyncIterator[Shopper]:
        async with await psycopg.AsyncConnection.connect(
            self._url, application_name=program, autocommit=True, connect_timeout=5
        ) as connection:
            yield PostgresShopper(connection, chance, count)
