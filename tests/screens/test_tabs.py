"""The line of places: whole words as long as there is room for them."""

from __future__ import annotations

import pytest

from meshag_tui.screens.places import PLACES
from meshag_tui.screens.tabs import Tabs


@pytest.mark.parametrize("front", [place.name for place in PLACES])
@pytest.mark.parametrize("width", [200, 120, 80, 50, 45])
def test_all_places_are_there_and_fit(front: str, width: int) -> None:
    tabs = Tabs(PLACES)
    tabs._front = front
    said, gap = tabs._titles(width)
    assert [title.split()[0] for _, title in said] == [place.key for place in PLACES]
    assert sum(len(title) + gap for _, title in said) <= width
    words = [title.partition(" ")[2] for _, title in said]
    if width >= 80:
        assert all(word in (place.title, place.short) for (place, _), word in zip(said, words, strict=True))
    if width >= 160:
        assert words == [place.title for place in PLACES]


@pytest.mark.parametrize("width", [100, 120, 160])
def test_titles_make_room_for_what_is_said_at_the_right(width: int) -> None:
    tabs = Tabs(PLACES)
    tabs._front, tabs._right = "queries", "window 7 d to 2026-09-21 14:13"
    said, gap = tabs._titles(width)
    assert sum(len(title) + gap for _, title in said) + len(tabs._right) + 2 <= width
    assert all(title.startswith(f"{place.key}") for place, title in said)
