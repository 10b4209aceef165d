"""What is looked at and how it is kept fresh: connections, scope, notices, the age of the data.

In: notices of workflows and what the store says. Out: the status line, and the panes that must read again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.screen import Screen

from meshag_tui.engines import SERVERS
from meshag_tui.glyphs import glyphs
from meshag_tui.screens.keys import ACTIONS
from meshag_tui.screens.scope import REMEMBERED, Scope, scope_from
from meshag_tui.screens.tabs import Tabs
from meshag_tui.settings import Settings
from meshag_tui.text import one_line
from meshag_tui.types import ConnectionStatus, MeshagError, Window
from meshag_tui.widgets.actions import Action, ActionApp, Actions
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.status import ActionBar, StatusLine, down_since, freshness
from meshag_tui.widgets.themes import NAMES

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from meshag_tui.screens.alert_news import AlertNews
    from meshag_tui.screens.pane import Pane
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.notices import Notice
    from meshag_tui.workflows.workbench import Workbench

_LOG = logging.getLogger("meshag.screens")
_PROGRESS_EVERY_S = 0.5
_SPEND_EVERY_S = 30.0
_RIGHTS_EVERY_S = 30.0
"""How soon it is known here that an admin gave somebody another role."""
_NEWS_EVERY_S = 10.0
"""How soon alerts are told that another process raised."""
_AT_ONCE_S = 5.0
"""How long after a key a dialog still belongs to it."""
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

    actions_given: ClassVar[tuple[Action, ...]] = ACTIONS

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        """`clock` says the time in epoch seconds."""
        super().__init__(Actions(self.actions_given, settings.ui.keys), settings.ui.theme)
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
        self._spend = ""  # on models, against the budget nearest its end
        self._spend_read_at = -_SPEND_EVERY_S
        self._role = ""  # of who acts, where that may not even sync
        self._rights_read_at = 0.0
        self._news: AlertNews | None = None  # read a while after the first paint
        self._news_read_at = 0.0
        self._dressed = self._own_theme = ""  # the theme of the project that is looked at, and the one to go back to

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
        if other:
            self._spend_read_at = -_SPEND_EVERY_S  # another project may have another budget
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
        self.scope = scope_from(await self.bench.store.read(recall, REMEMBERED))

    async def _remember(self) -> None:
        from meshag_tui.store.remembered import remember

        assert self.bench is not None  # noqa: S101
        kept = {"connection": self.scope.connection_id, "span_ms": self.scope.span_ms}
        await self.bench.store(remember, REMEMBERED, kept)

    async def read_connections(self) -> bool:
        """Read the connections; True if what panes show of the one in front may have changed."""
        from meshag_tui.store.connections import listing

        assert self.bench is not None  # noqa: S101
        before = self.connection
        self.connections = self._as_shown(await self.bench.store.read(listing))
        self.look_at(self.scope.on_one_of(self.connections))
        self._sync_lines()
        now = self.connection
        return (before and (before.id, before.last_sync_at)) != (now and (now.id, now.last_sync_at))

    @property
    def replays(self) -> bool:
        """Whether what is shown has passed: nothing is read from servers."""
        return False

    def _as_shown(self, found: Sequence[ConnectionInfo]) -> tuple[ConnectionInfo, ...]:
        """Connections as screens are to see them."""
        return tuple(found)

    # --- keeping fresh ----------------------------------------------------------------------------------------------

    def _heard(self, notice: Notice) -> None:
        """A workflow spoke; in the event loop's thread."""
        kind = type(notice).__name__
        if kind == "Progress":
            self._progress(notice)
        elif kind == "Finished":
            self._work.pop(notice.execution_id, None)  # type: ignore[union-attr]
            if notice.state == "ready":  # type: ignore[union-attr]  # it waits for somebody
                self.say(f"{notice.error}: {self.actions['screen-5'].shown_key} shows it", "warning")  # type: ignore[union-attr]
            if not self.held:
                self._sync_lines()
        for pane in self.panes.values():
            if pane.concerns(notice):
                if self.held:
                    pane.stale = True
                else:
                    pane.notice_soon()
        if kind == "Changed" and notice.topic == "alerts":  # type: ignore[union-attr]
            self._do(self._read_news())
        if kind == "Changed" and notice.topic == "models":  # type: ignore[union-attr]
            self._do(self._read_spend())
        if kind == "Changed" and notice.topic == "people":  # type: ignore[union-attr]
            self._do(self._read_rights())
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
        if time.monotonic() - self._spend_read_at >= _SPEND_EVERY_S:
            await self._read_spend()
        if time.monotonic() - self._news_read_at >= _NEWS_EVERY_S:
            await self._read_news()
        if time.monotonic() - self._rights_read_at >= _RIGHTS_EVERY_S:
            await self._read_rights()
        pane = self.front_pane()
        if pane is not None and (changed or pane.wants_tick):
            pane.refresh_soon()

    async def _read_rights(self) -> None:
        """What who acts may not do here, so that each key says it before anything is typed."""
        assert self.bench is not None  # noqa: S101
        self._rights_read_at = time.monotonic()
        if not self.bench.roles_may_count:
            return
        from meshag_tui.store.people import rights

        found = await self.bench.store.read(rights, self.bench.actor)
        self.refused = found.refused
        self._role = (found.role or "guest") if "collect" in found.refused else ""
        self._sync_lines()

    async def _read_news(self) -> None:
        """Count the alerts that stand, and tell the new ones."""
        from meshag_tui.screens.alert_news import AlertNews, in_words

        assert self.bench is not None  # noqa: S101
        self._news_read_at = time.monotonic()
        if self._news is None:
            self._news = AlertNews(self.settings.alerts)
        heard = await self._news.read(self.bench.store)
        found = self._news.said(heard)
        if found:
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            key = self.actions["screen-H"].shown_key
            self.say(f"{in_words(found[-1])}{more} ({key})", "error" if found[-1].severity == "critical" else "warning")
        if rings := self._news.rings(heard):
            self.ring(rings)
        self._sync_lines()

    async def _read_spend(self) -> None:
        """What is spent on models against the budget of the connection's project that is nearest its end."""
        from meshag_tui.store.budgets import WARN_AT, in_force

        assert self.bench is not None  # noqa: S101
        self._spend_read_at = time.monotonic()
        info, actor = self.connection, self.bench.actor
        project = None if info is None else info.project_id
        found = await self.bench.store.read(lambda: in_force(project, actor=actor))
        nearest = max(found, key=lambda one: one.share or 0.0, default=None)
        if nearest is None or nearest.cap is None:
            self._spend = ""
        else:
            warned = f"{glyphs().warning} " if (nearest.share or 0.0) >= WARN_AT else ""
            self._spend = f"{warned}{nearest.spent:.2f} of {nearest.cap.normalize():f} {nearest.currency}"
        self._sync_lines()

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
        self._dress("" if info is None else info.theme)
        self.may_write = not self.settings.read_only and not (info is not None and info.read_only)
        window = "" if info is None else f"window {self.scope.said}"
        wide = self.size.width >= 100
        root.query_one(Tabs).show(self.place, window if wide else "")
        root.query_one(StatusLine).change(
            connection="MeshAG" if info is None else info.name,
            server="" if info is None else " ".join(filter(None, (info.engine, info.version))),
            read_only=not self.may_write,
            freshness=("", "") if info is None else self._freshness(info),
            work=self._work_words(),
            spend=self._spend,
            alerts="" if self._news is None else self._news.words(None if info is None else info.id),
            stage="" if info is None or info.stage is None else info.stage,
            colour="" if info is None else info.colour,
            role=self._role,
            place="" if wide else window,
        )
        self.refresh_keys()

    def _dress(self, wanted: str) -> None:
        """Take the theme of a project, or the own one again when it is left."""
        if wanted != self._dressed and wanted in ("", *NAMES):
            if not self._dressed:
                self._own_theme = self.theme
            self._dressed = wanted
            self.theme = wanted or self._own_theme

    def _freshness(self, info: ConnectionInfo) -> tuple[str, str]:
        interval = info.interval_s or self.settings.collect.interval_s
        age = freshness(info.last_sync_at, self.now_ms(), 1000 * max(3 * interval, 30), paused=self.held)
        if info.status is ConnectionStatus.INACTIVE:
            return f"sync is off, data {age[0]}", "warning"
        if info.status is ConnectionStatus.ERROR:
            return f"{down_since(info.last_sync_at)}, data {age[0]}", "warning"
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
            if self.screen is not root:  # a dialog is before it, behind which nothing is painted by itself
                self.screen.refresh()

    def notify(self, message: str, *, severity: SeverityLevel = "information", **_: Any) -> None:
        """What Textual itself has to tell is said there too."""
        self.say(message, severity)

    # --- words -----------------------------------------------------------------------------------------------------

    def no_connection_state(self) -> State:
        """What a pane says when there is no connection to look at."""
        return State(
            Condition.EMPTY,
            "there is no connection yet",
            f"MeshAG reads the statistics that {SERVERS} keep of queries, tables and indexes.",
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
            asked = time.monotonic()
            try:
                await work
            except MeshagError as error:
                self._refused(error, time.monotonic() - asked)
            except Exception as error:  # a key must not end the application
                _LOG.exception("an action failed")
                self.say(f"{type(error).__name__}: {error}. {self.settings.log_file} has the details", "error")

        self.run_worker(doing(), group="doing")

    def _refused(self, error: MeshagError, after_s: float) -> None:
        """Say it in the status line; where it does not fit, in a dialog, unless that would take later keys."""
        fix = getattr(error, "fix", None) or ""
        said = f"{error} {glyphs().arrow} {fix}" if fix else str(error)
        root = self._lines_root()
        if root is None or self.screen is not root or after_s > _AT_ONCE_S or root.query_one(StatusLine).holds(said):
            self.say(said, "error")
            return
        from meshag_tui.widgets.dialog import error_dialog

        self.push_screen(error_dialog("Not done", str(error), fix))

    def do(self, work: Awaitable[object]) -> None:
        """Do something beside the screens, for panes: a MeshagError is said, any other error logged as well."""

        async def awaited() -> None:
            await work

        self._do(awaited())
