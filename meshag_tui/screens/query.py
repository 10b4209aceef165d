"""One statement in full: its text, its trend, its plan with what is wrong in it, and the advice about it.

Where there is room the four parts stand side by side; elsewhere the one with the focus is open, and of the others a
line says what is in them (tab goes on, a click opens).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message

from meshag_tui.figures import count, sparkline
from meshag_tui.glyphs import glyphs
from meshag_tui.plan import Bottleneck
from meshag_tui.screens import query_facts, query_plan
from meshag_tui.screens.look import look_of
from meshag_tui.screens.parts import Part, TrendChart
from meshag_tui.screens.queries_rows import BLOCK
from meshag_tui.screens.suggestions_facts import priority_tone, priority_word, status_word
from meshag_tui.store import history, suggestions
from meshag_tui.store.suggestions import StoredSuggestion
from meshag_tui.text import one_line
from meshag_tui.types import Window
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.plan import PlanTree
from meshag_tui.widgets.sql import SqlView
from meshag_tui.widgets.states import READY, Condition, State
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.engines.words import Words
    from meshag_tui.store.connections import ConnectionInfo

_NO_PLAN = State(Condition.EMPTY, "no plan was asked for yet", "The planner is asked without running the statement.")
_NO_ADVICE = State(Condition.EMPTY, "no advice about this statement", "", "n looks for improvements.")
ADVICE_COLUMNS = (
    Column("priority", "Priority", 8, value=lambda row: priority_word(row.priority), tone=priority_tone, keep=80),
    Column("status", "Status", 10, value=lambda row: status_word(row), keep=60),
    Column("title", "Advice", 20, flex=1, value=lambda row: row.title, prose=True, keep=100),
)


@dataclass(frozen=True)
class Shown:
    """All that is read of a statement for one window."""

    detail: history.QueryDetail
    series: history.Series
    plans: tuple[history.StoredPlan, ...]
    found: tuple[tuple[Bottleneck, ...], ...]  # for each plan
    advice: tuple[StoredSuggestion, ...]


def read(query_id: int, window: Window) -> Shown:
    """Read a statement, in the store's thread.

    Raises:
        MeshagError: it is not in the store any more.
    """
    connection_id = history.statement(query_id).connection_id
    observed = history.intervals(connection_id, window)
    detail = history.query(query_id, window, observed)
    kept = sorted(
        (plan for member in detail.members for plan in history.plans(member)), key=lambda plan: -plan.last_seen_at
    )
    seen = history.observed_part(observed, window)
    return Shown(
        detail=detail,
        series=history.query_series(query_id, seen, observed=observed),
        plans=tuple(kept),
        found=query_plan.troubles(connection_id, kept),
        advice=tuple(one for one in suggestions.listing(connection_id) if set(one.query_ids) & set(detail.members)),
    )


class QueryView(Vertical):
    """The detail of a statement. `show` names it, `read_in` gives what was read of it."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    class Wanted(Message):
        """Another suggestion is to be opened."""

        def __init__(self, suggestion: StoredSuggestion) -> None:
            super().__init__()
            self.suggestion = suggestion

    def __init__(self, *, id: str, classes: str) -> None:
        super().__init__(id=id, classes=classes)
        self.query_id: int | None = None
        self.shown: Shown | None = None
        self.metric = 0
        self._plan_number = 0

    def compose(self) -> ComposeResult:
        head = Page(id="query-head")
        head.can_focus = False
        yield head
        with Container(id="query-parts"):
            yield Part("Statement", SqlView(id="query-sql"), id="part-sql")
            yield Part("Trend", TrendChart(id="query-trend"), id="part-trend")
            about = Page(id="query-plan-about", empty=State(Condition.READY, ""))
            plan = Container(PlanTree(id="query-plan", empty=_NO_PLAN), about, id="query-plan-parts")
            yield Part("Plan", plan, id="part-plan")
            advice = Table(ADVICE_COLUMNS, key=lambda row: row.id, id="query-advice", empty=_NO_ADVICE, markable=False)
            yield Part("Advice", advice, id="part-advice")

    def open(self, query_id: int) -> None:
        """Look at a statement: nothing of the one before is shown any more."""
        if query_id != self.query_id:
            self.query_id, self.shown, self._plan_number = query_id, None, 0
            self.say(State(Condition.LOADING, "reading the store"))

    def say(self, state: State) -> None:
        """Say something in the place of the statement."""
        self.query_one("#query-head", Page).set_parts([("", " ")], state)
        self.query_one("#query-parts").display = False

    def set_shown(self, shown: Shown, info: ConnectionInfo, slow_ms: float, now_ms: float, words: Words) -> None:
        """Show what was read."""
        self.shown = shown
        block = int(info.facts.get("block_size") or BLOCK)
        found = shown.detail.statement
        head = query_facts.head_pieces(shown.detail, slow_ms, now_ms, block, words.figures)
        self.query_one("#query-head", Page).set_parts(head, READY, keep_place=True)
        self.query_one("#query-parts").display = True
        sql = self.query_one("#query-sql", SqlView)
        if found.text is None:
            sql.set_sql(" ", state=query_facts.text_state(found.text_state, info.username, words))
        elif found.text != sql.sql or sql.state is not READY:
            sql.set_sql(found.text, words.dialect)
        cut = f"{glyphs().separator}{words.text_cut}" if found.text_state == "cut" else ""
        self.query_one("#part-sql", Part).set_title(
            f"Statement{cut}", f"Statement: {'' if found.text is None else one_line(found.text, 300)}{cut}"
        )
        self._show_trend()
        self._show_plan(now_ms)
        advice = self.query_one("#query-advice", Table)
        advice.set_rows(shown.advice)
        part = self.query_one("#part-advice", Part)
        if shown.advice:
            titled = f"Advice ({len(shown.advice)})"
            part.set_title(f"{titled}: enter opens it", f"{titled}: {shown.advice[0].title}")
        else:
            part.set_title("Advice", f"Advice: none, {_NO_ADVICE.remedy}")

    def _show_trend(self) -> None:
        if self.shown is not None:
            trend = query_facts.trend_of(self.shown.series, self.metric, self.shown.detail.events)
            self.query_one("#query-trend", TrendChart).set_trend(trend)
            known = [value for _, value in trend.series[0].points]
            self.query_one("#part-trend", Part).set_title(
                "Trend (m: another figure)", f"Trend {sparkline(known, 24).strip()} {trend.title}"
            )

    def next_metric(self) -> str:
        """Show the next figure in the trend; its name."""
        if self.shown is not None:
            self.metric = query_facts.next_metric(self.shown.series, self.metric)
        self._show_trend()
        return query_facts.METRICS[self.metric][1]

    # --- plans ------------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> history.StoredPlan | None:
        """The plan that is shown."""
        plans = () if self.shown is None else self.shown.plans
        return plans[self._plan_number] if self._plan_number < len(plans) else None

    @property
    def _found(self) -> tuple[Bottleneck, ...]:
        return () if self.shown is None or self.plan is None else self.shown.found[self._plan_number]

    def older_plan(self, now_ms: float) -> None:
        """Go to the plan before, after the oldest to the newest."""
        if self.shown is not None and self.shown.plans:
            self._plan_number = (self._plan_number + 1) % len(self.shown.plans)
            self._show_plan(now_ms)

    def newest_plan(self) -> None:
        self._plan_number = 0

    def to_plan(self) -> None:
        """Go to the plan: where the parts share the room, it opens."""
        self.query_one("#query-plan", PlanTree).focus()

    def _show_plan(self, now_ms: float) -> None:
        tree, stored = self.query_one("#query-plan", PlanTree), self.plan
        part = self.query_one("#part-plan", Part)
        if stored is None or self.shown is None:
            tree.set_tree(None)
            part.set_title("Plan (P asks the planner)", "Plan: none yet, P asks the planner")
        else:
            root = query_plan.tree(stored.plan, self._found)
            fresh = root != tree.root
            tree.set_tree(root)
            if fresh:
                tree.hottest()
            worst = f"{glyphs().separator}{query_plan.worst(self._found)}" if self._found else ""
            part.set_title(
                f"Plan {query_plan.title(stored, self._plan_number, len(self.shown.plans), now_ms)}",
                f"Plan: {stored.plan.mode}, cost {count(stored.plan.cost)}{worst}",
            )
        self._about_node()

    def _about_node(self) -> None:
        about, stored = self.query_one("#query-plan-about", Page), self.plan
        about.display = stored is not None
        if stored is not None:
            node = self.query_one("#query-plan", PlanTree).node
            about.set_parts(query_plan.node_pieces(stored.plan, None if node is None else node.path, self._found))

    def on_table_row_highlighted(self, event: Table.RowHighlighted) -> None:
        event.stop()
        if event.table.id == "query-plan":
            self._about_node()

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        if event.table.id == "query-advice":
            self.post_message(self.Wanted(event.row))
