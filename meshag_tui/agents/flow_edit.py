"""Changes of a flow, one at a time: each takes a flow and gives another. Whether it may run is for `flow.problems`."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, Literal

from meshag_tui.agents.flow import KINDS, TWO_WAYS, Connection, Flow, FlowError, Node, read, way

Way = Literal["yes", "no"]
_RETRIES = 3
"""How often a branch may go back, unless the document is changed by hand."""


def insert(flow: Flow, after: str, kind: str) -> tuple[Flow, str]:
    """Put a node behind another, into the way that leads on (of two, the one for yes); the flow and the node's name."""
    name = _free(flow, kind)
    node = Node(id=name, kind=kind)
    out = _main(flow, after)
    kept = [each for each in flow.connections if each is not out]
    into = way(source=after, target=name, when=out.when if out else _way(flow.node(after)))
    target = out.target if out else None
    on = []
    if kind in TWO_WAYS:
        other = next((each.id for each in flow.nodes if each.kind == "end"), None)
        pairs: tuple[tuple[Way, str | None], ...] = (("yes", target), ("no", other))
        on = [way(source=name, target=end, when=when) for when, end in pairs if end]
    elif kind != "end" and target is not None:
        on = [way(source=name, target=target)]
    at = [each.id for each in flow.nodes].index(after) + 1
    nodes = [*flow.nodes[:at], node, *flow.nodes[at:]]
    return _read(flow, nodes, [*kept, into, *on]), name


def remove(flow: Flow, node_id: str) -> Flow:
    """Take a node out; what led to it leads to what was behind it.

    Raises:
        FlowError: it is the only one.
    """
    if len(flow.nodes) == 1:
        raise FlowError("A flow has at least one node")
    out = _main(flow, node_id)
    kept = []
    for each in flow.connections:
        if each.source == node_id:
            continue
        if each.target == node_id:
            if out is None or out.target == each.source:
                continue
            each = each.model_copy(update={"target": out.target})
        kept.append(each)
    return _read(flow, [node for node in flow.nodes if node.id != node_id], kept)


def connect(flow: Flow, source: str, target: str, when: Way | None) -> Flow:
    """Let a way of a node lead elsewhere; of a branch that leads back, three times at most."""
    node = flow.node(source)
    kept = [each for each in flow.connections if not (each.source == source and each.when == when)]
    order = flow.order()
    back = node.kind == "branch" and order.index(target) <= order.index(source)
    made = way(source=source, target=target, when=when, retries=_RETRIES if back else None)
    return _read(flow, flow.nodes, [*kept, made])


def move_down(flow: Flow, node_id: str) -> Flow:
    """Let a node change places with the one behind it.

    Raises:
        FlowError: one of them has two ways, or there is none behind it.
    """
    out = _main(flow, node_id)
    then = _main(flow, out.target) if out is not None else None
    if out is None or then is None or flow.node(node_id).kind in TWO_WAYS or flow.node(out.target).kind in TWO_WAYS:
        raise FlowError("Only nodes with one way on change places: remove it, and add it where it belongs")
    other = out.target
    moved = []
    for each in flow.connections:
        if each is out:
            each = way(source=other, target=node_id)
        elif each is then:
            each = way(source=node_id, target=then.target)
        elif each.target == node_id:
            each = each.model_copy(update={"target": other})
        moved.append(each)
    nodes = list(flow.nodes)
    a, b = ([each.id for each in nodes].index(name) for name in (node_id, other))
    nodes[a], nodes[b] = nodes[b], nodes[a]
    return _read(flow, nodes, moved)


def move_up(flow: Flow, node_id: str) -> Flow:
    """Let a node change places with the one before it. FlowError: see `move_down`, or several lead to it."""
    before = [each.source for each in flow.connections if each.target == node_id and not flow.back(each)]
    if len(before) != 1:
        raise FlowError("Several ways lead to it" if before else "It is the first")
    return move_down(flow, before[0])


def rename(flow: Flow, node_id: str, name: str) -> Flow:
    """Call a node otherwise. FlowError: the name is taken, or none."""
    if name != node_id and any(node.id == name for node in flow.nodes):
        raise FlowError(f"There is a node {name} already")

    def named(given: str) -> str:
        return name if given == node_id else given

    nodes = [node.model_copy(update={"id": named(node.id)}) for node in flow.nodes]
    ways = [
        each.model_copy(update={"source": named(each.source), "target": named(each.target)})
        for each in flow.connections
    ]
    return _read(flow, nodes, ways)


def with_parameters(flow: Flow, node_id: str, given: Mapping[str, Any]) -> Flow:
    """Give a node other parameters. FlowError: one is not of its form; the text names it."""
    nodes = [node.model_copy(update={"parameters": dict(given)}) if node.id == node_id else node for node in flow.nodes]
    return _read(flow, nodes, flow.connections)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two documents, as the lines of a unified diff; none where they are the same."""
    old, new = (json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (before, after))
    return list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]


def titled(flow: Flow, title: str, description: str) -> Flow:
    document = flow.document()
    return read({**document, "metadata": {"title": title, "description": description}})


# --- inside -----------------------------------------------------------------------------------------------------------


def _read(flow: Flow, nodes: list[Node], connections: list[Connection]) -> Flow:
    """The flow of these, its form checked."""
    return read(flow.model_copy(update={"nodes": nodes, "connections": connections}).document())


def _main(flow: Flow, node_id: str) -> Connection | None:
    """The way that leads on from a node; of two, the one for yes."""
    ways = flow.out_of(node_id)
    return next((each for each in ways if each.when == "yes"), ways[0] if ways else None)


def _way(node: Node) -> Way | None:
    return "yes" if node.kind in TWO_WAYS else None


def _free(flow: Flow, kind: str) -> str:
    name = kind.replace("_", "-") if kind in KINDS else "node"
    taken = {node.id for node in flow.nodes}
    if name not in taken:
        return name
    return next(f"{name}-{number}" for number in range(2, len(taken) + 3) if f"{name}-{number}" not in taken)
