"""What a sandbox is made from: the tables that some statements name, as the watched server's catalogue has them.

In: a read-only session and statements, or the names of tables. Out: a `Source`. No row is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshag_tui.engines.base import PermissionDenied
from meshag_tui.engines.mysql.errors import account, quoted
from meshag_tui.engines.mysql.explainable import explainable
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.survey import survey
from meshag_tui.engines.rehearsal import KeyCopy

if TYPE_CHECKING:
    from meshag_tui.engines.mysql.session import MysqlSession

Name = tuple[str, str]
ENGINE = "InnoDB"
_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), "number"),
    **dict.fromkeys(("decimal", "float", "double", "date", "datetime", "timestamp", "time"), "even"),
    "uuid": "uuid",
    **dict.fromkeys(("char", "varchar"), "text"),
    **dict.fromkeys(("binary", "varbinary"), "bytes"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `columns` are those that are written (types as declared), `primary` the primary key's, in order."""

    home: Name
    engine: str
    rows: int
    bytes: int
    columns: Mapping[str, str]
    primary: tuple[str, ...]

    @property
    def sql(self) -> str:
        return f"{quoted(self.home[0])}.{quoted(self.home[1])}"

    @property
    def key_kind(self) -> str | None:
        """What its rows are kept in the order of, where some from all over it can be asked for: a whole number, what
        can be cut evenly (other numbers, dates and times), a text, a UUID, or bytes; None: none of these."""
        return _KINDS.get(self.columns[self.primary[0]].split("(")[0].split()[0]) if self.primary else None


@dataclass(frozen=True, slots=True)
class Source:
    """Tables by name, their foreign keys, those that the statements name, and the views over them with their texts."""

    tables: Mapping[Name, Table]
    keys: tuple[KeyCopy, ...]
    named: frozenset[Name]
    views: Mapping[Name, str] = field(default_factory=dict)


async def read(session: MysqlSession, statements: Sequence[str]) -> Source:
    """What the statements name (`named`), and the parents that these tables' foreign keys name, theirs as well.

    Raises:
        ServerFault: a table is not there.
        PermissionDenied: a view cannot be looked into.
    """
    wanted: dict[Name, None] = {}
    views: dict[Name, str] = {}
    for statement in statements:
        schema = await session.planning.home(statement)
        surveyed = await survey(session, explainable(statement).whole, schema)
        wanted |= dict.fromkeys(surveyed.sizes)
        views |= surveyed.catalogue.views
    tables: dict[Name, Table] = {}
    keys: list[KeyCopy] = []
    new = list(wanted)
    while new:
        found = await _tables(session, new)
        tables |= {table.home: table for table in found}
        mine = await _keys(session, [table.home for table in found])
        keys += mine
        new = sorted({(key.parent_schema, key.parent) for key in mine} - set(tables) - set(new))
    there = [key for key in keys if (key.parent_schema, key.parent) in tables]
    return Source(tables, tuple(there), frozenset(wanted), views)


async def definition(session: MysqlSession, table: Table) -> str:
    """What the server prints of it."""
    return str((await session.fetch(f"SHOW CREATE TABLE {table.sql}"))[0][1])


async def may_read(session: MysqlSession, table: Table) -> None:
    """Raises PermissionDenied where its rows are not ours to read; none is read."""
    try:
        await session.fetch(f"SELECT {', '.join(map(quoted, table.columns))} FROM {table.sql} LIMIT 0")  # noqa: S608
    except PermissionDenied as error:
        home = ".".join(table.home)
        raise PermissionDenied(
            f"{session.facts.user} may not read {home}, whose rows would be copied",
            f"GRANT SELECT ON {table.sql} TO {account(session.facts.user)};",
        ) from error


async def _tables(session: MysqlSession, homes: Collection[Name]) -> list[Table]:
    rows = await _for_each(session, "rehearsal_table", homes)
    found: dict[Name, list[tuple[Any, ...]]] = {}
    for row in sorted(rows, key=lambda row: int(row[10])):
        found.setdefault((row[0], row[1]), []).append(row)
    return [
        Table(
            home,
            str(columns[0][2]),
            int(columns[0][3] or 0),
            int(columns[0][4] or 0),
            {row[5]: str(row[7]) for row in columns if not row[8]},
            tuple(name for _, name in sorted((int(row[9]), row[5]) for row in columns if row[9] is not None)),
        )
        for home, columns in found.items()
    ]


async def _keys(session: MysqlSession, homes: Collection[Name]) -> list[KeyCopy]:
    rows = await _for_each(session, "rehearsal_keys", homes)
    found: dict[tuple[str, str, str], list[tuple[Any, ...]]] = {}
    for row in sorted(rows, key=lambda row: int(row[3])):
        found.setdefault((row[0], row[1], row[2]), []).append(row)
    return [
        KeyCopy(
            schema,
            table,
            tuple(row[4] for row in columns),
            columns[0][5],
            columns[0][6],
            tuple(row[7] for row in columns),
        )
        for (schema, table, _), columns in found.items()
    ]


async def _for_each(session: MysqlSession, query: str, homes: Collection[Name]) -> list[tuple[Any, ...]]:
    """One statement for all; each table is named by itself, as only so MariaDB does not open every table there is."""
    if not homes:
        return []
    parts = " UNION ALL ".join([load(query)] * len(homes))
    return await session.fetch(parts, [value for home in homes for value in home])
