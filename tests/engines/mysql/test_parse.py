"""Texts and digests as servers keep them and as nobody should write them: read, identified, and cleaned of data."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meshag_tui.engines import engine_for
from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import lexer, parse
from meshag_tui.types import DbType
from tests.rig.mysql import Schema

SAME = [
    ("select * from t where a in (1)", "SELECT *\n FROM t WHERE a IN (1, 2, 3) # why"),
    ("select * from t where a in (4,5)", "SELECT * FROM `t` WHERE `a` IN (...)"),
    ("select * from t where a = 'x'", "/* controller='orders' */ select * from t where a = -0x1F -- y"),
    ("insert into t values (1)", "insert into t values (2),(3)"),
    ("insert into t values (1, 2)", "INSERT INTO `t` VALUES (...) /* , ... */"),
    ("select * from t limit 10, 5", "SELECT * FROM `t` LIMIT ?, ..."),
    ("select 'a--b' from t", 'select "c" from t'),
    ("select status from t where status is null", "SELECT STATUS FROM `t` WHERE STATUS IS NULL"),
    (
        "select a from t where b > now() - interval 3 day",
        "SELECT `a` FROM `t` WHERE `b` > NOW ( ) - INTERVAL ? SQL_TSI_DAY",
    ),
    ("select a from t where b <> null", "SELECT `a` FROM `t` WHERE `b` != ?"),
    ("select _utf8mb4'x', 'a' 'b', @u", "SELECT (_charset) ?, ... ? , @?"),
]
DIFFERENT = [
    ("select * from users", "select * from orders"),
    ("select * from `Users`", "select * from `users`"),
    ("select * from a.orders", "select * from b.orders"),
    ("select 1 from t20260101", "select 1 from t20260102"),
    ("select * from t where a = 1", "select * from t where b = 1"),
    ("select * from t where a is null", "select * from t where a is not null"),
    ("select 1 - 1", "select 1 + 1"),
    ("delete from t", "select * from t"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_differ_only_in_data_are_one_statement(one: str, other: str) -> None:
    assert parse.fingerprint(one) == parse.fingerprint(other) is not None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_identifiers_are_part_of_the_identity(one: str, other: str) -> None:
    assert parse.fingerprint(one) != parse.fingerprint(other)


STATEMENTS = [
    "SELECT * FROM orders WHERE id IN (1,2,3) AND status = 'a' LIMIT 5",
    "SELECT * FROM orders WHERE id IN (1) ORDER BY 1, total LIMIT 10 OFFSET 20",
    "SELECT substring(name, 1, 3), concat('a', name, 'b', 'c'), if(id > 5, 'x', 'y') FROM customers "
    "WHERE left(name, 3) = 'abc'",
    "SELECT * FROM orders WHERE created_at > now() - interval 3 day AND created_at < date '2024-02-01' "
    "AND total BETWEEN 1 AND -5.5e3",
    "SELECT * FROM orders WHERE (customer_id, status) IN ((1,'a'),(2,'b'))",
    "SELECT * FROM orders WHERE (customer_id, id) > (1, 2) AND status IS NULL AND status <=> NULL",
    "SELECT /* hi */ * FROM orders USE INDEX (PRIMARY) WHERE status = 'a' or total = -1 -- x",
    "SELECT case when id = 3 then 'a' else 'b' end FROM orders o WHERE o.status NOT LIKE 'a%' AND NOT (id <> 3)",
    "WITH c (a, b) AS (SELECT id, total FROM orders WHERE status = 'x') SELECT a FROM c WHERE b > 5",
    "UPDATE orders o JOIN customers c ON c.id = o.customer_id SET o.total = o.total + 1 WHERE c.name = 'z'",
    "DELETE o FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.id = -3",
    "DELETE FROM o USING orders o JOIN customers c WHERE c.id = -3 AND o.id = -4",
    "INSERT INTO customers (id, name) VALUES (1, 'a'), (3, 'b') ON DUPLICATE KEY UPDATE name = 'c'",
    "INSERT INTO customers (id, name) SELECT id, 'x' FROM orders WHERE total = -9",
    "(SELECT id FROM orders LIMIT 1) UNION (SELECT id FROM customers LIMIT 2) ORDER BY id LIMIT 3",
    "SELECT extract(year from created_at), trim(both 'x' from status) FROM orders WHERE date(created_at) = '2024-1-2'",
]
TABLES = [
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, status varchar(20), total decimal(10,2), "
    "created_at datetime)",
    "CREATE TABLE customers (id int PRIMARY KEY, name varchar(80))",
]


def test_a_text_and_the_digest_that_its_server_makes_of_it_are_one_statement(my: Schema) -> None:
    my.execute(*TABLES, *STATEMENTS)
    digests = [
        str(row[0]).strip()
        for row in my.fetch(
            "SELECT DIGEST_TEXT FROM performance_schema.events_statements_summary_by_digest "
            "WHERE SCHEMA_NAME = %s AND DIGEST_TEXT NOT LIKE 'CREATE%%'",
            (my.name,),
        )
    ]
    assert {parse.fingerprint(text) for text in digests} >= {parse.fingerprint(text) for text in STATEMENTS}
    for text in digests:
        assert parse.normalise(text) == text.replace("SQL_TSI_", "")
    for text in STATEMENTS:
        same = next(one for one in digests if parse.fingerprint(one) == parse.fingerprint(text))
        assert [one.name.lower() for one in parse.relations(text)] == [
            one.name.lower() for one in parse.relations(same)
        ]
        assert parse.statement_kind(text) == parse.statement_kind(same)


def test_a_string_that_looks_like_a_comment_stays_a_string() -> None:
    assert parse.normalise("select 'a--b', \"#x\", c /* d */ from t -- e") == "select ?, ?, c   from t"
    assert parse.normalise("select 5--1, `a#b` from t") == "select ?--?, `a#b` from t"


@pytest.mark.parametrize(
    "text",
    [
        "CREATE USER x@'%' IDENTIFIED BY 'canary'",
        "CREATE USER x IDENTIFIED WITH mysql_native_password AS 'canary'",
        'ALTER USER x IDENTIFIED BY "canary"',
        "SET PASSWORD FOR x = PASSWORD('canary')",
        "SET PASSWORD = 'canary'",
        "GRANT ALL ON *.* TO x IDENTIFIED BY 'canary'",
        "CHANGE MASTER TO MASTER_HOST='h', MASTER_PASSWORD='canary'",
        "CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD='canary'",
        "START REPLICA USER='u' PASSWORD='canary'",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 'canary')",
        "create user x identified by canary",
        "set password = canary",
        "create user x identified by 'can\\'ary', 'canary'",
        "INSERT INTO t VALUES (AES_ENCRYPT('canary', 'canary'))",
        "SET @secret = 'canary'",
        "CALL login('canary')",
        "LOAD DATA INFILE 'canary' INTO TABLE t",
        "select 1 /* canary */ -- canary",
        "select 1 # it's canary",
        "select 1 /*!50000 'canary' */",
        "select N'canary', _utf8mb4'canary', x'ca', 'it''s canary', \"a\"\"canary\", 'a\\\\', 'canary'",
        "select 'canary",  # cut
        'select "canary',
        "select * from t where name = 'o\\'canary' \x00 and 'canary'",
        "canary gibberish",
        "select /*+ SET_VAR(x='canary') */ 1",
    ],
)
def test_no_literal_survives_normalising(text: str) -> None:
    assert "canary" not in parse.normalise(text)
    assert "canary" not in parse.describe(text).text


@pytest.mark.parametrize("text", ["", "  ", ";", "-- only", "gibberish here", "/* only", "\x00"])
def test_what_cannot_be_read_says_so(text: str) -> None:
    assert parse.normalise(text) == parse.UNPARSABLE
    assert parse.fingerprint(text) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("select 1", "select"),
        ("(select 1) union select 2", "select"),
        ("with x as (select 1) select * from x", "select"),
        ("with x as (select 1) delete from t where a in (select * from x)", "delete"),
        ("values row(1)", "select"),
        ("table t", "select"),
        ("insert into t select 1", "insert"),
        ("replace into t values (1)", "insert"),
        ("update t set a=1", "update"),
        ("delete from t", "delete"),
        ("optimize table t", "utility"),
        ("call p()", "utility"),
        ("select 'cut", "select"),
        ("", "other"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert parse.statement_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "aside"),
    [
        ("SELECT * FROM `information_schema` . `TABLES`", "catalogue"),
        ("select * from performance_schema.threads t join mysql.user u", "catalogue"),
        ("SELECT @@`version_comment` LIMIT ?", "catalogue"),
        ("select database()", "catalogue"),
        ("SELECT `UNIX_TIMESTAMP` ( )", "catalogue"),  # what we ask before a change, in the schema that it is of
        ("SELECT UNIX_TIMESTAMP(a) FROM t", None),
        ("select * from orders /* meshag */", "own"),
        ("select * from orders", None),
        ("select * from mysql.user, orders", None),
        ("select charge(1)", None),
        ("select sleep(1)", None),
        ("select 1", None),
        ("insert into t select * from mysql.user", None),
        ("set x = 1", "utility"),
        ("EXPLAIN FORMAT = JSON SELECT ?", "utility"),
        ("create table t as select * from orders", None),
        ("load data infile 'x' into table t", None),
        ("call work()", None),
    ],
)
def test_what_is_set_aside(text: str, aside: str | None) -> None:
    assert parse.set_aside(text) == aside
    assert parse.describe(text).aside == aside


RELATIONS = [
    ("select * from a.t x, `B b` join c on c.id = x.id where exists (select 1 from d)", ["a.t", "B b", "c", "d"]),
    ("with w (n) as (select 1 from t) select * from w join u", ["t", "u"]),
    ("select extract(year from a), trim(both 'x' from b), substring(c from 2) from t", ["t"]),
    ("select * from (t1 join (t2, t3)) left join (select * from t4) d using (id)", ["t1", "t2", "t3", "t4"]),
    ("update s.t join u on u.a = t.a set t.b = (select max(b) from v)", ["s.t", "u", "v"]),
    ("delete from x using t x join u", ["t", "u"]),
    ("insert into t (a, b) select a, b from u on duplicate key update a = 1", ["t", "u"]),
    ("select 1 from dual", []),
    ("select * from t for update", ["t"]),
]


@pytest.mark.parametrize(("text", "names"), RELATIONS)
def test_relations_are_named_once_and_own_with_queries_are_not(text: str, names: list[str]) -> None:
    found = parse.relations(text)
    assert [f"{one.schema}.{one.name}" if one.schema else one.name for one in found] == names


MONSTERS = {
    "one line of a megabyte": "select * from t where a = '" + "x" * 1_000_000 + "'",
    "a list of a megabyte": "select * from t where a in (" + ",".join(map(str, range(150_000))) + ")",
    "200,000 ors": "select * from t where " + " or ".join(f"a={i}" for i in range(200_000)),
    "5,000 parentheses": "select " + "(" * 5_000 + "1" + ")" * 5_000,
    "5,000 calls": "select " + "abs(" * 5_000 + "1" + ")" * 5_000,
    "5,000 sums": "select " + "1+" * 5_000 + "1",
    "200,000 sums": "select " + "1+" * 200_000 + "1",
    "5,000 signs": "select " + "- " * 5_000 + "1",
    "5,000 NOTs": "select " + "not " * 5_000 + "1",
    "1,500 cases": "select " + "case when 1 then " * 1_500 + "1" + " end" * 1_500,
    "100,000 unions": " union all ".join(["select 1"] * 100_000),
    "1,000 sub-queries": "select * from " + "(select * from " * 1_000 + "t" + ") x" * 1_000,
    "unclosed comment": "select 1 " + "/*" * 100_000,
    "unclosed quote": "select '" * 40_000,
    "backslashes": "select '" + "\\" * 200_001,
    "joins": "select * from t " + "join t " * 3_000,
}


@pytest.mark.parametrize("name", MONSTERS)
def test_monsters_neither_crash_nor_block(name: str) -> None:
    """Each in a process of its own, on a small stack: what is feared is the end of the process."""
    code = (
        "import sys, threading\n"
        "from meshag_tui.engines.base import Refused\n"
        "from meshag_tui.engines.mysql import parse, explainable\n"
        "parse.describe('select 1'); explainable.checked('select 1 from t')\n"
        "text = sys.stdin.read()\n"
        "threading.stack_size(512 * 1024)\n"
        "def work():\n"
        "    print(len(parse.describe(text).text), end=' ')\n"
        "    try: explainable.checked(text)\n"
        "    except Refused as error: print(error, end=' ')\n"
        "    print('done')\n"
        "t = threading.Thread(target=work); t.start(); t.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=MONSTERS[name], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stderr[-500:]
    assert int(done.stdout.split()[0]) <= parse.MAX_CHARACTERS


def test_importing_the_module_does_not_load_the_parser() -> None:
    code = (
        "import sys, meshag_tui.engines.mysql.parse, meshag_tui.engines.mysql.session; print('sqlglot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    "text",
    [
        "select 'a' 'it''s\\'' -- c\n, `q``q`, \"x\", 1.5e3, ?, @u, @@a.b /*! n */ from é.t",
        "'",
        "`",
        "/*",
        '"\\',
        "\x00",
    ],
)
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(token.text for token in lexer.tokens(text)) == text


def test_the_engine_normalises_and_identifies() -> None:
    engine = engine_for(DbType.MYSQL)
    assert engine.normalise("SELECT 'x' FROM t") == "SELECT ? FROM t"
    assert engine.fingerprint("SELECT 'x' FROM t") == engine.fingerprint("SELECT ? FROM `t`")


def test_a_tree_is_of_one_statement() -> None:
    with pytest.raises(Refused):
        parse.tree("select 1; select 2")
    with pytest.raises(Refused):
        parse.tree("select from where")


def test_joins_without_on_are_not_looked_through_for_ever() -> None:
    def joined(number: int, by: str = "JOIN") -> str:
        return "SELECT 1 FROM t c0" + "".join(f" {by} t c{n}" for n in range(1, number + 1))

    with pytest.raises(Refused, match="joins without ON"):
        parse.tree(joined(30))
    assert parse.tree(joined(12)).key == "select"
    assert parse.tree(joined(40, "CROSS JOIN")).key == "select"
    assert parse.tree("SELECT 1 FROM t c0" + "".join(f" JOIN t c{n} ON c{n}.a = c0.a" for n in range(1, 40)))
