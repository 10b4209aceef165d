"""A run of an agent: its flow with where it stands, what it waits for, and agreeing to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from meshag_tui.agents.graph import drawn, states
from meshag_tui.figures import number_of
from meshag_tui.glyphs import glyphs
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Piece

if TYPE_CHECKING:
    from meshag_tui.screens.runs import RunsPane
    from meshag_tui.workflows.agents import RunOf


def pieces(run: RunOf, width: int) -> list[Piece]:
    """The graph of a run, a node a line, in so many cells; before it what it waits for."""
    given = run.info.input
    versions = f"profile {given['version']}, flow {given['flow_version']}, {given['trigger']}"
    said: list[Piece] = [("bold", run.agent.row.name), ("dim", f"  {versions}\n")]
    for item in run.asks:
        said += [("warning", f"{glyphs().warning} waits: {item['title']}\n"), ("accent", f"  {item['sql']}\n")]
    for row in drawn(run.agent.flow, states(run.standing, run.info.state)):
        said += [*row.within(max(20, width)), ("", "\n")]
    return said


def agree(pane: RunsPane, run: RunOf) -> None:
    """Of several statements ask which; show exactly what would run, and agree to that after a second key."""
    if len(run.asks) == 1:
        _agree_to(pane, run, run.asks)
        return
    fields = [
        Field(f"n{number}", f"{number + 1}. {item['title']}", choices=(f"yes: {item['sql']}", f"no: {item['sql']}"))
        for number, item in enumerate(run.asks)
    ]

    def chosen(values: dict[str, str] | None) -> None:
        if values is None:
            return
        some = [item for number, item in enumerate(run.asks) if values[f"n{number}"].startswith("yes")]
        if some:
            _agree_to(pane, run, some)
        else:
            pane.shell.say(f"None was chosen: {pane.shell.actions['run-refuse'].shown_key} refuses them all", "warning")

    pane.shell.push_screen(FormDialog("Which of them? left and right choose", fields, "Look at them"), chosen)


def _agree_to(pane: RunsPane, run: RunOf, items: Sequence[Mapping[str, Any]]) -> None:
    where = run.info.connection_name or ""
    left = len(run.asks) - len(items)
    warned = [f"{item['title']}: {line}" for item in items for line in item["warned"]]
    warned += [f"{number_of(left, 'other statement')} of it not agreed to, and not run"] if left else []
    question = Confirmation(
        title=f"{run.agent.row.name} waits for approval",
        object_name=f"{number_of(len(items), 'statement')} on {where}",
        effect="It goes on with these and no others, through the same gates as ever; what would be another by then is "
        "left alone.",
        sql="\n".join(f"{item['sql'].rstrip(';')};" for item in items),
        notes=tuple(warned),
        verb="Agree",
        key="a",
    )

    async def agreed() -> None:
        await pane.bench.agents.answer(run.info.id, [item["hash"] for item in items])
        pane.shell.say("Agreed: the run goes on")
        pane.refresh_soon()

    def answered(yes: bool | None) -> None:
        if yes:
            pane.shell.do(agreed())

    pane.shell.push_screen(ConfirmDialog(question), answered)
