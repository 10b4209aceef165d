"""Texts as a server keeps them and as nobody should write them: read, identified, and cleaned of data."""

from __future__ import annotations

import subprocess
import sys

import pytest

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres import lexer, parse

SAME = [
    ("select * from t where a in (1)", "SELECT *\n FROM t WHERE a IN (1, 2, 3) -- why"),
    ("select * from t where a in ($1 /*, ... */)", "select * from t where a in (4,5)"),
    ("select * from t where a = 'x'", "/* controller='orders' */ select * from t where a = $1"),
    ("insert into t values (1)", "insert into t values (2),(3)"),
    ("select * from t limit 10", "select * from t limit $1"),
    ("select * from t where a > interval '1 day'", "select * from t where a > interval $1"),
    ("select 'a--b' from t", "select 'c' from t"),
]
DIFFERENT = [
    ('select * from "users"', "select * from orders"),
    ("select * from a.orders", "select * from b.orders"),
    ("select 1 from t20260101", "select 1 from t20260102"),
    ("select * from t where a = 1", "select * from t where b = 1"),
    ('select "A" from t', "select a from t"),
    ("delete from t", "select * from t"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_differ_only_in_data_are_one_statement(one: str, other: str) -> None:
    assert parse.fingerprint(one) == parse.fingerprint(other) is not None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_identifiers_are_part_of_the_identity(one: str, other: str) -> None:
    assert parse.fingerprint(one) != parse.fingerprint(other)


def test_a_string_that_looks_like_a_comment_stays_a_string() -> None:
    assert parse.normalise("select 'a--b', c /* d */ from t -- e") == "select $1, c   from t"


@pytest.mark.parametrize(
    "text",
    [
        "create role x password 'canary'",
        "CREATE USER x WITH ENCRYPTED PASSWORD E'can\\'ary'",
        "alter role x password $$canary$$",
        "create subscription s connection 'host=h password=canary' publication p",
        "create user mapping for x server s options (user 'u', password 'canary')",
        "create server s foreign data wrapper w options (password 'canary')",
        "set app.jwt = canary",
        "set session app.jwt to 'canary'",
        "alter system set primary_conninfo = 'password=canary'",
        "copy t from program 'curl -u canary'",
        "prepare p as select 'canary'",
        "execute p('canary')",
        "create table t (a text default 'canary')",
        "comment on table t is 'canary'",
        "do $$ begin perform 'canary'; end $$",
        "do $body$ 'canary' $x$ canary $body$",
        "select 1 /* canary */ -- canary",
        "select 1 -- it's canary",
        "select /* /* ' */ canary */ 1",
        "select U&'canary', N'canary', E'\\\\', 'it''s canary'",
        "select 'canary",  # cut
        "select $x$ canary",
        "select * from t where a = 'x' and b ~ 'canary' or or",  # not PostgreSQL
        "create role x password canary",
        "select 'it\\'s', canary' from from",
        "select * from t where name = 'o''canary' \x00 and 'canary'",
    ],
)
def test_no_literal_survives_normalising(text: str) -> None:
    assert "canary" not in parse.normalise(text)
    assert "canary" not in parse.describe(text).text


def test_normalising_keeps_what_the_server_normalised() -> None:
    text = "select a, count(*) from t where b = $1 and c > interval $2 group by 1 order by 2 desc limit $3"
    assert parse.normalise(text) == text
    assert parse.normalise("select $2, 'x' from t") == "select $2, $3 from t"
    assert parse.normalise("/*+ SeqScan(t) */ select $1") == "/*+ SeqScan(t) */ select $1"


@pytest.mark.parametrize("text", ["", "  ", ";", "-- only", "gibberish here", "create role x password oops"])
def test_what_cannot_be_read_says_so(text: str) -> None:
    if text.strip() and not text.startswith(("-", ";")):
        assert parse.normalise(text) == parse.UNPARSABLE
    with pytest.raises(Refused):
        parse.parse_one(text)


@pytest.mark.parametrize(
    "text",
    [
        "select 1; drop table t",
        "select 1;; select 2",
        "select 1\x00; drop table t",
        "select 1 /* ; */; -- x\n drop table t",
        "select $$;$$; drop table t",
        "begin; drop table t",
    ],
)
def test_more_than_one_statement_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse.parse_one(text)


def test_exactly_one_statement_may_end_in_semicolons_and_hold_them_in_strings() -> None:
    assert parse.parse_one("select ';' as a, $$;drop$$ /* ; */ ;; -- end").kind == "select"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("select 1", "select"),
        ("(select 1) union select 2", "select"),
        ("with x as (delete from t returning *) select * from x", "select"),
        ("values (1)", "select"),
        ("insert into t select 1", "insert"),
        ("update t set a=1", "update"),
        ("delete from t", "delete"),
        ("merge into t using s on true when matched then delete", "other"),
        ("vacuum t", "utility"),
        ("begin", "utility"),
        ("select 'cut", "select"),
        ("insert into t (a, b) values (1, 'cut", "insert"),
        ("", "other"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert parse.statement_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "aside"),
    [
        ("select * from pg_stat_activity", "catalogue"),
        ("select * from pg_catalog.pg_class c join information_schema.tables t on true", "catalogue"),
        ("select pg_backend_pid()", "catalogue"),
        ("select * from orders /* meshag/sync */", "own"),
        ("select * from orders", None),
        ("select * from pg_class, orders", None),
        ("select * from pg_orders", None),
        ("select * from pg_index join pg_statio_user_tables on true", "catalogue"),
        ("with pg_x as (select * from orders) select * from pg_x", None),
        ("select charge_customer($1)", None),
        ("select pg_sleep($1)", None),
        ("select $1", None),
        ("insert into t select * from pg_class", None),
        ("vacuum t", "utility"),
        ("set x = 1", "utility"),
        ("refresh materialized view m", None),
        ("copy t to stdout", None),
        ("call work()", None),
    ],
)
def test_what_is_set_aside(text: str, aside: str | None) -> None:
    assert parse.set_aside(text) == aside
    assert parse.describe(text).aside == aside


def test_relations_are_named_once_and_own_with_queries_are_not() -> None:
    text = """with c as (insert into s.log select * from a) select * from c, "B b" x join only s.t on true
              where exists (select 1 from a)"""
    assert set(parse.relations(text)) == {
        parse.Relation("s", "log"),
        parse.Relation(None, "a"),
        parse.Relation(None, "B b"),
        parse.Relation("s", "t"),
    }
    assert parse.relations("update s.t set a = 1") == (parse.Relation("s", "t"),)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("could not connect to postgresql://joe:canary@h/db", "canary"),
        ("DETAIL:  Key (email)=(canary@b.example) already exists.", "canary"),
        ("Failing row contains (1, canary, x).", "canary"),
        ("password=canary host=x", "canary"),
        ("api_key: 'canary'", "canary"),
        ("card 4111 1111 1111 1111", "4111"),
        ("Bearer eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc", "eyJ"),
    ],
)
def test_free_text_is_redacted(text: str, hidden: str) -> None:
    assert hidden not in parse.redact(text)


def test_redacting_keeps_ordinary_words() -> None:
    text = 'relation "orders" does not exist'
    assert parse.redact(text) == text


MONSTERS = {
    "one line of a megabyte": "select * from t where a = '" + "x" * 1_000_000 + "'",
    "a list of a megabyte": "select * from t where a in (" + ",".join(map(str, range(150_000))) + ")",
    "200,000 ors": "select * from t where " + " or ".join(f"a={i}" for i in range(200_000)),
    "5,000 parentheses": "select " + "(" * 5_000 + "1" + ")" * 5_000,
    "5,000 calls": "select " + "f(" * 5_000 + "1" + ")" * 5_000,
    "5,000 sums": "select " + "1+" * 5_000 + "1",
    "200,000 sums": "select " + "1+" * 200_000 + "1",
    "100,000 unions": " union all ".join(["select 1"] * 100_000),
    "100,000 casts": "select 1" + "::int" * 100_000,
    "4,900 zones": "select a" + " at time zone b" * 4_900,
    "1,000 sub-queries": "select * from " + "(select * from " * 1_000 + "t" + ") x" * 1_000,
    "unclosed comment": "select 1 " + "/*" * 100_000,
    "unclosed quote": "select '" * 40_000,
}


@pytest.mark.parametrize("name", MONSTERS)
def test_monsters_neither_crash_nor_block(name: str) -> None:
    """Each in a process of its own: what is feared is the end of the process by the C stack."""
    code = (
        "import sys, time, threading, resource\n"
        "from meshag_tui.engines.postgres import parse\n"
        "parse.describe('select 1'); parse.describe('select ' + '1+' * 2000 + '1')\n"
        "text = sys.stdin.read()\n"
        "threading.stack_size(512 * 1024)\n"
        "def work():\n"
        "    at = time.thread_time()\n"
        "    parse.describe(text)\n"
        "    try: parse.parse_one(text).relations\n"
        "    except Exception as e: print(e)\n"
        "    print('took', time.thread_time() - at)\n"
        "t = threading.Thread(target=work); t.start(); t.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=MONSTERS[name], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert float(done.stdout.rsplit("took", 1)[1]) < 0.4  # CPU of our thread; 0.2 s on an idle machine


def test_a_long_chain_of_concatenations_is_still_read() -> None:
    text = "select " + " || ".join(["a"] * 200) + " from t"
    assert parse.relations(text) == (parse.Relation(None, "t"),)


def test_importing_the_module_does_not_load_the_parser() -> None:
    code = "import sys, meshag_tui.engines.postgres.parse; print('postgast' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    "text", ['select \'a\' || $tag$ x $tag$ -- c\n, "q""q", 1.5e3, $1 /* /* n */ */ from é.t', "'", "$a$", "/*", 'e"\\']
)
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(token.text for token in lexer.tokens(text)) == text
