"""What reviews of a server's settings have in common: the figures they may rest on, and how a judgement is said.

A review is pure: settings as a sync read them and figures of the store in, one judgement a setting with its reason out.
Nothing is judged by what was not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

Judgement = Literal["wrong", "look", "ok"]
"""wrong: data or figures are at risk; look: worth a thought, for the reason said; ok: as it should be."""
Given = Mapping[str, str]


class Figures(NamedTuple):
    """What the store knows of the server. None: not known. Sizes in bytes."""

    stored_bytes: int | None = None  # of all tables with their indexes
    largest_rows: int | None = None  # of the table with most rows
    hit_ratio: float | None = None
    temp_bytes: int | None = None  # written to temporary files in the last day, as far as statements tell
    written_rows: int | None = None  # inserted, updated and deleted in the last day
    most_connections: int | None = None  # taken at once, of what syncs saw


class Judged(NamedTuple):
    """One setting: its value as it is shown, what is said of it, and why."""

    name: str
    value: str
    judgement: Judgement
    reason: str


Rule = Callable[[Given, Figures], tuple[Judgement, str]]
"""Judges a setting that was read; the reason is a sentence."""


class Reviewed(NamedTuple):
    """A setting that is reviewed: how its value is shown, and the rule that judges it."""

    name: str
    says: Callable[[float | None], str] | None
    rule: Rule


def review(rules: tuple[Reviewed, ...], given: Given, figures: Figures) -> Iterator[Judged]:
    """The judgement of each setting that was read, in the order of the rules."""
    for each in rules:
        if each.name not in given:
            continue
        value = given[each.name]
        number = number_of(given, each.name)
        shown = value if each.says is None or number is None else each.says(number)
        yield Judged(each.name, shown or "empty", *each.rule(given, figures))


def number_of(given: Given, name: str) -> float | None:
    """A setting as a number; None: it is none, or was not read."""
    try:
        return float(given[name])
    except (KeyError, ValueError):
        return None


def switch(good: str, judgement: Judgement, why: str, fine: str) -> Callable[[str], Rule]:
    """A rule for a setting that should have a value: `why` where it has another, `fine` where it has it."""

    def named(name: str) -> Rule:
        def rule(given: Given, _: Figures) -> tuple[Judgement, str]:
            return ("ok", fine) if given[name].lower() == good else (judgement, why)

        return rule

    return named
