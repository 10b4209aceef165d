"""The clock of a replay: it goes as fast as somebody wants, stands still, and ends where what was recorded ends."""

from __future__ import annotations

import time
from collections.abc import Callable

SPEEDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600)
"""Times the speed of life, from key to key."""


class Player:
    """Called, it says the moment that is looked at, in epoch seconds. Moments given to it are epoch ms."""

    def __init__(self, start: int, end: int, speed: float = 1, clock: Callable[[], float] = time.monotonic) -> None:
        """`start` and `end` are of what was recorded; `clock` is a monotonic one, in seconds."""
        self.start, self.end = start, max(start, end)
        self.speed = speed
        self.stands = False
        self._clock = clock
        self._at = float(start)
        self._since = clock()

    def __call__(self) -> float:
        return self.at / 1000

    @property
    def at(self) -> float:
        """The moment that is looked at, epoch ms."""
        passed = 0.0 if self.stands else (self._clock() - self._since) * 1000 * self.speed
        return min(float(self.end), self._at + passed)

    @property
    def ended(self) -> bool:
        return self.at >= self.end

    def stand(self, still: bool) -> None:
        """Stand still, or go on from there."""
        self._keep()
        self.stands = still

    def go_to(self, at: int) -> None:
        """Go on from another moment, one that was recorded."""
        self._at, self._since = float(min(self.end, max(self.start, at))), self._clock()

    def change_speed(self, by: int) -> None:
        """Go at the next speed, up or down."""
        self._keep()
        faster = [speed for speed in SPEEDS if speed > self.speed]
        slower = [speed for speed in SPEEDS if speed < self.speed]
        self.speed = (faster[0] if faster else self.speed) if by > 0 else (slower[-1] if slower else self.speed)

    def _keep(self) -> None:
        self._at, self._since = self.at, self._clock()
