"""The filter line of a pane; what is typed there `store.text_filter` explains."""

from __future__ import annotations

from meshag_tui.widgets.entry import QuietInput


class FilterLine(QuietInput):
    """The line `/` opens; esc clears and closes it, enter goes back to the rows."""

    DEFAULT_CSS = """
    FilterLine, FilterLine:focus { padding: 0 2; }
    """

    def __init__(self) -> None:
        super().__init__(placeholder="filter: part of the text; ~ regular expression, ! not; esc clears")
