"""Plans of statements as they are kept: with samples for their values, never executed, whatever the text tries."""

from __future__ import annotations

import pytest

from meshag_tui.engines.base import EngineError, Limits, PermissionDenied, Refused
from meshag_tui.engines.postgres import rewrite
from meshag_tui.engines.postgres.explain import Planner
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import Database

SCHEMA = [
    "CREATE SCHEMA app",
    "CREATE TABLE app.customers (id bigint PRIMARY KEY, email varchar(200), country text)",
    """CREATE TABLE app.orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL,
       total numeric(12, 2), tags text[], doc jsonb, created_at timestamptz NOT NULL)""",
    "INSERT INTO app.customers SELECT i, 'u' || i || '@example.com', (ARRAY['de', 'fr', 'us'])[1 + i % 3] "
    "FROM generate_series(1, 3000) i",
    """INSERT INTO app.orders SELECT i, 1 + i % 3000, CASE WHEN i % 100 = 0 THEN 'pending' ELSE 'done' END, i % 977,
       ARRAY['t' || i % 50], '{}', '2024-01-01'::timestamptz + i * interval '1 minute'
       FROM generate_series(1, 30000) i""",
    "CREATE INDEX ON app.orders (created_at)",
    "CREATE INDEX ON app.orders (total) WHERE status = 'pending'",
    "CREATE VIEW app.open_orders AS SELECT * FROM app.orders WHERE status <> 'done'",
    "ANALYZE app.customers",
    "ANALYZE app.orders",
    "CREATE TABLE public.victim AS SELECT 1 AS id",
    """CREATE FUNCTION public.destroy() RETURNS int LANGUAGE plpgsql VOLATILE
       AS 'BEGIN DELETE FROM public.victim; RETURN 1; END'""",
    """CREATE FUNCTION public.lying() RETURNS int LANGUAGE plpgsql IMMUTABLE
       AS 'BEGIN DELETE FROM public.victim; RETURN 1; END'""",
]


@pytest.fixture
def database(pg: Database) -> Database:
    pg.execute(*SCHEMA)
    return pg


async def test_sample_values_make_a_custom_plan(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    plan = await session.explain("SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.status = $1")
    assert plan.mode == "custom"
    assert plan.parameters == ("pending",) or plan.parameters == ("done",)
    assert all("One-Time Filter" not in node.conditions for node in plan.root.walk())
    assert {node.table for node in plan.root.walk() if node.table} == {"orders", "customers"}


async def test_samples_of_types_whose_bare_name_means_one_character_are_not_cut_off(
    open_session: Open, database: Database
) -> None:
    database.execute(
        "CREATE TABLE app.parcels (id int, state char(10), marks bit(4))",
        "INSERT INTO app.parcels SELECT i, (ARRAY['ready', 'sent'])[1 + i % 2], "
        "(ARRAY[B'1010', B'1100'])[1 + i % 2] FROM generate_series(1, 1000) i",
        "ANALYZE app.parcels",
    )
    session = await open_session(database.monitor_url)
    for condition in ("state = $1", "marks = $1", "state IN ($1, $2)", "state = ANY ($1)"):
        plan = await session.explain(f"SELECT * FROM app.parcels WHERE {condition}")
        assert plan.mode == "custom"
        assert plan.root.rows == pytest.approx(500, rel=0.1) or plan.root.rows == 1000, condition


async def test_a_range_costs_about_what_it_really_costs(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    statement = "SELECT * FROM app.orders WHERE created_at >= $1 AND created_at < $2"
    custom, generic = await session.explain(statement), await session.explain(statement, "generic")
    assert (custom.mode, generic.mode) == ("custom", "generic")
    low, high = custom.parameters
    real = database.fetch("SELECT count(*) FROM app.orders WHERE created_at >= %s AND created_at < %s", (low, high))
    assert custom.root.rows == pytest.approx(real[0][0], rel=0.3)
    assert low < high


TEXTS = [
    ("SELECT * FROM orders WHERE status = $1 ORDER BY created_at DESC LIMIT $2 OFFSET $3", "custom"),
    ("SELECT * FROM orders WHERE created_at > now() - interval $1", "generic"),
    ("SELECT * FROM orders WHERE created_at >= timestamp $1 AND total < $2", "custom"),
    (
        "SELECT date_trunc($1, created_at), count(*) FROM orders WHERE total > $2 "
        "GROUP BY date_trunc($3, created_at) ORDER BY date_trunc($4, created_at)",
        "custom",
    ),
    ("SELECT extract($1 FROM created_at) FROM orders WHERE id = $3 GROUP BY extract($2 FROM created_at)", "custom"),
    ("SELECT * FROM orders WHERE id IN ($1 /*, ... */)", "custom"),
    ("SELECT * FROM orders WHERE id NOT IN ($1 /*, ... */) AND status = $2", "custom"),
    ("SELECT * FROM orders WHERE status IN ($1, $2, $3)", "custom"),
    ("SELECT * FROM orders WHERE ($1 IS NULL OR customer_id = $1)", "custom"),
    ("SELECT * FROM orders WHERE customer_id = ANY($1)", "custom"),
    ("SELECT * FROM orders WHERE tags @> $1", "custom"),
    ("SELECT * FROM orders WHERE doc ->> $1 = $2", "generic"),
    ("SELECT * FROM customers WHERE email LIKE $1", "custom"),
    ("SELECT * FROM customers WHERE lower(email) = $1", "custom"),
    ("SELECT * FROM open_orders WHERE customer_id = $1", "custom"),
    ("SELECT * FROM orders WHERE (customer_id, id) > ($1, $2) ORDER BY customer_id, id LIMIT $3", "custom"),
    ("WITH x AS (SELECT * FROM orders WHERE status = $1) SELECT count(*) FROM x WHERE total > $2", "custom"),
    ("SELECT count(*) FROM orders", "literal"),
    ("SELECT count(*) FROM orders WHERE status = 'a;b--c' -- comment\n;", "literal"),
    ("VALUES (1), (2)", "literal"),
    ("UPDATE orders SET status = $1 WHERE customer_id = $2", "custom"),
    ("DELETE FROM orders USING customers c WHERE c.id = customer_id AND c.country = $1", "custom"),
    ("SELECT * FROM orders WHERE id = $1 FOR UPDATE", "custom"),
    ("INSERT INTO customers SELECT id, $1, $2 FROM orders WHERE status = $3", "custom"),
]


async def test_texts_of_the_statistics_are_planned_by_a_role_that_only_watches(
    open_session: Open, database: Database
) -> None:
    session = await open_session(database.monitor_url)
    for statement, mode in TEXTS:
        plan = await session.explain(statement)
        assert plan.mode == mode, statement
        assert plan.cost > 0, statement
    assert await session.fetch("SELECT name FROM pg_prepared_statements WHERE name LIKE 'meshag%%'", ()) == []


async def test_the_real_statistics_texts_of_a_server_are_planned(open_session: Open, pg18: Database) -> None:
    """Through pg_stat_statements itself: what it makes of constants is what we have to plan."""
    pg18.execute(*SCHEMA)
    wanted = [
        "SELECT count(*) FROM app.orders WHERE created_at > '2024-01-05'::timestamptz - interval '3 days'",
        "SELECT date_trunc('day', created_at), sum(total) FROM app.orders WHERE status IN ('a', 'b', 'c') GROUP BY 1",
        "SELECT date_trunc('day', created_at) FROM app.orders WHERE total BETWEEN 1 AND 5 "
        "GROUP BY date_trunc('day', created_at)",
        "SELECT extract(hour FROM created_at) FROM app.orders WHERE customer_id = 7 "
        "GROUP BY extract(hour FROM created_at)",
        "SELECT * FROM app.customers WHERE email ILIKE '%x%' ORDER BY id LIMIT 5",
        "SELECT id FROM app.orders WHERE created_at >= date '2024-01-02' "
        "AND created_at < timestamp '2024-01-03' + interval '1' day",
        "SELECT CASE WHEN total > 5 THEN 'a' ELSE 'b' END, count(*) FROM app.orders WHERE id < 100 "
        "GROUP BY 1 HAVING count(*) > 2",
    ]
    pg18.execute("SELECT pg_stat_statements_reset()", *wanted)
    session = await open_session(pg18.monitor_url)
    texts = [
        row[0]
        for row in pg18.fetch(
            "SELECT query FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid "
            "WHERE datname = current_database() AND query LIKE '%%app.%%'",
            (),
        )
    ]
    assert len(texts) == len(wanted)
    for text in texts:
        assert (await session.explain(text)).mode in ("custom", "generic"), text


async def test_a_search_path_is_found_for_tables_of_other_schemas(open_session: Open, database: Database) -> None:
    database.execute(
        "CREATE SCHEMA other",
        "CREATE TABLE other.customers (id bigint, email text)",
        "CREATE TABLE public.customers (id bigint)",
    )
    session = await open_session(database.monitor_url)
    both = await session.explain("SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id")
    assert {node.schema for node in both.root.walk() if node.table} == {"app"}
    alone = await session.explain("SELECT * FROM customers")
    assert alone.root.schema == "public"
    given = await session.explain("SELECT * FROM customers", search_path="other")
    assert given.root.schema == "other"
    with pytest.raises(EngineError):
        await session.explain("SELECT * FROM nowhere")


CORPUS = [
    "SELECT 1; DROP TABLE victim",
    "SELECT 1; DELETE FROM victim; COMMIT",
    "SELECT 1 /* */; DROP TABLE public.victim --",
    "SELECT 1\x00; DROP TABLE public.victim",
    "SELECT $$a$$; DROP TABLE public.victim",
    "SELECT $1; DROP TABLE public.victim",
    "COMMIT; DROP TABLE public.victim",
    "DROP TABLE public.victim",
    "TRUNCATE public.victim",
    "DO $$ BEGIN DROP TABLE public.victim; END $$",
    "CREATE TABLE x AS SELECT 1",
    "SELECT * INTO x FROM public.victim",
    "EXPLAIN ANALYZE DELETE FROM public.victim",
    "ANALYZE DELETE FROM public.victim",
    "PREPARE x AS DELETE FROM public.victim",
    "EXECUTE x",
    "COPY public.victim FROM PROGRAM 'true'",
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/owned'",
    "CALL something()",
    "SET default_transaction_read_only = off",
    "LOCK TABLE public.victim",
    "VACUUM public.victim",
    "WITH x AS (DELETE FROM public.victim RETURNING *) SELECT * FROM x",
    "WITH x AS (DELETE FROM public.victim RETURNING *) SELECT * FROM x WHERE id = $1",
    "DELETE FROM public.victim",
    "DELETE FROM public.victim WHERE id = $1",
    "UPDATE public.victim SET id = 2",
    "INSERT INTO public.victim VALUES (2)",
    "SELECT public.destroy()",
    "SELECT * FROM public.victim WHERE id = public.destroy()",
    "SELECT public.lying()",
    "SELECT * FROM public.victim WHERE id = public.lying() AND id = $1",
    "SELECT pg_sleep(100)",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT set_config('default_transaction_read_only', 'off', false)",
    "ＳＥＬＥＣＴ 1",
    "SELECT 1 /*!50000 ; DROP TABLE public.victim */",
    "SELECT '\\'; DROP TABLE public.victim; --'",
    "SELECT E'\\'; DROP TABLE public.victim; --'",
    "",
    ";",
    "--",
]


@pytest.mark.parametrize("role", ["superuser", "monitor"])
async def test_whatever_is_explained_the_victim_survives(open_session: Open, database: Database, role: str) -> None:
    session = await open_session(database.socket_url if role == "superuser" else database.monitor_url)
    before = database.fetch("SELECT * FROM public.victim")
    for text in CORPUS:
        for mode in (None, "generic", "custom"):
            try:
                await session.explain(text, mode)  # type: ignore[arg-type]
            except EngineError:
                continue
    assert database.fetch("SELECT * FROM public.victim") == before
    assert await session.fetch("SHOW transaction_read_only") == [("on",)]
    assert database.fetch("SELECT count(*) FROM pg_class WHERE relname = 'x'") == [(0,)]


async def test_only_five_kinds_are_explained(open_session: Open, database: Database) -> None:
    session = await open_session(database.socket_url)
    for text in CORPUS[:22]:
        with pytest.raises(Refused):
            await session.explain(text)


async def test_modes_that_do_not_fit_are_refused(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    with pytest.raises(Refused):
        await session.explain("SELECT * FROM orders WHERE id = $1", "literal")
    with pytest.raises(Refused):
        await session.explain("SELECT * FROM orders", "generic")
    database.execute("CREATE TABLE app.fresh (a int)")
    with pytest.raises(Refused, match="statistics"):
        await session.explain("SELECT * FROM fresh WHERE a = $1", "custom")
    assert (await session.explain("SELECT * FROM fresh WHERE a = $1")).mode == "generic"
    with pytest.raises(PermissionDenied):
        await session.explain("INSERT INTO fresh VALUES ($1)")


async def test_a_schema_that_may_not_be_used_is_named_with_its_grant(open_session: Open, database: Database) -> None:
    role = f"blind_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN")
    try:
        session = await open_session(database.socket_url, user=role)
        with pytest.raises(PermissionDenied) as denied:
            await session.explain("SELECT * FROM orders WHERE id = $1")
        assert denied.value.fix == f'GRANT USAGE ON SCHEMA "app" TO "{role}";'
    finally:
        database.execute(f"DROP ROLE {role}")


async def test_the_shape_hash_stays_while_only_figures_change(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    one = await session.explain("SELECT * FROM orders WHERE status = 'done'")
    other = await session.explain("SELECT * FROM orders WHERE status = 'nothing like it'")
    assert one.cost > 0 and one.hash == other.hash
    assert one.hash != (await session.explain("SELECT * FROM orders WHERE id = 1")).hash


async def test_a_planner_uses_the_same_values_again(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    planner = await Planner.prepare(session, "SELECT * FROM orders WHERE total > $1 AND status = $2", None, None)
    again = await planner.plan()
    assert again.parameters == planner.first.parameters
    assert again.cost == planner.first.cost


async def test_column_statistics(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    found = {one.column: one for one in await session.column_statistics("app", "orders")}
    assert found["status"].common_values == ("done", "pending")
    assert found["status"].type == "text"
    assert found["id"].distinct == -1 and len(found["id"].histogram) > 10
    assert await session.column_statistics("app", "nothing") == ()


async def test_a_locked_table_is_not_waited_for(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url, limits=Limits(call_s=5, lock_ms=200))
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE app.orders IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(EngineError, match="locked"):
            await session.explain("SELECT * FROM app.orders WHERE id = $1")
        other.execute("ROLLBACK")
    assert (await session.explain("SELECT * FROM app.orders WHERE id = $1")).cost > 0


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("select a<=$1 from t where b >= interval $2 day", "select a<=$1 from t where b >= $2::interval day"),
        ("select $3, $1", "select $1, $2"),
        ("select $2 from t where a in ($7 /*, ... */)", "select $1 from t where a = ANY ($2)"),
        ("select double precision $1, time with time zone $2", "select $1::double precision , $2::time with time zone"),
        ("select 'interval $1', \"in ($1 /*, ... */)\"", "select 'interval $1', \"in ($1 /*, ... */)\""),
    ],
)
def test_rewriting(text: str, rewritten: str) -> None:
    assert rewrite.plannable(text) == rewritten


def test_a_literal_means_the_same_whatever_the_server_is_set_to() -> None:
    assert rewrite.with_values("select $1, $2", ["o'x", "a\\"], ["text", "text"]) == (
        "select ('o''x'::text), (E'a\\\\'::text)"
    )
