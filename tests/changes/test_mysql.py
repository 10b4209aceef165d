"""Changes of MySQL and MariaDB: put back exactly, refused rather than blocking, once at most, and always an end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pymysql
import pytest
from textual.pilot import Pilot

from meshag_tui.app import MeshagApp
from meshag_tui.changes import apply
from meshag_tui.changes import review as reviews
from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import ddl
from meshag_tui.engines.mysql import gates as gate_checks
from meshag_tui.screens.apply import ApplyDialog
from meshag_tui.servers.mysqld import MARIADB, MYSQL
from meshag_tui.servers.rundir import DATA
from meshag_tui.settings import Settings
from meshag_tui.store import changes, executions, suggestions
from meshag_tui.types import (
    Analyze,
    Change,
    ChangeState,
    CreateIndex,
    DropIndex,
    HideIndex,
    IndexColumn,
    IndexSpec,
    MeshagError,
    Rebuild,
    ShowIndex,
    SuggestionStatus,
)
from meshag_tui.workflows import change as workflow
from meshag_tui.workflows.durable import RunCancelled, RunFailed
from meshag_tui.workflows.workbench import Workbench
from tests.changes.conftest import Desk, until
from tests.rig.commands import Commands
from tests.rig.mysql import Schema, Servers
from tests.rig.screen import shown

Reopened = Callable[[], Awaitable[Workbench]]
Another = Callable[[str], subprocess.Popen[str]]

SHOP = (
    "CREATE TABLE customers (id INT PRIMARY KEY)",
    "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer_id INT, status VARCHAR(20), note VARCHAR(200), "
    '`100% "odd" ``” name` TEXT CHARACTER SET latin1, KEY plain (customer_id), KEY status (status) '
    "COMMENT 'it''s;\\n the \\\\ yearly \"report\" €', KEY prefixed (`100% \"odd\" ``” name`(7) DESC, status(3), id), "
    "FULLTEXT KEY words (note), KEY `od``d; -- (` (note, status) KEY_BLOCK_SIZE=4, UNIQUE KEY one (id, note), "
    "CONSTRAINT bought FOREIGN KEY (customer_id) REFERENCES customers (id))",
    "CREATE TABLE parts (a INT PRIMARY KEY, b INT, KEY b (b)) PARTITION BY HASH (a) PARTITIONS 3",
    "INSERT INTO orders (id, status, note) "
    "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
    "SELECT i, 'done', CONCAT('n', i) FROM n",
)


WAREHOUSE = (
    "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(250))",
    "INSERT INTO orders (note) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
    "SELECT CONCAT(REVERSE(i), REPEAT('x', 230)) FROM n",
    *["INSERT INTO orders (note) SELECT INSERT(note, 1, 1, CHAR(97 + id MOD 26)) FROM orders"] * 8,
)


def definitions(schema: Schema) -> dict[str, str]:
    """What the server prints of each table: equal before and after means that nothing was left. The next number of an
    AUTO_INCREMENT column is left out, which InnoDB reckons anew after a crash."""
    tables = [name for (name,) in schema.fetch("SHOW TABLES")]
    printed = {name: schema.fetch(f"SHOW CREATE TABLE `{name}`")[0][1] for name in tables}
    return {name: re.sub(r" AUTO_INCREMENT=\d+", "", text) for name, text in printed.items()}


def index(schema: Schema, *columns: IndexColumn, table: str = "orders", name: str | None = None) -> CreateIndex:
    return CreateIndex(IndexSpec(schema.name, table, columns, name=name))


def altering(schema: Schema) -> list[tuple[Any, ...]]:
    """Our statements that change this schema, now."""
    query = (
        "SELECT ID, STATE FROM information_schema.PROCESSLIST WHERE INFO LIKE 'ALTER /* meshag */%%' AND INFO LIKE %s"
    )
    return schema.fetch(query, (f"%`{schema.name}`%",))


def done(schema: Schema, words: str) -> int:
    """How often a statement with these words was run on this schema, by whomever."""
    query = (
        "SELECT COALESCE(SUM(COUNT_STAR), 0) FROM performance_schema.events_statements_summary_by_digest "
        "WHERE DIGEST_TEXT LIKE %s AND DIGEST_TEXT LIKE %s"
    )
    return int(schema.fetch(query, (f"%{words}%", f"%`{schema.name}`%"))[0][0])


@pytest.fixture
def shop(my: Schema) -> Schema:
    """A shop with every kind of index, on MariaDB and MySQL in turn."""
    my.execute(*SHOP)
    return my


@pytest.fixture(scope="module", params=(MARIADB, MYSQL), ids=str.lower)
def warehouse(my_servers: Servers, request: pytest.FixtureRequest) -> Iterator[Schema]:
    """A table on which an index takes a second or two to make."""
    for schema in my_servers.fresh(request.param):
        schema.execute(*WAREHOUSE)
        yield schema


@pytest.fixture
def slow(warehouse: Schema) -> Schema:
    """The same without what a test before left."""
    if len(warehouse.fetch("SHOW INDEX FROM orders")) > 1:
        warehouse.execute("ALTER TABLE orders DROP INDEX orders_note_idx")
    return warehouse


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock time-outs of one second and short pauses, so that five attempts end soon."""
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 1)
    monkeypatch.setattr(apply, "_pause_s", lambda attempt: 0.1)


def writing(schema: Schema) -> pymysql.Connection[Any]:
    """A transaction that has written to orders and stays open."""
    connection = schema.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders SET note = 'x' WHERE id = 1")
    return connection


# ---------------------------------------------------------------------------------------------- applied and undone


async def test_every_kind_is_undone_exactly_after_a_restart(desk: Desk, shop: Schema, reopened: Reopened) -> None:
    odd = IndexColumn('100% "odd" `” name', opclass="(9)")
    kinds: list[Change] = [
        index(shop, IndexColumn("customer_id"), IndexColumn("id", descending=True)),
        index(shop, odd, IndexColumn("note", opclass="(5)", descending=True), name="new `;” index"),
        index(shop, IndexColumn("b"), IndexColumn("a"), table="parts"),
        HideIndex(shop.name, "orders", "status"),
        DropIndex(shop.name, "orders", "status"),
        DropIndex(shop.name, "orders", "prefixed"),
        DropIndex(shop.name, "orders", "od`d; -- ("),
    ]
    states = [definitions(shop)]
    rows = []
    for change in kinds:
        rows.append(await desk.apply(shop, change))
        states.append(definitions(shop))
        assert rows[-1].state is ChangeState.DONE and states[-1] != states[-2]
    assert "IGNORED" in str(rows[4].undo_sql) or "INVISIBLE" in str(rows[4].undo_sql)
    later = await reopened()
    for row in reversed(rows):
        states.pop()
        undone, review = await later.hands.review_undo(row.id)
        assert undone.id == row.id and review.sql == row.undo_sql and review.dialect == "mysql"
        assert (review.needs_name is not None) == isinstance(row.change, CreateIndex)
        put_back = await later.hands.undo(row.id, review.plan_hash, actor="bob")
        assert put_back.undoes == row.id and put_back.state is ChangeState.DONE
        assert definitions(shop) == states[-1]
    assert {each.state for each in await desk.journal() if each.undoes is None} == {ChangeState.UNDONE}


async def test_a_hidden_index_is_shown_and_hidden_again(desk: Desk, shop: Schema) -> None:
    before = definitions(shop)
    advice = await desk.suggest(shop, HideIndex(shop.name, "orders", "status"))
    review = await desk.bench.hands.review(advice.id)
    assert review.needs_name is None and "ALTER INDEX `status`" in review.sql
    hidden = await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.APPLIED
    shown = await desk.apply(shop, ShowIndex(shop.name, "orders", "status"))
    assert definitions(shop) == before
    await desk.bench.hands.undo(shown.id)
    assert definitions(shop) != before
    await desk.bench.hands.undo(hidden.id)
    assert definitions(shop) == before
    assert await desk.log("suggestion.reviewed") == ["suggestion.reviewed"] * 2


async def test_upkeep_is_confirmed_and_has_no_undo(desk: Desk, shop: Schema) -> None:
    before = definitions(shop)
    for change in (Analyze(shop.name, "orders"), Rebuild(shop.name, "parts")):
        row = await desk.apply(shop, change)
        assert row.state is ChangeState.DONE and row.undo_sql is None
        with pytest.raises(MeshagError, match="cannot be undone"):
            await desk.bench.hands.undo(row.id)
    assert definitions(shop) == before


async def test_an_index_that_is_another_by_now_is_not_dropped(desk: Desk, shop: Schema) -> None:
    row = await desk.apply(shop, index(shop, IndexColumn("note"), name="mine"))
    shop.execute("ALTER TABLE orders DROP KEY mine, ADD KEY mine (note, id)")
    before = definitions(shop)
    with pytest.raises(MeshagError, match="not the one"):
        await desk.bench.hands.undo(row.id)
    dropped = await desk.apply(shop, DropIndex(shop.name, "orders", "mine"))
    shop.execute("ALTER TABLE orders ADD KEY mine (id, note)")
    with pytest.raises(MeshagError, match="taken"):
        await desk.bench.hands.undo(dropped.id)
    shop.execute("ALTER TABLE orders DROP KEY mine")
    await desk.bench.hands.undo(dropped.id)
    assert definitions(shop) == before


async def test_an_index_comes_back_last_when_its_neighbours_changed(desk: Desk, shop: Schema) -> None:
    """What is to be named again must be what it was: nothing of somebody else's is ever put back."""
    dropped = await desk.apply(shop, DropIndex(shop.name, "orders", "status"))
    assert "DROP INDEX `prefixed`" in str(dropped.undo_sql)
    shop.execute("ALTER TABLE orders DROP KEY prefixed, ADD KEY prefixed (note)")
    _, review = await desk.bench.hands.review_undo(dropped.id)
    assert "DROP INDEX" not in review.sql
    await desk.bench.hands.undo(dropped.id, review.plan_hash)
    keys = [
        name
        for (name,) in shop.fetch(
            "SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS "
            "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = 'orders' AND COLUMN_NAME = 'note' AND SEQ_IN_INDEX = 1",
            (shop.name,),
        )
    ]
    assert "prefixed" in keys and "KEY `status` (`status`) COMMENT" in definitions(shop)["orders"]


# ---------------------------------------------------------------------------------------------- refused


async def test_what_would_copy_the_table_is_refused_and_nothing_changed(desk: Desk, shop: Schema) -> None:
    """A FULLTEXT index keeps a table from being rebuilt in place: the server says so instead of blocking everybody."""
    before = definitions(shop)
    advice = await desk.suggest(shop, Rebuild(shop.name, "orders"))
    review = await desk.bench.hands.review(advice.id)
    assert review.blocked_by == ()
    with pytest.raises(RunFailed, match=r"not supported.*1846.*the table \w+\.orders is as before"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    assert definitions(shop) == before
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]
    assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.NEW


CHANGED = {
    "another definition": "ALTER TABLE orders DROP KEY status, ADD KEY status (status, id)",
    "commented": "ALTER TABLE orders DROP KEY status, ADD KEY status (status) COMMENT 'needed every December'",
    "gone": "ALTER TABLE orders DROP KEY status",
    "table renamed": "ALTER TABLE orders RENAME TO orders_2",
    "table gone": "DROP TABLE orders",
    "needed": "CREATE TABLE codes (code VARCHAR(20) PRIMARY KEY)",
}


async def test_what_changed_since_it_was_looked_at_is_left_alone(
    desk: Desk, my: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    for meanwhile in CHANGED.values():
        my.execute("DROP TABLE IF EXISTS orders, orders_2, customers, parts, codes", *SHOP)
        advice = await desk.suggest(my, DropIndex(my.name, "orders", "status"))
        review = await desk.bench.hands.review(advice.id)
        my.execute(meanwhile)
        if "codes" in meanwhile:
            my.execute(
                "UPDATE orders SET status = NULL", "ALTER TABLE orders ADD FOREIGN KEY (status) REFERENCES codes (code)"
            )
        before = definitions(my)
        with pytest.raises(RunFailed, match=r"changed since|There is no (index|table)|foreign key"):
            await desk.bench.hands.apply(advice.id, review.plan_hash)
        assert definitions(my) == before
    rows = await desk.journal()
    assert {row.state for row in rows} == {ChangeState.FAILED} and {row.backend_pid for row in rows} == {None}
    advice = await desk.suggest(my, DropIndex(my.name, "orders", "prefixed"))
    review = await desk.bench.hands.review(advice.id)
    monkeypatch.setattr(reviews, "REVIEW_VALID_MS", 100)
    await asyncio.sleep(0.2)
    with pytest.raises(MeshagError, match="too old"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)


async def test_an_account_that_only_watches_changes_nothing(
    desk: Desk, shop: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = definitions(shop)
    kinds = (index(shop, IndexColumn("note")), HideIndex(shop.name, "orders", "status"), Analyze(shop.name, "orders"))
    for change in kinds:
        advice = await desk.suggest(shop, change, url=shop.monitor_url)
        review = await desk.bench.hands.review(advice.id)
        assert [gate.name for gate in review.blocked_by] == ["privileges"]
        with pytest.raises(RunFailed, match=r"privileges is without (ALTER|INSERT).*GRANT"):
            await desk.bench.hands.apply(advice.id, review.plan_hash)

    async def lets_everything_through(*_: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(gate_checks, "gates", lets_everything_through)
    for change in kinds:  # an account may lose its rights between the gate and the statement
        advice = await desk.suggest(shop, change, url=shop.monitor_url)
        review = await desk.bench.hands.review(advice.id)
        with pytest.raises(RunFailed, match=r"lacks a right.*(no index|as before|not renewed)") as denied:
            await desk.bench.hands.apply(advice.id, review.plan_hash)
        assert denied.value.code == "permission"
    assert definitions(shop) == before
    assert {row.state for row in await desk.journal()} == {ChangeState.FAILED}


async def test_a_server_that_became_read_only_is_refused(
    desk: Desk, private_my: Callable[..., Schema], flavour: str
) -> None:
    schema = private_my(flavour)
    schema.execute(*SHOP)
    before = definitions(schema)
    advice = await desk.suggest(schema, index(schema, IndexColumn("note")))
    review = await desk.bench.hands.review(advice.id)
    schema.execute("SET GLOBAL read_only = 1")
    with pytest.raises(RunFailed, match="read-only server"):
        await desk.bench.hands.apply(advice.id, review.plan_hash)
    with pytest.raises(Refused, match="read-only server"):
        await desk.bench.hands.review(advice.id)
    assert definitions(schema) == before
    assert [row.state for row in await desk.journal()] == [ChangeState.FAILED]


@pytest.fixture(params=(MARIADB, MYSQL), ids=str.lower)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---------------------------------------------------------------------------------------------- locks and traffic


@pytest.mark.usefixtures("impatient")
async def test_an_open_writer_is_named_and_the_index_made_when_it_ends(desk: Desk, shop: Schema) -> None:
    advice = await desk.suggest(shop, index(shop, IndexColumn("note"), IndexColumn("id")))
    review = await desk.bench.hands.review(advice.id)
    writer = writing(shop)
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    await until(lambda: any(row.attempts == 3 for row in desk.bench.store.run(changes.listing)))
    writer.commit()  # it was not cancelled, and can go on
    writer.close()
    row = await applying
    assert row.state is ChangeState.DONE and row.attempts >= 3
    run = next(run for run in await desk.bench.executions() if run.kind == "change_database")
    log = (await desk.bench.store(executions.get, run.id)).log
    warned = [line.message for line in log if line.level == "warning"]
    assert warned and f"session {writer.thread_id()} (app@localhost)" in warned[0]


async def test_of_a_deadlock_the_change_is_not_the_victim(
    desk: Desk, shop: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who read the table and then writes to it waits for the change that waits for him: the server picks him."""
    monkeypatch.setattr(ddl, "LOCK_TIMEOUT_S", 30)  # it still waits when the other one writes, however late that is
    advice = await desk.suggest(shop, index(shop, IndexColumn("note"), IndexColumn("id")))
    review = await desk.bench.hands.review(advice.id)
    with shop.connect(autocommit=False) as other, other.cursor() as cursor:
        cursor.execute("SELECT note FROM orders WHERE id = 1")
        applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
        await until(lambda: any("metadata lock" in (state or "") for _, state in altering(shop)))
        with pytest.raises(pymysql.OperationalError, match="Deadlock"):
            await asyncio.to_thread(cursor.execute, "UPDATE orders SET note = 'x' WHERE id = 1")
        other.rollback()
        row = await applying
    assert row.state is ChangeState.DONE and "orders_note_id_idx" in definitions(shop)["orders"]


@pytest.mark.usefixtures("impatient")
async def test_after_five_attempts_it_gives_up_and_nobody_waited_for_long(desk: Desk, shop: Schema) -> None:
    before = definitions(shop)
    makes, drops = index(shop, IndexColumn("note")), DropIndex(shop.name, "orders", "status")
    with writing(shop), Application(shop, patience_s=2) as application:
        advice = await desk.suggest(shop, makes if shop.flavour == MARIADB else drops)
        review = await desk.bench.hands.review(advice.id)
        with pytest.raises(RunFailed, match=r"blocked by session.*(no index|as before)") as failed:
            await desk.bench.hands.apply(advice.id, review.plan_hash)
        assert failed.value.code == "lock-timeout"
    assert definitions(shop) == before
    assert [(row.state, row.attempts) for row in await desk.journal()] == [(ChangeState.FAILED, 5)]
    assert application.failed == [] and application.requests > 20


class Application:
    """Clients that read and write orders all the time. One that must wait longer than `patience_s` for a lock fails."""

    def __init__(self, schema: Schema, patience_s: int) -> None:
        self.requests = 0
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._work, args=(schema, patience_s, 2 + each)) for each in range(3)]

    def __enter__(self) -> Application:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    def _work(self, schema: Schema, patience_s: int, number: int) -> None:
        with schema.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SET SESSION lock_wait_timeout = %s, innodb_lock_wait_timeout = %s", (patience_s, patience_s)
            )
            while not self._stop.is_set():
                try:
                    cursor.execute("SELECT note FROM orders WHERE id = %s", (number,))
                    cursor.execute("UPDATE orders SET note = CONCAT('n', id) WHERE id = %s", (number,))
                except pymysql.MySQLError as error:
                    self.failed.append(str(error))
                self.requests += 1
                self._stop.wait(0.01)


@contextlib.contextmanager
def showing_locks(schema: Schema) -> Iterator[None]:
    """Metadata locks are shown, as MySQL does by itself: else a table is in use at one look and not at the next."""
    switch = "UPDATE performance_schema.setup_instruments SET enabled = '{}' WHERE name = 'wait/lock/metadata/sql/mdl'"
    if schema.flavour == MARIADB:
        schema.execute(switch.format("YES"))
    yield
    if schema.flavour == MARIADB:
        schema.execute(switch.format("NO"))


async def test_no_request_of_the_application_waits_for_a_change(
    desk: Desk, shop: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)  # the clients of this test are no reason to hold back
    shop.execute("ALTER TABLE orders DROP KEY words")
    before = definitions(shop)
    with showing_locks(shop), Application(shop, patience_s=1) as application:
        for change in (
            index(shop, IndexColumn("status"), IndexColumn("note")),
            HideIndex(shop.name, "orders", "status"),
            DropIndex(shop.name, "orders", "prefixed"),
            Analyze(shop.name, "orders"),
            Rebuild(shop.name, "orders"),
        ):
            row = await desk.apply(shop, change)
            assert row.state is ChangeState.DONE
            if row.undo_sql is not None:
                await desk.bench.hands.undo(row.id)
    assert application.failed == [] and application.requests > 20
    assert definitions(shop) == before


# ---------------------------------------------------------------------------------------------- cancelled and killed


async def test_cancelling_ends_it_on_the_server_and_leaves_nothing(desk: Desk, slow: Schema) -> None:
    before = definitions(slow)
    advice = await desk.suggest(slow, index(slow, IndexColumn("note")))
    review = await desk.bench.hands.review(advice.id)
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    await until(lambda: altering(slow))
    assert await desk.bench.cancel(desk.bench.runner.running[0])
    with pytest.raises(RunCancelled, match="Cancelled"):
        await applying
    assert altering(slow) == [] and definitions(slow) == before
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and str(row.error).startswith("Cancelled: there is no index")


async def started(another: Another, suggestion_id: str) -> subprocess.Popen[str]:
    """Another process that has reviewed the suggestion."""
    process = another(suggestion_id)
    assert process.stdout is not None
    assert (await asyncio.to_thread(process.stdout.readline)) == "reviewed\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    """Let it apply."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


async def looked_after(desk: Desk, schema: Schema) -> None:
    """What was left has its end. A review looks after that first, but waits for a server no longer than 10 s."""
    other = await desk.suggest(schema, Analyze(schema.name, "orders"))
    await desk.bench.hands.review(other.id)
    ended = (ChangeState.DONE, ChangeState.FAILED, ChangeState.UNDONE)
    async with asyncio.timeout(300):
        while True:
            if all(row.state in ended for row in await desk.journal()):
                return
            await asyncio.sleep(0.05)


@pytest.mark.timeout(900)  # MySQL makes the table and its index, 80 s of it at a load of 30
async def test_killed_while_the_server_works_the_next_one_adopts_it(desk: Desk, slow: Schema, another: Another) -> None:
    """Whenever it is killed, the index is made, once. That the next one saw the server at it takes an index that takes
    longer than all that: the table is doubled until it does."""
    for _ in range(4):
        runs = done(slow, "ADD INDEX")
        advice = await desk.suggest(slow, index(slow, IndexColumn("note")))
        process = await started(another, advice.id)
        go(process)
        await until(lambda ours=process: altering(slow) or ours.poll() is not None, 300)  # type: ignore[misc]
        process.kill()
        process.wait()
        goes_on = bool(altering(slow))
        await looked_after(desk, slow)
        (row,) = [each for each in await desk.journal() if each.suggestion_id == advice.id]
        assert row.state is ChangeState.DONE and row.attempts == 1
        assert "KEY `orders_note_idx` (`note`)" in definitions(slow)["orders"]
        assert done(slow, "ADD INDEX") == runs + 1
        assert (await desk.bench.store(suggestions.get, advice.id)).status is SuggestionStatus.APPLIED
        run = next(run for run in await desk.bench.executions() if run.kind == "change_database")
        log = "\n".join(line.message for line in (await desk.bench.store(executions.get, run.id)).log)
        if goes_on and "alter" in log.partition("from an earlier session")[2].lower():
            return
        await desk.bench.hands.undo(row.id)
        slow.execute("INSERT INTO orders (note) SELECT note FROM orders")
    raise AssertionError(f"the next one never saw the server at work: {log}")


async def test_a_server_killed_in_the_middle_is_asked_when_it_is_back(
    desk: Desk, private_my: Callable[..., Schema], flavour: str
) -> None:
    schema = private_my(flavour)
    schema.execute(*WAREHOUSE)
    before = definitions(schema)
    advice = await desk.suggest(schema, index(schema, IndexColumn("note")))
    review = await desk.bench.hands.review(advice.id)
    applying = asyncio.create_task(desk.bench.hands.apply(advice.id, review.plan_hash))
    await until(lambda: altering(schema))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(schema.server.stop, immediate=True)
    with pytest.raises(RunFailed, match="not known until the server answers"):
        await applying
    (row,) = await desk.journal()
    assert row.state is ChangeState.UNKNOWN
    await asyncio.to_thread(schema.server.start)
    await looked_after(desk, schema)
    (row,) = await desk.journal()
    assert row.state is ChangeState.FAILED and "there is no index" in str(row.error)
    assert (await desk.log())[-3:] == ["change.unknown", "change.verifying", "change.failed"]
    assert definitions(schema) == before
    assert {file.stem for file in (schema.server.root / DATA / schema.name).iterdir()} <= {"orders", "db"}


@pytest.mark.parametrize("kind", ["create-index", "hide-index", "analyze"])
async def test_two_processes_apply_the_same_suggestion_and_one_executes(
    desk: Desk, shop: Schema, another: Another, kind: str
) -> None:
    change, words = {
        "create-index": (index(shop, IndexColumn("note")), "ADD INDEX"),
        "hide-index": (HideIndex(shop.name, "orders", "status"), "ALTER INDEX"),
        "analyze": (Analyze(shop.name, "orders"), "ANALYZE"),
    }[kind]
    advice = await desk.suggest(shop, change)
    both = [await started(another, advice.id) for _ in range(2)]
    for process in both:
        go(process)
    said = sorted([await asyncio.to_thread(process.stdout.readline) for process in both])  # type: ignore[union-attr]
    assert [line.split()[0] for line in said] == ["applied", "refused"], said
    assert sorted(row.state for row in await desk.journal()) == [ChangeState.DONE, ChangeState.FAILED]
    assert done(shop, words) == 1


# ---------------------------------------------------------------------------------------------- by keys and commands


async def test_by_keys_an_index_is_hidden_with_two_and_dropped_by_its_name(
    desk: Desk, mariadb: Schema, settings: Settings
) -> None:
    shop = mariadb
    shop.execute(*SHOP)
    before = definitions(shop)
    hide = await desk.suggest(shop, HideIndex(shop.name, "orders", "status"))

    async def ended(number: int) -> None:
        await until(
            lambda: [row.state for row in desk.bench.store.run(changes.listing)].count(ChangeState.DONE) == number
        )

    app = MeshagApp(settings, desk.bench)
    async with app.run_test(size=(120, 40)) as pilot:
        await _dialog(pilot, "a")
        assert "ALTER INDEX `status`" in shown(app) and "LOCK=NONE" in shown(app)
        await pilot.press("r")
        await ended(1)
        assert definitions(shop) != before
        await desk.bench.advice.dismiss((await desk.suggest(shop, None)).id, "makes the pane look again")
        await _dialog(pilot, "u")
        await pilot.press("r")
        await until(lambda: [row.state for row in desk.bench.store.run(changes.listing)].count(ChangeState.UNDONE) == 1)
    assert definitions(shop) == before
    assert hide.id in {row.suggestion_id for row in await desk.journal()}
    drop = await desk.suggest(shop, DropIndex(shop.name, "orders", "status"))
    await desk.bench.advice.dismiss(hide.id, "done with")
    app = MeshagApp(settings, desk.bench)
    async with app.run_test(size=(120, 40)) as pilot:
        await _dialog(pilot, "a")
        assert "Type status" in shown(app)
        await pilot.press(*"statu", "enter")
        assert "That is not the name" in shown(app)
        await pilot.press("s", "enter")
        await until(lambda: definitions(shop) != before)
        await until(lambda: desk.bench.store.run(suggestions.get, drop.id).status is SuggestionStatus.APPLIED)
    (row, *_) = await desk.journal()
    await desk.bench.hands.undo(row.id)
    assert definitions(shop) == before


async def _dialog(pilot: Pilot[None], key: str) -> None:
    """Press a key that asks for a review, and wait until it is shown."""
    for _ in range(600):
        await pilot.pause(0.1)
        if isinstance(pilot.app.screen, ApplyDialog):
            if pilot.app.screen.review is not None:
                return
        else:
            await pilot.press("4", key)
    raise AssertionError(shown(pilot.app))


async def test_by_commands(desk: Desk, mysql: Schema, settings: Settings, commands: Commands) -> None:
    shop = mysql
    shop.execute(*SHOP)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.home.parent),
        "MESHAG_HOME": str(settings.home),
        "MESHAG_STORE": settings.store_url,
        "LANG": "C.UTF-8",
    }

    async def meshag(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        return await asyncio.to_thread(commands.run, list(arguments), environment, typed, 60)

    before = definitions(shop)
    hide = await desk.suggest(shop, HideIndex(shop.name, "orders", "status"))
    drop = await desk.suggest(shop, DropIndex(shop.name, "orders", "status"))
    code, out, _ = await meshag("apply", hide.id, "--dry-run", "--json")
    review = json.loads(out)
    assert code == 0 and review["needs_name"] is None and not review["blocked"] and definitions(shop) == before
    code, out, said = await meshag("apply", hide.id, "--yes", "--json")
    assert code == 0, said
    assert json.loads(out)["sql"] == review["sql"] and json.loads(out)["undo_sql"] == review["undo_sql"]
    hidden = definitions(shop)
    code, out, said = await meshag("apply", drop.id, "--dry-run", "--json")
    assert json.loads(out)["needs_name"] == "status"
    code, out, said = await meshag("apply", drop.id, "--yes")
    assert code == 0 and "puts it back" in out, said
    assert definitions(shop) != hidden
    assert (await meshag("undo", drop.id, "--yes"))[0] == 0 and definitions(shop) == hidden
    assert (await meshag("undo", hide.id, "--yes"))[0] == 0 and definitions(shop) == before


@pytest.mark.soak
async def test_killed_at_any_moment(
    desk: Desk, slow: Schema, another: Another, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty kills: never begun twice, nothing half-made, always an end."""
    monkeypatch.setattr(workflow, "_ON_ITS_WAY_MS", 0)
    before = definitions(slow)
    for round_ in range(30):
        runs = done(slow, "ADD INDEX")
        advice = await desk.suggest(slow, index(slow, IndexColumn("note")))
        process = await started(another, advice.id)
        go(process)
        await asyncio.sleep(0.06 * round_)
        process.kill()
        process.wait()
        await looked_after(desk, slow)
        rows = [row for row in await desk.journal() if row.suggestion_id == advice.id]
        assert len(rows) <= 1
        for row in rows:
            assert row.state in (ChangeState.DONE, ChangeState.FAILED), row
        assert done(slow, "ADD INDEX") - runs <= 1 and altering(slow) == []
        if rows and rows[0].state is ChangeState.DONE:
            await desk.bench.hands.undo(rows[0].id)
        assert definitions(slow) == before
