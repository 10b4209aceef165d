"""The application on a copied store, at moments that have passed: no server is read, nothing can be changed.

All screens show what was known at the moment of the `Player`; what has no history (suggestions, runs, the activity
log) is as it was when the store was copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from meshag_tui.app import MeshagApp
from meshag_tui.figures import moment, moment_from
from meshag_tui.glyphs import use_ascii, use_plain
from meshag_tui.screens.keys import ACTIONS
from meshag_tui.screens.places import PLACES
from meshag_tui.screens.player import Player
from meshag_tui.settings import Settings
from meshag_tui.widgets.actions import Action
from meshag_tui.widgets.plain import CSS, PlainApp

if TYPE_CHECKING:
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.workbench import Workbench

_MAY = frozenset(
    {
        *("earlier", "later", "pause-refresh", "filter", "sort", "sort-reverse", "columns", "presets", "copy"),
        *("copy-as", "jump-back", "jump-forward"),
        *("export", "choose-connection", "choose-window", "theme", "palette", "help", "back", "quit"),
        *("worth-first", "worth-second", "worth-third", "next-metric", "older-plan", "internal"),
        *("indexes-show", "index-metric", "tables-show", "table-metric", "compare-against", "time-line"),
        *("sessions-show", "session-tree", "session-query", "session-moment", "session-zoom"),
        *("suggestions-show", "applied", "calibration", "measured", "part-next", "part-before"),
        *("replay-faster", "replay-slower", "replay-jump"),
    }
)
"""What only shows. Everything else is off, what is not there yet too: it might ask a server or change the copy."""
_PLACES_OFF = frozenset({"doctor"})  # it asks the server as it opens
_KEYS = (
    Action("replay-faster", ">", "Faster", "Replay faster", group="Replay", footer=5),
    Action("replay-slower", "<", "Slower", "Replay slower", group="Replay", footer=6),
    Action("replay-jump", "@", "Jump", "Go to a moment of what was recorded", group="Replay", footer=7),
)


def run(settings: Settings, bench: Workbench | None, player: Player) -> int:
    """Show the screens at the player's moment and return the exit code; without `bench` the store is opened here."""
    if settings.ui.plain:
        use_plain()
        return PlainReplayApp(settings, bench, player=player).run_guarded()
    use_ascii(True if settings.ui.ascii else None)
    return ReplayApp(settings, bench, player=player).run_guarded(mouse=settings.ui.mouse)


class ReplayApp(MeshagApp):
    """`player` is the clock of all screens."""

    actions_given: ClassVar[tuple[Action, ...]] = (*_KEYS, *ACTIONS)

    def __init__(self, settings: Settings, bench: Workbench | None = None, *, player: Player, **more: Any) -> None:
        super().__init__(settings, bench, collect=False, clock=player, **more)
        self.player = player
        self._said_end = False

    @property
    def replays(self) -> bool:
        return True

    def _as_shown(self, found: Sequence[ConnectionInfo]) -> tuple[ConnectionInfo, ...]:
        """Connections as far as they were synced at this moment."""
        now = round(self.player.at)
        return tuple(
            info if info.last_sync_at is None else info._replace(last_sync_at=min(info.last_sync_at, now))
            for info in found
        )

    def why_disabled(self, action: Action) -> str | None:
        place = next((each.name for each in PLACES if action.id == f"screen-{each.key}"), None)
        if action.bound and action.id not in _MAY and (place is None or place in _PLACES_OFF):
            return "a replay asks no server and changes nothing"
        return super().why_disabled(action)

    def start_place(self) -> str:
        return "sessions" if self.connections else super().start_place()

    def _freshness(self, info: ConnectionInfo) -> tuple[str, str]:
        how = "stands" if self.player.stands else f"{self.player.speed:g}×"
        return f"replay {how}, {moment(self.player.at)}", "warning"

    async def _tick(self) -> None:
        await super()._tick()
        pane = self.front_pane()
        if not self.held and pane is not None:
            pane.refresh_soon()
        if self.player.ended and not self._said_end:
            self._said_end = True
            self.say(f"This is the end of what was recorded, {moment(self.player.end)}", "warning")

    # --- actions ----------------------------------------------------------------------------------------------------

    async def do_pause_refresh(self) -> None:
        self.player.stand(not self.held)
        await super().do_pause_refresh()

    def do_replay_faster(self) -> None:
        self._speed(1)

    def do_replay_slower(self) -> None:
        self._speed(-1)

    def _speed(self, by: int) -> None:
        self.player.change_speed(by)
        self.say(f"Replayed at {self.player.speed:g} times the speed of life")
        self._sync_lines()

    def do_replay_jump(self) -> None:
        """Ask for a moment and go on from there."""
        from meshag_tui.widgets.form import Field, FormDialog

        def problem(text: str) -> str | None:
            good = moment_from(text, self.player.end) is not None
            return None if good else "a time as 03:12, or with its day as 2026-09-21 03:12"

        def typed(values: dict[str, str] | None) -> None:
            at = None if values is None else moment_from(values["at"], self.player.end)
            if at is not None:
                self.player.go_to(at)
                self._said_end = False
                self._do(self._tick())

        span = f"{moment(self.player.start, '%Y-%m-%d %H:%M')} to {moment(self.player.end, '%Y-%m-%d %H:%M')}"
        field = Field("at", "Moment", hint=span, check=problem, required=True)
        self.push_screen(FormDialog("Go on from", [field], "Go"), typed)


class PlainReplayApp(PlainApp, ReplayApp):
    """The same, told in lines."""

    CSS = ReplayApp.CSS + CSS

    def __init__(self, settings: Settings, *given: Any, **more: Any) -> None:
        super().__init__(settings, *given, **more)
        self.held = True
