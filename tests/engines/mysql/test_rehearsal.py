"""A sandbox with data: what is read is what was shown, every row has its parents, both sides differ by the change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from meshag_tui.engines.base import EngineError, Limits, Refused
from meshag_tui.engines.mysql.sandbox import copying
from meshag_tui.engines.mysql.sandbox.places import PREFIX, PrivateServer
from meshag_tui.engines.mysql.sandbox.source import Table
from meshag_tui.engines.mysql.sandbox.stage import Stage
from meshag_tui.engines.mysql.session import connect
from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan, Named, TableCopy
from meshag_tui.store.documents import document
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    CreateStatistics,
    DropIndex,
    HideIndex,
    IndexColumn,
    IndexSpec,
    Rebuild,
    RenameIndex,
    SetSetting,
    SetTableOptions,
    Target,
)
from tests.rig.mysql import Schema, on_path

ALL = CopyLimits(1_000_000, 256 * 1024 * 1024, 60)
FEW = CopyLimits(12_000, 1_000_000, 60)
BY_AMOUNT = "SELECT * FROM orders WHERE status = ? AND amount = ?"
REPORT = "SELECT l.sku, COUNT(*) FROM `lines` l JOIN orders o ON o.id = l.order_id WHERE o.placed > ? GROUP BY l.sku"
VIEWED = "SELECT COUNT(*) FROM big WHERE status = ?"
COLUMNS = {
    "customers": "id, name, about, seen + 0",
    "orders": "id, customer_id, status, amount, placed, twice, note",
    "`lines`": "order_id, nr, HEX(sku)",
}
AMOUNT = IndexSpec("", "orders", (IndexColumn("amount"),), name="orders_amount")
NUMBERS = "WITH RECURSIVE g AS (SELECT 1 n UNION ALL SELECT n + 1 FROM g WHERE n < {most}) SELECT "


def shop(my: Schema) -> None:
    deep = "cte_max_recursion_depth" if my.flavour == "MySQL" else "max_recursive_iterations"
    with my.connect() as connection, connection.cursor() as cursor:
        for statement in (
            f"SET SESSION {deep} = 1000000",
            "CREATE TABLE customers (id int PRIMARY KEY, name varchar(40) NOT NULL, about json, seen bit(4))",
            "INSERT INTO customers " + NUMBERS.format(most=2000) + "n, CONCAT('c’', n), '{\"a\": 1}', b'101' FROM g",
            "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, customer_id int NOT NULL, "
            "status varchar(8) NOT NULL, amount decimal(10,2) NOT NULL, placed datetime NOT NULL, "
            "twice decimal(12,2) AS (amount * 2) STORED,"
            " note varchar(60), KEY orders_customer (customer_id), KEY orders_placed (placed), "
            "FOREIGN KEY (customer_id) REFERENCES customers (id)) DEFAULT CHARSET=latin1",
            "INSERT INTO orders (customer_id, status, amount, placed, note) "
            + NUMBERS.format(most=30000)
            + "1 + n % 2000, ELT(1 + n % 3, 'new', 'paid', 'sent'), n % 5000, "
            "'2024-01-01' + INTERVAL n MINUTE, REPEAT('n', 50) FROM g",
            "CREATE TABLE `lines` (order_id int, nr int, sku varbinary(12), PRIMARY KEY (order_id, nr), "
            "FOREIGN KEY (order_id) REFERENCES orders (id))",
            "INSERT INTO `lines` " + NUMBERS.format(most=20000) + "n, 1, CONCAT('s', n % 50, UNHEX('FF')) FROM g",
            "CREATE VIEW big AS SELECT * FROM orders WHERE amount > 2000",
            "ANALYZE TABLE customers, orders, `lines`",
        ):
            cursor.execute(statement)


@pytest.fixture(autouse=True)
def found_on_path(my: Schema, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", on_path(my.flavour, tmp_path))


@pytest.mark.slow
async def test_statements_run_on_both_sides(my: Schema) -> None:
    shop(my)
    my.execute(f"GRANT SHOW VIEW ON `{my.name}`.* TO '{my.name}_monitor'@'%'")
    update, insert = "UPDATE orders SET amount = ? WHERE id = ?", "INSERT INTO orders (customer_id) VALUES (?)"
    statements = (BY_AMOUNT, VIEWED, update, REPORT, "SELECT nowhere FROM nothing")
    async with connect(Target.from_url(my.monitor_url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.copy_plan(statements, ALL)
        assert CopyPlan.from_document(document(asdict(plan))) == plan
        assert any("nothing" in note for note in plan.notes), plan.notes
        async with session.rehearse(plan, lambda _: None) as stage:
            assert isinstance(stage, Stage) and isinstance(stage._place, PrivateServer)
            root = stage._place._server.root
            assert {one.name.partition(".")[2]: one.share for one in stage.copied} == dict.fromkeys(
                ("orders", "lines", "customers"), 1.0
            )
            fetch = stage.session.fetch
            for table, columns in COLUMNS.items():  # every value of every type came as it is
                same = f"SELECT SUM(CRC32(CONCAT_WS('/', {columns}))) FROM {my.name}.{table}"
                assert await fetch(same) == my.fetch(same), table

            read = await stage.ready(BY_AMOUNT, 5, 1)
            assert len(read.sets) > 1 and await stage.ready(BY_AMOUNT, 5, 1) == read and not read.writes
            for values in read.sets:
                assert (await stage.run("before", read, values)).rows > 0, "the values are of one row"
            sql = await stage.change(CreateIndex(replace(AMOUNT, schema=my.name)))
            assert sql.startswith(f"ALTER TABLE `{my.name}`.`orders` ADD INDEX `orders_amount` (`amount`)")
            first, after, before = [await stage.run(side, read, read.sets[0]) for side in ("before", "after", "before")]
            assert (before.rows, before.plan.root.kind) == (after.rows, "Seq Scan") and first.plan == before.plan
            # The server counts for all its threads, and one may just be counting the table anew for its statistics.
            least = min([after.blocks, *[(await stage.run("after", read, read.sets[0])).blocks for _ in range(2)]])
            assert after.plan.root.index == "orders_amount" and least < before.blocks / 5
            assert before.ms > 0
            viewed = await stage.ready(VIEWED, 3, 1)
            assert (await stage.run("after", viewed, viewed.sets[0])).rows == 1

            count = "SELECT SUM(amount), COUNT(*) FROM orders"
            await fetch(f"USE `{my.name}`")
            was = await fetch(count)
            write = await stage.ready(update, 3, 1)
            await stage.run("after", write, write.sets[0])
            assert await fetch(count) == was, "what was written is rolled back"
            again = await stage.ready(insert, 3, 1)
            assert write.writes and again.writes and len(again.sets) == 3
            assert (await fetch(count))[0][1] == was[0][1] - 3, "rows are inserted again that were taken out"
            keys = "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE INDEX_NAME = 'orders_amount'"
            there = []
            for side in ("before", "after", "before"):
                await stage.run(side, again, again.sets[0])
                there.append((await fetch(keys))[0][0])
            assert there == [0, 1, 0], "a write does not keep an index up to date on the side that has it not"
            assert any("INSERT INTO" in note for note in stage.notes)

            change = CreateIndex(replace(AMOUNT, schema=my.name))
            drop = f"ALTER TABLE `{my.name}`.`orders` DROP INDEX `orders_amount`"
            assert (await stage.undone(change, sql, drop)).proven
            other = await stage.undone(change, sql, drop.replace("orders_amount", "orders_placed"))
            assert other.doubt == f"not as before: {my.name}.orders"
            failed = await stage.undone(change, drop.replace("orders_amount", "nothing"), drop)
            assert not failed.proven and "could not be tried" in (failed.doubt or "")
            sort, setting = "SET GLOBAL `sort_buffer_size` = {}", SetSetting("sort_buffer_size", "1048576")
            ((now,),) = await fetch("SELECT @@GLOBAL.sort_buffer_size")
            assert (await stage.undone(setting, sort.format(1048576), sort.format(now))).proven
            wrong = await stage.undone(setting, sort.format(1048576), "DO 0")
            assert wrong.doubt == "not as before: sort_buffer_size"
        with pytest.raises(EngineError, match="closed"):
            await stage.run("before", read, read.sets[0])
        assert not root.exists(), "nothing of its server is left"


KEYS = {
    "uuid": ("char(36)", "INSERT(INSERT(LEFT(SHA2(n, 256), 32), 9, 0, '-'), 14, 0, '-')"),
    "binary": ("binary(16)", "UNHEX(LEFT(SHA2(n, 256), 32))"),
    "code": ("varchar(12)", "CONCAT('ORD-', LPAD(n, 6, '0'))"),
    "both cases": ("varchar(20)", "CONCAT(CHAR(65 + n % 26), CHAR(97 + n % 25), n)"),
    "number": ("bigint", "n * 7"),
    "any case": ("varchar(20) COLLATE utf8mb4_bin", "CONCAT(CHAR(65 + n % 26), CHAR(97 + n % 25), n)"),
    "mail": ("varchar(40)", "CONCAT(CHAR(97 + n % 26), '.', n, '@x.example')"),
    "base 64": ("varchar(20) COLLATE utf8mb4_bin", "LEFT(TO_BASE64(UNHEX(SHA2(n, 256))), 12)"),
    "of a land": (
        "varchar(20) CHARACTER SET latin1 COLLATE latin1_german2_ci",
        "LEFT(TO_BASE64(UNHEX(SHA2(n, 256))), 12)",
    ),
    "day": ("date", "'1990-01-01' + INTERVAL n DAY"),
    "moment": ("datetime(6)", "'2024-01-01' + INTERVAL n * 4999 MICROSECOND"),
    "stamp": ("timestamp", "'2024-01-01' + INTERVAL n HOUR"),
    "hours": ("time", "SEC_TO_TIME(n * 100 - 200000)"),
    "price": ("decimal(12,4)", "n * 1.0003"),
    "real": ("double", "n * -1.7"),
}
UUIDS = {
    "of chance": (
        "uuid",
        "CONCAT(LEFT(SHA2(n, 256), 8), '-', LEFT(MD5(n), 4), '-4000-8000-', RIGHT(SHA2(n, 256), 12))",
    ),
    "of time": (
        "uuid",
        "CONCAT('0190', LPAD(HEX(n), 4, '0'), '-0000-7000-8', LEFT(MD5(n), 3), '-', RIGHT(MD5(n), 12))",
    ),
}


def test_a_large_table_is_read_all_over_its_key_of_whatever_kind(my: Schema) -> None:
    deep = "cte_max_recursion_depth" if my.flavour == "MySQL" else "max_recursive_iterations"
    with my.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SET SESSION {deep} = 1000000")
        for name, (kind, value) in (KEYS if my.flavour == "MySQL" else KEYS | UUIDS).items():
            cursor.execute(f"CREATE TABLE `{name}` (id {kind} PRIMARY KEY, n int)")
            cursor.execute(f"INSERT INTO `{name}` " + NUMBERS.format(most=4000) + f"{value}, n FROM g")
            table = Table((my.name, name), "InnoDB", 4000, 4000, {"id": kind, "n": "int"}, ("id",))
            cursor.execute(copying.ends_of(table))
            low, high = cursor.fetchall()[0]
            wanted = TableCopy(my.name, name, ("id", "n"), 4000, 4000, 0.2, 4000)
            rows: list[tuple[object, ...]] = []
            cuts = [connection.escape(one) for one in copying.cuts(table, low, high)]
            cursor.execute(copying.begins(table, connection.escape(low), cuts))
            bounds = [low, *(row[0] for row in cursor.fetchall())]
            for text in copying.selects(table, wanted, bounds, connection.escape):
                cursor.execute(text)
                rows += cursor.fetchall()
            assert len(rows) == len(set(rows)), f"{name}: no row twice"
            assert 400 <= len(rows) <= 1_000, (name, len(rows))
            cursor.execute(f"SELECT id FROM `{name}` ORDER BY id")
            place = {row[0]: at for at, row in enumerate(cursor.fetchall())}
            tenths = {place[row[0]] * 10 // 4000 for row in rows}
            assert len(tenths) == 10, (name, tenths)


async def test_samples_come_with_their_parents(my: Schema) -> None:
    shop(my)
    async with connect(Target.from_url(my.monitor_url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.copy_plan((REPORT, BY_AMOUNT), FEW)
        assert any("rows that many others name" in note for note in plan.notes)
        async with session.rehearse(plan, lambda _: None) as stage:
            assert isinstance(stage, Stage)
            copied = {one.name.partition(".")[2]: one for one in stage.copied}
            assert sum(one.rows for one in stage.copied) <= FEW.rows
            assert 0.05 < copied["orders"].share < 1 and copied["lines"].rows > 500
            fetch = stage.session.fetch
            await fetch(f"USE `{my.name}`")
            for child, column, parent in (("`lines`", "order_id", "orders"), ("orders", "customer_id", "customers")):
                lost = f"SELECT COUNT(*) FROM {child} WHERE {column} NOT IN (SELECT id FROM {parent})"
                assert await fetch(lost) == [(0,)]
            spread = await fetch("SELECT COUNT(DISTINCT id DIV 3000) FROM orders")
            assert spread == [(11,)] or spread == [(10,)], "rows from all over the table"
            assert await fetch("SELECT COUNT(*) FROM orders") == [(copied["orders"].rows,)]

            by = "SELECT COUNT(note) FROM orders WHERE customer_id = ?"
            ready = await stage.ready(by, 3, 1)
            gone = HideIndex(my.name, "orders", "orders_placed")
            assert "orders_placed" in await stage.change(gone)
            report = await stage.ready(REPORT, 3, 1)
            seen = [await stage.run(side, report, report.sets[0]) for side in ("before", "after")]
            used = [{node.index for node in one.plan.root.walk()} for one in seen]
            assert "orders_placed" not in used[1] and (await stage.run("before", ready, ready.sets[0])).rows == 1
            (drop,) = [
                await connected.render(DropIndex(my.name, "orders", "orders_placed")) for connected in (stage.session,)
            ]
            assert drop.undo_sql is not None
            proof = await stage.undone(DropIndex(my.name, "orders", "orders_placed"), drop.sql, drop.undo_sql)
            assert proof.proven, proof.doubt


async def test_a_named_server_gets_databases_that_are_gone_afterwards(
    my: Schema, private_my: Callable[..., Schema]
) -> None:
    shop(my)
    other = private_my(my.flavour)
    pattern = PREFIX.replace("_", "\\_") + "%"
    account = other.user(f"ALL ON `{pattern}`.*", name="sandboxes")
    left = f"{PREFIX}0123456789ab_0"
    other.execute(f"CREATE DATABASE {left}", f"CREATE DATABASE {PREFIX}mine")
    databases = f"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '{pattern}'"
    qualified = f"SELECT COUNT(*) FROM {my.name}.orders WHERE amount = ?"
    async with connect(Target.from_url(my.monitor_url), "rehearsal", Limits(call_s=60)) as session:
        named = Named(Target.from_url(account))
        plan = await session.copy_plan((qualified,), FEW, named)
        async with session.rehearse(plan, lambda _: None, named) as stage:
            assert isinstance(stage, Stage)
            names = {name for (name,) in other.fetch(databases)}
            assert left not in names and len(names) == 2, "what a killed process left is gone, what is not ours stays"
            ready = await stage.ready(qualified, 2, 1)
            await stage.change(CreateIndex(replace(AMOUNT, schema=my.name)))
            after = await stage.run("after", ready, ready.sets[0])
            assert "orders_amount" in {node.index for node in after.plan.root.walk()}
            undo = await stage.undone(SetSetting("sort_buffer_size", "1"), "SET GLOBAL x = 1", "SET GLOBAL x = 2")
            assert undo.doubt == "a setting of a named server is not touched"
        assert other.fetch(databases) == [(f"{PREFIX}mine",)]

        for url, why in (
            (my.monitor_url, "on the watched server itself"),
            (other.url, "on all of"),
            (other.user("SELECT ON *.*"), "No database can be made"),
        ):
            wrong = Named(Target.from_url(url))
            agreed = await session.copy_plan((qualified,), FEW, wrong)
            with pytest.raises(Refused, match=why):
                async with session.rehearse(agreed, lambda _: None, wrong):
                    pass
        with pytest.raises(Refused, match="another place"):
            async with session.rehearse(plan, lambda _: None, wrong):
                pass
        with pytest.raises(Refused, match="another server"):
            async with session.rehearse(replace(plan, source_id="other"), lambda _: None, named):
                pass
        with pytest.raises(Refused, match="template must be off"):
            await session.copy_plan((qualified,), FEW, replace(named, template=True))
        with pytest.raises(Refused, match="More came than there is room for"):
            less = replace(plan, limits=replace(FEW, bytes=1_000))
            async with session.rehearse(less, lambda _: None, named):
                pass
        assert other.fetch(databases) == [(f"{PREFIX}mine",)]


async def test_every_change_that_can_be_taken_back_is_seen_to_be(my: Schema) -> None:
    """Made and taken back in a sandbox without rows, by the statements that would run on the watched server."""
    shop(my)
    on = (my.name, "orders")
    changes: list[Change] = [
        CreateIndex(replace(AMOUNT, schema=my.name)),
        DropIndex(*on, "orders_placed"),
        HideIndex(*on, "orders_placed"),
        RenameIndex(*on, "orders_placed", "by_place"),
        SetTableOptions(*on, (("STATS_SAMPLE_PAGES", "64"),)),
        SetSetting("sort_buffer_size", "1048576"),
    ]
    my.execute("ALTER TABLE orders STATS_SAMPLE_PAGES = 32, STATS_AUTO_RECALC = 0")
    if my.flavour == "MySQL":
        changes.append(CreateStatistics(*on, ("status",), ("histogram",)))
    async with connect(Target.from_url(my.url), "rehearsal", Limits(call_s=60)) as session:
        plan = await session.schema_plan(changes[1], ALL)
        assert not plan.statements
        async with session.rehearse(plan, lambda _: None) as stage:
            for change in changes:
                rendered = await session.render(change)
                assert rendered.undo_sql is not None
                done = await stage.undone(change, rendered.sql, rendered.undo_sql)
                assert done.proven, (change, done)
        for gone in (Analyze(*on), Rebuild(*on)):
            assert (await session.render(gone)).undo_sql is None, "there is nothing to be taken back"
