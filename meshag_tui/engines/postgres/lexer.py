"""PostgreSQL text cut into tokens without a parser: bounded in time and depth, and never stopped by bad syntax.

For texts the parser cannot or must not read: too long, cut in the middle, of a newer server. Literals are always found
whole or to the end of the text, so that what is left after taking them out holds none of their characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

TokenKind = Literal["space", "comment", "string", "number", "parameter", "name", "quoted", "symbol"]


class Token(NamedTuple):
    """One token: its kind and its exact text. `whole` is false for a literal or comment that the text's end cut."""

    kind: TokenKind
    text: str
    whole: bool = True


_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line>--[^\n\r]*)
    | (?P<block>/\*)
    | (?P<escaped>[eE]'[^'\\]*(?:(?:\\.|'')[^'\\]*)*(?:'|\\?\Z))
    | (?P<string>(?:[uU]&|[bBxXnN])?'[^']*(?:''[^']*)*(?:'|\Z))
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$)
    | (?P<parameter>\$\d+)
    | (?P<quoted>(?:[uU]&)?"[^"]*(?:""[^"]*)*(?:"|\Z))
    | (?P<number>0[xXoObB][0-9a-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)?|\.\d[\d_]*(?:[eE][+-]?\d+)?)
    | (?P<name>[^\W\d][\w$]*)
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text`; joined again they are the text."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:  # cannot be: the last alternative takes any character
            raise AssertionError(at)
        kind, end, whole = found.lastgroup or "symbol", found.end(), True
        if kind == "block":
            end, whole = _comment_end(text, end)
        elif kind == "dollar":
            closing = text.find(found.group(), end)
            whole = closing >= 0
            end = closing + len(found.group()) if whole else len(text)
        word = text[at:end]
        at = end
        if kind in ("line", "block"):
            yield Token("comment", word, whole)
        elif kind in ("escaped", "string"):
            yield Token("string", word, len(word) > 1 and word.endswith("'") and _quotes_close(word))
        elif kind == "dollar":
            yield Token("string", word, whole)
        elif kind == "quoted":
            yield Token("quoted", word, word.count('"') % 2 == 0)
        else:
            yield Token(kind, word)  # type: ignore[arg-type]


def without_comments(text: str) -> str:
    """The text with each comment replaced by a blank, except planner hints (`/*+ … */`) and the server's own mark
    for a shortened list (`/*, ... */`)."""
    if "--" not in text and "/*" not in text:
        return text
    kept = []
    for token in tokens(text):
        if token.kind == "comment" and not _is_meaningful(token.text):
            kept.append(" ")
        else:
            kept.append(token.text)
    return "".join(kept)


def in_one_line(text: str) -> str:
    """The statement with line ends of its constants as escapes: our statements are parted by `;` and one."""
    words = []
    for token in tokens(text):
        word = token.text
        if "\n" in word and token.kind == "string" and word[0] in "eE":
            word = word.replace("\n", "\\n")
        elif "\n" in word and token.kind == "string" and word[0] == "'":
            word = "E" + word.replace("\\", "\\\\").replace("\n", "\\n")
        words.append(word)
    return "".join(words)


def _is_meaningful(comment: str) -> bool:
    return comment == "/*, ... */" or re.fullmatch(r"/\*\+[\w\s().,\"-]*\*/", comment) is not None


def _comment_end(text: str, at: int) -> tuple[int, bool]:
    """Where the comment whose `/*` ends at `at` closes: PostgreSQL's comments nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, at)
        if edge is None:
            return len(text), False
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at, True


def _quotes_close(word: str) -> bool:
    """Whether a quoted word that ends in a quote ends there, and not in a doubled or escaped one."""
    body = word[word.index("'") + 1 : -1]
    if word[0] in "eE":
        body = re.sub(r"\\.", "", body, flags=re.DOTALL)
        return not body.endswith("\\") and body.count("'") % 2 == 0
    return body.count("'") % 2 == 0
