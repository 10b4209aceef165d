"""Stacked amounts over time: each part by its own sign, gaps that are gaps, and a scale that is honest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from textual.app import App, ComposeResult

from meshag_tui import glyphs
from meshag_tui.widgets.stacked import MARGIN, Stack, Stacked, part_at, scale_of
from meshag_tui.widgets.states import Condition, State

MINUTE = 60_000
T = 1_790_000_000_000 // (10 * MINUTE) * 10 * MINUTE
NAMES = ("running", "lock")


@pytest.fixture(autouse=True)
def signs() -> Iterator[None]:
    glyphs.use_ascii(False)
    yield
    glyphs.use_ascii(None)


async def drawn(stack: Stack | None, **how: Any) -> list[str]:
    class One(App[None]):
        def compose(self) -> ComposeResult:
            yield Stacked(empty=State(Condition.EMPTY, "nothing was looked at"))

    async with One().run_test(size=(MARGIN + (5 if stack is None else len(stack.steps)), 10)) as pilot:
        plot = pilot.app.query_one(Stacked)
        plot.styles.height = 6
        plot.set_stack(stack, **how)
        await pilot.pause()
        return [plot.render_line(y).text for y in range(6)]


def stack(*steps: tuple[float, ...] | None, cursor: int | None = None) -> Stack:
    return Stack("S", NAMES, T, T + len(steps) * MINUTE, steps, cursor)


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (0.2, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (11, 20), (480, 500)]
)
def test_the_scale_is_a_round_figure_from_one_session_on(highest: float, top: float) -> None:
    assert scale_of(highest) == top


def test_which_part_covers_a_level() -> None:
    assert [part_at((1.0, 0.0, 2.0), level) for level in (0.0, 0.99, 1.0, 2.9, 3.0)] == [0, 0, 2, 2, None]


async def test_parts_gaps_and_what_was_seen_at_rest() -> None:
    lines = await drawn(stack((4.0, 0.0), (2.0, 2.0), None, (0.0, 0.0), (0.1, 0.2)))
    assert lines[1] == "    5      "
    assert lines[2][MARGIN:] == "█▒   "
    assert lines[3][MARGIN:] == "█▒   " or lines[3][MARGIN:] == "██   "
    assert lines[4] == "    0 ██ _▒", "little is seen, nothing is a line, a gap is empty"


async def test_ascii_has_a_sign_for_each_part() -> None:
    glyphs.use_ascii(True)
    lines = await drawn(stack((4.0, 0.0), (2.0, 2.0), None, (0.0, 0.0), (0.1, 0.2)))
    assert lines[4] == "    0 ## _x"
    assert all(line.isascii() for line in lines)


async def test_the_cursor_names_its_moment_and_nothing_is_a_state() -> None:
    lines = await drawn(stack(*[(1.0, 0.0)] * 24, cursor=1))
    assert lines[5][MARGIN + 1 :].startswith("^")
    assert "nothing was" in " ".join(await drawn(stack(*[None] * 40)))
    assert "Load" in " ".join(await drawn(None, state=State(Condition.LOADING)))
