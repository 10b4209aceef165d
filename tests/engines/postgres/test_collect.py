"""One sync's reading: complete, in a constant number of statements, on every version, whatever is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from meshag_tui.engines.base import SYNC, Limits
from meshag_tui.engines.postgres.session import PostgresSession
from meshag_tui.engines.postgres.statements import columns
from meshag_tui.snapshot import IndexStats, Snapshot, Statements, TableStats
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import MONITOR, Database

ALWAYS = {
    *("calls", "total_time_ms", "rows", "shared_hit", "shared_read", "shared_dirtied", "shared_written"),
    *("temp_read", "temp_written", "io_read_ms", "io_write_ms", "wal_bytes", "min_time_ms", "max_time_ms"),
    "time_squares",
}


def by_key(statements: Statements | None) -> dict[str, dict[str, Any]]:
    """Rows as dictionaries, by key."""
    assert statements is not None
    return {row[0]: dict(zip(statements.columns, row[1:], strict=True)) for row in statements.rows}


def codes(snapshot: Snapshot) -> set[str]:
    return {finding.code for finding in snapshot.warnings}


async def row_of(open_session: Open, database: Database, text: str) -> dict[str, Any]:
    """The counters of the one statement whose text contains `text`."""
    session = await open_session(database.monitor_url)
    rows = by_key((await session.collect()).statements)
    (key,) = [found.key for found in await session.texts(None) if found.text and text in found.text]
    return rows[key]


async def test_counters_on_every_version(pg_all: Database, open_session: Open) -> None:
    pg_all.execute("CREATE TABLE orders AS SELECT i AS id, i % 10 AS customer FROM generate_series(1, 20000) i")
    with pg_all.connect() as connection:
        for customer in range(7):
            connection.execute(
                f"SELECT count(*), sum(id) FROM orders WHERE customer = {customer} AND id > pg_backend_pid() * 0"
            )
    session = await open_session(pg_all.monitor_url)
    snapshot = await session.collect()
    assert snapshot.warnings == ()
    statements = snapshot.statements
    assert statements is not None
    assert set(statements.columns) == ALWAYS | ({"stats_since"} if pg_all.major >= 17 else set())
    rows = by_key(statements)
    texts = {text.key: text for text in await session.texts(list(rows))}
    busiest = max(rows, key=lambda key: rows[key]["calls"] if texts[key].kind == "select" else 0)
    assert "FROM orders WHERE customer = $1" in str(texts[busiest].text)
    row = rows[busiest]
    assert (row["calls"], row["rows"]) == (7, 7)
    assert 0 < row["min_time_ms"] <= row["max_time_ms"] <= row["total_time_ms"]
    assert row["time_squares"] >= row["total_time_ms"] ** 2 / 7 * 0.9999, (
        "the mean of squares is no less than its square"
    )
    assert row["shared_hit"] + row["shared_read"] > 7 * 80
    epoch = snapshot.facts.epoch
    assert (epoch.stats_reset is None) == (pg_all.major == 13)
    if pg_all.major > 13:
        ((evicted,),) = pg_all.fetch("SELECT dealloc FROM pg_stat_statements_info")
        assert epoch.evictions is not None and epoch.evictions <= evicted
    else:
        assert epoch.evictions is None
    if pg_all.major >= 17:
        assert epoch.started_at - 5_000 < row["stats_since"] <= snapshot.taken_at + 5_000
        of_epoch = "SELECT queryid, date_part('epoch', stats_since) * 1000 FROM pg_stat_statements"
        moments = {str(queryid): round(moment) for queryid, moment in pg_all.fetch(of_epoch)}
        assert all(row["stats_since"] == moments[key.split(".")[2]] for key, row in rows.items())
    assert busiest.startswith(f"{snapshot.facts.database_oid}.")
    assert busiest.endswith(".t")


async def test_statements_per_sync_do_not_depend_on_tables(pg: Database, open_session: Open) -> None:
    sent = []
    for more in (100, 2_900):
        with pg.connect() as connection:
            for begin in range(0, more, 100):
                connection.execute(
                    "".join(
                        f"CREATE TABLE t{more}_{n} (id int PRIMARY KEY, a int); CREATE INDEX ON t{more}_{n} (a);"
                        for n in range(begin, begin + 100)
                    )
                )
        session = await open_session(pg.monitor_url)
        snapshot = await session.collect()
        assert snapshot.statements is not None
        await session.texts([row[0] for row in snapshot.statements.rows])
        assert snapshot.tables is not None
        assert snapshot.indexes is not None
        assert snapshot.schema is not None
        sent.append(
            (len(snapshot.tables), len(snapshot.indexes), len(snapshot.schema.columns), session.wire.statements)
        )
    assert sent == [(100, 200, 100, 10), (3_000, 6_000, 3_000, 10)]


async def test_counters_alone_are_cheaper(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE TABLE t (id serial PRIMARY KEY)")
    session = await open_session(pg.monitor_url)
    snapshot = await session.collect(objects=False)
    assert session.wire.statements == 5
    assert snapshot.statements is not None
    assert snapshot.sessions is not None
    assert (snapshot.tables, snapshot.indexes, snapshot.schema, snapshot.sequences, snapshot.warnings) == (
        *(None, None, None, None),
        (),
    )


async def test_a_kept_session_reads_its_facts_anew(pg: Database, open_session: Open) -> None:
    session = await open_session(pg.monitor_url)
    first = await session.collect()
    pg.execute("SELECT pg_stat_reset()", "SELECT pg_stat_statements_reset()")
    second = await session.collect()
    assert second.facts.observed_at > first.facts.observed_at
    assert second.facts.epoch.objects_reset != first.facts.epoch.objects_reset
    assert second.facts.epoch.stats_reset != first.facts.epoch.stats_reset


async def test_only_this_database_and_users_kept_apart(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE ROLE other_app", "GRANT CREATE ON SCHEMA public TO other_app")
    try:
        with pg.connect() as connection:
            connection.execute("SELECT 'a'::text AS kept_apart")
            connection.execute("SET ROLE other_app")
            connection.execute("SELECT 'b'::text AS kept_apart")
        with psycopg.connect(pg.server.dsn("postgres")) as elsewhere:
            elsewhere.execute("SELECT 'c'::text AS elsewhere_only")
        session = await open_session(pg.monitor_url)
        found = await session.texts(None)
        users = [text.user for text in found if text.text and "kept_apart" in text.text]
        assert sorted(map(str, users)) == ["app", "other_app"]
        assert not [text for text in found if text.text and "elsewhere_only" in text.text]
    finally:
        pg.execute("DROP OWNED BY other_app", "DROP ROLE other_app")


async def test_what_a_watching_role_runs_is_left_out(pg: Database, open_session: Open) -> None:
    session = await open_session(pg.monitor_url)
    await session.collect()
    statements = (await session.collect()).statements
    assert statements is not None
    ((user,),) = pg.fetch("SELECT %s::regrole::oid::text", (MONITOR,))
    assert statements.hidden > 3
    assert statements.hidden_time_ms > 0
    assert statements.whole, "what is left out is our own: nothing else is missing"
    assert not [row for row in statements.rows if row[0].split(".")[1] == user]


async def test_a_role_that_owns_things_is_an_application(private_pg, open_session: Open) -> None:
    """Watching with the application's own role must not hide the application."""
    database: Database = private_pg(18)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {MONITOR}")
    with psycopg.connect(database.monitor_url, autocommit=True) as application:
        application.execute("CREATE TABLE orders (id int)")
        application.execute("SELECT * FROM orders")
    session = await open_session(database.monitor_url)
    await session.collect()
    snapshot = await session.collect()
    texts = {text.key: text for text in await session.texts(list(by_key(snapshot.statements)))}
    shown = [str(text.text) for text in texts.values() if not text.aside]
    assert "SELECT * FROM orders" in shown
    assert not [text for text in shown if "pg_catalog" in text], "ours are known by their marker"


async def test_hidden_statements_are_a_warning_with_the_grant(pg: Database, open_session: Open) -> None:
    pg.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'", "SELECT 'something of app'")
    try:
        session = await open_session(pg.server.dsn(pg.name, "plain", "plain", tcp=True))
        snapshot = await session.collect()
        statements = snapshot.statements
        assert statements is not None
        assert (statements.hidden > 0, statements.whole) == (True, False)
        (warning,) = [finding for finding in snapshot.warnings if finding.code == "pgss-insufficient-privilege"]
        assert warning.fix == 'GRANT pg_read_all_stats TO "plain";'
        assert warning.facts["hidden"] == statements.hidden
        assert snapshot.tables is not None
        assert snapshot.sessions is not None
        pg.execute("GRANT pg_read_all_stats TO plain")
        again = await (await open_session(pg.server.dsn(pg.name, "plain", "plain", tcp=True))).collect()
        assert "pgss-insufficient-privilege" not in codes(again)
    finally:
        pg.execute("DROP ROLE plain")


async def test_without_timing_there_is_no_zero(private_pg, open_session: Open) -> None:
    database: Database = private_pg(18, settings={"pg_stat_statements.track_planning": "on"})
    first = (await (await open_session(database.monitor_url)).collect()).statements
    assert first is not None
    assert {"io_read_ms", "io_write_ms"}.isdisjoint(first.columns)
    assert {"plans", "plan_time_ms"} <= set(first.columns)
    database.execute("ALTER SYSTEM SET track_io_timing = on", "SELECT pg_reload_conf()")
    second = (await (await open_session(database.monitor_url)).collect()).statements
    assert second is not None
    assert {"io_read_ms", "io_write_ms"} <= set(second.columns)


@pytest.mark.parametrize("version", ["1.4", "1.6", "1.7", "1.8", "1.9"])
async def test_an_extension_left_behind_by_an_upgrade(pg15: Database, open_session: Open, version: str) -> None:
    pg15.execute("DROP EXTENSION pg_stat_statements", f"CREATE EXTENSION pg_stat_statements VERSION '{version}'")
    pg15.execute("SELECT 'old_one'")
    session = await open_session(pg15.monitor_url)
    snapshot = await session.collect()
    assert snapshot.warnings == ()
    found = {text.text: text for text in await session.texts(None)}
    assert by_key(snapshot.statements)[found["SELECT $1"].key]["calls"] >= 1
    if version < "1.9":
        assert snapshot.facts.epoch.stats_reset is None
    (old,) = [finding for finding in await session.findings() if finding.code == "pgss-old-version"]
    assert old.fix == "ALTER EXTENSION pg_stat_statements UPDATE;"
    assert version in old.title


async def test_a_vendors_view_of_the_name_is_not_what_is_read(pg18: Database, open_session: Open) -> None:
    """Some services take the extension's view away and put a view or function of their own in front of the path."""
    pg18.execute(
        "ALTER EXTENSION pg_stat_statements DROP VIEW pg_stat_statements",
        "DROP VIEW pg_stat_statements",
        "CREATE SCHEMA managed",
        "CREATE VIEW managed.pg_stat_statements AS SELECT 1 AS nothing",
        "CREATE FUNCTION managed.pg_stat_statements(boolean) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT USAGE ON SCHEMA managed TO PUBLIC",
        f'ALTER DATABASE "{pg18.name}" SET search_path = managed, public',
        "SELECT 'counted' AS behind_another_view",
    )
    session = await open_session(pg18.monitor_url)
    statements = (await session.collect()).statements
    assert statements is not None
    texts = {text.text for text in await session.texts([row[0] for row in statements.rows])}
    assert "SELECT $1 AS behind_another_view" in texts


async def test_what_stands_for_the_view_can_be_named(pg18: Database, open_session: Open) -> None:
    """A function that is told whether texts are wanted, one that is not, a view: of somebody who may read it all."""
    pg18.execute(
        "REVOKE EXECUTE ON FUNCTION pg_stat_statements(boolean), pg_stat_statements_info() FROM PUBLIC, pg_monitor",
        "CREATE SCHEMA managed",
        "GRANT USAGE ON SCHEMA managed TO PUBLIC",
        """CREATE FUNCTION managed.told(texts boolean) RETURNS SETOF public.pg_stat_statements SECURITY DEFINER
           LANGUAGE sql AS 'SELECT * FROM public.pg_stat_statements(texts)'""",
        """CREATE FUNCTION managed.untold(OUT userid oid, OUT dbid oid, OUT queryid bigint, OUT query text,
               OUT calls int8, OUT total_exec_time float8) RETURNS SETOF record SECURITY DEFINER
           LANGUAGE sql AS 'SELECT userid, dbid, queryid, query, calls, total_exec_time FROM public.pg_stat_statements'
        """,
        "CREATE VIEW managed.seen AS SELECT * FROM managed.told(true)",
        "GRANT SELECT ON managed.seen TO PUBLIC",
        "SELECT 'counted' AS through_another_door",
    )
    for name in ("told", "untold", "seen"):
        session = await open_session(pg18.monitor_url, limits=Limits(statements_from=("managed", name)))
        snapshot = await session.collect(elsewhere="counted")
        assert snapshot.statements is not None and codes(snapshot) == set(), name
        assert (snapshot.other_databases is None) == (name == "untold"), "it says no rows"
        texts = {text.text: text.key for text in await session.texts([row[0] for row in snapshot.statements.rows])}
        assert by_key(snapshot.statements)[texts["SELECT $1 AS through_another_door"]]["calls"] == 1
        found = {finding.code: finding for finding in await session.findings()}
        assert found["pgss"].title == f"managed.{name} counts statements"
        assert await session.compiled() == {}
    elsewhere = await open_session(pg18.monitor_url, limits=Limits(statements_from=("managed", "nothing")))
    assert codes(await elsewhere.collect()) == {"pgss-no-privilege"}, (
        "the extension's own, where there is no such thing"
    )


CROWD = """CREATE OR REPLACE VIEW crowd.seen AS
    SELECT 10::oid AS userid, d.oid AS dbid, g::int8 AS queryid, NULL::text AS query,
        g::int8 AS calls, power(10, g / 20000.0 - {shift})::float8 AS total_exec_time
    FROM generate_series(1, 120000) g, pg_database d WHERE d.datname = current_database()"""


async def test_of_too_many_statements_the_costly_are_read(pg18: Database, open_session: Open) -> None:
    pg18.execute(
        "CREATE SCHEMA crowd",
        "GRANT USAGE ON SCHEMA crowd TO PUBLIC",
        CROWD.format(shift=2),
        "GRANT SELECT ON crowd.seen TO PUBLIC",
    )
    limits = Limits(call_s=300, statements_from=("crowd", "seen"), statements=50_000)  # however busy the machine is
    session = await open_session(pg18.monitor_url, limits=limits)
    snapshot = await session.collect(objects=False)
    read = snapshot.statements
    assert read is not None and (read.least_ms, read.whole) == (50.0, True)
    times = [row[1 + read.columns.index("total_time_ms")] for row in read.rows]
    everything = sum(10 ** (g / 20000 - 2) for g in range(1, 120_001))
    assert len(times) == read_of(snapshot)["read"] == 120_000 - read.hidden and 40_000 < len(times) <= 50_000
    assert min(times) >= 50 and sum(times) + read.hidden_time_ms == pytest.approx(everything)
    assert read_of(snapshot)["covered"] == pytest.approx(sum(times) / everything, abs=1e-6)
    whole = await open_session(pg18.monitor_url, limits=replace(limits, statements=0))
    unnarrowed = (await whole.collect(objects=False)).statements
    assert unnarrowed is not None and (len(unnarrowed.rows), unnarrowed.least_ms) == (120_000, None)

    async def least(by: PostgresSession) -> float | None:
        again = (await by.collect(objects=False)).statements
        return again and again.least_ms

    pg18.execute(CROWD.format(shift=1))  # each took ten times as long
    assert await least(session) == 50.0, "asked once a session: it goes through all of them"
    assert await least(await open_session(pg18.monitor_url, limits=limits)) == 500.0
    pg18.execute(CROWD.format(shift=5))
    assert [await least(session), await least(session)] == [50.0, 0.05], "so few are read that it is asked again"


async def test_after_a_reset_is_asked_anew_which_are_read(pg18: Database, open_session: Open) -> None:
    ran = [f"SELECT pg_sleep({number / 100})" + ", 1" * number for number in range(1, 9)]
    pg18.execute("SELECT pg_stat_statements_reset()", *ran)
    session = await open_session(pg18.monitor_url, limits=Limits(statements=3))
    before = (await session.collect(objects=False)).statements
    assert before is not None and before.least_ms
    pg18.execute("SELECT pg_stat_statements_reset()", ran[0])
    after = (await session.collect(objects=False)).statements
    assert after is not None and (after.least_ms or 0.0) < before.least_ms, "what ran since is read at once"


def read_of(snapshot: Snapshot) -> Mapping[str, Any]:
    """What is said of statements that were left out."""
    return next(finding.facts for finding in snapshot.warnings if finding.code == "pgss-narrowed")


async def test_columns_of_a_version_to_come(pg18: Database, open_session: Open) -> None:
    """The function of a future version: one column renamed away, one new, the order changed."""
    pg18.execute("SELECT 'of the future'")
    pg18.execute(
        "ALTER EXTENSION pg_stat_statements DROP VIEW pg_stat_statements",
        "ALTER EXTENSION pg_stat_statements DROP FUNCTION pg_stat_statements(boolean)",
        "ALTER FUNCTION pg_stat_statements(boolean) RENAME TO real_statements",
        """CREATE FUNCTION pg_stat_statements(showtext boolean, OUT userid oid, OUT dbid oid, OUT toplevel bool,
               OUT queryid bigint, OUT query text, OUT quanta float8, OUT total_exec_time float8, OUT calls int8)
           RETURNS SETOF record LANGUAGE sql AS $$
               SELECT userid, dbid, toplevel, queryid, query, 0.5, total_exec_time, calls
               FROM public.real_statements(showtext)
           $$""",
        "ALTER EXTENSION pg_stat_statements ADD FUNCTION pg_stat_statements(boolean)",
    )
    session = await open_session(pg18.monitor_url)
    snapshot = await session.collect()
    assert snapshot.statements is not None
    assert snapshot.statements.columns == ("calls", "total_time_ms")
    texts = {text.text for text in await session.texts([row[0] for row in snapshot.statements.rows])}
    assert "SELECT $1" in texts
    pg18.execute("ALTER FUNCTION pg_stat_statements(boolean) RENAME TO other")
    pg18.execute(
        "CREATE FUNCTION pg_stat_statements(showtext boolean, OUT userid oid, OUT invocations int8)"
        " RETURNS SETOF record LANGUAGE sql AS 'SELECT NULL::oid, 1'",
        "ALTER EXTENSION pg_stat_statements ADD FUNCTION pg_stat_statements(boolean)",
    )
    without = await (await open_session(pg18.monitor_url)).collect()
    assert without.statements is None
    assert without.tables is not None
    assert "no column calls" in without.warnings[0].detail


def test_columns_are_chosen_by_what_is_there() -> None:
    recorded = {
        13: "calls total_exec_time min_exec_time blk_read_time wal_bytes",
        17: "calls total_exec_time min_exec_time shared_blk_read_time local_blk_read_time wal_bytes stats_since",
        19: "calls total_exec_time something_new",
    }
    chosen = {major: columns(names.split(), {}) for major, names in recorded.items()}
    assert chosen[13]["io_read_ms"] == "blk_read_time"
    assert chosen[17]["io_read_ms"] == "shared_blk_read_time"
    assert chosen[19] == {"calls": "calls", "total_time_ms": "total_exec_time"}
    assert columns(["calls", "total_time"], {})["total_time_ms"] == "total_time"


async def test_a_reset_is_seen_in_the_epoch(pg: Database, open_session: Open) -> None:
    first = await (await open_session(pg.monitor_url)).collect()
    pg.execute("SELECT pg_stat_statements_reset()")
    second = await (await open_session(pg.monitor_url)).collect()
    assert first.facts.epoch != second.facts.epoch
    assert second.facts.epoch.stats_reset is not None
    assert second.facts.epoch.stats_reset > (first.facts.epoch.stats_reset or 0)


async def test_evictions_are_counted(private_pg, open_session: Open) -> None:
    database: Database = private_pg(18, settings={"pg_stat_statements.max": "100"})
    with database.connect() as connection:
        for number in range(300):
            connection.execute(
                sql.SQL("SELECT 1 AS a WHERE 1 IN ({})").format(sql.SQL("+").join([sql.SQL("1")] * (number + 1)))
            )
    session = await open_session(database.monitor_url)
    snapshot = await session.collect()
    assert (snapshot.facts.epoch.evictions or 0) > 0
    (finding,) = [found for found in await session.findings() if found.code == "pgss-evictions"]
    assert "pg_stat_statements.max" in str(finding.fix)


def named(found: tuple[Any, ...] | None) -> dict[str, Any]:
    assert found is not None
    return {f"{item.schema}.{item.name}": item for item in found}


SHOP = (
    "CREATE SCHEMA sales",
    'CREATE TABLE orders (id bigserial PRIMARY KEY, email text COLLATE "C", total numeric(10,2) NOT NULL DEFAULT 0)',
    "CREATE TABLE sales.orders (id smallint GENERATED ALWAYS AS IDENTITY, order_id bigint REFERENCES public.orders)",
    "CREATE TABLE pg_orders (a int)",
    "CREATE TABLE no_index (a int)",
    "CREATE TABLE measured (at date NOT NULL, value int) PARTITION BY RANGE (at)",
    "CREATE TABLE measured_2026 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "CREATE INDEX measured_at ON measured (at)",
    "CREATE INDEX orders_lower ON orders (lower(email), total DESC NULLS LAST) INCLUDE (id) WHERE total > 100",
    "CREATE INDEX orders_pattern ON orders (email text_pattern_ops)",
    'CREATE UNIQUE INDEX orders_email ON orders (email COLLATE "POSIX")',
    "ALTER TABLE orders CLUSTER ON orders_email",
    "CREATE MATERIALIZED VIEW per_day AS SELECT at, count(*) FROM measured GROUP BY at",
    "CREATE VIEW recent AS SELECT id FROM orders WHERE total > 5",
    "ALTER TABLE orders SET (autovacuum_enabled = off, fillfactor = 70)",
    "INSERT INTO orders (email, total) SELECT 'a' || i, i FROM generate_series(1, 500) i",
    "INSERT INTO no_index SELECT generate_series(1, 100)",
    "DELETE FROM orders WHERE id % 5 = 0",
    "ANALYZE orders",
)


@pytest.fixture
def shop() -> Callable[[Database], None]:
    return lambda database: database.execute(*SHOP)


async def test_objects_on_every_version(pg_all: Database, open_session: Open, shop: Callable[[Database], None]) -> None:
    shop(pg_all)
    with pg_all.connect() as connection:
        for _ in range(3):
            connection.execute("SELECT * FROM no_index")
        connection.execute("SET enable_seqscan = off")
        connection.execute("SELECT * FROM orders WHERE id = 7")
        connection.execute("SELECT pg_stat_force_next_flush()" if pg_all.major >= 15 else "SELECT pg_sleep(1.5)")
    snapshot = await (await open_session(pg_all.monitor_url)).collect()
    tables = named(snapshot.tables)
    assert set(tables) == {
        *("public.orders", "sales.orders", "public.pg_orders", "public.no_index"),
        *("public.measured", "public.measured_2026", "public.per_day"),
    }, "all schemas, no extension's, a user's pg_orders too"
    _check_tables(tables, pg_all)
    _check_indexes({index.name: index for index in snapshot.indexes or ()}, pg_all)
    _check_structure(snapshot, pg_all)


def _check_tables(tables: dict[str, TableStats], database: Database) -> None:
    orders, plain, part = tables["public.orders"], tables["public.no_index"], tables["public.measured_2026"]
    ((size, index_size),) = database.fetch(
        "SELECT pg_relation_size('orders') + pg_relation_size(reltoastrelid), pg_indexes_size('orders')"
        " FROM pg_class WHERE oid = 'orders'::regclass"
    )
    assert (orders.size_bytes, orders.index_bytes) == (size, index_size)
    (server_says,) = database.fetch(
        "SELECT n_live_tup, n_dead_tup, n_mod_since_analyze, seq_scan, seq_tup_read, idx_scan, idx_tup_fetch,"
        " n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del FROM pg_stat_user_tables WHERE relid = 'orders'::regclass"
    )
    counted = ("seq_scan", "seq_rows", "index_scan", "index_rows", "inserts", "updates", "hot_updates", "deletes")
    assert (orders.live_rows, orders.dead_rows, orders.modified_since_analyze) == server_says[:3]
    assert tuple(orders.counters[name] for name in counted) == server_says[3:]
    assert (orders.counters["inserts"], orders.counters["deletes"], orders.rows_estimate) == (500, 100, 400)
    assert orders.options == {"autovacuum_enabled": "off", "fillfactor": "70"}
    assert orders.last_analyze is not None
    assert orders.last_vacuum is None
    assert orders.has_primary_key
    assert not plain.has_primary_key
    assert (plain.counters["seq_scan"], plain.counters["index_scan"]) == (3, None)
    assert (part.kind, part.parent) == ("partition", "public.measured")
    assert (tables["public.measured"].kind, tables["public.per_day"].kind) == ("partitioned", "materialized view")
    assert (orders.counters["index_scan"] or 0) >= 1


def _check_indexes(indexes: dict[str, IndexStats], database: Database) -> None:
    ((definition,),) = database.fetch("SELECT pg_get_indexdef('orders_lower'::regclass)")
    lower = indexes["orders_lower"]
    assert lower.definition == definition
    assert (lower.keys[0].column, lower.keys[0].expression) == (None, "lower(email)")
    assert (lower.keys[1].column, lower.keys[1].descending, lower.keys[1].nulls_first) == ("total", True, False)
    assert (lower.include, lower.predicate) == (("id",), "(total > (100)::numeric)")
    assert indexes["orders_pattern"].keys[0].opclass == "text_pattern_ops"
    assert indexes["orders_pattern"].keys[0].collation is None
    assert (indexes["orders_email"].keys[0].collation, indexes["orders_email"].clustered) == ("POSIX", True)
    primary = indexes["orders_pkey"]
    assert (primary.primary, primary.unique, primary.constraint, primary.valid) == (True, True, "orders_pkey", True)
    assert (primary.scans or 0) >= 1
    assert (primary.last_scan is not None) == (database.major >= 16)
    assert indexes["measured_2026_at_idx"].parent == "public.measured_at"
    assert indexes["measured_at"].size_bytes is None


def _check_structure(snapshot: Snapshot, database: Database) -> None:
    schema = snapshot.schema
    assert schema is not None
    columns = {column.name: column for column in schema.columns["public.orders"]}
    assert (columns["total"].type, columns["total"].nullable, columns["total"].default) == ("numeric(10,2)", False, "0")
    assert "SELECT" in schema.views["public.recent"]
    assert schema.constraints["public.orders"] == ("orders_pkey PRIMARY KEY (id)",)
    (key,) = snapshot.foreign_keys or ()
    assert (key.schema, key.table, key.columns) == ("sales", "orders", ("order_id",))
    assert (key.ref_schema, key.ref_table, key.ref_columns) == ("public", "orders", ("id",))
    big = next(sequence for sequence in snapshot.sequences or () if sequence.schema == "public")
    small = next(sequence for sequence in snapshot.sequences or () if sequence.schema == "sales")
    last = 500 if database.major >= 14 else None  # the rig grants sequences by pg_read_all_data only
    assert (big.last_value, big.limit, big.table, big.column) == (last, 2**63 - 1, "orders", "id")
    assert (small.last_value, small.limit, small.column_type) == (None, 2**15 - 1, "smallint")


async def test_equal_structure_gives_an_equal_document(
    pg18: Database, open_session: Open, shop: Callable[[Database], None]
) -> None:
    shop(pg18)
    first = (await (await open_session(pg18.monitor_url)).collect()).schema
    pg18.execute("VACUUM FULL", "ANALYZE", "INSERT INTO orders (total) VALUES (1)")
    assert (await (await open_session(pg18.monitor_url)).collect()).schema == first
    pg18.execute("ALTER TABLE orders ADD COLUMN note text")
    assert (await (await open_session(pg18.monitor_url)).collect()).schema != first


async def test_an_invalid_index_and_a_replica_identity(pg: Database, open_session: Open) -> None:
    pg.execute(
        "CREATE TABLE t (a int NOT NULL, b int)",
        "INSERT INTO t VALUES (1, 1), (2, 1)",
        "CREATE UNIQUE INDEX t_a ON t (a)",
        "ALTER TABLE t REPLICA IDENTITY USING INDEX t_a",
    )
    with pg.connect() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY t_b ON t (b)")
    indexes = named((await (await open_session(pg.monitor_url)).collect()).indexes)
    assert indexes["public.t_a"].replica_identity
    assert (indexes["public.t_b"].valid, indexes["public.t_b"].building) == (False, False)


async def test_sessions_by_state(pg: Database, open_session: Open) -> None:
    with pg.connect() as idle, pg.connect(application_name="forgetful") as forgetful:
        idle.execute("SELECT 1")
        forgetful.execute("BEGIN")
        forgetful.execute("SELECT 1")
        sessions = (await (await open_session(pg.monitor_url)).collect()).sessions
    assert sessions is not None
    assert (sessions.max_connections, sessions.reserved) == (80, 3)
    assert sessions.by_state["idle in transaction"] >= 1, "one that is just ending may be another test's"
    assert sessions.by_state["idle"] >= 1
    (found,) = [each for each in sessions.idle_in_transaction if each["application"] == "forgetful"]
    assert found["user"] == "app"
    assert 0 <= found["state_age_ms"] <= found["age_ms"] < 10_000


async def test_nothing_is_created_and_nothing_reset(pg: Database, open_session: Open) -> None:
    catalogue = (
        "SELECT c.oid, c.xmin::text, c.relname FROM pg_class c UNION ALL SELECT oid, xmin::text, proname FROM pg_proc"
        " UNION ALL SELECT oid, xmin::text, extname FROM pg_extension ORDER BY 1, 2, 3"
    )
    pg.execute("CREATE TABLE t (a int)")
    before = pg.fetch(catalogue)
    session = await open_session(pg.monitor_url)
    snapshot = await session.collect()
    await session.texts([row[0] for row in snapshot.statements.rows] if snapshot.statements else [])
    await session.findings()
    assert pg.fetch(catalogue) == before
    ours = pg.fetch("SELECT lower(query) FROM pg_stat_statements WHERE query LIKE '%%/* meshag */%%'")
    assert ours
    for (query,) in ours:
        assert query.split()[0] in ("select", "with", "begin", "rollback", "set"), query
        assert "_reset(" not in query.replace("pg_stat_get_db_stat_reset_time(", "")


async def test_it_works_on_a_standby(private_pg, open_session: Open, tmp_path) -> None:
    """In recovery nothing can be written at all, not even by a function."""
    database: Database = private_pg(18, durable=True)
    database.execute("CREATE TABLE t (id serial PRIMARY KEY)", "CREATE UNLOGGED TABLE u (id serial)", "CHECKPOINT")
    data = database.server.root / "data"
    database.server.stop()
    (data / "standby.signal").touch()

    os.chown(data / "standby.signal", data.stat().st_uid, data.stat().st_gid)
    database.server.start()
    session = await open_session(database.monitor_url)
    snapshot = await session.collect()
    assert snapshot.warnings == ()
    assert (snapshot.facts.in_recovery, snapshot.facts.epoch.role) == (True, "replica")
    assert snapshot.tables is not None
    await session.findings()


async def test_a_section_that_fails_is_a_warning(private_pg, open_session: Open) -> None:
    database: Database = private_pg(18)
    database.execute("REVOKE EXECUTE ON FUNCTION pg_stat_get_numscans(oid) FROM PUBLIC", "CREATE TABLE t (a int)")
    snapshot = await (await open_session(database.monitor_url)).collect()
    assert snapshot.tables is None
    assert snapshot.statements is not None
    assert snapshot.schema is not None
    failed = {finding.code: finding for finding in snapshot.warnings}
    assert set(failed) == {"section-tables", "section-indexes"}
    assert "GRANT pg_monitor" in str(failed["section-tables"].fix)


async def test_a_hardened_server_still_says_what_it_can(
    private_pg: Callable[..., Database], open_session: Open
) -> None:
    database = private_pg(18)
    database.execute(
        "REVOKE EXECUTE ON FUNCTION pg_stat_get_wal_senders(), pg_postmaster_start_time() FROM PUBLIC, pg_monitor",
        "REVOKE SELECT ON pg_locks FROM PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_stat_get_activity(int4) FROM PUBLIC, pg_monitor",
        f"REVOKE pg_read_all_data FROM {MONITOR}",
    )
    snapshot = await (await open_session(database.monitor_url)).collect()
    assert (snapshot.facts.epoch.started_at, snapshot.facts.replicas) == (0, 0)
    assert snapshot.statements is not None
    assert snapshot.schema is not None
    assert (snapshot.tables, snapshot.indexes, snapshot.sessions) == (None, None, None)
    assert {"section-tables", "section-indexes", "section-sessions"} <= codes(snapshot)


def server_cpu_ms(pid: int) -> float:
    """CPU a backend has used, ms."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


@pytest.mark.slow
async def test_counters_cost_the_server_no_more_than_the_bare_read(
    private_pg: Callable[..., Database], open_session: Open
) -> None:
    database = private_pg(18, settings={"pg_stat_statements.max": "25000"})
    with database.connect() as connection:
        connection.execute("CREATE TABLE q (" + ", ".join(f"c{n} int" for n in range(30)) + ")")
        connection.execute("SET pg_stat_statements.track = 'all'")
        connection.execute(
            "DO $$ BEGIN FOR a IN 0..29 LOOP FOR b IN 0..29 LOOP FOR c IN 0..21 LOOP"
            " EXECUTE format('SELECT c%s, c%s, c%s FROM q', a, b, c); END LOOP; END LOOP; END LOOP; END $$"
        )
    with psycopg.connect(database.monitor_url, autocommit=True) as bare:
        rows = bare.execute("SELECT * FROM pg_stat_statements(false)").fetchall()
        bare_ms = server_cpu_ms(bare.info.backend_pid)
    session = await open_session(database.monitor_url)
    snapshot = await session.collect(objects=False)
    assert snapshot.statements is not None
    assert len(rows) > len(snapshot.statements.rows) > 19_800, "nothing is cut"
    assert server_cpu_ms(session.wire.backend_pid) <= 1.2 * bare_ms


async def test_what_seldom_changes_is_remembered_between_syncs(
    private_pg: Callable[..., Database], open_session: Open
) -> None:
    """And never so that a sync is wrong: what would tell it that the memory is old is read each time, or fails."""
    database = private_pg(18)

    async def collected(purpose: str = SYNC) -> tuple[Snapshot, bool]:
        session = await open_session(database.monitor_url, purpose)
        snapshot = await session.collect(objects=False)
        return snapshot, session.server.remembered

    first, remembered = await collected()
    assert not remembered
    again, remembered = await collected()
    assert remembered and again.server_statements < first.server_statements
    assert replace(again.facts.epoch, stats_reset=None) == replace(first.facts.epoch, stats_reset=None)
    assert again.facts.extensions == first.facts.extensions and again.facts.version == first.facts.version
    assert not (await collected("test"))[1], "who asks wants to know"

    assert (await collected())[1]
    database.execute("DROP EXTENSION pg_stat_statements")
    snapshot, remembered = await collected()
    assert not remembered and codes(snapshot) == {"pgss-not-created"}
    database.execute("CREATE SCHEMA elsewhere", "CREATE EXTENSION pg_stat_statements SCHEMA elsewhere")
    snapshot, remembered = await collected()
    assert not remembered and snapshot.statements is not None and not snapshot.warnings, "at once, when it is mended"
    assert (await collected())[1]
    database.execute(f"REVOKE pg_read_all_stats, pg_monitor, pg_read_all_data FROM {MONITOR}")
    snapshot, remembered = await collected()
    assert not remembered and "pgss-no-privilege" in codes(snapshot)
    database.server.stop()
    database.server.start()
    assert not (await collected())[1]
