"""Measuring advice by keys alone: what would be read is shown, a second key begins, and the result is read and kept."""

from __future__ import annotations

import pytest

from meshag_tui.changes.rehearse import Asked
from meshag_tui.cli.benchmark import review_lines
from meshag_tui.engines.rehearsal import CopyLimits, CopyPlan
from meshag_tui.screens.rehearsal import question
from meshag_tui.settings import RehearsalSettings
from meshag_tui.store import rehearsals
from meshag_tui.types import IndexColumn, IndexSpec
from meshag_tui.workflows.rehearsal import RehearsalReview
from meshag_tui.workflows.workbench import Workbench
from tests.rig.postgres import Database
from tests.screens.conftest import Open
from tests.workflows.test_rehearsal import suggested

INDEX = IndexSpec("public", "orders", (IndexColumn("customer"),), name="orders_customer")


@pytest.mark.slow
async def test_b_shows_what_would_be_read_and_a_second_key_measures(
    bench: Workbench, at_desk: Open, pg18: Database
) -> None:
    bench.settings = bench.settings._replace(rehearsal=RehearsalSettings(measure_s=60))
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


def test_of_a_template_no_row_is_read_and_that_is_said() -> None:
    plan = CopyPlan("shop", "1", "a copy of tester@db/shop_copy", (), (), (), CopyLimits(1, 1, 1.0), ("SELECT 1",))
    asked_for = (Asked("qry_1", "SELECT 1", True, 1, None),)
    review = RehearsalReview("sug_1", "con_1", "Index orders", plan, asked_for)
    asked = question(review)
    assert asked.verb == "Measure"
    assert asked.effect.startswith("No row of it is read: the statements run in a copy of tester@db/shop_copy")
    assert "would be run there" not in "".join(text for _, text in asked.parts())
    said = list(review_lines(review))
    assert said[-1] == "read   nothing but the catalogue: all rows are in the copy" and "limit" not in " ".join(said)
    taken_back = RehearsalReview("sug_1", "con_1", "Set work_mem", plan, ())
    asked = question(taken_back)
    assert asked.verb == "Try" and "the change is made and taken back" in asked.effect
    assert "read   nothing but the catalogue: the change is only made and taken back" in list(review_lines(taken_back))
