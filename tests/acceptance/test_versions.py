"""The same work looks the same on every version, in every encoding and under every name."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from meshag_tui.settings import Settings
from meshag_tui.store import alerts, history
from meshag_tui.types import Target
from meshag_tui.workflows.workbench import Workbench
from tests.acceptance.conftest import Must
from tests.advisor.conftest import filled
from tests.cli.conftest import Meshag
from tests.rig.mysql import Schema
from tests.rig.postgres import Database
from tests.rig.stores import put_store


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """A workbench on an empty SQLite store."""
    async with await Workbench.open(Settings(home=tmp_path, store_url=put_store(tmp_path / "store.db"))) as bench:
        yield bench


async def shown(bench: Workbench, connection_id: str, sort: str = "total_time") -> tuple[history.QueryRow, ...]:
    window = await bench.store(history.latest_window, connection_id, 3_600_000)
    return (await bench.store(history.queries, connection_id, window, sort=sort)).rows


TOP = "SELECT count(*) FROM orders o JOIN orders p ON o.customer = p.customer WHERE o.id <= $1 AND p.total > $2"


async def test_the_same_work_has_the_same_first_query_everywhere(bench: Workbench, pg_all: Database) -> None:
    pg_all.execute(
        "CREATE TABLE orders AS SELECT i AS id, i % 100 AS customer, i AS total FROM generate_series(1, 3000) i"
    )
    added = await bench.connections.add("shop", Target.from_url(pg_all.monitor_url))
    await bench.sync(added.id)
    with pg_all.connect() as connection:
        for number in range(11):
            connection.execute(TOP.replace("$1", "2900").replace("$2", str(number)))
            connection.execute(f"SELECT * FROM orders WHERE id = {number}")
    report = await bench.sync(added.id)
    assert report.complete and not report.warnings
    rows = await shown(bench, added.id)
    assert (rows[0].text, rows[0].calls, rows[0].rows) == (TOP, 11, 11)
    assert rows[0].fingerprint == "7c2425be616b87fb", "the identity of a statement outlives an upgrade"
    assert (await shown(bench, added.id, "calls"))[0].calls == 11
    assert rows[0].mean_time_ms == pytest.approx(rows[0].total_time_ms / 11)
    plan = await bench.explain(rows[0].id)
    assert plan.plan.mode in ("generic", "custom")


@pytest.mark.parametrize("server", ["mariadb", "mysql", "later_mariadb"])
async def test_the_same_work_is_the_same_statement_on_mysql_and_mariadb(
    bench: Workbench, request: pytest.FixtureRequest, server: str
) -> None:
    """First by what it reads on each, of one identity, planned; another plan after ANALYZE is a plan that changed."""
    my: Schema = request.getfixturevalue(server)
    my.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, total int, KEY (customer)) STATS_AUTO_RECALC=0",
        "CREATE TABLE customers (id int PRIMARY KEY, code int, KEY (code)) STATS_AUTO_RECALC=0",
        filled("customers", 3, "n, n"),
        filled("orders", 3_000, "n, n % 30, n"),
        "ANALYZE TABLE orders, customers",
        filled("customers", 3_000, "n + 3, n"),
    )
    added = await bench.connections.add("shop", Target.from_url(my.monitor_url))
    await bench.sync(added.id)
    with my.connect() as connection, connection.cursor() as cursor:
        for number in range(11):
            cursor.execute(
                "SELECT count(*) FROM customers c JOIN orders o ON o.customer = c.code "
                f"WHERE c.id > 0 AND o.id < 60 AND o.total >= {number}"
            )
            cursor.execute(f"SELECT total FROM orders WHERE id = {number}")
    report = await bench.sync(added.id)
    assert report.complete and not report.warnings
    row = max(await shown(bench, added.id), key=lambda row: row.rows_examined or 0)
    assert (row.calls, row.rows, row.fingerprint) == (11, 11, "1485106c54d8ec42")
    if server == "mysql":  # which looks into ranges; how many rows have one value it takes from its statistics
        my.execute("SELECT count(*) FROM customers c JOIN orders o ON o.customer = c.code WHERE o.total >= 5")
        await bench.sync(added.id)
        row = next(row for row in await shown(bench, added.id) if "WHERE o.total >= ?" in (row.text or ""))
    first = await bench.explain(row.id)
    my.execute("ANALYZE TABLE orders, customers")
    second = await bench.explain(row.id)
    assert first.plan.mode == second.plan.mode == "custom"
    kept = [each.plan.hash for each in await bench.store(history.plans, row.id)]
    assert kept == [second.plan.hash, first.plan.hash] and kept[0] != kept[1]
    await bench.watcher.look_at(added.id)
    flips = [each for each in bench.store.run(alerts.listing) if each.rule == "plan-flip"]
    assert [each.details["query"] for each in flips] == [row.uid]


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "SQL_ASCII", "WIN1252"])
async def test_databases_of_other_encodings_are_read(
    bench: Workbench, private_pg: Callable[..., Database], encoding: str
) -> None:
    """On a server of its own: bytes of one encoding in the common file of texts are no text in another."""
    pg = private_pg(18)
    name = f"{pg.name}_{encoding.lower()}"
    word = {"LATIN1": "größe", "EUC_JP": "注文", "SQL_ASCII": "größe", "WIN1252": "preis€"}[encoding]
    with pg.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
                sql.Identifier(name), sql.Literal(encoding)
            )
        )
    target = replace(Target.from_url(pg.monitor_url), database=name)
    try:
        with psycopg.connect(pg.server.dsn(name), autocommit=True, client_encoding="UTF8") as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            connection.execute(sql.SQL("CREATE TABLE {} (id int PRIMARY KEY)").format(sql.Identifier(word)))
            connection.execute(sql.SQL("SELECT id FROM {} WHERE id = 1").format(sql.Identifier(word)))
        added = await bench.connections.add("other", target)
        report = await bench.sync(added.id)
        assert report.tables == 1 and report.statements > 0
        tables = await bench.store(history.tables, added.id, await bench.store(history.latest_window, added.id, 1000))
        assert [row.stats.name for row in tables] == [word]
        with psycopg.connect(pg.server.dsn(name), autocommit=True, client_encoding="UTF8") as connection:
            connection.execute(sql.SQL("SELECT id FROM {} WHERE id = 2").format(sql.Identifier(word)))
        await bench.sync(added.id)
        assert [row.text for row in await shown(bench, added.id)] == [f'SELECT id FROM "{word}" WHERE id = $1']
    finally:
        pg.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize(
    "name",
    ["postgres' OR 1=1--", "100%", "a/b?c#d", "[b]bold[/b]", "host=evil user=x", 'qu"ote', "spa ce", "ü@:1", "\x1b[2J"],
)
async def test_any_name_of_a_database_is_only_a_name(bench: Workbench, pg18: Database, name: str) -> None:
    with pg18.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier("blank"))
        )
    try:
        with psycopg.connect(pg18.server.dsn(name), autocommit=True) as connection:
            connection.execute("CREATE TABLE here (id int PRIMARY KEY)")
        base, _, _ = pg18.monitor_url.rpartition("/")
        target = Target.from_url(f"{base}/{quote(name, safe='')}")
        assert (await bench.connections.test(target)).facts.database == name
        added = await bench.connections.add("odd", target)
        assert (await bench.sync(added.id)).tables == 1
        await bench.connections.doctor(added.id)
    finally:
        with pg18.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_server_under_other_addresses_is_reached_and_recognised(
    private_pg: Callable[..., Database], meshag: Meshag, must: Must
) -> None:
    database = private_pg(18, settings={"listen_addresses": "127.0.0.1" + (",::1" if has_ipv6() else "")})
    must("connections", "add", "first", database.monitor_url)
    must("sync", "first")
    addresses = [database.socket_url, database.monitor_url.replace("127.0.0.1", "localhost")]
    if has_ipv6():
        addresses.append(database.monitor_url.replace("127.0.0.1", "[::1]"))
    for number, url in enumerate(addresses):
        add = ("connections", "add", f"again{number}", url)
        if url != database.socket_url:  # there it is another user
            refused = meshag(*add)
            assert refused.code == 1 and f"edit first --name again{number} renames it" in refused.err
            add = (*add, "--again")
        answer = meshag(*add, "--json")
        same = answer.document["test"]["same_as"]
        assert "first" in same and f"monitored already as {', '.join(same)}" in answer.err
    assert ("[::1]" in meshag("connections", "list").out) == has_ipv6()


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback: containers often do not."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
