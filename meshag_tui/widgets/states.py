"""What a pane says when it cannot simply show its data: empty, loading, stale, forbidden, failed.

Five different things, said differently; an error never looks like an empty list.
"""

from __future__ import annotations

import textwrap
from enum import StrEnum
from typing import NamedTuple

from meshag_tui.glyphs import glyphs
from meshag_tui.text import one_line, sanitise


class Condition(StrEnum):
    READY = "ready"
    EMPTY = "empty"  # read, and there is nothing: say why and what to do
    LOADING = "loading"  # the first reading is under way
    STALE = "stale"  # the last good data is shown, newer could not be had
    FORBIDDEN = "forbidden"  # the server refuses: say which grant is missing
    ERROR = "error"  # it failed: say what and what to do


_WORDS = {
    Condition.READY: "",
    Condition.EMPTY: "Nothing here",
    Condition.LOADING: "Loading",
    Condition.STALE: "Stale",
    Condition.FORBIDDEN: "Not allowed",
    Condition.ERROR: "Error",
}


class State(NamedTuple):
    """A condition with its words: `title` in a few, `detail` why, `remedy` the exact SQL or step that mends it."""

    condition: Condition
    title: str = ""
    detail: str = ""
    remedy: str = ""

    @property
    def tone(self) -> str:
        """The part of a widget's look it is shown in."""
        return {
            Condition.STALE: "warning",
            Condition.FORBIDDEN: "warning",
            Condition.ERROR: "critical",
            Condition.LOADING: "dim",
        }.get(self.condition, "")

    @property
    def symbol(self) -> str:
        drawn = glyphs()
        return {
            Condition.EMPTY: "-",
            Condition.LOADING: drawn.ellipsis,
            Condition.STALE: drawn.warning,
            Condition.FORBIDDEN: drawn.bad,
            Condition.ERROR: drawn.critical,
        }.get(self.condition, "")

    def headline(self) -> str:
        """One line: symbol, word, title."""
        word = _WORDS[self.condition]
        title = one_line(self.title)
        return f"{self.symbol} {word}: {title}" if title else f"{self.symbol} {word}"

    def lines(self, width: int) -> list[tuple[str, str]]:
        """The whole message for a pane of `width` cells, as (text, tone) lines."""
        room = max(10, width - 4)
        said: list[tuple[str, str]] = [("", "")]
        said += [(f"  {line}", self.tone or "accent") for line in textwrap.wrap(self.headline(), room)]
        if self.detail:
            said.append(("", ""))
            said += [(f"  {line}", "") for line in _wrapped(self.detail, room)]
        if self.remedy:
            said.append(("", ""))
            said += [(f"  {line}", "accent") for line in _wrapped(self.remedy, room)]
        return said


def _wrapped(text: str, width: int) -> list[str]:
    return [part for line in sanitise(text, 8000).split("\n") for part in textwrap.wrap(line, width) or [""]]


READY = State(Condition.READY)
LOADING = State(Condition.LOADING)
