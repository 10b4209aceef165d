"""Indexes a workload misses: found, priced, merged; and the ones that would only cost, left alone."""

from __future__ import annotations

import pytest

from meshag_tui.advisor.generate import Advice
from meshag_tui.types import CreateIndex, EvidenceKind
from tests.advisor.conftest import Watch, by_rule
from tests.rig.postgres import Database

ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, placed_at timestamp NOT NULL,
    total int NOT NULL, note text NOT NULL);
INSERT INTO orders SELECT g, g * 7919 % 4000, 's' || g % 3, timestamp '2024-01-01' + g * interval '1 min', g % 900,
    repeat('n', 50) FROM generate_series(1, 60000) g;
"""


def indexes(advice: Advice) -> set[str]:
    """Table and keys of every index suggested, as the server would read them."""
    return {f"{one.table} ({one.sql.split(' USING ')[1]}" for one in by_rule(advice, "missing-index") if one.sql}


async def test_a_planner_checked_index_says_what_it_saves(watch: Watch, pg15: Database) -> None:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute("CREATE EXTENSION hypopg", ORDERS, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work("SELECT id, total FROM orders WHERE customer_id = 7", "SELECT total FROM orders WHERE id = 9")
    advice = await shop.advice()
    (one,) = advice.suggestions
    assert one.rule == "missing-index" and one.evidence_kind is EvidenceKind.PLANNED
    assert one.sql == "CREATE INDEX CONCURRENTLY orders_customer_id_idx ON public.orders USING btree (customer_id)"
    assert one.undo_sql == "DROP INDEX CONCURRENTLY public.orders_customer_id_idx"
    assert set(one.evidence["object"]) == {"table_oid", "columns"}
    assert one.evidence["method"] == "hypopg" and one.evidence["cost_after"] < one.evidence["cost_before"] / 5
    assert one.evidence["size_bytes"] > 0 and one.gain_ms_per_day and one.gain_ms_per_day > 0
    assert len(one.query_ids) == 1 and "missing-index" in advice.complete_rules
    assert pg15.fetch("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders'") == [(1,)]  # nothing was made

    pg15.execute(one.sql, "ANALYZE orders")
    await shop.work("SELECT id, total FROM orders WHERE customer_id = 7")
    assert by_rule(await shop.advice(), "missing-index") == []


async def test_without_hypothetical_indexes_it_is_said_to_be_unchecked(watch: Watch, pg18: Database) -> None:
    pg18.execute(ORDERS, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work("SELECT id, total FROM orders WHERE customer_id = 7")
    (one,) = (await shop.advice(what_if=False)).suggestions
    assert one.evidence_kind is EvidenceKind.STATED and "Not checked by the planner" in one.text
    assert one.evidence["checked"] is False and one.confidence <= 0.5
    assert one.sql and "(customer_id)" in one.sql


async def test_a_sandbox_checks_where_the_server_has_no_hypothetical_indexes(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        ORDERS, "CREATE FUNCTION one() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'", "VACUUM ANALYZE"
    )
    shop = watch(pg18)
    await shop.work(
        "SELECT id, total FROM orders WHERE customer_id = 7",
        "SELECT id FROM orders WHERE placed_at = '2024-01-02' AND 1 = one()",
    )
    advice = await shop.advice()
    found = {one.sql: one for one in advice.suggestions if one.rule == "missing-index"}
    (one,) = [one for sql, one in found.items() if "(customer_id)" in str(sql)]
    assert one.evidence_kind is EvidenceKind.PLANNED and one.evidence["method"] == "sandbox"
    assert "statistics sandbox, PostgreSQL 18" in one.evidence["planner"]
    assert one.evidence["cost_after"] < one.evidence["cost_before"] / 5
    (other,) = [one for sql, one in found.items() if "(placed_at)" in str(sql)]
    assert other.evidence_kind is EvidenceKind.STATED and "function one() does not exist" in other.text


CASES = {
    "equality before range": (
        "SELECT id FROM orders WHERE placed_at > timestamp '2024-02-01' AND placed_at < timestamp '2024-02-03' "
        "AND customer_id = 5",
        {"orders (btree (customer_id)", "orders (btree (customer_id, placed_at)"},
    ),
    "order and limit": ("SELECT id, note FROM orders ORDER BY placed_at DESC LIMIT 10", {"orders (btree (placed_at)"}),
    "mixed order": (
        "SELECT id, note FROM orders ORDER BY total DESC, placed_at LIMIT 10",
        {"orders (btree (total DESC, placed_at)"},
    ),
    "expression": ("SELECT id FROM orders WHERE lower(note) = 'x'", {"orders (btree ((lower(note)))"}),
    "update": ("UPDATE orders SET total = 1 WHERE customer_id = -5", {"orders (btree (customer_id)"}),
    "delete": ("DELETE FROM orders WHERE customer_id = -5", {"orders (btree (customer_id)"}),
    "maximum": ("SELECT max(placed_at) FROM orders", {"orders (btree (placed_at)"}),
    "low selectivity": ("SELECT count(*), max(note) FROM orders WHERE status = 's1'", set()),
    "whole table": ("SELECT status, sum(total) FROM orders GROUP BY 1", set()),
    "primary key": ("SELECT note FROM orders WHERE id = 77", set()),
}


@pytest.mark.parametrize("planner", [True, False], ids=["planned", "reckoned"])
@pytest.mark.parametrize("case", CASES)
async def test_keys_are_those_the_statement_wants(watch: Watch, pg15: Database, case: str, planner: bool) -> None:
    if planner and not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    statement, expected = CASES[case]
    pg15.execute("CREATE EXTENSION IF NOT EXISTS hypopg" if planner else "SELECT 1", ORDERS, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(statement, times=5)
    found = indexes(await shop.advice())
    assert found <= expected and bool(found) == bool(expected)


async def test_one_composite_serves_two_statements(watch: Watch, pg: Database) -> None:
    pg.execute(
        """CREATE TABLE tasks (id int PRIMARY KEY, tenant_id int NOT NULL, status text NOT NULL, title text NOT NULL);
        INSERT INTO tasks SELECT g, g * 7919 % 300, 's' || (g / 7) % 25, md5(g::text) FROM generate_series(1, 90000) g;
        """,
        "VACUUM ANALYZE",
    )
    shop = watch(pg)
    await shop.work(
        "SELECT id, title FROM tasks WHERE tenant_id = 7",
        "SELECT id, title FROM tasks WHERE status = 's3' AND tenant_id = 11",
    )
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and one.sql.endswith("(tenant_id, status)")
    assert len(one.query_ids) == 2


async def test_each_arm_of_an_or_gets_its_index(watch: Watch, pg: Database) -> None:
    pg.execute(
        """CREATE TABLE transfers (id int PRIMARY KEY, sender int NOT NULL, receiver int NOT NULL, amount int NOT NULL);
        INSERT INTO transfers SELECT g, g * 7919 % 9000, g * 10007 % 9000, g FROM generate_series(1, 90000) g;""",
        "VACUUM ANALYZE",
    )
    shop = watch(pg)
    await shop.work("SELECT id, amount FROM transfers WHERE sender = 5 OR receiver = 5")
    assert indexes(await shop.advice()) == {"transfers (btree (sender)", "transfers (btree (receiver)"}


async def test_what_a_btree_cannot_answer_gets_gin(watch: Watch, pg: Database) -> None:
    pg.execute(
        """CREATE TABLE products (id int PRIMARY KEY, attrs jsonb NOT NULL, tags text[] NOT NULL);
        INSERT INTO products SELECT g, jsonb_build_object('brand', 'b' || g % 2500, 'name', md5(g::text)),
            ARRAY['t' || g % 3000, 'all'] FROM generate_series(1, 40000) g;""",
        "VACUUM ANALYZE",
    )
    shop = watch(pg)
    await shop.work(
        """SELECT id FROM products WHERE attrs @> '{"brand": "b7"}'""",
        "SELECT id FROM products WHERE tags @> ARRAY['t7']",
    )
    assert indexes(await shop.advice()) == {"products (gin (attrs jsonb_path_ops)", "products (gin (tags)"}


async def test_few_rows_get_a_partial_index(watch: Watch, pg15: Database) -> None:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute(
        "CREATE EXTENSION hypopg",
        """CREATE TABLE jobs (id int PRIMARY KEY, done_at timestamptz, prio int NOT NULL, payload text NOT NULL);
        INSERT INTO jobs SELECT g, CASE WHEN g % 500 > 0 THEN now() END, g % 10, repeat('x', 50)
            FROM generate_series(1, 80000) g;""",
        "VACUUM ANALYZE",
    )
    shop = watch(pg15)
    await shop.work("SELECT id, payload FROM jobs WHERE done_at IS NULL ORDER BY prio, id LIMIT 10")
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and one.sql.endswith("(prio, id) WHERE done_at IS NULL")


@pytest.mark.parametrize(
    ("schema", "statements"),
    [
        (  # sixty rows on a page
            "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL); INSERT INTO t SELECT g, 'k' || g "
            "FROM generate_series(1, 60) g",
            ["SELECT id FROM t WHERE name = 'k5'"],
        ),
        (  # the prefix of an index that is there
            "CREATE TABLE t (id int PRIMARY KEY, account int NOT NULL, day int NOT NULL, amount int NOT NULL); "
            "INSERT INTO t SELECT g, g * 7919 % 900, g % 360, g FROM generate_series(1, 60000) g; "
            "CREATE INDEX ON t (account, day)",
            ["SELECT id, day, amount FROM t WHERE account = 7", "SELECT id FROM t WHERE day = 5 AND account = 9"],
        ),
        (  # calls ask for what nearly all rows have
            "CREATE TABLE t (id int PRIMARY KEY, state text NOT NULL, body text NOT NULL); INSERT INTO t SELECT g, "
            "CASE WHEN g % 300 = 0 THEN 'open' ELSE 'closed' END, repeat('z', 50) FROM generate_series(1, 60000) g",
            ["SELECT id, body FROM t WHERE state = 'closed'"],
        ),
    ],
    ids=["tiny", "covered", "skewed"],
)
@pytest.mark.parametrize("hypopg", [True, False])
async def test_an_index_that_would_only_cost_is_not_suggested(
    watch: Watch, pg15: Database, schema: str, statements: list[str], hypopg: bool
) -> None:
    if hypopg and not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute("CREATE EXTENSION hypopg" if hypopg else "SELECT 1", schema, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(*statements)
    assert indexes(await shop.advice()) == set()


async def test_writers_and_all_statements_that_could_use_an_index_are_heard(watch: Watch, pg15: Database) -> None:
    """What INSERTs took says what an entry takes; an UPDATE by key says which updates would leave their page."""
    pg15.execute(
        "CREATE TABLE tickets (id bigserial PRIMARY KEY, owner int NOT NULL, state int NOT NULL, note text NOT NULL) "
        "WITH (fillfactor = 60)",
        "INSERT INTO tickets (owner, state, note) SELECT g % 40, g % 997, repeat('t', 80) "
        "FROM generate_series(1, 40000) g",
        "VACUUM ANALYZE",
    )
    shop = watch(pg15)
    await shop.work(
        "INSERT INTO tickets (owner, state, note) VALUES " + ", ".join(["(1, 1, 'new')"] * 40),
        "UPDATE tickets SET state = 3 WHERE id = 77",
        "SELECT note FROM tickets WHERE owner = 9 AND state = 9",
        "SELECT count(*) FROM tickets WHERE owner = 8",
        times=5,
    )
    (found,) = by_rule(await shop.advice(), "missing-index")
    assert isinstance(found.change, CreateIndex)
    kept, checked = found.evidence["upkeep"], found.evidence["workload"]
    entries = kept["entries"] - kept["in_place"]
    assert entries == 200 and 0.2 <= kept["ms"] <= 20 and "each, as INSERTs into tickets took" in found.text
    assert checked["improved"] == 2 and checked["improved_calls"] == 10 and checked["failed"] == checked["worse"] == 0
    assert "of 4 statements of most time on its table: 2 better (10 calls), 0 worse, 2 the same (10 calls), 0 not" in (
        str(found.evidence["facts"])
    )
    assert [key.name for key in found.change.spec.columns] == ["owner", "state"]
    assert kept["in_place"] == 10  # five updates on two indexes
    assert "those updates could no longer be made in place" in found.text


async def test_upkeep_counts_against_an_index(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE metrics (id bigserial PRIMARY KEY, host int NOT NULL, v int NOT NULL)",
        "INSERT INTO metrics (host, v) SELECT g % 900, g FROM generate_series(1, 20000) g",
        "VACUUM ANALYZE",
    )
    shop = watch(pg18)
    await shop.work(
        "INSERT INTO metrics (host, v) SELECT g % 900, g FROM generate_series(1, 20000) g",
        "SELECT v FROM metrics WHERE host = 7",
        times=2,
    )
    assert indexes(await shop.advice()) == set()


async def test_a_partitioned_table_is_advised_as_a_whole(watch: Watch, pg: Database) -> None:
    pg.execute(
        """CREATE TABLE readings (at timestamp NOT NULL, device int NOT NULL, v int) PARTITION BY RANGE (at);
        CREATE TABLE readings_1 PARTITION OF readings FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
        CREATE TABLE readings_2 PARTITION OF readings FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
        INSERT INTO readings SELECT timestamp '2024-01-01' + g * interval '1 min', g * 7919 % 3000, g
            FROM generate_series(0, 80000) g;""",
        "VACUUM ANALYZE",
    )
    shop = watch(pg)
    await shop.work("SELECT at, v FROM readings WHERE device = 7")
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.table == "readings"
    assert one.change is None and one.risk == "HIGH"  # it cannot be done without blocking writers: not by us
    assert one.sql == "CREATE INDEX readings_device_idx ON public.readings USING btree (device)"
    assert one.undo_sql == "DROP INDEX public.readings_device_idx"
    assert "makes writers wait" in one.text and "ATTACH PARTITION" in one.text


async def test_one_statement_that_cannot_be_planned_does_not_stop_the_others(watch: Watch, pg18: Database) -> None:
    pg18.execute(ORDERS, "CREATE TABLE gone (id int)", "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work("SELECT id FROM orders WHERE customer_id = 7", "SELECT id FROM gone WHERE id = 3")
    pg18.execute("DROP TABLE gone")
    advice = await shop.advice()
    assert indexes(advice) == {"orders (btree (customer_id)"}
    assert any("could not be explained" in note for note in advice.notes)
    assert "missing-index" not in advice.complete_rules


async def test_a_budget_of_bytes_and_of_calls_is_kept(watch: Watch, pg18: Database) -> None:
    pg18.execute(ORDERS, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work("SELECT id FROM orders WHERE customer_id = 7")
    assert indexes(await shop.advice(budget_bytes=100_000)) == set()
    short = await shop.advice(planner_calls=0)
    assert short.suggestions == () and "missing-index" not in short.complete_rules and short.notes


async def test_identities_are_the_same_in_every_run(watch: Watch, pg18: Database) -> None:
    pg18.execute(ORDERS, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work("SELECT id FROM orders WHERE customer_id = 7", "SELECT * FROM orders ORDER BY placed_at LIMIT 5")
    first, second = await shop.advice(), await shop.advice()
    assert [one.identity for one in first.suggestions] == [one.identity for one in second.suggestions]
    assert len({one.identity for one in first.suggestions}) == 2
