"""A sandbox with data: what is read is what was shown, every row has its parents, and nothing of it gets out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest

from meshag_tui.engines.base import EngineError, Limits, PermissionDenied, Refused
from meshag_tui.engines.postgres.rewriting import written_otherwise
from meshag_tui.engines.postgres.sandbox.stage import Stage
from meshag_tui.engines.postgres.session import PostgresSession, connect
from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, Named
from meshag_tui.store.documents import document
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    DropStatistics,
    IndexColumn,
    IndexSpec,
    Reindex,
    RenameIndex,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
    Target,
    Vacuum,
)
from tests.engines.postgres.conftest import Open
from tests.engines.postgres.test_sandbox import SHOP
from tests.rig.postgres import Database

ALL = CopyLimits(1_000_000, 256 * 1024 * 1024, 60)
FEW = CopyLimits(40_000, 4_000_000, 60)
REPORT = "SELECT l.sku, count(*) FROM lines l JOIN orders o ON o.id = l.order_id WHERE o.placed > $1 GROUP BY 1"
BY_AMOUNT = "SELECT * FROM orders WHERE status = $1 AND amount = $2"
UNDONE = (
    "CREATE INDEX CONCURRENTLY orders_amount ON public.orders USING btree (amount)",
    "DROP INDEX CONCURRENTLY public.orders_amount",
)
AMOUNT = CreateIndex(IndexSpec("public", "orders", (IndexColumn("amount"),), name="orders_amount"))


@asynccontextmanager
async def staged(url: str, limits: CopyLimits, *statements: str) -> AsyncIterator[tuple[Stage, CopyPlan]]:
    """A sandbox with data for these statements, and the plan that it was made by."""
    async with connect(Target.from_url(url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.copy_plan(statements, limits)
        async with session.rehearse(plan, lambda _: None) as stage:
            assert isinstance(stage, Stage)
            yield stage, plan


async def rows(stage: Stage, query: str) -> list[Any]:
    return await stage.session.fetch(query)


async def test_samples_come_with_their_parents(pg: Database) -> None:
    pg.execute(*SHOP, "SELECT pg_stat_statements_reset()")
    async with staged(pg.monitor_url, FEW, REPORT, BY_AMOUNT) as (stage, plan):
        assert CopyPlan.from_document(document(asdict(plan))) == plan
        orphans = (
            "SELECT count(*) FROM public.lines l WHERE NOT EXISTS (SELECT FROM public.orders o WHERE o.id = l.order_id)"
        )
        assert await rows(stage, orphans) == [(0,)]
        orphans = "SELECT count(*) FROM public.orders WHERE customer_id NOT IN (SELECT id FROM public.customers)"
        assert await rows(stage, orphans) == [(0,)]
        keys = "SELECT conname FROM pg_catalog.pg_constraint WHERE contype = 'f' ORDER BY 1"
        assert await rows(stage, keys) == [("lines_order_id_fkey",), ("orders_customer_id_fkey",)]
        copied = {one.name: one for one in stage.copied}
        assert sum(one.rows for one in stage.copied) <= FEW.rows
        assert any("rows that many others name" in note for note in plan.notes)
        assert 0.05 < copied["public.lines"].share < 1 and copied["public.lines"].of == 180_000
        assert await rows(stage, "SELECT count(*) FROM public.lines") == [(copied["public.lines"].rows,)]
        mcv = "SELECT n_distinct::text FROM pg_catalog.pg_stats WHERE tablename = 'orders' AND attname = 'customer_id'"
        assert await rows(stage, mcv) == pg.fetch(mcv), "the statistics are the source's, not the sample's"
        if pg.major < 18:
            assert f"the source is PostgreSQL {pg.major}" in "; ".join(stage.notes)
    ran = [text for (text,) in pg.fetch("SELECT query FROM pg_stat_statements WHERE query ILIKE 'copy%'")]
    assert len(ran) >= 3
    shown = {statement.partition(" FROM ")[0] for statement in plan.statements}
    assert all(text.partition("(")[2].partition(" FROM ")[0] in shown for text in ran)
    sampled = [text for text in ran if "TABLESAMPLE" in text]
    assert len(sampled) == 2 and all(text.partition("(")[2].rpartition(")")[0] in plan.statements for text in sampled)


async def test_statements_run_on_both_sides_with_values_of_rows(pg18: Database) -> None:
    pg18.execute(*SHOP)
    async with staged(pg18.monitor_url, ALL, BY_AMOUNT, "UPDATE orders SET amount = $1 WHERE id = $2") as (stage, _):
        read = await stage.ready(BY_AMOUNT, 5, 1)
        assert len(read.sets) == 5 and not read.writes
        assert await stage.ready(BY_AMOUNT, 5, 1) == read
        for values in read.sets:
            assert (await stage.run("before", read, values)).rows > 0, "the values are of one row"
        assert (
            await stage.change(AMOUNT) == 'CREATE INDEX "orders_amount" ON "public"."orders" USING "btree" ("amount")'
        )
        before, after = [await stage.run(side, read, read.sets[0]) for side in ("before", "after")]  # type: ignore[arg-type]
        assert (before.rows, before.plan.root.kind) == (after.rows, "Seq Scan")
        assert after.plan.root.kind != "Seq Scan" and after.blocks < before.blocks / 10
        assert before.ms > 0 and before.plan.root.actual

        write = await stage.ready("UPDATE orders SET amount = $1 WHERE id = $2", 2, 1)
        count = "SELECT sum(amount)::text FROM public.orders"
        was = await rows(stage, count)
        without, with_it = [await stage.run(side, write, write.sets[0]) for side in ("before", "after")]  # type: ignore[arg-type]
        assert write.writes and with_it.blocks > without.blocks, "the index is kept up to date on one side only"
        assert await rows(stage, count) == was, "what was written is rolled back"


async def test_rows_are_inserted_again_that_were_taken_out(pg18: Database) -> None:
    pg18.execute(*SHOP)
    insert = "INSERT INTO orders (customer_id, status) VALUES ($1, $2)"  # its other columns have defaults at the source
    async with staged(pg18.monitor_url, ALL, BY_AMOUNT) as (stage, _):
        count = "SELECT count(*) FROM public.orders"
        ((before,),) = await rows(stage, count)
        ready = await stage.ready(insert, 3, 1)
        ((left,),) = await rows(stage, count)
        assert ready.writes and len(ready.sets) == before - left == 3
        await stage.change(AMOUNT)
        without, with_it = [await stage.run(side, ready, ready.sets[0]) for side in ("before", "after")]  # type: ignore[arg-type]
        assert with_it.blocks > without.blocks > 0, "one index more is kept up to date"
        assert await rows(stage, count) == [(left,)], "rolled back"
        assert any("INSERT INTO orders" in note or 'INSERT INTO "orders"' in note for note in stage.notes), stage.notes


async def test_an_index_that_is_dropped_is_missed(pg18: Database) -> None:
    pg18.execute(*SHOP)
    statement = "SELECT count(*) FROM orders WHERE customer_id = $1"
    async with staged(pg18.monitor_url, ALL, statement) as (stage, _):
        ready = await stage.ready(statement, 3, 1)
        await stage.change(DropIndex("public", "orders", "orders_customer"))
        before, after = [
            await stage.run(side, ready, ready.sets[0])
            for side in (
                "before",
                "after",
            )
        ]  # type: ignore[arg-type]
        assert after.blocks > 10 * before.blocks
        assert (await stage.run("before", ready, ready.sets[0])).blocks == before.blocks
        drop = "DROP INDEX CONCURRENTLY public.orders_customer"
        described = ";\nCOMMENT ON INDEX public.orders_customer IS 'by whom'"
        put_back = "CREATE INDEX CONCURRENTLY orders_customer ON public.orders USING btree (customer_id)"
        change = DropIndex("public", "orders", "orders_customer")
        assert (await stage.undone(change, drop, put_back + described)).proven
        other = await stage.undone(change, drop, put_back.replace("btree", "hash") + described)
        assert other.doubt == "not as before: public.orders_customer"
        failed = await stage.undone(change, put_back, put_back)
        assert not failed.proven and "already exists" in (failed.doubt or "")


async def test_answers_tell_multisets_apart(pg18: Database) -> None:
    pg18.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, NULL)", "ANALYZE")
    texts = (
        "SELECT a, b FROM t",
        "SELECT a, b FROM t ORDER BY b DESC",
        "SELECT DISTINCT a, b FROM t",
        "SELECT a FROM t",
    )
    async with staged(pg18.monitor_url, ALL, *texts) as (stage, _):
        answers = [await stage.answer(await stage.ready(text, 1, 1), ()) for text in texts]
    assert answers[0] == answers[1] and len({one.digest for one in answers}) == 3
    assert [one.rows for one in answers] == [3, 3, 2, 3]


async def test_partitions_strange_types_and_functions(pg18: Database) -> None:
    pg18.execute(
        *SHOP,
        "CREATE TYPE pair AS (a int, b text); CREATE DOMAIN small AS int CHECK (value < 100); "
        "CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'",
        "CREATE TABLE odd (id int, p pair, s small, v int GENERATED ALWAYS AS (id * 2) VIRTUAL, d bytea); "
        r"INSERT INTO odd (id, p, s, d) SELECT g, ROW(g, E'\\N' || chr(9) || 'é')::pair, g % 100, '\x00ff' "
        "FROM generate_series(1, 50) g",
        "ANALYZE",
    )
    texts = ("SELECT * FROM logs WHERE level = $1", "SELECT * FROM odd", "SELECT doubled(id) FROM odd")
    async with staged(pg18.monitor_url, ALL, *texts) as (stage, _):
        assert await rows(stage, "SELECT count(*) FROM public.logs_1") == pg18.fetch("SELECT count(*) FROM logs_1")
        assert await rows(stage, "SELECT count(*) FROM public.logs") == [(30_000,)]
        both = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM public.odd o"
        assert await rows(stage, both) == pg18.fetch(both)
        with pytest.raises(EngineError, match="doubled"):
            await stage.ready(texts[2], 1, 1)


async def test_what_may_not_be_read_is_said_with_the_remedy(pg18: Database) -> None:
    pg18.execute(*SHOP, "CREATE ROLE looker LOGIN PASSWORD 'x'; GRANT SELECT ON lines, orders TO looker")
    url = pg18.url.replace(f"{pg18.server.superuser}:{pg18.server.password}", "looker:x")
    try:
        async with connect(Target.from_url(url), "rehearsal", Limits()) as session:
            with pytest.raises(PermissionDenied, match=r"may not read public\.customers") as said:
                await session.copy_plan([REPORT], ALL)
            assert said.value.fix == 'GRANT SELECT ON "public"."customers" TO "looker";'
    finally:
        pg18.execute("DROP OWNED BY looker; DROP ROLE looker")


async def test_limits_hold_and_are_said(pg18: Database, open_session: Open) -> None:
    pg18.execute(*SHOP)
    session = await open_session(pg18.monitor_url, "rehearsal")
    plan = await session.copy_plan([BY_AMOUNT], ALL)
    for limits, word in ((replace(ALL, bytes=1_000), "ask for fewer rows"), (replace(ALL, seconds=0.0), "copy_s")):
        with pytest.raises(Exception, match=word):
            async with session.rehearse(replace(plan, limits=limits), lambda _: None):
                raise AssertionError


@pytest.mark.slow
async def test_a_sandbox_that_is_slow_to_take_rows_does_not_lose_its_source(pg18: Database, open_session: Open) -> None:
    """Longer than the server lets an idle transaction of our other sessions be."""
    pg18.execute(*SHOP)
    session = await open_session(pg18.monitor_url, "rehearsal")
    plan = await session.copy_plan([REPORT], ALL)
    copied: list[str] = []

    def say(words: str) -> None:
        if words.startswith("copying ") and len(copied) < 2:
            copied.append(words)
            time.sleep(11 * (len(copied) == 2))

    async with session.rehearse(plan, say) as stage:
        assert len(stage.copied) > 1 and all(one.share == 1 for one in stage.copied)


async def test_it_is_never_on_the_watched_server(pg18: Database, open_session: Open) -> None:
    pg18.execute(*SHOP)
    session: PostgresSession = await open_session(pg18.monitor_url, "rehearsal")
    plan = await session.copy_plan([BY_AMOUNT], ALL)
    with pytest.raises(Refused, match="another server"):
        async with session.rehearse(replace(plan, source_id="1"), lambda _: None):
            raise AssertionError
    from meshag_tui.engines.postgres.sandbox.places import refuse_source

    with pytest.raises(Refused, match="the watched server itself"):
        refuse_source(plan.source_id, session.facts.epoch.system_identifier)
    with pytest.raises(Refused, match="the watched server itself"):
        here = Named(Target.from_url(pg18.url))
        async with session.rehearse(replace(plan, place=here.said), lambda _: None, here):
            raise AssertionError
    assert databases_of_ours(pg18) == []


def databases_of_ours(server: Database) -> list[str]:
    return [name for (name,) in server.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'meshag\\_reh%'")]


@pytest.mark.slow
async def test_on_a_server_that_was_named_it_is_a_database_of_its_own(
    pg18: Database, pg15: Database, open_session: Open
) -> None:
    pg18.execute(*SHOP)
    role, left = "rehearser", "meshag_rehearsal_0123456789ab"
    pg15.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'let me'", f"CREATE DATABASE {left} OWNER {role}")
    named = Named(Target.from_url(pg15.server.dsn(pg15.name, role, "let me", tcp=True)))
    session: PostgresSession = await open_session(pg18.monitor_url, "rehearsal")
    try:
        plan = await session.copy_plan([BY_AMOUNT], ALL, named)
        assert plan.place.startswith("a database of its own on ")
        async with session.rehearse(plan, lambda _: None, named) as stage:
            (mine,) = databases_of_ours(pg15)
            assert mine != left, "what a killed process left is gone"
            ready = await stage.ready(BY_AMOUNT, 3, 1)
            await stage.change(AMOUNT)
            before, after = [await stage.run(side, ready, ready.sets[0]) for side in ("before", "after")]  # type: ignore[arg-type]
            assert before.rows == after.rows > 0 and after.blocks < before.blocks / 10
            assert stage.label.startswith("PostgreSQL 15") and "the source is PostgreSQL 18" in "; ".join(stage.notes)
            assert (await stage.undone(AMOUNT, *UNDONE)).proven
        assert databases_of_ours(pg15) == []
        with pytest.raises(Refused, match="is a superuser of"):
            super_ = Named(Target.from_url(pg15.url))
            async with session.rehearse(replace(plan, place=super_.said), lambda _: None, super_):
                raise AssertionError
        with pytest.raises(Refused, match="another place"):
            async with session.rehearse(plan, lambda _: None, Named(named.target, template=True)):
                raise AssertionError
        await from_a_template(pg15, role, session)
        pg15.execute(f"ALTER ROLE {role} NOCREATEDB")
        with pytest.raises(Refused, match=f"lets {role} make no database"):
            async with session.rehearse(plan, lambda _: None, named):
                raise AssertionError
    finally:
        pg15.execute(f"DROP ROLE {role}")


async def from_a_template(server: Database, role: str, session: PostgresSession) -> None:
    """A copy of the watched database was restored there: the sandbox is a copy of that, and no row is read."""
    server.execute("CREATE DATABASE restored")
    restored = replace(server, name="restored")
    try:
        restored.execute(*SHOP, f"ALTER TABLE orders OWNER TO {role}; ALTER TABLE lines OWNER TO {role}")
        server.execute(f"ALTER DATABASE restored OWNER TO {role}")
        named = Named(Target.from_url(server.server.dsn("restored", role, "let me", tcp=True)), template=True)
        plan = await session.copy_plan([BY_AMOUNT], FEW, named)
        assert plan.statements == () == plan.tables and plan.place.startswith("a copy of ")
        restored.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        async with session.rehearse(plan, lambda _: None, named) as stage:
            ready = await stage.ready(BY_AMOUNT, 2, 1)
            await stage.change(AMOUNT)
            before, after = [await stage.run(side, ready, ready.sets[0]) for side in ("before", "after")]  # type: ignore[arg-type]
            assert before.rows == after.rows > 0 and after.blocks < before.blocks / 10
            assert [one.share for one in stage.copied if one.name == "public.orders"] == [1.0]
        with restored.connect(), pytest.raises(Refused, match="must not be in use"):
            async with session.rehearse(plan, lambda _: None, named):
                raise AssertionError
    finally:
        server.execute("DROP DATABASE restored WITH (FORCE)")


async def test_nothing_reaches_out_of_it(pg18: Database) -> None:
    pg18.execute("CREATE EXTENSION dblink; CREATE TABLE t (a int); INSERT INTO t VALUES (1)", "ANALYZE")
    async with staged(pg18.monitor_url, ALL, "SELECT a FROM t") as (stage, _):
        assert await rows(stage, "SELECT extname FROM pg_catalog.pg_extension WHERE extname = 'dblink'") == []
        with pytest.raises(EngineError, match="dblink"):
            await stage.ready("SELECT * FROM dblink('host=x', 'SELECT 1') AS t(a int)", 1, 1)
        assert await rows(stage, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user") == [(False,)]


ORIGINAL = "SELECT id, name FROM people WHERE city NOT IN (SELECT id FROM cities WHERE land = $1)"
PAIRS = {
    "as it is": (ORIGINAL, ORIGINAL, None),
    "a NULL in what is asked for": (ORIGINAL, None, "city may be NULL"),
    "other rows": (ORIGINAL, "SELECT id, name FROM people WHERE id > 0 OR $1 = 'x'", "differ on the copied data"),
    "one row alone": ("SELECT name FROM people WHERE id = 3", "SELECT 'p3'", "no row in people"),
    "rows twice": ("SELECT land FROM cities", "SELECT DISTINCT land FROM cities", "every row of cities twice"),
    "NULL compared": (
        "SELECT id FROM people WHERE name = name OR id < 0", "SELECT id FROM people", "NULL in people.name"
    ),
    "chance": ("SELECT id FROM cities", "SELECT id FROM cities WHERE random() >= 0", "random"),
    "another order": ("SELECT id FROM cities ORDER BY id", "SELECT id FROM cities", "not ordered by the same"),
    "a LIMIT": ("SELECT id FROM cities ORDER BY land LIMIT 1", "SELECT id FROM cities ORDER BY land LIMIT 1", "LIMIT"),
    "one name twice": ("SELECT id, id FROM cities", "SELECT id, id FROM cities", "cannot be compared"),
    "another type": ("SELECT id FROM cities", "SELECT id::bigint FROM cities", "number, name or type"),
    "OR as UNION": (
        "SELECT id FROM people WHERE id = 4 OR city = 2",
        "SELECT id FROM people WHERE id = 4 UNION SELECT id FROM people WHERE city = 2",
        None,
    ),
    "OR as UNION ALL": (
        "SELECT name FROM people WHERE (NOT city = $1 AND id < $2 OR name = $3 OR id > $4) AND id <> $5",
        "or-across-tables",
        None,
    ),
    "OR as UNION ALL of what both give": (
        "SELECT name FROM people WHERE city = 2 OR id < 100",
        "SELECT name FROM people WHERE city = 2 UNION ALL SELECT name FROM people WHERE id < 100",
        "differ on the copied data",
    ),
    "a day as a range": ("SELECT id FROM people WHERE born::date = $1 AND city > $2", "function-on-column", None),
    "a day that ends too early": (
        "SELECT id FROM people WHERE born::date = '2024-01-05'",
        "SELECT id FROM people WHERE born >= '2024-01-05' AND born <= '2024-01-05 12:00'",
        "differ on the copied data",
    ),
}  # fmt: skip


async def test_what_means_the_same_is_proven_and_nothing_else(pg18: Database, open_session: Open) -> None:
    pg18.execute(
        "CREATE TABLE cities (id int PRIMARY KEY, land text); "
        "INSERT INTO cities SELECT g, CASE WHEN g = 1 THEN 'x' ELSE 'l' || g END FROM generate_series(1, 20) g; "
        # No NULL in it: that one could be there is seen all the same.
        "CREATE TABLE people (id int PRIMARY KEY, name text, city int, born timestamptz); "
        "INSERT INTO people SELECT g, 'p' || g, 1 + g % 20, CASE WHEN g % 50 = 0 THEN 'infinity' "
        "ELSE timestamptz '2024-01-01' + g * interval '7 hours' END FROM generate_series(1, 200) g",
        "ALTER TABLE cities DROP CONSTRAINT cities_pkey; ANALYZE",
    )
    session = await open_session(pg18.monitor_url)
    wanted = session.rewritten("not-in-subquery", ORIGINAL)
    assert wanted is not None and "NOT EXISTS" in wanted and session.rewritten("select-star", ORIGINAL) is None
    async with staged(pg18.monitor_url, ALL, *(one for one, _, _ in PAIRS.values())) as (stage, _):
        for name, (one, other, doubt) in PAIRS.items():
            mine = await stage.ready(one, 5, 1)
            by_rule = session.rewritten(other or "", one)
            proof = await stage.compare(mine, await stage.rewritten(mine, by_rule or other or wanted))
            said = "; ".join(proof.doubts)
            assert proof.proven == (doubt is None) and (doubt or "") in said, (name, said)
            assert doubt is not None or proof.trials >= 3, name
        assert (await rows(stage, "SELECT count(*), count(city), count(name) FROM public.people")) == [(200, 200, 200)]
        with pytest.raises(Refused, match="parameters"):
            mine = await stage.ready(ORIGINAL, 5, 1)
            await stage.rewritten(mine, "SELECT id, name FROM people")


def test_a_page_by_a_key_asks_for_what_follows_and_a_sum_is_left_as_it_is() -> None:
    paged = "SELECT id FROM t WHERE a = $1 ORDER BY at DESC, id DESC LIMIT $2 OFFSET $3"
    by_key = "SELECT id FROM t WHERE a = $1 AND (at, id) < ($3, $4) ORDER BY at DESC, id DESC LIMIT $2"
    assert written_otherwise("offset-pagination", paged) == by_key
    for rule, text in (
        ("offset-pagination", "SELECT id FROM t ORDER BY at DESC, id LIMIT 10 OFFSET 20"),
        ("or-across-tables", "SELECT count(*) FROM t WHERE a = 1 OR b = 2"),
        ("or-across-tables", "SELECT DISTINCT a FROM t WHERE a = 1 OR b = 2"),
        ("or-across-tables", "SELECT a FROM t WHERE a = 1 OR b = 2 ORDER BY a LIMIT 3"),
        ("function-on-column", "SELECT a FROM t WHERE lower(a) = $1"),
        ("function-on-column", "UPDATE t SET a = 1 WHERE at::date = $1"),
        ("function-on-column", "no statement ("),
    ):
        assert written_otherwise(rule, text) is None, text


async def test_with_nothing_to_be_null_not_in_is_not_exists(pg18: Database, open_session: Open) -> None:
    pg18.execute(
        "CREATE TABLE cities (id int PRIMARY KEY, land text); INSERT INTO cities SELECT g, 'l' || g % 3 "
        "FROM generate_series(1, 20) g; CREATE TABLE people (id int PRIMARY KEY, name text, city int NOT NULL); "
        "INSERT INTO people SELECT g, 'p' || g, 1 + g % 25 FROM generate_series(1, 200) g",
        "ANALYZE",
    )
    session = await open_session(pg18.monitor_url)
    wanted = session.rewritten("not-in-subquery", ORIGINAL)
    assert wanted is not None
    async with staged(pg18.monitor_url, ALL, ORIGINAL) as (stage, _):
        mine = await stage.ready(ORIGINAL, 5, 1)
        proof = await stage.compare(mine, await stage.rewritten(mine, wanted))
        assert proof.proven, proof.doubts
        assert proof.sets == len(mine.sets) > 1 and proof.trials >= 3


async def test_every_change_that_can_be_taken_back_is_seen_to_be(pg: Database) -> None:
    """Made and taken back in a sandbox without rows, by the statements that would run on the watched server."""
    pg.execute(*SHOP, "CREATE STATISTICS orders_two (ndistinct) ON customer_id, status FROM orders")
    pg.execute("COMMENT ON STATISTICS orders_two IS 'both'")
    pg.execute(
        "ALTER TABLE orders SET (autovacuum_enabled = false, toast.autovacuum_enabled = false)",
        "ALTER TABLE orders ALTER COLUMN status SET STATISTICS 50",
    )
    on = ("public", "orders")
    changes: tuple[Change, ...] = (
        AMOUNT,
        DropIndex(*on, "orders_customer"),
        RenameIndex(*on, "orders_customer", "by_customer"),
        SetTableOptions(*on, (("autovacuum_vacuum_scale_factor", "0.02"), ("fillfactor", "90"))),
        SetTableOptions(*on, (("autovacuum_enabled", None),)),
        SetStatisticsTarget(*on, "status", None),
        CreateStatistics(*on, ("status", "amount"), ("ndistinct", "mcv")),
        DropStatistics(*on, "orders_two"),
        SetSetting("work_mem", "16MB"),
        SetSetting("work_mem", "16MB", role=Target.from_url(pg.monitor_url).user),
        SetSetting("work_mem", "16MB", database=pg.name),
    )
    async with connect(Target.from_url(pg.url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.schema_plan(changes[2], ALL)
        assert not plan.statements and not plan.tables
        async with session.rehearse(plan, lambda _: None) as stage:
            assert isinstance(stage, Stage)
            assert await rows(stage, "SELECT count(*) FROM public.orders") == [(0,)]
            for change in changes:
                rendered = await session.render(change)
                assert rendered.undo_sql is not None
                done = await stage.undone(change, rendered.sql, rendered.undo_sql)
                assert done.proven, (change, done)
                wrong = await stage.undone(change, rendered.sql, "SELECT 1")
                assert wrong.doubt is not None and wrong.doubt.startswith("not as before"), change
                place = stage._place
                with place.admin() if isinstance(change, SetSetting) else place.owner() as maker:
                    for statement in rendered.undo_sql.split(";\n"):
                        maker.execute(statement.encode())
        for gone in (Analyze(*on), Vacuum(*on), Reindex(*on, "orders_customer")):
            assert (await session.render(gone)).undo_sql is None, "there is nothing to be taken back"
