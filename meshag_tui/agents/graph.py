"""A flow drawn with lines: a node a row, lanes for the ways beside it, each row saying in words what the lines say.

In: a flow, and of a run where each node stands. Out: rows of text with a look each. Without line signs (a reader of
screens, say) the words alone are left: what a node does, where its ways lead, what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from meshag_tui.agents.flow import KINDS, Flow, Node
from meshag_tui.agents.walk import Standing
from meshag_tui.glyphs import glyphs
from meshag_tui.text import clip, one_line, width_of
from meshag_tui.types import ExecutionState

Look = str
"""As of `widgets.page`: "", "dim", "good", "warning", "critical", "accent", "bold"."""


class NodeState(NamedTuple):
    """How a node stands in a run: a word, its look, and what came of it."""

    word: str
    look: Look
    said: str = ""


class Row(NamedTuple):
    """A line of the drawing; `node` None: of lines only."""

    node: str | None
    pieces: tuple[tuple[Look, str], ...]

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)

    def within(self, width: int) -> list[tuple[Look, str]]:
        """Its pieces in so many cells: a row that is folded would tear the lines."""
        found: list[tuple[Look, str]] = []
        for look, text in self.pieces:
            found.append((look, clip(text, width)))
            width -= width_of(text)
            if width <= 0:
                break
        return found


class _Signs(NamedTuple):
    down: str
    across: str
    cross: str
    out: str  # a way begins to the right
    begin: str  # a lane begins
    joins: str  # a way ends in a lane
    end: str  # a lane ends to the left
    back: str


_UNICODE = _Signs("│", "─", "┼", "├", "╮", "┤", "╯", "↑")
_ASCII = _Signs("|", "-", "+", "|", ".", "|", "'", "^")


def states(standing: Standing, state: ExecutionState) -> dict[str, NodeState]:
    """How the nodes of a run stand; those it did not come to are left out."""
    found = {visit.node_id: NodeState("done", "good", str(visit.output.get("said") or "")) for visit in standing.visits}
    if standing.at is not None:
        word, look = {
            ExecutionState.RUNNING: ("running", "accent"),
            ExecutionState.READY: ("waits", "warning"),
            ExecutionState.FAILED: ("failed", "critical"),
            ExecutionState.CANCELLED: ("cancelled", "dim"),
            ExecutionState.INTERRUPTED: ("interrupted", "warning"),
        }.get(state, (str(state), ""))
        found[standing.at] = NodeState(word, look)
    return found


def drawn(flow: Flow, of_run: Mapping[str, NodeState] | None = None) -> list[Row]:
    """The rows of a flow that may run; `of_run`: see `states`."""
    signs = None if not glyphs().branch.strip() else _UNICODE if glyphs().branch.startswith("├") else _ASCII
    lanes: list[str | None] = [flow.start]
    rows: list[Row] = []
    for node_id in flow.order():
        node = flow.node(node_id)
        here = [at for at, target in enumerate(lanes) if target == node_id]
        column = here[0] if here else _free(lanes)
        if len(here) > 1 and signs is not None:
            rows.append(Row(None, (("dim", _line(lanes, column, here[1:], signs, ends=True)),)))
        for at in here[1:]:
            lanes[at] = None
        lanes[column] = node_id
        rows.append(Row(node_id, _node_pieces(flow, node, lanes, column, signs, of_run)))
        forward = [each.target for each in flow.out_of(node_id) if not flow.back(each)]
        lanes[column] = forward[0] if forward else None
        ways = []
        for target in forward[1:]:
            if target not in lanes:
                lanes[_free(lanes, column + 1)] = target
                ways.append((lanes.index(target), True))
            else:
                ways.append((len(lanes) - 1 - lanes[::-1].index(target), False))
        if ways and signs is not None:
            at, begins = ways[0]
            if at > column:
                rows.append(Row(None, (("dim", _line(lanes, column, [at], signs, ends=False, begins=begins)),)))
        while lanes and lanes[-1] is None:
            lanes.pop()
        lanes = lanes or [None]
    return rows


def _node_pieces(
    flow: Flow,
    node: Node,
    lanes: list[str | None],
    column: int,
    signs: _Signs | None,
    of_run: Mapping[str, NodeState] | None,
) -> tuple[tuple[Look, str], ...]:
    marks = glyphs()
    state = (of_run or {}).get(node.id)
    sign = {
        "done": marks.ok,
        "failed": marks.bad,
        "running": marks.cursor,
        "waits": marks.warning,
        "interrupted": marks.warning,
        "cancelled": marks.none,
    }.get(state.word if state else "", marks.mark if of_run is None else marks.gap)
    before = after = ""
    if signs is not None:
        before = "".join(f"{signs.down if lane else ' '} " for lane in lanes[:column])
        after = "".join(f" {signs.down if lane else ' '}" for lane in lanes[column + 1 :])
    look = state.look if state else "" if of_run is None else "dim"
    said: list[tuple[Look, str]] = [("dim", before), (look, f"{sign}"), ("dim", f"{after}  ")]
    said.append(("bold" if of_run is None or state else "dim", node.id))
    if state is not None:
        said.append((look, f"  {state.word}{f': {one_line(state.said)}' if state.said else ''}"))
    does = f"  {node.kind}" if node.kind != node.id else ""
    ways = _ways(flow, node.id, signs)
    says = "" if ways else f"  {KINDS[node.kind].says}"
    said.append(("dim", f"{does}{ways}{_parameters(node)}{says}"))
    return tuple(said)


def _parameters(node: Node) -> str:
    usual = KINDS[node.kind].parameters().model_dump(mode="json")
    given = [f"{name.replace('_', ' ')} {value}" for name, value in node.parameters.items() if usual.get(name) != value]
    if node.kind == "branch":
        given = [f"{node.parameters['on']} at least {node.parameters['at_least']}"]
    return f" ({', '.join(given)})" if given else ""


def _ways(flow: Flow, node_id: str, signs: _Signs | None) -> str:
    """Where the ways of a node lead, where there are two, or one that is no lane."""
    said = []
    for each in flow.out_of(node_id):
        if each.when is None:
            continue
        back = f"back ({signs.back if signs else 'up'}) to " if flow.back(each) else ""
        times = f", {each.retries} times at most" if each.retries else ""
        said.append(f"{each.when} {glyphs().arrow.strip()} {back}{each.target}{times}")
    return f": {', '.join(said)}" if said else ""


def _line(
    lanes: list[str | None], column: int, to: list[int], signs: _Signs, *, ends: bool, begins: bool = False
) -> str:
    """A row of lines: from the lane of a node to lanes on its right that end in it, begin or go on."""
    last = max(to)
    cells = []
    for at, lane in enumerate(lanes):
        if at == column:
            cells.append(signs.out)
        elif at == last:
            cells.append(signs.end if ends else signs.begin if begins else signs.joins)
        elif column < at < last:
            cells.append(signs.cross if lane else signs.across)
        else:
            cells.append(signs.down if lane else " ")
        cells.append(signs.across if column <= at < last else " ")
    return "".join(cells).rstrip()


def _free(lanes: list[str | None], start: int = 0) -> int:
    """A lane that is not in use, a new one if need be."""
    for at in range(start, len(lanes)):
        if lanes[at] is None:
            return at
    lanes.append(None)
    return len(lanes) - 1
