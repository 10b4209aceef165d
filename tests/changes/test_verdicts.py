"""Better, worse, by chance, or not to be compared: what counted calls before and after a change are taken for."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from meshag_tui.changes.effect import DAY_S, Side, Span, saved_ms_per_day, student
from meshag_tui.changes.verdicts import Verdict, Watched, judge
from meshag_tui.store.outcomes import OutcomeState

TARGET, READER, WRITER = 1, 2, 3
OTHERS = (11, 12, 13, 14)
MEANS: Mapping[int, float] = {TARGET: 40.0, READER: 5.0, WRITER: 1.0} | dict.fromkeys(OTHERS, 3.0)
WATCHED = Watched({TARGET: "target", READER: "reader", WRITER: "writer"}, OTHERS)


def side(
    chance: random.Random,
    times: Mapping[int, float] | None = None,
    *,
    first: int = 0,
    spans: int = 60,
    busy: float = 1.0,
    noise: float = 0.1,
    likeness: float = 0.0,
) -> Side:
    """An hour of a busy database, a minute a span: statements take `times` as long as usual, calls are `busy` times as
    many; `likeness` is how far a span resembles the one before, all statements of the machine alike."""
    counted: dict[int, dict[int, tuple[float, float]]] = {each: {} for each in MEANS}
    found = []
    machine = chance.gauss(0, noise / math.sqrt(1 - likeness**2))
    for number in range(first, first + spans):
        machine = likeness * machine + chance.gauss(0, noise)
        total = 0.0
        for each, mean in MEANS.items():
            calls = max(1, round(busy * chance.randint(30, 60)))
            took = mean * (times or {}).get(each, 1.0) * math.exp(machine + chance.gauss(0, 0.05))
            counted[each][number] = (calls, calls * took)
            total += calls
        found.append(Span(number, 60.0, total))
    return Side(tuple(found), counted)


def judged(before: Side, after: Side, watched: Watched = WATCHED, **more: Any) -> Verdict:
    usual: dict[str, Any] = {"lost": (), "least_calls": 30, "looks": 14, "gain": None, "affected": None}
    return judge(before, after, watched, **{**usual, **more})


def test_a_planted_gain_is_found_within_its_interval() -> None:
    chance = random.Random(1)
    before, after = side(chance), side(chance, {TARGET: 0.8}, first=60)
    found = judged(before, after, gain=1e9, affected=5e9)
    assert found.state is OutcomeState.BETTER and found.targets is not None
    planted = 0.2 * (before.mean_ms(TARGET) or 0) * after.calls(TARGET) / after.seconds * DAY_S
    assert found.targets.low < planted < found.targets.high
    assert found.targets.low > 0.5 * planted, "the interval says something"
    assert found.expected == pytest.approx(planted, rel=0.01)  # a fifth of the time was forecast
    assert found.held is True


@pytest.mark.parametrize(("drop", "held"), [(0.45, True), (0.95, False)])
def test_a_forecast_holds_when_at_least_half_of_it_came_true(drop: float, held: bool) -> None:
    chance = random.Random(2)
    before, after = side(chance, spans=240), side(chance, {TARGET: drop}, first=240, spans=240)
    assert judged(before, after, gain=8e8, affected=1e9).held is held


def test_noise_reads_inconclusive_however_alike_neighbouring_minutes_are() -> None:
    """A hundred changes that change nothing, on machines whose load comes and goes: one or two are taken for more."""
    wrong = 0
    for seed in range(100):
        chance = random.Random(seed)
        likeness = (0.0, 0.5, 0.7)[seed % 3]
        before = side(chance, likeness=likeness)
        after = side(chance, first=60, likeness=likeness)
        wrong += judged(before, after, Watched(WATCHED.roles, ())).state is not OutcomeState.INCONCLUSIVE
    assert wrong <= 2


def test_a_regression_is_never_shown_as_a_gain() -> None:
    for seed in range(30):
        chance = random.Random(seed)
        before, after = side(chance), side(chance, {TARGET: 1.3}, first=60)
        assert judged(before, after).state is not OutcomeState.BETTER
    found = judged(side(chance), side(chance, {TARGET: 1.5}, first=60), gain=1e9, affected=2e9)
    assert found.state is OutcomeState.WORSE and found.held is False and found.slower == (TARGET,)


def test_what_it_costs_writers_counts() -> None:
    chance = random.Random(3)
    before = side(chance)
    after = side(chance, {TARGET: 0.9, WRITER: 60.0}, first=60)
    found = judged(before, after)
    assert found.state is OutcomeState.WORSE and found.writers is not None and found.writers.high < 0
    assert found.targets is not None and found.targets.value > 0


def test_a_gain_of_its_own_that_the_others_seem_to_have_lost_is_not_shown_as_one() -> None:
    chance = random.Random(9)
    before, after = side(chance), side(chance, {TARGET: 0.8}, first=60)
    calls, took = after.counted[READER][70]
    after.counted[READER][70] = (calls, took + 60_000)  # type: ignore[index]
    found = judged(before, after)
    assert found.targets is not None and found.targets.low > 0
    assert found.saved is not None and found.saved.value < 0 < found.saved.high
    assert found.state is OutcomeState.INCONCLUSIVE and "no difference beyond chance" in found.said


def test_more_calls_are_no_loss_and_fewer_no_gain() -> None:
    chance = random.Random(4)
    for busy in (0.6, 1.8):
        found = judged(side(chance), side(chance, busy=busy, first=60))
        assert found.state is OutcomeState.INCONCLUSIVE


def test_what_the_load_explains_as_well_is_not_credited() -> None:
    chance = random.Random(5)
    quiet = judged(side(chance), side(chance, {TARGET: 0.5}, busy=0.3, first=60))
    assert (quiet.state, quiet.reason) == (OutcomeState.INCOMPARABLE, "load")
    assert "load differs" in quiet.said
    pressed = judged(side(chance), side(chance, {TARGET: 2.0}, busy=3.0, first=60))
    assert (pressed.state, pressed.reason) == (OutcomeState.INCOMPARABLE, "load")
    # Against the load it is all the more to be believed.
    assert judged(side(chance), side(chance, {TARGET: 0.5}, busy=3.0, first=60)).state is OutcomeState.BETTER
    assert judged(side(chance), side(chance, {TARGET: 2.0}, busy=0.3, first=60)).state is OutcomeState.WORSE


def test_a_slower_machine_is_not_the_fault_of_the_change() -> None:
    chance = random.Random(6)
    slower = dict.fromkeys(MEANS, 1.6)
    found = judged(side(chance), side(chance, slower, first=60))
    assert (found.state, found.reason) == (OutcomeState.INCOMPARABLE, "machine")
    assert "4 statements it has nothing to do with take 1.6 times as long too" in found.said
    # What it did beside that is found all the same.
    assert judged(side(chance), side(chance, slower | {TARGET: 0.2}, first=60)).state is OutcomeState.BETTER
    assert judged(side(chance), side(chance, slower | {TARGET: 6.0}, first=60)).state is OutcomeState.WORSE


def test_what_reads_what_it_read_before_was_slowed_by_something_else() -> None:
    chance = random.Random(8)
    before, after = side(chance), side(chance, {TARGET: 1.5, READER: 1.5}, first=60)
    assert judged(before, after).state is OutcomeState.WORSE
    found = judged(before, after, unmoved=[TARGET, READER])
    assert (found.state, found.reason) == (OutcomeState.INCOMPARABLE, "same-work")
    assert "2 statements that take longer read as much as before, by the same plan" in found.said
    assert found.saved is not None and found.saved.high < 0, "the figures are shown all the same"
    assert judged(before, after, unmoved=[READER]).state is OutcomeState.WORSE, "the other one reads more"
    writes = side(chance, {TARGET: 1.5, READER: 1.5, WRITER: 60.0}, first=60)
    assert judged(before, writes, unmoved=[TARGET, READER]).state is OutcomeState.WORSE
    better = judged(before, side(chance, {TARGET: 0.5}, first=60), unmoved=[TARGET, READER, WRITER])
    assert better.state is OutcomeState.BETTER, "a gain is believed without"


def test_too_little_is_said_and_nothing_concluded() -> None:
    chance = random.Random(7)
    long, short = side(chance), side(chance, {TARGET: 0.1}, first=60, spans=3)
    found = judged(long, short)
    assert (found.state, found.reason) == (OutcomeState.WAITING, "few-syncs")
    assert found.said == "not enough calls yet: 3 syncs since, 4 are needed"
    assert "1 sync since" in judged(long, side(chance, first=60, spans=1)).said
    found = judged(long, side(chance, first=60), least_calls=10_000)
    assert (found.state, found.reason) == (OutcomeState.WAITING, "few-calls") and "10000 are needed" in found.said
    assert judged(long, short, lost=["reset"]).reason == "reset"
    assert "statistics were reset" in judged(long, short, lost=["reset"]).said
    assert judged(short, long).reason == "unwatched"
    idle = Watched({99: "target"}, ())
    assert judged(long, side(chance, first=60), idle).state is OutcomeState.WAITING


def test_an_interval_covers_what_is_true_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        chance = random.Random(seed)
        before, after = side(chance), side(chance, {TARGET: 0.8}, first=60)
        found = saved_ms_per_day(before, after, [TARGET], 0.95)
        true = 0.2 * MEANS[TARGET] * after.calls(TARGET) / after.seconds * DAY_S
        true *= math.exp((0.1**2 + 0.05**2) / 2)  # the mean of what the chance makes of it
        assert found is not None
        covered += found.low <= true <= found.high
    assert 180 <= covered <= 200


@pytest.mark.parametrize(("freedom", "table"), [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_students_quantiles_are_those_of_the_tables(freedom: float, table: float) -> None:
    assert student(0.975, freedom) == pytest.approx(table, rel=0.002)
