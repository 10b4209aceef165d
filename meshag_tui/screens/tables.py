"""Every table of a database: what it takes, whether it is read whole or by an index, how it is kept, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult

from meshag_tui.cli.reading import describe_table
from meshag_tui.screens import table_facts, tables_facts, why_empty
from meshag_tui.screens.indexes_facts import Index
from meshag_tui.screens.look import look_of
from meshag_tui.screens.narrowed_pane import NarrowedPane
from meshag_tui.screens.presets import Preset
from meshag_tui.screens.table import TableView
from meshag_tui.screens.tables_facts import SHOWN, ListedTable
from meshag_tui.store import history
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.page import Piece
from meshag_tui.widgets.states import Condition, State
from meshag_tui.workflows.notices import Topic

if TYPE_CHECKING:
    from meshag_tui.screens.indexes import IndexesPane


class TablesPane(NarrowedPane[ListedTable]):
    """The list, where there is room with the table under the cursor below it; enter opens it with all about it."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    place = "tables"
    one = "table"
    shown = SHOWN
    none = State(Condition.EMPTY, "this database has no table", "None that the watching user may see.")
    findings = why_empty.TABLES
    usual_sort = "size_bytes"
    all_presets = (
        Preset("largest"),
        Preset("most read whole", "whole"),
        Preset("most dead rows", "dead_share"),
        Preset("most free space", "free_bytes"),
        Preset("most written", "written"),
        Preset("analyzed longest ago", "last_analyze", descending=False),
        Preset("something wrong", shown="troubled"),
    )
    topics: ClassVar[frozenset[Topic]] = frozenset({"statistics", "suggestions", "changes"})

    def compose(self) -> ComposeResult:
        yield self.list_view()
        yield TableView(id="table", classes="view")

    def columns(self) -> tuple[Column, ...]:
        return tables_facts.columns_for(self.words)

    @property
    def detail(self) -> TableView:
        """The view of one table."""
        return self.query_one(TableView)

    async def load(self) -> None:
        info = self.connection
        if info is None:
            return
        window = await self.window()
        rows = await self.bench.store.read(history.tables, info.id, window)
        now = float(info.last_sync_at or self.shell.now_ms())
        home = self.words.home_schema or info.database
        self._all = tables_facts.listed(rows, now, self.words, home, info.facts)
        self._show(info)
        if self.view == "table" and self.detail.table is not None:
            newest = next((each for each in self._all if each.key == self.detail.table.key), self.detail.table)
            whole = await self.bench.store.read(table_facts.read_whole, newest.row, info.id, window)
            self.detail.set_whole(newest, whole)

    def pieces(self, row: ListedTable) -> list[Piece]:
        return [*table_facts.head(row), ("", "\n"), *table_facts.about(row)]

    def summary(self, rows: Sequence[ListedTable]) -> str:
        return tables_facts.summary(rows, self._all, self.wanted)

    def open_one(self, row: ListedTable) -> None:
        self.detail.open(row)

    def say_in_detail(self, state: State) -> None:
        self.detail.say(state)

    def described(self, row: ListedTable) -> Mapping[str, Any]:
        return describe_table(row.row)

    async def on_table_view_wanted(self, event: TableView.Wanted) -> None:
        """Go to an index or a suggestion of the table."""
        event.stop()
        if isinstance(event.wanted, Index):
            await self.shell.go("indexes")
            indexes: IndexesPane = self.shell.panes["indexes"]  # type: ignore[assignment]
            indexes.look_at_one(event.wanted)
        else:
            await self.shell.show_suggestion(event.wanted.id)

    # --- actions ----------------------------------------------------------------------------------------------------

    def copy_text(self) -> tuple[str, str] | None:
        if self.view == "table":
            return self.detail.under_cursor
        return None if self._chosen is None else (self._chosen.name, "name")

    def do_tables_show(self) -> None:
        self.choose_shown()

    def do_table_metric(self) -> None:
        self.shell.say(f"Trend: {self.detail.next_metric()}")
