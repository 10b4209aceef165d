"""Running one statement before and after a change, turn about, until it is known how much that changes.

In: a statement's sets of values and a way to run it. Out: a `Measured`, raw samples included. A round runs every set on
both sides, in an order that chance shuffles, so that a drift of the machine meets both alike. Rounds are taken together
in `BLOCKS` or so: of each block the median of every set on every side, and the ratio of the two sides' sums is one
observation; a run that the machine interrupted is so outvoted by its neighbours. It goes on until the interval is
narrow enough, which is asked of its width alone and never of what it says (to stop when one likes the answer would make
chance look like an effect), or time is up.

Where both sides have the same plan for every set and read as many blocks, the change does nothing to the statement, and
a difference of times is the machine's.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

from meshag_tui.changes.interval import Interval, Verdict, interval
from meshag_tui.engines.rehearsal import Execution, Side
from meshag_tui.plan import Plan

Run = Callable[[Side, int], Awaitable[Execution]]
Tell = Callable[[int, int], None]
BLOCKS = 8
_LOOK_EVERY = 4
"""Rounds between two looks at the interval."""
_SHORTEST = 0.001
"""ms: what the server reports as 0 took less than this."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to go on: rounds at least and at most, seconds, and the half width of the interval that is enough."""

    fewest: int = 8
    most: int = 64
    seconds: float = 30.0
    enough: float = 0.03


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: its round, its set of values, its side; ms, blocks found in the server's cache, blocks read."""

    round: int
    set: int
    side: Side
    ms: float
    hit: int
    read: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of all runs of one side: ms of a run in the middle and of the slowest but one in twenty, blocks of a run."""

    median_ms: float
    p95_ms: float
    blocks: float
    rows: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of it. `change` is None when too few rounds fitted into the time: nothing can be said then."""

    sets: int
    rounds: int
    before: Figures
    after: Figures
    change: Interval | None
    samples: tuple[Sample, ...]
    plan_before: Plan
    plan_after: Plan
    seconds: float
    same_work: bool = False  # the same plans reading as many blocks: the change does nothing here

    @property
    def verdict(self) -> Verdict:
        if self.change is None:
            return "inconclusive"
        return "no effect" if self.same_work else self.change.verdict


async def measure(
    run: Run, sets: int, effort: Effort, seed: int = 0, tell: Tell | None = None, *, same_text: bool = True
) -> Measured:
    """Run it until enough is known. Each set is run once on both sides beforehand, so that caches are warm.

    Args:
        same_text: both sides run one statement; of two, equal plans do not mean that they do the same.

    Raises:
        EngineError: a run failed.
    """
    begin = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (shuffles)
    warm: dict[tuple[Side, int], Execution] = {}
    for number in range(sets):
        for side in _turn(chance):
            warm[side, number] = await run(side, number)
    samples: list[Sample] = []
    rounds = 0
    change: Interval | None = None
    while rounds < effort.most and (rounds == 0 or time.monotonic() - begin < effort.seconds):
        samples += await _round(run, sets, rounds, chance)
        rounds += 1
        if tell is not None:
            tell(rounds, effort.most)
        if rounds >= effort.fewest and rounds % _LOOK_EVERY == 0:
            change = interval(observations(samples, rounds))
            if change is not None and change.half_width <= effort.enough:
                break
    return Measured(
        sets=sets,
        rounds=rounds,
        before=_figures(samples, "before", warm["before", 0].rows),
        after=_figures(samples, "after", warm["after", 0].rows),
        change=interval(observations(samples, rounds)),
        samples=tuple(samples),
        plan_before=warm["before", 0].plan,
        plan_after=warm["after", 0].plan,
        seconds=time.monotonic() - begin,
        same_work=same_text and _same_work(warm, samples, sets),
    )


def observations(samples: Sequence[Sample], rounds: int) -> list[float]:
    """For each block of rounds the logarithm of the ratio of what the sides took, after to before."""
    size = max(1, rounds // BLOCKS)
    cells: dict[tuple[int, Side, int], list[float]] = {}
    for sample in samples:
        block = min(sample.round // size, rounds // size - 1)
        cells.setdefault((block, sample.side, sample.set), []).append(max(sample.ms, _SHORTEST))
    sums: dict[tuple[int, Side], float] = {}
    for (block, side, _), times in cells.items():
        sums[block, side] = sums.get((block, side), 0.0) + median(times)
    return [math.log(sums[block, "after"] / sums[block, "before"]) for block in range(rounds // size)]


def _same_work(warm: dict[tuple[Side, int], Execution], samples: Sequence[Sample], sets: int) -> bool:
    if any(warm["before", number].plan.hash != warm["after", number].plan.hash for number in range(sets)):
        return False
    blocks: dict[tuple[Side, int], list[int]] = {}
    for sample in samples:
        blocks.setdefault((sample.side, sample.set), []).append(sample.hit + sample.read)
    return all(median(blocks["before", number]) == median(blocks["after", number]) for number in range(sets))


async def _round(run: Run, sets: int, number: int, chance: random.Random) -> list[Sample]:
    made = []
    for each in chance.sample(range(sets), sets):
        for side in _turn(chance):
            done = await run(side, each)
            made.append(Sample(number, each, side, done.ms, done.hit, done.read))
    return made


def _turn(chance: random.Random) -> tuple[Side, Side]:
    return ("before", "after") if chance.random() < 0.5 else ("after", "before")


def _figures(samples: Sequence[Sample], side: Side, rows: float) -> Figures:
    mine = sorted(sample.ms for sample in samples if sample.side == side)
    blocks = [sample.hit + sample.read for sample in samples if sample.side == side]
    p95 = mine[min(len(mine) - 1, math.ceil(0.95 * len(mine)) - 1)]
    return Figures(median(mine), p95, sum(blocks) / len(blocks), rows)
