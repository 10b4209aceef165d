"""What an agent does, as a document: nodes of known kinds and the connections between them.

The document is what the engine runs, what the graph shows and what is exported. Its form is a JSON schema, made from
the models here; `problems` says what else must hold before it may run: one start, an end that is reached, no cycle but
through an approval or a bounded retry, a change only after an approval and before it is verified, and only tools the
agent is allowed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meshag_tui.types import MeshagError

FORMAT = 1
MOST_NODES = 60
Subject = Literal["queries", "suggestions", "threads", "changes", "worse"]


class FlowError(MeshagError):
    """The document is none, or may not run; the text names the place."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Nothing(_Closed):
    """A node without parameters."""


class Filter(_Closed):
    """Which statements are picked, the dearest first."""

    least_share: float = Field(default=0.01, ge=0, le=1, description="of all time, 0 to 1")
    slow_ms: float = Field(default=0, ge=0, description="mean time from which one counts, ms")
    most: int = Field(default=10, ge=1, le=100, description="statements at most")
    window_h: float = Field(default=24, gt=0, le=24 * 366, description="hours that are looked at")


class Ask(_Closed):
    """What a model is asked about each statement that was picked."""

    question: str = Field(default="Why is it slow, and what would help?", min_length=1, max_length=2_000)
    most: int = Field(default=3, ge=1, le=20, description="statements at most")


class Verify(_Closed):
    """When an applied change is compared with the time before it."""

    after_min: float = Field(default=0, ge=0, le=7 * 24 * 60, description="minutes to wait after the change")
    since_h: float = Field(default=168, gt=0, le=24 * 366, description="without a change of this run: of so many hours")


class Benchmark(_Closed):
    """How many suggestions are measured, the first ones."""

    most: int = Field(default=3, ge=1, le=20, description="suggestions at most")


class Simulate(_Closed):
    """Which of the indexes that were priced are gone on with; what is no index is not priced, and stays."""

    least_gain: float = Field(default=0.2, ge=0, lt=1, description="share of the planner's cost that one saves, 0 to 1")


class Sandbox(_Closed):
    """How many suggestions are tried, the first ones; the others are left out."""

    most: int = Field(default=5, ge=1, le=20, description="suggestions at most")


class Notify(_Closed):
    """What is said in the activity log."""

    text: str = Field(default="", max_length=500)


class Branch(_Closed):
    """Yes, where there are at least so many of something."""

    on: Subject = "suggestions"
    at_least: int = Field(default=1, ge=1, le=1_000_000)


class NodeKind(NamedTuple):
    """A kind of node: what it does, its parameters, whether it needs an approval before it, or asks a model."""

    name: str
    says: str
    parameters: type[_Closed] = Nothing
    agreed: bool = False  # needs an approval before it
    model: bool = False
    free: bool = False  # no tool: every agent may have it


KINDS: Mapping[str, NodeKind] = {
    kind.name: kind
    for kind in (
        NodeKind("collect", "read the server's statistics"),
        NodeKind("filter", "pick the statements worth looking at", Filter),
        NodeKind("explain", "ask the planner for the plans of what was picked; nothing is run"),
        NodeKind("advise_rules", "look for improvements by rules and the planner"),
        NodeKind("advise_llm", "ask a model for improvements, and check them", model=True),
        NodeKind("simulate", "price indexes with the planner as if they existed; nothing is made", Simulate),
        NodeKind("sandbox_apply", "make changes in a sandbox without rows, and take them back", Sandbox),
        NodeKind("ask", "ask a model about what was picked, a thread each", Ask, model=True),
        NodeKind("approve", "wait for a person to agree to exactly what would run", free=True),
        NodeKind("benchmark", "measure suggestions in a sandbox with rows, as agreed to", Benchmark, agreed=True),
        NodeKind("apply", "apply what was agreed to", agreed=True),
        NodeKind("verify", "compare changes with the time before them", Verify),
        NodeKind("rollback", "put back what made things worse, as agreed to", agreed=True),
        NodeKind("notify", "say what came of it in the activity log", Notify),
        NodeKind("branch", "go one way or the other", Branch, free=True),
        NodeKind("end", "the run is done", free=True),
    )
}
TWO_WAYS = ("branch", "approve")
TOOLS = tuple(name for name, kind in KINDS.items() if not kind.free)
"""What an agent may be allowed."""


class Node(_Closed):
    id: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_-]*$")]
    kind: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class Connection(_Closed):
    """`when` tells the two ways out of a branch or an approval; with `retries` the way back may be gone so often."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    when: Literal["yes", "no"] | None = None
    retries: int | None = Field(default=None, ge=1, le=10)


def way(source: str, target: str, when: str | None = None, retries: int | None = None) -> Connection:
    """A connection of these."""
    return Connection.model_validate({"from": source, "to": target, "when": when, "retries": retries})


class Metadata(_Closed):
    title: str = Field(default="", max_length=120)
    description: str = Field(default="", max_length=2_000)


class Flow(_Closed):
    """A whole document."""

    format: int = Field(default=FORMAT, ge=1)
    metadata: Metadata = Field(default_factory=lambda: Metadata())
    nodes: list[Node] = Field(min_length=1, max_length=MOST_NODES)
    connections: list[Connection] = Field(default_factory=list, max_length=4 * MOST_NODES)

    def document(self) -> dict[str, Any]:
        """As JSON: what `read` takes."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def node(self, node_id: str) -> Node:
        return next(node for node in self.nodes if node.id == node_id)

    def out_of(self, node_id: str) -> list[Connection]:
        return [each for each in self.connections if each.source == node_id]

    @property
    def start(self) -> str:
        """The node nothing leads to but a way back; of a flow without problems there is one."""
        led_to = {each.target for each in self.connections if not self.back(each)}
        return next((node.id for node in self.nodes if node.id not in led_to), self.nodes[0].id)

    def order(self) -> list[str]:
        """The nodes, each after those that lead to it; what is in a cycle comes last."""
        forward = [each for each in self.connections if not self.back(each)]
        left = {node.id: sum(each.target == node.id for each in forward) for node in self.nodes}
        ready, found = [node.id for node in self.nodes if not left[node.id]], []
        while ready:
            now = ready.pop(0)
            found.append(now)
            freed = []
            for each in forward:
                if each.source == now and each.target in left:
                    left[each.target] -= 1
                    if not left[each.target]:
                        freed.append(each.target)
            ready = freed + ready
        return found + [node.id for node in self.nodes if node.id not in found]

    def back(self, each: Connection) -> bool:
        """Whether a connection leads back: a retry, or the way from an approval to what led to it."""
        if each.retries is not None:
            return True
        return self.node(each.source).kind == "approve" and each.source in _reached(self, each.target)

    def agreed_for(self, node_id: str) -> str | None:
        """The kind of what a yes to an approval lets through: the first on its way that needs one."""
        seen = {node_id}
        at = next((each.target for each in self.out_of(node_id) if each.when == "yes"), None)
        while at is not None and at not in seen:
            seen.add(at)
            kind = self.node(at).kind
            if KINDS[kind].agreed:
                return kind
            at = next((each.target for each in self.out_of(at) if each.when != "no"), None)
        return None

    def checksum(self) -> str:
        return hashlib.sha256(json.dumps(self.document(), sort_keys=True).encode()).hexdigest()


def schema() -> dict[str, Any]:
    """The JSON schema of a document, with the parameters of each kind under `$defs`."""
    made = Flow.model_json_schema(by_alias=True)
    made["$defs"] |= {f"{name}_parameters": kind.parameters.model_json_schema() for name, kind in KINDS.items()}
    return made


def read(given: Any) -> Flow:
    """A document as a flow, the parameters it leaves out filled in.

    Raises:
        FlowError: it has another form; the text names the key, or the format it is of.
    """
    if isinstance(given, Mapping) and isinstance(given.get("format"), int) and given["format"] > FORMAT:
        raise FlowError(
            f"This flow is of format {given['format']}, and this MeshAG knows {FORMAT}: it is left as it is"
        )
    try:
        flow = Flow.model_validate(given)
    except ValidationError as error:
        raise FlowError(f"The flow is not of its form: {_first(error)}") from None
    nodes = []
    for node in flow.nodes:
        kind = KINDS.get(node.kind)
        if kind is None:
            raise FlowError(f"{node.id}: there is no kind {node.kind!r}: there are {', '.join(KINDS)}")
        try:
            whole = kind.parameters.model_validate(node.parameters)
        except ValidationError as error:
            raise FlowError(f"{node.id}: parameters: {_first(error)}") from None
        nodes.append(node.model_copy(update={"parameters": whole.model_dump(mode="json")}))
    return flow.model_copy(update={"nodes": nodes})


def configured(flow: Flow, configuration: Mapping[str, Any]) -> Flow:
    """A flow with an agent's own figures ("filter.slow_ms") in place of the usual ones; what a node says itself stays.

    Raises:
        FlowError: there is no such figure, or it is not of its form; the text names it.
    """
    for key, value in configuration.items():
        name, _, parameter = key.partition(".")
        kind = KINDS.get(name)
        if kind is None or parameter not in kind.parameters.model_fields:
            raise FlowError(f"configuration: {key}: there is none; write KIND.PARAMETER, as in filter.slow_ms")
        try:
            kind.parameters.model_validate({parameter: value})
        except ValidationError as error:
            raise FlowError(f"configuration: {key}: {error.errors()[0]['msg']}") from None
    nodes = []
    for node in flow.nodes:
        usual = KINDS[node.kind].parameters().model_dump(mode="json")
        own = {key.partition(".")[2]: value for key, value in configuration.items() if key.startswith(f"{node.kind}.")}
        given = {**node.parameters, **{n: v for n, v in own.items() if node.parameters.get(n) == usual[n]}}
        nodes.append(node.model_copy(update={"parameters": given}))
    return read(flow.model_copy(update={"nodes": nodes}).document())


def problems(flow: Flow, tools: Iterable[str] | None = None) -> tuple[str, ...]:
    """Why a flow may not run, a line each; none: it may. `tools`: what its agent is allowed."""
    ids = [node.id for node in flow.nodes]
    found = [f"two nodes are called {each}" for each in sorted({each for each in ids if ids.count(each) > 1})]
    found += [
        f"a connection leads from {each.source} to {each.target}: there is no {name}"
        for each in flow.connections
        for name in (each.source, each.target)
        if name not in ids
    ]
    if found:
        return tuple(found)
    found += _starts_and_ends(flow)
    found += _ways_out(flow)
    if cycle := _cycle(flow):
        found.append(f"it goes in a circle without an approval or a retry: {' → '.join(cycle)}")
        return tuple(found)
    found += _changes_are_agreed_to_and_verified(flow)
    if tools is not None:
        allowed = set(tools)
        found += [
            f"{node.id}: this agent is not allowed {node.kind}"
            for node in flow.nodes
            if not KINDS[node.kind].free and node.kind not in allowed
        ]
    return tuple(dict.fromkeys(found))


def check(flow: Flow, tools: Iterable[str] | None = None) -> None:
    """Raises FlowError for the first of the problems, and says how many there are."""
    found = problems(flow, tools)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise FlowError(f"The flow may not run: {found[0]}{more}")


# --- inside -----------------------------------------------------------------------------------------------------------


def _starts_and_ends(flow: Flow) -> list[str]:
    led_to = {each.target for each in flow.connections if not flow.back(each)}
    starts = [node.id for node in flow.nodes if node.id not in led_to]
    found = []
    if len(starts) != 1:
        found.append(f"it must begin at one node, and {', '.join(starts) or 'none'} has nothing that leads to it")
    if not any(node.kind == "end" for node in flow.nodes):
        found.append("it has no end")
    reached = _reached(flow, flow.start)
    found += [f"{node.id} is never reached" for node in flow.nodes if node.id not in reached]
    return found


def _ways_out(flow: Flow) -> list[str]:
    found = []
    for node in flow.nodes:
        out = flow.out_of(node.id)
        ways = [each.when for each in out]
        if node.kind not in TWO_WAYS and any(each.retries is not None for each in out):
            found.append(f"{node.id}: only a branch or an approval leads back")
        if node.kind == "end":
            if ways:
                found.append(f"{node.id}: nothing follows an end")
        elif node.kind in TWO_WAYS:
            if sorted(map(str, ways)) != ["no", "yes"]:
                found.append(f"{node.id}: a {node.kind} needs one way for yes and one for no")
        elif len(ways) != 1 or ways[0] is not None:
            found.append(f"{node.id}: one way must lead on from it, without yes or no")
    return found


def _cycle(flow: Flow) -> list[str]:
    """A circle that could be gone round for ever; approvals and bounded retries end one."""
    free = [each for each in flow.connections if each.retries is None and flow.node(each.source).kind != "approve"]
    done: set[str] = set()

    def walk(node_id: str, path: list[str]) -> list[str]:
        if node_id in path:
            return [*path[path.index(node_id) :], node_id]
        if node_id in done:
            return []
        for each in free:
            if each.source == node_id and (found := walk(each.target, [*path, node_id])):
                return found
        done.add(node_id)
        return []

    for node in flow.nodes:
        if found := walk(node.id, []):
            return found
    return []


def _changes_are_agreed_to_and_verified(flow: Flow) -> list[str]:
    found = []
    agreed = _without(flow, lambda each: flow.node(each.source).kind == "approve" and each.when == "yes")
    for node in flow.nodes:
        if KINDS[node.kind].agreed and node.id in _reached(flow, flow.start, agreed):
            found.append(f"{node.id}: {node.kind} must come after an approval")
        if node.kind == "apply":
            after = [each.target for each in flow.out_of(node.id)]
            past = _without(flow, lambda each: flow.node(each.source).kind == "verify")
            reached = set().union(*(_reached(flow, each, past) for each in after)) if after else set()
            if any(flow.node(each).kind == "end" for each in reached) or not after:
                found.append(f"{node.id}: what is applied must be verified before the end")
    return found


def _without(flow: Flow, crossed: Any) -> list[Connection]:
    return [each for each in flow.connections if not crossed(each)]


def _reached(flow: Flow, start: str, ways: Sequence[Connection] | None = None) -> set[str]:
    found, left = {start}, [start]
    while left:
        now = left.pop()
        for each in flow.connections if ways is None else ways:
            if each.source == now and each.target not in found:
                found.add(each.target)
                left.append(each.target)
    return found


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"{where}: {first['msg']}"
