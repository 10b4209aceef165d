"""The line that names the places and their keys, the one in front marked."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message

from meshag_tui.screens.places import Place
from meshag_tui.widgets.line import Line


class Tabs(Line):
    """`1 Connections  2 Queries …`; where that does not fit, some have shorter titles, or only their keys."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"tabs--front", "tabs--number"}
    DEFAULT_CSS = """
    Tabs { height: 1; }
    Tabs > .tabs--front { text-style: bold reverse; }
    Tabs > .tabs--number { text-style: bold; color: $accent; }
    """

    class Chosen(Message):
        """A place was clicked."""

        def __init__(self, place: Place) -> None:
            super().__init__()
            self.place = place

    def __init__(self, places: tuple[Place, ...]) -> None:
        super().__init__()
        self._places = places
        self._front = ""
        self._right = ""

    def show(self, front: str, right: str = "") -> None:
        """Mark the place in front; `right` is said at the right end."""
        if (front, right) != (self._front, self._right):
            self._front, self._right = front, right
            self.refresh()

    def _titles(self, width: int) -> tuple[list[tuple[Place, str]], int]:
        """Each place with its title, and the cells between two, shortened until all fit beside what is at the right.

        What saves most goes first, the one in front last; before a title goes whole, the places move together.
        """
        width -= len(self._right) + 2 if self._right else 0
        titles = {place.name: f"{place.key} {place.title}" for place in self._places}
        order = sorted(self._places, key=lambda each: (each.name == self._front, len(each.short) - len(each.title)))

        def fit(gap: int) -> bool:
            return sum(map(len, titles.values())) + gap * len(titles) <= width

        for place in order:
            if not fit(2):
                titles[place.name] = f"{place.key} {place.short}"
        gap = 2 if fit(2) else 1
        for place in order:
            if not fit(gap):
                titles[place.name] = place.key
        return [(place, titles[place.name]) for place in self._places], gap

    def segments(self, width: int) -> list[Segment]:
        segments: list[Segment] = []
        titles, gap = self._titles(width)
        used, lead = 0, " " * (gap - 1)
        for place, title in titles:
            used += len(title) + gap
            if place.name == self._front:
                segments.append(Segment(f"{lead}{title} ", self.get_component_rich_style("tabs--front")))
                continue
            number, _, name = title.partition(" ")
            segments.append(Segment(f"{lead}{number}", self.get_component_rich_style("tabs--number")))
            segments.append(Segment(f" {name} " if name else " ", self.rich_style))
        room = width - used - 1
        if self._right and room >= len(self._right) + 1:
            segments.append(Segment(f"{self._right:>{room}} ", self.rich_style))
        return segments

    def on_click(self, event: events.Click) -> None:
        edge = 0
        titles, gap = self._titles(self.size.width)
        for place, title in titles:
            edge += len(title) + gap
            if event.x < edge:
                self.post_message(self.Chosen(place))
                return
