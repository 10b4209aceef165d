"""Which search path a statement was written for: statistics keep its text, not the path its session had.

In: a session and a statement. Out: a `search_path` in which the relations it names without a schema exist. Our own
sessions see the catalogue only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meshag_tui.engines.base import PermissionDenied
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.parse import Statement
from meshag_tui.engines.postgres.sql import load

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession


async def search_path(session: PostgresSession, statement: Statement) -> str:
    """A path that finds every unqualified relation of the statement that exists anywhere.

    The database's own path (or `public`) comes first if it finds them all; else the schema that holds most of them, of
    equals the one with most rows, is put before it. Schemas of extensions come last, for their types and operators.

    Raises:
        PermissionDenied: the schema that holds them may not be used by us; the server would only say "does not exist".
    """
    usual = await usual_path(session)
    wanted = {relation.name for relation in statement.relations if relation.schema is None}
    chosen: list[str] = []
    if wanted:
        rows = await session.fetch(load("relation_schemas"), (sorted(wanted),))
        holds: dict[str, dict[str, float]] = {}
        for name, schema, count, _ in rows:
            holds.setdefault(schema, {})[name] = count
        missing = {name for name, *_ in rows} - {name for schema in usual for name in holds.get(schema, {})}
        while missing:
            best = min(
                (schema for schema in holds if schema not in chosen and missing & holds[schema].keys()),
                key=lambda schema: (
                    -len(wanted & holds[schema].keys()),
                    -len(missing & holds[schema].keys()),
                    -sum(holds[schema].values()),
                    schema,
                ),
            )
            if not any(usable for _, schema, _, usable in rows if schema == best):
                user = session.facts.user
                raise PermissionDenied(
                    f"{user} may not use the schema {best}, where {', '.join(sorted(missing & set(holds[best])))} is",
                    f"GRANT USAGE ON SCHEMA {quoted(best)} TO {quoted(user)};",
                )
            chosen.append(best)
            missing -= holds[best].keys()
    path = dict.fromkeys([*chosen, *usual, *session.server.extension_schemas.values()])
    return ", ".join(quoted(schema) for schema in path if schema not in ("pg_catalog", "pg_temp"))


async def usual_path(session: PostgresSession) -> list[str]:
    """The schemas in which this database looks by itself, for everybody."""
    rows = await session.fetch(load("database_search_path"), ())
    setting = rows[0][0] if rows else "public"
    names = re.findall(r'"((?:[^"]|"")*)"|([^\s,"]+)', setting)
    plain = [one.replace('""', '"') if one else other.lower() for one, other in names]
    return [name for name in plain if name and name != "$user"] or ["public"]
