"""Figures read the same everywhere, and what was not measured is a dash."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshag_tui import figures, glyphs


@pytest.mark.parametrize(
    ("ms", "words"),
    [(None, "–"), (math.nan, "–"), (0, "0 ms"), (0.0001, "<1 µs"), (0.34, "340 µs"), (1.24, "1.2 ms"), (56.4, "56 ms"),
     (999.6, "1.0 s"), (1234, "1.2 s"), (61_000, "61 s"), (125_000, "2.1 min"), (12_000_000, "3.3 h"),
     (360_000_000, "4.2 d"), (-5, "-5.0 ms"), (math.inf, "–")],
)  # fmt: skip
def test_durations(ms: float | None, words: str, drawing: bool) -> None:
    assert figures.duration(ms) == (words.replace("µs", "us").replace("–", "-") if drawing else words)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 B"), (8192, "8192 B"), (655_360, "640 kB"), (1_610_612_736, "1.5 GB"), (2**63 - 1, "8.0 EB")],
)
def test_sizes(value: int, words: str) -> None:
    assert figures.size(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (12_345, "12,345"), (99_999, "99,999"), (123_456, "123 k"), (3_000_000_000, "3.00 G"),
     (2**63 - 1, "9.22 E"), (2**64, "18.4 E"), (0.25, "0.2"), (-7, "-7")],
)  # fmt: skip
def test_counts(value: float, words: str) -> None:
    assert figures.count(value) == words


def test_what_is_counted_is_one_or_several() -> None:
    said = [figures.number_of(value, "row") for value in (0, 1, 1.0, 1.5, 12_345, None)]
    assert said == ["0 rows", "1 row", "1 row", "1.5 rows", "12,345 rows", f"{glyphs.glyphs().none} rows"]
    assert [figures.number_of(2, noun) for noun in ("entry", "key", "index")] == ["2 entries", "2 keys", "2 indexes"]


@given(st.floats() | st.integers(min_value=-(2**70), max_value=2**70))
def test_no_figure_raises(value: float) -> None:
    for say in (figures.duration, figures.size, figures.count, figures.percent, figures.ago, figures.moment):
        assert say(value) and "nan" not in say(value)
    assert len(figures.bar(value, 8)) == 8


def test_shares_and_moments(drawing: bool) -> None:
    assert [figures.percent(s) for s in (0, 0.0001, 0.042, 0.571, 1)] == ["0 %", "<0.1 %", "4.2 %", "57 %", "100 %"]
    assert [figures.ago(0, now) for now in (500, 12_000, 180_000, 7_200_000, 500_000_000)] == [
        "just now", "12 s ago", "3 min ago", "2 h ago", "6 d ago"]  # fmt: skip
    assert figures.ago(180_000, 0) == "in 3 min" and figures.ago(None) == "never"
    assert figures.exact(2**63 - 1) == "9,223,372,036,854,775,807"


def test_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert figures.moment(0) == "1970-01-01 05:30:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_bars_and_trends(drawing: bool) -> None:
    assert figures.bar(0.5, 4) == ("##.." if drawing else "██  ")
    assert figures.bar(0.0001, 4)[0] == ("#" if drawing else "▏")
    assert figures.bar(0, 3) == ("..." if drawing else "   ")
    assert figures.sparkline([0, 5, None, 10], 4) == ("_+ #" if drawing else "▁▅·█")
    assert len(figures.sparkline(list(range(1000)), 12)) == 12
    courses = [figures.course(values) for values in ([1, 1, None, 9], [9, 9, 1], [5, 6, 5], [1, None])]
    assert courses == ["rising", "falling", "steady", ""]
    assert figures.sparkline([], 3) == "   " and figures.sparkline([7, 7], 2) == ("##" if drawing else "██")
