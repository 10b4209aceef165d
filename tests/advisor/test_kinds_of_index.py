"""Indexes that are no plain B-tree: each is found where only it helps, and the server takes it."""

from __future__ import annotations

import pytest

from tests.advisor.conftest import Watch, by_rule
from tests.rig.postgres import Database

ARTICLES = """
CREATE TABLE articles (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL, tags text[] NOT NULL,
    attrs jsonb NOT NULL, words tsvector NOT NULL, seen_at timestamp NOT NULL, author_id int NOT NULL);
INSERT INTO articles SELECT g, md5(g::text), repeat('b', 90), ARRAY['t' || g % 3000, 'all'],
    jsonb_build_object('brand', 'b' || g % 2500), to_tsvector('simple', 'w' || g % 2000 || ' all'),
    timestamp '2024-01-01' + g * interval '1 min', g * 7919 % 700 FROM generate_series(1, 60000) g;
CREATE VIEW abc AS SELECT id, title FROM articles WHERE title LIKE 'abcd%';
"""
KINDS = {
    "jsonb": ('SELECT id FROM articles WHERE attrs @> \'{"brand": "b7"}\'', "gin (attrs jsonb_path_ops)"),
    "array": ("SELECT id FROM articles WHERE tags @> ARRAY['t7']", "gin (tags)"),
    "array overlap": ("SELECT id FROM articles WHERE tags && ARRAY['t7', 't9']", "gin (tags)"),
    "words": ("SELECT id FROM articles WHERE words @@ to_tsquery('simple', 'w7')", "gin (words)"),
    "prefix": ("SELECT id, title FROM abc", "btree (title text_pattern_ops)"),
    "computed": ("SELECT id FROM articles WHERE lower(title) = 'x'", "btree (lower(title))"),
}


def on_hypopg(database: Database) -> None:
    """Let the server itself price indexes."""
    if not database.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    database.execute("CREATE EXTENSION hypopg")


def plan_of(database: Database, statement: str) -> str:
    """What the server says it would do now."""
    return "\n".join(row[0] for row in database.fetch(f"EXPLAIN {statement}"))


@pytest.mark.parametrize("priced_by", ["hypopg", "sandbox"])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_where_only_it_helps(watch: Watch, pg15: Database, kind: str, priced_by: str) -> None:
    statement, expected = KINDS[kind]
    pg15.execute(ARTICLES, "VACUUM ANALYZE")
    if priced_by == "hypopg":
        on_hypopg(pg15)
    shop = watch(pg15)
    await shop.work(statement, times=5)
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and expected.replace("(", "").replace(")", "") in one.sql.replace("(", "").replace(")", "")
    if priced_by == "hypopg" and "gin" in expected:
        assert one.evidence["method"] is None and "cannot be of this method" in one.text
    elif kind in ("computed", "jsonb", "words"):
        # No planner has statistics of an expression, a key or a word: it is reckoned from what calls returned.
        assert one.evidence["method"] is None and "rests on the rows they returned" in one.text
    else:
        assert one.evidence["method"] == priced_by
    pg15.execute(one.sql, "ANALYZE")  # the server takes it, concurrently
    (name,) = pg15.fetch("SELECT i.indexrelid::regclass::text FROM pg_index i ORDER BY i.indexrelid DESC LIMIT 1")[0]
    assert name in plan_of(pg15, statement)
    again = watch(pg15)
    await again.work(statement, times=5)
    assert by_rule(await again.advice(), "missing-index") == []


async def test_the_first_rows_in_an_order_behind_a_column_that_is_null(watch: Watch, pg15: Database) -> None:
    """An index on (done_at, made_at) has no order for the server where done_at IS NULL: it is walked without it."""
    on_hypopg(pg15)
    pg15.execute(
        "CREATE TABLE jobs (id int PRIMARY KEY, done_at timestamp, made_at timestamp NOT NULL, body text NOT NULL)",
        "INSERT INTO jobs SELECT g, CASE WHEN g % 2 = 0 THEN timestamp '2025-01-01' END, "
        "timestamp '2024-01-01' + g * 7919::bigint % 60000 * interval '1 min', repeat('x', 90) "
        "FROM generate_series(1, 60000) g",
        "VACUUM ANALYZE",
    )
    statement = "SELECT id, body FROM jobs WHERE done_at IS NULL ORDER BY made_at DESC LIMIT 10"
    shop = watch(pg15)
    await shop.work(statement, times=5)
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and "(made_at)" in one.sql
    pg15.execute(one.sql, "ANALYZE")
    assert "Sort" not in plan_of(pg15, statement) and "jobs_made_at_idx" in plan_of(pg15, statement)


@pytest.mark.parametrize("priced_by", ["hypopg", "sandbox"])
async def test_a_small_index_on_rows_that_lie_in_the_order_of_time(
    watch: Watch, pg15: Database, priced_by: str
) -> None:
    pg15.execute(
        "CREATE TABLE log (id bigint PRIMARY KEY, at timestamp NOT NULL, kind int NOT NULL, body text NOT NULL)",
        "INSERT INTO log SELECT g, timestamp '2024-01-01' + g * interval '10 s', g % 7, repeat('x', 60) "
        "FROM generate_series(1, 300000) g",
        "VACUUM ANALYZE",
    )
    if priced_by == "hypopg":
        on_hypopg(pg15)
    statement = "SELECT count(*), max(kind) FROM log WHERE at >= '2024-01-20' AND at < '2024-01-22'"
    shop = watch(pg15)
    await shop.work(statement, times=5)
    (one,) = by_rule(await shop.advice(budget_bytes=1_000_000), "missing-index")
    assert one.sql and "USING brin (at)" in one.sql and one.evidence["method"] == priced_by
    pg15.execute(one.sql)
    assert "Bitmap Index Scan on log_at_idx" in plan_of(pg15, statement)
    (size,) = pg15.fetch("SELECT pg_relation_size('log_at_idx')")[0]
    assert abs(size - one.evidence["size_bytes"]) <= 100_000


JOBS = """
CREATE TABLE jobs (id bigint PRIMARY KEY, state varchar(20) NOT NULL, created_at timestamp NOT NULL, body text);
INSERT INTO jobs SELECT g, CASE WHEN g % 300 = 0 THEN 'waiting' WHEN g % 31 = 0 THEN 'failed' ELSE 'done' END,
    timestamp '2024-01-01' + g * interval '1 min', repeat('z', 50) FROM generate_series(1, 100000) g;
CREATE VIEW queue AS SELECT id, created_at, body FROM jobs WHERE state = 'waiting';
"""


async def test_a_value_of_few_rows_that_the_text_names(watch: Watch, pg15: Database) -> None:
    pg15.execute(JOBS, "VACUUM ANALYZE")
    statement = "SELECT id, body FROM queue ORDER BY created_at LIMIT 10"
    shop = watch(pg15)
    await shop.work(statement, times=5)
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and one.sql.endswith("(created_at) WHERE state = 'waiting'::text")
    assert "assumption" not in one.text
    pg15.execute(one.sql)
    assert "jobs_created_at_idx" in plan_of(pg15, statement)


async def test_a_value_that_only_the_rows_of_calls_tell_is_said_to_be_assumed(watch: Watch, pg15: Database) -> None:
    pg15.execute(JOBS, "VACUUM ANALYZE")
    rare, common = "SELECT id FROM jobs WHERE state = 'waiting'", "SELECT id FROM jobs WHERE state = 'done'"
    shop = watch(pg15)
    await shop.work(rare, times=5)
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and one.sql.endswith("(state) WHERE state = 'waiting'::text")
    assert "is an assumption" in one.text and one.confidence <= 0.65
    pg15.execute(one.sql)
    assert "jobs_state_idx" in plan_of(pg15, rare)
    pg15.execute("DROP INDEX jobs_state_idx")
    other = watch(pg15)
    await other.work(common, times=5)
    assert by_rule(await other.advice(), "missing-index") == []
    mixed = watch(pg15)
    await mixed.work(rare, common, times=5)  # one statement to the statistics: no value has so many rows
    assert not any(" WHERE " in (one.sql or "") for one in by_rule(await mixed.advice(), "missing-index"))


WORDS = """
CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL);
INSERT INTO words SELECT g, md5(g::text) FROM generate_series(1, 60000) g;
"""


async def test_whether_a_pattern_begins_with_a_wildcard_is_known_only_where_it_was_seen(
    watch: Watch, pg15: Database
) -> None:
    pg15.execute(WORDS, "VACUUM ANALYZE")
    prefix, anywhere = "SELECT id FROM words WHERE word LIKE 'abcd%'", "SELECT id FROM words WHERE word LIKE '%abcd%'"
    shop = watch(pg15)
    await shop.work(prefix, times=5)
    (unknown,) = (await shop.advice()).suggestions
    assert unknown.rule == "like-pattern" and unknown.sql is None
    assert "text_pattern_ops" in unknown.text and "trigram" in unknown.text
    with pg15.connect() as application:
        application.execute(prefix)
        (one,) = (await shop.advice()).suggestions
        assert one.sql and "(word text_pattern_ops)" in one.sql
        assert "one that begins with a wildcard would not use it" in one.text
        application.execute(anywhere)
        (seen,) = (await shop.advice()).suggestions
        assert seen.rule == "leading-wildcard" and any("a session was seen" in fact for fact in seen.evidence["facts"])
    pg15.execute(one.sql)
    assert "words_word_idx" in plan_of(pg15, prefix)
    served = watch(pg15)
    await served.work(prefix, times=5)
    assert (await served.advice()).suggestions == ()  # calls do not read the table: nothing is said of patterns
    whole = watch(pg15)
    await whole.work(anywhere, times=5)
    (known,) = (await whole.advice()).suggestions
    assert known.rule == "leading-wildcard" and "words_word_idx would serve others" in known.text


async def test_patterns_within_a_text_want_trigrams_where_there_are_any(watch: Watch, pg15: Database) -> None:
    if not pg15.fetch("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"):
        pytest.skip("pg_trgm is not on this machine")
    pg15.execute(ARTICLES, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work("SELECT id FROM articles WHERE title LIKE '%abcd%'", times=5)
    without = await shop.advice()
    assert by_rule(without, "missing-index") == [] and by_rule(without, "like-pattern")
    pg15.execute("CREATE EXTENSION pg_trgm")
    await shop.work("SELECT id FROM articles WHERE title LIKE '%abcd%'", times=5)
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and "USING gin (title " in one.sql and "gin_trgm_ops" in one.sql
    pg15.execute(one.sql)
