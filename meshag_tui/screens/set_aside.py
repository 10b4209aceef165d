"""Choosing what of the statements that are set aside is listed all the same: each kind with what ran of it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from meshag_tui.text import count
from meshag_tui.types import ASIDE
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import dialog_css
from meshag_tui.widgets.page import PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.types import Aside

ELSEWHERE = "elsewhere"
_NAMES = {
    "own": "MeshAG's own",
    "utility": "Utilities, as SET and VACUUM",
    "catalogue": "What reads catalogues only",
    ELSEWHERE: "Other databases",
}


class Line(NamedTuple):
    """A kind, and what is to be said of it."""

    key: str
    name: str
    note: str


def lines(counts: Mapping[Aside, int], info: ConnectionInfo) -> list[Line]:
    """Each kind with how many of it ran; statements of other databases are read, or not, by what is connected to."""
    found = [Line(kind, _NAMES[kind], f"{count(counts.get(kind, 0))} ran") for kind in ASIDE]
    whole = info.db_type.address.whole_server and not info.database
    return [*found, Line(ELSEWHERE, _NAMES[ELSEWHERE], "all are listed" if whole else "not read, not counted")]


class SetAsideDialog(Dialog[frozenset[str] | None]):
    """Space shows or hides a kind, enter takes what is marked, i all of them or none; esc leaves it as it was."""

    DEFAULT_CSS = (
        dialog_css("SetAsideDialog")
        + """
    SetAsideDialog > .dialog { max-width: 66; }
    SetAsideDialog Table { height: auto; }
    """
    )
    COLUMNS = (
        Column("name", "Hidden unless marked", 30, flex=1, keep=100),
        Column("note", "", 22, align="right", keep=50),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Cancel", show=False),
        Binding("i", "all", "All or none", show=False),
    ]

    def __init__(self, counts: Mapping[Aside, int], shown: Set[Aside], info: ConnectionInfo) -> None:
        """`counts`: how many of each ran; `shown`: those listed now."""
        super().__init__()
        self._lines = lines(counts, info)
        self._shown = shown
        self._of = info.database or info.name

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine("Statements set aside", classes="dialog--title")
            yield Table(self.COLUMNS, key=lambda row: row.key, sorts=False)
            yield PlainLine("", id="problem", classes="dialog--problem")
            yield PlainLine("space shows or hides, enter takes them, i shows all or none", classes="dialog--hint")

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.set_rows(self._lines)
        table.marks = set(self._shown)
        table.focus()

    def on_table_marks_changed(self, event: Table.MarksChanged) -> None:
        event.stop()
        table = event.table
        if ELSEWHERE in table.marks:
            table.marks = table.marks - {ELSEWHERE}
            table.refresh()
            why = f"only what runs in {self._of} is read: another database is a connection of its own"
            self.query_one("#problem", PlainLine).set_text(why)

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        self.dismiss(frozenset(map(str, event.table.marks)))

    def action_all(self) -> None:
        marked = self.query_one(Table).marks
        self.dismiss(frozenset(ASIDE) if len(marked) < len(ASIDE) else frozenset())

    def action_leave(self) -> None:
        self.dismiss(None)
