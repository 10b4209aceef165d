"""Why a statement gets an index suggestion or none: a text to read, each index with its price and its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshag_tui.figures import count, percent, size
from meshag_tui.glyphs import glyphs
from meshag_tui.text import one_line
from meshag_tui.widgets.dialog import TextDialog
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.advisor.verdicts import Verdict, Why
    from meshag_tui.screens.queries import QueriesPane


async def ask(pane: QueriesPane, query_id: int) -> None:
    """Ask the advisor, and show what it says."""
    from meshag_tui.workflows import reasons

    found = await reasons.why(pane.bench, query_id)
    pane.shell.say(f"{count(len(found.verdicts))} indexes were judged")
    if len(pane.shell.screen_stack) == 1 and pane.in_front:
        pane.shell.push_screen(TextDialog(f"Why {found.query_id} gets these indexes, or none", pieces(found)))


def pieces(found: Why) -> list[Piece]:
    """The answer as a text."""
    said: list[Piece] = [("", f"{one_line(sentence)}\n") for sentence in found.said]
    if found.cost is not None:
        said.append(("dim", f"Present cost {count(found.cost)}; priced by {one_line(found.priced_by)}.\n"))
    for one in found.verdicts:
        said += _verdict(one)
    return said


def _verdict(one: Verdict) -> list[Piece]:
    look, mark = ("good", glyphs().ok) if one.chosen else ("", glyphs().gap)
    price = "not priced" if one.cost is None else f"cost {count(one.cost)}, {percent(one.gain)} less"
    return [
        (look, f"\n{mark} "),
        ("bold", f"{one_line(f'{one.table} ({one.keys})')}\n"),
        ("dim", f"  {price}{glyphs().separator}{size(one.size_bytes)}\n"),
        ("", f"  {one_line(one.why)}\n"),
    ]
