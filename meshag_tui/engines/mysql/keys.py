"""The keys of a table as values, read from SHOW CREATE TABLE and written as SQL.

The server prints all of a key there and nowhere else: its parser, its comment, its block size, whether plans may use
it. In: that text. Out: `Key` values in the table's order. What one of them has that we do not know how to write is kept
in `other`, and `text` refuses it: what cannot be put back exactly is not taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.strict import Reader, Token, tokens
from meshag_tui.engines.mysql.wire import Flavour

Kind = Literal["PRIMARY", "UNIQUE", "INDEX", "FULLTEXT", "SPATIAL", "VECTOR"]
_VERSIONED = re.compile(r"/\*!\d{5,6}\s+(.*?)\s*\*/", re.DOTALL)
_SPECIAL: tuple[Kind, ...] = ("PRIMARY", "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR")


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
    return tuple(read_key(list(_opened(item))) for item in _items(create_table) if item[0].is_word("KEY", *_SPECIAL))


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


def _opened(found: Sequence[Token]) -> Iterator[Token]:
    """What the server prints for itself in `/*!80000 … */`, as it reads it; any other comment stays one."""
    for token in found:
        versioned = _VERSIONED.fullmatch(token.text) if token.kind == "comment" else None
        if versioned is None:
            yield token
        else:
            yield from tokens(versioned[1])
