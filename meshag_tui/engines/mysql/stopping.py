"""Asking a server to stop what a session of ours still does there, whose line was cut.

A server that computes does not see that nobody waits any more: it goes on until its time-out, and only what reads has
one. KILL needs a session of its own, and no right but the account's. Nobody waits for what comes of it: a server that
is frozen does not answer this either, and the session is over in any case.
"""

from __future__ import annotations

import asyncio

from meshag_tui.engines.base import EngineError, Limits
from meshag_tui.engines.marker import MARKER
from meshag_tui.types import Target

_LIMITS = Limits(connect_s=3.0, call_s=3.0)
_asking: set[asyncio.Task[None]] = set()


def stop(target: Target, connection_id: int) -> None:
    """Ask for it in a task of its own. `connection_id` is the server's number of the session."""
    task = asyncio.ensure_future(_ask(target, connection_id))
    _asking.add(task)
    task.add_done_callback(_asking.discard)


async def _ask(target: Target, connection_id: int) -> None:
    """A proxy may lead to another server, where the number is another session's: only a statement with our mark ends.

    Source: information_schema.PROCESSLIST, which shows an account its own sessions.
    """
    from meshag_tui.engines.mysql.wire import Wire

    ours = (
        "SELECT ID FROM information_schema.PROCESSLIST WHERE ID = %s AND USER = %s AND ID <> CONNECTION_ID()"
        " AND LOCATE(%s, INFO) > 0"
    )
    try:
        wire = await Wire.open(target, "stop", lambda _: {"wait_timeout": 10}, _LIMITS)
        try:
            if await wire.fetch(ours, [connection_id, target.user, MARKER]):
                await wire.fetch(f"KILL QUERY {connection_id:d}")
        finally:
            wire.close()
    except EngineError:
        return  # it cannot be asked, or the statement ended meanwhile
