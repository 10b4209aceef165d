"""The first-run tour: place by place in the order of a triage, each behind a few sentences with the keys in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.binding import Binding, BindingType

from meshag_tui.screens.places import place_named
from meshag_tui.widgets.actions import Actions
from meshag_tui.widgets.dialog import TextDialog
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp


class Stop(NamedTuple):
    """A place, what it answers, and the ids of the actions that matter there."""

    place: str
    said: str
    actions: tuple[str, ...]


STOPS = (
    Stop(
        "connections",
        "Every database that is watched: how it fares, how fresh that is, and what is worth doing most there. "
        "Reading sessions are read-only, with time-outs; nothing is made on a server without your yes.",
        ("connection-add", "worth-first", "choose-connection", "choose-window"),
    ),
    Stop(
        "queries",
        "Statements by the time they took in the window: where a slow database spends it. "
        "Opened, one shows its history, its plan and the advice about it.",
        ("table.open", "explain", "why", "sort", "filter"),
    ),
    Stop(
        "sessions",
        "What sessions do at this moment, who waits for whom, and what it was doing at 03:12.",
        ("session-tree", "session-moment", "session-end"),
    ),
    Stop(
        "compare",
        "This window beside the one before, yesterday's or last week's; the worst regression stands first.",
        ("compare-against", "time-line"),
    ),
    Stop(
        "suggestions",
        "What would help, each with its evidence and how it was found out. Applying shows the exact SQL, the server, "
        "each gate and how it is taken back; only a second key runs it.",
        ("apply", "dismiss", "undo", "applied"),
    ),
    Stop(
        "activity",
        "Who did what, and when: every change, by hand or by a model, is there.",
        ("help", "palette", "theme", "quit"),
    ),
)


class TourDialog(TextDialog):
    """One stop. Enter goes on to the next one, esc or q ends the tour."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,right", "next", "Next", show=False)]
    HINT = "enter goes on, esc ends the tour"

    def action_next(self) -> None:
        self.dismiss(True)


def parts_of(stop: Stop, actions: Actions) -> list[Piece]:
    """The text of a stop; an action whose key was taken away is left out."""
    told = [actions[each] for each in stop.actions if actions[each].keys]
    width = max((len(action.shown_key) for action in told), default=0)
    parts: list[Piece] = [("", f"{stop.said}\n\n")]
    for action in told:
        parts += [("accent", f"  {action.shown_key:<{width}}  "), ("", f"{action.help}\n")]
    return parts


async def walk(shell: MeshagApp, at: int = 0) -> None:
    """Go to the stop and tell of it; what leads on from there is its dialog's answer."""
    stop = STOPS[at]

    def answered(on: bool | None) -> None:
        if on and at + 1 < len(STOPS):
            shell.do(walk(shell, at + 1))

    await shell.go(stop.place)
    title = f"Tour, {at + 1} of {len(STOPS)}: {place_named(stop.place).title}"
    shell.push_screen(TourDialog(title, parts_of(stop, shell.actions)), answered)
