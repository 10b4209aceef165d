"""What changed: the statements of this window beside those of an earlier one, and what else happened in between.

`f` chooses what is compared with, `T` goes to the time line, on which a plan that became another opens beside the one
before it; enter on a statement opens it among the queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from meshag_tui.screens import compare_rows, export, query_plan, why_empty
from meshag_tui.screens.list_pane import ListPane
from meshag_tui.screens.look import look_of
from meshag_tui.screens.presets import Preset
from meshag_tui.store import history
from meshag_tui.store.comparison import BASELINES, Baseline, Comparison, baseline, compare
from meshag_tui.store.happenings import Happening, happenings
from meshag_tui.types import Window
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.page import Page, PlainLine
from meshag_tui.widgets.plan import PlanTree
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table
from meshag_tui.workflows.notices import Topic

if TYPE_CHECKING:
    from meshag_tui.screens.compare_rows import Compared
    from meshag_tui.screens.export import Report
    from meshag_tui.screens.queries import QueriesPane
    from meshag_tui.store.connections import ConnectionInfo

LISTED = 500
"""Statements read at most: those that moved most."""

_QUIET = State(
    Condition.EMPTY,
    "nothing else is known to have happened",
    "Neither a plan, the schema, a setting nor a size became another in these two windows, and no count was lost.",
    "esc goes back.",
)


class ComparePane(ListPane):
    """The differences, the greatest first, with the one under the cursor in words below; and the time line."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    place = "compare"
    all_presets = (Preset("by load"), Preset("by mean", "mean"), Preset("by calls", "calls"))
    topics: ClassVar[frozenset[Topic]] = frozenset({"statistics", "changes"})

    def __init__(self) -> None:
        super().__init__()
        self.against: Baseline = "before"
        self.found: Comparison | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="list", classes="view"):
            yield Page(id="compare-head", empty=State(Condition.READY, ""))
            yield Table(
                compare_rows.COLUMNS,
                key=lambda row: row.difference.id,
                sort=("by", True),
                id="compare-table",
                markable=False,
            )
            yield Page(id="compare-preview")
        with Vertical(id="time-line", classes="view"):
            yield PlainLine(id="time-line-title")
            yield Table(
                compare_rows.HAPPENINGS,
                key=lambda row: row,
                sort=("at", True),
                empty=_QUIET,
                id="time-line-table",
                markable=False,
            )
            yield Page(id="time-line-preview")
        with Container(id="plans", classes="view"):
            for side, title in (("before", "Before"), ("now", "Now")):
                with Vertical(classes="side"):
                    yield PlainLine(title, id=f"plan-{side}-title", classes="side--title")
                    yield PlanTree(id=f"plan-{side}")

    def on_mount(self) -> None:
        super().on_mount()
        for page in self.query("#compare-head, #compare-preview, #time-line-preview").results(Page):
            page.can_focus = False

    # --- reading ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        info = self.connection
        if info is None or self.view == "plans":
            return
        now = await self.window()
        then = baseline(now, self.against)
        if self.view == "time-line":
            await self._read_time_line(info, now, then)
            return
        text = self.filter_text.strip() or None
        self.found = found = await self.bench.store.read(compare, info.id, now, then, limit=LISTED, text=text)
        state = why_empty.state_of(info, self.words.statement_findings, any_rows=bool(found.rows))
        self._list.set_rows(
            compare_rows.compared(found), self._nothing() if state is READY and not found.rows else state
        )
        self.query_one("#compare-head", Page).set_parts(compare_rows.head(found, self.against))
        self._preview()

    async def _read_time_line(self, info: ConnectionInfo, now: Window, then: Window) -> None:
        """What happened from the earlier window's start on where the two are neighbours, else in this one."""
        span = Window(then.start, now.end) if self.against == "before" else now
        rows = await self.bench.store.read(happenings, info.id, span)
        self.query_one("#time-line-table", Table).set_rows(rows)
        title = (
            "What else happened since the earlier window began" if self.against == "before" else "What else happened"
        )
        self.query_one("#time-line-title", PlainLine).set_text(f"{title}, the newest first")
        self._preview()

    def _nothing(self) -> State:
        found = self.found
        if found is not None and not found.observed:
            when = BASELINES[self.against] if found.now_s else "this window"
            span = compare_rows.span(found, then=bool(found.now_s))
            return State(
                Condition.EMPTY,
                f"nothing was observed in {when}",
                f"Without figures of {span} there is nothing to compare.",
                "f compares with another window, w looks at another length.",
            )
        if self.filter_text.strip():
            return State(Condition.EMPTY, "no statement matches", self.filter_text, "esc clears the filter.")
        return State(
            Condition.EMPTY,
            "no statement ran in either window",
            "Figures are of what happened between two syncs.",
            "w looks at a longer window, f compares with another.",
        )

    def show_state(self, state: State) -> None:
        for table in self.query(Table):
            table.set_state(state)

    def connection_changed(self) -> None:
        super().connection_changed()
        self.found = None
        self.query_one("#compare-head", Page).set_parts([("", " ")])
        self._preview()

    # --- the list ---------------------------------------------------------------------------------------------------

    @property
    def _list(self) -> Table:
        return self.query_one("#compare-table", Table)

    @property
    def _chosen(self) -> Compared | None:
        row: Compared | None = self._list.row
        return row

    @property
    def _happening(self) -> Happening | None:
        row: Happening | None = self.query_one("#time-line-table", Table).row
        return row

    def _preview(self) -> None:
        chosen, below = self._chosen, self.query_one("#compare-preview", Page)
        below.display = chosen is not None
        if chosen is not None:
            below.set_parts([*compare_rows.in_words(chosen.difference), ("dim", chosen.text)])
        happening, below = self._happening, self.query_one("#time-line-preview", Page)
        below.display = happening is not None
        if happening is not None:
            below.set_parts([("bold", f"{compare_rows.kind_of(happening)}  "), ("", happening.what)])

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        self._preview()
        self.shell.refresh_keys()

    async def on_table_row_selected(self, event: Table.RowSelected) -> None:
        if event.table.id == "compare-table":
            await self._open_query(event.row.difference.id)
        elif event.table.id == "time-line-table" and event.row.plans is not None:
            await self._open_plans(event.row)

    async def _open_query(self, query_id: int) -> None:
        await self.shell.go("queries")
        pane: QueriesPane | None = self.shell.pane("queries")  # type: ignore[assignment]
        if pane is not None:
            await pane.open_query(query_id)

    async def _open_plans(self, happening: Happening) -> None:
        """Show the plan before and the one since side by side."""
        info = self.connection
        if info is None or happening.query_id is None or happening.plans is None:
            return
        read = self.bench.store.read
        both = [one for one in await read(history.plans, happening.query_id) if one.id in happening.plans]
        found = await read(query_plan.troubles, info.id, both)
        kept = {stored.id: (stored, troubles) for stored, troubles in zip(both, found, strict=True)}
        for side, plan_id in zip(("before", "now"), happening.plans, strict=True):
            tree, title = self.query_one(f"#plan-{side}", PlanTree), self.query_one(f"#plan-{side}-title", PlainLine)
            if plan_id not in kept:
                tree.set_tree(None)
                title.set_text(f"{side.capitalize()}: forgotten with its history")
                continue
            stored, troubles = kept[plan_id]
            tree.set_tree(query_plan.tree(stored.plan, troubles))
            tree.hottest()
            title.set_text(f"{side.capitalize()}: {query_plan.title(stored, 0, 1, self.shell.now_ms())}")
        self.open_view("plans")

    def filtered(self) -> None:
        self._list.action_first()
        self.refresh_soon(0.2)

    @property
    def narrowed(self) -> str:
        return self.against

    def narrow(self, shown: str) -> None:
        self.against = next((name for name in BASELINES if name == shown), "before")

    # --- actions ----------------------------------------------------------------------------------------------------

    def why_not(self, action_id: str) -> str | None:
        if action_id in ("filter", "sort", "sort-reverse", "export", "compare-against", "time-line") and self.depth:
            return "esc goes back to the list first"
        if action_id == "export" and (self.found is None or not self.found.rows):
            return "there is nothing to write"
        return super().why_not(action_id)

    def copy_text(self) -> tuple[str, str] | None:
        if self.view == "list":
            text = None if self._chosen is None else self._chosen.difference.text
            return None if text is None else (text, "query")
        return None if self._happening is None else (self._happening.what, "line")

    def do_compare_against(self) -> None:
        """Choose the window this one is compared with."""
        choices = [Choice(name, words) for name, words in BASELINES.items()]

        def chosen(name: str | None) -> None:
            if name is not None:
                self.narrow(name)
                self._arranged()
                self.shell.say(f"Compared with {BASELINES[self.against]}")

        self.shell.push_screen(Chooser("Compare with", choices, self.against), chosen)

    def do_time_line(self) -> None:
        self.open_view("time-line")

    def do_export(self) -> None:
        """Write the differences to a file."""
        found = self.found
        if found is not None:
            export.ask(self, "compare", lambda: self._report(found))

    async def _report(self, found: Comparison) -> Report:
        from meshag_tui.cli.compare import describe

        windows = {"now": compare_rows.span(found, then=False), "then": compare_rows.span(found, then=True)}
        of = f"{len(found.rows):,} of {found.total_rows:,}, by difference of load"
        about = export.facts(self, **windows, statements=of, complete="yes" if found.complete else "no")
        return export.Report("What changed", about, [describe(row) for row in found.rows])
