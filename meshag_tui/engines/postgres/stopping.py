"""Asking a server to stop what a session of ours still does there, by the key that the session was given.

A server that computes does not see that nobody waits any more: it goes on until its statement time-out. Asking is one
small message over a line of its own. Nobody waits for what comes of it: a server that is frozen does not answer this
either, and the session is over in any case.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshag_tui.engines.postgres.dial import ready

if TYPE_CHECKING:
    from psycopg.pq.abc import PGcancelConn, PGconn

_SECONDS = 3.0
_asking: set[asyncio.Task[None]] = set()


def stop(connection: PGconn) -> None:
    """Ask for it, encrypted as the session is, in a task of its own. Nothing is asked where libpq is older than 17."""
    from psycopg import Error

    try:
        line = connection.cancel_conn()
    except Error:
        return
    task = asyncio.ensure_future(_ask(line))
    _asking.add(task)
    task.add_done_callback(_asking.discard)


async def _ask(line: PGcancelConn) -> None:
    from psycopg import Error, pq

    try:
        async with asyncio.timeout(_SECONDS):
            line.start()
            while (state := line.poll()) not in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
                await ready(line.socket, write=state == pq.PollingStatus.WRITING)
    except (Error, TimeoutError):
        return  # it cannot be reached: its own time-out ends the statement
    finally:
        line.finish()
