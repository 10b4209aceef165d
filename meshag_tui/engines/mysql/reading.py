"""The few statements we write, read strictly: who knows what must come next takes it, and anything else is Refused.

No comment is read: the servers run what stands in theirs.
"""

from __future__ import annotations

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql.strict import Reader, Token, tokens

__all__ = ["Reader", "altered", "analyzing", "checked", "expect", "only", "table"]


def only(actions: list[list[Token]]) -> list[Token]:
    if len(actions) != 1:
        raise Refused("It does more than one thing")
    return actions[0]


def altered(sql: str, schema: str, name: str) -> list[list[Token]]:
    """The actions of an ALTER TABLE of this table that names an algorithm that does not copy, and LOCK=NONE."""
    actions: list[list[Token]] = [[]]
    depth = 0
    for token in checked(sql):
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and token.is_sign(","):
            actions.append([])
        else:
            actions[-1].append(token)
    if len(actions) < 3:
        raise Refused("It does nothing, or does not say how")
    *rest, algorithm, lock = actions
    for option, values in ((algorithm, ("INPLACE", "NOCOPY")), (lock, ("NONE",))):
        words = [token.text for token in option if token.kind != "space"]
        named = "ALGORITHM" if option is algorithm else "LOCK"
        if len(words) != 3 or words[:2] != [named, "="] or words[2] not in values:
            raise Refused(f"{named} is not named")
    first = rest[0]
    head = [at for at, token in enumerate(first) if token.kind != "space"][:5]  # ALTER TABLE schema . table
    if len(head) < 5:
        raise Refused("It alters nothing")
    reader = Reader(first[: head[-1] + 1])
    for word in ("ALTER", "TABLE"):
        expect(reader, word)
    if table(reader) != (schema, name):
        raise Refused("It is about another table")
    return [first[head[-1] + 1 :], *rest[1:]]


def table(reader: Reader) -> tuple[str, str]:
    schema = reader.name()
    reader.sign(".")
    name = reader.name()
    return schema, name


def expect(reader: Reader, word: str) -> None:
    if not reader.take_word(word):
        raise Refused(f"Expected {word}")


def checked(sql: str) -> list[Token]:
    """The tokens of a text without comments, other statements, and signs that we never write."""
    found = list(tokens(sql))
    for token in found:
        if token.kind == "comment" or (token.kind == "sign" and token.text not in "(),.=") or "\0" in token.text:
            raise Refused(f"{token.text[:20]!r} has no place in it")
    return found


def analyzing(sql: str, schema: str, name: str) -> Reader:
    """A reader of what an ANALYZE of this table says after the table's name."""
    reader = Reader(checked(sql))
    for word in ("ANALYZE", "NO_WRITE_TO_BINLOG", "TABLE"):
        expect(reader, word)
    if table(reader) != (schema, name):
        raise Refused("It is about another table")
    return reader
