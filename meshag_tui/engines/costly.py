"""Which statements are read of a server that keeps too many: those that took the most time, the same for every engine.

In: how many statements reached which of a few times, as the server counts them. Out: the time from which on they are
read, and what that leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshag_tui.figures import duration, percent
from meshag_tui.types import Finding

STEPS_MS = tuple(digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5))
"""Times from which on statements may be read, ms: few, so that it seldom changes which are."""
TOO_FEW = 0.1
"""Of what may be read; then a step less is better, though it is more than may be."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Which statements are read where there are too many: those that took `least_ms` or more in all."""

    least_ms: float
    left_out: int
    left_out_ms: float
    unseen: int  # of those left out, hidden from us as well
    all: int
    all_ms: float

    @property
    def covered(self) -> float:
        """The share of all time that those read took."""
        return 1.0 - self.left_out_ms / self.all_ms if self.all_ms else 1.0


@dataclass(slots=True)
class Choice:
    """What a session found out of which statements to read: to ask that is to look at all of them.

    So it is asked once a session (ten minutes at most), and again after a reset or when far fewer are read than may be.
    What was left out is counted as it was then; a statement that came to take enough since is read.
    """

    asked: bool = False
    elsewhere: bool = False  # of which statements it was asked: of those of other databases as well
    narrowed: Narrowed | None = None  # None: all are read
    stats_reset: int | None = None  # when counting had begun, epoch ms


def narrowed(found: Iterable[tuple[int, int, int, float]], most: int) -> Narrowed | None:
    """Which statements to read, None: all of them.

    Args:
        found: by the number of `STEPS_MS` reached: statements, those of them hidden from us, their time in ms.
        most: how many are to be read at most.
    """
    steps = sorted(found, reverse=True)
    everything, time_ms = sum(number for _, number, _, _ in steps), sum(spent for *_, spent in steps)
    if everything <= most:
        return None
    read, least = 0, len(STEPS_MS)
    for step, number, _, _ in steps:
        if read + number > most and read >= TOO_FEW * most:
            break
        read, least = read + number, step
        if read > most:
            break
    out = [each for each in steps if each[0] < least]
    if not out:
        return None  # nearly all took as much: nothing tells them apart
    left, unseen, spent = (sum(each[at] for each in out) for at in (1, 2, 3))
    return Narrowed(STEPS_MS[least - 1], int(left), float(spent), int(unseen), int(everything), float(time_ms))


def finding(narrowed: Narrowed, read: int, code: str) -> Finding:
    """The server keeps more statements than are read. `code` begins with what they are read from."""
    return Finding(
        f"{code}-narrowed",
        "info",
        f"{read:,} of {narrowed.all:,} statements are read, which took {percent(narrowed.covered)} of the time",
        f"{narrowed.left_out:,} that took less than {duration(narrowed.least_ms)} in all are left out, so that a sync "
        "stays short; their time is counted in the whole. Of one that comes to take more, what came before is unknown",
        "Nothing to do; statements_most under [collect] in config.toml says how many are read, 0 all of them",
        {"read": read, "all": narrowed.all, "covered": round(narrowed.covered, 6), "least_ms": narrowed.least_ms},
    )
