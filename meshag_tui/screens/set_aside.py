"""Choosing what of the statements that are set aside is listed all the same: each kind with what ran of it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from meshag_tui.engines import words_for
from meshag_tui.figures import count, duration, number_of
from meshag_tui.types import ASIDE
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import dialog_css
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.snapshot import OtherDatabases
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.types import Aside

_NAMES: dict[Aside, str] = {
    "own": "MeshAG's own",
    "utility": "Utilities, as SET and VACUUM",
    "catalogue": "What reads catalogues only",
    "elsewhere": "Other databases",
}


class Line(NamedTuple):
    """A kind, what is to be said of it, and what more when the cursor is on it."""

    key: Aside
    name: str
    note: str
    about: str = ""


def reads_elsewhere(info: ConnectionInfo) -> bool:
    """Whether there are other databases for it: a connection to a whole server has them all for its own."""
    return bool(info.database) or not info.db_type.address.whole_server


def lines(counts: Mapping[Aside, int], info: ConnectionInfo, others: OtherDatabases | None = None) -> list[Line]:
    """Each kind with how many of it ran; of `others`, where they are not read, what they did since counting began."""
    found = [Line(kind, _NAMES[kind], f"{count(counts.get(kind, 0))} ran") for kind in ASIDE if kind != "elsewhere"]
    if not counts.get("own"):
        found[0] = found[0]._replace(about=words_for(info.engine or info.db_type).own_unread)
    return [*found, _elsewhere(counts, info, others)]


def _elsewhere(counts: Mapping[Aside, int], info: ConnectionInfo, others: OtherDatabases | None) -> Line:
    kind: Aside = "elsewhere"
    name = _NAMES[kind]
    if not reads_elsewhere(info):
        return Line(kind, name, "none: all are its own", "This connection is to the whole server: all are listed")
    alone = "explained and advised on by a connection of their own"
    if info.other_databases:
        return Line(kind, name, f"{count(counts.get(kind, 0))} ran", f"They are {alone}")
    kept = f"Kept from the next sync on; {alone}"
    if others is None:
        return Line(kind, name, "not counted yet", kept)
    did = f"{number_of(others.calls, 'call')}, {duration(others.time_ms)}"
    of = f"{number_of(others.databases, 'database')} since counting began: {did}. "
    return Line(kind, name, f"{count(others.statements)} not read", of + kept)


class SetAsideDialog(Dialog[frozenset[str] | None]):
    """Space shows or hides a kind, enter takes what is marked, i all of them or none; esc leaves it as it was."""

    DEFAULT_CSS = (
        dialog_css("SetAsideDialog")
        + """
    SetAsideDialog > .dialog { max-width: 66; }
    SetAsideDialog Table { height: auto; }
    SetAsideDialog #about { height: auto; min-height: 1; }
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

    def __init__(
        self, counts: Mapping[Aside, int], shown: Set[Aside], info: ConnectionInfo, others: OtherDatabases | None
    ) -> None:
        """`counts`: how many of each ran; `shown`: those listed now; `others`: what other databases did."""
        super().__init__()
        self._lines = lines(counts, info, others)
        self._shown = shown
        # What turns something on for all who use the connection is marked by itself.
        self._all = {line.key for line in self._lines if line.key != "elsewhere" or info.other_databases}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine("Statements set aside", classes="dialog--title")
            yield Table(self.COLUMNS, key=lambda row: row.key, sorts=False)
            yield Page(id="about", empty=State(Condition.READY, ""))
            yield PlainLine("space shows or hides, enter takes them, i shows all or none", classes="dialog--hint")

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.set_rows(self._lines)
        table.marks = set(self._shown)
        table.focus()
        self._tell()

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        event.stop()
        self._tell()

    def on_table_marks_changed(self, event: Table.MarksChanged) -> None:
        event.stop()

    def _tell(self) -> None:
        """What else is to be said of the kind under the cursor."""
        row, page = self.query_one(Table).row, self.query_one("#about", Page)
        page.set_parts([("dim", row.about if isinstance(row, Line) else "")])
        page.refresh(layout=True)

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        self.dismiss(frozenset(map(str, event.table.marks)))

    def action_all(self) -> None:
        marked = set(self.query_one(Table).marks)
        self.dismiss(frozenset() if self._all <= marked else frozenset(self._all))

    def action_leave(self) -> None:
        self.dismiss(None)
