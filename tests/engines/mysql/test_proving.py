"""Statements written otherwise: proven to mean the same on data that was altered to tell them apart, or not proven."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshag_tui.engines.base import Limits, Refused
from meshag_tui.engines.mysql.rewriting import written_otherwise
from meshag_tui.engines.mysql.sandbox.places import PREFIX
from meshag_tui.engines.mysql.sandbox.stage import Stage
from meshag_tui.engines.mysql.session import connect
from meshag_tui.engines.rehearsal import CopyLimits, Named
from meshag_tui.types import Target
from tests.rig.mysql import Schema, on_path

ALL = CopyLimits(1_000_000, 256 * 1024 * 1024, 60)
NUMBERS = "WITH RECURSIVE g AS (SELECT 1 n UNION ALL SELECT n + 1 FROM g WHERE n < {most}) SELECT "
ORIGINAL = "SELECT id, name FROM people WHERE city NOT IN (SELECT id FROM cities WHERE land = ?)"
JOINED = "SELECT p.id, c.land FROM people p JOIN cities c ON c.id = p.city WHERE (p.id < ? OR c.land = ?) AND p.id <> ?"
PAIRS = {
    "as it is": (ORIGINAL, ORIGINAL, None),
    "a NULL in what is asked for": (ORIGINAL, "not-in-subquery", "city may be NULL"),
    "no NULL on either side": (
        "SELECT id FROM people WHERE home NOT IN (SELECT id FROM cities WHERE land = ?)", "not-in-subquery", None
    ),
    "nothing that was asked for": (ORIGINAL, "SELECT 1, 'x' FROM people WHERE ? = 'y'", "number, name or type"),
    "other rows": (ORIGINAL, "SELECT id, name FROM people WHERE id > 0 OR ? = 'x'", "differ on the copied data"),
    "one row alone": ("SELECT name FROM people WHERE id = 3", "SELECT 'p3' AS name", "no row in people"),
    "rows twice": ("SELECT land FROM cities", "SELECT DISTINCT land FROM cities", "every row of cities twice"),
    "NULL compared": (
        "SELECT id FROM people WHERE name = name OR id < 0", "SELECT id FROM people", "NULL in people.name"
    ),
    "chance": ("SELECT id FROM cities", "SELECT id FROM cities WHERE RAND() >= 0", "rand() gives something else"),
    "a variable": ("SELECT id FROM cities", "SELECT id FROM cities WHERE @a IS NULL", "a variable may be"),
    "any order": (
        "SELECT GROUP_CONCAT(id) ids FROM cities", "SELECT GROUP_CONCAT(id) ids FROM cities", "in any order"
    ),
    "not grouped": (
        "SELECT land, MAX(people.id) most FROM people, cities GROUP BY land",
        "SELECT land, people.id most FROM people, cities GROUP BY land",
        "of a group any row",
    ),
    "another order": ("SELECT id FROM cities ORDER BY id", "SELECT id FROM cities", "not ordered by the same"),
    "a LIMIT": ("SELECT id FROM cities ORDER BY land LIMIT 1", "SELECT id FROM cities ORDER BY land LIMIT 1", "LIMIT"),
    "a lock": ("SELECT id FROM cities", "SELECT id FROM cities FOR UPDATE", "locks rows"),
    "one name twice": ("SELECT id, id FROM cities", "SELECT id, id FROM cities", "cannot be compared"),
    "another type": ("SELECT id FROM cities", "SELECT CAST(id AS CHAR) AS id FROM cities", "number, name or type"),
    "over a view": ("SELECT id FROM near", "SELECT id FROM near", "is no table"),
    "OR as UNION": (
        "SELECT id FROM people WHERE id = 4 OR city = 2",
        "SELECT id FROM people WHERE id = 4 UNION SELECT id FROM people WHERE city = 2",
        None,
    ),
    "OR as UNION ALL": (JOINED, "or-across-tables", None),
    "OR of NULLs as UNION ALL": (
        "SELECT name FROM people WHERE NOT city = ? AND id BETWEEN ? AND ? OR name = ? OR id > ?",
        "or-across-tables",
        None,
    ),
    "OR as UNION ALL of what both give": (
        "SELECT name FROM people WHERE city = 2 OR id < 100",
        "SELECT name FROM people WHERE city = 2 UNION ALL SELECT name FROM people WHERE id < 100",
        "differ on the copied data",
    ),
    "a day as a range": ("SELECT id FROM people WHERE DATE(born) = ? AND city > ?", "function-on-column", None),
    "a day that ends too early": (
        "SELECT id FROM people WHERE DATE(born) = '2024-01-05'",
        "SELECT id FROM people WHERE born >= '2024-01-05' AND born <= '2024-01-05 12:00'",
        "differ on the copied data",
    ),
    "a change": ("UPDATE people SET name = ? WHERE id = ?", "UPDATE people SET name = ? WHERE id = ?", "only queries"),
}  # fmt: skip


@pytest.fixture
def found_on_path(my: Schema, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", on_path(my.flavour, tmp_path))


def towns(my: Schema) -> None:
    my.execute(
        "CREATE TABLE cities (id int NOT NULL, land varchar(20), KEY (id))",
        "INSERT INTO cities " + NUMBERS.format(most=20) + "n, IF(n = 1, 'x', CONCAT('l', n)) FROM g",
        # No NULL in it: that one could be there is seen all the same.
        "CREATE TABLE people (id int PRIMARY KEY, name varchar(20), city int, home int NOT NULL, born datetime)",
        "INSERT INTO people " + NUMBERS.format(most=200) + "n, CONCAT('p', n), 1 + n % 20, 1 + n % 25, "
        "'2024-01-01' + INTERVAL n * 7 HOUR FROM g",
        "CREATE VIEW near AS SELECT id FROM cities WHERE id < 10",
        "ANALYZE TABLE cities, people",
        f"GRANT SHOW VIEW ON `{my.name}`.* TO '{my.name}_monitor'@'%'",
    )


@pytest.mark.usefixtures("found_on_path")
async def test_what_means_the_same_is_proven_and_nothing_else(my: Schema) -> None:
    towns(my)
    async with connect(Target.from_url(my.monitor_url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.copy_plan([one for one, _, _ in PAIRS.values()], ALL)
        async with session.rehearse(plan, lambda _: None) as stage:
            assert isinstance(stage, Stage)
            wrong = {}
            for name, (one, other, doubt) in PAIRS.items():
                mine = await stage.ready(one, 5, 1)
                by_rule = session.rewritten(other, one)
                proof = await stage.compare(mine, await stage.rewritten(mine, by_rule or other))
                if proof.proven != (doubt is None) or (doubt or "") not in "; ".join(proof.doubts):
                    wrong[name] = proof
                assert doubt is not None or proof.trials >= 3, name
            assert not wrong, wrong
            count = "SELECT COUNT(*), COUNT(city), COUNT(name) FROM people"
            assert await stage.session.fetch(count) == my.fetch(count) == [(200, 200, 200)], "all is rolled back"
            mine = await stage.ready(ORIGINAL, 5, 1)
            assert len(mine.sets) > 1
            for other in ("SELECT id, name FROM people", "SELECT id FROM people WHERE id = ? AND city = ?"):
                with pytest.raises(Refused, match="parameters"):
                    await stage.rewritten(mine, other)


@pytest.mark.usefixtures("found_on_path")
async def test_answers_tell_multisets_apart(my: Schema) -> None:
    rows = "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, NULL), (2, 'NULL')"
    my.execute("CREATE TABLE t (a int, b varchar(9))", rows)
    both = "SELECT a, b FROM t"
    texts = (both, f"{both} ORDER BY b DESC", "SELECT DISTINCT a, b FROM t", "SELECT a FROM t")
    async with connect(Target.from_url(my.monitor_url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.copy_plan(texts, ALL)
        async with session.rehearse(plan, lambda _: None) as stage:
            answers = [await stage.answer(await stage.ready(text, 1, 1), ()) for text in texts]
    assert answers[0] == answers[1] and len({one.digest for one in answers}) == 3
    assert [one.rows for one in answers] == [4, 4, 3, 4]


@pytest.mark.usefixtures("found_on_path")
async def test_it_is_proven_on_a_server_that_was_named_and_nothing_is_left_there(
    my: Schema, private_my: Callable[..., Schema]
) -> None:
    towns(my)
    other = private_my(my.flavour)
    pattern = PREFIX.replace("_", "\\_") + "%"
    named = Named(Target.from_url(other.user(f"ALL ON `{pattern}`.*", name="sandboxes")))
    text = f"SELECT id FROM {my.name}.people WHERE home NOT IN (SELECT id FROM {my.name}.cities WHERE land = ?)"
    async with connect(Target.from_url(my.monitor_url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.copy_plan((text,), ALL, named)
        wanted = session.rewritten("not-in-subquery", text)
        assert wanted is not None and "NOT EXISTS" in wanted
        async with session.rehearse(plan, lambda _: None, named) as stage:
            mine = await stage.ready(text, 5, 1)
            proof = await stage.compare(mine, await stage.rewritten(mine, wanted))
            assert proof.proven and proof.sets == len(mine.sets) > 1 and proof.trials >= 3, proof.doubts
            spoiled = await stage.compare(mine, await stage.rewritten(mine, wanted.replace("NOT EXISTS", "EXISTS")))
            assert "their rows differ on the copied data" in spoiled.doubts
    left = f"SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{pattern}'"
    assert other.fetch(left) == [(0,)]


def test_what_is_no_plain_form_is_left_as_it_is() -> None:
    digest = (
        "SELECT `id` FROM `people` WHERE `city` NOT IN ( SELECT `id` FROM `cities` WHERE `land` IN (...) ) AND `a` = ?"
    )
    same = (
        "SELECT `id` FROM `people` WHERE NOT EXISTS (SELECT 1 FROM `cities` WHERE (`land` IN (?)) "
        "AND `cities`.`id` = `people`.`city`) AND `a` = ?"
    )
    assert written_otherwise("not-in-subquery", digest) == same
    three = (
        "SELECT 1 FROM a WHERE x NOT IN (SELECT b.x FROM b) AND (y NOT IN (SELECT c.y FROM c)) "
        "AND z NOT IN (SELECT d.z FROM d WHERE q = ?)"
    )
    found = written_otherwise("not-in-subquery", three) or ""
    for pair in ("`b`.`x` = `a`.`x`", "`c`.`y` = `a`.`y`", "`d`.`z` = `a`.`z`"):
        assert pair in found
    assert written_otherwise("or-across-tables", "SELECT a FROM t WHERE b = ? OR c = ?") == (
        "SELECT a FROM t WHERE (b = ? /* 1 */) UNION ALL SELECT a FROM t WHERE (c = ? /* 2 */) "
        "AND ((b = ? /* 1 */) IS NOT TRUE)"
    )
    day = "SELECT a FROM t WHERE b BETWEEN ? AND ? AND '2024-01-05' = CAST(t.at AS DATE) ORDER BY a LIMIT 3"
    assert written_otherwise("function-on-column", day) == (
        "SELECT a FROM t WHERE b BETWEEN ? AND ? AND (t.at >= DATE('2024-01-05') "
        "AND t.at < DATE('2024-01-05') + INTERVAL 1 DAY AND DATE('2024-01-05') = '2024-01-05') ORDER BY a LIMIT 3"
    )
    assert written_otherwise("offset-pagination", "SELECT `id` FROM `t` ORDER BY `id` LIMIT ?, ...") == (
        "SELECT `id` FROM `t` WHERE `id` > ? /* 3 */ ORDER BY `id` LIMIT ? /* 2 */"
    )
    page = "SELECT id FROM t WHERE a = ? OR b = ? ORDER BY at DESC, t.id DESC LIMIT ? OFFSET ?"
    assert written_otherwise("offset-pagination", page) == (
        "SELECT id FROM t WHERE (a = ? /* 1 */ OR b = ? /* 2 */) AND at <= ? /* 4 */ "
        "AND (at < ? /* 4 */ OR (at = ? /* 4 */ AND t.id < ? /* 5 */)) ORDER BY at DESC, t.id DESC LIMIT ? /* 3 */"
    )
    for rule, text in (
        ("not-in-subquery", "SELECT id FROM people WHERE city NOT IN (SELECT id FROM people)"),
        ("not-in-subquery", "SELECT id FROM people WHERE city NOT IN (SELECT id FROM cities) OR id = 3"),
        ("not-in-subquery", "SELECT id FROM people WHERE city NOT IN (SELECT MAX(id) FROM cities)"),
        ("not-in-subquery", "SELECT id FROM people WHERE city NOT IN (SELECT id FROM cities LIMIT 3)"),
        ("not-in-subquery", "SELECT id FROM people WHERE city + 1 NOT IN (SELECT id FROM cities)"),
        ("not-in-subquery", "SELECT id FROM people JOIN x USING (id) WHERE city NOT IN (SELECT id FROM cities)"),
        ("not-in-subquery", "DELETE FROM people WHERE city NOT IN (SELECT id FROM cities)"),
        ("or-across-tables", "SELECT COUNT(*) FROM t WHERE a = 1 OR b = 2"),
        ("or-across-tables", "SELECT DISTINCT a FROM t WHERE a = 1 OR b = 2"),
        ("or-across-tables", "SELECT a FROM t WHERE a = 1 OR b = 2 LIMIT 3"),
        ("or-across-tables", "SELECT a FROM t WHERE a = 1 OR b = 2 FOR UPDATE"),
        ("or-across-tables", "SELECT a FROM t WHERE a = 1 XOR b = 2 OR c = 3"),
        ("or-across-tables", "SELECT a FROM t WHERE CASE WHEN a = 1 OR b = 2 THEN 1 END"),
        ("function-on-column", "SELECT a FROM t WHERE DATE(at) = ? OR a = 1"),
        ("function-on-column", "SELECT a FROM t WHERE NOT DATE(at) = ?"),
        ("function-on-column", "SELECT a FROM t WHERE DATE(at) > ?"),
        ("function-on-column", "SELECT a FROM t WHERE DATE(at) = b"),
        ("function-on-column", "SELECT DATE(at) = ? FROM t"),
        ("function-on-column", "UPDATE t SET a = 1 WHERE DATE(at) = ?"),
        ("offset-pagination", "SELECT id FROM t ORDER BY at DESC, id LIMIT 10 OFFSET 20"),
        ("offset-pagination", "SELECT id FROM t ORDER BY LOWER(a) LIMIT 10 OFFSET 20"),
        ("offset-pagination", "SELECT a, COUNT(*) FROM t GROUP BY a ORDER BY a LIMIT 10 OFFSET 20"),
        ("offset-pagination", "SELECT id FROM t ORDER BY id LIMIT 10"),
        ("offset-pagination", "SELECT id FROM t LIMIT 10 OFFSET 20"),
        ("select-star", "SELECT * FROM t"),
        ("or-across-tables", "no statement ("),
    ):
        assert written_otherwise(rule, text) is None, text
