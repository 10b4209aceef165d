"""Indexes that may go, and sixty that look as if they might and must not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from meshag_tui.advisor.generate import Advice
from meshag_tui.advisor.hygiene import index_hygiene
from meshag_tui.advisor.refusals import DAY_MS, refusals
from meshag_tui.advisor.twins import duplicates, redundant
from meshag_tui.store import connections, snapshots
from meshag_tui.store.history import Catalog, IndexRow, Loss
from meshag_tui.store.vault import Vault
from meshag_tui.types import DropIndex, HideIndex, Suggestion, Target
from tests.advisor.conftest import Connect, Watch, Watched, by_rule
from tests.rig.postgres import Database

TRAPS = """
CREATE EXTENSION btree_gin;
CREATE TABLE parents (id int PRIMARY KEY, code text CONSTRAINT parents_code_key UNIQUE);
CREATE TABLE t (
    id int CONSTRAINT t_pkey PRIMARY KEY,
    parent_id int REFERENCES parents (id),
    a int NOT NULL, b int NOT NULL, c text NOT NULL, d timestamp NOT NULL, r int4range NOT NULL, p point,
    CONSTRAINT t_no_overlap EXCLUDE USING gist (r WITH &&)
);
CREATE UNIQUE INDEX trap_unique ON t (a, id);
CREATE INDEX trap_foreign_key ON t (parent_id);
CREATE INDEX trap_partial ON t (b) WHERE a > 5;
CREATE INDEX trap_expression ON t (lower(c));
CREATE INDEX trap_brin ON t USING brin (d);
CREATE INDEX trap_gist ON t USING gist (p);
CREATE INDEX trap_spgist ON t USING spgist (c);
CREATE INDEX trap_clustered ON t (d);
ALTER TABLE t CLUSTER ON trap_clustered;
CREATE TABLE identified (x int NOT NULL, y int);
CREATE UNIQUE INDEX trap_identity ON identified (x);
ALTER TABLE identified REPLICA IDENTITY USING INDEX trap_identity;
CREATE TABLE parted (k int NOT NULL, v int) PARTITION BY RANGE (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100000);
CREATE INDEX trap_parted ON parted (v);
CREATE TABLE waiting (k int NOT NULL, v int) PARTITION BY RANGE (k);
CREATE TABLE waiting_1 PARTITION OF waiting FOR VALUES FROM (0) TO (100000);
CREATE INDEX trap_waiting ON ONLY waiting (v);
INSERT INTO t (id, a, b, c, d, r) SELECT g, g % 100, g % 90, 'c' || g, timestamp '2024-01-01' + g * interval '1 min',
    int4range(g * 10, g * 10 + 5) FROM generate_series(1, 2000) g;
INSERT INTO parted SELECT g, g FROM generate_series(1, 2000) g;
INSERT INTO identified SELECT g, g FROM generate_series(1, 2000) g;
CREATE INDEX really_unused ON t (b, a);
CREATE INDEX used_once ON t (c);
"""
"""Many-sided enough that with its variants below every reason of the list is met."""


def aged(catalog: Catalog, days: float) -> Catalog:
    """The same catalogue as if it had been watched without a break for so long."""
    since = catalog.facts.observed_at - int(days * DAY_MS)
    rows = tuple(replace(row, observed_since=since, first_seen_at=since) for row in catalog.indexes)
    return replace(catalog, indexes=rows)


def dropped(catalog: Catalog, days: float = 30) -> set[str]:
    return {one.change.name for one in index_hygiene(catalog, days) if isinstance(one.change, DropIndex)}


def row(catalog: Catalog, name: str) -> IndexRow:
    return next(each for each in catalog.indexes if each.stats.name == name)


async def trapped(watch: Watch, database: Database) -> Watched:
    database.execute(TRAPS, "VACUUM ANALYZE")
    shop = watch(database)
    await shop.work("UPDATE t SET b = b + 0 WHERE id = 5", times=3)
    return shop


async def test_no_needed_index_is_ever_proposed(watch: Watch, pg: Database) -> None:
    catalog = aged((await trapped(watch, pg)).catalog(), 40)
    assert dropped(catalog) == {"really_unused", "used_once"}
    for each in catalog.indexes:
        if each.stats.name not in ("really_unused", "used_once"):
            assert refusals(each, catalog), each.stats.name
    says = {each.stats.name: " ".join(refusals(each, catalog)) for each in catalog.indexes}
    assert "primary key" in says["t_pkey"]
    assert "constraint parents_code_key" in says["parents_code_key"]
    assert "constraint t_no_overlap" in says["t_no_overlap"]
    assert "unique" in says["trap_unique"]
    assert "foreign key" in says["trap_foreign_key"]
    assert "partial" in says["trap_partial"]
    assert "expression" in says["trap_expression"]
    assert "brin" in says["trap_brin"] and "gist" in says["trap_gist"] and "spgist" in says["trap_spgist"]
    assert "clustered" in says["trap_clustered"]
    assert "replication" in says["trap_identity"]
    assert "partitioned" in says["trap_parted"] and "part of" in says["parted_1_v_idx"]
    assert "partitioned" in says["trap_waiting"]


async def test_every_circumstance_keeps_the_unused_one_too(watch: Watch, pg18: Database) -> None:
    catalog = aged((await trapped(watch, pg18)).catalog(), 40)
    index = row(catalog, "really_unused")
    facts = catalog.facts
    reasons = {
        "standby": refusals(index, replace(catalog, facts=replace(facts, in_recovery=True))),
        "unknown replicas: 2": refusals(index, replace(catalog, facts=replace(facts, replicas=2))),
        "seen it used": refusals(replace(index, last_used_at=1), catalog),
        "not counted": refusals(replace(index, stats=replace(index.stats, scans=None)), catalog),
        "before we watched": refusals(replace(index, stats=replace(index.stats, scans=7)), catalog),
        "used lately": refusals(
            replace(index, stats=replace(index.stats, last_scan=facts.observed_at - 5 * DAY_MS)), catalog
        ),
        "12 of 30 days": refusals(replace(index, observed_since=facts.observed_at - 12 * DAY_MS), catalog),
        "3 of 30 days": refusals(
            replace(index, stats=replace(index.stats, created_at=facts.observed_at - 3 * DAY_MS)), catalog
        ),
        "not valid": refusals(replace(index, stats=replace(index.stats, valid=False)), catalog),
        "being built": refusals(replace(index, stats=replace(index.stats, building=True)), catalog),
        "extension": refusals(replace(index, stats=replace(index.stats, owned_by_extension=True)), catalog),
        "foreign keys could not": refusals(index, replace(catalog, foreign_keys=None)),
        "hardly been used": refusals(index, replace(catalog, tables=())),
    }
    for words, found in reasons.items():
        assert len(found) == 1 and words in found[0], (words, found)


async def test_what_a_standby_does_with_an_index_counts(
    watch: Watch, private_pg: Callable[..., Database], connect: Connect
) -> None:
    database = private_pg(18, durable=True)
    shop = await trapped(watch, database)
    database.execute("CHECKPOINT")
    data = database.server.root / "data"
    database.server.stop()
    signal = data / "standby.signal"
    signal.touch()
    os.chown(signal, data.stat().st_uid, data.stat().st_gid)
    database.server.start()
    vault = Vault.open(shop.settings, {})
    other = shop.store.run(connections.add, "reports", Target.from_url(database.url), vault).id

    async def sync_standby() -> None:
        async with connect(database) as session:
            snapshot = await session.collect()
        shop.store.run(snapshots.write, other, snapshot, ())
        shop.store.run(connections.synced, other, snapshot.facts, snapshot.warnings)

    def says(**changes: Any) -> tuple[str, ...]:
        catalog = aged(shop.catalog(), 40)
        now = catalog.facts.observed_at
        standbys = tuple(
            replace(
                each,
                observed_at=now,
                indexes={key: replace(found, observed_since=now - 40 * DAY_MS) for key, found in each.indexes.items()},
            )
            for each in catalog.standbys
        )
        standbys = tuple(replace(each, **changes) for each in standbys)
        catalog = replace(catalog, facts=replace(catalog.facts, replicas=1), standbys=standbys)
        return refusals(row(catalog, "really_unused"), catalog)

    assert [*says()] == ["unknown replicas: 1 in pg_stat_replication, 0 monitored"]
    await sync_standby()
    assert says() == (), "unused on both"
    assert says(indexes={}) == ("the standby reports has not shown it yet",)
    with database.connect() as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SELECT count(*) FROM t WHERE b = 5 AND a = 5")
    await asyncio.sleep(0.1)
    await sync_standby()
    assert says() == ("we have seen it used on the standby reports",)


async def test_watching_is_said_before_dropping_is_proposed(watch: Watch, pg18: Database) -> None:
    catalog = (await trapped(watch, pg18)).catalog()
    assert index_hygiene(aged(catalog, 3), 30) == ()
    early = index_hygiene(aged(catalog, 14), 30)
    assert {one.identity for one in early} == {
        "unused-index-watch:public.t.really_unused",
        "unused-index-watch:public.t.used_once",
    }
    assert all(one.sql is None and one.change is None and one.priority == "LOW" for one in early)
    reset = replace(
        aged(catalog, 14), events=(Loss(catalog.facts.observed_at - 2 * DAY_MS, "reset", "counters were reset"),)
    )
    assert index_hygiene(reset, 30) == ()


TWINS = """
CREATE TABLE d (id int PRIMARY KEY, a text NOT NULL, b int NOT NULL, c int NOT NULL);
INSERT INTO d SELECT x, 'a' || x, x, x % 7 FROM generate_series(1, 3000) x;
CREATE INDEX d_a ON d (a);
"""


@pytest.mark.parametrize(
    "other",
    [
        "ON d (a text_pattern_ops)",
        'ON d (a COLLATE "C")',
        "ON d (a DESC)",
        "ON d (a NULLS FIRST)",
        "ON d (a) WHERE b > 10",
        "ON d USING hash (a)",
        "ON d (lower(a))",
        "ON d (b, a)",
    ],
)
async def test_what_differs_in_anything_is_no_duplicate(watch: Watch, pg: Database, other: str) -> None:
    pg.execute(TWINS, f"CREATE INDEX d_other {other}", "VACUUM ANALYZE")
    shop = watch(pg)
    await shop.sync()
    catalog = shop.catalog()
    assert duplicates(catalog.indexes) == {} and redundant(catalog.indexes) == {}
    assert dropped(catalog) == set()


@pytest.mark.parametrize(
    ("made", "goes", "rule"),
    [
        ("CREATE INDEX d_twin ON d (a)", "d_twin", "duplicate-index"),
        ("CREATE INDEX d_twin ON d (a); CREATE INDEX d_third ON d (a)", "d_twin d_third", "duplicate-index"),
        ("CREATE INDEX d_long ON d (a, b)", "d_a", "redundant-index"),
        ("CREATE INDEX d_long ON d (a, b); CREATE INDEX d_longest ON d (a, b, c)", "d_a d_long", "redundant-index"),
        ("CREATE INDEX d_with ON d (a) INCLUDE (b)", "d_a", "redundant-index"),
        ("ALTER TABLE d ADD CONSTRAINT d_a_key UNIQUE (a)", "d_a", "redundant-index"),
        ("CREATE UNIQUE INDEX d_once ON d (a)", "d_a", "redundant-index"),
        ("CREATE UNIQUE INDEX d_again ON d (id)", "", ""),
        ("CREATE INDEX d_include ON d (a) INCLUDE (c); CREATE INDEX d_long ON d (a, b)", "d_a", "redundant-index"),
    ],
)
async def test_of_equal_indexes_one_stays(watch: Watch, pg18: Database, made: str, goes: str, rule: str) -> None:
    pg18.execute(TWINS, made, "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    assert dropped(catalog) == set(goes.split())
    advice = await shop.advice()
    assert {one.rule for one in advice.suggestions} == ({rule} if rule else set())
    for one in advice.suggestions:
        assert one.sql and one.sql.startswith("DROP INDEX CONCURRENTLY ")
        assert one.undo_sql and one.undo_sql.startswith("CREATE INDEX CONCURRENTLY ")
        kept = str(one.evidence["kept"]).split(".")[1]
        assert kept not in dropped(catalog)  # what a suggestion leans on is never itself to go


async def test_the_used_one_of_two_stays(watch: Watch, pg18: Database) -> None:
    pg18.execute(TWINS, "CREATE INDEX a_twin ON d (b)", "CREATE INDEX b_twin ON d (b)", "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    busy = replace(
        catalog,
        indexes=tuple(
            replace(each, stats=replace(each.stats, scans=500)) if each.stats.name == "b_twin" else each
            for each in catalog.indexes
        ),
    )
    assert dropped(busy) == {"a_twin"}


async def test_a_failed_build_is_cleared_away(watch: Watch, pg: Database) -> None:
    pg.execute(
        "CREATE TABLE coupons (id int PRIMARY KEY, code int); INSERT INTO coupons SELECT g, g % 50 "
        "FROM generate_series(1, 2000) g",
        "VACUUM ANALYZE",
    )
    with pytest.raises(Exception, match="could not create unique index"):
        pg.execute("CREATE UNIQUE INDEX CONCURRENTLY coupons_once ON coupons (code)")
    shop = watch(pg)
    await shop.sync()
    advice: Advice = await shop.advice()
    (one,) = by_rule(advice, "invalid-index")
    assert one.sql == "DROP INDEX CONCURRENTLY public.coupons_once" and "repeated values" in one.text
    catalog = shop.catalog()
    building = replace(
        catalog, indexes=tuple(replace(each, stats=replace(each.stats, building=True)) for each in catalog.indexes)
    )
    assert index_hygiene(building, 30) == ()


async def test_where_an_index_can_be_hidden_it_is_hidden_first_and_dropped_after_its_days(
    watch: Watch, pg18: Database
) -> None:
    pg18.execute(TWINS, "CREATE INDEX d_longer ON d (a, b)", "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.sync()
    seen = shop.catalog()
    catalog = replace(seen, facts=replace(seen.facts, hides_indexes=True))
    now = catalog.facts.observed_at

    def hidden(name: str, days: float) -> Catalog:
        since = round(now - days * DAY_MS)
        rows = (
            replace(each, stats=replace(each.stats, hidden=True, hidden_since=since))
            if each.stats.name == name
            else each
            for each in catalog.indexes
        )
        return replace(catalog, indexes=tuple(rows))

    (first,) = index_hygiene(catalog, 30)
    assert first.change == HideIndex("public", "d", "d_a") and first.title.startswith("Hide d_a")
    assert "Step 1 of 2" in first.text and "7 days" in first.text
    (waits,) = index_hygiene(hidden("d_a", 6.9), 30)
    assert waits.change is None and waits.priority == "LOW" and "waits until" in waits.title
    (last,) = index_hygiene(hidden("d_a", 7.1), 30)
    assert last.change == DropIndex("public", "d", "d_a") and "Step 2 of 2" in last.text
    (later,) = index_hygiene(hidden("d_a", 7.1), 30, hidden_days=9)
    assert later.change is None
    assert index_hygiene(hidden("d_longer", 8), 30) == (), "one that plans may not use serves for none"
    assert len({one.identity for one in (first, waits, last)}) == 3, "each step is decided for itself"
    pg18.execute("DROP INDEX d_longer", "CREATE INDEX d_twin ON d (a)")
    await shop.sync()
    seen = shop.catalog()
    (copy,) = index_hygiene(replace(seen, facts=replace(seen.facts, hides_indexes=True)), 30)
    assert copy.change == DropIndex("public", "d", "d_twin"), "an exact copy needs no trial"


@pytest.mark.timeout(60)
async def test_fifty_thousand_indexes_are_not_compared_pair_by_pair(watch: Watch, pg18: Database) -> None:
    pg18.execute(TWINS, "CREATE INDEX d_twin ON d (a)", "VACUUM ANALYZE")
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    many_tables = tuple(
        replace(catalog.tables[0], stats=replace(catalog.tables[0].stats, name=f"t{n}")) for n in range(10_000)
    )
    many = tuple(
        replace(
            each,
            stats=replace(each.stats, key=f"{n}{each.stats.key}", table=f"t{n % 10_000}", name=f"{each.stats.name}{n}"),
        )
        for n in range(17_000)
        for each in catalog.indexes
    )
    index_hygiene(replace(catalog, tables=many_tables, indexes=many), 30)  # 1.3 billion pairs would take an hour


async def test_what_dropping_a_redundant_index_changes_is_planned(watch: Watch, pg15: Database) -> None:
    pg15.execute(
        "CREATE TABLE sales (id int PRIMARY KEY, shop int NOT NULL, day int NOT NULL, note text NOT NULL)",
        "INSERT INTO sales SELECT g, g * 7919 % 900, g % 700, repeat(md5(g::text), 8) FROM generate_series(1, 40000) g",
        "CREATE INDEX sales_day ON sales (day)",
        "CREATE INDEX sales_day_note ON sales (day, note)",
        "CREATE INDEX sales_shop_day ON sales (shop, day, id)",
        "CREATE INDEX sales_shop ON sales (shop)",
    )
    pg15.execute("VACUUM ANALYZE")
    look_up, walk = "SELECT note FROM sales WHERE shop = 7", "SELECT count(*) FROM sales WHERE day < 300"

    async def found(*statements: str) -> dict[str, Suggestion]:
        shop = watch(pg15)
        await shop.work(*statements, times=5)
        both = by_rule(await shop.advice(), "redundant-index")
        assert len(both) == 2
        return {"shop" if "sales_shop" in one.title else "day": one for one in both}

    idle = await found("SELECT note FROM sales WHERE id = 5")
    for one in idle.values():
        assert isinstance(one.change, DropIndex)
        assert any("no plan of the 1 statements looked at uses it" in fact for fact in one.evidence["facts"])

    used = await found(look_up, walk)
    facts = " ".join(used["shop"].evidence["facts"])
    assert isinstance(used["shop"].change, DropIndex) and used["shop"].sql
    assert "then uses sales_shop_day: planner cost" in facts and "planned by statistics sandbox" in facts
    assert used["day"].change is None and used["day"].sql is None  # ten times as many pages to walk
    assert "more without it, so it is not proposed for dropping" in used["day"].text
    pg15.execute("DROP INDEX sales_day")
    (kept,) = by_rule(await watch_again(watch, pg15, look_up), "redundant-index")
    assert isinstance(kept.change, DropIndex)


async def watch_again(watch: Watch, database: Database, statement: str) -> Advice:
    """What is said of a database that nobody has watched before."""
    shop = watch(database)
    await shop.work(statement, times=5)
    return await shop.advice()
