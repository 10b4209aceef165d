"""Choosing one of many by typing a few of its letters: the palette, the connections, a window of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import dialog_css
from meshag_tui.widgets.entry import QuietInput
from meshag_tui.widgets.page import PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.widgets.states import Condition, State
from meshag_tui.widgets.table import Table


@dataclass(frozen=True)
class Choice:
    """Something to choose: `hint` (a key, a server) stands at the right; with `off` it is shown, but not to be had."""

    id: str
    label: str
    hint: str = ""
    off: str = ""

    @property
    def said(self) -> str:
        return f"({self.label}: {self.off})" if self.off else self.label


COLUMNS = (
    Column("said", "Choice", 20, flex=1, keep=100, tone=lambda said: "dim" if said.startswith("(") else ""),
    Column("hint", "", 16, align="right", keep=50),
)


def fit_of(typed: str, label: str) -> int | None:
    """How well a label fits what was typed, greater is better; None if its letters are not there in this order."""
    wanted, text = typed.lower().replace(" ", ""), label.lower()
    score, at, last = 0, 0, -2
    for letter in wanted:
        found = text.find(letter, at)
        if found < 0:
            return None
        score += 10 if found == last + 1 else 6 if found == 0 or not text[found - 1].isalnum() else 1
        last, at = found, found + 1
    return score * 100 - len(text)


def fitting(typed: str, choices: Sequence[Choice]) -> list[Choice]:
    """The choices that fit, the best first; all of them, in their order, when nothing was typed."""
    if not typed.strip():
        return list(choices)
    found = [(max(filter(None, (fit_of(typed, c.label), fit_of(typed, c.hint))), default=None), c) for c in choices]
    scored = [(score, choice) for score, choice in found if score is not None]
    return [choice for _, choice in sorted(scored, key=lambda pair: -pair[0])]


class Chooser(Dialog[str | None]):
    """Type to narrow, arrows to move, enter to take: returns the id, or None when it was left.

    `beyond` makes a choice of what was typed that is not among them, such as an id that was pasted; it stands first.
    """

    DEFAULT_CSS = (
        dialog_css("Chooser")
        + """
    Chooser { align: center top; }
    Chooser > .dialog { margin-top: 2; max-width: 76; }
    Chooser Table { height: auto; max-height: 50vh; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("down,ctrl+n", "move(1)", "Down", show=False, priority=True),
        Binding("up,ctrl+p", "move(-1)", "Up", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        current: str | None = None,
        beyond: Callable[[str], Choice | None] | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._beyond = beyond
        self._choices = tuple(choices)
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine(self._title, classes="dialog--title")
            yield QuietInput(placeholder="type to narrow")
            table = Table(
                COLUMNS,
                key=lambda choice: choice.id,
                sorts=False,
                markable=False,
                empty=State(Condition.EMPTY, "nothing fits what you typed"),
            )
            table.can_focus = False
            yield table
            yield PlainLine("", id="problem", classes="dialog--problem")

    def on_mount(self) -> None:
        table = self.query_one(Table)
        table.set_rows(self._choices)
        if self._current is not None:
            table.move_to(self._current)
        self.query_one(QuietInput).focus()

    def on_resize(self) -> None:
        """The choices take what the frame leaves: margin, frame, title, field and the line for a problem."""
        self.query_one(Table).styles.max_height = max(3, min(20, self.size.height * 95 // 100 - 7))

    def on_input_changed(self, event: Input.Changed) -> None:
        table = self.query_one(Table)
        more = None if self._beyond is None else self._beyond(event.value.strip())
        table.set_rows([*([] if more is None else [more]), *fitting(event.value, self._choices)])
        table.action_first()

    def on_input_submitted(self) -> None:
        self._take()

    def on_table_row_selected(self) -> None:
        self._take()

    def action_move(self, by: int) -> None:
        self.query_one(Table).action_move(by)

    def action_leave(self) -> None:
        self.dismiss(None)

    def _take(self) -> None:
        choice = self.query_one(Table).row
        if choice is not None and choice.off:
            self.query_one("#problem", PlainLine).set_text(f"{choice.label}: {choice.off}")
        elif choice is not None:
            self.dismiss(choice.id)
