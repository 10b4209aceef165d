"""One sync's reading: statements, tables, indexes, structure and sessions, and what is said where a part is missing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from operator import le
from typing import Any

import pymysql
import pytest

from meshag_tui.engines.base import SYNC, Limits
from meshag_tui.engines.mysql import schema, statements
from meshag_tui.engines.mysql.texts import is_cut
from meshag_tui.snapshot import Snapshot
from tests.advisor.conftest import filled
from tests.engines.mysql.conftest import Open
from tests.rig.mysql import FLAVOURS, PFS_OFF, SMALL_DIGESTS, Schema

Private = Callable[..., Schema]

SHOP = (
    "CREATE TABLE customer (id int PRIMARY KEY AUTO_INCREMENT, name varchar(200) NOT NULL, city varchar(50), "
    "KEY by_name (name(10), city DESC))",
    "CREATE TABLE orders (id bigint unsigned PRIMARY KEY AUTO_INCREMENT, customer_id int, day date, "
    "state enum('a','b'), total decimal(10,2) DEFAULT '0.00', doubled decimal(12,2) AS (total * 2) STORED, "
    "UNIQUE KEY once (customer_id, day), KEY idle (state), FULLTEXT KEY words (note), note text, "
    "CONSTRAINT buyer FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE, "
    "CONSTRAINT some CHECK (total >= 0))",
    "CREATE TABLE keyless (a int NOT NULL, b int NOT NULL, UNIQUE KEY ab (a, b), KEY b (b))",
    "CREATE VIEW big AS SELECT id FROM orders WHERE total > 100",
)


def rows_of(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    assert snapshot.statements is not None
    columns = snapshot.statements.columns
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in snapshot.statements.rows}


async def by_text(session: Any, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    rows = rows_of(snapshot)
    return {text.text or "": rows[text.key] for text in await session.texts(rows)}


DIGESTS = "performance_schema.events_statements_summary_by_digest"
COUNTED = (
    *("calls", "total_time_ms", "min_time_ms", "max_time_ms", "rows", "rows_examined", "no_index_calls", "tmp_tables"),
    *("tmp_disk_tables", "sort_merge_passes", "lock_time_ms", "stats_since"),
)


async def test_statements_in_true_milliseconds(my: Schema, open_session: Open) -> None:
    my.execute("CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
    session = await open_session(my.monitor_url)
    before = time.time() * 1000
    for number in range(3):
        my.execute(f"SELECT * FROM t WHERE a = {number} ORDER BY b", "SELECT SLEEP(0.2)")
    elapsed = time.time() * 1000 - before
    snapshot = await session.collect()
    found = await by_text(session, snapshot)
    sleeping = found["SELECT SLEEP(?)"]
    assert sleeping["calls"] == 3
    assert 598 <= sleeping["total_time_ms"] <= elapsed
    assert 199 <= sleeping["min_time_ms"] <= sleeping["max_time_ms"] <= elapsed
    assert before - 2000 < sleeping["stats_since"] < time.time() * 1000 + 2000
    (reading,) = (row for text, row in found.items() if text.startswith("SELECT * FROM t WHERE"))
    assert (reading["calls"], reading["rows"], reading["no_index_calls"]) == (3, 2, 3)
    assert reading["rows_examined"] in (9, 11), "three rows each; a sorted row may count twice"
    (writing,) = (row for text, row in found.items() if text.startswith("INSERT INTO t"))
    assert (writing["calls"], writing["rows"]) == (1, 3)
    # A temporary table that has no room in memory, and a sort in several passes through a file.
    with my.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION tmp_table_size = 1024, max_heap_table_size = 16384, sort_buffer_size = 32768")
        if my.flavour == "MySQL":  # its other kind of temporary table has room for 1 MB at least
            cursor.execute("SET SESSION internal_tmp_mem_storage_engine = 'MEMORY'")
        cursor.execute(filled("t", 900, "n, n"))
        cursor.execute("INSERT INTO t SELECT a + 1000 * b, b FROM t")
        cursor.execute("SELECT a, REPEAT(b, 50), COUNT(*) FROM t GROUP BY a, REPEAT(b, 50) ORDER BY 2")
    snapshot = await session.collect()
    assert snapshot.statements is not None and snapshot.statements.columns == COUNTED
    (spilling,) = (row for text, row in (await by_text(session, snapshot)).items() if "GROUP BY" in text)
    assert (spilling["calls"], spilling["rows"], spilling["no_index_calls"]) == (1, 1_800, 1)
    assert (spilling["tmp_tables"], spilling["tmp_disk_tables"]) == (1, 1) and spilling["sort_merge_passes"] >= 1
    assert spilling["min_time_ms"] == spilling["max_time_ms"] == spilling["total_time_ms"] > 0
    epoch = snapshot.facts.epoch
    assert epoch.stats_reset is not None and epoch.stats_reset <= min(row["stats_since"] for row in found.values())


@pytest.mark.parametrize(
    ("counts", "lock", "unlock"),
    [("MySQL", "UPDATE held SET b = 2", "ROLLBACK"), ("MariaDB", "LOCK TABLES held READ", "UNLOCK TABLES")],
    ids=["of a row", "of a table"],
)
async def test_waits_for_locks(my: Schema, open_session: Open, counts: str, lock: str, unlock: str) -> None:
    """MySQL counts those for rows, MariaDB those for tables, as the list of columns says."""
    my.execute("CREATE TABLE held (a int PRIMARY KEY, b int)", "INSERT INTO held VALUES (1, 1)")
    session = await open_session(my.monitor_url)
    with my.connect() as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(lock)
        waiting = asyncio.create_task(asyncio.to_thread(my.execute, "UPDATE held SET b = 3 WHERE a = 1"))
        await asyncio.sleep(0.6)
        cursor.execute(unlock)
        await waiting
    found = await by_text(session, await session.collect())
    (waited,) = (row for text, row in found.items() if text.startswith("UPDATE held SET b = ? WHERE"))
    assert waited["calls"] == 1 and waited["total_time_ms"] > 400
    assert (waited["lock_time_ms"] > 400) == (my.flavour == counts)


async def test_ours_and_other_databases_are_left_out(my: Schema, open_session: Open) -> None:
    my.execute("SELECT 'mine'")
    session = await open_session(my.monitor_url)
    first = await session.collect()
    second = await session.collect()
    assert all(key.startswith(f"{my.name}.") for key in rows_of(second))
    assert first.statements is not None and second.statements is not None
    assert second.statements.hidden > 0
    assert second.statements.hidden_time_ms == first.statements.hidden_time_ms, (
        "our own time is no part of the server's"
    )
    everything = await open_session(my.url, database="")
    rows = rows_of(await everything.collect())
    assert {f"{my.name}."} <= {key[: len(my.name) + 1] for key in rows}
    texts = {text.key: text for text in await everything.texts(rows)}
    assert not any(
        "events_statements_summary_by_digest" in (text.text or "")
        for text in texts.values()
        if text.database == my.name  # other tests read that table by hand, each in its own schema
    )
    assert not any(key.startswith(("information_schema.", "performance_schema.", "mysql.", "sys.")) for key in rows)


async def test_a_constant_number_of_statements(my: Schema, open_session: Open) -> None:
    counts = []
    for tables in (1, 120):
        my.execute(*(f"CREATE TABLE t{tables}_{n} (id int PRIMARY KEY, a int, KEY (a))" for n in range(tables)))
        session = await open_session(my.url)
        counts.append((await session.collect()).server_statements)
    assert counts[0] == counts[1] <= 10
    assert (await (await open_session(my.url)).collect(objects=False)).server_statements <= 5


async def test_tables_indexes_and_structure(my: Schema, open_session: Open) -> None:
    my.execute(*SHOP, "INSERT INTO customer (name) VALUES ('a'), ('b')", "INSERT INTO orders (customer_id) VALUES (1)")
    my.execute(
        "SELECT * FROM orders WHERE customer_id = 1",
        "UPDATE orders SET note = 'x' WHERE id = 1",
        "DELETE FROM customer WHERE id = 2",
    )
    my.execute("SELECT COUNT(note) FROM orders", "ANALYZE TABLE customer, orders, keyless")
    session = await open_session(my.url)
    snapshot = await session.collect()
    assert not snapshot.warnings
    assert snapshot.tables is not None and snapshot.indexes is not None and snapshot.schema is not None
    tables = {table.name: table for table in snapshot.tables}
    assert set(tables) == {"customer", "orders", "keyless"}
    orders = tables["orders"]
    assert (orders.key, orders.kind, orders.has_primary_key) == (f"{my.name}.orders", "table", True)
    assert not tables["keyless"].has_primary_key
    assert orders.options["engine"] == "InnoDB"
    assert (orders.size_bytes, orders.pages, orders.rows_estimate) == (16384, 1, 1.0)
    assert orders.index_bytes and orders.index_bytes >= 3 * 16384
    assert (orders.free_bytes, orders.modified_since_analyze) == (0, 0)
    assert orders.last_analyze and abs(orders.last_analyze - time.time() * 1000) < 60_000
    assert orders.counted_since and abs(orders.counted_since - time.time() * 1000) < 60_000
    assert {name: orders.counters[name] for name in ("inserts", "updates", "deletes")} == {
        "inserts": 1,
        "updates": 1,
        "deletes": 0,
    }
    assert orders.counters["seq_rows"] and orders.counters["index_rows"]
    assert "seq_scan" not in orders.counters, "MySQL counts rows, not scans"

    indexes = {(index.table, index.name): index for index in snapshot.indexes}
    primary = indexes["orders", "PRIMARY"]
    assert (primary.primary, primary.unique, primary.clustered, primary.size_bytes, primary.suffix) == (
        True,
        True,
        True,
        0,
        (),
    )
    once = indexes["orders", "once"]
    assert (once.unique, once.constraint, once.suffix) == (True, "once", ("id",))
    assert once.scans in (1, 2), "the row, and on MySQL 9.7 what the deleted customer had"
    assert once.size_bytes == 16384
    idle = indexes["orders", "idle"]
    assert (idle.unique, idle.scans, idle.rows_read, idle.hidden, idle.method) == (False, 0, 0, False, "btree")
    assert idle.definition == f"CREATE INDEX `idle` ON `{my.name}`.`orders` (`state`)"
    assert indexes["orders", "words"].scans is None, "reads of full-text indexes are not counted"
    by_name = indexes["customer", "by_name"]
    assert [(key.column, key.opclass, key.descending) for key in by_name.keys] == [
        ("name", "(10)", False),
        ("city", "", True),
    ]
    assert indexes["keyless", "ab"].clustered and indexes["keyless", "b"].suffix == ("a",)

    assert [(c.name, c.type.partition("(")[0], c.nullable) for c in snapshot.schema.columns[f"{my.name}.orders"]][
        :3
    ] == [
        ("id", "bigint" if my.flavour == "MariaDB" else "bigint unsigned", False),
        ("customer_id", "int", True),
        ("day", "date", True),
    ]
    said = {c.name: c.conditions for c in snapshot.schema.columns[f"{my.name}.orders"]}
    assert (said["id"], said["customer_id"]) == (" NOT NULL auto_increment", ""), "it is no default"
    constraints = " | ".join(snapshot.schema.constraints[f"{my.name}.orders"])
    assert "buyer FOREIGN KEY (customer_id) REFERENCES" in constraints and "ON DELETE CASCADE" in constraints
    assert "some CHECK" in constraints and "once UNIQUE (customer_id, day)" in constraints
    assert "total" in snapshot.schema.views[f"{my.name}.big"]
    assert snapshot.foreign_keys is not None
    (key,) = snapshot.foreign_keys
    assert (key.name, key.table, key.columns, key.ref_table, key.ref_columns) == (
        "buyer",
        "orders",
        ("customer_id",),
        "customer",
        ("id",),
    )
    sequences = {sequence.table: sequence for sequence in snapshot.sequences or ()}
    assert (sequences["customer"].last_value, sequences["customer"].limit) == (2, 2**31 - 1)
    assert sequences["orders"].limit == 2**64 - 1
    again = await session.collect()
    assert again.schema == snapshot.schema, "equal structure gives an equal document"


async def test_hidden_and_expression_indexes(my: Schema, open_session: Open) -> None:
    word = "INVISIBLE" if my.flavour == "MySQL" else "IGNORED"
    my.execute(f"CREATE TABLE t (id int PRIMARY KEY, a int, KEY away (a) {word})")
    if my.flavour == "MySQL":
        my.execute("CREATE INDEX folded ON t ((a + 1))")
    session = await open_session(my.monitor_url)
    indexes = {index.name: index for index in (await session.collect()).indexes or ()}
    assert indexes["away"].hidden and not indexes["PRIMARY"].hidden
    if my.flavour == "MySQL":
        assert indexes["folded"].keys[0].column is None
        assert indexes["folded"].keys[0].expression == "(`a` + 1)"
        assert "((`a` + 1))" in indexes["folded"].definition


async def test_partitions_other_engines_and_two_schemas_with_one_name(my: Schema, open_session: Open) -> None:
    other = f"{my.name}_b"
    my.execute(
        "CREATE TABLE parts (id int PRIMARY KEY, a int, KEY (a)) PARTITION BY HASH (id) PARTITIONS 3",
        "CREATE TABLE old (id int PRIMARY KEY, a int, KEY (a)) ENGINE=MyISAM",
        "ALTER TABLE old DISABLE KEYS",
        f"CREATE DATABASE {other}",
        f"CREATE TABLE {other}.parts (id int PRIMARY KEY)",
        "INSERT INTO parts VALUES (1, 1), (2, 2), (3, 3)",
    )
    try:
        session = await open_session(my.url, database="")
        snapshot = await session.collect()
        tables = {table.key: table for table in snapshot.tables or ()}
        parts = tables[f"{my.name}.parts"]
        assert (parts.rows_estimate, parts.size_bytes, parts.kind) == (3.0, 3 * 16384, "table")
        assert parts.free_bytes == 0
        assert (parts.modified_since_analyze is not None) == (my.flavour == "MariaDB"), "MySQL says it of no partition"
        assert tables[f"{other}.parts"].rows_estimate == 0
        assert tables[f"{my.name}.old"].free_bytes is None
        indexes = {index.key: index for index in snapshot.indexes or ()}
        assert not indexes[f"{my.name}.old.a"].valid
        assert indexes[f"{my.name}.parts.a"].size_bytes == 3 * 16384
    finally:
        my.execute(f"DROP DATABASE {other}")


async def test_room_that_files_grow_into_is_not_free_space(my: Schema, open_session: Open) -> None:
    """InnoDB has each file grow ahead: rebuilding gives none of that back, only what deleted rows left."""
    my.execute(
        "CREATE TABLE parts (id int PRIMARY KEY, note char(200)) PARTITION BY HASH (id) PARTITIONS 2",
        "CREATE TABLE holed (id int PRIMARY KEY, note char(200)) PARTITION BY HASH (id) PARTITIONS 2",
        "INSERT INTO parts SELECT n, 'x' FROM (WITH RECURSIVE s (n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1000) SELECT n FROM s) s",
    )
    for _ in range(4):
        my.execute("INSERT INTO parts SELECT id + (SELECT MAX(id) FROM parts), note FROM parts")
    my.execute(*("INSERT INTO holed SELECT id + (SELECT COALESCE(MAX(id), 0) FROM holed), note FROM parts",) * 4)
    my.execute("DELETE FROM holed WHERE id % 64000 > 100")
    session = await open_session(my.monitor_url)
    for _ in range(100):  # until the purge of the deleted rows is done
        tables = {table.name: table.free_bytes for table in (await session.collect()).tables or ()}
        if (tables["holed"] or 0) >= 4 * 1024**2:
            break
        await asyncio.sleep(0.1)
    shown = my.fetch(
        "SELECT DATA_FREE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'parts'"
    )
    assert shown[0][0] >= 4 * 1024**2, "the server calls it free"
    assert tables["parts"] == 0
    assert (tables["holed"] or 0) >= 4 * 1024**2


async def test_altering_a_table_begins_its_counters_anew(my: Schema, open_session: Open) -> None:
    my.execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, KEY (a))",
        "INSERT INTO t VALUES (1, 1)",
        "SELECT id FROM t WHERE a = 1",
    )
    session = await open_session(my.monitor_url)
    before = await session.collect()
    my.next_second()
    my.execute("ALTER TABLE t ADD KEY b (a, id)")
    after = await session.collect()
    for first, second in ((before.tables, after.tables), (before.indexes, after.indexes)):
        assert first and second
        assert first[0].counted_since is not None and second[0].counted_since is not None
        assert second[0].counted_since > first[0].counted_since
    scans = [{index.name: index.scans for index in snapshot.indexes or ()} for snapshot in (before, after)]
    assert scans[0]["a"] == 1
    assert scans[1]["a"] == (0 if my.flavour == "MySQL" else 1), "MariaDB may keep them, which nothing tells"


async def test_what_seldom_changes_is_remembered_between_syncs(my: Schema, open_session: Open) -> None:
    """And what is asked for by name is what the list of all says."""

    async def collected(purpose: str = SYNC) -> tuple[Snapshot, bool]:
        session = await open_session(my.monitor_url, purpose)
        return await session.collect(objects=False), session.server.remembered

    first, remembered = await collected()
    assert not remembered
    again, remembered = await collected()
    assert remembered and again.server_statements < first.server_statements
    passing = {"observed_at": 0, "latency_ms": 0.0}
    same = [
        replace(each.facts, epoch=replace(each.facts.epoch, ran=None, stats_reset=None), **passing)
        for each in (first, again)
    ]
    assert same[0] == same[1]
    assert not (await collected("test"))[1], "who asks wants to know"

    was = first.facts.settings["innodb_stats_on_metadata"]
    my.execute(f"SET GLOBAL innodb_stats_on_metadata = {'OFF' if was == 'ON' else 'ON'}")
    try:
        changed, remembered = await collected()
    finally:
        my.execute(f"SET GLOBAL innodb_stats_on_metadata = {was}")
    assert remembered and changed.facts.settings["innodb_stats_on_metadata"] == ("OFF" if was == "ON" else "ON")
    unwatched = "UPDATE performance_schema.setup_instruments SET ENABLED = '{}' WHERE NAME = 'statement/sql/delete'"
    my.execute(unwatched.format("NO"))
    try:
        found = (await collected("test"))[0].warnings
        assert [warning.code for warning in found] == ["performance-schema-instruments"]
        assert (await collected())[0].warnings == found
    finally:
        my.execute(unwatched.format("YES"))
    assert not (await collected())[0].warnings, "at once, when it is mended"
    account = f"'{my.name}_monitor'@'%'"
    my.execute(f"REVOKE SELECT ON performance_schema.* FROM {account}")
    snapshot, remembered = await collected()
    assert not remembered and snapshot.statements is None
    assert [warning.code for warning in snapshot.warnings] == ["performance-schema-denied"]
    my.execute(f"GRANT SELECT ON performance_schema.* TO {account}")
    snapshot, remembered = await collected()
    assert not remembered and snapshot.statements is not None and not snapshot.warnings, "at once, when it is mended"


async def test_sessions_and_idle_transactions(my: Schema, open_session: Open) -> None:
    my.execute("CREATE TABLE t (a int)")
    session = await open_session(my.monitor_url)
    with my.connect(autocommit=False) as holder, holder.cursor() as cursor, my.connect():
        cursor.execute("INSERT INTO t VALUES (1)")
        cursor.execute("SELECT CONNECTION_ID()")
        ((pid,),) = cursor.fetchall()
        await asyncio.sleep(1.1)
        found = (await session.collect(objects=False)).sessions
    assert found is not None
    assert found.max_connections > 0 and found.by_state["idle in transaction"] >= 1 and found.by_state["idle"] >= 1
    (mine,) = (idle for idle in found.idle_in_transaction if idle["pid"] == pid)
    assert mine["user"] == "app"
    assert 1_000 <= mine["age_ms"] < 60_000


async def test_what_overflowed_is_shown_as_unattributed(private_my: Private, open_session: Open) -> None:
    for flavour in FLAVOURS:
        schema = private_my(flavour, SMALL_DIGESTS)
        with schema.connect() as connection, connection.cursor() as cursor:
            for number in range(400):
                cursor.execute(f"SELECT SLEEP(0.003) AS a{number}")
        session = await open_session(schema.monitor_url)
        ((time_ps, calls, total),) = schema.fetch(
            "SELECT MAX(IF(DIGEST IS NULL, SUM_TIMER_WAIT, 0)), MAX(IF(DIGEST IS NULL, COUNT_STAR, 0)), "
            "SUM(SUM_TIMER_WAIT) FROM performance_schema.events_statements_summary_by_digest"
        )
        snapshot = await session.collect()  # what it reads next is counted under no text, too
        (finding,) = [warning for warning in snapshot.warnings if warning.code == "digests-lost"]
        assert calls > 180
        assert finding.facts["share"] == pytest.approx(float(time_ps) / float(total), abs=0.01)
        assert 0 < finding.facts["lost"] <= finding.facts["calls"]
        assert "performance_schema_digests_size" in (finding.fix or "")
        assert snapshot.statements is not None
        assert snapshot.statements.hidden_time_ms == finding.facts["time_ms"]


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str.lower)
async def test_of_too_many_statements_the_costly_are_read(
    private_my: Private, open_session: Open, flavour: str
) -> None:
    schema = private_my(flavour, {"performance-schema-digests-size": "500"})
    schema.execute("CREATE DATABASE other")
    slow = [f"SELECT SLEEP(0.1) AS slow_{number}" for number in range(12)]
    schema.execute(*slow, *(f"SELECT 1 AS quick_{number}" for number in range(150)))
    schema.execute("USE other", "SELECT 2 AS quick", "SELECT SLEEP(0.1) AS slow")

    def counted(of: str) -> tuple[int, int, float]:
        """What the server says of the schemas that are meant: statements, calls, ms."""
        asked = f"SELECT COUNT(*), SUM(COUNT_STAR), SUM(SUM_TIMER_WAIT) / 1e9 FROM {DIGESTS} WHERE SCHEMA_NAME {of}"
        ((number, calls, time_ms),) = schema.fetch(asked)
        return int(number), int(calls), round(float(time_ms), 3)

    ours, others = f"= '{schema.name}'", "= 'other' OR SCHEMA_NAME IS NULL"
    counted(ours), counted(others)  # what asks is counted itself
    limits = Limits(call_s=300, statements=40)  # however busy the machine is
    session = await open_session(schema.monitor_url, limits=limits)
    before, elsewhere = counted(ours), counted(others)
    snapshot = await session.collect(objects=False)
    after, elsewhere_after = counted(ours), counted(others)
    read = snapshot.statements
    assert read is not None and read.whole and read.least_ms is not None
    times = [row["total_time_ms"] for row in rows_of(snapshot).values()]
    assert min(times) >= read.least_ms and 12 <= len(times) <= 40
    words = " ".join(await by_text(session, snapshot)).split()
    assert words and {f"slow_{number}" for number in range(12)} <= set(words)
    (said,) = [warning for warning in snapshot.warnings if warning.code == "digests-narrowed"]
    assert said.facts["read"] == len(times) and before[0] == said.facts["all"] == after[0]
    whole_ms = sum(times) + read.hidden_time_ms
    assert before[2] <= round(whole_ms, 3) <= after[2]
    assert said.facts["covered"] == pytest.approx(sum(times) / whole_ms, abs=1e-6)
    told = snapshot.other_databases
    assert told is not None and told.databases == 2, "the other one, and none"
    figures = told.statements, told.calls, round(told.time_ms, 3)
    assert all(map(le, elsewhere, figures)) and all(map(le, figures, elsewhere_after)), (elsewhere, figures)

    everywhere = (await session.collect(objects=False, elsewhere="read")).statements
    assert everywhere is not None and everywhere.least_ms is not None and len(everywhere.elsewhere or ()) >= 1
    asked = await session.collect(objects=False)
    again = await session.collect(objects=False)
    assert asked.server_statements - again.server_statements == 1, "asked once a session: it goes through all of them"
    all_of_them = await open_session(schema.monitor_url, limits=replace(limits, statements=0))
    unnarrowed = (await all_of_them.collect(objects=False)).statements
    assert unnarrowed is not None and (len(unnarrowed.rows), unnarrowed.least_ms) == (counted(ours)[0], None)

    schema.next_second()
    schema.execute(f"TRUNCATE {DIGESTS}", *(f"SELECT 1 AS after_{number}" for number in range(3)))
    emptied = await session.collect(objects=False)
    assert emptied.statements is not None and emptied.statements.least_ms is None, "what ran since is read at once"
    assert sum("after_" in text for text in await by_text(session, emptied)) == 3


@pytest.mark.parametrize("flavour", FLAVOURS, ids=str.lower)
async def test_performance_schema_off_is_said_and_the_rest_is_there(
    private_my: Private, open_session: Open, flavour: str
) -> None:
    schema = private_my(flavour, PFS_OFF)
    schema.execute(*SHOP, "INSERT INTO customer (name) VALUES ('a')", "SELECT * FROM customer WHERE name = 'a'")
    session = await open_session(schema.monitor_url)
    snapshot = await session.collect()
    assert snapshot.statements is None, "not an empty list"
    (finding,) = [warning for warning in snapshot.warnings if warning.code == "performance-schema-off"]
    assert finding.severity == "missing" and "performance_schema = ON" in (finding.fix or "")
    assert len(snapshot.tables or ()) == 3 and snapshot.schema is not None and snapshot.sessions is not None
    assert all(index.scans is None for index in snapshot.indexes or ())
    assert all(table.counters == {} for table in snapshot.tables or ())
    assert await session.texts(None) == ()
    if flavour == "MariaDB":
        schema.execute(
            "SET GLOBAL userstat = ON",
            "SELECT id FROM customer WHERE name = 'a'",
            "SELECT id FROM customer WHERE name = 'a'",
        )
        indexes = {index.name: index for index in (await session.collect()).indexes or ()}
        assert (indexes["by_name"].scans, indexes["idle"].scans) == (2, 0)


@pytest.mark.parametrize(
    ("grants", "code"),
    [
        (("PROCESS ON *.*",), "performance-schema-denied"),
        (("SELECT ON performance_schema.*",), "process"),
        ((), "performance-schema-denied"),
    ],
)
async def test_each_missing_right_is_named_and_the_rest_works(
    my: Schema, open_session: Open, grants: tuple[str, ...], code: str
) -> None:
    my.execute("CREATE TABLE t (a int)")
    url = my.user(f"SELECT ON `{my.name}`.*", *grants)
    session = await open_session(url)
    snapshot = await session.collect()
    found = {warning.code: warning for warning in snapshot.warnings}
    assert code in found and set(found) <= {"performance-schema-denied", "process"}
    for warning in found.values():
        my.execute(*filter(None, (warning.fix or "").split(";")))
    mended = await open_session(url)
    assert not (await mended.collect()).warnings
    assert len(snapshot.tables or ()) == 1
    assert (snapshot.statements is None) == ("performance-schema-denied" in found)


async def test_consumers_and_instruments_that_are_off(private_my: Private, open_session: Open) -> None:
    schema = private_my("MySQL")
    broken = (
        ("performance-schema-consumers", "setup_consumers", "ENABLED = 'NO'", "NAME = 'statements_digest'"),
        ("performance-schema-instruments", "setup_instruments", "ENABLED = 'NO'", "NAME = 'statement/sql/select'"),
        ("performance-schema-untimed", "setup_instruments", "TIMED = 'NO'", "NAME = 'statement/sql/select'"),
        ("index-use", "setup_instruments", "ENABLED = 'NO'", "NAME = 'wait/io/table/sql/handler'"),
        ("performance-schema-actors", "setup_actors", "ENABLED = 'NO'", "HOST = '%%'"),
    )
    session = await open_session(schema.monitor_url)
    assert not (await session.collect()).warnings
    for code, table, change, which in broken:
        schema.execute(f"UPDATE performance_schema.{table} SET {change} WHERE {which.replace('%%', '%')}")
        snapshot = await session.collect()
        assert [warning.code for warning in snapshot.warnings] == [code]
        fix = snapshot.warnings[0].fix or ""
        if code == "index-use":
            assert all(index.scans is None for index in snapshot.indexes or ())
        if code == "performance-schema-actors":
            schema.execute("DELETE FROM performance_schema.setup_actors")
        schema.execute(fix.partition(";")[0])
        assert not (await session.collect()).warnings, code


async def test_more_indexes_than_there_is_room_for(private_my: Private, open_session: Open) -> None:
    schema = private_my("MariaDB", {"performance-schema-max-index-stat": "20"})
    for number in range(15):
        schema.execute(
            f"CREATE TABLE t{number} (id int PRIMARY KEY, a int, KEY (a))", f"SELECT a FROM t{number} WHERE a = 1"
        )
    snapshot = await (await open_session(schema.monitor_url)).collect()
    assert [warning.code for warning in snapshot.warnings] == ["index-use-lost"]
    scans = {index.scans for index in snapshot.indexes or ()}
    assert None in scans, "not 0: nobody knows"


async def test_a_cut_digest_is_not_taken_for_a_statement(my: Schema, open_session: Open) -> None:
    long = ", ".join(f"a AS column_{number}" for number in range(120))
    my.execute("CREATE TABLE t (a int)", f"SELECT {long} FROM t", f"SELECT {long}, 1 FROM t", "SELECT a FROM t")
    session = await open_session(my.monitor_url)
    texts = {text.text or "": text for text in await session.texts(None)}
    (cut,) = (text for start, text in texts.items() if start.startswith("SELECT a AS"))
    assert cut.state == "cut"
    assert rows_of(await session.collect())[cut.key]["calls"] == 2, "two statements, one digest"
    assert texts["SELECT a FROM t"].state == "ok"


def test_how_long_a_digest_is() -> None:
    assert not is_cut("SELECT `a` FROM `t`", 1024)
    assert is_cut("SELECT " + " , ".join(["`column`"] * 90), 1024)
    assert not is_cut("SELECT " + " , ".join(["?"] * 200), 1024)
    assert is_cut("SELECT `a``b c` FROM `t`", 86)


async def test_texts_have_no_literals_and_each_key_has_one(my: Schema, open_session: Open) -> None:
    my.execute("CREATE TABLE t (a int, s varchar(20))", "SELECT * FROM t WHERE s = 'c4nary' AND a IN (1, 2, 3)")
    my.execute(f"CREATE USER '{my.name}_x'@'%' IDENTIFIED BY 'c4nary'", "SHOW TABLES")
    session = await open_session(my.monitor_url)
    snapshot = await session.collect()
    keys = [*rows_of(snapshot), f"{my.name}.gone"]
    texts = {text.key: text for text in await session.texts(keys)}
    assert set(texts) == set(keys)
    assert texts[f"{my.name}.gone"].state == "unavailable"
    assert "c4nary" not in str(texts.values())
    (found,) = (text for text in texts.values() if (text.text or "").startswith("SELECT * FROM t"))
    assert (found.kind, found.aside, found.database, found.state) == ("select", None, my.name, "ok")
    assert found.fingerprint
    assert any(text.text == "SHOW TABLES" and text.aside == "utility" for text in texts.values())
    assert await session.texts([]) == ()


async def test_texts_of_every_character_set(my: Schema, open_session: Open) -> None:
    """Bytes that are nobody's text end neither the counters nor the other texts."""
    my.execute("CREATE TABLE `größe` (`naïve €` varchar(10))", "SELECT `naïve €` FROM `größe`")
    for charset in ("latin1", "gbk", "utf8mb4"):
        with my.connect(charset=charset) as connection:
            connection.query("SET NAMES " + charset)
            for text in (
                b"SELECT 1 AS `\xe9\xff`",
                b"SELECT '\xff\xfe' AS b",
                b"SELECT `\xc3\xa4\x81` FROM \xff",
                b"SELECT \xff\xfe\x00 1",
            ):
                with contextlib.suppress(pymysql.MySQLError, UnicodeDecodeError):
                    connection._execute_command(3, text)
                    connection._read_query_result()
    session = await open_session(my.monitor_url)
    snapshot = await session.collect()
    rows = rows_of(snapshot)
    texts = {text.key: text for text in await session.texts(rows)}
    assert set(texts) == set(rows)
    assert any(text.text == "SELECT `naïve €` FROM größe" and text.state == "ok" for text in texts.values())
    for text in texts.values():
        (text.text or "").encode("utf-8")
    assert not snapshot.warnings


def test_figures_that_wrapped_are_not_measured() -> None:
    """Servers have counted memory and rows below zero: in 64 bits that is nearly 2^64."""
    shaper = statements._Shaper.__new__(statements._Shaper)
    shaper._watched, shaper._round_up = (lambda schema: True), 0
    shaper.hidden = shaper.digests = shaper.lost_calls = 0
    shaper.lost_time_ms = shaper.all_time_ms = 0.0
    shaper.oldest = None
    most = 2**64 - 1
    (row,) = shaper.shape([("db", "d", 1500, most, most, 1, most, most - 5, 3, most, 7, 0, 0, 0, most)])
    found = dict(zip(("key", *statements.COLUMNS), row, strict=True))
    assert found["calls"] == 2**63 - 1
    assert found["total_time_ms"] == pytest.approx(1.8446744e10)
    assert (found["rows"], found["rows_examined"], found["no_index_calls"]) == (None, None, 7)
    assert found["lock_time_ms"] == pytest.approx(1.8446744e10), "a sum of times, as the total is"
    assert found["stats_since"] == 1500


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("tinyint(4)", 127),
        ("tinyint unsigned", 255),
        ("mediumint(8) unsigned", 2**24 - 1),
        ("int", 2**31 - 1),
        ("bigint(20) unsigned", 2**64 - 1),
        ("double", None),
    ],
)
def test_the_largest_number_a_column_holds(kind: str, limit: int | None) -> None:
    assert schema._largest(kind) == limit


@pytest.mark.slow
async def test_a_lost_session_is_no_half_reading(my: Schema, open_session: Open) -> None:
    from meshag_tui.engines.base import CannotConnect

    session = await open_session(my.monitor_url, limits=Limits(call_s=2))
    my.execute(f"KILL {session.wire.connection_id}")
    with pytest.raises(CannotConnect):
        await session.collect()
