"""The statements of a database in a window of time, the dearest first; and one of them in full."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from meshag_tui.figures import moment
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import query_facts, why_empty
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.look import look_of
from meshag_tui.screens.queries_rows import BLOCK, PRESETS, Listed, QueryRows, QueryTable, columns_for
from meshag_tui.screens.question import PAGE, USUAL_ORDER, Question, slow_ms
from meshag_tui.store import history
from meshag_tui.store.connections import ConnectionInfo
from meshag_tui.store.history import QueryPage
from meshag_tui.store.ids import query_uid
from meshag_tui.text import width_of
from meshag_tui.types import ASIDE, Aside, MeshagError
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.sql import SqlView, highlighter_is_loaded, load_highlighter
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshag_tui.screens.export import Report
    from meshag_tui.screens.query import QueryView

_FILTER_WAIT_S = 0.2


class QueriesPane(ListPane):
    """The list, where there is room with the statement under the cursor below it; enter opens it in full."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    place = "queries"
    all_presets = PRESETS
    topics: ClassVar[frozenset[Topic]] = frozenset({"statistics", "suggestions"})

    def __init__(self) -> None:
        super().__init__()
        self.shown: frozenset[Aside] = frozenset()  # of what is set aside
        self._aside: tuple[Question, Mapping[Aside, int]] | None = None  # how many of each kind ran
        self._asked: Question | None = None
        self._rows = QueryRows(0, 0.0)
        self._page: QueryPage | None = None
        self._detail: QueryView | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            columns = columns_for(self.app.size.width, self.words.figures)
            yield QueryTable(
                columns, key=lambda row: row.key, sorts=False, sort=USUAL_ORDER, id="queries-table"
            )  # fmt: skip
            yield PlainLine(id="queries-summary")
            yield Horizontal(id="queries-preview")

    def on_resize(self, event: events.Resize) -> None:
        self._list.set_columns(columns_for(event.size.width, self.words.figures))
        self.call_after_refresh(self._summarise)

    def _fit_columns(self) -> None:
        """Show the figures that the server which is looked at counts."""
        width = self.size.width or self.app.size.width  # a pane that was not laid out yet will have all of it
        columns, table = columns_for(width, self.words.figures), self._list
        if [each.key for each in columns] != [each.key for each in table.columns]:
            table.set_columns(columns)
            if table.sort and not any(each.key == table.sort[0] for each in columns):
                table.order(None)

    @property
    def _list(self) -> QueryTable:
        return self.query_one("#queries-table", QueryTable)

    @property
    def detail(self) -> QueryView:
        """The view of one statement, made when the first is opened; there is one while it is in front."""
        assert self._detail is not None, "no statement was opened yet"  # noqa: S101
        return self._detail

    async def _made_detail(self) -> QueryView:
        if self._detail is None:
            from meshag_tui.screens.query import QueryView

            self._detail = QueryView(id="query", classes="view")
            self._detail.display = False
            await self.mount(self._detail)
        return self._detail

    def slow_ms(self, info: ConnectionInfo) -> float:
        """From which mean a statement of this connection counts as slow, ms."""
        return slow_ms(info, self.bench.settings)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        info = self.connection
        if info is None:
            return
        if self.view == "query":
            await self._read_detail(info)
        else:
            await self._read_list(info)

    async def question(self) -> Question | None:
        """What the list is of now."""
        info = self.connection
        if info is None:
            return None
        sort, descending = self._list.sort or USUAL_ORDER
        text = self.filter_text.strip()
        slow = self.slow_ms(info), info.slow_by_longest
        return Question(info.id, await self.window(), sort, descending, text, self.shown, *slow)

    async def _read_list(self, info: ConnectionInfo) -> None:
        self._fit_columns()
        asked = await self.question()
        if asked is None:
            return
        table = self._list
        top = table.scroll_offset.y
        visible = sorted({top // PAGE, (top + table.size.height) // PAGE, table.cursor // PAGE})
        rows: QueryRows | None = None
        page: QueryPage | None = None
        for number in visible:
            if page is None or number * PAGE < page.total_rows:
                page = await self.bench.store.read(Question.page, asked, number)
                if rows is None:
                    rows = QueryRows(
                        page.total_rows,
                        self.slow_ms(info),
                        _block(info),
                        self._wanted,
                        mends=query_facts.shows_texts(self.words, info.username),
                    )
                rows.add(number, page)
        if page is None or rows is None:
            return
        if info.last_sync_at is not None and asked != await self.question():  # before the first sync a window ends now
            return  # another question by now: its reading is due
        self._asked, self._rows, self._page = asked, rows, page
        table.set_rows(rows, why_empty.state_of(info, self.words.statement_findings, any_rows=bool(rows)))
        if not rows and table.state is READY:
            table.set_state(self._nothing(page))
        self._summarise()
        self._preview()

    async def load_more(self) -> None:
        """The statement under the cursor comes after the list, with what it takes to show it; so do counts by kind."""
        if self.view != "list":
            return
        await self.painted()
        await self._make_preview()
        page = self._page
        if page is not None and (page.hidden or self.shown):
            await self._count_aside()
            self._summarise()

    async def _count_aside(self) -> Mapping[Aside, int]:
        """How many of each kind that is set aside ran, of those that match."""
        asked = self._asked
        if asked is None:
            return {}
        if self._aside is None or self._aside[0] != asked:
            found = await self.bench.store.read(Question.set_aside, asked)
            self._aside = (asked, found)
        return self._aside[1]

    async def _make_preview(self) -> None:
        dialect = self.words.dialect
        if self._previews and highlighter_is_loaded(dialect):
            return
        await asyncio.to_thread(load_highlighter, dialect)
        if not self._previews:
            parts = SqlView(id="preview-sql"), Page(id="preview-figures")
            for part in parts:
                part.can_focus = False  # the cursor stays in the list
            await self.query_one("#queries-preview").mount(*parts)
        self._preview()

    @property
    def _previews(self) -> bool:
        """Whether there is something to show the statement under the cursor in."""
        return bool(self.query_one("#queries-preview").children)

    def _summarise(self) -> None:
        page, asked = self._page, self._asked
        if page is None or asked is None:
            return
        line = self.query_one("#queries-summary", PlainLine)
        marks = len(self._list.marks)
        marked = f"{glyphs().mark} {marks} marked{glyphs().separator}" if marks else ""
        width = line.size.width or self.app.size.width  # before it was laid out
        key, room = self.shell.actions["internal"].shown_key, width - width_of(marked)
        said = () if self.connection is None else self.connection.warnings
        counts = self._aside[1] if self._aside is not None and self._aside[0] == asked else None
        text, warns = query_facts.summary(page, asked.shown, asked.text, key, room, said, counts)
        line.set_text(marked + text)
        line.set_class(warns, "-warns")

    def _nothing(self, page: QueryPage) -> State:
        """Why the list is empty although the server could be read."""
        if self.filter_text.strip():
            return State(Condition.EMPTY, "no statement matches", self.filter_text, "esc clears the filter.")
        key = self.shell.actions["internal"].shown_key
        hidden = f" {page.hidden:,} internal ones did; {key} shows them." if page.hidden else ""
        return State(
            Condition.EMPTY,
            "no statement ran in this window",
            f"Figures are of what happened between two syncs: after the first there are none yet.{hidden}",
            "w looks at a longer window, r reads the server now.",
        )

    def _wanted(self) -> None:
        self.call_later(self._read_wanted)

    def _read_wanted(self) -> None:
        self.run_worker(self._read_more(self._rows), group="more")

    async def _read_more(self, rows: QueryRows) -> None:
        """Read the pages that were scrolled to."""
        asked = self._asked
        while asked is not None and rows is self._rows and rows.wanted:
            number = min(rows.wanted)
            try:
                page = await self.bench.store.read(Question.page, asked, number)
            except MeshagError as error:
                rows.wanted.clear()
                self.shell.say(str(error), "error")
                return
            rows.add(number, page)
            if rows is self._rows:
                self._list.refresh()
                self._preview()

    async def _read_detail(self, info: ConnectionInfo) -> None:
        wanted = self.detail.query_id
        if wanted is None:
            return
        from meshag_tui.screens.query import read

        shown = await self.bench.store.read(read, wanted, await self.window())
        if wanted == self.detail.query_id:
            self.detail.set_shown(shown, info, self.slow_ms(info), self.shell.now_ms(), self.words)

    def show_state(self, state: State) -> None:
        if self.view == "query":
            self.detail.say(state)
        else:
            self._list.set_state(state)

    def connection_changed(self) -> None:
        super().connection_changed()
        self.query_one("#queries-summary", PlainLine).set_text("")
        self._preview()

    # --- the list ---------------------------------------------------------------------------------------------------

    @property
    def _chosen(self) -> Listed | None:
        row: Any = self._list.row
        return row if isinstance(row, Listed) and row.row is not None else None

    def _preview(self) -> None:
        chosen, info = self._chosen, self.connection
        self.query_one("#queries-preview").set_class(chosen is None, "-empty")
        if chosen is None or chosen.row is None or info is None:
            return
        if not self._previews or not highlighter_is_loaded(self.words.dialect):
            return
        sql = self.query_one("#preview-sql", SqlView)
        text = chosen.row.text
        if text is None:
            sql.set_sql(" ", state=query_facts.text_state(chosen.row.text_state, info.username, self.words))
        elif text != sql.sql or sql.state is not READY:
            sql.set_sql(text, self.words.dialect)
        figures = query_facts.figure_pieces(
            chosen.row, self.slow_ms(info), self.shell.now_ms(), _block(info), self.words.figures
        )
        self.query_one("#preview-figures", Page).set_parts(figures)

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._preview()
        self.shell.refresh_keys()

    def on_table_sort_changed(self, event: Table.SortChanged) -> None:
        self._list.action_first()
        self.refresh_soon()

    def on_table_marks_changed(self, event: Table.MarksChanged) -> None:
        self._summarise()

    def back(self) -> bool:
        if self.view == "list" and self._list.marks and self.filter_line is None:
            self._list.clear_marks()
            return True
        return super().back()

    async def on_table_row_selected(self, event: Table.RowSelected) -> None:
        chosen = self._chosen
        if chosen is not None and chosen.row is not None:
            await self.open_query(chosen.row.id)

    async def open_query(self, query_id: int) -> None:
        """Look at one statement."""
        (await self._made_detail()).open(query_id)
        if self.view == "query":
            self.refresh_soon()
        else:
            self.open_view("query")

    async def on_query_view_wanted(self, event: QueryView.Wanted) -> None:
        """Go to a suggestion."""
        await self.shell.show_suggestion(event.suggestion.id)

    def filtered(self) -> None:
        self._list.action_first()
        self.refresh_soon(_FILTER_WAIT_S)

    @property
    def narrowed(self) -> str:
        return " ".join(sorted(self.shown))

    def narrow(self, shown: str) -> None:
        kept = ASIDE if shown == "internal" else shown.split()  # all at once, as they were kept once
        self.shown = frozenset(each for each in ASIDE if each in kept)

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        in_detail = self.is_mounted and self.view == "query"
        if action_id in ("next-metric", "older-plan") and not in_detail:
            return "enter opens a query first"
        if action_id in ("explain", "why", "measure-query", "talk") and not in_detail:
            chosen = self._chosen if self.is_mounted else None
            return None if chosen is not None else "there is no query here"
        if action_id == "older-plan" and (self.detail.shown is None or len(self.detail.shown.plans) < 2):
            return "there is no other plan"
        if (
            action_id in ("explain", "why")
            and self.detail.shown is not None
            and self.detail.shown.detail.statement.text is None
        ):
            return "its text is not known"
        if action_id in ("filter", "sort", "sort-reverse", "internal", "export") and in_detail:
            return "esc goes back to the list first"
        if action_id == "export" and not self._rows:
            return "there is nothing to write"
        return super().why_not(action_id)

    def copy_text(self) -> tuple[str, str] | None:
        if self.view == "query":
            shown = self.detail.shown
            text = None if shown is None else shown.detail.statement.text
        else:
            chosen = self._chosen
            text = None if chosen is None or chosen.row is None else chosen.row.text
        return None if text is None else (text, "query")

    def do_copy(self) -> None:
        """Copy the statement, or all that are marked."""
        if self.view == "query" or not self._list.marks:
            super().do_copy()
        else:
            self.shell.do(self._copy_marked())

    async def _copy_marked(self) -> None:
        ids = [key for key in self._list.marks if isinstance(key, int)]
        found = [await self.bench.store.read(history.statement, each) for each in sorted(ids)]
        texts = [each.text for each in found if each.text is not None]
        self.shell.copy("".join(f"{text.rstrip().removesuffix(';')};\n" for text in texts), f"{len(texts)} queries")

    def do_internal(self) -> None:
        """Choose which of the own, utility and catalogue statements are listed."""
        self.shell.do(self._choose_shown())

    async def _choose_shown(self) -> None:
        from meshag_tui.screens.set_aside import SetAsideDialog, reads_elsewhere

        info, counts, asked = self.connection, await self._count_aside(), self._asked
        if info is None:
            return
        others = None if asked is None else await self.bench.store.read(Question.other_databases, asked)

        def chosen(shown: frozenset[str] | None) -> None:
            if shown is None:
                return
            if "elsewhere" in shown and not info.other_databases and reads_elsewhere(info):
                self.shell.do(self._keep_others(info))
            self.narrow(" ".join(shown))
            self.refresh_soon()

        self.shell.push_screen(SetAsideDialog(counts, self.shown, info, others), chosen)

    async def _keep_others(self, info: ConnectionInfo) -> None:
        """From now on statements of other databases of the server are kept with this connection."""
        await self.bench.connections.edit(info.id, other_databases=True)
        self.shell.say(f"{info.name} keeps what runs in other databases from its next sync on")

    def do_export(self) -> None:
        """Write the marked statements, or all that match, to a file in the order of the list."""
        from meshag_tui.screens import export

        asked = self._asked
        if asked is not None:
            export.ask(self, "queries", lambda: self._report(asked))

    async def _report(self, asked: Question) -> Report:
        from meshag_tui.cli.reading import describe_query
        from meshag_tui.screens import export

        page = await self.bench.store.read(asked._replace(by_longest=True).rows, export.MOST_ROWS)
        marks = self._list.marks
        rows = [row for row in page.rows if not marks or row.id in marks]
        window = f"{moment(asked.window.start)} to {moment(asked.window.end)}"
        of = f"{len(rows):,} of {page.total_rows:,}, by {asked.sort.replace('_', ' ')}"
        about = export.facts(self, window=window, statements=of, complete="yes" if page.complete else "no")
        return export.Report("Queries", about, [describe_query(row) for row in rows])

    def do_next_metric(self) -> None:
        self.shell.say(f"Trend: {self.detail.next_metric()}")

    def do_older_plan(self) -> None:
        self.detail.older_plan(self.shell.now_ms())

    async def do_why(self) -> None:
        """Ask why there is an index suggestion for the statement, or none."""
        await self._to_detail()
        if self.detail.query_id is not None:
            from meshag_tui.screens import query_why

            self.shell.say("Pricing each index that could serve it")
            self.shell.do(query_why.ask(self, self.detail.query_id))

    async def do_measure_query(self) -> None:
        """Try the advice about the statement out, if there is some that can be."""
        await self._to_detail()
        if self.detail.query_id is not None and self.connection is not None:
            from meshag_tui.screens import rehearsal

            self.shell.do(rehearsal.begin_for(self, self.detail.query_id, self.connection.id))

    def do_talk(self) -> None:
        """Ask a model about the statement, or about its plan where that has the focus."""
        chosen = self._chosen
        number = self.detail.query_id if self.view == "query" else chosen.row.id if chosen and chosen.row else None
        if number is not None:
            from meshag_tui.screens import thread

            focused = self.app.focused
            plan = self.view == "query" and focused is not None and focused.id == "query-plan"
            self.shell.do(thread.about(self, query_uid(number), plan=plan))

    async def do_explain(self) -> None:
        """Ask the planner, without running the statement."""
        await self._to_detail()
        if self.detail.query_id is not None:
            self.detail.to_plan()
            self.shell.say("Asking the planner")
            self.shell.do(self._explain(self.detail.query_id))

    async def _to_detail(self) -> None:
        chosen = self._chosen
        if self.view != "query" and chosen is not None and chosen.row is not None:
            await self.open_query(chosen.row.id)

    async def _explain(self, query_id: int) -> None:
        before = self.detail.plan
        stored = await self.bench.explain(query_id)
        self.detail.newest_plan()
        self.refresh_soon()
        same = before is not None and before.plan.hash == stored.plan.hash
        self.shell.say("The plan is the same as before" if same else f"A {stored.plan.mode} plan was read")


def _block(info: ConnectionInfo) -> int:
    return int(info.facts.get("block_size") or BLOCK)
