"""What InnoDB knows of its tables: changes since their statistics were made, pages of indexes.

PROCESS opens it, and SELECT on mysql.innodb_*_stats the rest.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import PermissionDenied
from meshag_tui.engines.mysql.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.facts import Server
    from meshag_tui.engines.mysql.schema import Name
    from meshag_tui.engines.mysql.wire import Wire

_TABLESTATS = {"MySQL": "INNODB_TABLESTATS", "MariaDB": "INNODB_SYS_TABLESTATS"}
_STATISTICS = frozenset({"innodb_index_stats", "innodb_table_stats"})


@dataclass(frozen=True, slots=True)
class Storage:
    """What InnoDB knows beside the sizes. None where we may not see it."""

    modified: Mapping[Name, int] | None = None
    files: Mapping[Name, int] | None = None  # of its own: one, or one a partition; read with the structure
    pages: Mapping[tuple[str, str, str], int] | None = None  # of each index
    analysed: Mapping[Name, int] = field(default_factory=dict)  # epoch ms
    numbers: frozenset[int] = frozenset()  # of tables and partitions: another one when it was written anew
    signs: Mapping[Name, Any] = field(default_factory=dict)  # another one when something was written to the table
    altering: int | None = None  # statements that may be altering something now; None: not asked


async def storage(wire: Wire, server: Server, ask: bool = False, altering: bool = False) -> Storage:
    """What PROCESS lets us see of InnoDB's tables, and what SELECT on mysql.innodb_*_stats adds to it.

    `ask`: for the latter also where the facts say that we have not that right. `altering`: look at what MariaDB's
    sessions do, too.
    """
    schema, table = file_names(server).values()
    encoded = "LOCATE('@', t.NAME)" if server.flavour == "MariaDB" else "FALSE"
    query = load("storage").format(
        schema_name=f"IF({encoded}, {schema}, t.NAME)",
        table_name=f"IF({encoded}, {table}, NULL)",
        tablestats=_TABLESTATS[server.flavour],
    )
    if altering:
        query += "\n" + load("altering_now")
    statistics = ask or server.readable >= _STATISTICS
    try:
        rows = await wire.fetch(query + "\n" + load("storage_statistics") if statistics else query)
    except PermissionDenied as error:  # one may see a table without the right to read it
        if not statistics or "PROCESS" in str(error):
            raise
        statistics = False
        rows = await wire.fetch(query)
    return _storage(rows, statistics)


def file_names(server: Server) -> dict[str, str]:
    """Schema and table of InnoDB's name of a table or partition."""
    return {
        "schema_name": file_part("SUBSTRING_INDEX(t.NAME, '/', 1)", server),
        "table_name": file_part("SUBSTRING_INDEX(SUBSTRING_INDEX(t.NAME, '/', -1), '#', 1)", server),
    }


def file_part(expression: str, server: Server) -> str:
    """A part of a file name as a name, where the server can say it: MySQL does not, see `from_file_name`."""
    if server.flavour == "MySQL":
        return expression
    return f"CONVERT(CONVERT(CAST({expression} AS BINARY) USING filename) USING utf8mb4)"


def _storage(rows: list[tuple[Any, ...]], statistics: bool) -> Storage:
    modified: dict[Name, int] = defaultdict(int)
    numbers: set[int] = set()
    counts: dict[Name, set[tuple[int, str]]] = defaultdict(set)
    pages: dict[tuple[str, str, str], int] = defaultdict(int)
    analysed: dict[Name, int] = {}
    altering = None
    for part, schema, table, index, value in rows:
        if part == "altering":
            altering = int(value)
            continue
        if part == "modified":
            name = _of_innodb(schema) if table is None else (schema, table)
            modified[name] += int(value.partition(" ")[0])
            numbers.add(int(index))
            counts[name].add((int(index), value))
            continue
        name = (schema, re.split("#[pP]#", table, maxsplit=1)[0])
        if part == "pages":
            pages[(*name, index)] += int(value)
        else:
            analysed[name] = max(analysed.get(name, 0), int(float(value) * 1000))
    return Storage(
        modified=modified,
        pages=pages if statistics else None,
        analysed=analysed,
        numbers=frozenset(numbers),
        altering=altering,
        signs={name: (frozenset(counted), analysed.get(name)) for name, counted in counts.items()},
    )


def _of_innodb(name: str) -> Name:
    """Schema and table of InnoDB's name of a table or partition: shop/orders#p#p0."""
    schema, _, table = name.rpartition("/")
    return from_file_name(schema.partition("/")[0]), from_file_name(table.partition("#")[0])


def from_file_name(name: str) -> str:
    """A name from MySQL's file name of it: @0020 is a blank.

    Letters like ä have codes of their own there, which stay: of such a table we do not know what only InnoDB knows.
    """
    return re.sub("@([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), name)
