"""The keys of a table as values, read from SHOW CREATE TABLE and written as SQL.

The server prints all of a key there and nowhere else: its parser, its comment, its block size, whether plans may use
it. In: that text. Out: `Key` values in the table's order. What one of them has that we do not know how to write is kept
in `other`, and `text` refuses it: what cannot be put back exactly is not taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.wire import Flavour

Kind = Literal["PRIMARY", "UNIQUE", "INDEX", "FULLTEXT", "SPATIAL", "VECTOR"]


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
_VERSIONED = re.compile(r"/\*!\d{5,6}\s+(.*?)\s*\*/", re.DOTALL)
_SPECIAL: tuple[Kind, ...] = ("PRIMARY", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR")


def tokens(text: str) -> Iterator[Token]:
    """The tokens of `text` with our sql_mode. A line comment, a double quote, a quote without end: they are signs."""
    for found in _TOKEN.finditer(text):
        yield Token(found.lastgroup or "sign", found.group())  # type: ignore[arg-type]


def unquote(text: str) -> str:
    return text[1:-1].replace("``", "`")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a key: a column, perhaps the first `length` characters of it, or an expression."""

    column: str | None
    length: int | None = None
    descending: bool = False
    expression: str | None = None

    @property
    def text(self) -> str:
        whole = f"({self.expression})" if self.column is None else quoted(self.column)
        return whole + ("" if self.length is None else f"({self.length})") + (" DESC" if self.descending else "")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table. `comment` is the literal as the server prints it, `other` what we cannot write."""

    kind: Kind
    name: str
    parts: tuple[Part, ...]
    using: str | None = None
    block_size: int | None = None
    parser: str | None = None
    comment: str | None = None
    hidden: bool = False
    other: str | None = None

    @property
    def columns(self) -> tuple[str | None, ...]:
        """Its columns in order; None for an expression and for a prefix, which serve neither order nor foreign keys."""
        return tuple(None if part.length is not None else part.column for part in self.parts)

    @property
    def is_functional(self) -> bool:
        return any(part.column is None for part in self.parts)

    def text(self, flavour: Flavour) -> str:
        """The key as ADD takes it. Raises Refused when there is something about it that we cannot write."""
        if self.other is not None:
            raise Refused(f"The index {self.name} has an option that MeshAG cannot put back: {self.other}")
        words = {"PRIMARY": "PRIMARY KEY", "UNIQUE": "UNIQUE INDEX", "INDEX": "INDEX"}
        written = [words.get(self.kind, f"{self.kind} INDEX")]
        if self.kind != "PRIMARY":
            written.append(quoted(self.name))
        written.append(f"({', '.join(part.text for part in self.parts)})")
        written += [f"USING {self.using}"] if self.using else []
        written += [f"KEY_BLOCK_SIZE={self.block_size}"] if self.block_size is not None else []
        written += [f"WITH PARSER {quoted(self.parser)}"] if self.parser else []
        written += [f"COMMENT {self.comment}"] if self.comment is not None else []
        written += [visibility(flavour, hidden=True)] if self.hidden else []
        return " ".join(written)


def visibility(flavour: Flavour, *, hidden: bool) -> str:
    """The word that keeps an index out of plans, or lets it in again."""
    if flavour == "MariaDB":
        return "IGNORED" if hidden else "NOT IGNORED"
    return "INVISIBLE" if hidden else "VISIBLE"


def keys_of(create_table: str) -> tuple[Key, ...]:
    """The keys that SHOW CREATE TABLE prints, in its order: our session prints names in backticks."""
    return tuple(read_key(item) for item in _items(create_table) if item[0].is_word("KEY", *_SPECIAL))


def _items(create_table: str) -> Iterator[list[Token]]:
    """What stands between the outermost brackets, parted at commas, without blanks."""
    depth, item = 0, list[Token]()
    for token in tokens(create_table):
        if token.is_sign("("):
            depth += 1
            if depth == 1:
                continue
        elif token.is_sign(")"):
            depth -= 1
            if depth == 0:
                break
        if depth == 1 and token.is_sign(","):
            yield item
            item = []
        elif depth and (item or token.kind != "space"):
            item.append(token)
    if item:
        yield item


def read_key(item: Sequence[Token]) -> Key:
    """One key as SHOW CREATE TABLE prints it and as `Key.text` writes it."""
    reader = Reader(item)
    kind: Kind = "INDEX"
    for word in _SPECIAL:
        if reader.take_word(word):
            kind = word
    if not (reader.take_word("KEY") or reader.take_word("INDEX")):
        raise Refused("A key of the table cannot be read")
    name = "PRIMARY" if kind == "PRIMARY" else reader.name()
    reader.sign("(")
    parts, periods = [_part(reader)], False
    while reader.take_sign(","):
        parts.append(_part(reader))
        periods = reader.take_word("WITHOUT") and reader.take_word("OVERLAPS")
    reader.sign(")")
    return _with_options(Key(kind, name, tuple(parts), other="WITHOUT OVERLAPS" if periods else None), reader)


def _part(reader: Reader) -> Part:
    if reader.take_sign("("):
        expression, descending = reader.rest_of_bracket(), reader.take_word("DESC")
        return Part(None, None, descending, expression)
    column, length = reader.name(), None
    if reader.take_sign("("):
        length = reader.number()
        reader.sign(")")
    descending = reader.take_word("DESC")
    if not descending:
        reader.take_word("ASC")
    return Part(column, length, descending)


def _with_options(key: Key, reader: Reader) -> Key:
    using, block_size, parser, comment, hidden = None, None, None, None, False
    other = [key.other] if key.other else []
    while (token := reader.next()) is not None:
        if token.is_word("USING"):
            using = reader.word().upper()
        elif token.is_word("KEY_BLOCK_SIZE"):
            reader.take_sign("=")
            block_size = reader.number()
        elif token.is_word("WITH"):
            if reader.take_word("PARSER"):
                parser = reader.name()
            else:
                other.append(token.text)
        elif token.is_word("COMMENT"):
            comment = reader.string()
        elif token.is_word("INVISIBLE", "IGNORED"):
            hidden = True
        elif token.is_word("NOT"):
            other += [] if reader.take_word("IGNORED") else [token.text]
        elif not token.is_word("VISIBLE"):
            other.append(token.text)
    return Key(
        key.kind, key.name, key.parts, using, block_size, parser, comment, hidden, " ".join(other) if other else None
    )


class Reader:
    """Reads tokens one after the other; what is not as expected is Refused. Blanks do not count."""

    def __init__(self, found: Sequence[Token]) -> None:
        self._all = [token for token in _opened(found)]
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


def _opened(found: Sequence[Token]) -> Iterator[Token]:
    """What the server prints for itself in `/*!80000 … */`, as it reads it; any other comment stays one."""
    for token in found:
        versioned = _VERSIONED.fullmatch(token.text) if token.kind == "comment" else None
        if versioned is None:
            yield token
        else:
            yield from tokens(versioned[1])
