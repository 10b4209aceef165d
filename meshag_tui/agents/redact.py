"""Takes values and hidden voices out of what is sent to a model.

Statement texts are normalised by their engine, which also takes their comments out; this is for what is not a
statement (plan conditions, column defaults, predicates of indexes), and for the fence around everything others wrote.
"""

from __future__ import annotations

import re

from meshag_tui.text import sanitise

_STRING = re.compile(
    r"""(?P<kept>"(?:[^"]|"")*"|`(?:[^`]|``)*`)|[EBXNU]?&?'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$""", re.DOTALL
)
_NUMBER = re.compile(
    r"(?P<kept>`(?:[^`]|``)*`|"
    r"\"(?:[^\"]|\"\")*\"|\$\d+|[A-Za-z_][\w$]*(?:\(\d+(?:, ?\d+)?\))?)|(?<![\w.])-?\d+(?:\.\d+)?"
)
_QUOTED = re.compile(r"(?<![\w'])'(?:[^'\n]|'')*'(?!\w)")


def without_values(expression: str) -> str:
    """An expression with string and number literals as `?`; quoted names, parameters and type lengths stay."""
    plain = _STRING.sub(lambda match: match.group("kept") or "?", expression)
    return _NUMBER.sub(lambda match: match.group("kept") or "?", plain)


def without_strings(words: str) -> str:
    """Sentences with quoted values as `?`; the figures in them stay, and so does an apostrophe."""
    return _QUOTED.sub("?", words)


def fenced(text: str, limit: int) -> tuple[str, bool]:
    """Text made by others, fit to stand between the prompt's markers: one block, nothing hidden in it, cut at `limit`.

    Returns:
        The text, and whether it was cut.
    """
    plain = sanitise(text, limit=max(limit, 1)).replace("<<<", "‹‹‹").replace(">>>", "›››")
    return (plain[:limit], True) if len(text) > limit else (plain, False)
