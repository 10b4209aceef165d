"""MySQL and MariaDB: planted problems of many kinds and their doubles, each a table; suggestions are run and undone."""

from __future__ import annotations

import pytest

from tests.advisor.conftest import Watch, filled
from tests.advisor.planted import Case, first_case, groups, said, trap, want
from tests.rig.mysql import Schema

ROWS = 8_000
MINUTES = "'2024-01-01' + INTERVAL n * 7919 % 8000 MINUTE"
KIN = (
    "CREATE TABLE parents (id int PRIMARY KEY, mail varchar(30) NOT NULL UNIQUE)",
    filled("parents", 3_000, "n, concat('m', n)"),
)
PARENT = ("parent_id int NOT NULL", "n * 7919 % 3000 + 1")
WANTED = {
    "a_varchar": want("c varchar(20)", "concat('c', n * 7919 % 4000)", "SELECT pad FROM {t} WHERE c = 'c7'", "(c)"),
    "a_list": want("g int", "n * 7919 % 4000", "SELECT pad FROM {t} WHERE g IN (1, 5, 9)", "(g)"),
    "a_decimal": want("x decimal(10, 2)", "n * 7919 % 4000 + 0.5", "SELECT pad FROM {t} WHERE x = 77.5", "(x)"),
    "a_day": want(
        "d date", "'2000-01-01' + INTERVAL n * 7919 % 4000 DAY", "SELECT pad FROM {t} WHERE d = '2004-01-03'", "(d)"
    ),
    "a_while": want(
        "at datetime", MINUTES, "SELECT pad FROM {t} WHERE at >= '2024-01-03' AND at < '2024-01-03 00:20'", "(at)"
    ),
    "between": want(
        "at timestamp", MINUTES, "SELECT pad FROM {t} WHERE at BETWEEN '2024-01-03' AND '2024-01-03 00:20'", "(at)"
    ),
    "of_one": want(
        "g int, at datetime",
        "n * 7919 % 60, '2024-01-01' + INTERVAL n MINUTE",
        "SELECT pad FROM {t} WHERE at >= '2024-01-03' AND at < '2024-01-04' AND g = 5",
        "(g, at)",
    ),
    "the_best": want("score int", "n * 7919 % 8009", "SELECT id, pad FROM {t} ORDER BY score DESC LIMIT 10", "(score)"),
    "best_of_one": want(
        "g int, score int",
        "n * 7919 % 20, n * 31 % 8009",
        "SELECT id, pad FROM {t} WHERE g = 7 ORDER BY score DESC LIMIT 5",
        "(g, score)",
        more=("CREATE INDEX g ON {t} (g)",),
    ),
    "newest": want(
        "dev int, at int",
        "n * 7919 % 8, n * 31 % 8009",
        "SELECT max(at) FROM {t} WHERE dev = 7",
        "(dev, at)",
        more=("CREATE INDEX g ON {t} (dev)",),
    ),
    "few_nulls": want(
        "done datetime", "if(n % 500 = 0, NULL, '2024-01-01')", "SELECT pad FROM {t} WHERE done IS NULL", "(done)"
    ),
    "few_new": want("s enum('new', 'old')", "if(n % 500, 'old', 'new')", "SELECT pad FROM {t} WHERE s = 'new'", "(s)"),
    "changed": want("k varchar(40)", "concat('k', n)", "UPDATE {t} SET pad = 'x' WHERE k = 'k77'", "(k)"),
    "removed": want("k varchar(40)", "concat('k', n)", "DELETE FROM {t} WHERE k = 'x'", "(k)"),
    "children": want(
        *PARENT, "SELECT c.pad FROM parents p JOIN {t} c ON c.parent_id = p.id WHERE p.mail = 'm77'", "(parent_id)"
    ),
    "outer_child": want(
        *PARENT, "SELECT c.pad FROM parents p LEFT JOIN {t} c ON c.parent_id = p.id WHERE p.mail = 'm7'", "(parent_id)"
    ),
    "either": want(
        "a int, b int", "n * 7919 % 4000, n * 31 % 3999", "SELECT pad FROM {t} WHERE a = 5 OR b = 5", "(a)", "(b)"
    ),
    "a_text": want(
        "url text",
        "concat('http://e.x/', n, repeat('x', 40))",
        f"SELECT pad FROM {{t}} WHERE url = 'http://e.x/7{'x' * 40}'",
        "(url(16))",
    ),
    "order": want("`group` int", "n * 7919 % 4000", "SELECT pad FROM {t} WHERE `group` = 77", "(group)"),
    "Mixed Case": want("`Some Key` int", "n * 7919 % 4000", "SELECT pad FROM {t} WHERE `Some Key` = 7", "(Some Key)"),
    "made": want(
        "a int",
        "n * 7919 % 4000",
        "SELECT pad FROM {t} WHERE b = 78",
        "(b)",
        more=("ALTER TABLE {t} ADD b int AS (a * 2) STORED",),
    ),
    "reckoned": want(
        "a int",
        "n * 7919 % 4000",
        "SELECT pad FROM {t} WHERE b = 78",
        "(b)",
        more=("ALTER TABLE {t} ADD b int AS (a * 2) VIRTUAL",),
    ),
    "in_parts": want(
        "g int",
        "n * 7919 % 4000",
        "SELECT pad FROM {t} WHERE g = 7",
        "(g)",
        more=("ALTER TABLE {t} PARTITION BY HASH (id) PARTITIONS 4",),
    ),
    "a_view": want(
        "g int",
        "n * 7919 % 4000",
        "SELECT pad FROM seen_{n} WHERE r = 7",
        "(g)",
        more=("CREATE VIEW seen_{n} AS SELECT id, g AS r, pad FROM {t}",),
    ),
    "counted": want("g int", "n * 7919 % 1000", "SELECT count(*) FROM {t} WHERE g = 7", "(g)"),
    "a_number": want(
        "c varchar(20)",
        "concat('49', 100000 + n)",
        "SELECT pad FROM {t} WHERE c = 49100007",
        "implicit-cast",
        more=("CREATE INDEX c ON {t} (c)",),
    ),
    "a_function": want(
        "at datetime",
        MINUTES,
        "SELECT id, pad FROM {t} WHERE date(at) = '2024-01-03'",
        "function-on-column",
        more=("CREATE INDEX at ON {t} (at)",),
    ),
    "far_page": want("k int", "n", "SELECT id, pad FROM {t} ORDER BY id LIMIT 20 OFFSET 6000", "offset-pagination"),
}
COUNTED = "SELECT count(pad), avg(length(pad)) FROM {t} WHERE "
TRAPS = {
    "half": trap("g char(1)", "if(crc32(n) % 2, 'F', 'M')", COUNTED + "g = 'F'"),
    "a_third": trap("g int", "crc32(n) % 3", COUNTED + "g = 1"),
    "most_null": trap("gone datetime", "if(n % 20 = 0, now(), NULL)", COUNTED + "gone IS NULL"),
    "most_true": trap("ok tinyint(1)", "n % 20 > 0", COUNTED + "ok = 1"),
    "unlike": trap("s varchar(9)", "if(n % 20, 'old', 'new')", COUNTED + "s <> 'new'"),
    "lately": trap("at datetime", MINUTES, COUNTED + "at > '2024-01-02'"),
    "joined_whole": trap(
        *PARENT, "SELECT count(p.mail), avg(length(c.pad)) FROM parents p JOIN {t} c ON p.id = parent_id"
    ),
    "grouped": trap("k int", "n % 7", "SELECT k, count(*), avg(length(pad)) FROM {t} GROUP BY k"),
    "first_few": trap("k int", "n % 4", "SELECT pad FROM {t} WHERE k = 2 LIMIT 5"),
    "by_key": trap(
        "k int",
        "n % 50",
        "SELECT pad FROM {t} WHERE id BETWEEN 50 AND 90 AND k = 3",  # forty rows are read as it is
        "SELECT pad FROM {t} WHERE id IN (1, 7, 9)",
    ),
    "longer": trap(
        "a int, b int", "n * 7919 % 4000, n", "SELECT pad FROM {t} WHERE a = 7", more=("CREATE INDEX ab ON {t} (a, b)",)
    ),
    "begins": trap(
        "c varchar(60)",
        "concat('c', n)",
        "SELECT pad FROM {t} WHERE c = 'c7'",
        more=("CREATE INDEX c ON {t} (c(10))",),
    ),
    "by_rule": trap(
        "c varchar(60)",
        "concat('c', n)",
        "SELECT pad FROM {t} WHERE c = 'c7'",
        more=("CREATE UNIQUE INDEX c ON {t} (c)",),
    ),
    "words": trap(
        "c varchar(60)",
        "concat('word', n)",
        "SELECT pad FROM {t} WHERE MATCH (c) AGAINST ('word77')",
        more=("CREATE FULLTEXT INDEX c ON {t} (c)",),
    ),
    "backwards": trap(
        "k int", "n * 7919 % 8009", "SELECT pad FROM {t} ORDER BY k DESC LIMIT 5", more=("CREATE INDEX k ON {t} (k)",)
    ),
    "merged": trap(
        "a int, b int",
        "n * 7919 % 4000, n * 31 % 3999",
        "SELECT pad FROM {t} WHERE a = 5 OR b = 5",
        more=("CREATE INDEX a ON {t} (a)", "CREATE INDEX b ON {t} (b)"),
    ),
}
BOTH = ("x int NOT NULL, y int NOT NULL", "n % 3000 + 1, n % 90")
REFERS = "ALTER TABLE {t} ADD CONSTRAINT {n}_fk FOREIGN KEY (x) REFERENCES parents (id)"
TWINS = {
    "d_turned": trap(*BOTH, more=("CREATE INDEX a ON {t} (x, y)", "CREATE INDEX b ON {t} (y, x)")),
    "d_direction": trap(*BOTH, more=("CREATE INDEX a ON {t} (x, y)", "CREATE INDEX b ON {t} (x, y DESC)")),
    "d_words": trap(
        "c varchar(60)", "concat('c', n)", more=("CREATE FULLTEXT INDEX a ON {t} (c)", "CREATE INDEX b ON {t} (c)")
    ),
    "d_refers": trap(*BOTH, more=("CREATE INDEX a ON {t} (x)", REFERS)),
    "d_guarded": trap(*BOTH, more=("CREATE UNIQUE INDEX a ON {t} (id, x)", "CREATE INDEX b ON {t} (x)")),
    "d_both": Case(*BOTH, (), ("drop b",), ("CREATE INDEX a ON {t} (x)", "CREATE INDEX b ON {t} (x)", REFERS)),
    "d_longer": Case(*BOTH, (), ("hide a",), ("CREATE INDEX a ON {t} (x)", "CREATE INDEX b ON {t} (x, y)", REFERS)),
    "d_primary": Case(*BOTH, (), ("hide a",), ("CREATE INDEX a ON {t} (id)",)),
    "d_begins": Case(
        "c varchar(60)",
        "concat('c', n)",
        (),
        ("hide a",),
        ("CREATE INDEX a ON {t} (c(10))", "CREATE INDEX b ON {t} (c)"),
    ),
}
PARTS = groups(WANTED, 7) + groups(TRAPS, 6) + groups(TWINS, len(TWINS))


@pytest.mark.parametrize("part", PARTS, ids=first_case)
async def test_what_is_planted_is_found_and_nothing_else(watch: Watch, my: Schema, part: dict[str, Case]) -> None:
    my.execute(*KIN)
    for name, case in part.items():
        my.execute(
            f"CREATE TABLE `{name}` (id int PRIMARY KEY, {case.columns}, pad varchar(80) NOT NULL)",
            filled(f"`{name}`", ROWS, f"n, {case.values}, repeat('p', 60)"),
            *case.named(name, case.more, "`"),
            f"ANALYZE TABLE `{name}`",
        )
    shop = watch(my)
    await shop.work(*(text for name, case in part.items() for text in case.named(name, case.statements, "`")), times=6)
    found = (await shop.advice()).suggestions
    assert said(found, part) == {name: set(case.named(name, case.expected, "")) for name, case in part.items()}
    for one in found:
        if one.sql is not None and one.undo_sql is not None:
            whole = f"SHOW CREATE TABLE `{one.table}`"
            before = my.fetch(whole)
            my.execute(one.sql)
            assert my.fetch(whole) != before
            my.execute(one.undo_sql)
            assert my.fetch(whole) == before
