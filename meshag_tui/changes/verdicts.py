"""What a comparison before and after a change means: better, worse, inconclusive, not comparable, or not yet.

In: two sides (`effect.Side`), and which statements the change is about, which others use its table, and which have
nothing to do with it. Out: a `Verdict` with its figures. Nothing is concluded that the load or the machine explains as
well:

* figures are by call, so that more or fewer calls are neither gain nor loss; but a gain while the server had less than
  half the calls it had before, or a loss while it had more than twice as many, is not credited to the change;
* when statements it has nothing to do with became slower or faster as well, the effect must hold beside them too;
* a loss is not that of the change where each call reads what it read before by the same plan (`unmoved`);
* an effect is one whose interval leaves out 0 and that is at least a twentieth of the time it is about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from meshag_tui.changes.effect import DAY_S, LEAST_BATCHES, Between, Side, drift, relative, saved_ms_per_day
from meshag_tui.figures import number_of
from meshag_tui.store.outcomes import OutcomeState

LEVEL = 0.95
MATERIAL = 0.05
"""The least share of the time it is about that is an effect."""
SLOWER = 1.2
"""How many times longer one statement must take to be a regression by itself."""
LOAD = 2.0
MACHINE = 1.25
MOST_STATEMENTS = 30

Role = Literal["target", "reader", "writer"]
Reason = Literal["few-syncs", "few-calls", "reset", "unwatched", "load", "machine", "same-work", "neighbour"]


@dataclass(frozen=True, slots=True)
class Watched:
    """The statements by what they are to the change: `roles` of those that matter, and `controls` that do not."""

    roles: Mapping[int, Role]
    controls: Collection[int]

    def of(self, *wanted: Role) -> list[int]:
        return [each for each, role in self.roles.items() if role in wanted]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. `saved` is of all watched statements, `targets` of those it was made for, `writers` of those
    that write its table; `expected` is the forecast at the load there is now. All ms a day."""

    state: OutcomeState
    said: str
    reason: Reason | None = None
    saved: Between | None = None
    targets: Between | None = None
    writers: Between | None = None
    expected: float | None = None
    held: bool | None = None
    machine: tuple[float, int] | None = None
    slower: tuple[int, ...] = ()  # readers that are slower for certain


def judge(
    before: Side,
    after: Side,
    watched: Watched,
    *,
    lost: Sequence[str],
    least_calls: int,
    looks: int,
    gain: float | None,
    affected: float | None,
    unmoved: Collection[int] = (),
) -> Verdict:
    """Compare.

    Args:
        lost: kinds of events for which intervals were left out.
        least_calls: calls of the watched statements needed on each side.
        looks: how often is looked in all: the chance of a false alarm is shared among them.
        gain, affected: the forecast, and the time of its statements then, ms a day.
        unmoved: statements that read what they read before, which whatever made them slower was not the change.
    """
    level = 1 - (1 - LEVEL) / looks
    about = watched.of("target") or list(watched.roles)
    short = _too_little(before, after, about, lost, least_calls)
    if short is not None:
        return short
    everything = list(watched.roles)
    saved = saved_ms_per_day(before, after, everything, level)
    primary = saved_ms_per_day(before, after, about, level)
    if saved is None or primary is None:
        return _waiting("no statement it is about ran on both sides yet")
    targets = primary if watched.of("target") else None
    direction = _direction(before, after, everything, about, saved, primary, level)
    machine = drift(before, after, watched.controls)
    beside = direction
    if machine is not None and machine[0] > 0:
        same = relative(after, 1 / machine[0])
        beside = _direction(
            before,
            same,
            everything,
            about,
            saved_ms_per_day(before, same, everything, level) or saved,
            saved_ms_per_day(before, same, about, level) or primary,
            level,
        )
    figures: dict[str, Any] = {
        "saved": saved,
        "targets": targets,
        "writers": saved_ms_per_day(before, after, watched.of("writer"), level),
        "expected": _expected(before, after, watched.of("target"), gain, affected),
        "machine": machine,
        "slower": tuple(_slower(before, after, watched.of("target", "reader"), level)),
    }
    unlike = _unlike(before, after, direction, beside, machine)
    if unlike is None and direction < 0:
        unlike = _not_its_doing(before, after, everything, about, unmoved, level)
    if unlike is not None:
        return Verdict(OutcomeState.INCOMPARABLE, unlike[1], unlike[0], **figures)
    if direction == 0:
        low, high = (-bound / 1000 for bound in (saved.high, saved.low))
        said = f"no difference beyond chance: {_signed(low)} to {_signed(high)} s a day"
        state = OutcomeState.INCONCLUSIVE
    else:
        state = OutcomeState.BETTER if direction > 0 else OutcomeState.WORSE
        said = "it takes less time than before" if direction > 0 else "it takes more time than before"
    return Verdict(state, said, held=_held(state, primary, figures["expected"], gain), **figures)


def _too_little(
    before: Side, after: Side, about: Collection[int], lost: Sequence[str], least_calls: int
) -> Verdict | None:
    if len(after.spans) < LEAST_BATCHES:
        if lost:
            return _incomparable("reset", f"statistics were reset or lost meanwhile ({', '.join(sorted(set(lost)))})")
        said = f"{number_of(len(after.spans), 'sync')} since, {LEAST_BATCHES} are needed"
        return _waiting(said, "few-syncs")
    if len(before.spans) < LEAST_BATCHES:
        if lost:
            return _incomparable("reset", f"statistics were reset or lost before it ({', '.join(sorted(set(lost)))})")
        return _incomparable("unwatched", "the time before it was not watched for long enough")
    calls = [sum(side.calls(each) for each in about) for side in (before, after)]
    if min(calls) < least_calls:
        return _waiting(
            f"{calls[0]:,.0f} calls before it and {calls[1]:,.0f} since, {least_calls} are needed on each side"
        )
    return None


def _waiting(said: str, reason: Reason = "few-calls") -> Verdict:
    return Verdict(OutcomeState.WAITING, f"not enough calls yet: {said}", reason)


def _incomparable(reason: Reason, said: str) -> Verdict:
    return Verdict(OutcomeState.INCOMPARABLE, said, reason)


def _direction(
    before: Side,
    after: Side,
    everything: Collection[int],
    about: Collection[int],
    saved: Between,
    primary: Between,
    level: float,
) -> int:
    """1 better, -1 worse, 0 neither. What it costs others counts against what it saves its own."""
    whole, own = _time(before, after, everything), _time(before, after, about)
    if saved.beyond() < 0 and -saved.value >= MATERIAL * whole:
        return -1
    outweighed = primary.beyond() > 0 and saved.value < 0  # a gain of its own that the others seem to have lost
    if primary.beyond() and abs(primary.value) >= MATERIAL * own and not outweighed:
        return primary.beyond()
    loss = sum(
        _time(before, after, [each]) * ((after.mean_ms(each) or 0) / (before.mean_ms(each) or 1) - 1)
        for each in _slower(before, after, everything, level)
    )
    return -1 if loss >= MATERIAL * whole and saved.value < 0 else 0


def _slower(before: Side, after: Side, statements: Collection[int], level: float) -> list[int]:
    """Statements that are slower for certain, each beside all others that could have been so by chance."""
    apart = 1 - (1 - level) / max(1, len(statements))
    found = []
    for each in statements:
        one, other = before.mean_ms(each), after.mean_ms(each)
        if one and other and other >= SLOWER * one:
            effect = saved_ms_per_day(before, after, [each], apart)
            if effect is not None and effect.beyond() < 0:
                found.append(each)
    return found


def _time(before: Side, after: Side, statements: Collection[int]) -> float:
    """What the calls there are now would take a day if each took as long as before, ms."""
    return sum((before.mean_ms(each) or 0.0) * after.calls(each) for each in statements) / after.seconds * DAY_S


def _expected(
    before: Side, after: Side, targets: Collection[int], gain: float | None, affected: float | None
) -> float | None:
    """The forecast carried over to the load there is now: the same share of the time."""
    if gain is None:
        return None
    if not affected or not targets:
        return gain
    return min(1.0, gain / affected) * _time(before, after, targets)


def _unlike(
    before: Side, after: Side, direction: int, beside: int, machine: tuple[float, int] | None
) -> tuple[Reason, str] | None:
    """Why the two sides cannot be compared: something else explains what was found as well."""
    calls = before.calls_per_s, after.calls_per_s
    if direction and calls[0] and calls[1]:
        times = calls[1] / calls[0]
        if (direction > 0 and times < 1 / LOAD) or (direction < 0 and times > LOAD):
            return "load", f"load differs: {calls[0]:,.3g} calls a second before it, {calls[1]:,.3g} since"
    if machine is None or beside == direction:
        return None
    if direction or not 1 / MACHINE <= machine[0] <= MACHINE:
        said = (
            f"load differs: {machine[1]} statements it has nothing to do with take {machine[0]:.2g} times as long too"
        )
        return "machine", said
    return None


def _not_its_doing(
    before: Side,
    after: Side,
    everything: Collection[int],
    about: Collection[int],
    unmoved: Collection[int],
    level: float,
) -> tuple[Reason, str] | None:
    """Why a loss is not the change's: without the statements that read as much as before there is none."""
    rest = [each for each in everything if each not in unmoved]
    if len(rest) == len(everything):
        return None
    own = [each for each in about if each not in unmoved] or rest
    saved, primary = (saved_ms_per_day(before, after, some, level) for some in (rest, own))
    if saved and primary and _direction(before, after, rest, own, saved, primary, level) < 0:
        return None
    slower = sum((after.mean_ms(each) or 0) > (before.mean_ms(each) or 0) for each in everything if each in unmoved)
    said = f"slower for another reason: {slower} statements that take longer read as much as before, by the same plan"
    return "same-work", said


def _held(state: OutcomeState, primary: Between, expected: float | None, gain: float | None) -> bool | None:
    """Whether it did what was forecast: at least half of the time; where none was, that nothing was lost."""
    if state is OutcomeState.WORSE:
        return False
    if gain is None or expected is None:
        return True
    if state is OutcomeState.BETTER and primary.value >= expected / 2:
        return True
    return False if primary.high < expected / 2 else None


def _signed(value: float) -> str:
    return f"{value:+,.3g}"
