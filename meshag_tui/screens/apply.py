"""Before a change: the dialog that shows exactly what would run where, with its gates and what puts it back.

It is open while the server is asked, so that keys pressed meanwhile reach nothing else. What is blocked cannot be run;
what is not known must be gone on without, and what is warned of be accepted, each by a key of its own; what would be
dropped must be named. Returns the hash of the review that was agreed to, or None.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from meshag_tui.glyphs import glyphs
from meshag_tui.proposed import statement_of
from meshag_tui.text import one_line
from meshag_tui.types import MeshagError
from meshag_tui.widgets.dialog import Answer, More, dialog_css, fit_page, sql_parts
from meshag_tui.widgets.entry import QuietInput
from meshag_tui.widgets.page import Page, Piece, PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.widgets.states import Condition, State

if TYPE_CHECKING:
    from meshag_tui.changes.review import Review
    from meshag_tui.engines.base import Gate

VALID_S = 15 * 60.0
"""A review older than this is not run: the server has moved on, and the workbench refuses it as well."""
_GATES = {
    "pass": ("good", "ok"),
    "warn": ("warning", "warns"),
    "unknown": ("warning", "unknown"),
    "block": ("critical", "blocks"),
}
ORDER = {"block": 0, "unknown": 1, "warn": 2, "pass": 3}
"""What speaks against a change comes first."""


def gate_pieces(gate: Gate) -> list[Piece]:
    """A gate in a line: symbol, word, value and limit; below it why, when it does not simply let us through."""
    drawn = glyphs()
    symbol = {"pass": drawn.ok, "block": drawn.bad}.get(gate.state, drawn.warning)
    look, word = _GATES[gate.state]
    limit = f" (limit: {one_line(gate.limit)})" if gate.limit else ""
    said: list[Piece] = [
        (look, f"  {symbol} {word:<6} "),
        ("", f"{one_line(gate.name)}: {one_line(gate.value)}{limit}\n"),
    ]
    if gate.detail and gate.state != "pass":
        said.append(("dim", f"            {one_line(gate.detail)}\n"))
    return said


def review_pieces(review: Review) -> list[Piece]:
    """All of a review. What speaks against it comes first after the statement, so that nobody has to scroll to it."""
    said: list[Piece] = [("dim", "On       "), ("bold", f"{one_line(review.target_label)}\n"), ("dim", "This runs:\n")]
    first, rest = statement_of(review.sql)
    said += [*sql_parts(first.strip(), review.dialect), ("", "\n")]
    if rest:
        said.append(("dim", "Then, which belongs to it:\n"))
    for one in rest:
        said += [*sql_parts(one.strip(), review.dialect), ("", "\n")]
    said.append(("dim", "Gates:\n" if review.gates else "No gate applies to it.\n"))
    for gate in sorted(review.gates, key=lambda each: ORDER[each.state]):
        said += gate_pieces(gate)
    said.append(("dim", "This puts it back:\n"))
    said += (
        sql_parts(review.undo_sql.strip(), review.dialect)
        if review.undo_sql
        else [("", "Nothing: it changes no definition.")]
    )
    return [*said, ("", "\n")]


class Agreeable(Protocol):
    """What can be agreed to: a review, or several of them together."""

    @property
    def sql(self) -> str: ...
    @property
    def plan_hash(self) -> str: ...
    @property
    def needs_name(self) -> str | None: ...
    @property
    def blocked_by(self) -> tuple[Gate, ...]: ...
    @property
    def warned_by(self) -> tuple[Gate, ...]: ...
    @property
    def unknown(self) -> tuple[Gate, ...]: ...


_Shown = TypeVar("_Shown", bound=Agreeable)


class ApplyDialog(Dialog[str | None]):
    """Asks for a review and for a deliberate yes to it. Returns the plan hash, None when it was left.

    Keys: r runs it, k goes on without what is not known, w accepts the warnings, y copies the statement, c, n or esc
    leave. Where a name must be typed letters are letters: enter runs it. `accept` is what was gone on without, by name.
    """

    DEFAULT_CSS = dialog_css("ApplyDialog")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("c,n", "leave", "Cancel", show=False),
        Binding("r", "confirm", "Run", show=False),
        Binding("k", "go_on", "Go on without knowing", show=False),
        Binding("w", "accept", "Accept the warnings", show=False),
        Binding("y", "copy_sql", "Copy", show=False),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
        Binding("pagedown", "page(1)", "Read on", show=False),
        Binding("pageup", "page(-1)", "Read back", show=False),
    ]

    def __init__(
        self,
        title: str,
        ask: Callable[[], Awaitable[_Shown]],
        verb: str = "Run it",
        pieces: Callable[[_Shown], list[Piece]] = review_pieces,  # type: ignore[assignment]
    ) -> None:
        super().__init__()
        self.review: Agreeable | None = None
        self.accept: tuple[str, ...] = ()
        self._title = title

        async def look() -> tuple[Agreeable, list[Piece]]:
            found = await ask()
            return found, pieces(found)

        self._ask = look
        self._verb = verb
        self._accepted = False
        self._until = 0.0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine(self._title, classes="dialog--title")
            page = Page(id="plan")
            page.can_focus = False
            yield page
            yield PlainLine("", id="name")
            yield QuietInput(id="typed")
            yield PlainLine("", id="problem", classes="dialog--problem")
            with Horizontal():
                yield More()
                yield Answer("esc", "Cancel", id="cancel")
                yield Answer("k", "Go on without knowing", id="go_on")
                yield Answer("w", "Accept the warnings", id="accept")
                yield Answer("r", self._verb, id="confirm", disabled=True)

    def on_mount(self) -> None:
        for part in ("#name", "#typed", "#go_on", "#accept"):
            self.query_one(part).display = False
        self.query_one("#cancel").focus()
        self.query_one("#plan", Page).set_state(State(Condition.LOADING, "asking the server; nothing runs yet"))
        self.run_worker(self._look())

    def on_resize(self) -> None:
        fit_page(self, lines=5 if self.query_one("#typed").display else 3)  # title, problem, answers; name, its field

    async def _look(self) -> None:
        try:
            review, pieces = await self._ask()
        except MeshagError as error:
            fix = getattr(error, "fix", None) or ""
            self.query_one("#plan", Page).set_state(State(Condition.ERROR, one_line(str(error)), remedy=fix))
            self._tell(f"{glyphs().bad} Nothing was run")
            return
        self.review, self._until = review, time.monotonic() + VALID_S
        self.query_one("#plan", Page).set_parts(pieces)
        self._show_next()

    def _show_next(self) -> None:
        """Offer what comes next: nothing, going on without knowing, accepting warnings, typing the name, running it."""
        review = self.review
        if review is None:
            return
        blocked, warned = review.blocked_by, review.warned_by
        confirm, accept = self.query_one("#confirm", Answer), self.query_one("#accept", Answer)
        unknown = [gate for gate in review.unknown if gate.name not in self.accept]
        go_on = self.query_one("#go_on", Answer)
        go_on.display = bool(unknown) and not blocked
        accept.display = bool(warned) and not blocked and not unknown and not self._accepted
        if blocked:
            gate = blocked[0]
            limit = f", must be {one_line(gate.limit)}" if gate.limit else ""
            self._tell(f"{glyphs().bad} Not possible now: {one_line(gate.name)} is {one_line(gate.value)}{limit}")
            return
        if unknown:
            names = ", ".join(dict.fromkeys(one_line(gate.name) for gate in unknown))
            self._tell(f"{glyphs().warning} Not known: {names}. k goes on without knowing, esc leaves")
            return
        if accept.display:
            many = "is a warning" if len(warned) == 1 else f"are {len(warned)} warnings"
            self._tell(f"{glyphs().warning} There {many}: w accepts, esc leaves")
            return
        self._tell("")
        if review.needs_name is None:
            confirm.disabled = False
            return
        name = self.query_one("#name", PlainLine)
        name.set_text(f"Type {one_line(review.needs_name)} and press enter to run it:")
        typed = self.query_one("#typed", QuietInput)
        name.display = typed.display = True
        self.on_resize()
        confirm.set_key("enter")
        typed.focus()

    def _tell(self, text: str) -> None:
        self.query_one("#problem", PlainLine).set_text(text)

    # --- answers ----------------------------------------------------------------------------------------------------

    def on_answer_chosen(self, event: Answer.Chosen) -> None:
        match event.answer.id:
            case "confirm":
                self.action_confirm()
            case "go_on":
                self.action_go_on()
            case "accept":
                self.action_accept()
            case _:
                self.action_leave()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one("#confirm", Answer).disabled = self.review is None or event.value != self.review.needs_name
        self._tell("")

    def on_input_submitted(self) -> None:
        self.action_confirm()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_page(self, by: int) -> None:
        self.query_one("#plan", Page).turn(by)

    def action_copy_sql(self) -> None:
        if self.review is not None:
            self.post_message(Page.Copied(self.query_one("#plan", Page), self.review.sql))

    def action_go_on(self) -> None:
        if self.review is not None and self.query_one("#go_on").display:
            self.accept = tuple(dict.fromkeys(gate.name for gate in self.review.unknown))
            self.query_one("#cancel").focus()
            self._show_next()

    def action_accept(self) -> None:
        if self.query_one("#accept").display:
            self._accepted = True
            self.query_one("#cancel").focus()
            self._show_next()

    def action_confirm(self) -> None:
        """Agree to what is shown, if that can be done."""
        review = self.review
        if review is None or review.blocked_by or (review.warned_by and not self._accepted):
            self._show_next()
            return
        if any(gate.name not in self.accept for gate in review.unknown):
            self._show_next()
            return
        if review.needs_name is not None and self.query_one("#typed", Input).value != review.needs_name:
            self._tell(f"{glyphs().bad} That is not the name: type {one_line(review.needs_name)}")
        elif time.monotonic() > self._until:
            self._tell(f"{glyphs().bad} This is too old by now: esc, and ask for it again")
        else:
            self.dismiss(review.plan_hash)
