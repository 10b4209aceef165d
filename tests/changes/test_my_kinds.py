"""The same kinds of change on MySQL and MariaDB: applied, confirmed by the catalogue, and put back exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshag_tui.changes.review import Review
from meshag_tui.engines.base import Refused
from meshag_tui.types import (
    Change,
    ChangeState,
    CreateStatistics,
    MeshagError,
    Reindex,
    RenameIndex,
    SetSetting,
    SetStatisticsTarget,
    SetTableOptions,
)
from tests.changes.conftest import Desk
from tests.changes.test_mysql import SHOP, definitions
from tests.rig.mysql import Schema


@pytest.fixture
def shop(my: Schema) -> Schema:
    """A shop with every kind of index, on MariaDB and MySQL in turn."""
    my.execute(*SHOP)
    return my


async def test_an_index_gets_another_name_and_its_own_again(desk: Desk, shop: Schema) -> None:
    before = definitions(shop)
    for old, new in (("status", "x`; DROP TABLE orders; -- "), ("od`d; -- (", "/*!80000 evil*/"), ("one", "zwei")):
        new = new.rstrip()
        row = await desk.apply(shop, RenameIndex(shop.name, "orders", old, new))
        assert row.state is ChangeState.DONE
        assert f"`{new.replace('`', '``')}`" in definitions(shop)["orders"]
        _, review = await desk.bench.hands.review_undo(row.id)
        await desk.bench.hands.undo(row.id, review.plan_hash)
        assert definitions(shop) == before


async def test_options_of_statistics_are_put_back(desk: Desk, shop: Schema) -> None:
    shop.execute("ALTER TABLE orders STATS_SAMPLE_PAGES=33, STATS_AUTO_RECALC=0")
    before = definitions(shop)
    options = (("STATS_PERSISTENT", "1"), ("STATS_SAMPLE_PAGES", "64"), ("STATS_AUTO_RECALC", None))
    row = await desk.apply(shop, SetTableOptions(shop.name, "orders", options))
    assert "STATS_PERSISTENT=1 STATS_SAMPLE_PAGES=64" in definitions(shop)["orders"]
    _, review = await desk.bench.hands.review_undo(row.id)
    await desk.bench.hands.undo(row.id, review.plan_hash)
    assert definitions(shop) == before


async def test_a_histogram_is_made_and_dropped(desk: Desk, shop: Schema) -> None:
    change = CreateStatistics(shop.name, "orders", ("note",), ("histogram",))
    if "MariaDB" in shop.flavour:
        with pytest.raises(Refused, match="only who may write its own tables takes it back") as refused:
            await desk.apply(shop, change)
        assert "orders` PERSISTENT FOR COLUMNS (`note`) INDEXES ()" in (refused.value.fix or "")
        return
    row = await desk.apply(shop, change)
    kept = "SELECT COLUMN_NAME FROM information_schema.COLUMN_STATISTICS WHERE SCHEMA_NAME = %s"
    assert shop.fetch(kept, (shop.name,)) == [("note",)]
    with pytest.raises(Refused, match="a histogram already, which could not be put back") as refused:
        await desk.apply(shop, change)
    assert (refused.value.fix or "").endswith("UPDATE HISTOGRAM ON `note` WITH 100 BUCKETS")
    _, review = await desk.bench.hands.review_undo(row.id)
    assert review.needs_name == "note"
    await desk.bench.hands.undo(row.id, review.plan_hash)
    assert shop.fetch(kept, (shop.name,)) == []


async def looked_at(desk: Desk, shop: Schema, name: str, value: str) -> Review:
    return await desk.bench.hands.review((await desk.suggest(shop, SetSetting(name, value))).id)


async def test_a_setting_of_the_server_is_put_back(desk: Desk, shop: Schema) -> None:
    now = "SELECT @@GLOBAL.long_query_time, @@GLOBAL.sort_buffer_size, @@GLOBAL.innodb_print_all_deadlocks"
    before = shop.fetch(now)
    persisted = "SELECT COUNT(*) FROM performance_schema.persisted_variables"
    for name, value in (
        ("long_query_time", "0.25"),
        ("sort_buffer_size", "1048576"),
        ("innodb_print_all_deadlocks", "ON"),
    ):
        forgotten = [gate.detail for gate in (await looked_at(desk, shop, name, value)).warned_by]
        if "MariaDB" in shop.flavour:
            assert any(f"write {name} = {value} under [mariadbd]" in detail for detail in forgotten)
        else:
            assert not any("forgets it" in detail for detail in forgotten)
        first = await desk.apply(shop, SetSetting(name, value))
        assert first.state is ChangeState.DONE and shop.fetch(now) != before
        _, review = await desk.bench.hands.review_undo(first.id)
        await desk.bench.hands.undo(first.id, review.plan_hash)
        assert shop.fetch(now) == before
        if "MariaDB" not in shop.flavour:
            assert shop.fetch(persisted) == [(0,)]


REFUSED: dict[str, tuple[Change, str]] = {
    "not listed": (SetSetting("general_log_file", "'/etc/passwd'"), "not a setting that MeshAG changes"),
    "value": (SetSetting("sort_buffer_size", "32768; DROP TABLE orders"), "not a value"),
    "beyond": (SetSetting("sort_buffer_size", "99999999999"), "beyond"),
    "of a role": (SetSetting("sort_buffer_size", "65536", role="app"), "role or a database"),
    "primary": (RenameIndex("{schema}", "orders", "PRIMARY", "x"), "no name of its own"),
    "taken": (RenameIndex("{schema}", "orders", "status", "plain"), "taken"),
    "long": (RenameIndex("{schema}", "orders", "status", "x" * 65), "longer than 64"),
    "option": (SetTableOptions("{schema}", "orders", (("CONNECTION", "1"),)), "not an option"),
    "option's value": (SetTableOptions("{schema}", "orders", (("STATS_SAMPLE_PAGES", "0"),)), "goes from 1"),
    "no such kind": (Reindex("{schema}", "orders", "status"), "has no reindex"),
    "no such kind either": (SetStatisticsTarget("{schema}", "orders", "status", 9), "has no set statistics target"),
}


@pytest.mark.parametrize(("change", "why"), REFUSED.values(), ids=REFUSED.keys())
async def test_it_is_refused_before_anything_is_sent(desk: Desk, shop: Schema, change: Change, why: str) -> None:
    if getattr(change, "schema", None) == "{schema}":
        change = replace(change, schema=shop.name)  # type: ignore[call-arg]
    before = definitions(shop)
    advice = await desk.suggest(shop, change)
    with pytest.raises(MeshagError, match=why):
        await desk.bench.hands.review(advice.id)
    assert definitions(shop) == before and await desk.journal() == ()


async def test_an_account_without_the_right_is_told_what_is_missing(desk: Desk, shop: Schema) -> None:
    url = shop.user(f"ALL ON `{shop.name}`.*", "PROCESS ON *.*", "SELECT ON performance_schema.*")
    advice = await desk.suggest(shop, SetSetting("long_query_time", "1"), url=url)
    review = await desk.bench.hands.review(advice.id)
    assert [gate.name for gate in review.blocked_by] == ["privileges"]
    assert "GRANT" in review.blocked_by[0].detail
