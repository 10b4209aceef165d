"""Which of many indexes to take: greedy by what each saves, then local search, on what the plans known so far say.

A known plan is an upper bound for every set that holds its indexes, so thousands of sets are compared without asking
the server; it is asked for the few that look best, which sharpens the bounds, and the search goes on from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from meshag_tui.advisor.candidates import Candidate
from meshag_tui.advisor.configurations import Configurations
from meshag_tui.advisor.upkeep import Upkeep
from meshag_tui.advisor.worth import Worth
from meshag_tui.types import EvidenceKind

NEARLY = 0.95
"""A smaller index is taken when it saves at least this part of what the best one saves."""
COVERING_TAKES = 0.75
"""Columns are only included when no index without them saves this part of what they would."""
BY_SIZE = (1.0, 0.7, 0.4, 0.0)
"""Powers of its size by which the gain of an index is divided: tight budgets want the first, wide ones the last."""
_HARDLY = 2e-5
_ROUNDS = 20
_PAIRED = 6
_BANNED = 8


@dataclass(frozen=True)
class Option:
    """Something that can be taken: one index, or those that only help together."""

    candidate: Candidate
    mask: int
    size: int


@dataclass(frozen=True, slots=True)
class Merits:
    """What taking something does: the best share saved of a statement that is dear enough, `cheap_gain` of any."""

    gain: float
    cheap_gain: float
    wanted: float
    saved_ms: float  # in the window, less its upkeep
    least_ms: float

    @property
    def enough(self) -> bool:
        return self.gain >= self.wanted and self.saved_ms >= self.least_ms


@dataclass
class Selection:
    """A search among `options`. Times are ms in the window, estimated from measured times and shares of cost."""

    workload: Configurations
    options: list[Option]
    upkeep: Upkeep
    worth: Worth
    room: int | None

    def __post_init__(self) -> None:
        self.total = sum(one.statement.weight for one in self.workload.known) or 1.0
        self.least_ms = self.worth.share * self.total
        self._upkeep: dict[int, float] = {}
        self._crowd: dict[int, float] = {}
        self._weak: tuple[int, list[int]] = (0, [])

    # ------------------------------------------------------------------ figures

    def upkeep_ms(self, mask: int) -> float:
        found = self._upkeep.get(mask)
        if found is None:
            found = self._upkeep[mask] = sum(self.upkeep.ms(spec) for spec in self.workload.specs_of(mask))
        return found

    def _crowd_ms(self, mask: int) -> float:
        """Unasked, many indexes on one table are not welcome: each further one has to save more."""
        found = self._crowd.get(mask)
        if found is None:
            found = self._crowd[mask] = self.upkeep.crowd_ms(self.workload.specs_of(mask))
        return found

    def change(self, old: int, new: int) -> float:
        """Time that `new` takes more than `old`, as far as known; negative where it saves."""
        changed = self.upkeep_ms(new & ~old) - self.upkeep_ms(old & ~new)
        if not self.worth.by_budget:
            changed += self._crowd_ms(new) - self._crowd_ms(old)
        for one in self.workload.readers(old ^ new):
            if one.base > 0 and not one.failed:
                changed += one.statement.weight * (one.felt(new) - one.felt(old)) / one.base
        return changed

    def fits(self, mask: int) -> bool:
        return self.room is None or self.workload.size(mask) <= self.room

    def merits(self, mask: int, without: int) -> Merits:
        """What `mask` has beyond `without` does, and what it would have to do."""
        return self._merits(mask, without, -self.change(without, mask))

    def _merits(self, mask: int, without: int, saved_ms: float) -> Merits:
        new = mask & ~without
        served = []
        for one in self.workload.readers(new):
            before, after = one.best(without), one.best(mask)
            if before is not None and after is not None and after.cost < before.cost and one.base > 0:
                served.append((one, before, after))
        checked = all(after.evidence is not EvidenceKind.STATED for _, _, after in served)
        wanted, least = self.worth.wanted([self.workload.specs[bit] for bit in self.workload.of(new)], checked)
        if self.worth.by_budget and without:  # beside others each adds its part to what is gained together
            gains = [((one.base - after.cost) / one.base, one.base) for one, _, after in served]
        else:
            gains = [
                (gain, one.base)
                for one, before, after in served
                if self.worth.counts(gain := (before.cost - after.cost) / one.base, one.guessed)
            ]
        return Merits(
            gain=max((gain for gain, base in gains if base >= least), default=0.0),
            cheap_gain=max((gain for gain, _ in gains), default=0.0),
            wanted=wanted,
            saved_ms=saved_ms,
            least_ms=self.least_ms,
        )

    def _merits_if_saving(self, mask: int, without: int) -> Merits | None:
        """The same; None, far sooner, where the workload is not saved the least that counts."""
        saved_ms = -self.change(without, mask)
        return self._merits(mask, without, saved_ms) if saved_ms >= self.least_ms else None

    def worthwhile(self, mask: int, without: int) -> bool:
        """Whether what `mask` has beyond `without` saves some statement enough, and the workload something."""
        merits = self._merits_if_saving(mask, without)
        return merits is not None and merits.enough

    # ------------------------------------------------------------------ greedy

    def greedy(self, power: float | None) -> int:
        """Take what saves most, again and again.

        Args:
            power: of its size, see BY_SIZE; None: the plainest that will do.
        """
        taken = 0
        saved: dict[int, float | None] = {}
        while taken.bit_count() < self.worth.most:
            offers: list[tuple[float, Option]] = []
            for number, option in enumerate(self.options):
                if not option.mask & ~taken or not self.fits(taken | option.mask):
                    continue
                if number not in saved:
                    merits = self._merits_if_saving(taken | option.mask, taken)
                    saved[number] = merits.saved_ms if merits is not None and merits.enough else None
                if (gain := saved[number]) is not None:
                    offers.append((gain, option))
            if not offers:
                return taken
            chosen = _plainest(offers) if power is None else max(offers, key=lambda each: _by_size(each, power))[1]
            touched = {one.number for one in self.workload.readers(chosen.mask)}
            for number in list(saved):
                if any(one.number in touched for one in self.workload.readers(self.options[number].mask)):
                    del saved[number]
            taken |= chosen.mask
        return taken

    # ------------------------------------------------------------------ local search

    def explore(self, taken: int, stop: Callable[[], bool]) -> int:
        """Improve; then see whether it does better without each of those taken, the largest first."""
        best = self.improve(taken, stop)
        for bit in sorted(self.workload.of(best), key=lambda bit: -self.workload.size(1 << bit))[:_BANNED]:
            if stop():
                break
            if best >> bit & 1:
                other = self.improve(best & ~(1 << bit), stop, 1 << bit)
                other = self.improve(other, stop)
                if self.change(best, other) < -_HARDLY * self.total:
                    best = other
        return best

    def improve(self, taken: int, stop: Callable[[], bool], banned: int = 0, least: float | None = None) -> int:
        """Drop, add and swap as long as that saves time, without asking the server and without what is banned.

        Args:
            least: ms in the window that a change must save; None: hardly any.
        """
        least = -(_HARDLY * self.total if least is None else least)
        for _ in range(_ROUNDS):
            taken = self.drop(taken)
            saved = 0.0
            for option in self.options:
                if stop():
                    return taken
                if option.mask & ~taken and not option.mask & banned:
                    change, new = min(self._moves(taken, option), default=(0.0, taken))
                    if change < least:
                        taken, saved = new, saved - change
            if saved < -least:
                break
        return taken

    def drop(self, taken: int) -> int:
        """The set without what costs more than it saves, the largest first."""
        for bit in sorted(self.workload.of(taken), key=lambda bit: -self.workload.size(1 << bit)):
            if self.change(taken, taken & ~(1 << bit)) <= 0:
                taken &= ~(1 << bit)
        return taken

    def _moves(self, taken: int, option: Option) -> Iterator[tuple[float, int]]:
        """What taking one more could make of the set, and what that changes: others may have to go for it."""
        added = taken | option.mask
        change = self.change(taken, added)
        least = -_HARDLY * self.total
        if change >= least:
            return  # taking others away as well saves nothing
        if self.fits(added) and added.bit_count() <= self.worth.most:
            yield change, added
            return
        others = [bit for bit in self._weakest_first(taken) if not option.mask >> bit & 1]
        for at, one in enumerate(others):
            yield from self._without(taken, added & ~(1 << one))
            for other in others[at + 1 : _PAIRED]:
                yield from self._without(taken, added & ~(1 << one) & ~(1 << other))

    def _without(self, taken: int, new: int) -> Iterator[tuple[float, int]]:
        if self.fits(new) and new.bit_count() <= self.worth.most:
            yield self.change(taken, new), new

    def _weakest_first(self, taken: int) -> list[int]:
        """Those taken, by what each is worth a byte beside the others."""
        if self._weak[0] != taken:
            worth = {
                bit: self.change(taken, taken & ~(1 << bit)) / max(1, self.workload.size(1 << bit))
                for bit in self.workload.of(taken)
            }
            self._weak = taken, sorted(worth, key=worth.__getitem__)
        return self._weak[1]

    # ------------------------------------------------------------------ asking

    async def sharpen(self, taken: int) -> None:
        """Ask for the true cost of every statement with this set."""
        for one in self.workload.readers(taken):
            await self.workload.ask(one, taken)

    async def look_around(self, taken: int, most: int) -> int:
        """Ask what each index is truly worth here, and the promising ones that are not taken; returns calls made."""
        before = self.workload.pricer.calls
        for bit in self.workload.of(taken):
            for one in self.workload.readers(1 << bit):
                await self.workload.ask(one, taken & ~(1 << bit))
        hopes = []
        for option in self.options:
            new = taken | option.mask
            if new != taken:
                hope = self.upkeep_ms(taken) - self.upkeep_ms(new)
                for one in self.workload.readers(option.mask):
                    hope += one.statement.weight * (one.upper(taken) - one.lower(new)) / max(one.base, 1e-9)
                if hope > 1e-3 * self.total:
                    hopes.append((hope, new))
        for _, new in sorted(hopes, reverse=True):
            if self.workload.pricer.calls - before >= most:
                break
            for one in self.workload.readers(new & ~taken):
                await self.workload.ask(one, new)
        return self.workload.pricer.calls - before

    async def prune(self, taken: int) -> int:
        """Take away what is not worth its keep beside the others, the least useful first."""
        while taken:
            for option in self.parts(taken):
                for one in self.workload.readers(option):
                    await self.workload.ask(one, taken & ~option)
            less = self._less(taken)
            if less is None:
                return taken
            taken = less
        return taken

    def prune_known(self, taken: int) -> int:
        """The same by what is known, nobody asked."""
        while taken and (less := self._less(taken)) is not None:
            taken = less
        return taken

    def _less(self, taken: int) -> int | None:
        """The set without the least useful of what is not worth its keep; None where all are."""
        without = [taken & ~option for option in self.parts(taken)]
        poor = [(-self.change(less, taken), less) for less in without if not self.worthwhile(taken, less)]
        return min(poor)[1] if poor else None

    def parts(self, taken: int) -> list[int]:
        """What is taken, as it was offered: those that only help together are one."""
        left, found = taken, []
        for option in self.options:
            if option.mask.bit_count() > 1 and option.mask & ~left == 0:
                found.append(option.mask)
                left &= ~option.mask
        return [*found, *(1 << bit for bit in self.workload.of(left))]


def _by_size(offer: tuple[float, Option], power: float) -> float:
    return offer[0] / math.pow(max(1, offer[1].size), power)


def _plainest(offers: Iterable[tuple[float, Option]]) -> Option:
    """Of what saves nearly as much as the best, the smallest; included columns only where nothing plain comes near."""
    offers = list(offers)
    best = max(saved for saved, _ in offers)
    bare = [offer for offer in offers if not any(spec.include for spec in offer[1].candidate.specs)]
    if bare and max(saved for saved, _ in bare) >= COVERING_TAKES * best:
        offers, best = bare, max(saved for saved, _ in bare)
    near = [offer for offer in offers if offer[0] >= NEARLY * best]
    return min(
        near,
        key=lambda offer: (
            offer[1].size,
            sum(len(spec.columns) + len(spec.include) for spec in offer[1].candidate.specs),
            -offer[0],
            repr(offer[1].candidate),
        ),
    )[1]
