"""What all panes have in common: when they load, what they say when it fails, how one goes into a detail and back.

A pane yields its views as direct children with an id each; `open_view` goes into one, esc comes back. `load` reads the
store through `self.bench.store.read(...)` and fills the widgets of the view in front. It is called when the pane is
shown, when the connection or the window changed, and when a notice says that data of its `topics` changed, never twice
at the same time and only while the pane is in front.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.containers import Vertical
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input
from textual.worker import Worker

from meshag_tui.engines import words_for
from meshag_tui.screens.filter import FilterLine
from meshag_tui.store.text_filter import matcher
from meshag_tui.types import DbType, MeshagError, UsageError, Window
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.screens import MainScreen
from meshag_tui.widgets.states import LOADING, READY, Condition, State
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp
    from meshag_tui.engines.words import Words
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.notices import Notice, Topic
    from meshag_tui.workflows.workbench import Workbench

_LOG = logging.getLogger("meshag.screens")
_SETTLE_S = 0.1
"""How long to wait for further notices before reading: a sync publishes several at its end."""


class Pane(Vertical):
    """Base of the panes. Subclasses set the class attributes, yield their views in `compose`, and write `load`."""

    place: ClassVar[str] = ""
    opens: ClassVar[bool] = True  # whether enter opens a row of its lists
    topics: ClassVar[frozenset[Topic]] = frozenset({"statistics"})
    needs_connection: ClassVar[bool] = True
    DEFAULT_CSS = """
    Pane { height: 1fr; }
    Pane > .view { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(id=self.place)
        self.stale = True  # whether there is newer data than is shown
        self.filter_text = ""
        self.matches = matcher("")  # whether a text passes the filter
        self._trail: list[str] = []
        self._loading: Worker[None] | None = None
        self._again = False
        self._soon: Timer | None = None
        self._shown_once = asyncio.Event()

    # --- what a pane knows ------------------------------------------------------------------------------------------

    @property
    def shell(self) -> MeshagApp:
        """The application around it."""
        return cast("MeshagApp", self.app)

    @property
    def bench(self) -> Workbench:
        """The open workbench; panes are made only when there is one."""
        bench = self.shell.bench
        assert bench is not None, "a pane without an open workbench"  # noqa: S101
        return bench

    @property
    def connection(self) -> ConnectionInfo | None:
        """The connection that is looked at."""
        return self.shell.connection

    @property
    def words(self) -> Words:
        """How the server that is looked at calls things."""
        info = self.connection
        return words_for((info.engine or info.db_type) if info is not None else DbType.POSTGRES)

    @property
    def in_front(self) -> bool:
        return self.shell.front_pane() is self

    @property
    def loading_now(self) -> bool:
        """Whether it is reading."""
        return self._loading is not None or self._soon is not None

    async def window(self) -> Window:
        """The window that is looked at, ending at the newest data or where `[` and `]` moved it."""
        return await self.shell.window_of(self.connection)

    # --- what a subclass writes -------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Read what `load` needs to know before it reads; called each time before it."""

    async def load(self) -> None:
        """Read what the view in front shows, and show it. Any error is shown as a state, a MeshagError in its words."""

    async def load_more(self) -> None:
        """Add to what `load` showed what takes longer, or nobody misses in the first moment."""

    def show_state(self, state: State) -> None:
        """Say something instead of, or above, what is shown. By default in all tables, pages and charts."""
        from meshag_tui.widgets.chart import Chart

        for widget in self.query(Widget):
            if isinstance(widget, Table | Page):
                widget.set_state(state)
            elif isinstance(widget, Chart):
                widget.set_trend(widget.trend, state)

    def connection_changed(self) -> None:
        """Another connection is looked at: leave the details of the old one, and show nothing of it any more."""
        while self.depth:
            self._trail.pop()
        self._show_view()
        for table in self.query(Table):
            table.clear_marks()
            table.set_rows((), LOADING)

    def concerns(self, notice: Notice) -> bool:
        """Whether a notice may change what this pane shows."""
        topic = getattr(notice, "topic", None)
        if topic not in self.topics:
            return False
        about = notice.connection_id
        return not self.needs_connection or about is None or about == self.shell.scope.connection_id

    @property
    def wants_tick(self) -> bool:
        """Whether it shows something that changes by itself (the progress of a run): it is then read each tick."""
        return False

    def filtered(self) -> None:
        """The filter is another: show the rows `self.matches` lets through. By default everything is read again."""
        self.refresh_soon()

    def copy_text(self) -> tuple[str, str] | None:
        """What `y` copies, and its name ("query text"); None: there is nothing."""
        return None

    def why_not(self, action_id: str) -> str | None:
        """Why an action of this pane cannot be done now; None: it can."""
        if action_id == "copy" and self.copy_text() is None:
            return "there is nothing to copy here"
        if action_id == "copy-as" and self.copy_text() is None and not (self.table is not None and self.table.rows):
            return "there is nothing to copy here"
        if action_id in ("sort", "sort-reverse", "filter") and self.table is None:
            return "there is no table here"
        if action_id == "table.open" and not self._may_open():
            return "there is no row to open here"
        if action_id == "focus.next" and not self.depth:
            return "there is one part"
        return None

    def _may_open(self) -> bool:
        focused = self.app.screen_stack[0].focused  # behind a dialog too
        return self.opens and isinstance(focused, Table) and focused.opens and bool(focused.rows)

    def failed(self, title: str, error: MeshagError) -> None:
        """Say it in full where somebody looks, in a line where a dialog would take the keys of another."""
        from meshag_tui.widgets.dialog import error_dialog

        if len(self.shell.screen_stack) == 1 and self.in_front:
            self.shell.push_screen(error_dialog(title, str(error), getattr(error, "fix", None) or ""))
        else:
            self.shell.say(f"{title}: {error}", "error")

    # --- loading ----------------------------------------------------------------------------------------------------

    def refresh_soon(self, after_s: float = 0.0) -> None:
        """Read again, at once or after `after_s`; when the pane is not in front, when it comes there."""
        self.stale = True
        if not self.in_front or self._soon is not None:
            return
        if self._loading is not None:
            self._again = True
        elif after_s > 0:
            self._soon = self.set_timer(after_s, self._begin)
        else:
            self._begin()

    def notice_soon(self) -> None:
        """As `refresh_soon`, but several within a moment are one."""
        self.refresh_soon(_SETTLE_S)

    def _begin(self) -> None:
        self._soon = None
        if self.in_front and self._loading is None:
            self._loading = self.run_worker(self._load(), group="load")

    async def painted(self) -> None:
        """Wait until what was set so far is on the terminal."""
        if isinstance(self.screen, MainScreen):
            await self.screen.paints()  # refreshed while it is held back is not painted
        done = asyncio.Event()
        self.call_after_refresh(done.set)
        await done.wait()
        await self.shell.taken()

    async def shown_once(self) -> None:
        """Wait until it has read what it shows first, be it an error; it may not be painted yet."""
        await self._shown_once.wait()

    async def _load(self) -> None:
        try:
            self._again, self.stale = False, False
            if self.needs_connection and self.connection is None:
                self.show_state(self.shell.no_connection_state())
                return
            await self.prepare()
            await self.load()
            self._shown_once.set()
            await self.load_more()
        except MeshagError as error:
            fix = getattr(error, "fix", None) or ""
            self.show_state(State(Condition.ERROR, str(error), remedy=fix))
        except Exception as error:  # a pane that fails must not take the application with it
            _LOG.exception("%s could not be shown", self.place)
            self.show_state(self.shell.failure_state(error))
        finally:
            self._loading = None
            self._shown_once.set()
            self.shell.refresh_keys()
            if self._again:
                self.refresh_soon(_SETTLE_S)

    def describe(self, describing: Callable[[], Awaitable[None]]) -> None:
        """Describe the row under the cursor, in place of one that is still being described; a MeshagError is said."""

        async def described() -> None:
            try:
                await describing()
            except MeshagError as error:
                self.shell.say(str(error), "error")

        self.run_worker(described(), group="about", exclusive=True)

    # --- views ------------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Show the first view; what was not read yet is not called empty."""
        for table in self.query(Table):
            if not table.rows and table.state is READY:
                table.set_state(LOADING)
        if not self._trail and self.children:
            self._trail = [self.children[0].id or ""]
        self._show_view()

    @property
    def view(self) -> str:
        """The id of the view in front."""
        return self._trail[-1] if self._trail else ""

    @property
    def depth(self) -> int:
        """How many levels below the pane's first view we are."""
        return max(0, len(self._trail) - 1)

    def open_view(self, view: str) -> None:
        """Go into a view; esc comes back."""
        if view != self.view:
            self._trail.append(view)
            self._show_view()
            self.focus_view()
            self.refresh_soon()

    def back(self) -> bool:
        """Go back one level: out of the detail, then out of the filter. False at the top."""
        line = self.filter_line
        if line is not None and not self.depth and (line.display or self.filter_text):
            line.value = ""
            line.display = False
            self._filter("")
            self.focus_view()
            return True
        if self.depth:
            self._trail.pop()
            self._show_view()
            self.focus_view()
            self.refresh_soon()
            return True
        return False

    def _show_view(self) -> None:
        with self.app.batch_update():
            for child in self.children:
                if isinstance(child, FilterLine):  # it is about the rows of the first view
                    child.display = not self.depth and bool(self.filter_text)
                else:
                    child.display = child.id == self.view
        self.shell.refresh_keys()

    @property
    def front(self) -> Widget | None:
        """The view in front."""
        return next((child for child in self.children if child.id == self.view), None)

    def focus_view(self) -> None:
        """Put the focus where the keys are expected: the first widget of the view that takes it."""
        view = self.front
        if view is None:
            return
        for widget in (view, *view.query(Widget)):
            if widget.focusable and not isinstance(widget, FilterLine):
                widget.focus()
                return

    @property
    def table(self) -> Table | None:
        """The table that sort, filter and marks are about: the focused one, else the first of the view in front."""
        focused = self.app.focused
        if isinstance(focused, Table) and self in focused.ancestors:
            return focused
        view = self.front
        if view is None or isinstance(view, Table):
            return view
        return next(iter(view.query(Table)), None)

    # --- actions of every pane --------------------------------------------------------------------------------------

    def do_sort(self) -> None:
        if self.table is not None:
            self.table.sort_next()

    def do_sort_reverse(self) -> None:
        if self.table is not None:
            self.table.sort_reverse()

    def do_copy(self) -> None:
        found = self.copy_text()
        if found is not None:
            self.shell.copy(*found)

    def do_copy_as(self) -> None:
        from meshag_tui.screens import copying

        copying.ask(self)

    async def do_filter(self) -> None:
        line = await self._made_filter_line()
        line.display = True
        self.screen.set_focus(line)  # now: what is typed in the same breath is for it

    async def _made_filter_line(self) -> FilterLine:
        line = self.filter_line
        if line is None:
            line = FilterLine()
            await self.mount(line, before=0)
        return line

    async def set_filter(self, text: str) -> None:
        """Filter by a text, as if it had been typed. UsageError: it is no regular expression."""
        matcher(text)
        if text or self.filter_line is not None:
            line = await self._made_filter_line()
            line.value = text
            line.display = bool(text) and not self.depth
        self._filter(text)

    @property
    def filter_line(self) -> FilterLine | None:
        return next((child for child in self.children if isinstance(child, FilterLine)), None)

    def on_input_changed(self, event: Input.Changed) -> None:
        if isinstance(event.input, FilterLine):
            event.stop()
            self._filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if isinstance(event.input, FilterLine):
            event.stop()
            if self._filter(event.value):
                event.input.display = bool(self.filter_text)
                self.focus_view()

    def _filter(self, text: str) -> bool:
        """Filter by a text; False if it is no regular expression: then what was shown before stays."""
        try:
            matches = matcher(text)
        except UsageError as error:
            self.shell.say(str(error), "warning")
            return False
        if text != self.filter_text:
            self.filter_text, self.matches = text, matches
            self.filtered()
        return True
