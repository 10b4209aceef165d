"""A table of any number of rows: only the lines on the screen are formatted, the data stays where it is.

It takes rows (any objects) and columns (values), keeps the cursor on the same row when the rows are replaced, and
posts what the user does. It knows nothing of what the rows are. Textual's own DataTable measures every row and blocks
for seconds at 10,000.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from meshag_tui.glyphs import glyphs
from meshag_tui.text import fit
from meshag_tui.widgets.columns import GAP, Column, layout, ordered
from meshag_tui.widgets.states import READY, Condition, State

_GUTTER = 2
"""Cells before the first column: mark or cursor sign, and a blank."""


class Table(ScrollView, can_focus=True):
    """Rows in columns with a cursor and marks.

    Keys: arrows or j k, g G home end, page up and down, h l to read on in a long text, space to mark, enter to open.
    """

    ALLOW_SELECT = False
    opens: ClassVar[bool] = True  # whether there is more to see of a row
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="table.page-down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="table.page-up"),
        Binding("home,g", "first", "First", show=False, id="table.first"),
        Binding("end,G", "last", "Last", show=False, id="table.last"),
        Binding("left,h", "pan(-16)", "Text left", show=False, id="table.left"),
        Binding("right,l", "pan(16)", "Text right", show=False, id="table.right"),
        Binding("enter", "select", "Open", show=False, id="table.open"),
        Binding("space", "mark", "Mark", show=False, id="table.mark"),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"table--{part}"
        for part in ("row", "header", "cursor", "cursor-blurred", "dim", "good", "warning", "critical", "accent")
    }
    DEFAULT_CSS = """
    Table { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    Table > .table--header { text-style: underline; color: $secondary; }
    Table > .table--cursor { text-style: reverse; }
    Table > .table--cursor-blurred { text-style: bold; }
    Table > .table--dim { text-style: dim; }
    Table > .table--good { color: $success; }
    Table > .table--warning { color: $warning; }
    Table > .table--critical { color: $error; text-style: bold; }
    Table > .table--accent { color: $accent; }
    """

    class RowMessage(Message):
        """About one row of a table: its key, the row itself, its place. `row` is the object the user saw."""

        def __init__(self, table: Table, index: int) -> None:
            super().__init__()
            self.table = table
            self.index = index
            self.row = table.rows[index]
            self.key = table.key_of(self.row)

        @property
        def control(self) -> Table:
            return self.table

    class RowHighlighted(RowMessage):
        """The cursor stands on another row."""

    class RowSelected(RowMessage):
        """The user opened a row (enter, or a click on the row under the cursor)."""

    class MarksChanged(Message):
        """Rows were marked or unmarked; `keys` are all that are marked now."""

        def __init__(self, table: Table) -> None:
            super().__init__()
            self.table = table
            self.keys = frozenset(table.marks)

        @property
        def control(self) -> Table:
            return self.table

    class SortChanged(Message):
        """The order was changed by the user."""

        def __init__(self, table: Table, column: str, descending: bool) -> None:
            super().__init__()
            self.table = table
            self.column = column
            self.descending = descending

        @property
        def control(self) -> Table:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        key: Callable[[Any], Hashable],
        *,
        empty: State | None = None,
        sort: tuple[str, bool] | None = None,
        sorts: bool = True,
        markable: bool = True,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`key` tells rows apart across replacements; `empty` is said when there are none.

        `sort` is (column key, descending). With `sorts=False` the rows stay as given, and the order is only shown and
        asked for (`SortChanged`).
        """
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self.key_of = key
        self.rows: Sequence[Any] = ()
        self.state = READY
        self.marks: set[Hashable] = set()
        self.sort = self.usual_sort = sort
        self.chosen: frozenset[str] | None = None  # keys of the columns to show; None: all but the optional ones
        self.cursor = 0
        self._sorts = sorts
        self._markable = markable
        self._empty = empty or State(Condition.EMPTY)
        self._moved = False  # until the user moves, the cursor stays on the top row
        self._pan = 0
        self._layout: tuple[int, list[tuple[Column, int]]] = (-1, [])
        self._cuts: dict[tuple[str, int], Mapping[str, str]] = {}  # of the rows, by column and width

    # --- values in --------------------------------------------------------------------------------------------------

    def set_rows(self, rows: Sequence[Any], state: State = READY) -> None:
        """Show other rows. The cursor stays on its row's key, on the same line of the screen if it can."""
        before, said = self.row, self._to_say
        line = self.cursor - self.scroll_offset.y
        column = self._sort_column()
        self.rows = ordered(rows, column, self.sort[1]) if column and self.sort and self._sorts else rows
        self._cuts = {}
        self.state = state
        if self.marks:
            self.marks &= self.keys_among(self.rows)
        self._resize()
        self._put_cursor(before, line)
        self._paint_anew(said)

    def set_state(self, state: State) -> None:
        """Say something else about the rows already shown (stale, loading, …)."""
        if state != self.state:
            said, self.state = self._to_say, state
            self._resize()
            self._paint_anew(said)

    def set_columns(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._layout = (-1, [])
        self.refresh()

    def choose(self, keys: Iterable[str] | None) -> None:
        """Show these columns, or None: the usual ones. The one that is the last to go is always there."""
        self.chosen = None if keys is None else frozenset(keys)
        self._layout = (-1, [])
        self.refresh()

    def can_sort(self, key: str) -> bool:
        """Whether the rows can be ordered by a column."""
        return any(column.key == key for column in self.columns)

    def keys_among(self, rows: Sequence[Any]) -> Set[Hashable]:
        """Which marks are still about something: the keys of these rows."""
        return {self.key_of(row) for row in rows}

    def sort_by(self, key: str, descending: bool | None = None) -> None:
        """Order by a column; by default in the order that is useful for it, or the other way if it is the order now."""
        column = next(column for column in self.columns if column.key == key)
        if descending is None:
            descending = not self.sort[1] if self.sort and self.sort[0] == key else column.descending
        self.order(key, descending)
        self.post_message(self.SortChanged(self, key, descending))
        if self._sorts:
            self.set_rows(self.rows, self.state)
        else:
            self.refresh()

    def order(self, key: str | None, descending: bool = False) -> None:
        """Say by what the rows are ordered, to take effect with the rows set next; None: as the table was made."""
        self.sort = self.usual_sort if key is None else (key, descending)
        self._layout = (-1, [])

    def sort_next(self) -> None:
        """Order by the next of the columns that are shown."""
        shown = [column.key for column, _ in self._fitting()]
        at = shown.index(self.sort[0]) if self.sort and self.sort[0] in shown else -1
        following = shown[(at + 1) % len(shown)]
        self.sort_by(following, next(c.descending for c in self.columns if c.key == following))

    def sort_reverse(self) -> None:
        if self.sort is not None:
            self.sort_by(self.sort[0], not self.sort[1])

    # --- what is under the cursor -----------------------------------------------------------------------------------

    @property
    def row(self) -> Any | None:
        """The row under the cursor, None in an empty table."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def targets(self) -> list[Any]:
        """What an action is about: the marked rows in their order, else the row under the cursor."""
        if self.marks:
            return [row for row in self.rows if self.key_of(row) in self.marks]
        return [] if self.row is None else [self.row]

    def move_to(self, key: Hashable) -> bool:
        """Put the cursor on the row with this key; False if there is none."""
        for index, row in enumerate(self.rows):
            if self.key_of(row) == key:
                self._moved = True
                self._go(index)
                return True
        return False

    def mark(self, keys: Iterable[Hashable]) -> None:
        """Mark the rows of these keys too, as far as they are listed."""
        found = {self.key_of(row) for row in self.rows} & set(keys)
        if self._markable and not found <= self.marks:
            self.marks |= found
            self.refresh()
            self.post_message(self.MarksChanged(self))

    def clear_marks(self) -> None:
        if self.marks:
            self.marks.clear()
            self.refresh()
            self.post_message(self.MarksChanged(self))

    # --- keys and mouse ---------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self._moved = True
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        self._moved = True
        self._go(self.cursor + by * max(1, self._body_height - 1))

    def action_first(self) -> None:
        self._moved = False
        self._go(0)

    def action_last(self) -> None:
        self._moved = True
        self._go(len(self.rows) - 1)

    def action_pan(self, by: int) -> None:
        pan = max(0, self._pan + by)
        if pan != self._pan:
            self._pan = pan
            self.refresh()

    def action_select(self) -> None:
        if self.row is not None:
            self.post_message(self.RowSelected(self, self.cursor))

    def action_mark(self) -> None:
        if self.row is None or not self._markable:
            return
        self.marks ^= {self.key_of(self.row)}
        self.post_message(self.MarksChanged(self))
        self._refresh_row(self.cursor)
        self.action_move(1)

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._click_header(event.x)
            return
        index = event.y - self._head + self.scroll_offset.y
        if event.y < self._head or not 0 <= index < len(self.rows):
            return
        again = index == self.cursor and self.has_focus
        self._moved = True
        self._go(index)
        if again or event.chain > 1:
            self.action_select()

    def _click_header(self, x: int) -> None:
        edge = _GUTTER
        for column, width in self._fitting():
            edge += width + GAP
            if x < edge:
                self.sort_by(column.key)
                return

    def on_focus(self) -> None:
        self._refresh_row(self.cursor)

    def on_blur(self) -> None:
        self._refresh_row(self.cursor)

    # --- cursor and scrolling ---------------------------------------------------------------------------------------

    @property
    def _banner(self) -> bool:
        """A line below the header says what is wrong with rows that are shown all the same."""
        return bool(self.rows) and self.state.condition is not Condition.READY

    @property
    def _to_say(self) -> State:
        """What stands in the place of rows when there are none."""
        return self._empty if self.state.condition is Condition.READY else self.state

    @property
    def _head(self) -> int:
        return 2 if self._banner else 1

    @property
    def _body_height(self) -> int:
        return max(1, self.size.height - self._head)

    def _resize(self) -> None:
        size = Size(1, len(self.rows) + self._head)
        if size != self.virtual_size:
            self.virtual_size = size

    def _paint_anew(self, said: State) -> None:
        """Paint all of it; with another height where the text in the place of rows is another than `said`."""
        self.refresh(layout=not self.rows and self._to_say != said and self.styles.auto_dimensions)

    def _put_cursor(self, before: Any | None, line: int) -> None:
        old_key = None if before is None else self.key_of(before)
        index = self.cursor if self._moved else 0
        if before is not None and self._moved:
            index = self._find(old_key)
        self.cursor = max(0, min(index, len(self.rows) - 1))
        self._show_from(self.cursor - line)
        now = self.row
        if now is not None and (before is None or self.key_of(now) != old_key):
            self.post_message(self.RowHighlighted(self, self.cursor))

    def _find(self, key: Hashable) -> int:
        """Where the row with this key is now; where the cursor is if it is gone."""
        if self.row is not None and self.key_of(self.row) == key:
            return self.cursor
        return next((index for index, row in enumerate(self.rows) if self.key_of(row) == key), self.cursor)

    def _go(self, index: int) -> None:
        index = max(0, min(index, len(self.rows) - 1))
        if index == self.cursor or not self.rows:
            return
        old, self.cursor = self.cursor, index
        top = self.scroll_offset.y
        if not self._show_from(top):
            self._refresh_row(old)
            self._refresh_row(index)
        self.post_message(self.RowHighlighted(self, index))

    def _show_from(self, top: int) -> bool:
        """Scroll to `top`, or as far from it as the cursor needs; True if that moved anything."""
        height = self._body_height
        top = max(self.cursor - height + 1, min(top, self.cursor))
        top = max(0, min(top, len(self.rows) - height))
        if top == self.scroll_offset.y:
            return False
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        return True

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The lines there are, for tables whose height is auto."""
        return len(self.rows) + self._head if self.rows else 1 + len(self._to_say.lines(width))

    def on_resize(self) -> None:
        if self._show_from(self.scroll_offset.y):
            self.refresh()

    def _refresh_row(self, index: int) -> None:
        y = index - self.scroll_offset.y + self._head
        if self._head <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # --- painting ---------------------------------------------------------------------------------------------------

    def _sort_column(self) -> Column | None:
        if self.sort is None:
            return None
        return next((column for column in self.columns if column.key == self.sort[0]), None)

    def _fitting(self) -> list[tuple[Column, int]]:
        scrolls = len(self.rows) > self._body_height  # then the scroll bar stands in the last column
        width = self.size.width - _GUTTER - scrolls
        if self._layout[0] != width:
            self._layout = (width, layout(self.shown_columns, width))
        return self._layout[1]

    @property
    def shown_columns(self) -> list[Column]:
        """The columns that are shown where there is room for all."""
        last = self.last_to_go
        by = self.sort[0] if self.sort else ""
        shown = [
            column
            for column in self.columns
            if column is last or (not column.optional if self.chosen is None else column.key in self.chosen)
        ]
        asked = last.keep - 1  # for what was asked for by name there is room before there is for the rest
        return [each._replace(keep=asked) if each.key == by or each.optional else each for each in shown]

    @property
    def last_to_go(self) -> Column:
        """The column that is there however little room there is."""
        return max(self.columns, key=lambda column: column.keep)

    @property
    def fitting(self) -> frozenset[str]:
        """Keys of the columns there is room for now."""
        return frozenset(column.key for column, _ in self._fitting())

    def _look(self, part: str) -> Style:
        # `rich_style` walks the ancestors each time; a component's style is kept until the next refresh.
        return self.get_component_rich_style(f"table--{part or 'row'}")

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            return Strip([Segment(fit(self._heading(), width), self._look("header"))], width)
        if not self.rows:
            return self._state_line(y - 1, width)
        if y == 1 and self._banner:
            text = f"  {self.state.headline()}"
            detail = f"  {self.state.detail}" if self.state.detail else ""
            return Strip([Segment(fit(text + detail, width), self._look(self.state.tone))], width)
        index = y - self._head + self.scroll_offset.y
        if index >= len(self.rows):
            return Strip.blank(width, self._look(""))
        return Strip(self._row(index, width), width)

    def _heading(self) -> str:
        titles = []
        for column, width in self._fitting():
            sorted_by = self.sort is not None and self.sort[0] == column.key
            order = ("descending" if self.sort and self.sort[1] else "ascending") if sorted_by else ""
            titles.append(column.heading(width, order))  # type: ignore[arg-type]
        return " " * _GUTTER + (" " * GAP).join(titles)

    def _state_line(self, y: int, width: int) -> Strip:
        lines = self._to_say.lines(width)
        text, tone = lines[y] if y < len(lines) else ("", "")
        return Strip([Segment(fit(text, width), self._look(tone))], width)

    def _cut(self, column: Column, cells: int) -> Mapping[str, str]:
        at = (column.key, cells)
        if at not in self._cuts:
            self._cuts[at] = column.cuts(self.rows, cells)
        return self._cuts[at]

    def _row(self, index: int, width: int) -> list[Segment]:
        row = self.rows[index]
        at_cursor = index == self.cursor
        sign = " "
        if self.marks and self.key_of(row) in self.marks:
            sign = glyphs().mark
        elif at_cursor:
            sign = glyphs().cursor
        base = self._look("")
        if at_cursor:
            base = self._look("cursor" if self.has_focus else "cursor-blurred")
        elif self.state.condition in (Condition.STALE, Condition.ERROR, Condition.FORBIDDEN):
            base = self._look("dim")
        segments: list[Segment] = []
        text = sign + " " * (_GUTTER - 1)
        for column, cells in self._fitting():
            cell = column.cell(row, cells, self._pan, self._cut(column, cells))
            tone = column.tone(column.of(row)) if column.tone is not None and not at_cursor else ""
            if tone:
                segments += (Segment(text, base), Segment(cell, self._look(tone)))
                text = " " * GAP
            else:
                text += cell + " " * GAP
        segments.append(Segment(text, base))
        return Strip(segments).adjust_cell_length(width, base)._segments
