"""Sessions that scheduled syncs keep for the next one: opening one costs a server more than what most syncs find there.

In: a session whose sync went well. Out: the same one, to one sync, if it still leads where the connection says. It is
ended when that sync does not come, and after `LONGEST_S`, so that a moved address, changed rights and what a role is
given at its start are found. A session that lacked something is not kept: the next one may have it. Nor is one where
more connections lead to the server than may have sessions there at once, see `turns`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshag_tui.engines.base import SYNC

if TYPE_CHECKING:
    from meshag_tui.engines.base import Engine, Limits, Session
    from meshag_tui.snapshot import Snapshot
    from meshag_tui.types import Target

LONGEST_S = 600
_LATE = 0.5
_LATE_S = 5.0
"""Intervals, and seconds at least, by which a sync is so late that it will not come: jitter and a busy machine make it
later than its interval says."""


@dataclass(slots=True)
class Held:
    """An open session, where it leads, and since when, s, monotonic. `waited`: an earlier sync used it."""

    session: Session
    target: Target
    ended_by: AsyncExitStack
    opened_at: float = field(default_factory=time.monotonic)
    waited: bool = False

    async def end(self) -> None:
        await self.ended_by.aclose()


async def opened(engine: Engine, target: Target, limits: Limits) -> Held:
    """A new session. EngineError as `Engine.connect` says."""
    stack = AsyncExitStack()
    return Held(await stack.enter_async_context(engine.connect(target, SYNC, limits)), target, stack)


class KeptSessions:
    """At most one session a connection, while nobody uses it. Close it."""

    def __init__(self, longest_interval_s: int) -> None:
        """Syncs that are further apart than `longest_interval_s` keep nothing."""
        self._longest_interval_s = longest_interval_s
        self._waiting: dict[str, tuple[Held, asyncio.TimerHandle]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self, connection_id: str, target: Target) -> Held | None:
        """The session that waits for this connection's sync, if it leads to this target; it is the caller's now."""
        held, timer = self._waiting.pop(connection_id, (None, None))
        if held is None or timer is None:
            return None
        timer.cancel()
        if held.target != target or time.monotonic() >= held.opened_at + LONGEST_S:
            await held.end()
            return None
        held.waited = True
        return held

    async def keep(self, connection_id: str, held: Held, read: Snapshot, interval_s: int) -> None:
        """Keep what a sync read `read` from, if it is good for the next (`interval_s` from now); else end it."""
        lacking = any(finding.severity in ("missing", "degraded") for finding in read.warnings)
        if interval_s > self._longest_interval_s or lacking or not held.session.keepable:
            await held.end()
            return
        before = await self.take(connection_id, held.target)
        if before is not None:
            await before.end()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(interval_s + max(interval_s * _LATE, _LATE_S), self._give_up, connection_id)
        self._waiting[connection_id] = held, timer

    async def let_go(self, connection_ids: Iterable[str]) -> None:
        """End those that wait for these connections' syncs."""
        for connection_id in connection_ids:
            held, timer = self._waiting.pop(connection_id, (None, None))
            if held is not None and timer is not None:
                timer.cancel()
                await held.end()

    def _give_up(self, connection_id: str) -> None:
        held, _ = self._waiting.pop(connection_id)
        task = asyncio.ensure_future(held.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End all of them."""
        await self.let_go(tuple(self._waiting))
        await asyncio.gather(*self._ending)
