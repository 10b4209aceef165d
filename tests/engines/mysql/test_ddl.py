"""Changing a server: only what was rendered, only once, nobody made to wait, and the catalogue has the last word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from meshag_tui.engines.base import DdlSession, EngineError, Gate, Limits, LockTimeout, PermissionDenied, Refused
from meshag_tui.engines.mysql import MysqlEngine, cluster, ddl
from meshag_tui.engines.mysql import gates as gate_checks
from meshag_tui.engines.mysql.session import connect
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
    SetSetting,
    ShowIndex,
    Target,
)
from tests.engines.mysql.conftest import Listen, Open
from tests.rig.mysql import ANSI_QUOTES, BINARY_LOG, PFS_OFF, Schema

TABLES = (
    "CREATE TABLE victim (id INT PRIMARY KEY)",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, status VARCHAR(20), note TEXT, "
    "KEY by_status (status), KEY first (note(10), status DESC) COMMENT 'it''s\\n; \\\\ ü€', KEY last (id, status))",
    "INSERT INTO orders WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
    "SELECT i, i % 100, 'done', CONCAT('note ', i) FROM n",
)


@pytest.fixture
def shop(my: Schema) -> Schema:
    """A shop on MariaDB and MySQL in turn."""
    my.execute(*TABLES)
    return my


def hands(schema: Schema, url: str | None = None) -> AbstractAsyncContextManager[DdlSession]:
    return ddl.connect_for_change(Target.from_url(url or schema.owner_url), Limits())


async def rendered(schema: Schema, change: Change, url: str | None = None) -> Any:
    async with connect(Target.from_url(url or schema.owner_url), "test", Limits()) as session:
        return await session.render(change)


def definition(schema: Schema, table: str = "orders") -> str:
    return str(schema.fetch(f"SHOW CREATE TABLE `{table}`")[0][1])


def create(schema: Schema) -> CreateIndex:
    return CreateIndex(IndexSpec(schema.name, "orders", (IndexColumn("customer_id"),)))


async def test_each_change_and_its_undo_leave_the_table_as_it_was(shop: Schema) -> None:
    shop.execute(
        'CREATE TABLE `od``d; %s` (a INT, `b "x"` VARCHAR(30) CHARACTER SET latin1, KEY k (a), KEY l (a, `b "x"`))'
    )
    odd = IndexSpec(shop.name, "od`d; %s", (IndexColumn('b "x"', opclass="(7)"), IndexColumn("a", descending=True)))
    changes: list[Change] = [
        create(shop),
        CreateIndex(odd),
        *(DropIndex(shop.name, "orders", name) for name in ("by_status", "first", "last")),
        DropIndex(shop.name, "od`d; %s", "k"),
        HideIndex(shop.name, "orders", "first"),
    ]
    async with hands(shop) as session:
        for change in changes:
            table = change.spec.table if isinstance(change, CreateIndex) else change.table
            before = shop.fetch(f"SHOW CREATE TABLE `{table.replace('`', '``')}`")
            found = await rendered(shop, change)
            assert await session.verify(change, found) == "absent"
            await session.run(change, found.sql)
            assert await session.verify(change, found) == "done"
            assert shop.fetch(f"SHOW CREATE TABLE `{table.replace('`', '``')}`") != before
            undo: Change
            if isinstance(change, CreateIndex):
                undo = DropIndex(shop.name, table, found.target["index"])
            elif isinstance(change, DropIndex):
                assert "\n" not in found.undo_sql
                undo = RestoreIndex(shop.name, table, change.name, (found.undo_sql,))
            else:
                assert isinstance(change, HideIndex)
                undo = ShowIndex(shop.name, table, change.name)
            back = await rendered(shop, undo)
            assert back.sql == found.undo_sql
            await session.run(undo, back.sql)
            assert await session.verify(undo, back) == "done"
            assert await session.verify(change, found) == "absent"
            assert shop.fetch(f"SHOW CREATE TABLE `{table.replace('`', '``')}`") == before


async def test_putting_an_index_back_in_its_place_rebuilds_no_other(shop: Schema) -> None:
    ids = "INNODB_INDEXES i JOIN information_schema.INNODB_TABLES"
    if shop.flavour == "MariaDB":
        ids = "INNODB_SYS_INDEXES i JOIN information_schema.INNODB_SYS_TABLES"
    query = (
        f"SELECT i.NAME, i.INDEX_ID FROM information_schema.{ids} t ON t.TABLE_ID = i.TABLE_ID WHERE t.NAME = %s"
        " AND i.NAME <> 'by_status' ORDER BY 1"
    )
    before = shop.fetch(query, (f"{shop.name}/orders",))
    drop = DropIndex(shop.name, "orders", "by_status")
    async with hands(shop) as session:
        gone = await rendered(shop, drop)
        await session.run(drop, gone.sql)
        back = RestoreIndex(shop.name, "orders", "by_status", (gone.undo_sql,))
        assert gone.undo_sql.count("DROP INDEX") == 2
        await session.run(back, gone.undo_sql)
    assert len(before) == 3 and shop.fetch(query, (f"{shop.name}/orders",)) == before


async def test_analyze_and_rebuild(shop: Schema) -> None:
    before = definition(shop)
    async with hands(shop) as session:
        for change in (Analyze(shop.name, "orders"), Rebuild(shop.name, "orders")):
            found = await rendered(shop, change)
            assert await session.verify(change, found) == "absent"
            await session.run(change, found.sql)
            assert await session.verify(change, found) == "done"
    assert definition(shop) == before


CORPUS = [
    "DROP TABLE victim",
    "{sql}; DROP TABLE victim",
    "{sql} /* */; DROP TABLE victim --",
    "{sql}\x00; DROP TABLE victim",
    "{sql};\nDROP TABLE victim",
    "{sql} -- x",
    "{sql} # x",
    "{sql} /*!50000 , DROP COLUMN status */",
    "{sql} /*M!100000 , DROP COLUMN status */",
    "/*!50000 DROP TABLE victim */",
    "/*M! DROP TABLE victim */",
    "ALTER TABLE `{name}`.`orders` /*!50000 DROP COLUMN status, */ DROP INDEX `by_status`, {terms}",
    "ALTER TABLE `{name}`.`victim` DROP INDEX `by_status`, {terms}",
    "ALTER TABLE `{name}`.`orders` DROP PRIMARY KEY, {terms}",
    "ALTER TABLE `{name}`.`orders` DROP COLUMN `status`, {terms}",
    "ALTER TABLE `{name}`.`orders` DROP INDEX `by_status`, DROP COLUMN `status`, {terms}",
    "ALTER TABLE `{name}`.`orders` DROP INDEX `by_status`",
    "ALTER TABLE `{name}`.`orders` DROP INDEX `by_status`, ALGORITHM=COPY, LOCK=NONE",
    "ALTER TABLE `{name}`.`orders` DROP INDEX `by_status`, ALGORITHM=INPLACE, LOCK=EXCLUSIVE",
    "ALTER TABLE `{name}`.`orders` DROP INDEX IF EXISTS `by_status`, {terms}",
    "ALTER TABLE `{name}`.`orders` ADD UNIQUE INDEX `i` (`customer_id`), {terms}",
    "ALTER TABLE `{name}`.`orders` ADD INDEX `i` ((sleep(1))), {terms}",
    "ALTER TABLE `{name}`.`orders` ADD INDEX `i` (`customer_id`), RENAME TO `x`, {terms}",
    "ALTER TABLE `{name}`.`orders` ENGINE=MyISAM, {terms}",
    "ALTER TABLE orders DROP INDEX by_status",
    "DROP INDEX `by_status` ON `{name}`.`orders`",
    "ANALYZE TABLE `{name}`.`orders`, `{name}`.`victim`",
    "ANALYZE NO_WRITE_TO_BINLOG TABLE `{name}`.`orders`, `{name}`.`victim`",
    "OPTIMIZE TABLE `{name}`.`orders`",
    "SET GLOBAL read_only = 1",
    "SELECT * FROM `{name}`.`orders` INTO OUTFILE '/tmp/x'",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE `{name}`.`victim`",
    "ＤＲＯＰ TABLE victim",
    "",
    "--",
]


async def test_only_the_rendered_statement_is_ever_sent(shop: Schema) -> None:
    changes: list[Change] = [
        create(shop),
        DropIndex(shop.name, "orders", "by_status"),
        HideIndex(shop.name, "orders", "by_status"),
        Analyze(shop.name, "orders"),
        Rebuild(shop.name, "orders"),
    ]
    before = definition(shop)
    terms = "ALGORITHM=INPLACE, LOCK=NONE"
    async with hands(shop, shop.url) as session:
        for change in changes:
            sql = (await rendered(shop, change)).sql
            for text in CORPUS:
                sent = text.replace("{sql}", sql).replace("{name}", shop.name).replace("{terms}", terms)
                if isinstance(change, DropIndex) and sent == sql:
                    continue
                with pytest.raises(Refused):
                    await session.run(change, sent)
                with pytest.raises(Refused):
                    await session.run(RestoreIndex(shop.name, "orders", "i", (sent,)), sent)
    assert definition(shop) == before and shop.fetch("SELECT COUNT(*) FROM victim") == [(0,)]


async def test_a_statement_rendered_for_another_state_is_refused(shop: Schema) -> None:
    change = create(shop)
    async with hands(shop) as session:
        found = await rendered(shop, change)
        shop.execute("ALTER TABLE orders ADD KEY mine (customer_id)")
        with pytest.raises(Refused, match="mine"):
            await session.run(change, found.sql)
        gate = _gate(await session.gates(change, found, 1000), "name and equal indexes")
        assert gate.state == "block" and "mine" in gate.detail


# ---------------------------------------------------------------------------------------------- refused by the server


@contextmanager
def everything_permitted(monkeypatch: pytest.MonkeyPatch, sql: str, target: dict[str, Any]) -> Any:
    """The session sends `sql` as if it were what was rendered: for what the server itself makes of it."""
    from meshag_tui.engines.base import RenderedChange
    from meshag_tui.engines.mysql import permitted, render

    async def as_given(*_: object) -> RenderedChange:
        return RenderedChange(sql, None, target)

    with monkeypatch.context() as patched:
        patched.setattr(permitted, "check", lambda *_: None)
        patched.setattr(render, "render", as_given)
        yield


async def test_what_would_copy_the_table_is_refused_by_the_server_and_nothing_changed(
    shop: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.execute("ALTER TABLE orders ADD FULLTEXT KEY words (note)", "CREATE TABLE old (a INT) ENGINE = MyISAM")
    before = definition(shop)
    rebuild = Rebuild(shop.name, "orders")
    async with hands(shop) as session:
        found = await rendered(shop, rebuild)
        with pytest.raises(EngineError, match=r"1846|not supported"):
            await session.run(rebuild, found.sql)
        assert await session.verify(rebuild, found) == "absent"
        terms = found.sql.partition("FORCE, ")[2]
        for sql in (
            f"ALTER TABLE `{shop.name}`.`orders` MODIFY `customer_id` BIGINT, {terms}",
            f"ALTER TABLE `{shop.name}`.`orders` ADD FULLTEXT INDEX `more` (`status`), {terms}",
            f"ALTER TABLE `{shop.name}`.`old` ADD INDEX `a` (`a`), {terms}",
        ):
            with (
                everything_permitted(monkeypatch, sql, {"schema": shop.name, "table": "orders", "created": 0}),
                pytest.raises(EngineError, match=r"184[56]"),
            ):
                await session.run(rebuild, sql)
    assert definition(shop) == before and "KEY" not in definition(shop, "old")


async def test_an_account_without_the_right_is_told_and_nothing_is_half_done(shop: Schema) -> None:
    before = definition(shop)
    changes = (create(shop), DropIndex(shop.name, "orders", "by_status"), Analyze(shop.name, "orders"))
    async with hands(shop, shop.monitor_url) as session:
        for change in changes:
            found = await rendered(shop, change, shop.monitor_url)
            gate = _gate(await session.gates(change, found, 1000), "privileges")
            assert gate.state == "block"
            wanted = "INSERT" if isinstance(change, Analyze) else "ALTER"
            assert gate.detail == f"GRANT {wanted} ON `{shop.name}`.`orders` TO '{shop.name}_monitor'@'%';"
            with pytest.raises(PermissionDenied):
                await session.run(change, found.sql)
            assert await session.verify(change, found) == "absent"
    assert definition(shop) == before


async def test_a_right_may_come_by_a_role_or_a_pattern_or_the_table(shop: Schema) -> None:
    watching = ("PROCESS ON *.*", "SELECT ON performance_schema.*")
    pattern = shop.user(*watching, f"ALTER, SELECT ON `{shop.name[0]}%`.*")
    table = shop.user(*watching, "SELECT ON orders", "ALTER ON victim", "ALTER ON orders")
    columns = shop.user(*watching, "SELECT (id), UPDATE (status) ON orders")
    everything = shop.user("ALL ON *.*")
    by_role = shop.user("SELECT ON performance_schema.*")
    role, who = f"{shop.name}_r", f"'{Target.from_url(by_role).user}'@'%'"
    shop.execute(f"CREATE ROLE {role}", f"GRANT ALTER, SELECT ON {shop.name}.* TO {role}", f"GRANT {role} TO {who}")
    shop.execute(f"SET DEFAULT ROLE {role} {'FOR' if shop.flavour == 'MariaDB' else 'TO'} {who}")
    try:
        found = await rendered(shop, create(shop))
        for url, state in (
            (pattern, "pass"),
            (table, "pass"),
            (columns, "block"),
            (everything, "pass"),
            (by_role, "pass"),
        ):
            async with hands(shop, url) as session:
                assert _gate(await session.gates(create(shop), found, 1000), "privileges").state == state
        async with hands(shop, by_role) as session:
            await session.run(create(shop), found.sql)  # and the server is of the same mind
            drop = DropIndex(shop.name, "orders", "last")
            gates = await session.gates(drop, await rendered(shop, drop), None)
            blind = _gate(gates, "oldest transaction")
            assert (blind.value, blind.state) == ("unknown", "block") and "GRANT PROCESS" in blind.detail
    finally:
        shop.execute(f"DROP ROLE {role}")


# ---------------------------------------------------------------------------------------------- locks


@contextmanager
def writing(schema: Schema) -> Any:
    """A transaction that has written to orders and stays open; its session's number."""
    connection = schema.connect(autocommit=False)
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE orders SET status = 'x' WHERE id = 1")
        yield connection
    finally:
        connection.rollback()
        connection.close()


async def test_an_open_writer_is_named_and_left_alone(shop: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 1)
    change = create(shop)
    found = await rendered(shop, change)
    async with hands(shop) as session:
        with writing(shop) as writer:
            who = rf"blocked by session {writer.thread_id()} \(app@\w+\), for \d+ s"
            for _ in range(2):
                with pytest.raises(LockTimeout, match=who):
                    await session.run(change, found.sql)
            assert await session.verify(change, found) == "absent"
            writer.commit()
        await session.run(change, found.sql)
        assert await session.verify(change, found) == "done"


async def test_where_locks_are_shown_nobody_is_made_to_stand_behind_us(
    mysql: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction has used the table for a while: we do not even get in line, so a new reader is served at once."""
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 1)
    mysql.execute(*TABLES)
    change = create(mysql)
    found = await rendered(mysql, change)
    async with hands(mysql) as session:
        with writing(mysql):
            await asyncio.sleep(2.1)
            task = asyncio.create_task(session.run(change, found.sql))
            waiting = 0
            while not task.done():
                waiting += len(
                    mysql.fetch("SELECT 1 FROM performance_schema.metadata_locks WHERE LOCK_STATUS = 'PENDING'")
                )
                await asyncio.sleep(0.05)
            with pytest.raises(LockTimeout, match="in use; blocked by session"):
                await task
            assert waiting == 0


async def test_gates_say_who_is_in_the_way(shop: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_checks, "LONGEST_TRANSACTION_S", 0)
    change = create(shop)
    found = await rendered(shop, change)
    async with hands(shop) as session:
        with writing(shop) as writer:
            await asyncio.sleep(1.2)
            gate = _gate(await session.gates(change, found, 1000), "oldest transaction")
            assert gate.state == "block" and f"session {writer.thread_id()} (app@localhost)" in gate.detail

        async def old() -> str:
            return _gate(await session.gates(change, found, 1000), "oldest transaction").state

        await _until(old, "pass")
        with shop.connect() as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLES orders READ")
            waiter = shop.connect()
            stuck = asyncio.create_task(asyncio.to_thread(_update, waiter))
            for _ in range(600):
                await asyncio.sleep(0.05)
                gate = _gate(await session.gates(change, found, 1000), "locks on the table")
                if gate.state == "block":
                    break
            cursor.execute("UNLOCK TABLES")
            await stuck
            assert gate.state == "block" and f"session {waiter.thread_id()} " in gate.detail
            waiter.close()


def _update(connection: pymysql.Connection[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders SET status = 'x' WHERE id = 2")


async def test_where_analyze_holds_others_up_an_old_statement_blocks_it(
    mysql: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL before 8.0.24; here the server is taken for such a one."""
    shop = mysql
    shop.execute(*TABLES)
    monkeypatch.setattr(gate_checks, "LONGEST_STATEMENT_S", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    change = Analyze(shop.name, "orders")
    found = await rendered(shop, change)
    readers = [shop.connect(), shop.connect()]
    busy = [asyncio.create_task(asyncio.to_thread(_slow, reader)) for reader in readers]
    await asyncio.sleep(1.2)
    async with hands(shop) as session:
        assert "oldest transaction" not in [gate.name for gate in await session.gates(change, found, None)]
        monkeypatch.setattr(gate_checks, "holds_up", lambda *_: True)
        gates = await session.gates(change, found, None)
    await asyncio.gather(*busy)
    gate = _gate(gates, "oldest transaction")
    assert gate.state == "block" and all(f"session {reader.thread_id()} " in gate.detail for reader in readers)
    assert _gate(gates, "active sessions").state == "block"
    for reader in readers:
        reader.close()


def _slow(connection: pymysql.Connection[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), SLEEP(2.5) FROM orders WHERE id = 1")


async def test_gates_of_a_quiet_server_let_through(shop: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hands(shop) as session:
        for change in (
            create(shop),
            DropIndex(shop.name, "orders", "last"),
            HideIndex(shop.name, "orders", "last"),
            Rebuild(shop.name, "orders"),
            Analyze(shop.name, "orders"),
        ):
            gates = await session.gates(change, await rendered(shop, change), 1_000_000)
            busy = {"active sessions"}  # other tests' sessions on this server
            assert [gate for gate in gates if gate.state != "pass" and gate.name not in busy] == []
        found = await rendered(shop, create(shop))
        bounded = _gate(await session.gates(create(shop), found, None), "free disk")
        assert bounded.state == "pass" and "3 × the table" in bounded.limit
        assert _gate(await session.gates(create(shop), found, 10**18), "free disk").state == "block"
        with monkeypatch.context() as patched:
            patched.setattr(gate_checks, "free_bytes", lambda folder: None)
            unknown = _gate(await session.gates(create(shop), found, 1000), "free disk")
            assert (unknown.value, unknown.state) == ("unknown", "unknown")
        shop.execute("ALTER TABLE orders RENAME TO orders_old")
        assert _gate(await session.gates(create(shop), found, 1000), "name and equal indexes").state == "block"


async def test_a_statement_that_names_the_index_blocks_hiding_it(shop: Schema) -> None:
    shop.fetch("SELECT COUNT(*) FROM orders o FORCE INDEX FOR JOIN (by_status, last) WHERE status = 'x'")
    shop.fetch("SELECT COUNT(*) FROM orders WHERE status = 'by_status' AND note = 'FORCE INDEX (first)'")
    shop.execute("CREATE VIEW hinted AS SELECT id FROM orders USE INDEX (by_status) WHERE note = 'canary'")
    async with hands(shop) as session:
        hide = HideIndex(shop.name, "orders", "by_status")
        gate = _gate(await session.gates(hide, await rendered(shop, hide), None), "statements that name it")
        assert (gate.state, gate.detail) == ("block", "It would fail: the view hinted"), "without what it compares with"
        for name, state in (("last", "block"), ("first", "pass")):
            for change in (HideIndex(shop.name, "orders", name), DropIndex(shop.name, "orders", name)):
                gate = _gate(await session.gates(change, await rendered(shop, change), None), "statements that name it")
                assert gate.state == state
                assert ("FORCE INDEX" in gate.detail) == (state == "block")
    shop.execute("DROP VIEW hinted", "CREATE VIEW plain AS SELECT id FROM orders")
    replicates = "SLAVE MONITOR" if shop.flavour == "MariaDB" else "REPLICATION CLIENT"
    account = shop.user(f"SELECT, ALTER ON `{shop.name}`.*", "PROCESS ON *.*", f"{replicates} ON *.*")
    who = f"'{Target.from_url(account).user}'@'%'"
    hide = HideIndex(shop.name, "orders", "first")
    for grant in (f"SHOW VIEW ON `{shop.name}`.*", "SELECT ON performance_schema.*"):
        async with hands(shop, account) as session:
            gate = _gate(await session.gates(hide, await rendered(shop, hide), None), "statements that name it")
        assert (gate.value, gate.state) == ("unknown", "block") and f"GRANT {grant} TO {who};" in gate.detail
        shop.execute(f"GRANT {grant} TO {who}")
    async with hands(shop, account) as session:
        gates = await session.gates(hide, await rendered(shop, hide), None)
    assert _gate(gates, "statements that name it").state == "pass"


# ---------------------------------------------------------------------------------------------- sessions


async def test_cancelling_ends_the_statement_on_the_server_and_the_session_lives(
    shop: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 30)
    change = create(shop)
    found = await rendered(shop, change)
    async with hands(shop) as session:
        with writing(shop):
            task = asyncio.create_task(session.run(change, found.sql))
            await _until_waiting(shop)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert _statements(shop) == []
        assert await session.verify(change, found) == "absent"
        await session.run(change, found.sql)


async def test_a_session_that_dies_leaves_its_statement_running_and_another_adopts_it(
    shop: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 30)
    change = create(shop)
    found = await rendered(shop, change)
    engine = MysqlEngine()
    async with hands(shop) as first, hands(shop) as second, hands(shop) as third:
        with writing(shop):
            task = asyncio.create_task(first.run(change, found.sql))
            await _until_waiting(shop)
            seen = await engine.progress(await open_session(shop.monitor_url), first.backend_pid)
            assert seen is not None and "Waiting for table metadata lock" in seen.phase
            await first.close()
            with pytest.raises(EngineError):
                await task
            assert await second.verify(change, found) == "running"
            assert await second.adopt(first.backend_pid, first.backend_start, None)
            assert not await second.adopt(first.backend_pid, first.backend_start - 60_000, None)  # of another start
        await _until(lambda: second.verify(change, found), "done")
        assert not await second.adopt(first.backend_pid, first.backend_start, None)
        assert await second.verify(change, found) == "done"
        # One that does nothing is ended, so that it begins nothing later.
        assert await second.adopt(third.backend_pid, third.backend_start, None)
        await _until(lambda: second.adopt(third.backend_pid, third.backend_start, None), False)
        with pytest.raises(EngineError):
            await third.run(DropIndex(shop.name, "orders", "last"), "")
            await third.verify(change, found)


async def test_an_adopted_statement_is_stopped(shop: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 30)
    change = create(shop)
    found = await rendered(shop, change)
    async with hands(shop) as first, hands(shop) as second:
        with writing(shop):
            task = asyncio.create_task(first.run(change, found.sql))
            await _until_waiting(shop)
            assert await second.adopt(first.backend_pid, first.backend_start, None)
            await second.stop_adopted()
            with pytest.raises(EngineError):
                await task
            await _until(lambda: second.adopt(first.backend_pid, first.backend_start, None), False)
        assert await second.verify(change, found) == "absent"


async def test_work_thrown_away_for_a_lock_is_not_begun_again(shop: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is needed at the end as well; whoever holds it then makes hours of work be for nothing."""
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 1)
    monkeypatch.setattr(ddl, "LONG_S", 0.5)
    found = await rendered(shop, create(shop))
    async with hands(shop) as session:
        with writing(shop), pytest.raises(EngineError, match=r"After \d s of work.*blocked by") as failed:
            await session.run(create(shop), found.sql)
    assert not isinstance(failed.value, LockTimeout)


async def test_a_read_only_server_is_refused(private_my: Callable[..., Schema], flavour: str) -> None:
    schema = private_my(flavour)
    schema.execute(*TABLES)
    found = await rendered(schema, create(schema))
    async with hands(schema) as session:
        schema.execute("SET GLOBAL read_only = 1")
        gate = _gate(await session.gates(create(schema), found, None), "server role")
        assert (gate.state, gate.value) == ("block", "read_only")
    with pytest.raises(Refused, match="read-only server"):
        async with hands(schema):
            pass


async def test_replicas_and_a_server_without_performance_schema(
    private_my: Callable[..., Schema], flavour: str
) -> None:
    schema = private_my(flavour, {**PFS_OFF, **BINARY_LOG})
    schema.execute(*TABLES)
    hide = HideIndex(schema.name, "orders", "last")
    async with hands(schema, schema.url) as session:
        gates = await session.gates(hide, await rendered(schema, hide), None)
        assert _gate(gates, "statements that name it").state == "unknown"
        assert _gate(gates, "locks on the table").value == "nobody has it in use"
        with schema.connect() as other, other.cursor() as cursor:
            cursor.execute("LOCK TABLES orders READ")
            gate = _gate(await session.gates(hide, await rendered(schema, hide), None), "locks on the table")
            assert (gate.value, gate.state) == ("unknown", "unknown") and "performance_schema=ON" in gate.detail
            cursor.execute("UNLOCK TABLES")
        found = await rendered(schema, create(schema))
        gates = await session.gates(create(schema), found, 1000)
        assert _gate(gates, "replica lag").value == "no replicas"
        schema.execute("SET GLOBAL max_connections = 10")
        with schema.replica():
            gates = await session.gates(create(schema), found, 1000)
        assert _gate(gates, "replica lag").state == "unknown" and "1 replica" in _gate(gates, "replica lag").value
        assert _gate(gates, "free connections").state == "block"
        await session.run(create(schema), found.sql)
        assert await session.verify(create(schema), found) == "done"


async def test_a_pooler_is_refused_and_said(shop: Schema, fake_server: Listen) -> None:
    """What hands our statements to sessions of its own greets with a number that none of them has."""
    there = Target.from_url(shop.owner_url)

    async def pools(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asks = await asyncio.open_connection(there.host, there.port)
        head = await answers.readexactly(4)
        greeting = await answers.readexactly(int.from_bytes(head[:3], "little"))
        number = greeting.index(b"\0", 1) + 1
        writer.write(head + greeting[:number] + (999_999).to_bytes(4, "little") + greeting[number + 4 :])
        passing = asyncio.create_task(_pass(answers, writer))
        await _pass(reader, asks)
        asks.transport.abort()
        await passing

    async with fake_server(pools) as place:
        pooler = replace(there, host=place.host, port=place.port)
        with pytest.raises(Refused, match="connection pooler"):
            async with ddl.connect_for_change(pooler, Limits()):
                pass
        async with connect(pooler, "sync", Limits()) as session:
            assert not session.keepable
            assert "proxy-pools" in {finding.code for finding in (await session.collect()).warnings}


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


async def test_names_are_right_under_any_mode_and_the_binary_log_has_the_change(
    private_my: Callable[..., Schema], flavour: str
) -> None:
    """A filter of the binary log goes by the default schema of the session that sends a statement."""
    schema = private_my(flavour, {**ANSI_QUOTES, **BINARY_LOG, "binlog-do-db": "shop"}, lower_case_table_names=1)
    schema.execute(
        "SET GLOBAL sql_quote_show_create = OFF",
        'CREATE TABLE "Größe" ("Wert ""x""" VARCHAR(40) CHARACTER SET gbk, "b`c" INT, KEY "K`1" ("Wert ""x"""(5)), '
        'KEY "zwei" ("b`c"), KEY "DREI" ("b`c", "Wert ""x""")) CHARACTER SET latin1',
    )
    before = definition(schema, "größe")
    changes: list[Change] = [
        CreateIndex(IndexSpec("shop", "größe", (IndexColumn("b`c", descending=True), IndexColumn('wert "X"')))),
        DropIndex("shop", "größe", "K`1"),
    ]
    async with hands(schema, schema.url) as session:
        for change in changes:
            found = await rendered(schema, change, schema.url)
            await session.run(change, found.sql)
            back: Change = DropIndex("shop", "größe", found.target["index"])
            if isinstance(change, DropIndex):
                back = RestoreIndex("shop", "größe", change.name, (found.undo_sql,))
            assert definition(schema, "größe") != before
            await session.run(back, (await rendered(schema, back, schema.url)).sql)
            assert definition(schema, "größe") == before
    events = [str(row[5]) for row in schema.fetch("SHOW BINLOG EVENTS")]
    assert len([event for event in events if "ALTER /* meshag */ TABLE `shop`.`größe`" in event]) == 4


async def test_the_session_is_recognisable_and_short_of_patience(shop: Schema) -> None:
    async with hands(shop) as session:
        assert isinstance(session, ddl.MysqlDdlSession)
        attributes = shop.fetch(
            "SELECT ATTR_VALUE FROM performance_schema.session_connect_attrs "
            "WHERE PROCESSLIST_ID = %s AND ATTR_NAME = 'program_name'",
            (session.backend_pid,),
        )
        assert attributes == [("meshag/apply",)]
        shown = await session._wire.fetch("SELECT @@lock_wait_timeout, @@sql_mode, DATABASE()")
        assert shown == [(2, "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION", "information_schema")]


@pytest.fixture(params=["MariaDB", "MySQL"], ids=str.lower)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _gate(gates: tuple[Gate, ...], name: str) -> Gate:
    return next(gate for gate in gates if gate.name == name)


def _statements(schema: Schema) -> list[tuple[Any, ...]]:
    """Our statements that change this schema, now."""
    query = "SELECT ID, STATE FROM information_schema.PROCESSLIST WHERE INFO LIKE 'A%%/* meshag */%%' AND INFO LIKE %s"
    return schema.fetch(query, (f"%`{schema.name}`%",))


async def _until_waiting(schema: Schema) -> None:
    async def waits() -> bool:
        return any("metadata lock" in str(state) for _, state in _statements(schema))

    await _until(waits, True)


async def _until(ask: Callable[[], Awaitable[Any]], answer: object) -> None:
    for _ in range(400):
        if await ask() == answer:
            return
        await asyncio.sleep(0.15)  # INNODB_TRX is renewed only when nobody has read it for 0.1 s
    raise AssertionError(f"it never said {answer}")


@pytest.mark.parametrize(
    ("method", "change", "state", "said"),
    [
        ("TOI", CreateIndex(IndexSpec("s", "t", (IndexColumn("a"),))), "block", "node by node"),
        ("TOI", HideIndex("s", "t", "i"), "warn", "every node stands still"),
        ("RSU", HideIndex("s", "t", "i"), "block", "this node alone is changed"),
        ("TOI", Analyze("s", "t"), "warn", "analyze the others too"),
        ("RSU", SetSetting("long_query_time", "1"), "warn", "the others keep theirs"),
    ],
)
def test_what_a_change_does_to_a_cluster(method: str, change: Change, state: str, said: str) -> None:
    node = {"wsrep_on": "ON", "wsrep_provider": "/usr/lib/libgalera_smm.so", "wsrep_osu_method": method}
    gate = cluster.gate(node, change)
    assert gate is not None and (gate.state, gate.value) == (state, f"Galera, {method}") and said in gate.detail
    assert cluster.gate(node | {"wsrep_provider": "none"}, change) is None
    assert cluster.gate({"wsrep_on": "OFF"}, change) is None
