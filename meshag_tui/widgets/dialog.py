"""Questions that come before something happens: what exactly, to what, whether it is safe, and how to take it back.

A dialog stands in front of the screen, which stays as it is behind it. The harmless answer has the focus.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from meshag_tui.glyphs import glyphs
from meshag_tui.text import fit, one_line, width_of
from meshag_tui.widgets.entry import QuietInput
from meshag_tui.widgets.page import Page, Piece, PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.widgets.sql import laid_out, pieces

PLAN_VALID_S = 20 * 60.0
"""How long a shown plan may be confirmed; the database has moved on after that."""

_DIALOG_CSS = """
    {name} { align: center middle; background: transparent; }
    {name} > .dialog { width: 90%; max-width: 100; height: auto; max-height: 95%; }
    {name} > .dialog { border: round $primary; padding: 0 1; background: $surface; }
    {name} .dialog--title { text-style: bold; }
    {name} .dialog--problem { color: $warning; }
    {name} .dialog--hint { text-style: dim; }
    {name} Horizontal { height: 1; align-horizontal: right; }
    {name} More { width: 1fr; text-style: dim; }
    {name} Page { height: auto; max-height: 60vh; }
"""


def dialog_css(name: str) -> str:
    """The common look of dialogs, for a screen class of this name."""
    return _DIALOG_CSS.replace("{name}", name)


def fit_page(dialog: Widget, lines: int) -> None:
    """Give a dialog's page all the height there is, less the frame and so many lines of its own.

    Textual 8.2 reckons the frame without its text's limit: with a limit of its own, lines at its end stayed empty.
    """
    dialog.query_one(Page).styles.max_height = max(3, dialog.size.height * 95 // 100 - 2 - lines)


class More(PlainLine):
    """Says in a dialog's last line how many lines of its page are below and which key reads on; then `beside`."""

    def __init__(self, beside: str = "") -> None:
        super().__init__()
        self._beside = beside

    def on_mount(self) -> None:
        page = self.screen.query_one(Page)
        for what in ("lines_below", "scroll_y"):
            self.watch(page, what, self._tell)

    def _tell(self) -> None:
        page = self.screen.query_one(Page)
        below = page.lines_below
        said = f"pgdn: {below} more" if below else "pgup reads back" if page.scroll_offset.y else ""
        self.set_text(glyphs().separator.join(filter(None, (said, self._beside))))


class Answer(Widget, can_focus=True):
    """One of the answers a dialog takes: a key and a word. Enter, space or a click chooses it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "choose", "Choose", show=False)]
    DEFAULT_CSS = """
    Answer { width: auto; height: 1; margin-left: 2; }
    Answer:focus { text-style: reverse; }
    Answer:disabled { text-style: dim; }
    """

    class Chosen(Message):
        """This answer was chosen."""

        def __init__(self, answer: Answer) -> None:
            super().__init__()
            self.answer = answer

        @property
        def control(self) -> Answer:
            return self.answer

    def __init__(self, key: str, word: str, *, id: str, disabled: bool = False) -> None:
        super().__init__(id=id, disabled=disabled)
        self._word = one_line(word, 40)
        self.set_key(key)

    def set_key(self, key: str) -> None:
        """Show another key for it; "" for none."""
        self._said = f" {key} {self._word} " if key else f" {self._word} "
        self.refresh(layout=True)

    def get_content_width(self, container: object, viewport: object) -> int:
        return width_of(self._said)

    def render_line(self, y: int) -> Strip:
        return Strip([Segment(fit(self._said, self.size.width), self.rich_style)], self.size.width)

    def action_choose(self) -> None:
        self.post_message(self.Chosen(self))

    def on_click(self, event: events.Click) -> None:
        self.action_choose()


@dataclass(frozen=True)
class Gate:
    """A condition that must hold before something is done. `ok` None: it could not be found out, which counts as no."""

    name: str
    value: str
    limit: str
    ok: bool | None

    def line(self) -> Piece:
        drawn = glyphs()
        sign = drawn.unknown if self.ok is None else drawn.ok if self.ok else drawn.bad
        word = "unknown" if self.ok is None else "ok" if self.ok else "no"
        look = "good" if self.ok else "warning" if self.ok is None else "critical"
        return look, f"  {sign} {word:<7} {self.name}: {self.value} (wanted: {self.limit})\n"


@dataclass(frozen=True)
class Confirmation:
    """What is about to happen.

    `object_name` is what it happens to, `effect` what it does in a sentence, `sql` exactly what runs, `undo` exactly
    what puts it back (or why nothing does). A gate that is not ok bars the way unless `despite_gates`. With
    `typed_name` the user must type that name. `verb` is the word of the answer that does it, `key` its key.
    """

    title: str
    object_name: str
    effect: str
    sql: str = ""
    gates: tuple[Gate, ...] = ()
    undo: str = ""
    typed_name: str | None = None
    verb: str = "Run it"
    key: str = "r"
    dialect: str = "postgres"
    despite_gates: bool = False
    notes: tuple[str, ...] = ()

    @property
    def barred_by(self) -> tuple[Gate, ...]:
        """The gates that do not let it through."""
        return () if self.despite_gates else tuple(gate for gate in self.gates if not gate.ok)

    def parts(self) -> list[Piece]:
        """The text of the dialog."""
        said: list[Piece] = [("bold", f"{one_line(self.object_name)}\n"), ("", f"{self.effect}\n")]
        if self.sql:
            said += [("dim", "\nThis runs:\n"), ("accent", f"{self.sql.strip()}\n")]
        if self.gates:
            said += [("dim", "\nBefore it may:\n"), *(gate.line() for gate in self.gates)]
        if self.undo:
            said += [("dim", "\nTo undo it:\n"), ("", f"{self.undo.strip()}\n")]
        said += [("warning", f"\n{glyphs().warning} {note}\n") for note in self.notes]
        return said


class ConfirmDialog(Dialog[bool]):
    """Shows a `Confirmation` and returns True only for a deliberate yes.

    Keys: the confirmation's own key does it, c, n or esc leave it, y copies the SQL. Where a name must be typed, the
    field has the focus and letters are letters: enter with the right name does it, esc leaves.
    """

    DEFAULT_CSS = dialog_css("ConfirmDialog")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("left,up", "app.focus_previous", "Previous", show=False),
        Binding("right,down", "app.focus_next", "Next", show=False),
        Binding("pagedown", "page(1)", "Read on", show=False),
        Binding("pageup", "page(-1)", "Read back", show=False),
    ]

    def __init__(self, confirmation: Confirmation, valid_s: float = PLAN_VALID_S) -> None:
        super().__init__()
        self.confirmation = confirmation
        self._until = time.monotonic() + valid_s
        if confirmation.typed_name is None:
            self._bindings.bind("c,n", "leave", show=False)
            self._bindings.bind(confirmation.key, "confirm", show=False)
            self._bindings.bind("y", "copy_sql", show=False)

    def compose(self) -> ComposeResult:
        asked = self.confirmation
        barred = bool(asked.barred_by)
        with Vertical(classes="dialog"):
            yield PlainLine(asked.title, classes="dialog--title")
            page = Page(asked.parts(), id="plan")
            page.can_focus = False
            yield page
            if asked.typed_name is not None and not barred:
                yield PlainLine(f"Type {asked.typed_name} to confirm:")
                yield QuietInput(id="typed")
            yield PlainLine(self._problem(), id="problem", classes="dialog--problem")
            with Horizontal():
                yield More()
                yield Answer("esc" if asked.typed_name else "c", "Cancel", id="cancel")
                locked = barred or asked.typed_name is not None
                yield Answer("" if asked.typed_name else asked.key, asked.verb, id="confirm", disabled=locked)

    def on_mount(self) -> None:
        self.query_one("#typed" if self.query("#typed") else "#cancel").focus()

    def on_resize(self) -> None:
        fit_page(self, lines=5 if self.query("#typed") else 3)  # title, problem, answers; what is typed and its name

    def _problem(self) -> str:
        barred = self.confirmation.barred_by
        if not barred:
            return ""
        names = ", ".join(gate.name for gate in barred)
        return f"{glyphs().bad} Not possible now: {names}"

    def on_input_changed(self, event: Input.Changed) -> None:
        right = event.value == self.confirmation.typed_name
        self.query_one("#confirm", Answer).disabled = not right
        self.query_one("#problem", PlainLine).set_text("")

    def on_input_submitted(self) -> None:
        self.action_confirm()

    def on_answer_chosen(self, event: Answer.Chosen) -> None:
        if event.answer.id == "confirm":
            self.action_confirm()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        self.dismiss(False)

    def action_page(self, by: int) -> None:
        self.query_one(Page).turn(by)

    def action_copy_sql(self) -> None:
        self.post_message(Page.Copied(self.query_one(Page), self.confirmation.sql))

    def action_confirm(self) -> None:
        problem = self._problem()
        name = self.confirmation.typed_name
        if not problem and name is not None and self.query_one("#typed", Input).value != name:
            problem = f"{glyphs().bad} That is not the name: type {one_line(name)}"
        if not problem and time.monotonic() > self._until:
            problem = f"{glyphs().bad} This plan is too old by now: cancel, and ask for it again"
        if problem:
            self.query_one("#problem", PlainLine).set_text(problem)
        else:
            self.dismiss(True)


class TextDialog(Dialog[bool]):
    """A text to read and copy: the help, a full error, a prompt before it is sent. esc, q or enter close it."""

    DEFAULT_CSS = dialog_css("TextDialog")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "leave", "Close", show=False)]
    HINT: ClassVar[str] = "esc closes"

    def __init__(self, title: str, parts: Sequence[Piece]) -> None:
        super().__init__()
        self._title = title
        self._parts = list(parts)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine(self._title, classes="dialog--title")
            yield Page(self._parts)
            with Horizontal():
                yield More(f"y copies it, {self.HINT}")

    def on_mount(self) -> None:
        self.query_one(Page).focus()

    def on_resize(self) -> None:
        fit_page(self, lines=2)  # title and hint

    def action_leave(self) -> None:
        self.dismiss(None)


def error_dialog(title: str, message: str, remedy: str = "") -> TextDialog:
    """A full error message with what to do about it, to read and copy."""
    parts: list[Piece] = [("critical", f"{glyphs().critical} "), ("", message)]
    if remedy:
        parts += [("dim", "\n\nWhat to do:\n"), ("accent", remedy)]
    return TextDialog(title, parts)


def sql_parts(sql: str, dialect: str = "postgres") -> list[Piece]:
    """A statement for a `Page`: laid out and in the looks a page has."""
    looks = {"keyword": "bold", "comment": "dim", "string": "warning", "number": "warning", "parameter": "accent"}
    return [(looks.get(part, ""), text) for part, text in laid_out(pieces(sql, dialect))]
