"""An index given another name, or built anew beside itself and put in its own place.

A REINDEX CONCURRENTLY that fails leaves an invalid index NAME_ccnew, or the old one as NAME_ccold; both cost writes and
serve nobody. Those that were there before are remembered with the change, so that only its own are taken away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from meshag_tui.engines.base import Refused, RenderedChange
from meshag_tui.engines.postgres import parse, trees
from meshag_tui.engines.postgres.catalogue import SYSTEM, Reader, State, quote
from meshag_tui.engines.postgres.names import checked_name, names_of_relations
from meshag_tui.engines.postgres.sql import load
from meshag_tui.types import Reindex, RenameIndex

_LEFT = re.compile(r"_cc(?:new|old)\d*\Z")
_LEAST_CUT_BYTES = 50
"""The server cuts a long name to have room for the ending: one shorter than this was not cut."""


async def rename(session: Reader, change: RenameIndex) -> RenderedChange:
    row = await _index(session, change)
    if row[14] is not None:
        raise Refused(f"{change.schema}.{change.name} backs the constraint {row[14]}, whose name would change with it")
    checked_name(change.new_name, await names_of_relations(session, change.schema), "index")
    quoted = await quote(session, [change.schema, change.name, change.new_name])

    def renaming(old: str, new: str) -> str:
        return f"ALTER INDEX {quoted[change.schema]}.{quoted[old]} RENAME TO {quoted[new]}"

    return RenderedChange(
        renaming(change.name, change.new_name), renaming(change.new_name, change.name), _target(row, change)
    )


def renames(change: RenameIndex, statements: Sequence[parse.Statement]) -> bool:
    tree = statements[0].tree
    return (
        [one.node for one in statements] == ["RenameStmt"]
        and tree.get("renameType") == "OBJECT_INDEX"
        and not tree.get("missing_ok")
        and trees.relation(tree) == (change.schema, change.name)
        and tree.get("newname") == change.new_name
    )


async def renamed(session: Reader, change: RenameIndex, rendered: RenderedChange, ran_at: float | None) -> State:
    """Its oid stays the same."""
    rows = await session.fetch(load("change_index_state"), (change.schema, change.new_name))
    return "done" if rows and rows[0][0] == rendered.target["oid"] else "absent"


async def reindex(session: Reader, change: Reindex) -> RenderedChange:
    row = await _index(session, change)
    full = f"{change.schema}.{change.name}"
    if row[4] != "i":
        raise Refused(f"{full} is partitioned: rebuild the index of each partition")
    if await session.fetch("SELECT 1 FROM pg_catalog.pg_constraint WHERE conindid = %s AND contype = 'x'", (row[0],)):
        raise Refused(f"{full} backs an exclusion constraint: PostgreSQL rebuilds it only with its table locked")
    if not row[7] and _LEFT.search(change.name):
        raise Refused(f"{full} is what an earlier REINDEX left: drop it instead")
    quoted = await quote(session, [change.schema, change.name])
    return RenderedChange(
        sql=f"REINDEX INDEX CONCURRENTLY {quoted[change.schema]}.{quoted[change.name]}",
        undo_sql=None,
        target={**_target(row, change), "left_before": [oid for oid, _ in await leftovers(session, row[1], change)]},
    )


def reindexes(change: Reindex, statements: Sequence[parse.Statement]) -> bool:
    tree = statements[0].tree
    options = [(one.get("DefElem") or {}).get("defname") for one in tree.get("params", ())]
    return (
        [one.node for one in statements] == ["ReindexStmt"]
        and tree.get("kind") == "REINDEX_OBJECT_INDEX"
        and options == ["concurrently"]
        and trees.relation(tree) == (change.schema, change.name)
    )


async def reindexed(session: Reader, change: Reindex, rendered: RenderedChange, ran_at: float | None) -> State:
    """The new one has another oid, and the name of the old one."""
    target = rendered.target
    before = set(target["left_before"])
    if any(oid not in before for oid, _ in await leftovers(session, target["table_oid"], change)):
        return "invalid"
    rows = await session.fetch(load("change_index_state"), (change.schema, change.name))
    return "done" if rows and rows[0][0] != target["oid"] and rows[0][2] else "absent"


async def leftovers(session: Reader, table_oid: int, change: Reindex) -> list[tuple[int, str]]:
    """Oid and name of each invalid index of the table that a REINDEX of this one left, or builds at this moment."""
    rows = await session.fetch(load("change_leftovers"), (table_oid,))
    found = []
    for oid, name in rows:
        stem = _LEFT.sub("", name)
        cut = change.name.startswith(stem) and len(stem.encode()) >= _LEAST_CUT_BYTES
        if stem != name and (stem == change.name or cut):
            found.append((oid, name))
    return found


async def _index(session: Reader, change: RenameIndex | Reindex) -> Sequence[Any]:
    rows = await session.fetch(load("index_to_drop"), (change.schema, change.name))
    full = f"{change.schema}.{change.name}"
    if not rows:
        raise Refused(f"There is no index {full}")
    row: Sequence[Any] = rows[0]
    if row[3] != change.table:
        raise Refused(f"{full} is an index of {row[2]}.{row[3]}, not of {change.table}")
    if change.schema in SYSTEM or change.schema.startswith("pg_"):
        raise Refused(f"{full} belongs to the system")
    if row[16] is not None:
        raise Refused(f"{full} belongs to the extension {row[16]}")
    return row


def _target(row: Sequence[Any], change: RenameIndex | Reindex) -> dict[str, Any]:
    return {
        "oid": row[0],
        "table_oid": row[1],
        "schema": change.schema,
        "table": change.table,
        "index": change.name,
        "definition": row[10],
        "valid": row[7],
    }
