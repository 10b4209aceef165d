"""How much the planner of a watched server may be asked, in calls and in time."""

from __future__ import annotations

import time


class OutOfBudget(Exception):
    """The planner was asked as often, or as long, as we allow ourselves."""


class Budget:
    """How often and until when the planner may be asked. A part of another budget spends that one's calls as well."""

    def __init__(self, calls: int, seconds: float, whole: Budget | None = None) -> None:
        self._left = calls
        self._whole = whole
        self.spent = 0
        self._began = time.monotonic()
        self._until = self._began + seconds

    def part(self, calls: int, seconds: float) -> Budget:
        """A smaller budget within this one."""
        return Budget(calls, seconds, self)

    def give(self, seconds: float) -> None:
        """Put its end off by time that went to something else than asking."""
        self._until += seconds

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return time.monotonic() > self._until

    @property
    def used(self) -> float:
        """Share of its time that is over."""
        return (time.monotonic() - self._began) / max(self._until - self._began, 1e-9)

    @property
    def left(self) -> int:
        """Calls that may still be made."""
        return max(0, self._left if self._whole is None else min(self._left, self._whole.left))

    def spend(self) -> None:
        """Count one call; OutOfBudget when there is none left."""
        if self._whole is not None:
            self._whole.spend()
        self._left -= 1
        self.spent += 1
        if self._left < 0 or self.over:
            raise OutOfBudget
