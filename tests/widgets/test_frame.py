"""The terminal shows exactly the frame, whatever was on it before, and is sent only what changed."""

from __future__ import annotations

import sys

import pyte
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from meshag_tui.widgets.frame import Frame, Piece, _sgr

WIDTH, HEIGHT = 40, 4
STYLES = [
    None,
    Style.parse("bold"),
    Style.parse("reverse"),
    Style.parse("red on blue"),
    Style.parse("on #203040"),
    Style.parse("underline"),
    Style.parse("#aabbcc on #203040"),
]
texts = st.lists(
    st.sampled_from(["a", "b", " ", "    ", "word", "数", "é", "█", "│", "▲", "\x1b[2J"]), max_size=40
).map("".join)
segments = st.lists(st.builds(Segment, texts, st.sampled_from(STYLES)), max_size=5)
pieces = st.lists(st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), segments), min_size=1, max_size=4)


class Screen:
    """A terminal emulator that is fed a frame's output."""

    def __init__(self) -> None:
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self.stream = pyte.Stream(self.screen)

    def line(self, y: int) -> list[tuple[object, ...]]:
        """What can be seen of each cell: of a blank not its colour or weight."""
        cells = [self.screen.buffer[y][x] for x in range(WIDTH)]
        return [
            (c.data, c.bg, c.reverse, c.underscore)
            if c.data == " "
            else (c.data, c.fg, c.bg, c.bold, c.reverse, c.underscore)
            for c in cells
            if c.data
        ]


@pytest.mark.parametrize("erase_colours", [False, True])
@given(frames=st.lists(pieces, min_size=2, max_size=4))
@example(frames=[[(0, 0, [Segment("数" * 20)])], [(0, 1, [Segment("a")])]])
@settings(max_examples=60, deadline=None)
def test_a_changed_frame_looks_like_a_fresh_one(erase_colours: bool, frames: list[list[Piece]]) -> None:
    changed, fresh = Screen(), Screen()
    frame = Frame(erase_colours)
    for given_pieces in frames:
        changed.stream.feed(frame.paint(given_pieces, (WIDTH, HEIGHT), ColorSystem.TRUECOLOR))
    codes = {_sgr(style, ColorSystem.TRUECOLOR, blank): style for blank in (True, False) for style in STYLES}
    whole: list[Piece] = []
    for y in range(HEIGHT):
        cells = zip(frame._texts[y], frame._styles[y], strict=True)
        whole.append((y, 0, [Segment(text, codes[style]) for text, style in cells if text]))
    fresh.stream.feed(Frame(erase_colours).paint(whole, (WIDTH, HEIGHT), ColorSystem.TRUECOLOR))
    for y in range(HEIGHT):
        assert changed.line(y) == fresh.line(y)


@given(given_pieces=pieces)
@settings(max_examples=100, deadline=None)
def test_the_same_again_writes_nothing(given_pieces: list[Piece]) -> None:
    frame = Frame()
    last = given_pieces[-1:]
    frame.paint(given_pieces, (WIDTH, HEIGHT), None)
    assert frame.paint(last, (WIDTH, HEIGHT), None) == ""


def test_one_changed_figure_is_a_few_bytes() -> None:
    frame = Frame()
    line = "orders        12,345  1.2 ms  SELECT * FROM"
    frame.paint([(1, 0, [Segment(line)])], (80, 24), ColorSystem.TRUECOLOR)
    assert (
        frame.paint([(1, 0, [Segment(line.replace("345", "346"))])], (80, 24), ColorSystem.TRUECOLOR) == "\x1b[2;20H6"
    )


def test_no_control_character_and_no_link_passes() -> None:
    written = Frame().paint(
        [(0, 0, [Segment("a\x1b]52;c;QQ==\x07\x9b2J‮z", Style(link="http://evil"))])], (80, 2), ColorSystem.TRUECOLOR
    )
    assert "]8;" not in written and "\x1b]" not in written and "\x9b" not in written and "‮" not in written
    assert "␛" in written and "]52;c;QQ==" in written


def test_without_colours_the_attributes_stay() -> None:
    written = Frame().paint([(0, 0, [Segment("x", Style.parse("bold reverse red on blue"))])], (80, 2), None)
    assert "\x1b[1;7mx\x1b[m" in written


def test_a_new_size_or_a_forgotten_screen_starts_over() -> None:
    frame = Frame()
    assert frame.paint([(0, 0, [Segment("x")])], (80, 2), None).startswith("\x1b[0m\x1b[H\x1b[J")
    assert frame.paint([(0, 0, [Segment("x")])], (70, 2), None).startswith("\x1b[0m\x1b[H\x1b[J")
    frame.forget()
    assert frame.paint([(0, 0, [Segment("x")])], (70, 2), None).startswith("\x1b[0m\x1b[H\x1b[J")


def test_lines_of_many_widths_are_not_all_kept() -> None:
    """A terminal that is resized without end: each width makes other texts of the same lines."""
    before = sys.getallocatedblocks()
    for width in range(300, 500):
        lines = [(y, 0, [Segment(f"{mark} line".ljust(width))]) for y, mark in enumerate("✗✓●▲")]
        Frame().paint(lines, (width, 4), ColorSystem.TRUECOLOR)
    assert sys.getallocatedblocks() - before < 150_000
