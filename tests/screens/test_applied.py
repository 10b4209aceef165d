"""What was applied and what it bought, by keys: seen beside what was forecast, measured, undone, explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshag_tui.changes import record
from meshag_tui.settings import MoneySettings, Settings
from meshag_tui.store import models, outcomes, suggestions
from meshag_tui.store.database import Store
from meshag_tui.store.outcomes import OutcomeState
from meshag_tui.types import ChangeState, Target
from meshag_tui.workflows.workbench import Workbench
from tests.changes.conftest import SHOP
from tests.rig.postgres import Database
from tests.screens import picture, shop
from tests.screens.conftest import Open
from tests.screens.picture import AT, DAY, HOUR
from tests.screens.test_pictures import SIZES, the_same_everywhere
from tests.workflows.test_change import ADVICE

__all__ = ["the_same_everywhere"]


def _between(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


BETTER = {
    "said": "it takes less time than before",
    "saved": _between(2_240_000.0, 2_110_000.0, 2_370_000.0),
    "expected_ms_per_day": 2_400_000.0,
    "index": {"name": "orders_customer_id_idx", "scans": 81_000, "size_bytes": 1_900_000_000},
    "statements": [
        {"query_id": "qry_0000000001", "role": "target", "calls": [61_000, 62_300], "mean_ms": [34.1, 0.31]},
        {"query_id": "qry_0000000004", "role": "writer", "calls": [172_800, 171_000], "mean_ms": [0.081, 0.094]},
    ],
}
WORSE = {
    "said": "it takes more time than before",
    "saved": _between(-190_000.0, -240_000.0, -140_000.0),
    "statements": [{"query_id": "qry_0000000003", "role": "reader", "calls": [900, 880], "mean_ms": [58.0, 240.0]}],
}


def _applied(connection: str) -> None:
    """Three changes of the shop: one that held what was forecast, one that made it worse, one of an hour ago."""
    advice = suggestions.listing(connection)[:3]
    found = (
        (OutcomeState.BETTER, BETTER, True, True, 2 * DAY),
        (OutcomeState.WORSE, WORSE, False, True, DAY),
        (OutcomeState.WAITING, {"said": "not enough calls yet: 3 syncs since, 4 are needed"}, None, False, HOUR),
    )
    for number, (one, (state, result, held, settled, ago)) in enumerate(zip(advice, found, strict=True), 1):
        assert one.change is not None and one.sql is not None
        row = record.planned(
            connection, one.change, one.sql, actor="mira", plan_hash="x", target={"catalogue": {}},
            undo_sql=one.undo_sql, gates=[], suggestion_id=one.id, undoes=None,
        )  # fmt: skip
        saved = result.get("saved")
        outcomes.save(
            row.id, state=state, settled=settled, held=held, result=result,
            saved_ms_per_day=saved["value"] if isinstance(saved, dict) else None,
            next_look_at=None if settled else AT + HOUR,
        )  # fmt: skip
        fixed = {"id": f"chg_{number:016d}", "state": ChangeState.DONE, "finished_at": AT - ago}
        models.database.execute_sql("PRAGMA defer_foreign_keys = on")
        with models.database.atomic():
            models.database.execute_sql("PRAGMA defer_foreign_keys = on")
            models.Change.update(**fixed).where(models.Change.id == row.id).execute()
            moved = models.Outcome.update(change=fixed["id"], looked_at=AT - ago // 2)
            moved.where(models.Outcome.change == row.id).execute()


def filled(settings: Settings) -> Settings:
    """The shop of the pictures, with what was applied to it; a rate is set."""
    connection = shop.fill(settings)
    store = Store.open(settings.store_url)
    try:
        store.run(_applied, connection)
    finally:
        store.close()
    return settings._replace(money=MoneySettings(cpu_hour=0.09, gb_month=0.12, currency="EUR"))


SCREENS = {"applied": ("4", "o"), "applied-better": ("4", "o", "j", "j"), "calibration": ("4", "o", "K")}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_screen(
    snap_compare: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    app = picture.application(filled(picture.settings_in(tmp_path / "home")))
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *SCREENS[name]))


async def test_what_was_applied_is_measured_and_undone_by_keys(bench: Workbench, at_desk: Open, pg18: Database) -> None:
    pg18.execute(SHOP, "ALTER TABLE orders RENAME customer_id TO customer")
    info = await bench.connections.add("shop", Target.from_url(pg18.url))
    await bench.sync(info.id)
    (suggestion,) = (await bench.store(suggestions.save, info.id, [ADVICE])).ids
    async with at_desk(bench) as desk:
        await desk.press("4", "o")
        await desk.until("nothing was applied yet")
        await desk.press("M")
        assert "nothing was applied yet" in desk.words
        await desk.press("escape", "M")
        assert "o shows what was applied first" in desk.words
        review = await bench.hands.review(suggestion)
        row = await bench.hands.apply(suggestion, review.plan_hash)
        await bench.sync(info.id)
        await desk.press("o")
        await desk.until("✓ done")
        await desk.until("M compares it with the time before, now")
        await desk.press("M")
        await desk.until("not enough calls yet")
        await desk.until(row.id)
        await desk.until("the next after the next sync")
        await desk.press("K")
        await desk.until("No change was measured to the end yet")
        await desk.press("escape", "a")
        assert "esc goes back to the advice first" in desk.words
        await desk.press("u")
        await desk.until("Type orders_customer")
        await desk.type("orders_customer")
        await desk.press("enter")
        await desk.until("✗ undone")
        await desk.press("enter")
        await desk.until("measured since")  # in the past of the suggestion it came from
    assert pg18.fetch("SELECT 1 FROM pg_class WHERE relname = 'orders_customer'") == []
