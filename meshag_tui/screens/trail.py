"""Where somebody was: places and connections, to go back to and forward again as in a browser."""

from __future__ import annotations

from typing import NamedTuple

MOST = 50


class Step(NamedTuple):
    """A place, and the connection that was looked at there."""

    place: str
    connection_id: str | None


class Trail:
    """The steps that were made, and where on them one is."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._at = -1

    def went(self, step: Step) -> None:
        """A step was made: what lay ahead is forgotten. The same step again is none."""
        if self.steps and self.steps[self._at] == step:
            return
        self.steps = [*self.steps[: self._at + 1], step][-MOST:]
        self._at = len(self.steps) - 1

    def turn(self, by: int) -> Step | None:
        """The step before (-1) or after (1), which is then where one is; None: there is none."""
        to = self._at + by
        if not 0 <= to < len(self.steps):
            return None
        self._at = to
        return self.steps[to]

    def can(self, by: int) -> bool:
        return 0 <= self._at + by < len(self.steps)
