"""The last look before a statement that changes something is sent: is it of its change's class and on its object?

In: a change and a text. Out: nothing, or Refused. The text is read by a small reader that knows only the statements we
write, and no comment: the servers run what stands in theirs. Together with a fresh rendering, which must give the same
text, nothing else can be sent.
"""

from __future__ import annotations

from meshag_tui.engines.base import Refused
from meshag_tui.engines.mysql import kinds, reading
from meshag_tui.engines.mysql.keys import Key, read_key
from meshag_tui.engines.mysql.strict import Reader, Token
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
        actions = reading.altered(sql, change.schema, change.table)
        key, behind = _added(actions)
    except Refused as error:
        raise Refused(f"The undo is not a statement that MeshAG writes: {error}") from error
    if key.name != change.name or key.kind != "INDEX" or key.is_functional:
        raise Refused(f"The undo is not about the index {change.table}.{change.name}")
    return key, behind


def _fits(change: Change, sql: str) -> bool:
    kind = kinds.KINDS.get(type(change))
    if kind is not None:
        return kind.fits(change, sql)
    if isinstance(change, Analyze):
        return reading.analyzing(sql, change.schema, change.table).ended
    if isinstance(change, CreateIndex):
        key, behind = _added(reading.altered(sql, change.spec.schema, change.spec.table))
        return key.kind == "INDEX" and not key.is_functional and not behind
    if isinstance(change, RestoreIndex):
        key, _ = _added(reading.altered(sql, change.schema, change.table))
        return key.name == change.name and key.kind == "INDEX" and not key.is_functional
    if isinstance(change, DropIndex):
        return _dropped(reading.only(reading.altered(sql, change.schema, change.table))).lower() == change.name.lower()
    if isinstance(change, HideIndex | ShowIndex):
        action = reading.only(reading.altered(sql, change.schema, change.table))
        return _shown(action, isinstance(change, HideIndex)).lower() == change.name.lower()
    if isinstance(change, Rebuild):
        actions = reading.altered(sql, change.schema, change.table)
        return [[token.text for token in action if token.kind != "space"] for action in actions] == [["FORCE"]]
    return False


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
    reading.expect(reader, "DROP")
    reading.expect(reader, "INDEX")
    return _last_name(reader)


def _shown(action: list[Token], hide: bool) -> str:
    reader = Reader(action)
    reading.expect(reader, "ALTER")
    reading.expect(reader, "INDEX")
    name = reader.name()
    if not hide and not reader.take_word("VISIBLE"):
        reading.expect(reader, "NOT")
        reading.expect(reader, "IGNORED")
    elif hide and not reader.take_word("INVISIBLE"):
        reading.expect(reader, "IGNORED")
    if not reader.ended:
        raise Refused("It does more than one thing")
    return name


def _last_name(reader: Reader) -> str:
    name = reader.name()
    if not reader.ended:
        raise Refused("It does more than one thing")
    return name
