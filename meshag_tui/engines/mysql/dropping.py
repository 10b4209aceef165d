"""An index dropped and exactly put back, or kept out of plans and let in again.

In: the change and a conversation to ask the catalogue. Out: its `RenderedChange`; or Refused, for an index that
something needs, or that could not be put back without blocking writers.

A restored index would come last in its table, and the server prefers the first of two that are equally good. So those
that stood behind it are named again, as they are, in the same statement: the server sees that they are the same and
only moves them in its list.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.mysql import permitted
from meshag_tui.engines.mysql.catalogue import Asked, Supported, Table, find_table, foreign_keys
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.keys import Key, visibility
from meshag_tui.engines.mysql.online import alter, check_engine
from meshag_tui.types import DropIndex, HideIndex, RestoreIndex, ShowIndex


async def drop(server: Asked, change: DropIndex) -> RenderedChange:
    table, key = await _found(server, change)
    _refuse_needed(table, key, await foreign_keys(server, table))
    full = f"{table.full}.{key.name}"
    action = f"DROP INDEX {quoted(key.name)}"
    if key.kind in ("FULLTEXT", "SPATIAL") or key.is_functional:
        what = f"{key.kind} index" if key.kind != "INDEX" else "index on an expression"
        by_hand = tuple(f"ALTER TABLE {table.sql} {each}" for each in (action, f"ADD {key.text(server.flavour)}"))
        raise Refused(
            f"{full} is a {what}: {server.flavour} could not put it back without blocking the table's writers",
            by_hand=(by_hand[0], by_hand[1]),
        )
    return RenderedChange(
        sql=alter(server.flavour, table, action),
        undo_sql=alter(server.flavour, table, _adding(server, key, _behind(table, key))),
        target=_target(server, table, key),
    )


async def restore(server: Asked, change: RestoreIndex) -> RenderedChange:
    """A dropped index as it was, from the statement captured before the drop; its place too, if that still exists."""
    table = await find_table(server, change.schema, change.table)
    check_engine(table)
    key, behind = permitted.read_restore(change)
    if table.key(key.name) is not None:
        raise Refused(f"The name {table.full}.{key.name} is taken: the index is back, or something else has it")
    missing = [part.column for part in key.parts if part.column and part.column.lower() not in table.columns]
    if missing:
        raise Refused(f"There is no column {missing[0]} in {table.full} any more")
    for other in behind:
        if table.key(other.name) != other:  # changed since: it stays as it is, and ours comes last
            behind = ()
            break
    return RenderedChange(
        sql=alter(server.flavour, table, _adding(server, key, behind)),
        undo_sql=alter(server.flavour, table, f"DROP INDEX {quoted(key.name)}"),
        target=_target(server, table, key),
    )


async def hide_or_show(server: Asked, change: HideIndex | ShowIndex) -> RenderedChange:
    """Out of plans or into them again; the index is kept up to date in between, so that each takes a moment."""
    table, key = await _found(server, change)
    hide = isinstance(change, HideIndex)
    if key.hidden == hide:
        raise Refused(f"{table.full}.{key.name} is {'hidden' if hide else 'visible'} already")
    if hide:
        _refuse_needed(table, key, await foreign_keys(server, table))
    words = [
        f"ALTER INDEX {quoted(key.name)} {visibility(server.flavour, hidden=hidden)}" for hidden in (hide, not hide)
    ]
    return RenderedChange(
        sql=alter(server.flavour, table, words[0]),
        undo_sql=alter(server.flavour, table, words[1]),
        target=_target(server, table, key),
    )


def _target(server: Asked, table: Table, key: Key) -> dict[str, str]:
    return {
        "schema": table.schema,
        "table": table.name,
        "index": key.name,
        "definition": key.text(server.flavour),
    }


async def _found(server: Asked, change: DropIndex | HideIndex | ShowIndex) -> tuple[Table, Key]:
    table = await find_table(server, change.schema, change.table)
    check_engine(table)
    key = table.key(change.name)
    if key is None:
        raise Refused(f"There is no index {change.name} on {table.full}")
    return table, key


def _refuse_needed(table: Table, key: Key, supported: Sequence[Supported]) -> None:
    """Raises Refused for a key that the table cannot be without."""
    reason = None
    others = [other for other in table.keys if other is not key]
    if key.kind == "PRIMARY":
        reason = "is the primary key"
    elif key.kind == "UNIQUE":
        reason = "is unique: it keeps rows from being doubled"
    else:
        needy = [each.name for each in supported if _leads(key, each.columns) and not _any_leads(others, each.columns)]
        counted = [column.name for column in table.columns.values() if column.auto_increment]
        if needy:
            reason = f"is the only index that the foreign key {needy[0]} can use"
        elif counted and _leads(key, counted) and not _any_leads(others, counted):
            reason = f"is the only index that the AUTO_INCREMENT column {counted[0]} has"
    if reason is not None:
        raise Refused(f"{table.full}.{key.name} {reason}")


def _leads(key: Key, columns: Sequence[str]) -> bool:
    """Whether the key begins with these whole columns in this order."""
    first = [None if column is None else column.lower() for column in key.columns[: len(columns)]]
    return key.kind not in ("FULLTEXT", "SPATIAL") and first == [column.lower() for column in columns]


def _any_leads(keys: Sequence[Key], columns: Sequence[str]) -> bool:
    return any(_leads(key, columns) for key in keys)


def _behind(table: Table, key: Key) -> tuple[Key, ...]:
    """The keys behind this one that would stand before it once it is added again, if all of them can be named again.

    The server lists FULLTEXT keys and those on expressions last in any case.
    """
    after = table.keys[table.keys.index(key) + 1 :]
    moved = tuple(other for other in after if other.kind in ("INDEX", "SPATIAL") and not other.is_functional)
    return moved if all(other.kind == "INDEX" and other.other is None for other in moved) else ()


def _adding(server: Asked, key: Key, behind: Sequence[Key]) -> str:
    again = [f"DROP INDEX {quoted(other.name)}, ADD {other.text(server.flavour)}" for other in behind]
    return ", ".join([f"ADD {key.text(server.flavour)}", *again])
