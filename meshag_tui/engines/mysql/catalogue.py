"""The tables a change is about, as the catalogue has them: columns, keys in their order, foreign keys of both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from meshag_tui.engines.base import PermissionDenied, Refused
from meshag_tui.engines.mysql.errors import quoted
from meshag_tui.engines.mysql.keys import Key, keys_of
from meshag_tui.engines.mysql.sql import load
from meshag_tui.engines.mysql.wire import Flavour

SYSTEM = ("information_schema", "performance_schema", "mysql", "sys")
VIEWS: Mapping[Flavour, Mapping[str, str]] = {
    "MySQL": {"variables": "performance_schema.global_variables", "status": "performance_schema.global_status"},
    "MariaDB": {"variables": "information_schema.GLOBAL_VARIABLES", "status": "information_schema.GLOBAL_STATUS"},
}
"""Where a server shows its own variables, by what our SQL files call them."""

State = Literal["done", "partial", "absent", "invalid", "running"]
"""What the catalogue says of a change; see `base.DdlSession.verify`."""


class Asked(Protocol):
    """What we need of a conversation with a server."""

    @property
    def flavour(self) -> Flavour: ...

    @property
    def version(self) -> tuple[int, int, int]: ...

    async def fetch(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None, *, deadline_s: float | None = None
    ) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its type as printed ("varchar(50)"), and how many characters or bytes of it there can be."""

    name: str
    type: str
    length: int | None
    width: int  # most bytes of a character
    auto_increment: bool

    @property
    def base_type(self) -> str:
        return self.type.partition("(")[0].partition(" ")[0].lower()


@dataclass(frozen=True, slots=True)
class Table:
    """A base table. Columns and keys are in the table's order; `columns` is by name in lower case."""

    schema: str
    name: str
    engine: str
    size_bytes: int | None
    created: int | None  # epoch s: when it was made, or last altered
    most_key_bytes: int  # of one column in a key
    columns: Mapping[str, Column]
    keys: tuple[Key, ...]

    @property
    def full(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def key(self, name: str) -> Key | None:
        """The key of this name, which the server compares without regard to case."""
        return next((key for key in self.keys if key.name.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Supported:
    """A foreign key that needs a key of this table: its name, and the columns that must lead it, in order."""

    name: str
    columns: tuple[str, ...]


async def find_table(server: Asked, schema: str, name: str) -> Table:
    """The table of this name. Raises Refused when it is not there, no base table, or the system's own."""
    if schema.lower() in SYSTEM:
        raise Refused(f"{schema}.{name} belongs to the system")
    rows = await server.fetch(load("change_table"), (schema, name))
    found = next((row for row in rows if (row[0], row[1]) == (schema, name)), None)  # names may differ by case only
    if found is None:
        raise Refused(f"There is no table {schema}.{name}")
    kind, engine, size, created, row_format, page = found[2:]
    if kind not in ("BASE TABLE", "SYSTEM VERSIONED"):
        raise Refused(f"{schema}.{name} is not a table: it is a {kind.lower()}")
    columns = {
        column.lower(): Column(column, type_, length, width or 1, "auto_increment" in extra.lower())
        for in_schema, in_table, column, type_, length, width, extra in await server.fetch(
            load("change_columns"), (schema, name)
        )
        if (in_schema, in_table) == (schema, name)
    }
    if not columns:
        raise PermissionDenied(f"We may not see the columns of {schema}.{name}", "GRANT SELECT on it to this account")
    printed = await server.fetch(f"SHOW CREATE TABLE {quoted(schema)}.{quoted(name)}")
    return Table(
        schema, name, str(engine), size, created, _most(row_format, page), columns, keys_of(str(printed[0][1]))
    )


def _most(row_format: str | None, page: int) -> int:
    """What InnoDB takes of one column: 3072 bytes with pages of 16 kB, 767 in the row formats of old."""
    return 767 if str(row_format).lower() in ("redundant", "compact") else min(3072, page * 3072 // 16384)


async def foreign_keys(server: Asked, table: Table) -> tuple[Supported, ...]:
    """The foreign keys that need a key of this table, as child or as parent, as far as we may see them."""
    values = {"schema": table.schema, "table": table.name}
    found: dict[str, list[str]] = {}
    for name, column in await server.fetch(load("change_foreign_keys"), values):
        found.setdefault(name, []).append(column)
    return tuple(Supported(name, tuple(columns)) for name, columns in found.items())
