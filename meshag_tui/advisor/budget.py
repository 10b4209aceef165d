"""How much the planner of a watched server may be asked, in calls and in time."""

from __future__ import annotations

import time


class OutOfBudget(Exception):
    """The planner was asked as often, or as long, as we allow ourselves."""


class Budget:
    """How often and until when the planner may be asked."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._left = calls
        self.spent = 0
        self._until = time.monotonic() + seconds

    def spend(self) -> None:
        """Count one call; OutOfBudget when there is none left."""
        self._left -= 1
        self.spent += 1
        if self._left < 0 or time.monotonic() > self._until:
            raise OutOfBudget
