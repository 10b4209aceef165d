"""Conditions as the server resolved them: of real tables, whatever alias, view or sub-query the text used."""

from __future__ import annotations

import pytest

from meshag_tui.plan import Plan, Predicate
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import Schema

SCHEMA = [
    """CREATE TABLE `Users` (id bigint PRIMARY KEY, email varchar(80), `Full Name` varchar(50), doc json, active int,
       deleted_at datetime, age int, price decimal(10,2), body text, KEY `by age` (age), FULLTEXT (body))""",
    "CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, status varchar(20), total int, `key` int)",
    """INSERT INTO `Users` WITH RECURSIVE g AS (SELECT 1 n UNION ALL SELECT n + 1 FROM g WHERE n < 300)
       SELECT n, concat('u', n), concat('f', n), '{}', n % 2, NULL, n % 50, n, concat('word', n) FROM g""",
    "INSERT INTO orders SELECT id, id % 90, if(id % 9 = 0, 'new', 'done'), id, id FROM `Users`",
    "CREATE VIEW live AS SELECT id AS k, email AS mail, age FROM `Users` WHERE deleted_at IS NULL",
    "CREATE VIEW livelier AS SELECT k, mail FROM live WHERE age > 10",
    "ANALYZE TABLE `Users`, orders",
]


@pytest.fixture
def schema(my: Schema) -> Schema:
    my.execute(*SCHEMA)
    return my


async def of(open_session: Open, schema: Schema, statement: str) -> tuple[Plan, list[Predicate]]:
    session = await open_session(schema.owner_url)
    plan = await session.explain(statement)
    return plan, list(session.predicates(plan))


CONDITIONS = [
    ("price = 5", "price", "price", "eq", "=", "5.00|5"),
    ("5 = price", "price", "price", "eq", "=", "5.00|5"),
    ("price IN (1, 2)", "price", "price", "eq", "=", "(1.00, 2.00)|(1, 2)"),
    ("price > 5", "price", "price", "range", ">", "5.00|5"),
    ("5 > price", "price", "price", "range", "<", "5.00|5"),
    ("price <> 5", "price", "price", "other", "<>", "5.00|5"),
    ("price = -5", "price", "price", "eq", "=", "-5.00|-5"),
    ("email = 'x'", "email", "email", "eq", "=", "'x'"),
    ("email LIKE 'x%'", "email", "email", "like-prefix", "LIKE", "'x%'"),
    ("email LIKE '%x'", "email", "email", "like", "LIKE", "'%x'"),
    ("email NOT LIKE 'x%'", "email", "email", "other", "NOT LIKE", None),
    ("email REGEXP '^x'", "email", "email", "like", "REGEXP", None),
    ("lower(email) = 'x'", None, "LOWER(email)", "eq", "=", "'x'"),
    ("price + 1 > 5", None, "price + 1", "range", ">", "5.00|5"),
    ("date(deleted_at) = '2024-01-01'", None, None, "eq", "=", None),
    ("year(deleted_at) = 2024", None, "YEAR(deleted_at)", "eq", "=", None),
    ("deleted_at IS NULL", "deleted_at", "deleted_at", "eq", "IS NULL", None),
    ("deleted_at IS NOT NULL", "deleted_at", "deleted_at", "other", "IS NOT NULL", None),
    ("`Full Name` = 'it''s (a'", "Full Name", "Full Name", "eq", "=", None),
    ("deleted_at > now()", "deleted_at", "deleted_at", "range", ">", None),
    ("price > (SELECT max(total) FROM orders)", "price", "price", "range", ">", None),
]


async def test_one_condition(open_session: Open, schema: Schema) -> None:
    session = await open_session(schema.monitor_url)
    for condition, column, expression, kind, operator, value in CONDITIONS:
        plan = await session.explain(f"SELECT * FROM Users u WHERE {condition}")
        found = [one for one in session.predicates(plan) if one.table == "Users"]
        assert [(one.column, one.kind, one.operator) for one in found] == [(column, kind, operator)], condition
        one = found[0]
        assert expression is None or one.expression == expression, condition
        assert value is None or one.value in value.split("|"), (condition, one.value)
        assert (one.schema, one.table, one.alias) == (schema.name, "Users", "u")


async def test_a_range_between_has_two_ends(open_session: Open, schema: Schema) -> None:
    _, found = await of(open_session, schema, "SELECT * FROM Users WHERE price BETWEEN 3 AND 9 AND email = 'x'")
    assert {(one.column, one.operator) for one in found} == {("price", ">="), ("price", "<="), ("email", "=")}


async def test_a_condition_within_one_row_serves_no_index(open_session: Open, schema: Schema) -> None:
    _, found = await of(open_session, schema, "SELECT * FROM Users WHERE price * 2 = deleted_at + 1")
    assert found == []


async def test_what_an_index_answers_is_a_predicate_too(open_session: Open, schema: Schema) -> None:
    """The server drops a lookup's condition from its document; it comes back from the key and its value."""
    plan, found = await of(open_session, schema, "SELECT * FROM Users WHERE age = 7 AND email = 'x'")
    assert plan.root.index == "by age" and "Index Cond" in plan.root.conditions
    assert {(one.column, one.kind) for one in found} == {("age", "eq"), ("email", "eq")}


async def test_joins_name_both_sides(open_session: Open, schema: Schema) -> None:
    _, found = await of(
        open_session, schema, "SELECT * FROM orders o JOIN Users x ON x.id = o.user_id AND o.total > x.age"
    )
    assert {(one.table, one.column, one.kind) for one in found if one.kind == "join"} == {
        ("Users", "id", "join"),
        ("orders", "user_id", "join"),
    }
    _, found = await of(open_session, schema, "SELECT * FROM orders o LEFT JOIN orders x ON x.total = o.user_id")
    assert {(one.alias, one.column) for one in found if one.kind == "join"} == {("x", "total"), ("o", "user_id")}


async def test_views_and_sub_queries_are_seen_through(open_session: Open, schema: Schema) -> None:
    _, found = await of(
        open_session,
        schema,
        "WITH v AS (SELECT k, mail FROM livelier) SELECT * FROM v w WHERE mail = ? "
        "AND k IN (SELECT user_id FROM orders q WHERE q.status = ? AND q.total BETWEEN ? AND ?)",
    )
    assert {(one.schema, one.table, one.column, one.kind) for one in found if one.kind != "join"} >= {
        (schema.name, "Users", "email", "eq"),
        (schema.name, "Users", "age", "range"),
        (schema.name, "Users", "deleted_at", "eq"),
        (schema.name, "orders", "status", "eq"),
        (schema.name, "orders", "total", "range"),
    }


async def test_the_same_table_in_two_selects_is_two_relations(open_session: Open, schema: Schema) -> None:
    plan, found = await of(
        open_session,
        schema,
        "SELECT * FROM orders WHERE status = 'new' AND total = (SELECT max(total) FROM orders WHERE user_id = 3)",
    )
    assert {node.alias for node in plan.root.walk() if node.table} == {"orders", "orders_1"}
    by_column = {one.column: one.alias for one in found if one.operator == "=" and one.value is not None}
    assert by_column["status"] != by_column["user_id"]


async def test_arms_of_an_or_are_numbered(open_session: Open, schema: Schema) -> None:
    _, found = await of(
        open_session, schema, "SELECT * FROM orders WHERE id < 900 AND (status = 'a' OR (total > 1 AND user_id = 2))"
    )
    arms = {one.column: one.alternatives for one in found}
    assert arms["id"] == 0
    assert arms["status"] != 0
    assert arms["total"] == arms["user_id"] not in (0, arms["status"])


async def test_a_row_comparison_counts_by_its_first_column(open_session: Open, schema: Schema) -> None:
    _, found = await of(open_session, schema, "SELECT * FROM orders WHERE (user_id, total) > (5, 6)")
    assert [(one.column, one.kind) for one in found] == [("user_id", "range")]


async def test_negated_and_correlated_sub_queries_do_not_hide_the_rest(open_session: Open, schema: Schema) -> None:
    _, found = await of(
        open_session,
        schema,
        "SELECT * FROM orders o WHERE o.total > 3 AND o.user_id NOT IN (SELECT id FROM Users WHERE price = 4) "
        "AND (EXISTS (SELECT 1 FROM Users u WHERE u.id = o.user_id) OR o.status = 'x')",
    )
    assert {(one.table, one.column) for one in found} >= {("orders", "total"), ("Users", "price")}
    assert all(one.alternatives == 0 for one in found if one.column == "total")


async def test_words_of_a_full_text_index(open_session: Open, schema: Schema) -> None:
    plan, found = await of(open_session, schema, "SELECT * FROM Users WHERE MATCH (body) AGAINST ('word7')")
    assert plan.root.index == "body"
    assert {(one.column, one.kind) for one in found} <= {("body", "contains"), ("body", "eq")}
