"""Which runs are listed: by state, kind, agent, project and age; the store is asked for just these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from meshag_tui.screens.scope import DAY_MS, HOUR_MS
from meshag_tui.types import ExecutionState
from meshag_tui.widgets.chooser import Choice

_AGES = {"1h": ("the last hour", HOUR_MS), "24h": ("the last 24 h", DAY_MS), "7d": ("the last 7 days", 7 * DAY_MS)}
_OPEN = "open"


class Wanted(NamedTuple):
    """One value each, "" for any: a state or "open", a kind, ids of an agent and a project, one of the ages."""

    state: str = ""
    kind: str = ""
    agent: str = ""
    project: str = ""
    age: str = ""

    def asked(self, now: float) -> dict[str, Any]:
        """The arguments of `executions.listing` for it; `now` is epoch ms."""
        open_states = (ExecutionState.READY, ExecutionState.RUNNING)
        states = open_states if self.state == _OPEN else (ExecutionState(self.state),) if self.state else ()
        return {
            "states": states,
            "kind": self.kind or None,
            "agent": self.agent or None,
            "project": self.project or None,
            "since": int(now - _AGES[self.age][1]) if self.age else None,
        }

    def said(self, names: Mapping[str, str]) -> str:
        """In words, "" where all are wanted; `names`: what kinds, agents and projects are called."""
        age = _AGES[self.age][0] if self.age else ""
        return ", ".join(filter(None, (self.state, *(names.get(each, each) for each in self[1:4]), age)))

    @property
    def key(self) -> str:
        """All of it in a text that `wanted_from` reads."""
        return " ".join(f"{name}={value}" for name, value in self._asdict().items() if value)

    def with_choice(self, choice: str) -> Wanted:
        """The filter after one of `choices` was taken."""
        name, _, value = choice.partition("=")
        return self._replace(**{name: value}) if name else ALL


ALL = Wanted()


def choices(kinds: Mapping[str, str], agents: Mapping[str, str], projects: Mapping[str, str]) -> list[Choice]:
    """What can be chosen next; the mappings are of names, by kind or id."""
    states = {_OPEN: "open: waiting or running", **{state.value: state.lower() for state in ExecutionState}}
    offered: tuple[tuple[str, str, Mapping[str, str]], ...] = (
        ("state", "State", states),
        ("kind", "Run", kinds),
        ("agent", "Agent", agents),
        ("project", "Project", projects),
        ("age", "Asked for in", {age: words for age, (words, _) in _AGES.items()}),
    )
    made = [Choice("", "All runs")]
    for name, title, values in offered:
        made += [Choice(f"{name}={value}", f"{title} {words}") for value, words in values.items()]
        made += [Choice(f"{name}=", f"{title} any")] if values else []
    return made


def wanted_from(key: str) -> Wanted:
    """The filter a key was made from; all runs if it means nothing any more."""
    found = dict(each.split("=", 1) for each in key.split(" ") if "=" in each)
    known = {*map(str, ExecutionState), _OPEN, ""}
    if not found.keys() <= set(Wanted._fields) or found.get("state", "") not in known:
        return ALL
    return ALL if found.get("age", "") not in {*_AGES, ""} else Wanted(**found)
