"""Space that holds nothing: found where it was planted, not where it only looks so, and the error is as stated."""

from __future__ import annotations

import asyncio

from meshag_tui.advisor.bloat import ERROR, fresh_index_bytes, fresh_table_bytes
from meshag_tui.advisor.statistics import tables_of
from meshag_tui.types import Reindex
from tests.advisor.conftest import Watch, by_rule
from tests.rig.postgres import Database

KINDS = """
CREATE TABLE kinds (id int PRIMARY KEY, big bigint, few int, code text, word text, at timestamptz, token uuid,
    amount numeric(10, 2), flag boolean, note varchar(200));
INSERT INTO kinds SELECT g, g * 7919, g % 500, md5(g::text), 'word' || g % 2000, now() - g * interval '1 min',
    md5(g::text)::uuid, g / 7.0, g % 3 = 0, repeat('n', 20 + g % 60) FROM generate_series(1, 60000) g;
CREATE INDEX kinds_big ON kinds (big);
CREATE INDEX kinds_few ON kinds (few);
CREATE INDEX kinds_code ON kinds (code);
CREATE INDEX kinds_word ON kinds (word);
CREATE INDEX kinds_at ON kinds (at);
CREATE INDEX kinds_token ON kinds (token);
CREATE INDEX kinds_two ON kinds (few, big);
CREATE INDEX kinds_text ON kinds (word, code);
CREATE INDEX kinds_with ON kinds (big) INCLUDE (note);
CREATE INDEX kinds_part ON kinds (big) WHERE flag;
CREATE INDEX kinds_loose ON kinds (big) WITH (fillfactor = 40);
CREATE INDEX kinds_amount ON kinds (amount);
"""


async def test_the_error_of_the_reckoning_is_as_stated(watch: Watch, pg: Database) -> None:
    pg.execute(KINDS, "VACUUM ANALYZE")
    shop = watch(pg)
    await shop.sync()
    catalog = shop.catalog()
    async with shop.connect(pg) as session:
        columns = {("public", "kinds"): await session.column_statistics("public", "kinds")}
    view = tables_of(catalog, columns).views["public", "kinds"]
    off = {"kinds": (fresh_table_bytes(view, 8192) or 0) / (view.stats.pages * 8192)}
    for row in catalog.indexes:
        off[row.stats.name] = (fresh_index_bytes(row.stats, view) or 0) / (row.stats.size_bytes or 1)
    assert len(off) == 14 and all(1 - ERROR <= ratio <= 1 + ERROR for ratio in off.values()), off


async def test_what_deletes_left_is_found_and_what_only_looks_so_is_not(watch: Watch, pg: Database) -> None:
    pg.execute(
        "CREATE TABLE queue (id int PRIMARY KEY, state int NOT NULL, body text NOT NULL) WITH (autovacuum_enabled=off)",
        "INSERT INTO queue SELECT g, g % 5, md5(g::text) FROM generate_series(1, 120000) g",
        "CREATE INDEX queue_body ON queue (body)",
        "CREATE INDEX queue_loose ON queue (id, state) WITH (fillfactor = 30)",
        "CREATE TABLE log (id int PRIMARY KEY, line text NOT NULL)",
        "INSERT INTO log SELECT g, md5(g::text) FROM generate_series(1, 60000) g",
        "CREATE TABLE calm (id int PRIMARY KEY, token uuid NOT NULL) WITH (fillfactor = 40)",
        "CREATE INDEX calm_token ON calm (token)",  # filled in random order, as uuids are
        "INSERT INTO calm SELECT g, md5(g::text)::uuid FROM generate_series(1, 60000) g",
        "DELETE FROM queue WHERE id % 10 > 0",
        "CREATE TABLE grown (id int PRIMARY KEY) WITH (autovacuum_enabled = off)",
        "INSERT INTO grown SELECT generate_series(1, 1000)",
    )
    for _ in range(100):  # a transaction of a background process may still see the old rows
        pg.execute("VACUUM ANALYZE")
        if pg.fetch("SELECT n_dead_tup = 0 FROM pg_stat_user_tables WHERE relname = 'queue'")[0][0]:
            break
        await asyncio.sleep(0.1)
    pg.execute("INSERT INTO grown SELECT generate_series(1001, 90000)")  # which no ANALYZE has seen
    shop = watch(pg)
    await shop.work("SELECT line FROM log WHERE id = 7", times=2)
    advice = await shop.advice()
    indexes = {one.sql: one for one in by_rule(advice, "index-bloat")}
    assert set(indexes) == {
        "REINDEX INDEX CONCURRENTLY public.queue_pkey",
        "REINDEX INDEX CONCURRENTLY public.queue_body",
        "REINDEX INDEX CONCURRENTLY public.queue_loose",
    }
    (table,) = by_rule(advice, "table-bloat")
    assert table.table == "queue" and table.sql == "VACUUM (FULL, ANALYZE) public.queue" and table.risk == "HIGH"
    assert table.change is None and all(isinstance(one.change, Reindex) for one in indexes.values())
    assert all("±25" in one.text for one in (table, *indexes.values()))
    for statement in indexes:
        with pg.connect() as connection:
            connection.execute(str(statement))
    pg.execute(str(table.sql))
    await shop.sync()
    advice = await shop.advice()
    assert [*by_rule(advice, "index-bloat"), *by_rule(advice, "table-bloat")] == []
