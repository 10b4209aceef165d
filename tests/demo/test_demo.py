"""The demo's shop has what it promises, works as a shop does, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from meshag_tui.demo import shop
from meshag_tui.demo.run import Demo
from meshag_tui.demo.shop import postgres
from meshag_tui.demo.shop.postgres.shopper import PostgresSessions
from meshag_tui.demo.workload import Workload
from meshag_tui.servers.place import ServerUnavailable
from meshag_tui.servers.postgres import EmbeddedPostgres
from tests.rig.postgres import bindir

# What the catalogue must show for each planted problem: a query about (table, index or columns) that is true.
PROOFS = {
    "missing-index": "SELECT NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON (a.attrelid, a.attnum) ="
    " (i.indrelid, i.indkey[0]) WHERE i.indrelid = to_regclass('shop.' || %(table)s)"
    " AND a.attname = split_part(%(about)s, ',', 1))",
    "unindexed-foreign-key": "SELECT EXISTS (SELECT FROM pg_constraint c JOIN pg_attribute a ON (a.attrelid, a.attnum)"
    " = (c.conrelid, c.conkey[1]) WHERE c.contype = 'f' AND c.conrelid = to_regclass('shop.' || %(table)s)"
    " AND a.attname = %(about)s AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid"
    " AND i.indkey[0] = a.attnum))",
    "unused-index": "SELECT idx_scan = 0 AND pg_relation_size(indexrelid) > 1e6 FROM pg_stat_user_indexes"
    " WHERE indexrelname = %(about)s",
    "duplicate-index": "SELECT count(*) = 2 FROM pg_index i, pg_index p WHERE p.indexrelid = to_regclass('shop.' ||"
    " %(about)s) AND (i.indrelid, i.indkey::text, i.indclass::text) = (p.indrelid, p.indkey::text, p.indclass::text)",
    "redundant-index": "SELECT EXISTS (SELECT FROM pg_index i, pg_index p WHERE p.indexrelid = to_regclass('shop.' ||"
    " %(about)s) AND i.indrelid = p.indrelid AND i.indkey::text LIKE p.indkey::text || ' %%')",
    "invalid-index": "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass('shop.' || %(about)s)",
    "stale-statistics": "SELECT n_mod_since_analyze >= 60000 AND c.reltuples = 200 FROM pg_stat_user_tables s"
    " JOIN pg_class c ON c.oid = s.relid WHERE s.relname = %(table)s",
    "table-bloat": "SELECT n_dead_tup >= 8 * n_live_tup FROM pg_stat_user_tables WHERE relname = %(table)s",
    "autovacuum-off": "SELECT 'autovacuum_enabled=false' = ANY (reloptions) FROM pg_class"
    " WHERE oid = to_regclass('shop.' || %(table)s)",
    "sequence-exhaustion": "SELECT last_value > 0.99 * max_value FROM pg_sequences WHERE sequencename = %(about)s",
}


def found(major: int) -> Path:
    try:
        return bindir(major)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))


def eventually(true: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _true(asked: Callable[[], psycopg.Cursor[Any]]) -> bool:
    return asked().fetchall() == [(True,)]


@pytest.mark.parametrize("major", [pytest.param(13, marks=pytest.mark.soak), 15, 18])
def test_the_shop_has_what_was_planted(major: int) -> None:
    assert {planted.rule for planted in postgres.PLANTED} == set(PROOFS)
    with EmbeddedPostgres(found(major), settings={"autovacuum_naptime": "1h"}) as server:
        postgres.create_roles(server.dsn(), {shop.OWNER: "o", shop.MONITOR: "m", shop.APP: "a"})
        postgres.load(server.dsn())
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            for planted in postgres.PLANTED:
                about = {"table": planted.table, "about": planted.about}
                # What a session counted comes to light a moment after it ended (up to PostgreSQL 14).
                asked = partial(connection.execute, PROOFS[planted.rule], about)
                assert eventually(partial(_true, asked)), planted


@pytest.mark.slow
async def test_a_demo_works_as_a_shop_does() -> None:
    said: list[str] = []
    async with Demo(rate=120, progress=said.append) as demo:
        server = demo.server
        assert isinstance(server, EmbeddedPostgres)
        root = server.root
        assert said == [f"starting PostgreSQL {server.version}", "loading the shop"]
        demo.start_workload()
        assert eventually(lambda: demo.statements > 600)
        with psycopg.connect(demo.monitor_url, autocommit=True) as monitor:
            seen = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE usename = 'shop_app'"
            names = {name for (name,) in monitor.execute(seen)}
            assert names == {
                "shop-web",
                "shop-office",
                "shop-worker",
                "shop-reports",
                "shop-batch",
                "shop-stock",
                "shop-clerk",
            }
            top = (
                "SELECT query FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = 'shop')"
            )
            slowest = [text for (text,) in monitor.execute(top + " ORDER BY total_exec_time DESC LIMIT 4")]
            assert any("WHERE customer_id = $1" in text for text in slowest), slowest
            assert any("ORDER BY occurred_at DESC" in text for text in slowest), slowest
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                monitor.execute("DELETE FROM shop.reviews")
        with psycopg.connect(demo.url, autocommit=True) as owner:
            owner.execute("CREATE INDEX CONCURRENTLY orders_customer_id_idx ON shop.orders (customer_id)")
            owner.execute("ANALYZE shop.price_history")
            owner.execute("VACUUM shop.carts")
            owner.execute("DROP INDEX CONCURRENTLY shop.sessions_token_key")
            hidden = "SELECT count(*) FROM pg_stat_statements WHERE query = '<insufficient privilege>'"
            assert owner.execute(hidden).fetchone() == (0,)
        demo.stop_workload()
        at_rest = demo.statements
        await asyncio.sleep(0.3)
        assert demo.statements == at_rest
    assert not root.exists()


def test_the_workload_outlives_a_restart() -> None:
    with EmbeddedPostgres() as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("CREATE ROLE shop_app LOGIN")
        workload = Workload(PostgresSessions(server.dsn(user="shop_app", database="postgres")), rate=100)
        workload.start()
        assert eventually(lambda: "does not exist" in workload.last_error), "there is no shop here, and it says so"
        server.stop()
        assert eventually(lambda: "connection" in workload.last_error)
        server.start()
        assert eventually(lambda: "does not exist" in workload.last_error)
        workload.stop()
        assert not workload.running
