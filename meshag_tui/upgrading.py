"""How far the upgrade of a store is, for whoever waits for it: a large one takes minutes to be read once or twice.

In: the steps, as the store's thread begins them. Out: calls of those who listen, in that thread. One store is open in a
process at a time, so there is one upgrade to hear of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

COPY = "a copy of it first"
"""The step before the others on SQLite."""


class Step(NamedTuple):
    """A step that has begun: `number` of `of`, 0 for what comes before the first; `name` says what of."""

    name: str
    number: int
    of: int

    def __str__(self) -> str:
        at = f", step {self.number} of {self.of}" if self.number else ""
        return f"upgrading the store{at}: {self.name}"


Listener = Callable[[Step], None]
_lock = threading.Lock()
_listeners: list[Listener] = []
_now: Step | None = None


def listen(listener: Listener) -> None:
    """Hear of each step from now on, and at once of the one that is under way, if any."""
    with _lock:
        _listeners.append(listener)
        now = _now
    if now is not None:
        listener(now)


def ignore(listener: Listener) -> None:
    """Hear no more. One that never listened may be ignored too."""
    with _lock:
        if listener in _listeners:
            _listeners.remove(listener)


def tell(step: Step | None) -> None:
    """A step begins; None: the last one is done."""
    global _now
    with _lock:
        _now, heard = step, tuple(_listeners)
    if step is not None:
        for listener in heard:
            listener(step)
