"""Every screen as it was agreed to look, at 80×24 and at 120×40; `pytest --snapshot-update` agrees to a new look."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshag_tui import glyphs
from tests.screens import picture

SIZES = [(80, 24), (120, 40)]
LOOKS: dict[str, tuple[tuple[int, int], str]] = {"wide": ((200, 60), "dark"), "light": ((120, 40), "light")}
"""Terminal size and theme of further pictures. A picture keeps its colours under NO_COLOR: `widgets/test_terminal` and
the journey by keys tell what a terminal is sent then."""


@pytest.fixture(autouse=True)
def the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times as in UTC, signs as on a terminal of UTF-8, colours as where nothing forbids them."""
    for name in ("NO_COLOR", "COLORFGBG", "SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    glyphs.use_ascii(False)
    yield
    monkeypatch.undo()
    time.tzset()
    glyphs.use_ascii(None)


def look(snap_compare: Any, home: Path, size: tuple[int, int], *keys: str, filled: bool = True) -> bool:
    settings = picture.settings_in(home)
    if filled:
        picture.fill(settings)
    app = picture.application(settings)
    return bool(snap_compare(app, terminal_size=size, run_before=lambda pilot: picture.press(pilot, *keys)))


SCREENS = {
    "connections": ("1", "j", "j"),
    "wizard": ("1", "i", "enter"),
    "setup": ("1", "i"),
    "remove": ("1", "D"),
    "runs": ("5",),
    "run": ("5", "enter"),
    "activity": ("7",),
    "help": ("1", "question_mark"),
    "palette": ("1", "ctrl+p"),
    "choose": ("1", "c"),
    "filter": ("5", "slash", "f", "a", "i", "l"),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
def test_screen(snap_compare: Any, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    assert look(snap_compare, tmp_path / "home", size, *SCREENS[name])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_without_a_connection(snap_compare: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    assert look(snap_compare, tmp_path / "home", size, filled=False)


@pytest.mark.parametrize("theme", ["light", "high-contrast"])
def test_theme(snap_compare: Any, tmp_path: Path, theme: str) -> None:
    settings = picture.settings_in(tmp_path / "home", theme)
    picture.fill(settings)
    app = picture.application(settings)
    assert snap_compare(app, terminal_size=(80, 24), run_before=lambda pilot: picture.press(pilot, "1"))
