"""Columns as values: what a table shows of a row, how wide, and what goes first when there is no room.

A view is a tuple of columns. Adding one touches one list; `layout` decides what fits.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from meshag_tui.glyphs import glyphs
from meshag_tui.text import Align, fit, one_line, sanitise, width_of

Tone = Literal["", "dim", "good", "warning", "critical", "accent"]
"""How a cell is painted. Never the only sign: `render` says the same with a symbol or a word."""

GAP = 1
"""Cells between two columns."""


def plain(value: Any) -> str:
    """Any value as text; None as a dash."""
    return glyphs().none if value is None else sanitise(value)


class Column(NamedTuple):
    """One column.

    `value` picks the value out of a row (by default the attribute or mapping key named `key`), `render` says it, or
    `draw` does so for a given width (`bar`, `sparkline`). `width` is fixed, or with `flex` the least: what is
    left of the line is shared in proportion to `flex`. `keep` is the column's weight when the line is too short: the
    lowest is dropped first, so the query text has the highest. `prose`: line ends become blanks instead of ↵.
    `optional`: it is shown only when it is chosen. `name` is what it is called where its title says too little.
    `tells_apart`: its values are names, and those of one table that differ look different when they are cut, too.
    """

    key: str
    title: str
    width: int
    flex: int = 0
    align: Align = "left"
    value: Callable[[Any], Any] | None = None
    render: Callable[[Any], str] = plain
    draw: Callable[[Any, int], str] | None = None
    sort_key: Callable[[Any], Any] | None = None
    descending: bool = False  # the useful order, taken when the column is first sorted by
    tone: Callable[[Any], Tone] | None = None
    keep: int = 50
    prose: bool = False
    optional: bool = False
    name: str = ""
    tells_apart: bool = False

    def of(self, row: Any) -> Any:
        """This column's value of a row."""
        if self.value is not None:
            return self.value(row)
        if isinstance(row, dict):
            return row.get(self.key)
        return row[self.key] if isinstance(row, Mapping) else getattr(row, self.key)

    def cuts(self, rows: Sequence[Any], width: int) -> Mapping[str, str]:
        """What is shown in `width` cells of those names that would look like another, where the column tells apart."""
        if not self.tells_apart:
            return {}
        from meshag_tui.widgets.told_apart import told_apart  # no list that is painted first has such names

        return told_apart({one_line(self.render(self.of(row))) for row in rows}, width)

    def cell(self, row: Any, width: int, pan: int = 0, cuts: Mapping[str, str] | None = None) -> str:
        """The cell of a row in exactly `width` cells, sanitised; `pan` characters are scrolled off a flexible one.

        `cuts` are those of the table's rows.
        """
        value = self.of(row)
        if cuts and not pan and (cut := cuts.get(one_line(self.render(value)))):
            return fit(cut, width, self.align)
        if self.draw is not None:
            return fit(one_line(self.draw(value, width)), width, self.align) if value is not None else " " * width
        pan = pan if self.flex else 0
        text = one_line(self.render(value), width + pan, " " if self.prose else None)
        return fit(text[pan:], width, self.align)

    def heading(self, width: int, order: Literal["", "ascending", "descending"]) -> str:
        """The title in `width` cells, with the sign of the order it is sorted by."""
        if not order:
            return fit(self.title, width, self.align)
        sign = glyphs().ascending if order == "ascending" else glyphs().descending
        room = width - width_of(sign)
        if room <= 0:
            return fit(sign, width)
        title = fit(self.title, min(room, width_of(self.title)), self.align)
        return fit(sign + title if self.align == "right" else title + sign, width, self.align)


def layout(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that fit into `width` cells, in order, with the width each gets."""
    kept = list(columns)
    while len(kept) > 1 and sum(c.width for c in kept) + GAP * (len(kept) - 1) > width:
        # The rightmost of equals goes first.
        kept.remove(min(reversed(kept), key=lambda column: column.keep))
    if len(kept) == 1 and kept[0].width > width:
        return [(kept[0], max(1, width))]
    left = width - sum(c.width for c in kept) - GAP * (len(kept) - 1)
    shares = sum(c.flex for c in kept)
    widths = []
    for column in kept:
        extra = left * column.flex // shares if shares else 0
        left, shares = left - extra, shares - column.flex
        widths.append((column, column.width + extra))
    return widths


def ordered(rows: Sequence[Any], column: Column, descending: bool) -> list[Any]:
    """Rows by a column, stable, None last whichever way; values that cannot be compared are ordered as text."""
    values = [column.of(row) for row in rows]
    if column.sort_key is not None:
        values = [None if value is None else column.sort_key(value) for value in values]
    places = [place for place, value in enumerate(values) if value is not None]
    try:
        places.sort(key=values.__getitem__, reverse=descending)
    except TypeError:
        places.sort(key=lambda place: sanitise(values[place]), reverse=descending)
    return [rows[place] for place in places] + [row for row, value in zip(rows, values, strict=True) if value is None]
