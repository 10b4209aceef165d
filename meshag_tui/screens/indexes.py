"""Every index of a database: what it costs, who uses it, and what is wrong with it; one of them in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.advisor import twins
from meshag_tui.cli.reading import describe_index
from meshag_tui.screens import export, indexes_facts, why_empty
from meshag_tui.screens.index import IndexView
from meshag_tui.screens.indexes_facts import SHOWN, Index
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.look import look_of
from meshag_tui.screens.presets import Preset
from meshag_tui.store import history
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.text import count, glyphs, moment, size
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words

COLUMNS: tuple[Column, ...] = (
    Column("table", "Table", 14, flex=2, keep=85),
    Column("name", "Index", 22, flex=4, keep=100),
    Column(
        "size", "Size", 7, align="right", value=lambda row: row.row.stats.size_bytes, render=size, descending=True,
        keep=90,
    ),
    Column("scans", "Scans", 7, align="right", value=lambda row: row.row.scans, render=count, descending=True, keep=95),
    Column(
        "used", "Last used", 11, value=lambda row: row,
        sort_key=lambda row: row.row.last_used_at or row.row.stats.last_scan or 0, render=indexes_facts.used, keep=70,
    ),
    Column(
        "read", "Entries", 7, align="right", value=lambda row: row.row.rows_read, render=count, descending=True, keep=30
    ),
    Column("flags", "What it is", 20, flex=12, value=lambda row: row.flags, tone=indexes_facts.flags_tone, keep=80),
    Column("definition", "Definition", 30, flex=4, value=lambda row: row.row.stats.definition, prose=True, keep=20),
)  # fmt: skip


def columns_for(words: Words) -> tuple[Column, ...]:
    """The columns for a server: what its use counts is called, and entries read only where these are something else."""
    uses = COLUMNS[3]._replace(title=words.index_uses.split()[-1].capitalize(), name=words.index_uses.capitalize())
    counts_scans = words.index_uses == "scans"
    return tuple(
        uses if column.key == "scans" else column for column in COLUMNS if counts_scans or column.key != "read"
    )


class IndexesPane(ListPane):
    """The list, where there is room with the index under the cursor below it; enter opens it with its trend."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    place = "indexes"
    all_presets = (Preset("largest"), Preset("least used", "scans", descending=False), Preset("unused", shown="unused"))
    topics: ClassVar[frozenset[Topic]] = frozenset({"statistics", "changes"})

    def __init__(self) -> None:
        super().__init__()
        self.wanted = "all"
        self._all: tuple[Index, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Table(
                columns_for(self.words),
                key=lambda row: row.key,
                sort=("size", True),
                id="indexes-table",
                markable=False,
            )
            yield PlainLine(id="indexes-summary")
            yield Page(id="indexes-preview")
        yield IndexView(id="index", classes="view")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#indexes-preview", Page).can_focus = False

    @property
    def _list(self) -> Table:
        return self.query_one("#indexes-table", Table)

    @property
    def detail(self) -> IndexView:
        """The view of one index."""
        return self.query_one(IndexView)

    async def load(self) -> None:
        info = self.connection
        if info is None:
            return
        window = await self.window()
        rows = await self.bench.store.read(history.indexes, info.id, window)
        now = float(info.last_sync_at or self.shell.now_ms())
        self._all = indexes_facts.with_relations(rows, now, self.words, self.words.home_schema or info.database)
        if self._list.columns != (columns := columns_for(self.words)):
            self._list.set_columns(columns)
        self._show(info)
        if self.view == "index" and self.detail.index is not None:
            newest = next((each for each in self._all if each.key == self.detail.index.key), self.detail.index)
            days = self.bench.settings.advice.unused_index_days
            whole = await self.bench.store.read(indexes_facts.read_whole, newest.row, info.id, window, days)
            self.detail.set_whole(newest, whole, days)

    def _show(self, info: ConnectionInfo) -> None:
        rows = [each for each in self._all if each.is_shown(self.wanted) and self.matches(each.text)]
        state = why_empty.state_of(info, why_empty.INDEXES, any_rows=bool(self._all))
        if state is READY and not rows:
            state = self._nothing()
        self._list.set_rows(rows, state)
        text = summary(rows, self._all, self.wanted)
        self.query_one("#indexes-summary", PlainLine).set_text(text)
        self._preview()

    def _nothing(self) -> State:
        if self._all:
            what = self.filter_text.strip() or SHOWN[self.wanted]
            return State(
                Condition.EMPTY, f"no index of {len(self._all):,} is in this list", what, "esc clears a filter."
            )
        return State(Condition.EMPTY, "this database has no index", "None that its own tables would have made.")

    def show_state(self, state: State) -> None:
        if self.view == "index":
            self.detail.say(state)
        else:
            self._list.set_state(state)

    def connection_changed(self) -> None:
        super().connection_changed()
        self._all = ()
        self.query_one("#indexes-summary", PlainLine).set_text("")
        self._preview()

    @property
    def _chosen(self) -> Index | None:
        row: Index | None = self._list.row
        return row

    def _preview(self) -> None:
        chosen, preview = self._chosen, self.query_one("#indexes-preview", Page)
        preview.set_class(chosen is None, "-empty")
        if chosen is not None:
            preview.set_parts(indexes_facts.about(chosen))

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._preview()
        self.shell.refresh_keys()

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        self.open_index(event.row)

    def open_index(self, index: Index) -> None:
        """Look at one index alone."""
        self.detail.open(index)
        if self.view == "index":
            self.refresh_soon()
        else:
            self.open_view("index")

    def filtered(self) -> None:
        if self.connection is not None:
            self._list.action_first()
            self._show(self.connection)

    def on_page_copied(self, event: Page.Copied) -> None:
        """`y` is for the definition, wherever the focus is."""
        event.stop()
        self.do_copy()

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        in_detail = self.is_mounted and self.view == "index"
        if action_id == "index-metric" and not in_detail:
            return "enter opens an index first"
        if action_id in ("filter", "sort", "sort-reverse", "indexes-show", "export") and in_detail:
            return "esc goes back to the list first"
        if action_id == "export" and not (self.is_mounted and self._list.rows):
            return "there is nothing to write"
        return super().why_not(action_id)

    def copy_text(self) -> tuple[str, str] | None:
        chosen = self.detail.index if self.view == "index" else self._chosen
        return None if chosen is None else (chosen.row.stats.definition, "definition")

    @property
    def narrowed(self) -> str:
        return self.wanted

    def narrow(self, shown: str) -> None:
        self.wanted = shown if shown in SHOWN else "all"

    def do_indexes_show(self) -> None:
        """Choose which are listed."""
        counts = Counter(wanted for each in self._all for wanted in SHOWN if each.is_shown(wanted))
        choices = [Choice(wanted, words, f"{counts[wanted]:,}") for wanted, words in SHOWN.items()]

        def chosen(wanted: str | None) -> None:
            if wanted is not None:
                self.wanted = wanted
                self.filtered()

        self.shell.push_screen(Chooser("Show", choices, self.wanted), chosen)

    def do_export(self) -> None:
        """Write the listed indexes to a file."""
        rows: Sequence[Index] = self._list.rows
        export.ask(self, "indexes", lambda: self._report(rows))

    async def _report(self, rows: Sequence[Index]) -> export.Report:
        window = await self.window()
        every = [each.row for each in self._all]
        duplicate_of, redundant_with = twins.duplicates(every), twins.redundant(every)
        about = export.facts(self, window=f"{moment(window.start)} to {moment(window.end)}", shown=self.wanted)
        return export.Report(
            "Indexes", about, [describe_index(each.row, duplicate_of, redundant_with) for each in rows]
        )  # fmt: skip

    def do_index_metric(self) -> None:
        self.shell.say(f"Trend: {self.detail.next_metric()}")


def summary(rows: Sequence[Index], found: Sequence[Index], wanted: str) -> str:
    """The line below the list: how many there are, what they take, and what is wrong with some."""
    said = [f"{len(rows):,} of {len(found):,} shown ({wanted}), {_taken(rows)}"]
    for name in ("unused", "duplicate", "invalid"):
        some = [each for each in found if each.is_shown(name)]
        if some:
            said.append(f"{len(some):,} {name} {_taken(some)}")
    return glyphs().separator.join(said)


def _taken(rows: Sequence[Index]) -> str:
    return size(sum(each.row.stats.size_bytes or 0 for each in rows))
