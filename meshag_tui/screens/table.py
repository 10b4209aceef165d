"""One table in full: figures, trends, indexes, structure, advice, and what changed of its structure when.

Where there is room the six parts stand side by side; elsewhere the one with the focus is open (tab goes on).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message

from meshag_tui.figures import count, sparkline
from meshag_tui.screens import indexes_facts, table_facts
from meshag_tui.screens.indexes_facts import Index
from meshag_tui.screens.look import look_of
from meshag_tui.screens.parts import Part, TrendChart
from meshag_tui.screens.query import ADVICE_COLUMNS
from meshag_tui.screens.table_facts import Entry, Whole
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import one_line
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.screens.tables_facts import ListedTable

_NO_INDEX = State(Condition.EMPTY, "it has no index", "Every look-up reads it whole.")
_NO_ADVICE = State(Condition.EMPTY, "no advice about this table", "", "n looks for improvements.")
_NO_PAST = State(Condition.EMPTY, "no version of the schema is kept", "It was never read whole.", "r reads it.")


class EntryTable(Table):
    """Lines that have nothing more to show."""

    opens = False


class TableView(Vertical):
    """The detail of a table: `open` names it, `set_whole` gives what was read of it."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    class Wanted(Message):
        """A suggestion or an index is to be opened."""

        def __init__(self, wanted: StoredSuggestion | Index) -> None:
            super().__init__()
            self.wanted = wanted

    def __init__(self, *, id: str, classes: str) -> None:
        super().__init__(id=id, classes=classes)
        self.table: ListedTable | None = None
        self.whole: Whole | None = None
        self._metric = 0

    def compose(self) -> ComposeResult:
        head = Page(id="table-head")
        head.can_focus = False
        yield head
        with Container(id="table-parts"):
            yield Part("Figures", Page(id="table-about"), id="part-figures")
            yield Part("Trend", TrendChart(id="table-trend"), id="part-trend")
            yield Part(
                "Indexes",
                Table(
                    table_facts.INDEXES, key=lambda row: row.key, sort=("scans", True), empty=_NO_INDEX,
                    id="table-indexes", markable=False,
                ),
                id="part-indexes",
            )  # fmt: skip
            yield Part("Columns", Page(id="table-structure"), id="part-structure")
            advice = Table(ADVICE_COLUMNS, key=lambda row: row.id, id="table-advice", empty=_NO_ADVICE, markable=False)
            yield Part("Advice", advice, id="part-advice")
            past = EntryTable(
                table_facts.ENTRIES, key=lambda row: row.number, id="table-past", empty=_NO_PAST, sorts=False,
                markable=False,
            )  # fmt: skip
            yield Part("History", past, id="part-past")

    def open(self, table: ListedTable) -> None:
        """Look at a table; what the list knows of it is there at once."""
        self.table, self.whole = table, None
        self._show_figures()
        loading = State(Condition.LOADING)
        self.query_one("#table-structure", Page).set_parts([("", " ")], loading)
        self.query_one("#table-trend", TrendChart).set_trend(None, loading)
        for part in ("indexes", "advice", "past"):
            self.query_one(f"#table-{part}", Table).set_rows((), loading)

    def say(self, state: State) -> None:
        """Say something in the place of the table."""
        self.query_one("#table-head", Page).set_parts([("", " ")], state)
        self.query_one("#table-parts").display = False

    def set_whole(self, table: ListedTable, whole: Whole) -> None:
        """Show what was read."""
        self.table, self.whole = table, whole
        self._show_figures()
        self._show_trend()
        indexes = indexes_facts.with_relations(whole.indexes, table.now, table.words, table.home)
        listed = self.query_one("#table-indexes", Table)
        listed.set_columns(indexes_facts.in_words(table_facts.INDEXES, table.words))
        listed.set_rows(indexes)
        said = ", ".join(index.name for index in indexes) or "none"
        self._title("indexes", f"Indexes ({len(indexes)}): enter opens one", f"Indexes ({len(indexes)}): {said}")
        self.query_one("#table-structure", Page).set_parts(
            table_facts.structure_pieces(whole.past), READY, keep_place=True
        )
        columns = whole.past.structure.columns if whole.past.structure is not None else ()
        self._title(
            "structure",
            f"Columns ({len(columns)})" if columns else "Columns",
            f"Columns ({len(columns)}): {', '.join(column.name for column in columns) or 'not known'}",
        )
        self.query_one("#table-advice", Table).set_rows(whole.advice)
        titled = f"Advice ({len(whole.advice)})"
        if whole.advice:
            self._title("advice", f"{titled}: enter opens it", f"{titled}: {whole.advice[0].title}")
        else:
            self._title("advice", "Advice", f"Advice: none, {_NO_ADVICE.remedy}")
        entries = table_facts.entries(whole.past, f"{table.row.stats.schema}.{table.row.stats.name}")
        self.query_one("#table-past", Table).set_rows(entries)
        self._title(
            "past",
            f"History of its structure ({count(len(whole.past.changes))} changes)",
            f"History: {entries[0].what if entries else 'no version of the schema is kept'}",
        )

    def _title(self, part: str, opened: str, shut: str) -> None:
        self.query_one(f"#part-{part}", Part).set_title(opened, one_line(shut, 300))

    def _show_figures(self) -> None:
        table = self.table
        if table is None:
            return
        self.query_one("#table-head", Page).set_parts(table_facts.head(table), READY, keep_place=True)
        self.query_one("#table-parts").display = True
        said = table_facts.about(table, None if self.whole is None else self.whole.trend)
        self.query_one("#table-about", Page).set_parts(said, READY, keep_place=self.whole is not None)
        self._title("figures", "Figures", f"Figures: {table_facts.reads(table)}")

    def _show_trend(self) -> None:
        if self.whole is None or self.table is None:
            return
        trend = table_facts.trend_of(self.whole.trend, self.metric, self.table.words)
        self.query_one("#table-trend", TrendChart).set_trend(trend)
        known = [value for _, value in trend.series[0].points]
        name = f" {trend.series[0].name}" if trend.series[0].name else ""
        self._title("trend", "Trend (m: another figure)", f"Trend {sparkline(known, 24).strip()} {trend.title}{name}")

    @property
    def metric(self) -> str:
        """The figure in the trend."""
        metrics = table_facts.METRICS if self.table is None else table_facts.metrics_for(self.table.words)
        return metrics[self._metric % len(metrics)]

    def next_metric(self) -> str:
        """Show the next figure in the trend; its name."""
        self._metric += 1
        self._show_trend()
        return self.metric

    @property
    def under_cursor(self) -> tuple[str, str] | None:
        """What `y` copies of the list that has the focus, and its name; a text copies itself."""
        focused = self.screen.focused
        match focused.row if isinstance(focused, Table) else None:
            case Index(row=row):
                return row.stats.definition, "definition"
            case StoredSuggestion(sql=sql, title=title):
                return (title, "advice") if sql is None else (sql, "statement")
            case Entry(what=what):
                return what, "change"
        return None

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        event.stop()

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        if event.table.opens:
            self.post_message(self.Wanted(event.row))
