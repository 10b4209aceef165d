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


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_where_only_it_helps(watch: Watch, pg15: Database, kind: str) -> None:
    statement, expected = KINDS[kind]
    pg15.execute(ARTICLES, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(statement, times=5)
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and expected.replace("(", "").replace(")", "") in one.sql.replace("(", "").replace(")", "")
    pg15.execute(one.sql)  # the server takes it, concurrently


async def test_patterns_within_a_text_want_trigrams_where_there_are_any(watch: Watch, pg15: Database) -> None:
    if not pg15.fetch("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"):
        pytest.skip("pg_trgm is not on this machine")
    pg15.execute(ARTICLES, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work("SELECT id FROM articles WHERE title LIKE '%abcd%'", times=5)
    without = await shop.advice()
    assert by_rule(without, "missing-index") == [] and by_rule(without, "leading-wildcard")
    pg15.execute("CREATE EXTENSION pg_trgm")
    await shop.work("SELECT id FROM articles WHERE title LIKE '%abcd%'", times=5)
    (one,) = by_rule(await shop.advice(), "missing-index")
    assert one.sql and "USING gin (title " in one.sql and "gin_trgm_ops" in one.sql
    pg15.execute(one.sql)
