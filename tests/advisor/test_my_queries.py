"""Statements and tables of MySQL and MariaDB that no index cures: each rule where the trouble is, silence elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from meshag_tui.advisor.health import sessions, table_health
from meshag_tui.advisor.running_out import running_out
from meshag_tui.advisor.statistics import tables_of
from meshag_tui.snapshot import SessionStats
from meshag_tui.types import Analyze, Rebuild
from tests.advisor.conftest import Watch, by_rule, filled
from tests.rig.mysql import Schema

LIBRARY = (
    "CREATE TABLE members (id int PRIMARY KEY, email varchar(60) NOT NULL, joined date NOT NULL, "
    "UNIQUE KEY members_email (email))",
    filled("members", 10_000, "n, concat('m', n, '@x.org'), '2020-01-01' + INTERVAL n % 1000 DAY"),
    "CREATE TABLE loans (id int PRIMARY KEY, member_id int NOT NULL, due date NOT NULL, note varchar(200) NOT NULL, "
    "KEY loans_member_due (member_id, due), CONSTRAINT loans_member FOREIGN KEY (member_id) REFERENCES members (id))",
    filled("loans", 30_000, "n, n * 7919 % 10000 + 1, '2024-01-01' + INTERVAL n % 300 DAY, concat('note ', n)"),
    "ANALYZE TABLE members, loans",
)


async def test_a_healthy_database_gets_nothing(watch: Watch, my: Schema) -> None:
    my.execute(*LIBRARY)
    shop = watch(my)
    await shop.work(
        "SELECT id, joined FROM members WHERE email = 'm77@x.org'",
        "SELECT email FROM members WHERE id = 77",
        "SELECT id, due FROM loans WHERE member_id = 77 ORDER BY due DESC LIMIT 5",
        "SELECT m.email, l.due FROM loans l JOIN members m ON m.id = l.member_id WHERE l.member_id = 78",
        "UPDATE loans SET due = '2026-01-01' WHERE id = 12",
        "SELECT id FROM members m WHERE id BETWEEN 100 AND 260 AND NOT EXISTS "
        "(SELECT 1 FROM loans l WHERE l.member_id = m.id AND l.due > '2024-10-01')",
        times=30,
    )
    advice = await shop.advice()
    assert advice.suggestions == () and advice.notes == ()
    assert {"missing-index", "unused-index", "stale-statistics", "temp-table-spill"} <= advice.complete_rules


async def test_statements_that_an_application_should_write_otherwise(watch: Watch, my: Schema) -> None:
    my.execute(*LIBRARY, "ALTER TABLE loans ADD COLUMN referrer int", "UPDATE loans SET referrer = member_id")
    shop = watch(my)
    await shop.work(
        *["SELECT id, note FROM loans ORDER BY id LIMIT 20 OFFSET 25000"] * 8,
        "SELECT id FROM loans ORDER BY rand() LIMIT 3",
        "SELECT id FROM members WHERE id NOT IN (SELECT referrer FROM loans WHERE due > '2024-03-01')",
        "SELECT id FROM loans WHERE note LIKE '%777%'",
        "SELECT count(*) FROM loans WHERE date_format(due, '%Y-%m-%d') = '2024-02-02'",
        times=6,
    )
    found = {one.rule: one for one in (await shop.advice()).suggestions}
    wanted = {
        "offset-pagination",
        "order-by-random",
        "not-in-subquery",
        "like-pattern",
        "function-on-column",
    }
    assert wanted <= set(found) and "missing-index" not in found
    assert all(one.sql is None for rule, one in found.items() if rule in wanted)
    assert "reads 25,020 rows a call" in found["offset-pagination"].text
    assert "rand()" in found["order-by-random"].title and "TABLESAMPLE" not in found["order-by-random"].text
    assert "FULLTEXT" in found["like-pattern"].text and "pg_trgm" not in found["like-pattern"].text
    assert "half-open range" in found["function-on-column"].text and found["function-on-column"].table == "loans"


async def test_a_list_the_digest_cut_and_an_or_across_tables(watch: Watch, my: Schema) -> None:
    my.execute(*LIBRARY)
    shop = watch(my)
    listed = ", ".join(str(n * 7 % 10_000 + 1) for n in range(1, 1_400))
    await shop.work(
        *[f"SELECT email FROM members WHERE id IN ({listed})"] * 8,
        "SELECT m.email FROM members m JOIN loans l ON l.member_id = m.id "
        "WHERE m.email = 'm7@x.org' OR l.note = 'note 7'",
        times=4,
    )
    found = {one.rule: one for one in (await shop.advice()).suggestions}
    assert set(found) == {"long-in-list", "or-across-tables"}
    assert (
        "at least 1,399 values" in found["long-in-list"].title and "across l and m" in found["or-across-tables"].title
    )


async def test_what_goes_to_disk_is_counted_by_the_server(watch: Watch, my: Schema) -> None:
    my.execute(*LIBRARY, "ALTER TABLE loans ADD COLUMN long_note text", "UPDATE loans SET long_note = repeat(note, 20)")
    shop = watch(my)
    await shop.sync()
    with my.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sort_buffer_size = 32768")
        for _ in range(4):
            cursor.execute("SELECT id, note FROM loans WHERE due > '2024-01-01' ORDER BY note LIMIT 29000")
            cursor.execute("SELECT long_note, count(*) FROM loans GROUP BY long_note ORDER BY 2 DESC LIMIT 5")
    await shop.sync()
    found = {one.rule: one for one in (await shop.advice()).suggestions}
    assert "missing-index" not in found, "an order is no help to calls that take nearly all rows"
    assert "sort_buffer_size" in found["sort-spill"].text and "merge passes in 4 calls" in found["sort-spill"].text
    if my.flavour == "MariaDB":  # MySQL keeps them in memory up to temptable_max_ram
        assert "tmp_memory_table_size" in found["temp-table-spill"].text
        assert "4 temporary tables went to disk in 4 calls" in found["temp-table-spill"].text


async def test_one_row_at_a_time(watch: Watch, my: Schema) -> None:
    my.execute(*LIBRARY)
    shop = watch(my)
    await shop.sync()
    with my.connect() as connection, connection.cursor() as cursor:
        for page in range(10):
            cursor.execute(f"SELECT id, member_id FROM loans WHERE member_id BETWEEN {page * 10} AND {page * 10 + 9}")
            for _, member in cursor.fetchall():
                cursor.execute(f"SELECT email FROM members WHERE id = {member}")
    await shop.sync()
    (one,) = by_rule(await shop.advice(), "n-plus-one")
    assert one.table == "members" and "WHERE key IN (…)" in one.text


async def test_the_state_of_tables(watch: Watch, my: Schema) -> None:
    my.execute(
        "CREATE TABLE stale (id int PRIMARY KEY, batch int, KEY (batch)) STATS_PERSISTENT=1 STATS_AUTO_RECALC=0",
        filled("stale", 500, "n, 1"),
        "ANALYZE TABLE stale",
        filled("stale", 20_000, "n + 1000, 2"),
        "CREATE TABLE calm (id int PRIMARY KEY)",
        filled("calm", 5_000, "n"),
        "CREATE TABLE holes (id int PRIMARY KEY, filler char(250) NOT NULL)",
        filled("holes", 90_000, "n, repeat('x', 250)"),
        "DELETE FROM holes WHERE id > 5000",
        "CREATE TABLE keyless (a int, b int)",
        filled("keyless", 3_000, "n, n"),
        "UPDATE keyless SET b = b + 1",
        "CREATE TABLE counted (id tinyint UNSIGNED AUTO_INCREMENT PRIMARY KEY, a int) AUTO_INCREMENT = 250",
        "INSERT INTO counted (a) VALUES (1)",
        "ANALYZE TABLE calm, holes, keyless",
        "UPDATE keyless SET b = b + 1",  # which MariaDB counts as changes, and which statistics say nothing of
    )
    async with asyncio.timeout(120):  # until the purge has freed the pages
        while my.fetch("SELECT data_free FROM information_schema.tables WHERE table_name = 'holes'")[0][0] < 18e6:
            await asyncio.sleep(0.2)
            my.execute("ANALYZE TABLE holes")
    shop = watch(my)
    await shop.sync()
    catalog = shop.catalog()
    found = {(one.rule, one.table): one for one in table_health(catalog)}
    assert set(found) == {("stale-statistics", "stale"), ("table-bloat", "holes"), ("no-primary-key", "keyless")}
    stale, holes = found["stale-statistics", "stale"], found["table-bloat", "holes"]
    assert stale.change == Analyze(my.name, "stale") and "STATS_AUTO_RECALC=0" in stale.text
    assert holes.change == Rebuild(my.name, "holes") and "of its file is free space" in holes.title
    (full,) = running_out(catalog, tables_of(catalog, {}))
    assert full.table == "counted" and full.priority == "HIGH" and "BIGINT UNSIGNED" in full.text
    ready = {one.rule: one for one in (await shop.advice()).suggestions}
    assert (
        ready["table-bloat"].sql and "LOCK=NONE" in ready["table-bloat"].sql and ready["table-bloat"].undo_sql is None
    )
    assert ready["stale-statistics"].sql and ready["stale-statistics"].sql.startswith("ANALYZE ")


async def test_sessions_in_words_of_this_server(watch: Watch, my: Schema) -> None:
    shop = watch(my)
    await shop.sync()
    with my.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS busy (id int PRIMARY KEY)")
        cursor.execute("INSERT INTO busy VALUES (1)")
        await asyncio.sleep(0.3)  # InnoDB shows its list of transactions as it was up to a tenth of a second ago
        await shop.sync()
        state = shop.catalog().sessions
        assert state is not None and len(state.idle_in_transaction) >= 1
    idle = [{**one, "state_age_ms": 400_000} for one in state.idle_in_transaction]
    crowded = SessionStats(100, 0, {"Sleep": 70, "Query": 25}, tuple(idle))
    found = {one.rule: one for one in sessions(replace(shop.catalog(), sessions=crowded))}
    assert set(found) == {"idle-in-transaction", "connection-saturation"}
    assert "purge" in found["idle-in-transaction"].text and "VACUUM" not in found["idle-in-transaction"].text
    assert str(found["idle-in-transaction"].evidence["facts"][0]).startswith("connection ")


async def test_a_column_whose_values_the_planner_guesses(watch: Watch, my: Schema) -> None:
    """MySQL takes a tenth of the rows for any value without an index, MariaDB all of them: each misleads a join."""
    my.execute(
        "CREATE TABLE readers (id int PRIMARY KEY, country char(2) NOT NULL, level int NOT NULL, filler char(100))",
        filled("readers", 20_000, "n, if(n % 1000 = 0, 'XX', 'DE'), n % 10, repeat('x', 100)"),
        "CREATE TABLE books (id int PRIMARY KEY, shelf int NOT NULL, KEY (shelf))",
        filled("books", 2_000, "n, n % 40"),
        "CREATE TABLE lent (id int PRIMARY KEY, reader_id int NOT NULL, book_id int NOT NULL, "
        "KEY (reader_id), KEY (book_id))",
        filled("lent", 60_000, "n, n * 7919 % 20000 + 1, n * 31 % 2000 + 1"),
        "ANALYZE TABLE readers, lent, books",
    )
    joined = "FROM readers r JOIN lent l ON l.reader_id = r.id JOIN books b ON b.id = l.book_id"
    column, wrong = {
        "MySQL": ("country", f"SELECT count(*), min(b.shelf) {joined} WHERE r.country = 'DE'"),
        "MariaDB": ("level", f"SELECT count(*), min(b.shelf) {joined} WHERE r.level = 7 AND b.shelf < 30"),
    }[my.flavour]
    shop = watch(my)
    await shop.work(wrong, times=4)
    (one,) = by_rule(await shop.advice(), "missing-histogram")
    assert one.title == f"Tell the planner what readers.{column} holds" and one.evidence_kind == "counted"
    assert "rows read a call" in str(one.evidence["facts"])
    if my.flavour == "MySQL":
        assert "keep 10 % of the rows of readers" in one.text
        my.execute(str(one.sql))
    else:
        assert one.sql is None and "PERSISTENT FOR COLUMNS (`level`) INDEXES ()" in one.text
        my.execute(f"ANALYZE TABLE `{my.name}`.readers PERSISTENT FOR COLUMNS (level) INDEXES ()")
    assert by_rule(await shop.advice(), "missing-histogram") == [], "it knows now"
