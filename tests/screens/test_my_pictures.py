"""Where a screen of MySQL and MariaDB differs: figures of queries, use of indexes, the wizard, what is not counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.screens import my_shop, picture
from tests.screens.test_pictures import SIZES, the_same_everywhere

__all__ = ["the_same_everywhere"]

SCREENS = {
    "queries": ("2",),
    "query": ("2", "j", "enter"),
    "indexes": ("3",),
    "suggestion": ("4", "j", "enter"),
    "setup": ("1", "i", "right"),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_screen(snap_compare: Any, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    settings = picture.settings_in(tmp_path / "home")
    my_shop.fill(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *SCREENS[name]))


def test_what_a_server_without_performance_schema_shows(snap_compare: Any, tmp_path: Path) -> None:
    settings = picture.settings_in(tmp_path / "home")
    my_shop.fill(settings, warnings=(my_shop.PERFORMANCE_SCHEMA_OFF,))
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=(80, 24), run_before=lambda pilot: picture.press(pilot, "2"))
