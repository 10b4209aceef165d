"""What a benchmark says of samples whose truth is known: planted changes are found, noise is not taken for one."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from meshag_tui.changes.benchmark import Effort, Measured, measure, observations
from meshag_tui.changes.interval import LEAST, Interval, interval
from meshag_tui.engines.rehearsal import Execution, Side
from meshag_tui.plan import Plan, PlanNode

EFFORT = Effort(seconds=3_600)


def plan(kind: str) -> Plan:
    return Plan(PlanNode("0", kind, 0, 1, 1, 1), "literal", kind, [], "SELECT 1")


def machine(after: float, seed: int, *, noise: float = 0.1, spikes: float = 0.05, drift: float = 0.0) -> Machine:
    return Machine(after, seed, noise, spikes, drift)


class Machine:
    """Runs nothing: says times as a busy machine would, `after` times those before, from a seed.

    Noise is lognormal; now and then a run takes ten times as long; the whole machine becomes slower by `drift` a run.
    """

    def __init__(self, after: float, seed: int, noise: float, spikes: float, drift: float) -> None:
        self.after, self.noise, self.spikes, self.drift = after, noise, spikes, drift
        self.chance = random.Random(seed)
        self.runs = 0
        self.plans = {"before": plan("Seq Scan"), "after": plan("Index Scan")}

    async def run(self, side: Side, number: int) -> Execution:
        self.runs += 1
        ms = (5.0, 1.0, 20.0, 0.2, 7.0)[number] * (self.after if side == "after" else 1.0)
        ms *= math.exp(self.chance.gauss(0, self.noise)) * (1 + self.drift * self.runs)
        ms *= 10 if self.chance.random() < self.spikes else 1
        return Execution(ms, 100, 0, 1.0, self.plans[side])


async def measured(after: float, seed: int, **how: float) -> Measured:
    return await measure(machine(after, seed, **how).run, 5, EFFORT, seed)


async def test_a_planted_fifth_less_reads_as_a_fifth_less() -> None:
    found = [(await measured(0.8, seed)).change for seed in range(100)]
    changes = [each for each in found if each is not None]
    assert sum(each.low <= -0.2 <= each.high for each in changes) >= 90, "of 95 % intervals"
    assert all(each.verdict == "faster" for each in changes)
    assert abs(sum(each.estimate for each in changes) / 100 + 0.2) < 0.01
    assert all(each.high - each.low < 0.2 for each in changes)


async def test_a_planted_regression_is_never_a_gain() -> None:
    assert [(await measured(1.25, seed)).verdict for seed in range(50)] == ["slower"] * 50
    assert "faster" not in [(await measured(1.05, seed)).verdict for seed in range(50)]


@pytest.mark.parametrize("how", [{}, {"noise": 0.5}, {"spikes": 0.3}, {"drift": 0.002}], ids=str)
async def test_noise_is_inconclusive(how: dict[str, float]) -> None:
    said = [(await measured(1.0, seed, **how)).verdict for seed in range(60)]
    assert said.count("inconclusive") >= 58, "of 95 % intervals, and a difference must be more than LEAST besides"


async def test_it_goes_on_until_the_interval_is_narrow_and_looks_at_nothing_else() -> None:
    quiet, loud = await measured(0.5, 1, noise=0.01, spikes=0.0), await measured(0.5, 1, noise=0.4)
    assert quiet.rounds == EFFORT.fewest and loud.rounds == EFFORT.most
    same = await measured(1.0, 1, noise=0.01, spikes=0.0)
    assert same.rounds == quiet.rounds, "what it says has no say"
    short = await measure(machine(0.5, 1).run, 5, replace(EFFORT, seconds=0), 1)
    assert (short.rounds, short.change, short.verdict) == (1, None, "inconclusive")


async def test_sides_take_turns_and_every_run_is_kept() -> None:
    found = await measured(0.8, 3)
    assert len(found.samples) == found.rounds * 5 * 2
    firsts = [a.side for a, b in zip(found.samples[::2], found.samples[1::2], strict=True) if a.set == b.set]
    assert len(firsts) == len(found.samples) / 2 and 0.3 < firsts.count("before") / len(firsts) < 0.7
    again = await measured(0.8, 3)
    assert again.samples == found.samples, "the same seed, the same order"
    logs = observations(found.samples, found.rounds)
    assert found.change == interval(logs)


async def test_the_same_plan_reading_the_same_blocks_is_no_change_whatever_the_clock_says() -> None:
    device = machine(0.5, 1)
    device.plans["after"] = device.plans["before"]
    found = await measure(device.run, 5, EFFORT, 1)
    assert found.same_work and found.verdict == "no effect"
    two = await measure(device.run, 5, EFFORT, 1, same_text=False)
    assert not two.same_work and two.verdict == "faster"


@pytest.mark.parametrize(
    ("logs", "wanted"),
    [
        # Hollander and Wolfe's table of the signed-rank sum: with 6 values the ends are the extremes, with 8 the fourth
        # of the means from each side (P(W <= 3) = 5 / 256).
        ([1, 2, 3, 4, 5, 6], (1, 3.5, 6)),
        ([1, 2, 3, 4, 5, 6, 7, 8], (2, 4.5, 7)),
        ([3.0] * 6, (3, 3, 3)),
    ],
)
def test_the_interval_is_that_of_the_signed_rank_sum(logs: list[float], wanted: tuple[float, ...]) -> None:
    found = interval([each / 100 for each in logs])
    assert found is not None
    assert [math.log1p(each) * 100 for each in (found.low, found.estimate, found.high)] == pytest.approx(wanted)


def test_too_few_rounds_say_nothing() -> None:
    assert interval([-0.2] * 5) is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.3, -0.1, "faster"), (0.1, 0.3, "slower"), (-0.3, 0.01, "inconclusive"), (-0.3, -LEAST / 2, "inconclusive")],
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, verdict: str) -> None:
    assert Interval((low + high) / 2, low, high).verdict == verdict


async def test_cancelled_it_ends() -> None:
    import asyncio

    async def never(side: Side, number: int) -> Execution:
        await asyncio.sleep(3_600)
        raise AssertionError

    task = asyncio.create_task(measure(never, 1, EFFORT))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
