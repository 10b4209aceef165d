"""What others wrote is shown and does nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshag_tui import glyphs, text

pytestmark = pytest.mark.usefixtures("drawing")

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


@given(anything)
@example("".join(HOSTILE))
def test_nothing_foreign_survives(given_text: str) -> None:
    for ascii_only in (False, True):
        glyphs.use_ascii(ascii_only)
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
    assert len(shown) == text.MAX_TEXT and shown.endswith(glyphs.glyphs().ellipsis)


def test_secrets_are_masked() -> None:
    said = text.mask_secrets(
        'cannot reach postgresql://app:c4n@ry@db.example/shop: password="c4n@ry" token=c4n@ry Bearer c4naryc4nary '
        "CREATE ROLE x PASSWORD 'c4n@ry'"
    )
    assert "c4n" not in said and "app" in said and "db.example" in said
    assert text.mask_secrets("password authentication failed for user x").endswith("failed for user x")
