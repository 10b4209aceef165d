"""Objects that go by the name of the one that was looked at: in front of it, instead of it, or made anew meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshag_tui.engines.base import Limits, Refused
from meshag_tui.engines.mysql import ddl as my_ddl
from meshag_tui.engines.mysql import render as my_render
from meshag_tui.engines.postgres import ddl, render
from meshag_tui.types import (
    Analyze,
    Change,
    ChangeState,
    CreateIndex,
    DropIndex,
    IndexColumn,
    IndexSpec,
    RenameIndex,
    SetTableOptions,
    Target,
)
from meshag_tui.workflows.durable import RunFailed
from tests.changes.conftest import BY_CUSTOMER, Corner, Desk
from tests.rig.mysql import Schema
from tests.rig.postgres import Database

BIDI = "\u202eyad\u2066"
ASTRAL = "\U0001f600"


async def test_a_search_path_leads_nowhere_else(pg: Database) -> None:
    """A schema of the account's own name and functions and tables in front of the system's are not used."""
    pg.execute(
        "CREATE TABLE public.victim (a int, b int)",
        "CREATE SCHEMA trap",
        "CREATE TABLE trap.victim (a int, b int)",
        "CREATE TABLE trap.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false",
        "CREATE FUNCTION trap.quote_ident(text) RETURNS text LANGUAGE sql AS 'SELECT ''trap.victim'''",
        "CREATE FUNCTION trap.abs(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
        f"ALTER DATABASE {pg.name} SET search_path = trap, pg_catalog, public",
    )
    change = CreateIndex(IndexSpec("public", "victim", (IndexColumn("abs(b)", is_expression=True),), name="n"))
    async with ddl.connect_for_change(Target.from_url(pg.url), Limits()) as session:
        rendered = await render.render(session, change)
        await session.run(change, rendered.sql)
        assert await session.verify(change, rendered) == "done"
    made = "SELECT schemaname, tablename FROM pg_catalog.pg_indexes WHERE indexname = 'n'"
    assert pg.fetch(made) == [("public", "victim")]
    depends = pg.fetch(
        "SELECT 1 FROM pg_catalog.pg_depend WHERE objid = 'public.n'::pg_catalog.regclass "
        "AND refobjid = 'trap.abs(int)'::pg_catalog.regprocedure"
    )
    assert depends == []


@pytest.mark.parametrize(
    "instead",
    [
        "CREATE VIEW public.victim AS SELECT 1 AS b",
        "CREATE SEQUENCE public.victim",
        "CREATE TABLE public.other (b int); CREATE INDEX victim ON public.other (b)",
        "CREATE EXTENSION file_fdw; CREATE SERVER f FOREIGN DATA WRAPPER file_fdw; "
        "CREATE FOREIGN TABLE public.victim (b int) SERVER f OPTIONS (filename '/dev/null')",
        "CREATE TABLE public.victim (b int) PARTITION BY RANGE (b)",
    ],
    ids=["view", "sequence", "index", "foreign table", "partitioned table"],
)
async def test_what_is_no_plain_table_takes_no_index(pg: Database, instead: str) -> None:
    pg.execute(*instead.split("; "))
    change = CreateIndex(IndexSpec("public", "victim", (IndexColumn("b"),), name="n"))
    async with ddl.connect_for_change(Target.from_url(pg.url), Limits()) as session:
        with pytest.raises(Refused):
            await render.render(session, change)
        with pytest.raises(Refused):
            await session.run(change, "CREATE INDEX CONCURRENTLY n ON public.victim USING btree (b)")


@pytest.mark.parametrize("schema", ["pg_temp", "pg_temp_3", "pg_toast", "pg_catalog", "information_schema"])
async def test_no_schema_of_the_servers_own_is_touched(pg: Database, schema: str) -> None:
    async with ddl.connect_for_change(Target.from_url(pg.url), Limits()) as session:
        for change in (Analyze(schema, "pg_class"), DropIndex(schema, "pg_class", "pg_class_oid_index")):
            with pytest.raises(Refused):
                await render.render(session, change)


async def test_of_two_indexes_of_one_name_only_the_one_on_the_table_counts(pg: Database) -> None:
    """An index of this name in this schema, but on another table, is not the one that was meant."""
    pg.execute(
        "CREATE TABLE public.victim (a int, b int)",
        "CREATE TABLE public.other (a int, b int)",
        "CREATE INDEX n ON public.other (b)",
    )
    async with ddl.connect_for_change(Target.from_url(pg.url), Limits()) as session:
        for change in (DropIndex("public", "victim", "n"), RenameIndex("public", "victim", "n", "m")):
            with pytest.raises(Refused):
                await render.render(session, change)
        with pytest.raises(Refused):
            await session.run(DropIndex("public", "victim", "n"), "DROP INDEX CONCURRENTLY public.n")
    assert pg.fetch("SELECT count(*) FROM pg_indexes WHERE indexname = 'n'") == [(1,)]


@pytest.mark.parametrize(
    "name", ["public.victim", 'a".b"', "a\nb; DROP TABLE x", BIDI, "a--", "$$;", "VICTIM", "é" * 31, ASTRAL * 15]
)
async def test_a_name_is_that_name_and_nothing_else(corner: Corner, name: str) -> None:
    """Dots, quotes, new lines, signs that turn the direction: one index of exactly this name, or none."""
    change: Change = replace(corner.by_customer, spec=replace(corner.by_customer.spec, name=name))
    target, before = Target.from_url(corner.database.url), corner.indexes()
    if isinstance(corner.database, Database):
        async with ddl.connect_for_change(target, Limits()) as session:
            rendered = await render.render(session, change)
            await session.run(change, rendered.sql)
            assert await session.verify(change, rendered) == "done"
    else:
        async with my_ddl.connect_for_change(target, Limits()) as hands:
            if ASTRAL in name:  # no name of such a server holds signs beyond U+FFFF
                with pytest.raises(Refused, match=r"U\+FFFF"):
                    await my_render.render(hands._wire, change)
                return
            rendered = await my_render.render(hands._wire, change)
            await hands.run(change, rendered.sql)
            assert await hands.verify(change, rendered) == "done"
    assert corner.indexes() - before == {name}


@pytest.mark.parametrize(
    "mode", ["ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT"]
)
async def test_no_mode_of_mysql_makes_a_text_mean_something_else(my: Schema, mode: str) -> None:
    """Names in backticks mean the same in every sql_mode; the session does not take that of the server."""
    my.execute("CREATE TABLE `vic\\\\tim\"` (a int PRIMARY KEY, `b\\\\'` int)")
    table = 'vic\\\\tim"'
    change = CreateIndex(IndexSpec(my.name, table, (IndexColumn("b\\\\'"),), name="n\\' \""))
    (before,) = my.fetch("SELECT @@GLOBAL.sql_mode")
    my.execute(f"SET GLOBAL sql_mode = '{mode}'")
    try:
        async with my_ddl.connect_for_change(Target.from_url(my.url), Limits()) as session:
            rendered = await my_render.render(session._wire, change)
            await session.run(change, rendered.sql)
            assert await session.verify(change, rendered) == "done"
            options = SetTableOptions(my.name, table, (("STATS_SAMPLE_PAGES", "64"),))
            rendered = await my_render.render(session._wire, options)
            await session.run(options, rendered.sql)
    finally:
        my.execute(f"SET GLOBAL sql_mode = '{before[0]}'")
    found = my.fetch("SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = DATABASE()")
    assert {name for (name,) in found} == {"PRIMARY", "n\\' \""}


async def test_a_table_dropped_and_made_anew_since_it_was_looked_at_is_another(desk: Desk, corner: Corner) -> None:
    """It has the same name and other columns: nothing was agreed to about it."""
    advice = await desk.suggest(corner.database, corner.by_customer)
    review = await desk.bench.hands.review(advice.id)
    corner.database.execute("ALTER TABLE orders RENAME TO kept")
    corner.database.execute("CREATE TABLE orders (id int PRIMARY KEY, customer_id bigint, status varchar(20))")
    with pytest.raises(RunFailed, match="has changed since it was reviewed"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and "by_customer" not in corner.indexes()


async def test_a_table_made_anew_that_looks_the_same_is_another_to_postgresql(desk: Desk, shop: Database) -> None:
    """It has another oid. On MySQL and MariaDB a table is its name and definition, and nothing tells such two apart."""
    advice = await desk.suggest(shop, BY_CUSTOMER)
    review = await desk.bench.hands.review(advice.id)
    shop.execute(
        "CREATE TABLE anew (LIKE orders INCLUDING ALL)", "DROP TABLE orders", "ALTER TABLE anew RENAME TO orders"
    )
    with pytest.raises(RunFailed, match="has changed since it was reviewed"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED
    assert shop.fetch("SELECT 1 FROM pg_indexes WHERE indexname = 'orders_by_customer'") == []
