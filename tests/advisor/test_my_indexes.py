"""Indexes of MySQL and MariaDB: those statements lack, copies by the rules of InnoDB, and how one goes in two steps."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pymysql
import pytest

from meshag_tui.advisor.candidates import describe, identity
from meshag_tui.advisor.hygiene import index_hygiene
from meshag_tui.advisor.leaning import Leaning
from meshag_tui.advisor.refusals import DAY_MS, refusals
from meshag_tui.advisor.twins import duplicates, redundant
from meshag_tui.store import history_queries
from meshag_tui.store.history import Catalog
from meshag_tui.types import CreateIndex, DropIndex, HideIndex, IndexColumn, IndexSpec, ShowIndex
from tests.advisor.conftest import Watch, by_rule, filled
from tests.rig.mysql import Schema

SHOP = (
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, total int NOT NULL)",
    filled("orders", 30_000, "n, n * 7919 % 6000, n % 900"),
    "CREATE TABLE messages (id int PRIMARY KEY, room_id int NOT NULL, sent_at datetime NOT NULL, body varchar(60), "
    "KEY messages_room (room_id))",
    filled("messages", 30_000, "n, n * 7919 % 12, '2026-01-01' + INTERVAL n MINUTE, concat('body of ', n)"),
    "CREATE TABLE pages (id int PRIMARY KEY, url text NOT NULL)",
    filled("pages", 20_000, "n, concat('http://example.com/page/', n, repeat('x', 80))"),
    "CREATE TABLE people (id int PRIMARY KEY, gender char(1) NOT NULL, age int NOT NULL)",
    filled("people", 20_000, "n, if(n * 7919 % 13 > 6, 'F', 'M'), n % 90"),
    "CREATE TABLE phones (id int PRIMARY KEY, number varchar(20) NOT NULL, KEY phones_number (number))",
    filled("phones", 20_000, "n, concat('49', 100000 + n)"),
    "ANALYZE TABLE orders, messages, pages, people, phones",
)


async def test_what_statements_lack_is_reasoned_from_plan_statistics_and_rows_read(watch: Watch, my: Schema) -> None:
    my.execute(*SHOP)
    shop = watch(my)
    await shop.work(
        "SELECT id, total FROM orders WHERE customer_id = 37",
        "SELECT id, body FROM messages WHERE room_id = 7 ORDER BY sent_at DESC LIMIT 20",
        f"SELECT id FROM pages WHERE url = 'http://example.com/page/7{'x' * 80}'",
        "SELECT avg(age) FROM people WHERE gender = 'F'",
        "SELECT id FROM phones WHERE number = 49100007",
        times=10,
    )
    advice = await shop.advice()
    made = {one.change.spec.table: one for one in advice.suggestions if isinstance(one.change, CreateIndex)}
    assert set(made) == {"orders", "messages", "pages"}, "not where half match, nor where the type hides an index"
    keys = {name: [(key.name, key.opclass) for key in one.change.spec.columns] for name, one in made.items()}  # type: ignore[union-attr]
    assert keys == {
        "orders": [("customer_id", None)],
        "messages": [("room_id", None), ("sent_at", None)],
        "pages": [("url", "(32)")],
    }
    for one in made.values():
        assert one.evidence_kind == "stated" and "this server has no hypothetical indexes" in one.text
        assert one.sql and "LOCK=NONE" in one.sql and one.undo_sql and "DROP INDEX" in one.undo_sql
    assert "reads 30,000 rows a call to return 5" in made["orders"].text
    assert "messages_room is no longer needed" in made["messages"].text
    (cast,) = by_rule(advice, "implicit-cast")
    assert cast.table == "phones" and "number" in cast.title  # by a sample's plan, or by the rows that were counted


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("lower(note)", "a, lower(note)"),
        ("lower((note)::text)", "a, lower(note)"),
        ("(total + 1)", "a, (total + 1)"),
        ("coalesce(lower(note), (b + c))", "a, coalesce(lower(note), (b + c))"),
    ],
)
def test_an_expression_is_shown_with_its_brackets(written: str, shown: str) -> None:
    spec = IndexSpec("s", "t", (IndexColumn("a"), IndexColumn(written, is_expression=True)))
    assert describe(spec) == shown


def test_one_expression_in_two_hands_is_one_suggestion() -> None:
    names = ("lower(note)", "lower((note)::text)")
    assert len({identity(IndexSpec("s", "t", (IndexColumn(name, is_expression=True),))) for name in names}) == 1


async def test_the_side_of_a_join_that_is_read_whole_wants_an_index(watch: Watch, my: Schema) -> None:
    my.execute(*SHOP[:2], "CREATE TABLE customers (id int PRIMARY KEY, email varchar(40) NOT NULL UNIQUE)")
    my.execute(filled("customers", 6_000, "n - 1, concat('c', n, '@x.org')"), "ANALYZE TABLE orders, customers")
    shop = watch(my)
    await shop.work(
        "SELECT o.id, o.total FROM customers c JOIN orders o ON o.customer_id = c.id WHERE c.email = 'c37@x.org'",
        times=10,
    )
    (one,) = (await shop.advice()).suggestions
    assert isinstance(one.change, CreateIndex)
    assert (one.change.spec.table, one.change.spec.columns[0].name) == ("orders", "customer_id")


COPIES = """
CREATE TABLE t (
    id int NOT NULL, a int NOT NULL, b int NOT NULL, c varchar(100) NOT NULL, d int NOT NULL, e int NOT NULL,
    PRIMARY KEY (id),
    KEY a1 (a), KEY a2 (a), KEY a_with_key (a, id),
    UNIQUE KEY b_once (b), KEY b_again (b), UNIQUE KEY b_id (b, id),
    KEY c_start (c(10)), KEY c_longer (c(20)), KEY c_whole (c),
    KEY d_alone (d), KEY d_and_e (d, e),
    KEY id_again (id),
    FULLTEXT KEY words (c)
)
"""


async def test_copies_are_those_innodb_cannot_tell_apart(watch: Watch, my: Schema) -> None:
    my.execute(COPIES, filled("t", 2_000, "n, n % 100, n, concat('c', n), n % 7, n % 11"), "ANALYZE TABLE t")
    shop = watch(my)
    await shop.sync()
    catalog = shop.catalog()
    same, shorter = duplicates(catalog.indexes), redundant(catalog.indexes)
    names = {row.stats.key: row.stats.name for row in catalog.indexes}
    assert {names[key] for key in same} <= {"a1", "a2", "a_with_key"} and len(same) == 2
    served = {names[key]: longer for key, longer in shorter.items()}
    assert served == {
        "b_again": "b_id",  # (b) and (b, id) are the same to InnoDB, and this one is unique
        "c_start": "c_whole",
        "c_longer": "c_whole",
        "d_alone": "d_and_e",
        "id_again": "PRIMARY",
    } | ({name: "a_with_key" for name in served if name.startswith("a")})
    hidden = {one.change.name for one in index_hygiene(catalog, 30) if isinstance(one.change, HideIndex)}
    exact = {one.change.name for one in index_hygiene(catalog, 30) if isinstance(one.change, DropIndex)}
    assert hidden | exact == {*(names[key] for key in same), "b_again", "c_start", "c_longer", "d_alone", "id_again"}
    assert exact < {"a1", "a2"} and not hidden & exact, "only an exact copy is dropped without a trial"
    by_key = {(my.name, "t", "id")}
    kept = {
        one.change.name for one in index_hygiene(catalog, 30, ordered_by=by_key) if isinstance(one.change, HideIndex)
    }
    assert "d_alone" in hidden - kept, "statements that sort by id may lean on the key InnoDB adds to (d)"


async def test_alterations_in_the_second_of_a_sync_cost_no_other_table_its_observation(
    watch: Watch, my: Schema
) -> None:
    for table in ("altered", "other"):
        my.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, a int, b int, KEY used (a), KEY idle (b))",
            f"INSERT INTO {table} VALUES (1, 1, 1)",
        )
    shop = watch(my)
    moment = (
        "SELECT CREATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'altered'"
    )
    await shop.sync()
    for attempt in range(20):  # until a sync fits between two alterations of one second
        before = since(shop.catalog())
        await asyncio.sleep(1.02 - time.time() % 1)  # to the beginning of a second
        my.execute(f"ALTER TABLE altered ADD KEY one{attempt} (a, id)", *["SELECT id FROM altered WHERE a = 1"] * 5)
        altered = my.fetch(moment)
        await shop.sync()
        between = since(shop.catalog())
        my.execute(f"ALTER TABLE altered ADD KEY two{attempt} (b, id)", "SELECT id FROM altered WHERE a = 1")
        await shop.sync()
        after = since(shop.catalog())
        assert after["other", "idle"] == between["other", "idle"] == before["other", "idle"]
        assert after["altered", "idle"] > between["altered", "idle"] > before["altered", "idle"]
        if my.fetch(moment) == altered:
            break
    else:
        raise AssertionError("no two alterations fell into one second")
    assert not [event for event in shop.catalog().events if event.kind == "decrease"]


def since(catalog: Catalog) -> dict[tuple[str, str], int]:
    return {(row.stats.table, row.stats.name): row.observed_since for row in catalog.indexes}


async def test_an_order_that_a_fast_statement_leans_on_is_kept(watch: Watch, my: Schema) -> None:
    """Nothing of the time is theirs, because the key that InnoDB adds to the shorter index serves them."""
    my.execute(
        *(
            f"CREATE TABLE {name} (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, KEY a (a), KEY a_b (a, b))"
            for name in ("sorted", "latest", "looked_up")
        ),
        filled("sorted", 20_000, "n, n % 20, n"),
        "INSERT INTO latest SELECT * FROM sorted",
        "INSERT INTO looked_up SELECT * FROM sorted",
        "ANALYZE TABLE sorted, latest, looked_up",
    )
    shop = watch(my)
    await shop.work(*(f"SELECT COUNT(*) FROM sorted s WHERE b + {n} > a" + " OR b = 1" * n for n in range(11)))
    await shop.work(
        "SELECT id, b FROM sorted x WHERE x.a = 3 ORDER BY x.id DESC LIMIT 2",
        "SELECT MAX(id) FROM latest WHERE a = 3",
        "SELECT b FROM looked_up WHERE a = 3 LIMIT 1",
        times=1,
    )
    advice = await shop.advice()
    assert {one.table for one in advice.suggestions if isinstance(one.change, HideIndex)} == {"looked_up"}


async def test_an_index_that_a_statement_names_waits_for_its_hint_to_go(watch: Watch, my: Schema) -> None:
    my.execute(
        "CREATE TABLE goods (id int PRIMARY KEY, a int NOT NULL, b int NOT NULL, KEY first (a), KEY a_b (a, b), "
        "KEY b (b), KEY b_a (b, a))",
        filled("goods", 20_000, "n, n % 20, n"),
        "ANALYZE TABLE goods",
    )
    shop = watch(my)
    await shop.work("SELECT b FROM goods AS g FORCE INDEX FOR JOIN (a_b, b) WHERE a = 3 LIMIT 1", times=1)
    catalog = shop.catalog()
    leaning = Leaning(catalog)
    shop.store.run(history_queries.each_text, shop.id, leaning.see)
    assert set(leaning.hinted) == {(my.name, "goods", "a_b"), (my.name, "goods", "b")}
    kept_as_advice = [one for one in (await shop.advice()).suggestions if "has lost its hint" in one.text]
    assert len(kept_as_advice) == 1 and kept_as_advice[0].sql is None
    by_index = {
        name: one
        for one in index_hygiene(catalog, 30, hinted=leaning.hinted)
        for name in ("first", "b")
        if f"Hide {name}:" in one.title
    }
    assert isinstance(by_index["first"].change, HideIndex) and "hint" not in by_index["first"].text
    assert by_index["b"].change is None and "has lost its hint" in by_index["b"].text
    assert "FORCE INDEX" in by_index["b"].text


async def test_of_two_copies_the_one_that_a_statement_names_stays(watch: Watch, my: Schema) -> None:
    my.execute(
        "CREATE TABLE goods (id int PRIMARY KEY, a int NOT NULL, KEY first (a), KEY again (a))",
        filled("goods", 20_000, "n, n % 2000"),
        "ANALYZE TABLE goods",
    )
    shop = watch(my)
    await shop.work("SELECT id FROM goods WHERE a = 3", times=5)
    plain = [one.change for one in (await shop.advice()).suggestions]
    assert len(plain) == 1 and isinstance(plain[0], DropIndex)
    named = plain[0].name
    await shop.work(f"SELECT id FROM goods FORCE INDEX ({named}) WHERE a = 4", times=5)
    leaning = Leaning(shop.catalog())
    shop.store.run(history_queries.each_text, shop.id, leaning.see)
    (one,) = (await shop.advice(leaning=leaning)).suggestions
    other = {"first": "again", "again": "first"}[named]
    assert one.change == DropIndex(my.name, "goods", other) and one.sql
    my.execute(one.sql, f"SELECT id FROM goods FORCE INDEX ({named}) WHERE a = 4")


FAMILY = (
    "CREATE TABLE banks (id int PRIMARY KEY, code int NOT NULL, KEY banks_code (code))",
    "CREATE TABLE accounts (id int PRIMARY KEY, iban varchar(40) NOT NULL, bank_id int NOT NULL, owner_id int NOT NULL,"
    " bank_code int, legacy int NOT NULL, UNIQUE KEY accounts_iban (iban), KEY accounts_bank (bank_id), "
    "KEY accounts_owner (owner_id), KEY accounts_legacy (legacy), "
    "CONSTRAINT accounts_bank_fk FOREIGN KEY (bank_id) REFERENCES banks (id), "
    "CONSTRAINT accounts_code_fk FOREIGN KEY (bank_code) REFERENCES banks (code))",
    filled("banks", 100, "n, n"),
    filled("accounts", 5_000, "n, concat('DE', n), n % 100 + 1, n * 7919 % 900, n % 100 + 1, n"),
    "ANALYZE TABLE banks, accounts",
)


def aged(catalog: Catalog, days: float) -> Catalog:
    """The same catalogue as if its indexes had been watched, and hidden ones seen hidden, for so long."""
    since = catalog.facts.observed_at - int(days * DAY_MS)
    rows = (
        replace(
            row,
            observed_since=since,
            first_seen_at=since,
            stats=replace(row.stats, hidden_since=since if row.stats.hidden else None),
        )
        for row in catalog.indexes
    )
    return replace(catalog, indexes=tuple(rows))


async def test_an_unused_index_is_hidden_first_and_no_needed_one_is_proposed(watch: Watch, my: Schema) -> None:
    if my.flavour == "MySQL":
        my.execute("SET GLOBAL restrict_fk_on_non_standard_key = OFF")  # 8.4 began to ask for a unique key
    my.execute(*FAMILY)
    shop = watch(my)
    await shop.work(
        "SELECT iban FROM accounts WHERE owner_id = 7", "UPDATE accounts SET legacy = 5 WHERE id = 3", times=5
    )
    catalog = aged(shop.catalog(), 40)
    says = {
        row.stats.name: " ".join(refusals(row, catalog)) for row in catalog.indexes if row.stats.table == "accounts"
    }
    assert "primary key" in says["PRIMARY"] and "accounts_iban" in says["accounts_iban"]
    assert "foreign key accounts_bank_fk has no other index" in says["accounts_bank"]
    assert "used" in says["accounts_owner"]
    (code,) = (row for row in catalog.indexes if row.stats.name == "banks_code")
    assert any("accounts_code_fk of accounts refers to its columns" in each for each in refusals(code, catalog))
    for table, name in (("accounts", "accounts_bank"), ("banks", "banks_code")):
        with pytest.raises(pymysql.MySQLError):  # the server holds them too
            my.execute(f"ALTER TABLE {table} DROP INDEX {name}, LOCK=NONE")

    (hide,) = index_hygiene(catalog, 30)
    assert hide.change == HideIndex(my.name, "accounts", "accounts_legacy") and "unused for 40 days" in hide.title
    assert "0 row reads seen in 40.0 days" in hide.evidence["facts"]

    word = "IGNORED" if my.flavour == "MariaDB" else "INVISIBLE"
    my.execute(f"ALTER TABLE accounts ALTER INDEX accounts_legacy {word}")
    await shop.sync()
    now = shop.catalog()
    (row,) = (each for each in now.indexes if each.stats.name == "accounts_legacy")
    assert row.stats.hidden and row.stats.hidden_since is not None
    assert row.observed_since < row.stats.hidden_since, "hiding an index does not begin its observation anew"
    first = row.stats.hidden_since
    await shop.sync()
    (row,) = (each for each in shop.catalog().indexes if each.stats.name == "accounts_legacy")
    assert row.stats.hidden_since == first
    (waits,) = index_hygiene(replace(aged(now, 40), indexes=tuple(
        replace(each, stats=replace(each.stats, hidden_since=first)) if each.stats.hidden else each
        for each in aged(now, 40).indexes
    )), 30)  # fmt: skip
    assert waits.change is None and "is hidden: it waits until" in waits.title
    (drop,) = index_hygiene(aged(now, 40), 30)
    assert drop.change == DropIndex(my.name, "accounts", "accounts_legacy") and "Step 2 of 2" in drop.text


async def test_a_hidden_index_that_statements_want_is_shown_again(watch: Watch, my: Schema) -> None:
    word = "IGNORED" if my.flavour == "MariaDB" else "INVISIBLE"
    my.execute(*SHOP[:2], "ALTER TABLE orders ADD INDEX by_customer (customer_id)", "ANALYZE TABLE orders")
    my.execute(f"ALTER TABLE orders ALTER INDEX by_customer {word}")
    shop = watch(my)
    await shop.work("SELECT id, total FROM orders WHERE customer_id = 37", times=10)
    (one,) = (await shop.advice()).suggestions
    assert one.change == ShowIndex(my.name, "orders", "by_customer") and one.title.startswith("Show by_customer")
    assert one.sql and f"ALTER INDEX `by_customer` {'NOT IGNORED' if my.flavour == 'MariaDB' else 'VISIBLE'}" in one.sql
