"""Measuring advice by keys alone: what would be read is shown, a second key begins, and the result is read and kept."""

from __future__ import annotations

from dataclasses import replace

from meshag_tui.settings import RehearsalSettings
from meshag_tui.store import rehearsals
from meshag_tui.types import IndexColumn, IndexSpec
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.screens.conftest import Open
from tests.workflows.test_rehearsal import suggested

INDEX = IndexSpec("public", "orders", (IndexColumn("customer"),), name="orders_customer")


async def test_b_shows_what_would_be_read_and_a_second_key_measures(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    bench.settings = replace(bench.settings, rehearsal=RehearsalSettings(measure_s=6))
    found = await suggested(bench, pg18, INDEX)
    async with at_desk(bench) as desk:
        await desk.press("4")
        await desk.until("Index orders (customer)")
        await desk.press("B")
        await desk.until("nothing was measured for it")
        await desk.press("b")
        await desk.until("Exactly this would be run there")
        assert 'FROM ONLY "public"."orders"' in desk.words
        await desk.press("c")
        await desk.until("Nothing was read")
        assert await bench.store(rehearsals.of_suggestion, found.id) == ()

        await desk.press("b")
        await desk.until("Exactly this would be run there")
        await desk.press("r")
        await desk.until("What it is for", 120)
        assert (
            "✓ faster" in desk.screen and "●" in desk.screen and "┊" in desk.screen and "orders_customer" in desk.words
        )
        await desk.press("escape")
        await desk.until("measured")
        await desk.press("B")
        await desk.until("What it is for")
        await desk.press("escape", "2")
        await desk.until("customer = $1")
        row = await bench.store(rehearsals.of_suggestion, found.id)
        assert [one.verdict for one in row] == ["faster"]
