"""One index in full: its definition, what it costs and does over time, and why it may not simply go."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from meshag_tui.screens import indexes_facts
from meshag_tui.screens.indexes_facts import METRICS, Index, Whole
from meshag_tui.screens.look import look_of
from meshag_tui.widgets.chart import Chart
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.states import READY, Condition, State


class IndexView(Vertical):
    """The detail of an index: `open` names it, `set_whole` gives what was read of it."""

    DEFAULT_CSS = look_of(__file__)
    SCOPED_CSS = False

    def __init__(self, *, id: str, classes: str) -> None:
        super().__init__(id=id, classes=classes)
        self.index: Index | None = None
        self._metric = 0
        self._whole: Whole | None = None

    def compose(self) -> ComposeResult:
        yield Page(id="index-about")
        yield Chart(id="index-trend")

    def open(self, index: Index) -> None:
        """Look at an index; what the list knows of it is there at once."""
        self.index, self._whole = index, None
        self.query_one("#index-about", Page).set_parts(indexes_facts.about(index))
        self.query_one("#index-trend", Chart).set_trend(None, State(Condition.LOADING))

    def say(self, state: State) -> None:
        """Say something in the place of the index."""
        self.query_one("#index-about", Page).set_state(state)

    def set_whole(self, index: Index, whole: Whole, days: float) -> None:
        """Show what was read."""
        self.index, self._whole = index, whole
        parts = [*indexes_facts.about(index), *indexes_facts.whole_pieces(index, whole, days)]
        self.query_one("#index-about", Page).set_parts(parts, READY, keep_place=True)
        self._show_trend()

    def _show_trend(self) -> None:
        if self._whole is not None and self.index is not None:
            trend = indexes_facts.trend_of(self._whole.trend, METRICS[self._metric], self.index.words)
            self.query_one("#index-trend", Chart).set_trend(trend)

    def next_metric(self) -> str:
        """Show the next figure in the trend; its name."""
        self._metric = (self._metric + 1) % len(METRICS)
        self._show_trend()
        return METRICS[self._metric]
