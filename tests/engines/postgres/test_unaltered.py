"""Objects are not read whole while nothing was altered; whatever is altered is seen by the next sync of objects."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from meshag_tui.engines.base import SYNC
from meshag_tui.snapshot import Snapshot
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import MAJORS, Database

TABLES = (
    "CREATE SCHEMA sales",
    "CREATE TYPE mood AS ENUM ('good', 'bad')",
    "CREATE TABLE orders (id bigserial PRIMARY KEY, email text NOT NULL, total numeric DEFAULT 0, felt mood)",
    "CREATE TABLE sales.lines (id int PRIMARY KEY, order_id bigint, part int)",
    "CREATE TABLE measured (at date NOT NULL, value int) PARTITION BY RANGE (at)",
    "CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "CREATE TABLE measured_2027 (at date NOT NULL, value int)",
    "CREATE UNIQUE INDEX orders_email ON orders (email)",
    "CREATE VIEW recent AS SELECT id FROM orders",
    "CREATE MATERIALIZED VIEW per_day AS SELECT at, count(*) FROM measured GROUP BY at",
    "INSERT INTO orders (email) SELECT 'a' || i FROM generate_series(1, 1000) i",
)
ALTERATIONS = (
    "CREATE INDEX CONCURRENTLY orders_total ON orders (total)",
    "ALTER INDEX orders_total RENAME TO of_total",
    "ALTER INDEX of_total SET (fillfactor = 70)",
    "DROP INDEX CONCURRENTLY of_total",
    "ALTER TABLE orders CLUSTER ON orders_email",
    "ALTER TABLE orders REPLICA IDENTITY USING INDEX orders_email",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_email'::regclass",
    "REINDEX INDEX orders_email",
    "ALTER TABLE orders ADD COLUMN note text",
    "ALTER TABLE orders RENAME COLUMN note TO remark",
    "ALTER TABLE orders ALTER COLUMN remark SET DEFAULT 'none'",
    "ALTER TABLE orders ALTER COLUMN remark SET DEFAULT 'nothing'",
    "ALTER TABLE orders ALTER COLUMN remark DROP DEFAULT",
    "ALTER TABLE orders ALTER COLUMN total SET NOT NULL",
    "ALTER TABLE orders ALTER COLUMN remark TYPE varchar(20)",
    "ALTER TABLE orders DROP COLUMN remark",
    "ALTER TABLE orders SET (autovacuum_enabled = off)",
    "ALTER TABLE sales.lines ADD CONSTRAINT few CHECK (part > 0) NOT VALID",
    "ALTER TABLE sales.lines VALIDATE CONSTRAINT few",
    "ALTER TABLE sales.lines RENAME CONSTRAINT few TO any_part",
    "ALTER TABLE sales.lines DROP CONSTRAINT any_part",
    "ALTER TABLE sales.lines ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders",
    "ALTER TABLE sales.lines ADD CONSTRAINT of_order_too FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE",
    "ALTER TABLE sales.lines DROP CONSTRAINT of_order_too",
    "ALTER TABLE sales.lines ADD CONSTRAINT parts UNIQUE (part)",
    "CREATE OR REPLACE VIEW recent AS SELECT id FROM orders WHERE total > 5",
    "ALTER VIEW recent RENAME TO lately",
    "DROP VIEW lately",
    "ALTER TABLE measured ATTACH PARTITION measured_2027 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    "CREATE INDEX measured_at ON measured (at)",
    "ALTER TABLE measured DETACH PARTITION measured_2026",
    "DROP MATERIALIZED VIEW per_day",
    "CREATE SEQUENCE numbers AS smallint",
    "ALTER SEQUENCE numbers MAXVALUE 1000",
    "ALTER SEQUENCE numbers OWNED BY orders.total",
    "DROP SEQUENCE numbers",
    "ALTER SCHEMA sales RENAME TO trade",
    "ALTER TABLE trade.lines SET SCHEMA public",
    "ALTER TABLE lines RENAME TO items",
    "CREATE TABLE another (id int)",
    "DROP TABLE items",
)


async def read(open_session: Open, database: Database, purpose: str = SYNC) -> Snapshot:
    session = await open_session(database.monitor_url, purpose)
    snapshot = await session.collect()
    await session.close()
    assert not snapshot.warnings
    return snapshot


async def read_whole(open_session: Open, database: Database) -> Snapshot:
    return await read(open_session, database, "test")


def objects(snapshot: Snapshot) -> tuple[object, ...]:
    assert snapshot.tables is not None and snapshot.indexes is not None
    tables = {each.key: replace(each, frozen_age=None) for each in snapshot.tables}  # others work on the server too
    indexes = {each.key: each for each in snapshot.indexes}
    return tables, indexes, snapshot.schema, snapshot.foreign_keys, snapshot.sequences


@pytest.mark.parametrize(
    "pg_all",
    [pytest.param(major, marks=() if major in (15, 18) else pytest.mark.soak, id=f"pg{major}") for major in MAJORS],
    indirect=True,
)
async def test_every_alteration_is_seen_by_the_next_reading(pg_all: Database, open_session: Open) -> None:
    """Under what is kept, and by a reading that keeps nothing, all is the same to the last figure."""
    pg_all.execute(*TABLES)
    with pg_all.connect() as connection:
        for _ in range(2):
            await read(open_session, pg_all)
        for alteration in ALTERATIONS:
            connection.execute(alteration.encode())
            connection.execute("SELECT pg_stat_force_next_flush()" if pg_all.major >= 15 else "SELECT pg_sleep(0.6)")
            assert objects(await read(open_session, pg_all)) == objects(await read_whole(open_session, pg_all)), (
                alteration
            )


async def test_what_was_not_altered_costs_few_statements(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'a')", "CHECKPOINT")
    first, second, third = [(await read(open_session, pg)).server_statements for _ in range(3)]
    assert first == 9, "facts anew, no sign, nothing kept"
    assert (second, third) == (8, 5)
    pg.execute("ANALYZE", "VACUUM", "SELECT * FROM t")
    with pg.connect() as connection:
        connection.execute("CREATE TEMP TABLE passing (id int PRIMARY KEY, a int DEFAULT 3 CHECK (a > 0))")
        assert (await read(open_session, pg)).server_statements <= 6, "sizes of what was vacuumed"
    pg.execute("CREATE SEQUENCE numbers")
    assert (await read(open_session, pg)).server_statements == 8
    assert (await read(open_session, pg)).server_statements == 6, "sequences move by themselves"


async def test_figures_move_without_an_alteration(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE TABLE t (id serial PRIMARY KEY, a text)", "CREATE TABLE still (a int)")
    for _ in range(3):
        before = {table.name: table for table in (await read(open_session, pg)).tables or ()}
    with pg.connect() as connection:
        connection.execute("INSERT INTO t (a) SELECT repeat('a', 500) FROM generate_series(1, 2000)")
        connection.execute("SET enable_seqscan = off")
        connection.execute("SELECT * FROM t WHERE id = 7")
        connection.execute("SELECT pg_stat_force_next_flush()" if pg.major >= 15 else "SELECT pg_sleep(0.6)")
    snapshot = await read(open_session, pg)
    assert snapshot.server_statements == 7, "sizes and sequences"
    assert objects(snapshot) == objects(await read_whole(open_session, pg))
    tables = {table.name: table for table in snapshot.tables or ()}
    assert tables["still"].size_bytes == before["still"].size_bytes == 0
    assert (tables["t"].size_bytes or 0) > 1_000_000 and (before["t"].size_bytes or 0) < 10_000
    assert (tables["t"].counters["inserts"], tables["t"].counters["index_scan"]) == (2000, 1)
    pg.execute("TRUNCATE t")
    (emptied,) = [table for table in (await read(open_session, pg)).tables or () if table.name == "t"]
    assert emptied.size_bytes == 0


async def test_an_index_being_made_is_looked_at_until_it_is_there(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (1)")
    with pg.connect() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)")
    for _ in range(3):
        snapshot = await read(open_session, pg)
    assert snapshot.server_statements == 8
    assert [(index.valid, index.building) for index in snapshot.indexes or ()] == [(False, False)]


async def test_under_a_lock_only_what_is_not_needed_of_it_is_known(pg: Database, open_session: Open) -> None:
    """Nothing waits for the lock; once something was written to it, its size is missing and a warning says so."""
    pg.execute("CREATE TABLE t (id int PRIMARY KEY)")
    for _ in range(2):
        known = objects(await read(open_session, pg))
    with pg.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        assert objects(await read(open_session, pg)) == known
    pg.execute("INSERT INTO t SELECT generate_series(1, 1000)", "SELECT pg_sleep(1.1)")
    with pg.connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(20):
            snapshot = await (await open_session(pg.monitor_url, SYNC)).collect()
    assert [finding.code for finding in snapshot.warnings] == ["relations-locked"]
    assert [table.size_bytes for table in snapshot.tables or ()] == [None]
    assert objects(await read(open_session, pg)) == objects(await read_whole(open_session, pg))
