"""What statements do wrong, from measured figures and real plans; and statements that look alike and are fine."""

from __future__ import annotations

import pytest

from tests.advisor.conftest import Watch, by_rule
from tests.rig.postgres import Database

BOOKS = """
CREATE TABLE authors (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE books (id int PRIMARY KEY, author_id int NOT NULL, shelf int NOT NULL, title text NOT NULL,
    created_at timestamp NOT NULL, code bigint NOT NULL UNIQUE);
INSERT INTO authors SELECT g, 'a' || g FROM generate_series(1, 10000) g;
INSERT INTO books SELECT g, g * 7919 % 10000 + 1, g % 400, 'b' || md5(g::text),
    timestamp '2024-01-01' + g * interval '4 min', g * 3 FROM generate_series(1, 40000) g;
CREATE TABLE returned (book_id int, reason text);
INSERT INTO returned SELECT g, 'r' FROM generate_series(1, 10000) g;
CREATE TABLE notes (id int PRIMARY KEY, tags text[] NOT NULL, text text NOT NULL);
INSERT INTO notes SELECT g, ARRAY['t' || g % 900, 'u' || g % 700], repeat('n', 50) FROM generate_series(1, 20000) g;
CREATE INDEX books_shelf ON books (shelf, id);
CREATE INDEX books_created ON books (created_at);
"""

TROUBLES = {
    "offset-pagination": "SELECT id, title FROM books ORDER BY id LIMIT 20 OFFSET 30000",
    "function-on-column": "SELECT id FROM books WHERE date(created_at) = '2024-02-02'",
    "implicit-cast": "SELECT title FROM books WHERE code = 33.0",
    "leading-wildcard": "SELECT id FROM books WHERE title ILIKE '%abc%'",
    "like-pattern": "SELECT id FROM books WHERE title LIKE '%abc%'",
    "order-by-random": "SELECT name FROM authors ORDER BY random() LIMIT 1",
    "not-in-subquery": "SELECT count(*) FROM authors WHERE id NOT IN (SELECT book_id FROM returned)",
    "correlated-subquery": "SELECT count(*) FROM books b WHERE length(title) > "
    "(SELECT avg(length(title)) FROM books x WHERE x.shelf = b.shelf) AND b.id < 600",
    "or-across-tables": "SELECT a.name FROM authors a JOIN books b ON b.id = a.id "
    "WHERE a.name = 'a7' OR b.title = 'b5'",
    "array-membership": "SELECT id FROM notes WHERE 't7' = ANY (tags)",
    "long-in-list": f"SELECT name FROM authors WHERE id IN ({', '.join(str(n * 7) for n in range(1, 300))})",
}


# As long as it is written so, an index pays, too.
INDEX_PAYS_TOO = {"correlated-subquery"}


@pytest.mark.parametrize("rule", TROUBLES)
async def test_each_trouble_is_named(watch: Watch, pg15: Database, rule: str) -> None:
    pg15.execute(BOOKS, "VACUUM ANALYZE")
    shop = watch(pg15)
    await shop.work(TROUBLES[rule], times=5)
    advice = await shop.advice()
    (one,) = by_rule(advice, rule)
    assert one.sql is None and one.change is None and len(one.query_ids) == 1
    assert one.type == "QUERY_OPTIMIZATION" and one.evidence["facts"]
    others = ["missing-index"] if rule in INDEX_PAYS_TOO else []
    assert [other.rule for other in advice.suggestions] == [*others, rule]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id, title FROM books ORDER BY id LIMIT 20 OFFSET 40",
        "SELECT id FROM books WHERE created_at >= '2024-02-02' AND created_at < '2024-02-03'",
        "SELECT title FROM books WHERE code = 33",
        "SELECT name FROM authors WHERE id IN (1, 2, 3)",
        "SELECT a.name FROM authors a WHERE EXISTS (SELECT 1 FROM books b WHERE b.id = a.id AND b.shelf = 7)",
        "SELECT * FROM authors WHERE id = 5",
        "SELECT text FROM notes WHERE id = 5 AND 't5' = ANY (tags)",
        "SELECT count(*) FROM authors WHERE id NOT IN (SELECT author_id FROM books)",
        "SELECT count(*) FROM authors WHERE id NOT IN (SELECT book_id FROM returned WHERE book_id IS NOT NULL)",
        "SELECT a.name FROM authors a JOIN books b ON b.author_id = a.id WHERE b.shelf = 7 AND (a.name = 'x' "
        "OR b.title = 'y')",
    ],
)
async def test_what_looks_alike_and_is_fine_gets_nothing(watch: Watch, pg: Database, statement: str) -> None:
    pg.execute(BOOKS, "VACUUM ANALYZE")
    shop = watch(pg)
    await shop.work(statement)
    assert (await shop.advice()).suggestions == ()


async def test_a_list_and_then_a_look_up_for_each_row(watch: Watch, pg: Database) -> None:
    pg.execute(BOOKS, "VACUUM ANALYZE")
    shop = watch(pg)
    await shop.sync()
    with pg.connect() as connection:
        for shelf in range(4):
            for (author,) in connection.execute("SELECT author_id FROM books WHERE shelf = %s", (shelf,)).fetchall():
                connection.execute("SELECT id, name FROM authors WHERE id = %s", (author,))
    await shop.sync()
    (one,) = (await shop.advice()).suggestions
    assert one.rule == "n-plus-one" and one.table == "authors" and "400 calls" in one.title


async def test_many_look_ups_that_follow_no_list_are_no_n_plus_one(watch: Watch, pg18: Database) -> None:
    pg18.execute(BOOKS, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work("SELECT id, name FROM authors WHERE id = 9", times=400)
    assert (await shop.advice()).suggestions == ()


async def test_a_report_that_does_not_fit_in_memory(watch: Watch, pg18: Database) -> None:
    pg18.execute(BOOKS, "VACUUM ANALYZE", f"ALTER DATABASE \"{pg18.name}\" SET work_mem = '256kB'")
    shop = watch(pg18)
    await shop.work("SELECT title, count(*) FROM books GROUP BY 1 ORDER BY 2 DESC, 1 DESC OFFSET 39000", times=3)
    (one,) = by_rule(await shop.advice(), "work-mem-spill")
    assert "temporary files" in one.title and "SET LOCAL work_mem" in one.text
    assert one.sql == f"ALTER ROLE app IN DATABASE {pg18.name} SET work_mem = '32MB'"
    assert one.undo_sql == f"ALTER ROLE app IN DATABASE {pg18.name} RESET work_mem"


async def test_plans_that_take_longer_to_compile_than_to_run(watch: Watch, pg15: Database) -> None:
    if not pg15.fetch("SELECT pg_jit_available()")[0][0] and not _jit(pg15):
        pytest.skip("This PostgreSQL 15 is built without LLVM")
    pg15.execute(BOOKS, "VACUUM ANALYZE", *_jit_settings(pg15, "on"))
    statement = (
        "SELECT sum(author_id + shelf), max(code - shelf), count(*) FROM books WHERE shelf <> 7 AND code % 3 = 0"
    )
    shop = watch(pg15)
    await shop.work(statement, times=6)
    (one,) = by_rule(await shop.advice(), "jit-overhead")
    assert "jit_above_cost" in one.text and "compiled for" in one.evidence["facts"][0] and one.sql is None
    pg15.execute(*_jit_settings(pg15, "off"), "SELECT pg_stat_statements_reset()")
    later = watch(pg15)
    await later.work(statement, times=6)
    assert by_rule(await later.advice(), "jit-overhead") == []


def _jit(database: Database) -> bool:
    with database.connect() as connection:
        return bool(connection.execute("SET jit = on").execute("SELECT pg_jit_available()").fetchone()[0])  # type: ignore[index]


def _jit_settings(database: Database, jit: str) -> list[str]:
    limits = ("jit_above_cost", "jit_inline_above_cost", "jit_optimize_above_cost")
    settings = {"jit": jit, **dict.fromkeys(limits, "0")}
    return [f'ALTER DATABASE "{database.name}" SET {name} = {value}' for name, value in settings.items()]


async def test_wide_rows_fetched_whole(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE wide (id int PRIMARY KEY, owner int NOT NULL, body text)",
        "ALTER TABLE wide ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO wide SELECT g, g % 100, repeat(md5(g::text), 120) FROM generate_series(1, 4000) g",
        "CREATE INDEX wide_owner ON wide (owner)",
    )
    pg18.execute("VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work("SELECT * FROM wide WHERE owner = 7")
    (one,) = (await shop.advice()).suggestions
    assert one.rule == "select-star" and one.table == "wide"


async def test_columns_that_depend_on_each_other(watch: Watch, pg: Database) -> None:
    pg.execute(
        "CREATE TABLE people (id int PRIMARY KEY, city int NOT NULL, country int NOT NULL, kind int NOT NULL)",
        "INSERT INTO people SELECT g, g % 300, g % 300 / 10, CASE WHEN g % 10 = 0 THEN g % 50 ELSE 0 END "
        "FROM generate_series(1, 60000) g",
        "CREATE INDEX people_city ON people (city)",
        "CREATE TABLE kinds (id int PRIMARY KEY, name text NOT NULL)",
        "INSERT INTO kinds SELECT g, 'k' || g FROM generate_series(0, 9000) g",
        "VACUUM ANALYZE",
    )
    statements = (
        *["SELECT id FROM people WHERE city = 77 AND country = 7"] * 20,
        "SELECT city, country, count(*) FROM people GROUP BY city, country",
        "SELECT id FROM people WHERE city = 78 AND kind = 0",  # skewed and independent: the planner is about right
    )
    joined = "SELECT p.id, k.name FROM people p JOIN kinds k ON k.id = p.kind WHERE p.city = 77 AND p.country = 7"
    alone = watch(pg)
    await alone.work(*statements, times=5)
    assert (await alone.advice()).suggestions == (), "no plan is chosen by it"
    shop = watch(pg)
    await shop.work(*statements, *[joined] * 20, times=5)
    found = (await shop.advice()).suggestions
    (one,) = found  # and no index on (city, country): it would find the same rows
    assert one.rule == "correlated-columns"
    assert one.sql == (
        "CREATE STATISTICS public.people_city_country_stats (ndistinct, dependencies) ON city, country "
        "FROM public.people;\nANALYZE public.people"
    )
    assert one.undo_sql == "DROP STATISTICS public.people_city_country_stats"
    assert len(one.query_ids) == 3
    pg.execute(one.sql)
    later = watch(pg)
    await later.work(*statements, *[joined] * 20, times=5)
    assert by_rule(await later.advice(), "correlated-columns") == []


async def test_a_list_whose_length_the_server_left_out(watch: Watch, pg18: Database) -> None:
    pg18.execute(BOOKS, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work(TROUBLES["long-in-list"], times=5)
    (one,) = by_rule(await shop.advice(), "long-in-list")
    assert "at least 299 values" in one.title
