"""The shop on MySQL and MariaDB.

In: the URL of a server's administrator; for `load` with the schema that `create_roles` made. Out: schema `shop`, the
shop's accounts, and `PLANTED`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

from meshag_tui.demo.shop import APP, MONITOR, OWNER, SCHEMA, Planted

PLANTED: tuple[Planted, ...] = (
    Planted("missing-index", "orders", "customer_id", "a customer's orders are read by scanning all orders"),
    Planted("missing-index", "events", "kind, occurred_at", "the newest events of a kind: all are read for 50"),
    Planted("unused-index", "orders", "orders_updated_at_idx", "written with every order, read by nothing"),
    Planted("duplicate-index", "customers", "customers_country_idx1", "equal to customers_country_idx"),
    Planted("redundant-index", "order_items", "order_items_order_id_idx", "a prefix of the index on order and product"),
    Planted("stale-statistics", "price_history", "", "analyzed at 200 rows, has 60,000"),
    Planted("no-primary-key", "price_history", "", "nobody gave it a key"),
    Planted("table-bloat", "carts", "", "nine of ten rows were deleted, and their room was not given back"),
    Planted("sequence-exhaustion", "audit_log", "id", "an integer AUTO_INCREMENT at 99.7 % of its range"),
    Planted("implicit-cast", "payments", "receipt", "a number is compared with text, which no index on text serves"),
)

_WATCHING = (
    *("PROCESS ON *.*", "SELECT ON performance_schema.*"),
    *("SELECT ON mysql.innodb_index_stats", "SELECT ON mysql.innodb_table_stats"),
)
_RIGHTS: Mapping[str, tuple[str, ...]] = {
    OWNER: (f"ALL ON {SCHEMA}.*", *_WATCHING),
    MONITOR: (f"SELECT ON {SCHEMA}.*", *_WATCHING),
    APP: (f"SELECT, INSERT, UPDATE, DELETE ON {SCHEMA}.*",),
}


@asynccontextmanager
async def connect(url: str, **options: Any) -> AsyncIterator[Any]:
    """A connection of asyncmy to `url` in autocommit mode."""
    import asyncmy

    parts = urlsplit(url)
    connection = await asyncmy.connect(
        host=parts.hostname,
        port=parts.port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "").encode(),
        database=parts.path.lstrip("/") or None,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=5,
        **options,
    )
    try:
        yield connection
    finally:
        connection.close()


async def create_roles(url: str, passwords: Mapping[str, str]) -> None:
    """Create the schema and the shop's three accounts; `passwords` by name.

    `shop_owner` may change everything in the schema and read what a monitor may. `meshag_monitor` may read everything
    and change nothing. `shop_app` is what the shop's own programs use.
    """
    async with connect(url) as connection, connection.cursor() as cursor:
        await cursor.execute(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
        for account, rights in _RIGHTS.items():
            await cursor.execute(f"CREATE USER '{account}'@'%%' IDENTIFIED BY %s", (passwords[account],))
            for right in rights:
                await cursor.execute(f"GRANT {right} TO '{account}'@'%'")


async def load(url: str) -> None:
    """Fill the schema, its problems and its statistics: about 1.1 million rows, in some seconds."""
    async with connect(url) as connection, connection.cursor() as cursor:
        # The data is known to be sound; and the server's remark about the planted duplicate is not for the terminal.
        await cursor.execute("SET foreign_key_checks = 0, unique_checks = 0, max_error_count = 0")
        for name in ("schema", "data", "keys", "problems", "stale"):
            for statement in _statements(name):
                await cursor.execute(statement)
                await cursor.fetchall()
            if name == "problems":
                await _carts_are_empty(cursor)
        # Loading is not the shop's workload.
        await cursor.execute("TRUNCATE performance_schema.events_statements_summary_by_digest")
        await cursor.execute("TRUNCATE performance_schema.table_io_waits_summary_by_index_usage")


async def _carts_are_empty(cursor: Any, seconds: float = 20) -> None:
    """Wait until the deleted carts are taken from the file, which the server does when it finds time."""
    import asyncmy

    with suppress(asyncmy.errors.MySQLError):  # MariaDB never says what it read a day ago
        await cursor.execute("SET SESSION information_schema_stats_expiry = 0")
    end = time.monotonic() + seconds
    free = 0
    while free < 30_000_000 and time.monotonic() < end:
        await asyncio.sleep(0.1)
        await cursor.execute(
            "SELECT data_free FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = 'carts'"
        )
        [(free,)] = await cursor.fetchall()


def _statements(name: str) -> Iterator[str]:
    text = files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    yield from (statement for statement in "\n".join(lines).split(";\n") if statement.strip())
