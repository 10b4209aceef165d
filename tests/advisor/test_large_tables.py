"""Wide rows and partition candidates: on a table that has the trouble, and on its look-alikes that have not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from meshag_tui.advisor.budget import Budget
from meshag_tui.advisor.examined import examine, important, statistics_of, typed
from meshag_tui.advisor.large_tables import large_tables
from meshag_tui.advisor.statistics import tables_of
from meshag_tui.types import Suggestion
from tests.advisor.conftest import Watch, Watched
from tests.advisor.test_table_care import changed
from tests.rig.postgres import Database

LARGE = {"rows_estimate": 2_000_000.0, "pages": 320_000, "size_bytes": 320_000 * 8192}


async def found(shop: Watched, **stats: Any) -> dict[str, Suggestion]:
    """What the rules say of the workload when the tables are as large as `stats` says."""
    notes: list[str] = []
    async with shop.connect(shop.database) as session:
        examined, _ = await examine(important(shop.workload())[0], session, Budget(100, 30), notes)
        columns = await statistics_of(examined, session, notes)
    catalog = changed(shop.catalog(), **stats)
    tables = tables_of(catalog, columns)
    examined = [replace(one, predicates=typed(one.predicates, tables)) for one in examined]
    assert notes == []
    return {one.rule: one for one in large_tables(examined, catalog, tables, frozenset())}


async def test_wide_rows_and_rows_that_go_by_age(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE events (id int PRIMARY KEY, made timestamptz NOT NULL, size int NOT NULL, body text NOT NULL)",
        "INSERT INTO events SELECT g, timestamptz '2026-01-01' + g * interval '1 min', g % 90, repeat('b', 1100) "
        "FROM generate_series(1, 2000) g",
        "VACUUM ANALYZE",
    )
    shop = watch(pg18)
    total, purge = "SELECT avg(size) FROM events", "DELETE FROM events WHERE made < '2026-01-01 00:30'"
    await shop.work(total, purge)
    both = await found(shop, **LARGE)
    assert set(both) == {"wide-rows", "partition-candidate"}
    wide, aged = both["wide-rows"], both["partition-candidate"]
    assert "whole, 2.4 GB, for size. Of each row 1104 B on average are body" in wide.text and wide.change is None
    assert aged.title == "Partition events by ranges of made" and "29 rows were deleted" in aged.text
    assert set(await found(shop)) == set()  # it is small
    assert set(await found(shop, **{**LARGE, "rows_estimate": 60e6})) == {"partition-candidate"}  # and these narrow

    other = watch(pg18)
    await other.work("SELECT max(length(body)) FROM events", "DELETE FROM events WHERE id = -1")
    assert set(await found(other, **LARGE)) == set()  # the column is asked for, and rows go one by one


async def test_a_table_that_is_read_by_ranges_of_time(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE events (id int PRIMARY KEY, made timestamptz NOT NULL, size int NOT NULL)",
        "INSERT INTO events SELECT g, timestamptz '2026-01-01' + g * interval '1 min', g % 90 "
        "FROM generate_series(1, 20000) g",
        "VACUUM ANALYZE",
    )
    by_day = "SELECT sum(size) FROM events WHERE made >= '2026-01-03' AND made < '2026-01-04'"
    shop = watch(pg18)
    await shop.work(by_day)
    one = (await found(shop, **LARGE))["partition-candidate"]
    assert "ask for a range of made" in one.text and one.evidence["facts"][0].startswith("2.4 GB")
    other = watch(pg18)
    await other.work(by_day, "SELECT sum(size) FROM events WHERE size = 7")
    assert set(await found(other, **LARGE)) == set()
