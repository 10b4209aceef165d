"""When a connection is due next: its interval with jitter, longer while it fails or while reading it is dear."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

JITTER = 0.05
"""Share of the interval by which a sync comes sooner or later, so that many servers are not read in one breath."""
DEAREST_SHARE = 0.05
"""Share of the interval that reading a server may take; above it the interval is doubled until it fits."""
LONGEST_BACKOFF_MS = 60_000
LONGEST_REFUSED_MS = 15 * 60_000
_MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """The delay to the next sync, ms, and by how much the interval was stretched to get it (1 = not)."""

    delay_ms: int
    stretch: int = 1


class Waited:
    """How long a server was waited for while this is entered: the clock's time less the processor time of this process.

    What many servers send at once, and texts that are examined, keep this process busy: no server worked for that.
    Where it is busy with others meanwhile, that is taken off too, so it is what the server took at least.
    """

    def __init__(self) -> None:
        self.ms = 0.0
        self._clock = self._own = 0.0

    def __enter__(self) -> Self:
        self._clock, self._own = time.monotonic(), time.process_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        own = time.process_time() - self._own
        self.ms += max(0.0, time.monotonic() - self._clock - own) * 1000


def stretch(interval_s: int, reading_ms: float) -> int:
    """By how much an interval is stretched where reading was waited for `reading_ms`; 1: not."""
    found = 1
    while reading_ms > DEAREST_SHARE * interval_s * 1000 * found and found < 2**_MOST_DOUBLINGS:
        found *= 2
    return found


def after_success(interval_s: int, reading_ms: float, chance: random.Random) -> Pace:
    """The next sync after one whose reading was waited for `reading_ms`."""
    times = stretch(interval_s, reading_ms)
    return Pace(round(interval_s * 1000 * times * chance.uniform(1 - JITTER, 1 + JITTER)), times)


def after_failure(interval_s: int, failures: int, transient: bool, chance: random.Random) -> Pace:
    """The next try after `failures` in a row.

    Transient errors are tried again from one second on, doubling up to a minute or two intervals, whichever is less.
    What only the user can mend (a password, a grant) is tried less often than usual: a wrong password repeated each
    minute locks accounts.
    """
    doublings = min(max(0, failures - 1), _MOST_DOUBLINGS)
    if transient:
        longest = max(1_000, min(LONGEST_BACKOFF_MS, 2 * interval_s * 1000))
        base = min(1_000 * 2**doublings, longest)
        return Pace(round(base * chance.uniform(0.5, 1.0)))
    base = max(interval_s * 1000, min(interval_s * 1000 * 2 ** (doublings + 1), LONGEST_REFUSED_MS))
    return Pace(round(base * chance.uniform(1 - JITTER, 1 + JITTER)))
