"""How tables are kept up: each rule on a table that has the trouble, and on its look-alike that has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from meshag_tui.advisor.running_out import running_out
from meshag_tui.advisor.statistics import Tables, tables_of
from meshag_tui.advisor.table_care import table_care
from meshag_tui.store.history import Catalog
from meshag_tui.types import SetTableOptions, Vacuum
from tests.advisor.conftest import Watch, Watched, by_rule
from tests.rig.postgres import Database

NONE = Tables({})


def changed(catalog: Catalog, **stats: Any) -> Catalog:
    """The catalogue with other statistics of each table: what takes weeks or millions of rows to come about."""
    tables = tuple(replace(row, stats=replace(row.stats, **stats)) for row in catalog.tables)
    return replace(catalog, tables=tables)


def rules(catalog: Catalog, tables: Tables = NONE) -> list[str]:
    return [one.rule for one in table_care(catalog, (), tables)]


async def test_tables_that_nothing_freezes_and_that_wait_for_autovacuum(watch: Watch, pg18: Database) -> None:
    pg18.execute("CREATE TABLE big (id int PRIMARY KEY, v int)")
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    assert rules(catalog) == []
    (old,) = table_care(changed(catalog, frozen_age=1_200_000_000), (), NONE)
    assert (old.rule, old.priority, old.change) == ("transaction-wraparound", "HIGH", Vacuum("public", "big"))
    assert rules(changed(catalog, frozen_age=210_000_000)) == []  # autovacuum has just begun

    late = changed(catalog, live_rows=5_000_000, dead_rows=700_000)
    (one,) = table_care(late, (), NONE)
    assert one.rule == "autovacuum-late" and "until 1.00 M rows" in one.text
    assert one.change == SetTableOptions("public", "big", (("autovacuum_vacuum_scale_factor", "0.02"),))
    own = {"autovacuum_vacuum_scale_factor": "0.01"}
    assert rules(changed(late, options=own)) == []
    assert rules(changed(catalog, live_rows=5_000_000, dead_rows=100_000)) == []
    assert rules(changed(catalog, live_rows=5_000, dead_rows=700)) == []


async def test_updates_that_find_no_room_on_their_page(watch: Watch, pg: Database) -> None:
    async def of(table: str, columns: str, update: Callable[[int], str]) -> list[str | None]:
        pg.execute(
            f'CREATE TABLE "{table}" (id int PRIMARY KEY, seen int NOT NULL, kind int NOT NULL, body text NOT NULL)'
            f"{columns}",
            f"INSERT INTO \"{table}\" SELECT g, 0, g % 50, repeat('b', 700) FROM generate_series(1, 12000) g",
            f'CREATE INDEX ON "{table}" (kind)',
            "VACUUM ANALYZE",
        )
        shop: Watched = watch(pg)
        await shop.sync()
        with pg.connect() as connection:
            for number in range(1, 1060):
                connection.execute(update(number * 11))
        await asyncio.sleep(0.05)
        await shop.sync()
        return [one.sql for one in by_rule(await shop.advice(), "fillfactor") if one.table == table]

    assert await of("full", "", lambda id_: f'UPDATE "full" SET seen = seen + 1 WHERE id = {id_}') == [
        'ALTER TABLE public."full" SET (fillfactor = 90)'
    ]
    assert await of("roomy", " WITH (fillfactor = 70)", lambda id_: f"UPDATE roomy SET seen = 1 WHERE id = {id_}") == []
    assert await of("keyed", "", lambda id_: f"UPDATE keyed SET seen = 1, kind = {id_ % 7} WHERE id = {id_}") == []


async def test_index_only_scans_that_look_rows_up(watch: Watch, pg: Database) -> None:
    pg.execute(
        "CREATE TABLE sales (id int PRIMARY KEY, day int NOT NULL, total int NOT NULL, note text NOT NULL) "
        "WITH (autovacuum_enabled = off)",
        "INSERT INTO sales SELECT g, g * 7919 % 40, g % 900, repeat('n', 90) FROM generate_series(1, 80000) g",
        "CREATE INDEX sales_day ON sales (day, total)",
        "ANALYZE sales",
    )
    statement = "SELECT day, total FROM sales WHERE day = 7 ORDER BY total"
    shop = watch(pg)
    with pg.connect() as connection:
        connection.execute(f'ALTER DATABASE "{pg.name}" SET enable_bitmapscan = off')
        connection.execute(f'ALTER DATABASE "{pg.name}" SET enable_seqscan = off')
    await shop.work(statement, times=10)
    (one,) = by_rule(await shop.advice(), "heap-fetches")
    assert one.change == Vacuum("public", "sales") and one.sql == "VACUUM (ANALYZE) public.sales"
    for _ in range(100):  # a transaction of a background process may still see rows as new
        pg.execute("VACUUM sales")
        if pg.fetch("SELECT relallvisible > 0.9 * relpages FROM pg_class WHERE relname = 'sales'")[0][0]:
            break
        await asyncio.sleep(0.1)
    later = watch(pg)
    await later.work(statement, times=10)
    assert by_rule(await later.advice(), "heap-fetches") == []


async def test_keys_that_outgrow_their_type(watch: Watch, pg18: Database) -> None:
    pg18.execute(
        "CREATE TABLE parents (id bigserial PRIMARY KEY)",
        "CREATE TABLE children (id bigint PRIMARY KEY, parent_id int REFERENCES parents (id), "
        "other_id bigint REFERENCES parents (id))",
        "SELECT setval('parents_id_seq', 1800000000)",
        "CREATE TABLE numbered (id int PRIMARY KEY)",  # by the application, one after another
        "INSERT INTO numbered SELECT 2000000000 + g FROM generate_series(1, 3000) g",
        "CREATE TABLE scattered (id int PRIMARY KEY)",  # by a hash: as high from the first row on, and sorted
        "INSERT INTO scattered SELECT DISTINCT abs(hashint4(g)) FROM generate_series(1, 3000) g ORDER BY 1",
        "ANALYZE",
    )
    shop = watch(pg18)
    await shop.sync()
    catalog = shop.catalog()
    async with shop.connect(pg18) as session:
        names = ("numbered", "scattered")
        columns = {("public", name): await session.column_statistics("public", name) for name in names}
    tables = tables_of(catalog, columns)
    made = [*table_care(catalog, (), tables), *running_out(catalog, tables)]
    found = {(one.rule, one.table): one for one in made if one.table != "parents"}
    assert set(found) == {("foreign-key-type", "children"), ("sequence-exhaustion", "numbered")}
    key = found["foreign-key-type", "children"]
    assert key.priority == "HIGH" and key.title == "children.parent_id is integer and refers to a bigint"
    assert "2,000,003,000" in found["sequence-exhaustion", "numbered"].text
