"""MySQL is not asked again for the figures of tables that nobody wrote to, and what is done to one shows at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from meshag_tui.engines.base import SYNC
from meshag_tui.engines.mysql import unaltered, unwritten
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


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> list[Collection[str]]:
    """The tables that each reading of all tables left at rest, where it left any."""
    found: list[Collection[str]] = []
    fetch = Wire.fetch

    async def noted(self: Wire, query: str, params: Any = None, **options: Any) -> list[Any]:
        if "information_schema.TABLES" in query and "tables0" in (params or ()):
            found.append(sorted(params["tables0"]))
        return await fetch(self, query, params, **options)

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


async def test_what_is_done_to_a_table_shows_in_the_next_sync(
    mysql: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch, resting_at_once: None
) -> None:
    mysql.execute(*TABLES)
    session = await open_session(mysql.url, SYNC)
    for done in DONE:
        before = await rested(session)
        if done in SECONDS:
            mysql.next_second()
        mysql.execute(done)
        for _ in range(10):  # what the server does later by itself may lie between the two readings
            now = figures(await session.collect())
            with monkeypatch.context() as forgetful:
                forgetful.setattr(unaltered, "_known", {})
                forgetful.setattr(unwritten, "_known", {})
                anew = figures(await (await open_session(mysql.url, SYNC)).collect())
            if now == anew:
                break
        assert now == anew, done
        assert now != before, done


async def test_figures_of_tables_at_rest_are_not_asked_for(
    mysql: Schema, open_session: Open, resting_at_once: None, unasked: list[Collection[str]]
) -> None:
    mysql.execute(*TABLES, "CREATE TABLE other (id int PRIMARY KEY)")
    session = await open_session(mysql.url, SYNC)
    await rested(session)
    assert unasked[-1] == ["other", "shelf", "机 50%"], "of parts and of other engines InnoDB counts nothing here"
    mysql.execute("INSERT INTO shelf (a) VALUES (4)")
    await session.collect()
    assert "shelf" not in unasked[-1] and "other" in unasked[-1]
    await session.collect()
    await session.collect()
    assert "shelf" in unasked[-1]


async def test_figures_are_relied_on_only_when_they_have_lasted_and_not_for_ever(
    mysql: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch, unasked: list[Collection[str]]
) -> None:
    """A transaction that sees deleted rows keeps their space, and only then is it free: nothing says when."""
    mysql.execute("CREATE TABLE other (id int PRIMARY KEY)")
    session = await open_session(mysql.url, SYNC)
    await rested(session)
    assert not unasked
    monkeypatch.setattr(unwritten, "RESTING_S", 0)
    await session.collect()
    await session.collect()
    assert unasked == [["other"]]
    monkeypatch.setattr(unwritten, "LASTING_S", 0)
    await session.collect()
    assert unasked == [["other"]]
