"""Sessions that wait for each other: work in a thread, and reading until what sessions do is as wanted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from meshag_tui.engines.base import Session
from meshag_tui.live import LiveReading

_BETWEEN_S = 0.15
"""InnoDB renews what it tells of transactions only when nobody asked for 0.1 s: the first look waits for that too."""


@contextmanager
def behind(work: Callable[[], Any], errors: type[Exception]) -> Iterator[list[BaseException]]:
    """Run something that waits in a thread; what it raised of `errors` is in the list after the block."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except errors as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield raised
    finally:
        thread.join(30)
        assert not thread.is_alive()


async def until(session: Session, wanted: Callable[[LiveReading], Any], **how: Any) -> LiveReading:
    """Read what sessions do until it is as wanted."""
    end = time.monotonic() + 20
    while True:
        await asyncio.sleep(_BETWEEN_S)
        reading = await session.live(**how)
        if wanted(reading):
            return reading
        assert time.monotonic() < end, reading.sessions
