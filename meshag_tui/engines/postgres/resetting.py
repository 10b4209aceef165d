"""Setting a server's statement counters back to nothing, for `changes/` alone.

Of a connection to one database only that database's counters are reset; others, and what watches them, keep theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from meshag_tui.engines.base import EngineError, Limits, PermissionDenied
from meshag_tui.engines.postgres.errors import quoted
from meshag_tui.engines.postgres.session import connect
from meshag_tui.types import MeshagError, Target

if TYPE_CHECKING:
    from meshag_tui.engines.postgres.session import PostgresSession

_FIND = """
SELECT n.nspname, pg_catalog.pg_get_function_identity_arguments(p.oid),
    pg_catalog.has_schema_privilege(n.oid, 'usage'), pg_catalog.has_function_privilege(p.oid, 'execute'), d.oid
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_depend e ON e.objid = p.oid AND e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    AND e.deptype = 'e'
JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid AND x.extname = 'pg_stat_statements'
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
WHERE p.proname = 'pg_stat_statements_reset'
"""


async def reset_sql(target: Target, limits: Limits) -> str:
    """Exactly what `reset` would run; nothing is run.

    Raises:
        PermissionDenied: it is not ours to call; the grant is its `fix`.
        MeshagError: the server counts no statements.
    """
    async with connect(target, "reset", limits) as session:
        return await _statement(session, target)


async def reset(target: Target, limits: Limits, agreed: str) -> None:
    """Run what was agreed to, if it still is what would be run. MeshagError: it is not, or it was refused."""
    async with connect(target, "reset", limits) as session:
        if await _statement(session, target) != agreed:
            raise MeshagError("What would run is not what was shown: look at it again")
        await session.fetch(sql.SQL(agreed), {})


async def _statement(session: PostgresSession, target: Target) -> str:
    found = await session.fetch(_FIND)
    if not found:
        raise EngineError(f"pg_stat_statements is not created in {session.facts.database}: there is nothing to reset")
    schema, arguments, enters, calls, database = found[0]
    name = f"{quoted(schema)}.pg_stat_statements_reset"
    if not (enters and calls):
        rights = [] if enters else [f"USAGE ON SCHEMA {quoted(schema)}"]
        rights += [] if calls else [f"EXECUTE ON FUNCTION {name}({arguments})"]
        fix = "\n".join(f"GRANT {right} TO {quoted(session.facts.user)};" for right in rights)
        raise PermissionDenied("Resetting the counters of pg_stat_statements is not allowed to us", fix)
    return f"SELECT {name}()" if not target.database else f"SELECT {name}(0, {int(database)}, 0)"
