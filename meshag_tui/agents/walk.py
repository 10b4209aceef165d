"""Where a run stands in its flow, from the steps it has done: what was visited, what it found, what comes next.

A step's name is its number and its node (`004:apply`), its output a document with `found` (ids by subject), `way` (yes
or no, of a branch or an approval) and `said`. So a run that is taken up again walks the same way to the same place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshag_tui.agents.flow import TWO_WAYS, Connection, Flow, FlowError

MOST_VISITS = 200


@dataclass(frozen=True)
class Visit:
    """A node that was done, as step `name`."""

    name: str
    node_id: str
    output: Mapping[str, Any]


@dataclass
class Standing:
    """`at`: the node that comes next, None after the end; `found`: ids by subject, of all that was done."""

    visits: list[Visit] = field(default_factory=list)
    at: str | None = None
    found: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def step(self) -> str:
        """The name of the step that comes next."""
        return f"{len(self.visits):03d}:{self.at}"


def standing(flow: Flow, done: Mapping[str, Any]) -> Standing:
    """Walk from the start over what is done.

    Raises:
        FlowError: a way back was gone as often as it may be.
    """
    now = Standing(at=flow.start)
    gone: dict[tuple[str, str], int] = {}
    while now.at is not None and now.step in done:
        output = done[now.step]
        node = flow.node(now.at)
        now.visits.append(Visit(now.step, node.id, output))
        for subject, ids in (output.get("found") or {}).items():
            now.found[subject] = list(ids)
        way = _way(flow, node.id, output)
        if way is None:
            now.at = None
            return now
        if way.retries is not None:
            pair = (way.source, way.target)
            gone[pair] = gone.get(pair, 0) + 1
            if gone[pair] > way.retries:
                raise FlowError(f"{node.id}: it went back to {way.target} {way.retries} times, and that is all it may")
        if len(now.visits) >= MOST_VISITS:
            raise FlowError(f"It did {MOST_VISITS} steps without an end")
        now.at = way.target
    return now


def _way(flow: Flow, node_id: str, output: Mapping[str, Any]) -> Connection | None:
    ways = flow.out_of(node_id)
    if flow.node(node_id).kind in TWO_WAYS:
        return next((each for each in ways if each.when == output.get("way")), None)
    return ways[0] if ways else None
