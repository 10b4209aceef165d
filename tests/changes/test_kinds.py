"""Every kind of change beside an index made or dropped: applied, confirmed by the catalogue, and put back exactly."""

from __future__ import annotations

import subprocess

import pytest

from meshag_tui.cli.advice import change_document, statement_lines
from meshag_tui.engines.postgres.storage import undoing, with_options
from meshag_tui.screens.apply import review_pieces
from meshag_tui.types import (
    Change,
    ChangeState,
    CreateStatistics,
    DropStatistics,
    MeshagError,
    Reindex,
    RenameIndex,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
)
from meshag_tui.workflows.durable import RunFailed
from tests.changes.conftest import Desk, invalid
from tests.rig.postgres import Database, bindir

KEPT = r"""
ALTER TABLE public.orders SET (fillfactor = 71, autovacuum_enabled = off, autovacuum_vacuum_threshold = 900);
CREATE STATISTICS public."Odd ""one""; --" (mcv, ndistinct) ON status, customer_id FROM public.orders;
ALTER STATISTICS public."Odd ""one""; --" SET STATISTICS 700;
COMMENT ON STATISTICS public."Odd ""one""; --" IS 'kept for;
the \ yearly ''report''';
ALTER TABLE public.orders ALTER COLUMN note SET STATISTICS 300;
"""
OWN_INDEX = 'Odd "one"\'; DROP TABLE orders; --'


def dump(database: Database) -> str:
    """The schema as pg_dump prints it, with what the database and its roles have set."""
    program = [str(bindir(database.major) / "pg_dump"), "--schema-only", "--create", database.socket_url]
    printed = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    kept = [line for line in printed.splitlines() if not line.startswith(("--", "\\restrict", "\\unrestrict"))]
    settings = "SELECT setdatabase::text, setrole::text, setconfig FROM pg_db_role_setting ORDER BY 1, 2"
    return "\n".join(kept) + str(database.fetch(settings))


CHANGES: dict[str, Change] = {
    "another name": RenameIndex("public", "orders", "orders_status", OWN_INDEX),
    "an option anew": SetTableOptions("public", "orders", (("autovacuum_vacuum_scale_factor", "0.02"),)),
    "options with others": SetTableOptions(
        "public", "orders", (("autovacuum_enabled", None), ("fillfactor", "90"), ("parallel_workers", "4"))
    ),
    "a target": SetStatisticsTarget("public", "orders", "status", 1000),
    "another target": SetStatisticsTarget("public", "orders", "note", None),
    "statistics": CreateStatistics("public", "orders", ("customer_id", "total"), ("dependencies", "mcv")),
    "statistics dropped": DropStatistics("public", "orders", 'Odd "one"; --'),
    "of a role": SetSetting("work_mem", "64MB", role="meshag_monitor"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_it_is_done_and_put_back_exactly(desk: Desk, shop: Database, change: Change) -> None:
    shop.execute(KEPT)
    before = dump(shop)
    row = await desk.apply(shop, change)
    assert row.state is ChangeState.DONE and row.undo_sql is not None
    assert dump(shop) != before
    undone, review = await desk.bench.hands.review_undo(row.id)
    await desk.bench.hands.undo(undone.id, review.plan_hash)
    assert dump(shop) == before


async def test_settings_of_a_database_and_a_role_in_it(desk: Desk, shop: Database) -> None:
    shop.execute(f"ALTER ROLE meshag_monitor IN DATABASE \"{shop.name}\" SET work_mem = '7MB'")
    before = dump(shop)
    changes = [
        SetSetting("work_mem", "32MB", role="meshag_monitor", database=shop.name),
        SetSetting("random_page_cost", "1.1", database=shop.name),
        SetSetting("work_mem", None, role="meshag_monitor", database=shop.name),
    ]
    for change in (*changes[:2],):
        row = await desk.apply(shop, change)
        assert row.state is ChangeState.DONE
        _, review = await desk.bench.hands.review_undo(row.id)
        await desk.bench.hands.undo(row.id, review.plan_hash)
        assert dump(shop) == before
    row = await desk.apply(shop, changes[2])
    assert row.undo_sql is not None and row.undo_sql.endswith("SET work_mem = '7MB'")


async def test_a_setting_of_the_server_is_read_by_it_and_put_back(desk: Desk, shop: Database) -> None:
    kept = "SELECT count(*) FROM pg_file_settings WHERE name = 'work_mem' AND sourcefile LIKE '%auto.conf'"
    assert shop.fetch(kept) == [(0,)]
    first = await desk.apply(shop, SetSetting("work_mem", "9MB"))
    assert first.sql == "ALTER SYSTEM SET work_mem = '9MB';\nSELECT pg_catalog.pg_reload_conf()"
    assert shop.fetch("SHOW work_mem") == [("9MB",)]
    said = change_document(first)  # one statement, and beside it what follows it of itself
    assert said["sql"] == "ALTER SYSTEM SET work_mem = '9MB'"
    assert said["then_sql"] == ["SELECT pg_catalog.pg_reload_conf()"]
    review = await desk.bench.hands.review((await desk.suggest(shop, SetSetting("work_mem", "11MB"))).id)
    assert "then   SELECT pg_catalog.pg_reload_conf()" in statement_lines(review)
    shown = "".join(text for _, text in review_pieces(review))
    assert "'11MB'" in shown.partition("Then, which belongs to it:")[0] and "pg_reload_conf" in shown
    second = await desk.apply(shop, SetSetting("work_mem", "10MB"))
    for row, then in ((second, "9MB"), (first, "4MB")):
        _, review = await desk.bench.hands.review_undo(row.id)
        await desk.bench.hands.undo(row.id, review.plan_hash)
        assert shop.fetch("SHOW work_mem") == [(then,)]
    assert shop.fetch(kept) == [(0,)]


async def test_what_somebody_changed_since_is_not_undone(desk: Desk, shop18: Database) -> None:
    row = await desk.apply(shop18, SetTableOptions("public", "orders", (("fillfactor", "80"),)))
    shop18.execute("ALTER TABLE public.orders SET (fillfactor = 85)")
    with pytest.raises(MeshagError, match=r"not as chg_.* set it any more, but fillfactor = 85"):
        await desk.bench.hands.review_undo(row.id)
    made = await desk.apply(shop18, CreateStatistics("public", "orders", ("customer_id", "total"), ("mcv",)))
    shop18.execute(
        "DROP STATISTICS orders_customer_id_total_stats; "
        "CREATE STATISTICS orders_customer_id_total_stats (ndistinct) ON customer_id, total FROM orders"
    )
    with pytest.raises(MeshagError, match="statistics are not the one"):
        await desk.bench.hands.review_undo(made.id)


async def test_statistics_are_filled(desk: Desk, shop: Database) -> None:
    await desk.apply(shop, CreateStatistics("public", "orders", ("customer_id", "status"), ("ndistinct",)))
    found = "SELECT stxdndistinct IS NOT NULL FROM pg_statistic_ext_data"
    assert shop.fetch(found) == [(True,)]


async def test_an_index_is_built_anew(desk: Desk, shop: Database) -> None:
    oid = shop.fetch("SELECT 'orders_status'::regclass::oid")[0][0]
    before = dump(shop)
    shop.execute("CREATE TABLE other (a int); INSERT INTO other VALUES (1), (1)")
    with shop.connect() as connection, pytest.raises(Exception, match="could not create unique index"):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY orders_status_ccnew9 ON other (a)")  # somebody else's
    row = await desk.apply(shop, Reindex("public", "orders", "orders_status"))
    assert row.state is ChangeState.DONE and row.undo_sql is None
    assert shop.fetch("SELECT 'orders_status'::regclass::oid")[0][0] != oid
    assert invalid(shop) == ["orders_status_ccnew9"]
    shop.execute("DROP TABLE other")
    assert dump(shop) == before
    with pytest.raises(MeshagError, match="cannot be undone"):
        await desk.bench.hands.review_undo(row.id)


async def test_what_a_failed_reindex_leaves_is_removed_and_no_other(desk: Desk, shop: Database) -> None:
    shop.execute(
        "CREATE TABLE public.t (a int); INSERT INTO t VALUES (1), (2); CREATE TABLE fails (now bool);"
        "CREATE FUNCTION public.same(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "'BEGIN IF EXISTS (SELECT 1 FROM public.fails) THEN RAISE ''no such luck''; END IF; RETURN $1; END'"
    )
    shop.execute("CREATE INDEX inv ON public.t (same(a))", "INSERT INTO fails VALUES (true)")
    with shop.connect() as connection, pytest.raises(Exception, match="no such luck"):
        connection.execute("REINDEX INDEX CONCURRENTLY public.inv")  # by hand: what it leaves is not ours
    assert invalid(shop) == ["inv_ccnew"]
    with pytest.raises(RunFailed, match=r"no such luck.*the index public\.inv is as before"):
        await desk.apply(shop, Reindex("public", "t", "inv"))
    assert invalid(shop) == ["inv_ccnew"]
    with pytest.raises(MeshagError, match="an earlier REINDEX left: drop it"):
        await desk.apply(shop, Reindex("public", "t", "inv_ccnew"))


REFUSED: dict[str, tuple[Change, str]] = {
    "no such option": (SetTableOptions("public", "orders", (("user_catalog_table", "true"),)), "not an option"),
    "beyond": (SetTableOptions("public", "orders", (("fillfactor", "5"),)), "goes from 10 to 100"),
    "no number": (SetTableOptions("public", "orders", (("fillfactor", "90); DROP TABLE orders; --"),)), "goes from"),
    "no word": (SetTableOptions("public", "orders", (("autovacuum_enabled", "maybe"),)), "on or off"),
    "is so": (SetTableOptions("public", "orders", (("fillfactor", None),)), "already"),
    "no column": (SetStatisticsTarget("public", "orders", "nothing", 9), "no column"),
    "target beyond": (SetStatisticsTarget("public", "orders", "note", 10_001), "0 to 10000"),
    "one column": (CreateStatistics("public", "orders", ("note",), ("mcv",)), "2 to 8"),
    "kind": (CreateStatistics("public", "orders", ("note", "total"), ("everything",)), "kinds of statistics"),
    "not listed": (SetSetting("archive_command", "rm -rf /"), "not a setting that MeshAG changes"),
    "preloads": (SetSetting("session_preload_libraries", "evil", role="meshag_monitor"), "not a setting"),
    "value": (SetSetting("work_mem", "4MB'; DROP TABLE orders; --"), "not a value"),
    "value beyond": (SetSetting("work_mem", "8TB"), "64 kB to 2 GB"),
    "wrong unit": (SetSetting("work_mem", "5min"), "not a value"),
    "of the server": (SetSetting("autovacuum", "off", role="meshag_monitor"), "of the whole server"),
    "no role": (SetSetting("work_mem", "8MB", role="nobody'; --"), "no role"),
    "other database": (SetSetting("work_mem", "8MB", database="postgres"), "not the database"),
    "constraint": (RenameIndex("public", "orders", "orders_pkey", "x"), "backs the constraint"),
    "taken": (RenameIndex("public", "orders", "orders_status", "orders"), "is taken"),
    "long": (RenameIndex("public", "orders", "orders_status", "é" * 32), "longer than 63 bytes"),
    "system": (SetTableOptions("pg_catalog", "pg_class", (("fillfactor", "50"),)), "system"),
}


@pytest.mark.parametrize(("change", "why"), REFUSED.values(), ids=REFUSED.keys())
async def test_it_is_refused_before_anything_is_sent(desk: Desk, shop18: Database, change: Change, why: str) -> None:
    advice = await desk.suggest(shop18, change)
    before = dump(shop18)
    with pytest.raises(MeshagError, match=why):
        await desk.bench.hands.review(advice.id)
    assert dump(shop18) == before and await desk.journal() == ()


async def test_who_may_not_is_told_what_is_missing(desk: Desk, shop: Database) -> None:
    for change, gate in (
        (SetSetting("work_mem", "8MB", role="app"), "privileges"),
        (SetSetting("random_page_cost", "2", database=shop.name), "privileges"),
        (SetTableOptions("public", "orders", (("fillfactor", "90"),)), "owner"),
        (Reindex("public", "orders", "orders_status"), "owner"),
    ):
        advice = await desk.suggest(shop, change, url=shop.monitor_url)
        review = await desk.bench.hands.review(advice.id)
        assert [each.name for each in review.blocked_by] == [gate] and review.blocked_by[0].detail
    advice = await desk.suggest(shop, SetSetting("work_mem", "8MB"), url=shop.monitor_url)
    with pytest.raises(MeshagError, match="could not be put back"):
        await desk.bench.hands.review(advice.id)
    own = await desk.suggest(shop, SetSetting("work_mem", "8MB", role="meshag_monitor"), url=shop.monitor_url)
    assert (await desk.bench.hands.review(own.id)).blocked_by == ()


def test_options_are_put_back_in_their_order() -> None:
    before = {"a": "1", "fillfactor": "70", "autovacuum_enabled": "off", "b": "2"}
    for change in (
        (("fillfactor", "80"),),
        (("fillfactor", None), ("parallel_workers", "3")),
        (("autovacuum_enabled", "on"), ("fillfactor", "90")),
    ):
        after = with_options(before, change)
        again = with_options(after, undoing(before, change))
        assert again == before
