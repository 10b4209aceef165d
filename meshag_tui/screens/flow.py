"""Drawing up what an agent does: its flow as a graph, changed node by node by keys, kept as another version.

What may not run is said while it is changed, and is not kept. Versions before stay; `v` shows what differs from one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from meshag_tui.agents import flow_edit
from meshag_tui.agents.flow import KINDS, TWO_WAYS, Flow, problems
from meshag_tui.agents.graph import Row, drawn
from meshag_tui.figures import moment
from meshag_tui.glyphs import glyphs
from meshag_tui.store import agents
from meshag_tui.text import one_line
from meshag_tui.types import MeshagError
from meshag_tui.widgets.chooser import Choice, Chooser
from meshag_tui.widgets.columns import Column
from meshag_tui.widgets.dialog import Confirmation, ConfirmDialog, TextDialog, dialog_css
from meshag_tui.widgets.form import Field, FormDialog
from meshag_tui.widgets.page import Piece, PlainLine
from meshag_tui.widgets.screens import Dialog
from meshag_tui.widgets.table import Table

if TYPE_CHECKING:
    from meshag_tui.app import MeshagApp
    from meshag_tui.workflows.agents import Agent
    from meshag_tui.workflows.workbench import Workbench

_HINT = "i add  enter set  c lead  J K move  D remove  u undo  s save  ? all keys"
_KEYS = (
    ("i", "add a node behind the one under the cursor"),
    ("enter", "set what the node goes by"),
    ("c", "let one of its ways lead elsewhere"),
    ("J K", "change places with the node behind or before it"),
    ("D", "take it out; what led to it leads on"),
    ("n", "call it otherwise"),
    ("m", "title and description of the flow"),
    ("u", "undo the last change"),
    ("v", "see what differs from an earlier version"),
    ("s", "keep it as another version"),
    ("esc", "leave"),
)


class _Line(NamedTuple):
    """A row of the graph, as the table lists it."""

    number: int
    row: Row

    @property
    def id(self) -> str:
        return self.row.node or f" {self.number}"

    @property
    def text(self) -> str:
        return self.row.text


class FlowDialog(Dialog[str | None]):
    """The flow of one agent; returns what was saved, in words, or None."""

    DEFAULT_CSS = (
        dialog_css("FlowDialog")
        + """
    FlowDialog > .dialog { width: 100%; max-width: 100%; height: 100%; max-height: 100%; }
    FlowDialog Table { height: 1fr; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("i", "add", "Add", show=False),
        Binding("E", "change", "Change", show=False),
        Binding("c", "connect", "Lead", show=False),
        Binding("D", "remove_node", "Remove", show=False),
        Binding("J", "move(1)", "Down", show=False),
        Binding("K", "move(-1)", "Up", show=False),
        Binding("n", "name", "Name", show=False),
        Binding("m", "title", "Title", show=False),
        Binding("u", "undo", "Undo", show=False),
        Binding("v", "versions", "Versions", show=False),
        Binding("s", "save", "Save", show=False),
        Binding("question_mark", "help", "Keys", show=False),
    ]

    def __init__(self, agent: Agent, shell: MeshagApp, bench: Workbench) -> None:
        super().__init__()
        self._agent = agent
        self._flow = agent.flow
        self._before: list[Flow] = []
        self._shell = shell
        self._bench = bench

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield PlainLine(classes="dialog--title", id="title")
            yield Table((Column("text", "Flow", 40, flex=1, keep=100),), key=lambda line: line.id, markable=False)
            yield PlainLine(id="problem", classes="dialog--problem")
            yield PlainLine(_HINT, classes="dialog--hint")

    def on_mount(self) -> None:
        self._paint()
        self.query_one(Table).focus()

    # --- what is shown ----------------------------------------------------------------------------------------------

    def _paint(self) -> None:
        changed = " *" if self._flow != self._agent.flow else ""
        title = f"{self._agent.row.name}: {self._flow.metadata.title or 'flow'}{changed}"
        self.query_one("#title", PlainLine).set_text(title)
        self.query_one(Table).set_rows([_Line(number, row) for number, row in enumerate(drawn(self._flow))])
        found = problems(self._flow, self._agent.profile.tools)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        self._say(f"{glyphs().warning} may not run: {found[0]}{more}" if found else f"{glyphs().ok} it may run")

    def _say(self, text: str) -> None:
        self.query_one("#problem", PlainLine).set_text(text)

    @property
    def _node(self) -> str:
        """The node under the cursor, or the last one above it."""
        table = self.query_one(Table)
        lines: list[Any] = list(table.rows)
        at = min(table.cursor, len(lines) - 1)
        return str(next(line.row.node for line in reversed(lines[: at + 1]) if line.row.node is not None))

    def _change(self, flow: Flow, to: str | None = None) -> None:
        """Take over a changed flow, and put the cursor on a node."""
        self._before.append(self._flow)
        self._flow = flow
        self._paint()
        self._go_to(to)

    def _go_to(self, node_id: str | None) -> None:
        if node_id is not None:
            self.query_one(Table).move_to(node_id)

    def _try(self, change: Any, *given: Any, to: str | None = None) -> None:
        try:
            self._change(change(self._flow, *given), to)
        except MeshagError as error:
            self._say(f"{glyphs().bad} {one_line(error)}")

    # --- keys -------------------------------------------------------------------------------------------------------

    def action_add(self) -> None:
        after, allowed = self._node, self._agent.profile.tools
        choices = [
            Choice(
                name, f"{name}: {kind.says}", "", "" if kind.free or name in allowed else "this agent is not allowed it"
            )
            for name, kind in KINDS.items()
        ]

        def chosen(kind: str | None) -> None:
            if kind is not None:
                flow, made = flow_edit.insert(self._flow, after, kind)
                self._change(flow, made)

        self._shell.push_screen(Chooser(f"Add behind {after}", choices), chosen)

    def on_table_row_selected(self, event: Table.RowSelected) -> None:
        event.stop()
        self.action_change()

    def action_change(self) -> None:
        node = self._flow.node(self._node)
        form = KINDS[node.kind].parameters.model_fields
        if not form:
            self._say(f"{node.id}: {KINDS[node.kind].says}; there is nothing to set")
            return
        fields = [
            Field(name, name.replace("_", " ").capitalize(), str(node.parameters[name]), hint=about.description or "")
            for name, about in form.items()
        ]

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self._try(flow_edit.with_parameters, node.id, values, to=node.id)

        self._shell.push_screen(FormDialog(f"{node.id}: {KINDS[node.kind].says}", fields, "Set"), answered)

    def action_connect(self) -> None:
        node = self._flow.node(self._node)
        ways = ("yes", "no") if node.kind in TWO_WAYS else ("",)
        choices = [
            Choice(f"{way}>{other.id}", f"{f'{way}: ' if way else ''}{other.id}", other.kind)
            for way in ways
            for other in self._flow.nodes
            if other.id != node.id
        ]

        def chosen(choice: str | None) -> None:
            if choice is not None:
                way, _, target = choice.partition(">")
                self._try(flow_edit.connect, node.id, target, way or None, to=node.id)

        self._shell.push_screen(Chooser(f"Where {node.id} leads", choices), chosen)

    def action_remove_node(self) -> None:
        self._try(flow_edit.remove, self._node)

    def action_move(self, by: int) -> None:
        self._try(flow_edit.move_down if by > 0 else flow_edit.move_up, self._node, to=self._node)

    def action_name(self) -> None:
        node = self._node

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self._try(flow_edit.rename, node, values["name"].strip(), to=values["name"].strip())

        field = Field("name", "Name", node, hint="small letters, digits, - and _", required=True)
        self._shell.push_screen(FormDialog(f"Name {node}", [field], "Name it"), answered)

    def action_title(self) -> None:
        about = self._flow.metadata

        def answered(values: dict[str, str] | None) -> None:
            if values is not None:
                self._try(flow_edit.titled, values["title"], values["description"], to=self._node)

        fields = (Field("title", "Title", about.title), Field("description", "What it is for", about.description))
        self._shell.push_screen(FormDialog("Title of the flow", fields), answered)

    def action_help(self) -> None:
        said: list[Piece] = [piece for key, does in _KEYS for piece in (("accent", f"{key:<6} "), ("", f"{does}\n"))]
        self._shell.push_screen(TextDialog("Keys of a flow", said))

    def action_undo(self) -> None:
        if self._before:
            self._flow = self._before.pop()
            self._paint()
        else:
            self._say("Nothing was changed")

    def action_versions(self) -> None:
        self._shell.do(self._versions())

    async def _versions(self) -> None:
        agent_id = self._agent.row.id
        found = await self._bench.store.read(lambda: agents.versions(agent_id, of_flow=True))
        choices = [
            Choice(str(one.version), f"version {one.version} by {one.actor}", moment(one.created_at)) for one in found
        ]

        def chosen(number: str | None) -> None:
            if number is not None:
                one = next(each for each in found if str(each.version) == number)
                self._shell.push_screen(
                    TextDialog(f"From version {number} to this one", _differences(one.document, self._flow))
                )

        self._shell.push_screen(Chooser("What differs from", choices), chosen)

    def action_save(self) -> None:
        self._shell.do(self._save())

    async def _save(self) -> None:
        if self._flow == self._agent.flow:
            self._say("Nothing was changed")
            return
        try:
            row = await self._bench.agents.save_flow(self._agent.row.id, self._flow)
        except MeshagError as error:
            self._say(f"{glyphs().bad} {one_line(error)}")
            return
        self.dismiss(f"{row.name} does what version {row.flow_version} says")

    def action_leave(self) -> None:
        if self._flow == self._agent.flow:
            self.dismiss(None)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.dismiss(None)

        question = Confirmation(
            "Leave the flow", self._agent.row.name, "What was changed is lost.", verb="Leave it", key="l"
        )
        self._shell.push_screen(ConfirmDialog(question), answered)


def _differences(before: Any, flow: Flow) -> list[Piece]:
    """What differs between a kept document and a flow, line by line."""
    looks = {"+": "good", "-": "critical", "@": "dim"}
    lines = flow_edit.differences(before, flow.document())
    return [(looks.get(line[:1], ""), f"{line}\n") for line in lines] or [("dim", "nothing")]
