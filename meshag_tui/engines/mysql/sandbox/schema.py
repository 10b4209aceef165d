"""The schema of a sandbox as statements, made from what the watched server prints of its tables and views.

A table's columns and indexes stay as they are printed. Of what stands behind them only what is listed here is kept: no
folder, no other engine, nothing that reaches out. Foreign keys stay where their parent is copied. Names of schemas are
those of the sandbox, see `Homes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import lexer
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.sandbox.source import ENGINE, Name
from meshag_tui.engines.mysql.strict import Reader, Token, tokens, unquote

_KEPT = (
    "CHARSET",
    "COLLATE",
    "ROW_FORMAT",
    "KEY_BLOCK_SIZE",
    "STATS_PERSISTENT",
    "STATS_AUTO_RECALC",
    "STATS_SAMPLE_PAGES",
)
"""Options of a table that decide how its rows are kept and compared."""


@dataclass(frozen=True, slots=True)
class Homes:
    """What each schema of the source is called in the sandbox, and the tables and views known in each."""

    schemas: Mapping[str, str]
    known: Mapping[str, Collection[str]]

    def home(self, name: Name) -> Name:
        return self.schemas.get(name[0], name[0]), name[1]

    def sql(self, name: Name) -> str:
        schema, table = self.home(name)
        return f"{quoted(schema)}.{quoted(table)}"

    def text(self, statement: str) -> str:
        """A statement with the sandbox's schemas, where it names one before a table."""
        parts = list(lexer.tokens(statement))
        for at, one in enumerate(parts[:-2]):
            name = one.name or ""
            if parts[at + 1].text == "." and parts[at + 2].name in self.known.get(name, ()):
                parts[at] = lexer.Token("quoted", quoted(self.schemas[name]))
        return "".join(one.text for one in parts)


def create_table(printed: str, home: Name, homes: Homes, parents: Collection[Name]) -> str:
    """The statement that makes a table as the source has it.

    Args:
        parents: the tables of the sandbox that foreign keys may name.

    Raises:
        Refused: it is not printed as we know it.
    """
    reader = Reader(list(tokens(printed)))
    if not (reader.take_word("CREATE") and reader.take_word("TABLE")):
        raise Refused(f"{'.'.join(home)} is not printed as a table")
    reader.name()
    reader.sign("(")
    items = [item for item in _items(reader.rest_of_bracket()) if _stays(item, home, parents)]
    body = ",\n".join("".join(token.text for token in item).strip() for item in items)
    tail = _tail(reader)
    text = f"CREATE TABLE {homes.sql(home)} (\n{body}\n) ENGINE={ENGINE}{tail}"
    return homes.text(text)


def create_view(text: str, home: Name, homes: Homes) -> str:
    """The statement that makes a view; its rights are those of whoever reads it."""
    return f"CREATE SQL SECURITY INVOKER VIEW {homes.sql(home)} AS {homes.text(text)}"


def _items(body: str) -> list[list[Token]]:
    """What stands between the commas of a table's definition."""
    items: list[list[Token]] = [[]]
    depth = 0
    for token in tokens(body):
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and token.is_sign(","):
            items.append([])
        else:
            items[-1].append(token)
    return items


def _stays(item: list[Token], home: Name, parents: Collection[Name]) -> bool:
    """Whether it is anything but a foreign key to a table that is not there."""
    solid = [token for token in item if token.kind not in ("space", "comment")]
    if not solid or not solid[0].is_word("CONSTRAINT") or not any(token.is_word("FOREIGN") for token in solid[:3]):
        return True
    at = next((at for at, token in enumerate(solid) if token.is_word("REFERENCES")), None)
    if at is None:
        return False
    names = [unquote(solid[at + 1].text)]
    if solid[at + 2].is_sign("."):
        names.append(unquote(solid[at + 3].text))
    return (home[0], names[0]) in parents if len(names) == 1 else (names[0], names[1]) in parents


def _tail(reader: Reader) -> str:
    """The options that are kept, and how the table is parted."""
    said = ""
    while not reader.ended:
        token = reader.next()
        if token is None:
            break
        if token.is_word("PARTITION"):
            return said + " PARTITION" + _parted(reader)
        if token.kind == "comment" and " PARTITION BY " in token.text:
            inner = token.text.removeprefix("/*!").removesuffix("*/").lstrip("0123456789")
            return f"{said} {_harmless(inner)}"
        if token.kind == "word" and token.text.upper() in _KEPT and reader.take_sign("="):
            value = reader.next()
            if value is not None and value.kind in ("word", "number"):
                said += f" {'DEFAULT ' if token.is_word('CHARSET') else ''}{token.text.upper()}={value.text}"
    return said


def _parted(reader: Reader) -> str:
    """What MariaDB prints behind PARTITION, without a comment around it."""
    text = ""
    while (token := reader.next()) is not None:
        text += f" {token.text}"
    return _harmless(text)


def _harmless(text: str) -> str:
    if any(token.is_word("DIRECTORY", "CONNECTION", "TABLESPACE") for token in tokens(text)):
        raise Refused("Its partitions are kept in other places")
    return text
