"""INSERT … VALUES made ready to be run in a sandbox with data: with whole rows that were taken out of it before.

No value can be found for what an application inserts, and defaults are not copied. So rows that no other row names are
taken out of the copy, once, and each run inserts one of them again in a transaction that is rolled back: it breaks no
unique key, has its parents, and keeps every index up to date as the application's own row does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.sandbox.schema import dotted
from meshag_tui.engines.postgres.sql import load
from meshag_tui.engines.rehearsal import Runnable

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession


def target_of(tree: Mapping[str, Any]) -> str | None:
    """The table that an INSERT of plain VALUES is into, quoted; None for anything else."""
    values = ((tree.get("selectStmt") or {}).get("SelectStmt") or {}).get("valuesLists")
    relation = tree.get("relation") or {}
    if not values or not relation or tree.get("onConflictClause") or tree.get("withClause"):
        return None
    names = [relation[each] for each in ("schemaname", "relname") if relation.get(each)]
    return ".".join(quoted(str(name)) for name in names)


async def ready(session: PostgresSession, statement: str, path: str, table: str, sets: int, seed: int) -> Runnable:
    """Take up to so many rows out of a table, and make ready to insert each.

    Raises:
        Refused: there is no row that could be taken out.
    """
    async with session.wire.transaction(read_only=False):
        await session.fetch("SELECT pg_catalog.set_config('search_path', %s, true)", (path,))
        columns = await session.fetch(load("sandbox_columns"), (table,))
        if not columns:
            raise Refused(f"{table} is not in the sandbox")
        home = dotted((columns[0][0], columns[0][1]))
        named_by = await session.fetch(load("sandbox_named_by"), (table,))
    free = [
        f"NOT EXISTS (SELECT FROM {child} c WHERE "
        + " AND ".join(f"c.{quoted(one)} = t.{quoted(other)}" for one, other in zip(mine, theirs, strict=True))
        + ")"
        for child, mine, theirs in named_by
    ]
    names = [quoted(column) for _, _, column, _ in columns]
    rows = await session.fetch(
        "WITH chosen AS MATERIALIZED (SELECT t.tableoid AS part, t.ctid AS place "  # noqa: S608
        f"FROM {home} t WHERE {' AND '.join(free) or 'true'} "
        "ORDER BY pg_catalog.hashtextextended(t.ctid::text, %s) LIMIT %s) "
        f"DELETE FROM {home} t USING chosen WHERE (t.tableoid, t.ctid) = (chosen.part, chosen.place) "
        f"RETURNING {', '.join(f't.{name}::text' for name in names)}",
        (seed, sets),
    )
    if not rows:
        raise Refused(f"no row of {table} could be taken out to be inserted again: there is none that no other names")
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    return Runnable(
        statement,
        f"INSERT INTO {home} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608
        path,
        tuple(kind for *_, kind in columns),
        tuple(tuple(row) for row in rows),
        writes=True,
    )
