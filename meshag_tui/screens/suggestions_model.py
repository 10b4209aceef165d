"""Asking a language model: first the exact text that would leave the machine and where to, then a deliberate yes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshag_tui.figures import exact
from meshag_tui.glyphs import glyphs
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog, TextDialog
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.screens.suggestions import SuggestionsPane
    from meshag_tui.store.connections import ConnectionInfo
    from meshag_tui.workflows.advice import Preview


@dataclass(frozen=True)
class Sending(Confirmation):
    """What would be sent, said with its size and where to, then the text itself."""

    text: str = ""

    def parts(self) -> list[Piece]:
        said: list[Piece] = [("bold", f"{self.object_name}\n"), ("", f"{self.effect}\n")]
        said += [("warning", f"{glyphs().warning} {note}\n") for note in self.notes]
        return [*said, ("dim", "\nExactly this is sent:\n"), ("", self.text)]


async def why_not(pane: SuggestionsPane, info: ConnectionInfo) -> str | None:
    """Why no model can be asked, in one line; None if one can."""
    if await pane.bench.advice.model_endpoints(info.id) or await pane.bench.advice.model_refusal(info.id):
        return None
    key = pane.shell.actions["screen-A"].shown_key
    return f"no key is set: put it into {pane.bench.settings.llm.api_key_env}, or {key} adds a model"


def question(preview: Preview, connection: str) -> Sending:
    """The dialog's content for a preview."""
    return Sending(
        title=f"Ask a model about {connection}",
        object_name="\nif that is down: ".join((f"{preview.model} at {preview.base_url}", *preview.then)),
        effect=f"{exact(preview.bytes)} bytes leave this machine. The answer is checked against the catalogue before "
        "anything of it is shown, and nothing of it runs by itself.",
        verb="Send it",
        key="s",
        notes=tuple(f"Left out to keep it small: {cut}" for cut in preview.cut),
        text=preview.text,
    )


def withheld(preview: Preview, info: ConnectionInfo) -> list[Piece]:
    """What would be sent if the project allowed it."""
    said = f"{glyphs().warning} Not sent: {preview.refused}, and {preview.model} at {preview.base_url} is elsewhere.\n"
    allow = f"{info.project_name} is set to no cloud; meshag connections edit {info.name} --cloud allows it again.\n"
    return [("warning", said), ("", allow), ("dim", "\nThis would be sent:\n"), ("", preview.text)]


async def ask(pane: SuggestionsPane, info: ConnectionInfo) -> None:
    """Show the preview; on yes remember the consent and ask."""
    if problem := await why_not(pane, info):
        pane.shell.say(problem, "warning")
        return
    pane.shell.say("Preparing what a model would be sent")
    preview = await pane.bench.advice.model_preview(info.id)
    if preview.refused:
        pane.shell.push_screen(TextDialog("Nothing of this may be sent", withheld(preview, info)))
        return

    def answered(yes: bool | None) -> None:
        if yes:
            pane.shell.do(_send(pane, info))
        else:
            pane.shell.say("Nothing was sent")

    pane.shell.push_screen(ConfirmDialog(question(preview, info.name)), answered)


async def _send(pane: SuggestionsPane, info: ConnectionInfo) -> None:
    bench, shell = pane.bench, pane.shell
    await bench.advice.give_model_consent(info.id)
    shell.say(f"Asking {', or '.join(one.model for one in await bench.advice.model_endpoints(info.id))}")
    found = await bench.advice.suggest(info.id, llm=True)
    notes = bench.advice.notes
    pane.show_notes(notes)
    said = sum(one.origin == "llm" for one in found)
    open_now = "suggestion of the model is open" if said == 1 else "suggestions of the model are open"
    shell.say(f"{said} {open_now}" + (f", {len(notes)} notes" if notes else ""))
    if notes and len(shell.screen_stack) == 1 and pane.in_front:
        parts: list[Piece] = [("", f"{glyphs().gap} {note}\n") for note in notes]
        shell.push_screen(TextDialog("What could not be seen, and what of the answer was not believed", parts))
