"""A change becomes SQL only from the catalogue's names, and only as what blocks nobody; else it is refused, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from meshag_tui.engines.base import Limits, Refused
from meshag_tui.engines.mysql.keys import keys_of
from meshag_tui.engines.mysql.session import MysqlSession, connect
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    DropIndex,
    HideIndex,
    IndexColumn,
    IndexSpec,
    Rebuild,
    RestoreIndex,
    ShowIndex,
    Target,
    Vacuum,
)
from tests.rig.mysql import Schema

TABLES = (
    "CREATE TABLE customers (id INT PRIMARY KEY, code INT, UNIQUE (code))",
    "CREATE TABLE orders (id INT AUTO_INCREMENT, k INT NOT NULL, customer_id INT, status VARCHAR(20), note TEXT, "
    "at DATE, doc JSON, PRIMARY KEY (k), KEY number (id), "
    "KEY by_customer (customer_id), KEY done (status(5), at DESC), "
    "FULLTEXT KEY words (note), KEY last_one (at) COMMENT 'it''s; \\n \\\\ %s ünï €', "
    "CONSTRAINT bought FOREIGN KEY (customer_id) REFERENCES customers (id))",
    "CREATE TABLE `we``ird; -- tab` (`se``lect` INT PRIMARY KEY, `ünï % ,(` VARCHAR(9), `a b` INT)",
    "CREATE TABLE old (a INT, KEY a (a)) ENGINE = MyISAM",
    "CREATE TABLE parts (a INT, b INT, PRIMARY KEY (a)) PARTITION BY HASH (a) PARTITIONS 3",
    "CREATE TABLE wide (id INT PRIMARY KEY, long_one VARCHAR(769), fits VARCHAR(768), bytes BLOB)",
    "CREATE TABLE narrow (a VARCHAR(300)) ROW_FORMAT = COMPACT",
    "CREATE VIEW seen AS SELECT 1 AS a",
)


class Shop:
    """A schema with tables of every kind, and a session to ask what a change of it would run."""

    def __init__(self, schema: Schema, session: MysqlSession) -> None:
        self.schema = schema
        self.session = session
        self.name = schema.name
        self.terms = f"ALGORITHM={'NOCOPY' if schema.flavour == 'MariaDB' else 'INPLACE'}, LOCK=NONE"

    async def sql(self, change: Change) -> tuple[str, str | None]:
        """The statement and its undo, without what each ends with."""
        rendered = await self.session.render(change)
        assert rendered == await self.session.render(change)
        assert all(text is None or text.endswith(f", {self.terms}") for text in (rendered.sql, rendered.undo_sql))
        head, tail = f"ALTER TABLE `{self.name}`.", f", {self.terms}"
        parts = [text and text.removeprefix(head).removesuffix(tail) for text in (rendered.sql, rendered.undo_sql)]
        return str(parts[0]), parts[1]

    def index(self, table: str, *columns: str | IndexColumn, **rest: object) -> CreateIndex:
        keys = tuple(column if isinstance(column, IndexColumn) else IndexColumn(column) for column in columns)
        return CreateIndex(IndexSpec(self.name, table, keys, **rest))  # type: ignore[arg-type]


@asynccontextmanager
async def opened(schema: Schema) -> AsyncIterator[Shop]:
    schema.execute(*TABLES)
    async with connect(Target.from_url(schema.url), "test", Limits()) as session:
        yield Shop(schema, session)


@pytest.fixture
async def shop(my: Schema) -> AsyncIterator[Shop]:
    async with opened(my) as found:
        yield found


async def test_every_part_of_an_index(shop: Shop) -> None:
    sql, undo = await shop.sql(
        shop.index("orders", IndexColumn("note", opclass="(30)"), "Customer_ID", IndexColumn("at", descending=True))
    )
    assert sql == "`orders` ADD INDEX `orders_note_Customer_ID_at_idx` (`note`(30), `customer_id`, `at` DESC)".replace(
        "Customer_ID", "customer_id"
    )
    assert undo == "`orders` DROP INDEX `orders_note_customer_id_at_idx`"
    # A prefix that is the whole column is none, as the server has it.
    sql, _ = await shop.sql(shop.index("orders", IndexColumn("status", opclass="(20)"), name="Status"))
    assert sql == "`orders` ADD INDEX `Status` (`status`)"
    for change in (
        shop.index("wide", "fits", name="i"),
        shop.index("wide", IndexColumn("long_one", opclass="(768)"), name="j"),
        shop.index("wide", IndexColumn("bytes", opclass="(3072)"), name="k"),
        shop.index("narrow", IndexColumn("a", opclass="(191)"), name="l"),
    ):  # the longest there can be, and the server takes them as they are
        rendered = await shop.session.render(change)
        shop.schema.execute(rendered.sql)
        table = change.spec.table
        assert (
            rendered.target["definition"].replace("INDEX", "KEY")
            in shop.schema.fetch(f"SHOW CREATE TABLE {table}")[0][1]
        )
    sql, _ = await shop.sql(shop.index("parts", "b"))
    assert sql == "`parts` ADD INDEX `parts_b_idx` (`b`)"


async def test_names_are_quoted_whatever_they_hold(shop: Shop) -> None:
    sql, undo = await shop.sql(shop.index("we`ird; -- tab", "ünï % ,(", "se`lect", name="i`; DROP TABLE x; --"))
    assert sql == ("`we``ird; -- tab` ADD INDEX `i``; DROP TABLE x; --` (`ünï % ,(`, `se``lect`)")
    assert undo == "`we``ird; -- tab` DROP INDEX `i``; DROP TABLE x; --`"
    long = "ü" * 70
    shop.schema.execute(f"ALTER TABLE parts CHANGE b `{long[:60]}` INT")
    sql, _ = await shop.sql(shop.index("parts", long[:60]))
    assert f"`{'parts_' + long[:54]}_idx`" in sql  # 64 characters


async def test_drop_hide_and_show(shop: Shop) -> None:
    hidden, visible = ("IGNORED", "NOT IGNORED") if shop.schema.flavour == "MariaDB" else ("INVISIBLE", "VISIBLE")
    assert await shop.sql(DropIndex(shop.name, "orders", "last_one")) == (
        "`orders` DROP INDEX `last_one`",
        r"`orders` ADD INDEX `last_one` (`at`) COMMENT 'it''s; \n \\ %s ünï €'",
    )
    # What stood behind it is named again, so that it comes back to its place.
    assert await shop.sql(DropIndex(shop.name, "orders", "done")) == (
        "`orders` DROP INDEX `done`",
        r"`orders` ADD INDEX `done` (`status`(5), `at` DESC), DROP INDEX `last_one`, "
        r"ADD INDEX `last_one` (`at`) COMMENT 'it''s; \n \\ %s ünï €'",
    )
    hide, show = (f"`orders` ALTER INDEX `done` {word}" for word in (hidden, visible))
    assert await shop.sql(HideIndex(shop.name, "orders", "done")) == (hide, show)
    with pytest.raises(Refused, match="visible already"):
        await shop.session.render(ShowIndex(shop.name, "orders", "done"))
    shop.schema.execute(f"ALTER TABLE {hide}")
    assert await shop.sql(ShowIndex(shop.name, "orders", "done")) == (show, hide)
    with pytest.raises(Refused, match="hidden already"):
        await shop.session.render(HideIndex(shop.name, "orders", "done"))
    _, undo = await shop.sql(DropIndex(shop.name, "orders", "done"))
    assert str(undo).startswith(f"`orders` ADD INDEX `done` (`status`(5), `at` DESC) {hidden}, DROP INDEX `last_one`")
    with pytest.raises(Refused, match=r"done of .* exists already, hidden"):
        again = (IndexColumn("status", opclass="(5)"), IndexColumn("at", descending=True))
        await shop.session.render(shop.index("orders", *again))


async def test_upkeep(shop: Shop) -> None:
    analyze = await shop.session.render(Analyze(shop.name, "orders"))
    assert analyze.sql == f"ANALYZE NO_WRITE_TO_BINLOG TABLE `{shop.name}`.`orders`" and analyze.undo_sql is None
    rebuild = await shop.session.render(Rebuild(shop.name, "parts"))
    assert rebuild.sql == f"ALTER TABLE `{shop.name}`.`parts` FORCE, ALGORITHM=INPLACE, LOCK=NONE"
    assert rebuild.undo_sql is None
    with pytest.raises(Refused, match="has no VACUUM: InnoDB removes"):
        await shop.session.render(Vacuum(shop.name, "orders"))


NO_INDEX = [
    (("orders", "nothing"), {}, "no column nothing"),
    (("orders", "status); DROP TABLE x; --"), {}, "no column status"),
    (("nowhere", "a"), {}, "There is no table"),
    (("seen", "a"), {}, "it is a view"),
    (("old", "a"), {}, "MyISAM"),
    (("orders",), {}, "at least one column"),
    (("orders", "at", "AT"), {}, "twice"),
    (("orders", *["at"] * 40), {}, "at most (16|32) columns"),
    (("orders", "note"), {}, r"only a prefix of it can be indexed, as in \(50\)"),
    (("orders", IndexColumn("at", opclass="(5)")), {}, "has no prefix"),
    (("orders", IndexColumn("note", opclass="(0)")), {}, "no length"),
    (("orders", IndexColumn("note", opclass="(769)")), {}, "at most 768 characters"),
    (("wide", "long_one"), {}, "only a prefix"),
    (("wide", IndexColumn("bytes", opclass="(3073)")), {}, "at most 3072 characters"),
    (("narrow", IndexColumn("a", opclass="(192)")), {}, "at most 191 characters"),
    (("orders", IndexColumn("note", opclass="text_ops")), {}, "no length"),
    (("orders", IndexColumn("lower(status)", is_expression=True)), {}, "expression"),
    (("orders", "at"), {"include": ("status",)}, "no INCLUDE"),
    (("orders", "at"), {"where": "status = 'done'"}, "no partial"),
    (("orders", "at"), {"method": "hash"}, "btree and fulltext"),
    (("orders", "at"), {"method": "BTREE (at), DROP INDEX done"}, "btree and fulltext"),
    (("orders", "customer_id"), {}, "by_customer of .* is equal"),
    (("orders", "k"), {}, "PRIMARY of .* is equal"),
    (("orders", "k", "at"), {"name": "Done"}, "taken"),
    (("orders", "k", "at"), {"name": "x" * 65}, "longer than 64"),
    (("orders", "k", "at"), {"name": "primary"}, "server's own"),
    (("orders", "k", "at"), {"name": " "}, "needs a name"),
    (("orders", "k", "at"), {"name": "end "}, "needs a name"),
    (("orders", "k", "at"), {"name": "smile 😀"}, "needs a name"),
    (("orders", "status", "note"), {"method": "fulltext"}, "without blocking the table's writers"),
]


async def test_what_cannot_be_an_index(shop: Shop) -> None:
    for columns, rest, why in NO_INDEX:
        with pytest.raises(Refused, match=why):
            await shop.session.render(shop.index(*columns, **rest))
    for schema in ("mysql", "information_schema", "performance_schema", "sys", "MYSQL"):
        with pytest.raises(Refused, match="belongs to the system"):
            await shop.session.render(CreateIndex(IndexSpec(schema, "user", (IndexColumn("User"),))))


async def test_what_an_index_that_blocks_would_be_for_a_person(shop: Shop) -> None:
    with pytest.raises(Refused) as refused:
        await shop.session.render(shop.index("orders", "status", method="fulltext", name="both"))
    assert refused.value.by_hand is not None
    make, back = refused.value.by_hand
    assert (
        make
        == f"ALTER TABLE `{shop.name}`.`orders` ADD FULLTEXT INDEX `both` (`status`), ALGORITHM=INPLACE, LOCK=SHARED"
    )
    before = shop.schema.fetch("SHOW CREATE TABLE orders")
    shop.schema.execute(make, back)
    assert shop.schema.fetch("SHOW CREATE TABLE orders") == before


KEPT = [
    ("orders", "PRIMARY", "primary key"),
    ("customers", "code", "is unique"),
    ("orders", "by_customer", "foreign key bought"),
    ("orders", "number", "AUTO_INCREMENT column id"),
    ("orders", "words", "FULLTEXT index.*could not put it back"),
    ("orders", "nothing", "no index nothing"),
    ("old", "a", "MyISAM"),
]


async def test_what_may_not_be_dropped_may_not_be_hidden_either(shop: Shop) -> None:
    for table, name, why in KEPT:
        with pytest.raises(Refused, match=why):
            await shop.session.render(DropIndex(shop.name, table, name))
        if name != "words":
            with pytest.raises(Refused, match=why):
                await shop.session.render(HideIndex(shop.name, table, name))
    with pytest.raises(Refused, match="belongs to the system"):
        await shop.session.render(DropIndex("mysql", "db", "User"))


async def test_an_index_that_another_can_stand_in_for_may_go(shop: Shop) -> None:
    shop.schema.execute(
        "ALTER TABLE orders ADD KEY wide (customer_id, at), ADD KEY numbered (id, at)",
        "CREATE TABLE child (a INT, KEY a (a))",
        "CREATE TABLE parent (a INT NOT NULL, b INT, KEY b (b), KEY ba (b, a), PRIMARY KEY (a))",
    )
    for name in ("by_customer", "number", "wide"):
        assert (await shop.session.render(DropIndex(shop.name, "orders", name))).sql
    shop.schema.execute("ALTER TABLE orders DROP KEY by_customer, ADD KEY prefixed (status, customer_id)")
    with pytest.raises(Refused, match="foreign key bought"):
        await shop.session.render(DropIndex(shop.name, "orders", "wide"))


async def test_a_foreign_key_needs_its_parents_index(shop: Shop) -> None:
    """MySQL takes only unique ones by default from 8.4 on; those cannot be dropped in any case."""
    restricts = bool(shop.schema.fetch("SHOW VARIABLES LIKE 'restrict_fk_on_non_standard_key'"))
    if restricts:
        shop.schema.execute("SET GLOBAL restrict_fk_on_non_standard_key = OFF")
    try:
        shop.schema.execute(
            "CREATE TABLE parent (a INT, b INT, KEY ab (a, b), KEY bb (b))",
            "CREATE TABLE child (x INT, FOREIGN KEY (x) REFERENCES parent (a))",
        )
    finally:
        if restricts:
            shop.schema.execute("SET GLOBAL restrict_fk_on_non_standard_key = ON")
    with pytest.raises(Refused, match="only index that the foreign key child"):
        await shop.session.render(DropIndex(shop.name, "parent", "ab"))
    assert (await shop.session.render(DropIndex(shop.name, "parent", "bb"))).sql


async def test_an_index_on_an_expression_is_left_to_a_person(mysql: Schema) -> None:
    async with opened(mysql) as shop:
        await _leaves_expressions(shop)


async def _leaves_expressions(shop: Shop) -> None:
    shop.schema.execute(
        "ALTER TABLE orders ADD KEY loud ((upper(status)), at)",
        "ALTER TABLE orders ADD KEY many ((cast(doc->'$.tags' AS UNSIGNED ARRAY)))",
    )
    for name in ("loud", "many"):
        before = shop.schema.fetch("SHOW CREATE TABLE orders")
        with pytest.raises(Refused, match="expression: MySQL could not put it back") as refused:
            await shop.session.render(DropIndex(shop.name, "orders", name))
        assert refused.value.by_hand is not None
        shop.schema.execute(*refused.value.by_hand)
        assert sorted(before[0][1].split("\n")) == sorted(
            shop.schema.fetch("SHOW CREATE TABLE orders")[0][1].split("\n")
        )


async def test_a_restore_is_read_strictly(shop: Shop) -> None:
    start, end = f"ALTER TABLE `{shop.name}`.`orders` ADD ", f", {shop.terms}"
    good = f"{start}INDEX `back` (`at`){end}"
    change = RestoreIndex(shop.name, "orders", "back", (good,))
    assert (await shop.session.render(change)).sql == good
    for statements in (
        (),
        (good, good),
        (good + "; DROP TABLE orders",),
        (good.replace("ADD", "ADD /* x */"),),
        (good.replace("ADD", "/*!50000 DROP INDEX `done`, */ ADD"),),
        (good.replace(end, ", /*M!100000 DROP INDEX `done`, */" + end[2:]),),
        (good.replace("`back`", "`other`"),),
        (good.replace("`orders`", "`customers`"),),
        (good.replace(shop.terms, "ALGORITHM=COPY, LOCK=NONE"),),
        (good.replace(shop.terms, shop.terms.replace("NONE", "SHARED")),),
        (good.replace(f", {shop.terms}", ""),),
        (good.replace("INDEX", "UNIQUE INDEX"),),
        (good.replace(end, f", DROP INDEX `done`{end}"),),
        (good.replace(end, f", DROP INDEX `done`, ADD INDEX `x` (`at`){end}"),),
        (good.replace(end, f", DROP COLUMN `at`, ADD INDEX `x` (`at`){end}"),),
        (good.replace("(`at`)", "(`at`) VISIBLE_X"),),
        (good.replace("(`at`)", "((sleep(10)))"),),
        (good.replace("(`at`)", "(`gone`)"),),
        ("DROP TABLE orders",),
    ):
        with pytest.raises(Refused):
            await shop.session.render(replace(change, statements=statements))
    # What is to be named again is not what it was any more: it stays, and the index comes last.
    placed = replace(change, statements=(good.replace(end, f", DROP INDEX `done`, ADD INDEX `done` (`at`){end}"),))
    assert (await shop.session.render(placed)).sql == good


def test_keys_are_read_as_either_server_prints_them() -> None:
    printed = r"""CREATE TABLE `a``(,` (
  `id` int NOT NULL DEFAULT '1,(' COMMENT 'KEY `x` (`y`),',
  `g` int GENERATED ALWAYS AS ((`id` - -(1))) VIRTUAL /*!80023 INVISIBLE */,
  `e` enum('a','(b') DEFAULT NULL,
  PRIMARY KEY (`id`,`p` WITHOUT OVERLAPS),
  UNIQUE KEY `u` (`g`) USING BTREE COMMENT 'x\') ,',
  KEY `k,` (`id`(3) DESC,`g`) KEY_BLOCK_SIZE=4 /*!80000 INVISIBLE */,
  KEY `f` ((lower(`e`)),`id`),
  KEY `ig` (`id`) IGNORED,
  KEY `odd` (`id`) /*!80021 ENGINE_ATTRIBUTE '{}' */,
  FULLTEXT KEY `ft` (`e`) /*!50100 WITH PARSER `ngram` */ ,
  VECTOR KEY `v` (`e`) `M`=8,
  CONSTRAINT `fk` FOREIGN KEY (`id`) REFERENCES `b` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 /*!50100 PARTITION BY HASH (`id`) (KEY `no` (`id`)) */"""
    keys = {key.name: key for key in keys_of(printed)}
    assert list(keys) == ["PRIMARY", "u", "k,", "f", "ig", "odd", "ft", "v"]
    assert keys["k,"].text("MySQL") == "INDEX `k,` (`id`(3) DESC, `g`) KEY_BLOCK_SIZE=4 INVISIBLE"
    assert keys["ig"].text("MariaDB") == "INDEX `ig` (`id`) IGNORED"
    assert keys["f"].text("MySQL") == "INDEX `f` ((lower(`e`)), `id`)"
    assert keys["ft"].text("MySQL") == "FULLTEXT INDEX `ft` (`e`) WITH PARSER `ngram`"
    assert keys["u"].text("MySQL") == r"UNIQUE INDEX `u` (`g`) USING BTREE COMMENT 'x\') ,'"
    for name in ("PRIMARY", "odd", "v"):
        with pytest.raises(Refused, match="cannot put back"):
            keys[name].text("MySQL")
