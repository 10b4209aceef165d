"""Digests as a person writes them: blanks and quotes only where they must be, and the same statement to everybody."""

from __future__ import annotations

import pymysql
import pytest

from meshag_tui.engines.mysql.keywords import KEYWORDS, RESERVED
from meshag_tui.engines.mysql.lexer import words
from meshag_tui.engines.mysql.parse import describe, relations
from meshag_tui.engines.mysql.written import as_written
from tests.engines.mysql.conftest import Open
from tests.engines.mysql.test_explain import TEXTS
from tests.rig.mysql import Schema

WRITTEN = [
    ("SELECT `c` . `name` , `c` . * FROM `customers` `c`", "SELECT c.name, c.* FROM customers c"),
    ("SELECT COUNT ( * ) , `SLEEP` (?) , NOW ( ) FROM DUAL", "SELECT COUNT(*), SLEEP(?), NOW() FROM DUAL"),
    ("SELECT `a` FROM `t` WHERE ( `a` , `b` ) IN ( (...) )", "SELECT a FROM t WHERE (a, b) IN ((...))"),
    ("SELECT ? FROM `t` LIMIT ?, ... ", "SELECT ? FROM t LIMIT ?, ..."),
    ("INSERT INTO `t` ( `a` , `b` ) VALUES (...) /* , ... */", "INSERT INTO t (a, b) VALUES (...) /* , ... */"),
    (
        "INSERT INTO `s` . `t` ( `a` ) VALUES (?) ON DUPLICATE KEY UPDATE `a` = VALUES ( `a` ) + ?",
        "INSERT INTO s.t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a) + ?",
    ),
    (
        "WITH RECURSIVE `n` ( `k` ) AS ( SELECT ? UNION ALL SELECT `k` + ? FROM `n` ) SELECT `k` FROM `n`",
        "WITH RECURSIVE n (k) AS (SELECT ? UNION ALL SELECT k + ? FROM n) SELECT k FROM n",
    ),
    ("SELECT COUNT ( DISTINCTROW `a` ) FROM `t`", "SELECT COUNT(DISTINCT a) FROM t"),
    ("CREATE INDEX `i` ON `t` ( `a` )", "CREATE INDEX i ON t (a)"),
    # Without their quotes these would be something else.
    ("SELECT `order` , `a b` , `x``y` , `1e5` FROM `select`", "SELECT `order`, `a b`, `x``y`, `1e5` FROM `select`"),
    ("SELECT `count` ( `a` ) , `count` FROM `t`", "SELECT `count`(a), count FROM t"),
    ("SELECT `a` -- what a digest never has\n FROM `t`", "SELECT `a` -- what a digest never has\n FROM `t`"),
    ("SELECT /*+ MRR ( `t` ) */ `a` FROM `t`", "SELECT /*+ MRR ( `t` ) */ a FROM t"),
    ("SELECT `a` FROM `cut", "SELECT `a` FROM `cut"),
]


@pytest.mark.parametrize(("digest", "written"), WRITTEN)
def test_a_digest_reads_as_a_person_writes_it(digest: str, written: str) -> None:
    assert as_written(digest) == written
    assert as_written(written) == written


@pytest.mark.parametrize("digest", [*(digest for digest, _ in WRITTEN), *(digest for digest, _ in TEXTS)])
def test_it_is_the_same_statement(digest: str) -> None:
    written = as_written(digest)
    same = [("DISTINCT" if one.text == "DISTINCTROW" else one.name or one.text) for one in words(digest)]
    assert [one.name or one.text for one in words(written)] == same
    before, after = describe(digest), describe(written)
    assert (after.fingerprint, after.kind, after.aside) == (before.fingerprint, before.kind, before.aside)
    assert [(each.schema, each.name) for each in relations(written)] == [
        (each.schema, each.name) for each in relations(digest)
    ]


def test_a_word_that_is_not_reserved_may_stand_without_quotes(my: Schema) -> None:
    with my.connect() as connection, connection.cursor() as cursor:
        for word in sorted(KEYWORDS - RESERVED):
            cursor.execute(f"EXPLAIN SELECT {word}, x.{word} FROM (SELECT 1 AS `{word}`) x WHERE {word} = 1")
            cursor.execute(f"EXPLAIN SELECT * FROM (SELECT 1 AS a) {word} JOIN (SELECT 1 b) x ON {word}.a = x.b")
            try:
                cursor.execute(f"EXPLAIN UPDATE {word} SET {word} = 1 WHERE {word}.{word} IN (2)")
            except pymysql.err.ProgrammingError as error:
                assert error.args[0] == 1146, f"{word}: {error}"  # there is no such table


async def test_what_is_read_of_a_server_is_written_so(my: Schema, open_session: Open) -> None:
    my.execute(
        "CREATE TABLE customers (id int PRIMARY KEY, name varchar(20), `group` int)",
        "SELECT c.name, COUNT(*) FROM customers c WHERE c.id IN (1, 2) AND c.`group` > 3 GROUP BY c.name",
    )
    session = await open_session(my.monitor_url)
    texts = {text.text: text for text in await session.texts(None)}
    shown = "SELECT c.name, COUNT(*) FROM customers c WHERE c.id IN (...) AND c.`group` > ? GROUP BY c.name"
    assert shown in texts, sorted(text or "" for text in texts)
    typed = "SELECT c.name, count(*) FROM customers c WHERE c.id IN (7) AND c.`group` > 0 GROUP BY c.name"
    assert texts[shown].fingerprint == describe(typed).fingerprint
