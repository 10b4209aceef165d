"""What is looked at and how it is kept fresh: connections, scope, notices, the age of the data.

In: notices of workflows and what the store says. Out: the status line, and the panes that must read again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from meshag_tui.screens.keys import ACTIONS
from meshag_tui.screens.scope import Scope
from meshag_tui.screens.tabs import Tabs
from meshag_tui.settings import Settings
from meshag_tui.text import one_line
from meshag_tui.types import ConnectionStatus, MeshagError, Window
from meshag_tui.widgets.actions import ActionApp, Actions
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.status import ActionBar, StatusLine, freshness

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from meshag_tui.screens.pane import Pane
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.notices import Notice
    from meshag_tui.workflows.workbench import Workbench

_LOG = logging.getLogger("meshag.screens")
_PROGRESS_EVERY_S = 0.5
_REMEMBERED = "screens.scope"
WORK = {
    "sync_database_stats": "syncing",
    "generate_suggestions": "advising",
    "change_database": "applying",
    "rehearse_suggestion": "rehearsing",
    "keep_store": "tidying",
}
"""What a workflow of a kind does, while it does it."""


class LookingApp(ActionApp):
    """`bench` is set once the store is open; `connection` and `scope` are what panes look at."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        """`clock` says the time in epoch seconds."""
        super().__init__(Actions(ACTIONS, settings.ui.keys), settings.ui.theme)
        self._disable_tooltips = self._disable_notifications = True  # the status line says all, and covers nothing
        self.settings = settings
        self.bench: Workbench | None = None
        self.connections: tuple[ConnectionInfo, ...] = ()
        self.scope = Scope()
        self.held = False  # nothing is refreshed
        self.panes: dict[str, Pane] = {}  # those that were shown, by name
        self._clock = clock
        self._work: dict[str, tuple[str | None, str]] = {}  # execution id -> connection id, words
        self._work_said_at = 0.0

    def front_pane(self) -> Pane | None:
        return self.panes.get(self.place)

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
        for pane in self.panes.values():
            if other and pane.needs_connection:
                pane.connection_changed()
            pane.refresh_soon()
        self._sync_lines()
        if self.bench is not None:
            self._do(self._remember())

    def look_at_connection(self, connection_id: str) -> None:
        """Look at another connection, at its newest data."""
        self.look_at(self.scope._replace(connection_id=connection_id, end=None))

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
            self.look_at(self.scope._replace(connection_id=None))
        self._sync_lines()
        now = self.connection
        return (before and (before.id, before.last_sync_at)) != (now and (now.id, now.last_sync_at))

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
        for pane in self.panes.values():
            if pane.concerns(notice):
                if self.held:
                    pane.stale = True
                else:
                    pane.notice_soon()
        if kind == "Changed" and notice.topic in ("connections", "suggestions") and not self.held:  # type: ignore[union-attr]
            self._do(self.read_connections())

    def _progress(self, notice: Any) -> None:
        words = f"{WORK.get(notice.kind, notice.kind.replace('_', ' '))}: {notice.phase.replace('_', ' ')}"
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

    def doing(self, execution_id: str) -> str:
        """Where a run of this process is, in words; "" for one that does not run here."""
        return self._work.get(execution_id, (None, ""))[1]

    def _work_words(self) -> str:
        here = [words for connection, words in self._work.values() if connection == self.scope.connection_id]
        others = len(self._work) - len(here)
        words = here[:1] + ([f"{others} more running"] if others and here else [f"{others} running"] if others else [])
        return "; ".join(words)

    # --- the lines that are always there ---------------------------------------------------------------------------

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

    def refresh_keys(self) -> None:
        """Bring the footer up to date."""
        root = self._lines_root()
        if root is None:
            return
        bar = root.query_one(ActionBar)
        footer = [action for action in self.actions.footer(self.place, self.may_write) if action.id != "help"]
        reasons = self.reasons()
        footer.sort(key=lambda action: action.id in reasons)  # what can be done has the room first
        bar.set_actions(footer, {a.id: reasons[a.id] for a in footer if a.id in reasons}, self.actions["help"])

    def on_descendant_focus(self) -> None:
        self.refresh_keys()

    def say(self, message: str, severity: SeverityLevel = "information") -> None:
        """Say something in the status line, for a while."""
        root = self._lines_root()
        if root is not None:
            root.query_one(StatusLine).say(message, severity)

    def notify(self, message: str, *, severity: SeverityLevel = "information", **_: Any) -> None:
        """What Textual itself has to tell is said there too."""
        self.say(message, severity)

    # --- words -----------------------------------------------------------------------------------------------------

    def no_connection_state(self) -> State:
        """What a pane says when there is no connection to look at."""
        return State(
            Condition.EMPTY,
            "there is no connection yet",
            "MeshAG reads the statistics that PostgreSQL, MySQL and MariaDB keep of queries, tables and indexes.",
            f"{self.actions['screen-1'].shown_key} goes to the overview, i adds one there.",
        )

    def failure_state(self, error: BaseException) -> State:
        """What is said of an error that nobody expected; the log has all of it."""
        said = one_line(str(error), 300) or "no further words"
        detail = f"{type(error).__name__}: {said}"
        return State(Condition.ERROR, "this screen failed", detail, f"{self.settings.log_file} has the details.")

    # --- work beside the screens -----------------------------------------------------------------------------------

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


def _engine(name: str | None) -> str:
    return {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}.get((name or "").lower(), name or "")
