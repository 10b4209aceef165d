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
        self._kept_calls = 0
        self._kept_s = 0.0

    def part(self, calls: int, seconds: float) -> Budget:
        """A smaller budget within this one."""
        return Budget(calls, seconds, self)

    def give(self, seconds: float) -> None:
        """Put its end off by time that went to something else than asking."""
        self._until += seconds

    def keep(self, calls: int, share: float) -> None:
        """Keep some calls and a share of the time for what comes last; nothing more of either is kept with 0 and 0."""
        self._kept_calls = calls
        self._kept_s = share * (self._until - self._began)

    @property
    def over(self) -> bool:
        """Whether its time is up, but for what is kept."""
        return time.monotonic() > self._until - self._kept_s

    @property
    def used(self) -> float:
        """Share of its time that is over."""
        return (time.monotonic() - self._began) / max(self._until - self._began, 1e-9)

    @property
    def left(self) -> int:
        """Calls that may still be made, but for those that are kept."""
        return max(0, (self._left if self._whole is None else min(self._left, self._whole.left)) - self._kept_calls)

    def spend(self) -> None:
        """Count one call; OutOfBudget when there is none left."""
        if self.left <= 0 or self.over:
            raise OutOfBudget
        if self._whole is not None:
            self._whole.spend()
        self._left -= 1
        self.spent += 1
