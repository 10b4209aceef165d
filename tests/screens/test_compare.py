"""What changed, by keys alone: the slow one is on top, the time line says why, a plan opens beside the one before."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshag_tui.screens.compare import ComparePane
from meshag_tui.settings import Settings
from tests.screens import shop
from tests.screens.conftest import AT, Desk, Open


@pytest.fixture
def changed(settings: Settings) -> str:
    return shop.fill_changed(settings)


async def a_quarter(desk: Desk) -> None:
    """Look at the last quarter of an hour: the one before it is as usual."""
    await desk.press("w", "1", "5", "enter")
    await desk.press("8")
    await desk.until("slower")


async def test_the_planted_regression_is_on_top_with_its_reason(at_desk: Open, changed: str) -> None:
    async with at_desk(size=(120, 40), clock=lambda: AT / 1000) as desk:
        await a_quarter(desk)
        pane = desk.app.pane("compare")
        assert isinstance(pane, ComparePane)
        rows = pane.query_one("#compare-table").rows  # type: ignore[attr-defined]
        assert rows[0].difference.course == "slower" and "customer_id = $1" in rows[0].text
        assert "mean 26 ms before, 156 ms now (6.0×)" in desk.words
        assert "1 slower +87 ms/s" in desk.words and "1 new" in desk.words and "1 gone" in desk.words
        await desk.press("T")
        said = await desk.until("another plan")
        assert "work_mem was 65536, is 4096" in said and "added index shop.orders.orders_total_idx" in said
        assert "shop.orders: 90 MB before" not in said and "shop.orders:" in said
        await desk.press("slash")
        assert "esc goes back to the list first" in desk.words


async def test_a_plan_opens_beside_the_one_before(at_desk: Open, changed: str) -> None:
    async with at_desk(size=(120, 40), clock=lambda: AT / 1000) as desk:
        await a_quarter(desk)
        await desk.press("T")
        await desk.until("another plan")
        table = desk.app.pane("compare").query_one("#time-line-table")
        assert table.move_to(next(row for row in table.rows if row.kind == "plan"))
        await desk.press("enter")
        said = await desk.until("Before: ")
        assert "Index Scan using orders_customer_idx" in said and "Seq Scan on shop.orders" in said
        await desk.press("escape", "escape")
        await desk.until("slower")


async def test_enter_opens_the_statement(at_desk: Open, changed: str) -> None:
    async with at_desk(size=(120, 40), clock=lambda: AT / 1000) as desk:
        await a_quarter(desk)
        await desk.press("enter")
        await desk.until("Statement")
        assert desk.app.place == "queries" and "customer_id = $1" in desk.words


async def test_a_window_nobody_observed_is_said(at_desk: Open, changed: str) -> None:
    async with at_desk(size=(80, 24), clock=lambda: AT / 1000) as desk:
        await a_quarter(desk)
        await desk.press("f")
        await desk.type("yesterday")
        await desk.press("enter")
        said = await desk.until("nothing was observed in the same time yesterday")
        assert "▲ new" not in said


async def test_a_filter_narrows_and_what_is_shown_is_written(at_desk: Open, changed: str, tmp_path: Path) -> None:
    async with at_desk(size=(120, 40), clock=lambda: AT / 1000) as desk:
        await a_quarter(desk)
        await desk.press("slash")
        await desk.type("carts")
        await desk.press("enter")
        await desk.gone("customer_id = $1")
        await desk.press("escape", "e")
        await desk.until("Export")
