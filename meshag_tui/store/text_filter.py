"""What a list's filter means: a part of the text; after `~` a regular expression; `!` before either turns it round.

The expressions are RE2's: whatever is typed, a text is looked through in time proportional to its length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from meshag_tui.types import UsageError

Matcher = Callable[[str], bool]


class TextFilter(NamedTuple):
    """A filter taken apart. Case matters only if `wanted` has a capital; an empty one lets everything through."""

    wanted: str
    expression: bool = False
    inverted: bool = False

    @property
    def any_case(self) -> bool:
        return not any(character.isupper() for character in self.wanted)


def parse(given: str) -> TextFilter:
    """Take a filter apart as it was typed: "orders", "~^update .*carts", "!~pg_"."""
    wanted = given.strip()
    inverted = wanted.startswith("!")
    if inverted:
        wanted = wanted[1:].lstrip()
    expression = wanted.startswith("~")
    return TextFilter(wanted[1:].strip() if expression else wanted, expression, inverted)


def matcher(given: str) -> Matcher:
    """Whether a text passes.

    Raises:
        UsageError: what follows `~` is no regular expression.
    """
    found = parse(given)
    if not found.wanted:
        return lambda _: True
    holds = _expression(found) if found.expression else _part(found)
    return lambda text: holds(text) is not found.inverted


def _part(found: TextFilter) -> Matcher:
    if not found.any_case:
        return lambda text: found.wanted in text
    wanted = found.wanted.casefold()
    return lambda text: wanted in text.casefold()


def _expression(found: TextFilter) -> Matcher:
    import re2

    options = re2.Options()
    options.case_sensitive = not found.any_case
    options.dot_nl = True  # a statement has many lines
    options.log_errors = False
    try:
        pattern = re2.compile(found.wanted.encode("utf-8", "replace"), options)
    except re2.error as error:
        why = error.args[0] if error.args else ""
        said = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise UsageError(f"Not a regular expression: {said}") from None
    return lambda text: pattern.search(text.encode("utf-8", "replace")) is not None
