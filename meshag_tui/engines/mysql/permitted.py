"""The last look before a statement that changes something is sent: is it of its change's class and on its object?

In: a change and a text. Out: nothing, or Refused. The text is read by a small reader that knows only the statements we
write, and no comment: the servers run what stands in theirs. Together with a fresh rendering, which must give the same
text, nothing else can be sent.
"""

from __future__ import annotations

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql.keys import Key, read_key
from meshag_tui.engines.mysql.strict import Reader, Token, tokens
from meshag_tui.types import (
    Analyze,
    Change,
    CreateIndex,
    DropIndex,
    HideIndex,
    Rebuild,
    RestoreIndex,
    ShowIndex,
)


def check(change: Change, sql: str) -> None:
    """Raises Refused unless `sql` is one statement of the change's class on the change's object."""
    try:
        fits = _fits(change, sql)
    except Refused as error:
        raise Refused(f"The text is not a statement that MeshAG writes: {error}") from error
    if not fits:
        raise Refused(f"The text is not a statement of the kind {change.kind} on its object")


def read_restore(change: RestoreIndex) -> tuple[Key, tuple[Key, ...]]:
    """The key that a restoring statement makes, and those it names again as they are; Refused for any other text."""
    if len(change.statements) != 1:
        raise Refused("There is not one statement to restore the index from")
    sql = change.statements[0]
    try:
        actions = _altered(sql, change.schema, change.table)
        key, behind = _added(actions)
    except Refused as error:
        raise Refused(f"The undo is not a statement that MeshAG writes: {error}") from error
    if key.name != change.name or key.kind != "INDEX" or key.is_functional:
        raise Refused(f"The undo is not about the index {change.table}.{change.name}")
    return key, behind


def _fits(change: Change, sql: str) -> bool:
    if isinstance(change, Analyze):
        return _analyzed(sql) == (change.schema, change.table)
    if isinstance(change, CreateIndex):
        key, behind = _added(_altered(sql, change.spec.schema, change.spec.table))
        return key.kind == "INDEX" and not key.is_functional and not behind
    if isinstance(change, RestoreIndex):
        key, _ = _added(_altered(sql, change.schema, change.table))
        return key.name == change.name and key.kind == "INDEX" and not key.is_functional
    if isinstance(change, DropIndex):
        return _dropped(_only(_altered(sql, change.schema, change.table))).lower() == change.name.lower()
    if isinstance(change, HideIndex | ShowIndex):
        action = _only(_altered(sql, change.schema, change.table))
        return _shown(action, isinstance(change, HideIndex)).lower() == change.name.lower()
    if isinstance(change, Rebuild):
        actions = _altered(sql, change.schema, change.table)
        return [[token.text for token in action if token.kind != "space"] for action in actions] == [["FORCE"]]
    return False


def _only(actions: list[list[Token]]) -> list[Token]:
    if len(actions) != 1:
        raise Refused("It does more than one thing")
    return actions[0]


def _analyzed(sql: str) -> tuple[str, str]:
    reader = Reader(_checked(sql))
    for word in ("ANALYZE", "NO_WRITE_TO_BINLOG", "TABLE"):
        _expect(reader, word)
    return _table(reader)


def _altered(sql: str, schema: str, table: str) -> list[list[Token]]:
    """The actions of an ALTER TABLE of this table that names an algorithm that does not copy, and LOCK=NONE."""
    actions: list[list[Token]] = [[]]
    depth = 0
    for token in _checked(sql):
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
        name = "ALGORITHM" if option is algorithm else "LOCK"
        if len(words) != 3 or words[:2] != [name, "="] or words[2] not in values:
            raise Refused(f"{name} is not named")
    first = rest[0]
    head = [at for at, token in enumerate(first) if token.kind != "space"][:5]  # ALTER TABLE schema . table
    if len(head) < 5:
        raise Refused("It alters nothing")
    reader = Reader(first[: head[-1] + 1])
    for word in ("ALTER", "TABLE"):
        _expect(reader, word)
    if _table(reader) != (schema, table):
        raise Refused("It is about another table")
    return [first[head[-1] + 1 :], *rest[1:]]


def _added(actions: list[list[Token]]) -> tuple[Key, tuple[Key, ...]]:
    """The key that is added, and those that are dropped and added again under their names behind it."""
    key, behind = _key_added(actions[0]), list[Key]()
    rest = actions[1:]
    if len(rest) % 2:
        raise Refused("It does more than add")
    for gone, again in zip(rest[::2], rest[1::2], strict=True):
        other = _key_added(again)
        if _dropped(gone) != other.name or other.kind != "INDEX" or other.name.lower() == key.name.lower():
            raise Refused("It drops an index")
        behind.append(other)
    return key, tuple(behind)


def _key_added(action: list[Token]) -> Key:
    at = next((at for at, token in enumerate(action) if token.kind != "space"), 0)
    if not action or not action[at].is_word("ADD"):
        raise Refused("It adds no index")
    key = read_key(action[at + 1 :])
    if key.other is not None:
        raise Refused(f"The index has an option that is not known: {key.other}")
    return key


def _dropped(action: list[Token]) -> str:
    reader = Reader(action)
    _expect(reader, "DROP")
    _expect(reader, "INDEX")
    return _last_name(reader)


def _shown(action: list[Token], hide: bool) -> str:
    reader = Reader(action)
    _expect(reader, "ALTER")
    _expect(reader, "INDEX")
    name = reader.name()
    if not hide and not reader.take_word("VISIBLE"):
        _expect(reader, "NOT")
        _expect(reader, "IGNORED")
    elif hide and not reader.take_word("INVISIBLE"):
        _expect(reader, "IGNORED")
    if not reader.ended:
        raise Refused("It does more than one thing")
    return name


def _last_name(reader: Reader) -> str:
    name = reader.name()
    if not reader.ended:
        raise Refused("It does more than one thing")
    return name


def _table(reader: Reader) -> tuple[str, str]:
    schema = reader.name()
    reader.sign(".")
    table = reader.name()
    if not reader.ended:
        raise Refused("It is about more than one table")
    return schema, table


def _expect(reader: Reader, word: str) -> None:
    if not reader.take_word(word):
        raise Refused(f"Expected {word}")


def _checked(sql: str) -> list[Token]:
    """The tokens of a text without comments, other statements, and signs that we never write."""
    found = list(tokens(sql))
    for token in found:
        if token.kind == "comment" or (token.kind == "sign" and token.text not in "(),.=") or "\0" in token.text:
            raise Refused(f"{token.text[:20]!r} has no place in it")
    return found
