"""What others wrote is shown and does nothing; figures read the same everywhere."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshag_tui import text

HOSTILE = [
    "\x1b]52;c;SE9TVElMRQ==\x07",
    "\x1b]0;owned\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H",
    "\x1bP1$r\x1b\\",
    "\x1b_Gi=1\x1b\\",
    "\x1bc",
    "\x1b]0;never ended",
    "\x9b2J",
    "\x9d52;c;QQ==\x9c",
    "‮gnp.exe",
    "a​b‌c﻿",
    "\U000e0041\U000e007f",
    "\ud800",
    "x\x00y\x08z\x7f",
    "a\r\nb\rc",
    "​⁦⁩",
    "e" + "́" * 50,
]
# Everything a terminal may act on, or that hides or reorders what is seen.
FORBIDDEN = {chr(c) for c in [*range(0x20), 0x7F, *range(0x80, 0xA0)]} - {"\n"}
FORBIDDEN |= {chr(c) for c in [*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xAD]}
FORBIDDEN |= {chr(c) for c in [*range(0xE0000, 0xE0080), *range(0xFE00, 0xFE10), *range(0xD800, 0xE000)]}

anything = st.text(alphabet=st.characters(codec=None)) | st.lists(st.sampled_from(HOSTILE), min_size=1).map("".join)


@pytest.fixture(params=[False, True], ids=["unicode", "ascii"], autouse=True)
def drawing(request: pytest.FixtureRequest):
    text.use_ascii(request.param)
    yield request.param
    text.use_ascii(None)


@given(anything)
@example("".join(HOSTILE))
def test_nothing_foreign_survives(given_text: str) -> None:
    for ascii_only in (False, True):
        text.use_ascii(ascii_only)
        shown = text.sanitise(given_text)
        assert not FORBIDDEN & set(shown)
        assert "\n" not in text.one_line(given_text)
        assert text.sanitise(shown) == shown
        assert text.one_line(text.one_line(given_text)) == text.one_line(given_text)
        shown.encode("ascii" if ascii_only else "utf-8")


@given(anything, st.integers(min_value=0, max_value=60), st.sampled_from(["left", "right"]))
def test_a_cell_has_exactly_its_width(given_text: str, width: int, align: text.Align) -> None:
    shown = text.one_line(given_text, width)
    assert text.width_of(shown) <= width
    assert text.width_of(text.fit(text.one_line(given_text), width, align)) == width


@given(anything, st.integers(min_value=0, max_value=40))
def test_the_limit_holds_after_escaping(given_text: str, limit: int) -> None:
    assert len(text.sanitise(given_text, limit)) <= limit


@given(st.binary() | st.none() | st.integers() | st.floats() | st.lists(st.text()))
def test_any_object_is_taken(value: object) -> None:
    assert isinstance(text.sanitise(value), str)


def test_an_object_that_cannot_be_printed_is_named() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert text.sanitise(Broken()) == "<Broken: RuntimeError>"


def test_what_was_hidden_is_seen(drawing: bool) -> None:
    if drawing:
        assert text.sanitise("a\x1b[2Jé") == "a\\x1b[2J\\xe9"
    else:
        assert text.sanitise("a\x1b[2J") == "a␛[2J"
        assert text.sanitise("x\x9b‮y\ud800") == "x\\x9b\\u202ey\\ud800"
        assert text.sanitise("⚠️ slow") == "⚠ slow"
        assert text.sanitise("数据 œuvre Ω") == "数据 œuvre Ω"
    assert text.sanitise(b"caf\xe9") == "caf\\xe9"


def test_markup_is_only_text() -> None:
    assert text.sanitise("a[/b] [@click=app.quit]x") == "a[/b] [@click=app.quit]x"


def test_line_ends(drawing: bool) -> None:
    assert text.one_line("SELECT 1,\n       2\r\nFROM t", newline=" ") == "SELECT 1, 2 FROM t"
    assert text.one_line("a\nb") == ("a|b" if drawing else "a↵b")
    assert text.one_line("\n  SELECT 1\n", newline=" ") == "SELECT 1"


def test_a_long_text_is_cut_quickly_and_says_so() -> None:
    shown = text.sanitise("x" * 5_000_000)
    assert len(shown) == text.MAX_TEXT and shown.endswith(text.glyphs().ellipsis)


@pytest.mark.parametrize(
    ("ms", "words"),
    [(None, "–"), (math.nan, "–"), (0, "0 ms"), (0.0001, "<1 µs"), (0.34, "340 µs"), (1.24, "1.2 ms"), (56.4, "56 ms"),
     (999.6, "1.0 s"), (1234, "1.2 s"), (61_000, "61 s"), (125_000, "2.1 min"), (12_000_000, "3.3 h"),
     (360_000_000, "4.2 d"), (-5, "-5.0 ms"), (math.inf, "–")],
)  # fmt: skip
def test_durations(ms: float | None, words: str, drawing: bool) -> None:
    assert text.duration(ms) == (words.replace("µs", "us").replace("–", "-") if drawing else words)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 B"), (8192, "8192 B"), (655_360, "640 kB"), (1_610_612_736, "1.5 GB"), (2**63 - 1, "8.0 EB")],
)
def test_sizes(value: int, words: str) -> None:
    assert text.size(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (12_345, "12,345"), (99_999, "99,999"), (123_456, "123 k"), (3_000_000_000, "3.00 G"),
     (2**63 - 1, "9.22 E"), (2**64, "18.4 E"), (0.25, "0.2"), (-7, "-7")],
)  # fmt: skip
def test_counts(value: float, words: str) -> None:
    assert text.count(value) == words


def test_what_is_counted_is_one_or_several() -> None:
    said = [text.number_of(value, "row") for value in (0, 1, 1.0, 1.5, 12_345, None)]
    assert said == ["0 rows", "1 row", "1 row", "1.5 rows", "12,345 rows", f"{text.glyphs().none} rows"]
    assert [text.number_of(2, noun) for noun in ("entry", "key", "index")] == ["2 entries", "2 keys", "2 indexes"]


@given(st.floats() | st.integers(min_value=-(2**70), max_value=2**70))
def test_no_figure_raises(value: float) -> None:
    for say in (text.duration, text.size, text.count, text.percent, text.ago, text.moment):
        assert say(value) and "nan" not in say(value)
    assert len(text.bar(value, 8)) == 8


def test_shares_and_moments(drawing: bool) -> None:
    assert [text.percent(s) for s in (0, 0.0001, 0.042, 0.571, 1)] == ["0 %", "<0.1 %", "4.2 %", "57 %", "100 %"]
    assert [text.ago(0, now) for now in (500, 12_000, 180_000, 7_200_000, 500_000_000)] == [
        "just now", "12 s ago", "3 min ago", "2 h ago", "6 d ago"]  # fmt: skip
    assert text.ago(180_000, 0) == "in 3 min" and text.ago(None) == "never"
    assert text.exact(2**63 - 1) == "9,223,372,036,854,775,807"


def test_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert text.moment(0) == "1970-01-01 05:30:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_bars_and_trends(drawing: bool) -> None:
    assert text.bar(0.5, 4) == ("##.." if drawing else "██  ")
    assert text.bar(0.0001, 4)[0] == ("#" if drawing else "▏")
    assert text.bar(0, 3) == ("..." if drawing else "   ")
    assert text.sparkline([0, 5, None, 10], 4) == ("_+ #" if drawing else "▁▅·█")
    assert len(text.sparkline(list(range(1000)), 12)) == 12
    courses = [text.course(values) for values in ([1, 1, None, 9], [9, 9, 1], [5, 6, 5], [1, None])]
    assert courses == ["rising", "falling", "steady", ""]
    assert text.sparkline([], 3) == "   " and text.sparkline([7, 7], 2) == ("##" if drawing else "██")


def test_secrets_are_masked() -> None:
    said = text.mask_secrets(
        'cannot reach postgresql://app:c4n@ry@db.example/shop: password="c4n@ry" token=c4n@ry Bearer c4naryc4nary '
        "CREATE ROLE x PASSWORD 'c4n@ry'"
    )
    assert "c4n" not in said and "app" in said and "db.example" in said
    assert text.mask_secrets("password authentication failed for user x").endswith("failed for user x")


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({}, False), ({"LANG": "C"}, True), ({"LANG": "C.UTF-8"}, False), ({"LANG": "de_DE.utf8"}, False),
     ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, True), ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
     ({"PYTHONIOENCODING": "ascii"}, True), ({"LC_CTYPE": "C.UTF-8"}, False)],
)  # fmt: skip
def test_the_locale_decides(environment: dict[str, str], wanted: bool) -> None:
    assert text.wants_ascii(environment) is wanted
