"""The places of the application, by the key that leads there: a number, or a capital letter.

A pane is registered here and nowhere else. Its module is imported when it is first shown, after the first paint: so a
pane may import the store at its top, and costs nothing before it is seen.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from meshag_tui.screens.pane import Pane


class Place(NamedTuple):
    """One pane: its key, its name in `Action.screens`, its title, `module:Class` under `screens`, and a title of
    one short word for where there is little room."""

    key: str
    name: str
    title: str
    made_by: str
    short: str

    def load(self) -> type[Pane]:
        """The pane's class; imports its module, which takes a while the first time."""
        module, _, name = self.made_by.partition(":")
        found: type[Pane] = getattr(importlib.import_module(f"meshag_tui.screens.{module}"), name)
        return found


PLACES: tuple[Place, ...] = (
    Place("1", "connections", "Overview", "connections:ConnectionsPane", "Over"),
    Place("2", "queries", "Queries", "queries:QueriesPane", "SQL"),
    Place("3", "indexes", "Indexes", "indexes:IndexesPane", "Idx"),
    Place("4", "suggestions", "Suggestions", "suggestions:SuggestionsPane", "Adv"),
    Place("5", "runs", "Runs", "runs:RunsPane", "Runs"),
    Place("6", "doctor", "Doctor", "doctor:DoctorPane", "Doc"),
    Place("7", "activity", "Activity", "activity:ActivityPane", "Log"),
    Place("8", "compare", "Compare", "compare:ComparePane", "Diff"),
    Place("9", "tables", "Tables", "tables:TablesPane", "Tbl"),
    Place("0", "sessions", "Live", "sessions:SessionsPane", "Live"),
    Place("H", "health", "Health", "health:HealthPane", "Hlth"),
    Place("A", "models", "Models", "models:ModelsPane", "AI"),
)
START = ("queries", "connections")
"""Where to begin, the first that there is; without any connection it is the last of them."""


def place_named(name: str) -> Place:
    return next(place for place in PLACES if place.name == name)
