"""The actions that work on every screen: sync, advise, cancel, hold, choose, find, help, back, quit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from meshag_tui.figures import duration, number_of
from meshag_tui.screens.looking import WORK, LookingApp
from meshag_tui.screens.places import PLACES
from meshag_tui.screens.scope import SPANS, span_from, span_name
from meshag_tui.screens.trail import Trail
from meshag_tui.types import MeshagError

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp

_QUIT_AGAIN_S = 10.0


def _span_problem(text: str) -> str | None:
    try:
        span_from(text)
    except MeshagError as error:
        return str(error)
    return None


class GeneralApp(LookingApp):
    """Each `do_…` is an action of `keys.ACTIONS`; a pane that has its own comes first."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._quit_asked_at = -_QUIT_AGAIN_S
        self.trail = Trail()

    def why_not(self, action_id: str) -> str | None:
        """Why a general action cannot be done now."""
        if self.bench is None and action_id not in ("quit", "help", "theme", "copy"):
            return "the store is not open"
        needs_one = ("choose-connection", "choose-window", "earlier", "later", "sync-now", "suggest", "cancel")
        if action_id in needs_one and self.connection is None:
            return "there is no connection yet"
        if action_id in ("jump-back", "jump-forward") and not self.trail.can(-1 if action_id == "jump-back" else 1):
            return "you were nowhere else"
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
                warned = f", {number_of(len(report.warnings), 'warning')}" if report.warnings else ""
                took = duration(report.duration_ms)
                self.say(f"Synced {name}: {number_of(report.statements, 'statement')} in {took}{warned}")

        await self._catch_up()

    async def _catch_up(self) -> None:
        """Show what somebody asked for also where nothing is refreshed by itself."""
        pane = self.front_pane()
        if self.held:
            await self.read_connections()
            if pane is not None:
                pane.refresh_soon()

    def do_suggest(self) -> None:
        """Look for improvements now."""
        if self.connection is not None:
            self._do(self.suggest(self.connection.id))

    async def suggest(self, connection_id: str) -> None:
        """Look for improvements of a connection and say how many are open."""
        assert self.bench is not None  # noqa: S101
        name = next((info.name for info in self.connections if info.id == connection_id), connection_id)
        found = await self.bench.advice.suggest(connection_id)
        self.say(
            f"{name}: {number_of(len(found), 'open suggestion')}" if found else f"{name}: nothing to improve was found"
        )
        await self._catch_up()

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
        from meshag_tui.widgets.chooser import Choice, Chooser

        choices = [
            Choice(info.id, f"{info.name}  {info.host}:{info.port}/{info.database}", info.status.lower())
            for info in self.connections
        ]

        def chosen(connection_id: str | None) -> None:
            if connection_id is not None:
                self.look_at_connection(connection_id)

        self.push_screen(Chooser("Connection", choices, self.scope.connection_id), chosen)

    def do_choose_window(self) -> None:
        from meshag_tui.widgets.chooser import Choice, Chooser
        from meshag_tui.widgets.form import Field, FormDialog

        choices = [Choice(str(span), name) for span, name in SPANS]
        if self.scope.span_ms not in dict(SPANS):
            choices.insert(0, Choice(str(self.scope.span_ms), span_name(self.scope.span_ms)))

        choices.append(Choice("other", "another span"))

        def chosen(span: str | None) -> None:
            if span == "other":
                field = Field("span", "Span", hint="90m, 36h, 3d, 2w", check=_span_problem, required=True)
                self.push_screen(FormDialog("Window", [field], "Look"), typed)
            elif span is not None:
                self.look_at(self.scope._replace(span_ms=int(span)))

        def typed(values: dict[str, str] | None) -> None:
            if values is not None:
                self.look_at(self.scope._replace(span_ms=span_from(values["span"])))

        self.push_screen(Chooser("Window", choices, str(self.scope.span_ms)), chosen)

    def do_earlier(self) -> None:
        self._move(-1)

    def do_later(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        info = self.connection
        newest = info.last_sync_at if info is not None else None
        self.look_at(self.scope.moved(by, round(self.now_ms()) if newest is None else newest))

    async def do_palette(self) -> None:
        """Find an action, a place, a connection, or something of the connection by a few letters, or by its id."""
        from meshag_tui.screens import finding
        from meshag_tui.widgets.chooser import Choice, Chooser

        reasons = self.reasons()
        choices = [
            Choice(f"do {action.id}", action.help, action.shown_key, reasons.get(action.id, ""))
            for action in self.actions.on(self.place, self.may_write)
            if action.bound and action.id not in ("palette", "back")
        ]
        choices += [Choice(f"at {info.id}", f"Look at {info.name}", info.label) for info in self.connections]
        choices += finding.projects(self.connections)

        if self.bench is not None and (info := self.connection) is not None:
            choices += await self.bench.store.read(finding.things, info.id, await self.window_of(info))

        def chosen(choice: str | None) -> None:
            if choice is None:
                return
            what, _, subject = choice.partition(" ")
            if what == "at":
                self.look_at_connection(subject)
            elif what != "do":
                self._do(finding.open_thing(cast("MeshagApp", self), what, subject))
            else:
                self._do(self._perform_soon(subject))

        self.push_screen(Chooser("Find", choices, beyond=finding.by_id), chosen)

    async def _perform_soon(self, action_id: str) -> None:
        await asyncio.sleep(0)  # the chooser leaves the stack first
        await self.perform(action_id)

    def do_help(self) -> None:
        from meshag_tui.widgets.dialog import TextDialog

        title = next((place.title for place in PLACES if place.name == self.place), "MeshAG")
        parts = self.actions.help_text(self.place, self.reasons(), self.may_write)
        parts.append(("dim", "For a screen reader: meshag --plain tells the screens in lines and redraws nothing.\n"))
        self.push_screen(TextDialog(f"Keys: {title}", parts))

    async def do_tour(self) -> None:
        from meshag_tui.screens.tour import walk

        await walk(cast("MeshagApp", self))

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
        return any(words.startswith(WORK["change_database"]) for _, words in self._work.values())
