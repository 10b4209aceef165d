"""Conditions as the planner resolved them: of real tables, whatever alias, view or sub-query the text used."""

from __future__ import annotations

import pytest

from meshag_tui.plan import Predicate
from tests.engines.postgres.conftest import Open
from tests.rig.postgres import Database

SCHEMA = [
    'CREATE SCHEMA "my app"',
    """CREATE TABLE "my app"."Users" (id bigint PRIMARY KEY, email varchar(80), "Full Name" text, tags text[],
       doc jsonb, active boolean NOT NULL, deleted_at timestamptz, age int, price numeric)""",
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, user_id bigint, status text, total int)",
    """CREATE VIEW public.live AS
       SELECT id AS key, email AS mail, age FROM "my app"."Users" WHERE deleted_at IS NULL""",
    'ALTER TABLE "my app"."Users" ALTER active DROP NOT NULL',
]


@pytest.fixture
def database(pg: Database) -> Database:
    pg.execute(*SCHEMA)
    return pg


async def of(open_session: Open, database: Database, statement: str) -> list[Predicate]:
    session = await open_session(database.monitor_url)
    return list(session.predicates(await session.explain(statement)))


CONDITIONS = [
    ("age = 5", "age", "age", "eq", "=", "5"),
    ("5 = age", "age", "age", "eq", "=", "5"),
    ("age = $1", "age", "age", "eq", "=", None),
    ("age IN (1, 2)", "age", "age", "eq", "=", "ANY ('{1,2}'::integer[])"),
    ("age = ANY($1)", "age", "age", "eq", "=", None),
    ("age > 5", "age", "age", "range", ">", "5"),
    ("5 > age", "age", "age", "range", "<", "5"),
    ("age <> 5", "age", "age", "other", "<>", "5"),
    ("email = 'x'", "email", "(email)::text", "eq", "=", "'x'::text"),
    ("email LIKE 'x%'", "email", "(email)::text", "like-prefix", "~~", "'x%'::text"),
    ("email LIKE '%x'", "email", "(email)::text", "like", "~~", "'%x'::text"),
    ("email ILIKE 'x%'", "email", "(email)::text", "like", "~~*", "'x%'::text"),
    ("email NOT LIKE 'x%'", "email", "(email)::text", "other", "!~~", "'x%'::text"),
    ("lower(email) = 'x'", None, "lower((email)::text)", "eq", "=", "'x'::text"),
    ("age + 1 > 5", None, "age + 1", "range", ">", "5"),
    ("doc ->> 'a' = 'b'", None, "doc ->> 'a'::text", "eq", "=", "'b'::text"),
    ("doc @> '{}'", "doc", "doc", "contains", "@>", "'{}'::jsonb"),
    ("tags && '{a}'", "tags", "tags", "contains", "&&", "'{a}'::text[]"),
    ("deleted_at IS NULL", "deleted_at", "deleted_at", "eq", "IS NULL", None),
    ("deleted_at IS NOT NULL", "deleted_at", "deleted_at", "other", "IS NOT NULL", None),
    ("active", "active", "active", "eq", "= true", None),
    ("NOT active", "active", "active", "eq", "= false", None),
    ("\"Full Name\" = 'it''s (a'", "Full Name", "Full Name", "eq", "=", "'it''s (a'::text"),
    ('age = (SELECT max(age) FROM "Users")', "age", "age", "eq", "=", None),
    ("deleted_at > now()", "deleted_at", "deleted_at", "range", ">", None),
]


async def test_one_condition(open_session: Open, database: Database) -> None:
    session = await open_session(database.monitor_url)
    for condition, *expected in CONDITIONS:
        found = session.predicates(await session.explain(f'SELECT * FROM "Users" u WHERE {condition}'))
        got = [(one.column, one.expression, one.kind, one.operator, one.value) for one in found]
        assert got == [tuple(expected)], condition
        assert (found[0].schema, found[0].table, found[0].alias) == ("my app", "Users", "u")


async def test_a_condition_within_one_row_serves_no_index(open_session: Open, database: Database) -> None:
    assert await of(open_session, database, 'SELECT * FROM "Users" WHERE price * 2 = age') == []


async def test_joins_name_both_sides(open_session: Open, database: Database) -> None:
    found = await of(
        open_session, database, 'SELECT * FROM orders o JOIN "Users" x ON x.id = o.user_id AND o.total > x.age'
    )
    assert {(one.table, one.column, one.kind) for one in found if one.kind == "join"} == {
        ("Users", "id", "join"),
        ("orders", "user_id", "join"),
    }


async def test_views_and_sub_queries_are_seen_through(open_session: Open, database: Database) -> None:
    found = await of(
        open_session,
        database,
        "WITH v AS (SELECT key, mail FROM live WHERE age > $1) SELECT * FROM v w WHERE mail = $2 "
        "AND key IN (SELECT user_id FROM public.orders q WHERE q.status = $3)",
    )
    assert {(one.schema, one.table, one.column, one.kind) for one in found if one.kind != "join"} >= {
        ("my app", "Users", "email", "eq"),
        ("my app", "Users", "age", "range"),
        ("my app", "Users", "deleted_at", "eq"),
        ("public", "orders", "status", "eq"),
    }


async def test_arms_of_an_or_are_numbered(open_session: Open, database: Database) -> None:
    found = await of(
        open_session, database, "SELECT * FROM orders WHERE id < 9 AND (status = 'a' OR (total > 1 AND user_id = 2))"
    )
    arms = {one.column: one.alternatives for one in found}
    assert arms["id"] == 0
    assert arms["status"] != 0
    assert arms["total"] == arms["user_id"] not in (0, arms["status"])


async def test_a_row_comparison_counts_by_its_first_column(open_session: Open, database: Database) -> None:
    found = await of(open_session, database, "SELECT * FROM orders WHERE (user_id, id) > ($1, $2)")
    assert [(one.column, one.kind) for one in found] == [("user_id", "range")]


async def test_negated_and_correlated_sub_plans_do_not_hide_the_rest(open_session: Open, database: Database) -> None:
    found = await of(
        open_session,
        database,
        'SELECT * FROM orders o WHERE o.total > 3 AND o.user_id NOT IN (SELECT id FROM "Users" WHERE age = $1) '
        'AND (EXISTS (SELECT 1 FROM "Users" u WHERE u.id = o.user_id) OR o.status = $2)',
    )
    assert {(one.table, one.column) for one in found} >= {("orders", "total"), ("Users", "age"), ("orders", "status")}
