"""Forms: labelled fields that say beside themselves what is wrong, and a dialog made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from meshag_tui.glyphs import glyphs
from meshag_tui.text import fit, one_line
from meshag_tui.widgets.dialog import Answer, dialog_css
from meshag_tui.widgets.entry import QuietInput
from meshag_tui.widgets.page import PlainLine
from meshag_tui.widgets.screens import Dialog

Check = Callable[[str], str | None]
"""What is wrong with a value, in a few words; None if nothing is."""


@dataclass(frozen=True)
class Field:
    """One field of a form. `choices` makes it a choice among words, gone through with left and right."""

    name: str
    label: str
    value: str = ""
    kind: Literal["text", "password"] = "text"
    choices: tuple[str, ...] = ()
    hint: str = ""
    check: Check | None = None
    required: bool = False

    def problem(self, value: str) -> str | None:
        """What is wrong with a value, None if nothing is."""
        if self.required and not value.strip():
            return "needed"
        return self.check(value) if self.check is not None and value else None


def whole_number(least: int, most: int) -> Check:
    """A check for whole numbers between two, both allowed."""

    def check(value: str) -> str | None:
        if value.strip().isdecimal() and least <= int(value) <= most:
            return None
        return f"a whole number from {least} to {most}"

    return check


class ChoiceField(Widget, can_focus=True):
    """One word of several; left and right (h, l), space or a click take another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l,space", "turn(1)", "Next", show=False),
        Binding("left,h", "turn(-1)", "Previous", show=False),
    ]
    DEFAULT_CSS = """
    ChoiceField { height: 1; background: $panel; }
    ChoiceField:focus { text-style: reverse; }
    """

    class Changed(Message):
        """Another word was taken."""

        def __init__(self, field: ChoiceField) -> None:
            super().__init__()
            self.field = field

        @property
        def control(self) -> ChoiceField:
            return self.field

    def __init__(self, choices: Sequence[str], value: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.choices = tuple(choices)
        self.value = value if value in self.choices else self.choices[0]

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        return Strip([Segment(fit(f"< {one_line(self.value)} >", width), self.rich_style)], width)

    def action_turn(self, by: int) -> None:
        self.value = self.choices[(self.choices.index(self.value) + by) % len(self.choices)]
        self.post_message(self.Changed(self))
        self.refresh()

    def on_click(self) -> None:
        self.action_turn(1)


class LabelledField(Vertical):
    """A `Field` with its label on the left, and below it, only while there is one, what is wrong."""

    DEFAULT_CSS = """
    LabelledField { height: auto; }
    LabelledField > Horizontal { height: 1; align-horizontal: left; }
    LabelledField .field--label { width: 18; }
    LabelledField QuietInput, LabelledField ChoiceField { width: 1fr; }
    LabelledField > .field--problem { color: $warning; margin-left: 18; display: none; }
    """

    def __init__(self, field: Field) -> None:
        super().__init__(id=f"field-{field.name}")
        self.field = field

    def compose(self) -> ComposeResult:
        field = self.field
        with Horizontal():
            yield PlainLine(field.label, classes="field--label")
            if field.choices:
                yield ChoiceField(field.choices, field.value)
            else:
                yield QuietInput(field.value, field.hint, password=field.kind == "password")
        yield PlainLine("", classes="field--problem")

    @property
    def value(self) -> str:
        if self.field.choices:
            return self.query_one(ChoiceField).value
        return self.query_one(QuietInput).value

    @value.setter
    def value(self, value: str) -> None:
        if self.field.choices:
            choice = self.query_one(ChoiceField)
            choice.value = value if value in choice.choices else choice.value
            choice.refresh()
        else:
            self.query_one(QuietInput).value = value

    def become(self, field: Field) -> None:
        """Ask for something else under the same name; the value stays."""
        self.field = field
        if not field.choices:
            self.query_one(QuietInput).placeholder = field.hint
        self.tell(None)

    def focus_field(self) -> None:
        self.query_one(ChoiceField if self.field.choices else QuietInput).focus()

    def check(self) -> bool:
        """Check the value and show what is wrong; True if nothing is."""
        problem = self.field.problem(self.value)
        self.tell(problem)
        return problem is None

    def tell(self, problem: str | None) -> None:
        """Show a problem found elsewhere (by the server), or none."""
        line = self.query_one(".field--problem", PlainLine)
        line.set_text(f"{glyphs().bad} {problem}" if problem else "")
        line.display = problem is not None

    def on_input_blurred(self, event: Input.Blurred) -> None:
        if self.value or self.query_one(".field--problem").display:
            self.check()


class Form(VerticalScroll):
    """Labelled fields under each other. Tab and arrows move between them."""

    can_focus = False
    DEFAULT_CSS = "Form { height: auto; max-height: 70vh; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Previous", show=False),
        Binding("down", "app.focus_next", "Next", show=False),
    ]

    def __init__(self, fields: Sequence[Field], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.fields = tuple(fields)

    def compose(self) -> ComposeResult:
        for field in self.fields:
            yield LabelledField(field)

    def field(self, name: str) -> LabelledField:
        return self.query_one(f"#field-{name}", LabelledField)

    @property
    def values(self) -> dict[str, str]:
        return {field.name: self.field(field.name).value for field in self.fields}

    def check(self) -> bool:
        """Check all fields, show each problem, and go to the first; True if there is none."""
        wrong = [field.name for field in self.fields if not self.field(field.name).check()]
        if wrong:
            self.field(wrong[0]).focus_field()
        return not wrong


class FormDialog(Dialog[dict[str, str] | None]):
    """A form in a dialog; returns the values once every field is right, or None when it was left."""

    DEFAULT_CSS = dialog_css("FormDialog")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel", show=False),
        Binding("enter", "save", "Save", show=False),  # also from a field that is no line of text
    ]

    def __init__(self, title: str, fields: Sequence[Field], verb: str = "Save") -> None:
        super().__init__()
        self._title = title
        self._fields = tuple(fields)
        self._verb = verb

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine(self._title, classes="dialog--title")
            yield Form(self._fields)
            with Horizontal():
                yield Answer("esc", "Cancel", id="cancel")
                yield Answer("enter", self._verb, id="save")

    def on_mount(self) -> None:
        self.query_one(Form).field(self._fields[0].name).focus_field()

    def on_input_submitted(self) -> None:
        self.action_save()

    def on_answer_chosen(self, event: Answer.Chosen) -> None:
        if event.answer.id == "save":
            self.action_save()
        else:
            self.action_leave()

    def action_save(self) -> None:
        form = self.query_one(Form)
        if form.check():
            self.dismiss(form.values)

    def action_leave(self) -> None:
        self.dismiss(None)
