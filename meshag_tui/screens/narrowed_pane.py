"""A list of what a database has (tables, indexes), of which `f` shows a part, with the one under the cursor below it.

Everything is read at once; what is shown of it is chosen here, by the pane's own choice and the filter. Enter opens one
in the pane's second view.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from textual.containers import Vertical

from meshag_tui.figures import moment
from meshag_tui.screens import export, why_empty
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.page import Page, Piece, PlainLine
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic


class Listed(Protocol):
    """What such a list has rows of."""

    @property
    def key(self) -> int: ...

    @property
    def text(self) -> str: ...

    def is_shown(self, wanted: str) -> bool: ...


Row = TypeVar("Row", bound=Listed)


class NarrowedPane(ListPane, Generic[Row]):
    """Base of the two. A subclass composes `list_view()` and its detail, and writes `load` and what raises here."""

    shown: ClassVar[Mapping[str, str]] = {}  # what `f` offers, "all" first
    one: ClassVar[str] = ""  # what a row is, and the id of the view of one
    none: ClassVar[State]  # said where the database has none
    findings: ClassVar[Collection[str]] = ()  # beginnings of the codes of findings about these
    usual_sort: ClassVar[str] = ""
    topics: ClassVar[frozenset[Topic]] = frozenset({"statistics", "changes"})

    def __init__(self) -> None:
        super().__init__()
        self.wanted = "all"
        self._all: tuple[Row, ...] = ()

    def columns(self) -> tuple[Column, ...]:
        """The columns of the list, for the server that is looked at."""
        raise NotImplementedError

    def pieces(self, row: Row) -> list[Piece]:
        """What is said of the row under the cursor."""
        raise NotImplementedError

    def summary(self, rows: Sequence[Row]) -> str:
        """The line below the list."""
        raise NotImplementedError

    def open_one(self, row: Row) -> None:
        """Make the detail about a row."""
        raise NotImplementedError

    def say_in_detail(self, state: State) -> None:
        """Say something in the place of the detail."""
        raise NotImplementedError

    def described(self, row: Row) -> Mapping[str, Any]:
        """A row as the command line has it, for a file."""
        raise NotImplementedError

    def list_view(self) -> Vertical:
        """The first view."""
        return Vertical(
            Table(
                self.columns(),
                key=lambda row: row.key,
                sort=(self.usual_sort, True),
                id=f"{self.place}-table",
                markable=False,
            ),
            PlainLine(id=f"{self.place}-summary"),
            Page(id=f"{self.place}-preview"),
            id="list",
            classes="view",
        )

    def on_mount(self) -> None:
        super().on_mount()
        self._preview_page.can_focus = False

    @property
    def _list(self) -> Table:
        return self.query_one(f"#{self.place}-table", Table)

    @property
    def _preview_page(self) -> Page:
        return self.query_one(f"#{self.place}-preview", Page)

    @property
    def _chosen(self) -> Row | None:
        row: Row | None = self._list.row
        return row

    async def prepare(self) -> None:
        if self._list.columns != (columns := self.columns()):
            self._list.set_columns(columns)
        await super().prepare()

    # --- showing ----------------------------------------------------------------------------------------------------

    def _show(self, info: ConnectionInfo) -> None:
        rows = [each for each in self._all if each.is_shown(self.wanted) and self.matches(each.text)]
        state = why_empty.state_of(info, self.findings, any_rows=bool(self._all))
        if state is READY and not rows:
            state = self._nothing()
        self._list.set_rows(rows, state)
        self.query_one(f"#{self.place}-summary", PlainLine).set_text(self.summary(rows))
        self._preview()

    def _nothing(self) -> State:
        if not self._all:
            return self.none
        what = self.filter_text.strip() or self.shown[self.wanted]
        said = f"no {self.one} of {len(self._all):,} is in this list"
        return State(Condition.EMPTY, said, what, "esc clears a filter.")

    def show_state(self, state: State) -> None:
        if self.view == self.one:
            self.say_in_detail(state)
        else:
            self._list.set_state(state)

    def connection_changed(self) -> None:
        super().connection_changed()
        self._all = ()
        self.query_one(f"#{self.place}-summary", PlainLine).set_text("")
        self._preview()

    def _preview(self) -> None:
        chosen, preview = self._chosen, self._preview_page
        preview.set_class(chosen is None, "-empty")
        if chosen is not None:
            preview.set_parts(self.pieces(chosen))

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._preview()
        self.shell.refresh_keys()

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self.look_at_one(event.row)

    def look_at_one(self, row: Row) -> None:
        """Look at one alone."""
        self.open_one(row)
        if self.view == self.one:
            self.refresh_soon()
        else:
            self.open_view(self.one)

    def open_key(self, key: int) -> bool:
        """Look at the one with this key; False: it is not here."""
        found = next((row for row in self._all if row.key == key), None)
        if found is None:
            return False
        self._list.move_to(key)
        self.look_at_one(found)
        return True

    def filtered(self) -> None:
        if self.connection is not None:
            self._list.action_first()
            self._show(self.connection)

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        in_detail = self.is_mounted and self.view == self.one
        if action_id == f"{self.one}-metric" and not in_detail:
            return f"enter opens {'an' if self.one[0] in 'aeiou' else 'a'} {self.one} first"
        if action_id in ("filter", "sort", "sort-reverse", "export", f"{self.place}-show") and in_detail:
            return "esc goes back to the list first"
        if action_id == "export" and not (self.is_mounted and self._list.rows):
            return "there is nothing to write"
        return super().why_not(action_id)

    @property
    def narrowed(self) -> str:
        return self.wanted

    def narrow(self, shown: str) -> None:
        self.wanted = shown if shown in self.shown else "all"

    def choose_shown(self) -> None:
        """Choose which are listed."""
        counts = Counter(wanted for each in self._all for wanted in self.shown if each.is_shown(wanted))
        choices = [Choice(wanted, words, f"{counts[wanted]:,}") for wanted, words in self.shown.items()]

        def chosen(wanted: str | None) -> None:
            if wanted is not None:
                self.wanted = wanted
                self.filtered()

        self.shell.push_screen(Chooser("Show", choices, self.wanted), chosen)

    def do_export(self) -> None:
        """Write the listed rows to a file."""
        rows: Sequence[Row] = self._list.rows
        export.ask(self, self.place, lambda: self._report(rows))

    async def _report(self, rows: Sequence[Row]) -> export.Report:
        window = await self.window()
        about = export.facts(self, window=f"{moment(window.start)} to {moment(window.end)}", shown=self.wanted)
        return export.Report(self.place.capitalize(), about, [self.described(each) for each in rows])
