"""Setting a server's statement counters back to nothing, for `changes/` alone. They are those of all its schemas."""

from __future__ import annotations

from meshag_tui.engines.base import Limits, PermissionDenied
from meshag_tui.engines.mysql.ddl import change_settings
from meshag_tui.engines.mysql.errors import account
from meshag_tui.engines.mysql.wire import Wire
from meshag_tui.types import MeshagError, Target

_TABLE = "performance_schema.events_statements_summary_by_digest"


async def reset_sql(target: Target, limits: Limits) -> str:
    """Exactly what `reset` would run; nothing is run. Whether it is ours to do is only seen when it is done."""
    return f"TRUNCATE TABLE {_TABLE}"


async def reset(target: Target, limits: Limits, agreed: str) -> None:
    """Run what was agreed to. PermissionDenied says which right is missing."""
    if agreed != await reset_sql(target, limits):
        raise MeshagError("What would run is not what was shown: look at it again")
    wire = await Wire.open(target, "reset", change_settings(limits), limits)
    try:
        await wire.fetch(agreed)
    except PermissionDenied as error:
        ((ours,),) = await wire.fetch("SELECT CURRENT_USER()")
        user, _, host = str(ours).rpartition("@")
        raise PermissionDenied(str(error), f"GRANT DROP ON {_TABLE} TO {account(user, host)};") from error
    finally:
        wire.close()
