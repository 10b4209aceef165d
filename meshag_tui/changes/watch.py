"""Watch a running change over a second session: where the server is with it, and which index it is making.

Seeing is not needed for doing: a failure to look is said once and is no failure of the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from meshag_tui.engines.base import Engine, EngineError, Limits, Progress
from meshag_tui.types import Change, CreateIndex, Reindex, RestoreIndex, Target

LOOK_EVERY_S = 1.0
LOOK_AT_FIRST_S = 0.1
"""Until the index is seen in the catalogue: from then on it can be known as ours, also after a crash."""
AT_FIRST_S = 5.0
"""Longer than a lock is waited for: by then it is there, or this is a server that shows none before it is done."""

Say = Callable[[str, str], Awaitable[None]]


@asynccontextmanager
async def watched(
    engine: Engine,
    target: Target,
    limits: Limits,
    backend_pid: int,
    change: Change,
    say: Say,
    seen: Callable[[int], Awaitable[None]],
) -> AsyncIterator[None]:
    """Say where backend `backend_pid` is for as long as the block lasts, and tell `seen` the oid of the index it makes.

    The block begins when we can see, or know that we cannot.
    """
    ready = asyncio.Event()
    looking = asyncio.create_task(_look(engine, target, limits, backend_pid, change, say, seen, ready))
    try:
        await ready.wait()
        yield
    finally:
        looking.cancel()
        await asyncio.wait({looking}, timeout=1.0)


async def _look(
    engine: Engine,
    target: Target,
    limits: Limits,
    backend_pid: int,
    change: Change,
    say: Say,
    seen: Callable[[int], Awaitable[None]],
    ready: asyncio.Event,
) -> None:
    said, known = "", None
    loop = asyncio.get_running_loop()
    at_first = loop.time() + AT_FIRST_S
    every_s = LOOK_AT_FIRST_S if isinstance(change, CreateIndex | RestoreIndex | Reindex) else LOOK_EVERY_S
    try:
        async with engine.connect(target, "progress", limits) as session:
            ready.set()
            while True:
                progress = await engine.progress(session, backend_pid)
                if progress is not None:
                    if progress.making is not None and progress.making != known:
                        known, every_s = progress.making, LOOK_EVERY_S
                        await seen(known)
                    if (line := _line(progress)) != said:
                        said = line
                        await say("info", line)
                if loop.time() > at_first:
                    every_s = LOOK_EVERY_S
                await asyncio.sleep(every_s)
    except EngineError as error:
        await say("warning", f"its progress cannot be seen: {error}")
    finally:
        ready.set()


def _line(progress: Progress) -> str:
    share = "" if progress.share is None else f" {progress.share:.0%}"
    waiting = "" if progress.waiting_for is None else f", waiting for {progress.waiting_for}"
    return f"{progress.phase}{share}{waiting}"
