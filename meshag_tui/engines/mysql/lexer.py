"""MySQL text cut into tokens without a parser: bounded in time and depth, and never stopped by bad syntax.

As the server reads it with neither ANSI_QUOTES nor NO_BACKSLASH_ESCAPES, which is how our sessions are set. Literals
are always found whole or to the end of the text, so that what is left after taking them out holds none of their
characters. Digests are read as well: their `?`, `...` and `(...) /* , ... */` are tokens like others, and MONTH is
that word again, for which they have SQL_TSI_MONTH.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

TokenKind = Literal["space", "comment", "string", "number", "parameter", "more", "name", "quoted", "variable", "symbol"]
MORE_ROWS = "/* , ... */"
"""How a digest says that a list of rows went on."""
_OF_DIGESTS = "SQL_TSI_"


class Token(NamedTuple):
    """One token: its kind and its exact text. `whole` is false for a literal or comment that the text's end cut."""

    kind: TokenKind
    text: str
    whole: bool = True

    @property
    def word(self) -> str:
        """An unquoted name in lower case, a symbol as it is; empty for everything else."""
        return self.text.lower() if self.kind == "name" else self.text if self.kind == "symbol" else ""

    @property
    def name(self) -> str | None:
        """What a name names, quoted or not; None for what is no name."""
        if self.kind == "quoted":
            return self.text[1:-1].replace("``", "`")
        return self.text if self.kind == "name" else None


# `--` begins a comment only before a blank or a control character: `5--1` is 6. A NUL is a symbol, to be refused.
_TOKEN = re.compile(
    r"""
      (?P<space>[ \t\n\r\f\v]+)
    | (?P<comment>(?:\#|--(?=[\x01-\x20]|\Z))[^\n]*|/\*(?:.*?(?P<ended>\*/)|.*\Z))
    | (?P<string>[nNxXbB]?'[^'\\]*(?:(?:\\.|'')[^'\\]*)*(?:(?P<single>')|\\?\Z)
              |"[^"\\]*(?:(?:\\.|"")[^"\\]*)*(?:(?P<double>")|\\?\Z))
    | (?P<quoted>`[^`]*(?:``[^`]*)*(?:(?P<back>`)|\Z))
    | (?P<variable>@@?(?:[\w$.\u0080-\uffff]+|`[^`]*`|'[^']*'|"[^"]*"|\?)?)
    | (?P<number>(?:0x[0-9a-fA-F]+|0b[01]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\w$\u0080-\uffff]))
    | (?P<more>\.\.\.)
    | (?P<parameter>\?)
    | (?P<name>[\w$\u0080-\uffff]+)
    | (?P<symbol><=>|<=|>=|<>|!=|:=|\|\||&&|<<|>>|->>|->|.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`; joined again they are the text, but for a digest's words for units of time.

    To the server both words are one, and a name in quotes is no word.
    """
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "symbol"
        word = found.group()
        whole = True
        if kind == "comment":
            whole = not word.startswith("/*") or found.group("ended") is not None
        elif kind == "string":
            whole = (found.group("single") or found.group("double")) is not None
        elif kind == "quoted":
            whole = found.group("back") is not None
        elif kind == "name" and word[: len(_OF_DIGESTS)].upper() == _OF_DIGESTS:
            word = word[len(_OF_DIGESTS) :]
        yield Token(kind, word, whole)  # type: ignore[arg-type]


def words(text: str) -> list[Token]:
    """The tokens that mean something: no blanks, and no comments but the digest's mark for further rows."""
    return [one for one in tokens(text) if one.kind != "space" and (one.kind != "comment" or one.text == MORE_ROWS)]


def is_executable(comment: str) -> bool:
    """Whether the server runs what stands in a comment: `/*!50000 … */`, MariaDB's `/*M! … */`."""
    return re.match(r"/\*M?!", comment) is not None


def is_hint(comment: str) -> bool:
    return comment.startswith("/*+")


def without_comments(text: str) -> str:
    """The text with each comment replaced by a blank, except optimizer hints and a digest's mark for further rows."""
    if "--" not in text and "/*" not in text and "#" not in text:
        return text
    return "".join(
        " " if one.kind == "comment" and one.text != MORE_ROWS and not is_hint(one.text) else one.text
        for one in tokens(text)
    )


def joined(parts: Sequence[Token]) -> str:
    """Tokens as a text that the server and every parser cut into the same tokens again."""
    text: list[str] = []
    for at, one in enumerate(parts):
        before = parts[at - 1] if at else None
        if before is not None and _apart(before, one):
            text.append(" ")
        text.append(one.text)
    return "".join(text)


def _apart(before: Token, after: Token) -> bool:
    if before.text == "." or after.text in (".", ",", ")", ";"):
        return before.kind == "number"
    # A blank between a name and its bracket would make `count (` a column.
    return before.text != "(" and not (after.text == "(" and before.kind in ("name", "quoted"))
