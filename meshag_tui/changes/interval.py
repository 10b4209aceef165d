"""How much faster or slower, and how sure that is: the Hodges-Lehmann estimate with its signed-rank interval.

In: one logarithm of a ratio (after to before) for each round. Out: the ratio less one, with an interval that holds the
true one in 95 of 100 such measurements. Nothing is assumed of how times are spread but that rounds are alike and their
noise has no side; one wild round moves the estimate little. The interval is exact, not by a formula for large numbers:
it is made of the means of all pairs of rounds, cut at the quantiles of Wilcoxon's signed-rank sum.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CONFIDENCE = 0.95
FEWEST = 6
"""Rounds below which no interval of this confidence exists: 2 / 2^5 is more than 5 in 100."""
LEAST = 0.03
"""A smaller difference is none: caches and clocks differ by that much between two equal databases."""

Verdict = Literal["faster", "slower", "no effect", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Interval:
    """The change of time as a share of the time before: -0.2 is a fifth less. `low` <= `estimate` <= `high`."""

    estimate: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of its width, as a share of what the estimate leaves: a tenth of the time needs a tenth of the width."""
        return (self.high - self.low) / 2 / (1 + self.estimate)

    @property
    def verdict(self) -> Verdict:
        """What can be said: faster or slower only when the whole interval is, and by more than `LEAST`."""
        if self.high < -LEAST:
            return "faster"
        return "slower" if self.low > LEAST else "inconclusive"


def interval(logs: Sequence[float]) -> Interval | None:
    """The interval of rounds' log ratios; None when there are fewer than `FEWEST`."""
    if len(logs) < FEWEST:
        return None
    means = sorted((one + other) / 2 for at, one in enumerate(logs) for other in logs[at:])
    cut = _cut(len(logs))
    middle = len(means) // 2
    estimate = means[middle] if len(means) % 2 else (means[middle - 1] + means[middle]) / 2
    return Interval(*(math.expm1(one) for one in (estimate, means[cut], means[-1 - cut])))


@functools.lru_cache(maxsize=128)
def _cut(rounds: int) -> int:
    """How many of the ordered means lie outside on each side, by the distribution of the signed-rank sum."""
    ways = [1]
    for rank in range(1, rounds + 1):
        ways = [
            (ways[total] if total < len(ways) else 0) + (ways[total - rank] if total >= rank else 0)
            for total in range(len(ways) + rank)
        ]
    below, allowed = 0, (1 - CONFIDENCE) / 2 * 2**rounds
    for total, many in enumerate(ways):
        below += many
        if below > allowed:
            return max(0, total - 1)
    return 0
