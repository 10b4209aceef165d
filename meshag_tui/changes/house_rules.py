"""The gates that are ours and not the server's: when changes may be made, who must have agreed, and what was advised.

In: settings, and what the store knows of a suggestion. Out: `base.Gate` values, asked with the others when a change is
looked at and again right before it runs. What is not set has no gate. What puts a change back is not held up by the
hour nor by who is there: it warns of the hour, and that is all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from meshag_tui.engines.base import Gate
from meshag_tui.maintenance import MaintenanceWindow
from meshag_tui.settings import Settings
from meshag_tui.store import activity, connections, people, suggestions


@dataclass(frozen=True, slots=True)
class HouseRules:
    """What holds for one change. `agreed` are those who asked for it or marked its suggestion as reviewed.

    `advised` is the object as it was when advised, "not kept" where the suggestion does not say; None: no suggestion.
    """

    window: MaintenanceWindow | None = None
    approvers: tuple[str, ...] = ()
    agreed: tuple[str, ...] = ()
    advised: Mapping[str, Any] | Literal["not kept"] | None = None
    undoes: bool = False

    def gates(self, catalogue: Mapping[str, Any], now: datetime) -> tuple[Gate, ...]:
        """Those that are set. `now` is local time."""
        found = []
        if self.window is not None:
            passes = self.window.is_open(now)
            state = "pass" if passes else "warn" if self.undoes else "block"
            found.append(Gate("maintenance window", f"{now:%a %H:%M}", self.window.text, state))  # type: ignore[arg-type]
        if self.approvers and not self.undoes:
            who = [name for name in self.agreed if name in self.approvers]
            detail = "" if who else "One of them marks the suggestion as reviewed, or applies it"
            limit = f"one of {', '.join(self.approvers)}"
            found.append(Gate("approved by", ", ".join(who) or "nobody", limit, "pass" if who else "block", detail))
        if self.advised is not None and not self.undoes:
            found.append(_same(self.advised, catalogue))
        return tuple(found)


NO_RULES = HouseRules()


def _same(advised: Mapping[str, Any] | Literal["not kept"], catalogue: Mapping[str, Any]) -> Gate:
    """The table that was made again under its name, the index that is another by now: what was advised is not of it."""
    if advised == "not kept":
        detail = "The suggestion does not say which object it was made for: look for advice anew"
        return Gate("object as when advised", "unknown", "the same", "block", detail)
    other = [name for name, then in advised.items() if then != catalogue.get(name)]
    value = "the same" if not other else f"another {other[0].replace('_', ' ')}"
    detail = f"It was {advised[other[0]]} and is {catalogue.get(other[0])}: look for advice anew" if other else ""
    return Gate("object as when advised", value, "the same", "block" if other else "pass", detail)


def house_rules(
    settings: Settings, connection_id: str, suggestion_id: str | None, actor: str, *, undoes: bool
) -> HouseRules:
    """The rules for a change of this connection that `actor` asks for (in the store's thread)."""
    name = connections.get(connection_id).name
    approvers = tuple(dict.fromkeys((*settings.changes.approver_names, *people.approvers())))
    agreed = [actor]
    advised: Any = None
    if suggestion_id is not None:
        kept = suggestions.get(suggestion_id).evidence.get("object")
        advised = kept if isinstance(kept, Mapping) else "not kept"
        if approvers:
            reviewed = activity.recent(50, subject=suggestion_id, kind="suggestion.reviewed")
            agreed += [entry.actor for entry in reviewed]
    return HouseRules(
        settings.changes.window_of(name),
        approvers,
        tuple(dict.fromkeys(agreed)),
        advised,
        undoes,
    )
