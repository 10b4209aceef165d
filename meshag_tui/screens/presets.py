"""Named ways to look at a list: its order, its columns, its filter. Some are given, others a user keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meshag_tui.glyphs import glyphs
from meshag_tui.text import one_line

MOST_NAME = 40
"""Characters of a preset's name."""


class Preset(NamedTuple):
    """A way to look at a list.

    `sort` is a column's key, "" the list's usual order; `columns` are keys, None the usual ones; `shown` is what the
    pane's own choice ("unused", "all statuses") is narrowed to, in the pane's words.
    """

    name: str
    sort: str = ""
    descending: bool = True
    columns: tuple[str, ...] | None = None
    filter: str = ""
    shown: str = ""

    @property
    def said(self) -> str:
        """What it does, in a few words."""
        parts = [f"by {self.sort.replace('_', ' ')}"] if self.sort else []
        parts += [one_line(self.filter, 20)] if self.filter else []
        parts += [f"{len(self.columns)} columns"] if self.columns is not None else []
        return glyphs().separator.join(parts)


class Kept(NamedTuple):
    """What a user keeps of a list: how it is arranged now, and presets by name."""

    now: Preset | None = None
    own: tuple[Preset, ...] = ()

    def with_own(self, preset: Preset) -> Kept:
        """With a preset added, in the place of one of its name."""
        return self._replace(own=(*(each for each in self.own if each.name != preset.name), preset))

    def without(self, name: str) -> Kept:
        return self._replace(own=tuple(each for each in self.own if each.name != name))

    @property
    def document(self) -> dict[str, Any]:
        return {"now": None if self.now is None else self.now._asdict(), "own": [each._asdict() for each in self.own]}


def kept_under(place: str, actor: str) -> str:
    """Under which name the store remembers what a user keeps of the list of a place."""
    return f"screens.list.{place}:{actor}"


def kept_from(document: Any, keys: Sequence[str]) -> Kept:
    """What was remembered, as far as it is still understood; `keys` are the columns there are."""
    if not isinstance(document, Mapping):
        return Kept()
    own = document.get("own")
    found = (_preset(each, keys) for each in (own if isinstance(own, list) else []))
    return Kept(_preset(document.get("now"), keys), tuple(each for each in found if each is not None))


def _preset(document: Any, keys: Sequence[str]) -> Preset | None:
    if not isinstance(document, Mapping) or not isinstance(document.get("name"), str):
        return None
    columns = document.get("columns")
    sort = document.get("sort")
    return Preset(
        name=document["name"],
        sort=sort if isinstance(sort, str) and sort in keys else "",
        descending=document.get("descending") is not False,
        columns=tuple(key for key in columns if key in keys) if isinstance(columns, list) else None,
        filter=str(document.get("filter") or ""),
        shown=str(document.get("shown") or ""),
    )


def name_problem(name: str) -> str | None:
    """What is wrong with a preset's name; None if nothing is."""
    return None if len(name.strip()) <= MOST_NAME else f"at most {MOST_NAME} characters"
