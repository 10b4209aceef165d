"""The TUI's shell: opening the store beside the first paint, places and their panes, keys, and a pane that fails.

Nothing here needs more than Textual. The store and the panes are loaded in a worker; the first paint waits a moment for
their data, so that the screen is laid out and painted once. Nothing here blocks: what is read comes from
`workbench.store.read`, what is done is awaited in workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import logging
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual._context import active_message_pump
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.message import Message
from textual.widgets import ContentSwitcher, Input
from textual.worker import WorkerFailed

from meshag_tui import upgrading
from meshag_tui.glyphs import use_ascii
from meshag_tui.screens import first
from meshag_tui.screens.general import GeneralApp
from meshag_tui.screens.places import PLACES, START, place_named
from meshag_tui.screens.tabs import Tabs
from meshag_tui.screens.trail import Step
from meshag_tui.settings import Settings
from meshag_tui.types import MeshagError
from meshag_tui.widgets.guarded import crash_report
from meshag_tui.widgets.line import Line
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.screens import Dialog, MainScreen, failed_in
from meshag_tui.widgets.states import LOADING, Condition, State
from meshag_tui.widgets.status import ActionBar, StatusLine
from meshag_tui.workflows.opening import begin

if TYPE_CHECKING:
    from meshag_tui.screens.pane import Pane
    from meshag_tui.workflows.workbench import Workbench

_LOG = logging.getLogger("meshag.screens")
_OPENING = "opening"
_FIRST_PAINT_S = 0.25
"""How long the first paint waits for data; then it says that the store is being opened."""
_FIRST_DATA_S = 3.0
_FAILURE = "failure"
_AT_ONCE = frozenset({"help", "palette", "theme"})
"""What can be done without any data, besides leaving."""


def run(settings: Settings, opening: Future[Workbench] | None = None) -> int:
    """Show the screens, on the workbench that is being `opening`, and return the exit code."""
    if settings.ui.plain:
        plain_app = importlib.import_module("meshag_tui.plain_app")
        return int(plain_app.run(settings, opening))
    use_ascii(True if settings.ui.ascii else None)
    return MeshagApp(settings, opening=opening).run_guarded(mouse=settings.ui.mouse)


class MeshagApp(GeneralApp):
    """The application. Panes see it as `self.shell`."""

    TITLE = "MeshAG"
    AUTO_FOCUS = ""  # a pane is given the focus when it comes to the front
    CSS = """
    Screen { layout: vertical; }
    #panes { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "app.focus_next", "Next part", show=False, id="focus.next"),
        Binding("shift+tab", "app.focus_previous", "Previous part", show=False, id="focus.previous"),
    ]

    def __init__(
        self,
        settings: Settings,
        bench: Workbench | None = None,
        *,
        opening: Future[Workbench] | None = None,
        collect: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`bench` is a workbench that is open already and stays the caller's to close; `opening` is one that will be
        ours; `collect=False` starts no scheduler; `clock` says the time in epoch seconds."""
        super().__init__(settings, clock)
        self._given = bench
        self._opened = opening
        self._collect = collect
        self._unsubscribe: Callable[[], None] | None = None
        self._answers = False  # keys are done when they come
        self._typed: list[events.Key] = []  # that came before
        self._failing: weakref.WeakSet[DOMNode] = weakref.WeakSet()  # panes and dialogs that are taken away

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Tabs(PLACES)
        with ContentSwitcher(id="panes", initial=_OPENING):
            yield Page(id=_OPENING)
        yield ActionBar()

    def on_mount(self) -> None:
        self.place = _OPENING
        self._opening(LOADING._replace(title="opening the store"))
        self._main.hold_back()
        self.set_timer(_FIRST_PAINT_S, self._paint_at_last)
        upgrading.listen(self._upgrading)
        self.run_worker(self._open(), group="shell")

    @functools.cached_property
    def _main(self) -> MainScreen:
        return cast("MainScreen", self.screen_stack[0])

    def _paint_at_last(self) -> None:
        """Paint what was held back, if anything is."""
        if self._main.held_back:
            self._main.let_go()
            self.refresh_keys()

    def refresh_keys(self) -> None:
        # What can be done changes with each step of the beginning, and nothing of it is seen before the first paint.
        if not (self.screen_stack and self._main.held_back):
            super().refresh_keys()

    # --- opening and closing ----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            if self._given is None:
                self.bench = await asyncio.wrap_future(self._opened or begin(self.settings, first.ask))
            else:
                self.bench = self._given
            assert self.bench is not None  # noqa: S101
            self._unsubscribe = self.bench.subscribe(self._heard)
            await self._recall()
            await self.read_connections()
            await self._read_rights()
            await self.go(self.start_place())
            self.set_interval(self.settings.ui.refresh_s, self._tick)
            await self._settle(self.bench)
            if self._collect:
                self._do(self._schedule(self.bench))
        except MeshagError as error:
            self._opening(State(Condition.ERROR, str(error), remedy=getattr(error, "fix", None) or "q leaves"))
        except Exception as error:  # said on the screen, and the log has it all
            _LOG.exception("the store could not be opened")
            self._opening(self.failure_state(error))
        finally:
            upgrading.ignore(self._upgrading)
            self._paint_at_last()
            self._answer_keys()

    def _upgrading(self, step: upgrading.Step) -> None:
        """Say how far the upgrade of the store is. Called in the store's thread."""
        self.call_later(self._opening, LOADING._replace(title=str(step)))

    async def _schedule(self, bench: Workbench) -> None:
        """Sync connections when they are due, as long as the screens are there; who may not sync only looks."""
        if "collect" not in self.refused:
            await bench.scheduler().run()

    async def _settle(self, bench: Workbench) -> None:
        """Load what reads servers, once the first data is on the screen or has taken too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_DATA_S):
                if (pane := self.front_pane()) is not None:
                    await pane.shown_once()
                    self._paint_at_last()
                    self._answer_keys()
                    await pane.painted()
        self._answer_keys()
        bench.store.drop_ahead()
        await bench.load_rest()
        if not gc.isenabled():
            gc.freeze()  # modules and widgets are there to stay: no pass need look at them again
            gc.enable()

    def _opening(self, state: State) -> None:
        self.query_one(f"#{_OPENING}", Page).set_state(state)

    def start_place(self) -> str:
        """Where to begin: at the queries, or without any connection where one is added."""
        if not self.connections:
            return START[-1]
        return next(name for name in START if any(place.name == name for place in PLACES))

    async def _shutdown(self) -> None:
        await super()._shutdown()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self.bench is not None and self._given is None:
            await self.bench.close()

    # --- places -----------------------------------------------------------------------------------------------------

    async def go(self, name: str) -> None:
        """Bring a pane to the front, making it the first time."""
        if self.bench is None:
            return
        switcher = self.query_one("#panes", ContentSwitcher)
        pane = self.panes.get(name)
        if pane is None:
            made_by = await asyncio.to_thread(place_named(name).load)
            if name in self.panes:  # a second press while it was loading
                return
            pane = self.panes[name] = made_by()
            await switcher.add_content(pane)
        with self.batch_update():
            self.place = name
            switcher.current = name
            self._sync_lines()
        self.trail.went(Step(name, self.scope.connection_id))
        self.set_focus(None)
        pane.focus_view()
        if pane.stale:
            pane.refresh_soon()

    def pane(self, name: str) -> Pane | None:
        """A pane by name, if it was shown before."""
        return self.panes.get(name)

    async def show_suggestion(self, suggestion_id: str) -> None:
        """Open a suggestion of the connection that is looked at."""
        await self.go("suggestions")
        if (pane := self.pane("suggestions")) is not None:
            pane.open_suggestion(suggestion_id)  # type: ignore[attr-defined]

    async def _jump(self, by: int) -> None:
        step = self.trail.turn(by)
        if step is None:
            return
        known = any(info.id == step.connection_id for info in self.connections)
        if known and step.connection_id is not None and step.connection_id != self.scope.connection_id:
            self.look_at_connection(step.connection_id)
        await self.go(step.place)

    do_jump_back = functools.partialmethod(_jump, -1)
    do_jump_forward = functools.partialmethod(_jump, 1)

    def on_tabs_chosen(self, event: Tabs.Chosen) -> None:
        self._do(self.go(event.place.name))

    async def _go_key(self, key: str) -> None:
        place = next(place for place in PLACES if place.key == key)
        if place.name == self.place and (pane := self.front_pane()) is not None:
            while pane.depth and pane.back():
                continue
            return
        await self.go(place.name)

    do_screen_0 = functools.partialmethod(_go_key, "0")
    do_screen_1 = functools.partialmethod(_go_key, "1")
    do_screen_2 = functools.partialmethod(_go_key, "2")
    do_screen_3 = functools.partialmethod(_go_key, "3")
    do_screen_4 = functools.partialmethod(_go_key, "4")
    do_screen_5 = functools.partialmethod(_go_key, "5")
    do_screen_6 = functools.partialmethod(_go_key, "6")
    do_screen_7 = functools.partialmethod(_go_key, "7")
    do_screen_8 = functools.partialmethod(_go_key, "8")
    do_screen_9 = functools.partialmethod(_go_key, "9")
    do_screen_H = functools.partialmethod(_go_key, "H")
    do_screen_A = functools.partialmethod(_go_key, "A")

    # --- keys ------------------------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """Do what a key is bound to before the next key is looked at.

        Textual queues each key at the widget that has the focus when it arrives. Of keys that come in one breath (slow
        line, fast hand) the later ones would go to the widget the earlier ones just left, or be done to another.
        """
        if isinstance(event, events.Key) and not event.is_forwarded:
            if self._is_early(event):
                self._typed.append(event)
                return
            if self._answers:
                await self._catch_up()
            if await self._done_at_once(event):
                return
        await super().on_event(event)

    def _is_early(self, event: events.Key) -> bool:
        """Whether a key is meant for data that is not there yet: it is done when it is, in its turn."""
        if self._answers or len(self.screen_stack) > 1 or event.key.startswith("ctrl+"):
            return False
        action = self.actions.by_key(event.key, self.place, self.may_write)
        at_once = action is not None and (action.id == "quit" or (action.id in _AT_ONCE and not self._typed))
        return not at_once

    def _answer_keys(self) -> None:
        """There is something to do keys to now, or there will be nothing."""
        if not self._answers:
            self._answers = True
            self.call_next(self._catch_up)

    async def _catch_up(self) -> None:
        while self._typed:
            event = self._typed.pop(0)
            if not await self._done_at_once(event):
                await super().on_event(event)

    async def _dispatch_message(self, message: Message) -> None:
        # Textual ends the application's loop of messages when a handler of its own fails.
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.panes:  # not begun yet: Textual's own way out
                raise
            self._handle_exception(error)

    async def _done_at_once(self, event: events.Key) -> bool:
        if await self._check_bindings(event.key, priority=True):
            return True
        focused = self.focused
        if isinstance(focused, Input) and focused.check_consume_key(event.key, event.character):
            await focused._on_key(event)
            return True
        return await self._check_bindings(event.key)

    # --- when a pane or a dialog fails ------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """What fails, at work or in painting, takes its pane or its dialog with it, not the application.

        The pane is made anew when it is asked for; of a dialog nothing is taken for an answer. What fails in the
        lines that are always there, or in the application's own work once a pane was shown, is said.
        """
        beside = isinstance(error, WorkerFailed)
        if isinstance(error, WorkerFailed) and isinstance(error.error, Exception):
            error = error.error  # it has the traceback
        pump = active_message_pump.get(None)
        # Keys are done in the application's own pump, painting in the screen's: there the error says whose it is.
        node = pump if isinstance(pump, DOMNode) and not isinstance(pump, App | MainScreen) else failed_in(error)
        nodes: list[DOMNode] = [] if node is None else node.ancestors_with_self
        if any(each in self._failing for each in nodes):
            return  # it goes already
        if beside and (self._exit or (node is not None and not node.is_attached)):
            _LOG.warning("work for what is not shown any more failed\n%s", crash_report(error))
            return
        dialog = next((each for each in nodes if isinstance(each, Dialog)), None)
        pane = next((pane for pane in self.panes.values() if pane in nodes), None)
        line = next((each for each in nodes if isinstance(each, Line)), None)
        if self._exit or (dialog is not None and dialog.id == _FAILURE):
            super()._handle_exception(error)
        elif dialog is not None:
            self._failing.add(dialog)
            _LOG.error("%s failed\n%s", type(dialog).__name__, crash_report(error))
            self.call_later(self._put_away, dialog, self.failure_state(error))
        elif pane is not None:
            self._failing.add(pane)
            _LOG.error("%s failed\n%s", pane.place, crash_report(error))
            del self.panes[pane.place]
            self.call_later(self._bury, pane, self.failure_state(error))
        elif line is not None:
            line.failed(error)
        elif self.panes and isinstance(pump, App | None):
            self._say_failure(error)
        else:
            super()._handle_exception(error)

    def _say_failure(self, error: Exception) -> None:
        _LOG.error("the application's own work failed\n%s", crash_report(error))
        said = f"{self.failure_state(error).detail}. {self.settings.log_file} has the details"
        self.call_later(self.say, said, "error")

    async def _put_away(self, dialog: Dialog[Any], state: State) -> None:
        """Say what happened where the dialog was."""
        from meshag_tui.widgets.dialog import error_dialog

        while dialog in self.screen_stack:
            await self.pop_screen()
        said = error_dialog("This dialog failed, and nothing was taken from it", state.detail, state.remedy)
        said.id = _FAILURE
        self.push_screen(said)

    async def _bury(self, pane: Pane, state: State) -> None:
        """Say what happened where the pane was."""
        self._opening(state._replace(remedy=f"{state.remedy} Its key opens it again."))
        self.query_one("#panes", ContentSwitcher).current = _OPENING
        self.place = _OPENING
        self._sync_lines()
        pane.display = False
        pane.remove()
