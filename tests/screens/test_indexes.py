"""Index usage by keys alone: what is unused, copied or broken, and why an index may not go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshag_tui.screens.indexes import IndexesPane, summary
from meshag_tui.workflows.workbench import Workbench
from tests.screens import shop
from tests.screens.conftest import AT, Desk, Open


@pytest.fixture
def shop_id(bench: Workbench) -> str:
    return bench.store.run(shop.fill_open, bench.vault)


def line(desk: Desk, name: str) -> str:
    return next(each for each in desk.screen.splitlines() if f" {name} " in each)


async def test_flags_say_what_an_index_is(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, size=(160, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("3")
        await desk.until("orders_pkey")
        assert "▲ unused" in line(desk, "orders_updated_at_idx")
        assert "primary key" in line(desk, "orders_pkey") and "unused" not in line(desk, "orders_pkey")
        assert "▲ duplicate of orders_status_idx" in line(desk, "orders_status_copy")
        assert "duplicate" not in line(desk, "orders_status_idx")
        assert "✗ invalid" in line(desk, "events_kind_idx")
        assert "2,400" in line(desk, "orders_pkey"), "scans of the window"
        assert "[bold]carts[/]␛[2J" in desk.screen and "\x1b" not in desk.screen


async def test_the_list_shows_what_is_asked_for(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("3")
        await desk.until("orders_pkey")
        pane = desk.app.pane("indexes")
        assert isinstance(pane, IndexesPane)
        for typed, names in (
            ("unused", {"orders_updated_at_idx", "orders_status_copy", "[bold]carts[/]\x1b[2J"}),
            ("duplicates", {"orders_status_copy"}),
            ("invalid", {"events_kind_idx"}),
            ("all", {each.name for each in pane._all}),
        ):
            await desk.press("f")
            await desk.type(typed)
            await desk.press("enter")
            assert {each.name for each in pane._list.rows} == names
        everything, some = pane._all, pane._all[:2]
        unknown = [
            replace(one, row=replace(one.row, stats=replace(one.row.stats, size_bytes=None))) for one in everything
        ]
        assert "(size not known)" in summary(unknown, unknown, "all"), "what nobody told is not 0 B"
        assert " and more" in summary([*unknown[:1], *some], everything, "all")
        await desk.press("slash")
        await desk.type("!orders")
        assert {each.table for each in pane._list.rows} == {"shop.events", "shop.carts"}


async def test_the_detail_says_why_an_index_is_not_dropped(bench: Workbench, at_desk: Open, shop_id: str) -> None:
    async with at_desk(bench, size=(120, 40), clock=lambda: AT / 1000) as desk:
        await desk.press("3")
        await desk.until("orders_pkey")
        await desk.press("j", "enter")
        said = await desk.until("Why it is not proposed for dropping")
        assert "it is the primary key" in said and "CREATE INDEX orders_pkey" in said
        await desk.until("scans per minute · max 40")
        await desk.press("m")
        await desk.until("size · max 3.2 MB")
        await desk.press("y")
        assert desk.app.clipboard.startswith("CREATE INDEX orders_pkey")
        await desk.press("escape")
        await desk.until("6 of 6 shown")
