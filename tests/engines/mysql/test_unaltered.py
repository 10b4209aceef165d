"""The structure is not read again while nothing was altered, and whatever is altered is seen by the next sync."""

from __future__ import annotations

import asyncio
import threading

import pytest

from meshag_tui.engines.base import SYNC
from meshag_tui.engines.mysql import unaltered
from meshag_tui.snapshot import Snapshot
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import Schema

TABLES = (
    "CREATE TABLE parent (id int PRIMARY KEY, code int, KEY (code))",
    "CREATE TABLE child (id int PRIMARY KEY AUTO_INCREMENT, a int, b varchar(20), parent int, KEY by_a (a))",
    "CREATE TABLE aria (id int PRIMARY KEY, a int, KEY by_a (a)) ENGINE = MyISAM",
    "CREATE TABLE parts (id int PRIMARY KEY, a int) PARTITION BY HASH (id) PARTITIONS 3",
)
CHANGES = (
    "ALTER TABLE child ADD INDEX by_b (b), ALGORITHM = INPLACE, LOCK = NONE",
    "ALTER TABLE child ALTER INDEX by_b {hidden}",
    "ALTER TABLE child ALTER INDEX by_b {visible}",
    "ALTER TABLE child RENAME INDEX by_b TO of_b",
    "DROP INDEX of_b ON child",
    "ALTER TABLE child ALTER COLUMN a SET DEFAULT 5",
    "ALTER TABLE child ADD COLUMN z int, ALGORITHM = INSTANT",
    "ALTER TABLE child ADD CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parent (id)",
    "RENAME TABLE parent TO elder",
    "ALTER TABLE child ADD CONSTRAINT some CHECK (a > 0)",
    "ALTER TABLE aria DISABLE KEYS",
    "CREATE INDEX by_a ON parts (a)",
    "CREATE VIEW some_of AS SELECT id FROM child",
    "CREATE OR REPLACE VIEW some_of AS SELECT a FROM child",
    "DROP VIEW some_of",
    "DROP TABLE aria",
    "CREATE TABLE another (id int PRIMARY KEY)",
)


def monitor(schema: Schema) -> str:
    """The URL of an account with what a monitor should have, the statistics of InnoDB's tables among it."""
    tables = ("index", "table")
    rights = [f"SELECT ON mysql.innodb_{each}_stats" for each in tables] if schema.flavour == "MySQL" else []
    account = f"'{schema.name}_monitor'@'%'"
    schema.execute(*(f"GRANT {right} TO {account}" for right in rights))
    return schema.monitor_url


async def read(open_session: Open, url: str) -> Snapshot:
    return await (await open_session(url, SYNC)).collect()


async def read_anew(open_session: Open, url: str, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    with monkeypatch.context() as forgetful:
        forgetful.setattr(unaltered, "_known", {})
        return await read(open_session, url)


def structure(snapshot: Snapshot) -> tuple[object, ...]:
    assert snapshot.indexes is not None and snapshot.tables is not None and not snapshot.warnings
    indexes = [(index.key, index.definition, index.hidden, index.valid, index.suffix) for index in snapshot.indexes]
    tables = [(table.key, table.options, table.has_primary_key) for table in snapshot.tables]
    numbers = [(each.table, each.limit) for each in snapshot.sequences or ()]
    return snapshot.schema, snapshot.foreign_keys, indexes, tables, numbers


async def test_every_alteration_is_seen_by_the_next_sync(
    my: Schema, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    my.execute(*TABLES)
    url = monitor(my)
    words = {"hidden": "INVISIBLE", "visible": "VISIBLE"}
    if my.flavour == "MariaDB":
        words = {"hidden": "IGNORED", "visible": "NOT IGNORED"}
    session = await open_session(url, SYNC)
    before = structure(await session.collect())
    for change in CHANGES:
        counts = []
        for _ in range(4):  # until it is relied on
            snapshot = await session.collect()
            counts.append(snapshot.server_statements)
            assert structure(snapshot) == before
        assert counts[-1] < counts[0], "the last was read by its sign alone"
        my.execute(change.format(**words))
        now = structure(await session.collect())
        assert now == structure(await read_anew(open_session, url, monkeypatch)), change
        assert now != before, change
        before = now


async def test_what_was_not_altered_is_not_read_again(my: Schema, open_session: Open) -> None:
    my.execute(*TABLES, "INSERT INTO child (a) VALUES (1), (2)")
    url = monitor(my)
    counts = [(await read(open_session, url)).server_statements for _ in range(5)]
    assert counts[0] <= 10
    assert counts[3] == counts[4] == counts[1] - 1, "not the structure, with the keys of indexes"
    my.execute("SELECT * FROM child WHERE a = 1", "INSERT INTO child (a) VALUES (3)")
    used = await read(open_session, url)
    assert used.server_statements == counts[4]
    (index,) = [index for index in used.indexes or () if index.name == "by_a" and index.table == "child"]
    assert index.scans == 1, "uses and sizes are read each time"
    assert [each.last_value for each in used.sequences or ()] == [3]
    for table in used.tables or ():
        figures = (table.size_bytes, table.index_bytes, table.live_rows, table.pages, table.counted_since)
        assert all(type(figure) is int for figure in figures), (
            "what is read beside them makes no decimal numbers of them"
        )


async def test_an_alteration_that_had_begun_while_we_read_is_seen_when_it_is_done(
    my: Schema, open_session: Open
) -> None:
    my.execute(*TABLES)
    url = monitor(my)
    with my.connect(autocommit=False) as holding, holding.cursor() as cursor:
        cursor.execute("SELECT * FROM child")
        altering = threading.Thread(target=my.execute, args=("ALTER TABLE child ADD INDEX late (b)",))
        altering.start()
        waits = "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata%'"
        for _ in range(500):
            if my.fetch(waits):
                break
            await asyncio.sleep(0.02)
        for _ in range(4):
            snapshot = await read(open_session, url)
            assert "late" not in {index.name for index in snapshot.indexes or ()}
        my.next_second()
        holding.rollback()
        altering.join()
    snapshot = await read(open_session, url)
    assert "late" in {index.name for index in snapshot.indexes or ()}


async def test_two_alterations_in_one_second_are_both_seen(my: Schema, open_session: Open) -> None:
    my.execute(*TABLES)
    url = monitor(my)
    for number in range(6):
        my.execute(f"ALTER TABLE child ADD INDEX quick{number} (b, a)")
        snapshot = await read(open_session, url)
        assert f"quick{number}" in {index.name for index in snapshot.indexes or ()}


async def test_a_right_that_is_given_shows_what_it_opens(mariadb: Schema, open_session: Open) -> None:
    mariadb.execute(*TABLES, "CREATE VIEW some_of AS SELECT id FROM child")
    url = mariadb.user("PROCESS ON *.*", "SELECT ON performance_schema.*", f"SELECT ON {mariadb.name}.*")
    account = mariadb.fetch("SELECT user FROM mysql.user WHERE user LIKE %s", (f"{mariadb.name}\\_u%",))[0][0]
    for _ in range(3):
        snapshot = await read(open_session, url)
        assert snapshot.schema is not None and not snapshot.schema.views[f"{mariadb.name}.some_of"]
    mariadb.execute(f"GRANT SHOW VIEW ON {mariadb.name}.* TO '{account}'@'%'")
    snapshot = await read(open_session, url)
    assert snapshot.schema is not None and "child" in snapshot.schema.views[f"{mariadb.name}.some_of"]
