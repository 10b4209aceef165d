"""Tables, sequences, sessions and foreign keys: each rule on a database that has the trouble, and silence elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshag_tui.advisor.health import sessions, table_health
from meshag_tui.advisor.running_out import running_out
from meshag_tui.advisor.statistics import tables_of
from meshag_tui.figures import count
from meshag_tui.snapshot import SessionStats
from meshag_tui.store.history_objects import Busiest
from meshag_tui.types import Analyze, Vacuum, Window
from tests.advisor.conftest import Watch, by_rule
from tests.rig.postgres import Database

FAMILY = """
CREATE TABLE parents (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE children (id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parents (id), v int NOT NULL);
INSERT INTO parents SELECT g, 'p' || g FROM generate_series(1, 3000) g;
INSERT INTO children SELECT g, g % 2000 + 1, g FROM generate_series(1, 40000) g;
"""


async def test_a_healthy_database_gets_nothing(watch: Watch, pg: Database) -> None:
    pg.execute(FAMILY, "CREATE INDEX children_parent ON children (parent_id, v)", "VACUUM ANALYZE")
    shop = watch(pg)
    await shop.work(
        "SELECT name FROM parents WHERE id = 7",
        "SELECT v FROM children WHERE parent_id = 8 ORDER BY v DESC LIMIT 5",
        "DELETE FROM parents WHERE id = 2999",
        "SELECT v FROM children WHERE id = 99",
    )
    advice = await shop.advice()
    assert advice.suggestions == () and advice.notes == ()
    assert {"missing-index", "unindexed-foreign-key", "unused-index", "stale-statistics"} <= advice.complete_rules


async def test_deletes_that_read_the_whole_child(watch: Watch, pg: Database) -> None:
    pg.execute(FAMILY, "VACUUM ANALYZE")
    shop = watch(pg)
    await shop.work("DELETE FROM parents WHERE id = 2500", "SELECT v FROM children WHERE id = 5")
    (one,) = (await shop.advice()).suggestions
    assert one.rule == "unindexed-foreign-key" and one.priority == "HIGH"
    assert one.sql == "CREATE INDEX CONCURRENTLY children_parent_id_idx ON public.children USING btree (parent_id)"
    assert len(one.query_ids) == 1 and "reads all 40,000 rows" in one.text
    assert one.evidence["size_bytes"] > 100_000 and any("estimated size" in fact for fact in one.evidence["facts"])
    assert one.evidence["upkeep"]["entries"] == 0 and "No row of children was seen written" in one.text


async def test_a_key_nobody_deletes_by_is_left_alone(watch: Watch, pg18: Database) -> None:
    pg18.execute(FAMILY, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.work("SELECT name FROM parents WHERE id = 7", "UPDATE parents SET name = 'x' WHERE id = 9")
    assert by_rule(await shop.advice(), "unindexed-foreign-key") == []


async def test_a_key_covered_in_another_order_or_by_a_new_index_is_covered(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); INSERT INTO p SELECT g, g FROM generate_series(1, 500) g",
        "CREATE TABLE c (id int PRIMARY KEY, x int, y int, FOREIGN KEY (x, y) REFERENCES p (a, b)); "
        "INSERT INTO c SELECT g, g % 400 + 1, g % 400 + 1 FROM generate_series(1, 30000) g",
        "CREATE INDEX ON c (y, x, id)",
        "VACUUM ANALYZE",
    )
    shop = watch(pg18)
    await shop.work("DELETE FROM p WHERE a = 480")
    assert by_rule(await shop.advice(), "unindexed-foreign-key") == []
    pg18.execute("DROP INDEX c_y_x_id_idx")
    await shop.work("DELETE FROM p WHERE a = 481", "SELECT id FROM c WHERE x = 5 AND y = 5")
    found = (await shop.advice()).suggestions
    assert len([one for one in found if one.sql and "ON public.c" in one.sql]) == 1  # not the same index twice


async def test_statistics_that_missed_a_load(watch: Watch, pg: Database) -> None:
    pg.execute(
        "CREATE TABLE samples (id int PRIMARY KEY, batch int); CREATE TABLE calm (id int PRIMARY KEY)",
        "INSERT INTO samples SELECT g, 1 FROM generate_series(1, 500) g",
        "INSERT INTO calm SELECT generate_series(1, 5000)",
        "VACUUM ANALYZE",
        "INSERT INTO samples SELECT g, 2 FROM generate_series(501, 40000) g",
    )
    shop = watch(pg)
    await shop.sync()
    (one,) = by_rule(await shop.advice(), "stale-statistics")
    assert one.table == "samples" and one.change == Analyze("public", "samples")
    assert one.sql == "ANALYZE public.samples" and one.undo_sql is None


async def test_wide_rows_analysed_in_the_breath_they_were_loaded_in_are_not_out_of_date(
    watch: Watch, pg: Database
) -> None:
    pg.execute(
        "CREATE TABLE docs (id int PRIMARY KEY, big text NOT NULL) WITH (autovacuum_enabled = false)",
        "ALTER TABLE docs ALTER big SET STORAGE EXTERNAL",
        "INSERT INTO docs SELECT g, repeat(md5(g::text), 150) FROM generate_series(1, 2000) g",
        "VACUUM ANALYZE docs",
    )
    shop = watch(pg)
    await shop.sync()
    assert by_rule(await shop.advice(), "stale-statistics") == []
    pg.execute("INSERT INTO docs SELECT g, repeat(md5(g::text), 150) FROM generate_series(2001, 5000) g")
    await shop.sync()
    (one,) = by_rule(await shop.advice(), "stale-statistics")
    assert one.table == "docs"


async def test_dead_rows_that_stay_because_autovacuum_is_off(watch: Watch, pg: Database) -> None:
    pg.execute(
        "CREATE TABLE counters (id int PRIMARY KEY, hits int) WITH (autovacuum_enabled = false)",
        "CREATE TABLE stable (id int PRIMARY KEY, hits int)",
        "INSERT INTO counters SELECT g, 0 FROM generate_series(1, 5000) g; INSERT INTO stable SELECT g, 0 "
        "FROM generate_series(1, 5000) g",
        "VACUUM ANALYZE",
        "UPDATE counters SET hits = hits + 1",
        "UPDATE counters SET hits = hits + 1",
    )
    # Analysed by a later session, when the updates of the first are reported: that comes a moment after it ended.
    updated = "SELECT n_tup_upd = 10000 FROM pg_stat_user_tables WHERE relname = 'counters'"
    while pg.fetch(updated) != [(True,)]:
        pg.execute("SELECT pg_sleep(0.05)")
    pg.execute("ANALYZE counters")
    shop = watch(pg)
    await shop.sync()
    advice = await shop.advice()
    assert {(one.rule, one.table) for one in advice.suggestions} == {
        ("table-bloat", "counters"),
        ("autovacuum-off", "counters"),
    }
    (bloat,) = by_rule(advice, "table-bloat")
    assert bloat.change == Vacuum("public", "counters") and bloat.sql and bloat.sql.startswith("VACUUM")
    (off,) = by_rule(advice, "autovacuum-off")
    assert off.sql == "ALTER TABLE public.counters RESET (autovacuum_enabled)"
    assert off.undo_sql == "ALTER TABLE public.counters SET (autovacuum_enabled = false)"


async def test_numbers_that_run_out(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE audit (id serial PRIMARY KEY); SELECT setval('audit_id_seq', 1900000000)",
        "CREATE TABLE big (id bigserial PRIMARY KEY); SELECT setval('big_id_seq', 1900000000)",
        "CREATE TABLE small (id serial PRIMARY KEY); SELECT setval('small_id_seq', 90000)",
        "CREATE SEQUENCE round MAXVALUE 10 CYCLE; SELECT setval('round', 10)",
    )
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    (one,) = running_out(catalog, tables_of(catalog, {}))
    assert one.rule == "sequence-exhaustion" and one.table == "audit" and one.sql is None
    assert "1,900,000,000" in one.text and "integer" in one.text and "bigint" in one.text
    assert "rows a day" not in one.text  # nothing was inserted while it was watched


@pytest.mark.parametrize(("a_day", "said"), [(10_000_000, True), (1_000_000, False)])
async def test_numbers_that_go_fast_are_named_early(watch: Watch, pg18: Database, a_day: int, said: bool) -> None:
    pg18.execute("CREATE TABLE audit (id serial PRIMARY KEY); SELECT setval('audit_id_seq', 1000000000)")
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    ten_days = Window(catalog.window.end - 10 * 86_400_000, catalog.window.end)
    busy = replace(catalog, window=ten_days, tables=tuple(replace(row, inserts=10 * a_day) for row in catalog.tables))
    found = list(running_out(busy, tables_of(busy, {})))
    assert bool(found) == said
    if said:
        assert f"At the {count(a_day)} rows a day inserted lately, the rest lasts about 115 days" in found[0].text


async def test_sessions_that_hold_on(watch: Watch, pg18: Database) -> None:
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    idle = {"pid": 5, "user": "app", "application": "web", "age_ms": 700_000, "state_age_ms": 600_000}
    short = {**idle, "pid": 6, "state_age_ms": 2_000}
    busy = SessionStats(100, 3, {"active": 80, "idle in transaction": 2}, (idle, short))
    found = {one.rule: one for one in sessions(replace(catalog, sessions=busy))}
    assert set(found) == {"idle-in-transaction", "connection-saturation"}
    assert found["idle-in-transaction"].title.startswith("1 session")
    assert "82 of 97" in found["connection-saturation"].title
    calm = SessionStats(100, 3, {"active": 5}, (short,))
    assert list(sessions(replace(catalog, sessions=calm))) == []


async def test_pools_that_are_larger_than_the_work(watch: Watch, pg18: Database) -> None:
    shop = watch(pg18)
    await shop.sync()
    with pg18.connect(), pg18.connect():
        await shop.sync()
    catalog = shop.catalog()
    assert catalog.busiest is not None and (catalog.busiest.samples, catalog.busiest.working) == (2, 0)
    state = SessionStats(100, 3, {"active": 2, "idle": 48})
    seen = replace(catalog, sessions=state, busiest=Busiest(400, 24 * 3_600_000, working=6, idle=41))
    (one,) = sessions(seen)
    assert one.rule == "oversized-pool" and "about 12 in all" in one.text and "never more than 6" in one.text
    for busiest in (
        Busiest(5, 24 * 3_600_000, working=6, idle=41),
        Busiest(400, 600_000, working=6, idle=41),
        Busiest(400, 24 * 3_600_000, working=20, idle=41),
        Busiest(400, 24 * 3_600_000, working=1, idle=12),
    ):
        assert list(sessions(replace(seen, busiest=busiest))) == []


async def test_small_tables_are_not_worth_a_word(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE tiny (id int) WITH (autovacuum_enabled = off); INSERT INTO tiny SELECT generate_series(1, 200)",
        "UPDATE tiny SET id = id + 1",
    )
    shop = watch(pg18)
    await shop.sync()
    assert list(table_health(shop.catalog())) == []
