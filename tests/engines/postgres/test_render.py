"""A change becomes SQL only from names of the catalogue and expressions written anew; else it is refused, and why."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meshag_tui.engines.base import Limits, Refused
from meshag_tui.engines.postgres.session import PostgresSession, connect
from meshag_tui.types import Analyze, CreateIndex, DropIndex, IndexColumn, IndexSpec, Target, Vacuum
from tests.rig.postgres import Database

SCHEMA = """
CREATE SCHEMA "my app";
CREATE TYPE "my app".state AS ENUM ('open', 'done');
CREATE TABLE "my app"."Order" (
    id bigint PRIMARY KEY, "select" text, customer_id bigint NOT NULL, state "my app".state, total numeric,
    email varchar(80), created_at timestamptz, code text UNIQUE, "ünï" int
);
CREATE TABLE public.orders (
    id bigint PRIMARY KEY, customer_id bigint, status text, email varchar, total int, made timestamptz
);
CREATE INDEX orders_customer ON public.orders (customer_id);
CREATE INDEX orders_done ON public.orders (total) WHERE status = 'done';
CREATE INDEX orders_lower ON public.orders (lower(email));
CREATE TABLE public.parts (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE INDEX parts_at ON public.parts (at);
CREATE VIEW public.v AS SELECT 1 AS a;
CREATE FUNCTION public.evil(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
"""


@pytest.fixture
async def session(pg: Database) -> AsyncIterator[PostgresSession]:
    pg.execute(SCHEMA)
    async with connect(Target.from_url(pg.socket_url), "test", Limits()) as found:
        yield found


def index(table: str, *columns: str | IndexColumn, schema: str = "public", **rest: object) -> CreateIndex:
    keys = tuple(column if isinstance(column, IndexColumn) else IndexColumn(column) for column in columns)
    return CreateIndex(IndexSpec(schema, table, keys, **rest))  # type: ignore[arg-type]


async def test_names_are_quoted_as_the_server_quotes_them(session: PostgresSession) -> None:
    rendered = await session.render(index("Order", "select", "customer_id", schema="my app"))
    assert rendered.sql == (
        'CREATE INDEX CONCURRENTLY "Order_select_customer_id_idx" ON "my app"."Order" '
        'USING btree ("select", customer_id)'
    )
    assert rendered.undo_sql == 'DROP INDEX CONCURRENTLY "my app"."Order_select_customer_id_idx"'
    assert rendered == await session.render(index("Order", "select", "customer_id", schema="my app"))


async def test_every_part_of_an_index(session: PostgresSession, pg: Database) -> None:
    change = index(
        "orders",
        IndexColumn("status", opclass="text_pattern_ops"),
        IndexColumn("made", descending=True),
        IndexColumn("lower((email)::text)", is_expression=True),
        include=("total",),
        where="((status = 'open'::text) AND (total IS NOT NULL))",
    )
    rendered = await session.render(change)
    pg.execute(rendered.sql)
    definition = pg.fetch("SELECT pg_get_indexdef(%s::regclass)", (rendered.target["index"],))[0][0]
    assert "(status text_pattern_ops, made DESC, lower((email)::text)) INCLUDE (total)" in definition
    assert "WHERE ((status = 'open'::text) AND (total IS NOT NULL))" in definition
    assert rendered.undo_sql
    pg.execute(rendered.undo_sql)


async def test_types_outside_the_catalogue_get_their_schema(session: PostgresSession, pg: Database) -> None:
    change = index("Order", "customer_id", schema="my app", where="state = 'open'::state")
    rendered = await session.render(change)
    assert "'open'::\"my app\".state" in rendered.sql
    pg.execute(rendered.sql)


@pytest.mark.parametrize(
    ("change", "existing"),
    [
        (index("orders", "customer_id"), "orders_customer"),
        (index("orders", "total", where="status = 'done'"), "orders_done"),
        (index("orders", IndexColumn("lower((email)::text)", is_expression=True)), "orders_lower"),
        (index("orders", "id"), "orders_pkey"),
    ],
)
async def test_an_equal_index_is_named(session: PostgresSession, change: CreateIndex, existing: str) -> None:
    with pytest.raises(Refused, match=existing):
        await session.render(change)


async def test_an_index_that_only_looks_equal_is_not(session: PostgresSession) -> None:
    for change in (
        index("orders", IndexColumn("customer_id", descending=True)),
        index("orders", "customer_id", include=("total",)),
        index("orders", "customer_id", where="total > 0"),
        index("orders", "customer_id", method="hash"),
        index("orders", "customer_id", "total"),
        index("orders", "total", where="status = 'open'"),
    ):
        assert (await session.render(change)).sql


EVIL = [
    index("nowhere", "a"),
    index("v", "a"),
    index("orders", "nothing"),
    index("orders"),
    index("orders", "status", "status"),
    index("orders", *["status"] * 200),
    index("orders", 'status"); DROP TABLE public.orders; --'),
    index('orders"; DROP TABLE public.orders; --', "status"),
    index("orders", "status", method="evil_am"),
    index("orders", "status", method="btree (id); DROP TABLE public.orders; --"),
    index("orders", "status", include=("nothing",)),
    index("orders", "status", "total", method="hash"),
    index("orders", IndexColumn("total", descending=True), method="gin"),
    index("orders", IndexColumn("status", opclass="no_such_ops")),
    index("orders", IndexColumn("status", opclass="text_ops); DROP TABLE public.orders; --")),
    index("orders", IndexColumn("pg_read_file('/etc/passwd')", is_expression=True)),
    index("orders", IndexColumn("pg_read_file(status)", is_expression=True)),
    index("orders", IndexColumn("public.evil(status)", is_expression=True)),
    index("orders", IndexColumn("evil(status)", is_expression=True)),
    index("orders", IndexColumn("random() + total", is_expression=True)),
    index("orders", IndexColumn("(SELECT max(total) FROM orders)", is_expression=True)),
    index("orders", IndexColumn("count(total)", is_expression=True)),
    index("orders", IndexColumn("total, id", is_expression=True)),
    index("orders", IndexColumn("total FROM orders", is_expression=True)),
    index("orders", IndexColumn("total INTO x", is_expression=True)),
    index("orders", IndexColumn("total); DROP TABLE public.orders; --", is_expression=True)),
    index("orders", IndexColumn("1", is_expression=True)),
    index("orders", "total", where="true"),
    index("orders", "total", where="made > now()"),
    index("orders", "total", where="made > current_date"),
    index("orders", "total", where="total > $1"),
    index("orders", "total", where="1=1; DROP TABLE public.orders"),
    index("orders", "total", where="total > 0\x00; DROP TABLE public.orders"),
    index("orders", "total", where="total > (SELECT 1)"),
    index("orders", "total", where="status = 'a'::nosuchtype"),
    index("orders", "total", where="other.total > 0"),
    index("orders", "total", where="total > 0 ORDER BY 1"),
    index("orders", "total", where="total" + " + 1" * 2000 + " > 0"),
    index("orders", "total", name="x" * 64),
    index("orders", "total", name="ü" * 32),
    index("orders", "total", name=""),
    index("orders", "total", name="orders_customer"),
    index("pg_class", "relname", schema="pg_catalog"),
    index("orders", "total", schema="pg_temp"),
]


async def test_what_is_no_plain_index_of_a_users_table_is_refused(session: PostgresSession, pg: Database) -> None:
    for change in EVIL:
        with pytest.raises(Refused):
            pytest.fail((await session.render(change)).sql)
    assert pg.fetch("SELECT count(*) FROM pg_class WHERE relname = 'orders'")[0][0] == 1


async def test_comments_and_look_alikes_do_not_reach_the_text(session: PostgresSession) -> None:
    rendered = await session.render(index("orders", "total", where="total > 0 /*!50000 OR evil */ -- ;\n"))
    assert rendered.sql.endswith("WHERE total > 0")
    with pytest.raises(Refused):
        await session.render(index("orders", "total", where="ｔotal > 0"))


async def test_names_are_cut_at_bytes_and_numbered_when_taken(session: PostgresSession, pg: Database) -> None:
    long = "é" * 30
    pg.execute(f'CREATE TABLE public."{long}" (a int, b int)', "CREATE TABLE public.t (a int, b int)")
    rendered = await session.render(index(long, "a", "b"))
    assert len(rendered.target["index"].encode()) <= 63
    pg.execute(rendered.sql, "CREATE INDEX t_a_idx ON public.t (b)")
    assert (await session.render(index("t", "a"))).target["index"] == "t_a_idx1"


async def test_a_partitioned_table_is_refused_with_the_steps(session: PostgresSession) -> None:
    with pytest.raises(Refused) as refusal:
        await session.render(index("parts", "id"))
    assert "ON ONLY public.parts" in (refusal.value.fix or "")
    assert (await session.render(index("parts_1", "id"))).sql


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (DropIndex("public", "orders", "orders_pkey"), "primary"),
        (DropIndex("my app", "Order", "Order_code_key"), "constraint"),
        (DropIndex("public", "parts", "parts_at"), "partitioned"),
        (DropIndex("public", "parts_1", "parts_1_at_idx"), "part of"),
        (DropIndex("public", "orders", "nothing"), "no index"),
        (DropIndex("public", "v", "orders_customer"), "not of v"),
        (DropIndex("pg_catalog", "pg_class", "pg_class_relname_nsp_index"), "constraint|system|unique"),
    ],
)
async def test_an_index_that_is_needed_is_not_dropped(session: PostgresSession, change: DropIndex, why: str) -> None:
    with pytest.raises(Refused, match=why):
        await session.render(change)


async def test_unique_replica_identity_and_foreign_keys(session: PostgresSession, pg: Database) -> None:
    pg.execute(
        "CREATE UNIQUE INDEX u ON public.orders (email)",
        "CREATE TABLE public.r (a int NOT NULL)",
        "CREATE UNIQUE INDEX r_a ON public.r (a)",
        "ALTER TABLE public.r REPLICA IDENTITY USING INDEX r_a",
        "CREATE TABLE public.child (a int REFERENCES public.orders (id))",
    )
    for name, table in (("u", "orders"), ("r_a", "r")):
        with pytest.raises(Refused):
            await session.render(DropIndex("public", table, name))


async def test_undoing_a_drop_leaves_the_same_dump(session: PostgresSession, pg: Database, tmp_path: Path) -> None:
    space = pg.server.root / "space"
    space.mkdir(mode=0o700)
    owner = (pg.server.root / "data").stat()
    os.chown(space, owner.st_uid, owner.st_gid)
    name = f"space_{pg.name}"
    pg.execute(f"CREATE TABLESPACE {name} LOCATION '{space}'")
    pg.execute(
        f"""CREATE INDEX "Big One" ON public.orders USING btree
            (status COLLATE "C" text_pattern_ops DESC NULLS LAST, (total + 1), lower(email))
            INCLUDE (made) WITH (fillfactor = 70, deduplicate_items = off) TABLESPACE {name}
            WHERE status <> 'it''s' AND total > 0""",
        """COMMENT ON INDEX public."Big One" IS 'it''s a "comment" \\ with ; everything'""",
        'ALTER INDEX public."Big One" ALTER COLUMN 2 SET STATISTICS 500',
        "ALTER TABLE public.orders CLUSTER ON orders_customer",
    )
    for index_name in ("Big One", "orders_customer"):
        before = _dump(pg)
        rendered = await session.render(DropIndex("public", "orders", index_name))
        assert rendered.undo_sql is not None
        pg.execute(rendered.sql)
        assert _dump(pg) != before
        for statement in rendered.undo_sql.split(";\n"):
            pg.execute(statement)
        assert _dump(pg) == before
    pg.execute('DROP INDEX public."Big One"', f"DROP TABLESPACE {name}")


def _dump(pg: Database) -> list[str]:
    from tests.rig.postgres import bindir

    program = bindir(pg.major) / "pg_dump"
    done = subprocess.run([program, "-s", "-d", pg.socket_url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    # Newer minor versions print a random key, and indexes come in the order of their names or oids.
    return sorted(line for line in done.stdout.splitlines() if line and not line.startswith(("\\", "--")))


async def test_analyze_and_vacuum_have_no_undo(session: PostgresSession) -> None:
    rendered = await session.render(Analyze("my app", "Order"))
    assert (rendered.sql, rendered.undo_sql) == ('ANALYZE "my app"."Order"', None)
    assert (await session.render(Vacuum("public", "orders"))).sql == "VACUUM (ANALYZE) public.orders"
    with pytest.raises(Refused):
        await session.render(Vacuum("public", "v"))
