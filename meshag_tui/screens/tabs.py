"""The line that names the places and their number keys, the one in front marked."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message

from meshag_tui.screens.places import Place
from meshag_tui.widgets.line import Line


class Tabs(Line):
    """`1 Connections  2 Queries …`; where that does not fit, some have shorter titles, or only their numbers."""

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

    def _titles(self, width: int) -> list[tuple[Place, str]]:
        """Each place with its title, shortened until all fit beside what is said at the right end.

        What saves most goes first, the one in front last.
        """
        width -= len(self._right) + 2 if self._right else 0
        titles = {place.name: f"{place.number} {place.title}" for place in self._places}
        order = sorted(self._places, key=lambda each: (each.name == self._front, len(each.short) - len(each.title)))
        shorter = [(place, f"{place.number} {place.short}") for place in order]
        for place, title in [*shorter, *((place, str(place.number)) for place in order)]:
            if sum(map(len, titles.values())) + 2 * len(titles) <= width:
                break
            titles[place.name] = title
        return [(place, titles[place.name]) for place in self._places]

    def segments(self, width: int) -> list[Segment]:
        segments: list[Segment] = []
        used = 0
        for place, title in self._titles(width):
            used += len(title) + 2
            if place.name == self._front:
                segments.append(Segment(f" {title} ", self.get_component_rich_style("tabs--front")))
                continue
            number, _, name = title.partition(" ")
            segments.append(Segment(f" {number}", self.get_component_rich_style("tabs--number")))
            segments.append(Segment(f" {name} " if name else " ", self.rich_style))
        room = width - used - 1
        if self._right and room >= len(self._right) + 1:
            segments.append(Segment(f"{self._right:>{room}} ", self.rich_style))
        return segments

    def on_click(self, event: events.Click) -> None:
        edge = 0
        for place, title in self._titles(self.size.width):
            edge += len(title) + 2
            if event.x < edge:
                self.post_message(self.Chosen(place))
                return
