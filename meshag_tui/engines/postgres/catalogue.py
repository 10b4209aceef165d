"""The relations a change is about, as the catalogue has them, and names as the server quotes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from meshag_tui.engines.base import Refused
from meshag_tui.engines.postgres.sql import load

if TYPE_CHECKING:
    from psycopg import sql as psycopg_sql

SYSTEM = ("pg_catalog", "information_schema", "pg_toast")

State = Literal["done", "partial", "absent", "invalid", "running"]
"""What the catalogue says of a change; see `base.DdlSession.verify`."""


class Reader(Protocol):
    """What we need of a session; its search path must be pg_catalog, so that the server prints every schema."""

    async def fetch(
        self, query: str | psycopg_sql.Composable, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A relation as the catalogue has it."""

    oid: int
    schema: str
    name: str
    kind: str
    is_partition: bool
    persistence: str
    owner: str
    columns: Mapping[str, str]


async def find_table(session: Reader, schema: str, name: str) -> Table:
    """The relation of this name. Raises Refused when it is not there, or the system's own."""
    if schema in SYSTEM or schema.startswith("pg_"):
        raise Refused(f"{schema}.{name} belongs to the system")
    rows = await session.fetch(load("table_for_index"), (schema, name))
    if not rows:
        raise Refused(f"There is no table {schema}.{name}")
    oid, kind, is_partition, persistence, owner, columns = rows[0]
    if isinstance(columns, str):
        columns = json.loads(columns)
    return Table(oid, schema, name, kind, is_partition, persistence, owner, columns or {})


async def quote(session: Reader, names: Sequence[str]) -> dict[str, str]:
    """Each name as the server itself would quote it: only where it must be."""
    rows = await session.fetch(
        "SELECT n, pg_catalog.quote_ident(n) FROM pg_catalog.unnest(%s::text[]) n", (list(dict.fromkeys(names)),)
    )
    return dict(rows)
