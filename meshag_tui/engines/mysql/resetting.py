"""Setting a server's statement counters back to nothing, for `changes/` alone. They are those of all its schemas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshag_tui.engines.base import Limits, PermissionDenied, Refused
from meshag_tui.engines.mysql import grants
from meshag_tui.engines.mysql.ddl import change_settings
from meshag_tui.engines.mysql.errors import account
from meshag_tui.engines.mysql.wire import Wire
from meshag_tui.types import MeshagError, Target

_TABLE = ("performance_schema", "events_statements_summary_by_digest")
_SQL = f"TRUNCATE TABLE {'.'.join(_TABLE)}"


async def reset_sql(target: Target, limits: Limits) -> str:
    """Exactly what `reset` would run; nothing is run.

    Raises:
        PermissionDenied: with the right that is missing.
        Refused: nothing is counted there.
    """
    async with _allowed(target, limits):
        return _SQL


async def reset(target: Target, limits: Limits, agreed: str) -> None:
    """Run what was agreed to. PermissionDenied says which right is missing."""
    if agreed != _SQL:
        raise MeshagError("What would run is not what was shown: look at it again")
    async with _allowed(target, limits) as wire:
        await wire.fetch(agreed)


@asynccontextmanager
async def _allowed(target: Target, limits: Limits) -> AsyncIterator[Wire]:
    """A session of an account that may do it."""
    wire = await Wire.open(target, "reset", change_settings(limits), limits)
    try:
        ((counts,),) = await wire.fetch("SELECT @@GLOBAL.performance_schema")
        if not counts:  # emptying the table is no error then, and nothing
            raise Refused("performance_schema is off: the server counts no statements, and has nothing to count anew")
        if (await grants.read(wire)).missing(("DROP",), *_TABLE):
            ((ours,),) = await wire.fetch("SELECT CURRENT_USER()")
            user, _, host = str(ours).rpartition("@")
            raise PermissionDenied(
                "Resetting the counters of statements is not allowed to us",
                f"GRANT DROP ON {'.'.join(_TABLE)} TO {account(user, host)};",
            )
        yield wire
    finally:
        wire.close()
