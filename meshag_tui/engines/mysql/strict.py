"""SQL read strictly: cut into tokens, and taken one after the other by who knows what must come next.

For what the server prints of its own tables, and for the last look at what we send. What is not as expected is Refused;
there is no guessing, and a comment stays a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from meshag_tui.engines.base import Refused
from meshag_tui.engines.parting import parted


class Token(NamedTuple):
    """One token: what it is and its exact text."""

    kind: Literal["space", "comment", "name", "string", "number", "word", "sign"]
    text: str

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words

    def is_sign(self, sign: str) -> bool:
        return self.kind == "sign" and self.text == sign


_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>/\*.*?\*/)
    | (?P<name>`(?:[^`]|``)*`)
    | (?P<string>'(?:[^'\\]|\\.|'')*')
    | (?P<number>[0-9]+(?![A-Za-z0-9_$]))
    | (?P<word>[A-Za-z0-9_$]+)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text` with our sql_mode. A line comment, a double quote, a quote without end: they are signs."""
    for found in _TOKEN.finditer(text):
        yield Token(found.lastgroup or "sign", found.group())  # type: ignore[arg-type]


def statements_in(text: str) -> tuple[str, ...]:
    """The statements of a text of ours."""
    return parted(token.text for token in tokens(text))


def unquote(text: str) -> str:
    return text[1:-1].replace("``", "`")


class Reader:
    """Reads tokens one after the other; what is not as expected is Refused. Blanks do not count."""

    def __init__(self, found: Sequence[Token]) -> None:
        self._all = found
        self._at = 0

    def next(self) -> Token | None:
        """The next token that is no blank, None at the end."""
        token = self._peek()
        self._at += token is not None
        return token

    def _peek(self) -> Token | None:
        while self._at < len(self._all) and self._all[self._at].kind == "space":
            self._at += 1
        return self._all[self._at] if self._at < len(self._all) else None

    def _take(self, kind: str) -> str:
        token = self.next()
        if token is None or token.kind != kind:
            raise Refused(f"Expected a {kind} and found {'the end' if token is None else token.text}")
        return token.text

    def name(self) -> str:
        return unquote(self._take("name"))

    def number(self) -> int:
        return int(self._take("number"))

    def string(self) -> str:
        return self._take("string")

    def word(self) -> str:
        return self._take("word")

    def sign(self, sign: str) -> None:
        if self._take("sign") != sign:
            raise Refused(f"Expected {sign}")

    def take_word(self, *words: str) -> bool:
        """Go past one of these words, if it is next."""
        token = self._peek()
        taken = token is not None and token.is_word(*words)
        self._at += taken
        return taken

    def take_sign(self, sign: str) -> bool:
        token = self._peek()
        taken = token is not None and token.is_sign(sign)
        self._at += taken
        return taken

    def rest_of_bracket(self) -> str:
        """The text up to the bracket that closes what is open, and past it."""
        depth, text = 1, ""
        while self._at < len(self._all):
            token = self._all[self._at]
            self._at += 1
            depth += token.is_sign("(") - token.is_sign(")")
            if depth == 0:
                return text
            text += token.text
        raise Refused("A bracket does not end")

    @property
    def ended(self) -> bool:
        return self._peek() is None
