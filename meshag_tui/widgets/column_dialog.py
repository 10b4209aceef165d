"""Which columns a table shows, and by which of them it is ordered."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import dialog_css
from meshag_tui.widgets.page import PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.widgets.table import Table


@dataclass(frozen=True)
class Offered:
    """A column that may be chosen, and what is to be said of it now."""

    key: str
    name: str
    note: str


@dataclass(frozen=True)
class Arranged:
    """What was chosen: the keys of the columns, and the one to order by (None: as before)."""

    columns: frozenset[str]
    sort: str | None = None


_COLUMNS = (
    Column("name", "Column", 20, flex=1, keep=100),
    Column("note", "", 26, align="right", keep=50),
)


def offered(table: Table) -> list[Offered]:
    """The columns of a table with what is to be said of each."""
    shown, fitting = {column.key for column in table.shown_columns}, table.fitting
    by, down = table.sort or ("", False)
    made = []
    for column in table.columns:
        note = "" if column.key not in shown or column.key in fitting else "no room at this width"
        if column.key == table.last_to_go.key:
            note = "always shown"
        if column.key == by:
            note = "the order, greatest first" if down else "the order, least first"
        made.append(Offered(column.key, column.name or column.title, note))
    return made


class ColumnDialog(Dialog[Arranged | None]):
    """Space shows or hides a column, enter takes what is marked, s that and the order by this one; esc leaves all."""

    DEFAULT_CSS = (
        dialog_css("ColumnDialog")
        + """
    ColumnDialog > .dialog { max-width: 60; }
    ColumnDialog Table { height: auto; max-height: 60vh; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Cancel", show=False),
        Binding("s", "sort", "Order", show=False),
    ]

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._of = table

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine("Columns", classes="dialog--title")
            yield Table(_COLUMNS, key=lambda row: row.key, sorts=False)
            yield PlainLine("", id="problem", classes="dialog--problem")
            yield PlainLine("space shows or hides, s sorts by it, enter takes them", classes="dialog--hint")

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.set_rows(offered(self._of))
        table.marks = {column.key for column in self._of.shown_columns}
        table.focus()

    def on_resize(self) -> None:
        self.query_one(Table).styles.max_height = max(3, self.size.height * 95 // 100 - 5)

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        self.dismiss(Arranged(self._marked))

    @property
    def _marked(self) -> frozenset[str]:
        marks: set[Hashable] = self.query_one(Table).marks
        return frozenset(str(key) for key in marks)

    def action_sort(self) -> None:
        row: Offered | None = self.query_one(Table).row
        if row is None:
            return
        if self._of.can_sort(row.key):
            self.dismiss(Arranged(self._marked | {row.key}, row.key))
        else:
            self.query_one("#problem", PlainLine).set_text(f"{row.name}: nothing can be ordered by it")

    def action_leave(self) -> None:
        self.dismiss(None)
