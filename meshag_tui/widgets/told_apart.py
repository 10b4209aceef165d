"""Cuts of names that do not fit, by which those of one list look different whenever they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from meshag_tui.glyphs import glyphs
from meshag_tui.text import clip, width_of


def told_apart(names: Iterable[str], width: int) -> dict[str, str]:
    """Names that `clip` would make alike in `width` cells, each with a cut by which it differs from all other names.

    Tried are, in this order: what the name ends with, where both ends have a part, and what comes after that in which
    the names that still look alike begin the same. The last need not help names that differ in several such places.
    """
    mark = glyphs().ellipsis
    room = width - width_of(mark)
    names = set(names)
    shown = {clip(name, width): name for name in names if width_of(name) <= width}
    alike = sorted(name for name in names if width_of(name) > width)
    found: dict[str, str] = {}

    def tried(cuts: Mapping[str, str]) -> list[str]:
        """The names that look like another with these cuts; the others are found."""
        times = Counter(cuts.values())
        for name, cut in cuts.items():
            if times[cut] == 1 and cut not in shown:
                found[name] = cut
        shown.update({found[name]: name for name in cuts if name in found})
        return [name for name in cuts if name not in found]

    alike = tried({name: clip(name, width) for name in alike})
    usual = set(found)
    begun: dict[str, list[str]] = defaultdict(list)
    for name in alike:
        begun[clip(name, width)].append(name)
    starts = {name: _same(min(group), max(group)) for group in begun.values() for name in group}
    for head in (0, room // 2, room // 4, room - room // 4) if room > 0 else ():
        alike = tried({name: name[:head] + mark + _last(name, room - width_of(name[:head])) for name in alike})
    for before in (0, 2) if room > 2 else ():
        alike = tried({name: clip(name[:before] + mark + name[starts[name] :], width) for name in alike})
    return {name: cut for name, cut in found.items() if name not in usual}


def _same(one: str, other: str) -> int:
    """How many characters two names begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _last(text: str, width: int) -> str:
    """The end of `text` that fits into `width` cells."""
    end = text[-width:] if width > 0 else ""
    while width_of(end) > width:
        end = end[1:]
    return end
