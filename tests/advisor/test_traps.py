"""Statements that look as if they wanted an index, and are served best as they are: one database full of them."""

from __future__ import annotations

from tests.advisor.conftest import Watch
from tests.rig.postgres import Database

ROWS = "generate_series(1, 20000) g"
SCHEMA = f"""
CREATE TABLE people (id int PRIMARY KEY, male boolean NOT NULL, state text NOT NULL, age int NOT NULL, gone date,
    height int NOT NULL, pad text NOT NULL);
INSERT INTO people SELECT g, hashint4(g) % 2 = 0, CASE WHEN g % 10 = 0 THEN 'new' ELSE 'old' END, g * 7919 % 90,
    CASE WHEN g % 20 > 0 THEN date '2024-01-01' + g % 300 END, g * 7919 % 1000, repeat('p', 60) FROM {ROWS};
CREATE TABLE visits (id int PRIMARY KEY, shop int NOT NULL, at timestamptz NOT NULL, code text NOT NULL,
    tags text[] NOT NULL, note text NOT NULL);
INSERT INTO visits SELECT g, g * 7919 % 400, timestamptz '2024-01-01' + g * interval '1 min', 'c' || g * 31 % 5000,
    ARRAY['t' || g % 900], repeat('n', 60) FROM {ROWS};
CREATE INDEX visits_shop_at ON visits (shop, at);
CREATE INDEX visits_code ON visits USING hash (code);
CREATE INDEX visits_tags ON visits USING gin (tags);
CREATE TABLE kinds (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO kinds SELECT g, 'k' || g FROM generate_series(0, 99) g;
CREATE TABLE "Order" (id int PRIMARY KEY, "group" int NOT NULL, "Total" int NOT NULL, pad text NOT NULL);
INSERT INTO "Order" SELECT g, g % 3, g % 900, repeat('o', 60) FROM {ROWS};
CREATE INDEX "by Total" ON "Order" ("Total");
CREATE MATERIALIZED VIEW sums AS SELECT shop, count(*) AS n FROM visits GROUP BY 1;
"""
STATEMENTS = (
    "SELECT avg(age), count(pad) FROM people WHERE male",  # half of the rows
    "SELECT avg(age), count(pad) FROM people WHERE state = 'old'",  # nearly all
    "SELECT avg(age), count(pad) FROM people WHERE state <> 'new'",
    "SELECT avg(age), count(pad) FROM people WHERE gone IS NOT NULL",
    "SELECT avg(age), count(pad) FROM people WHERE age % 3 IN (0, 1)",
    "SELECT state, count(*), max(pad) FROM people GROUP BY state",  # every row
    "SELECT count(*) FROM people",
    "SELECT * FROM people LIMIT 5",  # the first rows that come
    "SELECT count(pad), max(state) FROM people WHERE height BETWEEN 100 AND 900",  # most rows: a call does not show it
    "SELECT k.name, max(p.pad) FROM kinds k JOIN people p ON p.age = k.id GROUP BY 1",  # a join of all with all
    "SELECT name FROM kinds WHERE name = 'k7'",  # one page
    "SELECT count(note) FROM visits WHERE shop = 7",  # the beginning of a longer index
    "SELECT at, note FROM visits WHERE shop = 7 ORDER BY at DESC LIMIT 3",  # read backwards
    "SELECT note FROM visits WHERE code = 'c31'",  # a hash index serves it
    "SELECT note FROM visits WHERE tags @> ARRAY['t7']",
    "SELECT note FROM visits WHERE id IN (1, 20, 300)",
    "SELECT max(id) FROM visits",
    'SELECT pad FROM "Order" WHERE "Total" = 7',
    'SELECT "group", sum("Total"), max(pad) FROM "Order" GROUP BY 1',
    "SELECT sum(n) FROM sums",
)


async def test_nothing_is_to_be_made_or_dropped(watch: Watch, pg15: Database) -> None:
    pg15.execute(SCHEMA, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(*STATEMENTS, times=8)
    made = (await shop.advice()).suggestions
    assert [(one.rule, one.table, one.sql) for one in made if one.sql is not None] == []
    # Who asks for the best use of much disk is told what that rests on.
    asked = (await shop.advice(budget_bytes=1 << 60)).suggestions
    assert any(
        one.table == "people" and "height" in (one.sql or "") and "is an assumption" in one.text for one in asked
    )
