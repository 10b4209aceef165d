"""The command of `tests/cli`, watched databases, and a clock that can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Meshag, meshag, must
from tests.rig.postgres import Database

__all__ = ["Meshag", "meshag", "must"]

Must = Callable[..., Any]


@pytest.fixture
def logged(private_pg: Callable[..., Database]) -> Database:
    """A server of the test's own that writes down every statement it gets, with who sent it."""
    settings = {"log_statement": "all", "log_line_prefix": "<%a|%u|%d> ", "log_min_messages": "log"}
    return private_pg(18, settings=settings)


def shop(database: Database) -> Database:
    """Orders looked up by a column without an index, and one index twice: there is something to advise."""
    database.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, country text)",
        "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total int)",
        "INSERT INTO customers SELECT g, 'c' || g % 50 FROM generate_series(1, 2000) g",
        "INSERT INTO orders SELECT g, g % 20000, g % 1000 FROM generate_series(1, 100000) g",
        "CREATE INDEX country_one ON customers (country)",
        "CREATE INDEX country_two ON customers (country)",
        "ANALYZE",
    )
    return database


def work(database: Database, times: int = 20) -> None:
    """The lookups of a shop."""
    with database.connect() as connection:
        for customer in range(times):
            connection.execute(f"SELECT * FROM orders WHERE customer_id = {customer}")


def said_by(home: Path) -> bytes:
    """Every byte the program left on the disk."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.fixture
def watched(pg15: Database, must: Must) -> Iterator[Database]:
    """A shop on the server that has HypoPG, connected as `shop`, synced before and after its work."""
    if pg15.hypopg:
        pg15.execute("CREATE EXTENSION hypopg")
    shop(pg15)
    must("connections", "add", "shop", pg15.monitor_url)
    must("sync", "shop")
    work(pg15)
    must("sync", "shop")
    yield pg15
