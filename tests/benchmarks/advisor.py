"""What the indexes that are advised do: cost, time, size and the price of writes, with and without a storage budget.

On a PostgreSQL 15 with HypoPG of its own, a workload of reports (`sales`) runs between two syncs. What is advised is
made in a copy of the database and each report run there and in an untouched copy by turns; the smallest of several
runs counts, as processor time of the server's process, which a busy machine leaves nearly as it is (Linux says it).
Ratios are to the database without new indexes; cost is what the planner says of the real indexes.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from meshag_tui.advisor import generate
from meshag_tui.engines import engine_for
from meshag_tui.servers.postgres import EmbeddedPostgres
from meshag_tui.types import CreateIndex, Target
from meshag_tui.workflows.suggest import look
from meshag_tui.workflows.sync import limits
from tests.benchmarks.sales import REPORTS, SCHEMA, WRITE
from tests.benchmarks.sync import Bench
from tests.rig.postgres import bindir

ROWS = 700_000
RUNS = 4
UNLIMITED = 1 << 60
BUDGETS: dict[str, int | None] = {"not asked": None, "15 MB": 15_000_000, "60 MB": 60_000_000, "unlimited": UNLIMITED}
"""By the size of the sales table, which has 80 MB."""
SETTINGS = {
    "shared_buffers": "512MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "random_page_cost": "1.1",
    "autovacuum": "off",
    "max_wal_size": "4GB",
}
Connection = psycopg.Connection[Any]


def run() -> dict[str, list[dict[str, Any]]]:
    """Measure; rows of figures by group."""
    with EmbeddedPostgres(bindir(15), settings=SETTINGS, tcp=True).start() as server:
        _prepare(server)
        with tempfile.TemporaryDirectory() as home:
            advised = asyncio.run(_advise(server, Path(home)))
        return {"budgets": [_measured(server, name, *found) for name, found in advised.items()]}


def _connect(server: EmbeddedPostgres, database: str) -> Connection:
    return psycopg.connect(server.dsn(database), autocommit=True)


def _prepare(server: EmbeddedPostgres) -> None:
    with _connect(server, "postgres") as connection:
        connection.execute("CREATE DATABASE shop")
    with _connect(server, "shop") as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("CREATE EXTENSION hypopg")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(SCHEMA.format(rows=ROWS).encode())
        connection.execute("VACUUM (FREEZE, ANALYZE)")
        connection.execute("VACUUM")


Advised = tuple[list[str], float, int]
"""Statements, wall time in s, planner calls."""


async def _advise(server: EmbeddedPostgres, home: Path) -> dict[str, Advised]:
    """What is advised for each budget, from what two syncs saw."""
    found: dict[str, Advised] = {}
    async with Bench(server.dsn("shop", tcp=True), home) as bench:
        await bench.sync()
        await asyncio.to_thread(_work, server)
        await bench.sync()
        seen = await look(bench.workbench.store, bench.connection.id, None)
        target = Target.from_url(server.dsn("shop", tcp=True))
        for name, budget in BUDGETS.items():
            async with engine_for(target.db_type).connect(target, "advice", limits(bench.settings.collect)) as session:
                started = time.perf_counter()
                advice = await generate.suggestions(
                    seen.catalog, seen.workload, session, bench.settings, budget_bytes=budget, window=seen.window
                )
                seconds = time.perf_counter() - started
            made = [one.sql for one in advice.suggestions if isinstance(one.change, CreateIndex) and one.sql]
            found[name] = (made, seconds, advice.planner_calls)
    return found


def _work(server: EmbeddedPostgres) -> None:
    with _connect(server, "shop") as connection:
        for _ in range(RUNS):
            for text in REPORTS.values():
                connection.execute(text.encode()).fetchall()


def _measured(
    server: EmbeddedPostgres, name: str, statements: Sequence[str], seconds: float, calls: int
) -> dict[str, Any]:
    for copy in ("plain", "indexed"):
        with _connect(server, "postgres") as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE shop STRATEGY file_copy").format(sql.Identifier(copy))
            )
    with _connect(server, "plain") as plain, _connect(server, "indexed") as indexed:
        before = _index_bytes(indexed)
        for statement in statements:
            indexed.execute(statement.encode())
        indexed.execute("ANALYZE")
        size = _index_bytes(indexed) - before
        pairs = [(_both(plain, indexed, text, _cost), _times(plain, indexed, text)) for text in REPORTS.values()]
        write = _both(plain, indexed, WRITE, _write_ms)
    with _connect(server, "postgres") as connection:
        connection.execute("DROP DATABASE plain WITH (FORCE)")
        connection.execute("DROP DATABASE indexed WITH (FORCE)")
    ratios = [ms[1] / ms[0] for _, ms in pairs]
    return {
        "budget": name,
        "indexes": len(statements),
        "MB": round(size / 1e6, 1),
        "cost": round(sum(cost[1] for cost, _ in pairs) / sum(cost[0] for cost, _ in pairs), 3),
        "run": round(sum(ms[1] for _, ms in pairs) / sum(ms[0] for _, ms in pairs), 3),
        "geomean": round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 3),
        "slower": sum(ratio > 1.1 for ratio in ratios),
        "write": round(write[1] / write[0], 2),
        "planner_calls": calls,
        "seconds": round(seconds, 1),
    }


def _both(plain: Connection, indexed: Connection, text: str, measure: Any) -> tuple[float, float]:
    """The smallest figure of several runs by turns, without and with the indexes."""
    found = [(measure(plain, text), measure(indexed, text)) for _ in range(RUNS)]
    return min(one for one, _ in found), min(other for _, other in found)


def _times(plain: Connection, indexed: Connection, text: str) -> tuple[float, float]:
    """The least time in ms without and with the indexes. Of one plan there is one time: what two copies of a database
    differ by is where they lie in memory (3.3 and 5.6 ms were seen, again and again), and no index's doing."""
    if _shape(plain, text) != _shape(indexed, text):
        return _both(plain, indexed, text, _ms)
    least = min(_ms(plain, text) for _ in range(RUNS))
    return least, least


def _shape(connection: Connection, text: str) -> list[str]:
    """The plan without its figures."""
    rows = connection.execute(b"EXPLAIN (COSTS OFF) " + text.encode()).fetchall()
    return [row[0] for row in rows]


def _cost(connection: Connection, text: str) -> float:
    row = connection.execute(b"EXPLAIN (FORMAT JSON) " + text.encode()).fetchone()
    return float(row[0][0]["Plan"]["Total Cost"]) if row else 0.0


def _ms(connection: Connection, text: str) -> float:
    started = _processor_ms(connection)
    connection.execute(text.encode()).fetchall()
    return _processor_ms(connection) - started


def _write_ms(connection: Connection, text: str) -> float:
    with connection.transaction(force_rollback=True):
        started = _processor_ms(connection)
        connection.execute(text.encode())
        return _processor_ms(connection) - started


def _processor_ms(connection: Connection) -> float:
    """Time for which the server's process of this connection has run."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e6


def _index_bytes(connection: Connection) -> int:
    row = connection.execute(
        "SELECT coalesce(sum(pg_relation_size(i.indexrelid)), 0)::bigint FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace"
    ).fetchone()
    return int(row[0]) if row else 0
