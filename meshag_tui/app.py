"""The TUI's shell: status line, places, the pane in front, footer; opening the store, syncing, keeping panes fresh.

The first paint needs Textual alone. The store, the drivers and the panes are loaded after it, in a worker. Nothing here
blocks: what is read comes from `workbench.store.read`, what is done is awaited in workers.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual._context import active_message_pump
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Input

from meshag_tui.screens.keys import ACTIONS
from meshag_tui.screens.places import PLACES, START, place_named
from meshag_tui.screens.scope import SPANS, Scope, span_from, span_name
from meshag_tui.screens.tabs import Tabs
from meshag_tui.settings import Settings
from meshag_tui.text import count, duration, one_line, use_ascii
from meshag_tui.types import ConnectionStatus, MeshagError, Window
from meshag_tui.widgets.actions import ActionApp, Actions
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.dialog import TextDialog
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.guarded import crash_report
from meshag_tui.widgets.page import Page
from meshag_tui.widgets.states import LOADING, Condition, State
from meshag_tui.widgets.status import ActionBar, StatusLine, freshness

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from meshag_tui.screens.pane import Pane
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.notices import Notice
    from meshag_tui.workflows.workbench import Workbench

_LOG = logging.getLogger("meshag.screens")
_OPENING = "opening"
_PROGRESS_EVERY_S = 0.5
_QUIT_AGAIN_S = 10.0
_REMEMBERED = "screens.scope"
_WORK = {
    "sync_database_stats": "syncing",
    "generate_suggestions": "advising",
    "change_database": "applying",
    "keep_store": "tidying",
}


def _span_problem(text: str) -> str | None:
    try:
        span_from(text)
    except MeshagError as error:
        return str(error)
    return None


_SPAN_FIELD = Field("span", "Span", hint="90m, 36h, 3d, 2w", check=_span_problem, required=True)


def run(settings: Settings) -> int:
    """Open the screens and return the exit code."""
    use_ascii(True if settings.ui.ascii else None)
    return MeshagApp(settings).run_guarded(mouse=settings.ui.mouse)


class MeshagApp(ActionApp):
    """The application. `bench` is set once the store is open; `connection` and `scope` are what panes look at."""

    TITLE = "MeshAG"
    CSS_PATH = sorted((Path(__file__).parent / "screens").glob("*.tcss"))
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
        collect: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`bench` is a workbench that is open already and stays the caller's to close; `collect=False` starts no
        scheduler; `clock` says the time in epoch seconds."""
        super().__init__(Actions(ACTIONS, settings.ui.keys), settings.ui.theme)
        self.settings = settings
        self.bench: Workbench | None = None
        self.connections: tuple[ConnectionInfo, ...] = ()
        self.scope = Scope()
        self.held = False  # nothing is refreshed
        self._given = bench
        self._collect = collect
        self._clock = clock
        self._panes: dict[str, Pane] = {}
        self._work: dict[str, tuple[str | None, str]] = {}  # execution id -> connection id, words
        self._work_said_at = 0.0
        self._quit_asked_at = -_QUIT_AGAIN_S
        self._unsubscribe: Callable[[], None] | None = None

    def compose(self) -> ComposeResult:
        yield StatusLine()
        yield Tabs(PLACES)
        with ContentSwitcher(id="panes", initial=_OPENING):
            yield Page(id=_OPENING)
        yield ActionBar()

    def on_mount(self) -> None:
        self.place = _OPENING
        self._opening(replace(LOADING, title="opening the store"))
        self.refresh_keys()
        self.call_after_refresh(lambda: self.run_worker(self._open(), group="shell", exit_on_error=False))

    # --- opening and closing ----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            if self._given is None:
                module = await asyncio.to_thread(importlib.import_module, "meshag_tui.workflows.workbench")
                self.bench = await module.Workbench.open(self.settings)
            else:
                self.bench = self._given
            assert self.bench is not None  # noqa: S101
            self._unsubscribe = self.bench.subscribe(self._heard)
            await self._recall()
            await self.read_connections()
            await self.go(self.start_place())
            if self._collect:
                self.run_worker(self.bench.scheduler().run(), group="scheduler", exit_on_error=False)
            self.set_interval(self.settings.ui.refresh_s, self._tick)
        except MeshagError as error:
            self._opening(State(Condition.ERROR, str(error), remedy=getattr(error, "fix", None) or "q leaves"))
        except Exception as error:  # said on the screen, and the log has it all
            _LOG.exception("the store could not be opened")
            self._opening(self.failure_state(error))

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
        pane = self._panes.get(name)
        if pane is None:
            made_by = await asyncio.to_thread(place_named(name).load)
            if name in self._panes:  # a second press while it was loading
                return
            pane = self._panes[name] = made_by()
            await switcher.add_content(pane)
        with self.batch_update():
            self.place = name
            switcher.current = name
            self._sync_lines()
        self.set_focus(None)
        pane.focus_view()
        if pane.stale:
            pane.refresh_soon()

    def front_pane(self) -> Pane | None:
        return self._panes.get(self.place)

    def pane(self, name: str) -> Pane | None:
        """A pane by name, if it was shown before."""
        return self._panes.get(name)

    def on_tabs_chosen(self, event: Tabs.Chosen) -> None:
        self._do(self.go(event.place.name))

    async def _go_number(self, number: int) -> None:
        place = next(place for place in PLACES if place.number == number)
        if place.name == self.place and (pane := self.front_pane()) is not None:
            while pane.depth and pane.back():
                continue
            return
        await self.go(place.name)

    do_screen_1 = functools.partialmethod(_go_number, 1)
    do_screen_2 = functools.partialmethod(_go_number, 2)
    do_screen_3 = functools.partialmethod(_go_number, 3)
    do_screen_4 = functools.partialmethod(_go_number, 4)
    do_screen_5 = functools.partialmethod(_go_number, 5)
    do_screen_6 = functools.partialmethod(_go_number, 6)
    do_screen_7 = functools.partialmethod(_go_number, 7)
    do_screen_8 = functools.partialmethod(_go_number, 8)
    do_screen_9 = functools.partialmethod(_go_number, 9)

    # --- what is looked at ------------------------------------------------------------------------------------------

    @property
    def connection(self) -> ConnectionInfo | None:
        """The connection that is looked at, as it was last read."""
        return next((info for info in self.connections if info.id == self.scope.connection_id), None)

    def now_ms(self) -> float:
        return self._clock() * 1000

    async def window_of(self, connection: ConnectionInfo | None) -> Window:
        """The window that is looked at, on this connection."""
        newest = connection.last_sync_at if connection is not None else None
        return self.scope.window(round(self.now_ms()) if newest is None else newest)

    def look_at(self, scope: Scope) -> None:
        """Look at another connection or window: every pane reads anew when it is in front."""
        if scope == self.scope:
            return
        other = scope.connection_id != self.scope.connection_id
        self.scope = scope
        for pane in self._panes.values():
            if other and pane.needs_connection:
                pane.connection_changed()
            pane.refresh_soon()
        self._sync_lines()
        if self.bench is not None:
            self._do(self._remember())

    def look_at_connection(self, connection_id: str) -> None:
        """Look at another connection, at its newest data."""
        self.look_at(replace(self.scope, connection_id=connection_id, end=None))

    async def _recall(self) -> None:
        from meshag_tui.store.remembered import recall

        assert self.bench is not None  # noqa: S101
        known = await self.bench.store.read(recall, _REMEMBERED, {})
        if isinstance(known, dict):
            span = known.get("span_ms")
            self.scope = Scope(known.get("connection"), span if isinstance(span, int) and span > 0 else Scope().span_ms)

    async def _remember(self) -> None:
        from meshag_tui.store.remembered import remember

        assert self.bench is not None  # noqa: S101
        kept = {"connection": self.scope.connection_id, "span_ms": self.scope.span_ms}
        await self.bench.store(remember, _REMEMBERED, kept)

    async def read_connections(self) -> bool:
        """Read the connections; True if what panes show of the one in front may have changed."""
        from meshag_tui.store.connections import listing

        assert self.bench is not None  # noqa: S101
        before = self.connection
        self.connections = await self.bench.store.read(listing)
        if self.connections and self.connection is None:
            # The one with the most to say: synced last, so that there is something to see.
            newest = max(self.connections, key=lambda info: info.last_sync_at or 0)
            self.look_at_connection(newest.id)
        elif not self.connections and self.scope.connection_id is not None:
            self.look_at(replace(self.scope, connection_id=None))
        self._sync_lines()
        now = self.connection
        return (before and (before.id, before.last_sync_at)) != (now and (now.id, now.last_sync_at))

    def no_connection_state(self) -> State:
        """What a pane says when there is no connection to look at."""
        return State(
            Condition.EMPTY,
            "there is no connection yet",
            "MeshAG reads the statistics that a PostgreSQL server keeps of its queries, tables and indexes.",
            f"{self.actions['screen-1'].shown_key} goes to the connections, i adds one there.",
        )

    def failure_state(self, error: BaseException) -> State:
        """What is said of an error that nobody expected; the log has all of it."""
        said = one_line(str(error), 300) or "no further words"
        detail = f"{type(error).__name__}: {said}"
        return State(Condition.ERROR, "this screen failed", detail, f"{self.settings.log_file} has the details.")

    # --- keeping fresh ----------------------------------------------------------------------------------------------

    def _heard(self, notice: Notice) -> None:
        """A workflow spoke; in the event loop's thread."""
        kind = type(notice).__name__
        if kind == "Progress":
            self._progress(notice)
        elif kind == "Finished":
            self._work.pop(notice.execution_id, None)  # type: ignore[union-attr]
            if not self.held:
                self._sync_lines()
        for pane in self._panes.values():
            if pane.concerns(notice):
                if self.held:
                    pane.stale = True
                else:
                    pane.notice_soon()
        if kind == "Changed" and notice.topic in ("connections", "suggestions") and not self.held:  # type: ignore[union-attr]
            self._do(self.read_connections())

    def _progress(self, notice: Any) -> None:
        words = f"{_WORK.get(notice.kind, notice.kind.replace('_', ' '))}: {notice.phase.replace('_', ' ')}"
        if notice.done is not None and notice.total:
            words += f" {notice.done:,}/{notice.total:,}"
        self._work[notice.execution_id] = (notice.connection_id, words)
        now = time.monotonic()
        if not self.held and now - self._work_said_at >= _PROGRESS_EVERY_S:
            self._work_said_at = now
            self._sync_lines()

    async def _tick(self) -> None:
        """Show the age of the data, and see what another process wrote."""
        if self.held:
            return
        try:
            changed = await self.read_connections()
        except MeshagError as error:
            self.say(str(error), "error")
            return
        pane = self.front_pane()
        if pane is not None and (changed or pane.wants_tick):
            pane.refresh_soon()

    def _lines_root(self) -> Screen[Any] | None:
        """The screen with the status line and the footer, while they are there."""
        root = self.screen_stack[0] if self.screen_stack else None
        return None if root is None or self._exit or root.query_one_optional(ActionBar) is None else root

    def _sync_lines(self) -> None:
        """Bring status line, places and footer up to date; what did not change writes nothing."""
        root = self._lines_root()
        if root is None:
            return
        info = self.connection
        self.may_write = not self.settings.read_only and not (info is not None and info.read_only)
        window = "" if info is None else f"window {self.scope.said}"
        wide = self.size.width >= 100
        root.query_one(Tabs).show(self.place, window if wide else "")
        root.query_one(StatusLine).change(
            connection="MeshAG" if info is None else info.name,
            server="" if info is None else " ".join(filter(None, (_engine(info.engine), info.version))),
            read_only=not self.may_write,
            freshness=("", "") if info is None else self._freshness(info),
            work=self._work_words(),
            place="" if wide else window,
        )
        self.refresh_keys()

    def _freshness(self, info: ConnectionInfo) -> tuple[str, str]:
        interval = info.interval_s or self.settings.collect.interval_s
        age = freshness(info.last_sync_at, self.now_ms(), 1000 * max(3 * interval, 30), paused=self.held)
        if info.status is ConnectionStatus.INACTIVE:
            return f"sync is off, data {age[0]}", "warning"
        if info.status is ConnectionStatus.ERROR:
            return f"cannot sync, data {age[0]}", "warning"
        return age

    def doing(self, execution_id: str) -> str:
        """Where a run of this process is, in words; "" for one that does not run here."""
        return self._work.get(execution_id, (None, ""))[1]

    def _work_words(self) -> str:
        here = [words for connection, words in self._work.values() if connection == self.scope.connection_id]
        others = len(self._work) - len(here)
        words = here[:1] + ([f"{others} more running"] if others and here else [f"{others} running"] if others else [])
        return "; ".join(words)

    def refresh_keys(self) -> None:
        """Bring the footer up to date."""
        root = self._lines_root()
        if root is None:
            return
        bar = root.query_one(ActionBar)
        footer = [action for action in self.actions.footer(self.place, self.may_write) if action.id != "help"]
        reasons = self.reasons()
        bar.set_actions(footer, {a.id: reasons[a.id] for a in footer if a.id in reasons}, self.actions["help"])

    def on_descendant_focus(self) -> None:
        self.refresh_keys()

    async def on_event(self, event: events.Event) -> None:
        """Do what a key is bound to before the next key is looked at.

        Textual queues each key at the widget that has the focus when it arrives. Of keys that come in one breath (slow
        line, fast hand) the later ones would go to the widget the earlier ones just left, or be done to another.
        """
        if isinstance(event, events.Key) and not event.is_forwarded and await self._done_at_once(event):
            return
        await super().on_event(event)

    async def _done_at_once(self, event: events.Key) -> bool:
        if await self._check_bindings(event.key, priority=True):
            return True
        focused = self.focused
        if isinstance(focused, Input) and focused.check_consume_key(event.key, event.character):
            await focused._on_key(event)
            return True
        return await self._check_bindings(event.key)

    def say(self, message: str, severity: SeverityLevel = "information") -> None:
        """Say something in the status line, for a while."""
        root = self._lines_root()
        if root is not None:
            root.query_one(StatusLine).say(message, severity)

    # --- doing ------------------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something in a worker; what goes wrong is said and logged, and ends nothing."""

        async def doing() -> None:
            try:
                await work
            except MeshagError as error:
                self.say(str(error), "error")
            except Exception as error:  # a key must not end the application
                _LOG.exception("an action failed")
                self.say(f"{type(error).__name__}: {error}. {self.settings.log_file} has the details", "error")

        self.run_worker(doing(), group="doing", exit_on_error=False)

    def do(self, work: Awaitable[object]) -> None:
        """Do something beside the screens, for panes: a MeshagError is said, any other error logged as well."""

        async def awaited() -> None:
            await work

        self._do(awaited())

    def why_not(self, action_id: str) -> str | None:
        """Why a general action cannot be done now."""
        if self.bench is None and action_id not in ("quit", "help", "theme", "copy"):
            return "the store is not open"
        needs_one = ("choose-connection", "choose-window", "earlier", "later", "sync-now", "suggest", "cancel")
        if action_id in needs_one and self.connection is None:
            return "there is no connection yet"
        if action_id == "later" and self.scope.end is None:
            return "this is the newest"
        if action_id == "cancel" and not self._running_here():
            return "nothing runs for this connection"
        return None

    def do_sync_now(self) -> None:
        """Read the server now."""
        if self.connection is not None:
            self._do(self.sync([self.connection.id]))

    async def sync(self, connection_ids: Sequence[str]) -> None:
        """Read servers now, side by side, and say how it went; each failure is said by name."""
        assert self.bench is not None  # noqa: S101
        names = {info.id: info.name for info in self.connections}
        ended = await asyncio.gather(*(self.bench.sync(each) for each in connection_ids), return_exceptions=True)
        for connection_id, report in zip(connection_ids, ended, strict=True):
            name = names.get(connection_id, connection_id)
            if isinstance(report, MeshagError):
                self.say(f"{name}: {report}", "error")
            elif isinstance(report, BaseException):
                raise report
            else:
                warned = f", {len(report.warnings)} warnings" if report.warnings else ""
                took = duration(report.duration_ms)
                self.say(f"Synced {name}: {count(report.statements)} statements in {took}{warned}")

    def do_suggest(self) -> None:
        """Look for improvements now."""
        if self.connection is not None:
            self._do(self.suggest(self.connection.id))

    async def suggest(self, connection_id: str) -> None:
        """Look for improvements of a connection and say how many are open."""
        assert self.bench is not None  # noqa: S101
        name = next((info.name for info in self.connections if info.id == connection_id), connection_id)
        found = await self.bench.suggest(connection_id)
        self.say(f"{name}: {len(found)} open suggestions" if found else f"{name}: nothing to improve was found")

    def _running_here(self) -> list[str]:
        return [run for run, (connection, _) in self._work.items() if connection == self.scope.connection_id]

    async def do_cancel(self) -> None:
        """Cancel what runs for this connection."""
        assert self.bench is not None  # noqa: S101
        for execution_id in self._running_here():
            if await self.bench.cancel(execution_id):
                self.say("Cancelling")

    async def do_pause_refresh(self) -> None:
        """Hold the screen still, or let it go on."""
        self.held = not self.held
        self._sync_lines()
        if not self.held:
            await self._tick()
            pane = self.front_pane()
            if pane is not None and pane.stale:
                pane.refresh_soon()

    def do_choose_connection(self) -> None:
        choices = [
            Choice(info.id, f"{info.name}  {info.host}:{info.port}/{info.database}", info.status.lower())
            for info in self.connections
        ]

        def chosen(connection_id: str | None) -> None:
            if connection_id is not None:
                self.look_at_connection(connection_id)

        self.push_screen(Chooser("Connection", choices, self.scope.connection_id), chosen)

    def do_choose_window(self) -> None:
        choices = [Choice(str(span), name) for span, name in SPANS]
        if self.scope.span_ms not in dict(SPANS):
            choices.insert(0, Choice(str(self.scope.span_ms), span_name(self.scope.span_ms)))

        choices.append(Choice("other", "another span"))

        def chosen(span: str | None) -> None:
            if span == "other":
                self.push_screen(FormDialog("Window", [_SPAN_FIELD], "Look"), typed)
            elif span is not None:
                self.look_at(replace(self.scope, span_ms=int(span)))

        def typed(values: dict[str, str] | None) -> None:
            if values is not None:
                self.look_at(replace(self.scope, span_ms=span_from(values["span"])))

        self.push_screen(Chooser("Window", choices, str(self.scope.span_ms)), chosen)

    def do_earlier(self) -> None:
        self._move(-1)

    def do_later(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        info = self.connection
        newest = info.last_sync_at if info is not None else None
        self.look_at(self.scope.moved(by, round(self.now_ms()) if newest is None else newest))

    def do_palette(self) -> None:
        """Find an action, a place or a connection by a few letters."""
        reasons = self.reasons()
        choices = [
            Choice(f"do {action.id}", action.help, action.shown_key, reasons.get(action.id, ""))
            for action in self.actions.on(self.place, self.may_write)
            if action.bound and action.id not in ("palette", "back")
        ]
        choices += [Choice(f"at {info.id}", f"Look at {info.name}", info.label) for info in self.connections]

        def chosen(choice: str | None) -> None:
            if choice is None:
                return
            what, _, subject = choice.partition(" ")
            if what == "at":
                self.look_at_connection(subject)
            else:
                self._do(self._perform_soon(subject))

        self.push_screen(Chooser("Find", choices), chosen)

    async def _perform_soon(self, action_id: str) -> None:
        await asyncio.sleep(0)  # the chooser leaves the stack first
        await self.perform(action_id)

    def do_help(self) -> None:
        title = next((place.title for place in PLACES if place.name == self.place), "MeshAG")
        parts = self.actions.help_text(self.place, self.reasons(), self.may_write)
        self.push_screen(TextDialog(f"Keys: {title}", parts))

    def do_back(self) -> None:
        pane = self.front_pane()
        if pane is not None:
            pane.back()

    def do_quit(self) -> None:
        pane = self.front_pane()
        if pane is not None and pane.depth:
            pane.back()
        elif self._changing() and time.monotonic() - self._quit_asked_at > _QUIT_AGAIN_S:
            self._quit_asked_at = time.monotonic()
            key = self.actions["quit"].shown_key
            self.say(f"A change is being applied. {key} again leaves; the next start looks how it ended", "warning")
        else:
            self.exit()

    def _changing(self) -> bool:
        return any(words.startswith(_WORK["change_database"]) for _, words in self._work.values())

    # --- when a pane fails ------------------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """A widget that fails takes its pane with it, not the application; the pane is made anew when asked for."""
        pump = active_message_pump.get(None)
        pane = next((pane for pane in self._panes.values() if _inside(pump, pane)), None)
        if pane is None or self._exit:
            super()._handle_exception(error)
            return
        _LOG.error("%s failed\n%s", pane.place, crash_report(error))
        del self._panes[pane.place]
        self.call_later(self._bury, pane, self.failure_state(error))

    async def _bury(self, pane: Pane, state: State) -> None:
        """Say what happened where the pane was."""
        self._opening(replace(state, remedy=f"{state.remedy} Its number key opens it again."))
        self.query_one("#panes", ContentSwitcher).current = _OPENING
        self.place = _OPENING
        self._sync_lines()
        pane.display = False
        pane.remove()


def _inside(pump: object, pane: DOMNode) -> bool:
    if isinstance(pump, Screen) or not isinstance(pump, DOMNode):
        return False
    return pane in pump.ancestors_with_self


def _engine(name: str | None) -> str:
    return {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}.get((name or "").lower(), name or "")
