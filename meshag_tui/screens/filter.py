"""The filter line of a pane, and what it means: a regular expression, `!` before it inverts."""

from __future__ import annotations

import re
from collections.abc import Callable

from meshag_tui.widgets.entry import QuietInput

Matcher = Callable[[str], bool]


def matcher(text: str) -> Matcher:
    """Whether a text passes. Case matters only if the filter has a capital; a broken expression is taken literally."""
    wanted = text.strip()
    invert = wanted.startswith("!")
    if invert:
        wanted = wanted[1:].strip()
    if not wanted:
        return lambda _: True
    flags = 0 if any(character.isupper() for character in wanted) else re.IGNORECASE
    try:
        pattern = re.compile(wanted, flags)
    except re.error:
        pattern = re.compile(re.escape(wanted), flags)
    return lambda given: (pattern.search(given) is None) is invert


class FilterLine(QuietInput):
    """The line `/` opens; esc clears and closes it, enter goes back to the rows."""

    DEFAULT_CSS = """
    FilterLine, FilterLine:focus { padding: 0 2; }
    """

    def __init__(self) -> None:
        super().__init__(placeholder="filter: regular expression, ! inverts, esc clears")
