"""The place of health as it was agreed to look; `pytest --snapshot-update` agrees to a new look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshag_tui.live import Vital
from meshag_tui.settings import Settings
from meshag_tui.store import alerts, health, models, sampled
from meshag_tui.store.database import Store
from meshag_tui.store.sampled import Span
from tests.screens import picture, shop
from tests.screens.picture import AT, MINUTE
from tests.screens.test_pictures import LOOKS, SIZES, the_same_everywhere

__all__ = ["the_same_everywhere"]

SCREENS = {"score": ("H",), "history": ("H", "f"), "alerts": ("H", "f", "f"), "sampled-overview": ("1",)}


def fill_health(settings: Settings) -> None:
    """The shop, production, sampled for an hour: its replica lags, its cache is cold, and one alert was noted."""
    shop_id = shop.fill(settings)
    store = Store.open(settings.store_url)
    try:
        store.run(_fill, shop_id)
    finally:
        store.close()


def _fill(shop_id: str) -> None:
    vitals = {
        "hit_ratio": Vital("ok", 0.88),
        "connections": Vital("ok", 41.0, 97.0),
        "lag_ms": Vital("ok", 70_000.0, detail="of 1 that read from it, the slowest"),
        "oldest_ms": Vital("insufficient privilege", fix='GRANT pg_read_all_stats TO "watcher";'),
        "age": Vital("ok", 1.2e9, 2.1e9),
    }
    for minute in range(60, 0, -1):
        at = AT - minute * MINUTE
        busy = {"cpu": 14.0 + minute % 7, "io": 4.0, "lock": float(max(0, 20 - minute))}
        sampled.add(shop_id, Span(at, at + MINUTE, 12, busy, (), vitals))
    for minute, lost in ((55, 0), (40, 4), (25, 9), (10, 14)):
        item = {"name": "lag", "title": "Replication lag", "verdict": "warning", "said": f"{lost} s", "points": 14}
        health.keep(shop_id, AT - minute * MINUTE, 100 - lost, 90, [item | {"lost": lost}])
    for number, (rule, message) in enumerate(
        (
            ("regression", "qry_0000000002 takes 900 ms a call, 210 ms in the day before"),
            ("critical", "Replication lag: 70 s, critical from 60 s"),
        )
    ):
        raised = alerts.put(shop_id, rule, message, subject=rule, severity="critical" if number else "warning")
        assert raised is not None
        kept = {"id": f"alr_{number:016d}", "began_at": AT - 9 * MINUTE, "seen_at": AT - MINUTE}
        models.Alert.update(kept).where(models.Alert.id == raised.id).execute()
    noted = {"acknowledged_by": "mira", "acknowledged_at": AT - 2 * MINUTE}
    models.Alert.update(noted).where(models.Alert.rule == "regression").execute()
    models.Connection.update(stage="production").execute()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_health(snap_compare: Any, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    fill_health(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *SCREENS[name]))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["score", "sampled-overview"])
def test_other_looks(snap_compare: Any, tmp_path: Path, name: str, look: str) -> None:
    size, theme = LOOKS[look]
    settings = picture.settings_in(tmp_path / "home", theme)
    fill_health(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *SCREENS[name]))
