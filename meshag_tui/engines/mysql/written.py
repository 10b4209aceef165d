"""A digest as a person writes the statement: c.name for `c` . `name`, COUNT(*) for COUNT ( * ).

In: a digest's text. Out: the same words with blanks where people have them, names in quotes only where they must be:
its identity and what the server and our readers take it for stay the same. It is done once, when a text is read: what
is shown, searched, copied and explained is what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from meshag_tui.engines.mysql.functions import BEFORE_BRACKETS, OF_GRAMMAR, PURE
from meshag_tui.engines.mysql.keywords import RESERVED
from meshag_tui.engines.mysql.lexer import MORE_ROWS, Token, tokens

_PLAIN = re.compile(r"[A-Za-z\u0080-\uffff][\w$\u0080-\uffff]*", re.ASCII)
_QUOTED_STILL = (
    RESERVED
    | BEFORE_BRACKETS
    | frozenset(("any", "begin", "duplicate", "end", "first", "local", "mode", "nowait", "only", "quick", "share"))
    | frozenset(("skip", "some", "temporary", "unknown", "user", "value"))
)
"""Names that are something else without quotes: to the server, or to those of our readers that go by words."""
_DISTINCT = "distinctrow"
"""What digests have for DISTINCT."""
_COMMENTS = (MORE_ROWS, "/*+")
"""Those that a digest may hold."""
_BEFORE_COLUMNS = frozenset(("into", "on", "recursive", "references", "table", "with"))
"""Words after which a name in front of a bracket is no function's."""


def as_written(digest: str) -> str:
    """The text as a person writes it."""
    parts = [one for one in tokens(digest) if one.kind != "space"]
    if not all(one.whole and (one.kind != "comment" or one.text.startswith(_COMMENTS)) for one in parts):
        return digest
    found: list[str] = []
    for at, one in enumerate(parts):
        if at and not _close(parts, at):
            found.append(" ")
        found.append(
            _unquoted(parts, at) if one.kind == "quoted" else "DISTINCT" if one.word == _DISTINCT else one.text
        )
    return "".join(found)


def _unquoted(parts: Sequence[Token], at: int) -> str:
    name, lower = parts[at].name or "", (parts[at].name or "").lower()
    called = at + 1 < len(parts) and parts[at + 1].text == "("
    if _PLAIN.fullmatch(name) is None or lower in _QUOTED_STILL or (called and lower in OF_GRAMMAR):
        return parts[at].text
    return name


def _close(parts: Sequence[Token], at: int) -> bool:
    """Whether no blank stands before this word."""
    before, one = parts[at - 1], parts[at]
    if before.kind == "comment" or one.kind == "comment":
        return False
    if one.text in (",", ")", ";"):
        return True
    if "." in (before.text, one.text):
        return "number" not in (before.kind, one.kind)
    return before.text == "(" or (one.text == "(" and _calls(parts, at - 1))


def _calls(parts: Sequence[Token], at: int) -> bool:
    """Whether the word in front of a bracket is the name of a function, or of a type."""
    word = (parts[at].name or "").lower()
    before = parts[at - 1].word if at else ""
    if before == "." and at > 2:
        before = parts[at - 3].word
    if before in _BEFORE_COLUMNS and word not in PURE:
        return False
    if parts[at].kind == "quoted":
        return True
    if word == "values":  # of a row, or in ON DUPLICATE KEY UPDATE the value of a column
        return before in ("=", "+", "-", "*", "/", "(", ",")
    return bool(word) and word not in BEFORE_BRACKETS
