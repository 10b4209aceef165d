"""What an agent is made of, the three that come with MeshAG, and flows to begin with."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from meshag_tui.agents.flow import FORMAT, TOOLS, Flow, read
from meshag_tui.types import UsageError

CATEGORIES = ("tuning", "explaining", "reviewing", "other")


class Profile(BaseModel):
    """What a run of an agent depends on; each edit of it makes another version."""

    model_config = ConfigDict(extra="forbid")
    instructions: str = Field(default="", max_length=8_000)  # told to models word for word
    tools: list[str] = Field(default_factory=list)
    context: str = Field(default="", max_length=8_000)  # notes on the databases, told to models as well
    configuration: dict[str, str | int | float | bool] = Field(default_factory=dict)
    model: str | None = None  # NAME or NAME/MODEL of a provider; null: in their order

    @field_validator("tools")
    @classmethod
    def _known(cls, given: list[str]) -> list[str]:
        if wrong := sorted(set(given) - set(TOOLS)):
            raise ValueError(f"no tool {', '.join(wrong)}: there are {', '.join(TOOLS)}")
        return sorted(set(given), key=TOOLS.index)

    @property
    def guidance(self) -> str:
        """The words a model is told."""
        return "\n\n".join(filter(None, (self.instructions.strip(), self.context.strip())))

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def profile(given: Mapping[str, Any]) -> Profile:
    """A document as a profile.

    Raises:
        UsageError: it has another form; the text names the key.
    """
    try:
        return Profile.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UsageError(f"agent: {where}: {first['msg']}") from None


def checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def chain(title: str, nodes: Sequence[tuple[str, str, Mapping[str, Any]]], *more: Mapping[str, Any]) -> Flow:
    """A flow of nodes that follow each other, and the connections that do not."""
    branching = {each["from"] for each in more}
    joined = [
        {"from": one[0], "to": other[0]}
        for one, other in itertools.pairwise(nodes)
        if one[0] not in branching and one[1] != "end"
    ]
    return read(
        {
            "format": FORMAT,
            "metadata": {"title": title},
            "nodes": [{"id": name, "kind": kind, "parameters": dict(given)} for name, kind, given in nodes],
            "connections": [*joined, *more],
        }
    )


def _either(source: str, yes: str, no: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return {"from": source, "to": yes, "when": "yes"}, {"from": source, "to": no, "when": "no"}


def templates() -> dict[str, Flow]:
    """Flows to begin with, by name."""
    looking: list[tuple[str, str, dict[str, Any]]] = [
        *(("collect", "collect", {}), ("pick", "filter", {}), ("explain", "explain", {}))
    ]
    return {
        "collect": chain("Collect", [("collect", "collect", {}), ("end", "end", {})]),
        "advise": chain(
            "Look for improvements",
            [
                *looking,
                ("advise", "advise_rules", {}),
                ("any", "branch", {"on": "suggestions"}),
                ("say", "notify", {"text": "There is something worth doing"}),
                ("end", "end", {}),
            ],
            *_either("any", "say", "end"),
        ),
        "explain": chain(
            "Explain the slowest statements",
            [("pick", "filter", {"most": 3}), ("explain", "explain", {}), ("ask", "ask", {}), ("end", "end", {})],
        ),
        "review": chain(
            "Review what was changed",
            [
                ("collect", "collect", {}),
                ("verify", "verify", {}),
                ("worse", "branch", {"on": "worse"}),
                ("say", "notify", {"text": "A change made things worse"}),
                ("end", "end", {}),
            ],
            *_either("worse", "say", "end"),
        ),
        "full-loop": chain(
            "From statistics to a verified change",
            [
                *looking,
                ("advise", "advise_rules", {}),
                ("any", "branch", {"on": "suggestions"}),
                ("agree", "approve", {}),
                ("apply", "apply", {}),
                ("verify", "verify", {"after_min": 15}),
                ("worse", "branch", {"on": "worse"}),
                ("agree-back", "approve", {}),
                ("back", "rollback", {}),
                ("end", "end", {}),
            ],
            *_either("any", "agree", "end"),
            *_either("agree", "apply", "end"),
            *_either("worse", "agree-back", "end"),
            *_either("agree-back", "back", "end"),
        ),
    }


class Shipped(NamedTuple):
    """An agent that comes with MeshAG."""

    key: str
    name: str
    category: str
    description: str
    profile: Profile
    flow: str  # of `templates`


SHIPPED = (
    Shipped(
        "index-hunter",
        "Index hunter",
        "tuning",
        "Looks for indexes and other improvements by rules and the planner; read-only.",
        Profile(tools=["collect", "filter", "explain", "advise_rules", "notify"]),
        "advise",
    ),
    Shipped(
        "query-explainer",
        "Query explainer",
        "explaining",
        "Asks a model about the statements that take most time, a thread each; read-only.",
        Profile(
            instructions="Begin with what the statement does, in one sentence, for somebody who did not write it.",
            tools=["filter", "explain", "ask"],
        ),
        "explain",
    ),
    Shipped(
        "change-reviewer",
        "Change reviewer",
        "reviewing",
        "Compares what was applied with the time before it, and says what became worse; read-only.",
        Profile(tools=["collect", "verify", "notify"]),
        "review",
    ),
)
