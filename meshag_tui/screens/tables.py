"""Every table of a database: what it takes, whether it is read whole or by an index, how it is kept, what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.cli.reading import describe_table
from meshag_tui.screens import export, table_facts, tables_facts, why_empty
from meshag_tui.screens.indexes_facts import Index
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.look import look_of
from meshag_tui.screens.presets import Preset
from meshag_tui.screens.table import TableView
from meshag_tui.screens.tables_facts import SHOWN, ListedTable, columns_for
from meshag_tui.store import history
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.text import moment
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic

if TYPE_CHECKING:
    from meshag_tui.screens.indexes import IndexesPane
    from meshag_tui.screens.suggestions import SuggestionsPane


class TablesPane(ListPane):
    """The list, where there is room with the table under the cursor below it; enter opens it with all about it."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    place = "tables"
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

    def __init__(self) -> None:
        super().__init__()
        self.wanted = "all"
        self._all: tuple[ListedTable, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Table(
                columns_for(self.words),
                key=lambda row: row.key,
                sort=("size_bytes", True),
                id="tables-table",
                markable=False,
            )
            yield PlainLine(id="tables-summary")
            yield Page(id="tables-preview")
        yield TableView(id="table", classes="view")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#tables-preview", Page).can_focus = False

    @property
    def _list(self) -> Table:
        return self.query_one("#tables-table", Table)

    @property
    def detail(self) -> TableView:
        """The view of one table."""
        return self.query_one(TableView)

    async def prepare(self) -> None:
        if self._list.columns != (columns := columns_for(self.words)):
            self._list.set_columns(columns)
        await super().prepare()

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

    def _show(self, info: ConnectionInfo) -> None:
        rows = [each for each in self._all if each.is_shown(self.wanted) and self.matches(each.text)]
        state = why_empty.state_of(info, why_empty.TABLES, any_rows=bool(self._all))
        if state is READY and not rows:
            state = self._nothing()
        self._list.set_rows(rows, state)
        text = tables_facts.summary(rows, self._all, self.wanted)
        self.query_one("#tables-summary", PlainLine).set_text(text)
        self._preview()

    def _nothing(self) -> State:
        if self._all:
            what = self.filter_text.strip() or SHOWN[self.wanted]
            remedy = "esc clears a filter, f shows all."
            return State(Condition.EMPTY, f"no table of {len(self._all):,} is in this list", what, remedy)
        return State(Condition.EMPTY, "this database has no table", "None that the watching user may see.")

    def show_state(self, state: State) -> None:
        if self.view == "table":
            self.detail.say(state)
        else:
            self._list.set_state(state)

    def connection_changed(self) -> None:
        super().connection_changed()
        self._all = ()
        self.query_one("#tables-summary", PlainLine).set_text("")
        self._preview()

    @property
    def _chosen(self) -> ListedTable | None:
        row: ListedTable | None = self._list.row
        return row

    def _preview(self) -> None:
        chosen, preview = self._chosen, self.query_one("#tables-preview", Page)
        preview.set_class(chosen is None, "-empty")
        if chosen is not None:
            preview.set_parts([*table_facts.head(chosen), ("", "\n"), *table_facts.about(chosen)])

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._preview()
        self.shell.refresh_keys()

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self.detail.open(event.row)
        self.open_view("table")

    async def on_table_view_wanted(self, event: TableView.Wanted) -> None:
        """Go to an index or a suggestion of the table."""
        event.stop()
        if isinstance(event.wanted, Index):
            await self.shell.go("indexes")
            indexes: IndexesPane = self.shell.panes["indexes"]  # type: ignore[assignment]
            indexes.open_index(event.wanted)
        else:
            await self.shell.go("suggestions")
            advice: SuggestionsPane = self.shell.panes["suggestions"]  # type: ignore[assignment]
            advice.open_suggestion(event.wanted.id)

    def filtered(self) -> None:
        if self.connection is not None:
            self._list.action_first()
            self._show(self.connection)

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        in_detail = self.is_mounted and self.view == "table"
        if action_id == "table-metric" and not in_detail:
            return "enter opens a table first"
        if action_id in ("filter", "sort", "sort-reverse", "tables-show", "export") and in_detail:
            return "esc goes back to the list first"
        if action_id == "export" and not (self.is_mounted and self._list.rows):
            return "there is nothing to write"
        return super().why_not(action_id)

    def copy_text(self) -> tuple[str, str] | None:
        if self.view == "table":
            return self.detail.under_cursor
        return None if self._chosen is None else (self._chosen.name, "name")

    @property
    def narrowed(self) -> str:
        return self.wanted

    def narrow(self, shown: str) -> None:
        self.wanted = shown if shown in SHOWN else "all"

    def do_tables_show(self) -> None:
        """Choose which are listed."""
        counts = Counter(wanted for each in self._all for wanted in SHOWN if each.is_shown(wanted))
        choices = [Choice(wanted, words, f"{counts[wanted]:,}") for wanted, words in SHOWN.items()]

        def chosen(wanted: str | None) -> None:
            if wanted is not None:
                self.wanted = wanted
                self.filtered()

        self.shell.push_screen(Chooser("Show", choices, self.wanted), chosen)

    def do_export(self) -> None:
        """Write the listed tables to a file."""
        rows: Sequence[ListedTable] = self._list.rows
        export.ask(self, "tables", lambda: self._report(rows))

    async def _report(self, rows: Sequence[ListedTable]) -> export.Report:
        window = await self.window()
        about = export.facts(self, window=f"{moment(window.start)} to {moment(window.end)}", shown=self.wanted)
        return export.Report("Tables", about, [describe_table(each.row) for each in rows])

    def do_table_metric(self) -> None:
        self.shell.say(f"Trend: {self.detail.next_metric()}")
