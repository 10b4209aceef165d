"""Whether what puts a change back really does: both are run in the sandbox, and its catalogue compared.

In: the exact statements that would run on the watched server, as they were written from its catalogue. Out: an
`Undone`. What is compared is all that a change can change: what the server prints of each table, the histograms, and
the values of settings with what is kept of them for the next start.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from meshag_tui.engines.base import EngineError
from meshag_tui.engines.mysql.errors import literal, quoted
from meshag_tui.engines.mysql.strict import statements_in
from meshag_tui.engines.rehearsal import Undone
from meshag_tui.types import Change, DropStatistics, SetSetting

Fetch = Callable[[str], Awaitable[list[Any]]]
_MOST = 3
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
_HISTOGRAMS = {
    "MySQL": "SELECT SCHEMA_NAME, TABLE_NAME, COLUMN_NAME, '' FROM information_schema.COLUMN_STATISTICS",
    "MariaDB": "SELECT db_name, table_name, column_name, hist_type FROM mysql.column_stats",
}


async def undone(fetch: Fetch, flavour: str, tables: Sequence[str], change: Change, sql: str, undo_sql: str) -> Undone:
    """Run both, one after the other, where the change has not been made.

    Args:
        tables: quoted names of those that are looked at.
    """

    async def catalogue() -> dict[str, str]:
        found = {}
        for table in tables:
            printed = str((await fetch(f"SHOW CREATE TABLE {table}"))[0][1])
            found[table.replace("`", "")] = _COUNTER.sub("", printed)
        for schema, table, column, kind in await fetch(_HISTOGRAMS[flavour]):
            found[f"the histogram of {schema}.{table}.{column}"] = str(kind)
        if isinstance(change, SetSetting):
            found[change.name] = str(await fetch(f"SELECT @@GLOBAL.{quoted(change.name)}"))
            if flavour == "MySQL":
                kept = "SELECT VARIABLE_VALUE FROM performance_schema.persisted_variables WHERE VARIABLE_NAME = "
                found[f"{change.name} at the next start"] = str(await fetch(kept + literal(change.name)))
        return found

    try:
        if isinstance(change, SetSetting | DropStatistics):  # which begins as on the source; neither is copied
            for statement in statements_in(undo_sql):
                await fetch(statement)
        before = await catalogue()
        for statement in statements_in(sql):
            await fetch(statement)
        between = await catalogue()
        for statement in statements_in(undo_sql):
            await fetch(statement)
        after = await catalogue()
    except EngineError as error:
        if error.transient:
            raise
        return Undone(sql, undo_sql, f"it could not be tried: {str(error).splitlines()[0]}")
    if between == before:
        return Undone(sql, undo_sql, "the change itself changed nothing here")
    other = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not other:
        return Undone(sql, undo_sql, None)
    more = " and others" if len(other) > _MOST else ""
    return Undone(sql, undo_sql, f"not as before: {', '.join(other[:_MOST])}{more}")
