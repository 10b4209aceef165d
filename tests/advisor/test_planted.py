"""PostgreSQL: planted problems of many kinds and their doubles, each a table; suggestions are run and taken back."""

from __future__ import annotations

import pytest

from meshag_tui.proposed import FOLLOWED_BY
from tests.advisor.conftest import Watch
from tests.advisor.planted import Case, first_case, groups, said, trap, want
from tests.rig.postgres import Database

ROWS = 12_000
MINUTES = "timestamp '2024-01-01' + n * 7919 % 12000 * interval '1 min'"
KIN = """
CREATE TABLE parents (id int PRIMARY KEY, mail text NOT NULL UNIQUE);
INSERT INTO parents SELECT n, 'm' || n FROM generate_series(0, 2999) n;
"""
PARENT = ("parent_id int NOT NULL", "n * 7919 % 3000")
WANTED = {
    "a_varchar": want("c varchar(20)", "'c' || n * 7919 % 4000", "SELECT pad FROM {t} WHERE c = 'c7'", "(c)"),
    "a_char": want("c char(9)", "'c' || n * 7919 % 4000", "SELECT pad FROM {t} WHERE c = 'c7'", "(c)"),
    "a_uuid": want("u uuid", "md5(n::text)::uuid", "SELECT pad FROM {t} WHERE u = md5('7')::uuid", "(u)"),
    "a_list": want("g int", "n * 7919 % 4000", "SELECT pad FROM {t} WHERE g IN (1, 5, 9)", "(g)"),
    "an_array": want("g bigint", "n * 7919 % 4000", "SELECT pad FROM {t} WHERE g = ANY('{1,5}'::bigint[])", "(g)"),
    "a_numeric": want("x numeric", "n * 7919 % 4000", "SELECT pad FROM {t} WHERE x = 77", "(x)"),
    "an_address": want("ip inet", "'10.0.0.0'::inet + n % 4000", "SELECT pad FROM {t} WHERE ip = '10.0.0.7'", "(ip)"),
    "a_day": want("d date", "date '2000-01-01' + n * 7919 % 4000", "SELECT pad FROM {t} WHERE d = '2004-01-03'", "(d)"),
    "a_while": want(
        "at timestamp",
        MINUTES,
        "SELECT pad FROM {t} WHERE at BETWEEN '2024-01-05' AND '2024-01-05 00:20'",
        "(at)",
    ),
    "few_nulls": want(
        "done timestamp",
        "CASE WHEN n % 500 > 0 THEN now() END",
        "SELECT pad FROM {t} WHERE done IS NULL",
        "(done) WHERE done IS NULL",
    ),
    "few_false": want("ok bool", "n % 500 > 0", "SELECT pad FROM {t} WHERE NOT ok", "(ok) WHERE NOT ok"),
    "an_order": want(
        "a int, b int",
        "n * 7919 % 200, n * 31 % 12007",
        "SELECT pad FROM {t} WHERE a = 5 ORDER BY b DESC, id DESC LIMIT 10",
        "(a, b, id)",
    ),
    "nulls_last": want(
        "rank int",
        "CASE WHEN n % 3 > 0 THEN n * 7919 % 12007 END",
        "SELECT id, pad FROM {t} ORDER BY rank DESC NULLS LAST LIMIT 10",
        "(rank DESC NULLS LAST)",
    ),
    "nulls_first": want(
        "rank int",
        "CASE WHEN n % 3 > 0 THEN n * 7919 % 12007 END",
        "SELECT id, pad FROM {t} ORDER BY rank NULLS FIRST, id LIMIT 10",
        "(rank NULLS FIRST, id)",
        more=("CREATE INDEX {n}_plain ON {t} (rank)",),
    ),
    "other_order": want(
        "c text",
        "md5(n::text)",
        "SELECT id, pad FROM {t} ORDER BY c LIMIT 10",
        "(c)",
        more=("CREATE INDEX {n}_patterns ON {t} (c text_pattern_ops)",),
    ),
    "newest": want(
        "dev int, at timestamp",
        f"n * 7919 % 20, {MINUTES}",
        "SELECT max(at) FROM {t} WHERE dev = 5",
        "(dev, at)",
        more=("CREATE INDEX ON {t} (dev)",),
    ),
    "upper": want("c text", "'n' || n * 7919 % 4000", "SELECT pad FROM {t} WHERE upper(c) = 'N77'", "((upper(c)))"),
    "a_key": want(
        "d jsonb",
        "jsonb_build_object('sku', 's' || n)",
        "SELECT pad FROM {t} WHERE d ->> 'sku' = 's77'",
        "function-on-column",  # statistics keep no constants: which key it asks for is not known
    ),
    "has_key": want(
        "d jsonb",
        "jsonb_build_object('k' || n * 7919 % 3000, 1)",
        "SELECT pad FROM {t} WHERE d ? 'k77'",
        "gin (d)",
        more=("CREATE INDEX {n}_paths ON {t} USING gin (d jsonb_path_ops)",),  # does not answer it
    ),
    "numbers": want(
        "tags int[]", "ARRAY[n * 7919 % 3000, n % 2999]", "SELECT pad FROM {t} WHERE tags && ARRAY[7]", "gin (tags)"
    ),
    "in_numbers": want(
        "tags bigint[]", "ARRAY[n * 7919 % 3000]", "SELECT pad FROM {t} WHERE tags @> ARRAY[7::bigint]", "gin (tags)"
    ),
    "a_range": want(
        "r int4range",
        "int4range(n * 10, n * 10 + 5)",
        "SELECT pad FROM {t} WHERE r && int4range(700, 720)",
        "gist (r)",
    ),
    "children": want(
        *PARENT, "SELECT c.pad FROM parents p JOIN {t} c ON c.parent_id = p.id WHERE p.mail = 'm77'", "(parent_id)"
    ),
    "has_child": want(
        *PARENT,
        "SELECT mail FROM parents p WHERE id BETWEEN 5 AND 9 AND EXISTS (SELECT FROM {t} c WHERE c.parent_id = p.id)",
        "(parent_id)",
    ),
    "outer_child": want(
        *PARENT,
        "SELECT p.mail, c.pad FROM parents p LEFT JOIN {t} c ON c.parent_id = p.id WHERE p.mail = 'm78'",
        "(parent_id)",
    ),
    "changed": want(
        *PARENT, "UPDATE {t} u SET pad = 'x' FROM parents p WHERE p.id = u.parent_id AND p.mail = 'm6'", "(parent_id)"
    ),
    "chosen": want(
        *PARENT, "SELECT pad FROM {t} WHERE parent_id IN (SELECT id FROM parents WHERE mail = 'm5')", "(parent_id)"
    ),
    "removed": want("at timestamp", MINUTES, "DELETE FROM {t} WHERE at < timestamp '2023-01-01'", "(at)"),
    "Mixed Case": want('"order" int', "n * 7919 % 4000", 'SELECT pad FROM {t} WHERE "order" = 77', '("order")'),
    "user": want('"a""b" int', "n * 7919 % 4000", 'SELECT pad FROM {t} WHERE "a""b" = 77', '("a""b")'),
    "made": want(
        "a int",
        "n * 7919 % 4000",
        "SELECT pad FROM {t} WHERE b = 78",
        "(b)",
        more=("ALTER TABLE {t} ADD b int GENERATED ALWAYS AS (a * 2) STORED",),
    ),
    "collated": want(
        "c text",
        "md5(n::text)",
        "SELECT pad FROM {t} WHERE c = md5('7')",
        "(c)",
        more=('CREATE INDEX {n}_c ON {t} (c COLLATE "C")',),  # answers nothing that asks by the column's own collation
    ),
    "half_there": want(
        "x int, ok bool",
        "n * 7919 % 4000, n % 2 = 0",
        "SELECT pad FROM {t} WHERE x = 77",
        "(x)",
        more=("CREATE INDEX ON {t} (x) WHERE ok",),
    ),
    "hashed": want(
        "x int",
        "n * 7919 % 12007",
        "SELECT pad FROM {t} WHERE x BETWEEN 77 AND 90",
        "(x)",
        more=("CREATE INDEX ON {t} USING hash (x)",),
    ),
    "in_a_with": want(
        "g int",
        "n * 7919 % 4000",
        "WITH x AS MATERIALIZED (SELECT * FROM {t} WHERE g = 9) SELECT pad FROM x",
        "(g)",
    ),
    "two_halves": want(
        "a int, b int",
        "n * 7919 % 4000, n * 31 % 3999",
        "SELECT pad FROM {t} WHERE a = 9 UNION ALL SELECT pad FROM {t} WHERE b = 9",
        *("(a)", "(b)"),
    ),
}
HALF = "CASE WHEN hashint4(n) % 2 = 0 THEN 'F' ELSE 'M' END"
COUNTED = "SELECT count(pad) FROM {t} WHERE "
TRAPS = {
    "half": trap("g char(1)", HALF, COUNTED + "g = 'F'"),
    "a_third": trap("g int", "(hashint4(n) & 65535) % 3", COUNTED + "g = 1"),
    "most_null": trap("gone date", "CASE WHEN n % 20 = 0 THEN now() END", COUNTED + "gone IS NULL"),
    "most_not_null": trap("x int", "CASE WHEN n % 20 > 0 THEN n END", COUNTED + "x IS NOT NULL"),
    "unlike": trap("s text", "CASE WHEN n % 20 = 0 THEN 'new' ELSE 'old' END", COUNTED + "s <> 'new'"),
    "most_true": trap("ok bool", "n % 20 > 0", COUNTED + "ok"),
    "joined_whole": trap(*PARENT, "SELECT count(p.mail), count(c.pad) FROM parents p JOIN {t} c ON c.parent_id = p.id"),
    "sorted_whole": trap("x int", "n * 7919 % 4000", "SELECT * FROM {t} ORDER BY x"),
    "grouped": trap("x int", "n * 7919 % 50", "SELECT x, count(pad) FROM {t} GROUP BY x ORDER BY 2 DESC LIMIT 5"),
    "distinct_few": trap("k text", "'k' || n % 7", "SELECT DISTINCT k FROM {t}"),
    "first_few": trap(
        "k int", "n % 4", "SELECT pad FROM {t} WHERE k = 2 LIMIT 10", "SELECT EXISTS (SELECT FROM {t} WHERE k = 2)"
    ),
    "a_sample": trap("k int", "n % 4", "SELECT pad FROM {t} TABLESAMPLE SYSTEM (1) LIMIT 5"),
    "by_key": trap(
        "k int",
        "n % 50",
        "SELECT pad FROM {t} WHERE id BETWEEN 5 AND 9 AND k = 3",  # five rows are read as it is
        "SELECT pad FROM {t} ORDER BY id DESC LIMIT 4",
        "SELECT pad FROM {t} WHERE id IN (1, 7, 9)",
    ),
    "by_rule": trap(
        "a int, b int",
        "n * 7919 % 4000, n",
        "SELECT pad FROM {t} WHERE a = 77",
        "SELECT pad FROM {t} WHERE b = 7 AND a = 77",
        more=("ALTER TABLE {t} ADD UNIQUE (a, b)",),
    ),
    "partly": trap(
        "x int, ok bool",
        "n * 7919 % 4000, n % 2 = 0",
        "SELECT pad FROM {t} WHERE x = 77 AND ok",
        more=("CREATE INDEX ON {t} (x) WHERE ok",),
    ),
    "lowered": trap(
        "c text",
        "'n' || n",
        "SELECT pad FROM {t} WHERE lower(c) = 'n77'",
        more=("CREATE INDEX ON {t} (lower(c))",),
    ),
    "keyed": trap(
        "d jsonb",
        "jsonb_build_object('sku', 's' || n)",
        "SELECT pad FROM {t} WHERE d ->> 'sku' = 's77'",
        more=("CREATE INDEX ON {t} ((d ->> 'sku'))",),
    ),
    "contained": trap(  # a class of paths only would answer it no better
        "d jsonb",
        "jsonb_build_object('sku', 's' || n)",
        'SELECT pad FROM {t} WHERE d @> \'{"sku": "s77"}\'',
        more=("CREATE INDEX ON {t} USING gin (d)",),
    ),
    "overlaps": trap(
        "r int4range",
        "int4range(n * 10, n * 10 + 5)",
        "SELECT pad FROM {t} WHERE r && int4range(700, 720)",
        more=("CREATE INDEX ON {t} USING gist (r)",),
    ),
    "carried": trap(
        "a int, b int",
        "n * 7919 % 500, n",
        "SELECT b FROM {t} WHERE a = 77",
        more=("CREATE INDEX ON {t} (a) INCLUDE (b)",),
    ),
    "backwards": trap(
        "a int, b int",
        "n * 7919 % 500, n",
        "SELECT pad FROM {t} WHERE a = 77 ORDER BY b LIMIT 3",
        "SELECT pad FROM {t} WHERE a = 77 ORDER BY b DESC LIMIT 3",
        more=("CREATE INDEX ON {t} (a, b DESC)",),
    ),
    "nulls_there": trap(
        "rank int",
        "CASE WHEN n % 3 > 0 THEN n * 7919 % 12007 END",
        "SELECT id, pad FROM {t} ORDER BY rank DESC NULLS LAST LIMIT 10",
        "SELECT id, pad FROM {t} ORDER BY rank NULLS FIRST LIMIT 10",
        more=("CREATE INDEX ON {t} (rank NULLS FIRST)",),
    ),
    "ordered_c": trap(
        'c text COLLATE "C"',
        "md5(n::text)",
        "SELECT pad FROM {t} WHERE c = md5('7')",
        "SELECT pad FROM {t} ORDER BY c LIMIT 3",
        more=("CREATE INDEX ON {t} (c)",),
    ),
}
BOTH = ("x int, y int", "n, n % 90")
TWINS = {
    "d_opclass": trap(
        "x text", "'x' || n", more=("CREATE INDEX ON {t} (x); CREATE INDEX ON {t} (x text_pattern_ops)",)
    ),
    "d_collate": trap("x text", "'x' || n", more=('CREATE INDEX ON {t} (x); CREATE INDEX ON {t} (x COLLATE "C")',)),
    "d_partial": trap(*BOTH, more=("CREATE INDEX ON {t} (x); CREATE INDEX ON {t} (x) WHERE y > 5",)),
    "d_predicates": trap(*BOTH, more=("CREATE INDEX ON {t} (x) WHERE y > 6; CREATE INDEX ON {t} (x) WHERE y > 5",)),
    "d_method": trap(*BOTH, more=("CREATE INDEX ON {t} (x); CREATE INDEX ON {t} USING hash (x)",)),
    "d_direction": trap(*BOTH, more=("CREATE INDEX ON {t} (x, y); CREATE INDEX ON {t} (x, y DESC)",)),
    "d_nulls": trap(*BOTH, more=("CREATE INDEX ON {t} (x); CREATE INDEX ON {t} (x NULLS FIRST)",)),
    "d_turned": trap(*BOTH, more=("CREATE INDEX ON {t} (x, y); CREATE INDEX ON {t} (y, x)",)),
    "d_guarded": trap(*BOTH, more=("CREATE UNIQUE INDEX ON {t} (x); CREATE INDEX ON {t} (x, y)",)),
    "d_gin": trap(
        "x jsonb", "'{}'", more=("CREATE INDEX ON {t} USING gin (x); CREATE INDEX ON {t} USING gin (x jsonb_path_ops)",)
    ),
    "d_named": trap(
        *BOTH,
        more=(
            "CREATE UNIQUE INDEX {n}_u ON {t} (x); CREATE UNIQUE INDEX {n}_i ON {t} (x)",
            "ALTER TABLE {t} ALTER x SET NOT NULL; ALTER TABLE {t} REPLICA IDENTITY USING INDEX {n}_i",
        ),
    ),
    "d_unique": Case(*BOTH, (), ("drop {n}_2",), ("CREATE UNIQUE INDEX ON {t} (x); CREATE INDEX {n}_2 ON {t} (x)",)),
    "d_primary": Case(*BOTH, (), ("drop {n}_2",), ("CREATE INDEX {n}_2 ON {t} (id)",)),
    "d_ruled": Case(*BOTH, (), ("drop {n}_2",), ("ALTER TABLE {t} ADD UNIQUE (x, y); CREATE INDEX {n}_2 ON {t} (x)",)),
    "d_include": Case(
        *BOTH, (), ("drop {n}_2",), ("CREATE INDEX ON {t} (x) INCLUDE (y); CREATE INDEX {n}_2 ON {t} (x)",)
    ),
    "d_computed": Case(
        "x text",
        "'x' || n",
        (),
        ("drop {n}_2",),
        ("CREATE INDEX {n}_1 ON {t} (lower(x)); CREATE INDEX {n}_2 ON {t} (lower(x)); CREATE INDEX ON {t} (upper(x))",),
    ),
    "d_clustered": Case(
        *BOTH,
        (),
        ("drop {n}_1",),
        ("CREATE INDEX {n}_1 ON {t} (x); CREATE INDEX {n}_2 ON {t} (x); ALTER TABLE {t} CLUSTER ON {n}_2",),
    ),
}
PARTS = groups(WANTED, 6) + groups(TRAPS, 6) + groups(TWINS, len(TWINS))


def filled(name: str, case: Case) -> list[str]:
    """What makes the table of a case."""
    return [
        f'CREATE TABLE "{name}" (id int PRIMARY KEY, {case.columns}, pad text)',
        f"INSERT INTO \"{name}\" SELECT n, {case.values}, repeat('p', 60) FROM generate_series(1, {ROWS}) n",
        *case.named(name, case.more, '"'),
    ]


@pytest.mark.parametrize("part", PARTS, ids=first_case)
async def test_what_is_planted_is_found_and_nothing_else(watch: Watch, pg15: Database, part: dict[str, Case]) -> None:
    if not pg15.hypopg:
        pytest.skip("HypoPG is not on this machine (tests/run installs it)")
    pg15.execute("CREATE EXTENSION hypopg", KIN)
    for name, case in part.items():
        pg15.execute(*filled(name, case))
    pg15.execute("VACUUM ANALYZE", "VACUUM")
    shop = watch(pg15)
    await shop.work(*(text for name, case in part.items() for text in case.named(name, case.statements, '"')), times=6)
    found = (await shop.advice()).suggestions
    assert said(found, part) == {name: set(case.named(name, case.expected, "")) for name, case in part.items()}
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    before = pg15.fetch(indexes)
    for one in found:
        if one.sql is not None and one.undo_sql is not None:
            pg15.execute(one.sql)
            assert pg15.fetch(indexes) != before
            pg15.execute(*one.undo_sql.split(FOLLOWED_BY))
            assert pg15.fetch(indexes) == before
