"""Figures of tables that nobody wrote to are not asked for again, and what is done to one shows at once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from meshag_tui.engines.base import SYNC
from meshag_tui.engines.mysql import facts, unaltered, unwritten
from meshag_tui.engines.mysql.session import MysqlSession
from meshag_tui.engines.mysql.wire import Wire
from meshag_tui.snapshot import Snapshot
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import Schema

TABLES = (
    "CREATE TABLE shelf (id int PRIMARY KEY AUTO_INCREMENT, a int, note varchar(250), KEY by_a (a))"
    " STATS_AUTO_RECALC = 0",
    "INSERT INTO shelf (a, note) VALUES (1, 'x'), (2, 'x')",
    "INSERT INTO shelf (a, note) SELECT a.a, REPEAT('x', 200) FROM shelf a, shelf b, shelf c, shelf d, shelf e,"
    " shelf f, shelf g, shelf h, shelf i, shelf j",
    "CREATE TABLE `机 50%` (id int PRIMARY KEY) STATS_AUTO_RECALC = 0",
    "CREATE TABLE parts (id int PRIMARY KEY, a int) STATS_AUTO_RECALC = 0 PARTITION BY HASH (id) PARTITIONS 3",
    "CREATE TABLE old (id int PRIMARY KEY) ENGINE = MyISAM",
    "CREATE VIEW some_of AS SELECT id FROM shelf",
)
DONE = (
    "INSERT INTO shelf (a) VALUES (3)",
    "ANALYZE TABLE shelf",
    "ALTER TABLE shelf ADD INDEX of_note (note), ALGORITHM = INPLACE, LOCK = NONE",
    "ALTER TABLE shelf DROP INDEX of_note",
    "ALTER TABLE shelf AUTO_INCREMENT = 5000",
    "ALTER TABLE shelf STATS_SAMPLE_PAGES = 50",
    "DELETE FROM shelf WHERE id > 10",
    "OPTIMIZE TABLE shelf",
    "TRUNCATE TABLE shelf",
    "INSERT INTO `机 50%` VALUES (1)",
    "INSERT INTO parts VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
    "ALTER TABLE parts TRUNCATE PARTITION p0",
    "INSERT INTO old VALUES (1)",
    "RENAME TABLE shelf TO board",
    "CREATE TABLE shelf (id int PRIMARY KEY)",
    "DROP TABLE board",
)
SECONDS = (
    "ANALYZE TABLE shelf",
    "ALTER TABLE shelf DROP INDEX of_note",
    "ALTER TABLE shelf STATS_SAMPLE_PAGES = 50",
)
"""What shows by the second in which it was done alone."""


@pytest.fixture
def resting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritten, "RESTING_S", 0)


Asked = list[str]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The tables whose figures the server was asked for."""
    found: Asked = []
    fetch = Wire.fetch

    async def noted(self: Wire, query: str, params: Any = None, **options: Any) -> list[Any]:
        rows = await fetch(self, query, params, **options)
        if "t.CREATE_TIME" in query:
            found.extend(row[1] for row in rows if row[-1] is not None)
        return rows

    monkeypatch.setattr(Wire, "fetch", noted)
    return found


def figures(snapshot: Snapshot) -> dict[str, tuple[object, ...]]:
    assert snapshot.tables is not None and not snapshot.warnings
    numbers = {each.table: each.last_value for each in snapshot.sequences or ()}
    return {
        table.name: (
            *(table.live_rows, table.size_bytes, table.index_bytes, table.free_bytes, table.pages),
            *(table.last_analyze, table.counted_since, table.options, numbers.get(table.name)),
        )
        for table in snapshot.tables
    }


async def rested(session: MysqlSession) -> dict[str, tuple[object, ...]]:
    for _ in range(4):
        snapshot = await session.collect()
    return figures(snapshot)


async def figures_asked_for(session: MysqlSession, asked: Asked) -> set[str]:
    asked.clear()
    await session.collect()
    return set(asked)


async def test_what_is_done_to_a_table_shows_in_the_next_sync(
    my: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch, resting_at_once: None
) -> None:
    my.execute(*TABLES)
    session = await open_session(my.url, SYNC)
    for done in DONE:
        before = await rested(session)
        if done in SECONDS:
            my.next_second()
        my.execute(done)
        for _ in range(10):  # what the server does later by itself may lie between the two readings
            now = figures(await session.collect())
            with monkeypatch.context() as forgetful:
                forgetful.setattr(unaltered, "_known", {})
                forgetful.setattr(unwritten, "_known", {})
                anew = figures(await (await open_session(my.url, SYNC)).collect())
            if now == anew:
                break
        assert now == anew, done
        assert now != before, done


async def test_figures_of_tables_at_rest_are_not_asked_for(
    my: Schema, open_session: Open, resting_at_once: None, asked: Asked
) -> None:
    my.execute(*TABLES, "CREATE TABLE other (id int PRIMARY KEY)")
    session = await open_session(my.url, SYNC)
    await rested(session)
    uncounted = {"old"} if my.flavour == "MariaDB" else {"old", "parts"}  # by InnoDB, under the name of the table
    assert await figures_asked_for(session, asked) == uncounted
    my.execute("INSERT INTO shelf (a) VALUES (4)")
    assert await figures_asked_for(session, asked) == {"shelf", *uncounted}
    await session.collect()
    await session.collect()
    assert await figures_asked_for(session, asked) == uncounted


async def test_figures_are_relied_on_only_when_they_have_lasted_and_not_for_ever(
    my: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    """A transaction that sees deleted rows keeps their space, and only then is it free: nothing says when."""
    my.execute("CREATE TABLE other (id int PRIMARY KEY)")
    session = await open_session(my.url, SYNC)
    await rested(session)
    assert await figures_asked_for(session, asked) == {"other"}
    monkeypatch.setattr(unwritten, "RESTING_S", 0)
    await session.collect()
    assert await figures_asked_for(session, asked) == set()
    monkeypatch.setattr(unwritten, "LASTING_S", 0)
    assert await figures_asked_for(session, asked) == {"other"}


async def test_what_was_being_altered_while_we_read_shows_when_it_is_done(
    mariadb: Schema, open_session: Open, resting_at_once: None
) -> None:
    """MariaDB counts an alteration when it begins, and its catalogue is not read while that count stands still."""
    mariadb.execute(*TABLES, "ANALYZE TABLE shelf")
    session = await open_session(mariadb.monitor_url, SYNC)  # which may not see when statistics were made
    before = await rested(session)
    with mariadb.connect(autocommit=False) as holding, holding.cursor() as cursor:
        cursor.execute("SELECT 1 FROM shelf LIMIT 1")
        change = "/* by hand */ ALTER TABLE shelf ALTER COLUMN a SET DEFAULT 5"
        altering = threading.Thread(target=mariadb.execute, args=(change,))
        altering.start()
        waits = "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata%'"
        for _ in range(500):
            if mariadb.fetch(waits):
                break
            await asyncio.sleep(0.02)
        assert await rested(session) == before
        mariadb.next_second()
        holding.rollback()
        altering.join()
    mariadb.execute("SELECT 1 FROM shelf LIMIT 1")  # opened anew, it counts what it counted before
    after = figures(await session.collect())
    assert after["shelf"] != before["shelf"]


SYNCED_AFTER = (
    "SELECT 1",
    "INSERT INTO shelf (a) VALUES (3)",
    "ALTER TABLE shelf ADD INDEX by_hand (note), ALGORITHM = INPLACE, LOCK = NONE",
    "CREATE OR REPLACE VIEW some_of AS SELECT a FROM shelf",
)


@pytest.mark.parametrize("rights", ["all", "no PROCESS"])
async def test_no_sync_sends_more_than_ten_statements(
    my: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch, resting_at_once: None, rights: str
) -> None:
    """Each in a session of its own, which has to say first how it wants to be treated."""
    my.execute(*TABLES)
    url = my.url if rights == "all" else my.user(f"SELECT ON {my.name}.*", "SELECT ON performance_schema.*")
    sent = {}
    for done in SYNCED_AFTER:
        for _ in range(4):
            await (await open_session(url, SYNC)).collect()
        my.execute(done)
        for lasting in (facts.LASTING_S, 0):
            monkeypatch.setattr(facts, "LASTING_S", lasting)
            sent[done, lasting] = (await (await open_session(url, SYNC)).collect()).server_statements
    assert all(count <= 10 for count in sent.values()), sent
