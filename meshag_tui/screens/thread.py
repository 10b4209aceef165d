"""Talking with a model: the evidence, what was said with its figures held against it, and a line to ask in.

A dialog of the whole screen, opened from a query, a suggestion or the list of threads; esc comes back to it. What is
asked first begins the thread: looking keeps nothing. Before anything of a connection goes to a model for the first
time, exactly what would be sent is shown and asked about.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input
from textual.worker import Worker

from meshag_tui.agents import figures
from meshag_tui.agents.transcript import cost, figures_said, markdown, remarks
from meshag_tui.figures import exact, moment, number_of
from meshag_tui.glyphs import glyphs
from meshag_tui.screens import export
from meshag_tui.screens.suggestions_model import Sending
from meshag_tui.text import one_line, sanitise
from meshag_tui.types import MeshagError
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.dialog import ConfirmDialog, TextDialog, dialog_css
from meshag_tui.widgets.entry import QuietInput
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Page, Piece, PlainLine
from meshag_tui.widgets.screens import Dialog

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp
    from meshag_tui.screens.pane import Pane
    from meshag_tui.store.threads import MessageRow, Thread
    from meshag_tui.workflows import threads as work
    from meshag_tui.workflows.workbench import Workbench

_HINT = "enter asks{gap}tab, then p: sent, E: change, e: file, y: copy{gap}esc leaves"
_ASKING_HINT = "esc stops the answer; what has come by then is kept"
_HEARD_EVERY_S, _HEARD_MOST = 0.1, 4_000
"""Of an answer that comes, the last so many characters are drawn, no more often: folding it all for each piece of it
took more time than its writing."""


async def about(pane: Pane, subject: str, *, plan: bool = False) -> None:
    """Talk about a query, its plan or a suggestion: anew, or go on where something was said about it before."""
    found = await pane.bench.threads.page(20, subject_id=subject)
    if not found:
        await _begin(pane, subject, plan)
        return
    choices = [Choice("", "Begin anew, with the evidence of now")]
    choices += [Choice(row.id, row.name, moment(row.updated_at, "%Y-%m-%d %H:%M")) for row in found]

    def chosen(thread_id: str | None) -> None:
        if thread_id is not None:
            pane.shell.do(open_thread(pane, thread_id) if thread_id else _begin(pane, subject, plan))

    pane.shell.push_screen(Chooser("Talk about it", choices), chosen)


async def open_thread(pane: Pane, thread_id: str) -> None:
    """Go on with a thread."""
    _show(pane, await pane.bench.threads.get(thread_id))


async def _begin(pane: Pane, subject: str, plan: bool) -> None:
    pane.shell.say("Gathering the evidence")
    _show(pane, await pane.bench.threads.draft(subject, plan=plan, window_ms=pane.shell.scope.span_ms))


def _show(pane: Pane, thread: Thread) -> None:
    def left(_: None) -> None:
        pane.refresh_soon()

    pane.shell.push_screen(ThreadDialog(thread, pane.shell, pane.bench), left)


class ThreadDialog(Dialog[None]):
    """One thread. `enter` asks, `esc` stops an answer that comes or leaves; letters are keys once the text is read."""

    DEFAULT_CSS = (
        dialog_css("ThreadDialog")
        + """
    ThreadDialog > .dialog { width: 100%; max-width: 100%; height: 100%; max-height: 100%; }
    ThreadDialog #said { height: 1fr; max-height: 100%; }
    ThreadDialog #coming { height: auto; max-height: 50%; border-top: solid $primary; display: none; }
    ThreadDialog #state { color: $accent; }
    ThreadDialog #question { border-top: solid $primary; height: 2; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("pageup", "page(-1)", "Read back", show=False),
        Binding("pagedown", "page(1)", "Read on", show=False),
        Binding("p", "preview", "What is sent", show=False),
        Binding("E", "edit", "Change", show=False),
        Binding("e", "export", "Write to a file", show=False),
    ]

    def __init__(self, thread: Thread, shell: MeshagApp, bench: Workbench) -> None:
        super().__init__()
        self._thread = thread
        self._shell = shell
        self._bench = bench
        self._talk = bench.threads
        self._asking: Worker[None] | None = None
        self._model = ""
        self._heard_at = 0.0  # when what had come of an answer was drawn last

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine(classes="dialog--title", id="title")
            yield PlainLine(classes="dialog--hint", id="about")
            yield Page(id="said")
            coming = Page(id="coming")
            coming.can_focus = False
            yield coming
            yield PlainLine(id="state")
            yield QuietInput(placeholder="Ask about it", id="question")
            yield PlainLine(classes="dialog--hint", id="hint")

    def on_mount(self) -> None:
        self.query_one("#question").focus()
        self._say("")
        self._paint()
        self.run_worker(self._say_whom())

    # --- what is shown ----------------------------------------------------------------------------------------------

    async def _say_whom(self) -> None:
        """Name who would be asked."""
        try:
            sending = await self._talk.preview(self._thread, "")
        except MeshagError as error:
            self._say(f"{glyphs().warning} {error}")
            return
        if sending.refused or not sending.endpoints:
            key = self._shell.actions["screen-A"].shown_key
            self._say(f"{glyphs().warning} {sending.refused or f'There is no model to ask: {key} adds one'}")
        self._model = ", or ".join(one.model for one in sending.endpoints)
        self._head()

    def _head(self) -> None:
        row, said = self._thread.row, self._thread.messages
        self.query_one("#title", PlainLine).set_text(f"Talk: {row.name}")
        answered = [each for each in said if each.usage is not None]
        parts = [f"{row.subject_kind} {row.subject_id} of {row.connection}", self._model or "no model"]
        if answered:
            parts.append(f"{number_of(len(answered), 'answer')}: {spent(answered)}")
        self.query_one("#about", PlainLine).set_text(glyphs().separator.join(parts))

    def _paint(self) -> None:
        self._head()
        page = self.query_one("#said", Page)
        page.set_parts(pieces(self._thread), keep_place=True)
        if self._thread.messages:
            self.call_after_refresh(page.scroll_end, animate=False)

    def _say(self, text: str) -> None:
        self.query_one("#state", PlainLine).set_text(text)
        hint = _ASKING_HINT if self._asking is not None else _HINT.format(gap=glyphs().separator)
        self.query_one("#hint", PlainLine).set_text(hint)

    def _hear(self, text: str) -> None:
        now = time.monotonic()
        if self.is_attached and self._asking is not None and now - self._heard_at >= _HEARD_EVERY_S:
            self._heard_at = now
            self._say(f"{self._model} is writing" if text else f"{self._model} is asked")
            if self._bench.settings.ui.plain:
                return  # each line is told once: when the answer is whole
            coming = self.query_one("#coming", Page)
            coming.display = bool(text)
            coming.set_parts([("", text[-_HEARD_MOST:])], keep_place=True)
            coming.scroll_end(animate=False)

    # --- asking -----------------------------------------------------------------------------------------------------

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._asking is None and event.value.strip():
            self._asking = self.run_worker(self._ask(event.value.strip()))

    async def _ask(self, question: str) -> None:
        try:
            sending = await self._talk.preview(self._thread, question)
            if not sending.agreed and sending.endpoints and not sending.refused:
                self._agree(sending, question)
                return
            if not self._thread.row.id:
                await self._read(await self._talk.begin(self._thread))
            line = self.query_one("#question", QuietInput)
            line.value = ""
            await self._talk.ask(self._thread.row.id, question, self._hear)
            self._asking = None
            self._say("")
        except MeshagError as error:
            self._asking = None
            self._say(f"{glyphs().bad} {one_line(error)}")
        finally:
            self._asking = None
            if self.is_attached and self._thread.row.id:
                self.query_one("#coming").display = False
                await self._read(self._thread.row.id)

    def _agree(self, sending: work.Sending, question: str) -> None:
        """Show what would be sent, and ask."""

        def answered(yes: bool | None) -> None:
            if yes:
                self._asking = self.run_worker(self._agreed(question))
            else:
                self._say("Nothing was sent")

        self._shell.push_screen(
            ConfirmDialog(
                Sending(
                    title=f"Ask a model about {self._thread.row.connection}",
                    object_name="\nif that is down: ".join(one.label for one in sending.endpoints),
                    effect=f"{exact(sending.bytes)} bytes go there, and such texts of this connection from now on. "
                    "Nothing of an answer runs by itself.",
                    verb="Send it",
                    key="s",
                    text=sending.text,
                )
            ),
            answered,
        )

    async def _agreed(self, question: str) -> None:
        row = self._thread.row
        await self._bench.advice.give_model_consent(row.connection_id, row.model)
        await self._ask(question)

    async def _read(self, thread_id: str) -> None:
        self._thread = await self._bench.threads.get(thread_id)
        if self.is_attached:  # it may have been left meanwhile
            self._paint()

    # --- keys -------------------------------------------------------------------------------------------------------

    def action_leave(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
            self._say("Stopped; what had come is kept")
        else:
            self.dismiss(None)

    def action_page(self, by: int) -> None:
        self.query_one("#said", Page).turn(by)

    def action_preview(self) -> None:
        self._shell.do(self._preview())

    async def _preview(self) -> None:
        question = self.query_one("#question", QuietInput).value or "…"
        sending = await self._talk.preview(self._thread, question)
        where = "\nif that is down: ".join(one.label for one in sending.endpoints) or "nobody"
        said: list[Piece] = [("bold", f"{where}\n"), ("dim", f"{exact(sending.bytes)} bytes\n")]
        if sending.dropped:
            said.append(("warning", f"{glyphs().warning} {sending.dropped} earlier questions have no room\n"))
        self._shell.push_screen(TextDialog("What the next question sends", [*said, ("", f"\n{sending.text}")]))

    def action_edit(self) -> None:
        row = self._thread.row
        if not row.id:
            self._say("Ask something first: then it has a name, a model and instructions to change")
            return
        fields = (
            Field("name", "Name", row.name, required=True),
            Field("model", "Model", row.model or "", hint="NAME or NAME/MODEL of a provider; empty: in their order"),
            Field("instructions", "Instructions", row.instructions, hint="what the model is told beside the usual"),
        )

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self._shell.do(self._edit(values))

        self._shell.push_screen(FormDialog("Change this thread", fields), answered)

    def action_export(self) -> None:
        """Write the whole thread, with its evidence and what is checked of it, as Markdown."""
        row = self._thread.row
        if not row.id:
            self._say("Ask something first: there is nothing to write yet")
            return

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self._shell.do(self._export(values["file"]))

        name = f"meshag-{row.id}.md"
        info = next((each for each in self._shell.connections if each.id == row.connection_id), None)
        proposed = f"./{name}" if info is None else info.proposed(name)
        file = Field("file", "File", proposed, hint=".md", check=_markdown_problem, required=True)
        self._shell.push_screen(FormDialog("Write this thread to a file", [file], verb="Write"), answered)

    async def _export(self, given: str) -> None:
        try:
            text = markdown(self._thread) + "\n"
            path, size = await asyncio.to_thread(export.create, given, sanitise(text, 8 * len(text)))
        except MeshagError as error:
            self._say(f"{glyphs().bad} {one_line(error)}")
            return
        self._say(f"Wrote {exact(size)} bytes to {path}")

    async def _edit(self, values: dict[str, str]) -> None:
        thread_id = self._thread.row.id
        try:
            await self._talk.edit(
                thread_id,
                name=values["name"],
                model=values["model"].strip() or None,
                instructions=values["instructions"],
            )
        except MeshagError as error:
            self._say(f"{glyphs().bad} {one_line(error)}")
            return
        await self._read(thread_id)
        await self._say_whom()


def _markdown_problem(given: str) -> str | None:
    return export.check_path(given) if given.strip().lower().endswith(".md") else "end it in .md"


def pieces(thread: Thread) -> list[Piece]:
    """A thread to look at: its evidence, what was said, and of each answer what is not checked."""
    said = evidence_pieces(thread)
    for message in thread.messages:
        said += [("", "\n\n"), *_message(message, thread)]
    return said


def in_short(thread: Thread) -> list[Piece]:
    """A thread in a list: what was said last, then the evidence."""
    said: list[Piece] = []
    for message in thread.messages[-2:]:
        said += [*_message(message, thread), ("", "\n\n")]
    return said + evidence_pieces(thread)


def evidence_pieces(thread: Thread) -> list[Piece]:
    """What a thread rests on, and what is missing in it."""
    evidence = thread.evidence
    said: list[Piece] = [("accent", f"Evidence, as it was at {moment(evidence['at'])}\n"), ("dim", evidence["text"])]
    said += [("warning", f"\n{glyphs().warning} {note}") for note in evidence.get("notes", ())]
    if evidence.get("cut"):
        said.append(("warning", f"\n{glyphs().warning} left out: {', '.join(evidence['cut'])}"))
    return said


def _message(message: MessageRow, thread: Thread) -> list[Piece]:
    when = moment(message.created_at, "%H:%M")
    if message.role == "note":
        return [("dim", f"{when} {message.content}")]
    if message.role == "user":
        return [("accent", f"{when} you  "), ("bold", message.content)]
    said: list[Piece] = [("accent", f"{when} {message.model or 'model'}  ")]
    if message.state == "failed":
        return [*said, ("critical", f"{glyphs().bad} {message.content}")]
    for part in figures.parts(message.content, thread.evidence["text"]):
        said.append(("", part.text) if part.checked is not False else ("warning", f"{part.text} [?]"))
    checked = figures_said(message.content, thread.evidence["text"])
    for line in remarks(message, thread):
        loose = line == checked and "unchecked" in line
        said.append(("warning" if loose or line.startswith("Not taken") else "dim", f"\n  {line}"))
    return said


def spent(answers: list[MessageRow]) -> str:
    """What answers cost together, by currency, with how many are unpriced."""
    sums: dict[str, object] = {}
    for each in answers:
        if each.cost is not None and each.currency:
            sums[each.currency] = sums.get(each.currency, 0) + each.cost  # type: ignore[operator]
    said = [f"{amount:f} {currency}" for currency, amount in sorted(sums.items())]
    unpriced = sum(cost(each) == "unpriced" for each in answers)
    if unpriced:
        said.append(f"{unpriced} unpriced")
    return ", ".join(said) or "free"
