"""What a change did to statements, as a sound figure: their calls and times before and after it, compared by call.

In: for each side the intervals that were observed, and of each statement its calls and time in them. Out: the time
saved a day at the load there is now, with the interval it lies in. Pure arithmetic; where the figures come from is
`verification`'s business.

The statistic. Each statement is its own control: its mean time of a call is Σtime/Σcalls on each side, the difference
is weighed with its calls a day after the change, and summed over the statements, so that more or fewer calls are no
gain and no loss. Neighbouring intervals resemble each other, and statements slow down together when the machine is
busy; both would make a naive interval too narrow. So a side is cut into four to twelve stretches of equally many
intervals, three or more each where there are so many, and the variance is that of the summed residuals of the stretches
(of a ratio estimator by linearisation, over batch means), which keeps what statements have in common. The two sides are
put together after Welch, with Student's distribution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import NamedTuple

DAY_S = 86_400.0
MOST_BATCHES = 12
LEAST_BATCHES = 4
_LEAST_CONTROLS = 3
_STRETCH = 3

Counted = Mapping[int, tuple[float, float]]
"""Calls and time, ms, by interval id."""


class Span(NamedTuple):
    """An interval that was observed whole: its id, its length and the calls of all statements in it."""

    id: int
    seconds: float
    calls: float


@dataclass(frozen=True, slots=True)
class Side:
    """Before or after: the intervals in the order of time, and what each statement did in them."""

    spans: tuple[Span, ...]
    counted: Mapping[int, Counted]

    @property
    def seconds(self) -> float:
        return sum(span.seconds for span in self.spans)

    @property
    def calls_per_s(self) -> float | None:
        """Calls of all statements of the server, by second."""
        return sum(span.calls for span in self.spans) / self.seconds if self.seconds else None

    def calls(self, statement: int) -> float:
        found = self.counted.get(statement, {})
        return sum(found[span.id][0] for span in self.spans if span.id in found)

    def time_ms(self, statement: int) -> float:
        found = self.counted.get(statement, {})
        return sum(found[span.id][1] for span in self.spans if span.id in found)

    def mean_ms(self, statement: int) -> float | None:
        calls = self.calls(statement)
        return self.time_ms(statement) / calls if calls else None

    @property
    def batches(self) -> tuple[tuple[Span, ...], ...]:
        """The stretches: of equally many intervals, as far as that goes."""
        wanted = max(LEAST_BATCHES, min(MOST_BATCHES, len(self.spans) // _STRETCH))
        count = min(wanted, len(self.spans))
        edges = [round(number * len(self.spans) / count) for number in range(count + 1)] if count else [0]
        return tuple(self.spans[start:end] for start, end in itertools.pairwise(edges))


class Between(NamedTuple):
    """An estimate and the interval it lies in."""

    value: float
    low: float
    high: float

    def beyond(self, bound: float = 0.0) -> int:
        """1 where all of it lies above `bound`, -1 where all lies below -`bound`, else 0."""
        return 1 if self.low > bound else -1 if self.high < -bound else 0


def saved_ms_per_day(before: Side, after: Side, statements: Collection[int], level: float) -> Between | None:
    """Time saved a day on these statements, ms; None where too little was observed on a side.

    Statements that did not run on one of the sides say nothing, and are left out.
    """
    both = [each for each in statements if before.calls(each) and after.calls(each)]
    if not both or min(len(before.batches), len(after.batches)) < LEAST_BATCHES:
        return None
    a_day = {each: after.calls(each) / after.seconds * DAY_S for each in both}
    value = sum(a_day[each] * ((before.mean_ms(each) or 0.0) - (after.mean_ms(each) or 0.0)) for each in both)
    parts = [_variance(side, a_day) for side in (before, after)]
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return Between(value, value, value)
    freedom = variance**2 / sum(part**2 / max(1, ran - 1) for part, ran in parts)
    reach = student(1 - (1 - level) / 2, freedom) * math.sqrt(variance)
    return Between(value, value - reach, value + reach)


def _variance(side: Side, a_day: Mapping[int, float]) -> tuple[float, int]:
    """Variance of Σ weight · mean time on one side, and the stretches it rests on: those in which anything ran."""
    means = {each: side.mean_ms(each) or 0.0 for each in a_day}
    calls = {each: side.calls(each) for each in a_day}
    residuals, ran = [], 0
    for batch in side.batches:
        part = Side(batch, side.counted)
        ran += any(part.calls(each) for each in a_day)
        residuals.append(
            sum(
                weight * (part.time_ms(each) - means[each] * part.calls(each)) / calls[each]
                for each, weight in a_day.items()
            )
        )
    if ran < 2:
        return math.inf, ran
    return ran / (ran - 1) * sum(residual**2 for residual in residuals), ran


def drift(before: Side, after: Side, controls: Collection[int]) -> tuple[float, int] | None:
    """How many times longer a call of statements takes that the change has nothing to do with: the median, and of how
    many. None where there are too few of them to say."""
    ratios = []
    for each in controls:
        one, other = before.mean_ms(each), after.mean_ms(each)
        if one and other and min(before.calls(each), after.calls(each)) >= LEAST_BATCHES:
            ratios.append(other / one)
    return (median(ratios), len(ratios)) if len(ratios) >= _LEAST_CONTROLS else None


def relative(side: Side, by: float) -> Side:
    """The side as it would be if every call took `by` times as long."""
    counted = {
        statement: {interval: (calls, time * by) for interval, (calls, time) in found.items()}
        for statement, found in side.counted.items()
    }
    return Side(side.spans, counted)


def student(probability: float, freedom: float) -> float:
    """The quantile of Student's distribution, by the expansion of Cornish and Fisher: within 3 % from 3 degrees on."""
    z = NormalDist().inv_cdf(probability)
    v = max(1.0, freedom)
    terms = (
        z,
        (z**3 + z) / (4 * v),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3),
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4),
    )
    return sum(terms)
